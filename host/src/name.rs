//! Names of the domain, parsed once at the door: after it, no `String` stands for a thing.
//!
//! Each is a newtype with one constructor, [`FromStr`], which says in its error what a valid name looks like. Names are
//! copied into every record and request, so copies share their text.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

/// Longest name accepted, in bytes: long enough for any vendor's, short enough for every table and log line.
pub const MAX_NAME_BYTES: usize = 128;

/// A text that is not a name of the kind asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {kind}: {rule}")]
pub struct InvalidName {
    /// What was being read, for example `site name`.
    pub kind: &'static str,
    /// The text as it was given.
    pub text: String,
    /// What a valid one looks like.
    pub rule: &'static str,
}

/// Whether `text` is lower-case words of letters and digits, joined by single `-`.
pub(crate) fn is_kebab(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MAX_NAME_BYTES
        && text.split('-').all(|word| {
            !word.is_empty()
                && word
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        })
}

fn is_step_path(text: &str) -> bool {
    text.split_once('/')
        .is_some_and(|(strategy, step)| is_kebab(strategy) && is_kebab(step))
}

fn is_printable(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_NAME_BYTES && text.bytes().all(|b| b.is_ascii_graphic())
}

fn is_interface(text: &str) -> bool {
    let Some((namespace, rest)) = text.split_once(':') else {
        return false;
    };
    let Some((package, rest)) = rest.split_once('/') else {
        return false;
    };
    let (interface, version_ok) = match rest.split_once('@') {
        Some((interface, version)) => (
            interface,
            version.split('.').count() >= 3 && !version.contains(char::is_whitespace),
        ),
        None => (rest, true),
    };
    is_kebab(namespace) && is_kebab(package) && is_kebab(interface) && version_ok
}

fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|hex| {
        hex.len() == 64
            && hex
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    })
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $kind:literal, $check:ident, $rule:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $type(Arc<str>);

        impl $type {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                if $check(text) {
                    Ok(Self(text.into()))
                } else {
                    Err(InvalidName { kind: $kind, text: text.to_owned(), rule: $rule })
                }
            }
        }

        impl TryFrom<String> for $type {
            type Error = InvalidName;

            fn try_from(text: String) -> Result<Self, InvalidName> {
                text.parse()
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

name!(
    /// A site, for example `pz`.
    SiteName, "site name", is_kebab, "use lower-case words joined by `-`, such as `pz`"
);
name!(
    /// A plugin under the name the runbook gives it.
    PluginName, "plugin name", is_kebab, "use lower-case words joined by `-`, such as `powerdns`"
);
name!(
    /// A strategy under the name the runbook gives it; the first half of a [`StepId`].
    StrategyName, "strategy name", is_kebab, "use lower-case words joined by `-`, such as `replica`"
);
name!(
    /// A step of the merged plan, `strategy/step`.
    StepId, "step id", is_step_path, "use `strategy/step`, such as `replica/promote`"
);
name!(
    /// Who answers for a step or a gate, for example `incident-commander`.
    RoleName, "role", is_kebab, "use lower-case words joined by `-`, such as `db-lead`"
);
name!(
    /// A run. Printable, without spaces, good as a folder name.
    RunId, "run id", is_kebab, "use lower-case words joined by `-`"
);
name!(
    /// A WIT interface with its version, for example `understudy:dns/dns@0.1.0`.
    InterfaceName, "interface", is_interface, "use `namespace:package/interface@version`, such as `understudy:dns/dns@0.1.0`"
);
name!(
    /// The SHA-256 of a component's bytes, `sha256:` and 64 lower-case hexadecimal digits.
    PluginDigest, "digest", is_digest, "use `sha256:` and 64 lower-case hexadecimal digits"
);
name!(
    /// An item of a source runbook, for example `S0-A2.1`.
    ItemId, "item id", is_printable, "use printable characters without spaces, such as `S0-A2.1`"
);

impl StepId {
    /// The step `step` of `strategy`.
    ///
    /// # Errors
    /// [`InvalidName`] if `step` is not in kebab-case.
    pub fn new(strategy: &StrategyName, step: &str) -> Result<Self, InvalidName> {
        format!("{strategy}/{step}").parse()
    }

    /// The strategy half.
    #[must_use]
    pub fn strategy(&self) -> &str {
        self.0.split_once('/').map_or("", |(strategy, _)| strategy)
    }

    /// The step half, as the plugin knows it.
    #[must_use]
    pub fn step(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, step)| step)
    }
}

impl PluginDigest {
    /// The digest of a component's bytes.
    #[must_use]
    pub fn of(component: &[u8]) -> Self {
        use sha2::{Digest as _, Sha256};
        let hex = crate::call::hex(&Sha256::digest(component));
        Self(format!("sha256:{hex}").into())
    }
}

impl InterfaceName {
    /// The bare interface name: `dns` of `understudy:dns/dns@0.1.0`.
    #[must_use]
    pub fn short(&self) -> &str {
        let rest = self.0.split_once('/').map_or("", |(_, rest)| rest);
        rest.split_once('@').map_or(rest, |(name, _)| name)
    }

    /// Everything before the version: `understudy:dns/dns`.
    #[must_use]
    pub fn unversioned(&self) -> &str {
        self.0.split_once('@').map_or(&self.0, |(name, _)| name)
    }

    /// Whether this is what stands before the version.
    #[must_use]
    pub fn is(&self, unversioned: &str) -> bool {
        let rest = self.0.strip_prefix(unversioned);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('@'))
    }

    /// The namespace: `understudy` of `understudy:dns/dns@0.1.0`.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.0
            .split_once(':')
            .map_or("", |(namespace, _)| namespace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_at_the_door() {
        assert!("wp-active".parse::<SiteName>().is_ok());
        for bad in ["", "PZ", "a--b", "-a", "a b", "a_b"] {
            assert!(bad.parse::<SiteName>().is_err(), "{bad:?} must not pass");
        }
        assert!("replica/promote".parse::<StepId>().is_ok());
        assert!("promote".parse::<StepId>().is_err());
        let interface: InterfaceName = "understudy:dns/dns@0.1.0".parse().unwrap();
        assert_eq!(
            (interface.short(), interface.unversioned()),
            ("dns", "understudy:dns/dns")
        );
        assert!(interface.is("understudy:dns/dns") && !interface.is("understudy:dns/dn"));
        assert!("understudy:dns".parse::<InterfaceName>().is_err());
    }
}
