//! `understudy:notify/notify`.

use serde::Deserialize;

use super::super::World;
use super::{args, no_such_function, outcome};
use crate::call::{CallError, Outcome, Reply, Request};

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Severity {
    Info,
    Warning,
    Critical,
}

#[derive(Deserialize)]
struct Announcement {
    key: String,
    #[serde(rename = "title")]
    _title: String,
    #[serde(rename = "body")]
    _body: String,
    #[serde(rename = "severity")]
    _severity: Severity,
}

#[derive(Deserialize)]
struct Announce {
    channel: String,
    announcement: Announcement,
}

impl World {
    pub(crate) fn notify(&mut self, request: &Request) -> Reply {
        if request.function.function != "ensure-announced" {
            return no_such_function(request);
        }
        let Announce {
            channel,
            announcement,
        } = args(request)?;
        let Some(shown) = self.channels.get_mut(&channel) else {
            return Err(CallError::NotFound(format!("no channel `{channel}`")));
        };
        outcome(if shown.insert(announcement.key) {
            Outcome::Changed
        } else {
            Outcome::Unchanged
        })
    }
}
