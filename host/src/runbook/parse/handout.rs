//! Texts that APIs hand out, and the kubeconfigs among them.

use std::collections::{BTreeMap, BTreeSet};

use super::door::Door;
use crate::runbook::raw::{At, RawCredential, RawHandout, RawKubeconfig, Text};
use crate::runbook::types::{Handout, KubeconfigSource};

/// The credentials of the binding.
type Slots = BTreeMap<Text, At<RawCredential>>;

/// A handout as it is written.
struct Written<'r> {
    url: &'r Text,
    credential: Option<&'r Text>,
    pointer: Option<&'r Text>,
    private: bool,
}

impl Door<'_> {
    pub(super) fn handout(&mut self, raw: &RawHandout, declared: &Slots) -> Option<Handout> {
        let written = Written {
            url: &raw.url,
            credential: raw.credential.as_ref(),
            pointer: raw.pointer.as_ref(),
            private: raw.private,
        };
        self.handed_out(&written, declared)
    }

    pub(super) fn kubeconfig(
        &mut self,
        kubeconfig: &At<RawKubeconfig>,
        declared: &Slots,
    ) -> Option<KubeconfigSource> {
        let raw = kubeconfig.value();
        let (env, file) = (raw.env.as_ref(), raw.file.as_ref());
        match &raw.url {
            Some(url) if env.is_none() && file.is_none() => {
                let written = Written {
                    url,
                    credential: raw.credential.as_ref(),
                    pointer: raw.pointer.as_ref(),
                    private: raw.private,
                };
                let handout = self.handed_out(&written, declared);
                handout.map(KubeconfigSource::Handout)
            }
            Some(_) => {
                self.contradiction(
                    &kubeconfig.span(),
                    "a kubeconfig comes from exactly one place".to_owned(),
                    "write one of `env = \"VARIABLE\"`, `file = \"path\"` and `url = \"https://…\"`",
                );
                None
            }
            None if raw.credential.is_some() || raw.pointer.is_some() || raw.private => {
                self.contradiction(
                    &kubeconfig.span(),
                    "`credential`, `pointer` and `private` are for a kubeconfig that an API hands out"
                        .to_owned(),
                    "leave them out, or name the API with `url`",
                );
                None
            }
            None => {
                let source = self.secret(&kubeconfig.span(), env, file);
                source.map(KubeconfigSource::Secret)
            }
        }
    }

    fn handed_out(&mut self, written: &Written<'_>, declared: &Slots) -> Option<Handout> {
        let declared: BTreeSet<&str> = declared.keys().map(|slot| slot.value().as_str()).collect();
        let url = self.url(written.url);
        if url.as_ref().is_some_and(|url| url.scheme() != "https") {
            self.invalid(
                "URL",
                written.url,
                "use `https:`: what is believed or sent afterwards comes from there",
            );
        }
        if let Some(slot) = written.credential {
            self.declared("credential", slot, &declared);
        }
        if let Some(pointer) = written.pointer
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
            url: url?,
            credential: written.credential.map(text),
            pointer: written.pointer.map(text),
            private: written.private,
        })
    }
}
