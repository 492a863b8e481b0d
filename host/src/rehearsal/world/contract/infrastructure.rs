//! `understudy:infrastructure/infrastructure`.
//!
//! What is promoted, restored or re-seeded outside the code leaves its state drifted, until the code is applied. Destroying a
//! stack takes a site's cluster with its applications; databases outlive it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::World;
use super::super::job::{Subject, Work};
use super::super::site::Site;
use super::{args, no_such_function, ok, outcome};
use crate::call::{CallError, Outcome, Reply, Request};
use crate::clock::Instant;
use crate::name::SiteName;
use crate::rehearsal::scenario::cluster::Namespace;
use crate::rehearsal::scenario::stack::{self, Action, Makes, Pending};
use crate::rehearsal::scenario::start::Monitoring;

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
    pending: BTreeMap<SiteName, Vec<Pending>>,
    /// Sites at which nothing of it is.
    gone: BTreeSet<SiteName>,
    /// What applying it for the first time makes.
    unmade: BTreeMap<SiteName, Made>,
    /// What `T` is.
    start: Instant,
}

/// What a stack has made at a site.
#[derive(Debug, Clone)]
enum Made {
    Cluster {
        nodes: u32,
    },
    Platform {
        namespaces: BTreeMap<String, Namespace>,
        objects: BTreeMap<String, Value>,
        monitoring: Monitoring,
    },
}

impl Made {
    /// Takes it away from a site.
    fn take(makes: Makes, site: &mut Site) -> Self {
        match makes {
            Makes::Cluster => Self::Cluster {
                nodes: std::mem::take(&mut site.nodes),
            },
            Makes::Platform => Self::Platform {
                namespaces: std::mem::take(&mut site.namespaces),
                objects: std::mem::take(&mut site.objects),
                monitoring: std::mem::take(&mut site.monitoring),
            },
        }
    }

    /// Has it be there.
    fn put(self, site: &mut Site) {
        match self {
            Self::Cluster { nodes } => site.nodes = nodes,
            Self::Platform {
                namespaces,
                objects,
                monitoring,
            } => {
                site.namespaces.extend(namespaces);
                site.objects.extend(objects);
                site.monitoring = monitoring;
            }
        }
    }
}

impl Stack {
    /// A stack; where it was never applied, what it makes is taken away from the sites.
    pub(crate) fn new(
        settings: &stack::Stack,
        start: Instant,
        sites: &mut BTreeMap<SiteName, Site>,
    ) -> Self {
        let drifted = settings
            .drifted
            .iter()
            .map(|(site, addresses)| (site.clone(), addresses.iter().cloned().collect()));
        let absent = settings.absent.iter().filter_map(|name| {
            let made = Made::take(settings.makes, sites.get_mut(name)?);
            Some((name.clone(), made))
        });
        let unmade: BTreeMap<SiteName, Made> = absent.collect();
        Self {
            drifted: drifted.collect(),
            pending: settings.pending.clone(),
            settings: settings.clone(),
            gone: unmade.keys().cloned().collect(),
            unmade,
            start,
        }
    }

    /// Everything is as the code says again.
    pub(crate) fn apply(&mut self, name: &SiteName, site: &mut Site) {
        self.drifted.remove(name);
        self.pending.remove(name);
        self.gone.remove(name);
        if let Some(made) = self.unmade.remove(name) {
            made.put(site);
        }
    }

    /// Nothing that it made is left; applied again, it makes the same.
    fn destroy(&mut self, name: &SiteName, site: &mut Site) {
        self.drifted.remove(name);
        self.pending.remove(name);
        if self.gone.insert(name.clone()) {
            let made = Made::take(self.settings.makes, site);
            self.unmade.insert(name.clone(), made);
        }
    }

    /// True where it goes when `other` is destroyed: itself, and what is installed in a cluster with the cluster.
    fn goes_with(&self, other: &Self, own_name: &str, other_name: &str) -> bool {
        own_name == other_name
            || (self.settings.makes, other.settings.makes) == (Makes::Platform, Makes::Cluster)
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
            action: Action::Update,
        };
        let drifted: Vec<Change> = self
            .drifted
            .get(site)
            .into_iter()
            .flatten()
            .map(change)
            .collect();
        let gone = self.gone.contains(site).then(|| Change {
            address: match self.settings.makes {
                Makes::Cluster => "cluster".to_owned(),
                Makes::Platform => "platform".to_owned(),
            },
            action: Action::Create,
        });
        let pending = self.pending.get(site).into_iter().flatten();
        let pending = pending.map(|pending| Change {
            address: pending.address.clone(),
            action: pending.action,
        });
        Difference {
            changes: drifted.iter().cloned().chain(gone).chain(pending).collect(),
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
    action: Action,
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
                        stack.gone.contains(&site),
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

    /// Nothing is left at a site of what a stack made there, or of what stood on it.
    pub(crate) fn destroy_stack(&mut self, subject: &Subject) {
        let (Some(site), Some(gone)) = (
            self.sites.get_mut(&subject.site),
            self.stacks.get(&subject.name).cloned(),
        ) else {
            return;
        };
        for (name, stack) in &mut self.stacks {
            let is_there = stack.settings.sites.contains(&subject.site);
            if is_there && stack.goes_with(&gone, name, &subject.name) {
                stack.destroy(&subject.site, site);
            }
        }
        tear_down(site);
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
            // What is installed in a cluster has no databases.
            let has_databases = stack.settings.makes == Makes::Cluster;
            if has_databases && stack.settings.sites.contains(&site) {
                let drifted = stack.drifted.entry(site.clone()).or_default();
                drifted.insert(format!("database.{database}"));
            }
        }
    }
}

/// A site without what runs in its cluster.
fn tear_down(site: &mut Site) {
    for app in site.apps.values_mut() {
        app.desired = 0;
        app.run(0);
        app.hosts.clear();
        app.address = None;
    }
    site.controller = false;
    site.certificates.clear();
    if site.nodes == 0 {
        site.conditions.clear();
    }
}
