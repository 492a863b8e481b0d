//! One small HTTP server on loopback that keeps what providers write: records, a document, an application, caches.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

/// The server. It lives as long as the test's process.
pub(crate) struct Server {
    port: u16,
}

#[derive(Default)]
struct State {
    /// Lists of objects by path.
    records: BTreeMap<String, Value>,
    /// The document of a zone, with how often it was stored.
    document: (u64, Value),
    app: Value,
    shown: Vec<Value>,
    caches: Vec<Value>,
    looks: u32,
}

struct Request {
    method: String,
    path: String,
    if_match: String,
    key: String,
    body: Value,
}

struct Response {
    status: u16,
    etag: String,
    body: Value,
}

fn answer(status: u16, body: Value) -> Response {
    Response {
        status,
        etag: String::new(),
        body,
    }
}

impl Server {
    /// Starts one.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State {
            document: (1, json!({ "zone": "example.test", "records": [] })),
            app: json!({ "desired": 1, "database-endpoint": "db.pz.example.test:3306", "maintenance": false }),
            caches: vec!["pz".into()],
            ..State::default()
        }));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                serve(stream.unwrap(), &state);
            }
        });
        Self { port }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

/// One request for each connection. One that is broken off is no concern of the next.
fn serve(stream: TcpStream, state: &Mutex<State>) {
    let patience = Some(Duration::from_secs(5));
    stream.set_read_timeout(patience).unwrap();
    let Some(request) = read(&stream) else { return };
    let Response { status, etag, body } = state.lock().unwrap().answer(&request);
    let body = match body {
        Value::Null => String::new(),
        body => body.to_string(),
    };
    let etag = match etag.as_str() {
        "" => String::new(),
        etag => format!("etag: {etag}\r\n"),
    };
    let response = format!(
        "HTTP/1.1 {status} Status\r\ncontent-length: {}\r\n{etag}connection: close\r\n\r\n{body}",
        body.len()
    );
    drop((&stream).write_all(response.as_bytes()));
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers
        .get("content-length")
        .map_or(0, |text| text.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let header = |name: &str| headers.get(name).cloned().unwrap_or_default();
    Some(Request {
        method,
        path,
        if_match: header("if-match"),
        key: header("idempotency-key"),
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    })
}

impl State {
    fn answer(&mut self, request: &Request) -> Response {
        let path: Vec<&str> = request.path.trim_start_matches('/').split('/').collect();
        match (request.method.as_str(), path.as_slice()) {
            (_, ["records", name, _]) if !name.ends_with("example.test") => {
                answer(404, Value::Null)
            }
            (_, ["records", ..]) => self.record(request),
            ("GET", ["zone.json"]) => Response {
                etag: format!("\"{}\"", self.document.0),
                ..answer(200, self.document.1.clone())
            },
            ("PUT", ["zone.json"]) if request.if_match != format!("\"{}\"", self.document.0) => {
                answer(412, Value::Null)
            }
            ("PUT", ["zone.json"]) => {
                self.document = (self.document.0 + 1, request.body.clone());
                answer(204, Value::Null)
            }
            ("GET", ["apps", "shop"]) => answer(200, self.look_at_app()),
            ("PUT", ["apps", "shop"]) => {
                self.looks = 0;
                self.app = request.body.clone();
                answer(202, Value::Null)
            }
            ("POST", ["announcements"]) => {
                let key = Value::from(request.key.clone());
                let known = self.shown.contains(&key);
                self.shown.push(key);
                answer(if known { 200 } else { 201 }, Value::Null)
            }
            ("GET", ["hosts", "www.example.test"]) => {
                answer(200, json!({ "cached-from": self.caches, "purging": false }))
            }
            ("POST", ["hosts", "www.example.test", "purges"]) => {
                self.caches = vec![request.body["keep-from"].clone()];
                answer(202, Value::Null)
            }
            _ => answer(404, Value::Null),
        }
    }

    fn record(&mut self, request: &Request) -> Response {
        let list = self
            .records
            .entry(request.path.clone())
            .or_insert(json!([]));
        match request.method.as_str() {
            "GET" => answer(200, list.clone()),
            "PUT" => {
                *list = request.body.clone();
                answer(204, Value::Null)
            }
            _ => {
                list.as_array_mut().unwrap().push(request.body.clone());
                answer(201, Value::Null)
            }
        }
    }

    /// It is ready the second time that somebody looks.
    fn look_at_app(&mut self) -> Value {
        self.looks += 1;
        let mut app = self.app.clone();
        let converged = self.looks > 1;
        app["ready"] = if converged {
            app["desired"].clone()
        } else {
            0.into()
        };
        app["running-database-endpoint"] = app["database-endpoint"].clone();
        app["running-restart-token"] = match &app["restart-token"] {
            token @ Value::String(_) if converged => token.clone(),
            _ => "".into(),
        };
        app
    }
}
