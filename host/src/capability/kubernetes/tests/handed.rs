//! Kubeconfigs that an API hands out.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::StatusCode;

use std::sync::Arc;

use super::stand_in::{StandIn, bound, kubeconfig};
use super::*;
use crate::capability::testbed::{Authority, HOST, facilities, serve_tls};
use crate::runbook::types::{Handout, Origin};

/// An API server that knows one token at a time, and an API that hands out a kubeconfig with the newest.
struct Vendor {
    cluster: StandIn,
    port: u16,
    authority: Authority,
    known: Arc<AtomicUsize>,
    handed: Arc<AtomicUsize>,
}

fn token(number: usize) -> String {
    format!("token-number-{number}")
}

impl Vendor {
    /// `lines` are those of the user in the kubeconfig; `TOKEN` stands for the newest.
    async fn start(lines: &'static str) -> Self {
        let known = Arc::new(AtomicUsize::new(1));
        let newest = Arc::clone(&known);
        let cluster = StandIn::looking(move |headers, _, _| {
            let newest = token(newest.load(Ordering::SeqCst));
            let given = headers.get("authorization").unwrap();
            if given.to_str().unwrap() == format!("Bearer {newest}") {
                // As a server that echoes what it was sent.
                let echo = json!({ "metadata": { "resourceVersion": "1", "name": newest } });
                return echo.to_string().into_response();
            }
            refusal(401, "Unauthorized")
        })
        .await;
        let server = format!(
            "server: https://{HOST}:{}\n    certificate-authority-data: {}",
            cluster.port,
            BASE64.encode(cluster.authority.pem())
        );
        let (handed, newest) = (Arc::new(AtomicUsize::new(0)), Arc::clone(&known));
        let count = Arc::clone(&handed);
        let app = Router::new().fallback(async move || {
            count.fetch_add(1, Ordering::SeqCst);
            match newest.load(Ordering::SeqCst) {
                0 => StatusCode::SERVICE_UNAVAILABLE.into_response(),
                newest => {
                    let user = lines.replace("TOKEN", &token(newest));
                    kubeconfig(&server, &user).into_response()
                }
            }
        });
        let authority = Authority::new();
        let port = serve_tls(app, &authority.issue(&[HOST])).await;
        Self {
            cluster,
            port,
            authority,
            known,
            handed,
        }
    }

    fn capabilities(&self, private: bool) -> Capabilities {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), self.authority.pem()).unwrap();
        let mut binding = bound(deployments());
        binding.trust = vec!["ca.pem".into()];
        let url = format!("https://{HOST}:{}/clusters/1/kubeconfig?hours=2", self.port);
        let handout = Handout {
            url: url.parse().unwrap(),
            credential: None,
            pointer: None,
            private,
        };
        for cluster in binding.clusters.values_mut() {
            cluster.kubeconfig = Origin::Handout(handout.clone());
        }
        Capabilities::for_binding(&binding, folder.path(), &facilities()).unwrap()
    }

    fn handed(&self) -> usize {
        self.handed.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_kubeconfig_is_asked_for_when_it_is_needed_and_its_token_is_seen_by_nobody() {
    let vendor = Vendor::start("token: TOKEN").await;
    let capabilities = vendor.capabilities(true);
    let before = capabilities.redactor().clone();
    assert_eq!(
        vendor.handed(),
        0,
        "nothing is asked before a cluster is needed"
    );
    let used = ask(&capabilities, get(deployment())).await;
    assert_eq!(object(&used)["metadata"]["name"], "[redacted]");
    assert_eq!(
        used.action,
        format!(
            "kubernetes get apps/v1/Deployment app/wordpress in pz, its kubeconfig by GET https://{HOST}:{}/clusters/1/kubeconfig",
            vendor.port
        )
    );
    let used = ask(&capabilities, get(deployment())).await;
    assert_eq!(
        used.action,
        "kubernetes get apps/v1/Deployment app/wordpress in pz"
    );
    assert_eq!(vendor.handed(), 1);
    for redactor in [&before, capabilities.redactor()] {
        let journal = redactor.for_journal();
        assert_eq!(journal.redact_str(&token(1)), "[redacted]");
    }
    let not_granted =
        json!({ "api-version": "apps/v1", "kind": "Deployment", "namespace": "else", "name": "a" });
    let fresh = vendor.capabilities(true);
    assert!(matches!(
        error(&ask(&fresh, get(not_granted)).await),
        CallError::Denied(_)
    ));
    assert_eq!(vendor.handed(), 1, "what is not granted asks nobody");
}

#[tokio::test]
async fn one_whose_token_has_ended_is_asked_for_again_and_the_call_is_done_once() {
    let vendor = Vendor::start("token: TOKEN").await;
    let capabilities = vendor.capabilities(true);
    ask(&capabilities, get(deployment())).await.reply.unwrap();
    vendor.known.store(2, Ordering::SeqCst);
    let used = ask(&capabilities, patch(deployment(), &json!({}))).await;
    assert_eq!(object(&used)["metadata"]["name"], "[redacted]");
    assert!(
        used.action.ends_with("/clusters/1/kubeconfig"),
        "{}",
        used.action
    );
    assert_eq!(vendor.handed(), 2);
    let patched = vendor.cluster.asked();
    let patched = patched.iter().filter(|line| line.starts_with("PATCH"));
    assert_eq!(patched.count(), 2, "the first is refused");
    let journal = capabilities.redactor().for_journal();
    let both = format!("{} {}", token(1), token(2));
    assert_eq!(journal.redact_str(&both), "[redacted] [redacted]");
}

#[tokio::test]
async fn a_token_that_is_refused_as_soon_as_it_is_handed_out_is_an_error() {
    let vendor = Vendor::start("token: another-token").await;
    let used = ask(&vendor.capabilities(true), get(deployment())).await;
    assert!(
        matches!(error(&used), CallError::Invalid(text) if text.starts_with("CP0025")),
        "{used:?}"
    );
    assert_eq!(vendor.handed(), 2);
}

#[tokio::test]
async fn an_api_that_does_not_answer_is_asked_again_by_the_next_call() {
    let vendor = Vendor::start("token: TOKEN").await;
    let capabilities = vendor.capabilities(true);
    vendor.known.store(0, Ordering::SeqCst);
    let used = ask(&capabilities, get(deployment())).await;
    assert!(
        matches!(error(&used), CallError::Unavailable(hint) if hint.reason.contains("the kubeconfig of `pz`")),
        "{used:?}"
    );
    vendor.known.store(1, Ordering::SeqCst);
    ask(&capabilities, get(deployment())).await.reply.unwrap();
}

#[tokio::test]
async fn a_kubeconfig_of_somebody_else_names_no_files_programs_or_places_of_this_host() {
    for (lines, code) in [
        ("tokenFile: /etc/hostname", "CP0022"),
        ("client-certificate: /etc/hostname", "CP0022"),
        ("exec: { apiVersion: x, command: aws }", "CP0024"),
    ] {
        let vendor = Vendor::start(lines).await;
        let used = ask(&vendor.capabilities(true), get(deployment())).await;
        assert!(
            matches!(error(&used), CallError::Invalid(text) if text.starts_with(code)),
            "{used:?}"
        );
    }
    let vendor = Vendor::start("token: TOKEN").await;
    let used = ask(&vendor.capabilities(false), get(deployment())).await;
    assert!(
        matches!(error(&used), CallError::Denied(denial) if denial.rule == "CP0003"),
        "{used:?}"
    );
    assert_eq!(vendor.handed(), 0);
}
