//! The single writer: numbers, stamps, redacts, chains and keeps records, and shares one sync among those that come
//! together.
//!
//! Two ways of writing, one meaning. *Inline* writes on the caller's thread and needs no runtime: rehearsals use it and
//! stay deterministic. *Threaded* hands records to a thread that writes everything queued in one transaction with
//! one sync (group commit): live runs use it, so that steps that run at once do not wait for each other's disk.

use std::future::Future;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use super::chain;
use super::error::JournalError;
use super::record::{Entry, Header, Record};
use super::redact::Redactor;
use super::store::{Durability, Store, StoredEntry};
use crate::canonical;
use crate::clock::{Clock, Instant};

/// Most records in one transaction: bounds how long the first of them waits for the others' writing.
pub const MAX_BATCH: usize = 512;

/// Most records that may wait to be written. Each caller waits for its own, so this is far above the number of steps
/// that run at once; beyond it the disk is not keeping up and the run must not go on.
pub const MAX_QUEUED: usize = 16_384;

/// Room for the entries of most runs from the start.
const USUAL_ENTRIES: usize = 1_024;

/// Told of every entry once it is written, in order. It must not append: that would wait for itself.
pub type Hook = Arc<dyn Fn(&Entry) + Send + Sync>;

/// Asked before a record is written, by its number: true where the journal takes no more, as if its host had died.
pub type Cut = Arc<dyn Fn(u64, &Record) -> bool + Send + Sync>;

/// Where a record stands once it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// From 0, without gaps.
    pub seq: u64,
    /// When it was written.
    pub at: Instant,
}

/// How a journal is written.
#[derive(Clone)]
pub struct Setup {
    clock: Arc<dyn Clock>,
    redactor: Redactor,
    threaded: bool,
    cut_after: Option<u64>,
    cut_when: Option<Cut>,
    on_append: Option<Hook>,
}

impl Setup {
    /// On the caller's thread: deterministic, needs no runtime.
    #[must_use]
    pub fn inline(clock: Arc<dyn Clock>, redactor: Redactor) -> Self {
        Self {
            clock,
            redactor,
            threaded: false,
            cut_after: None,
            cut_when: None,
            on_append: None,
        }
    }

    /// On a thread of its own, with group commit.
    #[must_use]
    pub fn threaded(clock: Arc<dyn Clock>, redactor: Redactor) -> Self {
        Self {
            threaded: true,
            ..Self::inline(clock, redactor)
        }
    }

    /// Crash injection: the journal takes records until it holds `records` of them (those of earlier epochs count),
    /// and fails with [`JournalError::Cut`] from then on. `rehearse --crash-after` uses it.
    #[must_use]
    pub fn cut_after(mut self, records: u64) -> Self {
        self.cut_after = Some(records);
        self
    }

    /// Crash injection by what a record is: fails with [`JournalError::Cut`] from the first one on that `cut` says.
    #[must_use]
    pub fn cut_when(mut self, cut: Cut) -> Self {
        self.cut_when = Some(cut);
        self
    }

    /// Calls `hook` with every entry once it is written.
    #[must_use]
    pub fn on_append(mut self, hook: Hook) -> Self {
        self.on_append = Some(hook);
        self
    }
}

/// A handle to the journal of a run. Clones share it; the last one to go closes it.
///
/// After any append that failed the journal is *poisoned*: every later append fails with the same cause, so that
/// nothing is ever sent that the journal does not know of.
#[derive(Clone)]
pub struct Journal(Arc<Inner>);

struct Inner {
    redactor: Redactor,
    clock: Arc<dyn Clock>,
    cut_after: Option<u64>,
    cut_when: Option<Cut>,
    shared: Arc<Shared>,
    tail: Mutex<Tail>,
}

/// Where the next entry goes. Held while an entry is numbered, so that the order of appends is the order of the chain.
struct Tail {
    next_seq: u64,
    last_hash: String,
    epoch: u64,
    sink: Sink,
}

enum Sink {
    Inline(Box<dyn Store>),
    Threaded {
        // Both `None` only while the journal is being dropped.
        queue: Option<SyncSender<Box<Job>>>,
        thread: Option<JoinHandle<()>>,
    },
}

/// What the writing thread and the handles have in common.
struct Shared {
    entries: Mutex<Vec<Entry>>,
    failure: OnceLock<JournalError>,
    on_append: Option<Hook>,
}

/// An entry on its way to the store.
struct Job {
    entry: Entry,
    line: StoredEntry,
    durability: Durability,
    answer: oneshot::Sender<Result<Place, JournalError>>,
}

enum Pending {
    Done(Result<Place, JournalError>),
    Queued(oneshot::Receiver<Result<Place, JournalError>>),
}

impl Journal {
    /// Begins the journal of a run with its header, durably. `store` is empty.
    ///
    /// # Errors
    /// [`JournalError`] if the header cannot be kept.
    pub fn create(
        store: Box<dyn Store>,
        setup: Setup,
        header: Header,
    ) -> Result<Self, JournalError> {
        let first = Record::RunStarted(Box::new(header));
        Self::start(store, setup, 0, Vec::with_capacity(USUAL_ENTRIES), first)
    }

    /// Takes over the journal of a run: checks its chain, begins the next epoch and says so, durably. Returns the
    /// entries that were there before.
    ///
    /// # Errors
    /// [`JournalError::Chain`] if the records are not the ones that were written (nothing is changed then),
    /// [`JournalError::Fenced`] if another host was faster, or what the disk says.
    pub fn resume(
        mut store: Box<dyn Store>,
        setup: Setup,
        host_version: &str,
    ) -> Result<(Self, Vec<Entry>), JournalError> {
        let (seen, lines) = store.read_all()?;
        let (entries, _) = chain::read(&lines)?;
        let epoch = store.take_over(seen)?;
        let first = Record::RunResumed {
            host_version: host_version.to_owned(),
        };
        let journal = Self::start(store, setup, epoch, entries.clone(), first)?;
        Ok((journal, entries))
    }

    /// Appends a record and answers once it is kept as `durability` says, with where it stands.
    ///
    /// The record has its place in the order when this function returns, before the future is first polled; dropping
    /// the future does not take it back.
    ///
    /// # Errors
    /// [`JournalError`] if it is not kept; the journal is poisoned then.
    pub fn append(
        &self,
        record: Record,
        durability: Durability,
    ) -> impl Future<Output = Result<Place, JournalError>> + Send + use<> {
        let pending = self.0.enqueue(record, durability);
        async move {
            match pending {
                Pending::Done(result) => result,
                Pending::Queued(answer) => answer.await.unwrap_or(Err(JournalError::WriterGone)),
            }
        }
    }

    /// Everything written or read so far.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        self.read(<[Entry]>::to_vec)
    }

    /// As [`entries`](Self::entries), and closes this handle: the last one has nothing to copy.
    #[must_use]
    pub fn into_entries(mut self) -> Vec<Entry> {
        match Arc::get_mut(&mut self.0) {
            Some(last) => std::mem::take(&mut lock(&last.shared.entries)),
            None => self.entries(),
        }
    }

    /// Looks at everything written or read so far without copying it. `look` must not append.
    pub fn read<R>(&self, look: impl FnOnce(&[Entry]) -> R) -> R {
        look(&lock(&self.0.shared.entries))
    }

    /// The fencing epoch this handle writes in.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        lock(&self.0.tail).epoch
    }

    /// Why the journal is poisoned, if it is.
    #[must_use]
    pub fn failure(&self) -> Option<JournalError> {
        self.0.shared.failure.get().cloned()
    }

    /// Writes `first` on this thread, durably; only then is there a journal.
    fn start(
        store: Box<dyn Store>,
        setup: Setup,
        epoch: u64,
        entries: Vec<Entry>,
        first: Record,
    ) -> Result<Self, JournalError> {
        let tail = Tail {
            next_seq: u64::try_from(entries.len()).unwrap_or(u64::MAX),
            last_hash: entries
                .last()
                .map_or_else(|| chain::GENESIS.to_owned(), |entry| entry.hash.clone()),
            epoch,
            sink: Sink::Inline(store),
        };
        let inner = Inner {
            redactor: setup.redactor,
            clock: setup.clock,
            cut_after: setup.cut_after,
            cut_when: setup.cut_when,
            shared: Arc::new(Shared {
                entries: Mutex::new(entries),
                failure: OnceLock::new(),
                on_append: setup.on_append,
            }),
            tail: Mutex::new(tail),
        };
        if let Pending::Done(result) = inner.enqueue(first, Durability::Durable) {
            result?;
        }
        if setup.threaded {
            inner.spawn_writer()?;
        }
        Ok(Self(Arc::new(inner)))
    }
}

impl Inner {
    /// From the record to the store or its queue. One lock over all of it keeps chain and queue in one order.
    fn enqueue(&self, record: Record, durability: Durability) -> Pending {
        let prepared = prepare(&self.redactor, record);
        let mut tail = lock(&self.tail);
        if let Some(failure) = self.shared.failure.get() {
            return Pending::Done(Err(failure.clone()));
        }
        let chained = prepared.and_then(|(record, text)| self.chain(&mut tail, record, text));
        match chained {
            Ok((entry, line)) => self.hand_over(&mut tail, entry, line, durability),
            Err(error) => Pending::Done(Err(self.shared.poison(error))),
        }
    }

    /// Numbers, stamps and hashes.
    fn chain(
        &self,
        tail: &mut Tail,
        record: Record,
        text: String,
    ) -> Result<(Entry, StoredEntry), JournalError> {
        let (seq, epoch) = (tail.next_seq, tail.epoch);
        if let Some(after) = self.cut_after.filter(|after| seq >= *after) {
            return Err(JournalError::Cut { after });
        }
        if self.cut_when.as_ref().is_some_and(|cut| cut(seq, &record)) {
            return Err(JournalError::Cut { after: seq });
        }
        let at = self.clock.now();
        let hash = chain::hash(&tail.last_hash, seq, at, epoch, &text);
        tail.next_seq += 1;
        tail.last_hash.clone_from(&hash);
        let line = StoredEntry {
            seq,
            at,
            epoch,
            record: text,
            hash: hash.clone(),
        };
        let entry = Entry {
            seq,
            at,
            epoch,
            record,
            hash,
        };
        Ok((entry, line))
    }

    fn hand_over(
        &self,
        tail: &mut Tail,
        entry: Entry,
        line: StoredEntry,
        durability: Durability,
    ) -> Pending {
        match &mut tail.sink {
            Sink::Inline(store) => {
                let written = store.append(vec![line], durability);
                Pending::Done(match written {
                    Ok(()) => Ok(self.shared.keep(entry)),
                    Err(error) => Err(self.shared.poison(error)),
                })
            }
            Sink::Threaded { queue, .. } => {
                let (answer, pending) = oneshot::channel();
                let job = Box::new(Job {
                    entry,
                    line,
                    durability,
                    answer,
                });
                let refused = match queue.as_ref().map(|queue| queue.try_send(job)) {
                    Some(Ok(())) => return Pending::Queued(pending),
                    Some(Err(TrySendError::Full(_))) => {
                        JournalError::Backlog { queued: MAX_QUEUED }
                    }
                    Some(Err(TrySendError::Disconnected(_))) | None => JournalError::WriterGone,
                };
                Pending::Done(Err(self.shared.poison(refused)))
            }
        }
    }

    /// Moves the store to a thread of its own.
    fn spawn_writer(&self) -> Result<(), JournalError> {
        let (queue, jobs) = sync_channel(MAX_QUEUED);
        let mut tail = lock(&self.tail);
        let threaded = Sink::Threaded {
            queue: Some(queue),
            thread: None,
        };
        let Sink::Inline(store) = std::mem::replace(&mut tail.sink, threaded) else {
            return Ok(());
        };
        let shared = Arc::clone(&self.shared);
        let spawned = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || write_all(&jobs, store, &shared))
            .map_err(|error| JournalError::io("a thread for the journal", error))?;
        if let Sink::Threaded { thread, .. } = &mut tail.sink {
            *thread = Some(spawned);
        }
        Ok(())
    }
}

impl Drop for Inner {
    /// Lets the thread write what is queued and waits for it, so that a closed journal is a complete one.
    fn drop(&mut self) {
        let tail = self.tail.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Sink::Threaded { queue, thread } = &mut tail.sink {
            drop(queue.take());
            if let Some(thread) = thread.take() {
                // A writer that panicked has answered nobody: its callers were told that it is gone.
                drop(thread.join());
            }
        }
    }
}

impl Shared {
    fn keep(&self, entry: Entry) -> Place {
        let place = Place {
            seq: entry.seq,
            at: entry.at,
        };
        if let Some(hook) = &self.on_append {
            hook(&entry);
        }
        lock(&self.entries).push(entry);
        place
    }

    /// The first failure is the answer to everything after it.
    fn poison(&self, error: JournalError) -> JournalError {
        self.failure.get_or_init(|| error).clone()
    }
}

/// The writing thread: everything queued in one transaction, until the last handle is gone.
fn write_all(jobs: &Receiver<Box<Job>>, mut store: Box<dyn Store>, shared: &Shared) {
    while let Ok(first) = jobs.recv() {
        let mut batch = vec![*first];
        batch.extend(jobs.try_iter().take(MAX_BATCH - 1).map(|job| *job));
        write_batch(batch, store.as_mut(), shared);
    }
}

fn write_batch(batch: Vec<Job>, store: &mut dyn Store, shared: &Shared) {
    let durable = batch
        .iter()
        .any(|job| job.durability == Durability::Durable);
    let durability = if durable {
        Durability::Durable
    } else {
        Durability::Buffered
    };
    let (lines, waiting): (Vec<StoredEntry>, Vec<_>) = batch
        .into_iter()
        .map(|job| (job.line, (job.entry, job.answer)))
        .unzip();
    let written = match shared.failure.get() {
        Some(failure) => Err(failure.clone()),
        None => store
            .append(lines, durability)
            .map_err(|error| shared.poison(error)),
    };
    for (entry, answer) in waiting {
        let result = match &written {
            Ok(()) => Ok(shared.keep(entry)),
            Err(error) => Err(error.clone()),
        };
        // Whoever dropped the future did not want to know; the record is kept all the same.
        drop(answer.send(result));
    }
}

/// The record without secrets and its canonical text. What is returned is what a reader of the text will see.
fn prepare(redactor: &Redactor, record: Record) -> Result<(Record, String), JournalError> {
    let kind = record.kind();
    let unrecordable = |error: serde_json::Error| JournalError::Unrecordable {
        kind,
        source: Arc::new(error),
    };
    // Only these have numbers that JSON may not know: they are read back even where nothing was redacted.
    let is_exact = !matches!(record, Record::Truth { .. });
    if is_exact && redactor.is_none() {
        let text = canonical::of(&record).map_err(unrecordable)?;
        return Ok((record, text));
    }
    let mut value = serde_json::to_value(&record).map_err(unrecordable)?;
    redactor.redact_value(&mut value);
    let text = canonical::value(&value);
    let record = serde_json::from_value(value).map_err(unrecordable)?;
    Ok((record, text))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
