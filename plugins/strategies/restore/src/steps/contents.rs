//! Look at what was restored before anybody writes to it.

use serde_json::json;
use understudy_recovery::Error;
use understudy_recovery::check::is_graceful;
use understudy_recovery::plan::{At, Budget, DB_LEAD, Move, Reversal};
use understudy_recovery::recovery::{Recovery, attach};
use understudy_sdk::strategy::understudy::database::database::{self, Contents};

use crate::parameters::Restore;

/// Counts and digests what was restored; where the site left answers, its schema must be the same.
pub(crate) const CHECK_CONTENTS: Move = Move {
    title: "Check the schema and contents restored at {to}",
    role: DB_LEAD,
    budget: Budget::Minutes(15),
    reversal: Reversal::Nothing,
    acts: &[("check", At::To)],
    uses: &["control", "database"],
    perform: check_contents,
};

/// Why the restored contents will not do; `None` where they will.
fn problem_with(
    restored: &Contents,
    original: Option<&Contents>,
    schema_digest: Option<&str>,
) -> Option<String> {
    if restored.tables == 0 {
        return Some("it has no tables".to_owned());
    }
    let expected = schema_digest.or(original.map(|original| original.schema_digest.as_str()));
    match expected {
        Some(expected) if expected != restored.schema_digest => Some(format!(
            "its schema is {}, expected {expected}",
            restored.schema_digest
        )),
        _ => None,
    }
}

fn as_json(contents: &Contents) -> serde_json::Value {
    json!({"tables": contents.tables, "rows": contents.rows, "schema-digest": contents.schema_digest,
        "checksum": contents.checksum, "migration": contents.migration})
}

fn check_contents(recovery: &Recovery) -> Result<String, Error> {
    let (from, to, database) = (
        recovery.from(),
        recovery.to(),
        &recovery.parameters.database,
    );
    let restored = database::observe_contents(to, database)?;
    let original = match is_graceful(recovery) {
        true => Some(database::observe_contents(from, database)?),
        false => None,
    };
    attach(
        "contents",
        &json!({"restored": as_json(&restored), "original": original.as_ref().map(as_json)}),
    )?;
    let own = Restore::of(recovery)?;
    if let Some(problem) = problem_with(&restored, original.as_ref(), own.schema_digest.as_deref())
    {
        return Err(Error::Conflict(format!(
            "what was restored at {to} will not do: {problem}"
        )));
    }
    let compared = match &original {
        Some(original) if original.checksum == restored.checksum => {
            ", equal to the original".to_owned()
        }
        Some(original) => format!(", the original has {} rows", original.rows),
        None => String::new(),
    };
    Ok(format!(
        "{} tables and {} rows at {to}{compared}",
        restored.tables, restored.rows
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(tables: u32, schema: &str) -> Contents {
        Contents {
            tables,
            rows: 1,
            schema_digest: schema.to_owned(),
            checksum: String::new(),
            migration: String::new(),
        }
    }

    #[test]
    fn an_empty_or_different_schema_will_not_do() {
        let good = contents(3, "a");
        assert_eq!(problem_with(&good, None, None), None);
        assert_eq!(problem_with(&good, Some(&good), Some("a")), None);
        assert!(problem_with(&contents(0, "a"), None, None).is_some());
        assert!(problem_with(&good, Some(&contents(3, "b")), None).is_some());
        assert!(problem_with(&good, Some(&good), Some("c")).is_some());
    }
}
