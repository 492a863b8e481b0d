//! Cloudflare's API v4, as far as zones, DNS records and the purge of caches go.

#![expect(
    clippy::indexing_slicing,
    reason = "fields of JSON values: one that is missing reads as null"
)]

use anyhow::Result;
use serde_json::{Value, json};

use super::{Answer, Call, Vendor};
use crate::openapi::Document;

/// Operation that lists a zone's records.
pub const LIST: &str = "dns-records-for-a-zone-list-dns-records";
/// Operation that makes a record.
pub const CREATE: &str = "dns-records-for-a-zone-create-dns-record";
/// Operation that changes a record.
pub const PATCH: &str = "dns-records-for-a-zone-patch-dns-record";
/// Operation that takes a record away.
pub const DELETE: &str = "dns-records-for-a-zone-delete-dns-record";
/// Operation that lists zones.
pub const ZONES: &str = "zones-get";
/// Operation that shows a zone.
pub const ZONE: &str = "zones-0-get";

/// Operation that purges caches.
pub const PURGE: &str = "zone-purge";

/// Names that one request may purge.
const HOSTS_AT_ONCE: usize = 30;

/// What somebody else does to a record, once.
#[derive(Debug, Clone)]
pub struct Meddling {
    /// Operation, right after which it is done.
    pub after: &'static str,
    /// The name whose records are meant.
    pub name: String,
    /// What its first record holds then.
    pub content: String,
    /// True where it is made anew, so that its id is another one.
    pub replaced: bool,
}

/// Zones and their records.
#[derive(Debug, Default)]
pub struct Cloudflare {
    zones: Vec<Value>,
    records: Vec<(String, Value)>,
    made: u64,
    /// Entries on a page at most, whatever is asked for.
    pub page_size: usize,
    /// Left out of the answers: an old form of the API, where pages are told by their length.
    pub tells_total_pages: bool,
    /// Left out where the zone's plan cannot purge by name.
    pub purges_by_name: bool,
    /// Bodies of the purges that were taken.
    pub purges: Vec<Value>,
    /// What somebody else does.
    pub meddling: Option<Meddling>,
}

impl Cloudflare {
    /// An account without zones.
    #[must_use]
    pub fn new() -> Self {
        Self {
            page_size: 50,
            tells_total_pages: true,
            purges_by_name: true,
            ..Self::default()
        }
    }

    /// Adds a zone with a plan; answers its id.
    pub fn add_zone(&mut self, name: &str, plan: &str) -> String {
        let id = self.fresh_id();
        let time = "2026-01-01T00:00:00Z";
        self.zones.push(json!({
            "id": id, "name": name, "development_mode": 0, "owner": { "type": "user" },
            "account": { "id": id, "name": "Lab" }, "meta": { "step": 2 }, "plan": { "legacy_id": plan },
            "name_servers": ["ada.ns.cloudflare.com"], "original_name_servers": null, "original_registrar": null,
            "original_dnshost": null, "created_on": time, "modified_on": time, "activated_on": time,
        }));
        id
    }

    /// Adds a record; `fields` are what a client would send.
    pub fn add(&mut self, zone: &str, fields: &Value) -> String {
        let id = self.fresh_id();
        let time = "2026-01-01T00:00:00Z";
        let mut record = json!({
            "id": id, "proxied": false, "proxiable": true, "ttl": 1, "comment": "kept", "tags": [],
            "created_on": time, "modified_on": time, "meta": {},
        });
        merge(&mut record, fields);
        self.records.push((zone.to_owned(), record));
        id
    }

    /// The records of a name, in the order they were made.
    #[must_use]
    pub fn of(&self, name: &str) -> Vec<Value> {
        let all = self.records.iter().map(|(_, record)| record);
        all.filter(|record| record["name"] == name)
            .cloned()
            .collect()
    }

    fn fresh_id(&mut self) -> String {
        self.made += 1;
        // Ids have 32 hexadecimal digits.
        format!("{:032x}", self.made)
    }

    fn page(&self, call: &Call<'_>, all: Vec<Value>) -> Answer {
        let number = |name, or: usize| {
            call.query(name)
                .and_then(|text| text.parse().ok())
                .unwrap_or(or)
        };
        let per_page = number("per_page", 100).min(self.page_size).max(1);
        let page = number("page", 1).max(1);
        let total = all.len();
        let shown: Vec<Value> = all
            .into_iter()
            .skip((page - 1) * per_page)
            .take(per_page)
            .collect();
        let mut info = json!({
            "page": page, "per_page": per_page, "count": shown.len(), "total_count": total,
        });
        if self.tells_total_pages {
            info["total_pages"] = total.div_ceil(per_page).into();
        }
        let mut body = success(&shown.into());
        body["result_info"] = info;
        Answer::new(200, body)
    }

    fn list(&self, call: &Call<'_>) -> Answer {
        let zone = call.path("zone_id");
        let wanted = |record: &Value, field: &str, name: &str| {
            call.query(name).is_none_or(|value| record[field] == value)
        };
        let found = self.records.iter().filter(|(of, record)| {
            of == zone && wanted(record, "name", "name") && wanted(record, "type", "type")
        });
        let found = found.map(|(_, record)| record.clone()).collect();
        self.page(call, found)
    }

    /// Lets somebody else in after this operation.
    fn meddle(&mut self, operation: &str) {
        let Some(meddling) = self
            .meddling
            .take_if(|meddling| meddling.after == operation)
        else {
            return;
        };
        let id = self.fresh_id();
        let mut records = self.records.iter_mut().map(|(_, record)| record);
        if let Some(record) = records.find(|record| record["name"] == meddling.name.as_str()) {
            record["content"] = meddling.content.into();
            if meddling.replaced {
                record["id"] = id.into();
            }
        }
    }

    fn create(&mut self, call: &Call<'_>) -> Answer {
        if let Some(refused) = self.refused(call) {
            return refused;
        }
        let same = |record: &Value| {
            ["name", "type", "content"]
                .iter()
                .all(|field| record[field] == call.body[field])
        };
        if self.records.iter().any(|(_, record)| same(record)) {
            return failure(400, 81058, "An identical record already exists.");
        }
        let in_the_way = |record: &Value| {
            let alias = record["type"] == "CNAME" || call.body["type"] == "CNAME";
            record["name"] == call.body["name"] && alias
        };
        if self.records.iter().any(|(_, record)| in_the_way(record)) {
            return failure(
                400,
                81053,
                "An A, AAAA, or CNAME record with that host already exists.",
            );
        }
        let id = self.add(call.path("zone_id"), call.body);
        match self.find(&id) {
            Some(record) => Answer::new(200, success(record)),
            None => failure(404, 81044, "Record does not exist."),
        }
    }

    fn patch(&mut self, call: &Call<'_>) -> Answer {
        if let Some(refused) = self.refused(call) {
            return refused;
        }
        match self.find(call.path("dns_record_id")) {
            Some(record) => {
                merge(record, call.body);
                if record["proxied"] == true {
                    record["ttl"] = 1.into();
                }
                Answer::new(200, success(record))
            }
            None => failure(404, 81044, "Record does not exist."),
        }
    }

    fn delete(&mut self, call: &Call<'_>) -> Answer {
        let id = call.path("dns_record_id");
        let before = self.records.len();
        self.records.retain(|(_, record)| record["id"] != id);
        if self.records.len() == before {
            return failure(404, 81044, "Record does not exist.");
        }
        // The one answer without the usual frame.
        Answer::new(
            200,
            json!({ "result": { "id": id }, "success": true, "errors": [], "messages": [] }),
        )
    }

    fn purge(&mut self, call: &Call<'_>) -> Answer {
        let hosts = call.body["hosts"].as_array().map(Vec::len);
        match hosts {
            None if call.body["purge_everything"] != true => {
                return failure(
                    400,
                    1012,
                    "Request must contain one of hosts, purge_everything",
                );
            }
            Some(_) if !self.purges_by_name => {
                return failure(400, 1107, "This zone's plan can only purge everything");
            }
            Some(sent) if !(1..=HOSTS_AT_ONCE).contains(&sent) => {
                return failure(400, 1094, "You may purge 1 to 30 hosts per request");
            }
            _ => {}
        }
        self.purges.push(call.body.clone());
        Answer::new(200, success(&json!({ "id": call.path("zone_id") })))
    }

    /// What the vendor refuses though its document allows it.
    fn refused(&self, call: &Call<'_>) -> Option<Answer> {
        let ttl = call.body["ttl"].as_u64().unwrap_or(1);
        let mut zones = self.zones.iter();
        let zone = zones.find(|zone| zone["id"] == call.path("zone_id"))?;
        let shortest = if zone["plan"]["legacy_id"] == "enterprise" {
            30
        } else {
            60
        };
        (ttl != 1 && !(shortest..=86_400).contains(&ttl)).then(|| {
            let text = format!(
                "Invalid TTL. Must be between {shortest} and 86400 seconds, or 1 for Automatic."
            );
            failure(400, 9021, &text)
        })
    }

    fn find(&mut self, id: &str) -> Option<&mut Value> {
        let mut records = self.records.iter_mut().map(|(_, record)| record);
        records.find(|record| record["id"] == id)
    }
}

impl Vendor for Cloudflare {
    fn document() -> Result<Document> {
        let mut document = Document::load("cloudflare")?;
        // Of a refusal it wants `success` to be true and false at once: the half that says "failure" holds.
        let records = "/paths/~1zones~1{zone_id}~1dns_records";
        let record = "/paths/~1zones~1{zone_id}~1dns_records~1{dns_record_id}";
        for place in [
            format!("{records}/get"),
            format!("{records}/post"),
            format!("{record}/get"),
            format!("{record}/put"),
            format!("{record}/patch"),
            format!("{record}/delete"),
        ] {
            let failure =
                json!({ "$ref": "#/components/schemas/dns-records_api-response-common-failure" });
            let place = format!("{place}/responses/4xx/content/application~1json/schema");
            document.correct(&place, failure)?;
        }
        let purge = "/paths/~1zones~1{zone_id}~1purge_cache/post/responses/4XX";
        let failure =
            json!({ "$ref": "#/components/schemas/cache-purge_api-response-common-failure" });
        document.correct(
            &format!("{purge}/content/application~1json/schema"),
            failure,
        )?;
        // It wants codes from 1000 on; a throttle has 971.
        for schema in [
            "dns-records_messages",
            "zones_messages",
            "cache-purge_messages",
        ] {
            let place = format!("/components/schemas/{schema}/items/properties/code/minimum");
            document.correct(&place, json!(1))?;
        }
        Ok(document)
    }

    fn answer(&mut self, call: &Call<'_>) -> Answer {
        let zone = self
            .zones
            .iter()
            .find(|zone| zone["id"] == call.path("zone_id"));
        let answer = match call.operation {
            ZONES => {
                let named =
                    |zone: &&Value| call.query("name").is_none_or(|name| zone["name"] == name);
                let zones = self.zones.iter().filter(named).cloned().collect();
                self.page(call, zones)
            }
            _ if zone.is_none() => failure(
                404,
                7003,
                "Could not route to this zone, perhaps your object identifier is invalid?",
            ),
            ZONE => Answer::new(200, success(zone.unwrap_or(&Value::Null))),
            LIST => self.list(call),
            CREATE => self.create(call),
            PATCH => self.patch(call),
            DELETE => self.delete(call),
            PURGE => self.purge(call),
            other => failure(400, 7000, &format!("the stand-in does not know {other}")),
        };
        self.meddle(call.operation);
        answer
    }

    fn refusal(status: u16, text: &str) -> Answer {
        match status {
            401 | 403 => failure(status, 10000, "Authentication error"),
            422 => failure(400, 1004, text),
            429 => failure(
                status,
                971,
                "Please wait and consider throttling your request speed",
            ),
            _ => failure(status, 7003, text),
        }
    }
}

fn success(result: &Value) -> Value {
    json!({ "success": true, "errors": [], "messages": [], "result": result })
}

fn failure(status: u16, code: u32, message: &str) -> Answer {
    let errors = json!([{ "code": code, "message": message }]);
    Answer::new(
        status,
        json!({ "success": false, "errors": errors, "messages": [], "result": null }),
    )
}

fn merge(record: &mut Value, fields: &Value) {
    if let (Some(record), Some(fields)) = (record.as_object_mut(), fields.as_object()) {
        record.extend(fields.clone());
    }
}
