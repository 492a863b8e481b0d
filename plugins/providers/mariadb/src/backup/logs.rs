//! What was written after a dump: read from the binary logs of the server that gave the dump, or, where that does not
//! answer, from those that were kept beside the dumps.
//!
//! Either way the logs become a file of statements with their GTIDs, cut before the second that is restored to. An instant
//! is within reach where the logs go on behind it: a server that answers has logged everything up to now; of kept ones the
//! newest file says until when something came in.

use understudy_sdk::exec::{Input, Job, Listed, Output, Programs};
use understudy_sdk::host::understudy::types::types::Error;
use understudy_sdk::time::rfc3339;

use super::{Dump, command, gave_up, patient};
use crate::config::Config;
use crate::gtid::Position;
use crate::server::look;
use crate::session::{Sql, statements};

/// End of the name of a file of statements.
const WORKING: &str = ".logs.sql";

/// How the reading of logs stands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Logs {
    /// At it, for so many milliseconds.
    Running(u64),
    /// They are in the working file.
    Read,
    /// There are none, or they do not reach; why.
    OutOfReach(String),
}

/// The file that logs for a site are read into.
pub(crate) fn working_file(site: &str) -> String {
    format!("restore-{}{WORKING}", super::stem(site))
}

/// True for such a file.
pub(crate) fn is_working_file(name: &str) -> bool {
    name.ends_with(WORKING)
}

/// Where logs come from.
struct Origin {
    program: String,
    arguments: Vec<String>,
    /// Until when they tell everything, in milliseconds since the epoch.
    until_ms: u64,
}

/// Reads the logs after a dump, up to an instant or as far as they go.
pub(crate) fn read(
    sql: &impl Sql,
    programs: &impl Programs,
    config: &Config,
    site: &str,
    dump: &Dump,
    instant_ms: Option<u64>,
) -> Result<Logs, Error> {
    let Some(origin) = origin(sql, programs, config, dump)? else {
        let from = &dump.manifest.site;
        return Ok(Logs::OutOfReach(format!(
            "{from} does not answer with its logs, and none are kept"
        )));
    };
    if let Some(instant_ms) = instant_ms.filter(|instant_ms| *instant_ms > origin.until_ms) {
        return Ok(Logs::OutOfReach(format!(
            "the logs reach {}, not {}",
            rfc3339(origin.until_ms),
            rfc3339(instant_ms)
        )));
    }
    let mut arguments = bounds(dump, instant_ms);
    arguments.extend(origin.arguments);
    let output = Output::File(working_file(site));
    let command = command(&origin.program, arguments, Input::Nothing, output);
    let job = format!("logs for {site}");
    match programs.job(&job, &command).map_err(patient)? {
        Job::Running(running_ms) => Ok(Logs::Running(running_ms)),
        Job::Ended(ended) if ended.written.is_some() => Ok(Logs::Read),
        Job::Ended(ended) => match gave_up("reading the logs", &ended) {
            Error::Conflict(text) => Ok(Logs::OutOfReach(text)),
            error => Err(error),
        },
    }
}

/// Until when the logs after a dump tell everything, in milliseconds since the epoch; none where there are none.
pub(crate) fn until_ms(
    sql: &impl Sql,
    programs: &impl Programs,
    config: &Config,
    dump: &Dump,
) -> Result<Option<u64>, Error> {
    Ok(origin(sql, programs, config, dump)?.map(|origin| origin.until_ms))
}

fn origin(
    sql: &impl Sql,
    programs: &impl Programs,
    config: &Config,
    dump: &Dump,
) -> Result<Option<Origin>, Error> {
    match live(sql, config, dump) {
        Ok(Some(live)) => Ok(Some(live)),
        // Dead, or not what it was: then what was kept of it has to do.
        Ok(None) | Err(Error::Unavailable(_) | Error::TimedOut(_) | Error::InDoubt(_)) => {
            kept(programs, config, dump)
        }
        Err(error) => Err(error),
    }
}

fn bounds(dump: &Dump, instant_ms: Option<u64>) -> Vec<String> {
    let position = &dump.manifest.position;
    let start = (!position.is_empty()).then(|| format!("--start-position={position}"));
    // Logs have whole seconds: what was written in the second of the instant is left out.
    let stop = instant_ms.map(|ms| {
        let text = rfc3339(ms).replace('T', " ");
        format!("--stop-datetime={}", text.trim_end_matches('Z'))
    });
    start.into_iter().chain(stop).collect()
}

/// The logs of the server that gave the dump; none where it is not told how to read them, or has another history now.
fn live(sql: &impl Sql, config: &Config, dump: &Dump) -> Result<Option<Origin>, Error> {
    let from = dump.manifest.site.as_str();
    let Some(program) = config.logs_program(from) else {
        return Ok(None);
    };
    let connection = config.connection(from)?;
    let server = look(sql, connection, config.schema(&dump.manifest.database)?)?;
    let position = Position::parse(&dump.manifest.position).map_err(Error::Other)?;
    if !server.has_binlog || !server.history.holds(&position) {
        return Ok(None);
    }
    let questions = statements(&[
        "SHOW BINARY LOGS",
        "SELECT CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS UNSIGNED) AS now_ms",
    ]);
    let answers = sql.run(connection, &questions)?;
    let row = |index: usize| answers.get(index).and_then(|table| table.row(0));
    let first = row(0).map(|row| row.text("Log_name").to_owned());
    Ok(first.map(|first| Origin {
        program: program.to_owned(),
        arguments: vec![
            "--read-from-remote-server".to_owned(),
            "--to-last-log".to_owned(),
            first,
        ],
        until_ms: row(1).map_or(0, |row| row.number("now_ms")),
    }))
}

/// What was kept of the logs of the server that gave the dump, as far as it is without a gap.
fn kept(programs: &impl Programs, config: &Config, dump: &Dump) -> Result<Option<Origin>, Error> {
    let Some((program, prefix)) = config.kept_logs(&dump.manifest.site) else {
        return Ok(None);
    };
    let files = programs.files(program)?;
    let needed = without_gap(&files, prefix, dump.manifest.taken_at_ms);
    Ok(needed.last().map(|newest| Origin {
        program: program.to_owned(),
        arguments: needed.iter().map(|file| file.name.clone()).collect(),
        until_ms: newest.changed_at_ms,
    }))
}

/// The files of this prefix that hold what came in since then, in order, up to the first that is missing.
fn without_gap<'f>(files: &'f [Listed], prefix: &str, since_ms: u64) -> Vec<&'f Listed> {
    let number = |file: &Listed| -> Option<u64> {
        let rest = file.name.strip_prefix(prefix)?;
        rest.rsplit_once('.')?.1.parse().ok()
    };
    let mut numbered: Vec<(u64, &Listed)> = files
        .iter()
        .filter(|file| file.changed_at_ms >= since_ms)
        .filter_map(|file| Some((number(file)?, file)))
        .collect();
    numbered.sort_by_key(|(number, _)| *number);
    let first = numbered.first().map_or(0, |(number, _)| *number);
    (first..)
        .zip(numbered)
        .take_while(|(expected, (number, _))| expected == number)
        .map(|(_, (_, file))| file)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::Manifest;

    fn file(name: &str, changed_at_ms: u64) -> Listed {
        Listed {
            name: name.to_owned(),
            size_bytes: 1,
            changed_at_ms,
        }
    }

    #[test]
    fn kept_logs_are_used_in_order_and_up_to_a_gap() {
        let files = [
            file("pz-binlog.000009", 50),
            file("pz-binlog.000011", 300),
            file("pz-binlog.000010", 200),
            file("pz-binlog.000013", 400),
            file("bz-binlog.000012", 400),
            file("nightly.sql", 400),
        ];
        let names = |since| -> Vec<&str> {
            let files = without_gap(&files, "pz-", since);
            files.iter().map(|file| file.name.as_str()).collect()
        };
        assert_eq!(names(100), ["pz-binlog.000010", "pz-binlog.000011"]);
        assert_eq!(names(350), ["pz-binlog.000013"]);
        assert_eq!(names(500), [] as [&str; 0]);
    }

    #[test]
    fn the_second_of_the_instant_is_left_out() {
        let dump = |position: &str| Dump {
            stem: "a".to_owned(),
            manifest: Manifest {
                name: "a".to_owned(),
                database: "wordpress".to_owned(),
                site: "pz".to_owned(),
                position: position.to_owned(),
                taken_at_ms: 0,
                size_bytes: 0,
                sha256: String::new(),
            },
        };
        assert_eq!(
            bounds(&dump("0-1-7"), Some(784_111_777_900)),
            [
                "--start-position=0-1-7",
                "--stop-datetime=1994-11-06 08:49:37"
            ]
        );
        assert_eq!(bounds(&dump(""), None), [] as [&str; 0]);
    }
}
