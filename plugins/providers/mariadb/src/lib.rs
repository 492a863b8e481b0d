//! MariaDB with GTID replication, one server per site, through the host's `sql` capability (MariaDB 10.5 and later;
//! MySQL's GTIDs are another notation and are not understood).
//!
//! # What it needs on the servers
//! *Settings*: `log_bin`, `log_slave_updates`, `binlog_format=ROW`, `gtid_strict_mode=1`, a `server_id` of its own each,
//! the same `gtid_domain_id`, TLS, and **`read_only=1` in the configuration file of both**: promotion switches it off at
//! run time, so a server that restarts comes back fenced.
//!
//! *The administering user* (`connections`): `SELECT, RELOAD, PROCESS, SUPER, CONNECTION ADMIN, READ_ONLY ADMIN, BINLOG
//! MONITOR, BINLOG ADMIN, REPLICATION SLAVE ADMIN, REPLICATION MASTER ADMIN, SLAVE MONITOR ON *.*`, everything on the
//! application's schemas, and `CREATE, DROP` with everything on `understudy_local.*`. It sees every account's privileges
//! only with `SELECT` on `mysql.*`.
//!
//! *An ordinary client* (`client-connections`): the application's own kind of user, with privileges on its schema and
//! **without** `READ_ONLY ADMIN` (`GRANT ALL ON *.*` includes it). It proves fences and writes probes.
//!
//! *The replication user*: `REPLICATION SLAVE`. Its password never reaches this plugin: the statement names the
//! binding's credential slot and the host puts the password in at egress.
//!
//! # What it needs for backups
//! *Programs* of the binding, for each site (`backups.sites`), all with the same folder of `files`:
//!
//! ```text
//! programs.dump-pz = { program = "/usr/bin/mariadb-dump", leading = [SERVER], secrets = { MYSQL_PWD = … }, files = "backups",
//!   time-limit = "2h", arguments = [["--single-transaction", "--gtid", "--master-data=2", "--hex-blob", "--routines",
//!   "--events", "--triggers", "--databases", "{name}..."]] }
//! programs.client-pz = { program = "/usr/bin/mariadb", leading = [SERVER, "--batch", "--binary-mode",
//!   "--max-allowed-packet=1G"], secrets = { MYSQL_PWD = … }, files = "backups", time-limit = "2h",
//!   arguments = [[], ["--init-command=SET SESSION sql_log_bin=0"]] }
//! programs.logs-pz = { program = "/usr/bin/mariadb-binlog", leading = [SERVER], environment = { TZ = "UTC" },
//!   secrets = { MYSQL_PWD = … }, files = "backups", time-limit = "2h", arguments = [
//!   ["--start-position={list}", "--read-from-remote-server", "--to-last-log", "{name}"],
//!   ["--start-position={list}", "--stop-datetime={time}", "--read-from-remote-server", "--to-last-log", "{name}"]] }
//! programs.kept-logs = { program = "/usr/bin/mariadb-binlog", leading = ["--no-defaults"], environment = { TZ = "UTC" },
//!   directory = "backups", files = "backups", time-limit = "2h", arguments = [["--start-position={list}", "{name}..."],
//!   ["--start-position={list}", "--stop-datetime={time}", "{name}..."]] }
//! ```
//!
//! where SERVER is `"--no-defaults", "--host=…", "--port=…", "--user=…", "--ssl-ca=…", "--ssl-verify-server-cert"`; of the
//! administering user, who also needs `BINLOG REPLAY`, and for `logs` of the replication user.
//!
//! *Logs of a server that is lost* are there only where somebody keeps them (`backups.kept-logs`): beside each server a
//! service runs `mariadb-binlog --read-from-remote-server --raw --stop-never --result-file=FOLDER/pz- FIRST-LOG`. Whoever
//! copies such files keeps their times: the newest says until when the logs tell everything.
//!
//! # What each function does there
//! * `observe-newest-write`: the heartbeat table where one is configured; MariaDB itself keeps no such time.
//! * `observe`: variables, `SHOW ALL SLAVES STATUS`, the session's cipher, and the heartbeat table where one is configured.
//! * `ensure-fenced`: `SET GLOBAL read_only=1`; ends sessions that hold open writes and those of accounts that may
//!   bypass read-only; then attempts, as an ordinary client, a `DELETE` that matches nothing, and wants it refused.
//! * `ensure-promoted`: refuses while another site that answers accepts writes; stops receiving, waits until what was
//!   received is applied, `STOP SLAVE`, `RESET SLAVE ALL`, `read_only=0`.
//! * `ensure-replica-of`: follows on by GTID where the source's history holds the server's position; else copies the
//!   schemas over SQL in bounded chunks, replays what changed meanwhile, verifies checksums (see `reseed`).
//! * `ensure-caught-up`: compares GTID positions, waits in short turns.
//! * `observe-contents`: counts and `CHECKSUM TABLE` in one consistent snapshot; SHA-256 over `SHOW CREATE TABLE`.
//! * `ensure-migrated`: statements of the configuration, progress in `understudy_migrations`.
//! * `ensure-write-probe`: a row in `understudy_probe`, written and read back as an ordinary client.
//! * `observe-restorable`: now, where the server of the newest dump answers with its logs; else the newest time of a kept log,
//!   to the second.
//! * `ensure-backup`, `list-recovery-points`, `ensure-restored`: `mariadb-dump`, `mariadb` and `mariadb-binlog` through the
//!   host's `exec` (see `backup`); `invalid` where the binding names no programs for the site.
//!
//! # Limits
//! * One source per server, the unnamed replication connection. Replication carries whole servers: every schema on them
//!   must be configured before a copy is begun.
//! * A copy covers tables with a primary key. Views, triggers, routines, events, sequences, geometry and tables without
//!   a primary key are refused by name; accounts are not copied. A row of more than about 1.9 MiB does not fit through. `RESET
//!   MASTER` on the copied server ends third replicas of it.
//! * Accounts with READ_ONLY ADMIN stand outside every fence: their sessions are ended, the accounts are not locked. A
//!   server with `event_scheduler=ON` runs events of such accounts.
//! * A restore to an instant leaves out the second that the instant lies in: binary logs have whole seconds. Logs are applied
//!   whole, as replication would: what they do to schemas that are not configured, or to accounts, is done or refused. A kept
//!   log that breaks off in the middle of an event counts as none.
//! * A promotion waits for a `MASTER_DELAY` to pass.
//!
//! Start at `server::look`; what is not alike on MySQL has a module here, the rest is the sdk's `mysql`.

use understudy_sdk::exec::Host as Programs;
use understudy_sdk::host::understudy::types::types::Error;
// What is not MariaDB's alone: sessions, contents, migrations, probes.
use understudy_sdk::mysql as session;
use understudy_sdk::provider::Configured;

mod backup;
mod config;
mod copy;
mod fence;
mod follow;
mod gtid;
mod promote;
mod reseed;
mod server;
mod verify;

understudy_sdk::provider_bindings!("understudy:plugin/provider-database");

use config::Config;
use exports::understudy::{database::database, plugin::provider};
use session::{Host, Sql, contents, heartbeat, migrations, write_probe};

static CONFIG: Configured<Config> = Configured::new();

/// The provider.
struct Mariadb;

impl provider::Guest for Mariadb {
    fn describe() -> provider::Description {
        provider::Description {
            name: "mariadb".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "MariaDB servers with GTID replication, one per site".to_owned(),
            config_schema: config::SCHEMA.to_owned(),
        }
    }

    fn configure(config: String) -> Result<(), String> {
        CONFIG.set(Config::parse(&config)?)
    }
}

impl database::Guest for Mariadb {
    fn observe(site: String, database: String) -> Result<database::Observation, Error> {
        observe(&Host, CONFIG.get()?, &site, &database)
    }

    fn observe_newest_write(site: String, database: String) -> Result<Option<u64>, Error> {
        let config = CONFIG.get()?;
        let (connection, schema) = (config.connection(&site)?, config.schema(&database)?);
        match &config.heartbeat {
            Some(heartbeat) => heartbeat::newest_ms(&Host, connection, schema, heartbeat),
            None => Ok(None),
        }
    }

    fn list_recovery_points(
        site: String,
        database: String,
    ) -> Result<Vec<database::RecoveryPoint>, Error> {
        let program = CONFIG.get()?.client_program(&site)?;
        backup::list(&Programs, program, &database)
    }

    fn observe_restorable(site: String, database: String) -> Result<Option<u64>, Error> {
        backup::restorable_ms(&Host, &Programs, CONFIG.get()?, &site, &database)
    }

    fn observe_contents(site: String, database: String) -> Result<database::Contents, Error> {
        let config = CONFIG.get()?;
        let (connection, schema) = (config.connection(&site)?, config.schema(&database)?);
        let found = contents::observe(&Host, connection, schema)?;
        Ok(database::Contents {
            tables: found.tables,
            rows: found.rows,
            schema_digest: found.schema_digest,
            checksum: found.checksum,
            migration: found.migration,
        })
    }

    fn ensure_fenced(site: String, database: String) -> Result<database::Outcome, Error> {
        fence::ensure_fenced(&Host, CONFIG.get()?, &site, &database)
    }

    fn ensure_promoted(site: String, database: String) -> Result<database::Outcome, Error> {
        promote::ensure_promoted(&Host, CONFIG.get()?, &site, &database)
    }

    fn ensure_replica_of(
        site: String,
        database: String,
        source: String,
    ) -> Result<database::Outcome, Error> {
        follow::ensure_replica_of(&Host, CONFIG.get()?, &site, &database, &source)
    }

    fn ensure_caught_up(
        site: String,
        database: String,
        position: String,
    ) -> Result<database::Outcome, Error> {
        follow::ensure_caught_up(&Host, CONFIG.get()?, &site, &database, &position)
    }

    fn ensure_restored(
        site: String,
        database: String,
        target: database::RecoveryTarget,
        token: String,
    ) -> Result<database::Outcome, Error> {
        let (config, place) = (CONFIG.get()?, (site.as_str(), database.as_str()));
        backup::restore::ensure_restored(&Host, &Programs, config, place, &target, &token)
    }

    fn ensure_migrated(
        site: String,
        database: String,
        version: String,
    ) -> Result<database::Outcome, Error> {
        let config = CONFIG.get()?;
        let (connection, schema) = (config.connection(&site)?, config.schema(&database)?);
        migrations::ensure(&Host, connection, schema, &config.migrations, &version)
    }

    fn ensure_backup(
        site: String,
        database: String,
        name: String,
    ) -> Result<database::Outcome, Error> {
        backup::dump::ensure_backup(&Programs, CONFIG.get()?, &site, &database, &name)
    }

    fn ensure_write_probe(
        site: String,
        database: String,
        token: String,
    ) -> Result<database::Outcome, Error> {
        let config = CONFIG.get()?;
        let (client, admin) = (config.client_connection(&site)?, config.connection(&site)?);
        write_probe::ensure(&Host, client, admin, config.schema(&database)?, &token)
    }
}

/// See `observe`.
fn observe(
    sql: &impl Sql,
    config: &Config,
    site: &str,
    database: &str,
) -> Result<database::Observation, Error> {
    let schema = config.schema(database)?;
    let connection = config.connection(site)?;
    let server = server::look(sql, connection, schema)?;
    let last_applied_at_ms = match &config.heartbeat {
        Some(heartbeat) if server.replica.is_some() && server.has_schema => {
            heartbeat::newest_ms(sql, connection, schema, heartbeat)?
        }
        _ => None,
    };
    let endpoint = match config.endpoint(site) {
        Some(endpoint) => endpoint.to_owned(),
        None => sql.address(config.client_connection(site)?)?,
    };
    let role = match (&server.replica, server.has_schema) {
        (_, false) => database::Role::Absent,
        (Some(_), true) => database::Role::Replica,
        (None, true) => database::Role::Primary,
    };
    Ok(database::Observation {
        role,
        read_only: server.read_only,
        endpoint,
        tls: server.tls,
        position: server.position.to_string(),
        replication: server.replica.filter(|_| server.has_schema).map(|replica| {
            database::Replication {
                running: replica.is_running(),
                lag_ms: replica
                    .seconds_behind
                    .map(|seconds| seconds.saturating_mul(1000)),
                last_applied_at_ms,
                received: replica.received.to_string(),
                problem: replica.problem(),
                source: replica.source,
            }
        }),
    })
}

export!(Mariadb);
