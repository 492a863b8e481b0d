//! The binding's configuration.

use std::collections::BTreeMap;

use serde::Deserialize;
use understudy_sdk::host::understudy::types::types::Error;
use understudy_sdk::provider::base_address;

/// JSON Schema of [`Config`], as `describe` answers it.
pub(crate) const SCHEMA: &str = include_str!("config.schema.json");

/// See `config.schema.json` for what each field means.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Config {
    buckets: BTreeMap<String, BTreeMap<String, Place>>,
    #[serde(default = "s3")]
    credential: String,
}

/// A bucket as a site uses it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Place {
    pub(crate) endpoint: String,
    pub(crate) bucket: String,
    #[serde(default)]
    pub(crate) prefix: String,
    source: Option<String>,
    #[serde(default)]
    pub(crate) credential: String,
}

impl Config {
    /// Reads and checks the configuration: every source is a place of its own.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut config: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        for (name, places) in &mut config.buckets {
            let sites: Vec<String> = places.keys().cloned().collect();
            for (site, place) in places {
                place.endpoint = base_address(std::mem::take(&mut place.endpoint));
                if place.credential.is_empty() {
                    place.credential.clone_from(&config.credential);
                }
                match &place.source {
                    Some(source) if source == site || !sites.contains(source) => {
                        return Err(format!(
                            "the source `{source}` of bucket `{name}` at `{site}` is no other place of it"
                        ));
                    }
                    _ => {}
                }
            }
        }
        Ok(config)
    }

    /// A bucket at a site, and the place that is copied to it.
    pub(crate) fn place(
        &self,
        site: &str,
        bucket: &str,
    ) -> Result<(&Place, Option<&Place>), Error> {
        let places = self.buckets.get(bucket);
        let place = places.and_then(|places| places.get(site)).ok_or_else(|| {
            Error::Invalid(format!(
                "no `{site}` under `buckets.{bucket}` of the s3 binding"
            ))
        })?;
        let source = place.source.as_ref();
        Ok((place, source.and_then(|source| places?.get(source))))
    }
}

fn s3() -> String {
    "s3".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_schema_leads_to_places_and_their_sources() {
        let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
        let config = Config::parse(&schema["examples"][0].to_string()).unwrap();
        let (place, source) = config.place("bz", "media").unwrap();
        assert_eq!(
            (place.bucket.as_str(), place.credential.as_str()),
            ("media-bz", "s3-bz")
        );
        assert_eq!(source.unwrap().credential, "s3");
        assert!(matches!(
            config.place("cz", "media"),
            Err(Error::Invalid(_))
        ));
        assert!(matches!(
            config.place("pz", "other"),
            Err(Error::Invalid(_))
        ));
    }

    #[test]
    fn a_source_that_is_no_other_place_is_refused() {
        for source in ["pz", "cz"] {
            let text = format!(
                r#"{{"buckets":{{"media":{{"pz":{{"endpoint":"https://o","bucket":"media","source":"{source}"}}}}}}}}"#
            );
            assert!(Config::parse(&text).unwrap_err().contains(source));
        }
    }
}
