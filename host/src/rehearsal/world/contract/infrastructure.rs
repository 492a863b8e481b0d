//! `understudy:infrastructure/infrastructure`.
//!
//! What is promoted, restored or re-seeded outside the code leaves its state drifted, until the code is applied. Destroying a
//! stack takes a site's cluster with its applications; databases outlive it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::super::World;
use super::super::job::{Subject, Work};
use super::super::site::Site;
use super::{args, no_such_function, ok, outcome};
use crate::call::{CallError, Outcome, Reply, Request};
use crate::clock::Instant;
use crate::name::SiteName;
use crate::rehearsal::scenario::stack;

/// Effects outside the code that change what a stack made.
const DRIFTING: [(&str, &str); 3] = [
    ("database", "ensure-promoted"),
    ("database", "ensure-restored"),
    ("database", "ensure-replica-of"),
];

/// A stack.
#[derive(Debug, Clone)]
pub(crate) struct Stack {
    settings: stack::Stack,
    drifted: BTreeMap<SiteName, BTreeSet<String>>,
    destroyed: BTreeSet<SiteName>,
    /// What `T` is.
    start: Instant,
}

impl Stack {
    pub(crate) fn new(settings: &stack::Stack, start: Instant) -> Self {
        let drifted = settings
            .drifted
            .iter()
            .map(|(site, addresses)| (site.clone(), addresses.iter().cloned().collect()));
        Self {
            drifted: drifted.collect(),
            settings: settings.clone(),
            destroyed: BTreeSet::new(),
            start,
        }
    }

    /// Everything is as the code says again.
    pub(crate) fn applied(&mut self, site: &SiteName) {
        self.drifted.remove(site);
        self.destroyed.remove(site);
    }

    /// Nothing that it made is left.
    pub(crate) fn destroy(&mut self, site: &SiteName) {
        self.drifted.remove(site);
        self.destroyed.insert(site.clone());
    }

    fn lock(&self, site: &SiteName, now: Instant) -> Option<Lock> {
        let locked = self.settings.locked.get(site)?;
        let until = self.start.after(locked.length.get());
        (now < until).then(|| Lock {
            id: format!("lock-{site}"),
            holder: locked.by.clone(),
        })
    }

    fn difference(&self, site: &SiteName) -> Difference {
        let change = |address: &String| Change {
            address: address.clone(),
            action: "update",
        };
        let drifted: Vec<Change> = self
            .drifted
            .get(site)
            .into_iter()
            .flatten()
            .map(change)
            .collect();
        let gone = self.destroyed.contains(site).then(|| Change {
            address: "cluster".to_owned(),
            action: "create",
        });
        Difference {
            changes: drifted.iter().cloned().chain(gone).collect(),
            drifted,
        }
    }
}

#[derive(Serialize)]
struct Lock {
    id: String,
    holder: String,
}

#[derive(Serialize)]
struct Difference {
    changes: Vec<Change>,
    drifted: Vec<Change>,
}

#[derive(Clone, Serialize)]
struct Change {
    address: String,
    action: &'static str,
}

#[derive(Serialize)]
struct Output<'a> {
    name: &'a str,
    value: Option<String>,
}

#[derive(Deserialize)]
struct Place {
    site: SiteName,
    stack: String,
}

impl World {
    pub(crate) fn infrastructure(&mut self, request: &Request) -> Reply {
        let Place { site, stack: name } = args(request)?;
        let missing = || CallError::NotFound(format!("no stack `{name}` at `{site}`"));
        let stack = self.stacks.get(&name).ok_or_else(missing)?.clone();
        if !stack.settings.sites.contains(&site) {
            return Err(missing());
        }
        self.reach(&site)?;
        let subject = Subject {
            site: site.clone(),
            kind: "stack",
            name,
        };
        let lock = stack.lock(&site, self.now);
        let function = request.function.function.as_str();
        if function == "observe-lock" {
            return ok(&lock);
        }
        if function == "get-outputs" {
            let output = |(name, value): (&'_ String, &String)| {
                let value = serde_json::Value::from(value.as_str()).to_string();
                serde_json::to_value(Output {
                    name,
                    value: Some(value),
                })
            };
            let outputs: Result<Vec<_>, _> = stack.settings.outputs.iter().map(output).collect();
            return ok(&outputs.map_err(|error| CallError::Other(error.to_string()))?);
        }
        if let Some(lock) = lock {
            return Err(CallError::Conflict(format!(
                "the state of `{}` at `{site}` is locked by {} (lock {})",
                subject.name, lock.holder, lock.id
            )));
        }
        let difference = stack.difference(&site);
        match function {
            "observe-difference" => {
                if self.busy(&subject).is_some() {
                    return Err(CallError::Conflict(format!(
                        "the state of `{}` at `{site}` is locked by work that is under way",
                        subject.name
                    )));
                }
                self.took += self.length(stack.settings.plan);
                ok(&difference)
            }
            "ensure-applied" | "ensure-destroyed" => {
                if let Some(busy) = self.busy(&subject) {
                    return outcome(busy);
                }
                let (done, work, range) = match function {
                    "ensure-applied" => (
                        difference.changes.is_empty(),
                        Work::Apply,
                        stack.settings.apply,
                    ),
                    _ => (
                        stack.destroyed.contains(&site),
                        Work::Destroy,
                        stack.settings.destroy,
                    ),
                };
                if done {
                    return outcome(Outcome::Unchanged);
                }
                let length = self.length(range);
                outcome(self.begin(subject, work, length))
            }
            _ => no_such_function(request),
        }
    }

    /// Takes note of what an effect changed outside the code.
    pub(crate) fn note_drift(&mut self, short: &str, request: &Request, reply: &Reply) {
        let accepted = reply.as_ref().is_ok_and(|value| *value != "unchanged");
        let function = request.function.function.as_str();
        if !accepted || !DRIFTING.contains(&(short, function)) {
            return;
        }
        let text = |name: &str| request.args.get(name).and_then(serde_json::Value::as_str);
        let (Some(site), Some(database)) = (text("site"), text("database")) else {
            return;
        };
        let Ok(site) = site.parse::<SiteName>() else {
            return;
        };
        for stack in self.stacks.values_mut() {
            if stack.settings.sites.contains(&site) {
                let drifted = stack.drifted.entry(site.clone()).or_default();
                drifted.insert(format!("database.{database}"));
            }
        }
    }
}

/// A site without its cluster.
pub(crate) fn tear_down(site: &mut Site) {
    for app in site.apps.values_mut() {
        app.desired = 0;
        app.run(0);
        app.hosts.clear();
        app.address = None;
    }
    site.controller = false;
    site.nodes = 0;
    site.conditions.clear();
    site.namespaces.clear();
    site.certificates.clear();
}
