//! Clusters of a binding, and what a provider may do in them.

use std::collections::{BTreeMap, BTreeSet};

use super::door::Door;
use crate::runbook::raw::{At, RawCluster, RawCredential, RawKubernetesGrant, Text};
use crate::runbook::types::{Cluster, KindName, KubernetesGrant, KubernetesVerb};

impl Door<'_> {
    pub(super) fn clusters(
        &mut self,
        raw: &BTreeMap<Text, At<RawCluster>>,
        credentials: &BTreeMap<Text, At<RawCredential>>,
    ) -> BTreeMap<String, Cluster> {
        raw.iter()
            .filter_map(|(name, cluster)| {
                let kubeconfig = self.origin(&cluster.value().kubeconfig, credentials);
                let cluster = Cluster {
                    kubeconfig: kubeconfig?,
                    context: cluster.value().context.clone(),
                };
                Some((self.kebab("cluster name", name)?, cluster))
            })
            .collect()
    }

    pub(super) fn kubernetes_grant(
        &mut self,
        grant: &At<RawKubernetesGrant>,
        declared: &BTreeMap<Text, At<RawCluster>>,
    ) -> Option<KubernetesGrant> {
        let raw = grant.value();
        let declared: BTreeSet<&str> = declared.keys().map(|name| name.value().as_str()).collect();
        for (what, none) in [
            ("cluster", raw.clusters.is_empty()),
            ("verb", raw.verbs.is_empty()),
            ("kind", raw.kinds.is_empty()),
        ] {
            if none {
                self.contradiction(
                    &grant.span(),
                    format!("this grant names no {what} and allows nothing"),
                    "write for example `{ clusters = [\"pz\"], verbs = [\"get\"], kinds = [\"apps/v1/Deployment\"], namespaces = [\"app\"] }`",
                );
            }
        }
        let listed = raw.verbs.contains(&KubernetesVerb::List);
        if listed && !raw.names.is_empty() {
            self.contradiction(
                &grant.span(),
                "a grant for objects of certain names cannot allow to list them".to_owned(),
                "give `list` a grant of its own, without `names`",
            );
        }
        let clusters = raw
            .clusters
            .iter()
            .filter(|name| self.declared("cluster", name, &declared))
            .map(|name| name.value().clone())
            .collect();
        let kinds: Vec<KindName> = raw
            .kinds
            .iter()
            .filter_map(|kind| self.kind_name(kind))
            .collect();
        if !raw.keys.is_empty() && !kinds.iter().any(|kind| kind.kind == "Secret") {
            self.contradiction(
                &grant.span(),
                "`keys` are those of a Secret, and this grant is for none".to_owned(),
                "leave `keys` out, or name the kind `v1/Secret`",
            );
        }
        let texts = |texts: &[Text]| texts.iter().map(|text| text.value().clone()).collect();
        Some(KubernetesGrant {
            clusters,
            verbs: raw.verbs.clone(),
            kinds,
            namespaces: texts(&raw.namespaces),
            names: texts(&raw.names),
            keys: texts(&raw.keys),
        })
    }

    /// `apps/v1/Deployment`: the kind is what stands behind the last `/`.
    fn kind_name(&mut self, text: &Text) -> Option<KindName> {
        let parts = text.value().rsplit_once('/');
        let fits = parts.filter(|(api_version, kind)| {
            let group = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-/".contains(c);
            api_version.split('/').all(|part| !part.is_empty())
                && api_version.split('/').count() <= 2
                && api_version.chars().all(group)
                && kind.starts_with(|c: char| c.is_ascii_uppercase())
                && kind.chars().all(|c| c.is_ascii_alphanumeric())
        });
        let Some((api_version, kind)) = fits else {
            let rule =
                "write group, version and kind, such as `apps/v1/Deployment`, or `v1/Secret`";
            self.invalid("kind", text, rule);
            return None;
        };
        Some(KindName {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
        })
    }
}
