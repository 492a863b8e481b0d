//! `understudy:edge-cache/edge-cache`.

use serde::{Deserialize, Serialize};

use super::super::World;
use super::{args, no_such_function, ok, outcome};
use crate::call::{CallError, Outcome, Reply, Request};

/// Types of records that lead users somewhere.
const LEADING: [&str; 3] = ["A", "AAAA", "CNAME"];

#[derive(Serialize)]
struct Observation {
    cached: bool,
}

#[derive(Deserialize)]
struct Host {
    host: String,
}

#[derive(Deserialize)]
struct Hosts {
    hosts: Vec<String>,
}

impl World {
    pub(crate) fn edge_cache(&mut self, request: &Request) -> Reply {
        match request.function.function.as_str() {
            "observe" => {
                let Host { host } = args(request)?;
                self.is_public(&host)?;
                ok(&Observation {
                    cached: self.is_cached(&host),
                })
            }
            "ensure-purged" => {
                let Hosts { hosts } = args(request)?;
                if hosts.is_empty() {
                    return Err(CallError::Invalid("no name to purge".to_owned()));
                }
                hosts.iter().try_for_each(|host| self.is_public(host))?;
                if hosts.iter().any(|host| self.is_cached(host)) {
                    self.purge_edge();
                }
                // No record is kept of purges: again is once more.
                outcome(Outcome::Changed)
            }
            _ => no_such_function(request),
        }
    }

    fn is_cached(&self, host: &str) -> bool {
        self.edge.is_some() && host == self.clients.name
    }

    fn is_public(&self, host: &str) -> Result<(), CallError> {
        let leads = |kind: &&str| self.zone.get(host, kind).is_some();
        if LEADING.iter().any(leads) {
            return Ok(());
        }
        Err(CallError::NotFound(format!("no public name `{host}`")))
    }
}
