//! A site: whether it is up, and what runs and is stored there.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Value, json};

use crate::clock::Instant;
use crate::rehearsal::scenario::cluster::{Namespace, ObjectName, Values};
use crate::rehearsal::scenario::start::{Monitoring, SiteStart};

/// Whether a site can be reached, and by whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition {
    /// By everybody.
    Up,
    /// By nobody; nothing runs.
    Down,
    /// By clients, not by operators and other sites.
    Partitioned,
}

/// Replicas of an application that hold the same database endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) endpoint: String,
    pub(crate) replicas: u32,
}

/// An application at a site.
#[derive(Debug, Clone, Default)]
pub(crate) struct App {
    pub(crate) desired: u32,
    /// What its configuration names; new replicas take it.
    pub(crate) endpoint: String,
    /// What runs.
    pub(crate) running: Vec<Group>,
    /// What its settings say of maintenance.
    pub(crate) asked_maintenance: bool,
    /// What its replicas do.
    pub(crate) maintenance: bool,
    pub(crate) restarted: BTreeSet<String>,
    /// Host names it answers for from outside; empty for none.
    pub(crate) hosts: BTreeSet<String>,
    /// Its public address, once it has one.
    pub(crate) address: Option<String>,
    /// Its image is at the site.
    pub(crate) pulled: bool,
    /// While its replicas start and die.
    pub(crate) crashing: Option<Crashing>,
}

/// Replicas that start and die.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Crashing {
    pub(crate) since: Instant,
    pub(crate) until: Instant,
}

impl App {
    /// Replicas that answer.
    pub(crate) fn ready(&self) -> u32 {
        if self.crashing.is_some() {
            0
        } else {
            self.count()
        }
    }

    /// Replicas there are, ready or not.
    pub(crate) fn count(&self) -> u32 {
        self.running.iter().map(|group| group.replicas).sum()
    }

    /// Has `count` replicas run: new ones take the endpoint of the configuration, the oldest go first.
    pub(crate) fn run(&mut self, count: u32) {
        self.pulled |= count > 0;
        let mut surplus = self.count().saturating_sub(count);
        for group in &mut self.running {
            let gone = group.replicas.min(surplus);
            group.replicas -= gone;
            surplus -= gone;
        }
        let missing = count.saturating_sub(self.count());
        self.running.retain(|group| group.replicas > 0);
        if missing == 0 {
            return;
        }
        match self
            .running
            .iter_mut()
            .find(|group| group.endpoint == self.endpoint)
        {
            Some(group) => group.replicas += missing,
            None => self.running.push(Group {
                endpoint: self.endpoint.clone(),
                replicas: missing,
            }),
        }
    }

    /// Replaces every replica.
    pub(crate) fn restart(&mut self) {
        let count = self.count().max(self.desired);
        self.running.clear();
        self.run(count);
    }
}

/// A stored certificate.
#[derive(Debug, Clone)]
pub(crate) struct Certificate {
    pub(crate) dns_names: BTreeSet<String>,
    pub(crate) issuer: String,
    pub(crate) not_before: Instant,
    pub(crate) not_after: Instant,
}

/// A site.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    pub(crate) condition: Condition,
    /// Addresses that load balancers made here get, one after the other; where they run out, `address`.
    pub(crate) new_addresses: VecDeque<String>,
    pub(crate) address: String,
    /// Since when it has not been up.
    pub(crate) away_since: Option<Instant>,
    /// Until then nothing here can be changed.
    pub(crate) read_only_until: Option<Instant>,
    pub(crate) controller: bool,
    pub(crate) nodes: u32,
    /// What its nodes say of themselves beside what nodes usually say, by node and condition.
    pub(crate) conditions: BTreeMap<(String, String), bool>,
    pub(crate) namespaces: BTreeMap<String, Namespace>,
    /// Ranges of addresses of the pods on each node, in the order of the nodes.
    pub(crate) pod_ranges: Vec<String>,
    pub(crate) monitoring: Monitoring,
    pub(crate) apps: BTreeMap<String, App>,
    pub(crate) certificates: BTreeMap<String, Certificate>,
    /// Objects that the world itself makes nothing of, by [`object_key`]: Secrets, ConfigMaps and ranges of Services of the
    /// scenario, and whatever was applied through the Kubernetes contract.
    pub(crate) objects: BTreeMap<String, Value>,
    /// Throw-away certificates that were issued, by token.
    pub(crate) test_issued: BTreeSet<String>,
}

/// How long before the start a certificate of the beginning was issued.
const ISSUED_BEFORE_MS: u64 = 30 * 86_400_000;

impl Site {
    /// A site as the scenario has it at the beginning; an empty one where it says nothing.
    pub(crate) fn new(start: &SiteStart, at: Instant) -> Self {
        let apps = start.apps.iter().map(|(name, start_app)| {
            let mut app = App {
                desired: start_app.replicas,
                endpoint: start_app.database_endpoint.clone(),
                hosts: start_app.hosts.iter().cloned().collect(),
                address: (!start_app.hosts.is_empty()).then(|| start.address.clone()),
                ..App::default()
            };
            app.run(start_app.replicas);
            (name.clone(), app)
        });
        let certificates = start.certificates.iter().map(|certificate| {
            (
                certificate.name.clone(),
                Certificate {
                    dns_names: certificate.dns_names.iter().cloned().collect(),
                    issuer: certificate.issuer.clone(),
                    not_before: Instant(at.0.saturating_sub(ISSUED_BEFORE_MS)),
                    not_after: at.after(certificate.expires_in.get()),
                },
            )
        });
        Self {
            condition: Condition::Up,
            new_addresses: start.new_addresses.iter().cloned().collect(),
            address: start.address.clone(),
            away_since: None,
            read_only_until: None,
            controller: start.controller,
            nodes: start.nodes,
            conditions: BTreeMap::new(),
            namespaces: start.namespaces.clone(),
            pod_ranges: start.networks.pods.clone(),
            monitoring: start.monitoring.clone(),
            apps: apps.collect(),
            certificates: certificates.collect(),
            objects: [
                ("Secret", &start.secrets),
                ("ConfigMap", &start.config_maps),
            ]
            .into_iter()
            .flat_map(|(kind, all)| with_values(kind, all))
            .chain(service_ranges(&start.networks.services))
            .collect(),
            test_issued: BTreeSet::new(),
        }
    }

    /// The certificate that is served for `name` at `at`: a valid one if there is any.
    pub(crate) fn certificate_for(&self, name: &str, at: Instant) -> Option<&Certificate> {
        let matching = || {
            self.certificates
                .values()
                .filter(|c| c.dns_names.contains(name))
        };
        matching()
            .find(|c| c.not_after > at)
            .or_else(|| matching().next())
    }
}

/// By what an object of a cluster is known.
pub(crate) fn object_key(api_version: &str, kind: &str, namespace: &str, name: &str) -> String {
    format!("{api_version}|{kind}|{namespace}|{name}")
}

/// The objects of a kind of the core API that hold these values.
fn with_values(kind: &str, all: &Values) -> Vec<(String, Value)> {
    let object = |(of, values): (&ObjectName, &BTreeMap<String, String>)| {
        let object = json!({
            "apiVersion": "v1",
            "kind": kind,
            "metadata": { "name": of.name, "namespace": of.namespace },
            "data": values,
        });
        (object_key("v1", kind, &of.namespace, &of.name), object)
    };
    all.iter().map(object).collect()
}

/// The object by which a cluster tells the ranges of its Services.
fn service_ranges(ranges: &[String]) -> Option<(String, Value)> {
    const VERSION: &str = "networking.k8s.io/v1";
    const KIND: &str = "ServiceCIDR";
    const NAME: &str = "kubernetes";
    let object = json!({
        "apiVersion": VERSION,
        "kind": KIND,
        "metadata": { "name": NAME },
        "spec": { "cidrs": ranges },
    });
    (!ranges.is_empty()).then(|| (object_key(VERSION, KIND, "", NAME), object))
}
