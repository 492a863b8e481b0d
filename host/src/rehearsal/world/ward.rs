//! What an effect does to people and their data, judged by what is true at the moment it is accepted, whatever the
//! strategy believes. Start at [`World::foresee`]: [`data`] and [`users`] have what it asks. The rules on traces say which
//! [`Hazard`] breaks which rule.
//!
//! An effect that a dead, throttled or lying control plane does not carry out is no hazard, and one call is judged
//! once, when it is first accepted.

mod data;
mod users;

use std::collections::BTreeSet;

use super::World;
use super::site::Condition;
use crate::call::{Direction, Reply, Request};
use crate::clock::Instant;
use crate::name::{SiteName, StepId};

/// A kind of harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hazard {
    /// A copy of a database was promoted while another one accepted writes.
    SecondWriter,
    /// Clients' writes that the promoted copy does not have, from the oldest to the outage or to the newest.
    Loss {
        /// How long, in milliseconds.
        ms: u64,
    },
    /// A database was fenced while clients' requests were under way that write: half of one may be acknowledged.
    CutOff,
    /// Users were sent where nothing answers them.
    NotServing,
    /// Users were sent where no valid certificate for their name is served.
    NoCertificate,
    /// Users were sent where their writes are refused.
    NoWriter,
    /// Users were sent elsewhere by another record than the one they ask for.
    OtherRecord,
    /// A record was changed whatever it held.
    NotCompared,
    /// Users were taken from a site that was not lost while resolvers still kept its address for long.
    LongTtl,
    /// An application was opened to users on a database that refuses writes.
    OpenedReadOnly,
    /// An application was pointed at a database of a dead site.
    DeadDependency,
    /// An object of a cluster was changed, not one of an application; or infrastructure while users were not well served.
    Infrastructure,
    /// A copy of a database was replaced that held clients' writes which are nowhere else.
    Discarded,
    /// Users were sent where their uploads are refused.
    NoMedia,
    /// At the end: resolvers are still told the short time to live of a flip.
    TtlLeftLow,
    /// At the end: there is a writer, and its data is nowhere else.
    Unprotected,
}

/// Harm that was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// When.
    pub at: Instant,
    /// The step that did it; `None` for what is so at the end.
    pub step: Option<StepId>,
    /// What.
    pub hazard: Hazard,
    /// What exactly, for people.
    pub what: String,
}

/// What was seen so far, and what is remembered to see more.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ward {
    seen: Vec<Sighting>,
    /// Keys of calls that were judged.
    judged: BTreeSet<String>,
    /// Highest TTL of the service's own record in seconds.
    highest_ttl: u32,
    /// Sites that died in this run, or whose data were destroyed: waiting before users are taken from one would help nobody.
    lost: BTreeSet<SiteName>,
    /// TTL that it was given by the last flip.
    flipped_with: Option<u32>,
    /// When resolvers that honour TTLs have forgotten every longer one of it.
    forgotten: Instant,
    /// An API claimed to have changed a record and had not: what resolvers keep is not the strategy's doing.
    pub(crate) lied_to: bool,
}

type Found = Vec<(Hazard, String)>;

impl World {
    /// What would be wrong with an effect if it were accepted now.
    pub(crate) fn foresee(&self, request: &Request) -> Found {
        if self.ward.judged.contains(&request.key.0) {
            return Found::new();
        }
        let short = request.function.interface.short();
        match (short, request.function.function.as_str()) {
            ("database", "ensure-promoted") => self.foresee_promotion(request),
            ("database", "ensure-fenced") => self.foresee_fence(request),
            ("database", "ensure-replica-of" | "ensure-restored") => {
                self.foresee_replacement(request)
            }
            ("dns", "ensure-record") => self.foresee_record(request),
            ("workload", function) if request.site.direction == Direction::Run => {
                self.foresee_workload(request, function)
            }
            ("infrastructure", "ensure-applied" | "ensure-destroyed") => {
                self.foresee_infrastructure(request)
            }
            ("kubernetes", "ensure-applied" | "ensure-patched" | "ensure-deleted") => {
                users::foresee_object(request)
            }
            _ => Found::new(),
        }
    }

    /// Takes note of what was foreseen of an effect, if it was accepted. One that is asked after again was accepted the first
    /// time, and is not judged by what has become of the world since.
    pub(crate) fn keep_watch(&mut self, request: &Request, found: Found, reply: &Reply) {
        let Ok(answer) = reply else {
            return;
        };
        let is_asked_after = answer.get("in-progress").is_some();
        if *answer == "unchanged" || (found.is_empty() && !is_asked_after) {
            return;
        }
        if !self.ward.judged.insert(request.key.0.clone()) {
            return;
        }
        let seen = found.into_iter().map(|(hazard, what)| Sighting {
            at: self.now,
            step: Some(request.site.step.clone()),
            hazard,
            what,
        });
        self.ward.seen.extend(seen);
    }

    /// Everything seen, with what is wrong at the end.
    #[must_use]
    pub fn sightings(&self) -> Vec<Sighting> {
        let at_end = self.unprotected();
        let at_end = at_end
            .into_iter()
            .chain(self.ttl_left_low())
            .map(|(hazard, what)| Sighting {
                at: self.now,
                step: None,
                hazard,
                what,
            });
        self.ward.seen.iter().cloned().chain(at_end).collect()
    }

    /// A site has died, or its data are destroyed.
    pub(crate) fn note_lost(&mut self, site: &SiteName) {
        self.ward.lost.insert(site.clone());
    }

    fn is_alive(&self, site: &SiteName) -> bool {
        let site = self.sites.get(site);
        site.is_some_and(|site| site.condition != Condition::Down)
    }
}
