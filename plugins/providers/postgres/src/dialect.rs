//! How text becomes part of a statement of PostgreSQL, and which refusal is which.

use understudy_sdk::host::understudy::types::types::Error;

/// `read_only_sql_transaction`: what a write meets on a standby.
pub(crate) const READ_ONLY: &str = "25006";
/// `undefined_table`.
pub(crate) const NO_SUCH_TABLE: &str = "42P01";
/// `object_not_in_prerequisite_state`: recovery has just ended, or times of commits are not kept.
pub(crate) const NOT_NOW: &str = "55000";
/// `cannot_connect_now`: the server is there, and starts or stops.
const STARTING: &str = "57P03";

/// True for a refusal by the server with this SQLSTATE; the host's text is `SQLSTATE: message`.
pub(crate) fn is_refusal(error: &Error, state: &str) -> bool {
    matches!(error, Error::Conflict(text) if text.strip_prefix(state).is_some_and(|rest| rest.starts_with(':')))
}

/// True where a server answers that it is about to serve, or to stop.
pub(crate) fn is_starting(error: &Error) -> bool {
    matches!(error, Error::Unavailable(hint) if hint.reason.contains(STARTING))
}

/// An identifier in quotes.
pub(crate) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Text as a literal that means the same under every setting of the server.
pub(crate) fn literal(text: &str) -> String {
    let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("convert_from(decode('{hex}', 'hex'), 'UTF8')")
}

#[cfg(test)]
mod tests {
    use super::*;
    use understudy_sdk::provider::unavailable;

    #[test]
    fn text_becomes_harmless() {
        assert_eq!(
            literal("a'\\"),
            "convert_from(decode('61275c', 'hex'), 'UTF8')"
        );
        assert_eq!(identifier("a\"b"), "\"a\"\"b\"");
    }

    #[test]
    fn refusals_are_told_apart_by_state() {
        let error =
            Error::Conflict("25006: cannot execute INSERT in a read-only transaction".to_owned());
        assert!(is_refusal(&error, READ_ONLY) && !is_refusal(&error, NO_SUCH_TABLE));
        assert!(is_starting(&unavailable(
            "CP0017: refused the login: 57P03: starting up"
        )));
        assert!(!is_starting(&unavailable("CP0013: not reached")));
    }
}
