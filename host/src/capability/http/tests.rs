//! The capability against servers on loopback: what is sent, what is refused, and what never comes back.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{any, get};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::super::testbed::{
    Authority, CANARY, CANARY_VARIABLE, HOST, OTHER_HOST, binding, call, capabilities, serve,
    serve_tls, soon,
};
use super::super::{Capabilities, Used};
use super::MAX_RESPONSE_BYTES;
use crate::call::{CallError, Denial};
use crate::clock::{Clock as _, SystemClock};
use crate::runbook::types::{Binding, Credential, CredentialScheme, HttpGrant, SecretSource};

fn grant(methods: &[&str], url: &str) -> HttpGrant {
    HttpGrant {
        methods: methods.iter().map(|&method| method.to_owned()).collect(),
        url: url.parse().unwrap(),
        private: true,
    }
}

fn with_grants(grants: Vec<HttpGrant>) -> Binding {
    let credential = |scheme| Credential {
        source: SecretSource::Environment(CANARY_VARIABLE.to_owned()),
        scheme,
    };
    let mut binding = binding();
    binding.http = grants;
    binding.credentials = [
        ("token".to_owned(), credential(CredentialScheme::Bearer)),
        (
            "login".to_owned(),
            credential(CredentialScheme::Basic {
                user: "ops".to_owned(),
            }),
        ),
        (
            "key".to_owned(),
            credential(CredentialScheme::Header {
                name: "x-api-key".to_owned(),
            }),
        ),
    ]
    .into();
    binding
}

fn plain(grants: Vec<HttpGrant>) -> Capabilities {
    capabilities(&with_grants(grants), Path::new("."))
}

fn request(method: &str, url: &str, credential: Option<&str>) -> Value {
    json!({ "request": { "method": method, "url": url, "headers": [], "body": [], "credential": credential } })
}

async fn send(capabilities: &Capabilities, method: &str, url: &str, slot: Option<&str>) -> Used {
    let args = request(method, url, slot);
    let used = call(
        capabilities,
        "understudy:http/http@0.1.0",
        "send",
        args,
        soon(),
    )
    .await;
    if used.reply.is_ok() {
        // `call` has searched the reply; the body is Base64 there and is searched as text here.
        let text = body(&used);
        let forms = capabilities.redactor().texts();
        let found = forms.iter().find(|form| text.contains(form.as_str()));
        assert_eq!(found, None, "a secret in the body");
    }
    used
}

fn denial(used: &Used) -> &Denial {
    match &used.reply {
        Err(CallError::Denied(denial)) => denial,
        other => panic!("not denied: {other:?}"),
    }
}

fn body(used: &Used) -> String {
    let reply = used.reply.as_ref().unwrap();
    let bytes = crate::bytes::from_value(&reply["body"]).unwrap();
    String::from_utf8(bytes).unwrap()
}

/// Answers with the request's headers, in a header and in the body: the most talkative server there can be.
async fn echo(headers: HeaderMap) -> Response {
    let mut text = String::new();
    for (name, value) in &headers {
        text.push_str(&format!("{name}: {}\n", value.to_str().unwrap()));
    }
    let seen = headers
        .get("authorization")
        .or(headers.get("x-api-key"))
        .cloned();
    let mut response = text.into_response();
    if let Some(seen) = seen {
        response.headers_mut().insert("x-echo", seen);
    }
    response
        .headers_mut()
        .insert("set-cookie", "session=1".parse().unwrap());
    response
}

#[tokio::test]
async fn a_credential_reaches_the_server_and_never_comes_back() {
    let port = serve(Router::new().route("/api/x", any(echo))).await;
    let base = format!("http://{HOST}:{port}/api");
    let capabilities = plain(vec![grant(&["GET", "POST"], &base)]);
    for (slot, seen) in [
        ("token", "authorization: Bearer [redacted]\n"),
        ("login", "authorization: Basic [redacted]\n"),
        ("key", "x-api-key: [redacted]\n"),
    ] {
        let used = send(&capabilities, "POST", &format!("{base}/x?q=1"), Some(slot)).await;
        // `call` has searched the whole answer for every form of the canary; the server did get it.
        assert!(body(&used).contains(seen), "{}", body(&used));
        assert_eq!(used.action, format!("http POST {base}/x"));
        assert_eq!(used.result, "200");
        let headers = used.reply.as_ref().unwrap()["headers"].to_string();
        assert!(
            headers.contains("x-echo") && !headers.contains("cookie"),
            "{headers}"
        );
    }
    assert!(!format!("{capabilities:?}", capabilities = capabilities.redactor()).contains(CANARY));
}

#[tokio::test]
async fn the_idempotency_key_is_the_calls_and_differs_between_requests() {
    let port = serve(Router::new().fallback(echo)).await;
    let base = format!("http://{HOST}:{port}/");
    let capabilities = plain(vec![grant(&["GET", "POST", "PATCH"], &base)]);
    let key = async |method: &str, path: &str| {
        let used = send(&capabilities, method, &format!("{base}{path}"), None).await;
        let text = body(&used);
        let found = text
            .lines()
            .find_map(|line| line.strip_prefix("idempotency-key: "));
        found.map(str::to_owned)
    };
    let first = key("POST", "a").await.unwrap();
    assert!(first.starts_with("run-1.step.0-"), "{first}");
    assert_eq!(key("POST", "a").await.as_ref(), Some(&first));
    assert_ne!(key("POST", "b").await.as_ref(), Some(&first));
    assert_ne!(key("PATCH", "a").await.as_ref(), Some(&first));
    assert_eq!(key("GET", "a").await, None);
    let mut args = request("POST", &base, None);
    args["request"]["headers"] = json!([{ "name": "idempotency-key", "value": "mine" }]);
    let used = call(&capabilities, "understudy:http/http", "send", args, soon()).await;
    assert!(body(&used).contains("idempotency-key: mine\n"));
}

#[tokio::test]
async fn what_is_not_granted_is_denied_with_the_line_to_add() {
    let capabilities = plain(vec![grant(&["GET"], "https://api.example.test/v1")]);
    let used = send(
        &capabilities,
        "PATCH",
        "https://api.example.test/v1/z?t=1",
        None,
    )
    .await;
    assert_eq!(
        denial(&used),
        &Denial {
            rule: "CP0001".to_owned(),
            grant: r#"http = [{ methods = ["PATCH"], url = "https://api.example.test/v1/z" }]"#
                .to_owned(),
        }
    );
    assert_eq!(
        used.result,
        "denied CP0001: no grant for PATCH https://api.example.test/v1/z"
    );
    let used = send(
        &capabilities,
        "GET",
        "https://api.example.test/v1",
        Some("other"),
    )
    .await;
    assert_eq!(denial(&used).rule, "CP0004");
    let used = send(
        &capabilities,
        "GET",
        "https://api.example.test/v1/%2e%2e/a",
        None,
    )
    .await;
    assert!(matches!(used.reply, Err(CallError::Invalid(_))), "{used:?}");
}

#[tokio::test]
async fn a_redirect_out_of_the_grants_is_denied_and_not_followed() {
    let reached = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&reached);
    let outside = serve(Router::new().fallback(async move || {
        count.fetch_add(1, Ordering::Relaxed);
        "outside"
    }))
    .await;
    let away = format!("http://{OTHER_HOST}:{outside}/secrets?x=1");
    let target = away.clone();
    let port = serve(Router::new().route("/go", get(async move || Redirect::to(&target)))).await;
    let base = format!("http://{HOST}:{port}/");
    let capabilities = plain(vec![grant(&["GET"], &base)]);
    let used = send(&capabilities, "GET", &format!("{base}go"), Some("token")).await;
    assert_eq!(
        denial(&used),
        &Denial {
            rule: "CP0002".to_owned(),
            grant: format!(
                r#"http = [{{ methods = ["GET"], url = "http://{OTHER_HOST}:{outside}/secrets" }}]"#
            ),
        }
    );
    assert_eq!(reached.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_redirect_that_repeats_the_credential_does_not_show_it() {
    let leak = async |headers: HeaderMap| {
        let secret = headers["x-api-key"]
            .to_str()
            .unwrap()
            .replace('/', "%2F")
            .replace('"', "%22");
        let away = format!("https://{OTHER_HOST}/collect/{secret}/x?y={secret}");
        (axum::http::StatusCode::FOUND, [("location", away)])
    };
    let port = serve(Router::new().route("/leak", get(leak))).await;
    let url = format!("http://{HOST}:{port}/leak");
    let capabilities = plain(vec![grant(&["GET"], &url)]);
    let used = send(&capabilities, "GET", &url, Some("key")).await;
    assert!(
        denial(&used).grant.contains("/collect/[redacted]/x"),
        "{used:?}"
    );
}

#[tokio::test]
async fn a_granted_redirect_to_another_authority_loses_the_credential() {
    let other = serve(Router::new().fallback(echo)).await;
    let away = format!("http://{OTHER_HOST}:{other}/x");
    let target = away.clone();
    let app = Router::new()
        .route("/same", get(async || Redirect::temporary("/echo")))
        .route("/echo", get(echo))
        .route("/away", get(async move || Redirect::temporary(&target)));
    let port = serve(app).await;
    let base = format!("http://{HOST}:{port}/");
    let capabilities = plain(vec![grant(&["GET"], &base), grant(&["GET"], &away)]);
    let used = send(&capabilities, "GET", &format!("{base}same"), Some("token")).await;
    assert!(body(&used).contains("authorization: Bearer [redacted]"));
    assert_eq!(used.result, "200 after 1 redirects");
    let used = send(&capabilities, "GET", &format!("{base}away"), Some("token")).await;
    assert!(body(&used).contains("host: other.example.test"));
    assert!(!body(&used).contains("authorization"), "{}", body(&used));
}

#[tokio::test]
async fn only_redirects_that_keep_method_and_body_are_followed_for_changes() {
    let app = Router::new()
        .route(
            "/found",
            any(async || (axum::http::StatusCode::FOUND, [("location", "/echo")])),
        )
        .route("/keep", any(async || Redirect::temporary("/echo")))
        .route("/round", any(async || Redirect::temporary("/round")))
        .route(
            "/echo",
            any(async |request: Request| request.method().to_string()),
        );
    let port = serve(app).await;
    let base = format!("http://{HOST}:{port}/");
    let capabilities = plain(vec![grant(&["GET", "POST"], &base)]);
    let used = send(&capabilities, "POST", &format!("{base}found"), None).await;
    assert_eq!(used.result, "302");
    let used = send(&capabilities, "POST", &format!("{base}keep"), None).await;
    assert_eq!(body(&used), "POST");
    let used = send(&capabilities, "GET", &format!("{base}found"), None).await;
    assert_eq!(body(&used), "GET");
    let used = send(&capabilities, "GET", &format!("{base}round"), None).await;
    assert!(used.result.starts_with("failed, CP0012"), "{}", used.result);
}

#[tokio::test]
async fn private_addresses_are_refused_unless_granted() {
    let reached = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&reached);
    let port = serve(Router::new().fallback(async move || {
        count.fetch_add(1, Ordering::Relaxed);
        "inside"
    }))
    .await;
    for host in [HOST, "127.0.0.1", "2130706433"] {
        let url = format!("http://{host}:{port}/");
        let mut public = grant(&["GET"], &url);
        public.private = false;
        let used = send(&plain(vec![public.clone()]), "GET", &url, None).await;
        assert_eq!(denial(&used).rule, "CP0003");
        assert!(denial(&used).grant.ends_with("private = true }]"));
        assert_eq!(reached.load(Ordering::Relaxed), 0);
        let granted = plain(vec![public, grant(&["GET"], &url)]);
        let used = send(&granted, "GET", &url, None).await;
        assert_eq!(used.result, "200");
        reached.store(0, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn tls_that_does_not_verify_is_unavailable_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
    let port = serve_tls(Router::new().fallback(echo), &authority.issue(&[HOST])).await;
    let url = |host: &str| format!("https://{host}:{port}/");
    let grants = vec![
        grant(&["POST"], &url(HOST)),
        grant(&["POST"], &url(OTHER_HOST)),
    ];
    let mut binding = with_grants(grants);
    let distrusting = capabilities(&binding, folder.path());
    binding.trust = vec!["ca.pem".into()];
    let trusting = capabilities(&binding, folder.path());

    let used = send(&trusting, "POST", &url(HOST), Some("token")).await;
    assert_eq!(used.result, "200");
    for (capabilities, host, why) in [
        (&distrusting, HOST, "UnknownIssuer"),
        (&trusting, OTHER_HOST, "not valid for name"),
    ] {
        let used = send(capabilities, "POST", &url(host), Some("token")).await;
        let Err(CallError::Unavailable(hint)) = &used.reply else {
            panic!("{used:?}")
        };
        assert!(hint.reason.starts_with("CP0011"), "{}", hint.reason);
        assert!(hint.reason.contains(why), "{}", hint.reason);
        assert!(hint.reason.contains(host), "{}", hint.reason);
    }
}

#[tokio::test]
async fn a_response_over_the_limit_is_an_error_and_not_cut() {
    let bytes = |count: usize| vec![b'x'; count];
    let app = Router::new()
        .route("/fits", any(async move || bytes(MAX_RESPONSE_BYTES)))
        .route(
            "/announced",
            any(async move || bytes(MAX_RESPONSE_BYTES + 1)),
        )
        .route(
            "/chunked",
            any(async move || {
                // A body without a known length goes in chunks.
                let bytes = Ok::<_, std::io::Error>(bytes(MAX_RESPONSE_BYTES + 1));
                Body::from_stream(futures_util::stream::iter([bytes])).into_response()
            }),
        );
    let port = serve(app).await;
    let base = format!("http://{HOST}:{port}/");
    let capabilities = plain(vec![grant(&["GET", "POST"], &base)]);
    let used = send(&capabilities, "GET", &format!("{base}fits"), None).await;
    assert_eq!(body(&used).len(), MAX_RESPONSE_BYTES);
    for path in ["announced", "chunked"] {
        let used = send(&capabilities, "GET", &format!("{base}{path}"), None).await;
        assert!(matches!(&used.reply, Err(CallError::Other(text)) if text.starts_with("CP0010")));
        // What a change did is not undone by a long answer.
        let used = send(&capabilities, "POST", &format!("{base}{path}"), None).await;
        assert!(
            matches!(&used.reply, Err(CallError::InDoubt(_))),
            "{used:?}"
        );
    }
}

/// Reads a request, then sends `answer` and hangs up.
async fn rude(answer: &'static [u8]) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 4096];
            assert_ne!(stream.read(&mut buffer).await.unwrap(), 0);
            stream.write_all(answer).await.unwrap();
        }
    });
    port
}

#[tokio::test]
async fn a_break_after_sending_is_in_doubt_for_changes_only() {
    let half: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf";
    for answer in [&b""[..], half] {
        let base = format!("http://{HOST}:{}/", rude(answer).await);
        let capabilities = plain(vec![grant(&["GET", "POST"], &base)]);
        let used = send(&capabilities, "POST", &base, None).await;
        assert!(
            matches!(&used.reply, Err(CallError::InDoubt(_))),
            "{used:?}"
        );
        let used = send(&capabilities, "GET", &base, None).await;
        assert!(
            matches!(&used.reply, Err(CallError::Unavailable(_))),
            "{used:?}"
        );
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let base = format!("http://{HOST}:{port}/");
    let capabilities = plain(vec![grant(&["POST"], &base)]);
    let used = send(&capabilities, "POST", &base, None).await;
    let Err(CallError::Unavailable(hint)) = &used.reply else {
        panic!("{used:?}")
    };
    assert!(hint.reason.starts_with("CP0013"), "{}", hint.reason);
}

#[tokio::test]
async fn the_deadline_ends_a_request() {
    let app = Router::new().fallback(async || std::future::pending::<&str>().await);
    let base = format!("http://{HOST}:{}/", serve(app).await);
    let capabilities = plain(vec![grant(&["GET"], &base)]);
    let deadline = SystemClock
        .now()
        .after(std::time::Duration::from_millis(50));
    let args = request("GET", &base, None);
    let used = call(
        &capabilities,
        "understudy:http/http",
        "send",
        args,
        deadline,
    )
    .await;
    assert!(
        matches!(&used.reply, Err(CallError::TimedOut(_))),
        "{used:?}"
    );
}
