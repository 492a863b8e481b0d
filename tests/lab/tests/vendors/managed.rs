//! The `digitalocean` provider with real servers: what the API says and what the databases say is one world.

use std::net::{IpAddr, SocketAddr};

use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpSocket;
use understudy_lab::clock::{LIMIT, eventually, now_ms};
use understudy_lab::vendor::Standin;
use understudy_lab::vendor::digitalocean::{
    APPLICATION, BZ, CA, Digitalocean, Estate, PZ, RECOVERY,
};

use crate::host::Host;

struct Stage {
    vendor: Standin<Digitalocean>,
    host: Host,
    _folder: tempfile::TempDir,
}

/// A cluster at `pz`, empty.
async fn stage() -> Stage {
    let folder = tempfile::tempdir().unwrap();
    let servers = folder.path().join("servers");
    std::fs::create_dir(&servers).unwrap();
    let mut account = Digitalocean::with(Estate::new(&servers).unwrap());
    account.open_cluster(PZ, "fra1").await.unwrap();
    let vendor = Standin::start(folder.path(), account).await.unwrap();
    let binding = vendor.binding(&json!({})).unwrap();
    let host = Host::new("digitalocean", binding, vendor.credentials().unwrap());
    Stage {
        vendor,
        host,
        _folder: folder,
    }
}

impl Stage {
    /// Whether the server behind a name greets who comes from an address.
    async fn greets(&self, name: &str, from: IpAddr) -> bool {
        let door = self
            .vendor
            .state(|account| account.estate().unwrap().door(name));
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(from, 0)).unwrap();
        let mut stream = socket.connect(door.unwrap()).await.unwrap();
        stream.read_u8().await.is_ok()
    }

    /// Waits for the vendor's first backup of any cluster.
    async fn backed_up(&self) {
        eventually("a first backup", LIMIT, async || {
            let points = self.host.call(call("list-recovery-points", "bz")).await;
            Ok((!points["ok"].as_array().unwrap().is_empty()).then_some(()))
        })
        .await
        .unwrap();
    }
}

fn call(function: &str, site: &str) -> Value {
    json!({ "call": function, "site": site, "database": "wordpress" })
}

fn written(site: &str, token: &str) -> Value {
    json!({ "call": "ensure-write-probe", "site": site, "database": "wordpress", "token": token })
}

fn replica_of(site: &str, source: &str) -> Value {
    json!({ "call": "ensure-replica-of", "site": site, "database": "wordpress", "source": source })
}

fn restored(target: &Value, token: &str) -> Value {
    json!({ "call": "ensure-restored", "site": "bz", "database": "wordpress", "target": target, "token": token })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_root_of_the_servers_is_believed_as_the_vendor_hands_it_out() {
    let stage = stage().await;
    let binding = stage.vendor.binding_by_api(&json!({})).unwrap();
    let secrets = || stage.vendor.credentials().unwrap();
    let host = Host::new("digitalocean", binding.clone(), secrets());
    let ran = host
        .calls(json!([
            written("pz", "one"),
            written("pz", "two"),
            call("observe", "pz")
        ]))
        .await;
    let changed = json!({ "ok": "changed" });
    assert_eq!(ran.answers[..2], [changed.clone(), changed]);
    assert_eq!(ran.answers[2]["ok"]["role"], "Primary");
    // Once for each connection that was used.
    let asked = stage.vendor.served(CA);
    assert!((1..=2).contains(&asked), "{asked}");

    // Without it nobody believes them.
    let mut without = binding;
    for connection in without["connections"].as_object_mut().unwrap().values_mut() {
        connection.as_object_mut().unwrap().remove("trust");
    }
    let host = Host::new("digitalocean", without, secrets());
    let refused = host.call(written("pz", "three")).await;
    assert!(refused["err"].to_string().contains("CP0011"), "{refused}");
    assert_eq!(stage.vendor.violations(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_takes_over_with_what_was_written_and_the_old_primary_follows_it() {
    let stage = stage().await;
    let (changed, unchanged) = (json!({ "ok": "changed" }), json!({ "ok": "unchanged" }));
    let ran = stage
        .host
        .calls(json!([
            replica_of("bz", "pz"),
            written("pz", "before"),
            call("observe", "pz"),
            call("ensure-fenced", "pz"),
            written("pz", "behind the fence"),
            call("observe-contents", "pz"),
        ]))
        .await;
    assert_eq!(ran.answers[..2], [changed.clone(), changed.clone()]);
    assert_eq!(ran.answers[3], changed);
    let refused = ran.answers[4]["err"]["conflict"].as_str().unwrap();
    assert!(refused.contains("(1290)"), "{refused}");
    assert!(
        !stage.greets(PZ, APPLICATION).await,
        "the fence lets the application in"
    );
    assert!(stage.greets(PZ, RECOVERY).await);

    let (position, held) = (&ran.answers[2]["ok"]["position"], &ran.answers[5]["ok"]);
    let caught_up = json!({ "call": "ensure-caught-up", "site": "bz", "database": "wordpress", "position": position });
    let ran = stage
        .host
        .calls(json!([
            caught_up,
            call("ensure-promoted", "bz"),
            written("bz", "before"),
            call("observe-contents", "bz"),
            written("bz", "after"),
            call("observe", "bz"),
            replica_of("pz", "bz"),
            call("observe", "pz"),
            call("observe-contents", "pz"),
        ]))
        .await;
    assert_eq!(ran.answers[1..3], [changed.clone(), unchanged]);
    assert_eq!(&ran.answers[3]["ok"], held, "the same tables and rows");
    assert_eq!(ran.answers[4], changed);
    let door = stage
        .vendor
        .state(|account| account.estate().unwrap().door(BZ));
    assert_eq!(ran.answers[5]["ok"]["endpoint"], door.unwrap().to_string());
    assert!(stage.greets(BZ, APPLICATION).await);

    assert_eq!(ran.answers[6], changed, "{}", ran.answers[6]);
    let follower = &ran.answers[7]["ok"];
    assert_eq!(
        (&follower["role"], &follower["tls"]),
        (&json!("Replica"), &json!(true))
    );
    assert_eq!(follower["replication"]["running"], true);
    assert_eq!(
        ran.answers[8]["ok"]["rows"].as_u64(),
        held["rows"].as_u64().map(|rows| rows + 1)
    );
    assert_eq!(stage.vendor.violations(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instant_is_restored_with_what_was_written_before_it() {
    let stage = stage().await;
    stage.backed_up().await;
    assert_eq!(
        stage.host.call(written("pz", "before")).await,
        json!({ "ok": "changed" })
    );
    let last = now_ms() / 1_000;
    let second = eventually("the next second", LIMIT, async || {
        let now = now_ms() / 1_000;
        Ok((now > last).then_some(now))
    });
    let instant = second.await.unwrap() * 1_000;
    let ran = stage
        .host
        .calls(json!([
            written("pz", "after"),
            restored(&json!({ "instant-ms": instant }), "run-1"),
            call("observe", "bz"),
            call("observe-contents", "bz"),
            restored(&json!("latest"), "run-2"),
            call("observe-contents", "bz"),
        ]))
        .await;
    let rows = |at: usize| ran.answers[at]["ok"]["rows"].as_u64();
    assert_eq!((rows(3), rows(5)), (Some(1), Some(2)), "{:?}", ran.answers);
    assert_eq!(ran.answers[2]["ok"]["read_only"], true);
    assert!(!stage.greets(BZ, APPLICATION).await);
    assert_eq!(stage.vendor.violations(), Vec::<String>::new());
}
