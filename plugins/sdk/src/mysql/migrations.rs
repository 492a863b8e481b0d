//! Applying the migrations of the configuration.
//!
//! Progress is one row per statement in the application's own schema, so that it replicates with the data. Definitions
//! commit by themselves, so a crash between a statement and its row repeats that one statement: it then fails loudly
//! (the column exists) or, being data, is part of the transaction that carries its row.

use serde::Deserialize;

use super::session::{Sql, Table, literal};
use crate::host::understudy::types::types::{Error, Outcome};

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

/// See `ensure-migrated`. `schema` is a checked name ([`super::schema_name`]).
///
/// # Errors
/// `invalid`: there is no such version. `conflict`: the database went through other migrations, or refuses a statement.
pub fn ensure(
    sql: &impl Sql,
    connection: &str,
    schema: &str,
    migrations: &[Migration],
    version: &str,
) -> Result<Outcome, Error> {
    let wanted = up_to(migrations, version)?;
    let create = format!(
        "CREATE TABLE IF NOT EXISTS `{schema}`.`{MIGRATIONS_TABLE}` (number INT UNSIGNED NOT NULL, statement INT UNSIGNED \
         NOT NULL, version VARCHAR(190) NOT NULL, complete BOOLEAN NOT NULL, applied_at TIMESTAMP(6) NOT NULL DEFAULT \
         CURRENT_TIMESTAMP(6), PRIMARY KEY (number, statement)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"
    );
    let exists = sql.run(connection, &[format!(
        "SELECT COUNT(*) AS n FROM information_schema.TABLES WHERE TABLE_SCHEMA = '{schema}' AND TABLE_NAME = '{MIGRATIONS_TABLE}'"
    )])?;
    if exists.first().is_none_or(|table| table.single() != "1") {
        sql.run(
            connection,
            &["SET SESSION sql_mode = ''".to_owned(), create],
        )?;
    }
    let applied = sql.run(connection, &[format!(
        "SELECT number, statement, version, complete FROM `{schema}`.`{MIGRATIONS_TABLE}` ORDER BY number, statement"
    )])?;
    let missing = missing(wanted, applied.first().unwrap_or(&Table::default()))?;
    if missing.is_empty() {
        return Ok(Outcome::Unchanged);
    }
    for work in &missing {
        apply(sql, connection, schema, work)?;
    }
    Ok(Outcome::Changed)
}

/// The newest complete migration, as a question.
#[must_use]
pub fn newest(schema: &str) -> String {
    format!(
        "SELECT version FROM `{schema}`.`{MIGRATIONS_TABLE}` WHERE complete ORDER BY number DESC, statement DESC LIMIT 1"
    )
}

/// A statement that is not applied yet.
#[derive(Debug, PartialEq, Eq)]
struct Work<'a> {
    /// Migration from 1 and statement from 1.
    number: usize,
    statement: usize,
    version: &'a str,
    text: &'a str,
    is_last: bool,
}

/// The migrations up to and including a version.
fn up_to<'a>(migrations: &'a [Migration], version: &str) -> Result<&'a [Migration], Error> {
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

/// What is left to apply; a `conflict` where the database went through other migrations.
fn missing<'a>(wanted: &'a [Migration], applied: &Table) -> Result<Vec<Work<'a>>, Error> {
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

/// Runs one statement and its row in one transaction.
fn apply(sql: &impl Sql, connection: &str, schema: &str, work: &Work<'_>) -> Result<(), Error> {
    let session = [
        format!("USE `{schema}`"),
        "START TRANSACTION".to_owned(),
        work.text.to_owned(),
        format!(
            "INSERT INTO `{schema}`.`{MIGRATIONS_TABLE}` (number, statement, version, complete) VALUES ({}, {}, {}, {})",
            work.number,
            work.statement,
            literal(work.version),
            u8::from(work.is_last)
        ),
        "COMMIT".to_owned(),
    ];
    match sql.run(connection, &session) {
        Ok(_) => Ok(()),
        Err(Error::Conflict(text)) => Err(Error::Conflict(format!(
            "migration `{}`, statement {}: {text}",
            work.version, work.statement
        ))),
        Err(error) => Err(error),
    }
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
