//! The folder of all runs: one folder per run, named after it. Naming, listing and finding; never the records' meaning.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::chain::{self, ChainError, Verified};
use super::error::JournalError;
use super::lease::Lease;
use super::record::{Ending, Entry, Header, Record};
use super::sqlite;
use super::store::StoredEntry;
use crate::clock::Instant;
use crate::name::{InvalidName, RunId};

/// Characters of the random part of a run id: enough that two runs of one second do not meet.
const SUFFIX_CHARACTERS: u32 = 4;

/// A new run's name: when, what, and a suffix from `random`, for example `20260102t030405z-wordpress-ab12`. Names
/// sort by time.
///
/// # Errors
/// [`InvalidName`] if `runbook` is too long or has no letter or digit.
pub fn new_run_id(at: Instant, runbook: &str, random: u64) -> Result<RunId, InvalidName> {
    let stamp: String = at
        .to_string()
        .chars()
        .take_while(|character| *character != '.')
        .filter(char::is_ascii_alphanumeric)
        .collect();
    let words: Vec<String> = runbook
        .split(|character: char| !character.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    let suffix: String = (0..SUFFIX_CHARACTERS)
        .filter_map(|place| {
            let digit = random / 36_u64.pow(place) % 36;
            char::from_digit(u32::try_from(digit).unwrap_or(0), 36)
        })
        .collect();
    let stamp = stamp.to_ascii_lowercase();
    format!("{stamp}z-{}-{suffix}", words.join("-")).parse()
}

/// The folder of all runs.
#[derive(Debug, Clone)]
pub struct Runs {
    folder: PathBuf,
}

/// A run as a list shows it.
#[derive(Debug)]
pub struct Summary {
    /// The run.
    pub run: RunId,
    /// Process id of the host that is at it, if one is (0 where it did not say).
    pub held_by: Option<u32>,
    /// What its journal says, unverified; or why it cannot be read.
    pub glance: Result<Glance, JournalError>,
}

/// What the ends of a journal say.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Glance {
    /// What the run is.
    pub header: Header,
    /// When it began.
    pub started_at: Instant,
    /// How it ended; `None` while it has not, and again once it is resumed.
    pub ending: Option<Ending>,
    /// When the last record was written.
    pub last_at: Instant,
    /// How many records there are.
    pub records: u64,
}

impl Runs {
    /// The runs in `folder`, which need not exist yet.
    #[must_use]
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
        }
    }

    /// The folder of one run.
    #[must_use]
    pub fn folder(&self, run: &RunId) -> PathBuf {
        self.folder.join(run.as_str())
    }

    /// Makes the folder of a new run, durably.
    ///
    /// # Errors
    /// [`JournalError::Exists`] if there is one, or what the disk says.
    pub fn create(&self, run: &RunId) -> Result<PathBuf, JournalError> {
        let path = self.folder(run);
        let io = |error| JournalError::io(path.display(), error);
        std::fs::create_dir_all(&self.folder).map_err(io)?;
        match std::fs::create_dir(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                return Err(JournalError::Exists {
                    path: path.display().to_string(),
                });
            }
            Err(error) => return Err(io(error)),
        }
        // A folder is durable once the folder around it is synced.
        std::fs::File::open(&self.folder)
            .and_then(|folder| folder.sync_all())
            .map_err(io)?;
        Ok(path)
    }

    /// All runs, oldest first. What is not named like a run is passed over.
    ///
    /// # Errors
    /// [`JournalError::Io`] if the folder cannot be read; one that does not exist has no runs.
    pub fn ids(&self) -> Result<Vec<RunId>, JournalError> {
        let io = |error| JournalError::io(self.folder.display(), error);
        let entries = match std::fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(io(error)),
        };
        let mut ids: Vec<RunId> = Vec::new();
        for entry in entries {
            let entry = entry.map_err(io)?;
            let name = entry.file_name().to_string_lossy().parse();
            if let (Ok(id), true) = (name, entry.path().is_dir()) {
                ids.push(id);
            }
        }
        ids.sort();
        Ok(ids)
    }

    /// The one run whose name is `wanted` or begins with it.
    ///
    /// # Errors
    /// [`JournalError::NoSuchRun`] if none fits, [`JournalError::Ambiguous`] names those that do.
    pub fn find(&self, wanted: &str) -> Result<RunId, JournalError> {
        let mut fitting: Vec<RunId> = self
            .ids()?
            .into_iter()
            .filter(|id| id.as_str().starts_with(wanted))
            .collect();
        if let Some(exact) = fitting.iter().find(|id| id.as_str() == wanted) {
            return Ok(exact.clone());
        }
        match (fitting.pop(), fitting.is_empty()) {
            (Some(only), true) => Ok(only),
            (Some(last), false) => Err(JournalError::Ambiguous {
                wanted: wanted.to_owned(),
                candidates: fitting
                    .into_iter()
                    .chain([last])
                    .map(String::from)
                    .collect(),
            }),
            (None, _) => Err(JournalError::NoSuchRun {
                folder: self.folder.display().to_string(),
                wanted: wanted.to_owned(),
            }),
        }
    }

    /// All runs with what their journals say, oldest first. One that cannot be read is in the list with the reason.
    ///
    /// # Errors
    /// As [`ids`](Self::ids).
    pub fn list(&self) -> Result<Vec<Summary>, JournalError> {
        let summary = |run: RunId| {
            let folder = self.folder(&run);
            Summary {
                run,
                held_by: Lease::holder(&folder),
                glance: glance(&folder),
            }
        };
        Ok(self.ids()?.into_iter().map(summary).collect())
    }

    /// Every entry of a run, verified; also while a host writes it.
    ///
    /// # Errors
    /// [`JournalError`] if it cannot be read or its chain is broken.
    pub fn load(&self, run: &RunId) -> Result<(Vec<Entry>, Verified), JournalError> {
        Ok(chain::read(&self.lines(run)?)?)
    }

    /// Every entry of a run as it is kept, unverified: what [`super::export()`] takes.
    ///
    /// # Errors
    /// [`JournalError`] if it cannot be read.
    pub fn lines(&self, run: &RunId) -> Result<Vec<StoredEntry>, JournalError> {
        sqlite::read(&self.folder(run))
    }
}

fn glance(folder: &Path) -> Result<Glance, JournalError> {
    let lines = sqlite::glance(folder)?;
    let (Some(first), Some(last)) = (lines.first(), lines.last()) else {
        return Err(ChainError::Empty.into());
    };
    // Of those between, only one can be an ending: the last that ends or resumes.
    let ending = lines
        .iter()
        .rev()
        .find_map(|line| match serde_json::from_str(&line.record) {
            Ok(Record::RunEnded { ending, .. }) => Some(Some(ending)),
            Ok(Record::RunResumed { .. }) => Some(None),
            _ => None,
        });
    Ok(Glance {
        header: chain::header(first)?,
        started_at: first.at,
        ending: ending.flatten(),
        last_at: last.at,
        records: last.seq + 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::sqlite::{SqliteOptions, SqliteStore};
    use crate::journal::tests::{header, inline, logged, now};
    use crate::journal::{Durability, Journal};

    #[test]
    fn a_name_says_when_and_what() {
        let at = Instant(1_767_323_045_678);
        let name = new_run_id(at, "Word Press", 123_456_789).unwrap();
        assert_eq!(name.as_str(), "20260102t030405z-word-press-9v3i");
        assert!(new_run_id(at, "ÄÖ", 0).is_err());
        assert!(new_run_id(at, &"x".repeat(200), 0).is_err());
    }

    #[test]
    fn a_list_shows_where_each_run_stands() {
        let folder = tempfile::tempdir().unwrap();
        let runs = Runs::in_folder(folder.path().join("runs"));
        assert!(runs.list().unwrap().is_empty());
        let run = header().run;
        let path = runs.create(&run).unwrap();
        assert_eq!(runs.create(&run).unwrap_err().code(), "JN0013");
        let broken: RunId = "20260102t030405z-broken-ab12".parse().unwrap();
        runs.create(&broken).unwrap();

        let open = || SqliteStore::open(&path, SqliteOptions::default()).unwrap();
        let store = SqliteStore::create(&path, SqliteOptions::default()).unwrap();
        let journal = Journal::create(Box::new(store), inline(), header()).unwrap();
        let ended = Record::RunEnded {
            ending: Ending::Stuck,
            detail: String::new(),
        };
        now(journal.append(ended, Durability::Durable)).unwrap();
        now(journal.append(logged("afterthought"), Durability::Durable)).unwrap();

        let list = runs.list().unwrap();
        assert_eq!(list[0].glance.as_ref().unwrap_err().code(), "JN0008");
        assert_eq!(
            (&list[1].run, list[1].held_by),
            (&run, Some(std::process::id()))
        );
        let glance = list[1].glance.as_ref().unwrap();
        assert_eq!((glance.ending, glance.records), (Some(Ending::Stuck), 3));
        assert_eq!(glance.header, header());

        drop(journal);
        let (journal, _) = Journal::resume(Box::new(open()), inline(), "0.1.0").unwrap();
        now(journal.append(logged("going on"), Durability::Durable)).unwrap();
        drop(journal);
        let list = runs.list().unwrap();
        assert_eq!(list[1].held_by, None);
        assert_eq!(list[1].glance.as_ref().unwrap().ending, None);
        assert_eq!(runs.load(&run).unwrap().1.entries, 5);
    }

    #[test]
    fn a_run_is_found_by_as_much_of_its_name_as_is_needed() {
        let folder = tempfile::tempdir().unwrap();
        let runs = Runs::in_folder(folder.path());
        for name in ["20260102t-a-1", "20260102t-a-12", "20260103t-b-1"] {
            runs.create(&name.parse().unwrap()).unwrap();
        }
        std::fs::write(folder.path().join("20260104t-file"), "").unwrap();
        assert_eq!(runs.find("20260103").unwrap().as_str(), "20260103t-b-1");
        assert_eq!(
            runs.find("20260102t-a-1").unwrap().as_str(),
            "20260102t-a-1"
        );
        let error = runs.find("20260102").unwrap_err();
        assert_eq!(
            error.to_string(),
            "JN0012: `20260102` fits 20260102t-a-1, 20260102t-a-12; give more of the name"
        );
        assert_eq!(runs.find("20260104").unwrap_err().code(), "JN0012");
    }
}
