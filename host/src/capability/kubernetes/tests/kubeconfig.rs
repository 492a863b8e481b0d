//! Kubeconfigs: which are refused, what is believed, and which secrets are known afterwards.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::stand_in::{StandIn, bound, kubeconfig, made};
use super::{ask, deployment, deployments, error, get};
use crate::call::CallError;
use crate::capability::credential::FixedSecrets;
use crate::capability::testbed::{Authority, HOST, facilities};
use crate::capability::{Capabilities, Facilities};

#[tokio::test]
async fn a_server_of_another_authority_or_none_is_not_believed() {
    let server = StandIn::answering(200, "{}").await;
    let other = BASE64.encode(Authority::named("Another").pem());
    let address = format!("server: https://{HOST}:{}", server.port);
    let token = "token: 0123456789";
    for cluster in [
        format!("{address}\n    certificate-authority-data: {other}"),
        address.clone(),
        format!(
            "{}\n    certificate-authority-data: {}",
            address.replace(HOST, "127.0.0.1"),
            BASE64.encode(server.authority.pem())
        ),
    ] {
        let capabilities = made(&kubeconfig(&cluster, token), deployments()).unwrap();
        let used = ask(&capabilities, get(deployment())).await;
        assert!(
            matches!(error(&used), CallError::Unavailable(hint) if hint.reason.starts_with("CP0011")),
            "{used:?}"
        );
    }
    let named = format!(
        "{}\n    tls-server-name: {HOST}\n    certificate-authority-data: {}",
        address.replace(HOST, "127.0.0.1"),
        BASE64.encode(server.authority.pem())
    );
    let capabilities = made(&kubeconfig(&named, token), deployments()).unwrap();
    let used = ask(&capabilities, get(deployment())).await;
    assert!(used.reply.is_ok(), "{used:?}");
    let asked = server.asked.lock().unwrap();
    let host = asked.last().unwrap().1.get("host").unwrap();
    assert_eq!(host.to_str().unwrap(), format!("127.0.0.1:{}", server.port));
}

#[test]
fn a_kubeconfig_that_cannot_be_kept_safe_is_refused_before_anything_runs() {
    let server = "server: https://k.example.test";
    for (cluster, user, code, words) in [
        (
            "server: https://k.example.test\n    insecure-skip-tls-verify: true",
            "token: 0123456789",
            "CP0023",
            "insecure-skip-tls-verify",
        ),
        (
            "server: http://k.example.test",
            "token: 0123456789",
            "CP0023",
            "http:",
        ),
        (
            server,
            "exec: { apiVersion: x, command: aws }",
            "CP0024",
            "`exec`",
        ),
        (
            server,
            "auth-provider: { name: gcp }",
            "CP0024",
            "`auth-provider`",
        ),
        (server, "token: short", "CP0022", "fewer than"),
        (server, "tokenFile: nowhere", "CP0022", "tokenFile"),
        (
            server,
            "client-key-data: eA==",
            "CP0022",
            "its certificate is missing",
        ),
        (
            server,
            "as-user-extra: { a: [b] }",
            "CP0022",
            "as-user-extra",
        ),
        (
            "server: https://ops:0123456789@k.example.test",
            "token: 0123456789",
            "CP0022",
            "server",
        ),
        (
            "server: https://k.example.test\n    proxy-url: http://proxy",
            "token: 0123456789",
            "CP0022",
            "proxy-url",
        ),
        (
            "server: https://k.example.test\n    certificate-authority-data: eA==",
            "token: 0123456789",
            "CP0022",
            "certificate-authority",
        ),
        (
            "server: [",
            "token: 0123456789",
            "CP0022",
            "not a kubeconfig",
        ),
    ] {
        let error = made(&kubeconfig(cluster, user), Vec::new()).err().unwrap();
        assert_eq!(error.code(), code, "{cluster} {user}: {error}");
        let text = error.to_string();
        assert!(text.contains("`pz`") && text.contains(words), "{text}");
        assert!(!text.contains("0123456789"), "{text}");
    }
}

#[test]
fn a_context_is_chosen_by_name_and_what_it_names_must_be_there() {
    let text = kubeconfig("server: https://k.example.test", "token: 0123456789");
    let chosen = |text: &str, context: Option<&str>| {
        let secrets = BTreeMap::from([("KUBECONFIG_PZ".to_owned(), text.to_owned())]);
        let facilities = Facilities {
            secrets: Arc::new(FixedSecrets(secrets)),
            ..facilities()
        };
        let mut binding = bound(Vec::new());
        for cluster in binding.clusters.values_mut() {
            cluster.context = context.map(str::to_owned);
        }
        let made = Capabilities::for_binding(&binding, Path::new("."), &facilities);
        made.err().map(|error| error.to_string())
    };
    assert_eq!(chosen(&text, None), None);
    assert_eq!(chosen(&text, Some("main")), None);
    for (text, context, words) in [
        (text.clone(), Some("other"), "no context `other`"),
        (
            text.replace("current-context: main", ""),
            None,
            "no current context",
        ),
        (
            text.replace("cluster: main,", "cluster: gone,"),
            None,
            "no cluster `gone`",
        ),
        (
            text.replace("user: recovery }", "user: gone }"),
            None,
            "no user `gone`",
        ),
    ] {
        let told = chosen(&text, context).unwrap();
        assert!(told.contains(words), "{told}");
    }
}

#[test]
fn keys_and_passwords_of_a_kubeconfig_are_known_in_every_form() {
    let identity = Authority::new().issue(&["recovery"]);
    let user = format!(
        "username: ops\n    password: hunter2hunter2\n    client-certificate-data: {}\n    client-key-data: {}",
        BASE64.encode(&identity.certificate),
        BASE64.encode(&identity.key)
    );
    let made = made(
        &kubeconfig("server: https://k.example.test", &user),
        Vec::new(),
    )
    .unwrap();
    let one_line: String = identity
        .key
        .lines()
        .filter(|line| !line.starts_with('-'))
        .collect();
    for spelled in [
        "hunter2hunter2".to_owned(),
        BASE64.encode("ops:hunter2hunter2"),
        BASE64.encode(&identity.key),
        identity.key.clone(),
        one_line,
    ] {
        let told = made.redactor().text(&format!("before {spelled} after"));
        assert!(!told.contains(spelled.trim()), "{told}");
        assert!(
            told.starts_with("before ") && told.trim_end().ends_with("after"),
            "{told}"
        );
    }
}
