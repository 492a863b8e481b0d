//! Migrations of a database: which are left to apply. Pure; the statements that keep and read progress are each engine's.
//!
//! Progress is one row per statement in the application's own schema, so that it replicates with the data.

use serde::Deserialize;

use crate::host::understudy::types::types::Error;
use crate::sql::Table;

/// Table of the application's schema that keeps what was applied.
pub const MIGRATIONS_TABLE: &str = "understudy_migrations";

/// A migration, as a binding's configuration has it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Migration {
    /// Its name.
    pub version: String,
    /// In order.
    pub statements: Vec<String>,
}

/// A statement that is not applied yet.
#[derive(Debug, PartialEq, Eq)]
pub struct Work<'a> {
    /// The migration, from 1.
    pub number: usize,
    /// The statement in it, from 1.
    pub statement: usize,
    /// The migration's version.
    pub version: &'a str,
    /// The statement.
    pub text: &'a str,
    /// With this one the migration is complete.
    pub is_last: bool,
}

/// The migrations up to and including a version.
///
/// # Errors
/// `invalid`: there is no such version.
pub fn up_to<'a>(migrations: &'a [Migration], version: &str) -> Result<&'a [Migration], Error> {
    migrations
        .iter()
        .position(|migration| migration.version == version)
        .and_then(|index| migrations.get(..=index))
        .ok_or_else(|| {
            Error::Invalid(format!(
                "no migration `{version}` under `migrations` of the binding"
            ))
        })
}

/// What is left to apply, by the rows of [`MIGRATIONS_TABLE`] (`number`, `statement`, `version`).
///
/// # Errors
/// `conflict`: the database went through other migrations.
pub fn missing<'a>(wanted: &'a [Migration], applied: &Table) -> Result<Vec<Work<'a>>, Error> {
    let mut work = Vec::new();
    for (index, migration) in wanted.iter().enumerate() {
        let number = index + 1;
        let rows: Vec<_> = applied
            .iter()
            .filter(|row| row.text("number") == number.to_string())
            .collect();
        if let Some(other) = rows
            .iter()
            .find(|row| row.text("version") != migration.version)
        {
            return Err(Error::Conflict(format!(
                "migration {number} of the database is `{}`, of the configuration `{}`",
                other.text("version"),
                migration.version
            )));
        }
        for (position, text) in migration.statements.iter().enumerate() {
            let statement = position + 1;
            if rows
                .iter()
                .all(|row| row.text("statement") != statement.to_string())
            {
                work.push(Work {
                    number,
                    statement,
                    version: &migration.version,
                    text,
                    is_last: statement == migration.statements.len(),
                });
            }
        }
    }
    Ok(work)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn migrations() -> Vec<Migration> {
        [("a", 2), ("b", 1)]
            .iter()
            .map(|(version, count)| Migration {
                version: (*version).to_owned(),
                statements: (0..*count).map(|n| format!("{version}{n}")).collect(),
            })
            .collect()
    }

    fn applied(rows: &[[&str; 4]]) -> Table {
        Table {
            columns: ["number", "statement", "version", "complete"]
                .map(str::to_owned)
                .to_vec(),
            rows: rows
                .iter()
                .map(|row| row.iter().map(|v| Some((*v).to_owned())).collect())
                .collect(),
        }
    }

    #[test]
    fn what_is_applied_is_not_applied_again() {
        let all = migrations();
        let texts = |rows: &[[&str; 4]], version| {
            missing(up_to(&all, version).unwrap(), &applied(rows))
                .unwrap()
                .iter()
                .map(|w| w.text.to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(texts(&[], "b"), ["a0", "a1", "b0"]);
        assert_eq!(texts(&[["1", "1", "a", "0"]], "b"), ["a1", "b0"]);
        assert_eq!(
            texts(&[["1", "1", "a", "0"], ["1", "2", "a", "1"]], "a"),
            Vec::<String>::new()
        );
    }

    #[test]
    fn another_history_and_an_unknown_version_are_refused() {
        let all = migrations();
        assert!(matches!(
            missing(&all, &applied(&[["1", "1", "z", "1"]])),
            Err(Error::Conflict(_))
        ));
        assert!(matches!(up_to(&all, "c"), Err(Error::Invalid(_))));
    }
}
