//! A table that is written all the time: what dates the newest write where the server keeps no such time.

use serde::Deserialize;

use super::session::{Sql, is_refusal};
use crate::host::understudy::types::types::Error;

/// The table, as a binding's configuration has it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Heartbeat {
    /// Its name.
    pub table: String,
    /// Its column with the time of writing.
    pub column: String,
}

/// Newest time in a heartbeat table in milliseconds since the epoch; none where there is no such table or no row.
/// `schema`, table and column are checked names.
///
/// # Errors
/// As `sql.run`.
pub fn newest_ms(
    sql: &impl Sql,
    connection: &str,
    schema: &str,
    heartbeat: &Heartbeat,
) -> Result<Option<u64>, Error> {
    let question = format!(
        "SELECT CAST(UNIX_TIMESTAMP(MAX(`{}`)) * 1000 AS UNSIGNED) AS at_ms FROM `{schema}`.`{}`",
        heartbeat.column, heartbeat.table
    );
    // A replica that has not received the table's creation yet has no heartbeat: 1146.
    match sql.run(
        connection,
        &["SET time_zone = '+00:00'".to_owned(), question],
    ) {
        Ok(answers) => Ok(answers.last().and_then(|table| table.single().parse().ok())),
        Err(error) if is_refusal(&error, 1146) => Ok(None),
        Err(error) => Err(error),
    }
}
