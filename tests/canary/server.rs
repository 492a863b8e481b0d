//! Servers on loopback that know a secret and would give it away.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hickory_proto::op::{Message, MessageType, OpCode};
use hickory_proto::rr::rdata::TXT;
use hickory_proto::rr::rdata::tsig::TsigAlgorithm;
use hickory_proto::rr::{Name, RData, Record, TSigResponseContext, TSigner};
use rcgen::{CertifiedKey, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// An HTTP server whose answer depends on the path. It lives as long as the test's process.
pub(crate) struct Server {
    port: u16,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Starts one that knows `secret`.
    pub(crate) fn start(secret: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let ears = Arc::clone(&heard);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                serve(patient(stream.unwrap()), secret, &ears);
            }
        });
        Self { port, heard }
    }

    /// Starts one that knows `secret` and shows this certificate.
    pub(crate) fn start_tls(secret: &'static str, certificate: &CertifiedKey<KeyPair>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let ears = Arc::clone(&heard);
        let key = PrivateKeyDer::try_from(certificate.signing_key.serialize_der()).unwrap();
        let ring = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(ring)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.cert.der().clone()], key)
            .unwrap();
        let config = Arc::new(config);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let session = ServerConnection::new(Arc::clone(&config)).unwrap();
                serve(
                    StreamOwned::new(session, patient(stream.unwrap())),
                    secret,
                    &ears,
                );
            }
        });
        Self { port, heard }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// How many requests held `words`.
    pub(crate) fn heard(&self, words: &str) -> usize {
        let heard = self.heard.lock().unwrap();
        heard.iter().filter(|head| head.contains(words)).count()
    }
}

fn patient(stream: TcpStream) -> TcpStream {
    let timeout = Some(Duration::from_secs(5));
    stream.set_read_timeout(timeout).unwrap();
    stream
}

fn serve(mut stream: impl Read + Write, secret: &str, heard: &Mutex<Vec<String>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).unwrap_or(0) == 0 {
            return;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    // What is not read would reset the connection under the answer.
    let length = head.split("content-length: ").nth(1);
    let length = length.and_then(|rest| rest.lines().next()?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).unwrap();
    let path = head.split(' ').nth(1).unwrap().to_owned();
    heard.lock().unwrap().push(head.clone());
    let answer = answer(&path, secret, &head);
    // Who reset the connection does not matter here.
    stream.write_all(answer.as_bytes()).ok();
    stream.flush().ok();
}

fn answer(path: &str, secret: &str, head: &str) -> String {
    let ok = |headers: &str, body: &str| {
        let length = body.len();
        format!("HTTP/1.1 200 OK\r\nx-zone: pz\r\n{headers}content-length: {length}\r\n\r\n{body}")
    };
    let encoded: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let moved = |to: &str| {
        format!(
            "HTTP/1.1 302 Found\r\nx-zone: pz\r\nlocation: {to}\r\nx-token: {secret}\r\ncontent-length: 0\r\n\r\n"
        )
    };
    match path.split('/').nth(1).unwrap() {
        "echo" => {
            let body = everything(secret, head);
            let header = format!("x-zone: {secret}\r\nx-echo: you said {secret}, {encoded}\r\n");
            ok(&header, &body).replacen("x-zone: pz\r\n", "", 1)
        }
        "redirect" => moved(&format!("/landing/{encoded}?token={encoded}")),
        "landing" => ok("", &everything(secret, head)),
        "away" => {
            let port = path.split('/').nth(2).unwrap();
            moved(&format!(
                "http://127.0.0.1:{port}/landing/{encoded}?token={encoded}"
            ))
        }
        "api" => cluster(path, &everything(secret, head), &ok),
        "garbage" => format!("{secret} is no HTTP, {encoded}\r\n\r\n"),
        "cut" => format!("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{secret}"),
        "reset" => String::new(),
        _ => ok("", "plain"),
    }
}

/// What an API server answers for discovery, and for a ConfigMap by its name.
fn cluster(path: &str, everything: &str, ok: &dyn Fn(&str, &str) -> String) -> String {
    let status = |code: u16| {
        let told = serde_json::json!({ "kind": "Status", "apiVersion": "v1", "code": code, "message": everything });
        ok("", &told.to_string()).replacen("200 OK", &format!("{code} No"), 1)
    };
    match path.rsplit('/').next().unwrap() {
        "v1" => ok(
            "",
            r#"{"kind":"APIResourceList","groupVersion":"v1","resources":[{"name":"configmaps","singularName":"","namespaced":true,"kind":"ConfigMap","verbs":["get"]}]}"#,
        ),
        "echo" => {
            let object = serde_json::json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "resourceVersion": "1" }, "data": { "all": everything } });
            ok("", &object.to_string())
        }
        "forbidden" => status(403),
        "overloaded" => status(503),
        "garbage" => ok("", everything),
        _ => ok(
            "",
            r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"resourceVersion":"1"}}"#,
        ),
    }
}

/// The secret in every spelling the server can think of.
fn everything(secret: &str, head: &str) -> String {
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let percent: String = secret.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let json = serde_json::json!({ "token": secret, "head": head, "inner": serde_json::json!([secret]).to_string() });
    format!(
        "{head}{json}\n{hex}\n{}\n{percent}\n{}\n{}",
        hex.to_uppercase(),
        STANDARD.encode(secret),
        STANDARD.encode(head),
    )
}

/// A database that refuses every login and says with which password: the port of one.
pub(crate) fn refusing_database(secret: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            // An error packet (0xff) instead of a greeting: access denied (1045).
            let mut packet = vec![0xff, 0x15, 0x04];
            packet.extend(format!("Access denied (using password: '{secret}')").bytes());
            let length = u8::try_from(packet.len()).unwrap();
            let mut stream = stream.unwrap();
            stream.write_all(&[length, 0, 0, 0]).unwrap();
            stream.write_all(&packet).unwrap();
        }
    });
    port
}

/// A name server whose key is the secret, and that says it in texts: the port of one. It answers by the name that it is
/// asked for.
pub(crate) fn name_server(secret: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let name = Name::from_ascii("understudy.").unwrap();
    let key = secret.as_bytes().to_vec();
    let signer = TSigner::new(key, TsigAlgorithm::HmacSha256, name, 300).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = patient(stream.unwrap());
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut question).unwrap();
            // Signed with the secret, or it would not be asked.
            let seen = signer.verify_message_byte(&question, None, true).unwrap();
            let answer = text_answer(&question, secret, &signer, (seen.0, seen.1));
            let length = u16::try_from(answer.len()).unwrap();
            stream.write_all(&length.to_be_bytes()).unwrap();
            let cut = is_asked_for(&question, "cut");
            let end = if cut { answer.len() / 2 } else { answer.len() };
            stream.write_all(&answer[..end]).unwrap();
        }
    });
    port
}

fn is_asked_for(question: &[u8], label: &str) -> bool {
    let question = Message::from_vec(question).unwrap();
    let name = question.queries[0].name().to_ascii();
    name.starts_with(&format!("{label}."))
}

/// The secret as texts; signed, not signed, or no message at all.
fn text_answer(
    bytes: &[u8],
    secret: &str,
    signer: &TSigner,
    (mac, time): (Vec<u8>, u64),
) -> Vec<u8> {
    if is_asked_for(bytes, "garbage") {
        return format!("{secret} {}", STANDARD.encode(secret)).into_bytes();
    }
    let question = Message::from_vec(bytes).unwrap();
    let id = question.metadata.id;
    let mut answer = Message::new(id, MessageType::Response, OpCode::Query);
    answer.metadata.authoritative = true;
    let asked = question.queries[0].clone();
    let told = vec![secret.to_owned(), STANDARD.encode(secret)];
    let texts = RData::TXT(TXT::new(told));
    answer.add_answer(Record::from_rdata(asked.name().clone(), 60, texts));
    answer.add_query(asked);
    if !is_asked_for(bytes, "unsigned") {
        let plain = answer.to_vec().unwrap();
        let context = TSigResponseContext::new(id, time, signer.clone(), mac, None);
        answer.set_signature(context.sign(&plain).unwrap());
    }
    answer.to_vec().unwrap()
}

/// A port at which nobody listens.
pub(crate) fn closed_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
