//! Issuers of a binding.

use super::{GOOD, read};

#[test]
fn issuers_are_read_and_one_that_cannot_be_meant_is_refused() {
    const ISSUER: &str = r#"directory = "https://acme.example.test/directory", contact = "ops@example.test", account = "acme.json", folder = "certificates""#;
    let overlay = |issuer: &str| {
        format!(
            r#"
[[bindings]]
contract = "understudy:workload/workload@0.1.0"
plugin = "mariadb"
issuers.main = {{ {issuer} }}
"#
        )
    };
    let good = overlay(ISSUER);
    let runbook = read(&[("runbook.toml", GOOD), ("overlay.toml", &good)]).unwrap();
    let issuer = &runbook.bindings.last().unwrap().issuers["main"];
    assert_eq!(issuer.directory.host_str(), Some("acme.example.test"));
    assert_eq!(issuer.contact.as_deref(), Some("ops@example.test"));
    assert!(issuer.folder.ends_with("certificates"));
    for (from, to, words) in [
        ("https:", "http:", "HTTPS alone"),
        ("ops@example.test", "mailto:ops", "write it bare"),
        ("\"acme.json\"", "\"\"", "name a file"),
    ] {
        let bad = overlay(&ISSUER.replace(from, to));
        let errors = read(&[("runbook.toml", GOOD), ("overlay.toml", &bad)]).unwrap_err();
        let errors = errors.render(false);
        assert!(errors.contains(words), "{errors}");
    }
}
