//! Issuers of a binding: accounts at ACME authorities.

use std::collections::BTreeMap;

use super::door::Door;
use crate::runbook::raw::{At, RawIssuer, Text};
use crate::runbook::types::Issuer;

impl Door<'_> {
    pub(super) fn issuers(
        &mut self,
        raw: &BTreeMap<Text, At<RawIssuer>>,
    ) -> BTreeMap<String, Issuer> {
        raw.iter()
            .filter_map(|(name, issuer)| {
                let read = self.issuer(issuer.value());
                Some((self.kebab("issuer's name", name)?, read?))
            })
            .collect()
    }

    fn issuer(&mut self, raw: &RawIssuer) -> Option<Issuer> {
        let directory = self.url(&raw.directory);
        if directory
            .as_ref()
            .is_some_and(|url| url.scheme() != "https")
        {
            self.invalid(
                "directory",
                &raw.directory,
                "an authority is asked by HTTPS alone (RFC 8555, 6.1)",
            );
        }
        let contact = raw.contact.as_ref().map(|contact| self.mail(contact));
        let account = self.path("file", &raw.account);
        let folder = self.path("folder", &raw.folder);
        Some(Issuer {
            directory: directory?,
            contact: match contact {
                Some(read) => Some(read?),
                None => None,
            },
            account: account?,
            folder: folder?,
        })
    }

    fn mail(&mut self, text: &Text) -> Option<String> {
        let fits = text.value().split_once('@').is_some_and(|(user, host)| {
            !user.is_empty() && host.contains('.') && !host.contains(['@', '?', ','])
        });
        if fits {
            return Some(text.value().clone());
        }
        self.invalid(
            "mail address",
            text,
            "write it bare, such as `ops@example.test`",
        );
        None
    }
}
