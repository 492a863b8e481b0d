//! ACME's delivery network through its HTTP API: the provider of an organisation's own contract, `acme:cdn/purge`.
//!
//! # What it needs on the server
//! An API that answers `GET /hosts/{host}` with `{"cached-from": ["pz"], "purging": false}` — the sites whose answers
//! are in its caches, and whether a purge is going on — and takes `POST /hosts/{host}/purges` with
//! `{"keep-from": "bz"}`, answering 202 at once. A credential in the binding's slot that may do both, and grants of the
//! host for `http` `GET` and `POST` below that address.
//!
//! # What each function does there
//! `ensure-purged`: looks; where something of another site is cached and no purge is going on, asks for one; answers
//! `in-progress` until the caches hold nothing but this site's answers.
//!
//! # Limits
//! What the API says is believed.

use serde::Deserialize;
use understudy_sdk::host::understudy::{http::http, types::types::Error};
use understudy_sdk::provider::{
    Configured, in_progress, is_success, json_request, read_json, response_error,
};

wit_bindgen::generate!({
    path: ["../../../../wit/types", "../../../../wit/control", "../../../../wit/database", "../../../../wit/dns",
            "../../../../wit/kubernetes", "../../../../wit/workload", "../../../../wit/certificates",
            "../../../../wit/ingress", "../../../../wit/infrastructure", "../../../../wit/storage", "../../../../wit/edge-cache", "../../../../wit/probe", "../../../../wit/metrics",
            "../../../../wit/notify", "../../../../wit/http", "../../../../wit/sql", "../../../../wit/tls", "../../../../wit/exec", "../../../../wit/dns-update", "../../../../wit/acme",
            "../../../../wit/plugin", "../wit"],
    inline: "package acme:cdn-provider; world cdn-provider {
        include understudy:plugin/provider-base@0.1.0;
        export acme:cdn/purge@1.0.0;
    }",
    world: "acme:cdn-provider/cdn-provider",
    with: {
        "understudy:types/types@0.1.0": understudy_sdk::host::understudy::types::types,
        "understudy:http/http@0.1.0": understudy_sdk::host::understudy::http::http,
        "understudy:sql/sql@0.1.0": understudy_sdk::host::understudy::sql::sql,
        "understudy:tls/tls@0.1.0": understudy_sdk::host::understudy::tls::tls,
        "understudy:kubernetes/api@0.1.0": understudy_sdk::host::understudy::kubernetes::api,
    },
    generate_all,
});

use exports::acme::cdn::purge;
use exports::understudy::plugin::provider;

/// JSON Schema of [`Config`].
const SCHEMA: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "additionalProperties": false,
  "required": ["api"],
  "properties": {
    "api": {
      "description": "Address of the network's API, without a path.",
      "type": "string",
      "pattern": "^https?://[^/?#]+$"
    },
    "credential": {
      "description": "Slot of the binding whose credential is attached; none by default.",
      "type": "string",
      "minLength": 1
    }
  },
  "examples": [{ "api": "https://cdn.acme.example.test", "credential": "api" }]
}"#;

/// Wait in milliseconds before looking again at a purge that is going on.
const POLL_AFTER_MS: u64 = 1000;

static CONFIG: Configured<Config> = Configured::new();

/// The configuration; [`SCHEMA`] says what each field means.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Config {
    api: String,
    #[serde(default)]
    credential: Option<String>,
}

/// What the caches in front of a host hold.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Caches {
    cached_from: Vec<String>,
    purging: bool,
}

/// What to do about it.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Nothing,
    Wait,
    Purge,
}

/// Decides from what was seen.
fn next(caches: &Caches, site: &str) -> Next {
    if caches.purging {
        Next::Wait
    } else if caches.cached_from.iter().all(|from| from == site) {
        Next::Nothing
    } else {
        Next::Purge
    }
}

/// The provider.
struct AcmeCdn;

impl provider::Guest for AcmeCdn {
    fn describe() -> provider::Description {
        provider::Description {
            name: "acme-cdn-provider".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "purges ACME's delivery network".to_owned(),
            config_schema: SCHEMA.to_owned(),
        }
    }

    fn configure(config: String) -> Result<(), String> {
        CONFIG.set(serde_json::from_str(&config).map_err(|error| error.to_string())?)
    }
}

impl purge::Guest for AcmeCdn {
    fn ensure_purged(site: String, host: String) -> Result<purge::Outcome, Error> {
        let config = CONFIG.get()?;
        let url = host_url(config, &host)?;
        let wait =
            |description: &str| in_progress(format!("purge {host}"), description, POLL_AFTER_MS);
        match next(&get_caches(config, &url)?, &site) {
            Next::Nothing => return Ok(purge::Outcome::Unchanged),
            Next::Wait => return Ok(wait("a purge is going on")),
            Next::Purge => {}
        }
        let body = serde_json::json!({ "keep-from": site });
        let request = json_request(
            "POST",
            format!("{url}/purges"),
            Some(&body),
            config.credential.as_deref(),
        );
        let response = http::send(&request)?;
        if !is_success(&response) {
            return Err(response_error(&format!("POST purge of {host}"), &response));
        }
        Ok(match next(&get_caches(config, &url)?, &site) {
            Next::Nothing => purge::Outcome::Changed,
            Next::Wait | Next::Purge => wait("the purge was asked for"),
        })
    }
}

/// Address of a host in the API.
fn host_url(config: &Config, host: &str) -> Result<String, Error> {
    let is_name = !host.is_empty()
        && host
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'));
    if is_name && !host.starts_with('.') {
        Ok(format!("{}/hosts/{host}", config.api))
    } else {
        Err(Error::Invalid(format!("`{host}` is not a host name")))
    }
}

/// Looks.
fn get_caches(config: &Config, url: &str) -> Result<Caches, Error> {
    let response = http::send(&json_request(
        "GET",
        url.to_owned(),
        None,
        config.credential.as_deref(),
    ))?;
    let asked = format!("GET {url}");
    if is_success(&response) {
        read_json(&asked, &response)
    } else {
        Err(response_error(&asked, &response))
    }
}

export!(AcmeCdn);

#[cfg(test)]
mod tests {
    use super::*;

    fn caches(cached_from: &[&str], purging: bool) -> Caches {
        Caches {
            cached_from: cached_from.iter().map(|site| (*site).to_owned()).collect(),
            purging,
        }
    }

    #[test]
    fn only_what_another_site_answered_is_purged_and_once() {
        assert_eq!(next(&caches(&["bz"], false), "bz"), Next::Nothing);
        assert_eq!(next(&caches(&[], false), "bz"), Next::Nothing);
        assert_eq!(next(&caches(&["pz", "bz"], false), "bz"), Next::Purge);
        assert_eq!(next(&caches(&["pz"], true), "bz"), Next::Wait);
    }

    #[test]
    fn the_example_of_the_schema_is_a_configuration_and_hosts_are_checked() {
        let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
        let config: Config = serde_json::from_value(schema["examples"][0].clone()).unwrap();
        assert_eq!(
            host_url(&config, "wp-active.example.test").unwrap(),
            "https://cdn.acme.example.test/hosts/wp-active.example.test"
        );
        assert!(host_url(&config, "a/../b").is_err());
        assert!(host_url(&config, "..").is_err());
    }
}
