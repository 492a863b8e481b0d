//! DigitalOcean's API v2, as far as managed MySQL clusters and their replicas go; of Kubernetes it hands out kubeconfigs.
//!
//! What takes time there takes looks here: a replica that is forking, a promotion, a restore are done after
//! [`Digitalocean::looks`] lists of clusters or replicas.
//!
//! An account with an [`Estate`] has real servers: what is made, promoted, restored or destroyed here is a MySQL server, an
//! address that answers names is one that leads there, the trusted sources are enforced (those of type `ip_addr`; the
//! others trust nobody here), and what is slow is as slow as it really is. A replica trusts whom its cluster trusts. The
//! vendor's own backups are one of each cluster once it is online, and those that [`Digitalocean::back_up`] adds.

#![expect(
    clippy::indexing_slicing,
    reason = "fields of JSON values: one that is missing reads as null"
)]

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::{Answer, Call, Media, Standin, Vendor};
use crate::clock::{LIMIT, eventually};
use crate::openapi::Document;
use door::Way;
use estate::{Backup, Machine, Restored, Work};

mod binding;
mod door;
mod estate;

pub use binding::{APPLICATION, BZ, PZ, RECOVERY};
pub use estate::Estate;

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

/// Operation that hands out the root of a cluster's certificates.
pub const CA: &str = "databases_get_ca";
/// Operation that hands out the kubeconfig of a Kubernetes cluster.
pub const KUBECONFIG: &str = "kubernetes_get_kubeconfig";

/// A password that every answer about a cluster holds, as for a token with the scope `database:view_credentials`.
pub const PASSWORD: &str = "wv78n3zpz42xezdk";

/// Size of what is there from the beginning.
const SIZE: &str = "db-s-1vcpu-1gb";

/// How the address within the vendor's network begins.
const PRIVATE: &str = "private-";

const TIME: &str = "2026-01-01T00:00:00Z";

/// An account.
#[derive(Debug, Default)]
pub struct Digitalocean {
    clusters: Vec<Cluster>,
    made: u64,
    /// How many looks what is slow takes, at least.
    pub looks: u32,
    estate: Option<Estate>,
    /// What is handed out for a Kubernetes cluster, in this order; the last again and again.
    pub kubeconfigs: BTreeMap<String, VecDeque<Value>>,
}

#[derive(Debug)]
struct Cluster {
    fields: Value,
    rules: Vec<Value>,
    backups: Vec<Value>,
    replicas: Vec<Replica>,
    /// Looks until it is online.
    left: u32,
    machine: Option<Machine>,
    /// What the backups hold, oldest first.
    kept: Vec<Backup>,
    backing_up: Option<Work<Backup>>,
}

#[derive(Debug)]
struct Replica {
    fields: Value,
    /// Looks until it is online, or promoted.
    left: u32,
    promoting: bool,
    machine: Option<Machine>,
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

    /// An account whose clusters are servers.
    #[must_use]
    pub fn with(estate: Estate) -> Self {
        Self {
            estate: Some(estate),
            ..Self::new()
        }
    }

    /// The servers.
    ///
    /// # Errors
    /// Where it has none.
    pub fn estate(&mut self) -> Result<&mut Estate> {
        self.estate.as_mut().context("the account has no servers")
    }

    /// Adds a cluster that is online and lets everybody in: an empty server with its users.
    ///
    /// # Errors
    /// Where it does not start.
    pub async fn open_cluster(&mut self, name: &str, region: &str) -> Result<()> {
        let machine = self.estate()?.first().await?;
        self.make(&cluster(name, region), 0, Some(machine))?;
        self.arrange();
        Ok(())
    }

    /// Adds a replica of a cluster, and waits until it is online.
    ///
    /// # Errors
    /// Where there is no such cluster, or the replica does not run.
    pub async fn open_replica(&mut self, of: &str, name: &str, region: &str) -> Result<()> {
        let source = self.cluster(of)["id"].clone();
        let path = HashMap::from([("database_cluster_uuid".to_owned(), text(&source))]);
        let body = json!({ "name": name, "region": region, "size": SIZE });
        let answer = self.answer(&Call {
            operation: REPLICATE,
            path: &path,
            query: &[],
            body: &body,
        });
        ensure!(answer.status == 201, "no replica of {of}: {answer:?}");
        eventually(name, LIMIT, async || {
            self.pass()?;
            let mut replicas = self.clusters.iter().flat_map(|cluster| &cluster.replicas);
            let online = |replica: &Replica| {
                replica.fields["name"] == name && replica.fields["status"] == "online"
            };
            Ok(replicas.any(online).then_some(()))
        })
        .await?;
        self.arrange();
        Ok(())
    }

    /// Begins a backup of a cluster, which is listed once it is done.
    ///
    /// # Errors
    /// Where there is no such cluster, or it has no server.
    pub fn back_up(&mut self, name: &str) -> Result<()> {
        let folder = self.estate()?.folder().to_owned();
        let mut clusters = self.clusters.iter_mut();
        let named = clusters.find(|cluster| cluster.fields["name"] == name);
        let cluster = named.with_context(|| format!("no cluster {name}"))?;
        let machine = cluster.machine.as_ref().context("it has no server")?;
        cluster.backing_up = Some(machine.back_up(&folder));
        Ok(())
    }

    /// Adds a cluster without a server that is online and lets everybody in, with backups of these instants.
    ///
    /// # Errors
    /// Where nothing can be listened on.
    pub fn add_cluster(&mut self, name: &str, region: &str, backups: &[&str]) -> Result<()> {
        let id = self.make(&cluster(name, region), 0, None)?;
        if let Some(cluster) = find(&mut self.clusters, &id) {
            cluster.backups = backups.iter().map(|at| backup(at)).collect();
        }
        Ok(())
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

    /// Where clients find what has a name.
    fn address(&mut self, name: &str) -> Result<Value> {
        let (host, port) = match &mut self.estate {
            Some(estate) => {
                let door = estate.door(name.trim_start_matches(PRIVATE))?;
                (door.ip().to_string(), door.port())
            }
            None => (format!("{name}-do-user-1-0.db.ondigitalocean.com"), 25060),
        };
        let uri = format!("mysql://doadmin:{PASSWORD}@{host}:{port}/defaultdb?ssl-mode=REQUIRED");
        Ok(
            json!({ "host": host, "port": port, "user": "doadmin", "password": PASSWORD, "database": "defaultdb",
            "ssl": true, "uri": uri }),
        )
    }

    fn make(&mut self, asked: &Value, left: u32, machine: Option<Machine>) -> Result<String> {
        let id = match asked["id"].as_str() {
            Some(id) => id.to_owned(),
            None => self.fresh_id(),
        };
        let mut fields = asked.clone();
        let name = text(&asked["name"]);
        fields["id"] = id.clone().into();
        fields["created_at"] = TIME.into();
        fields["status"] = if left > 0 { "forking" } else { "online" }.into();
        fields["connection"] = self.address(&name)?;
        fields["private_connection"] = self.address(&format!("{PRIVATE}{name}"))?;
        let rules = asked["rules"].as_array().cloned().unwrap_or_default();
        self.clusters.push(Cluster {
            rules: rules.iter().map(|rule| ruled(rule, &id)).collect(),
            fields,
            backups: Vec::new(),
            replicas: Vec::new(),
            left,
            machine,
            kept: Vec::new(),
            backing_up: None,
        });
        Ok(id)
    }

    /// Time goes by.
    fn pass(&mut self) -> Result<()> {
        let folder = self.estate.as_ref().map(Estate::folder);
        let mut promoted = Vec::new();
        for cluster in &mut self.clusters {
            cluster.pass(folder)?;
            let (done, replicas) = std::mem::take(&mut cluster.replicas)
                .into_iter()
                .partition(|replica| replica.promoting && replica.left == 0);
            cluster.replicas = replicas;
            let done: Vec<Replica> = done;
            promoted.extend(done.into_iter().map(|replica| {
                let mut fields = replica.fields;
                fields["size"] = cluster.fields["size"].clone();
                fields["engine"] = "mysql".into();
                fields["num_nodes"] = 1.into();
                (fields, replica.machine)
            }));
        }
        for (fields, machine) in promoted {
            // Nobody is named as trusted, so everybody is let in.
            self.make(&fields, 0, machine)?;
        }
        Ok(())
    }

    /// Leads every port to what there is.
    fn arrange(&self) {
        let Some(estate) = &self.estate else { return };
        let mut ways = BTreeMap::new();
        for cluster in &self.clusters {
            let named = |rule: &Value| rule["value"].as_str()?.parse().ok();
            let trusted: Vec<_> = cluster.rules.iter().filter_map(named).collect();
            let trusted = (!cluster.rules.is_empty()).then_some(trusted);
            let replicas = cluster.replicas.iter();
            let all = replicas.map(|replica| (&replica.fields, replica.machine.as_ref()));
            for (fields, machine) in all.chain([(&cluster.fields, cluster.machine.as_ref())]) {
                let is_made = fields["status"] != "forking";
                let to = machine.filter(|_| is_made).map(Machine::address);
                let trusted = trusted.clone();
                ways.insert(text(&fields["name"]), Way { to, trusted });
            }
        }
        estate.arrange(ways);
    }

    fn create(&mut self, call: &Call<'_>) -> Result<Answer> {
        let name = text(&call.body["name"]);
        if self.names().contains(&name) {
            return Ok(Self::refusal(422, "cluster name is not available"));
        }
        let restored = &call.body["backup_restore"];
        let mut machine = None;
        if restored.is_object() {
            let source = text(&restored["database_name"]);
            let mut clusters = self.clusters.iter();
            let Some(source) = clusters.find(|cluster| text(&cluster.fields["name"]) == source)
            else {
                return Ok(Self::refusal(
                    422,
                    "the database to restore from does not exist",
                ));
            };
            if let (Some(estate), Some(server)) = (&mut self.estate, &source.machine) {
                let Some(wanted) = wanted(&source.kept, &restored["backup_created_at"]) else {
                    return Ok(Self::refusal(422, "no backup reaches back that far"));
                };
                machine = Some(estate.restored(server, wanted)?);
            }
        }
        let left = self.looks;
        let id = self.make(call.body, left, machine)?;
        let fields = find(&mut self.clusters, &id).map(|cluster| shown(&cluster.fields));
        Ok(Answer::new(201, json!({ "database": fields })))
    }

    fn replicate(&mut self, call: &Call<'_>) -> Result<Answer> {
        let (id, left) = (self.fresh_id(), self.looks);
        let name = text(&call.body["name"]);
        if self.names().contains(&name) {
            return Ok(Self::refusal(422, "replica name is not available"));
        }
        let addresses = [
            self.address(&name)?,
            self.address(&format!("{PRIVATE}{name}"))?,
        ];
        let Some(cluster) = find(&mut self.clusters, call.path("database_cluster_uuid")) else {
            return Ok(Self::refusal(404, "no such cluster"));
        };
        if cluster
            .replicas
            .iter()
            .any(|replica| replica.fields["name"] == name.as_str())
        {
            return Ok(Self::refusal(422, "replica name is not available"));
        }
        let machine = match (&mut self.estate, &cluster.machine) {
            (Some(estate), Some(source)) => Some(estate.replica_of(source)?),
            _ => None,
        };
        let mut fields = call.body.clone();
        fields["id"] = id.into();
        fields["status"] = "forking".into();
        fields["created_at"] = TIME.into();
        let [public, private] = addresses;
        fields["connection"] = public;
        fields["private_connection"] = private;
        let answer = Answer::new(201, json!({ "replica": fields }));
        cluster.replicas.push(Replica {
            fields,
            left,
            promoting: false,
            machine,
        });
        Ok(answer)
    }

    fn of_replica(&mut self, call: &Call<'_>) -> Answer {
        let (looks, name) = (self.looks, call.path("replica_name"));
        let Some(cluster) = find(&mut self.clusters, call.path("database_cluster_uuid")) else {
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
                    replica.left = looks.max(1);
                    replica.fields["status"] = "migrating".into();
                    if let Some(machine) = &mut replica.machine {
                        machine.promote();
                    }
                }
                Answer::done()
            }
            _ => Self::refusal(422, "the replica is not ready"),
        }
    }

    fn kubeconfig(&mut self, call: &Call<'_>) -> Answer {
        let Some(waiting) = self.kubeconfigs.get_mut(call.path("cluster_id")) else {
            return Self::refusal(404, "The resource you requested could not be found.");
        };
        let is_last = waiting.len() == 1;
        let next = waiting.front().cloned();
        if !is_last {
            waiting.pop_front();
        }
        match next {
            Some(kubeconfig) => Answer {
                media: Media::Yaml,
                ..Answer::new(200, kubeconfig)
            },
            None => Self::refusal(500, "no kubeconfig of the cluster"),
        }
    }

    fn of_cluster(&mut self, call: &Call<'_>) -> Answer {
        let id = call.path("database_cluster_uuid").to_owned();
        let Some(cluster) = find(&mut self.clusters, &id) else {
            return Self::refusal(404, "The resource you requested could not be found.");
        };
        match call.operation {
            "databases_get_cluster" => {
                Answer::new(200, json!({ "database": shown(&cluster.fields) }))
            }
            CA => {
                let root = self.estate.as_ref().map(|estate| fs::read(estate.root()));
                match root {
                    Some(Ok(pem)) => {
                        let certificate = BASE64.encode(pem);
                        Answer::new(200, json!({ "ca": { "certificate": certificate } }))
                    }
                    _ => Self::refusal(500, "the account has no servers"),
                }
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

impl Cluster {
    /// Time goes by; `folder` is where backups are kept.
    fn pass(&mut self, folder: Option<&Path>) -> Result<()> {
        self.left = self.left.saturating_sub(1);
        let made = self.machine.as_mut().map_or(Ok(true), Machine::is_ready)?;
        if self.left == 0 && made {
            self.fields["status"] = "online".into();
        }
        for replica in &mut self.replicas {
            replica.left = replica.left.saturating_sub(1);
            let made = replica
                .machine
                .as_mut()
                .map_or(Ok(true), Machine::is_ready)?;
            match replica.promoting {
                // The last look is the one at which it is done.
                true if !made => replica.left = replica.left.max(1),
                false if made && replica.left == 0 => replica.fields["status"] = "online".into(),
                _ => {}
            }
        }
        if let Some(done) = self.backing_up.as_mut().and_then(Work::over) {
            self.backing_up = None;
            let done = done?;
            self.backups.push(backup(&done.taken_at));
            self.kept.push(done);
        }
        if let (Some(machine), Some(folder)) = (&self.machine, folder)
            && self.fields["status"] == "online"
            && self.kept.is_empty()
            && self.backing_up.is_none()
        {
            self.backing_up = Some(machine.back_up(folder));
        }
        Ok(())
    }
}

impl Vendor for Digitalocean {
    fn document() -> Result<Document> {
        Document::load("digitalocean")
    }

    fn answer(&mut self, call: &Call<'_>) -> Answer {
        let answer = match call.operation {
            LIST => self.pass().map(|()| {
                let clusters = self.clusters.iter();
                let clusters: Vec<Value> = clusters.map(|cluster| shown(&cluster.fields)).collect();
                Answer::new(200, json!({ "databases": clusters }))
            }),
            CREATE => self.create(call),
            REPLICATE => self.replicate(call),
            PROMOTE | DESTROY_REPLICA => Ok(self.of_replica(call)),
            KUBECONFIG => Ok(self.kubeconfig(call)),
            _ => Ok(self.of_cluster(call)),
        };
        self.arrange();
        answer.unwrap_or_else(|error| Self::refusal(500, &format!("the stand-in: {error:#}")))
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

/// A cluster that somebody asks for.
fn cluster(name: &str, region: &str) -> Value {
    json!({ "name": name, "engine": "mysql", "region": region, "num_nodes": 1, "size": SIZE })
}

fn backup(at: &str) -> Value {
    json!({ "created_at": at, "size_gigabytes": 0.25, "incremental": false })
}

fn find<'c>(clusters: &'c mut [Cluster], id: &str) -> Option<&'c mut Cluster> {
    clusters
        .iter_mut()
        .find(|cluster| cluster.fields["id"] == id)
}

/// What a restore is made of: the newest backup that is no younger than what is asked for, and what the logs add to it.
/// Null asks for everything.
fn wanted(kept: &[Backup], asked: &Value) -> Option<Restored> {
    let Some(asked) = asked.as_str() else {
        let backup = kept.last()?.clone();
        return Some(Restored {
            backup,
            logs: Some(None),
        });
    };
    // `YYYY-MM-DDThh:mm:ss`: parts of a second are left out.
    let second = |at: &str| at.get(..19).map(str::to_owned);
    let asked = second(asked)?;
    let mut newest = kept.iter().rev();
    let backup = newest.find(|backup| second(&backup.taken_at).is_some_and(|at| at <= asked))?;
    let is_all = second(&backup.taken_at).as_deref() == Some(asked.as_str());
    Some(Restored {
        backup: backup.clone(),
        logs: (!is_all).then(|| Some(asked.replace('T', " "))),
    })
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
