//! The records that prove names, beside whatever else stands at their names: another order, a site next door. Pure.

use std::collections::BTreeMap;

use understudy_sdk::host::understudy::acme::acme::Proof;
use understudy_sdk::host::understudy::dns_update::dns_update::{
    Change, Prerequisite, RecordSet, SetName,
};
use understudy_sdk::records::{from_vendor, to_vendor};

/// The type of these records.
pub(crate) const KIND: &str = "TXT";

/// One change, and what must hold for it.
#[derive(Debug, Clone)]
pub(crate) struct Update {
    pub(crate) prerequisite: Prerequisite,
    pub(crate) change: Change,
}

/// The values by the name of their record: a wildcard is proved at the name below it.
pub(crate) fn by_record(proofs: &[Proof]) -> BTreeMap<&str, Vec<&str>> {
    let mut records: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for proof in proofs {
        let values = records.entry(&proof.record_name).or_default();
        values.push(&proof.value);
    }
    records
}

/// The update that puts values beside what a set holds; none where they are there.
pub(crate) fn added(
    name: &str,
    values: &[&str],
    ttl_seconds: u32,
    now: Option<&RecordSet>,
) -> Result<Option<Update>, String> {
    let mut contents = now.map(|set| set.contents.clone()).unwrap_or_default();
    let missing = values.iter().filter(|value| {
        !contents
            .iter()
            .any(|held| from_vendor(KIND, held) == **value)
    });
    let missing: Vec<String> = missing
        .map(|value| to_vendor(KIND, value))
        .collect::<Result<_, String>>()?;
    if missing.is_empty() {
        return Ok(None);
    }
    contents.extend(missing);
    Ok(Some(update(name, contents, ttl_seconds, now)))
}

/// The update that takes values away again; none where none is there.
pub(crate) fn removed(name: &str, values: &[&str], now: &RecordSet) -> Option<Update> {
    let rest = now
        .contents
        .iter()
        .filter(|held| !values.contains(&from_vendor(KIND, held).as_str()));
    let rest: Vec<String> = rest.cloned().collect();
    let gone = rest.len() < now.contents.len();
    gone.then(|| update(name, rest, now.ttl_seconds, Some(now)))
}

fn update(name: &str, contents: Vec<String>, ttl_seconds: u32, now: Option<&RecordSet>) -> Update {
    let set = SetName {
        name: name.to_owned(),
        kind: KIND.to_owned(),
    };
    let prerequisite = match now {
        Some(held) => Prerequisite::Holds(held.clone()),
        None => Prerequisite::Absent(set.clone()),
    };
    let change = if contents.is_empty() {
        Change::Delete(set)
    } else {
        Change::Replace(RecordSet {
            name: set.name,
            kind: set.kind,
            ttl_seconds,
            contents,
        })
    };
    Update {
        prerequisite,
        change,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "_acme-challenge.wp.example.test";

    fn held(contents: &[&str]) -> RecordSet {
        RecordSet {
            name: NAME.to_owned(),
            kind: KIND.to_owned(),
            ttl_seconds: 60,
            contents: contents.iter().map(|&one| one.to_owned()).collect(),
        }
    }

    fn contents(update: Option<Update>) -> Vec<String> {
        match update.map(|update| update.change) {
            Some(Change::Replace(set)) => set.contents,
            Some(Change::Delete(_)) => vec!["nothing".to_owned()],
            None => Vec::new(),
        }
    }

    #[test]
    fn a_proof_stands_beside_those_of_others_and_goes_alone() {
        let there = held(&["\"of another\""]);
        let both = added(NAME, &["mine"], 5, Some(&there)).unwrap();
        assert_eq!(contents(both), ["\"of another\"", "\"mine\""]);
        let first = added(NAME, &["mine"], 5, None).unwrap();
        let absent = &first.as_ref().unwrap().prerequisite;
        assert!(matches!(absent, Prerequisite::Absent(_)));
        assert_eq!(contents(first), ["\"mine\""]);
        let again = added(NAME, &["mine"], 5, Some(&held(&["\"mine\""])));
        assert_eq!(contents(again.unwrap()), [] as [&str; 0]);

        let there = held(&["\"of another\"", "\"mine\""]);
        assert_eq!(
            contents(removed(NAME, &["mine"], &there)),
            ["\"of another\""]
        );
        let alone = held(&["\"mine\""]);
        assert_eq!(contents(removed(NAME, &["mine"], &alone)), ["nothing"]);
        assert!(removed(NAME, &["other"], &alone).is_none());
    }

    #[test]
    fn a_wildcard_and_its_own_name_share_a_record() {
        let proof = |value: &str| Proof {
            record_name: NAME.to_owned(),
            value: value.to_owned(),
        };
        let proofs = [proof("a"), proof("b")];
        assert_eq!(by_record(&proofs)[NAME], ["a", "b"]);
    }
}
