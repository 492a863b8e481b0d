//! The progress of a run, told while it goes on: a live display on a terminal, one plain line per event otherwise.
//!
//! Fed with the journal's records ([`ProgressDisplay::hook`]), so it shows what is recorded and nothing else. What it
//! shows is decided by [`Board`], which is plain data; the terminal only draws it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use super::output::{Output, Screen};
use super::recorded::{decide_command, meaning};
use understudy::clock::{Clock, Instant, millis};
use understudy::journal::Hook;
use understudy::journal::record::{Choice, Entry, GateKind, Header, Record};
use understudy::name::{RoleName, StepId, StrategyName};
use understudy::report::account::{Event, EventKind};
use understudy::report::events::{Teller, state};
use understudy::report::units::{duration, offset, one_line, shortened, time_of_day};
use understudy::run::state::StepState;

/// Longest line of the live display, in characters: longer ones would wrap on most terminals.
const MAX_LINE_CHARS: usize = 110;

/// How often the live display is drawn.
const REDRAW_EVERY: Duration = Duration::from_millis(200);

/// Tells people how a run goes.
pub(super) struct ProgressDisplay {
    board: Arc<Mutex<Board>>,
    screen: Screen,
    bar: Option<ProgressBar>,
}

impl ProgressDisplay {
    /// A display on stderr: live if that is a terminal to draw on and `live` is wanted, plain lines otherwise.
    pub(super) fn new(output: &Output, clock: Arc<dyn Clock>, live: bool) -> Self {
        let board = Arc::new(Mutex::new(Board::default()));
        // A terminal that cannot be drawn on (`TERM=dumb`) hides the display, and with it every line said above it.
        let bar = live
            .then(|| bar(&board, clock))
            .filter(|bar| !bar.is_hidden());
        if let Some(bar) = &bar {
            output.screen().attach(bar.clone());
        }
        Self {
            board,
            screen: output.screen().clone(),
            bar,
        }
    }

    /// What the journal calls with every record.
    pub(super) fn hook(self: &Arc<Self>) -> Hook {
        let display = Arc::clone(self);
        Arc::new(move |entry| display.show(entry))
    }

    /// Shows one record. Records of an earlier host may be shown first, when a run is resumed.
    pub(super) fn show(&self, entry: &Entry) {
        let line = lock(&self.board).take(entry);
        if let Some(line) = line {
            self.screen.say(&line);
        }
    }

    /// Takes the live display away; lines that were said stay.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn lock(board: &Mutex<Board>) -> MutexGuard<'_, Board> {
    board.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A bar whose text is the board, drawn anew with the time.
fn bar(board: &Arc<Mutex<Board>>, clock: Arc<dyn Clock>) -> ProgressBar {
    let board = Arc::clone(board);
    let draw = move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
        let lines = lock(&board).lines(clock.now());
        // The terminal is gone, or it is not; the run goes on.
        out.write_str(&lines.join("\n")).ok();
    };
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{board}") {
        bar.set_style(style.with_key("board", draw));
    }
    bar.enable_steady_tick(REDRAW_EVERY);
    bar
}

/// A question that waits for people.
struct OpenGate {
    step: StepId,
    role: RoleName,
    kind: GateKind,
    title: String,
    missing: u32,
    since: Instant,
    alternatives: Vec<StrategyName>,
}

/// What is known of the run so far.
#[derive(Default)]
struct Board {
    teller: Teller,
    header: Option<Box<Header>>,
    zero: Option<Instant>,
    states: BTreeMap<StepId, (StepState, Instant)>,
    gates: BTreeMap<String, OpenGate>,
    /// Per strategy: declared, served.
    clocks: BTreeMap<String, (Option<Instant>, Option<Instant>)>,
}

impl Board {
    /// Learns from a record; answers the line to be said about it.
    fn take(&mut self, entry: &Entry) -> Option<String> {
        let mut more = None;
        match &entry.record {
            Record::RunStarted(header) => {
                self.header = Some(header.clone());
                self.zero = Some(entry.at);
            }
            Record::StepChanged { step, to, .. } => {
                self.states.insert(step.clone(), (*to, entry.at));
            }
            Record::Marked { step, name, .. } => self.mark(entry.at, step, name),
            Record::GateOpened { .. } => more = self.open(entry),
            Record::GateAnswered { gate, choice, .. } => self.answered(gate, choice),
            Record::StrategySwitched { .. } => self.gates.clear(),
            Record::RunEnded { .. } => self.gates.clear(),
            _ => {}
        }
        let event = self.teller.tell(entry)?;
        let line = self.line(&event);
        Some(match more {
            Some(more) => format!("{line}\n{more}"),
            None => line,
        })
    }

    fn mark(&mut self, at: Instant, step: &StepId, name: &str) {
        if name == "declared" && self.zero_is_start() {
            // From here on T is counted from the declaration, as in the report.
            self.zero = Some(at);
        }
        let clock = self.clocks.entry(step.strategy().to_owned()).or_default();
        match name {
            "declared" => {
                clock.0.get_or_insert(at);
            }
            "served" => {
                clock.1.get_or_insert(at);
            }
            _ => {}
        }
    }

    /// True until the first declaration.
    fn zero_is_start(&self) -> bool {
        self.clocks.values().all(|(declared, _)| declared.is_none())
    }

    fn open(&mut self, entry: &Entry) -> Option<String> {
        let Record::GateOpened {
            gate,
            step,
            kind,
            rule,
            title,
            detail,
            alternatives,
            ..
        } = &entry.record
        else {
            return None;
        };
        let open = OpenGate {
            step: step.clone(),
            role: rule.role.clone(),
            kind: *kind,
            title: one_line(title),
            missing: rule.quorum.max(1),
            since: entry.at,
            alternatives: alternatives.clone(),
        };
        let mut text = String::new();
        if !detail.is_empty() {
            text.push_str(&format!("    {}\n", one_line(detail)));
        }
        text.push_str(&format!("    {}: {}", meaning(*kind), self.command(&open)));
        self.gates.insert(gate.clone(), open);
        Some(text)
    }

    fn answered(&mut self, gate: &str, choice: &Choice) {
        let Some(open) = self.gates.get_mut(gate) else {
            return;
        };
        open.missing = open.missing.saturating_sub(1);
        if *choice == Choice::NoGo || open.missing == 0 {
            self.gates.remove(gate);
        }
    }

    fn command(&self, gate: &OpenGate) -> String {
        let run = self
            .header
            .as_ref()
            .map_or("RUN", |header| header.run.as_str());
        decide_command(run, &gate.step, &gate.role, &gate.alternatives)
    }

    /// An event in one line.
    fn line(&self, event: &Event) -> String {
        let t = offset(self.zero.unwrap_or(event.at), event.at);
        let step = event
            .step
            .as_ref()
            .map_or_else(String::new, |step| format!("{step}: "));
        let kind = match event.kind {
            EventKind::Mark => "milestone ",
            EventKind::Gate => "? ",
            EventKind::Budget => "! ",
            _ => "",
        };
        format!("{} {t}  {step}{kind}{}", time_of_day(event.at), event.text)
    }

    /// The live display: the clock, what runs, what is asked. Only a command is never cut: it is there to be copied.
    fn lines(&self, now: Instant) -> Vec<String> {
        let cut = |line: String| shortened(&line, MAX_LINE_CHARS);
        let mut lines = vec![cut(self.clock_line(now))];
        for (step, (state_now, since)) in &self.states {
            if is_active(*state_now) {
                lines.push(cut(self.step_line(
                    step,
                    *state_now,
                    millis(now.since(*since)),
                )));
            }
        }
        for gate in self.gates.values() {
            let waited = duration(millis(now.since(gate.since)));
            lines.push(cut(format!(
                "? {} is asked for {waited}: {}",
                gate.role, gate.title
            )));
            lines.push(cut(format!("    {}", meaning(gate.kind))));
            lines.push(format!("    {}", self.command(gate)));
        }
        lines
    }

    /// The strategy at work, its recovery time against the objective, and how many steps are done.
    fn clock_line(&self, now: Instant) -> String {
        let Some(header) = &self.header else {
            return "waiting for the first record".to_owned();
        };
        let done = self
            .states
            .values()
            .filter(|(state, _)| *state == StepState::Done)
            .count();
        let steps = format!("{done} of {} steps done", header.plan.steps.len());
        let target = duration(header.rto_target_ms);
        let current = self.current(&header.strategies);
        let clock = current.and_then(|name| self.clocks.get(name.as_str()));
        let rto = match clock {
            Some((Some(declared), Some(served))) => {
                format!(
                    "served after {} of {target}",
                    duration(millis(served.since(*declared)))
                )
            }
            Some((Some(declared), None)) => {
                let ms = millis(now.since(*declared));
                let over = if ms > header.rto_target_ms {
                    ", OVER"
                } else {
                    ""
                };
                format!("RTO {} of {target}{over}", duration(ms))
            }
            _ => "not declared".to_owned(),
        };
        let name = current.map_or("", |name| name.as_str());
        format!("{name}: {rto} · {steps}")
    }

    /// The last strategy of which a step was begun.
    fn current<'a>(&self, strategies: &'a [StrategyName]) -> Option<&'a StrategyName> {
        let begun = |name: &&StrategyName| {
            self.states.iter().any(|(step, (state, _))| {
                step.strategy() == name.as_str()
                    && !matches!(
                        state,
                        StepState::Pending | StepState::Skipped | StepState::Superseded
                    )
            })
        };
        strategies.iter().rev().find(begun).or(strategies.first())
    }

    fn step_line(&self, step: &StepId, state_now: StepState, ms: u64) -> String {
        let planned = self
            .header
            .as_ref()
            .and_then(|header| header.plan.step(step));
        let (title, role) = planned.map_or((step.as_str(), ""), |step| {
            (&step.title, step.role.as_str())
        });
        let budget = planned.map_or(0, |step| step.budget_ms);
        let time = match state_now {
            StepState::Running if ms > budget => {
                format!("{} of {}, OVER", duration(ms), duration(budget))
            }
            StepState::Running => format!("{} of {}", duration(ms), duration(budget)),
            other => format!("{} for {}", state(other), duration(ms)),
        };
        format!("> {step}  {time}  {role}: {}", one_line(title))
    }
}

fn is_active(state: StepState) -> bool {
    !matches!(
        state,
        StepState::Pending
            | StepState::Done
            | StepState::Undone
            | StepState::Skipped
            | StepState::Superseded
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Feeds records, each with its second since the start, and gives the lines that were said.
    fn feed(board: &mut Board, records: &[(u64, Value)]) -> Vec<String> {
        let entries = records
            .iter()
            .enumerate()
            .map(|(seq, (second, record))| Entry {
                seq: seq as u64,
                at: at(*second),
                epoch: 1,
                record: serde_json::from_value(record.clone()).unwrap(),
                hash: String::new(),
            });
        entries.filter_map(|entry| board.take(&entry)).collect()
    }

    fn at(second: u64) -> Instant {
        Instant(1_772_355_600_000 + second * 1000)
    }

    fn begun() -> Value {
        let step = json!({
            "id": "replica/flip", "performs": "replica/flip", "title": "Flip the name", "role": "dns-lead",
            "budget-ms": 60_000, "needs": [], "reversal": "undo", "acts": [], "covers": [], "uses": [],
            "gate-before": null, "gate-after": null,
        });
        json!({"type": "run-started", "body": {
            "version": 1, "run": "r-1", "runbook": "wordpress", "runbook-digest": "", "runbook-path": "",
            "strategies": ["replica"], "stage": {"kind": "live"}, "mode": "graceful", "rto-target-ms": 90_000,
            "rpo-target-ms": 0, "plugins": {}, "policy-digest": "", "host-version": "0.1.0", "started-by": "alex",
            "plan": {"steps": [step]},
        }})
    }

    fn changed(from: &str, to: &str) -> Value {
        json!({"type": "step-changed", "body":
            {"step": "replica/flip", "attempt": 1, "from": from, "to": to, "detail": ""}})
    }

    fn asked(quorum: u32) -> Value {
        json!({"type": "gate-opened", "body": {
            "gate": "g", "step": "replica/flip", "kind": "before", "title": "Flip?", "detail": "bz serves",
            "rule": {"role": "dns-lead", "quorum": quorum, "timeout-ms": null, "default": null}, "plan-digest": "",
        }})
    }

    fn answered(by: &str) -> Value {
        json!({"type": "gate-answered", "body":
            {"gate": "g", "choice": "go", "by": by, "role": "dns-lead", "note": "", "source": "mailbox"}})
    }

    fn declared() -> Value {
        json!({"type": "marked", "body": {"step": "replica/flip", "name": "declared", "site": null}})
    }

    #[test]
    fn an_event_is_a_line_and_a_question_says_how_to_answer() {
        let mut board = Board::default();
        let lines = feed(&mut board, &[(0, begun()), (5, declared()), (7, asked(1))]);
        assert_eq!(
            lines[0],
            "09:00:00 T+00:00  live run of wordpress started by alex"
        );
        assert_eq!(
            lines[1],
            "09:00:05 T+00:00  replica/flip: milestone declared"
        );
        assert_eq!(
            lines[2],
            "09:00:07 T+00:02  replica/flip: ? asks dns-lead: Flip?\n    bz serves\n    \
             go starts the step, no-go takes the run back: understudy decide r-1 replica/flip go|no-go --as dns-lead"
        );
    }

    #[test]
    fn the_display_shows_the_clock_what_runs_and_what_is_over() {
        let mut board = Board::default();
        assert_eq!(board.lines(at(0)), ["waiting for the first record"]);
        feed(
            &mut board,
            &[
                (0, begun()),
                (5, declared()),
                (10, changed("pending", "running")),
            ],
        );
        assert_eq!(
            board.lines(at(40)),
            [
                "replica: RTO 35s of 1m 30s · 0 of 1 steps done",
                "> replica/flip  30s of 1m 00s  dns-lead: Flip the name",
            ]
        );
        let late = board.lines(at(100));
        assert!(late[0].contains("RTO 1m 35s of 1m 30s, OVER"), "{late:?}");
        assert!(late[1].contains("1m 30s of 1m 00s, OVER"), "{late:?}");
        feed(&mut board, &[(110, changed("running", "done"))]);
        assert_eq!(board.lines(at(111)).len(), 1);
    }

    #[test]
    fn a_question_stays_until_enough_people_said_go() {
        let mut board = Board::default();
        feed(
            &mut board,
            &[(0, begun()), (1, asked(2)), (2, answered("kim"))],
        );
        let open = board.lines(at(61));
        assert_eq!(open[1], "? dns-lead is asked for 1m 00s: Flip?");
        assert!(
            open[3].contains("understudy decide r-1 replica/flip"),
            "{open:?}"
        );
        feed(&mut board, &[(62, answered("sam"))]);
        assert_eq!(board.lines(at(63)).len(), 1);
    }

    #[test]
    fn no_line_is_wider_than_a_terminal() {
        let mut board = Board::default();
        let mut begun = begun();
        begun["body"]["plan"]["steps"][0]["title"] = json!("long ".repeat(100));
        feed(
            &mut board,
            &[(0, begun), (1, changed("pending", "running"))],
        );
        assert!(
            board
                .lines(at(2))
                .iter()
                .all(|line| line.chars().count() <= MAX_LINE_CHARS)
        );
    }
}
