//! `kill -9` of the host at ten moments of live runs on two zones under users; each run is resumed to the end that it would
//! have had: one promotion, one flip, nothing lost.

use anyhow::{Context as _, Result};
use understudy_lab::clock::now_ms;
use understudy_lab::game_day::watch::Watch;
use understudy_lab::host::Host;
use understudy_lab::platform::Platform;
use understudy_lab::wordpress::users::Writers;

use super::{PACE, complete, zones};
use crate::LIMIT;
use crate::crash::kill_when;
use crate::world::PROMOTION;

/// Records after which the host dies on the way out. Without a death there are about 570.
const OUT: [usize; 5] = [60, 160, 260, 350, 440];
/// And on the way home, of about 630.
const HOME: [usize; 5] = [70, 180, 290, 400, 490];

/// A move between two zones.
#[derive(Clone, Copy)]
struct Leg {
    procedure: &'static str,
    from: &'static str,
    to: &'static str,
}

const FAILOVER: Leg = Leg {
    procedure: "failover",
    from: "pz",
    to: "bz",
};
const FAILBACK: Leg = Leg {
    procedure: "failback",
    from: "bz",
    to: "pz",
};

/// How often a zone's database was made the writer.
fn promotions(platform: &Platform, zone: &str) -> Result<usize> {
    let database = platform.databases.at(zone).context("no such zone")?;
    database.statements_with(PROMOTION)
}

/// One run whose host dies after so many records.
async fn killed(
    platform: &Platform,
    host: &Host,
    (users, watch): (&Writers, &Watch),
    leg: Leg,
    records: usize,
) -> Result<()> {
    users.acknowledged_by(leg.from, 5, LIMIT).await?;
    let before = [
        promotions(platform, leg.from)?,
        promotions(platform, leg.to)?,
    ];
    let (since_ms, last) = (now_ms(), host.newest().ok());
    let running = host.run(leg.procedure, "graceful")?;
    kill_when(running, &format!("{records} records"), async || {
        Ok(host.newest().ok() != last && host.record_count() >= records)
    })
    .await?;
    host.resume().await?;
    users.acknowledged_by(leg.to, 5, LIMIT).await?;
    let after = [
        promotions(platform, leg.from)?,
        promotions(platform, leg.to)?,
    ];
    assert_eq!(after, [before[0], before[1] + 1]);
    assert_eq!(watch.flips(since_ms), 1);
    let report = host.report().await?;
    assert_eq!(report["conclusion"]["ending"], "recovered", "{report}");
    assert_eq!(report["run"]["resumes"], 1);
    assert_eq!(report["legs"][0]["rpo"]["achieved-ms"], 0);
    host.verify().await?;
    complete(platform, leg.to, &users.log()).await
}

#[tokio::test]
async fn killed_at_ten_moments_every_run_ends_as_it_would_have() {
    let platform = zones().await.unwrap();
    let host = Host::of_zones(&platform).unwrap();
    for server in [&platform.databases.pz, &platform.databases.bz] {
        server.log_statements().await.unwrap();
    }
    let watch = Watch::start(&platform.names);
    let users = platform.users(PACE);
    for (out, home) in OUT.into_iter().zip(HOME) {
        for (leg, records) in [(FAILOVER, out), (FAILBACK, home)] {
            killed(&platform, &host, (&users, &watch), leg, records)
                .await
                .unwrap_or_else(|error| panic!("{}, {records}: {error:#}", leg.procedure));
        }
    }
}
