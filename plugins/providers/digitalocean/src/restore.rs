//! Backups: what there is, and a cluster made from one.
//!
//! The vendor takes backups by itself, and restores by making a new cluster. That carries the caller's token as a tag,
//! so that a restore which was asked for is found again; and the fence's trusted sources, so that nobody writes to it
//! before it is promoted.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use understudy_sdk::host::understudy::types::types::{Error, Outcome};

use crate::cluster::{Cloud, Cluster, ENGINE, Found};

/// Points that are answered, newest first.
const MAX_POINTS: usize = 1000;

/// Bytes of a gigabyte, as the vendor counts them.
const GIGABYTE: f64 = 1e9;

/// A backup of a cluster.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Point {
    /// `CLUSTER@INSTANT`.
    pub(crate) id: String,
    /// Milliseconds since the epoch.
    pub(crate) taken_at: u64,
    pub(crate) size_bytes: u64,
}

/// As `recovery-target`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Latest,
    Point(String),
    Instant(u64),
}

#[derive(Deserialize)]
struct Backups {
    #[serde(default)]
    backups: Vec<Backup>,
}

#[derive(Deserialize)]
struct Backup {
    created_at: String,
    #[serde(default)]
    size_gigabytes: f64,
}

/// See `list-recovery-points`: of every cluster that lets clients in, at whichever site. Of those behind a fence only where
/// none does: the vendor goes on with their backups, which look newer than the data in them is.
pub(crate) fn list(cloud: &Cloud<'_>, site: &str) -> Result<Vec<Point>, Error> {
    cloud.config.spec(site)?;
    let (mut points, mut fenced) = (Vec::new(), Vec::new());
    let mut all_fenced = true;
    for (site, cluster) in cloud.clusters()? {
        if cloud.is_closed(cloud.config.spec(&site)?, &cluster)? {
            fenced.extend(of(cloud, &cluster)?);
        } else {
            all_fenced = false;
            points.extend(of(cloud, &cluster)?);
        }
    }
    if all_fenced {
        points = fenced;
    }
    points.sort_by_key(|point| std::cmp::Reverse(point.taken_at));
    points.truncate(MAX_POINTS);
    Ok(points)
}

/// Backups of a cluster.
fn of(cloud: &Cloud<'_>, cluster: &Cluster) -> Result<Vec<Point>, Error> {
    let path = format!("{}/backups", cluster.path());
    let all: Backups = cloud.api.get(&path)?;
    all.backups
        .into_iter()
        .map(|backup| {
            Ok(Point {
                id: format!("{}@{}", cluster.name, backup.created_at),
                taken_at: instant(&backup.created_at)?,
                size_bytes: bytes(backup.size_gigabytes),
            })
        })
        .collect()
}

/// See `ensure-restored`.
pub(crate) fn ensure_restored(
    cloud: &Cloud<'_>,
    site: &str,
    target: &Target,
    token: &str,
) -> Result<Outcome, Error> {
    let spec = cloud.config.spec(site)?;
    let tag = tag(token);
    let found = cloud.look(site)?;
    match &found {
        Found::Cluster(cluster) if cluster.has_tag(&tag) => {
            return Ok(if cluster.is_online() {
                Outcome::Unchanged
            } else {
                cloud.waiting("restore", &spec.name, "being restored")
            });
        }
        _ => {}
    }
    let clusters = cloud.clusters()?;
    let source = source(&clusters, site, target)?;
    // Before anything is destroyed for it.
    let backup = backup(target, &of(cloud, source)?, source)?;
    if source.name == spec.name {
        return Err(Error::Conflict(format!(
            "{site} holds {} itself: the vendor restores into a new cluster, and this name is taken. Restore at another site",
            spec.name
        )));
    }
    if !matches!(found, Found::Absent) {
        return cloud.destroy(site, &found);
    }
    let mut body = json!({
        "name": spec.name, "engine": ENGINE, "version": cloud.config.version, "region": spec.region, "size": spec.size,
        "num_nodes": spec.nodes, "tags": [tag], "rules": spec.fence_sources,
        "backup_restore": { "database_name": source.name },
    });
    if let (Some(network), Some(fields)) = (&spec.private_network, body.as_object_mut()) {
        fields.insert("private_network_uuid".to_owned(), network.as_str().into());
    }
    if let (Some(backup), Some(fields)) = (
        backup,
        body.pointer_mut("/backup_restore")
            .and_then(|restore| restore.as_object_mut()),
    ) {
        fields.insert("backup_created_at".to_owned(), backup.into());
    }
    cloud.api.change("POST", "/databases", Some(&body))?;
    Ok(cloud.waiting("restore", &spec.name, "being restored"))
}

/// The cluster whose backups are meant: the one that a point names, else the only one of another site.
fn source<'a>(
    clusters: &'a BTreeMap<String, Cluster>,
    site: &str,
    target: &Target,
) -> Result<&'a Cluster, Error> {
    if let Target::Point(id) = target {
        let name = id.rsplit_once('@').map_or(id.as_str(), |(name, _)| name);
        let mut named = clusters.values().filter(|cluster| cluster.name == name);
        return named.next().ok_or_else(|| {
            Error::NotFound(format!(
                "no recovery point {id}: there is no cluster {name}"
            ))
        });
    }
    let mut others = clusters.iter().filter(|(other, _)| *other != site);
    match (others.next(), others.next()) {
        (Some((_, only)), None) => Ok(only),
        (None, _) => Err(Error::NotFound(format!(
            "no other site than {site} has a cluster with backups"
        ))),
        (Some(_), Some(_)) => Err(Error::Invalid(
            "several sites have backups: name a recovery point".to_owned(),
        )),
    }
}

/// The instant to ask for; none for the newest backup and what the logs add to it.
fn backup(target: &Target, points: &[Point], source: &Cluster) -> Result<Option<String>, Error> {
    match target {
        Target::Latest if points.is_empty() => Err(Error::NotFound(format!(
            "cluster {} has no backup",
            source.name
        ))),
        Target::Latest => Ok(None),
        Target::Point(id) => {
            let known = points.iter().find(|point| point.id == *id);
            let known = known.ok_or_else(|| Error::NotFound(format!("no recovery point {id}")))?;
            Ok(known.id.rsplit_once('@').map(|(_, at)| at.to_owned()))
        }
        Target::Instant(at) => {
            let oldest = points.iter().map(|point| point.taken_at).min();
            match oldest {
                Some(oldest) if oldest <= *at => rfc3339(*at).map(Some),
                _ => Err(Error::NotFound(format!(
                    "no backup of {} reaches back to {}",
                    source.name,
                    rfc3339(*at)?
                ))),
            }
        }
    }
}

/// A tag that a token makes: letters, digits, dashes.
fn tag(token: &str) -> String {
    let digest = Sha256::digest(token.as_bytes());
    let hex: String = digest
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("understudy-restore-{hex}")
}

/// Milliseconds since the epoch.
fn instant(text: &str) -> Result<u64, Error> {
    let instant: Timestamp = text
        .parse()
        .map_err(|error| Error::Other(format!("a backup of `{text}`: {error}")))?;
    u64::try_from(instant.as_millisecond())
        .map_err(|_| Error::Other(format!("a backup of `{text}`, before 1970")))
}

fn rfc3339(milliseconds: u64) -> Result<String, Error> {
    i64::try_from(milliseconds)
        .ok()
        .and_then(|instant| Timestamp::from_millisecond(instant).ok())
        .map(|instant| instant.to_string())
        .ok_or_else(|| Error::Invalid(format!("{milliseconds} ms is no instant")))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a size for people; what is no size becomes 0"
)]
fn bytes(gigabytes: f64) -> u64 {
    (gigabytes * GIGABYTE) as u64
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::api::Api;
    use crate::api::tests::Script;
    use crate::cluster::tests::{BZ, PZ, cluster, listed};
    use crate::config::example;

    const NEW: &str = "2026-11-20T18:42:29Z";
    const OLD: &str = "2026-11-19T18:42:27Z";

    fn script(bz: Option<Value>) -> Script {
        let mut clusters = vec![cluster("pz", "online")];
        clusters.extend(bz);
        let backups = json!({ "backups": [
            { "created_at": OLD, "size_gigabytes": 0.5 }, { "created_at": NEW, "size_gigabytes": 0.25 }] });
        Script::default()
            .with("GET", "/databases", 200, listed(&clusters))
            .with("GET", &format!("/databases/{PZ}/backups"), 200, backups)
            .with(
                "GET",
                &format!("/databases/{BZ}/backups"),
                200,
                json!({ "backups": [] }),
            )
            .with(
                "GET",
                &format!("/databases/{PZ}/replicas"),
                200,
                json!({ "replicas": [] }),
            )
            .with("POST", "/databases", 201, json!({}))
            .with("GET", &firewall(PZ), 200, open())
            .with("GET", &firewall(BZ), 200, open())
    }

    fn firewall(of: &str) -> String {
        format!("/databases/{of}/firewall")
    }

    fn open() -> Value {
        json!({ "rules": [{ "type": "tag", "value": "open" }] })
    }

    fn restore(script: &Script, target: &Target) -> Result<Outcome, Error> {
        let config = example();
        let cloud = Cloud {
            api: Api::new(script, &config),
            config: &config,
        };
        ensure_restored(&cloud, "bz", target, "run-7/restore")
    }

    #[test]
    fn points_are_newest_first() {
        let (config, script) = (example(), script(None));
        let cloud = Cloud {
            api: Api::new(&script, &config),
            config: &config,
        };
        let points = list(&cloud, "bz").unwrap();
        assert_eq!(
            points[0],
            Point {
                id: format!("wordpress-pz@{NEW}"),
                taken_at: 1_795_200_149_000,
                size_bytes: 250_000_000,
            }
        );
        assert_eq!(points.len(), 2);
    }

    #[test]
    fn what_is_backed_up_behind_a_fence_is_no_newer_than_what_is_open() {
        let config = example();
        let fenced = json!({ "rules": config.spec("pz").unwrap().fence_sources });
        let points = |bz: Option<Value>| {
            // The first answer that fits is given.
            let script = Script::default().with("GET", &firewall(PZ), 200, fenced.clone());
            let more = self::script(bz);
            let script = Script {
                answers: script.answers.into_iter().chain(more.answers).collect(),
                ..Script::default()
            };
            let cloud = Cloud {
                api: Api::new(&script, &config),
                config: &config,
            };
            list(&cloud, "bz").unwrap().len()
        };
        assert_eq!(points(None), 2);
        assert_eq!(points(Some(cluster("bz", "online"))), 0);
    }

    #[test]
    fn a_restore_is_a_new_fenced_cluster_with_the_tokens_tag() {
        let asked = |target: &Target| {
            let script = script(None);
            assert!(matches!(
                restore(&script, target),
                Ok(Outcome::InProgress(_))
            ));
            let sent = script.sent.borrow();
            sent.iter()
                .find(|(method, ..)| method == "POST")
                .unwrap()
                .2
                .clone()
        };
        let body = asked(&Target::Latest);
        assert_eq!(
            body["backup_restore"],
            json!({ "database_name": "wordpress-pz" })
        );
        assert_eq!(
            body["rules"],
            json!([{ "type": "ip_addr", "value": "192.0.2.1" }])
        );
        assert_eq!(body["tags"], json!([tag("run-7/restore")]));
        let point = asked(&Target::Point(format!("wordpress-pz@{OLD}")));
        assert_eq!(point["backup_restore"]["backup_created_at"], OLD);
        let instant = asked(&Target::Instant(1_795_200_149_000 + 60_000));
        assert_eq!(
            instant["backup_restore"]["backup_created_at"],
            "2026-11-20T18:43:29Z"
        );
    }

    #[test]
    fn what_cannot_be_restored_is_said_before_anything_is_sent() {
        let script = script(None);
        for target in [
            Target::Point("wordpress-pz@2020-01-01T00:00:00Z".to_owned()),
            Target::Point("reports@2026-11-20T18:42:29Z".to_owned()),
            Target::Instant(1_000_000_000_000),
        ] {
            let refused = restore(&script, &target);
            assert!(
                matches!(refused, Err(Error::NotFound(_))),
                "{target:?}: {refused:?}"
            );
        }
        assert_eq!(script.changes(), Vec::<String>::new());
    }

    #[test]
    fn the_same_token_finds_what_it_made() {
        for (status, token, done) in [
            ("online", "run-7/restore", true),
            ("forking", "run-7/restore", false),
        ] {
            let mut bz = cluster("bz", status);
            bz["tags"] = json!([tag(token)]);
            let script = script(Some(bz));
            let answer = restore(&script, &Target::Latest).unwrap();
            assert_eq!(matches!(answer, Outcome::Unchanged), done, "{status}");
            assert_eq!(script.changes(), Vec::<String>::new());
        }
        assert_ne!(tag("a"), tag("b"));
    }
}
