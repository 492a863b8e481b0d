//! Databases in DigitalOcean's Managed MySQL (Standard Edition), through API v2, and through the host's `sql` where
//! connections are bound.
//!
//! # The model
//! Each site has at most one thing of the configured name: a cluster, or a read-only replica of another site's cluster.
//! A promoted replica becomes a cluster of the same name and address. The way back replaces the old cluster by a
//! replica.
//!
//! # What it needs there
//! An API token in the binding's credential slot (`api` unless configured otherwise) as `bearer`, with the scopes
//! `database:read`, `create`, `update` and (for the way back) `delete`, and **without** `database:view_credentials`:
//! with it every answer would hold the cluster's passwords. Scopes are not per cluster, so hold the grants for `http`
//! to `/v2/databases`, and `DELETE` out of them where nothing is to be destroyed.
//!
//! For `sql`: an administering user with PROCESS, CONNECTION_ADMIN, SYSTEM_VARIABLES_ADMIN and REPLICATION CLIENT, which
//! suffice without SUPER (tried with MySQL 9.7), and everything on the application's schema; and an ordinary client's. The
//! cluster's CA certificate belongs into the binding's `trust`.
//!
//! # What each function does there
//! * `observe`: name, role, status and trusted sources from the API; lag, position and `read_only` from SQL where
//!   bound.
//! * `ensure-fenced`: `super_read_only` over SQL, sessions with open writes ended, a write attempted as an ordinary
//!   client; and the trusted sources replaced by `fence-sources`. See `fence` for what holds without SQL: it is not
//!   called fenced.
//! * `ensure-promoted`: refuses while another site is known to accept writes; a replica is promoted once (`PUT
//!   promote`), then waited for; then the trusted sources of the configuration, and `read_only` off.
//! * `ensure-replica-of`: makes a replica in the site's region, and waits until it is online. What is in the way is
//!   destroyed only where it is fenced and `may-destroy` is set.
//! * `list-recovery-points`, `ensure-restored`: the daily backups, and any instant since the oldest of them. A restore
//!   is a new cluster, fenced from its beginning, with the token as a tag. Backups of a cluster behind a fence are listed
//!   only while no other one lets clients in: the vendor goes on taking them of data that does not change any more.
//! * `observe-restorable`: none. The API does not tell how far the logs reach; `latest` takes all of them.
//! * `ensure-backup`: `invalid`. The vendor takes backups daily by itself, and none on request; a recovery then relies on
//!   the first one that it takes of the new primary.
//! * `observe-newest-write`, `observe-contents`, `ensure-caught-up`, `ensure-migrated`, `ensure-write-probe`: SQL only.
//!
//! # Limits
//! * One page of clusters: the API lists all of them at once.
//! * Between `PUT promote` and the vendor showing it, a repeated call promotes again; the vendor takes that for the
//!   same.
//! * Writes that the old primary acknowledged and did not replicate are lost by a promotion; read the lag before.
//!
//! Start at `cluster::Cloud::look`; each group of functions has a module of its own.

use understudy_sdk::host::understudy::types::types::Error;
use understudy_sdk::mysql::{Host as SqlHost, contents, heartbeat, migrations, write_probe};
use understudy_sdk::provider::Configured;

mod api;
mod cluster;
mod config;
mod fence;
mod observe;
mod replicate;
mod restore;
mod server;

understudy_sdk::provider_bindings!("understudy:plugin/provider-database");

use api::Api;
use cluster::Cloud;
use config::Config;
use exports::understudy::{database::database, plugin::provider};

static CONFIG: Configured<Config> = Configured::new();

/// The provider.
struct Digitalocean;

/// The account through the host.
fn cloud() -> Result<Cloud<'static>, Error> {
    let config = CONFIG.get()?;
    Ok(Cloud {
        api: Api::new(&api::Host, config),
        config,
    })
}

impl provider::Guest for Digitalocean {
    fn describe() -> provider::Description {
        provider::Description {
            name: "digitalocean".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "Managed MySQL clusters and replicas at DigitalOcean".to_owned(),
            config_schema: config::SCHEMA.to_owned(),
        }
    }

    fn configure(config: String) -> Result<(), String> {
        CONFIG.set(Config::parse(&config)?)
    }
}

impl database::Guest for Digitalocean {
    fn observe(site: String, database: String) -> Result<database::Observation, Error> {
        observe::observe(&cloud()?, &SqlHost, &site, &database)
    }

    fn observe_newest_write(site: String, database: String) -> Result<Option<u64>, Error> {
        let config = CONFIG.get()?;
        let schema = config.schema(&database)?;
        match (&config.heartbeat, config.connection(&site)) {
            (Some(heartbeat), Some(connection)) => {
                heartbeat::newest_ms(&SqlHost, connection, schema, heartbeat)
            }
            _ => Ok(None),
        }
    }

    fn observe_restorable(_: String, _: String) -> Result<Option<u64>, Error> {
        Ok(None)
    }

    fn list_recovery_points(
        site: String,
        _: String,
    ) -> Result<Vec<database::RecoveryPoint>, Error> {
        let points = restore::list(&cloud()?, &site)?;
        Ok(points
            .into_iter()
            .map(|point| database::RecoveryPoint {
                id: point.id,
                taken_at_ms: point.taken_at,
                // The vendor lists a backup when it is done.
                complete: true,
                size_bytes: point.size_bytes,
            })
            .collect())
    }

    fn observe_contents(site: String, database: String) -> Result<database::Contents, Error> {
        let config = CONFIG.get()?;
        let connection = config.needed_connection(&site, "counting what a database holds")?;
        let found = contents::observe(&SqlHost, connection, config.schema(&database)?)?;
        Ok(database::Contents {
            tables: found.tables,
            rows: found.rows,
            schema_digest: found.schema_digest,
            checksum: found.checksum,
            migration: found.migration,
        })
    }

    fn ensure_fenced(site: String, database: String) -> Result<database::Outcome, Error> {
        fence::ensure_fenced(&cloud()?, &SqlHost, &site, &database)
    }

    fn ensure_promoted(site: String, database: String) -> Result<database::Outcome, Error> {
        replicate::ensure_promoted(&cloud()?, &SqlHost, &site, &database)
    }

    fn ensure_replica_of(
        site: String,
        _: String,
        source: String,
    ) -> Result<database::Outcome, Error> {
        replicate::ensure_replica_of(&cloud()?, &site, &source)
    }

    fn ensure_caught_up(
        site: String,
        database: String,
        position: String,
    ) -> Result<database::Outcome, Error> {
        let config = CONFIG.get()?;
        let connection = config.needed_connection(&site, "comparing positions")?;
        let schema = config.schema(&database)?;
        server::ensure_caught_up(&SqlHost, connection, schema, &site, &position)
    }

    fn ensure_restored(
        site: String,
        _: String,
        target: database::RecoveryTarget,
        token: String,
    ) -> Result<database::Outcome, Error> {
        let target = match target {
            database::RecoveryTarget::Latest => restore::Target::Latest,
            database::RecoveryTarget::Point(point) => restore::Target::Point(point),
            database::RecoveryTarget::InstantMs(instant) => restore::Target::Instant(instant),
        };
        restore::ensure_restored(&cloud()?, &site, &target, &token)
    }

    fn ensure_migrated(
        site: String,
        database: String,
        version: String,
    ) -> Result<database::Outcome, Error> {
        let config = CONFIG.get()?;
        let connection = config.needed_connection(&site, "applying migrations")?;
        let schema = config.schema(&database)?;
        migrations::ensure(&SqlHost, connection, schema, &config.migrations, &version)
    }

    fn ensure_backup(_: String, _: String, _: String) -> Result<database::Outcome, Error> {
        Err(Error::Invalid(
            "DigitalOcean takes backups daily by itself and none on request; `list-recovery-points` shows them".to_owned(),
        ))
    }

    fn ensure_write_probe(
        site: String,
        database: String,
        token: String,
    ) -> Result<database::Outcome, Error> {
        let config = CONFIG.get()?;
        let admin = config.needed_connection(&site, "writing a probe")?;
        let client = config.client_connection(&site).unwrap_or(admin);
        write_probe::ensure(&SqlHost, client, admin, config.schema(&database)?, &token)
    }
}

export!(Digitalocean);
