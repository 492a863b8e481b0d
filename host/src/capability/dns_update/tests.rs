//! The capability against a server on loopback that signs as one does, and as none should.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use hickory_proto::op::{Message, MessageType, ResponseCode, UpdateMessage as _};
use hickory_proto::rr::rdata::tsig::{
    TSIG, TsigAlgorithm as Algorithm, TsigError, make_tsig_record,
};
use hickory_proto::rr::rdata::{CNAME, TXT};
use hickory_proto::rr::{DNSClass, Name, RData, Record, TSigner};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::super::testbed::{CANARY, binding, call, facilities, soon};
use super::super::{Capabilities, CapabilityError, credential::FixedSecrets};
use super::*;
use crate::call::CallError;
use crate::clock::{Clock as _, SystemClock};
use crate::runbook::types::{NameServer, SecretSource, TsigAlgorithm, TsigKey};

const DNS: &str = "understudy:dns-update/dns-update@0.1.0";
const ACTIVE: &str = "wp-active.example.test";
/// The canary as a key: 32 bytes in Base64.
const KEY: &str = "Y2FuYXJ5LTdmM2E5YzAxLWNhbmFyeS03ZjNhOWMwMSE=";

fn now_seconds() -> u64 {
    SystemClock.now().0 / 1000
}

fn signer(key: &[u8]) -> TSigner {
    let name = Name::from_ascii("understudy.").unwrap();
    TSigner::new(key.to_vec(), Algorithm::HmacSha256, name, 300).unwrap()
}

fn key() -> Vec<u8> {
    use base64::Engine as _;
    let key = base64::engine::general_purpose::STANDARD.decode(KEY);
    key.unwrap()
}

/// A request as a server sees it.
struct Heard {
    message: Message,
    mac: Vec<u8>,
}

impl Heard {
    fn reply(&self, code: ResponseCode) -> Message {
        let request = &self.message.metadata;
        let mut reply = Message::new(request.id, MessageType::Response, request.op_code);
        reply.metadata.response_code = code;
        reply.metadata.authoritative = true;
        reply.add_query(self.message.queries[0].clone());
        reply
    }

    /// Signed by `key` at a time, with an error.
    fn signed(
        &self,
        mut reply: Message,
        key: &[u8],
        seconds: u64,
        error: Option<TsigError>,
    ) -> Vec<u8> {
        let signer = signer(key);
        let other = match error {
            Some(TsigError::BadTime) => now_seconds().to_be_bytes()[2..].to_vec(),
            _ => Vec::new(),
        };
        let id = reply.metadata.id;
        let stub = TSIG::new(
            Algorithm::HmacSha256,
            seconds,
            300,
            Vec::new(),
            id,
            error,
            other,
        );
        let bytes = reply.to_vec().unwrap();
        let signed = signer
            .encode_response_tbs(&self.mac, &bytes, &stub)
            .unwrap();
        let mac = match error {
            Some(TsigError::BadKey | TsigError::BadSig) => Vec::new(),
            _ => signer.sign(&signed).unwrap(),
        };
        let record = make_tsig_record(signer.signer_name().clone(), stub.set_mac(mac));
        reply.set_signature(Box::new(record));
        reply.to_vec().unwrap()
    }

    /// As a server should.
    fn answer(&self, reply: Message) -> Vec<u8> {
        self.signed(reply, &key(), now_seconds(), None)
    }
}

/// What a server sends back, length and all; nothing is a connection that ends.
type Answers = fn(&Heard) -> Vec<u8>;

/// Behind its length.
fn framed(bytes: Vec<u8>) -> Vec<u8> {
    let mut framed = u16::try_from(bytes.len()).unwrap().to_be_bytes().to_vec();
    framed.extend(bytes);
    framed
}

struct Bench {
    capabilities: Capabilities,
    heard: Arc<Mutex<Vec<Message>>>,
}

impl Bench {
    async fn new(answers: Answers) -> Self {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = tcp.local_addr().unwrap().port();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&heard);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = tcp.accept().await.unwrap();
                let length = usize::from(stream.read_u16().await.unwrap());
                let mut bytes = vec![0; length];
                stream.read_exact(&mut bytes).await.unwrap();
                let message = Message::from_vec(&bytes).unwrap();
                // What is sent must be signed rightly, or the server would not look at it.
                signer(&key())
                    .verify_message_byte(&bytes, None, true)
                    .unwrap();
                let mac = message.signature().unwrap().data.mac.clone();
                let request = Heard { message, mac };
                let answer = answers(&request);
                told.lock().unwrap().push(request.message);
                stream.write_all(&answer).await.unwrap();
            }
        });
        let server = place(port);
        Self {
            capabilities: able(server).unwrap(),
            heard,
        }
    }

    async fn ask(&self, function: &str, args: Value) -> Result<Value, CallError> {
        call(&self.capabilities, DNS, function, args, soon())
            .await
            .reply
    }

    async fn look(&self, kind: &str) -> Result<Value, CallError> {
        let args = json!({ "server": "primary", "set": { "name": ACTIVE, "kind": kind } });
        self.ask("get-record-set", args).await
    }

    async fn flip(&self) -> Result<Value, CallError> {
        self.ask("update", flip(ACTIVE)).await
    }
}

fn place(port: u16) -> NameServer {
    NameServer {
        host: "127.0.0.1".to_owned(),
        port,
        zone: "example.test".to_owned(),
        key: TsigKey {
            name: "understudy".to_owned(),
            algorithm: TsigAlgorithm::HmacSha256,
            secret: SecretSource::Environment("TSIG".to_owned()),
        },
    }
}

fn able(server: NameServer) -> Result<Capabilities, CapabilityError> {
    let mut binding = binding();
    let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    binding.name_servers = [("primary".to_owned(), server)].into();
    binding.dns_update = vec![DnsUpdateGrant {
        servers: texts(&["primary"]),
        names: texts(&[ACTIVE]),
        types: texts(&["CNAME", "TXT"]),
    }];
    let mut facilities = facilities();
    let secrets = BTreeMap::from([
        ("TSIG".to_owned(), KEY.to_owned()),
        ("CANARY".to_owned(), CANARY.to_owned()),
    ]);
    facilities.secrets = Arc::new(FixedSecrets(secrets));
    Capabilities::for_binding(&binding, Path::new("."), &facilities)
}

fn set(name: &str, contents: &[&str]) -> Value {
    json!({ "name": name, "kind": "CNAME", "ttl-seconds": 5, "contents": contents })
}

fn flip(name: &str) -> Value {
    json!({
        "server": "primary",
        "prerequisites": [{ "holds": set(name, &["wp-pz.example.test."]) }],
        "changes": [{ "replace": set(name, &["wp-bz.example.test."]) }],
    })
}

fn text(error: Result<Value, CallError>) -> String {
    match error.unwrap_err() {
        CallError::Denied(denial) => format!("denied {}: {}", denial.rule, denial.grant),
        CallError::InDoubt(text) => format!("in doubt {text}"),
        CallError::Unavailable(hint) => format!("unavailable {}", hint.reason),
        CallError::Conflict(text) => format!("conflict {text}"),
        CallError::Invalid(text) => format!("invalid {text}"),
        CallError::NotFound(text) => format!("not found {text}"),
        CallError::Other(text) => format!("other {text}"),
        error => format!("{error:?}"),
    }
}

#[tokio::test]
async fn a_record_set_is_what_the_authority_answers_for_the_name_itself() {
    let bench = Bench::new(|heard| {
        let name = |text: &str| Name::from_ascii(text).unwrap();
        let mut reply = heard.reply(ResponseCode::NoError);
        let alias = RData::CNAME(CNAME(name("wp-bz.example.test.")));
        reply.add_answer(Record::from_rdata(
            name("WP-Active.example.test."),
            5,
            alias,
        ));
        let strings = TXT::from_bytes(vec![b"one; two".as_slice(), KEY.as_bytes()]);
        for (owner, ttl) in [("wp-active.example.test.", 60), ("wp-bz.example.test.", 1)] {
            reply.add_answer(Record::from_rdata(
                name(owner),
                ttl,
                RData::TXT(strings.clone()),
            ));
        }
        framed(heard.answer(reply))
    })
    .await;
    let alias = bench.look("CNAME").await.unwrap();
    assert_eq!(alias, set(ACTIVE, &["wp-bz.example.test."]));
    let text_of = bench.look("TXT").await.unwrap();
    assert_eq!(text_of["ttl-seconds"], 60);
    assert_eq!(text_of["contents"], json!([r#""one; two" "[redacted]""#]));
    let gone = text(bench.look("A").await);
    assert!(gone.starts_with("not found CP0059"), "{gone}");
    let zone = bench.ask("get-zone", json!({ "server": "primary" })).await;
    assert_eq!(zone.unwrap(), "example.test");
}

#[tokio::test]
async fn an_update_says_what_must_hold_and_what_becomes_of_it_in_one_message() {
    let bench = Bench::new(|heard| framed(heard.answer(heard.reply(ResponseCode::NoError)))).await;
    let txt = json!({ "name": ACTIVE, "kind": "TXT" });
    let update = json!({
        "server": "primary",
        "prerequisites": [
            { "holds": set(ACTIVE, &["wp-pz.example.test."]) }, { "absent": txt }, { "unused": "new.example.test" },
        ],
        "changes": [{ "replace": set(ACTIVE, &["wp-bz.example.test."]) }, { "delete": txt }],
    });
    assert_eq!(bench.ask("update", update).await.unwrap(), Value::Null);
    let heard = bench.heard.lock().unwrap();
    let shape = |records: &[Record]| -> Vec<String> {
        let lines = records.iter().map(|record| {
            let name = record.name.to_ascii();
            let (class, kind) = (record.dns_class, record.record_type());
            let data = match &record.data {
                RData::Update0(_) => String::new(),
                data => format!(" {data}"),
            };
            format!("{name} {} {class} {kind}{data}", record.ttl)
        });
        lines.collect()
    };
    let update = &heard[0];
    assert_eq!(update.zones()[0].name().to_ascii(), "example.test.");
    assert_eq!(
        shape(update.prerequisites()),
        [
            "wp-active.example.test. 0 IN CNAME wp-pz.example.test.",
            "wp-active.example.test. 0 NONE TXT",
            "new.example.test. 0 NONE ANY",
        ]
    );
    assert_eq!(
        shape(update.updates()),
        [
            "wp-active.example.test. 0 ANY CNAME",
            "wp-active.example.test. 5 IN CNAME wp-bz.example.test.",
            "wp-active.example.test. 0 ANY TXT",
        ]
    );
    assert_eq!(update.updates()[1].dns_class, DNSClass::IN);
}

#[tokio::test]
async fn what_is_not_granted_or_no_message_is_never_sent() {
    let bench = Bench::new(|heard| framed(heard.answer(heard.reply(ResponseCode::NoError)))).await;
    let other = text(bench.ask("update", flip("wp-pz.example.test")).await);
    assert_eq!(
        other,
        r#"denied CP0051: dns-update = [{ servers = ["primary"], names = ["wp-pz.example.test"], types = ["CNAME"] }]"#
    );
    let mut nobody = flip(ACTIVE);
    nobody["server"] = "secondary".into();
    let nobody = text(bench.ask("update", nobody).await);
    assert!(
        nobody.starts_with("denied CP0050: name-servers.secondary = {"),
        "{nobody}"
    );
    let foreign = json!({ "server": "primary", "set": { "name": "www.example.org", "kind": "A" } });
    let foreign = text(bench.ask("get-record-set", foreign).await);
    assert!(
        foreign.contains("not a name in zone example.test"),
        "{foreign}"
    );
    for (place, value) in [
        ("/changes", json!([])),
        ("/changes/0/replace/contents", json!([])),
        ("/changes/0/replace/contents", json!(["wp-bz"])),
        ("/changes/0/replace/ttl-seconds", json!(0x8000_0000_u32)),
        ("/prerequisites/0/holds/name", json!("example.org")),
    ] {
        let mut wrong = flip(ACTIVE);
        *wrong.pointer_mut(place).unwrap() = value;
        let wrong = text(bench.ask("update", wrong).await);
        assert!(wrong.starts_with("invalid CP0009"), "{wrong}");
    }
    assert!(bench.heard.lock().unwrap().is_empty());
}

/// What an update and a look come to where a server answers so.
async fn come_to(answers: Answers, update: &str, look: &str) {
    let bench = Bench::new(answers).await;
    let (updated, looked) = (text(bench.flip().await), text(bench.look("CNAME").await));
    assert!(updated.starts_with(update), "{updated}");
    assert!(looked.starts_with(look), "{looked}");
}

#[tokio::test]
async fn a_response_code_is_told_as_what_it_means() {
    let bench = Bench::new(|heard| framed(heard.answer(heard.reply(ResponseCode::NXRRSet)))).await;
    assert_eq!(
        text(bench.flip().await).split_once(" answers ").unwrap().1,
        "NXRRSET: it does not hold that wp-active.example.test CNAME holds wp-pz.example.test."
    );
    come_to(
        |heard| framed(heard.answer(heard.reply(ResponseCode::Refused))),
        "invalid CP0057",
        "invalid CP0057",
    )
    .await;
    come_to(
        |heard| framed(heard.answer(heard.reply(ResponseCode::ServFail))),
        "unavailable CP0058",
        "unavailable CP0058",
    )
    .await;
    let lame = Bench::new(|heard| {
        let mut reply = heard.reply(ResponseCode::NoError);
        reply.metadata.authoritative = false;
        framed(heard.answer(reply))
    })
    .await;
    let lame = text(lame.look("CNAME").await);
    assert!(lame.starts_with("invalid CP0053"), "{lame}");
}

#[tokio::test]
async fn a_server_that_does_not_accept_the_key_or_the_time_is_named_so() {
    come_to(
        |heard| {
            let reply = heard.reply(ResponseCode::NotAuth);
            framed(heard.signed(reply, &key(), now_seconds(), Some(TsigError::BadKey)))
        },
        "invalid CP0054",
        "invalid CP0054",
    )
    .await;
    let bench = Bench::new(|heard| {
        let reply = heard.reply(ResponseCode::NotAuth);
        framed(heard.signed(reply, &key(), now_seconds(), Some(TsigError::BadSig)))
    })
    .await;
    let said = text(bench.flip().await);
    assert!(said.contains("BADSIG to the key `understudy`"), "{said}");
    // The answer carries the request's time, and the server's own beside it (RFC 8945, 5.2.3).
    come_to(
        |heard| {
            let reply = heard.reply(ResponseCode::NotAuth);
            let past = now_seconds() - 3600;
            framed(heard.signed(reply, &key(), past, Some(TsigError::BadTime)))
        },
        "invalid CP0055",
        "invalid CP0055",
    )
    .await;
    // PowerDNS says no more than this of a key that it does not know.
    come_to(
        |heard| framed(heard.reply(ResponseCode::NotAuth).to_vec().unwrap()),
        "invalid CP0057",
        "invalid CP0057",
    )
    .await;
}

#[tokio::test]
async fn an_answer_that_the_server_cannot_have_given_leaves_an_update_in_doubt() {
    let lies: [Answers; 8] = [
        // Tampered with after it was signed.
        |heard| {
            let mut bytes = heard.answer(heard.reply(ResponseCode::NXRRSet));
            bytes[3] &= 0xf0;
            framed(bytes)
        },
        // Another key.
        |heard| {
            let reply = heard.reply(ResponseCode::NoError);
            framed(heard.signed(
                reply,
                b"another key of thirty-two bytes!",
                now_seconds(),
                None,
            ))
        },
        // Signed for another request.
        |heard| {
            let mac = vec![7; 32];
            let message = heard.message.clone();
            let other = Heard { message, mac };
            framed(other.answer(heard.reply(ResponseCode::NoError)))
        },
        // Yesterday's.
        |heard| {
            let reply = heard.reply(ResponseCode::NoError);
            framed(heard.signed(reply, &key(), now_seconds() - 86_400, None))
        },
        // Of the year 1970.
        |heard| framed(heard.signed(heard.reply(ResponseCode::NoError), &key(), 7, None)),
        // Not signed, and not a refusal.
        |heard| framed(heard.reply(ResponseCode::NoError).to_vec().unwrap()),
        // Another message's.
        |heard| {
            let mut reply = heard.reply(ResponseCode::NoError);
            reply.metadata.id = reply.metadata.id.wrapping_add(1);
            framed(heard.answer(reply))
        },
        // Cut short by its own word.
        |heard| {
            let mut reply = heard.reply(ResponseCode::NoError);
            reply.metadata.truncation = true;
            framed(heard.answer(reply))
        },
    ];
    for lie in lies {
        come_to(lie, "in doubt CP0056", "other CP0056").await;
    }
    come_to(|_| framed(vec![1, 2, 3]), "in doubt CP0056", "other CP0056").await;
}

#[tokio::test]
async fn a_connection_that_ends_leaves_an_update_in_doubt_and_nobody_there_leaves_nothing() {
    come_to(|_| Vec::new(), "in doubt CP0014", "unavailable CP0014").await;
    come_to(
        |heard| {
            let mut bytes = framed(heard.answer(heard.reply(ResponseCode::NoError)));
            bytes.truncate(40);
            bytes
        },
        "in doubt CP0014",
        "unavailable CP0014",
    )
    .await;
    let port = {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        free.local_addr().unwrap().port()
    };
    let capabilities = able(place(port)).unwrap();
    let reply = call(&capabilities, DNS, "update", flip(ACTIVE), soon()).await;
    assert_eq!(
        reply.action,
        "dns primary: replace wp-active.example.test CNAME"
    );
    let said = text(reply.reply);
    assert!(said.starts_with("unavailable CP0013"), "{said}");
}

#[test]
fn a_key_that_is_none_is_refused_before_anything_runs() {
    let mut server = place(53);
    server.key.secret = SecretSource::Environment("CANARY".to_owned());
    let error = able(server).err().unwrap();
    assert_eq!(error.code(), "CP0007");
    let text = error.to_string();
    assert!(
        text.contains("`primary`") && text.contains("not Base64"),
        "{text}"
    );
    assert!(!text.contains(CANARY), "{text}");
}
