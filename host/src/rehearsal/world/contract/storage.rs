//! `understudy:storage/storage`.

use serde::{Deserialize, Serialize};

use super::super::World;
use super::super::site::Condition;
use super::{args, no_such_function, ok, outcome};
use crate::call::{CallError, Outcome, Reply, Request};
use crate::clock::millis;
use crate::name::SiteName;

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Observation {
    readable: bool,
    writable: bool,
    replication_lag_ms: Option<u64>,
}

#[derive(Deserialize)]
struct Place {
    site: SiteName,
    bucket: String,
}

impl World {
    pub(crate) fn storage(&mut self, request: &Request) -> Reply {
        let Place { site, bucket } = args(request)?;
        let Some(settings) = self.buckets.get(&bucket).cloned() else {
            return Err(CallError::NotFound(format!("no bucket `{bucket}`")));
        };
        self.reach(&site)?;
        let source = settings.home.filter(|home| *home != site);
        match request.function.function.as_str() {
            "observe" => ok(&Observation {
                readable: true,
                writable: !settings.closed_to.contains(&site),
                replication_lag_ms: source.map(|source| settings.lag.ms() + self.away_ms(&source)),
            }),
            "ensure-synced" => {
                let Some(source) = source else {
                    return outcome(Outcome::Unchanged);
                };
                let asked = *self.asked.first.entry(self.key.clone()).or_insert(self.now);
                if millis(self.now.since(asked)) >= settings.lag.ms() {
                    return outcome(Outcome::Unchanged);
                }
                if !self
                    .sites
                    .get(&source)
                    .is_some_and(|site| site.condition == Condition::Up)
                {
                    return Err(CallError::Conflict(format!(
                        "`{source}`, which bucket `{bucket}` is copied from, is out of reach"
                    )));
                }
                outcome(self.wait(
                    format!("sync of {bucket}"),
                    format!("objects on their way to {site}"),
                ))
            }
            _ => no_such_function(request),
        }
    }

    /// For how long a site has been away.
    fn away_ms(&self, site: &SiteName) -> u64 {
        let since = self.sites.get(site).and_then(|site| site.away_since);
        since.map_or(0, |since| millis(self.now.since(since)))
    }
}
