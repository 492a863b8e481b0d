//! Journals for tests: made up, realistic, with the chain of hashes left out as no report reads it.
//!
//! Start at [`stories`]: what went on; here is what writes it down.

pub(crate) mod stories;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::call::{CallHash, CallKind, CallSite, Direction, FunctionName, IdempotencyKey, Reply};
use crate::clock::Instant;
use crate::journal::record::{
    AnswerSource, Choice, Ending, Entry, GateKind, Header, Level, Mode, Record, Stage,
};
use crate::name::StepId;
use crate::plan::{Act, Plan, Reversal, Step};
use crate::run::state::StepState as S;
use crate::runbook::types::Gate;

/// 2026-03-01T09:00:00Z.
pub(crate) const START: u64 = 1_772_355_600_000;

/// Writes a journal, second by second.
pub(crate) struct Journal {
    entries: Vec<Entry>,
    now: Instant,
    ordinals: BTreeMap<StepId, u32>,
    attempts: BTreeMap<StepId, u32>,
}

impl Journal {
    pub(crate) fn start(header: Header) -> Self {
        let mut journal = Self {
            entries: Vec::new(),
            now: Instant(START),
            ordinals: BTreeMap::new(),
            attempts: BTreeMap::new(),
        };
        journal.say(Record::RunStarted(Box::new(header)));
        journal
    }

    pub(crate) fn say(&mut self, record: Record) -> &mut Self {
        self.entries.push(Entry {
            seq: self.entries.len() as u64,
            at: self.now,
            epoch: 1,
            record,
            hash: format!("{:064x}", self.entries.len() + 1),
        });
        self
    }

    /// Moves to this many seconds after the start.
    pub(crate) fn at(&mut self, seconds: f64) -> &mut Self {
        let at = Instant(START + (seconds * 1000.0) as u64);
        assert!(at >= self.now, "a journal does not go back in time");
        self.now = at;
        self
    }

    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.entries.clone()
    }

    pub(crate) fn state(&mut self, step: &str, from: S, to: S, detail: &str) -> &mut Self {
        let id: StepId = step.parse().unwrap();
        let attempt = self.attempts.entry(id.clone()).or_insert(1);
        if from == S::Failed && to == S::Running {
            *attempt += 1;
            self.ordinals.remove(&id);
        }
        let attempt = *attempt;
        self.say(Record::StepChanged {
            step: id,
            attempt,
            from,
            to,
            detail: detail.to_owned(),
        })
    }

    pub(crate) fn begin(&mut self, step: &str) -> &mut Self {
        self.state(step, S::Pending, S::Running, "")
    }

    pub(crate) fn done(&mut self, step: &str, detail: &str) -> &mut Self {
        self.state(step, S::Running, S::Done, detail)
    }

    pub(crate) fn mark(&mut self, step: &str, name: &str, site: Option<&str>) -> &mut Self {
        self.say(Record::Marked {
            step: step.parse().unwrap(),
            name: name.to_owned(),
            site: site.map(str::to_owned),
        })
    }

    pub(crate) fn measure(&mut self, step: &str, name: &str, quantity: Value) -> &mut Self {
        self.say(Record::Measured {
            step: step.parse().unwrap(),
            name: name.to_owned(),
            quantity,
        })
    }

    pub(crate) fn log(&mut self, step: &str, level: Level, message: &str) -> &mut Self {
        self.say(Record::Logged {
            step: step.parse().unwrap(),
            level,
            message: message.to_owned(),
        })
    }

    pub(crate) fn attach(
        &mut self,
        step: &str,
        name: &str,
        kind: &str,
        content: &str,
    ) -> &mut Self {
        self.say(Record::Attached {
            step: step.parse().unwrap(),
            name: name.to_owned(),
            media_type: kind.to_owned(),
            content: content.to_owned(),
        })
    }

    pub(crate) fn intent(&mut self, step: &str, call: &str, args: Value) -> CallSite {
        let id: StepId = step.parse().unwrap();
        let ordinal = self.ordinals.entry(id.clone()).or_insert(0);
        let site = CallSite {
            step: id.clone(),
            direction: Direction::Run,
            attempt: *self.attempts.entry(id).or_insert(1),
            ordinal: *ordinal,
        };
        *ordinal += 1;
        let (contract, function) = call.split_once('/').unwrap();
        let Value::Object(args) = args else {
            panic!("arguments are an object");
        };
        self.say(Record::Intent {
            site: site.clone(),
            function: FunctionName {
                interface: format!("understudy:{contract}/{contract}@0.1.0")
                    .parse()
                    .unwrap(),
                function: function.to_owned(),
            },
            kind: CallKind::of(function),
            args: args.into(),
            hash: CallHash("0".repeat(64)),
            key: IdempotencyKey(format!("{step}/{}", site.ordinal)),
        });
        site
    }

    pub(crate) fn outcome(&mut self, site: &CallSite, reply: Reply, attempts: u32) -> &mut Self {
        self.say(Record::Outcome {
            site: site.clone(),
            reply: Arc::new(reply),
            attempts,
        })
    }

    /// A call that answers after `seconds`.
    pub(crate) fn call(
        &mut self,
        step: &str,
        call: &str,
        args: Value,
        seconds: f64,
        reply: Value,
    ) -> &mut Self {
        let site = self.intent(step, call, args);
        let from_start = (self.now.0 - START) as f64 / 1000.0;
        self.at(from_start + seconds).outcome(&site, Ok(reply), 1)
    }

    pub(crate) fn ask(&mut self, gate: &str, step: &str, kind: GateKind, title: &str) -> &mut Self {
        self.say(Record::GateOpened {
            gate: gate.to_owned(),
            step: step.parse().unwrap(),
            kind,
            rule: gate_of("incident-commander"),
            title: title.to_owned(),
            detail: "go continues, no-go takes the run back".to_owned(),
            plan_digest: "0".repeat(64),
            alternatives: Vec::new(),
        })
    }

    pub(crate) fn answer(&mut self, gate: &str, go: bool, by: &str, note: &str) -> &mut Self {
        self.say(Record::GateAnswered {
            gate: gate.to_owned(),
            choice: Choice::of(go),
            by: by.to_owned(),
            role: "incident-commander".parse().unwrap(),
            note: note.to_owned(),
            source: AnswerSource::Mailbox,
        })
    }

    pub(crate) fn end(&mut self, ending: Ending, detail: &str) -> &mut Self {
        self.say(Record::RunEnded {
            ending,
            detail: detail.to_owned(),
        })
    }
}

fn gate_of(role: &str) -> Gate {
    Gate {
        role: role.parse().unwrap(),
        quorum: 1,
        timeout_ms: Some(600_000),
        default: None,
    }
}

/// id | title | role | budget in seconds | needs | verb@site | items
const REPLICA: &str = "\
replica/declare | Declare the incident and name the roles | incident-commander | 120 |  | declare@ | S0-A1.1
replica/lower-ttl | Lower the TTL of the active name | dns-lead | 60 | replica/declare | lower-ttl@ | S0-A5.2
replica/measure-lag | Measure the replication lag | db-lead | 60 | replica/declare | measure-lag@bz | S0-A2.4
replica/fence | Fence the primary database | db-lead | 120 | replica/measure-lag | fence@pz | S0-A1.2
replica/promote | Promote the backup database to writer | db-lead | 180 | replica/fence | promote@bz | S0-A2.1 S0-A2.2
replica/point-app | Point the application at the new writer | kubernetes-lead | 120 | replica/promote | point-app@bz | S0-A3.2
replica/activate | Scale the application up and wait until it serves | kubernetes-lead | 240 | replica/point-app | activate@bz | S0-A3.1
replica/certify | Make sure of a certificate for the active name | kubernetes-lead | 180 | replica/declare | certify@bz | S0-A4.1 S0-A4.2
replica/flip | Flip the active name to the backup site | dns-lead | 60 | replica/activate replica/certify replica/lower-ttl | flip@bz | S0-A5.1
replica/converge | Wait until resolvers and clients follow | dns-lead | 300 | replica/flip | validate@bz | S0-M3
replica/validate | Walk the business journeys | observer | 180 | replica/flip | validate@bz | S0-A6.1 S0-A6.2
replica/announce | Announce that the backup site is active | incident-commander | 120 | replica/validate | announce@ | S0-A7.1";

const FAILBACK: &str = "\
failback/reseed | Re-seed the primary site from the writer | db-lead | 1200 | replica/announce | reseed@pz | S0-F1.1
failback/prepare-app | Prepare the application at the primary site | kubernetes-lead | 240 | failback/reseed | activate@pz | S0-F2.1 S0-F2.2
failback/freeze | Freeze writes for the last catch-up | db-lead | 60 | failback/prepare-app | freeze@bz | S0-F1.2
failback/promote | Promote the primary site | db-lead | 120 | failback/freeze | promote@pz | S0-F1.3
failback/flip | Flip the active name back | dns-lead | 60 | failback/promote | flip@pz | S0-F3.1
failback/observe | Watch service levels for the stability window | observer | 2100 | failback/flip | observe-slo@pz | S0-F4.2
failback/protect | Make the backup site a replica again | db-lead | 600 | failback/flip | protect@bz | S0-F5.3
failback/stand-down | Stand the backup site down and restore the TTL | kubernetes-lead | 120 | failback/observe failback/protect | stand-down@bz | S0-F5.1 S0-F5.2";

fn steps(rows: &str) -> Vec<Step> {
    rows.lines().map(step).collect()
}

/// A step of this name with nothing to tell.
pub(crate) fn plain_step(id: &str) -> Step {
    step(&format!("{id} | {id} | observer | 60 |  | check@ | "))
}

fn step(row: &str) -> Step {
    let cells: Vec<&str> = row.split('|').map(str::trim).collect();
    let [id, title, role, budget, needs, act, covers] = cells[..] else {
        panic!("seven cells: {row}");
    };
    let (verb, site) = act.split_once('@').unwrap();
    Step {
        id: id.parse().unwrap(),
        performs: id.parse().unwrap(),
        title: title.to_owned(),
        role: role.parse().unwrap(),
        budget_ms: budget.parse::<u64>().unwrap() * 1000,
        needs: needs
            .split_whitespace()
            .map(|id| id.parse().unwrap())
            .collect(),
        reversal: if verb == "promote" {
            Reversal::PointOfNoReturn
        } else {
            Reversal::Undo
        },
        acts: vec![Act {
            verb: verb.to_owned(),
            site: site.to_owned(),
        }],
        covers: covers
            .split_whitespace()
            .map(|item| item.parse().unwrap())
            .collect(),
        uses: vec!["database".to_owned(), "dns".to_owned()],
        gate_before: (id == "replica/flip").then(|| gate_of("incident-commander")),
        gate_after: None,
    }
}

pub(crate) fn header(strategies: &[&str], steps: Vec<Step>) -> Header {
    Header {
        version: 1,
        run: "wordpress-20260301-090000".parse().unwrap(),
        runbook: "wordpress".to_owned(),
        runbook_digest: "a1".repeat(32),
        runbook_path: "runbooks/wordpress/runbook.toml".to_owned(),
        overlays: Vec::new(),
        strategies: strategies
            .iter()
            .map(|name| name.parse().unwrap())
            .collect(),
        stage: Stage::Rehearsal {
            seed: 42,
            scenario: "primary-zone-lost".to_owned(),
            scenario_digest: "b2".repeat(32),
        },
        mode: Mode::Ungraceful,
        rto_target_ms: 900_000,
        rpo_target_ms: 60_000,
        plugins: [("replica", "c3"), ("failback", "d4")]
            .map(|(name, pair)| {
                let digest = format!("sha256:{}", pair.repeat(32));
                (name.parse().unwrap(), digest.parse().unwrap())
            })
            .into(),
        policy_digest: "e5".repeat(32),
        host_version: "0.1.0".to_owned(),
        started_by: "alex".to_owned(),
        plan: Arc::new(Plan { steps }),
        dropped: Vec::new(),
    }
}
