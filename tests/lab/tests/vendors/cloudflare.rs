//! The `cloudflare` provider against the stand-in.

use serde_json::{Value, json};
use understudy_lab::vendor::cloudflare::{
    CREATE, Cloudflare, DELETE, LIST, Meddling, PATCH, ZONE, ZONES,
};
use understudy_lab::vendor::{Answer, Standin, Trouble};

use crate::host::Host;
use crate::token;

const ACTIVE: &str = "wp-active.example.test";
const PZ: &str = "wp-pz.example.test";
const BZ: &str = "wp-bz.example.test";

struct Stage {
    vendor: Standin<Cloudflare>,
    host: Host,
    zone: String,
    _folder: tempfile::TempDir,
}

/// A zone on a plan, in which `wp-active` is an alias of `wp-pz`.
async fn stage(plan: &str, config: Value) -> Stage {
    let folder = tempfile::tempdir().unwrap();
    let mut cloudflare = Cloudflare::new();
    let zone = cloudflare.add_zone("example.test", plan);
    cloudflare.add(
        &zone,
        &json!({ "type": "CNAME", "name": ACTIVE, "content": PZ, "ttl": 300 }),
    );
    cloudflare.add(
        &zone,
        &json!({ "type": "TXT", "name": ACTIVE, "content": "\"owned by the web team\"", "ttl": 300 }),
    );
    let vendor = Standin::start(folder.path(), cloudflare).await.unwrap();
    let mut all = json!({ "server": vendor.url(), "zone": "example.test" });
    for (name, value) in config.as_object().unwrap() {
        all[name] = value.clone();
    }
    let url = format!("{}/zones", vendor.url());
    let binding = json!({
        "contract": "understudy:dns/dns@0.1.0",
        "config": all,
        "credentials": { "api": { "env": "TOKEN", "scheme": "bearer" } },
        "http": [{ "methods": ["GET", "POST", "PATCH", "DELETE"], "url": url, "private": true }],
        "trust": [vendor.root()],
    });
    let host = Host::new("cloudflare", binding, token(vendor.token()));
    Stage {
        vendor,
        host,
        zone,
        _folder: folder,
    }
}

impl Stage {
    /// What somebody sees in the zone's editor: content and TTL of the alias.
    fn alias(&self) -> Vec<Value> {
        let records = self.vendor.state(|cloudflare| cloudflare.of(ACTIVE));
        records
            .into_iter()
            .filter(|record| record["type"] == "CNAME")
            .collect()
    }

    /// Everything kept to the document, and every trouble was met.
    fn ends(&self) {
        assert_eq!(self.vendor.violations(), Vec::<String>::new());
        assert_eq!(self.vendor.unmet(), 0, "a trouble was never met");
    }
}

fn flip(from: &str, to: &str, ttl_seconds: u32) -> Value {
    json!({ "call": "ensure-record", "name": ACTIVE, "kind": "CNAME",
        "expected": [from], "values": [to], "ttl-seconds": ttl_seconds })
}

fn get(name: &str, kind: &str) -> Value {
    json!({ "call": "get-record", "name": name, "kind": kind })
}

#[tokio::test]
async fn a_flip_changes_one_record_in_its_place_and_no_other() {
    let stage = stage("free", json!({})).await;
    let before = stage.alias();
    let other = stage
        .vendor
        .state(|cloudflare| cloudflare.of(ACTIVE)[1].clone());
    let ran = stage
        .host
        .calls(json!([
            { "call": "get-zone-limits", "name": ACTIVE },
            get(ACTIVE, "CNAME"),
            flip(PZ, PZ, 60),
            flip(PZ, BZ, 60),
            flip(PZ, BZ, 60),
            get(ACTIVE, "CNAME"),
            get(ACTIVE, "TXT"),
            get("nobody.example.test", "A"),
        ]))
        .await;
    let record = |to: &str, ttl: u32| json!({ "ok": { "name": ACTIVE, "kind": "CNAME", "values": [to], "ttl_seconds": ttl } });
    assert_eq!(
        ran.answers[0],
        json!({ "ok": { "zone": "example.test", "min_ttl_seconds": 60 } })
    );
    assert_eq!(ran.answers[1], record(PZ, 300));
    assert_eq!(
        ran.answers[2..5],
        [
            json!({ "ok": "changed" }),
            json!({ "ok": "changed" }),
            json!({ "ok": "unchanged" })
        ]
    );
    assert_eq!(ran.answers[5], record(BZ, 60));
    assert_eq!(
        ran.answers[6]["ok"]["values"],
        json!(["owned by the web team"])
    );
    assert!(
        ran.answers[7]["err"]["not-found"].is_string(),
        "{}",
        ran.answers[7]
    );

    let mut expected = before[0].clone();
    expected["content"] = BZ.into();
    expected["ttl"] = 60.into();
    assert_eq!(
        stage.alias(),
        [expected],
        "id, comment and the rest are kept"
    );
    assert_eq!(
        stage
            .vendor
            .state(|cloudflare| cloudflare.of(ACTIVE)[1].clone()),
        other
    );
    assert_eq!(stage.vendor.served(PATCH), 2);
    assert_eq!(stage.vendor.served(CREATE) + stage.vendor.served(DELETE), 0);
    stage.ends();
}

#[tokio::test]
async fn somebody_elses_change_is_a_conflict_before_and_in_between() {
    let stage = stage("free", json!({})).await;
    let (elsewhere, third) = ("elsewhere.example.test", "third.example.test");
    let meddle = |after, content: &str, replaced| {
        stage.vendor.state(|cloudflare| {
            cloudflare.meddling = Some(Meddling {
                after,
                name: ACTIVE.to_owned(),
                content: content.to_owned(),
                replaced,
            });
        });
    };
    // Made anew between the read and the change: the id that was read is gone.
    meddle(LIST, elsewhere, true);
    let answer = stage.host.call(flip(PZ, BZ, 60)).await;
    let text = answer["err"]["conflict"].as_str().unwrap();
    assert!(text.contains(PZ) && text.contains(BZ), "{text}");
    assert_eq!(stage.alias()[0]["content"], elsewhere);

    // There already.
    let answer = stage.host.call(flip(PZ, BZ, 60)).await;
    let text = answer["err"]["conflict"].as_str().unwrap();
    assert!(
        text.contains(&format!("holds {elsewhere}, expected {PZ}")),
        "{text}"
    );
    assert_eq!(stage.vendor.served(PATCH), 1);

    // Between the change and the last look.
    meddle(PATCH, third, false);
    let answer = stage.host.call(flip(elsewhere, BZ, 60)).await;
    let text = answer["err"]["conflict"].as_str().unwrap();
    assert!(
        text.contains(&format!("was set to {BZ} and holds {third}")),
        "{text}"
    );
    assert_eq!(stage.alias()[0]["content"], third);
    stage.ends();
}

#[tokio::test]
async fn a_throttled_call_waits_as_long_as_it_is_told_to() {
    let stage = stage("free", json!({})).await;
    stage
        .vendor
        .will(PATCH, Trouble::Throttled { after_seconds: 2 });
    let ran = stage.host.calls(json!([flip(PZ, BZ, 60)])).await;
    assert_eq!(ran.answers, [json!({ "ok": "changed" })]);
    let retried = ran.of("retried");
    assert_eq!(retried.len(), 1, "{retried:?}");
    let error = &retried[0]["body"]["error"]["unavailable"];
    assert_eq!(error["after-ms"], 2000, "{error}");
    let reason = error["reason"].as_str().unwrap();
    assert!(
        reason.contains("971 Please wait and consider throttling"),
        "{reason}"
    );
    assert_eq!(stage.vendor.served(PATCH), 2);
    stage.ends();
}

#[tokio::test]
async fn an_answer_that_is_lost_is_looked_for_and_nothing_is_done_twice() {
    let stage = stage("free", json!({})).await;
    stage.vendor.will(PATCH, Trouble::AnswerLost);
    let ran = stage.host.calls(json!([flip(PZ, BZ, 60)])).await;
    assert!(ran.answers[0]["ok"].is_string(), "{}", ran.answers[0]);
    assert_eq!(
        ran.of("retried")[0]["body"]["error"]
            .as_object()
            .unwrap()
            .keys()
            .next()
            .unwrap(),
        "in-doubt"
    );
    assert_eq!(stage.vendor.served(PATCH), 1);
    assert_eq!(stage.alias()[0]["content"], BZ);

    let create = json!({ "call": "ensure-record", "name": BZ, "kind": "A", "expected": [],
        "values": ["198.51.100.10"], "ttl-seconds": 60 });
    stage.vendor.will(CREATE, Trouble::AnswerLost);
    let answer = stage.host.call(create).await;
    assert!(answer["ok"].is_string(), "{answer}");
    assert_eq!(stage.vendor.state(|cloudflare| cloudflare.of(BZ).len()), 1);
    assert_eq!(stage.vendor.served(CREATE), 1);
    stage.ends();
}

#[tokio::test]
async fn every_page_is_read_however_pages_are_told() {
    for tells_total_pages in [true, false] {
        let stage = stage("free", json!({})).await;
        stage.vendor.state(|cloudflare| {
            cloudflare.page_size = 2;
            cloudflare.tells_total_pages = tells_total_pages;
            for zone in ["a.test", "b.test", "c.test"] {
                cloudflare.add_zone(zone, "free");
            }
            for address in 1..=5 {
                let record = json!({ "type": "A", "name": PZ, "content": format!("192.0.2.{address}"), "ttl": 60 });
                cloudflare.add(&stage.zone, &record);
            }
        });
        let ran = stage
            .host
            .calls(json!([
                get(PZ, "A"),
                // One value of several, and then a set that cannot be changed at once.
                { "call": "ensure-record", "name": PZ, "kind": "A", "ttl-seconds": 60,
                  "values": ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.6"] },
                { "call": "ensure-record", "name": PZ, "kind": "A", "ttl-seconds": 60,
                  "values": ["192.0.2.7", "192.0.2.8"] },
                { "call": "ensure-record", "name": PZ, "kind": "A", "ttl-seconds": 60,
                  "values": ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"] },
            ]))
            .await;
        assert_eq!(ran.answers[0]["ok"]["values"].as_array().unwrap().len(), 5);
        assert_eq!(ran.answers[1], json!({ "ok": "changed" }));
        let refused = ran.answers[2]["err"]["invalid"].as_str().unwrap();
        assert!(refused.contains("one value at a time"), "{refused}");
        assert_eq!(ran.answers[3], json!({ "ok": "changed" }));
        assert_eq!(
            (stage.vendor.served(PATCH), stage.vendor.served(DELETE)),
            (1, 1)
        );
        assert_eq!(stage.vendor.state(|cloudflare| cloudflare.of(PZ).len()), 4);
        assert!(stage.vendor.served(LIST) > 4 * 3);
        stage.ends();
    }
}

#[tokio::test]
async fn the_shortest_ttl_is_that_of_the_plan() {
    for (plan, shortest) in [("free", 60), ("enterprise", 30)] {
        let stage = stage(plan, json!({})).await;
        let ran = stage
            .host
            .calls(json!([
                { "call": "get-zone-limits", "name": ACTIVE },
                flip(PZ, PZ, shortest - 1),
                flip(PZ, PZ, shortest),
            ]))
            .await;
        assert_eq!(ran.answers[0]["ok"]["min_ttl_seconds"], shortest);
        assert!(
            ran.answers[1]["err"]["invalid"].is_string(),
            "{}",
            ran.answers[1]
        );
        assert_eq!(ran.answers[2], json!({ "ok": "changed" }));
        assert_eq!(stage.alias()[0]["ttl"], shortest);
        stage.ends();
    }
}

#[tokio::test]
async fn with_id_and_plan_configured_no_zone_is_searched_for() {
    // Ids are drawn alike in every account of the stand-in.
    let id = Cloudflare::new().add_zone("example.test", "free");
    let stage = stage("free", json!({ "zone-id": id, "plan": "business" })).await;
    assert_eq!(stage.zone, id);
    let answer = stage.host.call(flip(PZ, BZ, 60)).await;
    assert_eq!(answer, json!({ "ok": "changed" }));
    assert_eq!(stage.vendor.served(ZONES) + stage.vendor.served(ZONE), 0);
    stage.ends();
}

#[tokio::test]
async fn a_proxied_record_stays_proxied_and_has_the_ttl_of_all_proxied_ones() {
    let stage = stage("free", json!({})).await;
    stage.vendor.state(|cloudflare| {
        let record = json!({ "type": "CNAME", "name": BZ, "content": PZ, "proxied": true });
        cloudflare.add(&stage.zone, &record);
    });
    let set = |to: &str, ttl: u32| {
        json!({ "call": "ensure-record", "name": BZ, "kind": "CNAME",
        "values": [to], "ttl-seconds": ttl })
    };
    let ran = stage
        .host
        .calls(json!([get(BZ, "CNAME"), set(ACTIVE, 60), set(ACTIVE, 300)]))
        .await;
    assert_eq!(ran.answers[0]["ok"]["ttl_seconds"], 300);
    let refused = ran.answers[1]["err"]["invalid"].as_str().unwrap();
    assert!(refused.contains("proxied"), "{refused}");
    assert_eq!(ran.answers[2], json!({ "ok": "changed" }));
    let record = stage
        .vendor
        .state(|cloudflare| cloudflare.of(BZ)[0].clone());
    assert_eq!(
        (&record["proxied"], &record["ttl"], &record["content"]),
        (&json!(true), &json!(1), &json!(ACTIVE))
    );
    stage.ends();
}

#[tokio::test]
async fn refusals_are_told_in_the_vendors_words() {
    let stage = stage("free", json!({})).await;
    let refusal = |status, code: u32, message: &str| {
        let errors = json!([{ "code": code, "message": message }]);
        let body = json!({ "success": false, "errors": errors, "messages": [], "result": null });
        Trouble::Refused(Answer::new(status, body))
    };
    stage
        .vendor
        .will(PATCH, refusal(400, 1004, "DNS Validation Error"));
    let answer = stage.host.call(flip(PZ, BZ, 60)).await;
    let text = answer["err"]["invalid"].as_str().unwrap();
    assert!(text.contains("1004 DNS Validation Error"), "{text}");

    // An alias beside an address is refused by the vendor.
    let answer = stage
        .host
        .call(
            json!({ "call": "ensure-record", "name": ACTIVE, "kind": "A", "expected": [],
            "values": ["198.51.100.10"], "ttl-seconds": 60 }),
        )
        .await;
    let text = answer["err"]["conflict"].as_str().unwrap();
    assert!(text.contains("81053"), "{text}");
    stage.ends();
}

#[tokio::test]
async fn a_token_that_is_wrong_or_sees_no_such_zone_is_named() {
    let stage = stage("free", json!({ "zone": "example.org" })).await;
    let answer = stage.host.call(get("www.example.org", "A")).await;
    let text = answer["err"]["not-found"].as_str().unwrap();
    assert!(text.contains("sees no zone example.org"), "{text}");
    stage.ends();

    let url = format!("{}/zones", stage.vendor.url());
    let binding = json!({
        "contract": "understudy:dns/dns@0.1.0",
        "config": { "server": stage.vendor.url(), "zone": "example.test" },
        "credentials": { "api": { "env": "TOKEN", "scheme": "bearer" } },
        "http": [{ "methods": ["GET"], "url": url, "private": true }],
        "trust": [stage.vendor.root()],
    });
    let answer = Host::new("cloudflare", binding, token("not-the-token"))
        .call(get(ACTIVE, "CNAME"))
        .await;
    let text = answer["err"]["invalid"].as_str().unwrap();
    assert!(
        text.contains("10000 Authentication error") && text.contains("check the API token"),
        "{text}"
    );
    assert!(!text.contains("not-the-token"));
    stage.ends();
}
