//! Backups: dumps in a folder of the host, each with a manifest, and what the logs add to them.
//!
//! A dump is `STEM.sql` as `mariadb-dump` wrote it, whole; its manifest `STEM.manifest.json` is written last and says what
//! it holds, up to which transaction, and its digest. A dump without a manifest is not complete. Start at
//! [`dump::ensure_backup`] and [`restore::ensure_restored`].

use serde::{Deserialize, Serialize};
pub(crate) use understudy_sdk::exec::stem;
use understudy_sdk::exec::{Command, Ended, Input, Output, Programs, last_words};
use understudy_sdk::host::understudy::types::types::Error;
use understudy_sdk::provider::unavailable;

use crate::config::Config;
use crate::database::RecoveryPoint;
use crate::session::Sql;

pub(crate) mod dump;
pub(crate) mod logs;
pub(crate) mod progress;
pub(crate) mod restore;

/// End of a manifest's name.
const MANIFEST: &str = ".manifest.json";

/// End of a dump's name.
const DUMP: &str = ".sql";

/// Most manifests read, the newest: a call of a provider has room for that many.
const MAX_MANIFESTS: usize = 300;

/// What is known of a dump.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Manifest {
    /// As `ensure-backup` was asked for it.
    pub(crate) name: String,
    /// The database of the runbook.
    pub(crate) database: String,
    /// The site it was taken at.
    pub(crate) site: String,
    /// GTID position of the data.
    pub(crate) position: String,
    /// When it was begun, in milliseconds since the epoch: everything committed before is in it.
    pub(crate) taken_at_ms: u64,
    pub(crate) size_bytes: u64,
    pub(crate) sha256: String,
}

/// A complete dump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dump {
    pub(crate) stem: String,
    pub(crate) manifest: Manifest,
}

/// Names of the files of a recovery point.
pub(crate) fn manifest_file(stem: &str) -> String {
    format!("{stem}{MANIFEST}")
}

pub(crate) fn dump_file(stem: &str) -> String {
    format!("{stem}{DUMP}")
}

/// The dump of this stem, where it is complete.
pub(crate) fn complete(
    programs: &impl Programs,
    program: &str,
    stem: &str,
) -> Result<Option<Dump>, Error> {
    let part = programs.part(program, &manifest_file(stem), 0, u32::MAX);
    let text = match part {
        Ok(text) => text,
        Err(Error::NotFound(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    // One that cannot be read is of no dump that anybody can vouch for.
    let manifest = serde_json::from_slice(&text).ok();
    Ok(manifest.map(|manifest| Dump {
        stem: stem.to_owned(),
        manifest,
    }))
}

/// The complete dumps of a database, newest first.
pub(crate) fn dumps(
    programs: &impl Programs,
    program: &str,
    database: &str,
) -> Result<Vec<Dump>, Error> {
    let mut files = programs.files(program)?;
    files.sort_by_key(|file| std::cmp::Reverse(file.changed_at_ms));
    let mut dumps = Vec::new();
    let stems = files
        .iter()
        .filter_map(|file| file.name.strip_suffix(MANIFEST));
    for stem in stems.take(MAX_MANIFESTS) {
        let dump = complete(programs, program, stem)?;
        dumps.extend(dump.filter(|dump| dump.manifest.database == database));
    }
    dumps.sort_by_key(|dump| std::cmp::Reverse(dump.manifest.taken_at_ms));
    Ok(dumps)
}

/// See `observe-restorable`, of the newest dump: to the second, as what is restored is.
pub(crate) fn restorable_ms(
    sql: &impl Sql,
    programs: &impl Programs,
    config: &Config,
    site: &str,
    database: &str,
) -> Result<Option<u64>, Error> {
    let program = config.client_program(site)?;
    let newest = dumps(programs, program, database)?.into_iter().next();
    let reach = match newest {
        Some(dump) => logs::until_ms(sql, programs, config, &dump)?,
        None => None,
    };
    Ok(reach.map(|ms| ms / 1000 * 1000))
}

/// See `list-recovery-points`: complete dumps, and those that broke off.
pub(crate) fn list(
    programs: &impl Programs,
    program: &str,
    database: &str,
) -> Result<Vec<RecoveryPoint>, Error> {
    let mut points: Vec<RecoveryPoint> = dumps(programs, program, database)?
        .into_iter()
        .map(|dump| RecoveryPoint {
            id: dump.stem,
            taken_at_ms: dump.manifest.taken_at_ms,
            complete: true,
            size_bytes: dump.manifest.size_bytes,
        })
        .collect();
    let files = programs.files(program)?;
    for file in &files {
        let Some(stem) = file.name.strip_suffix(DUMP) else {
            continue;
        };
        let manifest = manifest_file(stem);
        let orphan = !files.iter().any(|file| file.name == manifest);
        if orphan && !logs::is_working_file(&file.name) {
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

/// A command.
pub(crate) fn command(
    program: &str,
    arguments: Vec<String>,
    input: Input,
    output: Output,
) -> Command {
    Command {
        program: program.to_owned(),
        arguments,
        input,
        output,
    }
}

/// Numbers of the client library: the server is not there, or is gone.
const OUT_OF_REACH: std::ops::RangeInclusive<u32> = 2000..=2059;

/// What a program that gave up says, as an error.
pub(crate) fn gave_up(what: &str, ended: &Ended) -> Error {
    let words = last_words(ended);
    let text = format!("{what} ended with exit code {}: {words}", ended.exit_code);
    match error_number(&ended.stderr) {
        Some(number) if OUT_OF_REACH.contains(&number) => unavailable(text),
        Some(1044 | 1045 | 1142 | 1227 | 1698) => Error::Invalid(format!(
            "{text}; give its user the privileges that the provider's description names"
        )),
        _ => Error::Conflict(text),
    }
}

/// The number behind `ERROR ` or `error: `.
fn error_number(text: &str) -> Option<u32> {
    ["ERROR ", "error: "].iter().find_map(|word| {
        let (_, rest) = text.split_once(word)?;
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        rest.get(..digits)?.parse().ok()
    })
}

/// Another job of this name is still at it: it will end.
pub(crate) fn patient(error: Error) -> Error {
    match error {
        Error::Conflict(text) if text.starts_with("CP0040") => unavailable(text),
        error => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_says_decides_whether_asking_again_helps() {
        let said = |stderr: &str| {
            gave_up(
                "the import",
                &Ended {
                    exit_code: 1,
                    stdout: Vec::new(),
                    stderr: stderr.to_owned(),
                    written: None,
                    started_at_ms: 0,
                    took_ms: 0,
                },
            )
        };
        assert!(matches!(
            said("ERROR 2002 (HY000): Can't connect"),
            Error::Unavailable(_)
        ));
        assert!(matches!(
            said("mariadb-dump: Got error: 2013: \"Lost connection\""),
            Error::Unavailable(_)
        ));
        assert!(matches!(
            said("ERROR 1227 (42000) at line 9: Access denied"),
            Error::Invalid(_)
        ));
        assert!(matches!(
            said("ERROR 1064 (42000) at line 3: syntax"),
            Error::Conflict(_)
        ));
        assert!(matches!(said("killed"), Error::Conflict(_)));
    }
}
