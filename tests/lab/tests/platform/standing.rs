//! Coming up, side by side, and going without a trace.

use understudy_lab::cli::{State, is_alive};
use understudy_lab::clock::eventually;
use understudy_lab::kubernetes::cluster::Kind;
use understudy_lab::platform::Platform;

use super::{LIMIT, count, get, gone, log_in, options};

#[tokio::test(flavor = "multi_thread")]
async fn two_stand_side_by_side_and_nothing_is_left_of_them() {
    let (one, two) = tokio::try_join!(Platform::up(options()), Platform::up(options())).unwrap();
    for platform in [&one, &two] {
        for zone in [&platform.pz, &platform.bz] {
            let cluster = zone.cluster().await.unwrap();
            let nodes = cluster.list(Kind::NODE, "").await.unwrap();
            assert_eq!(nodes.len(), 1, "{nodes:?}");
        }
        let (status, zone, page) = get(platform, &platform.pz, "/").await.unwrap();
        assert_eq!((status, zone.as_str()), (200, "pz"));
        assert!(page.contains("wp-content"), "{page}");
    }
    let (session, client) = log_in(&one, &one.pz).await.unwrap();
    session.post(&client, "only here").await.unwrap();
    let titles = "SELECT post_title FROM wordpress.wp_posts WHERE post_title = 'only here'";
    assert_eq!(one.databases.pz.column(titles).await.unwrap().len(), 1);
    assert_eq!(two.databases.pz.column(titles).await.unwrap().len(), 0);

    for platform in [one, two] {
        let folder = platform.folder().to_owned();
        assert_eq!(count(&folder, "php-fpm: master").unwrap(), 2);
        drop(platform);
        gone(&folder).await.unwrap();
        assert!(!folder.exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_lab_leaves_no_process_behind() {
    let folder = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_understudy-lab");
    let mut up = tokio::process::Command::new(program)
        .args(["up", "--kubernetes"])
        .arg(folder.path())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let state = eventually("the lab to be up", LIMIT * 2, async || {
        assert_eq!(up.try_wait()?, None, "it has ended");
        Ok(State::load(folder.path()).ok())
    })
    .await
    .unwrap();
    assert_eq!(state.servers.len(), 14, "{state:?}");
    let alive = state.servers.values().all(|process| is_alive(*process));
    assert!(alive, "{state:?}");
    assert!(count(folder.path(), "php-fpm: pool").unwrap() > 0);
    assert!(count(folder.path(), "nginx: worker").unwrap() > 0);
    up.kill().await.unwrap();
    gone(folder.path()).await.unwrap();
}
