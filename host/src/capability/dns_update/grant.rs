//! What a binding may change in zones: by server, name and type.

use crate::runbook::types::DnsUpdateGrant;

use super::super::Fault;
use super::Change;

/// Every change is granted.
///
/// # Errors
/// `denied`, with the line that would allow the first one that is not.
pub(super) fn allows(
    grants: &[DnsUpdateGrant],
    server: &str,
    changes: &[Change],
) -> Result<(), Fault> {
    for change in changes {
        let (name, kind) = change.set();
        let within = |grant: &DnsUpdateGrant| {
            grant.servers.iter().any(|one| one == server)
                && grant.types.iter().any(|one| one == kind)
                && grant.names.iter().any(|pattern| fits(pattern, name))
        };
        if !grants.iter().any(within) {
            let grant = format!(
                r#"dns-update = [{{ servers = ["{server}"], names = ["{name}"], types = ["{kind}"] }}]"#
            );
            let text = format!("no grant to change {name} {kind} at {server}");
            return Err(Fault::denied("CP0051", text, grant));
        }
    }
    Ok(())
}

/// Whether a name is one of a pattern: a whole name, `*.` and what stands behind it, or what stands before `.*`. The star
/// stands for one label or more.
fn fits(pattern: &str, name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    let pattern = pattern.to_ascii_lowercase();
    let rest = match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(behind), _) => name.strip_suffix(behind),
        (None, Some(before)) => name.strip_prefix(before),
        (None, None) => return name == pattern,
    };
    rest.is_some_and(|rest| !rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::{RecordSet, SetName};
    use super::*;

    #[test]
    fn a_star_is_one_label_or_more() {
        for (pattern, name, expected) in [
            ("wp-active.example.test", "wp-active.example.test", true),
            ("wp-active.example.test", "WP-Active.Example.Test.", true),
            ("wp-active.example.test", "x.wp-active.example.test", false),
            ("*.example.test", "wp.example.test", true),
            ("*.example.test", "a.b.example.test", true),
            ("*.example.test", "example.test", false),
            ("*.example.test", "badexample.test", false),
            ("_acme-challenge.*", "_acme-challenge.wp.example.test", true),
            ("_acme-challenge.*", "_acme-challenge", false),
            (
                "_acme-challenge.*",
                "wp._acme-challenge.example.test",
                false,
            ),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn every_change_needs_a_grant_of_its_own_server_name_and_type() {
        let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        let grants = [DnsUpdateGrant {
            servers: texts(&["primary"]),
            names: texts(&["wp-active.example.test"]),
            types: texts(&["CNAME"]),
        }];
        let set = |name: &str, kind: &str| SetName {
            name: name.to_owned(),
            kind: kind.to_owned(),
        };
        let flip = Change::Replace(RecordSet {
            name: "wp-active.example.test".to_owned(),
            kind: "CNAME".to_owned(),
            ttl_seconds: 5,
            contents: Vec::new(),
        });
        let others = [
            Change::Delete(set("wp-pz.example.test", "CNAME")),
            Change::Delete(set("wp-active.example.test", "A")),
        ];
        let alone = std::slice::from_ref(&flip);
        assert_eq!(allows(&grants, "primary", alone), Ok(()));
        assert!(allows(&grants, "secondary", alone).is_err());
        for other in others {
            let refused = allows(&grants, "primary", &[flip.clone(), other]);
            assert!(refused.unwrap_err().is_code("CP0051"));
        }
    }
}
