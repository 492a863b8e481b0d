//! What every strategy is told about the service, and the JSON Schema of it.
//!
//! Not here: what only one strategy is told. It reads that from [`Recovery::config`](crate::recovery::Recovery::config)
//! and gives its part of the schema to [`schema`].

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::Error;

/// What all strategies are told.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Parameters {
    /// The site that is left.
    pub from: String,
    /// The site that is gone to.
    pub to: String,
    /// The database, as its provider's configuration names it.
    pub database: String,
    /// The application, as its provider's configuration names it.
    pub app: String,
    /// Replicas of the application at `to`.
    pub replicas: u32,
    /// The names of the service.
    pub records: Records,
    /// The certificate that must be served at `to` before the flip.
    pub certificate: Certificate,
    /// Journeys of the runbook's `[probe]`; the first is the one that a client is served by.
    pub journeys: Vec<String>,
    /// Service level objectives; the first is the one whose misses date an outage. Empty where nothing measures them.
    #[serde(default)]
    pub objectives: Vec<String>,
    /// For how long the objectives must hold, in milliseconds.
    pub stability_window_ms: Option<u64>,
    /// Replicas of the application at `to` where the objectives are missed with the agreed number; none for that number still.
    pub scale_out: Option<u32>,
    /// Where else to look where users are not served as they should be.
    #[serde(default)]
    pub diagnosis: Diagnosis,
    /// How long what the application was asked before it refused writes may take to end, in milliseconds: the longest
    /// request that users wait for, and what a change takes to reach every replica.
    #[serde(default = "default_drain_ms")]
    pub drain_ms: u64,
    /// Percentage of the runbook's resolvers that is a majority of the clients.
    #[serde(default = "default_percent")]
    pub converged_percent: u32,
    /// Where uploads are kept; empty for nowhere.
    pub media_bucket: Option<String>,
    /// Public names with caches in front of them; empty where there are none.
    #[serde(default)]
    pub cached_hosts: Vec<String>,
    /// Where people are told; empty for nowhere.
    pub channel: Option<String>,
    /// True where the strategy opens and closes the public way in.
    #[serde(default = "yes")]
    pub expose: bool,
    /// True where replicas of the application may start before their database takes writes.
    #[serde(default = "yes")]
    pub warm_up: bool,
    /// What the organisation calls the roles, by the names used here.
    #[serde(default)]
    pub roles: BTreeMap<String, String>,
}

/// The names of the service.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Records {
    /// The name that users know, a `CNAME`. The only record a flip changes.
    pub active: String,
    /// The name of each site.
    pub targets: BTreeMap<String, String>,
    /// TTL during the change, in seconds.
    #[serde(default = "default_ttl_flip")]
    pub ttl_flip_seconds: u32,
    /// TTL in normal times, in seconds.
    #[serde(default = "default_ttl_normal")]
    pub ttl_normal_seconds: u32,
    /// True where the strategy itself writes the address of a new load balancer into the target's record, before the
    /// flip. False: it only checks that somebody has.
    #[serde(default)]
    pub publish_target: bool,
}

/// The certificate that must be served at `to` before the flip.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Certificate {
    /// What it is stored as.
    pub name: String,
    /// Who issues it.
    pub issuer: String,
    /// Names it is for; the active name is one of them.
    pub dns_names: Vec<String>,
    /// For how many more hours it must be valid.
    #[serde(default = "default_valid_hours")]
    pub min_valid_hours: u64,
    /// True where a throw-away certificate is issued before a graceful run, to prove that issuing works.
    #[serde(default = "yes")]
    pub test_issue: bool,
    /// True where the provider looks at certificates and issues none: somebody else does, and nobody asks for the issuer.
    #[serde(default)]
    pub issued_elsewhere: bool,
}

/// What of the cluster at `to` to look at where users are not served as they should be.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Diagnosis {
    /// The nodes.
    pub nodes: bool,
    /// Whose last lines are kept.
    pub logs: Vec<Pods>,
}

/// Pods of a namespace.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Pods {
    /// The namespace.
    pub namespace: String,
    /// Label selector; empty for all of the namespace.
    #[serde(default)]
    pub selector: String,
}

const fn yes() -> bool {
    true
}

const fn default_drain_ms() -> u64 {
    10_000
}

const fn default_percent() -> u32 {
    90
}

const fn default_ttl_flip() -> u32 {
    60
}

const fn default_ttl_normal() -> u32 {
    300
}

const fn default_valid_hours() -> u64 {
    7 * 24
}

impl Parameters {
    /// Parses the parameters.
    ///
    /// # Errors
    /// `invalid`: they do not have the shape of the schema.
    pub fn read(config: &str) -> Result<Self, Error> {
        let mut parameters: Self = serde_json::from_str(config)
            .map_err(|error| Error::Invalid(format!("parameters: {error}")))?;
        // An overlay can empty a text, not take it out.
        parameters.media_bucket = parameters.media_bucket.filter(|bucket| !bucket.is_empty());
        parameters.channel = parameters.channel.filter(|channel| !channel.is_empty());
        Ok(parameters)
    }

    /// The name of a site; empty where there is none, which [`problems`](Self::problems) forbids.
    #[must_use]
    pub fn target(&self, site: &str) -> &str {
        self.records.targets.get(site).map_or("", String::as_str)
    }

    /// For how long a certificate must still be valid, in milliseconds.
    #[must_use]
    pub fn min_valid_ms(&self) -> u64 {
        self.certificate.min_valid_hours.saturating_mul(3_600_000)
    }

    /// What the schema cannot say, one line per problem.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.from == self.to {
            problems.push(format!(
                "`from` and `to` are both `{}`: name two sites",
                self.from
            ));
        }
        for site in [&self.from, &self.to] {
            if self.target(site).is_empty() {
                problems.push(format!(
                    "`records.targets` has no name for site `{site}`: add `{site} = \"…\"`"
                ));
            }
        }
        for name in [self.records.active.as_str(), self.target(&self.to)] {
            if !covers(&self.certificate.dns_names, name) {
                problems.push(format!(
                    "`certificate.dns-names` does not cover `{name}`: the site would be flipped to without a valid certificate"
                ));
            }
        }
        if let Some(more) = self.scale_out.filter(|more| *more <= self.replicas) {
            problems.push(format!(
                "`scale-out` ({more}) is not above `replicas` ({}): leave it out, or name more",
                self.replicas
            ));
        }
        if self.records.ttl_flip_seconds > self.records.ttl_normal_seconds {
            problems.push(format!(
                "`records.ttl-flip-seconds` ({}) is above `records.ttl-normal-seconds` ({})",
                self.records.ttl_flip_seconds, self.records.ttl_normal_seconds
            ));
        }
        problems
    }
}

/// True where a certificate for `dns_names` is valid for `name`: the same name, or a wildcard for its first label
/// (RFC 6125, section 6.4.3).
#[must_use]
pub fn covers(dns_names: &[String], name: &str) -> bool {
    let parent = name.split_once('.').map(|(_, parent)| parent);
    dns_names.iter().any(|dns_name| {
        dns_name.eq_ignore_ascii_case(name)
            || dns_name.strip_prefix("*.").is_some_and(|suffix| {
                parent.is_some_and(|parent| parent.eq_ignore_ascii_case(suffix))
            })
    })
}

/// The JSON Schema of a strategy's parameters; `own` holds its own properties as JSON members, each ending in a comma.
#[must_use]
pub fn schema(title: &str, own: &str) -> String {
    format!(
        r#"{{"$schema":"https://json-schema.org/draft/2020-12/schema","title":"{title}","type":"object","additionalProperties":false,"required":["from","to","database","app","replicas","records","certificate","journeys"],"properties":{{{own}{SHARED}}}}}"#
    )
}

const SHARED: &str = r#""from":{"type":"string","description":"Site that is left"},
"to":{"type":"string","description":"Site that is gone to"},
"database":{"type":"string","minLength":1},
"app":{"type":"string","minLength":1},
"replicas":{"type":"integer","minimum":1,"maximum":10000,"description":"Replicas of the application at `to`"},
"records":{"type":"object","additionalProperties":false,"required":["active","targets"],"properties":{
"active":{"type":"string","description":"CNAME that users know; the only record a flip changes"},
"targets":{"type":"object","additionalProperties":{"type":"string"},"description":"Name of each site"},
"ttl-flip-seconds":{"type":"integer","minimum":1,"maximum":86400,"default":60},
"ttl-normal-seconds":{"type":"integer","minimum":1,"maximum":604800,"default":300},
"publish-target":{"type":"boolean","default":false,"description":"Write a new load balancer's address into the target's record before the flip"}}},
"certificate":{"type":"object","additionalProperties":false,"required":["name","issuer","dns-names"],"properties":{
"name":{"type":"string"},"issuer":{"type":"string"},
"dns-names":{"type":"array","items":{"type":"string"},"minItems":1},
"min-valid-hours":{"type":"integer","minimum":1,"maximum":8760,"default":168},
"test-issue":{"type":"boolean","default":true,"description":"Issue a throw-away certificate before a graceful run"},
"issued-elsewhere":{"type":"boolean","default":false,"description":"The provider looks at certificates and issues none: the issuer is not asked, and no throw-away certificate is issued"}}},
"journeys":{"type":"array","items":{"type":"string"},"minItems":1,"description":"Journeys of [probe]; the first is the one a client is served by"},
"objectives":{"type":"array","items":{"type":"string"},"default":[]},
"stability-window-ms":{"type":"integer","minimum":0,"maximum":86400000},
"scale-out":{"type":"integer","minimum":1,"maximum":10000,"description":"Replicas at `to` where the objectives are missed with `replicas`"},
"diagnosis":{"type":"object","additionalProperties":false,"description":"What of the cluster at `to` to look at where users are not served as they should be","properties":{
"nodes":{"type":"boolean","default":false},
"logs":{"type":"array","default":[],"items":{"type":"object","additionalProperties":false,"required":["namespace"],"properties":{
"namespace":{"type":"string","minLength":1},"selector":{"type":"string","default":"","description":"Label selector"}}}}}},
"drain-ms":{"type":"integer","minimum":0,"maximum":60000,"default":10000,"description":"How long requests under way may take to end once the application refuses writes"},
"converged-percent":{"type":"integer","minimum":1,"maximum":100,"default":90},
"media-bucket":{"type":"string","description":"Where uploads are kept; empty for nowhere"},
"cached-hosts":{"type":"array","items":{"type":"string","minLength":1},"default":[],"description":"Public names with caches in front of them, which are purged after the flip"},
"channel":{"type":"string","description":"Where people are told; empty for nowhere"},
"expose":{"type":"boolean","default":true,"description":"Open and close the public way in"},
"warm-up":{"type":"boolean","default":true,"description":"Start replicas, in maintenance, before their database takes writes"},
"roles":{"type":"object","additionalProperties":{"type":"string"},"description":"What the organisation calls the roles"}"#;

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"from":"pz","to":"bz","database":"d","app":"a","replicas":2,
        "records":{"active":"wp-active.example.test","targets":{"pz":"wp-pz.example.test","bz":"wp-bz.example.test"}},
        "certificate":{"name":"c","issuer":"i","dns-names":["*.example.test"]},"journeys":["front-page"]}"#;

    #[test]
    fn what_the_schema_cannot_say_is_checked() {
        let mut parameters = Parameters::read(GOOD).unwrap();
        assert_eq!(parameters.problems(), Vec::<String>::new());
        parameters.to = "pz".to_owned();
        parameters.certificate.dns_names = vec!["wp-pz.example.test".to_owned()];
        parameters.records.ttl_flip_seconds = 900;
        let problems = parameters.problems();
        assert_eq!(problems.len(), 3, "{problems:?}");
        parameters.to = "cz".to_owned();
        assert!(
            parameters
                .problems()
                .iter()
                .any(|problem| problem.contains("`cz`"))
        );
    }

    #[test]
    fn what_an_overlay_empties_is_not_there() {
        let emptied = GOOD.replacen('{', r#"{"media-bucket":"","channel":"","#, 1);
        let parameters = Parameters::read(&emptied).unwrap();
        assert_eq!((parameters.media_bucket, parameters.channel), (None, None));
    }

    #[test]
    fn a_wildcard_stands_for_one_label() {
        let names = ["*.example.test".to_owned()];
        assert!(covers(&names, "wp-active.example.test"));
        assert!(!covers(&names, "a.b.example.test"));
        assert!(!covers(&names, "example.test"));
    }

    #[test]
    fn the_schema_is_json_and_names_every_parameter() {
        let schema: serde_json::Value =
            serde_json::from_str(&schema("t", r#""own":{"type":"string"},"#)).unwrap();
        let properties = schema["properties"].as_object().unwrap();
        assert!(properties.contains_key("own") && properties.contains_key("converged-percent"));
        let given: serde_json::Value = serde_json::from_str(GOOD).unwrap();
        for key in given.as_object().unwrap().keys() {
            assert!(properties.contains_key(key), "{key}");
        }
    }
}
