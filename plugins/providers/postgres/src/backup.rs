//! Backups: copies of a server in a folder of the host, each with a manifest.
//!
//! A backup is `STEM.tar` as `pg_basebackup` wrote it, whole, with the log that makes it consistent; its manifest
//! `STEM.manifest.json` is written last and says what it is of, how its data stands, and its digest. One without a manifest
//! is not complete. Start at [`ensure_backup`]; `restore` puts one back.

use serde::{Deserialize, Serialize};
use understudy_sdk::exec::{Command, Input, Job, Output, Programs, last_words, stem, waiting};
use understudy_sdk::host::understudy::types::types::{Error, Outcome};

use crate::config::Config;
use crate::database::RecoveryPoint;
use crate::programs::gave_up;

pub(crate) mod restore;

/// End of a manifest's name.
const MANIFEST: &str = ".manifest.json";

/// End of a backup's name.
const BACKUP: &str = ".tar";

/// Most manifests read, the newest: a call of a provider has room for that many.
const MAX_MANIFESTS: usize = 300;

/// What is known of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Manifest {
    /// As `ensure-backup` was asked for it.
    name: String,
    /// The database of the runbook.
    database: String,
    /// The site it was taken at.
    site: String,
    /// When it ended, in milliseconds since the epoch: it holds what was committed before.
    taken_at_ms: u64,
    size_bytes: u64,
    sha256: String,
}

/// A complete backup.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Backup {
    stem: String,
    manifest: Manifest,
}

/// See `ensure-backup`.
pub(crate) fn ensure_backup(
    programs: &impl Programs,
    config: &Config,
    site: &str,
    database: &str,
    name: &str,
) -> Result<Outcome, Error> {
    let program = &config.backups(site)?.take;
    let stem = stem(name);
    if let Some(Backup { manifest, .. }) = complete(programs, program, &stem)? {
        return match (manifest.name.as_str(), manifest.database.as_str()) == (name, database) {
            true => Ok(Outcome::Unchanged),
            false => Err(Error::Conflict(format!(
                "the backup `{}` of {} has the file that `{name}` of {database} would have; choose another name",
                manifest.name, manifest.database
            ))),
        };
    }
    let job = format!("backup {stem}");
    let command = Command {
        program: program.clone(),
        arguments: Vec::new(),
        input: Input::Nothing,
        output: Output::File(format!("{stem}{BACKUP}")),
    };
    let what = format!("the backup of {database} at {site}");
    let ended = match programs.job(&job, &command)? {
        Job::Running(ms) => return Ok(waiting(&job, &what, ms)),
        Job::Ended(ended) => ended,
    };
    let Some(written) = &ended.written else {
        let (code, words) = (ended.exit_code, last_words(&ended));
        return Err(gave_up(format!(
            "{what} ended with exit code {code}: {words}"
        )));
    };
    let manifest = Manifest {
        name: name.to_owned(),
        database: database.to_owned(),
        site: site.to_owned(),
        taken_at_ms: ended.started_at_ms.saturating_add(ended.took_ms),
        size_bytes: written.size_bytes,
        sha256: written.sha256.clone(),
    };
    let text =
        serde_json::to_vec_pretty(&manifest).map_err(|error| Error::Other(error.to_string()))?;
    programs.put(program, &format!("{stem}{MANIFEST}"), &text)?;
    Ok(Outcome::Changed)
}

/// See `list-recovery-points`: complete backups, and those that broke off before their manifest.
pub(crate) fn list(
    programs: &impl Programs,
    config: &Config,
    site: &str,
    database: &str,
) -> Result<Vec<RecoveryPoint>, Error> {
    let program = &config.backups(site)?.take;
    let mut points: Vec<RecoveryPoint> = backups(programs, program, database)?
        .into_iter()
        .map(|backup| RecoveryPoint {
            id: backup.stem,
            taken_at_ms: backup.manifest.taken_at_ms,
            complete: true,
            size_bytes: backup.manifest.size_bytes,
        })
        .collect();
    let files = programs.files(program)?;
    for file in &files {
        let Some(stem) = file.name.strip_suffix(BACKUP) else {
            continue;
        };
        let manifest = format!("{stem}{MANIFEST}");
        if !files.iter().any(|file| file.name == manifest) {
            points.push(RecoveryPoint {
                id: stem.to_owned(),
                taken_at_ms: file.changed_at_ms,
                complete: false,
                size_bytes: file.size_bytes,
            });
        }
    }
    points.sort_by_key(|point| std::cmp::Reverse(point.taken_at_ms));
    Ok(points)
}

/// The backup of this stem, where it is complete.
fn complete(programs: &impl Programs, program: &str, stem: &str) -> Result<Option<Backup>, Error> {
    let text = match programs.part(program, &format!("{stem}{MANIFEST}"), 0, u32::MAX) {
        Ok(text) => text,
        Err(Error::NotFound(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    // One that cannot be read is of no backup that anybody can vouch for.
    let manifest = serde_json::from_slice(&text).ok();
    Ok(manifest.map(|manifest| Backup {
        stem: stem.to_owned(),
        manifest,
    }))
}

/// The complete backups of a database, newest first.
fn backups(programs: &impl Programs, program: &str, database: &str) -> Result<Vec<Backup>, Error> {
    let mut files = programs.files(program)?;
    files.sort_by_key(|file| std::cmp::Reverse(file.changed_at_ms));
    let stems = files
        .iter()
        .filter_map(|file| file.name.strip_suffix(MANIFEST));
    let mut backups = Vec::new();
    for stem in stems.take(MAX_MANIFESTS) {
        let backup = complete(programs, program, stem)?;
        backups.extend(backup.filter(|backup| backup.manifest.database == database));
    }
    backups.sort_by_key(|backup| std::cmp::Reverse(backup.manifest.taken_at_ms));
    Ok(backups)
}
