//! What has to be sent to make a record set as wanted. Pure.
//!
//! The API changes one record at a time, and a set is one record per value: of a change that takes two requests, a
//! death between them would leave a mixture. So at most one request of a call changes what the set holds.

use serde_json::Value;
use understudy_sdk::host::understudy::types::types::Error;
use understudy_sdk::records::{Wanted, shown};

use crate::record::{AUTOMATIC, AUTOMATIC_SECONDS, Record, body, values};

/// A request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Change this record, which keeps its id.
    Patch { id: String, body: Value },
    /// Make a new record.
    Create(Value),
    /// Take this record away.
    Delete { id: String },
}

/// True where the set is as wanted. No set is as wanted where no values are.
pub(crate) fn is_met(wanted: &Wanted, current: &[Record]) -> bool {
    let ttl_is_met = |record: &Record| record.ttl_seconds() == wanted.ttl_seconds;
    values(current) == wanted.values && current.iter().all(ttl_is_met)
}

/// The requests, in order: times to live first, then the one that changes what the set holds.
///
/// # Errors
/// `conflict`: the set holds neither the expected nor the new values. `invalid`: a value that cannot be written, a TTL
/// that cannot be given, or values that cannot be changed at once.
pub(crate) fn changes(wanted: &Wanted, current: &[Record]) -> Result<Vec<Change>, Error> {
    if is_met(wanted, current) {
        return Ok(Vec::new());
    }
    let now = values(current);
    wanted.check(&now)?;
    let (kept, gone): (Vec<_>, Vec<_>) = current
        .iter()
        .partition(|record| wanted.values.contains(&record.value()));
    let new: Vec<_> = wanted
        .values
        .iter()
        .filter(|value| !now.contains(value))
        .collect();
    if gone.len().max(new.len()) > 1 {
        return Err(Error::Invalid(format!(
            "{} {} holds {}: to make it {} takes several requests, and between them it would be neither. Change one value \
             at a time",
            wanted.name,
            wanted.kind,
            shown(&now),
            shown(&wanted.values)
        )));
    }
    let ttl = ttl(wanted, current)?;
    let written =
        |value: &str| body(&wanted.name, &wanted.kind, value, ttl).map_err(Error::Invalid);
    let mut changes = Vec::new();
    for record in kept {
        if record.ttl_seconds() != wanted.ttl_seconds {
            changes.push(Change::Patch {
                id: record.id.clone(),
                body: written(&record.value())?,
            });
        }
    }
    match (gone.first(), new.first()) {
        (Some(old), Some(value)) => changes.push(Change::Patch {
            id: old.id.clone(),
            body: written(value)?,
        }),
        (None, Some(value)) => {
            let mut body = written(value)?;
            // One proxied record makes its whole set proxied.
            let proxied = current.iter().any(|record| record.proxied);
            if let Some(fields) = body.as_object_mut() {
                fields.insert("proxied".to_owned(), proxied.into());
            }
            changes.push(Change::Create(body));
        }
        (Some(old), None) => changes.push(Change::Delete { id: old.id.clone() }),
        (None, None) => {}
    }
    Ok(changes)
}

/// The TTL to send.
fn ttl(wanted: &Wanted, current: &[Record]) -> Result<u32, Error> {
    if current.iter().all(|record| !record.proxied) {
        return Ok(wanted.ttl_seconds);
    }
    if wanted.ttl_seconds == AUTOMATIC_SECONDS || wanted.values.is_empty() {
        return Ok(AUTOMATIC);
    }
    Err(Error::Invalid(format!(
        "{} {} is proxied, and Cloudflare gives every proxied record a TTL of {AUTOMATIC_SECONDS} s that cannot be changed: \
         ask for {AUTOMATIC_SECONDS}, or make the record DNS only",
        wanted.name, wanted.kind
    )))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NAME: &str = "wp.example.test";

    fn set(records: &[(&str, &str, u32)]) -> Vec<Record> {
        let record = |(id, content, ttl): &(&str, &str, u32)| json!({ "id": id, "type": "A", "content": content, "ttl": ttl, "proxied": *ttl == AUTOMATIC });
        let records: Vec<Value> = records.iter().map(record).collect();
        serde_json::from_value(json!(records)).unwrap()
    }

    fn wanted(expected: Option<&[&str]>, values: &[&str], ttl: u32) -> Wanted {
        let owned = |list: &[&str]| list.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>();
        Wanted::parse(
            "example.test",
            60,
            NAME,
            "A".to_owned(),
            expected.map(owned).as_deref(),
            &owned(values),
            ttl,
        )
        .unwrap()
    }

    fn patch(id: &str, content: &str, ttl: u32) -> Change {
        Change::Patch {
            id: id.to_owned(),
            body: json!({ "type": "A", "name": NAME, "content": content, "ttl": ttl }),
        }
    }

    #[test]
    fn a_value_changes_in_its_record_which_keeps_its_id() {
        let current = set(&[("1", "192.0.2.1", 60)]);
        let wanted = wanted(Some(&["192.0.2.1"]), &["192.0.2.2"], 60);
        let expected = [patch("1", "192.0.2.2", 60)];
        assert_eq!(changes(&wanted, &current).unwrap(), expected);
    }

    #[test]
    fn what_is_as_wanted_is_not_sent() {
        let current = set(&[("1", "192.0.2.2", 60)]);
        let wanted = wanted(Some(&["192.0.2.1"]), &["192.0.2.2"], 60);
        assert_eq!(changes(&wanted, &current).unwrap(), []);
    }

    #[test]
    fn times_to_live_come_before_the_value() {
        let current = set(&[("1", "192.0.2.1", 300), ("2", "192.0.2.2", 300)]);
        let wanted = wanted(None, &["192.0.2.2", "192.0.2.3"], 60);
        let expected = [patch("2", "192.0.2.2", 60), patch("1", "192.0.2.3", 60)];
        assert_eq!(changes(&wanted, &current).unwrap(), expected);
    }

    #[test]
    fn records_are_made_and_taken_away() {
        let made = changes(&wanted(Some(&[]), &["192.0.2.1"], 60), &[]).unwrap();
        assert!(matches!(made.as_slice(), [Change::Create(_)]));
        let current = set(&[("1", "192.0.2.1", 60)]);
        let gone = changes(&wanted(None, &[], 60), &current).unwrap();
        assert_eq!(gone, [Change::Delete { id: "1".to_owned() }]);
    }

    #[test]
    fn a_change_that_would_leave_a_mixture_is_refused() {
        let current = set(&[("1", "192.0.2.1", 60), ("2", "192.0.2.2", 60)]);
        let refused = changes(&wanted(None, &["192.0.2.3", "192.0.2.4"], 60), &current);
        assert!(
            matches!(&refused, Err(Error::Invalid(text)) if text.contains("one value at a time")),
            "{refused:?}"
        );
    }

    #[test]
    fn somebody_elses_change_is_a_conflict_that_names_both() {
        let current = set(&[("1", "192.0.2.9", 60)]);
        let refused = changes(&wanted(Some(&["192.0.2.1"]), &["192.0.2.2"], 60), &current);
        assert!(
            matches!(&refused, Err(Error::Conflict(text)) if text.contains("holds 192.0.2.9, expected 192.0.2.1")),
            "{refused:?}"
        );
    }

    #[test]
    fn a_proxied_set_has_the_one_ttl_that_it_can_have() {
        let current = set(&[("1", "192.0.2.1", AUTOMATIC)]);
        let flip = |ttl| changes(&wanted(None, &["192.0.2.2"], ttl), &current);
        assert_eq!(flip(300).unwrap(), [patch("1", "192.0.2.2", AUTOMATIC)]);
        assert!(matches!(flip(60), Err(Error::Invalid(text)) if text.contains("proxied")));
        let more = changes(&wanted(None, &["192.0.2.1", "192.0.2.2"], 300), &current).unwrap();
        assert!(matches!(more.as_slice(), [Change::Create(body)] if body["proxied"] == true));
    }
}
