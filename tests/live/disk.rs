//! The disk is full in the middle of a run: it parks, nothing is sent that is not in its journal, and with room again it
//! goes on to its end.

use anyhow::Result;
use understudy_lab::audit::audit;
use understudy_lab::lab::Lab;
use understudy_lab::powerdns::ZONE;

use crate::host::{Everybody, Host, said};
use crate::world::{FENCE, PROMOTION, World, intents};
use crate::{LIMIT, PACE, RECORD_CHANGES, lab};

/// A failover whose journal has this many pages; answers its journal and the world when it has parked.
async fn parked(lab: &Lab, host: &Host, pages: u32) -> Result<Vec<serde_json::Value>> {
    let mut run = host.begin("failover", "graceful", Everybody::Go)?;
    run.args(["--journal-pages", &pages.to_string()]);
    let said = said(run).await?;
    assert_eq!(said.code, Some(3), "{}", said.text);
    said.tells(&[
        "error: RN0005: the run is parked, nothing more was sent: ",
        "JN0007: no room left for the journal",
        &host.journal()?.display().to_string(),
        "make room on its disk",
        "`understudy resume` goes on",
    ])?;
    let records = host.records()?;
    nothing_unrecorded(lab, &records).await?;
    Ok(records)
}

/// Holds what the servers have seen against the effects that the journal says were meant.
async fn nothing_unrecorded(lab: &Lab, records: &[serde_json::Value]) -> Result<()> {
    let meant = |function: &str, site: &str| intents(records, function, site);
    let world = World::of(lab).await?;
    let (pz, bz) = (&lab.databases.pz, &lab.databases.bz);
    assert!(bz.statements_with(PROMOTION)? <= meant("ensure-promoted", "bz"));
    assert_eq!(pz.statements_with(PROMOTION)?, 0);
    assert!(pz.statements_with(FENCE)? <= meant("ensure-fenced", "pz"));
    assert_eq!(world.read_only[0], pz.statements_with(FENCE)? > 0);
    for (site, settings) in ["pz", "bz"].into_iter().zip(&world.settings) {
        if settings[2] == true {
            assert!(meant("ensure-maintenance", site) > 0, "{site}: {world:?}");
        }
        if settings[3] != "" {
            assert!(meant("ensure-restarted", site) > 0, "{site}: {world:?}");
        }
    }
    if meant("ensure-announced", "") == 0 {
        assert_eq!(lab.board.announcements(), []);
    }
    Ok(())
}

/// A failover that parks at this size and is resumed, while users write.
async fn parked_and_resumed(pages: u32, parked_where: impl Fn(&[serde_json::Value])) -> Result<()> {
    let lab = lab().await?;
    let host = Host::new(&lab)?;
    let (pz, bz) = (&lab.databases.pz, &lab.databases.bz);
    pz.log_statements().await?;
    bz.log_statements().await?;
    let serial = lab.authoritative.serial().await?;
    let users = lab.users(PACE);
    users.acknowledged_by("pz", 20, LIMIT).await?;

    let records = parked(&lab, &host, pages).await?;
    parked_where(&records);
    let flipped = lab.authoritative.serial().await? - serial;
    assert!(flipped <= u64::try_from(intents(&records, "ensure-record", ""))?);
    let world = World::of(&lab).await?;
    host.verify().await?;
    assert_eq!(World::of(&lab).await?, world);

    host.resume().await?;
    users.acknowledged_by("bz", 20, LIMIT).await?;
    let log = users.stop().await;
    assert_eq!(audit(&log, bz).await?.missing, []);
    assert_eq!(
        [
            bz.statements_with(PROMOTION)?,
            pz.statements_with(PROMOTION)?
        ],
        [1, 0]
    );
    assert_eq!(lab.authoritative.serial().await?, serial + RECORD_CHANGES);
    let report = host.report().await?;
    assert_eq!(report["conclusion"]["ending"], "recovered", "{report}");
    assert_eq!(report["run"]["resumes"], 1);
    assert_eq!(report["legs"][0]["rpo"]["achieved-ms"], 0);
    let active = lab.resolver.active().await?;
    assert_eq!(active.alias, Some(format!("wp-bz.{ZONE}")));
    Ok(())
}

#[tokio::test]
async fn full_before_anybody_has_decided() {
    let early = |records: &[serde_json::Value]| {
        assert_eq!(intents(records, "ensure-fenced", ""), 0);
        assert!(
            intents(records, "ensure-record", "") > 0,
            "nothing was sent"
        );
    };
    parked_and_resumed(16, early).await.unwrap();
}

#[tokio::test]
async fn full_between_the_promotion_and_the_flip() {
    let between = |records: &[serde_json::Value]| {
        assert_eq!(intents(records, "ensure-promoted", "bz"), 1);
        assert_eq!(intents(records, "ensure-record", ""), 1, "only the TTL");
    };
    parked_and_resumed(28, between).await.unwrap();
}

#[tokio::test]
async fn full_after_the_flip() {
    let late = |records: &[serde_json::Value]| {
        assert_eq!(intents(records, "ensure-record", ""), 2);
        assert_eq!(intents(records, "ensure-announced", ""), 0);
    };
    parked_and_resumed(38, late).await.unwrap();
}
