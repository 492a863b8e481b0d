//! PostgreSQL with streaming replication, one self-managed server per site, through the host's `sql` and `exec`
//! capabilities (PostgreSQL 14 and later).
//!
//! # What it needs on the servers
//! *Settings*: `hot_standby=on`, data checksums or `wal_log_hints=on` (for `pg_rewind`), `wal_keep_size` for as long as a
//! replica may be away, `recovery_target_timeline=latest` (the default), TLS. `track_commit_timestamp=on` dates the newest
//! write. The settings of each server belong outside its data directory, or are the same on all: copies carry them over.
//!
//! *The administering user* (`connections`, to the application's database): `pg_monitor`, `pg_read_all_data`,
//! `pg_checkpoint`, and
//!
//! ```text
//! GRANT EXECUTE ON FUNCTION pg_promote(boolean, integer), pg_wal_replay_resume(),
//!   pg_read_file(text, bigint, bigint, boolean) TO understudy;
//! GRANT ALTER SYSTEM ON PARAMETER primary_conninfo, restore_command, recovery_target, recovery_target_time
//!   TO understudy;
//! ```
//!
//! the functions in the application's database (before PostgreSQL 15, a superuser). *An ordinary client*
//! (`client-connections`): the application's own user, no superuser. It proves fences, writes probes and applies migrations
//! in its own schema, where it may create tables.
//!
//! *The replication user*: `LOGIN REPLICATION`, and in the database `postgres` what `pg_rewind` reads a source by:
//! `EXECUTE` on `pg_ls_dir(text, boolean, boolean)`, `pg_stat_file(text, boolean)`, `pg_read_binary_file(text)` and
//! `pg_read_binary_file(text, bigint, bigint, boolean)`. Its password never reaches this plugin: it is a secret of the
//! programs below, or in a file on the servers (`PGPASSFILE`). With a secret PostgreSQL's own `--write-recovery-conf` writes it
//! to `postgresql.auto.conf` of the copy, which only the server's user can read; this plugin reads host and port of it alone.
//!
//! # Programs
//! A server becomes a standby by being restarted, and a copy by programs on its machine. The operator names them whole, this
//! plugin adds nothing (`servers` of the configuration); on another machine each begins with, say, `/usr/bin/ssh -T db.pz`:
//!
//! ```text
//! programs.stop-pz = { program = "/usr/lib/postgresql/15/bin/pg_ctl", leading = ["stop", "-D", DATA, "-m", "fast", "-w"], arguments = [[]] }
//! programs.restart-pz = { …, leading = ["restart", "-D", DATA, "-m", "fast", "-w"], arguments = [[]] }
//! programs.standby-pz = { program = "/usr/bin/touch", leading = ["DATA/standby.signal"], arguments = [[]] }
//! programs.clear-pz = { program = "/usr/bin/find", leading = [DATA, "-mindepth", "1", "-delete"], arguments = [[]] }
//! programs.rewind-pz = { …, leading = ["--target-pgdata=DATA", "--source-server=SOURCE dbname=postgres", "--write-recovery-conf"],
//!   arguments = [[]], secrets = { PGPASSWORD = … }, files = "postgres", time-limit = "2h" }
//! programs.seed-pz = { …/pg_basebackup, leading = ["--pgdata=DATA", "--dbname=SOURCE", "--write-recovery-conf",
//!   "--wal-method=stream", "--checkpoint=fast", "--no-password"], arguments = [[]], secrets = { PGPASSWORD = … }, time-limit = "2h" }
//! programs.backup-pz = { …/pg_basebackup, leading = ["--pgdata=-", "--format=tar", "--wal-method=fetch", "--checkpoint=fast",
//!   "--no-password", "--dbname=OWN"], arguments = [[]], secrets = { PGPASSWORD = … }, files = "postgres", time-limit = "2h" }
//! programs.unpack-pz = { program = "/usr/bin/tar", leading = ["-x", "-C", DATA], arguments = [[]], files = "postgres", time-limit = "2h" }
//! programs.detach-pz = { program = "/usr/bin/sed", leading = ["-i", "/^primary_conninfo/d; /^restore_command/d; /^recovery_target/d",
//!   "DATA/postgresql.auto.conf"], arguments = [[]] }
//! ```
//!
//! and where the log is archived, with its times kept (`archive_command = 'cp -p …'`), two more, of which the second tells a
//! restored server of the archive. No server has a `restore_command` in its settings otherwise: as a standby, one that is
//! fenced after another was promoted would take the other's log for its own, and not start.
//!
//! ```text
//! programs.archived-bz = { program = "/usr/bin/find", leading = [ARCHIVE, "-maxdepth", "1", "-type", "f", "-printf", "%T@ %f\\n"],
//!   arguments = [[]] }
//! programs.target-pz = { program = "/usr/bin/sed", leading = ["-i", "--expression=$a restore_command = 'cp ARCHIVE/%f %p'",
//!   "DATA/postgresql.auto.conf"], arguments = [[], ["--expression=$a recovery_target = 'immediate'"],
//!   ["--expression=$a recovery_target_time = '{time} UTC'"]] }
//! ```
//!
//! where OWN is this server, and SOURCE the other site's: `host=… port=… user=… sslmode=verify-full sslrootcert=…`. A service
//! manager (`systemctl stop`, `systemctl restart`) does as well as `pg_ctl`.
//!
//! # What each function does there
//! * `observe`: recovery, place and timeline in the log, the receiver, `primary_conninfo`'s host and port. A server that
//!   recovers from nobody is a fenced primary.
//! * `observe-newest-write`: the heartbeat table where one is configured, else the time of the newest commit.
//! * `ensure-fenced`: makes it a standby of nobody (see `fence`, which says why nothing less is a fence); then attempts, as an
//!   ordinary client, to create a table, and wants it refused.
//! * `ensure-promoted`: refuses while another site that answers accepts writes; `pg_promote`, and waits.
//! * `ensure-replica-of`: leaves alone what follows; else `pg_rewind`, or where that cannot do it `pg_basebackup`
//!   (see `reseed`).
//! * `ensure-caught-up`: compares places in the log along the timelines' history, in short turns. A position is
//!   `LSN@TIMELINE`.
//! * `observe-contents`: counts and sums of all rows in one snapshot; SHA-256 over definitions from the catalog.
//! * `ensure-migrated`: statements of the configuration, progress in `understudy_migrations`.
//! * `ensure-write-probe`: a row in `understudy_probe`, written and read back as an ordinary client.
//! * `ensure-backup`, `list-recovery-points`, `ensure-restored`: whole copies by `pg_basebackup` (see `backup`), and what was
//!   archived of the log since, to an instant or to its end; `invalid` where the binding names no programs for the site, and
//!   for an instant where it names no archive.
//! * `observe-restorable`: when the newest archived segment was last written; none without an archive.
//!
//! # Limits
//! * A primary that dies and is started again by its machine comes back as a writer: PostgreSQL has no setting against it.
//!   Let no service manager restart it by itself; `ensure-fenced` fences it also while it does not answer.
//! * One database per binding: the one that its connections select. Replication, fences and promotions are the whole
//!   server's, with every other database on it.
//! * No replication slots, no logical replication; a cluster that a manager (Patroni, repmgr) looks after is the manager's.
//! * Without `archive` a restore puts back a backup as it is.
//! * An archive with a gap is waited for at the gap until the host gives the call up.
//! * Tablespaces outside the data directory are not copied by the programs above.
//! * Two servers that were promoted without knowing of each other may count their timelines alike; that is seen, and the one
//!   is copied anew. So is one that was promoted and is given up for another that was not.
//!
//! Start at `server::look`.

use understudy_sdk::exec::Host as Programs;
use understudy_sdk::host::understudy::types::types::Error;
use understudy_sdk::provider::Configured;
use understudy_sdk::sql::{Host, Sql};

mod archive;
mod backup;
mod config;
mod contents;
mod dialect;
mod fence;
mod follow;
mod migrations;
mod newest;
mod programs;
mod promote;
mod reseed;
mod server;
mod wal;
mod write_probe;

understudy_sdk::provider_bindings!("understudy:plugin/provider-database");

use config::Config;
use exports::understudy::{database::database, plugin::provider};

static CONFIG: Configured<Config> = Configured::new();

/// The provider.
struct Postgres;

impl provider::Guest for Postgres {
    fn describe() -> provider::Description {
        provider::Description {
            name: "postgres".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "PostgreSQL servers with streaming replication, one per site".to_owned(),
            config_schema: config::SCHEMA.to_owned(),
        }
    }

    fn configure(config: String) -> Result<(), String> {
        CONFIG.set(Config::parse(&config)?)
    }
}

impl database::Guest for Postgres {
    fn observe(site: String, database: String) -> Result<database::Observation, Error> {
        observe(&Host, CONFIG.get()?, &site, &database)
    }

    fn observe_newest_write(site: String, database: String) -> Result<Option<u64>, Error> {
        let config = CONFIG.get()?;
        let connection = config.connection(&site)?;
        let server = server::look(&Host, connection, config.database(&database), &database)?;
        let heartbeat = config.heartbeat.as_ref();
        newest::newest_ms(&Host, connection, heartbeat, server.in_recovery)
    }

    fn list_recovery_points(
        site: String,
        database: String,
    ) -> Result<Vec<database::RecoveryPoint>, Error> {
        backup::list(&Programs, CONFIG.get()?, &site, &database)
    }

    fn observe_restorable(site: String, _: String) -> Result<Option<u64>, Error> {
        let own = CONFIG.get()?.backups(&site).ok();
        let Some(archive) = own.and_then(|own| own.archive.as_ref()) else {
            return Ok(None);
        };
        let newest = archive::look(&Programs, archive)?;
        Ok(newest.map(|newest| newest.written_at_ms))
    }

    fn observe_contents(site: String, database: String) -> Result<database::Contents, Error> {
        let config = CONFIG.get()?;
        let connection = config.connection(&site)?;
        server::look(&Host, connection, config.database(&database), &database)?;
        contents::observe(&Host, connection)
    }

    fn ensure_fenced(site: String, database: String) -> Result<database::Outcome, Error> {
        fence::ensure_fenced(&Host, &Programs, CONFIG.get()?, &site, &database)
    }

    fn ensure_promoted(site: String, database: String) -> Result<database::Outcome, Error> {
        promote::ensure_promoted(&Host, CONFIG.get()?, &site, &database)
    }

    fn ensure_replica_of(
        site: String,
        database: String,
        source: String,
    ) -> Result<database::Outcome, Error> {
        let (config, place) = (CONFIG.get()?, (site.as_str(), database.as_str()));
        follow::ensure_replica_of(&Host, &Programs, config, place, &source)
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
        let name = config.database(&database);
        server::look(&Host, config.connection(&site)?, name, &database)?;
        let client = config.client_connection(&site)?;
        migrations::ensure(&Host, client, &config.migrations, &version)
    }

    fn ensure_backup(
        site: String,
        database: String,
        name: String,
    ) -> Result<database::Outcome, Error> {
        backup::ensure_backup(&Programs, CONFIG.get()?, &site, &database, &name)
    }

    fn ensure_write_probe(
        site: String,
        database: String,
        token: String,
    ) -> Result<database::Outcome, Error> {
        let config = CONFIG.get()?;
        let name = config.database(&database);
        server::look(&Host, config.connection(&site)?, name, &database)?;
        write_probe::ensure(&Host, config.client_connection(&site)?, &token)
    }
}

/// See `observe`.
fn observe(
    sql: &impl Sql,
    config: &Config,
    site: &str,
    database: &str,
) -> Result<database::Observation, Error> {
    let connection = config.connection(site)?;
    let server = server::look(sql, connection, config.database(database), database)?;
    let endpoint = match config.endpoint(site) {
        Some(endpoint) => endpoint.to_owned(),
        None => sql.address(config.client_connection(site)?)?,
    };
    let replication = server.is_replica().then(|| database::Replication {
        source: match &server.receiver {
            Some(receiver) => receiver.source.clone(),
            None => server.source.clone().unwrap_or_default(),
        },
        running: server.is_running(),
        lag_ms: server.lag_ms(),
        last_applied_at_ms: server.applied_at_ms,
        received: server.received().to_string(),
        problem: server.problem(),
    });
    Ok(database::Observation {
        role: match server.is_replica() {
            true => database::Role::Replica,
            false => database::Role::Primary,
        },
        read_only: server.is_read_only(),
        endpoint,
        tls: server.tls,
        position: server.position.to_string(),
        replication,
    })
}

export!(Postgres);
