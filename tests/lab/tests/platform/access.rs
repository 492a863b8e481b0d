//! What a recovery may do, and that it is told no secret.

use serde_json::json;
use understudy_lab::kubernetes::cluster::{Cluster, Kind};
use understudy_lab::kubernetes::objects::{
    APP, CONTROLLER, CONTROLLER_NAMESPACE, DATABASE_SECRET, ISSUER, PLATFORM, SOLVER_SECRET,
    WORDPRESS,
};
use understudy_lab::platform::Platform;

use super::options;

#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_may_do_what_its_steps_need_and_no_more() {
    let platform = Platform::up(options()).await.unwrap();
    let kubeconfig = platform.pz.plane.recovery_kubeconfig();
    let recovery = Cluster::connect(&kubeconfig).await.unwrap();
    let endpoint = platform.databases.pz.address().to_string();
    let endpoint = json!({ "stringData": { "endpoint": endpoint } });
    let label = json!({ "metadata": { "labels": { "a": "b" } } });
    let rules = json!({ "rules": [] });
    let secret = Kind::SECRET;
    let done = [
        recovery
            .patch(secret, APP, DATABASE_SECRET, &endpoint)
            .await,
        recovery.scale(APP, WORDPRESS, 1).await,
        recovery.scale(CONTROLLER_NAMESPACE, CONTROLLER, 1).await,
        recovery
            .get(Kind::CLUSTER_ISSUER, "", ISSUER)
            .await
            .map(drop),
    ];
    for done in done {
        done.unwrap();
    }
    let refused = [
        recovery
            .get(secret, PLATFORM, SOLVER_SECRET)
            .await
            .map(drop),
        recovery.list(secret, APP).await.map(drop),
        recovery.delete(Kind::DEPLOYMENT, APP, WORDPRESS).await,
        recovery.delete(Kind::NAMESPACE, "", APP).await,
        recovery
            .patch(Kind::CLUSTER_ISSUER, "", ISSUER, &label)
            .await,
        recovery.patch(Kind::ROLE, APP, "recovery", &rules).await,
    ];
    for refused in refused {
        let words = format!("{:#}", refused.unwrap_err());
        assert!(words.contains("forbidden"), "{words}");
    }

    let overlay = platform.overlay_toml().unwrap();
    toml::from_str::<toml::Table>(&overlay).unwrap();
    for (name, secret) in platform.credentials().unwrap() {
        assert!(overlay.contains(&format!("\"{name}\"")), "{name}");
        assert!(!overlay.contains(&secret), "{name} is written out");
    }
}
