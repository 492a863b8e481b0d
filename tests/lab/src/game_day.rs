//! The game-day: the wordpress runbook on two whole zones under traffic, and what came of it: as the runs report it, and as
//! users, resolvers and databases say.
//!
//! Start at [`play`]. [`ACTS`] is the programme; [`watch`] looks at the name servers all the while, [`figures`] are what is
//! counted of an act, [`fidelity`] lays its rehearsal beside it, [`table`] shows them.

pub mod fidelity;
pub mod figures;
pub mod table;
pub mod watch;

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use self::fidelity::Fidelity;
use self::figures::{Felt, Reported};
use self::watch::Watch;
use crate::clock::{eventually, now_ms};
use crate::host::Host;
use crate::platform::Platform;
use crate::wordpress::users::{Missing, Writers, audit};
use crate::zone::LIMIT;

/// Time between two things that the users do.
const PACE: Duration = Duration::from_millis(200);
/// Things that users must have been acknowledged before an act begins, and after it moved them.
const SOME: usize = 10;
/// How long pictures may take to follow to the other zone before they count as lost.
const FOLLOWING: Duration = Duration::from_secs(10);

/// One leg of the day.
#[derive(Debug, Clone, Copy)]
pub struct Act {
    /// What happens, for people.
    pub title: &'static str,
    /// Procedure of the runbook.
    pub procedure: &'static str,
    /// Zone that is left.
    pub from: &'static str,
    /// Zone that is gone to.
    pub to: &'static str,
    /// What happens before the run.
    pub disaster: Disaster,
    /// File in `tests/lab/scenarios` that says what the zones are like before it.
    pub scenario: &'static str,
}

/// What is lost before a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disaster {
    /// Nothing.
    Nothing,
    /// The zone that is left loses its line to the other one, takes [`SOME`] more writes and is killed, database, node and
    /// control plane. It comes back once users are served again.
    Zone,
    /// The copy of the database at the zone gone to.
    Copy,
}

/// The database's copy at a zone is lost: nothing replicates into it any more.
const LOSE_COPY: &str = "STOP SLAVE; RESET SLAVE ALL; SET sql_log_bin = 0; DROP DATABASE wordpress";

/// The day's programme.
pub const ACTS: [Act; 4] = [
    Act {
        title: "A: pz dies, the replica is promoted",
        procedure: "failover",
        from: "pz",
        to: "bz",
        disaster: Disaster::Zone,
        scenario: "zones-lost.toml",
    },
    Act {
        title: "home from A",
        procedure: "failback",
        from: "bz",
        to: "pz",
        disaster: Disaster::Nothing,
        scenario: "zones-home.toml",
    },
    Act {
        title: "B: bz has no copy, a backup is restored",
        procedure: "failover-restore",
        from: "pz",
        to: "bz",
        disaster: Disaster::Copy,
        scenario: "zones-restored.toml",
    },
    Act {
        title: "home from B",
        procedure: "failback",
        from: "bz",
        to: "pz",
        disaster: Disaster::Nothing,
        scenario: "zones-home.toml",
    },
];

/// What came of an act.
#[derive(Debug, Clone)]
pub struct Played {
    /// Which one.
    pub act: Act,
    /// The run that did it.
    pub run: String,
    /// What the run says of itself.
    pub reported: Reported,
    /// What users, resolvers and databases say.
    pub felt: Felt,
    /// What a rehearsal of it makes of it.
    pub fidelity: Fidelity,
}

/// Plays the whole day, `pz` serving at first. `said` is told how it goes.
///
/// # Errors
/// Where a run does not end well, or users are not served by whoever should serve them.
pub async fn play(
    platform: &mut Platform,
    host: &Host,
    mut said: impl FnMut(&str),
) -> Result<Vec<Played>> {
    let users = platform.users(PACE);
    let watch = Watch::start(&platform.names);
    let mut played = Vec::new();
    let mut lost = BTreeSet::new();
    for act in ACTS {
        said(act.title);
        let one = act
            .play(platform, host, &users, &watch, &mut lost)
            .await
            .with_context(|| format!("{}: {}", act.title, host.log()))?;
        played.push(one);
    }
    Ok(played)
}

impl Act {
    /// Whether the zone that is left dies.
    #[must_use]
    pub fn loses_zone(self) -> bool {
        self.disaster == Disaster::Zone
    }

    async fn play(
        self,
        platform: &mut Platform,
        host: &Host,
        users: &Writers,
        watch: &Watch,
        lost: &mut BTreeSet<u64>,
    ) -> Result<Played> {
        users.acknowledged_by(self.from, SOME, LIMIT).await?;
        let copy = platform.databases.at(self.to).context("no such zone")?;
        match self.disaster {
            Disaster::Nothing => {}
            Disaster::Copy => copy.execute(LOSE_COPY).await?,
            Disaster::Zone => {
                copy.stop_receiving().await?;
                users.acknowledged_by(self.from, SOME, LIMIT).await?;
            }
        }
        let begun_ms = now_ms();
        if self.loses_zone() {
            platform.kill(self.from)?;
        }
        let mode = if self.loses_zone() {
            "ungraceful"
        } else {
            "graceful"
        };
        let mut running = host.run(self.procedure, mode)?;
        tokio::select! {
            served = users.acknowledged_by(self.to, SOME, LIMIT) => served?,
            ended = running.wait() => ensure!(ended?.success(), "the run did not end well"),
        }
        if self.loses_zone() {
            platform.restart(self.from).await?;
        }
        host.ends_well(running).await?;
        let missing = self.missing(platform, users, lost).await?;
        lost.extend(missing.numbers());
        let felt = Felt::count(self, begun_ms, &users.log(), &missing, watch)?;
        Ok(Played {
            act: self,
            run: host.newest()?,
            reported: Reported::read(&host.report().await?)?,
            felt,
            fidelity: Fidelity::of(host, self.scenario).await?,
        })
    }

    /// What the zone gone to does not have of what was acknowledged, besides what acts before have `lost`.
    async fn missing(
        self,
        platform: &Platform,
        users: &Writers,
        lost: &BTreeSet<u64>,
    ) -> Result<Missing> {
        let zone = platform.zone(self.to).context("no such zone")?;
        let database = platform.databases.at(self.to).context("no such zone")?;
        let log = users.log();
        let mut missing = None;
        let followed = eventually("everything to be there", FOLLOWING, async || {
            let found = audit(&log, database, &zone.files).await?.without(lost);
            let nothing = found.is_empty();
            missing = Some(found);
            Ok(nothing.then_some(()))
        });
        // What is missing after that is what this is about.
        let failure = followed.await.err();
        missing.with_context(|| format!("{failure:?}"))
    }
}
