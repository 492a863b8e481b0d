//! The `acme` provider against a real authority that refuses a share of good nonces, a real name server, and a server that
//! serves what it was brought.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use understudy_lab::authority::Authority;
use understudy_lab::lab::SHARED;
use understudy_lab::pebble::Pebble;
use understudy_lab::ports::address;
use understudy_lab::powerdns::{Authoritative, UPDATE_KEY, ZONE, Zone};
use understudy_lab::programs::{Programs, program};

use crate::host::{Host, Ran};
use crate::token;

const NAMES: [&str; 2] = ["www.example.test", "*.www.example.test"];

struct Stage {
    names: Authoritative,
    pebble: Pebble,
    root: PathBuf,
    site: SocketAddr,
    folder: TempDir,
}

impl Stage {
    /// An authority that asks `dns` for the records that prove names; the zone's own server where `None`.
    async fn up(dns: Option<SocketAddr>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let programs = Programs::locate().unwrap();
        let zone = Zone {
            ttl_seconds: 300,
            pz: "192.0.2.1".to_owned(),
            bz: "192.0.2.2".to_owned(),
        };
        let at = || address(SHARED).unwrap();
        let place = folder.path().join("pdns");
        let names = Authoritative::start(&programs, &place, at(), at(), &zone);
        let names = names.await.unwrap();
        let authority = Authority::create(folder.path()).unwrap();
        let [env, pebble] = [("env", "coreutils"), ("pebble", "pebble")]
            .map(|(name, package)| program(name, package).unwrap());
        let addresses = [at(), at(), dns.unwrap_or(names.dns())];
        let place = folder.path().join("pebble");
        let paths: [&Path; 2] = [&env, &pebble];
        let pebble = Pebble::start(&programs, paths, &authority, &place, addresses);
        let pebble = pebble.await.unwrap();
        let served = folder.path().join("served");
        fs::create_dir(&served).unwrap();
        let first = authority.issue("first", &["first.example.test"]).unwrap();
        fs::copy(&first.certificate, served.join("fullchain.pem")).unwrap();
        fs::copy(&first.key, served.join("privkey.pem")).unwrap();
        Self {
            names,
            pebble,
            root: authority.root().to_owned(),
            site: serve(served).await,
            folder,
        }
    }

    fn certificates(&self) -> PathBuf {
        self.folder.path().join("certificates")
    }

    fn host(&self) -> Host {
        let (site, dns) = (self.site.to_string(), self.names.dns());
        let folder = self.folder.path().display();
        let script = format!(
            r#"cp "{folder}/certificates/$1.$2/fullchain.pem" "{folder}/certificates/$1.$2/privkey.pem" "{folder}/served/""#
        );
        let binding = json!({
            "contract": "understudy:certificates/certificates@0.1.0",
            "config": {
                "addresses": { "pz": site },
                "proof-ttl-seconds": 1,
                "deploy": { "program": "install", "arguments": ["{site}", "{name}"] },
            },
            "issuers": { "pebble": {
                "directory": self.pebble.directory(),
                "account": self.folder.path().join("account.json"),
                "folder": self.certificates(),
            } },
            "name-servers": { "primary": {
                "host": dns.ip().to_string(), "port": dns.port(), "zone": ZONE,
                "key": { "name": UPDATE_KEY, "algorithm": "hmac-sha256", "secret": { "env": "TOKEN" } },
            } },
            "dns-update": [{ "servers": ["primary"], "names": ["_acme-challenge.*"], "types": ["TXT"] }],
            "programs": { "install": {
                "program": "/bin/sh", "leading": ["-c", script, "sh"], "arguments": [["{name}", "{name}"]],
                "environment": { "PATH": "/usr/bin:/bin" },
            } },
            "tls": [site],
            "trust": [self.root, self.pebble.root()],
        });
        Host::new("acme", binding, token(self.names.update_key()))
    }
}

/// Serves the certificate that lies in `folder` at the time of each connection.
async fn serve(folder: PathBuf) -> SocketAddr {
    let tcp = TcpListener::bind((SHARED, 0)).await.unwrap();
    let at = tcp.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = tcp.accept().await.unwrap();
            let read = |name: &str| fs::read(folder.join(name)).unwrap();
            let chain = CertificateDer::pem_slice_iter(&read("fullchain.pem"))
                .collect::<Result<Vec<_>, _>>()
                .unwrap();
            let key = PrivateKeyDer::from_pem_slice(&read("privkey.pem")).unwrap();
            let ring = Arc::new(rustls::crypto::ring::default_provider());
            let config = ServerConfig::builder_with_provider(ring)
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(chain, key)
                .unwrap();
            // Who only wants to see the certificate hangs up.
            drop(TlsAcceptor::from(Arc::new(config)).accept(stream).await);
        }
    });
    at
}

fn ensure(names: &[&str]) -> Value {
    json!({ "call": "ensure-certificate", "site": "pz", "name": "www", "dns-names": names,
        "issuer": "pebble", "min-valid-ms": 3_600_000 })
}

/// What was done, as the journal has it.
fn egress(ran: &Ran) -> Vec<String> {
    let records = ran.of("egress");
    let line = |record: &&Value| {
        let body = &record["body"];
        let (action, result) = (body["action"].as_str(), body["result"].as_str());
        format!("{} -> {}", action.unwrap(), result.unwrap())
    };
    records.iter().map(line).collect()
}

#[tokio::test]
async fn a_certificate_is_ordered_once_brought_to_its_site_and_left_alone() {
    let stage = Stage::up(None).await;
    let served = json!({ "call": "observe-served", "site": "pz", "server-name": NAMES[0] });
    let calls = json!([ensure(&NAMES), ensure(&[NAMES[1], NAMES[0]]), served]);
    let ran = stage.host().calls(calls).await;
    let outcomes = [json!({ "ok": "changed" }), json!({ "ok": "unchanged" })];
    assert_eq!(ran.answers[..2], outcomes);
    let served = &ran.answers[2]["ok"];
    assert_eq!(
        (&served["verified"], &served["problem"]),
        (&json!(true), &json!(""))
    );
    assert_eq!(served["dns_names"], json!([NAMES[1], NAMES[0]]));

    let lines = egress(&ran);
    let count = |words: &str| lines.iter().filter(|line| line.contains(words)).count();
    assert_eq!(count("2 names to prove"), 1, "{lines:?}");
    assert_eq!(count("-> issued"), 1, "{lines:?}");
    assert_eq!(count("exec install"), 1, "{lines:?}");
    let record = "_acme-challenge.www.example.test TXT -> ok";
    assert_eq!(count(&format!("replace {record}")), 1, "{lines:?}");
    assert_eq!(count(&format!("delete {record}")), 1, "{lines:?}");

    let key = fs::read_to_string(stage.certificates().join("pz.www/privkey.pem")).unwrap();
    let account = fs::read_to_string(stage.folder.path().join("account.json")).unwrap();
    let account: Value = serde_json::from_str(&account).unwrap();
    let journal = json!(ran.records).to_string();
    for secret in [
        key.lines().nth(1).unwrap(),
        account["key_pkcs8"].as_str().unwrap(),
    ] {
        assert!(!journal.contains(secret), "a key is in the journal");
    }
}

#[tokio::test]
async fn a_name_that_is_not_proved_is_a_conflict_in_the_authoritys_words() {
    let nobody = address(SHARED).unwrap();
    let stage = Stage::up(Some(nobody)).await;
    let ran = stage.host().calls(json!([ensure(&NAMES[..1])])).await;
    let conflict = ran.answers[0]["err"]["conflict"].as_str();
    let conflict = conflict.unwrap_or_else(|| panic!("{}", ran.answers[0]));
    assert!(conflict.contains("CP0061"), "{conflict}");
    assert!(
        conflict.contains("www.example.test was not proved"),
        "{conflict}"
    );
    assert!(
        !stage.certificates().join(".pz.www.order").exists(),
        "a failed order is kept"
    );
}
