//! The caches that the `cloudflare` provider purges, against the stand-in.

use serde_json::{Value, json};
use understudy_lab::vendor::cloudflare::{Cloudflare, PATCH, PURGE};
use understudy_lab::vendor::{Standin, Trouble, Vendor as _};

use crate::host::Host;
use crate::token;

const ACTIVE: &str = "wp-active.example.test";
const BZ: &str = "wp-bz.example.test";
const PLAIN: &str = "mail.example.test";

struct Stage {
    vendor: Standin<Cloudflare>,
    host: Host,
    _folder: tempfile::TempDir,
}

/// A zone in which `wp-active` is an alias of `wp-bz`, which is proxied, and `mail` is not.
async fn stage(config: Value) -> Stage {
    let folder = tempfile::tempdir().unwrap();
    let mut cloudflare = Cloudflare::new();
    let zone = cloudflare.add_zone("example.test", "pro");
    for record in [
        json!({ "type": "CNAME", "name": ACTIVE, "content": BZ, "ttl": 60 }),
        json!({ "type": "A", "name": BZ, "content": "198.51.100.10", "proxied": true }),
        json!({ "type": "A", "name": PLAIN, "content": "198.51.100.11", "ttl": 60 }),
        json!({ "type": "CNAME", "name": "shop.example.test", "content": "shop.example.org", "ttl": 60 }),
        json!({ "type": "TXT", "name": "said.example.test", "content": "\"nothing\"", "ttl": 60 }),
    ] {
        cloudflare.add(&zone, &record);
    }
    let vendor = Standin::start(folder.path(), cloudflare).await.unwrap();
    let mut all =
        json!({ "server": vendor.url(), "zone": "example.test", "zone-id": zone, "plan": "pro" });
    for (name, value) in config.as_object().unwrap() {
        all[name] = value.clone();
    }
    // What the provider's documentation asks for, and nothing else.
    let zone = format!("{}/zones/{zone}", vendor.url());
    let binding = json!({
        "contract": "understudy:edge-cache/edge-cache@0.1.0",
        "config": all,
        "credentials": { "api": { "env": "TOKEN", "scheme": "bearer" } },
        "http": [
            { "methods": ["GET"], "url": format!("{zone}/dns_records"), "private": true },
            { "methods": ["POST"], "url": format!("{zone}/purge_cache"), "private": true },
        ],
        "trust": [vendor.root()],
    });
    let host = Host::new("cloudflare", binding, token(vendor.token()));
    Stage {
        vendor,
        host,
        _folder: folder,
    }
}

impl Stage {
    fn purges(&self) -> Vec<Value> {
        self.vendor.state(|cloudflare| cloudflare.purges.clone())
    }

    /// Everything kept to the document, and every trouble was met.
    fn ends(&self) {
        assert_eq!(self.vendor.violations(), Vec::<String>::new());
        assert_eq!(self.vendor.unmet(), 0, "a trouble was never met");
    }
}

fn purge(hosts: &[&str]) -> Value {
    json!({ "call": "ensure-purged", "hosts": hosts, "token": "run-1-purge-edge" })
}

fn observe(host: &str) -> Value {
    json!({ "call": "observe", "host": host })
}

#[tokio::test]
async fn a_name_is_cached_where_it_or_what_it_is_an_alias_of_is_proxied() {
    let stage = stage(json!({})).await;
    let ran = stage
        .host
        .calls(json!([
            observe(BZ),
            observe(ACTIVE),
            observe(PLAIN),
            observe("shop.example.test"),
            observe("said.example.test"),
            observe("www.example.org"),
        ]))
        .await;
    let cached = |cached: bool| json!({ "ok": { "cached": cached } });
    let expected = [true, true, false, false].map(cached);
    assert_eq!(ran.answers[..4], expected);
    let text = ran.answers[4]["err"]["not-found"].as_str().unwrap();
    assert!(text.contains("leads said.example.test nowhere"), "{text}");
    assert!(ran.answers[5]["err"]["invalid"].is_string());
    stage.ends();
}

#[tokio::test]
async fn names_are_purged_once_more_whenever_they_are_asked_for_and_nothing_else_is() {
    let stage = stage(json!({})).await;
    let twice = [
        purge(&[ACTIVE, "WP-Active.Example.Test."]),
        purge(&[ACTIVE]),
    ];
    let ran = stage.host.calls(json!(twice)).await;
    assert_eq!(
        ran.answers,
        [json!({ "ok": "changed" }), json!({ "ok": "changed" })]
    );
    let sent = json!({ "hosts": [ACTIVE] });
    assert_eq!(stage.purges(), [sent.clone(), sent]);
    assert_eq!(stage.vendor.served(PATCH), 0);
    // One name that leads nowhere: nothing is purged.
    let ran = stage
        .host
        .calls(json!([purge(&[ACTIVE, "nobody.example.test"]), purge(&[])]))
        .await;
    assert!(
        ran.answers[0]["err"]["not-found"].is_string(),
        "{}",
        ran.answers[0]
    );
    assert!(
        ran.answers[1]["err"]["invalid"].is_string(),
        "{}",
        ran.answers[1]
    );
    assert_eq!(stage.vendor.served(PURGE), 2);
    stage.ends();
}

#[tokio::test]
async fn a_throttled_purge_waits_as_long_as_it_is_told_to_and_a_lost_answer_is_one_purge_more() {
    let stage = stage(json!({})).await;
    stage
        .vendor
        .will(PURGE, Trouble::Throttled { after_seconds: 2 });
    let ran = stage.host.calls(json!([purge(&[ACTIVE])])).await;
    assert_eq!(ran.answers, [json!({ "ok": "changed" })]);
    let retried = ran.of("retried");
    assert_eq!(retried[0]["body"]["error"]["unavailable"]["after-ms"], 2000);
    assert_eq!((retried.len(), stage.purges().len()), (1, 1));

    stage.vendor.will(PURGE, Trouble::AnswerLost);
    let ran = stage.host.calls(json!([purge(&[ACTIVE])])).await;
    assert_eq!(ran.answers, [json!({ "ok": "changed" })]);
    assert_eq!(stage.purges().len(), 3);
    stage.ends();
}

#[tokio::test]
async fn a_plan_that_cannot_purge_by_name_says_so_and_purges_everything() {
    let by_name = stage(json!({})).await;
    let refuse = |stage: &Stage| {
        stage
            .vendor
            .state(|cloudflare| cloudflare.purges_by_name = false);
    };
    refuse(&by_name);
    let answer = by_name.host.call(purge(&[ACTIVE])).await;
    let text = answer["err"]["invalid"].as_str().unwrap();
    assert!(text.contains("can only purge everything"), "{text}");
    assert_eq!(by_name.purges(), Vec::<Value>::new());
    by_name.ends();

    let everything = stage(json!({ "purge-everything": true })).await;
    refuse(&everything);
    let answer = everything.host.call(purge(&[ACTIVE])).await;
    assert_eq!(answer, json!({ "ok": "changed" }));
    assert_eq!(everything.purges(), [json!({ "purge_everything": true })]);
    everything.ends();
}

#[tokio::test]
async fn a_token_that_may_not_purge_is_told_what_it_lacks() {
    let stage = stage(json!({})).await;
    let refused = Cloudflare::refusal(403, "");
    stage.vendor.will(PURGE, Trouble::Refused(refused));
    let answer = stage.host.call(purge(&[ACTIVE])).await;
    let text = answer["err"]["invalid"].as_str().unwrap();
    assert!(
        text.contains("10000 Authentication error") && text.contains("Cache Purge"),
        "{text}"
    );
    stage.ends();
}
