//! The lab itself: a test that relies on a server doing something must see it done here first.
//!
//! Every wait is for a condition, with a limit that only bounds a failure.

use std::time::Duration;

use anyhow::Result;
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, OptsBuilder};
use serde_json::{Value, json};
use understudy_lab::audit::audit;
use understudy_lab::cli::{State, is_alive};
use understudy_lab::clock::{LIMIT, eventually};
use understudy_lab::lab::{BZ, Lab, Options, PZ};
use understudy_lab::mariadb::Server;
use understudy_lab::powerdns::ZONE;

fn options() -> Options {
    Options::new(env!("CARGO_BIN_EXE_understudy-lab"))
}

async fn insert(lab: &Lab, number: u64) -> Result<()> {
    let row = format!("({number}, 't', 'pz')");
    let insert = format!("INSERT INTO wordpress.posts (number, title, site) VALUES {row}");
    lab.databases.pz.execute(&insert).await
}

async fn numbers(server: &Server) -> Result<Vec<String>> {
    server
        .column("SELECT CAST(number AS CHAR) FROM wordpress.posts ORDER BY number")
        .await
}

#[tokio::test]
async fn changes_replicate_and_lag_is_as_long_as_asked_for() {
    let lab = Lab::up(options()).await.unwrap();
    insert(&lab, 1).await.unwrap();
    let position = lab.databases.pz.position().await.unwrap();
    lab.databases.bz.applied(&position, LIMIT).await.unwrap();
    assert_eq!(numbers(&lab.databases.bz).await.unwrap(), ["1"]);

    lab.databases.bz.set_replication_delay(3600).await.unwrap();
    insert(&lab, 2).await.unwrap();
    let position = lab.databases.pz.position().await.unwrap();
    eventually("the change to be received", LIMIT, async || {
        let status = lab.databases.bz.replica_status().await?.unwrap();
        Ok((status.received == position).then_some(()))
    })
    .await
    .unwrap();
    assert_eq!(numbers(&lab.databases.bz).await.unwrap(), ["1"]);

    lab.databases.bz.set_replication_delay(0).await.unwrap();
    lab.databases.bz.applied(&position, LIMIT).await.unwrap();
    assert_eq!(numbers(&lab.databases.bz).await.unwrap(), ["1", "2"]);
}

#[tokio::test]
async fn users_need_tls_and_only_the_operator_passes_read_only() {
    let lab = Lab::up(options()).await.unwrap();
    let (bz, passwords) = (&lab.databases.bz, lab.databases.bz.passwords());
    assert!(bz.is_read_only().await.unwrap());
    assert!(!lab.databases.pz.is_read_only().await.unwrap());

    let insert = "INSERT INTO wordpress.posts (title, site) VALUES ('t', 'bz')";
    let mut app = bz.client("app", &passwords.app).await.unwrap();
    let refused = app.query_drop(insert).await.unwrap_err();
    assert!(refused.to_string().contains("read-only"), "{refused}");
    app.disconnect().await.unwrap();

    bz.log_statements().await.unwrap();
    let mut operator = bz
        .client("understudy", &passwords.understudy)
        .await
        .unwrap();
    for statement in [
        "SHOW SLAVE STATUS",
        "SHOW MASTER STATUS",
        "SHOW PROCESSLIST",
        "STOP SLAVE",
        "RESET SLAVE ALL",
        "FLUSH TABLES WITH READ LOCK",
        "UNLOCK TABLES",
        "SET sql_log_bin=0",
        "CREATE TABLE wordpress.scratch (id INT PRIMARY KEY)",
        "DROP TABLE wordpress.scratch",
        "SET sql_log_bin=1",
        "RESET MASTER",
        "SET GLOBAL gtid_slave_pos='0-1-1'",
        "SET GLOBAL read_only=0",
        "SET GLOBAL read_only=1",
    ] {
        let done = operator.query_drop(statement).await;
        assert!(done.is_ok(), "{statement}: {done:?}");
    }
    for statement in ["CREATE USER x", "CREATE DATABASE other", "SHUTDOWN"] {
        let done = operator.query_drop(statement).await;
        assert!(done.is_err(), "{statement} is allowed");
    }
    operator.disconnect().await.unwrap();
    assert_eq!(bz.statements_with("set global READ_ONLY = 0").unwrap(), 1);

    let address = bz.address();
    let plain = OptsBuilder::default()
        .ip_or_hostname(address.ip().to_string())
        .tcp_port(address.port())
        .user(Some("app"))
        .pass(Some(&passwords.app))
        .prefer_socket(false);
    let refused = Conn::new(plain).await.unwrap_err();
    assert!(refused.to_string().contains("Access denied"), "{refused}");
}

#[tokio::test]
async fn kill_9_of_the_primary_loses_what_was_not_received() {
    let mut lab = Lab::up(options()).await.unwrap();
    let users = lab.users(Duration::from_millis(20));
    users.acknowledged_by("pz", 5, LIMIT).await.unwrap();
    lab.databases.bz.stop_receiving().await.unwrap();
    users.acknowledged_by("pz", 10, LIMIT).await.unwrap();
    lab.databases.pz.kill().unwrap();
    let log = users.stop().await;

    let lost = audit(&log, &lab.databases.bz).await.unwrap();
    assert!(lost.missing.len() >= 10, "{lost:?}");
    assert!(lost.missing.len() < lost.acknowledged, "{lost:?}");
    let time = lost.lost_ms.unwrap();
    assert!(
        0 < time.at_least && time.at_least <= time.at_most,
        "{lost:?}"
    );

    // What was acknowledged was on disk: the crashed server itself has lost nothing.
    lab.databases.pz.restart().await.unwrap();
    let kept = audit(&log, &lab.databases.pz).await.unwrap();
    assert_eq!(kept.missing, []);
    assert!(lab.databases.pz.is_read_only().await.unwrap());
}

#[tokio::test]
async fn a_flip_is_seen_when_the_ttl_has_passed_and_not_before() {
    let mut options = options();
    (options.ttl_seconds, options.stubborn_ttl_seconds) = (1, 3600);
    let lab = Lab::up(options).await.unwrap();
    let before = lab.resolver.active().await.unwrap();
    assert_eq!(before.alias, Some(format!("wp-pz.{ZONE}")));
    assert_eq!(before.addresses, [PZ]);
    assert!(before.ttl_seconds <= 1, "{before:?}");
    assert_eq!(lab.stubborn.active().await.unwrap().addresses, [PZ]);

    let (active, bz) = (format!("wp-active.{ZONE}"), format!("wp-bz.{ZONE}"));
    let serial = lab.authoritative.serial().await.unwrap();
    lab.authoritative.set_alias(&active, &bz, 1).await.unwrap();
    assert_eq!(lab.authoritative.serial().await.unwrap(), serial + 1);
    eventually("the flip to be seen", LIMIT, async || {
        Ok((lab.resolver.active().await?.addresses == [BZ]).then_some(()))
    })
    .await
    .unwrap();
    let stubborn = lab.stubborn.active().await.unwrap();
    assert_eq!(stubborn.addresses, [PZ], "it keeps answers for an hour");
    assert!(stubborn.ttl_seconds > 3000, "{stubborn:?}");
}

#[tokio::test]
async fn a_new_database_endpoint_counts_from_the_restart_on() {
    let lab = Lab::up(options()).await.unwrap();
    let client = lab.client_of(&lab.pz).unwrap();
    let write = async || {
        let request = client.post(lab.url("/posts")).body("{}");
        let request = request.basic_auth("editor", lab.credentials().get("LAB_EDITOR_PASSWORD"));
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(write().await, 201);

    let other = lab.databases.bz.address().to_string();
    lab.pz
        .change(&json!({ "database-endpoint": other }))
        .await
        .unwrap();
    assert_eq!(write().await, 201, "it still holds the writable database");

    lab.pz
        .change(&json!({ "restart-token": "one" }))
        .await
        .unwrap();
    lab.pz.becomes("ready", &1.into()).await.unwrap();
    assert_eq!(write().await, 500, "it now has the read-only database");

    let seen = lab
        .pz
        .change(&json!({ "restart-token": "one" }))
        .await
        .unwrap();
    assert_eq!(seen["ready"], 1, "the same token restarts nothing");
}

#[tokio::test]
async fn a_write_that_was_given_up_answers_for_no_other() {
    let lab = Lab::up(options()).await.unwrap();
    let client = lab.client_of(&lab.pz).unwrap();
    let write = async |number: u64| {
        let request = client.post(lab.url("/posts"));
        let request = request.basic_auth("editor", lab.credentials().get("LAB_EDITOR_PASSWORD"));
        let request = request.body(json!({ "number": number }).to_string());
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!([write(1).await, write(1).await], [201, 409]);
    lab.databases.pz.freeze().unwrap();
    let given_up = write(2).await;
    assert!([500, 504].contains(&given_up), "{given_up}");
    lab.databases.pz.thaw().unwrap();
    assert_eq!([write(3).await, write(3).await], [201, 409]);
    let kept = numbers(&lab.databases.pz).await.unwrap();
    assert!(kept.contains(&"3".to_owned()), "{kept:?}");
}

#[tokio::test]
async fn the_zone_document_is_published_and_a_stale_one_refused() {
    let lab = Lab::up(options()).await.unwrap();
    let client = understudy_lab::client::verified(lab.root(), None).unwrap();
    let token = lab.credentials().remove("LAB_ADMIN_TOKEN").unwrap();
    let url = lab.document.url();
    let read = async || {
        let response = client.get(&url).bearer_auth(&token).send().await.unwrap();
        let tag = response.headers()["etag"].to_str().unwrap().to_owned();
        let text = response.text().await.unwrap();
        (tag, serde_json::from_str::<Value>(&text).unwrap())
    };
    let put = async |tag: &str, document: &Value| {
        let request = client.put(&url).bearer_auth(&token).header("if-match", tag);
        let response = request.body(document.to_string()).send().await.unwrap();
        response.status().as_u16()
    };
    assert_eq!(client.get(&url).send().await.unwrap().status(), 401);
    let (tag, mut document) = read().await;
    let alias = document["records"]
        .as_array_mut()
        .unwrap()
        .iter_mut()
        .find(|record| record["type"] == "CNAME")
        .unwrap();
    alias["values"] = json!([format!("wp-bz.{ZONE}")]);
    let serial = lab.authoritative.serial().await.unwrap();
    assert_eq!(put(&tag, &document).await, 204);
    assert_eq!(put(&tag, &document).await, 412);
    let published = eventually("the document to be published", LIMIT, async || {
        let (_, now) = read().await;
        Ok(now.get("pending").is_none().then_some(now))
    });
    assert_eq!(published.await.unwrap(), document);
    assert_eq!(lab.resolver.active().await.unwrap().addresses, [BZ]);
    assert_eq!(lab.authoritative.serial().await.unwrap(), serial + 1);
    let usage = lab.document.usage();
    assert_eq!((usage.puts, usage.conflicts), (1, 1));
}

#[tokio::test]
async fn scaling_to_zero_ends_kept_connections_and_maintenance_refuses_writes_only() {
    let mut lab = Lab::up(options()).await.unwrap();
    let client = lab.client_of(&lab.pz).unwrap();
    let read = async || client.get(lab.url("/")).send().await;
    let password = lab.credentials().remove("LAB_EDITOR_PASSWORD");
    let write = async || {
        let request = client.post(lab.url("/media")).body("file");
        let response = request
            .basic_auth("editor", password.as_deref())
            .send()
            .await
            .unwrap();
        let zone = response
            .headers()
            .get("x-zone")
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        (response.status().as_u16(), zone)
    };
    assert_eq!(write().await, (201, "pz".to_owned()));
    let anonymous = client.post(lab.url("/login")).send().await.unwrap();
    assert_eq!(anonymous.status(), 401);

    lab.pz
        .change(&json!({ "maintenance": true }))
        .await
        .unwrap();
    assert_eq!(write().await, (503, "pz".to_owned()));
    assert_eq!(read().await.unwrap().status(), 200);
    lab.pz
        .change(&json!({ "maintenance": false }))
        .await
        .unwrap();
    assert_eq!(write().await, (201, "pz".to_owned()));

    lab.pz.change(&json!({ "desired": 0 })).await.unwrap();
    eventually("the application to be gone", LIMIT, async || {
        Ok(read().await.is_err().then_some(()))
    })
    .await
    .unwrap();
    assert_eq!(lab.pz.observe().await.unwrap()["ready"], 0);

    lab.pz.kill().unwrap();
    assert!(lab.pz.observe().await.is_err());
    lab.pz.restart().await.unwrap();
    assert_eq!(
        lab.pz.observe().await.unwrap()["desired"],
        0,
        "settings outlive the process"
    );
}

#[tokio::test]
async fn the_notice_board_shows_each_key_once() {
    let lab = Lab::up(options()).await.unwrap();
    let client = understudy_lab::client::verified(lab.root(), None).unwrap();
    let token = lab.credentials().remove("LAB_ADMIN_TOKEN").unwrap();
    let url = format!("https://{}/announcements", lab.board.address());
    let announce = async |key: &str, token: &str| {
        let request = client
            .post(&url)
            .header("idempotency-key", key)
            .bearer_auth(token);
        let response = request
            .body(json!({ "title": key }).to_string())
            .send()
            .await;
        response.unwrap().status().as_u16()
    };
    assert_eq!(announce("a", &token).await, 201);
    assert_eq!(announce("a", &token).await, 200);
    assert_eq!(announce("b", &token).await, 201);
    assert_eq!(announce("c", "wrong").await, 401);
    let shown: Vec<_> = lab
        .board
        .announcements()
        .into_iter()
        .map(|a| (a.key, a.sent))
        .collect();
    assert_eq!(shown, [("a".to_owned(), 2), ("b".to_owned(), 1)]);
}

#[tokio::test]
async fn the_overlays_name_every_secret_and_hold_none() {
    let lab = Lab::up(options()).await.unwrap();
    let overlays = [
        lab.overlay_toml().unwrap(),
        lab.json_zone_toml(),
        lab.rfc2136_toml(),
    ];
    for overlay in &overlays {
        toml::from_str::<toml::Table>(overlay).unwrap();
    }
    let overlays = overlays.concat();
    for (name, secret) in lab.credentials() {
        assert!(
            overlays.contains(&format!("\"{name}\"")),
            "{name} is not used"
        );
        assert!(
            !overlays.contains(&secret),
            "the value of {name} is written out"
        );
    }
}

#[tokio::test]
async fn a_killed_lab_leaves_no_server_behind() {
    let folder = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_understudy-lab");
    let mut up = tokio::process::Command::new(program)
        .arg("up")
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
    assert_eq!(state.servers.len(), 7, "{state:?}");
    assert!(
        state.servers.values().all(|process| is_alive(*process)),
        "{state:?}"
    );
    let status = tokio::process::Command::new(program)
        .arg("status")
        .arg(folder.path())
        .output();
    assert!(status.await.unwrap().status.success());

    up.kill().await.unwrap();
    eventually("every server to be gone", LIMIT, async || {
        Ok(state
            .servers
            .values()
            .all(|process| !is_alive(*process))
            .then_some(()))
    })
    .await
    .unwrap();
}
