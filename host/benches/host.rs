//! What the host costs: `cargo bench -p understudy`.
//!
//! The shipped plugins and runbook (`make plugins` builds and locks them), the host as it is released. The world of
//! `mediated call` answers at once, so what is measured is the host's own path: identity, policy, canonical form, journal,
//! deadline and routing. Journals lie in the folder of temporary files; where that is a disk, `fsync` is that disk's.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark: what does not work must end it"
)]

mod drill;

use std::hint::black_box;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use drill::{OUT_AND_HOME, engines, prepared, rehearsal, root};
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use understudy::call::{Arguments, CallSite, Direction, FunctionName, Reply, Request, Service};
use understudy::clock::{BoxFuture, Clock, Instant, SystemClock, VirtualClock};
use understudy::journal::memory::MemoryStore;
use understudy::journal::record::{Record, Stage};
use understudy::journal::redact::Redactor;
use understudy::journal::sqlite::{SqliteOptions, SqliteStore};
use understudy::journal::store::Store;
use understudy::journal::{Durability, Journal, Setup};
use understudy::mediation::deadline::Deadline;
use understudy::mediation::routing::Route;
use understudy::mediation::spent::Spent;
use understudy::mediation::{Mediation, StepCalls};
use understudy::plugin::component::Component;
use understudy::plugin::engine::Kind;
use understudy::plugin::guest::Guest;
use understudy::plugin::link::{Imports, NoImports};
use understudy::prepare::{Prepared, Staging};
use understudy::rehearsal::driver::{Rehearsal, Switches};
use understudy::rehearsal::people::SimulatedPeople;
use understudy::rehearsal::service::SimulatedService;
use understudy::rehearsal::world::World;
use understudy::run::Run;
use understudy::run::attempt::attempt;
use understudy::run::board::Board;

/// Records of the journal that is resumed.
const RECORDS: usize = 10_000;

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// Serves everything at once.
struct AtOnce;

impl Service for AtOnce {
    fn call<'a>(&'a self, _: &'a Request) -> BoxFuture<'a, Reply> {
        Box::pin(async { Ok(json!("unchanged")) })
    }
}

fn journal(prepared: &Prepared, store: Box<dyn Store>, setup: Setup) -> Journal {
    let header = prepared.header(Stage::Live, String::new(), Vec::new(), "benchmark");
    Journal::create(store, setup, header).unwrap()
}

fn world(rehearsal: &Rehearsal) -> Arc<Mutex<World>> {
    let sites: Vec<_> = rehearsal.prepared.runbook.sites.keys().cloned().collect();
    let start = rehearsal.scenario.world.start;
    Arc::new(Mutex::new(World::new(
        &rehearsal.scenario,
        &sites,
        1,
        start,
    )))
}

/// A run of the drill whose contracts `service` serves.
fn run(
    rehearsal: &Rehearsal,
    journal: &Journal,
    clock: Arc<dyn Clock>,
    service: Arc<dyn Service>,
) -> Run {
    let world = world(rehearsal);
    let interfaces = world.lock().unwrap().interfaces();
    let route = |interface| Route {
        interface,
        sites: Vec::new(),
        name: "benchmark".to_owned(),
        service: Arc::clone(&service),
    };
    rehearsal.prepared.staged(Staging {
        clock: Arc::clone(&clock),
        journal,
        entries: &[],
        keeper: Arc::new(SimulatedPeople { world, clock }),
        routes: interfaces.into_iter().map(route).collect(),
        seed: 1,
    })
}

/// One call of the flip, by its own grant: `dns.ensure-record` on the active record.
async fn flip(
    mediation: &Arc<Mediation>,
    plan: &understudy::plan::Plan,
    number: u32,
) -> Arc<Reply> {
    let step = plan.step(&"replica/flip".parse().unwrap()).unwrap().clone();
    let calls = StepCalls {
        mediation: Arc::clone(mediation),
        step: Arc::new(step),
        strategy: "replica".parse().unwrap(),
        direction: Direction::Run,
        attempt: number,
        deadline: Deadline::at(Instant(u64::MAX)),
        read_only: false,
        spent: Spent::default(),
    };
    let function = FunctionName {
        interface: "understudy:dns/dns@0.1.0".parse().unwrap(),
        function: "ensure-record".to_owned(),
    };
    let Value::Object(args) = json!({
        "name": "wp-active.example.test", "kind": "CNAME", "expected": ["wp-pz.example.test"],
        "values": ["wp-bz.example.test"], "ttl-seconds": 60
    }) else {
        unreachable!()
    };
    calls.call(function, args).await.unwrap()
}

fn mediated_calls(c: &mut Criterion) {
    let rehearsal = rehearsal(&engines(), &OUT_AND_HOME);
    let runtime = runtime();
    let folder = TempDir::new().unwrap();
    let sqlite = || SqliteStore::create(folder.path(), SqliteOptions::default()).unwrap();
    let memory = MemoryStore::new();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let stores: [(&str, Box<dyn Store>); 2] = [
        ("mediated call, fsync", Box::new(sqlite())),
        ("mediated call, no fsync", Box::new(memory)),
    ];
    for (name, store) in stores {
        let setup = Setup::threaded(Arc::clone(&clock), Redactor::none());
        let journal = journal(&rehearsal.prepared, store, setup);
        let run = run(&rehearsal, &journal, Arc::clone(&clock), Arc::new(AtOnce));
        let mut number = 0;
        c.bench_function(name, |b| {
            b.iter(|| {
                number += 1;
                let reply = runtime.block_on(flip(&run.mediation, &run.plan, number));
                assert_eq!(*reply, Ok(json!("unchanged")));
            });
        });
    }
}

fn instances(c: &mut Criterion) {
    let engines = engines();
    let runtime = runtime();
    for (name, kind, file) in [
        (
            "fresh instance, strategy",
            Kind::Strategy,
            "strategy-replica.wasm",
        ),
        (
            "fresh instance, provider",
            Kind::Provider,
            "provider-mariadb.wasm",
        ),
    ] {
        let path = root().join("target/plugins").join(file);
        let component = Component::load(&engines, kind, name, &path, None).unwrap();
        let guest = Guest::new(&engines, component).unwrap();
        c.bench_function(name, |b| {
            b.iter(|| {
                let made = runtime.block_on(guest.instantiate(Arc::new(NoImports)));
                black_box(made.unwrap())
            });
        });
    }
}

/// `replica/check-media` asks the world for one bucket: a fresh instance, one call across the seam, its two records.
fn world_call(c: &mut Criterion) {
    let rehearsal = rehearsal(&engines(), &OUT_AND_HOME);
    let clock = VirtualClock::starting_at(rehearsal.scenario.world.start);
    let shared: Arc<dyn Clock> = Arc::new(clock.clone());
    let setup = Setup::inline(Arc::clone(&shared), Redactor::none());
    let journal = journal(&rehearsal.prepared, Box::new(MemoryStore::new()), setup);
    let service = SimulatedService::new(world(&rehearsal), Arc::clone(&shared));
    let run = run(&rehearsal, &journal, shared, Arc::new(service));
    let step = run.plan.step(&"replica/check-media".parse().unwrap());
    let step = Arc::new(step.unwrap().clone());
    let mut number = 0;
    c.bench_function("strategy to simulated world, a step with one call", |b| {
        b.iter(|| {
            number += 1;
            let performed = attempt(
                Arc::clone(&run.mediation),
                &run.actors,
                Arc::clone(&step),
                Direction::Run,
                number,
                Deadline::at(Instant(u64::MAX)),
            );
            clock.block_on(performed).unwrap().unwrap()
        });
    });
}

fn whole_rehearsal(c: &mut Criterion) {
    let rehearsal = rehearsal(&engines(), &OUT_AND_HOME);
    let mut group = c.benchmark_group("whole");
    group
        .sample_size(20)
        .measurement_time(Duration::from_secs(15));
    group.bench_function("rehearsal, failover and failback", |b| {
        b.iter(|| {
            let store = Box::new(MemoryStore::new());
            rehearsal.begin(store, Switches::default()).unwrap()
        });
    });
    group.finish();
}

/// A journal of [`RECORDS`]: the drill's own, then reads of one step until there are as many.
fn long_journal(rehearsal: &Rehearsal, folder: &Path) {
    let entries = rehearsal
        .begin(Box::new(MemoryStore::new()), Switches::default())
        .unwrap()
        .entries;
    let clock = VirtualClock::starting_at(rehearsal.scenario.world.start);
    let setup = Setup::inline(Arc::new(clock.clone()), Redactor::none());
    let store = SqliteStore::create(folder, SqliteOptions::default()).unwrap();
    let journal = journal(&rehearsal.prepared, Box::new(store), setup);
    let own = entries.into_iter().map(|entry| entry.record).skip(1);
    let records: Vec<Record> = own
        .filter(|record| !matches!(record, Record::RunEnded { .. }))
        .chain((0..).flat_map(read))
        .take(RECORDS - 1)
        .collect();
    for record in records {
        clock
            .block_on(journal.append(record, Durability::Buffered))
            .unwrap()
            .unwrap();
    }
}

/// Intent and outcome of one read.
fn read(ordinal: u32) -> [Record; 2] {
    let site = CallSite {
        step: "failback/hold".parse().unwrap(),
        direction: Direction::Run,
        attempt: 1_000,
        ordinal,
    };
    let function = FunctionName {
        interface: "understudy:metrics/metrics@0.1.0".parse().unwrap(),
        function: "observe-objective".to_owned(),
    };
    let mut args = Map::new();
    args.insert("objective".to_owned(), json!("error-rate"));
    let args = Arguments::from(args);
    let intent = Record::Intent {
        hash: understudy::call::call_hash(&function, &args),
        key: understudy::call::IdempotencyKey(format!("{ordinal:032x}")),
        kind: understudy::call::CallKind::Read,
        site: site.clone(),
        function,
        args,
    };
    let outcome = Record::Outcome {
        site,
        reply: Arc::new(Ok(json!({ "value": 0.001, "held": true }))),
        attempts: 1,
    };
    [intent, outcome]
}

/// Read, check the chain, take over, and find out where every step stands and what is to be replayed.
fn resume(c: &mut Criterion) {
    let rehearsal = rehearsal(&engines(), &OUT_AND_HOME);
    let original = TempDir::new().unwrap();
    long_journal(&rehearsal, original.path());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mut group = c.benchmark_group("resume");
    group.sample_size(20);
    group.bench_function("10,000 records", |b| {
        let copy = || {
            let folder = TempDir::new().unwrap();
            for file in std::fs::read_dir(original.path()).unwrap() {
                let file = file.unwrap();
                std::fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
            }
            folder
        };
        let take_over = |folder: TempDir| {
            let store = SqliteStore::open(folder.path(), SqliteOptions::default()).unwrap();
            let setup = Setup::threaded(Arc::clone(&clock), Redactor::none());
            let (journal, entries) = Journal::resume(Box::new(store), setup, "benchmark").unwrap();
            assert_eq!(entries.len(), RECORDS);
            let world = world(&rehearsal);
            let run = rehearsal.prepared.staged(Staging {
                clock: Arc::clone(&clock),
                journal: &journal,
                entries: &entries,
                keeper: Arc::new(SimulatedPeople {
                    world,
                    clock: Arc::clone(&clock),
                }),
                routes: Vec::new(),
                seed: 1,
            });
            (Board::new(&run.plan, &entries), run, folder)
        };
        b.iter_batched(copy, take_over, BatchSize::PerIteration);
    });
    group.finish();
}

/// What `understudy rehearse` does before its first record: engines, three strategies from the cache, their plans, the
/// merged plan with its alternatives and its safety rules.
fn start_up(c: &mut Criterion) {
    drop(prepared(&engines(), &OUT_AND_HOME));
    c.bench_function("start-up with cached plugins", |b| {
        b.iter(|| prepared(&engines(), &OUT_AND_HOME));
    });
}

criterion_group!(
    benches,
    mediated_calls,
    instances,
    world_call,
    whole_rehearsal,
    resume,
    start_up
);
criterion_main!(benches);
