//! How fast rehearsals are and where their time goes: `cargo bench -p understudy --bench campaign`.
//!
//! Two shipped drills with the shipped components, as a campaign runs them on one thread. Their parts are measured apart, on
//! what the same drills recorded: the calls of the journals are made to fresh worlds, the records appended to fresh
//! journals, every attempt performed again with the recorded replies, the runs judged once more. *The rest* is what is
//! left of the whole: scheduler, mediation, policy, control, clock. Times are of the processor, where the system tells
//! (Linux), so that other work on the machine hardly matters; of a whole drill the time on the wall is told besides.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark: what does not work must end it, and what it finds is printed"
)]

mod drill;

use drill::{Drill, OUT_AND_HOME};

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hint::black_box;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Map, Value};
use understudy::call::{CallSite, Direction, FunctionName, Reply};
use understudy::clock::{BoxFuture, Clock, VirtualClock};
use understudy::journal::memory::Forgetful;
use understudy::journal::record::{Entry, Header, Record};
use understudy::journal::redact::Redactor;
use understudy::journal::{Durability, Journal, Setup};
use understudy::name::StrategyName;
use understudy::plugin::Engines;
use understudy::plugin::error::Halt;
use understudy::plugin::guest::Guest;
use understudy::plugin::link::{Imports, NoImports};
use understudy::rehearsal::campaign::Campaign;
use understudy::rehearsal::campaign::outcome::Outcome;
use understudy::rehearsal::campaign::trouble::Troubles;
use understudy::rehearsal::driver::Rehearsed;
use understudy::rehearsal::rebuild;
use understudy::rehearsal::trace::{Trace, broken};
use understudy::rehearsal::world::World;
use understudy::run::attempt::Actor;
use understudy::run::state::StepState;

/// `--scenario regions-lost`: to a cold site, from an archive.
const FOUR_HOURS: Drill = Drill {
    overlays: &["cold-site.toml"],
    strategies: &["cold"],
    scenario: "regions-lost",
};

/// Drills that are measured, one for each seed from 1.
const DRILLS: u64 = 200;

/// Drills before that, so that caches and pools are filled.
const WARM_UP: u64 = 20;

fn main() {
    let engines = drill::engines();
    measure(&engines, "primary-lost, there and back", &OUT_AND_HOME);
    measure(
        &engines,
        "regions-lost, the game day of four hours",
        &FOUR_HOURS,
    );
}

fn measure(engines: &Engines, title: &str, drill: &Drill) {
    let campaign = campaign(engines, drill);
    for seed in 1..=WARM_UP {
        black_box(campaign.outcome(seed, Vec::new()));
    }
    let mut walls = Vec::new();
    let whole = timed(|| {
        for seed in 1..=DRILLS {
            walls.push(on_the_wall(|| {
                black_box(campaign.outcome(seed, Vec::new()));
            }));
        }
    });
    walls.sort_unstable();
    let wall = |percent: usize| walls.get(walls.len() * percent / 100).unwrap();
    let guests = guests(engines, &campaign);
    let runs: Vec<Recorded> = (1..=DRILLS)
        .map(|seed| Recorded::new(&campaign, &guests, seed))
        .collect();
    let count = |of: fn(&Recorded) -> usize| {
        runs.iter().map(of).sum::<usize>() / usize::try_from(DRILLS).unwrap()
    };
    let minutes: f64 = runs.iter().map(Recorded::minutes).sum();
    println!("{title}");
    println!(
        "{DRILLS} drills of {:.0} min, each {} records, {} calls, {} of them to the world {} times, {} instances",
        minutes / drills(),
        count(|run| run.records.len() + 1),
        count(|run| run
            .attempts
            .iter()
            .map(|attempt| attempt.replies.len())
            .sum()),
        count(|run| run.sites()),
        count(|run| run.seen.len()),
        count(|run| run.attempts.len()),
    );
    println!(
        "{:>8.2} ms of processor time per drill; on the wall half of them take {:.2} ms, 95 % {:.2} ms",
        per_drill(whole),
        wall(50).as_secs_f64() * 1_000.0,
        wall(95).as_secs_f64() * 1_000.0
    );
    println!(
        "{:>8.1} game-days (drills) per second per core",
        drills() / whole.as_secs_f64()
    );
    let instances = each(&runs, Recorded::instantiate);
    let seam = each(&runs, Recorded::perform).saturating_sub(instances);
    let parts = [
        ("instances of strategies, made and dropped", instances),
        ("strategies and their calls across the seam", seam),
        ("the world", each(&runs, Recorded::live)),
        ("the journal", each(&runs, Recorded::write)),
        (
            "rules on the trace, figures, outcome",
            each(&runs, Recorded::judge),
        ),
    ];
    let known = parts.iter().map(|(_, time)| *time).sum();
    let rest = ("the rest", whole.saturating_sub(known));
    for (name, time) in parts.into_iter().chain([rest]) {
        let percent = 100.0 * time.as_secs_f64() / whole.as_secs_f64();
        println!("{:>8.2} ms {percent:>5.1} %  {name}", per_drill(time));
    }
}

fn campaign(engines: &Engines, drill: &Drill) -> Campaign {
    Campaign {
        rehearsal: drill::rehearsal(engines, drill),
        scenario_text: String::new(),
        seeds: 1..1,
        threads: NonZeroUsize::MIN,
        troubles: Troubles::None,
    }
}

/// The strategies again, to make instances that nobody calls.
type Guests = BTreeMap<StrategyName, Guest>;

fn guests(engines: &Engines, campaign: &Campaign) -> Guests {
    let actors = campaign.rehearsal.prepared.actors.iter();
    let guest = |actor: &Actor| Guest::new(engines, actor.plugin.component().clone()).unwrap();
    actors
        .map(|(name, actor)| (name.clone(), guest(actor)))
        .collect()
}

/// What one drill left behind, taken apart.
struct Recorded {
    campaign: Campaign,
    seed: u64,
    rehearsed: Rehearsed,
    header: Header,
    records: Vec<Record>,
    seen: Vec<rebuild::Seen>,
    attempts: Vec<Attempt>,
}

/// One attempt at a step.
struct Attempt {
    actor: Actor,
    guest: Guest,
    step: String,
    replies: VecDeque<Arc<Reply>>,
}

impl Recorded {
    fn new(campaign: &Campaign, guests: &Guests, seed: u64) -> Self {
        let rehearsal = campaign.rehearsal(seed, &[]).unwrap();
        let rehearsed = campaign.rehearse(seed, &[]).unwrap();
        let entries = &rehearsed.entries;
        let mut records = entries.iter().map(|entry| entry.record.clone());
        let Some(Record::RunStarted(header)) = records.next() else {
            unreachable!("every journal begins so")
        };
        let records = records.collect();
        let mut replies = replies(entries);
        let begun = entries.iter().filter_map(|entry| match &entry.record {
            Record::StepChanged {
                step,
                attempt,
                to: StepState::Running,
                ..
            } => Some((step, *attempt)),
            _ => None,
        });
        let attempt = |(step, attempt)| {
            let performs = &rehearsal.prepared.plan.step(step).unwrap().performs;
            let strategy: StrategyName = performs.strategy().parse().unwrap();
            Attempt {
                actor: rehearsal.prepared.actors.get(&strategy).unwrap().clone(),
                guest: guests.get(&strategy).unwrap().clone(),
                step: performs.step().to_owned(),
                replies: replies
                    .remove(&(step.to_string(), attempt))
                    .unwrap_or_default(),
            }
        };
        Self {
            campaign: campaign.clone(),
            seed,
            attempts: begun.map(attempt).collect(),
            seen: rebuild::calls(entries, &BTreeSet::new()),
            header: *header,
            records,
            rehearsed,
        }
    }

    /// Simulated time.
    fn minutes(&self) -> f64 {
        let entries = &self.rehearsed.entries;
        let times = entries.first().zip(entries.last());
        let time = times.map(|(first, last)| last.at.since(first.at));
        time.unwrap_or_default().as_secs_f64() / 60.0
    }

    /// Calls that reach the world.
    fn sites(&self) -> usize {
        let mut sites: Vec<&CallSite> = self.seen.iter().map(|seen| &seen.request.site).collect();
        sites.sort_unstable();
        sites.dedup();
        sites.len()
    }

    fn clock(&self) -> VirtualClock {
        VirtualClock::starting_at(self.campaign.rehearsal.scenario.world.start)
    }

    /// As many instances as there were attempts.
    fn instantiate(&self) {
        let clock = self.clock();
        for attempt in &self.attempts {
            let made = clock.block_on(attempt.guest.instantiate(Arc::new(NoImports)));
            drop(black_box(made.unwrap().unwrap()));
        }
    }

    /// Every attempt, with what it was told.
    fn perform(&self) {
        let clock = self.clock();
        for attempt in &self.attempts {
            let Actor { plugin, context } = &attempt.actor;
            let told = Arc::new(Told(Mutex::new(attempt.replies.clone())));
            let performing = plugin.perform(Direction::Run, context, &attempt.step, told);
            black_box(clock.block_on(performing).unwrap().unwrap()).unwrap();
        }
    }

    /// The same calls at the same times.
    fn live(&self) {
        let rehearsal = &self.campaign.rehearsal;
        let start = rehearsal.scenario.world.start;
        let sites: Vec<_> = rehearsal.prepared.runbook.sites.keys().cloned().collect();
        let mut world = World::new(&rehearsal.scenario, &sites, self.seed, start);
        for seen in &self.seen {
            drop(black_box(world.call(seen.at, &seen.request)));
        }
    }

    /// The same records.
    fn write(&self) {
        let clock = self.clock();
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let setup = Setup::inline(shared, Redactor::none());
        let store = Box::new(Forgetful);
        let journal = Journal::create(store, setup, self.header.clone()).unwrap();
        for record in &self.records {
            let append = journal.append(record.clone(), Durability::Durable);
            clock.block_on(append).unwrap().unwrap();
        }
        black_box(journal.into_entries());
    }

    /// The same judgement.
    fn judge(&self) {
        let Rehearsed {
            entries,
            truth,
            ended,
            ..
        } = &self.rehearsed;
        let rehearsal = &self.campaign.rehearsal;
        black_box(broken(&Trace {
            entries,
            plan: &rehearsal.prepared.plan,
            scenario: &rehearsal.scenario,
            truth,
            // The drill does no harm.
            seen: &[],
            rpo_target_ms: self.header.rpo_target_ms,
            ending: ended.ending,
        }));
        black_box(Outcome::of(self.seed, Vec::new(), &self.rehearsed));
    }
}

/// What every attempt was told, by step and attempt, in the order of its calls.
fn replies(entries: &[Entry]) -> BTreeMap<(String, u32), VecDeque<Arc<Reply>>> {
    let mut all: BTreeMap<(String, u32), VecDeque<Arc<Reply>>> = BTreeMap::new();
    for entry in entries {
        if let Record::Outcome { site, reply, .. } = &entry.record {
            let attempt = (site.step.to_string(), site.attempt);
            all.entry(attempt).or_default().push_back(Arc::clone(reply));
        }
    }
    all
}

/// Imports that answer as they did.
struct Told(Mutex<VecDeque<Arc<Reply>>>);

impl Imports for Told {
    fn call(
        &self,
        _: FunctionName,
        _: Map<String, Value>,
    ) -> BoxFuture<'_, Result<Arc<Reply>, Halt>> {
        Box::pin(async { Ok(self.0.lock().unwrap().pop_front().unwrap()) })
    }
}

fn each(runs: &[Recorded], part: fn(&Recorded)) -> Duration {
    timed(|| runs.iter().for_each(part))
}

fn drills() -> f64 {
    f64::from(u32::try_from(DRILLS).unwrap())
}

fn per_drill(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0 / drills()
}

/// Processor time of this thread, which is time on the wall where the system does not tell.
fn timed(work: impl FnOnce()) -> Duration {
    let used = || {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        let nanoseconds = text.split_whitespace().next()?.parse().ok()?;
        Some(Duration::from_nanos(nanoseconds))
    };
    let before = used();
    let wall = on_the_wall(work);
    let used = used().zip(before);
    used.map_or(wall, |(after, before)| after.saturating_sub(before))
}

#[expect(
    clippy::disallowed_methods,
    reason = "a benchmark is about the machine's own time"
)]
fn on_the_wall(work: impl FnOnce()) -> Duration {
    let begun = std::time::Instant::now();
    work();
    begun.elapsed()
}
