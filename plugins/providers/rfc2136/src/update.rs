//! What has to be sent for a record set to become as wanted. Pure.

use understudy_sdk::host::understudy::dns_update::dns_update::{
    Change, Prerequisite, RecordSet, SetName,
};
use understudy_sdk::host::understudy::types::types::Error;
use understudy_sdk::records::{Wanted, from_vendor, to_vendor};

/// The type that stands alone at its name (RFC 1034, 3.6.2).
const ALIAS: &str = "CNAME";

/// One change, and what must hold for it.
#[derive(Debug, Clone)]
pub(crate) struct Update {
    pub(crate) prerequisites: Vec<Prerequisite>,
    pub(crate) change: Change,
}

/// What a set holds, in the contract's form: sorted, without doubles.
pub(crate) fn values(set: &RecordSet) -> Vec<String> {
    let contents = set.contents.iter();
    let mut values: Vec<String> = contents
        .map(|content| from_vendor(&set.kind, content))
        .collect();
    values.sort();
    values.dedup();
    values
}

/// True where the set is as wanted. No set is as wanted where no values are.
pub(crate) fn is_met(wanted: &Wanted, now: Option<&RecordSet>) -> bool {
    let held = now.map(values).unwrap_or_default();
    held == wanted.values
        && (held.is_empty() || now.is_some_and(|set| set.ttl_seconds == wanted.ttl_seconds))
}

/// The update that makes it so; none where it is so already.
///
/// # Errors
/// `conflict`: the set holds neither the expected nor the new values. `invalid`: a value that cannot be written.
pub(crate) fn update(wanted: &Wanted, now: Option<&RecordSet>) -> Result<Option<Update>, Error> {
    if is_met(wanted, now) {
        return Ok(None);
    }
    wanted.check(&now.map(values).unwrap_or_default())?;
    let set = |kind: &str| SetName {
        name: wanted.name.clone(),
        kind: kind.to_owned(),
    };
    let mut prerequisites = Vec::new();
    match now {
        // As it was read, down to how a text is cut into strings.
        Some(held) if wanted.expected.is_some() => {
            prerequisites.push(Prerequisite::Holds(held.clone()));
        }
        // Beside an alias that is there, nothing else can be.
        Some(_) => {}
        None if wanted.kind == ALIAS => {
            prerequisites.push(Prerequisite::Unused(wanted.name.clone()));
        }
        None => {
            prerequisites.push(Prerequisite::Absent(set(ALIAS)));
            if wanted.expected.is_some() {
                prerequisites.push(Prerequisite::Absent(set(&wanted.kind)));
            }
        }
    }
    let change = if wanted.values.is_empty() {
        Change::Delete(set(&wanted.kind))
    } else {
        let contents = wanted.values.iter();
        let contents: Result<_, String> = contents
            .map(|value| to_vendor(&wanted.kind, value))
            .collect();
        Change::Replace(RecordSet {
            name: wanted.name.clone(),
            kind: wanted.kind.clone(),
            ttl_seconds: wanted.ttl_seconds,
            contents: contents.map_err(Error::Invalid)?,
        })
    };
    Ok(Some(Update {
        prerequisites,
        change,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "wp-active.example.test";

    fn owned(values: &[&str]) -> Vec<String> {
        values.iter().map(|&value| value.to_owned()).collect()
    }

    fn set(kind: &str, ttl_seconds: u32, contents: &[&str]) -> RecordSet {
        RecordSet {
            name: NAME.to_owned(),
            kind: kind.to_owned(),
            ttl_seconds,
            contents: owned(contents),
        }
    }

    fn wanted(kind: &str, expected: Option<&[&str]>, values: &[&str]) -> Wanted {
        Wanted {
            name: NAME.to_owned(),
            kind: kind.to_owned(),
            expected: expected.map(owned),
            values: owned(values),
            ttl_seconds: 60,
        }
    }

    fn shown(update: &Update) -> String {
        let Update {
            prerequisites,
            change,
        } = update;
        let set = |set: &RecordSet| format!("{} {}", set.kind, set.contents.join(","));
        let required = prerequisites.iter().map(|one| match one {
            Prerequisite::Holds(held) => format!("holds {}; ", set(held)),
            Prerequisite::Absent(name) => format!("no {}; ", name.kind),
            Prerequisite::Unused(_) => "unused; ".to_owned(),
        });
        let change = match change {
            Change::Replace(new) => format!("{} {}", set(new), new.ttl_seconds),
            Change::Delete(name) => format!("no {}", name.kind),
        };
        required.collect::<String>() + "then " + &change
    }

    #[test]
    fn what_is_held_is_the_prerequisite_as_it_was_read() {
        let held = set("TXT", 60, &[r#""one" "two""#]);
        let wanted = wanted("TXT", Some(&["onetwo"]), &["three"]);
        let update = update(&wanted, Some(&held)).unwrap().unwrap();
        assert_eq!(
            shown(&update),
            r#"holds TXT "one" "two"; then TXT "three" 60"#
        );
    }

    #[test]
    fn nothing_may_be_in_the_way_of_an_alias_nor_an_alias_of_anything() {
        for (wanted, now, expected) in [
            (
                wanted("CNAME", Some(&[]), &["b.test"]),
                None,
                "unused; then CNAME b.test. 60",
            ),
            (
                wanted("CNAME", None, &["b.test"]),
                Some(set("CNAME", 60, &["a.test."])),
                "then CNAME b.test. 60",
            ),
            (
                wanted("A", None, &["192.0.2.1"]),
                None,
                "no CNAME; then A 192.0.2.1 60",
            ),
            (
                wanted("A", Some(&[]), &["192.0.2.1"]),
                None,
                "no CNAME; no A; then A 192.0.2.1 60",
            ),
            (
                wanted("A", Some(&["192.0.2.1"]), &[]),
                Some(set("A", 5, &["192.0.2.1"])),
                "holds A 192.0.2.1; then no A",
            ),
        ] {
            let update = update(&wanted, now.as_ref()).unwrap().unwrap();
            assert_eq!(shown(&update), expected);
        }
    }

    #[test]
    fn what_is_as_wanted_is_left_alone_and_a_ttl_alone_is_a_change() {
        let flip = wanted("CNAME", Some(&["a.test"]), &["b.test"]);
        let update = |now: &RecordSet| update(&flip, Some(now));
        assert!(update(&set("CNAME", 60, &["b.test."])).unwrap().is_none());
        assert!(update(&set("CNAME", 5, &["B.test."])).unwrap().is_some());
        let other = update(&set("CNAME", 60, &["c.test."])).map(|_| ());
        assert!(
            matches!(&other, Err(Error::Conflict(text)) if text.contains("holds c.test")),
            "{other:?}"
        );
    }
}
