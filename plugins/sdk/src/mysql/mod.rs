//! What providers of MySQL and of MariaDB share: sessions over the host's `sql`, and whatever both servers do alike.
//!
//! Not here: positions and replication, which each has in its own notation. Start at [`Sql`].

use crate::host::understudy::types::types::Error;

pub mod contents;
pub mod fence;
pub mod heartbeat;
pub mod migrations;
mod session;
pub mod write_probe;

pub use session::{
    Host, Row, Sql, Table, check_statements, identifier, is_refusal, literal, statements,
};

/// A schema's name that can stand in a statement as it is.
///
/// # Errors
/// `invalid`: it could not.
pub fn schema_name(schema: &str) -> Result<&str, Error> {
    let is_name = (1..=64).contains(&schema.len())
        && schema
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'$' | b'-'));
    if is_name {
        Ok(schema)
    } else {
        Err(Error::Invalid(format!(
            "`{schema}` cannot be a schema here: letters, digits, `_`, `$` and `-`; name one under `schemas`"
        )))
    }
}

/// True for text that means itself inside a quoted SQL string whatever the server's `sql_mode`.
#[must_use]
pub fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| {
            b.is_ascii_graphic() && !matches!(b, b'\'' | b'"' | b'`' | b'\\' | b'{' | b'}')
        })
}
