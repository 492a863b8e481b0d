//! `understudy:workload/workload`.

use serde::{Deserialize, Serialize};

use super::super::World;
use super::super::event::Event;
use super::super::job::{Subject, Work};
use super::super::site::App;
use super::{args, no_such_function, ok, outcome};
use crate::call::{CallError, Outcome, Reply, Request};
use crate::name::SiteName;

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Observation<'a> {
    desired: u32,
    ready: u32,
    database_endpoint: &'a str,
    maintenance: bool,
}

#[derive(Deserialize)]
struct Place {
    site: SiteName,
    app: String,
}

#[derive(Deserialize)]
struct Replicas {
    replicas: u32,
}

#[derive(Deserialize)]
struct Endpoint {
    endpoint: String,
}

#[derive(Deserialize)]
struct Token {
    token: String,
}

#[derive(Deserialize)]
struct Enabled {
    enabled: bool,
}

impl World {
    pub(crate) fn workload(&mut self, request: &Request) -> Reply {
        let Place { site, app } = args(request)?;
        self.reach(&site)?;
        match request.function.function.as_str() {
            "observe" => {
                let app = self.app(&site, &app)?;
                ok(&Observation {
                    desired: app.desired,
                    ready: app.ready(),
                    database_endpoint: &app.endpoint,
                    maintenance: app.asked_maintenance,
                })
            }
            "ensure-scaled" => self.scale(&site, &app, args::<Replicas>(request)?.replicas),
            "ensure-database-endpoint" => {
                let Endpoint { endpoint } = args(request)?;
                self.set(&site, &app, |app| {
                    std::mem::replace(&mut app.endpoint, endpoint.clone()) != endpoint
                })
            }
            "ensure-restarted" => self.restart(&site, &app, args::<Token>(request)?.token),
            "ensure-maintenance" => {
                let Enabled { enabled } = args(request)?;
                let took = self.length(self.durations.settings);
                let answer = self.set(&site, &app, |app| {
                    if took.is_zero() {
                        app.maintenance = enabled;
                    }
                    std::mem::replace(&mut app.asked_maintenance, enabled) != enabled
                });
                if !took.is_zero() {
                    self.schedule(self.now.after(took), Event::SettingsReach(site, app));
                }
                answer
            }
            _ => no_such_function(request),
        }
    }

    /// An application at a site.
    ///
    /// # Errors
    /// `not-found`.
    pub(crate) fn app(&self, site: &SiteName, app: &str) -> Result<&App, CallError> {
        let found = self.sites.get(site).and_then(|site| site.apps.get(app));
        found.ok_or_else(|| CallError::NotFound(format!("no application `{app}` at `{site}`")))
    }

    fn set(&mut self, site: &SiteName, app: &str, change: impl FnOnce(&mut App) -> bool) -> Reply {
        self.app(site, app)?;
        let app = self
            .sites
            .get_mut(site)
            .and_then(|site| site.apps.get_mut(app));
        outcome(if app.is_some_and(change) {
            Outcome::Changed
        } else {
            Outcome::Unchanged
        })
    }

    /// Has so many replicas run.
    ///
    /// # Errors
    /// `not-found`; `conflict` where the site has no room for them.
    pub(crate) fn scale(&mut self, site: &SiteName, name: &str, replicas: u32) -> Reply {
        let app = self.app(site, name)?;
        let (desired, ready, pulled) = (app.desired, app.ready(), app.pulled);
        let room = self.sites.get(site).map_or(0, |found| found.room(site));
        if replicas > room {
            return Err(CallError::Conflict(format!(
                "`{site}` has room for {room} replicas, not {replicas}"
            )));
        }
        let subject = subject(site, name);
        if let Some(busy) = self.busy(&subject) {
            return outcome(busy);
        }
        if desired == replicas && ready == replicas {
            return outcome(Outcome::Unchanged);
        }
        let range = if replicas > ready {
            self.durations.rollout
        } else {
            self.durations.scale_down
        };
        let mut length = self.length(range);
        if replicas > 0 && !pulled {
            length += self.length(self.durations.image_pull);
        }
        if let Some(app) = self
            .sites
            .get_mut(site)
            .and_then(|site| site.apps.get_mut(name))
        {
            app.desired = replicas;
        }
        outcome(self.begin(subject, Work::Scale { replicas }, length))
    }

    /// Restarts every replica once per token.
    ///
    /// # Errors
    /// `not-found`.
    pub(crate) fn restart(&mut self, site: &SiteName, name: &str, token: String) -> Reply {
        let app = self.app(site, name)?;
        if app.restarted.contains(&token) {
            return outcome(Outcome::Unchanged);
        }
        let length = if app.ready() == 0 {
            self.length(self.durations.scale_down)
        } else {
            self.length(self.durations.restart)
        };
        let subject = subject(site, name);
        let busy = self.busy(&subject);
        outcome(busy.unwrap_or_else(|| self.begin(subject, Work::Restart { token }, length)))
    }
}

fn subject(site: &SiteName, app: &str) -> Subject {
    Subject {
        site: site.clone(),
        kind: "app",
        name: app.to_owned(),
    }
}
