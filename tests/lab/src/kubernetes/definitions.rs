//! Kinds of cert-manager's that a cluster is taught: the fields that are used, with their names and meaning there.

use serde_json::{Value, json};

/// The definitions, as manifests.
pub(super) fn objects() -> Vec<Value> {
    let text = || json!({ "type": "string" });
    let certificate = json!({
        "type": "object",
        "required": ["secretName", "issuerRef"],
        "properties": {
            "secretName": text(),
            "commonName": text(),
            "dnsNames": { "type": "array", "items": text() },
            "duration": text(),
            "renewBefore": text(),
            "issuerRef": {
                "type": "object",
                "required": ["name"],
                "properties": { "name": text(), "kind": text(), "group": text() },
            },
        },
    });
    // What an issuer may be told is a choice of many; cert-manager checks it, not its definition here.
    let issuer = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    vec![
        definition("Certificate", "certificates", "Namespaced", &certificate),
        definition("ClusterIssuer", "clusterissuers", "Cluster", &issuer),
    ]
}

fn definition(kind: &str, plural: &str, scope: &str, spec: &Value) -> Value {
    let status = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("{plural}.cert-manager.io") },
        "spec": {
            "group": "cert-manager.io",
            "names": { "kind": kind, "plural": plural, "singular": kind.to_lowercase(), "listKind": format!("{kind}List") },
            "scope": scope,
            "versions": [{
                "name": "v1",
                "served": true,
                "storage": true,
                "subresources": { "status": {} },
                "schema": { "openAPIV3Schema": {
                    "type": "object",
                    "required": ["spec"],
                    "properties": { "spec": spec, "status": status },
                } },
            }],
        },
    })
}
