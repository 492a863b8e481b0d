//! The game-day: the wordpress runbook on two whole zones under traffic, and what came of it: as the runs report it, and as
//! users, resolvers and databases say.
//!
//! Start at [`play`]. [`DRILLS`] is the programme; [`watch`] looks at the name servers all the while, [`figures`] are what is
//! counted of a leg, [`fidelity`] lays its rehearsal beside it, [`table`] shows them.

pub mod fidelity;
pub mod figures;
pub mod table;
pub mod watch;

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use self::fidelity::Fidelity;
use self::figures::{Felt, Reported, Seen};
use self::watch::Watch;
use crate::backups::LogKeeper;
use crate::clock::{LIMIT, eventually, now_ms};
use crate::host::Host;
use crate::kubernetes::objects::{APP, WORDPRESS};
use crate::platform::Platform;
use crate::wordpress::users::{Missing, Writers, audit};

/// Time between two things that the users do.
const PACE: Duration = Duration::from_millis(200);
/// Things that users must have been acknowledged before a drill begins, and wherever it has moved them.
const SOME: usize = 10;
/// How long pictures may take to follow to the other zone before they count as lost, where a zone was.
const FOLLOWING: Duration = Duration::from_secs(20);

/// A run there and back.
#[derive(Debug, Clone, Copy)]
pub struct Drill {
    /// What each of its legs is, for people.
    pub titles: [&'static str; 2],
    /// Procedure of the runbook.
    pub procedure: &'static str,
    /// What happens before it.
    pub disaster: Disaster,
    /// File in `tests/lab/scenarios` that says what the zones are like before it.
    pub scenario: &'static str,
}

/// Where each leg leads from and to.
const LEGS: [(&str, &str); 2] = [("pz", "bz"), ("bz", "pz")];

/// What is lost before a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disaster {
    /// `pz` loses its line to `bz`, takes [`SOME`] more writes and is killed, database, node and control plane. It comes back
    /// once users are served again.
    Zone,
    /// The copy of the database at `bz`.
    Copy,
    /// That copy, and `pz` as in [`Disaster::Zone`]: what is left is the newest backup and the logs kept since.
    Both,
}

impl Disaster {
    fn takes_copy(self) -> bool {
        matches!(self, Self::Copy | Self::Both)
    }

    fn takes_zone(self) -> bool {
        matches!(self, Self::Zone | Self::Both)
    }
}

/// The database's copy at a zone is lost: nothing replicates into it any more.
const LOSE_COPY: &str = "STOP SLAVE; RESET SLAVE ALL; SET sql_log_bin = 0; DROP DATABASE wordpress";

/// The day's programme.
pub const DRILLS: [Drill; 3] = [
    Drill {
        titles: ["A: pz dies, bz's replica is promoted", "home from A"],
        procedure: "drill",
        disaster: Disaster::Zone,
        scenario: "zones-lost.toml",
    },
    Drill {
        titles: ["B: bz has no copy, a backup is restored", "home from B"],
        procedure: "drill-restore",
        disaster: Disaster::Copy,
        scenario: "zones-restored.toml",
    },
    Drill {
        titles: ["B: pz dies, a backup and logs are left", "home from that"],
        procedure: "drill-restore",
        disaster: Disaster::Both,
        scenario: "zones-burnt.toml",
    },
];

/// What came of a leg.
#[derive(Debug, Clone)]
pub struct Played {
    /// What it was, for people.
    pub title: &'static str,
    /// Whether a zone died before it.
    pub lost_zone: bool,
    /// What the run says of it.
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
    for drill in DRILLS {
        said(&drill.titles.join(", then "));
        let legs = drill
            .play(platform, host, &users, &watch, &mut lost)
            .await
            .with_context(|| format!("{}: {}", drill.procedure, host.log()))?;
        played.extend(legs);
    }
    Ok(played)
}

impl Drill {
    async fn play(
        self,
        platform: &mut Platform,
        host: &Host,
        users: &Writers,
        watch: &Watch,
        lost: &mut BTreeSet<u64>,
    ) -> Result<Vec<Played>> {
        users.acknowledged_by("pz", SOME, LIMIT).await?;
        let databases = &platform.databases;
        let lost_zone = self.disaster.takes_zone();
        if self.disaster.takes_copy() {
            databases.bz.execute(LOSE_COPY).await?;
            // The application there has felt it: a run that comes sooner would find what a moment later is not so.
            let cluster = platform.bz.cluster().await?;
            cluster.unready(APP, WORDPRESS, LIMIT).await?;
        } else {
            databases.bz.stop_receiving().await?;
        }
        let keeper = match self.disaster {
            Disaster::Both => Some(LogKeeper::start(databases, &platform.root, "pz").await?),
            Disaster::Zone | Disaster::Copy => None,
        };
        if lost_zone {
            users.acknowledged_by("pz", SOME, LIMIT).await?;
        }
        let begun_ms = now_ms();
        let mut running = if lost_zone {
            platform.kill("pz")?;
            drop(keeper);
            host.run(self.procedure, "ungraceful")?
        } else {
            host.run(self.procedure, "graceful")?
        };
        tokio::select! {
            served = users.acknowledged_by("bz", SOME, LIMIT) => served?,
            ended = running.wait() => ensure!(ended?.success(), "the run did not end well"),
        }
        if lost_zone {
            platform.restart("pz").await?;
        }
        host.ends_well(running).await?;
        users.acknowledged_by("pz", SOME, LIMIT).await?;

        let limit = if lost_zone { FOLLOWING } else { LIMIT };
        let missing = missing(platform, users, lost, limit).await?;
        lost.extend(missing.numbers());
        let report = host.report().await?;
        let fidelity = Fidelity::of(host, self.scenario).await?;
        let home_ms = Reported::begun_ms(&report, 1)?;
        let spans = [begun_ms..home_ms, home_ms..now_ms()];
        let mut played = Vec::new();
        for (leg, ((title, span), (from, to))) in
            self.titles.into_iter().zip(spans).zip(LEGS).enumerate()
        {
            let lost_zone = lost_zone && leg == 0;
            let seen = Seen {
                log: &users.log(),
                missing: &missing,
                watch,
            };
            played.push(Played {
                title,
                lost_zone,
                reported: Reported::read(&report, leg)?,
                felt: Felt::count(seen, (from, to), span, lost_zone)?,
                fidelity: fidelity.of_leg(leg)?,
            });
        }
        Ok(played)
    }
}

/// What `pz` does not have of what was acknowledged, besides what drills before have `lost`, and does not get in time.
async fn missing(
    platform: &Platform,
    users: &Writers,
    lost: &BTreeSet<u64>,
    limit: Duration,
) -> Result<Missing> {
    let log = users.log();
    let mut missing = None;
    let followed = eventually("everything to be there", limit, async || {
        let found = audit(&log, &platform.databases.pz, &platform.pz.files).await?;
        let found = found.without(lost);
        let nothing = found.is_empty();
        missing = Some(found);
        Ok(nothing.then_some(()))
    });
    // What is missing after that is what this is about.
    let failure = followed.await.err();
    missing.with_context(|| format!("{failure:?}"))
}
