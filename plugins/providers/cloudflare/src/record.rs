//! Records as the API has them, one object per value, against the contract's record sets. Pure.

use serde::Deserialize;
use serde_json::{Value, json};
use understudy_sdk::records::{from_vendor, to_vendor};

/// What the API calls "automatic".
pub(crate) const AUTOMATIC: u32 = 1;

/// What resolvers are told for an automatic TTL, in seconds.
/// Source: <https://developers.cloudflare.com/dns/manage-dns-records/reference/ttl/>.
pub(crate) const AUTOMATIC_SECONDS: u32 = 300;

/// One record. Fields that are not here (comment, tags, settings) are never sent, so a change keeps them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Record {
    pub(crate) id: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(default)]
    content: String,
    ttl: u32,
    #[serde(default)]
    pub(crate) proxied: bool,
    #[serde(default)]
    priority: Option<u16>,
    #[serde(default)]
    data: Option<Service>,
}

/// What a record of type SRV holds.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Service {
    priority: u16,
    weight: u16,
    port: u16,
    target: String,
}

impl Record {
    /// The value in the contract's form.
    pub(crate) fn value(&self) -> String {
        let content = match (self.kind.as_str(), self.priority, &self.data) {
            ("MX", Some(priority), _) => format!("{priority} {}", self.content),
            ("SRV", _, Some(of)) => {
                format!("{} {} {} {}", of.priority, of.weight, of.port, of.target)
            }
            _ => self.content.clone(),
        };
        from_vendor(&self.kind, &content)
    }

    /// Time to live in seconds, as resolvers are told it.
    pub(crate) fn ttl_seconds(&self) -> u32 {
        if self.ttl == AUTOMATIC {
            AUTOMATIC_SECONDS
        } else {
            self.ttl
        }
    }
}

/// Values of a set: sorted, without doubles.
pub(crate) fn values(records: &[Record]) -> Vec<String> {
    let mut values: Vec<_> = records.iter().map(Record::value).collect();
    values.sort();
    values.dedup();
    values
}

/// The fields that a value makes. Everything that the API wants of a record is there, so that it is complete alone.
///
/// # Errors
/// Says what is wrong with the value.
pub(crate) fn body(name: &str, kind: &str, value: &str, ttl: u32) -> Result<Value, String> {
    let content = to_vendor(kind, value)?;
    let content = match kind {
        "TXT" => content,
        // Absolute names go without their last dot here.
        _ => content.trim_end_matches('.').to_owned(),
    };
    let parts: Vec<&str> = content.split(' ').collect();
    Ok(match (kind, parts.as_slice()) {
        ("MX", [priority, target]) => json!({
            "type": kind, "name": name, "ttl": ttl, "priority": number(priority)?, "content": target,
        }),
        ("SRV", [priority, weight, port, target]) => {
            let data = json!({
                "priority": number(priority)?, "weight": number(weight)?, "port": number(port)?, "target": target,
            });
            json!({ "type": kind, "name": name, "ttl": ttl, "data": data })
        }
        _ => json!({ "type": kind, "name": name, "ttl": ttl, "content": content }),
    })
}

fn number(text: &str) -> Result<u16, String> {
    text.parse()
        .map_err(|_| format!("`{text}` is not a number of 16 bits"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(fields: Value) -> Record {
        let mut record = json!({ "id": "1", "ttl": 60 });
        for (name, value) in fields.as_object().unwrap() {
            record[name] = value.clone();
        }
        serde_json::from_value(record).unwrap()
    }

    #[test]
    fn values_cross_over_and_back() {
        for (kind, value) in [
            ("A", "192.0.2.7"),
            ("AAAA", "2001:db8::1"),
            ("CNAME", "wp-bz.example.test"),
            ("MX", "10 mail.example.test"),
            ("SRV", "0 5 443 a.example.test"),
            ("TXT", "v=spf1 \"x\" \\"),
        ] {
            let body = body("n.example.test", kind, value, 60).unwrap();
            assert_eq!(record(body).value(), value, "{kind}");
        }
        let unquoted = json!({ "type": "TXT", "content": "v=spf1 -all" });
        assert_eq!(record(unquoted).value(), "v=spf1 -all");
    }

    #[test]
    fn the_body_is_in_the_vendors_form() {
        assert_eq!(
            body("n.example.test", "MX", "10 Mail.example.test.", 60).unwrap(),
            json!({ "type": "MX", "name": "n.example.test", "ttl": 60, "priority": 10, "content": "mail.example.test" })
        );
        assert!(body("n.example.test", "A", "wp.example.test", 60).is_err());
    }

    #[test]
    fn an_automatic_ttl_is_what_resolvers_are_told() {
        let ttl =
            |ttl| record(json!({ "type": "A", "content": "192.0.2.7", "ttl": ttl })).ttl_seconds();
        assert_eq!((ttl(AUTOMATIC), ttl(60)), (AUTOMATIC_SECONDS, 60));
    }
}
