//! Work that a control plane has accepted and not finished: how `ensure-*` functions answer `in-progress`.
//!
//! At most one job per subject (a database or an application at a site, …) goes on at a time. A job dies with its site.
//! A control plane knows what its work still takes and says so, as vendors do by `Retry-After`: callers need not ask
//! before.

use std::time::Duration;

use super::history::Point;
use super::site::Condition;
use super::{Event, World};
use crate::call::{CallError, Operation, Outcome};
use crate::clock::{Instant, millis};
use crate::name::SiteName;

/// What is worked on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Subject {
    pub(crate) site: SiteName,
    /// For example `database`.
    pub(crate) kind: &'static str,
    pub(crate) name: String,
}

/// What is done to it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Work {
    Promote,
    Attach {
        source: SiteName,
    },
    Reseed {
        source: SiteName,
    },
    Restore {
        token: String,
        point: Point,
        corrupt: Option<String>,
    },
    Migrate {
        version: String,
    },
    Backup {
        id: String,
    },
    Scale {
        replicas: u32,
    },
    Restart {
        token: String,
    },
    Controller,
    Expose {
        hosts: Vec<String>,
    },
    Certificate {
        dns_names: Vec<String>,
        issuer: String,
    },
    TestCertificate {
        token: String,
    },
    Apply,
    Destroy,
}

impl Work {
    fn describe(&self) -> &'static str {
        match self {
            Self::Promote => "promotion",
            Self::Attach { .. } => "attaching the replica",
            Self::Reseed { .. } => "copying the data to the replica",
            Self::Restore { .. } => "restore",
            Self::Migrate { .. } => "migration",
            Self::Backup { .. } => "backup",
            Self::Scale { .. } => "scaling",
            Self::Restart { .. } => "rolling restart",
            Self::Controller => "installing the ingress controller",
            Self::Expose { .. } => "address of the load balancer",
            Self::Certificate { .. } | Self::TestCertificate { .. } => "issuance",
            Self::Apply => "applying",
            Self::Destroy => "destruction",
        }
    }
}

/// Accepted work.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) id: u64,
    pub(crate) work: Work,
    /// When it is done if nothing comes in between.
    due: Instant,
}

impl World {
    /// The answer while something is being done to `subject`.
    pub(crate) fn busy(&self, subject: &Subject) -> Option<Outcome> {
        let job = self.jobs.get(subject)?;
        Some(Outcome::InProgress(Operation {
            id: format!("op-{}", job.id),
            description: format!(
                "{} of {} at {}",
                job.work.describe(),
                subject.name,
                subject.site
            ),
            poll_after_ms: self.look_after_ms(millis(job.due.since(self.now))),
        }))
    }

    /// Accepts work that takes `length`, or as long as was measured; what was measured to take no time is done at once.
    pub(crate) fn begin(&mut self, subject: Subject, work: Work, length: Duration) -> Outcome {
        let length = self.pace.work.map_or(length, |range| self.length(range));
        self.next_job += 1;
        let job = Job {
            id: self.next_job,
            work,
            due: self.now.after(length),
        };
        if self.pace.work.is_some() && length.is_zero() {
            let id = job.id;
            self.jobs.insert(subject.clone(), job);
            self.finish(&subject, id);
            return Outcome::Changed;
        }
        self.schedule(job.due, Event::JobDone(subject.clone(), job.id));
        self.jobs.insert(subject.clone(), job);
        self.busy(&subject).unwrap_or(Outcome::Changed)
    }

    /// A site has died: whatever was worked on there is not worked on any more.
    pub(crate) fn drop_jobs(&mut self, site: &SiteName) {
        let (dead, alive) = std::mem::take(&mut self.jobs)
            .into_iter()
            .partition(|(subject, _)| &subject.site == site);
        self.jobs = alive;
        let dead: std::collections::BTreeMap<Subject, Job> = dead;
        for (subject, job) in dead {
            if matches!(job.work, Work::Reseed { .. } | Work::Restore { .. }) {
                self.break_copy(&subject);
            }
        }
    }

    pub(crate) fn finish(&mut self, subject: &Subject, id: u64) {
        if self.jobs.get(subject).is_none_or(|job| job.id != id) {
            return;
        }
        let Some(job) = self.jobs.remove(subject) else {
            return;
        };
        self.hide_work(subject.kind);
        match job.work {
            Work::Promote
            | Work::Attach { .. }
            | Work::Reseed { .. }
            | Work::Restore { .. }
            | Work::Migrate { .. }
            | Work::Backup { .. } => {
                self.finish_database(subject, job.work);
            }
            work => self.finish_at_site(subject, work),
        }
    }

    fn finish_at_site(&mut self, subject: &Subject, work: Work) {
        let now = self.now;
        let validity = match &work {
            Work::Certificate { issuer, .. } => self
                .issuers
                .get(issuer)
                .map(|issuer| issuer.settings.validity.get()),
            _ => None,
        };
        let Some(site) = self.sites.get_mut(&subject.site) else {
            return;
        };
        match work {
            Work::Scale { replicas } => {
                if let Some(app) = site.apps.get_mut(&subject.name) {
                    app.run(replicas);
                }
            }
            Work::Restart { token } => {
                if let Some(app) = site.apps.get_mut(&subject.name) {
                    app.restart();
                    app.restarted.insert(token);
                }
            }
            Work::Controller => site.controller = true,
            Work::Expose { hosts } => {
                let new = site.new_addresses.pop_front();
                let address = new.unwrap_or_else(|| site.address.clone());
                if let Some(app) = site.apps.get_mut(&subject.name) {
                    app.hosts = hosts.into_iter().collect();
                    app.address = Some(address);
                }
            }
            Work::Certificate { dns_names, issuer } => {
                let not_after = now.after(validity.unwrap_or_default());
                let certificate = super::site::Certificate {
                    dns_names: dns_names.into_iter().collect(),
                    issuer,
                    not_before: now,
                    not_after,
                };
                site.certificates.insert(subject.name.clone(), certificate);
                self.schedule(not_after, Event::Boundary);
            }
            Work::TestCertificate { token } => {
                site.test_issued.insert(token);
            }
            Work::Apply => {
                if let Some(stack) = self.stacks.get_mut(&subject.name) {
                    stack.apply(&subject.site, site);
                }
            }
            Work::Destroy => self.destroy_stack(subject),
            _ => {}
        }
    }

    /// Whether operators reach a site.
    ///
    /// # Errors
    /// `unavailable`, after the time it takes to give up.
    pub(crate) fn reach(&mut self, site: &SiteName) -> Result<(), CallError> {
        match self.sites.get(site).map(|site| site.condition) {
            Some(Condition::Up) => Ok(()),
            Some(_) => {
                self.took = self.give_up_after();
                Err(CallError::unavailable(format!(
                    "no connection to site `{site}`"
                )))
            }
            None => Err(CallError::Invalid(format!(
                "there is no site `{site}` in this world"
            ))),
        }
    }

    pub(crate) fn give_up_after(&self) -> Duration {
        let measured = self.pace.given_up;
        let range = measured.unwrap_or(self.durations.connect_timeout);
        self.draws.within(range, "connect-timeout", "", self.now.0)
    }

    /// A length drawn for the work that the current call begins.
    pub(crate) fn length(&self, range: crate::rehearsal::scenario::time::Range) -> Duration {
        self.draws.within(range, "work", &self.key, 0)
    }

    pub(crate) fn schedule(&mut self, at: Instant, event: Event) {
        self.next_event += 1;
        self.queue.insert((at, self.next_event), event);
    }
}
