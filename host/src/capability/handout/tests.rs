//! An API on loopback that hands out what it is told to.

use std::collections::BTreeMap;
use std::path::Path;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::IntoResponse as _;
use serde_json::json;

use super::super::testbed::{Authority, CANARY, CANARY_VARIABLE, HOST, facilities, serve_tls};
use super::super::{SecretShelf, Used};
use super::*;
use crate::call::CallError;
use crate::capability::credential::Redactor;
use crate::runbook::types::{Credential, CredentialScheme, SecretSource};

/// A desk that knows the canary as `api`, and a handout of an API that answers so to whoever shows it.
async fn api(
    answer: impl Fn() -> (StatusCode, HeaderMap, Bytes) + Clone + Send + Sync + 'static,
) -> (Desk, Handout) {
    let authority = Authority::new();
    let app = Router::new().fallback(async move |headers: HeaderMap| {
        let given = headers.get("authorization");
        if given.is_some_and(|given| *given == format!("Bearer {CANARY}")) {
            answer().into_response()
        } else {
            StatusCode::UNAUTHORIZED.into_response()
        }
    });
    let port = serve_tls(app, &authority.issue(&[HOST])).await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
    let facilities = facilities();
    let trust = Trust::new(&facilities.roots, folder.path(), &["ca.pem".into()]).unwrap();
    let mut shelf = SecretShelf::new(facilities.secrets.as_ref(), Path::new("."));
    let credential = Credential {
        source: SecretSource::Environment(CANARY_VARIABLE.to_owned()),
        scheme: CredentialScheme::Bearer,
    };
    let credentials = BTreeMap::from([("api".to_owned(), credential)]);
    let attachments = Arc::new(shelf.attachments(&credentials).unwrap());
    let desk = Desk::new(attachments, trust, facilities.clone());
    let url = format!("https://{HOST}:{port}/things/1?hours=2");
    let handout = Handout {
        url: url.parse().unwrap(),
        credential: Some("api".to_owned()),
        pointer: None,
        private: true,
    };
    (desk, handout)
}

fn body(status: u16, body: &str) -> (StatusCode, HeaderMap, Bytes) {
    let status = StatusCode::from_u16(status).unwrap();
    (
        status,
        HeaderMap::new(),
        Bytes::copy_from_slice(body.as_bytes()),
    )
}

async fn refusal(desk: &Desk, handout: &Handout) -> CallError {
    let fault = desk.ask("the thing", handout).await.err().unwrap();
    let redactor = Redactor::new([]);
    Used::of("", Err(fault), &redactor).reply.unwrap_err()
}

#[tokio::test]
async fn a_text_is_taken_as_it_is_or_from_its_place_and_out_of_base64() {
    const TEXT: &str = "kind: Config\n";
    let encoded = BASE64.encode(TEXT);
    let nested = json!({ "ca": { "certificate": encoded } }).to_string();
    for (answer, pointer) in [
        (TEXT.to_owned(), None),
        (format!("{encoded}\n"), None),
        (nested, Some("/ca/certificate")),
    ] {
        let (desk, mut handout) = api(move || body(200, &answer)).await;
        handout.pointer = pointer.map(str::to_owned);
        let text = desk.ask("the thing", &handout).await.unwrap();
        assert_eq!(text.expose(), TEXT);
    }
}

#[tokio::test]
async fn an_answer_that_holds_no_such_text_is_said_and_not_quoted() {
    for (answer, pointer, words) in [
        ("hidden", None, "fewer than"),
        ("hidden", Some("/a"), "not with JSON"),
        (r#"{"a":"hidden"}"#, Some("/b"), "`/b`"),
        (r#"{"a":["hidden"]}"#, Some("/a"), "`/a`"),
    ] {
        let (desk, mut handout) = api(move || body(200, answer)).await;
        handout.pointer = pointer.map(str::to_owned);
        let CallError::Invalid(text) = refusal(&desk, &handout).await else {
            panic!("{answer}")
        };
        assert!(
            text.starts_with("CP0067: the thing: GET https://"),
            "{text}"
        );
        assert!(
            text.contains(words) && !text.contains("hidden") && !text.contains("hours"),
            "{text}"
        );
    }
    let (desk, handout) = api(|| body(200, &"x".repeat(MAX_ANSWER_BYTES + 1))).await;
    let CallError::Invalid(text) = refusal(&desk, &handout).await else {
        panic!("too long")
    };
    assert!(text.contains("more than"), "{text}");
}

#[tokio::test]
async fn a_refusal_is_told_apart_from_what_passes_and_is_never_an_answer_of_somebody_else() {
    for (status, words) in [
        (301, "redirects"),
        (400, "400"),
        (403, "credential"),
        (404, "is there still"),
    ] {
        let (desk, handout) = api(move || body(status, "hidden")).await;
        let refusal = refusal(&desk, &handout).await;
        let CallError::Invalid(text) = &refusal else {
            panic!("{status}: {refusal:?}")
        };
        assert!(text.contains(words) && !text.contains("hidden"), "{text}");
    }
    let throttled = || {
        let (status, mut headers, body) = body(429, "hidden");
        headers.insert("retry-after", HeaderValue::from_static("7"));
        (status, headers, body)
    };
    let (desk, handout) = api(throttled).await;
    let CallError::Unavailable(hint) = refusal(&desk, &handout).await else {
        panic!("throttled")
    };
    assert_eq!(hint.after_ms, Some(7_000));
    let (desk, handout) = api(|| body(503, "hidden")).await;
    let refused = refusal(&desk, &handout).await;
    assert!(matches!(refused, CallError::Unavailable(_)), "{refused:?}");

    let (desk, mut handout) = api(|| body(200, "kind: Config")).await;
    handout.credential = None;
    let refused = refusal(&desk, &handout).await;
    assert!(
        matches!(&refused, CallError::Invalid(text) if text.contains("401")),
        "{refused:?}"
    );
    handout.private = false;
    let CallError::Denied(denial) = refusal(&desk, &handout).await else {
        panic!("private")
    };
    assert_eq!(
        (denial.rule.as_str(), denial.grant.as_str()),
        ("CP0003", "private = true, beside `url`")
    );
}

#[tokio::test]
async fn what_was_made_is_kept_until_it_is_forgotten_and_errors_are_not() {
    let kept = Kept::default();
    let fails = async || Err(Fault::other("CP0009", "no"));
    assert!(kept.get(fails).await.is_err());
    let (first, is_new) = kept.get(async || Ok(1)).await.unwrap();
    assert_eq!((*first, is_new), (1, true));
    let (same, is_new) = kept.get(async || Ok(2)).await.unwrap();
    assert_eq!((*same, is_new), (1, false));
    kept.forget().await;
    let (next, is_new) = kept.get(async || Ok(3)).await.unwrap();
    assert_eq!((*next, is_new), (3, true));
}
