//! Record sets of the API: reading a zone's answer, deciding what has to be sent, and building it. Pure.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use understudy_sdk::host::understudy::types::types::Error;
use understudy_sdk::records::{Wanted, from_vendor, to_vendor};

/// The part of a zone that is read.
#[derive(Debug, Deserialize)]
pub(crate) struct Zone {
    #[serde(default)]
    rrsets: Vec<RrSet>,
}

/// A record set as the API has it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct RrSet {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    ttl: u32,
    #[serde(default)]
    records: Vec<Record>,
}

/// A record as the API has it. A disabled one is kept in the database and not served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    content: String,
    #[serde(default)]
    disabled: bool,
}

impl Zone {
    /// The record set of this name and type; none where the zone has no such set.
    pub(crate) fn find(&self, name: &str, kind: &str) -> Option<&RrSet> {
        self.rrsets.iter().find(|set| {
            set.kind == kind
                && set
                    .name
                    .strip_suffix('.')
                    .unwrap_or(&set.name)
                    .eq_ignore_ascii_case(name)
        })
    }
}

impl RrSet {
    /// What is served, in the contract's form: sorted, without doubles.
    pub(crate) fn values(&self) -> Vec<String> {
        let mut values: Vec<_> = self
            .records
            .iter()
            .filter(|record| !record.disabled)
            .map(|record| from_vendor(&self.kind, &record.content))
            .collect();
        values.sort();
        values.dedup();
        values
    }

    /// Time to live in seconds.
    pub(crate) fn ttl_seconds(&self) -> u32 {
        self.ttl
    }
}

/// True where the set is as wanted. No set is as wanted where no values are.
pub(crate) fn is_met(wanted: &Wanted, current: Option<&RrSet>) -> bool {
    let values = current.map(RrSet::values).unwrap_or_default();
    values == wanted.values
        && (values.is_empty() || current.is_some_and(|set| set.ttl == wanted.ttl_seconds))
}

/// The body of the one `PATCH` that makes it so; none where it is so already.
///
/// # Errors
/// `conflict`: the set holds neither the expected nor the new values. `invalid`: a value that cannot be written.
pub(crate) fn change(wanted: &Wanted, current: Option<&RrSet>) -> Result<Option<Value>, Error> {
    if is_met(wanted, current) {
        return Ok(None);
    }
    wanted.check(&current.map(RrSet::values).unwrap_or_default())?;
    let name = format!("{}.", wanted.name);
    if wanted.values.is_empty() {
        return Ok(Some(json!({"rrsets": [
            {"name": name, "type": wanted.kind, "changetype": "DELETE"}
        ]})));
    }
    let mut records = wanted
        .values
        .iter()
        .map(|value| {
            Ok(Record {
                content: to_vendor(&wanted.kind, value)?,
                disabled: false,
            })
        })
        .collect::<Result<Vec<_>, String>>()
        .map_err(Error::Invalid)?;
    // REPLACE replaces the whole set; what somebody switched off stays there, switched off.
    records.extend(
        current
            .into_iter()
            .flat_map(|set| &set.records)
            .filter(|record| record.disabled)
            .cloned(),
    );
    Ok(Some(json!({"rrsets": [{
        "name": name,
        "type": wanted.kind,
        "ttl": wanted.ttl_seconds,
        "changetype": "REPLACE",
        "records": records,
    }]})))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "wp-active.example.test";

    fn zone(ttl: u32, content: &str) -> Zone {
        serde_json::from_value(json!({"id": "example.test.", "rrsets": [
            {"name": "wp-active.example.test.", "type": "TXT", "ttl": 5, "records": [{"content": "\"x\""}]},
            {"name": "wp-active.example.test.", "type": "CNAME", "ttl": ttl, "records": [
                {"content": content, "disabled": false}, {"content": "off.test.", "disabled": true}]}
        ]}))
        .unwrap()
    }

    fn wanted(expected: Option<&[&str]>, values: &[&str], ttl_seconds: u32) -> Wanted {
        let owned = |list: &[&str]| list.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>();
        Wanted {
            name: NAME.to_owned(),
            kind: "CNAME".to_owned(),
            expected: expected.map(owned),
            values: owned(values),
            ttl_seconds,
        }
    }

    #[test]
    fn a_set_is_found_by_name_and_type() {
        let zone = zone(60, "WP-PZ.example.test.");
        assert_eq!(
            zone.find(NAME, "CNAME").unwrap().values(),
            ["wp-pz.example.test"]
        );
        assert!(zone.find("wp-pz.example.test", "CNAME").is_none());
    }

    #[test]
    fn what_is_as_wanted_is_not_sent() {
        let zone = zone(60, "wp-bz.example.test.");
        let current = zone.find(NAME, "CNAME");
        let wanted = wanted(Some(&["wp-pz.example.test"]), &["wp-bz.example.test"], 60);
        assert_eq!(change(&wanted, current).unwrap(), None);
    }

    #[test]
    fn the_expected_set_is_replaced_whole_and_what_is_switched_off_stays() {
        let zone = zone(60, "wp-pz.example.test.");
        let wanted = wanted(Some(&["wp-pz.example.test"]), &["wp-bz.example.test"], 30);
        let change = change(&wanted, zone.find(NAME, "CNAME")).unwrap().unwrap();
        assert_eq!(
            change,
            json!({"rrsets": [{"name": "wp-active.example.test.", "type": "CNAME", "ttl": 30,
                "changetype": "REPLACE", "records": [
                    {"content": "wp-bz.example.test.", "disabled": false},
                    {"content": "off.test.", "disabled": true}]}]})
        );
    }

    #[test]
    fn a_ttl_alone_is_a_change_even_when_expected_is_older() {
        let zone = zone(300, "wp-bz.example.test.");
        let wanted = wanted(Some(&["wp-pz.example.test"]), &["wp-bz.example.test"], 60);
        assert!(change(&wanted, zone.find(NAME, "CNAME")).unwrap().is_some());
    }

    #[test]
    fn somebody_elses_change_is_a_conflict_that_names_it() {
        let zone = zone(60, "elsewhere.test.");
        let wanted = wanted(Some(&["wp-pz.example.test"]), &["wp-bz.example.test"], 60);
        let error = change(&wanted, zone.find(NAME, "CNAME")).unwrap_err();
        assert!(
            matches!(&error, Error::Conflict(text) if text.contains("holds elsewhere.test")),
            "{error:?}"
        );
        let created = change(&wanted, None);
        assert!(matches!(created, Err(Error::Conflict(text)) if text.contains("holds nothing")));
    }

    #[test]
    fn no_set_is_an_empty_list_both_ways() {
        assert!(
            change(&wanted(Some(&[]), &["wp-bz.example.test"], 60), None)
                .unwrap()
                .is_some()
        );
        assert_eq!(change(&wanted(None, &[], 60), None).unwrap(), None);
        let zone = zone(60, "wp-pz.example.test.");
        let gone = change(&wanted(None, &[], 60), zone.find(NAME, "CNAME"))
            .unwrap()
            .unwrap();
        assert_eq!(gone["rrsets"][0]["changetype"], "DELETE");
    }
}
