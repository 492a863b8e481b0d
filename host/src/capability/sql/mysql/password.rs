//! The one secret that a statement itself has to carry: the password by which a replica logs in at its source.
//!
//! A provider writes `MASTER_PASSWORD = ${credential:SLOT}` and the host puts the secret there when the statement is
//! sent. Nowhere else: a statement that answers rows could turn a secret into something that no redaction recognises,
//! and `CHANGE MASTER TO` answers none. Not here: credentials of HTTP requests (`credential.rs`).

use std::collections::BTreeMap;

use crate::capability::Fault;
use crate::capability::credential::Secret;

/// How the only statement that takes a password begins.
const STATEMENT: &str = "CHANGE MASTER TO ";
/// What stands before the place of a password.
const OPTION: &str = "MASTER_PASSWORD = ";
/// Begins a place.
pub(in crate::capability::sql) const OPEN: &str = "${credential:";
/// What could begin a second statement, a comment, or a text in which a place would not be one.
const FORBIDDEN: [&str; 6] = [";", "--", "#", "/*", "\\", "\""];

/// The secret as a literal of SQL.
pub(crate) fn literal(secret: &Secret) -> String {
    let text = secret.expose().replace('\\', r"\\").replace('\'', "''");
    format!("'{text}'")
}

/// The statement with its password.
pub(in crate::capability::sql) fn fill(
    text: String,
    secrets: &BTreeMap<String, Secret>,
) -> Result<String, Fault> {
    let Some((before, rest)) = text.split_once(OPEN) else {
        return Ok(text);
    };
    let wrong = |why: &str| {
        let text = format!("`{OPEN}…}}` stands only in `{STATEMENT}… {OPTION}{OPEN}SLOT}}`: {why}");
        Err(Fault::invalid("CP0009", text))
    };
    let Some((slot, after)) = rest.split_once('}') else {
        return wrong("it does not end");
    };
    if !before.starts_with(STATEMENT) || !before.ends_with(OPTION) {
        return wrong("this is another place");
    }
    if before.matches('\'').count() % 2 == 1 {
        return wrong("this is inside a text");
    }
    if after.contains(OPEN) {
        return wrong("there are two");
    }
    if let Some(found) = FORBIDDEN
        .iter()
        .find(|one| before.contains(**one) || after.contains(**one))
    {
        return wrong(&format!("the statement holds `{found}`"));
    }
    match secrets.get(slot) {
        Some(secret) => Ok(format!("{before}{}{after}", literal(secret))),
        None => {
            let grant = format!(
                r#"credentials = {{ {slot} = {{ env = "VARIABLE", scheme = "bearer" }} }}"#
            );
            let text = format!("the binding has no credential `{slot}`");
            Err(Fault::denied("CP0004", text, grant))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> Result<String, Fault> {
        let secret = Secret::new(r"pass'word\canary").unwrap();
        fill(
            text.to_owned(),
            &BTreeMap::from([("replication".to_owned(), secret)]),
        )
    }

    #[test]
    fn the_password_of_a_replica_is_put_in_as_a_literal() {
        let text = "CHANGE MASTER TO MASTER_HOST = 'h', MASTER_PASSWORD = ${credential:replication}, MASTER_SSL = 1";
        assert_eq!(
            filled(text).unwrap(),
            r"CHANGE MASTER TO MASTER_HOST = 'h', MASTER_PASSWORD = 'pass''word\\canary', MASTER_SSL = 1"
        );
        assert_eq!(filled("SELECT '$'").unwrap(), "SELECT '$'");
    }

    #[test]
    fn no_statement_that_could_tell_it_gets_one() {
        for text in [
            "SELECT REVERSE(${credential:replication})",
            "SELECT 1 AS MASTER_PASSWORD = ${credential:replication}",
            "CHANGE MASTER TO MASTER_USER = ${credential:replication}",
            "CHANGE MASTER TO MASTER_USER = 'MASTER_PASSWORD = ${credential:replication}'",
            "CHANGE MASTER TO MASTER_PASSWORD = ${credential:replication}; SELECT 1",
            "CHANGE MASTER TO MASTER_PORT = 1; SELECT MASTER_PASSWORD = ${credential:replication}",
            "CHANGE MASTER TO /* ' */ MASTER_PASSWORD = ${credential:replication}",
            "CHANGE MASTER TO MASTER_PASSWORD = ${credential:replication}, MASTER_USER = ${credential:replication}",
            "CHANGE MASTER TO MASTER_PASSWORD = ${credential:replication",
        ] {
            assert!(filled(text).is_err(), "{text}");
        }
        let denied = filled("CHANGE MASTER TO MASTER_PASSWORD = ${credential:other}").unwrap_err();
        assert!(format!("{denied:?}").contains("CP0004"), "{denied:?}");
    }
}
