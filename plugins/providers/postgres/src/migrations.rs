//! Applying the migrations of the configuration, as the application's own user.
//!
//! Each statement and its row of progress are one transaction: definitions are transactional here, so a crash leaves both or
//! neither. What cannot run in a transaction (`CREATE INDEX CONCURRENTLY`) is refused by the server.

use understudy_sdk::host::understudy::types::types::{Error, Outcome};
use understudy_sdk::migrations::{MIGRATIONS_TABLE, Migration, Work, missing, up_to};
use understudy_sdk::sql::{Sql, Table};

use crate::dialect::{NO_SUCH_TABLE, is_refusal, literal};

/// See `ensure-migrated`.
pub(crate) fn ensure(
    sql: &impl Sql,
    client: &str,
    migrations: &[Migration],
    version: &str,
) -> Result<Outcome, Error> {
    let wanted = up_to(migrations, version)?;
    let read = format!(
        "SELECT number, statement, version FROM {MIGRATIONS_TABLE} ORDER BY number, statement"
    );
    let applied = match sql.run(client, &[read]) {
        Ok(answers) => answers.first().cloned().unwrap_or_default(),
        Err(error) if is_refusal(&error, NO_SUCH_TABLE) => {
            let create = format!(
                "CREATE TABLE IF NOT EXISTS {MIGRATIONS_TABLE} (number integer NOT NULL, statement integer NOT NULL, \
                 version text NOT NULL, complete boolean NOT NULL, applied_at timestamptz NOT NULL DEFAULT \
                 clock_timestamp(), PRIMARY KEY (number, statement))"
            );
            sql.run(client, &[create])?;
            Table::default()
        }
        Err(error) => return Err(error),
    };
    let missing = missing(wanted, &applied)?;
    for work in &missing {
        apply(sql, client, work)?;
    }
    match missing.is_empty() {
        true => Ok(Outcome::Unchanged),
        false => Ok(Outcome::Changed),
    }
}

fn apply(sql: &impl Sql, client: &str, work: &Work<'_>) -> Result<(), Error> {
    let row = format!(
        "INSERT INTO {MIGRATIONS_TABLE} (number, statement, version, complete) VALUES ({}, {}, {}, {})",
        work.number,
        work.statement,
        literal(work.version),
        work.is_last
    );
    let session = [
        "BEGIN".to_owned(),
        work.text.to_owned(),
        row,
        "COMMIT".to_owned(),
    ];
    match sql.run(client, &session) {
        Ok(_) => Ok(()),
        Err(Error::Conflict(text)) => Err(Error::Conflict(format!(
            "migration `{}`, statement {}: {text}",
            work.version, work.statement
        ))),
        Err(error) => Err(error),
    }
}
