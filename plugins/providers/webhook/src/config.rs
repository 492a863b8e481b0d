//! The binding's configuration, and the addresses it leads to. Pure.

use std::collections::BTreeMap;

use serde::Deserialize;
use understudy_sdk::host::understudy::types::types::Error;

/// JSON Schema of [`Config`], as `describe` answers it.
pub(crate) const SCHEMA: &str = include_str!("config.schema.json");

/// See `config.schema.json` for what each field means.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Config {
    #[serde(default)]
    sites: BTreeMap<String, String>,
    #[serde(default = "apps_path")]
    apps_path: String,
    #[serde(default)]
    channels: BTreeMap<String, String>,
    #[serde(default)]
    credential: Option<String>,
    #[serde(default = "one_second")]
    poll_after_ms: u64,
}

impl Config {
    /// Reads the configuration.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let config: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if !config.apps_path.starts_with('/') || !config.apps_path.contains("{app}") {
            return Err(format!(
                "apps-path `{}` has no `{{app}}` in it",
                config.apps_path
            ));
        }
        Ok(config)
    }

    /// Address of an application at a site.
    pub(crate) fn app_url(&self, site: &str, app: &str) -> Result<String, Error> {
        let base = self.sites.get(site).ok_or_else(|| {
            Error::Invalid(format!(
                "no address for site `{site}` under `sites` of the webhook binding"
            ))
        })?;
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~');
        if app.is_empty() || app.starts_with('.') || !app.bytes().all(is_plain) {
            return Err(Error::Invalid(format!(
                "`{app}` is not the name of an application: letters, digits, `-`, `_`, `.` and `~`, not beginning with `.`"
            )));
        }
        Ok(format!(
            "{}{}",
            base.trim_end_matches('/'),
            self.apps_path.replace("{app}", app)
        ))
    }

    /// Address at which a channel takes announcements.
    pub(crate) fn channel_url(&self, channel: &str) -> Result<String, Error> {
        self.channels.get(channel).cloned().ok_or_else(|| {
            let known: Vec<_> = self.channels.keys().map(String::as_str).collect();
            Error::NotFound(format!(
                "channel `{channel}`; configured are: {}",
                known.join(", ")
            ))
        })
    }

    /// Slot whose credential is attached.
    pub(crate) fn credential(&self) -> Option<&str> {
        self.credential.as_deref()
    }

    /// Wait before the next look in milliseconds.
    pub(crate) fn poll_after_ms(&self) -> u64 {
        self.poll_after_ms
    }
}

fn apps_path() -> String {
    "/apps/{app}".to_owned()
}

fn one_second() -> u64 {
    1000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
        Config::parse(&schema["examples"][0].to_string()).unwrap()
    }

    #[test]
    fn the_example_of_the_schema_leads_to_addresses() {
        let config = config();
        assert_eq!(
            config.app_url("bz", "wordpress").unwrap(),
            "https://admin.bz.example.test/apps/wordpress"
        );
        assert_eq!(
            config.channel_url("status-page").unwrap(),
            "https://status.example.test/announcements"
        );
    }

    #[test]
    fn unknown_sites_channels_and_unsafe_names_are_refused() {
        let config = config();
        assert!(matches!(
            config.app_url("cz", "wordpress"),
            Err(Error::Invalid(_))
        ));
        assert!(
            matches!(config.channel_url("chat"), Err(Error::NotFound(text)) if text.contains("status-page"))
        );
        for bad in ["", "..", "a/b", "a?b", "a b", "%2e"] {
            assert!(config.app_url("bz", bad).is_err(), "{bad}");
        }
        assert!(Config::parse(r#"{"apps-path":"/apps"}"#).is_err());
    }
}
