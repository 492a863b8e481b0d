//! Writing as an ordinary client would.

use super::session::{Sql, Table, is_refusal, literal};
use crate::host::understudy::types::types::{Error, Outcome};

/// Table of the application's schema that takes the probes, one row per token.
pub const PROBE_TABLE: &str = "understudy_probe";

/// Longest token in bytes.
const TOKEN_BYTES: usize = 190;

/// `ER_NO_SUCH_TABLE`.
const NO_SUCH_TABLE: u32 = 1146;

/// See `ensure-write-probe`: as `client`, with a table that `admin` makes where there is none. `schema` is a checked
/// name ([`super::schema_name`]).
///
/// # Errors
/// `conflict`: the database refuses the row, or the session is not encrypted. `invalid`: the token is empty or too
/// long.
pub fn ensure(
    sql: &impl Sql,
    client: &str,
    admin: &str,
    schema: &str,
    token: &str,
) -> Result<Outcome, Error> {
    if token.is_empty() || token.len() > TOKEN_BYTES {
        return Err(Error::Invalid(format!(
            "a probe token has 1 to {TOKEN_BYTES} bytes"
        )));
    }
    let look = [
        "SHOW SESSION STATUS LIKE 'Ssl_cipher'".to_owned(),
        format!(
            "SELECT COUNT(*) AS n FROM `{schema}`.`{PROBE_TABLE}` WHERE token = {}",
            literal(token)
        ),
    ];
    match sql.run(client, &look) {
        Ok(answers) => {
            check_tls(client, &answers)?;
            if answers.get(1).is_some_and(|table| table.single() == "1") {
                return Ok(Outcome::Unchanged);
            }
        }
        Err(error) if is_refusal(&error, NO_SUCH_TABLE) => {}
        Err(error) => return Err(error),
    }
    let insert = format!(
        "INSERT IGNORE INTO `{schema}`.`{PROBE_TABLE}` (token) VALUES ({})",
        literal(token)
    );
    match sql.run(client, std::slice::from_ref(&insert)) {
        Err(error) if is_refusal(&error, NO_SUCH_TABLE) => {
            // Only here, where the client could have written: a server that is read-only refuses the client before it
            // looks for the table, and the administering user would pass that by.
            let create = format!(
                "CREATE TABLE IF NOT EXISTS `{schema}`.`{PROBE_TABLE}` (token VARCHAR({TOKEN_BYTES}) CHARACTER SET utf8mb4 \
                 COLLATE utf8mb4_bin NOT NULL PRIMARY KEY, written_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)) ENGINE=InnoDB"
            );
            sql.run(admin, &[create])?;
            sql.run(client, &[insert])?;
        }
        answer => drop(answer?),
    }
    // Read back in a session of its own: what was not committed does not show there.
    let answers = sql.run(client, &look)?;
    check_tls(client, &answers)?;
    if answers.get(1).is_some_and(|table| table.single() == "1") {
        Ok(Outcome::Changed)
    } else {
        Err(Error::Conflict(format!(
            "a row was written through `{client}` and could not be read back"
        )))
    }
}

/// Wants the session to have been encrypted; the host verifies the certificate of every one that is.
fn check_tls(client: &str, answers: &[Table]) -> Result<(), Error> {
    let encrypted = answers
        .first()
        .and_then(|table| table.row(0))
        .is_some_and(|row| !row.text("Value").is_empty());
    if encrypted {
        Ok(())
    } else {
        Err(Error::Conflict(format!(
            "the connection `{client}` is not encrypted; give it TLS in the binding and the server a certificate"
        )))
    }
}
