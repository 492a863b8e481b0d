//! Handshakes with servers on loopback, trusted, untrusted, misnamed, expired and rude.

use std::net::Ipv4Addr;

use axum::Router;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use super::super::testbed::{
    Authority, HOST, OTHER_HOST, binding, call, capabilities, serve_tls, soon,
};
use super::super::{Capabilities, Used};
use crate::call::CallError;

fn trusting(authority: &Authority, ports: &[u16]) -> Capabilities {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
    let mut binding = binding();
    binding.tls = ports.iter().map(|port| format!("{HOST}:{port}")).collect();
    binding.trust = vec!["ca.pem".into()];
    capabilities(&binding, folder.path())
}

async fn inspect(capabilities: &Capabilities, authority: &str, name: &str) -> Used {
    let args = json!({ "authority": authority, "server-name": name });
    call(
        capabilities,
        "understudy:tls/tls@0.1.0",
        "inspect",
        args,
        soon(),
    )
    .await
}

fn certificate(used: &Used) -> &Value {
    used.reply.as_ref().unwrap()
}

#[tokio::test]
async fn what_is_served_is_reported_whether_or_not_it_verifies() {
    let authority = Authority::new();
    let identity = authority.issue(&["wp-bz.example.test", HOST]);
    let port = serve_tls(Router::new(), &identity).await;
    let stranger = serve_tls(Router::new(), &Authority::named("Stranger").issue(&[HOST])).await;
    let expired = serve_tls(Router::new(), &authority.issue_expired(&[HOST])).await;
    let capabilities = trusting(&authority, &[port, stranger, expired]);

    let used = inspect(&capabilities, &format!("{HOST}:{port}"), HOST).await;
    let good = certificate(&used);
    assert_eq!(good["dns-names"], json!([HOST, "wp-bz.example.test"]));
    assert_eq!(
        (&good["verified"], &good["problem"]),
        (&json!(true), &json!(""))
    );
    assert!(
        good["issuer"].as_str().unwrap().contains("CN=Example Root"),
        "{good}"
    );
    assert_eq!(
        good["fingerprint"].as_str().unwrap(),
        identity.fingerprint()
    );
    assert!(good["not-before-ms"].as_u64() < good["not-after-ms"].as_u64());
    assert_eq!(used.result, "verified");
    assert_eq!(used.action, format!("tls {HOST}:{port} as {HOST}"));

    for (port, name, why) in [
        (port, OTHER_HOST, "not valid for name"),
        (stranger, HOST, "UnknownIssuer"),
        (expired, HOST, "expired"),
    ] {
        let used = inspect(&capabilities, &format!("{HOST}:{port}"), name).await;
        let seen = certificate(&used);
        assert_eq!(seen["verified"], json!(false), "{seen}");
        assert!(seen["problem"].as_str().unwrap().contains(why), "{seen}");
        assert!(seen["dns-names"].as_array().unwrap().contains(&json!(HOST)));
        assert!(used.result.starts_with("not verified: "), "{}", used.result);
    }
}

#[tokio::test]
async fn only_granted_authorities_are_shaken_hands_with() {
    let authority = Authority::new();
    let capabilities = trusting(&authority, &[443]);
    let used = inspect(&capabilities, "API.example.test:8443", HOST).await;
    let Err(CallError::Denied(denial)) = &used.reply else {
        panic!("{used:?}")
    };
    assert_eq!(denial.rule, "CP0006");
    assert_eq!(denial.grant, r#"tls = ["api.example.test:8443"]"#);
    let used = inspect(&capabilities, &format!("{HOST}:443"), "not a name").await;
    assert!(matches!(used.reply, Err(CallError::Invalid(_))), "{used:?}");
}

#[tokio::test]
async fn who_does_not_speak_tls_is_unavailable() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let plain = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream
                .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                .await
                .unwrap();
        }
    });
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let nobody = closed.local_addr().unwrap().port();
    drop(closed);
    let capabilities = trusting(&Authority::new(), &[plain, nobody]);
    for port in [plain, nobody] {
        let used = inspect(&capabilities, &format!("{HOST}:{port}"), HOST).await;
        let Err(CallError::Unavailable(hint)) = &used.reply else {
            panic!("{used:?}")
        };
        assert!(hint.reason.starts_with("CP0013"), "{}", hint.reason);
    }
}
