//! Texts that APIs hand out: kubeconfigs, and the roots of a connection.

use super::{GOOD, read};
use crate::runbook::types::{Origin, SecretSource};

/// A binding whose cluster and connection are told by an API.
const OVERLAY: &str = r#"
[[bindings]]
contract = "understudy:workload/workload@0.1.0"
plugin = "mariadb"
credentials.api = { env = "TOKEN", scheme = "bearer" }
clusters.bz = { kubeconfig = { url = "https://api.example.test/clusters/1/kubeconfig?hours=2", credential = "api" } }
connections.bz = { host = "db.example.test", port = 3306, user = "dr", password = { env = "DB_PASSWORD" }, trust = { url = "https://api.example.test/databases/1/ca", pointer = "/ca/certificate", private = true } }
"#;

#[test]
fn what_an_api_hands_out_is_named_by_its_address_and_the_credential_for_it() {
    let runbook = read(&[("runbook.toml", GOOD), ("overlay.toml", OVERLAY)]).unwrap();
    let binding = runbook.bindings.last().unwrap();
    let Origin::Handout(kubeconfig) = &binding.clusters["bz"].kubeconfig else {
        panic!("{:?}", binding.clusters)
    };
    assert_eq!(kubeconfig.url.query(), Some("hours=2"));
    assert_eq!(kubeconfig.credential.as_deref(), Some("api"));
    assert!(!kubeconfig.private);
    let Some(Origin::Handout(trust)) = &binding.connections["bz"].trust else {
        panic!("{:?}", binding.connections)
    };
    assert_eq!(trust.pointer.as_deref(), Some("/ca/certificate"));
    assert!(trust.credential.is_none() && trust.private);
}

#[test]
fn the_roots_of_a_connection_may_stand_in_a_file() {
    let overlay = r#"
[[bindings]]
contract = "understudy:workload/workload@0.1.0"
plugin = "mariadb"
connections.bz = { host = "db.example.test", port = 3306, user = "dr", password = { env = "DB_PASSWORD" }, trust = { file = "ca.pem" } }
"#;
    let runbook = read(&[("runbook.toml", GOOD), ("overlay.toml", overlay)]).unwrap();
    let binding = runbook.bindings.last().unwrap();
    let Some(Origin::Secret(SecretSource::File(file))) = &binding.connections["bz"].trust else {
        panic!("{:?}", binding.connections)
    };
    assert!(file.ends_with("ca.pem"), "{}", file.display());
}

#[test]
fn what_cannot_be_asked_for_is_refused() {
    for (from, to, words) in [
        (
            "https://api.example.test/c",
            "http://api.example.test/c",
            "use `https:`",
        ),
        (
            "https://api.example.test/d",
            "https://ops:pw@api.example.test/d",
            "password",
        ),
        (
            r#"credential = "api""#,
            r#"credential = "other""#,
            "`other`",
        ),
        ("\"/ca/cert", "\"ca/cert", "begin with `/`"),
        (
            "{ url = \"https://api.example.test/c",
            "{ env = \"K\", url = \"https://api.example.test/c",
            "exactly one place",
        ),
        (
            "url = \"https://api.example.test/clusters/1/kubeconfig?hours=2\"",
            "env = \"K\"",
            "for what an API hands out",
        ),
    ] {
        let bad = OVERLAY.replace(from, to);
        assert_ne!(bad, OVERLAY, "{from}");
        let errors = read(&[("runbook.toml", GOOD), ("overlay.toml", &bad)]).unwrap_err();
        let errors = errors.render(false);
        assert!(errors.contains(words), "{words}: {errors}");
    }
}
