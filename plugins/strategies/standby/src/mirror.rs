//! Secrets and configuration of the site that waits hold what those of the other hold, but for what each site has of its own:
//! [`findings`]. Nobody sees a value; what is compared are digests.

use std::collections::BTreeMap;

use understudy_recovery::check::judged;
use understudy_recovery::recovery::Recovery;
use understudy_recovery::{Error, Finding};
use understudy_sdk::strategy::understudy::kubernetes::kubernetes::{self, ObjectRef, ValueDigests};

use crate::parameters::Mirrored;

/// How often both sites are asked until one host has made the digests of both. Every time after the first means that another
/// host took the run over between the two answers.
const ROUNDS: u32 = 5;

/// One for each object that is named.
pub(crate) fn findings(recovery: &Recovery, mirrored: &[Mirrored]) -> Vec<Finding> {
    let sites = [recovery.from(), recovery.to()];
    let finding = |one: &Mirrored| {
        let id = format!("{}-of-{}-mirrored", one.name(), one.namespace);
        let read = comparable(
            |site| kubernetes::get_value_digests(site, &one.object()),
            sites,
        );
        judged(&id, read, |digests| one.compared(&digests, sites))
    };
    mirrored.iter().map(finding).collect()
}

/// What both sites answer, made by one host.
fn comparable(
    ask: impl Fn(&str) -> Result<ValueDigests, Error>,
    [from, to]: [&str; 2],
) -> Result<[ValueDigests; 2], Error> {
    for _ in 0..ROUNDS {
        let digests = [ask(from)?, ask(to)?];
        if digests[0].made_with == digests[1].made_with {
            return Ok(digests);
        }
    }
    Err(Error::Other(
        "digests of two hosts were answered each time: nothing can be compared".to_owned(),
    ))
}

impl Mirrored {
    fn name(&self) -> &str {
        let named = self.secret.as_ref().or(self.config_map.as_ref());
        named.map_or("", String::as_str)
    }

    fn object(&self) -> ObjectRef {
        let kind = if self.secret.is_some() {
            "Secret"
        } else {
            "ConfigMap"
        };
        ObjectRef {
            api_version: "v1".to_owned(),
            kind: kind.to_owned(),
            namespace: self.namespace.clone(),
            name: self.name().to_owned(),
        }
    }

    /// Whether both have the same keys, and the same values for those that do not differ by intent.
    fn compared(&self, digests: &[ValueDigests; 2], [from, to]: [&str; 2]) -> (bool, String) {
        let [there, here] = digests.each_ref().map(by_name);
        let mut problems = Vec::new();
        for (key, value) in &there {
            match here.get(key) {
                None => problems.push(format!("{to} has no `{key}`")),
                Some(own) if own != value && !self.differs.iter().any(|one| one == key) => {
                    problems.push(format!("`{key}` is another one at {to} than at {from}"));
                }
                Some(_) => {}
            }
        }
        let own = here.keys().filter(|key| !there.contains_key(*key));
        problems.extend(own.map(|key| format!("{from} has no `{key}`")));
        let nowhere =
            |key: &&String| !there.contains_key(key.as_str()) && !here.contains_key(key.as_str());
        let nowhere = self.differs.iter().filter(nowhere);
        problems.extend(nowhere.map(|key| format!("neither site has `{key}`")));
        if problems.is_empty() {
            let keys = there.keys().copied().collect::<Vec<_>>().join(", ");
            return (true, format!("both sites have {keys}"));
        }
        (false, problems.join("; "))
    }
}

fn by_name(digests: &ValueDigests) -> BTreeMap<&str, &str> {
    let values = digests.values.iter();
    values
        .map(|one| (one.name.as_str(), one.digest.as_str()))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use understudy_sdk::strategy::understudy::kubernetes::kubernetes::ValueDigest;

    use super::*;

    const SITES: [&str; 2] = ["pz", "bz"];

    fn digests(made_with: &str, values: &[(&str, &str)]) -> ValueDigests {
        let value = |&(name, digest): &(&str, &str)| ValueDigest {
            name: name.to_owned(),
            digest: digest.to_owned(),
        };
        ValueDigests {
            made_with: made_with.to_owned(),
            values: values.iter().map(value).collect(),
        }
    }

    fn secret(differs: &[&str]) -> Mirrored {
        Mirrored {
            namespace: "app".to_owned(),
            secret: Some("db".to_owned()),
            differs: differs.iter().map(|&key| key.to_owned()).collect(),
            ..Mirrored::default()
        }
    }

    #[test]
    fn every_key_is_there_and_the_same_but_for_those_that_differ_by_intent() {
        let there = [("host", "a"), ("password", "b")];
        let compared = |differs: &[&str], here: &[(&str, &str)]| {
            let both = [digests("h", &there), digests("h", here)];
            secret(differs).compared(&both, SITES)
        };
        let (holds, said) = compared(&["host"], &[("host", "c"), ("password", "b")]);
        assert!(holds && said == "both sites have host, password", "{said}");
        assert!(compared(&["host"], &there).0, "it may differ, and need not");
        for (differs, here, words) in [
            (
                &[][..],
                &[("host", "c"), ("password", "b")][..],
                "`host` is another one at bz than at pz",
            ),
            (
                &["host"],
                &[("host", "c"), ("password", "d")],
                "`password` is another one at bz than at pz",
            ),
            (&["host"], &[("password", "b")], "bz has no `host`"),
            (&[], &[("host", "a")], "bz has no `password`"),
            (
                &[],
                &[("host", "a"), ("password", "b"), ("user", "e")],
                "pz has no `user`",
            ),
            (&["port"], &there, "neither site has `port`"),
        ] {
            assert_eq!(compared(differs, here), (false, words.to_owned()));
        }
    }

    #[test]
    fn what_a_host_that_died_was_told_is_asked_for_again() {
        let asked = Cell::new(0);
        let ask = |_: &str| {
            asked.set(asked.get() + 1);
            let host = if asked.get() == 1 { "dead" } else { "alive" };
            Ok(digests(host, &[("password", host)]))
        };
        let both = comparable(ask, SITES).unwrap();
        assert_eq!(asked.get(), 4);
        assert!(secret(&[]).compared(&both, SITES).0);
        let each_time_another = |_: &str| {
            asked.set(asked.get() + 1);
            Ok(digests(&asked.get().to_string(), &[]))
        };
        assert!(comparable(each_time_another, SITES).is_err());
    }

    #[test]
    fn what_is_asked_for_is_the_object_that_is_named() {
        let settings = Mirrored {
            secret: None,
            config_map: Some("settings".to_owned()),
            ..secret(&[])
        };
        let of = |one: &Mirrored| {
            let object = one.object();
            format!("{} {}/{}", object.kind, object.namespace, object.name)
        };
        assert_eq!(of(&secret(&[])), "Secret app/db");
        assert_eq!(of(&settings), "ConfigMap app/settings");
    }
}
