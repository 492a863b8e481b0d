//! Name servers of a binding, and what a provider may change in their zones.

use std::collections::{BTreeMap, BTreeSet};

use super::door::Door;
use crate::runbook::raw::{At, RawDnsUpdateGrant, RawNameServer, RawSecret, Text};
use crate::runbook::types::{DnsUpdateGrant, NameServer, TsigKey};

/// Where name servers listen (RFC 1035, 4.2).
const PORT: u16 = 53;

/// Longest name in characters, without the last dot (RFC 1035, 2.3.4).
const NAME_CHARS: usize = 253;

impl Door<'_> {
    pub(super) fn name_servers(
        &mut self,
        raw: &BTreeMap<Text, At<RawNameServer>>,
    ) -> BTreeMap<String, NameServer> {
        raw.iter()
            .filter_map(|(name, server)| {
                let read = self.name_server(server.value());
                Some((self.kebab("name server's name", name)?, read?))
            })
            .collect()
    }

    fn name_server(&mut self, raw: &RawNameServer) -> Option<NameServer> {
        let host = self.host(&raw.host);
        let port = raw.port.as_ref().map_or(PORT, |port| *port.value());
        if let Some(zero) = raw.port.as_ref().filter(|port| *port.value() == 0) {
            self.contradiction(
                &zero.span(),
                "port 0 cannot be reached".to_owned(),
                "use the port of the server, or leave it out for 53",
            );
        }
        let zone = self.domain_name(&raw.zone);
        let key = raw.key.value();
        let name = self.domain_name(&key.name);
        let RawSecret { env, file } = key.secret.value();
        let secret = self.secret(&key.secret.span(), env.as_ref(), file.as_ref());
        Some(NameServer {
            host: host?,
            port,
            zone: zone?,
            key: TsigKey {
                name: name?,
                algorithm: key.algorithm,
                secret: secret?,
            },
        })
    }

    pub(super) fn dns_update_grant(
        &mut self,
        grant: &At<RawDnsUpdateGrant>,
        declared: &BTreeMap<Text, At<RawNameServer>>,
    ) -> Option<DnsUpdateGrant> {
        let raw = grant.value();
        for (what, none) in [
            ("server", raw.servers.is_empty()),
            ("name", raw.names.is_empty()),
            ("type", raw.types.is_empty()),
        ] {
            if none {
                self.contradiction(
                    &grant.span(),
                    format!("this grant names no {what} and allows nothing"),
                    "write for example `{ servers = [\"primary\"], names = [\"wp-active.example.test\"], types = [\"CNAME\"] }`",
                );
            }
        }
        let declared: BTreeSet<&str> = declared.keys().map(|name| name.value().as_str()).collect();
        let servers = raw
            .servers
            .iter()
            .filter(|name| self.declared("name server", name, &declared))
            .map(|name| name.value().clone())
            .collect();
        let names: Vec<Option<String>> = raw
            .names
            .iter()
            .map(|name| self.name_pattern(name))
            .collect();
        let types: Vec<Option<String>> = raw
            .types
            .iter()
            .map(|kind| self.record_type(kind))
            .collect();
        Some(DnsUpdateGrant {
            servers,
            names: names.into_iter().collect::<Option<_>>()?,
            types: types.into_iter().collect::<Option<_>>()?,
        })
    }

    /// A name in lower case without the last dot.
    fn domain_name(&mut self, text: &Text) -> Option<String> {
        let name = normal(text.value());
        if !is_name(&name) {
            self.invalid(
                "domain name",
                text,
                "use labels of letters, digits, `-` and `_` joined by dots, such as `example.test`",
            );
            return None;
        }
        Some(name)
    }

    /// The same, with a star for the labels at one of its ends.
    fn name_pattern(&mut self, text: &Text) -> Option<String> {
        let pattern = normal(text.value());
        let fixed = pattern
            .strip_prefix("*.")
            .or_else(|| pattern.strip_suffix(".*"))
            .unwrap_or(&pattern);
        if !is_name(fixed) {
            self.invalid(
                "name of records",
                text,
                "write a whole name, such as `wp-active.example.test`, or a star at one end, such as `*.example.test` or `_acme-challenge.*`",
            );
            return None;
        }
        Some(pattern)
    }

    fn record_type(&mut self, text: &Text) -> Option<String> {
        let kind = text.value();
        if !kind.is_empty() && kind.bytes().all(|b| b.is_ascii_uppercase()) {
            return Some(kind.clone());
        }
        self.invalid("record type", text, "use upper case, such as `CNAME`");
        None
    }
}

fn normal(text: &str) -> String {
    text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase()
}

fn is_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    name.len() <= NAME_CHARS && name.split('.').all(label)
}
