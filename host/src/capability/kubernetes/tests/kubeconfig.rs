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

/// A refusal of a kubeconfig with these lines for its cluster and its user.
fn refused(cluster: &str, user: &str, code: &str, words: &str) {
    let error = made(&kubeconfig(cluster, user), Vec::new()).err().unwrap();
    assert_eq!(error.code(), code, "{cluster} {user}: {error}");
    let text = error.to_string();
    assert!(text.contains("`pz`") && text.contains(words), "{text}");
    assert!(!text.contains("0123456789"), "{text}");
}

const SERVER: &str = "server: https://k.example.test";
const TOKEN: &str = "token: 0123456789";

#[test]
fn a_cluster_that_cannot_be_reached_safely_is_refused_before_anything_runs() {
    for (cluster, code, words) in [
        (
            "insecure-skip-tls-verify: true",
            "CP0023",
            "insecure-skip-tls-verify",
        ),
        ("proxy-url: http://proxy", "CP0022", "proxy-url"),
        (
            "certificate-authority-data: eA==",
            "CP0022",
            "certificate-authority",
        ),
        (
            "certificate-authority: nowhere",
            "CP0022",
            "certificate-authority",
        ),
    ] {
        refused(&format!("{SERVER}\n    {cluster}"), TOKEN, code, words);
    }
    for (server, code, words) in [
        ("http://k.example.test", "CP0023", "http:"),
        ("https://ops:0123456789@k.example.test", "CP0022", "server"),
        ("k.example.test", "CP0022", "server"),
        ("[", "CP0022", "not a kubeconfig"),
    ] {
        refused(&format!("server: {server}"), TOKEN, code, words);
    }
}

#[test]
fn a_user_whose_credential_cannot_be_kept_safe_is_refused_before_anything_runs() {
    for (user, code, words) in [
        ("exec: { apiVersion: x, command: aws }", "CP0024", "`exec`"),
        ("auth-provider: { name: gcp }", "CP0024", "`auth-provider`"),
        ("token: short", "CP0022", "fewer than"),
        ("tokenFile: nowhere", "CP0022", "tokenFile"),
        (
            "client-key-data: eA==",
            "CP0022",
            "its certificate is missing",
        ),
        (
            "client-certificate-data: eA==",
            "CP0022",
            "its key is missing",
        ),
        ("as-user-extra: { a: [b] }", "CP0022", "as-user-extra"),
    ] {
        refused(SERVER, user, code, words);
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
