//! `understudy:probe/probe`: what one user sees, and what a few resolvers and those who ask them see.

use serde::{Deserialize, Serialize};

use super::super::World;
use super::super::database::State;
use super::super::site::Condition;
use super::{args, no_such_function, ok, outcome};
use crate::call::{CallError, Operation, Outcome, Reply, Request};
use crate::capability::probe::{LOOK_MS, POLL_AFTER_MS, is_most};
use crate::clock::millis;
use crate::name::SiteName;
use crate::rehearsal::scenario::{JourneyStart, Need};

/// How long a journey waits for a response that does not come, in milliseconds.
const GIVE_UP_MS: u64 = 10_000;

#[derive(Deserialize, Clone, Copy, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Entry {
    Public,
    Direct,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct JourneyStep {
    name: String,
    status: u16,
    zone: Option<SiteName>,
    took_ms: u64,
    problem: Option<String>,
}

#[derive(Serialize)]
struct JourneyReport {
    passed: bool,
    steps: Vec<JourneyStep>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Answer {
    resolver: String,
    values: Vec<String>,
    ttl_seconds: u32,
    problem: Option<String>,
}

#[derive(Serialize)]
struct Vantage {
    resolver: String,
    passed: bool,
    status: u16,
    zone: Option<SiteName>,
    problem: Option<String>,
}

#[derive(Deserialize)]
struct Served {
    site: SiteName,
    journey: String,
}

#[derive(Deserialize)]
struct Journey {
    site: SiteName,
    journey: String,
    entry: Entry,
}

#[derive(Deserialize)]
struct Consecutive {
    consecutive: u32,
}

#[derive(Deserialize)]
struct Name {
    name: String,
    kind: String,
}

#[derive(Deserialize)]
struct Converged {
    values: Vec<String>,
    percent: u32,
}

fn answered_by_another(site: &SiteName, expected: &SiteName) -> Option<String> {
    (site != expected).then(|| format!("answered by `{site}`, not `{expected}`"))
}

fn took_ms(report: &JourneyReport) -> u64 {
    report.steps.iter().map(|step| step.took_ms).sum()
}

impl World {
    pub(crate) fn probe(&mut self, request: &Request) -> Reply {
        match request.function.function.as_str() {
            "observe-journey" => ok(&self.walk(&args(request)?)?),
            "ensure-journey" => {
                self.ensure_journey(&args(request)?, args::<Consecutive>(request)?.consecutive)
            }
            "observe-vantages" => self.observe_vantages(&args(request)?),
            "ensure-served" => self.ensure_served(&args(request)?),
            "observe-names" => ok(&self.ask_resolvers(&args(request)?)),
            "ensure-converged" => self.ensure_converged(&args(request)?, args(request)?),
            _ => no_such_function(request),
        }
    }

    fn walk(&mut self, journey: &Journey) -> Result<JourneyReport, CallError> {
        let address = match journey.entry {
            Entry::Public => self.population.public_address(&self.zone, self.now),
            Entry::Direct => self.sites.get(&journey.site).and_then(|site| {
                site.apps
                    .get(&self.clients.app)
                    .and_then(|app| app.address.clone())
            }),
        };
        let cached = match journey.entry {
            Entry::Public => self.answered_by_edge(0, 1).cloned(),
            Entry::Direct => None,
        };
        let (name, site) = (&journey.journey, &journey.site);
        let report = self.walk_to(address.as_deref(), cached, name, site)?;
        self.took += std::time::Duration::from_millis(took_ms(&report));
        Ok(report)
    }

    /// A journey at an address, expecting every response from `site`. Where it only reads, a cache near the user answers
    /// it with what it holds.
    fn walk_to(
        &mut self,
        address: Option<&str>,
        cached: Option<SiteName>,
        journey: &str,
        site: &SiteName,
    ) -> Result<JourneyReport, CallError> {
        let Some(steps) = self.journeys.get(journey).cloned() else {
            return Err(CallError::NotFound(format!("no journey `{journey}`")));
        };
        let mut report = JourneyReport {
            passed: true,
            steps: Vec::new(),
        };
        let reads = |step: &JourneyStart| step.needs.iter().all(|need| *need == Need::Read);
        let cached = cached.filter(|_| steps.iter().all(reads));
        for (place, step) in steps.into_iter().enumerate() {
            let step = match &cached {
                Some(holds) => self.cached(&step.name, holds, site, place),
                None => self.request(&step.name, &step.needs, address, site, place),
            };
            report.passed &= step.problem.is_none();
            report.steps.push(step);
            if !report.passed {
                break;
            }
        }
        Ok(report)
    }

    /// The journey from every vantage point at once, with the time each took in milliseconds.
    fn look_around(&mut self, served: &Served) -> Result<Vec<(u64, Vantage)>, CallError> {
        let addresses = self.population.addresses(&self.zone, self.now);
        if addresses.is_empty() {
            return Err(CallError::NotFound("no resolvers".to_owned()));
        }
        let mut vantages = Vec::new();
        let of = addresses.len();
        for (place, (resolver, address)) in addresses.into_iter().enumerate() {
            let cached = self.answered_by_edge(place, of).cloned();
            let (name, site) = (&served.journey, &served.site);
            let report = self.walk_to(address.as_deref(), cached, name, site)?;
            let last = report.steps.last();
            let vantage = Vantage {
                resolver,
                passed: report.passed,
                status: last.map_or(0, |step| step.status),
                zone: last.and_then(|step| step.zone.clone()),
                problem: last.and_then(|step| step.problem.clone()),
            };
            vantages.push((took_ms(&report).min(LOOK_MS), vantage));
        }
        vantages.sort_by_key(|(took_ms, _)| *took_ms);
        Ok(vantages)
    }

    fn observe_vantages(&mut self, served: &Served) -> Reply {
        let vantages = self.look_around(served)?;
        let longest = vantages.last().map_or(0, |(took_ms, _)| *took_ms);
        self.took += std::time::Duration::from_millis(longest);
        let mut vantages: Vec<Vantage> = vantages.into_iter().map(|(_, seen)| seen).collect();
        vantages.sort_by(|a, b| a.resolver.cmp(&b.resolver));
        ok(&vantages)
    }

    fn ensure_served(&mut self, served: &Served) -> Reply {
        let vantages = self.look_around(served)?;
        let (mut passed, mut until) = (0, 0);
        for (took_ms, vantage) in &vantages {
            (passed, until) = (passed + usize::from(vantage.passed), *took_ms);
            if is_most(passed, vantages.len()) {
                break;
            }
        }
        self.took += std::time::Duration::from_millis(until);
        if is_most(passed, vantages.len()) {
            return outcome(Outcome::Unchanged);
        }
        outcome(Outcome::InProgress(Operation {
            id: format!("most users at {}", served.site),
            description: format!("served at {passed} of {} vantage points", vantages.len()),
            poll_after_ms: self.look_ms(POLL_AFTER_MS),
        }))
    }

    /// How long a request of a journey takes, in milliseconds.
    fn request_ms(&self, place: usize) -> u64 {
        let place = u64::try_from(place).unwrap_or(0);
        let range = self.durations.journey_step;
        millis(self.draws.within(range, "journey", &self.key, place))
    }

    /// One request of a journey that a cache answers with what `holds` said.
    fn cached(
        &self,
        name: &str,
        holds: &SiteName,
        expected: &SiteName,
        place: usize,
    ) -> JourneyStep {
        JourneyStep {
            name: name.to_owned(),
            status: 200,
            zone: Some(holds.clone()),
            took_ms: self.request_ms(place),
            problem: answered_by_another(holds, expected),
        }
    }

    /// One request of a journey, from the address on.
    fn request(
        &mut self,
        name: &str,
        needs: &[Need],
        address: Option<&str>,
        expected: &SiteName,
        place: usize,
    ) -> JourneyStep {
        let took = self.request_ms(place);
        let mut step = JourneyStep {
            name: name.to_owned(),
            status: 0,
            zone: None,
            took_ms: took,
            problem: None,
        };
        let Some((site, condition)) = address.and_then(|address| {
            let (name, site, _) = self.entry(address)?;
            Some((name.clone(), site.condition))
        }) else {
            step.took_ms = GIVE_UP_MS;
            step.problem = Some("no response".to_owned());
            return step;
        };
        // A user's way in is not the operators': a site that is cut off from them may answer users.
        if condition == Condition::Down {
            step.problem = Some("no response".to_owned());
            return step;
        }
        match self.respond(&site, needs) {
            Ok(()) => {
                step.status = 200;
                step.problem = answered_by_another(&site, expected);
                step.zone = Some(site);
            }
            Err((status, problem)) => {
                step.status = status;
                step.zone = (status > 0).then_some(site);
                step.problem = Some(problem);
            }
        }
        step
    }

    /// What a site answers to a request that needs this much; a request that writes leaves a write behind.
    fn respond(&mut self, site: &SiteName, needs: &[Need]) -> Result<(), (u16, String)> {
        let name = self.clients.name.clone();
        let found = self.sites.get(site);
        let certificate = found.and_then(|site| site.certificate_for(&name, self.now));
        if certificate.is_none_or(|certificate| certificate.not_after <= self.now) {
            return Err((0, format!("no valid certificate for {name}")));
        }
        let Some(app) = found.and_then(|site| site.apps.get(&self.clients.app)) else {
            return Err((404, "no application".to_owned()));
        };
        if !app.hosts.contains(&name) {
            return Err((404, format!("it does not answer for {name}")));
        }
        let Some(group) = app.running.first().filter(|_| app.ready() > 0) else {
            return Err((503, "no replica is ready".to_owned()));
        };
        let (endpoint, maintenance) = (group.endpoint.clone(), app.maintenance);
        for need in needs {
            match need {
                Need::Read => self.use_database(site, &endpoint, false)?,
                Need::Write if maintenance => return Err((503, "maintenance".to_owned())),
                Need::Write => self.use_database(site, &endpoint, true)?,
                Need::Bucket(bucket) if !self.buckets.contains_key(bucket) => {
                    return Err((500, format!("no bucket `{bucket}`")));
                }
                Need::Bucket(bucket) if self.is_closed(bucket, site) => {
                    return Err((500, format!("bucket `{bucket}` refuses the upload")));
                }
                Need::Bucket(_) => {}
            }
        }
        Ok(())
    }

    /// Whether a bucket refuses what a site uploads.
    pub(crate) fn is_closed(&self, bucket: &str, site: &SiteName) -> bool {
        let bucket = self.buckets.get(bucket);
        bucket.is_some_and(|bucket| bucket.closed_to.contains(site))
    }

    fn use_database(
        &mut self,
        site: &SiteName,
        endpoint: &str,
        write: bool,
    ) -> Result<(), (u16, String)> {
        let no_database = || (500, "error establishing a database connection".to_owned());
        let (database, at) = self.behind(site, endpoint).ok_or_else(no_database)?;
        let copy = database.copies.get(at).ok_or_else(no_database)?;
        let branch = match copy.state {
            State::Absent | State::Broken => return Err(no_database()),
            State::Primary(branch) if !copy.refuses_writes(self.now) => Some(branch),
            State::Primary(_) | State::Replica(_) => None,
        };
        if !write {
            return Ok(());
        }
        let Some(branch) = branch else {
            return Err((500, "the database is read-only".to_owned()));
        };
        let (name, now) = (database.name.clone(), self.now);
        if let Some(database) = self.databases.get_mut(&name) {
            database.history.write_own(branch, now);
        }
        Ok(())
    }

    fn ensure_journey(&mut self, journey: &Journey, consecutive: u32) -> Reply {
        let report = self.walk(journey)?;
        let streak = self.asked.streaks.entry(self.key.clone()).or_default();
        *streak = if report.passed { *streak + 1 } else { 0 };
        if *streak >= consecutive {
            return outcome(Outcome::Unchanged);
        }
        let problem = report.steps.into_iter().find_map(|step| step.problem);
        let waiting = problem.unwrap_or_else(|| format!("{streak} of {consecutive} in a row"));
        outcome(self.wait(format!("journey {}", journey.journey), waiting))
    }

    fn ask_resolvers(&mut self, name: &Name) -> Vec<Answer> {
        let answers = self
            .population
            .ask(&self.zone, &name.name, &name.kind, self.now);
        let answer = |(resolver, answer): (String, super::super::resolver::Answer)| Answer {
            resolver,
            values: answer.values,
            ttl_seconds: answer.ttl_seconds,
            problem: None,
        };
        answers.into_iter().map(answer).collect()
    }

    fn ensure_converged(&mut self, name: &Name, mut converged: Converged) -> Reply {
        converged.values.sort();
        let answers = self.ask_resolvers(name);
        let there = answers
            .iter()
            .filter(|answer| answer.values == converged.values)
            .count();
        let wanted = usize::try_from(converged.percent).unwrap_or(usize::MAX);
        if there.saturating_mul(100) >= answers.len().saturating_mul(wanted) {
            return outcome(Outcome::Unchanged);
        }
        let description = format!("{there} of {} resolvers follow", answers.len());
        outcome(self.wait(format!("resolvers of {}", name.name), description))
    }
}
