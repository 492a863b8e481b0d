//! The capability against an authority on loopback that knows the first words of ACME and refuses on request. Issuing is
//! tested with a real one, by the conformance kit.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::routing::{get, head, post};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::super::testbed::{
    Authority, HOST, OTHER_HOST, binding, call, capabilities, serve_tls, soon,
};
use super::super::{Capabilities, Used};
use crate::call::CallError;
use crate::runbook::types::Issuer;

const ACME: &str = "understudy:acme/acme@0.1.0";
/// A certificate's names, and the order for them.
const NAME: &str = "wp.example.test";

/// What is said to a new account and to a new order: status, problem, seconds to wait.
type Says = (u16, &'static str, &'static str);

const TAKEN: Says = (201, "", "");

struct Bench {
    folder: TempDir,
    capabilities: Capabilities,
    accounts: Arc<AtomicUsize>,
}

impl Bench {
    /// An authority at `host`, whose directory says that it is at `said`.
    async fn new(account: Says, order: Says, said: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new();
        std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
        let accounts = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&accounts);
        let answer = |(status, kind, after): Says| {
            let mut headers = HeaderMap::new();
            headers.insert("replay-nonce", HeaderValue::from_static("bm9uY2U"));
            headers.insert(
                "location",
                HeaderValue::from_static("https://api.example.test/acct/1"),
            );
            if !after.is_empty() {
                headers.insert("retry-after", HeaderValue::from_static(after));
            }
            let kind = format!("urn:ietf:params:acme:error:{kind}");
            let body = json!({ "type": kind, "detail": "as asked", "status": status });
            (
                StatusCode::from_u16(status).unwrap(),
                headers,
                body.to_string(),
            )
        };
        let app = Router::new()
            .route("/page", get(|| async { "<html>a page</html>" }))
            .route("/nonce", head(move || async move { answer((200, "", "")) }))
            .route("/order", post(move || async move { answer(order) }))
            .route(
                "/account",
                post(move || async move {
                    counted.fetch_add(1, Ordering::Relaxed);
                    answer(account)
                }),
            )
            .route(
                "/directory",
                get(move |headers: HeaderMap| async move {
                    let host = headers["host"].to_str().unwrap();
                    let port = host.rsplit_once(':').unwrap().1;
                    let at = |path: &str| format!("https://{said}:{port}/{path}");
                    json!({ "newNonce": at("nonce"), "newAccount": at("account"), "newOrder": at("order") })
                        .to_string()
                }),
            );
        let port = serve_tls(app, &authority.issue(&[HOST])).await;
        let issuer = |path: &str| Issuer {
            directory: format!("https://{HOST}:{port}/{path}").parse().unwrap(),
            contact: Some("ops@example.test".to_owned()),
            account: PathBuf::from("acme/account.json"),
            folder: PathBuf::from("certificates"),
        };
        let mut binding = binding();
        binding.trust = vec!["ca.pem".into()];
        binding.issuers = [
            ("main".to_owned(), issuer("directory")),
            ("page".to_owned(), issuer("page")),
        ]
        .into();
        let capabilities = capabilities(&binding, folder.path());
        Self {
            folder,
            capabilities,
            accounts,
        }
    }

    async fn ask(&self, function: &str, args: Value) -> Used {
        call(&self.capabilities, ACME, function, args, soon()).await
    }

    async fn order(&self) -> Result<Value, CallError> {
        let args = json!({ "issuer": "main", "name": "wp", "dns-names": [NAME], "tag": "" });
        self.ask("ensure-order", args).await.reply
    }

    async fn look(&self, issuer: &str) -> Result<Value, CallError> {
        let used = self.ask("observe-authority", json!({ "issuer": issuer }));
        used.await.reply
    }
}

#[tokio::test]
async fn a_rate_limit_says_when_to_come_back_and_the_account_is_made_once() {
    let bench = Bench::new(TAKEN, (429, "rateLimited", "90"), HOST).await;
    assert_eq!(bench.look("main").await.unwrap(), false, "no account yet");
    for _ in 0..2 {
        match bench.order().await.unwrap_err() {
            CallError::Unavailable(hint) => {
                assert_eq!(hint.after_ms, Some(90_000));
                assert!(hint.reason.starts_with("CP0066"), "{}", hint.reason);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(bench.accounts.load(Ordering::Relaxed), 1);
    assert_eq!(bench.look("main").await.unwrap(), true);
    let account = bench.folder.path().join("acme/account.json");
    let mode = std::fs::metadata(account).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn what_the_authority_says_is_told_as_what_it_means() {
    for (account, order, class, code) in [
        (TAKEN, (400, "rejectedIdentifier", ""), "conflict", "CP0061"),
        (TAKEN, (400, "accountDoesNotExist", ""), "invalid", "CP0063"),
        (TAKEN, (503, "serverInternal", ""), "unavailable", "CP0062"),
        (
            (403, "externalAccountRequired", ""),
            TAKEN,
            "invalid",
            "CP0063",
        ),
    ] {
        let bench = Bench::new(account, order, HOST).await;
        let (said, text) = match bench.order().await.unwrap_err() {
            CallError::Conflict(text) => ("conflict", text),
            CallError::Invalid(text) => ("invalid", text),
            CallError::Unavailable(hint) => ("unavailable", hint.reason),
            other => panic!("{other:?}"),
        };
        assert_eq!(said, class, "{text}");
        assert!(
            text.starts_with(code) && text.contains("as asked"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn no_directory_and_one_that_leads_elsewhere_are_named() {
    let bench = Bench::new(TAKEN, TAKEN, OTHER_HOST).await;
    let elsewhere = bench.order().await.unwrap_err();
    assert!(
        matches!(&elsewhere, CallError::Invalid(text) if text.contains("leads to other.example.test")),
        "{elsewhere:?}"
    );
    assert_eq!(bench.accounts.load(Ordering::Relaxed), 0);
    let page = bench.look("page").await.unwrap_err();
    assert!(
        matches!(&page, CallError::Unavailable(hint) if hint.reason.starts_with("CP0062")),
        "{page:?}"
    );
    let nobody = bench.look("nobody").await.unwrap_err();
    assert!(
        matches!(&nobody, CallError::Denied(denial) if denial.rule == "CP0060"),
        "{nobody:?}"
    );
    for args in [
        json!({ "issuer": "main", "name": "../wp", "dns-names": [NAME], "tag": "" }),
        json!({ "issuer": "main", "name": "wp", "dns-names": [], "tag": "" }),
    ] {
        let refused = bench.ask("ensure-order", args).await.reply;
        assert!(
            matches!(&refused, Err(CallError::Invalid(_))),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn a_certificate_takes_the_place_of_another_with_its_key_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = super::store::Store::new(folder.path().join("certificates"));
    let authority = Authority::new();
    assert!(store.kept("wp").await.unwrap().is_none());
    for names in [[NAME], ["other.example.test"]] {
        let identity = authority.issue(&names);
        let fingerprint = identity.fingerprint();
        let (chain, key) = (identity.certificate, identity.key);
        let kept = store.keep("wp", chain, key.clone(), "a tag").await.unwrap();
        assert_eq!(
            (kept.dns_names.as_slice(), kept.usable),
            (names.map(str::to_owned).as_slice(), true)
        );
        assert_eq!(
            (kept.fingerprint, kept.tag.as_str()),
            (fingerprint, "a tag")
        );
        let place = folder.path().join("certificates/wp");
        assert_eq!(
            std::fs::read_to_string(place.join("privkey.pem")).unwrap(),
            key
        );
        let mode = std::fs::metadata(place.join("privkey.pem")).unwrap();
        assert_eq!(mode.permissions().mode() & 0o777, 0o600);
    }
    let entries = std::fs::read_dir(folder.path().join("certificates")).unwrap();
    assert_eq!(
        entries.count(),
        2,
        "the link, and the folder that it leads to"
    );
    for _ in 0..2 {
        store.discard("wp").await.unwrap();
    }
    assert!(!store.kept("wp").await.unwrap().unwrap().usable);
}
