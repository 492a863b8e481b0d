//! What a host has to be told to run the `wordpress` runbook against a lab: an overlay with addresses, connections,
//! the names of environment variables that hold the secrets, and short times. No secret is in it.
//!
//! Not here: what the runbook means. Where its format or its strategies' parameters change, this text changes with them,
//! and the host says so.

use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};

use crate::backups;
use crate::board::Board;
use crate::lab::Lab;
use crate::pair::Pair;
use crate::powerdns::{Authoritative, UPDATE_KEY, ZONE};
use crate::recursor::Recursor;

mod platform;

/// Time to live during a flip, in seconds; the shortest that is a time at all.
const FLIP_TTL_SECONDS: u32 = 1;
/// For how long the service is watched after a flip, in milliseconds.
const STABILITY_WINDOW_MS: u32 = 2_000;
/// How long requests under way may take to end, in milliseconds. On a busy machine a picture takes seconds, and so does a zone's
/// agent until it looks at the settings again; what the fence cuts short, WordPress may have acknowledged.
const DRAIN_MS: u32 = 6_000;

impl Lab {
    /// The overlay, as TOML. The secrets it names are [`credentials`](Self::credentials).
    ///
    /// # Errors
    /// Where a program that takes backups is missing.
    pub fn overlay_toml(&self) -> Result<String> {
        let root = &[self.root()];
        let heartbeat = ("posts", "written_at");
        let database = match &self.postgres {
            None => database(&self.databases, self.root(), heartbeat)?,
            Some(pair) => {
                let (table, column) = heartbeat;
                pair.binding(&json!({ "heartbeat": { "table": table, "column": column } }))
            }
        };
        let bindings = [
            database,
            dns(&self.authoritative),
            self.workload_binding(),
            notify(&self.board, self.root()),
            self.certificates_binding(),
        ];
        let mut parameters = parameters(self.options.ttl_seconds);
        set(&mut parameters, "expose", false.into());
        set(
            &mut parameters,
            "diagnosis",
            json!({ "nodes": false, "logs": [] }),
        );
        set(
            &mut parameters,
            "certificate",
            json!({ "issued-elsewhere": true }),
        );
        let standby = self.options.standby_replicas;
        let no_cluster = json!({
            "min-nodes": 0, "max-nodes": 0, "namespaces": [], "pods": [], "networks-apart": false,
        });
        let waits = json!({ "cluster": no_cluster, "mirrored": [] });
        overlay(&parameters, standby, waits, &bindings, self.probe(root))
    }

    /// DNS by the other provider, to be laid over [`overlay_toml`](Self::overlay_toml): the zone's document instead of
    /// the name server's API. `plugin` is the change; the rest is what that plugin has to be told.
    #[must_use]
    pub fn json_zone_toml(&self) -> String {
        let (url, root) = (self.document.url(), self.root().display());
        format!(
            r#"[[bindings]]
contract = "understudy:dns/dns@0.1.0"
plugin = "json-zone"
config = {{ url = "{url}", zone = "{ZONE}", min-ttl-seconds = {FLIP_TTL_SECONDS}, credential = "api" }}
credentials.api = {{ env = "LAB_ADMIN_TOKEN", scheme = "bearer" }}
http = [{{ methods = ["GET", "PUT"], url = "{url}", private = true }}]
trust = ["{root}"]
"#
        )
    }

    /// The same by dynamic updates of the name server, over TCP and signed: of the record that flips, and of the one that the
    /// conformance kit changes.
    #[must_use]
    pub fn rfc2136_toml(&self) -> String {
        let dns = self.authoritative.dns();
        format!(
            r#"[[bindings]]
contract = "understudy:dns/dns@0.1.0"
plugin = "rfc2136"
config = {{ min-ttl-seconds = {FLIP_TTL_SECONDS} }}
dns-update = [{{ servers = ["primary"], names = ["wp-active.{ZONE}", "kit.{ZONE}"], types = ["A", "CNAME"] }}]

[bindings.name-servers.primary]
host = "{host}"
port = {port}
zone = "{ZONE}"
key = {{ name = "{UPDATE_KEY}", algorithm = "hmac-sha256", secret = {{ env = "LAB_UPDATE_KEY" }} }}
"#,
            host = dns.ip(),
            port = dns.port(),
        )
    }

    fn workload_binding(&self) -> Value {
        let (pz, bz) = (self.pz.admin(), self.bz.admin());
        let grant = |admin| {
            json!({
                "methods": ["GET", "PUT"],
                "url": format!("https://{admin}/apps"),
                "private": true,
            })
        };
        json!({
            "contract": "understudy:workload/workload@0.1.0",
            "plugin": "webhook",
            "config": {
                "sites": { "pz": format!("https://{pz}"), "bz": format!("https://{bz}") },
                "poll-after-ms": 250,
            },
            "credentials": { "api": { "env": "LAB_ADMIN_TOKEN", "scheme": "bearer" } },
            "http": [grant(pz), grant(bz)],
            "trust": [self.root()],
        })
    }

    fn certificates_binding(&self) -> Value {
        let (pz, bz) = (self.pz.public().to_string(), self.bz.public().to_string());
        json!({
            "contract": "understudy:certificates/certificates@0.1.0",
            "plugin": "served-tls",
            "config": { "sites": { "pz": pz, "bz": bz } },
            "tls": [pz, bz],
            "trust": [self.root()],
        })
    }

    fn probe(&self, trust: &[&Path]) -> Value {
        let write = |name: &str, path: &str, body: &str, status: u16, answer: &str| {
            json!([{
                "name": name,
                "method": "POST",
                "url": self.url(path),
                "credential": "wordpress",
                "body": body,
                "expect-status": [status],
                "expect-body": answer,
            }])
        };
        json!({
            "zone-header": "x-zone",
            "entries": { "pz": self.pz.public().to_string(), "bz": self.bz.public().to_string() },
            "resolvers": resolvers(&self.resolver, &self.stubborn),
            "public-resolver": "isp-a",
            "credentials": {
                "wordpress": { "env": "LAB_EDITOR_PASSWORD", "scheme": "basic", "user": "editor" },
            },
            "trust": trust,
            "journeys": {
                "front-page": [{ "name": "front page", "url": self.url("/"), "expect-body": "posts" }],
                "login": write("log in", "/login", "", 200, "welcome"),
                "create-post": write("post", "/posts", r#"{"title":"Recovery check"}"#, 201, "post"),
                "upload-media": write("upload", "/media", "Recovery check", 201, "media"),
            },
        })
    }
}

/// Puts the parts together: strategies with these parameters, failback and standby with their own. `waits` is what is
/// looked at where a site waits; no lab has monitoring or infrastructure as code.
fn overlay(
    parameters: &Value,
    standby_replicas: u32,
    waits: Value,
    bindings: &[Value],
    probe: Value,
) -> Result<String> {
    let mut failback = parameters.clone();
    set(&mut failback, "standby-replicas", standby_replicas.into());
    let mut standby = failback.clone();
    set(&mut standby, "monitoring", json!([]));
    set(&mut standby, "stacks", json!([]));
    if let Value::Object(waits) = waits {
        for (name, value) in waits {
            set(&mut standby, &name, value);
        }
    }
    Ok(toml::to_string(&json!({
        "targets": { "rto": "5m", "rpo": "30s" },
        "strategies": {
            "replica": { "parameters": parameters },
            "restore": { "parameters": parameters },
            "failback": { "parameters": failback },
            "standby": { "parameters": standby },
        },
        "bindings": bindings,
        "probe": probe,
    }))?)
}

/// What every strategy is told: one replica, short times, and nothing that a lab does not have.
fn parameters(ttl_seconds: u32) -> Value {
    json!({
        "replicas": 1,
        "objectives": [],
        "drain-ms": DRAIN_MS,
        "media-bucket": "",
        "records": {
            "ttl-flip-seconds": FLIP_TTL_SECONDS,
            "ttl-normal-seconds": ttl_seconds,
        },
        "converged-percent": 100,
        "stability-window-ms": STABILITY_WINDOW_MS,
    })
}

fn set(object: &mut Value, name: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(name.to_owned(), value);
    }
}

/// The databases; `heartbeat` is a table and its column that says when something was written.
fn database(databases: &Pair, root: &Path, heartbeat: (&str, &str)) -> Result<Value> {
    let connection = |server: &crate::mariadb::Server, user: &str, variable: &str| {
        json!({
            "host": server.address().ip().to_string(),
            "port": server.address().port(),
            "user": user,
            "password": { "env": variable },
        })
    };
    let (pz, bz) = (&databases.pz, &databases.bz);
    let (backups, programs) = backups::binding(databases, root)?;
    Ok(json!({
        "contract": "understudy:database/database@0.1.0",
        "plugin": "mariadb",
        "config": {
            "replication": {
                "user": "repl",
                "credential": "replication",
                "ssl-ca": root.display().to_string(),
            },
            "heartbeat": { "table": heartbeat.0, "column": heartbeat.1 },
            "backups": backups,
        },
        "programs": programs,
        "credentials": {
            "replication": { "env": "LAB_REPLICATION_PASSWORD", "scheme": "basic", "user": "repl" },
        },
        "connections": {
            "pz": connection(pz, "understudy", "LAB_DATABASE_PASSWORD"),
            "bz": connection(bz, "understudy", "LAB_DATABASE_PASSWORD"),
            "pz-client": connection(pz, "app", "LAB_APP_PASSWORD"),
            "bz-client": connection(bz, "app", "LAB_APP_PASSWORD"),
        },
        "trust": [root],
    }))
}

fn dns(authoritative: &Authoritative) -> Value {
    let server = format!("http://{}", authoritative.api());
    let zones = format!("{server}/api/v1/servers/localhost/zones");
    json!({
        "contract": "understudy:dns/dns@0.1.0",
        "plugin": "powerdns",
        "config": { "server": server, "zone": ZONE, "min-ttl-seconds": FLIP_TTL_SECONDS },
        "credentials": { "api": { "env": "LAB_DNS_KEY", "scheme": "header", "name": "x-api-key" } },
        "http": [{ "methods": ["GET", "PATCH"], "url": zones, "private": true }],
    })
}

fn notify(board: &Board, root: &Path) -> Value {
    let url = format!("https://{}/announcements", board.address());
    json!({
        "contract": "understudy:notify/notify@0.1.0",
        "plugin": "webhook",
        "config": { "channels": { "status": url } },
        "credentials": { "api": { "env": "LAB_ADMIN_TOKEN", "scheme": "bearer" } },
        "http": [{ "methods": ["POST"], "url": url, "private": true }],
        "trust": [root],
    })
}

/// An address for each resolver that the runbook names; one of them is stubborn.
fn resolvers(honest: &Recursor, stubborn: &Recursor) -> Value {
    let mut resolvers = serde_json::Map::new();
    for kind in ["isp", "public"] {
        for name in ["a", "b", "c", "d"] {
            resolvers.insert(
                format!("{kind}-{name}"),
                honest.address().to_string().into(),
            );
        }
    }
    resolvers.insert("isp-b".to_owned(), stubborn.address().to_string().into());
    Value::Object(resolvers)
}
