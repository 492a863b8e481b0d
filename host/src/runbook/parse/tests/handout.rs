//! Texts that APIs hand out: kubeconfigs, and the roots of a connection.

use super::{GOOD, read};
use crate::runbook::types::KubeconfigSource;

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
    let KubeconfigSource::Handout(kubeconfig) = &binding.clusters["bz"].kubeconfig else {
        panic!("{:?}", binding.clusters)
    };
    assert_eq!(kubeconfig.url.query(), Some("hours=2"));
    assert_eq!(kubeconfig.credential.as_deref(), Some("api"));
    assert!(!kubeconfig.private);
    let trust = binding.connections["bz"].trust.as_ref().unwrap();
    assert_eq!(trust.pointer.as_deref(), Some("/ca/certificate"));
    assert!(trust.credential.is_none() && trust.private);
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
            "that an API hands out",
        ),
    ] {
        let bad = OVERLAY.replace(from, to);
        assert_ne!(bad, OVERLAY, "{from}");
        let errors = read(&[("runbook.toml", GOOD), ("overlay.toml", &bad)]).unwrap_err();
        let errors = errors.render(false);
        assert!(errors.contains(words), "{words}: {errors}");
    }
}
