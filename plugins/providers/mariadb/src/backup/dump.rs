//! Taking a backup: one dump, its place in the log, its manifest.

use understudy_sdk::exec::{Input, Job, Output, Programs, waiting};
use understudy_sdk::host::understudy::types::types::{Error, Outcome};

use super::{Manifest, command, complete, dump_file, gave_up, manifest_file, patient, stem};
use crate::config::Config;
use crate::gtid::Position;

/// What stands in front of the position, in a comment at the head or at the end of a dump.
const POSITION: &str = "SET GLOBAL gtid_slave_pos='";

/// What the last line of a dump says.
const COMPLETED: &str = "-- Dump completed";

/// Bytes of a dump's head and end that are looked at.
const LOOKED_AT: u32 = 64 * 1024;

/// See `ensure-backup`.
pub(crate) fn ensure_backup(
    programs: &impl Programs,
    config: &Config,
    site: &str,
    database: &str,
    name: &str,
) -> Result<Outcome, Error> {
    let program = config.dump_program(site)?;
    let stem = stem(name);
    if let Some(dump) = complete(programs, program, &stem)? {
        let manifest = dump.manifest;
        let same = (manifest.name.as_str(), manifest.database.as_str()) == (name, database);
        return match same {
            true => Ok(Outcome::Unchanged),
            false => Err(Error::Conflict(format!(
                "the backup `{}` of {} has the file that `{name}` of {database} would have; choose another name",
                manifest.name, manifest.database
            ))),
        };
    }
    let schema = config.schema(database)?;
    let file = dump_file(&stem);
    let dump = command(
        program,
        arguments(&config.known_schemas(schema)),
        Input::Nothing,
        Output::File(file.clone()),
    );
    let what = format!("the dump of {database} at {site}");
    let job = format!("dump {stem}");
    let ended = match programs.job(&job, &dump).map_err(patient)? {
        Job::Running(running_ms) => return Ok(waiting(&job, &what, running_ms)),
        Job::Ended(ended) => ended,
    };
    let Some(written) = ended.written.clone() else {
        return Err(gave_up(&what, &ended));
    };
    let position = position_of(programs, program, &file)?;
    let manifest = Manifest {
        name: name.to_owned(),
        database: database.to_owned(),
        site: site.to_owned(),
        position: position.to_string(),
        taken_at_ms: ended.started_at_ms,
        size_bytes: written.size_bytes,
        sha256: written.sha256,
    };
    let text =
        serde_json::to_vec_pretty(&manifest).map_err(|error| Error::Other(error.to_string()))?;
    programs.put(program, &manifest_file(&stem), &text)?;
    Ok(Outcome::Changed)
}

/// One consistent state of these schemas with its position, without stopping writers for longer than a moment.
fn arguments(schemas: &[String]) -> Vec<String> {
    let fixed = [
        "--single-transaction",
        "--gtid",
        "--master-data=2",
        "--hex-blob",
        "--routines",
        "--events",
        "--triggers",
        "--databases",
    ];
    fixed
        .iter()
        .map(|&text| text.to_owned())
        .chain(schemas.iter().cloned())
        .collect()
}

/// Where in the log the dump stands. A dump that does not say that it is complete is none.
fn position_of(programs: &impl Programs, program: &str, file: &str) -> Result<Position, Error> {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let end = text(programs.part(program, file, -i64::from(LOOKED_AT), LOOKED_AT)?);
    let last = end.trim_end().lines().last().unwrap_or_default();
    if !last.starts_with(COMPLETED) {
        return Err(Error::Conflict(format!(
            "{file} does not end as a complete dump does, but with: {}",
            last.chars().take(80).collect::<String>()
        )));
    }
    let head = text(programs.part(program, file, 0, LOOKED_AT)?);
    let found = read_position(&head).or_else(|| read_position(&end));
    let found = found.ok_or_else(|| {
        Error::Conflict(format!(
            "{file} names no GTID position: does its server keep a binary log?"
        ))
    })?;
    Position::parse(found).map_err(Error::Other)
}

fn read_position(text: &str) -> Option<&str> {
    let lines = text
        .lines()
        .filter(|line| line.starts_with("--") || line.starts_with("SET "));
    let mut found = lines.filter_map(|line| line.split_once(POSITION));
    found
        .next()?
        .1
        .split_once('\'')
        .map(|(position, _)| position)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_position_is_read_where_the_dump_has_it() {
        let line = "-- SET GLOBAL gtid_slave_pos='0-1-76,1-3-2';\n";
        assert_eq!(read_position(&format!("--\n{line}")), Some("0-1-76,1-3-2"));
        assert_eq!(
            read_position("INSERT INTO t VALUES ('SET GLOBAL gtid_slave_pos=''1')"),
            None
        );
        assert_eq!(read_position("-- SET GLOBAL gtid_slave_pos='';"), Some(""));
    }
}
