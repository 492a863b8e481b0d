//! Who may do what on a server.
//!
//! The same on every server:
//!
//! | user | may | why |
//! |---|---|---|
//! | `app` | SELECT, INSERT, UPDATE, DELETE, and tables of its own on `wordpress` | an ordinary client: `read_only` stops it |
//! | `repl` | REPLICATION SLAVE | what the other server replicates as |
//! | `understudy` | see [`OPERATOR_GRANTS`] | what a recovery needs, without SUPER |
//!
//! All of them must use TLS. None but `understudy` has a global privilege that passes `read_only`.

use anyhow::{Context as _, Result};
use mysql_async::prelude::Queryable as _;

use super::Server;

/// Global privileges of `understudy`, as MariaDB 10.11 names them.
///
/// READ_ONLY ADMIN sets `read_only` (and passes it, to write into a fenced server while re-seeding); REPLICATION SLAVE
/// ADMIN is `CHANGE MASTER`, `START/STOP/RESET SLAVE` and `SET GLOBAL gtid_slave_pos`; REPLICATION MASTER ADMIN is
/// seeing which replicas follow; BINLOG ADMIN is `SET sql_log_bin`; SLAVE MONITOR and BINLOG MONITOR are the two
/// `SHOW … STATUS`; PROCESS and CONNECTION ADMIN are listing and ending other users' sessions; RELOAD is `RESET MASTER`
/// and `FLUSH TABLES WITH READ LOCK`; BINLOG REPLAY is applying binary logs to a restored backup. SUPER is not among them: since 10.11 nothing here needs it.
pub const OPERATOR_GRANTS: &str = "READ_ONLY ADMIN, REPLICATION SLAVE ADMIN, REPLICATION MASTER ADMIN, BINLOG ADMIN, BINLOG REPLAY, \
     SLAVE MONITOR, BINLOG MONITOR, PROCESS, CONNECTION ADMIN, RELOAD";

/// Schemas of which `understudy` may do everything: the application's, for write probes and for re-seeding, and one for
/// its own bookkeeping, which is never replicated.
const OPERATOR_SCHEMAS: [&str; 2] = ["wordpress", "understudy_local"];

/// Passwords of the users.
#[derive(Debug, Clone)]
pub struct Passwords {
    /// Of `root`, over the socket only.
    pub root: String,
    /// Of `app`.
    pub app: String,
    /// Of `repl`.
    pub repl: String,
    /// Of `understudy`.
    pub understudy: String,
}

/// Makes them on a server whose `root` has no password yet, and gives it one. None of it reaches the binary log.
pub(super) async fn create(server: &Server) -> Result<()> {
    let Passwords {
        root,
        app,
        repl,
        understudy,
    } = &server.setup.passwords;
    let mut session = server.local("").session().await?;
    let schemas: String = OPERATOR_SCHEMAS
        .iter()
        .map(|schema| format!("GRANT ALL PRIVILEGES ON {schema}.* TO understudy;\n"))
        .collect();
    let statements = format!(
        "SET sql_log_bin=0;
             CREATE USER app IDENTIFIED BY '{app}' REQUIRE SSL;
             GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX ON wordpress.* TO app;
             CREATE USER repl IDENTIFIED BY '{repl}' REQUIRE SSL;
             GRANT REPLICATION SLAVE ON *.* TO repl;
             CREATE USER understudy IDENTIFIED BY '{understudy}' REQUIRE SSL;
             GRANT {OPERATOR_GRANTS} ON *.* TO understudy;
             GRANT SELECT ON mysql.* TO understudy;
             {schemas}
             DELETE FROM mysql.global_priv WHERE User = '' OR User = 'root' AND Host <> 'localhost';
             FLUSH PRIVILEGES;
             ALTER USER root@localhost IDENTIFIED BY '{root}'"
    );
    session
        .query_drop(statements)
        .await
        .with_context(|| format!("cannot create the users of {}", server.setup.name))?;
    Ok(session.disconnect().await?)
}
