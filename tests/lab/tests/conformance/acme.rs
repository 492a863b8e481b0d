//! A real ACME authority that refuses a share of good nonces, beside the small lab: names are proved by dynamic updates.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use understudy_lab::authority::Authority;
use understudy_lab::lab::{Lab, Options, SHARED};
use understudy_lab::pebble::Pebble;
use understudy_lab::ports::address;
use understudy_lab::powerdns::{UPDATE_KEY, ZONE};
use understudy_lab::programs::{Programs, program};

use crate::{conforms, suite};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_by_acme_conform() {
    let lab = Lab::up(Options::new(env!("CARGO_BIN_EXE_understudy-lab")))
        .await
        .unwrap();
    let pebble = pebble(&lab).await;
    let things = json!({
        "site": "pz", "issuer": "pebble", "unknown-issuer": "nobody",
        "server-name": format!("wp-active.{ZONE}"), "name": "kit",
        "dns-names": [format!("a.kit.{ZONE}"), format!("b.kit.{ZONE}")],
        "other-dns-names": [format!("*.kit.{ZONE}"), format!("kit.{ZONE}")],
        "min-valid-ms": 3_600_000, "test-name": format!("test.kit.{ZONE}"),
    });
    let tested = conforms(
        lab.folder(),
        "acme",
        &[binding(&lab, &pebble)],
        &[suite("certificates", things, &[])],
        &lab.credentials(),
    )
    .await;
    tested.whole(&["ensure-certificate", "ensure-test-issued"]);
    tested.leaves_out(&[]);

    let certificates = pebble.folder.join("certificates");
    let kept = certificates.join("pz.kit");
    let key = std::fs::metadata(kept.join("privkey.pem")).unwrap();
    assert_eq!(key.permissions().mode() & 0o777, 0o600);
    let test = certificates.join("pz.understudy-test");
    assert!(test.join("fullchain.pem").is_file() && !test.join("privkey.pem").exists());
}

/// An authority with its own root.
struct Issuing {
    pebble: Pebble,
    root: PathBuf,
    folder: PathBuf,
}

async fn pebble(lab: &Lab) -> Issuing {
    let folder = lab.folder().join("acme");
    std::fs::create_dir_all(&folder).unwrap();
    let authority = Authority::create(&folder).unwrap();
    let programs = Programs::locate().unwrap();
    let [env, pebble] = [("env", "coreutils"), ("pebble", "pebble")]
        .map(|(name, package)| program(name, package).unwrap());
    let addresses: [SocketAddr; 3] = [
        address(SHARED).unwrap(),
        address(SHARED).unwrap(),
        lab.authoritative.dns(),
    ];
    let paths: [&Path; 2] = [&env, &pebble];
    let place = folder.join("pebble");
    let pebble = Pebble::start(&programs, paths, &authority, &place, addresses).await;
    Issuing {
        pebble: pebble.unwrap(),
        root: authority.root().to_owned(),
        folder,
    }
}

fn binding(lab: &Lab, issuing: &Issuing) -> Value {
    let (pz, bz) = (lab.pz.public().to_string(), lab.bz.public().to_string());
    let dns = lab.authoritative.dns();
    json!({
        "contract": "understudy:certificates/certificates@0.1.0",
        "plugin": "acme",
        "config": { "addresses": { "pz": pz, "bz": bz }, "proof-ttl-seconds": 1 },
        "issuers": { "pebble": {
            "directory": issuing.pebble.directory(),
            "contact": "ops@example.test",
            "account": issuing.folder.join("account.json"),
            "folder": issuing.folder.join("certificates"),
        } },
        "name-servers": { "primary": {
            "host": dns.ip().to_string(), "port": dns.port(), "zone": ZONE,
            "key": { "name": UPDATE_KEY, "algorithm": "hmac-sha256", "secret": { "env": "LAB_UPDATE_KEY" } },
        } },
        "dns-update": [{ "servers": ["primary"], "names": ["_acme-challenge.*"], "types": ["TXT"] }],
        "tls": [pz, bz],
        "trust": [lab.root(), &issuing.root],
    })
}
