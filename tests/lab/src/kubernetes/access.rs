//! What a recovery may do to a cluster: a user of its own, bound to roles that hold what its steps need and no more.
//!
//! It reads the Secrets it is named and no other, changes no Role, and deletes nothing but the public way in and a test
//! certificate.

use serde_json::{Value, json};

use super::objects::{
    APP, CONTROLLER_NAMESPACE, DATABASE_SECRET, SETTINGS, TEST_CERTIFICATE, TLS_SECRET,
};

/// The user of its certificate.
pub const USER: &str = "understudy";
/// The group of its certificate, which is bound to nothing.
pub(super) const GROUP: &str = "recovery";
/// Name of its roles and bindings.
const NAME: &str = "recovery";

/// The roles and their bindings.
pub(super) fn objects() -> Vec<Value> {
    let read = ["get", "list", "watch"];
    let in_app = json!([
        rule(
            "apps",
            &["deployments"],
            &["get", "list", "watch", "patch", "update"]
        ),
        rule("apps", &["deployments/scale"], &["get", "patch", "update"]),
        rule("apps", &["replicasets"], &read),
        rule("", &["pods", "services", "events"], &read),
        rule("", &["pods/log"], &["get"]),
        named(
            "",
            "secrets",
            &[DATABASE_SECRET],
            &["get", "list", "watch", "patch", "update"]
        ),
        named(
            "",
            "configmaps",
            &[SETTINGS],
            &["get", "list", "watch", "patch", "update"]
        ),
        named("", "secrets", &[TLS_SECRET], &["get"]),
        // What proves that issuing works, and is deleted again.
        named(
            "",
            "secrets",
            &[TEST_CERTIFICATE],
            &["get", "list", "watch", "delete"]
        ),
        named(
            "",
            "configmaps",
            &[TEST_CERTIFICATE],
            &["get", "list", "watch", "patch", "update"]
        ),
        rule("", &["configmaps"], &["create"]),
        rule("networking.k8s.io", &["ingresses"], &EVERYTHING),
        rule("cert-manager.io", &["certificates"], &EVERYTHING),
        rule(
            "cert-manager.io",
            &["certificates/status"],
            &["get", "patch", "update"]
        ),
    ]);
    let in_controller = json!([
        rule(
            "apps",
            &["deployments"],
            &["get", "list", "watch", "patch", "update"]
        ),
        rule("apps", &["deployments/scale"], &["get", "patch", "update"]),
        rule("", &["services", "pods"], &read),
        rule("", &["pods/log"], &["get"]),
    ]);
    let everywhere = json!([
        rule("", &["nodes", "namespaces"], &read),
        rule("cert-manager.io", &["clusterissuers"], &read),
        rule("networking.k8s.io", &["ingressclasses"], &read),
    ]);
    let mut objects = Vec::new();
    for (namespace, rules) in [(APP, in_app), (CONTROLLER_NAMESPACE, in_controller)] {
        objects.push(role("Role", namespace, &rules));
        objects.push(binding("Role", namespace));
    }
    objects.push(role("ClusterRole", "", &everywhere));
    objects.push(binding("ClusterRole", ""));
    objects
}

const EVERYTHING: [&str; 7] = [
    "get", "list", "watch", "create", "patch", "update", "delete",
];

fn rule(group: &str, resources: &[&str], verbs: &[&str]) -> Value {
    json!({ "apiGroups": [group], "resources": resources, "verbs": verbs })
}

fn named(group: &str, resource: &str, names: &[&str], verbs: &[&str]) -> Value {
    json!({ "apiGroups": [group], "resources": [resource], "resourceNames": names, "verbs": verbs })
}

fn role(kind: &str, namespace: &str, rules: &Value) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": metadata(namespace),
        "rules": rules,
    })
}

fn binding(role: &str, namespace: &str) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": format!("{role}Binding"),
        "metadata": metadata(namespace),
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": role, "name": NAME },
        "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": USER }],
    })
}

fn metadata(namespace: &str) -> Value {
    if namespace.is_empty() {
        json!({ "name": NAME })
    } else {
        json!({ "name": NAME, "namespace": namespace })
    }
}
