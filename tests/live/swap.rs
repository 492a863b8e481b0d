//! The same run with another DNS provider: one line of an overlay, and what that provider has to be told.

use understudy_lab::lab::Lab;
use understudy_lab::powerdns::ZONE;

use crate::host::Host;
use crate::{LIMIT, PACE, RECORD_CHANGES, lab};

/// What the change is instead of, in the overlay below.
const SHIPPED: &str = r#"plugin = "powerdns""#;

/// Fails over with `plugin` in the place of the shipped provider: only it was used, and users are at the backup site.
async fn fails_over(lab: &Lab, plugin: &str, swap: &str) {
    assert_eq!(lab.overlay_toml().unwrap().matches(SHIPPED).count(), 1);
    assert_eq!(swap.matches("plugin =").count(), 1);
    assert!(swap.contains(&format!("plugin = \"{plugin}\"")), "{swap}");
    let host = Host::new(lab).unwrap().laid_over("swap", swap).unwrap();
    let serial = lab.authoritative.serial().await.unwrap();
    let users = lab.users(PACE);
    users.acknowledged_by("pz", 20, LIMIT).await.unwrap();

    host.ends_well(host.run("failover", "graceful").unwrap())
        .await
        .unwrap();
    users.acknowledged_by("bz", 20, LIMIT).await.unwrap();
    let report = host.report().await.unwrap();
    assert_eq!(report["conclusion"]["ending"], "recovered", "{report}");
    assert_eq!(report["legs"][0]["rpo"]["achieved-ms"], 0);

    let bz = format!("wp-bz.{ZONE}");
    assert_eq!(lab.resolver.active().await.unwrap().alias, Some(bz));
    assert_eq!(
        lab.authoritative.serial().await.unwrap(),
        serial + RECORD_CHANGES
    );
    let used = host.providers_used().unwrap();
    assert!(
        used.contains(plugin) && !used.contains("powerdns"),
        "{used:?}"
    );
}

#[tokio::test]
async fn another_dns_provider_is_one_line() {
    let lab = lab().await.unwrap();
    let before = lab.document.document();
    fails_over(&lab, "json-zone", &lab.json_zone_toml()).await;

    let (pz, bz) = (format!("wp-pz.{ZONE}"), format!("wp-bz.{ZONE}"));
    let mut expected = before.clone();
    for record in expected["records"].as_array_mut().unwrap() {
        if record["values"] == serde_json::json!([pz]) {
            record["values"] = serde_json::json!([bz]);
        }
    }
    assert_ne!(before, expected);
    assert_eq!(lab.document.document(), expected);

    let usage = lab.document.usage();
    assert_eq!((usage.puts, usage.conflicts), (RECORD_CHANGES, 0));
    assert!(usage.pending_answers > 0, "nothing was ever waited for");
}

#[tokio::test]
async fn and_so_are_dynamic_updates_of_the_name_server_itself() {
    let lab = lab().await.unwrap();
    let others = async || -> Vec<serde_json::Value> {
        let sets = lab.authoritative.editor().record_sets().await.unwrap();
        let active = format!("wp-active.{ZONE}");
        sets.into_iter()
            .filter(|set| set["name"] != active.as_str())
            .collect()
    };
    let before = others().await;
    fails_over(&lab, "rfc2136", &lab.rfc2136_toml()).await;
    assert_eq!(others().await, before);
}
