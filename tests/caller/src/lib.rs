//! A strategy that makes the calls of its configuration one after another, so that a test reaches a provider through
//! the whole host: `{"calls": [{"call": "get-record", "name": "wp.example.test", "kind": "A"}]}`.
//!
//! Its one step `call` says what each answered, as a JSON list: `{"ok": …}` or `{"err": {"conflict": "…"}}`, records
//! with the names that Rust gives their fields, errors with those of the contracts. An error ends nothing.

use std::collections::BTreeSet;

use exports::understudy::plugin::strategy::{
    Act, Context, Description, Error, Finding, Guest, Reversal, Step,
};
use serde::Deserialize;
use serde_json::{Value, json};
use understudy::certificates::certificates;
use understudy::database::database;
use understudy::dns::dns;
use understudy::edge_cache::edge_cache;
use understudy::infrastructure::infrastructure;
use understudy::kubernetes::kubernetes;
use understudy::metrics::metrics;
use understudy::storage::storage;
use understudy::types::types::Outcome;

wit_bindgen::generate!({
    path: ["../../wit/types", "../../wit/control", "../../wit/database", "../../wit/dns",
            "../../wit/kubernetes", "../../wit/workload", "../../wit/certificates",
            "../../wit/ingress", "../../wit/infrastructure", "../../wit/storage", "../../wit/edge-cache", "../../wit/probe", "../../wit/metrics",
            "../../wit/notify", "../../wit/http", "../../wit/sql", "../../wit/tls", "../../wit/exec", "../../wit/dns-update", "../../wit/acme",
            "../../wit/plugin"],
    world: "understudy:plugin/strategy-plugin",
    generate_all,
    additional_derives: [serde::Serialize],
});

/// What to do.
#[derive(Deserialize)]
struct Config {
    calls: Vec<Call>,
}

/// What is observed.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Thing {
    Database(String),
    Bucket(String),
    Host(String),
}

/// An object of a cluster.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Object {
    api_version: String,
    kind: String,
    namespace: String,
    name: String,
}

/// A function of a contract with its arguments.
#[derive(Deserialize)]
#[serde(
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case",
    tag = "call"
)]
enum Call {
    GetRecord {
        name: String,
        kind: String,
    },
    GetZoneLimits {
        name: String,
    },
    EnsureRecord {
        name: String,
        kind: String,
        expected: Option<Vec<String>>,
        values: Vec<String>,
        ttl_seconds: u32,
    },
    Observe {
        /// Empty for what is at no site.
        #[serde(default)]
        site: String,
        #[serde(flatten)]
        thing: Thing,
    },
    ObserveNewestWrite {
        site: String,
        database: String,
    },
    ObserveRestorable {
        site: String,
        database: String,
    },
    ListRecoveryPoints {
        site: String,
        database: String,
    },
    ObserveContents {
        site: String,
        database: String,
    },
    EnsureFenced {
        site: String,
        database: String,
    },
    EnsurePromoted {
        site: String,
        database: String,
    },
    EnsureReplicaOf {
        site: String,
        database: String,
        source: String,
    },
    EnsureCaughtUp {
        site: String,
        database: String,
        position: String,
    },
    EnsureRestored {
        site: String,
        database: String,
        target: Target,
        token: String,
    },
    EnsureBackup {
        site: String,
        database: String,
        name: String,
    },
    EnsureMigrated {
        site: String,
        database: String,
        version: String,
    },
    EnsureWriteProbe {
        site: String,
        database: String,
        token: String,
    },
    EnsureSynced {
        site: String,
        bucket: String,
    },
    EnsurePurged {
        hosts: Vec<String>,
        token: String,
    },
    EnsureCertificate {
        site: String,
        name: String,
        dns_names: Vec<String>,
        issuer: String,
        min_valid_ms: u64,
    },
    ObserveServed {
        site: String,
        server_name: String,
    },
    ObserveObjective {
        site: String,
        objective: String,
    },
    ObserveOutage {
        site: String,
        objective: String,
    },
    ObserveMonitoring {
        site: String,
    },
    EnsureHeld {
        site: String,
        objectives: Vec<String>,
        window: u64,
        since: u64,
    },
    ObserveDifference {
        site: String,
        stack: String,
    },
    GetOutputs {
        site: String,
        stack: String,
    },
    ObserveLock {
        site: String,
        stack: String,
    },
    EnsureApplied {
        site: String,
        stack: String,
    },
    EnsureDestroyed {
        site: String,
        stack: String,
    },
    ListObjects {
        site: String,
        api_version: String,
        kind: String,
        namespace: String,
    },
    EnsureDeleted {
        site: String,
        object: Object,
    },
}

/// As `recovery-target` of the contract.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Target {
    Latest,
    Point(String),
    InstantMs(u64),
}

struct Caller;

impl Guest for Caller {
    fn describe() -> Description {
        Description {
            name: "caller".into(),
            version: "0.1.0".into(),
            summary: "Makes the calls of its configuration".into(),
            config_schema: r#"{"type":"object","required":["calls"]}"#.into(),
        }
    }

    fn validate_config(config: String) -> Result<(), Vec<String>> {
        read(&config).map(drop).map_err(|problem| vec![problem])
    }

    fn plan(context: Context) -> Result<Vec<Step>, Error> {
        let config = read(&context.config).map_err(Error::Invalid)?;
        let contracts: BTreeSet<&str> = config.calls.iter().map(Call::contract).collect();
        Ok(vec![Step {
            id: "call".into(),
            title: "Make the calls".into(),
            role: "incident-commander".into(),
            budget_ms: 600_000,
            needs: Vec::new(),
            reversal: Reversal::Nothing,
            acts: vec![Act {
                verb: "check".into(),
                site: String::new(),
            }],
            covers: Vec::new(),
            uses: contracts.into_iter().map(str::to_owned).collect(),
        }])
    }

    fn run_step(context: Context, _: String) -> Result<String, Error> {
        let config = read(&context.config).map_err(Error::Invalid)?;
        let answers: Vec<Value> = config.calls.iter().map(make).collect();
        Ok(Value::from(answers).to_string())
    }

    fn undo_step(_: Context, _: String) -> Result<String, Error> {
        Ok(String::new())
    }

    fn assess(_: Context) -> Result<Vec<Finding>, Error> {
        Ok(Vec::new())
    }
}

impl From<&Object> for kubernetes::ObjectRef {
    fn from(object: &Object) -> Self {
        Self {
            api_version: object.api_version.clone(),
            kind: object.kind.clone(),
            namespace: object.namespace.clone(),
            name: object.name.clone(),
        }
    }
}

fn read(config: &str) -> Result<Config, String> {
    serde_json::from_str(config).map_err(|error| error.to_string())
}

impl Call {
    /// The contract that has the function.
    fn contract(&self) -> &'static str {
        match self {
            Self::GetRecord { .. } | Self::GetZoneLimits { .. } | Self::EnsureRecord { .. } => {
                "dns"
            }
            Self::EnsureCertificate { .. } | Self::ObserveServed { .. } => "certificates",
            Self::ObserveObjective { .. }
            | Self::ObserveOutage { .. }
            | Self::ObserveMonitoring { .. }
            | Self::EnsureHeld { .. } => "metrics",
            Self::ObserveDifference { .. }
            | Self::GetOutputs { .. }
            | Self::ObserveLock { .. }
            | Self::EnsureApplied { .. }
            | Self::EnsureDestroyed { .. } => "infrastructure",
            Self::ListObjects { .. } | Self::EnsureDeleted { .. } => "kubernetes",
            Self::EnsureSynced { .. }
            | Self::Observe {
                thing: Thing::Bucket(_),
                ..
            } => "storage",
            Self::EnsurePurged { .. }
            | Self::Observe {
                thing: Thing::Host(_),
                ..
            } => "edge-cache",
            _ => "database",
        }
    }
}

fn make(call: &Call) -> Value {
    match call {
        Call::GetRecord { name, kind } => answer(dns::get_record(name, kind)),
        Call::GetZoneLimits { name } => answer(dns::get_zone_limits(name)),
        Call::EnsureRecord {
            name,
            kind,
            expected,
            values,
            ttl_seconds,
        } => outcome(dns::ensure_record(
            name,
            kind,
            expected.as_deref(),
            values,
            *ttl_seconds,
        )),
        Call::Observe {
            site,
            thing: Thing::Database(database),
        } => answer(database::observe(site, database)),
        Call::Observe {
            site,
            thing: Thing::Bucket(bucket),
        } => answer(storage::observe(site, bucket)),
        Call::EnsureSynced { site, bucket } => outcome(storage::ensure_synced(site, bucket)),
        Call::Observe {
            thing: Thing::Host(host),
            ..
        } => answer(edge_cache::observe(host)),
        Call::EnsurePurged { hosts, token } => outcome(edge_cache::ensure_purged(hosts, token)),
        Call::ObserveNewestWrite { site, database } => {
            answer(database::observe_newest_write(site, database))
        }
        Call::ObserveRestorable { site, database } => {
            answer(database::observe_restorable(site, database))
        }
        Call::ListRecoveryPoints { site, database } => {
            answer(database::list_recovery_points(site, database))
        }
        Call::ObserveContents { site, database } => {
            answer(database::observe_contents(site, database))
        }
        Call::EnsureFenced { site, database } => outcome(database::ensure_fenced(site, database)),
        Call::EnsurePromoted { site, database } => {
            outcome(database::ensure_promoted(site, database))
        }
        Call::EnsureReplicaOf {
            site,
            database,
            source,
        } => outcome(database::ensure_replica_of(site, database, source)),
        Call::EnsureCaughtUp {
            site,
            database,
            position,
        } => outcome(database::ensure_caught_up(site, database, position)),
        Call::EnsureRestored {
            site,
            database,
            target,
            token,
        } => {
            let target = match target {
                Target::Latest => database::RecoveryTarget::Latest,
                Target::Point(point) => database::RecoveryTarget::Point(point.clone()),
                Target::InstantMs(instant) => database::RecoveryTarget::InstantMs(*instant),
            };
            outcome(database::ensure_restored(site, database, &target, token))
        }
        Call::EnsureBackup {
            site,
            database,
            name,
        } => outcome(database::ensure_backup(site, database, name)),
        Call::EnsureMigrated {
            site,
            database,
            version,
        } => outcome(database::ensure_migrated(site, database, version)),
        Call::EnsureWriteProbe {
            site,
            database,
            token,
        } => outcome(database::ensure_write_probe(site, database, token)),
        Call::EnsureCertificate {
            site,
            name,
            dns_names,
            issuer,
            min_valid_ms,
        } => outcome(certificates::ensure_certificate(
            site,
            name,
            dns_names,
            issuer,
            *min_valid_ms,
        )),
        Call::ObserveServed { site, server_name } => {
            answer(certificates::observe_served(site, server_name))
        }
        Call::ObserveObjective { site, objective } => {
            answer(metrics::observe_objective(site, objective))
        }
        Call::ObserveOutage { site, objective } => answer(metrics::observe_outage(site, objective)),
        Call::ObserveMonitoring { site } => answer(metrics::observe_monitoring(site)),
        Call::EnsureHeld {
            site,
            objectives,
            window,
            since,
        } => outcome(metrics::ensure_held(site, objectives, *window, *since)),
        Call::ObserveDifference { site, stack } => {
            answer(infrastructure::observe_difference(site, stack))
        }
        Call::GetOutputs { site, stack } => answer(infrastructure::get_outputs(site, stack)),
        Call::ObserveLock { site, stack } => answer(infrastructure::observe_lock(site, stack)),
        Call::EnsureApplied { site, stack } => outcome(infrastructure::ensure_applied(site, stack)),
        Call::EnsureDestroyed { site, stack } => {
            outcome(infrastructure::ensure_destroyed(site, stack))
        }
        Call::ListObjects {
            site,
            api_version,
            kind,
            namespace,
        } => answer(kubernetes::list_objects(
            site,
            api_version,
            kind,
            namespace,
            "",
        )),
        Call::EnsureDeleted { site, object } => {
            outcome(kubernetes::ensure_deleted(site, &object.into()))
        }
    }
}

fn answer(result: Result<impl serde::Serialize, Error>) -> Value {
    match result {
        Ok(value) => json!({ "ok": value }),
        Err(error) => json!({ "err": told(error) }),
    }
}

fn outcome(result: Result<Outcome, Error>) -> Value {
    answer(result.map(|outcome| match outcome {
        Outcome::Unchanged => "unchanged",
        Outcome::Changed => "changed",
        Outcome::InProgress(_) => "in-progress",
    }))
}

fn told(error: Error) -> Value {
    match error {
        Error::Denied(denial) => json!({ "denied": denial.grant }),
        Error::TimedOut(text) => json!({ "timed-out": text }),
        Error::Unavailable(hint) => {
            json!({ "unavailable": hint.reason, "after-ms": hint.after_ms })
        }
        Error::NotFound(text) => json!({ "not-found": text }),
        Error::Conflict(text) => json!({ "conflict": text }),
        Error::Invalid(text) => json!({ "invalid": text }),
        Error::InDoubt(text) => json!({ "in-doubt": text }),
        Error::Other(text) => json!({ "other": text }),
    }
}

export!(Caller);
