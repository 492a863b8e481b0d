//! The `s3` provider against object storage that verifies every signature: two places, of which each is copied to the other by
//! hand here.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;
use understudy_lab::authority::Authority;
use understudy_lab::lab::{BZ, PZ};
use understudy_lab::object_storage::{ACCESS_KEY_ID, BUCKET, Config, REGION, serve};
use understudy_lab::ports::address;

use crate::host::Host;

const SECRET: &str = "a-secret-access-key/that+is=nobodys";

struct Stage {
    folder: TempDir,
    binding: Value,
    servers: [JoinSet<()>; 2],
}

impl Stage {
    fn up() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::create(folder.path()).unwrap();
        let mut places = serde_json::Map::new();
        let mut grants = Vec::new();
        let servers = [("pz", PZ, "bz"), ("bz", BZ, "pz")].map(|(site, machine, source)| {
            let address = address(machine).unwrap();
            let config = Config {
                address,
                certificate: authority.issue(site, &[&machine.to_string()]).unwrap(),
                secret_access_key: SECRET.to_owned(),
                folder: folder.path().join(format!("{site}-objects")),
            };
            let endpoint = format!("https://{address}");
            let url = format!("{endpoint}/{BUCKET}");
            grants.push(json!({ "methods": ["GET", "PUT"], "url": url, "private": true }));
            let place = json!({ "endpoint": endpoint, "bucket": BUCKET, "source": source });
            places.insert(site.to_owned(), place);
            let uploads = folder.path().join(site);
            let mut server = JoinSet::new();
            server.spawn(async move { serve(&config, &uploads).await.unwrap() });
            server
        });
        let binding = json!({
            "contract": "understudy:storage/storage@0.1.0",
            "config": { "buckets": { "media": places } },
            "credentials": { "s3": {
                "env": "KEY", "scheme": "aws-sigv4", "access-key-id": ACCESS_KEY_ID, "region": REGION, "service": "s3",
            } },
            "http": grants,
            "trust": [authority.root()],
        });
        Self {
            folder,
            binding,
            servers,
        }
    }

    fn host(&self, secret: &str) -> Host {
        let secrets = [("KEY".to_owned(), secret.to_owned())];
        Host::new("s3", self.binding.clone(), secrets)
    }

    fn file(&self, site: &str, name: &str) -> PathBuf {
        self.folder.path().join(site).join(name)
    }

    fn upload(&self, site: &str, name: &str) {
        let file = self.file(site, name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, name).unwrap();
    }
}

fn observe(site: &str) -> Value {
    json!({ "call": "observe", "site": site, "bucket": "media" })
}

fn synced(site: &str) -> Value {
    json!({ "call": "ensure-synced", "site": site, "bucket": "media" })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_not_arrived_is_lag_and_is_waited_for() {
    let stage = Stage::up();
    // More than two pages, with a name that has to be encoded, and what only one of them has.
    for number in 0..2_100 {
        for site in ["pz", "bz"] {
            stage.upload(site, &format!("2026/10/picture {number:04}&+.png"));
        }
    }
    stage.upload("bz", "2026/11/of-the-copy.png");
    let host = stage.host(SECRET);
    let ran = host.calls(json!([observe("bz"), synced("bz")])).await;
    let seen = json!({ "readable": true, "writable": true, "replication_lag_ms": 0 });
    assert_eq!(
        ran.answers,
        [json!({ "ok": seen }), json!({ "ok": "unchanged" })]
    );
    assert!(ran.of("waiting").is_empty());

    stage.upload("pz", "2026/11/new.png");
    tokio::time::sleep(Duration::from_secs(3)).await;
    let seen = host.call(observe("bz")).await;
    let lag = seen["ok"]["replication_lag_ms"].as_u64().unwrap();
    assert!((2_000..600_000).contains(&lag), "{seen}");
    let (copy, from) = (
        stage.file("bz", "2026/11/new.png"),
        stage.file("pz", "2026/11/new.png"),
    );
    let copying = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(2)).await;
        fs::copy(from, copy).unwrap();
    });
    let ran = host.calls(json!([synced("bz")])).await;
    copying.await.unwrap();
    assert_eq!(ran.answers, [json!({ "ok": "changed" })]);
    let waited = ran.of("waiting");
    let named = |record: &&Value| record.to_string().contains("2026/11/new.png");
    assert!(!waited.is_empty() && waited.iter().all(named), "{waited:?}");
    let written = serde_json::to_string(&ran.records).unwrap();
    assert!(!written.contains(SECRET));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_is_gone_has_no_lag_and_a_wrong_key_is_no_answer() {
    let mut stage = Stage::up();
    stage.upload("pz", "a.png");
    stage.upload("bz", "a.png");
    let wrong = stage.host("another-secret-access-key/of+nobody");
    let refused = wrong.call(observe("bz")).await;
    let text = refused["err"]["invalid"].as_str().unwrap();
    assert!(text.contains("SignatureDoesNotMatch"), "{text}");

    let host = stage.host(SECRET);
    let [pz, _] = &mut stage.servers;
    pz.shutdown().await;
    let seen = host.call(observe("bz")).await;
    let alone = json!({ "readable": true, "writable": true, "replication_lag_ms": null });
    assert_eq!(seen, json!({ "ok": alone }));
    let away = host.call(observe("pz")).await;
    assert!(away["err"]["unavailable"].is_string(), "{away}");
}
