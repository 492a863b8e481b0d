//! Statements of MySQL and MariaDB: how text becomes part of one, and which refusal is which.

use crate::host::understudy::types::types::Error;

pub use crate::sql::{Host, Row, Sql, Table, check_statements, statements};

/// True for a refusal by the server with this error number; the host's text is `SQLSTATE (number): message`.
#[must_use]
pub fn is_refusal(error: &Error, number: u32) -> bool {
    matches!(error, Error::Conflict(text) if text.contains(&format!("({number}):")))
}

/// An identifier in backticks.
#[must_use]
pub fn identifier(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// Text as a literal that means the same under every `sql_mode` and connection character set.
#[must_use]
pub fn literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2 + 12);
    out.push_str("_utf8mb4 x'");
    for byte in text.bytes() {
        for nibble in [byte >> 4, byte & 15] {
            out.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
    }
    out.push('\'');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_becomes_harmless() {
        assert_eq!(literal("a'\\"), "_utf8mb4 x'61275c'");
        assert_eq!(identifier("a`b"), "`a``b`");
    }

    #[test]
    fn refusals_are_told_apart_by_number() {
        let error = Error::Conflict("HY000 (1290): the server is read-only".to_owned());
        assert!(is_refusal(&error, 1290));
        assert!(!is_refusal(&error, 129));
    }
}
