//! The journal as a whole: chain, writer and stores together.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use super::chain::ChainError;
use super::memory::MemoryStore;
use super::record::{Entry, Header, Level, Mode, RECORD_VERSION, Record, Stage};
use super::redact::Redactor;
use super::store::{Seen, Store, StoredEntry};
use super::*;
use crate::clock::{Clock, Instant, VirtualClock};
use crate::plan::Plan;

mod disk;

pub(super) fn clock() -> Arc<dyn Clock> {
    Arc::new(VirtualClock::starting_at(Instant(1_767_323_045_000)))
}

pub(super) fn inline() -> Setup {
    Setup::inline(clock(), Redactor::none())
}

pub(super) fn header() -> Header {
    Header {
        version: RECORD_VERSION,
        run: "20260102t030405z-wordpress-ab12".parse().unwrap(),
        runbook: "wordpress".to_owned(),
        runbook_digest: "00".repeat(32),
        runbook_path: "runbook.toml".to_owned(),
        overlays: Vec::new(),
        strategies: vec!["replica".parse().unwrap()],
        stage: Stage::Live,
        mode: Mode::Graceful,
        rto_target_ms: 1,
        rpo_target_ms: 1,
        plugins: BTreeMap::new(),
        policy_digest: "00".repeat(32),
        host_version: "0.1.0".to_owned(),
        started_by: "ic".to_owned(),
        plan: Arc::new(Plan { steps: Vec::new() }),
        dropped: Vec::new(),
    }
}

pub(super) fn logged(message: impl Into<String>) -> Record {
    Record::Logged {
        step: "replica/flip".parse().unwrap(),
        level: Level::Info,
        message: message.into(),
    }
}

pub(super) fn now<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

fn written(records: u64) -> MemoryStore {
    let store = MemoryStore::new();
    let journal = Journal::create(Box::new(store.clone()), inline(), header()).unwrap();
    for number in 1..records {
        now(journal.append(logged(format!("line {number}")), Durability::Buffered)).unwrap();
    }
    store
}

#[test]
fn what_is_appended_is_read_back_and_verifies() {
    let store = written(3);
    let (journal, before) = Journal::resume(Box::new(store.clone()), inline(), "0.2.0").unwrap();
    assert_eq!(before.len(), 3);
    assert_eq!(journal.epoch(), 1);
    let place = now(journal.append(logged("after"), Durability::Durable)).unwrap();
    let last = journal.entries().pop().unwrap();
    assert_eq!((place.seq, place.at), (4, last.at));
    assert_eq!((last.seq, last.epoch), (4, 1));
    let verified = chain::verify(&store.lines()).unwrap();
    assert_eq!((verified.entries, verified.last_hash), (5, last.hash));
    let kinds: Vec<&str> =
        journal.read(|entries| entries.iter().map(|entry| entry.record.kind()).collect());
    assert_eq!(
        kinds,
        ["run-started", "logged", "logged", "run-resumed", "logged"]
    );
}

#[test]
fn an_inline_journal_needs_no_runtime_and_never_waits() {
    let virtual_clock = VirtualClock::starting_at(Instant(5));
    let setup = Setup::inline(Arc::new(virtual_clock.clone()), Redactor::none());
    let journal = Journal::create(Box::new(MemoryStore::new()), setup, header()).unwrap();
    let entry = virtual_clock
        .block_on(journal.append(logged("x"), Durability::Durable))
        .unwrap()
        .unwrap();
    assert_eq!((entry.seq, entry.at), (1, Instant(5)));
}

#[test]
fn a_change_of_any_field_is_named() {
    let lines = written(4).lines();
    let changed = |change: fn(&mut Vec<StoredEntry>)| {
        let mut lines = lines.clone();
        change(&mut lines);
        chain::verify(&lines).unwrap_err()
    };
    let broken_at = |error: ChainError| match error {
        ChainError::Hash { seq, .. } => seq,
        other => panic!("{other}"),
    };
    assert_eq!(broken_at(changed(|lines| lines[2].record.push(' '))), 2);
    assert_eq!(
        broken_at(changed(|lines| lines[1].record = lines[2].record.clone())),
        1
    );
    assert_eq!(broken_at(changed(|lines| lines[3].at = Instant(5))), 3);
    assert_eq!(broken_at(changed(|lines| lines[1].epoch = 1)), 1);
    assert_eq!(
        broken_at(changed(|lines| lines[1].hash = lines[2].hash.clone())),
        1
    );
    assert_eq!(
        changed(|lines| drop(lines.remove(2))),
        ChainError::Gap {
            expected: 2,
            found: 3
        }
    );
    assert_eq!(
        changed(|lines| lines.insert(2, lines[1].clone())),
        ChainError::Gap {
            expected: 2,
            found: 1
        }
    );
    assert_eq!(
        changed(|lines| drop(lines.remove(0))),
        ChainError::NotStarted
    );
    assert_eq!(changed(Vec::clear), ChainError::Empty);
}

/// Whoever can write the file can also compute hashes: what the chain says must make sense as well.
#[test]
fn a_chain_with_good_hashes_and_wrong_content_is_refused() {
    let rechained = |change: fn(&mut Vec<StoredEntry>)| {
        let mut lines = written(3).lines();
        change(&mut lines);
        let mut previous = chain::GENESIS.to_owned();
        for line in &mut lines {
            line.hash = chain::hash(&previous, line.seq, line.at, line.epoch, &line.record);
            previous.clone_from(&line.hash);
        }
        chain::verify(&lines).unwrap_err()
    };
    assert_eq!(
        rechained(|lines| lines.iter_mut().take(2).for_each(|line| line.epoch = 3)),
        ChainError::EpochBackwards {
            seq: 2,
            before: 3,
            found: 0
        }
    );
    assert_eq!(
        rechained(|lines| lines[1].epoch = 1),
        ChainError::EpochUnannounced { seq: 1, found: 1 }
    );
    assert_eq!(
        rechained(
            |lines| lines[0].record = lines[0].record.replace("\"version\":1", "\"version\":7")
        ),
        ChainError::Version { found: 7 }
    );
    assert_eq!(
        rechained(|lines| lines[2].record = lines[0].record.clone()),
        ChainError::StartedAgain { seq: 2 }
    );
    let unknown = rechained(|lines| lines[1].record = r#"{"type":"gone","body":{}}"#.to_owned());
    assert!(
        matches!(unknown, ChainError::Record { seq: 1, .. }),
        "{unknown}"
    );
}

#[test]
fn an_export_verifies_by_itself_and_shows_a_change() {
    let store = written(3);
    let (entries, verified) = chain::read(&store.lines()).unwrap();
    let text = export(&store.lines());
    assert_eq!(import(&text).unwrap(), (entries, verified));
    let error = import(&text.replace("line 1", "line 9")).unwrap_err();
    assert!(
        matches!(error, JournalError::Chain(ChainError::Hash { seq: 1, .. })),
        "{error}"
    );
    assert_eq!(import("{}\n").unwrap_err().code(), "JN0015");
}

/// A record of this version may have been written before a field with a default was added: it is evidence as it is.
#[test]
fn an_export_copies_records_it_would_write_otherwise() {
    let mut lines = written(1).lines();
    lines[0].record = lines[0].record.replace(r#""overlays":[],"#, "");
    lines[0].hash = chain::hash(chain::GENESIS, 0, lines[0].at, 0, &lines[0].record);
    let (entries, _) = import(&export(&lines)).unwrap();
    assert_ne!(
        serde_json::to_string(&entries[0].record).unwrap().len(),
        lines[0].record.len()
    );
}

#[test]
fn figures_keep_their_hash_through_text() {
    let figures = BTreeMap::from([
        ("a-ratio".to_owned(), 0.1 + 0.2),
        ("b-ratio".to_owned(), 5e-324),
    ]);
    let store = MemoryStore::new();
    let journal = Journal::create(Box::new(store.clone()), inline(), header()).unwrap();
    let truth = Record::Truth {
        rto_ms: None,
        rpo_ms: 0,
        lost_writes: 0,
        acknowledged_writes: 0,
        figures,
    };
    now(journal.append(truth.clone(), Durability::Durable)).unwrap();
    let (entries, _) = import(&export(&store.lines())).unwrap();
    assert_eq!(entries[1].record, truth);
}

#[test]
fn a_record_that_could_not_be_read_back_is_refused() {
    let figures = BTreeMap::from([("nan-ratio".to_owned(), f64::NAN)]);
    let truth = Record::Truth {
        rto_ms: None,
        rpo_ms: 0,
        lost_writes: 0,
        acknowledged_writes: 0,
        figures,
    };
    let journal = Journal::create(Box::new(MemoryStore::new()), inline(), header()).unwrap();
    assert_eq!(
        now(journal.append(truth, Durability::Durable))
            .unwrap_err()
            .code(),
        "JN0010"
    );
}

#[test]
fn secrets_are_gone_before_anything_is_hashed() {
    let (redactor, _) = Redactor::new([("db", b"correct horse".as_slice())]);
    let store = MemoryStore::new();
    let setup = Setup::inline(clock(), redactor);
    let journal = Journal::create(Box::new(store.clone()), setup, header()).unwrap();
    now(journal.append(logged("pw=correct horse"), Durability::Buffered)).unwrap();
    let kept = journal.entries().pop().unwrap();
    assert_eq!(kept.record, logged("pw=[redacted]"));
    assert!(!format!("{:?}{:?}", store.lines(), journal.entries()).contains("horse"));
    chain::verify(&store.lines()).unwrap();
}

#[test]
fn a_cut_leaves_exactly_so_many_records_and_poisons() {
    let store = MemoryStore::new();
    let journal =
        Journal::create(Box::new(store.clone()), inline().cut_after(2), header()).unwrap();
    now(journal.append(logged("kept"), Durability::Durable)).unwrap();
    for _ in 0..2 {
        let error = now(journal.append(logged("lost"), Durability::Durable)).unwrap_err();
        assert_eq!(error.code(), "JN0009");
    }
    assert_eq!(store.lines().len(), 2);
    let error = Journal::create(
        Box::new(MemoryStore::new()),
        inline().cut_after(0),
        header(),
    );
    assert_eq!(error.err().unwrap().code(), "JN0009");
}

#[test]
fn the_hook_sees_every_entry_in_order() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let hook: Hook = {
        let seen = Arc::clone(&seen);
        Arc::new(move |entry: &Entry| seen.lock().unwrap().push(entry.seq))
    };
    let setup = Setup::threaded(clock(), Redactor::none()).on_append(hook);
    let journal = Journal::create(Box::new(MemoryStore::new()), setup, header()).unwrap();
    let appends: Vec<_> = (0..5)
        .map(|_| journal.append(logged("x"), Durability::Buffered))
        .collect();
    drop((appends, journal));
    assert_eq!(*seen.lock().unwrap(), [0, 1, 2, 3, 4, 5]);
}

#[test]
fn the_older_of_two_hosts_is_fenced() {
    let store = MemoryStore::new();
    let old = Journal::create(Box::new(store.clone()), inline(), header()).unwrap();
    let (new, _) = Journal::resume(Box::new(store.clone()), inline(), "0.1.0").unwrap();
    let error = now(old.append(logged("late"), Durability::Durable)).unwrap_err();
    assert_eq!(error.code(), "JN0006");
    now(new.append(logged("mine"), Durability::Durable)).unwrap();
    chain::verify(&store.lines()).unwrap();
    let stale = Seen {
        epoch: 1,
        next_seq: 2,
    };
    assert_eq!(store.clone().take_over(stale).unwrap_err().code(), "JN0006");
}

/// Lets the test decide when a transaction ends, and counts them.
struct Gated {
    kept: MemoryStore,
    begun: Sender<(usize, Durability)>,
    go_on: Receiver<()>,
}

impl Store for Gated {
    fn read_all(&mut self) -> Result<(Seen, Vec<StoredEntry>), JournalError> {
        self.kept.read_all()
    }

    fn take_over(&mut self, seen: Seen) -> Result<u64, JournalError> {
        self.kept.take_over(seen)
    }

    fn append(
        &mut self,
        batch: Vec<StoredEntry>,
        durability: Durability,
    ) -> Result<(), JournalError> {
        self.begun.send((batch.len(), durability)).unwrap();
        self.go_on.recv().unwrap();
        self.kept.append(batch, durability)
    }
}

#[test]
fn records_that_come_together_share_one_sync() {
    let (begun, transactions) = channel();
    let (release, go_on) = channel();
    let store = Gated {
        kept: MemoryStore::new(),
        begun,
        go_on,
    };
    release.send(()).unwrap();
    let setup = Setup::threaded(clock(), Redactor::none());
    let journal = Journal::create(Box::new(store), setup, header()).unwrap();
    assert_eq!(transactions.recv().unwrap(), (1, Durability::Durable));

    let first = journal.append(logged("alone"), Durability::Buffered);
    assert_eq!(transactions.recv().unwrap(), (1, Durability::Buffered));
    // The disk is busy with the first; these ten wait together.
    let mut ten: Vec<_> = (0..9)
        .map(|_| journal.append(logged("x"), Durability::Buffered))
        .collect();
    ten.push(journal.append(logged("effect"), Durability::Durable));
    release.send(()).unwrap();
    assert_eq!(transactions.recv().unwrap(), (10, Durability::Durable));
    release.send(()).unwrap();
    assert_eq!(now(first).unwrap().seq, 1);
    let seqs: Vec<u64> = ten.into_iter().map(|one| now(one).unwrap().seq).collect();
    assert_eq!(seqs, (2..=11).collect::<Vec<_>>());
    drop(journal);
    assert_eq!(transactions.try_recv().ok(), None, "no other transaction");
}

#[test]
fn every_code_has_its_page() {
    for (index, (code, page)) in PAGES.iter().enumerate() {
        assert_eq!(*code, format!("JN{:04}", index + 1));
        assert!(page.starts_with(&format!("# {code}: ")), "{code}");
        assert!(
            (5..=17).contains(&page.lines().count()),
            "{code}: {} lines",
            page.lines().count()
        );
    }
}
