//! The lab with two whole zones: what a recovery will rely on must be seen to be so here first.
//!
//! Every wait is for a condition, with a limit that only bounds a failure.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use understudy_lab::cli::{State, is_alive};
use understudy_lab::clock::eventually;
use understudy_lab::kubernetes::cluster::{Cluster, Kind, list, text};
use understudy_lab::kubernetes::objects::{
    APP, CONTROLLER, CONTROLLER_NAMESPACE, DATABASE_SECRET, ISSUER, PLATFORM, SETTINGS,
    SOLVER_SECRET, TLS_SECRET, WORDPRESS,
};
use understudy_lab::lab::Options;
use understudy_lab::platform::{ADMIN, Platform};
use understudy_lab::powerdns::ZONE;
use understudy_lab::tls;
use understudy_lab::wordpress::session::Session;
use understudy_lab::wordpress::users::audit;
use understudy_lab::zone::Zone;

const LIMIT: Duration = Duration::from_secs(90);
const PACE: Duration = Duration::from_millis(200);

fn options() -> Options {
    Options::new(env!("CARGO_BIN_EXE_understudy-lab"))
}

/// Every process that has to do with a folder: its path is on their command lines.
fn processes(folder: &Path) -> BTreeMap<u32, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(id) = entry.file_name().to_string_lossy().parse() else {
            continue;
        };
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        // Workers show a title of their own; what they have open is below the folder all the same.
        let opened = fs::read_dir(entry.path().join("fd"))
            .into_iter()
            .flatten()
            .flatten();
        let holds = opened
            .flat_map(|file| fs::read_link(file.path()))
            .any(|file| file.starts_with(folder));
        if is_alive(id)
            && id != std::process::id()
            && (holds || line.contains(&folder.display().to_string()))
        {
            found.insert(id, line);
        }
    }
    found
}

async fn gone(folder: &Path) {
    eventually("every process to be gone", LIMIT, async || {
        let left = processes(folder);
        ensure!(left.is_empty(), "left: {left:?}");
        Ok(Some(()))
    })
    .await
    .unwrap();
}

/// What users get at a zone for a path: status and zone.
async fn get(platform: &Platform, zone: &Zone, path: &str) -> Result<(u16, String, String)> {
    let client = zone.client(&platform.roots, &Platform::name())?;
    let answer = client
        .get(format!("{}{path}", platform.home()))
        .send()
        .await?;
    let zone = answer
        .headers()
        .get("x-zone")
        .context("no x-zone")?
        .to_str()?
        .to_owned();
    Ok((answer.status().as_u16(), zone, answer.text().await?))
}

async fn answers(platform: &Platform, zone: &Zone, path: &str, status: u16) {
    eventually(&format!("{status} at {path}"), LIMIT, async || {
        let (seen, ..) = get(platform, zone, path).await?;
        ensure!(seen == status, "{seen}");
        Ok(Some(()))
    })
    .await
    .unwrap();
}

async fn log_in(platform: &Platform, zone: &Zone) -> (Session, reqwest::Client) {
    let client = zone.client(&platform.roots, &Platform::name()).unwrap();
    let session =
        Session::log_in(&client, &platform.home(), ADMIN, platform.admin_password()).await;
    (session.unwrap(), client)
}

/// Messages of an object's condition, where it has the status.
async fn condition(
    cluster: &Cluster,
    kind: Kind,
    namespace: &str,
    name: &str,
    status: &str,
    word: &str,
) {
    eventually(
        &format!("{name} to be {status} with {word:?}"),
        LIMIT,
        async || {
            let object = cluster
                .get(kind, namespace, name)
                .await?
                .context("not there")?;
            let conditions = list(&object, "/status/conditions");
            let ready = conditions
                .iter()
                .find(|condition| text(condition, "/type") == "Ready")
                .context("no Ready")?;
            ensure!(
                text(ready, "/status") == status && text(ready, "/message").contains(word),
                "{ready}"
            );
            Ok(Some(()))
        },
    )
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_stand_side_by_side_and_nothing_is_left_of_them() {
    let (one, two) = tokio::try_join!(Platform::up(options()), Platform::up(options())).unwrap();
    for platform in [&one, &two] {
        for zone in [&platform.pz, &platform.bz] {
            let nodes = zone
                .cluster()
                .await
                .unwrap()
                .list(Kind::NODE, "")
                .await
                .unwrap();
            assert_eq!(nodes.len(), 1, "{nodes:?}");
        }
        let (status, zone, page) = get(platform, &platform.pz, "/").await.unwrap();
        assert_eq!((status, zone.as_str()), (200, "pz"));
        assert!(page.contains("wp-content"), "{page}");
    }
    let (session, client) = log_in(&one, &one.pz).await;
    session.post(&client, "only here").await.unwrap();
    let titles = "SELECT post_title FROM wordpress.wp_posts WHERE post_title = 'only here'";
    assert_eq!(one.databases.pz.column(titles).await.unwrap().len(), 1);
    assert_eq!(two.databases.pz.column(titles).await.unwrap().len(), 0);

    for platform in [one, two] {
        let folder = platform.folder().to_owned();
        assert!(
            processes(&folder)
                .values()
                .any(|line| line.starts_with("php-fpm: master"))
        );
        drop(platform);
        gone(&folder).await;
        assert!(!folder.exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_users_write_is_served_and_reaches_the_other_zone_until_the_zone_dies() {
    let mut platform = Platform::up(options()).await.unwrap();
    let (session, client) = log_in(&platform, &platform.pz).await;
    let post = session.post(&client, "Written by a user").await.unwrap();
    assert_eq!(post.zone, "pz");
    let path = post.address.strip_prefix(&platform.home()).unwrap();
    let (status, _, page) = get(&platform, &platform.pz, path).await.unwrap();
    assert!(
        status == 200 && page.contains("Written by a user"),
        "{status} {page}"
    );
    let media = session.upload(&client, "picture.png").await.unwrap();
    let path = media
        .address
        .strip_prefix(&platform.home())
        .unwrap()
        .to_owned();
    assert_eq!(get(&platform, &platform.pz, &path).await.unwrap().0, 200);

    let users = platform.users(PACE);
    users.acknowledged_by("pz", 12, LIMIT).await.unwrap();
    let position = platform.databases.pz.position().await.unwrap();
    platform
        .databases
        .bz
        .applied(&position, LIMIT)
        .await
        .unwrap();
    let before = users.log();
    eventually("the media to follow", LIMIT, async || {
        let missing = audit(&before, &platform.databases.bz, &platform.bz.files).await?;
        ensure!(
            missing.posts.is_empty() && missing.media.is_empty(),
            "{missing:?}"
        );
        Ok(Some(()))
    })
    .await
    .unwrap();

    // What happens from here on exists in one zone only.
    platform.pz.set_media_replication(false).unwrap();
    platform.databases.bz.stop_receiving().await.unwrap();
    users.acknowledged_by("pz", 12, LIMIT).await.unwrap();
    let node = platform.pz.agent.config().folder.clone();
    let plane = platform.pz.plane.processes();
    platform.pz.kill().unwrap();
    gone(&node).await;
    assert!(plane.iter().all(|(_, id)| !is_alive(*id)), "{plane:?}");
    assert!(get(&platform, &platform.pz, "/").await.is_err());
    let log = users.stop().await;
    let lost = audit(&log, &platform.databases.bz, &platform.bz.files)
        .await
        .unwrap();
    assert!(lost.posts.len() >= 5 && !lost.media.is_empty(), "{lost:?}");
    let kept = audit(&log, &platform.databases.pz, &platform.pz.files)
        .await
        .unwrap();
    assert_eq!((kept.posts, kept.media), (Vec::new(), Vec::new()));

    platform.pz.restart().await.unwrap();
    answers(&platform, &platform.pz, &path, 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_runs_what_its_cluster_says() {
    let platform = Platform::up(options()).await.unwrap();
    let (zone, cluster) = (&platform.pz, platform.pz.cluster().await.unwrap());
    let (session, client) = log_in(&platform, zone).await;
    session.post(&client, "before").await.unwrap();

    // A changed endpoint counts from the restart on.
    let other = platform.databases.bz.address().to_string();
    let change = json!({ "stringData": { "endpoint": other } });
    cluster
        .patch(Kind::SECRET, APP, DATABASE_SECRET, &change)
        .await
        .unwrap();
    session
        .post(&client, "it still has the writable database")
        .await
        .unwrap();
    let restart = json!({ "spec": { "template": { "metadata": { "annotations": {
        "kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z",
    } } } } });
    cluster
        .patch(Kind::DEPLOYMENT, APP, WORDPRESS, &restart)
        .await
        .unwrap();
    cluster.rolled_out(APP, WORDPRESS, 1, LIMIT).await.unwrap();
    eventually("the read-only database to refuse", LIMIT, async || {
        let refused = session
            .post(&client, "after")
            .await
            .err()
            .context("it was taken")?;
        ensure!(refused.to_string().contains("read-only"), "{refused:#}");
        Ok(Some(()))
    })
    .await
    .unwrap();

    // Maintenance answers 503 and takes no pod out.
    let maintenance = |on: &str| json!({ "data": { "maintenance": on } });
    cluster
        .patch(Kind::CONFIG_MAP, APP, SETTINGS, &maintenance("true"))
        .await
        .unwrap();
    answers(&platform, zone, "/", 503).await;
    cluster.rolled_out(APP, WORDPRESS, 1, LIMIT).await.unwrap();
    cluster
        .patch(Kind::CONFIG_MAP, APP, SETTINGS, &maintenance("false"))
        .await
        .unwrap();
    answers(&platform, zone, "/", 200).await;

    // Pods are processes: two of them, then none.
    let masters = || {
        let of_node = processes(&zone.agent.config().folder);
        of_node
            .values()
            .filter(|line| line.starts_with("php-fpm: master"))
            .count()
    };
    cluster.scale(APP, WORDPRESS, 2).await.unwrap();
    cluster.rolled_out(APP, WORDPRESS, 2, LIMIT).await.unwrap();
    assert_eq!(masters(), 2);
    cluster.scale(APP, WORDPRESS, 0).await.unwrap();
    cluster.rolled_out(APP, WORDPRESS, 0, LIMIT).await.unwrap();
    eventually("WordPress to be gone", LIMIT, async || {
        Ok((masters() == 0).then_some(()))
    })
    .await
    .unwrap();
    answers(&platform, zone, "/", 503).await;

    // An image that nobody has is said to be that.
    let image = json!({ "spec": { "replicas": 1, "template": { "spec": { "containers": [
        { "name": "wordpress", "image": "wordpres:6" },
    ] } } } });
    cluster
        .patch(Kind::DEPLOYMENT, APP, WORDPRESS, &image)
        .await
        .unwrap();
    eventually("the pod to say why it does not start", LIMIT, async || {
        let pods = cluster.list(Kind::POD, APP).await?;
        let waits = |pod: &Value| {
            text(pod, "/status/containerStatuses/0/state/waiting/reason") == "ImagePullBackOff"
        };
        Ok(pods.iter().any(waits).then_some(()))
    })
    .await
    .unwrap();

    // Without a controller nobody is let in.
    cluster
        .scale(CONTROLLER_NAMESPACE, CONTROLLER, 0)
        .await
        .unwrap();
    eventually("the way in to be closed", LIMIT, async || {
        Ok(get(&platform, zone, "/").await.is_err().then_some(()))
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_issued_by_the_authority_served_and_explained() {
    let platform = Platform::up(options()).await.unwrap();
    let (zone, cluster) = (&platform.pz, platform.pz.cluster().await.unwrap());
    let shown = async |name: &str| tls::shown(zone.public(), name, platform.pebble.root()).await;
    let first = shown(&Platform::name()).await.unwrap();
    assert_eq!(shown(&format!("wp-pz.{ZONE}")).await.unwrap(), first);
    assert!(
        shown(&format!("wp-bz.{ZONE}")).await.is_err(),
        "a name that is not served has a certificate"
    );

    // A Secret that is gone is issued anew, and what is new is served.
    cluster.delete(Kind::SECRET, APP, TLS_SECRET).await.unwrap();
    eventually("a new certificate to be served", LIMIT, async || {
        ensure!(shown(&Platform::name()).await? != first, "still the first");
        Ok(Some(()))
    })
    .await
    .unwrap();

    // The other zone has a certificate and no way in, until it gets one.
    let standby = platform.bz.cluster().await.unwrap();
    assert_eq!(
        get(&platform, &platform.bz, "/")
            .await
            .map(|(status, ..)| status)
            .ok(),
        None
    );
    let ingress = cluster
        .get(Kind::INGRESS, APP, WORDPRESS)
        .await
        .unwrap()
        .unwrap();
    let exposed = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": { "name": WORDPRESS, "namespace": APP },
        "spec": ingress["spec"],
    });
    standby.create(exposed).await.unwrap();
    answers(&platform, &platform.bz, "/", 200).await;

    // What the authority or the solver refuses is in the condition's words.
    let certificate = |name: &str, host: &str| {
        json!({
            "apiVersion": "cert-manager.io/v1",
            "kind": "Certificate",
            "metadata": { "name": name, "namespace": APP },
            "spec": { "secretName": name, "dnsNames": [host], "issuerRef": { "name": ISSUER, "kind": "ClusterIssuer" } },
        })
    };
    cluster
        .create(certificate("elsewhere", "www.elsewhere.test"))
        .await
        .unwrap();
    condition(
        &cluster,
        Kind::CERTIFICATE,
        APP,
        "elsewhere",
        "False",
        "422",
    )
    .await;
    cluster
        .delete(Kind::CERTIFICATE, APP, "elsewhere")
        .await
        .unwrap();
    let key = json!({ "stringData": { "api-key": "wrong" } });
    cluster
        .patch(Kind::SECRET, PLATFORM, SOLVER_SECRET, &key)
        .await
        .unwrap();
    let spec = json!({ "spec": { "acme": { "email": "others@example.test" } } });
    cluster
        .patch(Kind::CLUSTER_ISSUER, "", ISSUER, &spec)
        .await
        .unwrap();
    cluster
        .create(certificate("unproved", &format!("wp-pz.{ZONE}")))
        .await
        .unwrap();
    condition(&cluster, Kind::CERTIFICATE, APP, "unproved", "False", "401").await;
    let spec = json!({ "spec": { "acme": { "server": "https://127.0.0.1:1/dir" } } });
    cluster
        .patch(Kind::CLUSTER_ISSUER, "", ISSUER, &spec)
        .await
        .unwrap();
    condition(
        &cluster,
        Kind::CLUSTER_ISSUER,
        "",
        ISSUER,
        "False",
        "registers no account",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_may_do_what_its_steps_need_and_no_more() {
    let platform = Platform::up(options()).await.unwrap();
    let recovery = Cluster::connect(&platform.pz.plane.recovery_kubeconfig())
        .await
        .unwrap();
    let endpoint =
        json!({ "stringData": { "endpoint": platform.databases.pz.address().to_string() } });
    recovery
        .patch(Kind::SECRET, APP, DATABASE_SECRET, &endpoint)
        .await
        .unwrap();
    recovery.scale(APP, WORDPRESS, 1).await.unwrap();
    recovery
        .scale(CONTROLLER_NAMESPACE, CONTROLLER, 1)
        .await
        .unwrap();
    assert!(
        recovery
            .get(Kind::CLUSTER_ISSUER, "", ISSUER)
            .await
            .unwrap()
            .is_some()
    );
    let refused = [
        recovery
            .get(Kind::SECRET, PLATFORM, SOLVER_SECRET)
            .await
            .map(drop),
        recovery.list(Kind::SECRET, APP).await.map(drop),
        recovery.delete(Kind::DEPLOYMENT, APP, WORDPRESS).await,
        recovery.delete(Kind::NAMESPACE, "", APP).await,
        recovery
            .patch(
                Kind::CLUSTER_ISSUER,
                "",
                ISSUER,
                &json!({ "metadata": { "labels": { "a": "b" } } }),
            )
            .await,
        recovery
            .patch(Kind::ROLE, APP, "recovery", &json!({ "rules": [] }))
            .await,
    ];
    for refusal in refused {
        let refusal = format!("{:#}", refusal.unwrap_err());
        assert!(refusal.contains("forbidden"), "{refusal}");
    }
    let overlay = platform.overlay_toml().unwrap();
    toml::from_str::<toml::Table>(&overlay).unwrap();
    for (name, secret) in platform.credentials().unwrap() {
        assert!(
            overlay.contains(&format!("\"{name}\"")),
            "{name} is not used"
        );
        assert!(
            !overlay.contains(&secret),
            "the value of {name} is written out"
        );
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
    assert!(
        state.servers.values().all(|process| is_alive(*process)),
        "{state:?}"
    );
    assert!(
        processes(folder.path())
            .values()
            .any(|line| line.starts_with("php-fpm: pool"))
    );
    up.kill().await.unwrap();
    gone(folder.path()).await;
}
