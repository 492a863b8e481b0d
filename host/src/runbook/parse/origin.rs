//! Where kubeconfigs and roots come from: this host, or an API that hands them out.

use std::collections::{BTreeMap, BTreeSet};

use super::door::Door;
use crate::runbook::raw::{At, RawCredential, RawOrigin, Text};
use crate::runbook::types::{Handout, Origin};

/// The credentials of the binding.
type Slots = BTreeMap<Text, At<RawCredential>>;

impl Door<'_> {
    pub(super) fn origin(&mut self, origin: &At<RawOrigin>, declared: &Slots) -> Option<Origin> {
        let raw = origin.value();
        let (env, file) = (raw.env.as_ref(), raw.file.as_ref());
        match &raw.url {
            Some(url) if env.is_none() && file.is_none() => {
                let handout = self.handout(url, raw, declared);
                handout.map(Origin::Handout)
            }
            Some(_) => {
                self.contradiction(
                    &origin.span(),
                    "this comes from exactly one place".to_owned(),
                    "write one of `env = \"VARIABLE\"`, `file = \"path\"` and `url = \"https://…\"`",
                );
                None
            }
            None if raw.credential.is_some() || raw.pointer.is_some() || raw.private => {
                self.contradiction(
                    &origin.span(),
                    "`credential`, `pointer` and `private` are for what an API hands out"
                        .to_owned(),
                    "leave them out, or name the API with `url`",
                );
                None
            }
            None => {
                let source = self.secret(&origin.span(), env, file);
                source.map(Origin::Secret)
            }
        }
    }

    fn handout(&mut self, url: &Text, raw: &RawOrigin, declared: &Slots) -> Option<Handout> {
        let declared: BTreeSet<&str> = declared.keys().map(|slot| slot.value().as_str()).collect();
        let parsed = self.url(url);
        if parsed.as_ref().is_some_and(|url| url.scheme() != "https") {
            self.invalid(
                "URL",
                url,
                "use `https:`: what is believed or sent afterwards comes from there",
            );
        }
        if let Some(slot) = &raw.credential {
            self.declared("credential", slot, &declared);
        }
        if let Some(pointer) = &raw.pointer
            && !pointer.value().starts_with('/')
        {
            self.invalid(
                "pointer",
                pointer,
                "begin with `/`, such as `/ca/certificate`",
            );
        }
        let text = |text: &Text| text.value().clone();
        Some(Handout {
            url: parsed?,
            credential: raw.credential.as_ref().map(text),
            pointer: raw.pointer.as_ref().map(text),
            private: raw.private,
        })
    }
}
