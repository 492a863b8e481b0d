//! Applying the migrations of the configuration.
//!
//! Progress is one row per statement in the application's own schema, so that it replicates with the data. Definitions
//! commit by themselves, so a crash between a statement and its row repeats that one statement: it then fails loudly
//! (the column exists) or, being data, is part of the transaction that carries its row.

use super::session::{Sql, Table, literal};
use crate::host::understudy::types::types::{Error, Outcome};
use crate::migrations::{Work, missing, up_to};

pub use crate::migrations::{MIGRATIONS_TABLE, Migration};

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
