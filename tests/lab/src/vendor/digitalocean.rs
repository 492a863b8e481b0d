//! DigitalOcean's API v2, as far as managed MySQL clusters and their replicas go.
//!
//! What takes time there takes looks here: a replica that is forking, a promotion, a restore are done after
//! [`Digitalocean::looks`] lists of clusters or replicas.

#![expect(
    clippy::indexing_slicing,
    reason = "fields of JSON values: one that is missing reads as null"
)]

use anyhow::Result;
use serde_json::{Value, json};

use super::{Answer, Call, Vendor};
use crate::openapi::Document;

/// Operation that lists clusters.
pub const LIST: &str = "databases_list_clusters";
/// Operation that makes a cluster.
pub const CREATE: &str = "databases_create_cluster";
/// Operation that destroys a cluster.
pub const DESTROY: &str = "databases_destroy_cluster";
/// Operation that replaces the trusted sources.
pub const FIREWALL: &str = "databases_update_firewall_rules";
/// Operation that makes a replica.
pub const REPLICATE: &str = "databases_create_replica";
/// Operation that destroys a replica.
pub const DESTROY_REPLICA: &str = "databases_destroy_replica";
/// Operation that promotes a replica.
pub const PROMOTE: &str = "databases_promote_replica";

/// A password that every answer about a cluster holds, as for a token with the scope `database:view_credentials`.
pub const PASSWORD: &str = "wv78n3zpz42xezdk";

const TIME: &str = "2026-01-01T00:00:00Z";

/// An account.
#[derive(Debug, Default)]
pub struct Digitalocean {
    clusters: Vec<Cluster>,
    made: u64,
    /// How many looks what is slow takes.
    pub looks: u32,
}

#[derive(Debug)]
struct Cluster {
    fields: Value,
    rules: Vec<Value>,
    backups: Vec<Value>,
    replicas: Vec<Replica>,
    /// Looks until it is online.
    left: u32,
}

#[derive(Debug)]
struct Replica {
    fields: Value,
    /// Looks until it is online, or promoted.
    left: u32,
    promoting: bool,
}

impl Digitalocean {
    /// An account without clusters.
    #[must_use]
    pub fn new() -> Self {
        Self {
            looks: 3,
            ..Self::default()
        }
    }

    /// Adds a cluster that is online and lets everybody in, with backups of these instants.
    pub fn add_cluster(&mut self, name: &str, region: &str, backups: &[&str]) -> String {
        let fields = json!({ "name": name, "engine": "mysql", "region": region, "num_nodes": 1, "size": "db-s-1vcpu-1gb" });
        let id = self.make(&fields, 0);
        let backup =
            |at: &&str| json!({ "created_at": at, "size_gigabytes": 0.25, "incremental": false });
        if let Some(cluster) = self.find(&id) {
            cluster.backups = backups.iter().map(backup).collect();
        }
        id
    }

    /// Names of the clusters.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let names = self
            .clusters
            .iter()
            .map(|cluster| text(&cluster.fields["name"]));
        names.collect()
    }

    /// Names of a cluster's replicas.
    #[must_use]
    pub fn replicas_of(&self, name: &str) -> Vec<String> {
        let named = self
            .clusters
            .iter()
            .filter(|cluster| cluster.fields["name"] == name);
        let replicas = named.flat_map(|cluster| &cluster.replicas);
        replicas
            .map(|replica| text(&replica.fields["name"]))
            .collect()
    }

    /// Whom a cluster lets in, as `type:value`; nobody named is everybody.
    #[must_use]
    pub fn lets_in(&self, name: &str) -> Vec<String> {
        let named = self
            .clusters
            .iter()
            .filter(|cluster| cluster.fields["name"] == name);
        let rules = named.flat_map(|cluster| &cluster.rules);
        rules
            .map(|rule| format!("{}:{}", text(&rule["type"]), text(&rule["value"])))
            .collect()
    }

    /// A cluster as it was asked for; null where there is none.
    #[must_use]
    pub fn cluster(&self, name: &str) -> Value {
        let mut clusters = self.clusters.iter().map(|cluster| &cluster.fields);
        clusters
            .find(|fields| fields["name"] == name)
            .cloned()
            .unwrap_or_default()
    }

    fn fresh_id(&mut self) -> String {
        self.made += 1;
        format!("9cc10173-e9ea-4176-9dbc-{:012x}", self.made)
    }

    fn find(&mut self, id: &str) -> Option<&mut Cluster> {
        let mut clusters = self.clusters.iter_mut();
        clusters.find(|cluster| cluster.fields["id"] == id)
    }

    fn make(&mut self, asked: &Value, left: u32) -> String {
        let id = self.fresh_id();
        let mut fields = asked.clone();
        let name = text(&asked["name"]);
        fields["id"] = id.clone().into();
        fields["created_at"] = TIME.into();
        fields["status"] = if left > 0 { "forking" } else { "online" }.into();
        fields["connection"] = address(&name);
        fields["private_connection"] = address(&format!("private-{name}"));
        let rules = asked["rules"].as_array().cloned().unwrap_or_default();
        self.clusters.push(Cluster {
            rules: rules.iter().map(|rule| ruled(rule, &id)).collect(),
            fields,
            backups: Vec::new(),
            replicas: Vec::new(),
            left,
        });
        id
    }

    /// Time goes by.
    fn pass(&mut self) {
        let mut promoted = Vec::new();
        for cluster in &mut self.clusters {
            cluster.left = cluster.left.saturating_sub(1);
            if cluster.left == 0 {
                cluster.fields["status"] = "online".into();
            }
            for replica in &mut cluster.replicas {
                replica.left = replica.left.saturating_sub(1);
                if replica.left == 0 && !replica.promoting {
                    replica.fields["status"] = "online".into();
                }
            }
            let size = cluster.fields["size"].clone();
            cluster.replicas.retain(|replica| {
                let is_done = replica.promoting && replica.left == 0;
                if is_done {
                    let mut fields = replica.fields.clone();
                    fields["size"] = size.clone();
                    fields["engine"] = "mysql".into();
                    fields["num_nodes"] = 1.into();
                    promoted.push(fields);
                }
                !is_done
            });
        }
        for fields in promoted {
            // Nobody is named as trusted, so everybody is let in.
            let id = self.make(&fields, 0);
            if let Some(cluster) = self.find(&id) {
                cluster.fields["id"] = fields["id"].clone();
            }
        }
    }

    fn create(&mut self, call: &Call<'_>) -> Answer {
        let name = text(&call.body["name"]);
        if self.names().contains(&name) {
            return Self::refusal(422, "cluster name is not available");
        }
        let restored = &call.body["backup_restore"];
        if restored.is_object() {
            let source = text(&restored["database_name"]);
            if !self.names().contains(&source) {
                return Self::refusal(422, "the database to restore from does not exist");
            }
        }
        let left = self.looks;
        let id = self.make(call.body, left);
        let fields = self.find(&id).map(|cluster| shown(&cluster.fields));
        Answer::new(201, json!({ "database": fields }))
    }

    fn replicate(&mut self, call: &Call<'_>) -> Answer {
        let (id, left) = (self.fresh_id(), self.looks);
        let name = text(&call.body["name"]);
        if self.names().contains(&name) {
            return Self::refusal(422, "replica name is not available");
        }
        let Some(cluster) = self.find(call.path("database_cluster_uuid")) else {
            return Self::refusal(404, "no such cluster");
        };
        if cluster
            .replicas
            .iter()
            .any(|replica| replica.fields["name"] == name.as_str())
        {
            return Self::refusal(422, "replica name is not available");
        }
        let mut fields = call.body.clone();
        fields["id"] = id.into();
        fields["status"] = "forking".into();
        fields["created_at"] = TIME.into();
        fields["connection"] = address(&name);
        fields["private_connection"] = address(&format!("private-{name}"));
        let answer = Answer::new(201, json!({ "replica": fields }));
        cluster.replicas.push(Replica {
            fields,
            left,
            promoting: false,
        });
        answer
    }

    fn of_replica(&mut self, call: &Call<'_>) -> Answer {
        let (looks, name) = (self.looks, call.path("replica_name"));
        let Some(cluster) = self.find(call.path("database_cluster_uuid")) else {
            return Self::refusal(404, "no such cluster");
        };
        let at = cluster
            .replicas
            .iter()
            .position(|replica| replica.fields["name"] == name);
        let Some(at) = at else {
            return Self::refusal(404, "no such replica");
        };
        if call.operation == DESTROY_REPLICA {
            cluster.replicas.remove(at);
            return Answer::done();
        }
        match cluster.replicas.get_mut(at) {
            Some(replica) if replica.promoting || replica.fields["status"] == "online" => {
                if !replica.promoting {
                    replica.promoting = true;
                    replica.left = looks;
                    replica.fields["status"] = "migrating".into();
                }
                Answer::done()
            }
            _ => Self::refusal(422, "the replica is not ready"),
        }
    }

    fn of_cluster(&mut self, call: &Call<'_>) -> Answer {
        let id = call.path("database_cluster_uuid").to_owned();
        let Some(cluster) = self.find(&id) else {
            return Self::refusal(404, "The resource you requested could not be found.");
        };
        match call.operation {
            "databases_get_cluster" => {
                Answer::new(200, json!({ "database": shown(&cluster.fields) }))
            }
            "databases_list_firewall_rules" => Answer::new(200, json!({ "rules": cluster.rules })),
            "databases_list_backups" => Answer::new(200, json!({ "backups": cluster.backups })),
            "databases_list_replicas" => {
                let replicas: Vec<&Value> = cluster
                    .replicas
                    .iter()
                    .map(|replica| &replica.fields)
                    .collect();
                Answer::new(200, json!({ "replicas": replicas }))
            }
            FIREWALL => {
                let rules = call.body["rules"].as_array().cloned().unwrap_or_default();
                cluster.rules = rules.iter().map(|rule| ruled(rule, &id)).collect();
                Answer::done()
            }
            DESTROY => {
                self.clusters
                    .retain(|cluster| cluster.fields["id"] != id.as_str());
                Answer::done()
            }
            other => Self::refusal(500, &format!("the stand-in does not know {other}")),
        }
    }
}

impl Vendor for Digitalocean {
    fn document() -> Result<Document> {
        Document::load("digitalocean")
    }

    fn answer(&mut self, call: &Call<'_>) -> Answer {
        match call.operation {
            LIST => {
                self.pass();
                let clusters: Vec<Value> = self
                    .clusters
                    .iter()
                    .map(|cluster| shown(&cluster.fields))
                    .collect();
                Answer::new(200, json!({ "databases": clusters }))
            }
            CREATE => self.create(call),
            REPLICATE => self.replicate(call),
            PROMOTE | DESTROY_REPLICA => self.of_replica(call),
            _ => self.of_cluster(call),
        }
    }

    fn refusal(status: u16, text: &str) -> Answer {
        let id = match status {
            401 => "unauthorized",
            404 => "not_found",
            422 => "unprocessable_entity",
            429 => "too_many_requests",
            _ => "server_error",
        };
        Answer::new(status, json!({ "id": id, "message": text }))
    }
}

/// A cluster as answers have it: without what is only asked for.
fn shown(fields: &Value) -> Value {
    let mut fields = fields.clone();
    if let Some(fields) = fields.as_object_mut() {
        fields.remove("backup_restore");
        fields.remove("rules");
    }
    fields
}

fn ruled(rule: &Value, cluster: &str) -> Value {
    json!({ "uuid": cluster, "cluster_uuid": cluster, "created_at": TIME, "type": rule["type"], "value": rule["value"] })
}

fn address(name: &str) -> Value {
    let host = format!("{name}-do-user-1-0.db.ondigitalocean.com");
    let uri = format!("mysql://doadmin:{PASSWORD}@{host}:25060/defaultdb?ssl-mode=REQUIRED");
    json!({ "host": host, "port": 25060, "user": "doadmin", "password": PASSWORD, "database": "defaultdb", "ssl": true, "uri": uri })
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
