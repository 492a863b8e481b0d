//! What users write, where it is afterwards, and what is lost with a zone.

use std::time::Duration;

use anyhow::ensure;
use understudy_lab::cli::is_alive;
use understudy_lab::clock::eventually;
use understudy_lab::platform::Platform;
use understudy_lab::wordpress::users::audit;

use super::{LIMIT, answers, get, gone, log_in, options};

/// Time between two things that the users do.
const PACE: Duration = Duration::from_millis(200);

#[tokio::test(flavor = "multi_thread")]
async fn what_users_write_is_served_and_reaches_the_other_zone_until_the_zone_dies() {
    let mut platform = Platform::up(options()).await.unwrap();
    let (session, client) = log_in(&platform, &platform.pz).await.unwrap();
    let post = session.post(&client, "Written by a user").await.unwrap();
    assert_eq!(post.zone, "pz");
    let path = post.address.strip_prefix(&platform.home()).unwrap();
    let (status, _, page) = get(&platform, &platform.pz, path).await.unwrap();
    assert_eq!(status, 200);
    assert!(page.contains("Written by a user"), "{page}");
    let media = session.upload(&client, "picture.png").await.unwrap();
    let picture = media.address.strip_prefix(&platform.home()).unwrap();
    let (status, ..) = get(&platform, &platform.pz, picture).await.unwrap();
    assert_eq!(status, 200);

    let users = platform.users(PACE);
    users.acknowledged_by("pz", 12, LIMIT).await.unwrap();
    let before = users.log();
    let position = platform.databases.pz.position().await.unwrap();
    let standby = &platform.databases.bz;
    standby.applied(&position, LIMIT).await.unwrap();
    eventually("the media to follow", LIMIT, async || {
        let missing = audit(&before, standby, &platform.bz.files).await?;
        let complete = missing.posts.is_empty() && missing.media.is_empty();
        ensure!(complete, "{missing:?}");
        Ok(Some(()))
    })
    .await
    .unwrap();

    // What is written from here on exists in one zone only, and dies with it.
    platform.pz.set_media_replication(false).unwrap();
    standby.stop_receiving().await.unwrap();
    users.acknowledged_by("pz", 12, LIMIT).await.unwrap();
    let node = platform.pz.agent.config().folder.clone();
    let plane = platform.pz.plane.processes();
    platform.pz.kill().unwrap();
    gone(&node).await.unwrap();
    assert!(plane.iter().all(|(_, id)| !is_alive(*id)), "{plane:?}");
    assert!(get(&platform, &platform.pz, "/").await.is_err());
    let log = users.stop().await;
    let (standby, files) = (&platform.databases.bz, &platform.bz.files);
    let lost = audit(&log, standby, files).await.unwrap();
    assert!(lost.posts.len() >= 5 && !lost.media.is_empty(), "{lost:?}");
    let (primary, files) = (&platform.databases.pz, &platform.pz.files);
    let kept = audit(&log, primary, files).await.unwrap();
    assert_eq!((kept.posts, kept.media), (Vec::new(), Vec::new()));

    platform.pz.restart().await.unwrap();
    answers(&platform, &platform.pz, picture, 200)
        .await
        .unwrap();
}
