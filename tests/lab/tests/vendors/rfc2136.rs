//! The `rfc2136` provider against a real PowerDNS, with somebody in the middle who can do what a network can do to
//! messages that are signed.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use understudy_lab::lab::SHARED;
use understudy_lab::ports::address;
use understudy_lab::powerdns::{Authoritative, Editor, UPDATE_KEY, ZONE, Zone};
use understudy_lab::programs::Programs;

use crate::host::{Host, Ran};
use crate::token;

const ACTIVE: &str = "wp-active.example.test";
const PZ: &str = "wp-pz.example.test";
const BZ: &str = "wp-bz.example.test";
/// What the binding may change: the alias, and a corner of the zone.
const GRANTED: [&str; 2] = [ACTIVE, "*.kit.example.test"];
/// Where the operation stands in a message's header, shifted (RFC 1035, 4.1.1), and what an update has there (RFC 2136).
const UPDATE: u8 = 5 << 3;

/// What happens to the next update on its way.
#[derive(Clone, Copy)]
enum Mischief {
    /// Somebody else changes the alias first.
    Overtaken(&'static str),
    /// It happens, and the connection ends before the answer.
    AnswerLost,
    /// It happens, and a bit of the answer is turned over.
    AnswerChanged,
    /// It happens, and only the beginning of the answer comes.
    AnswerCut,
}

struct Stage {
    server: Authoritative,
    middle: SocketAddr,
    mischief: Arc<Mutex<Option<Mischief>>>,
    _folder: TempDir,
}

impl Stage {
    async fn up() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let programs = Programs::locate().unwrap();
        let (dns, api) = (address(SHARED).unwrap(), address(SHARED).unwrap());
        let zone = Zone {
            ttl_seconds: 300,
            pz: "192.0.2.1".to_owned(),
            bz: "192.0.2.2".to_owned(),
        };
        let server = Authoritative::start(&programs, folder.path(), dns, api, &zone);
        let server = server.await.unwrap();
        let mischief = Arc::new(Mutex::new(None));
        let tcp = TcpListener::bind((SHARED, 0)).await.unwrap();
        let middle = tcp.local_addr().unwrap();
        let (editor, planned) = (server.editor().clone(), Arc::clone(&mischief));
        tokio::spawn(async move {
            loop {
                let (client, _) = tcp.accept().await.unwrap();
                let (editor, planned) = (editor.clone(), Arc::clone(&planned));
                tokio::spawn(async move { pass(client, dns, &editor, &planned).await });
            }
        });
        Self {
            server,
            middle,
            mischief,
            _folder: folder,
        }
    }

    /// A host whose binding has this key.
    fn host(&self, name: &str, secret: &str) -> Host {
        let binding = json!({
            "contract": "understudy:dns/dns@0.1.0",
            "config": { "min-ttl-seconds": 5 },
            "name-servers": { "primary": {
                "host": self.middle.ip().to_string(), "port": self.middle.port(), "zone": ZONE,
                "key": { "name": name, "algorithm": "hmac-sha256", "secret": { "env": "TOKEN" } },
            } },
            "dns-update": [{
                "servers": ["primary"], "names": GRANTED, "types": ["A", "AAAA", "CNAME", "MX", "SRV", "TXT"],
            }],
        });
        Host::new("rfc2136", binding, token(secret))
    }

    /// With the key that the server knows.
    fn known(&self) -> Host {
        self.host(UPDATE_KEY, self.server.update_key())
    }

    /// One update meets this; what the calls then come to.
    async fn meets(&self, mischief: Mischief, calls: Value) -> Ran {
        let before = self.mischief.lock().unwrap().replace(mischief);
        assert!(before.is_none(), "a mischief was not met");
        let ran = self.known().calls(calls).await;
        assert!(self.mischief.lock().unwrap().is_none(), "nothing was met");
        ran
    }

    async fn alias(&self) -> Value {
        let sets = self.server.editor().record_sets().await.unwrap();
        let alias = sets.into_iter().find(|set| set["name"] == ACTIVE);
        alias.unwrap()["values"].clone()
    }
}

/// Passes one message on, and its answer back, but for what is planned.
async fn pass(
    mut client: TcpStream,
    dns: SocketAddr,
    editor: &Editor,
    planned: &Mutex<Option<Mischief>>,
) {
    let message = framed(&mut client).await;
    let is_update = message[4] & 0x78 == UPDATE;
    let mischief = is_update.then(|| planned.lock().unwrap().take()).flatten();
    if let Some(Mischief::Overtaken(target)) = mischief {
        let alias =
            json!({ "name": ACTIVE, "type": "CNAME", "ttl-seconds": 300, "values": [target] });
        editor.replace(&[alias]).await.unwrap();
    }
    let mut server = TcpStream::connect(dns).await.unwrap();
    server.write_all(&message).await.unwrap();
    let mut answer = framed(&mut server).await;
    match mischief {
        Some(Mischief::AnswerLost) => answer.clear(),
        Some(Mischief::AnswerCut) => answer.truncate(answer.len() / 2),
        // The response code: success becomes FORMERR.
        Some(Mischief::AnswerChanged) => answer[5] ^= 1,
        Some(Mischief::Overtaken(_)) | None => {}
    }
    client.write_all(&answer).await.unwrap();
}

/// A message with its length before it.
async fn framed(stream: &mut TcpStream) -> Vec<u8> {
    let length = stream.read_u16().await.unwrap();
    let mut message = length.to_be_bytes().to_vec();
    message.resize(2 + usize::from(length), 0);
    stream.read_exact(&mut message[2..]).await.unwrap();
    message
}

fn ensure(name: &str, kind: &str, expected: Value, values: &[&str]) -> Value {
    let mut call = json!({
        "call": "ensure-record", "name": name, "kind": kind, "values": values, "ttl-seconds": 60,
    });
    if !expected.is_null() {
        call["expected"] = expected;
    }
    call
}

fn flip(from: &str, to: &str) -> Value {
    ensure(ACTIVE, "CNAME", json!([from]), &[to])
}

fn get(name: &str, kind: &str) -> Value {
    json!({ "call": "get-record", "name": name, "kind": kind })
}

/// What was done at the server, as the journal has it.
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
async fn a_flip_is_one_message_and_leaves_the_rest_of_the_zone_as_it_is() {
    let stage = Stage::up().await;
    let before = stage.server.editor().record_sets().await.unwrap();
    let serial = stage.server.serial().await.unwrap();
    let ran = stage
        .known()
        .calls(json!([
            { "call": "get-zone-limits", "name": ACTIVE },
            get(ACTIVE, "CNAME"),
            flip(PZ, BZ),
            flip(PZ, BZ),
            get(ACTIVE, "CNAME"),
            get("nobody.example.test", "A"),
        ]))
        .await;
    let record = |to: &str, ttl: u32| json!({ "ok": { "name": ACTIVE, "kind": "CNAME", "values": [to], "ttl_seconds": ttl } });
    let limits = json!({ "ok": { "zone": ZONE, "min_ttl_seconds": 5 } });
    assert_eq!(ran.answers[0], limits);
    assert_eq!(ran.answers[1], record(PZ, 300));
    let outcomes = [json!({ "ok": "changed" }), json!({ "ok": "unchanged" })];
    assert_eq!(ran.answers[2..4], outcomes);
    assert_eq!(ran.answers[4], record(BZ, 60));
    let nobody = &ran.answers[5]["err"]["not-found"];
    assert!(nobody.is_string(), "{nobody}");
    let changes = egress(&ran);
    let changes: Vec<_> = changes
        .iter()
        .filter(|line| line.contains("replace"))
        .collect();
    assert_eq!(
        changes,
        [&format!("dns primary: replace {ACTIVE} CNAME -> ok")]
    );
    assert_eq!(stage.server.serial().await.unwrap(), serial + 1);
    let mut expected = before;
    for set in &mut expected {
        if set["name"] == ACTIVE {
            set["values"] = json!([BZ]);
            set["ttl-seconds"] = 60.into();
        }
    }
    let after = stage.server.editor().record_sets().await.unwrap();
    assert_eq!(after, expected);
}

#[tokio::test]
async fn every_type_is_made_compared_and_taken_away() {
    let stage = Stage::up().await;
    for (kind, first, second) in [
        (
            "A",
            ["192.0.2.7", "192.0.2.8"].as_slice(),
            ["192.0.2.9"].as_slice(),
        ),
        ("AAAA", &["2001:db8::7"], &["2001:db8::8", "2001:db8::9"]),
        ("CNAME", &["wp-pz.example.test"], &["wp-bz.example.test"]),
        (
            "MX",
            &["10 a.example.test", "20 b.example.test"],
            &["10 b.example.test"],
        ),
        (
            "SRV",
            &["1 2 443 a.example.test"],
            &["1 2 443 b.example.test"],
        ),
        (
            "TXT",
            &["v=spf1 -all; \"quoted\" \\ and é", &"x".repeat(300)],
            &["next"],
        ),
    ] {
        let name = format!("{}.kit.example.test", kind.to_lowercase());
        let ran = stage
            .known()
            .calls(json!([
                ensure(&name, kind, json!([]), first),
                get(&name, kind),
                ensure(&name, kind, json!(first), second),
                get(&name, kind),
                ensure(&name, kind, json!(first), first),
                ensure(&name, kind, json!(second), &[]),
                get(&name, kind),
            ]))
            .await;
        let sorted = |values: &[&str]| {
            let mut values = values.to_vec();
            values.sort_unstable();
            json!(values)
        };
        let answers = &ran.answers;
        assert_eq!(answers[0], json!({ "ok": "changed" }), "{kind}");
        assert_eq!(answers[1]["ok"]["values"], sorted(first), "{kind}");
        assert_eq!(answers[2], json!({ "ok": "changed" }), "{kind}");
        assert_eq!(answers[3]["ok"]["values"], sorted(second), "{kind}");
        assert!(answers[4]["err"]["conflict"].is_string(), "{kind}");
        assert_eq!(answers[5], json!({ "ok": "changed" }), "{kind}");
        assert!(answers[6]["err"]["not-found"].is_string(), "{kind}");
    }
}

#[tokio::test]
async fn nothing_stands_beside_an_alias() {
    let stage = Stage::up().await;
    let host = stage.known();
    let name = "www.kit.example.test";
    let ran = host
        .calls(json!([
            ensure(ACTIVE, "A", json!(null), &["192.0.2.7"]),
            ensure(name, "TXT", json!([]), &["here first"]),
            ensure(name, "CNAME", json!(null), &[BZ]),
            get(name, "CNAME"),
        ]))
        .await;
    for (answer, word) in [
        (0, "wp-active.example.test has no CNAME"),
        (2, "has no records"),
    ] {
        let conflict = ran.answers[answer]["err"]["conflict"].as_str();
        let conflict = conflict.unwrap_or_else(|| panic!("{}", ran.answers[answer]));
        assert!(
            conflict.contains("CP0052") && conflict.contains(word),
            "{conflict}"
        );
    }
    assert!(ran.answers[3]["err"]["not-found"].is_string());
}

#[tokio::test]
async fn who_is_overtaken_is_told_by_the_server_and_changes_nothing() {
    let stage = Stage::up().await;
    let other = "elsewhere.example.test";
    let ran = stage
        .meets(Mischief::Overtaken(other), json!([flip(PZ, BZ)]))
        .await;
    let conflict = ran.answers[0]["err"]["conflict"].as_str().unwrap();
    assert!(
        conflict.contains(&format!("holds {other}, expected {PZ}")),
        "{conflict}"
    );
    assert_eq!(stage.alias().await, json!([other]));
    let lines = egress(&ran);
    let refused = lines.iter().any(|line| line.contains("conflict, CP0052"));
    assert!(refused, "the server was not asked: {lines:?}");
}

#[tokio::test]
async fn whatever_becomes_of_an_answer_the_change_is_made_once_and_known() {
    for (mischief, code) in [
        (Mischief::AnswerLost, "in doubt, CP0014"),
        (Mischief::AnswerCut, "in doubt, CP0014"),
        (Mischief::AnswerChanged, "in doubt, CP0056"),
    ] {
        let stage = Stage::up().await;
        let serial = stage.server.serial().await.unwrap();
        let ran = stage.meets(mischief, json!([flip(PZ, BZ)])).await;
        assert!(ran.answers[0]["ok"].is_string(), "{}", ran.answers[0]);
        let lines = egress(&ran);
        assert!(lines.iter().any(|line| line.contains(code)), "{lines:?}");
        assert_eq!(stage.alias().await, json!([BZ]));
        assert_eq!(stage.server.serial().await.unwrap(), serial + 1);
    }
}

#[tokio::test]
async fn a_key_that_the_server_does_not_know_changes_nothing_and_is_told_to_nobody() {
    let stage = Stage::up().await;
    let canary = "Y2FuYXJ5LTdmM2E5YzAxLWNhbmFyeS03ZjNhOWMwMSE=";
    for (name, secret) in [
        (UPDATE_KEY, canary),
        ("stranger", stage.server.update_key()),
    ] {
        let ran = stage
            .host(name, secret)
            .calls(json!([get(ACTIVE, "CNAME"), flip(PZ, BZ)]))
            .await;
        for answer in &ran.answers {
            let invalid = answer["err"]["invalid"].as_str();
            let invalid = invalid.unwrap_or_else(|| panic!("{answer}"));
            assert!(invalid.contains(&format!("`{name}`")), "{invalid}");
        }
        let journal = json!(ran.records).to_string();
        assert!(!journal.contains(secret), "{journal}");
    }
    assert_eq!(stage.alias().await, json!([PZ]));
}

#[tokio::test]
async fn names_outside_the_grant_and_the_zone_are_never_asked_to_change() {
    let stage = Stage::up().await;
    let serial = stage.server.serial().await.unwrap();
    let ran = stage
        .known()
        .calls(json!([
            ensure(PZ, "A", json!(["192.0.2.1"]), &["192.0.2.2"]),
            ensure(ACTIVE, "NS", json!(null), &["ns.example.test"]),
            ensure("www.example.org", "A", json!(null), &["192.0.2.2"]),
            ensure(ACTIVE, "LUA", json!(null), &["A \"x\""]),
        ]))
        .await;
    for (answer, part) in [(0, PZ), (1, r#"types = ["NS"]"#)] {
        let grant = ran.answers[answer]["err"]["denied"].as_str();
        let grant = grant.unwrap_or_else(|| panic!("{}", ran.answers[answer]));
        assert!(grant.contains(part), "{grant}");
    }
    for answer in &ran.answers[2..] {
        assert!(answer["err"]["invalid"].is_string(), "{answer}");
    }
    assert_eq!(stage.server.serial().await.unwrap(), serial);
}
