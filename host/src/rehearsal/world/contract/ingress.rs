//! `understudy:ingress/ingress`.

use serde::{Deserialize, Serialize};

use super::super::World;
use super::super::job::{Subject, Work};
use super::{args, no_such_function, ok, outcome};
use crate::call::{CallError, Outcome, Reply, Request};
use crate::name::SiteName;

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Observation<'a> {
    controller_ready: bool,
    addresses: Vec<&'a str>,
    hosts: Vec<&'a str>,
    healthy: bool,
}

#[derive(Deserialize)]
struct Site {
    site: SiteName,
}

#[derive(Deserialize)]
struct App {
    app: String,
}

#[derive(Deserialize)]
struct Hosts {
    hosts: Vec<String>,
}

impl World {
    pub(crate) fn ingress(&mut self, request: &Request) -> Reply {
        let Site { site } = args(request)?;
        self.reach(&site)?;
        match request.function.function.as_str() {
            "observe" => self.observe_ingress(&site, &args::<App>(request)?.app),
            "ensure-controller" => self.ensure_controller(site),
            "ensure-exposed" => self.ensure_exposed(
                site,
                args::<App>(request)?.app,
                args::<Hosts>(request)?.hosts,
            ),
            "ensure-unexposed" => self.ensure_unexposed(&site, &args::<App>(request)?.app),
            _ => no_such_function(request),
        }
    }

    fn observe_ingress(&self, site: &SiteName, app: &str) -> Reply {
        let app = self.app(site, app)?;
        ok(&Observation {
            controller_ready: self.sites.get(site).is_some_and(|site| site.controller),
            addresses: app.address.iter().map(String::as_str).collect(),
            hosts: app.hosts.iter().map(String::as_str).collect(),
            healthy: app.address.is_some() && app.ready() > 0,
        })
    }

    fn ensure_controller(&mut self, site: SiteName) -> Reply {
        if self.sites.get(&site).is_some_and(|site| site.controller) {
            return outcome(Outcome::Unchanged);
        }
        let subject = Subject {
            site,
            kind: "ingress",
            name: "controller".to_owned(),
        };
        let length = self.length(self.durations.controller);
        let busy = self.busy(&subject);
        outcome(busy.unwrap_or_else(|| self.begin(subject, Work::Controller, length)))
    }

    fn ensure_exposed(&mut self, site: SiteName, name: String, hosts: Vec<String>) -> Reply {
        if hosts.is_empty() {
            return Err(CallError::Invalid(
                "exposed under no host name; use ensure-unexposed".to_owned(),
            ));
        }
        if !self.sites.get(&site).is_some_and(|site| site.controller) {
            return Err(CallError::Conflict(format!(
                "no ingress controller runs at `{site}`"
            )));
        }
        let app = self.app(&site, &name)?;
        let same =
            app.hosts.len() == hosts.len() && hosts.iter().all(|host| app.hosts.contains(host));
        let has_address = app.address.is_some();
        if same && has_address {
            return outcome(Outcome::Unchanged);
        }
        let subject = Subject {
            site,
            kind: "ingress",
            name,
        };
        if let Some(busy) = self.busy(&subject) {
            return outcome(busy);
        }
        if has_address {
            // The load balancer stays; only what it answers for changes.
            let app = self
                .sites
                .get_mut(&subject.site)
                .and_then(|site| site.apps.get_mut(&subject.name));
            if let Some(app) = app {
                app.hosts = hosts.into_iter().collect();
            }
            return outcome(Outcome::Changed);
        }
        let length = self.length(self.durations.load_balancer);
        outcome(self.begin(subject, Work::Expose { hosts }, length))
    }

    fn ensure_unexposed(&mut self, site: &SiteName, name: &str) -> Reply {
        self.app(site, name)?;
        let app = self
            .sites
            .get_mut(site)
            .and_then(|site| site.apps.get_mut(name));
        let exposed = app.is_some_and(|app| {
            let exposed = app.address.take().is_some();
            app.hosts.clear();
            exposed
        });
        outcome(if exposed {
            Outcome::Changed
        } else {
            Outcome::Unchanged
        })
    }
}
