//! Who may do what on a server. Made on the first one; copies have them too.
//!
//! | user | may | why |
//! |---|---|---|
//! | `postgres` | everything, over the socket | the lab's own |
//! | `app` | owns the database `wordpress` | an ordinary client |
//! | `repl` | REPLICATION, and read the files of a source | what the other server replicates, rewinds and copies as |
//! | `understudy` | see [`OPERATOR`] | what a recovery needs, without being superuser |

use anyhow::{Context as _, Result};

use super::{DATABASE, Server};

/// What a source is rewound from, in the database `postgres`.
const SOURCE_FUNCTIONS: &str = "pg_ls_dir(text, boolean, boolean), pg_stat_file(text, boolean), pg_read_binary_file(text), \
     pg_read_binary_file(text, bigint, bigint, boolean)";

/// What `understudy` is granted: roles, functions in the application's database, and one setting.
///
/// `pg_monitor` sees replication and settings; `pg_read_all_data` counts and sums; `pg_checkpoint` makes a promotion known to
/// `pg_rewind`; `pg_read_file` reads the history of timelines.
pub const OPERATOR: [&str; 3] = [
    "GRANT pg_monitor, pg_read_all_data, pg_checkpoint TO understudy",
    "GRANT EXECUTE ON FUNCTION pg_promote(boolean, integer), pg_wal_replay_resume(), \
     pg_read_file(text, bigint, bigint, boolean) TO understudy",
    "GRANT ALTER SYSTEM ON PARAMETER primary_conninfo, restore_command, recovery_target, recovery_target_time \
     TO understudy",
];

/// Passwords of the users.
#[derive(Debug, Clone)]
pub struct Passwords {
    /// Of `postgres`, over the socket only.
    pub superuser: String,
    /// Of `app`.
    pub app: String,
    /// Of `repl`.
    pub repl: String,
    /// Of `understudy`.
    pub understudy: String,
}

/// Makes them, and the database.
pub(super) async fn create(server: &Server) -> Result<()> {
    let Passwords {
        app,
        repl,
        understudy,
        ..
    } = server.passwords();
    let roles = [
        format!("CREATE ROLE app LOGIN PASSWORD '{app}'"),
        format!("CREATE ROLE repl LOGIN REPLICATION PASSWORD '{repl}'"),
        format!("CREATE ROLE understudy LOGIN PASSWORD '{understudy}'"),
        format!("GRANT EXECUTE ON FUNCTION {SOURCE_FUNCTIONS} TO repl"),
        // One by one: a database is not made in a transaction.
        format!("CREATE DATABASE {DATABASE} OWNER app"),
    ];
    for statement in &roles {
        let made = server.query("postgres", statement).await;
        // Not the statement: it holds a password.
        drop(
            made.map_err(|error| error.root_cause().to_string())
                .map_err(anyhow::Error::msg)
                .with_context(|| format!("cannot create the users of {}", server.setup.name))?,
        );
    }
    server.execute(&OPERATOR.join("; ")).await
}
