//! What a binding may do to which objects: what it asks for, the grants that allow it, and the line that would.

use crate::runbook::types::{KindName, KubernetesGrant, KubernetesVerb};

use super::super::Fault;

/// Something that is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) cluster: &'a str,
    pub(super) verb: KubernetesVerb,
    pub(super) kind: &'a KindName,
    /// Empty for objects that belong to none.
    pub(super) namespace: &'a str,
    /// Empty for all of a namespace.
    pub(super) name: &'a str,
}

impl Wanted<'_> {
    /// The grants that allow it. Each object is compared by its whole name; nothing is a pattern.
    ///
    /// # Errors
    /// `denied`, with the line that would allow exactly this.
    pub(super) fn granted<'g>(
        &self,
        grants: &'g [KubernetesGrant],
    ) -> Result<Vec<&'g KubernetesGrant>, Fault> {
        let allowing: Vec<_> = grants.iter().filter(|grant| self.within(grant)).collect();
        if allowing.is_empty() {
            return Err(self.denied(&[]));
        }
        Ok(allowing)
    }

    /// The refusal, where `keys` of a Secret are what is missing.
    pub(super) fn denied(&self, keys: &[&str]) -> Fault {
        let keyed = match keys {
            [] => String::new(),
            keys => format!(" with the keys {}", keys.join(", ")),
        };
        let text = format!("no grant to {self}{keyed}");
        Fault::denied("CP0020", text, self.line(keys))
    }

    fn within(&self, grant: &KubernetesGrant) -> bool {
        let has = |names: &[String], name: &str| names.iter().any(|one| one == name);
        let place = match self.namespace {
            "" => grant.namespaces.is_empty(),
            namespace => has(&grant.namespaces, namespace),
        };
        let named = grant.names.is_empty() || has(&grant.names, self.name);
        has(&grant.clusters, self.cluster)
            && grant.verbs.contains(&self.verb)
            && grant.kinds.contains(self.kind)
            && place
            && named
    }

    fn line(&self, keys: &[&str]) -> String {
        let list = |key: &str, values: &[&str]| match values {
            [] | [""] => String::new(),
            values => {
                let quoted: Vec<_> = values.iter().map(|value| format!(r#""{value}""#)).collect();
                format!(", {key} = [{}]", quoted.join(", "))
            }
        };
        format!(
            r#"kubernetes = [{{ clusters = ["{}"], verbs = ["{}"], kinds = ["{}"]{}{}{} }}]"#,
            self.cluster,
            self.verb,
            self.kind,
            list("namespaces", &[self.namespace]),
            list("names", &[self.name]),
            list("keys", keys),
        )
    }
}

impl std::fmt::Display for Wanted<'_> {
    /// `get apps/v1/Deployment app/wordpress of pz`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.verb, self.kind)?;
        match (self.namespace, self.name) {
            ("", "") => {}
            ("", name) => write!(f, " {name}")?,
            (namespace, "") => write!(f, " of namespace {namespace}")?,
            (namespace, name) => write!(f, " {namespace}/{name}")?,
        }
        write!(f, " in {}", self.cluster)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use KubernetesVerb::{Get, List, Patch};

    fn kind(api_version: &str, kind: &str) -> KindName {
        KindName {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
        }
    }

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    fn grant(verbs: &[KubernetesVerb], namespaces: &[&str], names: &[&str]) -> KubernetesGrant {
        KubernetesGrant {
            clusters: texts(&["pz"]),
            verbs: verbs.to_vec(),
            kinds: vec![kind("apps/v1", "Deployment")],
            namespaces: texts(namespaces),
            names: texts(names),
            keys: Vec::new(),
        }
    }

    #[test]
    fn every_part_of_a_grant_must_fit_as_it_stands() {
        let deployment = kind("apps/v1", "Deployment");
        let older = kind("apps/v1beta1", "Deployment");
        let wanted = Wanted {
            cluster: "pz",
            verb: Get,
            kind: &deployment,
            namespace: "app",
            name: "wordpress",
        };
        let grants = [grant(&[Get, List], &["app"], &[])];
        for (asked, expected) in [
            (wanted, true),
            (
                Wanted {
                    cluster: "bz",
                    ..wanted
                },
                false,
            ),
            (
                Wanted {
                    verb: Patch,
                    ..wanted
                },
                false,
            ),
            (
                Wanted {
                    kind: &older,
                    ..wanted
                },
                false,
            ),
            (
                Wanted {
                    namespace: "apps",
                    ..wanted
                },
                false,
            ),
            (
                Wanted {
                    namespace: "",
                    ..wanted
                },
                false,
            ),
            (
                Wanted {
                    verb: List,
                    name: "",
                    ..wanted
                },
                true,
            ),
        ] {
            assert_eq!(asked.granted(&grants).is_ok(), expected, "{asked}");
        }
        let named = [grant(&[Get, List], &["app"], &["wordpress"])];
        assert!(wanted.granted(&named).is_ok());
        assert!(
            Wanted {
                name: "other",
                ..wanted
            }
            .granted(&named)
            .is_err()
        );
        assert!(
            Wanted {
                verb: List,
                name: "",
                ..wanted
            }
            .granted(&named)
            .is_err()
        );
    }

    #[test]
    fn objects_without_a_namespace_need_a_grant_without_one() {
        let kind = kind("apps/v1", "Deployment");
        let wanted = Wanted {
            cluster: "pz",
            verb: Get,
            kind: &kind,
            namespace: "",
            name: "x",
        };
        assert!(wanted.granted(&[grant(&[Get], &[], &[])]).is_ok());
        assert!(wanted.granted(&[grant(&[Get], &["app"], &[])]).is_err());
    }

    #[test]
    fn the_line_to_add_is_exact() {
        let secret = kind("v1", "Secret");
        let wanted = Wanted {
            cluster: "pz",
            verb: Patch,
            kind: &secret,
            namespace: "app",
            name: "wordpress-database",
        };
        assert_eq!(
            wanted.line(&["endpoint"]),
            r#"kubernetes = [{ clusters = ["pz"], verbs = ["patch"], kinds = ["v1/Secret"], namespaces = ["app"], names = ["wordpress-database"], keys = ["endpoint"] }]"#
        );
        let node = kind("v1", "Node");
        let wanted = Wanted {
            verb: List,
            kind: &node,
            namespace: "",
            name: "",
            ..wanted
        };
        assert_eq!(
            wanted.line(&[]),
            r#"kubernetes = [{ clusters = ["pz"], verbs = ["list"], kinds = ["v1/Node"] }]"#
        );
    }
}
