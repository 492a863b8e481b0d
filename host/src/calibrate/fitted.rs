//! The scenario: what was measured, laid over one that says what the world is like otherwise.

use toml::{Table, Value};

use super::spread::Spread;
use super::{CalibrateError, Calibration};
use crate::clock::millis;
use crate::mediation::POLL;
use crate::rehearsal::scenario::Scenario;
use crate::rehearsal::scenario::contracts::{WAITING, functions};
use crate::rehearsal::scenario::events::Action;

/// Added to the name of the scenario that was fitted.
const SUFFIX: &str = "calibrated";

impl Calibration {
    /// The text of a scenario: `base`, with the times that were measured. What `base` does not have is left out.
    ///
    /// # Errors
    /// [`CalibrateError::Base`] where `base` is no scenario, [`CalibrateError::Fitted`] where what was measured does not go
    /// with it.
    pub fn fit(&self, base: &str) -> Result<String, CalibrateError> {
        let start =
            Scenario::parse(base).map_err(|error| CalibrateError::Base(error.to_string()))?;
        let unreadable = |error: toml::de::Error| CalibrateError::Base(error.message().to_owned());
        let mut table: Table = base.parse().map_err(unreadable)?;
        let name = format!("{}-{SUFFIX}", start.name);
        let summary = format!("{}; with the times of {}", start.summary, self.run);
        table.insert("name".to_owned(), name.into());
        table.insert("summary".to_owned(), summary.into());
        put(&mut table, &["world", "start"], self.started_at.to_string());
        self.put_times(&mut table, &start);
        self.put_found(&mut table);
        self.put_detection(&mut table, &start);
        self.put_returns(&mut table, &start);
        let written = toml::to_string(&table);
        let written = written.map_err(|error| CalibrateError::Base(error.to_string()))?;
        let text = format!(
            "# Scenario `{}` with the times of run {}, written by `understudy calibrate`.\n{written}",
            start.name, self.run
        );
        Scenario::parse(&text)?;
        Ok(text)
    }

    fn put_times(&self, table: &mut Table, start: &Scenario) {
        let mut timings = Vec::new();
        for (asked, times) in &self.calls {
            let (contract, function) = asked.call.split_once('/').unwrap_or_default();
            let known = |site| start.sites.contains_key(site);
            if !functions(contract).contains(&function) || !asked.site.iter().all(known) {
                continue;
            }
            let mut timing = Table::new();
            timing.insert("call".to_owned(), asked.call.clone().into());
            if let Some(site) = &asked.site {
                timing.insert("site".to_owned(), site.as_str().into());
            }
            if let Some(step) = &asked.step {
                timing.insert("step".to_owned(), step.as_str().into());
            }
            // In its own step a call takes as long as it did: what is drawn is for everything else.
            let spread = |spread: &Spread| match asked.step {
                Some(_) => spread.mean_ms().map(|mean| (mean, mean)),
                None => spread.range_ms(),
            };
            let waits = WAITING.contains(&asked.call.as_str());
            // Who was never told to wait was asked as soon as can be.
            let look = times
                .look
                .range_ms()
                .map_or(*POLL.start(), |(least, _)| least);
            let fields = [
                ("answer", spread(&times.answer).map(range)),
                ("work", spread(&times.work).filter(|_| !waits).map(range)),
                ("look", waits.then(|| length(look).into())),
                ("given-up", spread(&times.given_up).map(range)),
            ];
            for (name, value) in fields {
                timing.extend(value.map(|value| (name.to_owned(), value)));
            }
            timings.push(Value::Table(timing));
        }
        table.insert("timings".to_owned(), Value::Array(timings));
        if let Some(read) = self.reads.range_ms() {
            put(table, &["durations", "api"], range(read));
        }
        if let Some(given_up) = self.given_up.range_ms() {
            put(table, &["durations", "connect-timeout"], range(given_up));
        }
        for (role, took) in &self.people {
            if let Some(took) = took.range_ms() {
                put(table, &["people", role.as_str(), "after"], range(took));
            }
        }
        for (target, followed) in &self.propagation {
            for (name, took) in [("most", followed.most), ("all", followed.all)] {
                let took = length(millis(took));
                put(table, &["resolvers", "follow", target, name], took);
            }
        }
    }

    fn put_found(&self, table: &mut Table) {
        if let Some(seconds) = self.found.min_ttl_seconds {
            put(table, &["dns", "min-ttl-seconds"], signed(seconds));
        }
        let records = table
            .get_mut("dns")
            .and_then(|dns| dns.get_mut("records")?.as_array_mut());
        for record in records
            .into_iter()
            .flatten()
            .filter_map(Value::as_table_mut)
        {
            let text = |field: &str| Some(record.get(field)?.as_str()?.to_owned());
            let found = text("name")
                .zip(text("kind"))
                .and_then(|place| self.found.ttl_seconds.get(&place));
            if let Some(seconds) = found {
                record.insert("ttl-seconds".to_owned(), signed(*seconds));
            }
        }
        for ((site, app), replicas) in &self.found.replicas {
            let path = ["sites", site.as_str(), "apps", app, "replicas"];
            put_known(table, &path, signed(*replicas));
        }
        for (database, lag) in &self.found.lag {
            if let Some(lag) = lag.range_ms() {
                // Where a change spends the time on its way is not seen.
                put_known(table, &["databases", database, "receive-lag"], range(lag));
                put_known(table, &["databases", database, "apply-lag"], length(0));
            }
        }
    }

    /// The outage begins as long before the run as was measured: what comes before the run moves by as much.
    fn put_detection(&self, table: &mut Table, start: &Scenario) {
        let from = start.world.start;
        let before = start
            .injects
            .iter()
            .map(|inject| inject.at.from_start(from));
        let (Some(measured), Some(first)) = (self.found.outage_before_ms, before.min()) else {
            return;
        };
        let was = millis(from.since(first));
        if was == 0 {
            return;
        }
        let injects = table.get_mut("injects").and_then(Value::as_array_mut);
        for (inject, known) in injects.into_iter().flatten().zip(&start.injects) {
            let before = millis(from.since(known.at.from_start(from)));
            if before == 0 {
                continue;
            }
            let moved = measured.saturating_sub(was - before);
            if let Some(inject) = inject.as_table_mut() {
                inject.insert("at".to_owned(), format!("T-{}", length(moved)).into());
            }
        }
    }
}

impl Calibration {
    /// A site that came back during the run comes back when it did.
    fn put_returns(&self, table: &mut Table, start: &Scenario) {
        let mut any = false;
        let injects = table.get_mut("injects").and_then(Value::as_array_mut);
        for (inject, known) in injects.into_iter().flatten().zip(&start.injects) {
            let Action::HealSite(site) = &known.action else {
                continue;
            };
            let at = self.found.returned.get(site.as_ref());
            if let (Some(at), Some(inject)) = (at, inject.as_table_mut()) {
                let after = length(millis(at.since(self.started_at)));
                inject.insert("at".to_owned(), format!("T+{after}").into());
                any = true;
            }
        }
        if any {
            // It was seen to answer: what it took to get there is over.
            put(table, &["durations", "boot"], length(0));
        }
    }
}

/// Puts a value where the path leads; tables on the way are made where there are none.
fn put(table: &mut Table, path: &[&str], value: impl Into<Value>) {
    let Some((last, way)) = path.split_last() else {
        return;
    };
    let mut place = table;
    for name in way {
        let next = place
            .entry((*name).to_owned())
            .or_insert_with(|| Value::Table(Table::new()));
        let Value::Table(next) = next else {
            return;
        };
        place = next;
    }
    place.insert((*last).to_owned(), value.into());
}

/// The same where the table that is to hold it is there.
fn put_known(table: &mut Table, path: &[&str], value: impl Into<Value>) {
    let way = path.split_last().map(|(_, way)| way).unwrap_or_default();
    let mut place = Some(&*table);
    for name in way {
        place = place.and_then(|place| place.get(*name)?.as_table());
    }
    if place.is_some() {
        put(table, path, value);
    }
}

/// A range as scenarios write it.
fn range((least, most): (u64, u64)) -> Value {
    if least == most {
        return length(least).into();
    }
    let ends = [("min", least), ("max", most)];
    let ends = ends.map(|(name, ms)| (name.to_owned(), Value::from(length(ms))));
    Value::Table(ends.into_iter().collect())
}

/// A length as scenarios write it.
fn length(ms: u64) -> String {
    if ms.is_multiple_of(1_000) {
        format!("{}s", ms / 1_000)
    } else {
        format!("{ms}ms")
    }
}

fn signed(number: u64) -> Value {
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}
