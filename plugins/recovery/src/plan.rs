//! The plan as a table: rows that put moves in their places, and what the host is told of them.
//!
//! Pure: nothing here calls the host. [`lay_out`] answers `plan`, [`perform`] and [`take_back`] answer `run-step` and
//! `undo-step`.

use understudy_sdk::strategy::exports::understudy::plugin::strategy as seam;

use crate::check::is_graceful;
use crate::recovery::Recovery;
use crate::{Act, Error, Step};

/// What a move does when its step runs or is taken back. The answer is one line for the timeline.
pub type Action = fn(&Recovery) -> Result<String, Error>;

/// Decides, of the whole recovery, whether a row is part of the plan.
pub type Condition = fn(&Recovery) -> bool;

/// Keeps time, decides, talks to people.
pub const INCIDENT_COMMANDER: &str = "incident-commander";
/// Promotion, restore, validation of data, replication.
pub const DB_LEAD: &str = "db-lead";
/// The application, its way in, its certificates.
pub const KUBERNETES_LEAD: &str = "kubernetes-lead";
/// Records and what resolvers make of them.
pub const DNS_LEAD: &str = "dns-lead";
/// Figures and evidence.
pub const OBSERVER: &str = "observer";

/// Where an act is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// The site that is left.
    From,
    /// The site that is gone to.
    To,
    /// No site.
    Nowhere,
}

/// How long a step is expected to take at most. Over it the host asks a person; it does not stop the step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Budget {
    /// So many minutes.
    Minutes(u64),
    /// The normal TTL of the active record and a minute.
    OldTtl,
    /// The stability window and five minutes.
    StabilityWindow,
}

/// Whether and how a move is taken back.
#[derive(Debug, Clone, Copy)]
pub enum Reversal {
    /// It changes nothing that would need to be taken back.
    Nothing,
    /// By this.
    Undo(Action),
    /// Never: undo stops here.
    PointOfNoReturn,
}

/// Something that can be done in a recovery, wherever a strategy puts it.
#[derive(Debug, Clone, Copy)]
pub struct Move {
    /// One line in the imperative; `{from}` and `{to}` stand for the sites.
    pub title: &'static str,
    /// Who answers for it, by the name used here; the parameter `roles` renames.
    pub role: &'static str,
    /// Expected upper bound.
    pub budget: Budget,
    /// Whether and how it is taken back.
    pub reversal: Reversal,
    /// What safety rules and readers care about, by the verbs of the contract.
    pub acts: &'static [(&'static str, At)],
    /// Contracts it calls, by interface name.
    pub uses: &'static [&'static str],
    /// Does it.
    pub perform: Action,
}

/// A step that must be done before, always or where something holds.
#[derive(Debug, Clone, Copy)]
pub struct Need {
    step: &'static str,
    when: Condition,
}

/// After `step`, in every mode.
#[must_use]
pub const fn after(step: &'static str) -> Need {
    only_if(always, step)
}

/// After `step` where the site that is left still answers: users wait for nothing meanwhile.
#[must_use]
pub const fn graceful(step: &'static str) -> Need {
    only_if(is_graceful, step)
}

/// After `step` where the site that is left may be dead.
#[must_use]
pub const fn ungraceful(step: &'static str) -> Need {
    only_if(Recovery::ungraceful, step)
}

/// After `step` where this holds.
#[must_use]
pub const fn only_if(when: Condition, step: &'static str) -> Need {
    Need { step, when }
}

/// A move in its place in a strategy.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    id: &'static str,
    does: Move,
    needs: &'static [Need],
    covers: &'static [&'static str],
    calls: &'static [(&'static str, Condition)],
    when: Condition,
}

const fn always(_: &Recovery) -> bool {
    true
}

impl Row {
    /// The step `id`, which does this move, needs nothing and is always part of the plan.
    #[must_use]
    pub const fn new(id: &'static str, does: Move) -> Self {
        Self {
            id,
            does,
            needs: &[],
            covers: &[],
            calls: &[],
            when: always,
        }
    }

    /// Under this title instead of the move's own.
    #[must_use]
    pub const fn titled(mut self, title: &'static str) -> Self {
        self.does.title = title;
        self
    }

    /// After these.
    #[must_use]
    pub const fn needs(mut self, needs: &'static [Need]) -> Self {
        self.needs = needs;
        self
    }

    /// Performs these items of source runbooks.
    #[must_use]
    pub const fn covers(mut self, covers: &'static [&'static str]) -> Self {
        self.covers = covers;
        self
    }

    /// Calls these contracts besides, each where its condition holds.
    #[must_use]
    pub const fn calls(mut self, calls: &'static [(&'static str, Condition)]) -> Self {
        self.calls = calls;
        self
    }

    /// Part of the plan only where this holds. What needs a row that is left out needs what that row needs.
    #[must_use]
    pub const fn when(mut self, when: Condition) -> Self {
        self.when = when;
        self
    }
}

/// The steps as the host is told of them.
#[must_use]
pub fn lay_out(rows: &[Row], recovery: &Recovery) -> Vec<Step> {
    rows.iter()
        .filter(|row| (row.when)(recovery))
        .map(|row| step(rows, row, recovery))
        .collect()
}

/// Performs the step of this id.
///
/// # Errors
/// What the move answers; `not-found` where the plan has no such step.
pub fn perform(rows: &[Row], recovery: &Recovery) -> Result<String, Error> {
    (find(rows, recovery)?.does.perform)(recovery)
}

/// Takes back the step of this id.
///
/// # Errors
/// What the move answers; `not-found` where the plan has no such step; `conflict` past the point of no return.
pub fn take_back(rows: &[Row], recovery: &Recovery) -> Result<String, Error> {
    match find(rows, recovery)?.does.reversal {
        Reversal::Nothing => Ok("nothing to take back".to_owned()),
        Reversal::Undo(action) => action(recovery),
        Reversal::PointOfNoReturn => Err(Error::Conflict(format!(
            "step `{}` is a point of no return: go on to the end, or fail back",
            recovery.step
        ))),
    }
}

fn find<'a>(rows: &'a [Row], recovery: &Recovery) -> Result<&'a Row, Error> {
    rows.iter()
        .find(|row| row.id == recovery.step && (row.when)(recovery))
        .ok_or_else(|| {
            Error::NotFound(format!(
                "strategy `{}` plans no step `{}` with these parameters",
                recovery.strategy, recovery.step
            ))
        })
}

fn step(rows: &[Row], row: &Row, recovery: &Recovery) -> Step {
    let parameters = &recovery.parameters;
    let mut needs = Vec::new();
    collect_needs(rows, row, recovery, &mut needs);
    Step {
        id: row.id.to_owned(),
        title: recovery.name_sites(row.does.title),
        role: recovery.role(row.does.role),
        budget_ms: match row.does.budget {
            Budget::Minutes(minutes) => minutes * MINUTE_MS,
            Budget::OldTtl => u64::from(parameters.records.ttl_normal_seconds) * 1000 + MINUTE_MS,
            Budget::StabilityWindow => recovery.stability_window_ms() + 5 * MINUTE_MS,
        },
        needs,
        reversal: match row.does.reversal {
            Reversal::Nothing => seam::Reversal::Nothing,
            Reversal::Undo(_) => seam::Reversal::Undo,
            Reversal::PointOfNoReturn => seam::Reversal::PointOfNoReturn,
        },
        acts: row
            .does
            .acts
            .iter()
            .map(|act| name_act(act, recovery))
            .collect(),
        covers: row.covers.iter().map(|&id| id.to_owned()).collect(),
        uses: uses(row, recovery),
    }
}

/// What the move calls with these parameters: a contract that the service does without needs no binding.
fn uses(row: &Row, recovery: &Recovery) -> Vec<String> {
    let parameters = &recovery.parameters;
    let called = |name: &&&str| match **name {
        "ingress" => parameters.expose,
        "metrics" => !parameters.objectives.is_empty(),
        "notify" => parameters.channel.is_some(),
        "storage" => parameters.media_bucket.is_some(),
        "edge-cache" => !parameters.cached_hosts.is_empty(),
        _ => true,
    };
    let besides = row.calls.iter().filter(|(_, when)| when(recovery));
    row.does
        .uses
        .iter()
        .filter(called)
        .chain(besides.map(|(name, _)| name))
        .map(|&name| name.to_owned())
        .collect()
}

const MINUTE_MS: u64 = 60_000;

fn name_act(&(verb, at): &(&str, At), recovery: &Recovery) -> Act {
    let parameters = &recovery.parameters;
    Act {
        verb: verb.to_owned(),
        site: match at {
            At::From => parameters.from.clone(),
            At::To => parameters.to.clone(),
            At::Nowhere => String::new(),
        },
    }
}

/// Adds what `row` needs; a need that is not part of the plan stands for its own needs. Ends because a row only needs
/// rows above it (each strategy's tests hold it to that).
fn collect_needs(rows: &[Row], row: &Row, recovery: &Recovery, needs: &mut Vec<String>) {
    let here = |need: &&Need| (need.when)(recovery);
    for need in row.needs.iter().filter(here) {
        let Some(earlier) = rows.iter().find(|other| other.id == need.step) else {
            // Told to the host as it stands: its check of the plan names the step that does not exist.
            needs.push(need.step.to_owned());
            continue;
        };
        if (earlier.when)(recovery) {
            if !needs.iter().any(|known| known == earlier.id) {
                needs.push(earlier.id.to_owned());
            }
        } else {
            collect_needs(rows, earlier, recovery, needs);
        }
    }
}

/// Items of source runbooks that the table covers, whatever the parameters. For the tests of a strategy.
#[must_use]
pub fn covered(rows: &[Row]) -> Vec<&'static str> {
    rows.iter()
        .flat_map(|row| row.covers.iter().copied())
        .collect()
}

/// What is wrong with a table, one line each: an id twice, a need that is not above its row. For the tests of a
/// strategy.
#[must_use]
pub fn flaws(rows: &[Row]) -> Vec<String> {
    let mut flaws = Vec::new();
    for (place, row) in rows.iter().enumerate() {
        let above = || rows.iter().take(place);
        if above().any(|other| other.id == row.id) {
            flaws.push(format!("`{}` is there twice", row.id));
        }
        for need in row.needs {
            if !above().any(|other| other.id == need.step) {
                flaws.push(format!(
                    "`{}` needs `{}`, which is not above it",
                    row.id, need.step
                ));
            }
        }
    }
    flaws
}
