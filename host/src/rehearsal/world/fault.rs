//! Calls that go wrong: control planes that are down, faults of the scenario, answers of stand-ins.

use serde_json::Value;

use super::World;
use super::contract;
use crate::call::{CallError, CallKind, Outcome, Reply, Request, RetryHint};
use crate::clock::millis;
use crate::rehearsal::scenario::events::{Fault, FaultKind};

/// A call that hangs takes longer than any deadline: one day, in seconds.
const HANG_SECONDS: u64 = 86_400;

/// Contracts whose state is kept at the site that they change.
const HELD_AT_SITES: [&str; 5] = [
    "kubernetes",
    "workload",
    "certificates",
    "ingress",
    "storage",
];

impl World {
    /// Counts an attempt at a call; from 0.
    pub(crate) fn count(&mut self, request: &Request) -> u32 {
        let key = &request.key.0;
        if let Some(polls) = self.asked.polls.get_mut(key) {
            *polls += 1;
            return *polls;
        }
        self.asked.polls.insert(key.clone(), 0);
        if !self.faults.is_empty() {
            let function = request.function.to_string();
            let calls = self.asked.calls.entry(function).or_default();
            *calls += 1;
            self.asked.nth.insert(key.clone(), *calls);
        }
        0
    }

    /// The first fault of the scenario that hits this attempt.
    pub(crate) fn fault_for(&self, request: &Request, poll: u32) -> Option<Fault> {
        if self.faults.is_empty() {
            return None;
        }
        let name = request.function.to_string();
        let nth = self.asked.nth.get(&request.key.0).copied();
        let hits = |(place, fault): &(usize, &Fault)| {
            if fault.call.as_ref() != &name || poll >= fault.attempts {
                return false;
            }
            match &fault.probability {
                Some(p) => {
                    let limit = super::resolver::parts_per_million(*p.as_ref());
                    let number = u64::try_from(*place).unwrap_or(0);
                    self.draws.ppm("fault", &request.key.0, number) < limit
                }
                None => fault.nth == nth,
            }
        };
        self.faults
            .iter()
            .enumerate()
            .find(hits)
            .map(|(_, fault)| fault.clone())
    }

    /// Serves a call that a fault hits.
    pub(crate) fn go_wrong(
        &mut self,
        fault: &Fault,
        request: &Request,
        short: &str,
        poll: u32,
    ) -> Reply {
        let by = self.draws.within(fault.by, "fault-by", &self.key, 0);
        match fault.kind {
            FaultKind::Delay => {
                let reply = self.dispatch(request, short, poll);
                self.took += by;
                reply
            }
            FaultKind::Error => Err(CallError::unavailable("HTTP 503 from the control plane")),
            FaultKind::ErrorAfterEffect => {
                let reply = self.dispatch(request, short, poll);
                reply.and(Err(CallError::unavailable(
                    "the connection broke before the answer came",
                )))
            }
            FaultKind::Throttle => Err(CallError::Unavailable(RetryHint {
                reason: "HTTP 429: too many requests".to_owned(),
                after_ms: Some(millis(by)),
            })),
            FaultKind::Hang => {
                self.took = std::time::Duration::from_secs(HANG_SECONDS);
                Err(CallError::TimedOut("no answer came".to_owned()))
            }
            FaultKind::WrongAnswer => match &fault.answer {
                Some(answer) => json(answer),
                None if CallKind::of(&request.function.function) == CallKind::Ensure => {
                    self.ward.lied_to |= short == "dns";
                    contract::outcome(Outcome::Changed)
                }
                None => self.dispatch(request, short, poll),
            },
        }
    }

    /// Whether the control plane behind a contract answers.
    ///
    /// # Errors
    /// `unavailable`, after the time it takes to give up.
    pub(crate) fn control_plane(
        &mut self,
        short: &str,
        request: &Request,
    ) -> Result<(), CallError> {
        if self.is_away(short) {
            self.took = self.give_up_after();
            let name = &request.function;
            return Err(CallError::unavailable(format!(
                "the control plane behind `{name}` does not answer"
            )));
        }
        Ok(())
    }

    /// Whether the control plane behind a contract is down, or in a site that nobody reaches.
    pub(crate) fn is_away(&self, short: &str) -> bool {
        let inside = self.control_planes.get(short);
        let dead = inside.is_some_and(|site| {
            !self
                .sites
                .get(site)
                .is_some_and(|site| site.condition == super::site::Condition::Up)
        });
        self.failed_apis.contains(short) || dead
    }

    /// Whether the site of an effect takes changes. Databases refuse them on their own.
    ///
    /// # Errors
    /// `unavailable`.
    pub(crate) fn takes_changes(&self, short: &str, request: &Request) -> Result<(), CallError> {
        let is_effect = CallKind::of(&request.function.function) != CallKind::Read;
        if !is_effect || !HELD_AT_SITES.contains(&short) {
            return Ok(());
        }
        let name = request.args.get("site").and_then(Value::as_str);
        let mut sites = self.sites.iter();
        let site = sites.find(|(site, _)| name == Some(site.as_str()));
        match site.and_then(|(_, site)| site.read_only_until) {
            Some(until) if until > self.now => Err(CallError::unavailable(
                "the site is read-only: nothing can be changed there",
            )),
            _ => Ok(()),
        }
    }

    /// Serves a function of an organisation's own contract as the scenario declares it.
    pub(crate) fn stand_in(&mut self, request: &Request) -> Reply {
        let wanted = &request.function;
        let found = self.stand_ins.iter().find(|stand_in| {
            stand_in.contract == wanted.interface && stand_in.function == wanted.function
        });
        let Some(stand_in) = found else {
            return Err(CallError::NotFound(format!(
                "[RH0004] the scenario has no answer for `{wanted}`; add `[[stand-ins]]` with `contract = \"{}\"` and `function = \"{}\"`",
                wanted.interface, wanted.function
            )));
        };
        self.took = self.draws.within(stand_in.takes, "stand-in", &self.key, 0);
        stand_in.answer.as_ref().map_or(Ok(Value::Null), json)
    }
}

fn json(answer: &toml::Value) -> Reply {
    serde_json::to_value(answer).map_err(|error| {
        CallError::Invalid(format!(
            "[RH0005] the scenario's answer is no value: {error}"
        ))
    })
}
