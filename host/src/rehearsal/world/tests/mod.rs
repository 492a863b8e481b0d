//! Tests of the world through its front door, [`World::call`], in the place of the host: [`Hand`] makes calls and waits
//! as the mediation does.

mod by_hand;
mod clusters;
mod edge;
mod infrastructure;
mod models;
mod paces;
mod planes;
mod shape;
mod sight;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{GateQuestion, World};
use crate::call::{CallError, CallSite, Direction, FunctionName, IdempotencyKey, Reply, Request};
use crate::clock::Instant;
use crate::journal::record::{Choice, GateKind};
use crate::name::SiteName;
use crate::rehearsal::scenario::Scenario;
use crate::rehearsal::truth::Truth;

/// Most attempts at one call.
const MAX_ATTEMPTS: u32 = 2_000;

pub(super) fn scenario(name: &str) -> Scenario {
    Scenario::parse(&text(name)).unwrap()
}

pub(super) fn text(name: &str) -> String {
    let folder = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../runbooks/wordpress/scenarios"
    );
    std::fs::read_to_string(format!("{folder}/{name}.toml")).unwrap()
}

/// Those that it says something of.
pub(super) fn sites(scenario: &Scenario) -> Vec<SiteName> {
    scenario.sites.keys().cloned().collect()
}

/// Somebody who makes calls.
pub(super) struct Hand {
    pub(super) world: World,
    pub(super) now: Instant,
    ordinal: u32,
    pub(super) answers: Vec<String>,
}

impl Hand {
    pub(super) fn new(scenario: &Scenario, seed: u64) -> Self {
        let start = scenario.world.start;
        Self {
            world: World::new(scenario, &sites(scenario), seed, start),
            now: start,
            ordinal: 0,
            answers: Vec::new(),
        }
    }

    pub(super) fn wait(&mut self, length: Duration) {
        self.now = self.now.after(length);
    }

    pub(super) fn wait_until(&mut self, at: Instant) {
        self.now = self.now.max(at);
    }

    /// One attempt with the key of the newest call.
    fn attempt(&mut self, call: &str, args: &Value) -> Reply {
        let (contract, function) = call.split_once('/').unwrap();
        let args: Map<String, Value> = args.as_object().unwrap().clone();
        let request = Request {
            function: FunctionName {
                interface: format!("understudy:{contract}/{contract}@0.1.0")
                    .parse()
                    .unwrap(),
                function: function.to_owned(),
            },
            args: args.into(),
            key: IdempotencyKey(format!("run-1/{}", self.ordinal)),
            site: CallSite {
                step: "replica/step".parse().unwrap(),
                direction: Direction::Run,
                attempt: 1,
                ordinal: self.ordinal,
            },
            deadline: self.now.after(Duration::from_secs(3_600)),
        };
        let served = self.world.call(self.now, &request);
        self.wait(served.took);
        self.answers
            .push(format!("{} {call} {:?}", self.now.0, served.reply));
        served.reply
    }

    /// One attempt at a new call, as it comes.
    pub(super) fn once(&mut self, call: &str, args: Value) -> Reply {
        self.ordinal += 1;
        self.attempt(call, &args)
    }

    /// A call as the host makes it: waits while it is in progress, and tries again what is unavailable.
    pub(super) fn call(&mut self, call: &str, args: Value) -> Reply {
        self.ordinal += 1;
        for _ in 0..MAX_ATTEMPTS {
            match self.attempt(call, &args) {
                Ok(value) if value.get("in-progress").is_some() => {
                    let after = value["in-progress"]["poll-after-ms"].as_u64().unwrap();
                    self.wait(Duration::from_millis(after));
                }
                Err(CallError::Unavailable(hint)) => {
                    self.wait(Duration::from_millis(hint.after_ms.unwrap_or(2_000)));
                }
                reply => return reply,
            }
        }
        panic!("{call} never ends");
    }

    /// A call that must succeed.
    pub(super) fn must(&mut self, call: &str, args: Value) -> Value {
        self.call(call, args)
            .unwrap_or_else(|error| panic!("{call}: {error}"))
    }

    pub(super) fn observe(&mut self, site: &str) -> Value {
        self.must(
            "database/observe",
            json!({ "site": site, "database": "wordpress" }),
        )
    }

    pub(super) fn truth(&mut self) -> Truth {
        self.world.truth(self.now)
    }

    pub(super) fn answer(&mut self, gate: &str, role: &str) -> super::PersonAnswer {
        self.asked((gate, GateKind::Before, 0), role, false)
    }

    /// What a person says of a promotion that has failed, or was given its budget once more, so many times.
    pub(super) fn answer_after(&mut self, kind: GateKind, tries: u32, role: &str) -> Choice {
        self.answer_where(kind, tries, role, false)
    }

    /// The same, where the run can or cannot be taken back any more.
    pub(super) fn answer_where(
        &mut self,
        kind: GateKind,
        tries: u32,
        role: &str,
        no_way_back: bool,
    ) -> Choice {
        let gate = format!("replica/promote:{kind:?}:{tries}");
        self.asked((&gate, kind, tries), role, no_way_back).choice
    }

    fn asked(
        &mut self,
        (gate, kind, tries): (&str, GateKind, u32),
        role: &str,
        no_way_back: bool,
    ) -> super::PersonAnswer {
        let question = GateQuestion {
            gate: gate.to_owned(),
            kind,
            tries,
            role: role.parse().unwrap(),
            person: 0,
            alternatives: vec!["restore".parse().unwrap()],
            no_way_back,
        };
        self.world.answer(self.now, &question)
    }
}

pub(super) fn figure(truth: &Truth, name: &str) -> f64 {
    let figures: &BTreeMap<String, f64> = &truth.figures;
    *figures
        .get(name)
        .unwrap_or_else(|| panic!("no figure {name} in {figures:?}"))
}
