//! The capability against a stand-in on loopback, for what a real API server cannot be made to do: to be overloaded, to
//! answer garbage, to break off, to echo a token. What it does with a real one is told by the live tests.

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::super::testbed::{CANARY, call, soon};
use super::super::{Capabilities, Used};
use super::*;
use crate::call::CallError;
use stand_in::{StandIn, answer, grant, made, refusal};

mod handed;
mod kubeconfig;
mod stand_in;

/// Everything with the deployments of `app`.
fn deployments() -> Vec<KubernetesGrant> {
    use KubernetesVerb::{Apply, Delete, Get, List, Patch, Scale, Watch};
    let verbs = [Apply, Delete, Get, List, Patch, Scale, Watch];
    vec![grant(&verbs, "apps/v1/Deployment", &["app"], &[])]
}

fn deployment() -> Value {
    json!({ "api-version": "apps/v1", "kind": "Deployment", "namespace": "app", "name": "wordpress" })
}

fn secret() -> Value {
    json!({ "api-version": "v1", "kind": "Secret", "namespace": "app", "name": "db" })
}

fn get(object: Value) -> (&'static str, Value) {
    ("get-object", json!({ "cluster": "pz", "object": object }))
}

fn patch(object: Value, patch: &Value) -> (&'static str, Value) {
    let args = json!({ "cluster": "pz", "object": object, "kind": "merge", "patch": patch.to_string(), "resource-version": "7" });
    ("ensure-patched", args)
}

async fn ask(capabilities: &Capabilities, (function, args): (&str, Value)) -> Used {
    call(
        capabilities,
        "understudy:kubernetes/api@0.1.0",
        function,
        args,
        soon(),
    )
    .await
}

fn error(used: &Used) -> &CallError {
    used.reply.as_ref().unwrap_err()
}

/// The object in an answer.
fn object(used: &Used) -> Value {
    serde_json::from_str(used.reply.as_ref().unwrap().as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn an_object_is_got_under_the_path_that_discovery_names_and_only_there() {
    let server = StandIn::answering(
        200,
        r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"wordpress","resourceVersion":"41","managedFields":[{}]}}"#,
    )
    .await;
    let capabilities = server.capabilities(deployments());
    for _ in 0..2 {
        let used = ask(&capabilities, get(deployment())).await;
        assert_eq!(
            object(&used)["metadata"],
            json!({ "name": "wordpress", "resourceVersion": "41" })
        );
        assert_eq!(
            used.action,
            "kubernetes get apps/v1/Deployment app/wordpress in pz"
        );
        assert_eq!(used.result, "ok, version 41");
    }
    let path = "GET /apis/apps/v1/namespaces/app/deployments/wordpress";
    assert_eq!(server.asked(), [path, path]);
    assert_eq!(
        server.asked.lock().unwrap().len(),
        3,
        "discovery is asked once"
    );
    let asked = server.asked.lock().unwrap();
    let token = asked.first().unwrap().1.get("authorization").unwrap();
    assert_eq!(token.to_str().unwrap(), format!("Bearer {CANARY}"));
}

#[tokio::test]
async fn what_is_not_granted_is_not_sent_and_the_denial_says_what_would_allow_it() {
    let server = StandIn::answering(200, "{}").await;
    let capabilities = server.capabilities(vec![grant(
        &[KubernetesVerb::Get],
        "v1/Secret",
        &["app"],
        &["endpoint"],
    )]);
    let elsewhere = json!({ "cluster": "bz", "object": deployment() });
    for (asked, code, words) in [
        (
            get(deployment()),
            "CP0020",
            r#"kinds = ["apps/v1/Deployment"], namespaces = ["app"], names = ["wordpress"]"#,
        ),
        (
            patch(secret(), &json!({})),
            "CP0020",
            r#"verbs = ["patch"], kinds = ["v1/Secret"]"#,
        ),
        (("get-object", elsewhere), "CP0021", "clusters.bz = "),
    ] {
        let used = ask(&capabilities, asked).await;
        let CallError::Denied(denial) = error(&used) else {
            panic!("not denied: {used:?}")
        };
        assert_eq!(denial.rule, code);
        assert!(denial.grant.contains(words), "{}", denial.grant);
    }
    assert!(server.asked.lock().unwrap().is_empty(), "nothing was sent");
}

#[tokio::test]
async fn a_secret_is_shown_and_written_by_its_granted_keys_alone() {
    let server = StandIn::answering(
        200,
        r#"{"kind":"Secret","metadata":{},"data":{"endpoint":"ZGI=","password":"aHVudGVyMg=="}}"#,
    )
    .await;
    let verbs = [KubernetesVerb::Get, KubernetesVerb::Patch];
    let capabilities =
        server.capabilities(vec![grant(&verbs, "v1/Secret", &["app"], &["endpoint"])]);
    let used = ask(&capabilities, get(secret())).await;
    assert_eq!(object(&used)["data"], json!({ "endpoint": "ZGI=" }));
    let used = ask(
        &capabilities,
        patch(secret(), &json!({ "data": { "endpoint": "eA==" } })),
    )
    .await;
    assert_eq!(
        object(&used)["data"],
        json!({ "endpoint": "ZGI=" }),
        "an answer to a write neither"
    );
    let asked = server.asked().len();
    let used = ask(
        &capabilities,
        patch(secret(), &json!({ "data": { "password": "eA==" } })),
    )
    .await;
    assert!(
        matches!(error(&used), CallError::Denied(denial) if denial.grant.contains(r#"keys = ["password"]"#))
    );
    assert_eq!(server.asked().len(), asked);
}

fn digests(object: Value) -> (&'static str, Value) {
    let args = json!({ "cluster": "pz", "object": object });
    ("get-value-digests", args)
}

#[tokio::test]
async fn values_are_compared_without_being_shown() {
    let body = r#"{"kind":"Secret","metadata":{"resourceVersion":"7"},"data":{"password":"aHVudGVyMg==","endpoint":"ZGI="}}"#;
    let server = StandIn::answering(200, body).await;
    let grants = || {
        vec![grant(
            &[KubernetesVerb::Compare],
            "v1/Secret",
            &["app"],
            &[],
        )]
    };
    let capabilities = server.capabilities(grants());
    let used = ask(&capabilities, digests(secret())).await;
    let told = used.reply.as_ref().unwrap();
    let names: Vec<&str> = told["values"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["endpoint", "password"]);
    assert_eq!(used.result, "ok, 2 keys, version 7");
    assert_eq!(used.action, "kubernetes compare v1/Secret app/db in pz");
    for hidden in ["hunter2", "aHVudGVyMg", "ZGI="] {
        assert!(!format!("{used:?}").contains(hidden), "{used:?}");
    }
    assert_eq!(
        ask(&capabilities, digests(secret())).await.reply,
        used.reply,
        "the same under the same key"
    );
    // Another host: another key, and it says so.
    let other = ask(&server.capabilities(grants()), digests(secret())).await;
    let other = other.reply.unwrap();
    assert_ne!(other["made-with"], told["made-with"]);
    assert_ne!(other["values"], told["values"]);
    // What may be compared may not be read.
    let read = ask(&capabilities, get(secret())).await;
    assert!(
        matches!(error(&read), CallError::Denied(denial) if denial.grant.contains(r#"verbs = ["get"]"#))
    );
}

#[tokio::test]
async fn what_may_be_read_may_not_be_compared_and_other_kinds_never() {
    let server = StandIn::answering(200, r#"{"metadata":{},"data":{}}"#).await;
    let reads = vec![grant(
        &[KubernetesVerb::Get],
        "v1/Secret",
        &["app"],
        &["endpoint"],
    )];
    let used = ask(&server.capabilities(reads), digests(secret())).await;
    assert!(
        matches!(error(&used), CallError::Denied(denial) if denial.grant.contains(r#"verbs = ["compare"]"#))
    );
    let all = vec![grant(
        &[KubernetesVerb::Compare],
        "apps/v1/Deployment",
        &["app"],
        &[],
    )];
    let used = ask(&server.capabilities(all), digests(deployment())).await;
    assert!(matches!(error(&used), CallError::Invalid(_)), "{used:?}");
    assert!(server.asked().is_empty(), "nothing was sent");
}

#[tokio::test]
async fn a_value_that_is_none_is_an_error_that_does_not_show_it() {
    let server =
        StandIn::answering(200, r#"{"metadata":{},"data":{"password":"*hunter2*"}}"#).await;
    let grants = vec![grant(
        &[KubernetesVerb::Compare],
        "v1/Secret",
        &["app"],
        &[],
    )];
    let used = ask(&server.capabilities(grants), digests(secret())).await;
    assert!(
        matches!(error(&used), CallError::Other(text) if text.contains("`password`")),
        "{used:?}"
    );
    assert!(!format!("{used:?}").contains("hunter2"), "{used:?}");
}

#[tokio::test]
async fn refusals_come_in_the_servers_own_words_and_each_in_its_class() {
    let class = |error: &CallError| match error {
        CallError::Invalid(text) => format!("invalid {text}"),
        CallError::Conflict(text) => format!("conflict {text}"),
        CallError::NotFound(text) => format!("not-found {text}"),
        CallError::Unavailable(hint) => format!("unavailable {}", hint.reason),
        CallError::InDoubt(text) => format!("in-doubt {text}"),
        other => format!("{other:?}"),
    };
    for (status, read, written) in [
        (400, "invalid CP0029", "invalid CP0029"),
        (401, "invalid CP0025", "invalid CP0025"),
        (403, "conflict CP0026", "conflict CP0026"),
        (404, "not-found CP0028", "not-found CP0028"),
        (409, "conflict CP0027", "conflict CP0027"),
        (422, "invalid CP0029", "invalid CP0029"),
        (429, "unavailable CP0030", "unavailable CP0030"),
        (500, "unavailable CP0030", "in-doubt CP0030"),
        (503, "unavailable CP0030", "unavailable CP0030"),
        (504, "unavailable CP0030", "in-doubt CP0030"),
        (302, "Other", "Other"),
    ] {
        let server =
            StandIn::start(move |_, _| refusal(status, "quota of the app is used up")).await;
        let capabilities = server.capabilities(deployments());
        for (asked, expected) in [
            (get(deployment()), read),
            (patch(deployment(), &json!({})), written),
        ] {
            let used = ask(&capabilities, asked).await;
            let told = class(error(&used));
            assert!(told.starts_with(expected), "{status}: {told}");
            assert!(told.contains("quota of the app is used up"), "{told}");
        }
    }
}

#[tokio::test]
async fn an_overloaded_server_says_when_to_come_back() {
    for (after, body, expected) in [
        (
            Some("7"),
            "Too many requests, please try again later.",
            Some(7000),
        ),
        (Some("999999999"), "", Some(3_600_000)),
        (Some("tomorrow"), "", None),
        (
            None,
            r#"{"kind":"Status","message":"","details":{"retryAfterSeconds":3}}"#,
            Some(3000),
        ),
    ] {
        let server = StandIn::start(move |_, _| {
            let mut response = answer(429, body);
            if let Some(after) = after {
                response
                    .headers_mut()
                    .insert("retry-after", after.parse().unwrap());
            }
            response
        })
        .await;
        let used = ask(&server.capabilities(deployments()), get(deployment())).await;
        let CallError::Unavailable(hint) = error(&used) else {
            panic!("{used:?}")
        };
        assert_eq!(hint.after_ms, expected, "{after:?}");
        assert_eq!(server.asked().len(), 1, "nothing is tried again here");
    }
}

#[tokio::test]
async fn what_is_no_answer_of_an_api_server_is_said_to_be_none() {
    let server = StandIn::answering(200, "<html>Sign in</html>").await;
    let used = ask(&server.capabilities(deployments()), get(deployment())).await;
    assert!(
        matches!(error(&used), CallError::Other(text) if text.starts_with("CP0031")),
        "{used:?}"
    );
    let broken = || {
        let chunks = [Ok("{"), Err(std::io::Error::other("cut"))];
        Response::new(Body::from_stream(futures_util::stream::iter(chunks)))
    };
    let server = StandIn::start(move |_, _| broken()).await;
    let capabilities = server.capabilities(deployments());
    let used = ask(&capabilities, get(deployment())).await;
    assert!(
        matches!(error(&used), CallError::Unavailable(hint) if hint.reason.starts_with("CP0014")),
        "{used:?}"
    );
    let used = ask(&capabilities, patch(deployment(), &json!({}))).await;
    assert!(
        matches!(error(&used), CallError::InDoubt(text) if text.starts_with("CP0014")),
        "{used:?}"
    );
    let server = StandIn::start(|_, _| vec![b' '; MAX_ANSWER_BYTES + 1].into_response()).await;
    let used = ask(&server.capabilities(deployments()), get(deployment())).await;
    assert!(matches!(error(&used), CallError::Other(text) if text.starts_with("CP0010")));
}

#[tokio::test]
async fn a_server_that_echoes_its_token_gives_nothing_away() {
    // `call` searches everything that is told for every form of the token.
    let echo = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": CANARY, "labels": { CANARY: BASE64.encode(CANARY) } } });
    let text = echo.to_string();
    let server = StandIn::start(move |_, _| text.clone().into_response()).await;
    let used = ask(&server.capabilities(deployments()), get(deployment())).await;
    assert!(object(&used)["metadata"].to_string().contains("[redacted]"));
    for status in [403, 500] {
        let server =
            StandIn::start(move |_, _| refusal(status, &format!("token {CANARY} is not it"))).await;
        let capabilities = server.capabilities(deployments());
        let used = ask(&capabilities, patch(deployment(), &json!({}))).await;
        assert!(used.result.contains("[redacted]"), "{}", used.result);
    }
}

#[tokio::test]
async fn a_list_is_read_page_by_page_up_to_its_limit() {
    fn page(names: std::ops::Range<usize>, more: &str) -> Response {
        let items: Vec<_> = names
            .map(|n| json!({ "metadata": { "name": n.to_string() } }))
            .collect();
        json!({ "metadata": { "continue": more }, "items": items })
            .to_string()
            .into_response()
    }
    let list = json!({ "cluster": "pz", "api-version": "apps/v1", "kind": "Deployment", "namespace": "app", "label-selector": "app=a,b in (c)" });
    let server = StandIn::start(|_, path| {
        if path.contains("continue=next") {
            page(2..3, "")
        } else {
            page(0..2, "next")
        }
    })
    .await;
    let used = ask(
        &server.capabilities(deployments()),
        ("list-objects", list.clone()),
    )
    .await;
    let found = object(&used);
    assert_eq!(found.as_array().unwrap().len(), 3);
    assert_eq!(found[2]["kind"], "Deployment");
    let first = server.asked().remove(0);
    assert!(
        first.contains("labelSelector=app%3Da%2Cb+in+%28c%29"),
        "{first}"
    );
    let server = StandIn::start(|_, _| page(0..100, "always")).await;
    let used = ask(&server.capabilities(deployments()), ("list-objects", list)).await;
    assert!(matches!(error(&used), CallError::Other(text) if text.contains("500 objects")));
}

#[tokio::test]
async fn a_wait_ends_with_the_first_event_or_its_time() {
    let change = |at_most_ms: u64| {
        let args = json!({ "cluster": "pz", "object": deployment(), "resource-version": "41", "at-most-ms": at_most_ms });
        ("observe-change", args)
    };
    let stream = |lines: &'static [&'static str]| {
        let lines = lines.iter().map(|line| Ok::<_, std::io::Error>(*line));
        let open = futures_util::StreamExt::chain(
            futures_util::stream::iter(lines),
            futures_util::stream::pending(),
        );
        Response::new(Body::from_stream(open))
    };
    for (lines, expected) in [
        (
            &[r#"{"type":"MODI"#, "FIED\",\"object\":{}}\n"] as &[&str],
            true,
        ),
        (
            &[
                "{\"type\":\"BOOKMARK\",\"object\":{}}\n",
                "{\"type\":\"DELETED\",\"object\":{}}\n",
            ],
            true,
        ),
        (&["{\"type\":\"ERROR\",\"object\":{\"code\":410}}\n"], true),
        (&["{\"type\":\"BOOKMARK\",\"object\":{}}\n"], false),
        (&[], false),
    ] {
        let server = StandIn::start(move |_, _| stream(lines)).await;
        let wait = if expected { 30_000 } else { 50 };
        let used = ask(&server.capabilities(deployments()), change(wait)).await;
        assert_eq!(used.reply, Ok(json!(expected)), "{lines:?}");
        let asked = server.asked().remove(0);
        assert!(
            asked.contains("fieldSelector=metadata.name%3Dwordpress")
                && asked.contains("resourceVersion=41"),
            "{asked}"
        );
    }
    let server = StandIn::start(|_, _| refusal(410, "too old resource version")).await;
    let used = ask(&server.capabilities(deployments()), change(30_000)).await;
    assert_eq!(used.reply, Ok(json!(true)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_whose_watch_is_not_opened_ends_with_its_time() {
    let server = StandIn::start(|_, _| {
        // Somebody else minds the time meanwhile.
        tokio::task::block_in_place(|| std::thread::sleep(std::time::Duration::from_secs(1)));
        Response::new(Body::from("{\"type\":\"DELETED\",\"object\":{}}\n"))
    })
    .await;
    let args = json!({ "cluster": "pz", "object": deployment(), "resource-version": "41", "at-most-ms": 50 });
    let used = ask(
        &server.capabilities(deployments()),
        ("observe-change", args),
    )
    .await;
    assert_eq!(used.reply, Ok(json!(false)));
}

#[tokio::test]
async fn logs_are_the_end_of_them_and_the_time_is_the_servers() {
    let server = StandIn::start(|_, path| match path {
        "/version" => ([("date", "Sun, 06 Nov 1994 08:49:37 GMT")], "").into_response(),
        _ => "0123456789\n".repeat(10_000).into_response(),
    })
    .await;
    let capabilities = server.capabilities(vec![grant(
        &[KubernetesVerb::Logs],
        "v1/Pod",
        &["app"],
        &[],
    )]);
    let args = json!({ "cluster": "pz", "namespace": "app", "pod": "wordpress-1", "container": "php", "lines": 10_000_000 });
    let used = ask(&capabilities, ("get-pod-logs", args)).await;
    let text = used.reply.as_ref().unwrap().as_str().unwrap();
    assert!(text.len() <= MAX_LOG_BYTES && text.starts_with("0123456789\n"));
    let asked = server.asked().remove(0);
    assert_eq!(
        asked,
        "GET /api/v1/namespaces/app/pods/wordpress-1/log?&container=php&tailLines=5000"
    );
    let used = ask(&capabilities, ("get-time", json!({ "cluster": "pz" }))).await;
    assert_eq!(used.reply, Ok(json!(784_111_777_000_u64)));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let server = StandIn::answering(200, "{}").await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = closed.local_addr().unwrap().port();
    drop(closed);
    let moved = server
        .kubeconfig()
        .replace(&server.port.to_string(), &port.to_string());
    let used = ask(&made(&moved, deployments()).unwrap(), get(deployment())).await;
    assert!(
        matches!(error(&used), CallError::Unavailable(hint) if hint.reason.starts_with("CP0013")),
        "{used:?}"
    );
}
