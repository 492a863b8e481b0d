//! The zone document: finding a record set in it and changing exactly that one. Pure.
//!
//! What this provider does not know, in the document or in a record set, is carried along unchanged.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use understudy_sdk::host::understudy::types::types::Error;

/// The document as read.
#[derive(Debug, Clone)]
pub(crate) struct Document(Map<String, Value>);

/// A record set of the document.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct RecordSet {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) ttl_seconds: u32,
    pub(crate) values: Vec<String>,
}

/// What a record set shall be, normalised.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) expected: Option<Vec<String>>,
    pub(crate) values: Vec<String>,
    pub(crate) ttl_seconds: u32,
}

/// What has to be done.
#[derive(Debug)]
pub(crate) enum Change {
    /// The document says so already.
    None,
    /// This document has to be put.
    Put(Value),
}

impl Document {
    /// Reads the document.
    ///
    /// # Errors
    /// `other`: not a zone document. `conflict`: it is another zone's.
    pub(crate) fn parse(body: &[u8], zone: &str) -> Result<Self, Error> {
        let malformed = |why: String| {
            Error::Other(format!("the document of zone {zone} cannot be read: {why}"))
        };
        let document: Map<String, Value> =
            serde_json::from_slice(body).map_err(|error| malformed(error.to_string()))?;
        let named = document.get("zone").and_then(Value::as_str).unwrap_or("");
        if normal_name(named) != zone {
            return Err(Error::Conflict(format!(
                "the document is of zone `{named}`, the binding says {zone}"
            )));
        }
        if !document.get("records").is_some_and(Value::is_array) {
            return Err(malformed("it has no list `records`".to_owned()));
        }
        Ok(Self(document))
    }

    /// True while the name servers do not answer with the document's contents yet.
    pub(crate) fn is_pending(&self) -> bool {
        self.0
            .get("pending")
            .and_then(Value::as_bool)
            .unwrap_or(false)
    }

    /// The record set of this name and type, normalised.
    ///
    /// # Errors
    /// `conflict`: there are two of them. `other`: it cannot be read.
    pub(crate) fn find(&self, name: &str, kind: &str) -> Result<Option<RecordSet>, Error> {
        let mut found = self.records().filter(|record| is_at(record, name, kind));
        let Some(record) = found.next() else {
            return Ok(None);
        };
        if found.next().is_some() {
            return Err(Error::Conflict(format!(
                "the document holds {name} {kind} twice; remove one"
            )));
        }
        let mut set: RecordSet = serde_json::from_value(record.clone()).map_err(|error| {
            Error::Other(format!(
                "{name} {kind} in the document cannot be read: {error}"
            ))
        })?;
        set.name = name.to_owned();
        set.values = normal_values(kind, &set.values);
        Ok(Some(set))
    }

    /// What has to be done to meet a wish.
    ///
    /// # Errors
    /// `conflict`: it holds neither what was expected nor what is wanted.
    pub(crate) fn change(&self, wanted: &Wanted) -> Result<Change, Error> {
        let current = self.find(&wanted.name, &wanted.kind)?;
        let now = current
            .as_ref()
            .map(|set| set.values.clone())
            .unwrap_or_default();
        let has_ttl = current
            .as_ref()
            .is_some_and(|set| set.ttl_seconds == wanted.ttl_seconds);
        if now == wanted.values && (has_ttl || now.is_empty()) {
            return Ok(Change::None);
        }
        if let Some(expected) = &wanted.expected
            && now != *expected
            && now != wanted.values
        {
            return Err(Error::Conflict(format!(
                "{} {} holds {}, expected {}: somebody else changed it",
                wanted.name,
                wanted.kind,
                shown(&now),
                shown(expected)
            )));
        }
        Ok(Change::Put(self.with(wanted)))
    }

    /// The document with the wanted record set in the old one's place.
    fn with(&self, wanted: &Wanted) -> Value {
        let mut document = self.0.clone();
        let mut records: Vec<Value> = Vec::new();
        let mut fresh = Some(wanted).filter(|wanted| !wanted.values.is_empty());
        for record in self.records() {
            if !is_at(record, &wanted.name, &wanted.kind) {
                records.push(record.clone());
                continue;
            }
            if let (Some(wanted), Value::Object(old)) = (fresh.take(), record) {
                let mut set = old.clone();
                set.insert("ttl-seconds".to_owned(), wanted.ttl_seconds.into());
                set.insert("values".to_owned(), wanted.values.clone().into());
                records.push(Value::Object(set));
            }
        }
        if let Some(wanted) = fresh {
            records.push(json!({
                "name": wanted.name,
                "type": wanted.kind,
                "ttl-seconds": wanted.ttl_seconds,
                "values": wanted.values,
            }));
        }
        document.remove("pending");
        document.insert("records".to_owned(), Value::Array(records));
        Value::Object(document)
    }

    fn records(&self) -> impl Iterator<Item = &Value> {
        self.0
            .get("records")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    }
}

/// True for the record set of this name and type.
fn is_at(record: &Value, name: &str, kind: &str) -> bool {
    let text = |field: &str| record.get(field).and_then(Value::as_str).unwrap_or("");
    normal_name(text("name")) == name && text("type") == kind
}

/// Lower case, without the last dot.
pub(crate) fn normal_name(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// True where `name` is the zone's own name or below it; both normalised.
pub(crate) fn is_in_zone(name: &str, zone: &str) -> bool {
    name.strip_suffix(zone)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Sorted, without doubles; names without the last dot.
pub(crate) fn normal_values(kind: &str, values: &[String]) -> Vec<String> {
    let mut normal: Vec<_> = values
        .iter()
        .map(|value| {
            if matches!(kind, "CNAME" | "NS" | "PTR" | "MX" | "SRV") {
                normal_name(value)
            } else {
                value.clone()
            }
        })
        .collect();
    normal.sort();
    normal.dedup();
    normal
}

fn shown(values: &[String]) -> String {
    if values.is_empty() {
        "nothing".to_owned()
    } else {
        values.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "wp-active.example.test";

    fn document() -> Document {
        let body = json!({"zone": "Example.test.", "owner": "team-net", "pending": false, "records": [
            {"name": "wp-pz.example.test", "type": "A", "ttl-seconds": 60, "values": ["192.0.2.1"]},
            {"name": "WP-active.example.test.", "type": "CNAME", "ttl-seconds": 60,
             "values": ["wp-pz.example.test."], "comment": "flips"}
        ]});
        Document::parse(body.to_string().as_bytes(), "example.test").unwrap()
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
    fn exactly_one_record_set_changes_and_the_rest_is_carried_along() {
        let change = document()
            .change(&wanted(
                Some(&["wp-pz.example.test"]),
                &["wp-bz.example.test"],
                30,
            ))
            .unwrap();
        let Change::Put(after) = change else {
            panic!("{change:?}")
        };
        assert_eq!(
            after,
            json!({"zone": "Example.test.", "owner": "team-net", "records": [
                {"name": "wp-pz.example.test", "type": "A", "ttl-seconds": 60, "values": ["192.0.2.1"]},
                {"name": "WP-active.example.test.", "type": "CNAME", "ttl-seconds": 30,
                 "values": ["wp-bz.example.test"], "comment": "flips"}
            ]})
        );
    }

    #[test]
    fn compare_and_set_and_no_change() {
        let document = document();
        assert!(matches!(
            document.change(&wanted(Some(&["x.test"]), &["wp-pz.example.test"], 60)),
            Ok(Change::None)
        ));
        let lost = document.change(&wanted(Some(&["x.test"]), &["wp-bz.example.test"], 60));
        assert!(
            matches!(lost, Err(Error::Conflict(text)) if text.contains("holds wp-pz.example.test"))
        );
        assert!(matches!(
            document.change(&wanted(None, &["wp-pz.example.test"], 5)),
            Ok(Change::Put(_))
        ));
    }

    #[test]
    fn sets_are_created_and_removed() {
        let Ok(Change::Put(after)) = document().change(&wanted(None, &[], 60)) else {
            panic!()
        };
        assert_eq!(after["records"].as_array().unwrap().len(), 1);
        let mut new = wanted(Some(&[]), &["wp-bz.example.test"], 60);
        new.name = "new.example.test".to_owned();
        let Ok(Change::Put(after)) = document().change(&new) else {
            panic!()
        };
        assert_eq!(after["records"][2]["name"], "new.example.test");
    }

    #[test]
    fn another_zones_document_and_doubles_are_refused() {
        assert!(matches!(
            Document::parse(br#"{"zone":"a.test","records":[]}"#, "b.test"),
            Err(Error::Conflict(_))
        ));
        assert!(matches!(
            Document::parse(b"<html>", "b.test"),
            Err(Error::Other(_))
        ));
        assert!(matches!(
            Document::parse(br#"{"zone":"b.test"}"#, "b.test"),
            Err(Error::Other(_))
        ));
        let double = json!({"zone": "b.test", "records": [{"name": "a.b.test", "type": "A", "ttl-seconds": 1, "values": []},
            {"name": "A.b.test.", "type": "A", "ttl-seconds": 1, "values": []}]});
        let double = Document::parse(double.to_string().as_bytes(), "b.test").unwrap();
        assert!(matches!(
            double.find("a.b.test", "A"),
            Err(Error::Conflict(_))
        ));
    }
}
