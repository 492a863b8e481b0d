//! The same run with another DNS provider: one line of an overlay, and what that provider has to be told.

use understudy_lab::powerdns::ZONE;

use crate::host::Host;
use crate::{LIMIT, PACE, RECORD_CHANGES, lab};

/// The change.
const SWAP: &str = r#"plugin = "json-zone""#;
/// What it is instead of, in the overlay below.
const SHIPPED: &str = r#"plugin = "powerdns""#;

#[tokio::test]
async fn another_dns_provider_is_one_line() {
    let lab = lab().await.unwrap();
    let (overlay, swap) = (lab.overlay_toml().unwrap(), lab.json_zone_toml());
    assert_eq!(overlay.matches(SHIPPED).count(), 1);
    assert_eq!(swap.matches("plugin =").count(), 1);
    assert!(swap.contains(SWAP), "{swap}");
    let host = Host::new(&lab).unwrap().laid_over("swap", &swap).unwrap();
    let before = lab.document.document();
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

    let (pz, bz) = (format!("wp-pz.{ZONE}"), format!("wp-bz.{ZONE}"));
    assert_eq!(lab.resolver.active().await.unwrap().alias, Some(bz.clone()));
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
    assert_eq!(
        lab.authoritative.serial().await.unwrap(),
        serial + RECORD_CHANGES
    );
    let used = host.providers_used().unwrap();
    assert!(
        used.contains("json-zone") && !used.contains("powerdns"),
        "{used:?}"
    );
}
