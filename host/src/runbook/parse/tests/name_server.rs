//! Name servers of a binding, and what may be changed in their zones.

use super::{GOOD, read};
use crate::runbook::types::{SecretSource, TsigAlgorithm};

/// A binding with this name server and these grants in it.
fn with_name_server(server: &str, grant: &str) -> String {
    format!(
        r#"
[[bindings]]
contract = "understudy:workload/workload@0.1.0"
plugin = "mariadb"
name-servers.primary = {{ {server} }}
dns-update = [{{ {grant} }}]
"#
    )
}

const NAME_SERVER: &str = r#"host = "ns1.example.test", zone = "Example.Test.", key = { name = "understudy.", algorithm = "hmac-sha512", secret = { env = "TSIG" } }"#;
const UPDATES: &str = r#"servers = ["primary"], names = ["WP-Active.example.test", "_acme-challenge.*"], types = ["CNAME", "TXT"]"#;

#[test]
fn name_servers_and_what_may_be_changed_there_are_read() {
    let overlay = with_name_server(NAME_SERVER, UPDATES);
    let runbook = read(&[("runbook.toml", GOOD), ("overlay.toml", &overlay)]).unwrap();
    let binding = runbook.bindings.last().unwrap();
    let server = &binding.name_servers["primary"];
    assert_eq!(
        (server.host.as_str(), server.port, server.zone.as_str()),
        ("ns1.example.test", 53, "example.test")
    );
    assert_eq!(
        (server.key.name.as_str(), server.key.algorithm),
        ("understudy", TsigAlgorithm::HmacSha512)
    );
    assert_eq!(
        server.key.secret,
        SecretSource::Environment("TSIG".to_owned())
    );
    let grant = &binding.dns_update[0];
    assert_eq!(grant.names, ["wp-active.example.test", "_acme-challenge.*"]);
    assert_eq!(grant.types, ["CNAME", "TXT"]);
}

#[test]
fn a_name_server_or_a_change_that_cannot_be_meant_is_refused() {
    let server = |from: &str, to: &str| (NAME_SERVER.replace(from, to), UPDATES.to_owned());
    let grant = |from: &str, to: &str| (NAME_SERVER.to_owned(), UPDATES.replace(from, to));
    for ((server, grant), words) in [
        (server("hmac-sha512", "hmac-md5"), "hmac-md5"),
        (server("Example.Test.", "example..test"), "`example..test`"),
        (server("zone =", "port = 0, zone ="), "port 0"),
        (server(r#"env = "TSIG""#, ""), "exactly one place"),
        (grant(r#"["primary"]"#, r#"["secondary"]"#), "`secondary`"),
        (grant(r#"["primary"]"#, "[]"), "names no server"),
        (grant("_acme-challenge.*", "*"), "a star at one end"),
        (grant("_acme-challenge.*", "a.*.b"), "a star at one end"),
        (grant("\"TXT\"", "\"txt\""), "use upper case"),
    ] {
        let overlay = with_name_server(&server, &grant);
        let errors = read(&[("runbook.toml", GOOD), ("overlay.toml", &overlay)]).unwrap_err();
        let errors = errors.render(false);
        assert!(errors.contains(words), "{errors}");
    }
}
