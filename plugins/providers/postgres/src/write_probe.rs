//! Writing as an ordinary client would.

use understudy_sdk::host::understudy::types::types::{Error, Outcome};
use understudy_sdk::sql::{Sql, Table};

use crate::dialect::{NO_SUCH_TABLE, is_refusal, literal};

/// Table, in the client's own schema, that takes the probes, one row per token.
const PROBE_TABLE: &str = "understudy_probe";

/// Longest token in bytes.
const TOKEN_BYTES: usize = 190;

/// See `ensure-write-probe`.
pub(crate) fn ensure(sql: &impl Sql, client: &str, token: &str) -> Result<Outcome, Error> {
    if token.is_empty() || token.len() > TOKEN_BYTES {
        return Err(Error::Invalid(format!(
            "a probe token has 1 to {TOKEN_BYTES} bytes"
        )));
    }
    let token = literal(token);
    let look = [
        "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()".to_owned(),
        format!("SELECT count(*) FROM {PROBE_TABLE} WHERE token = {token}"),
    ];
    match sql.run(client, &look) {
        Ok(answers) if is_there(client, &answers)? => return Ok(Outcome::Unchanged),
        Ok(_) => {}
        Err(error) if is_refusal(&error, NO_SUCH_TABLE) => {
            let create = format!(
                "CREATE TABLE IF NOT EXISTS {PROBE_TABLE} (token text PRIMARY KEY, written_at timestamptz NOT NULL DEFAULT \
                 clock_timestamp())"
            );
            sql.run(client, &[create])?;
        }
        Err(error) => return Err(error),
    }
    let insert =
        format!("INSERT INTO {PROBE_TABLE} (token) VALUES ({token}) ON CONFLICT DO NOTHING");
    sql.run(client, &[insert])?;
    // Read back in a session of its own: what was not committed does not show there.
    match is_there(client, &sql.run(client, &look)?)? {
        true => Ok(Outcome::Changed),
        false => Err(Error::Conflict(format!(
            "a row was written through `{client}` and could not be read back"
        ))),
    }
}

/// Whether the row is there; wants the session to have been encrypted, and the host verifies the certificate of every one
/// that is.
fn is_there(client: &str, answers: &[Table]) -> Result<bool, Error> {
    if answers.first().is_none_or(|table| table.single() != "t") {
        return Err(Error::Conflict(format!(
            "the session of `{client}` is not encrypted"
        )));
    }
    Ok(answers.get(1).is_some_and(|table| table.single() == "1"))
}
