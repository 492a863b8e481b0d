//! What of a `Secret` a provider is shown and may write: the `data` under the keys that its grants name, and nothing
//! else. An object counts as a Secret where one was asked for, and where it says that it is one.

use serde_json::Value;

use crate::runbook::types::KindName;

use super::object::text_at;

/// What `kubectl apply` keeps of what it was given: the whole Secret, once more.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The fields of a Secret that a provider may write; the rest says whose data they are.
const WRITABLE: [&str; 6] = [
    "apiVersion",
    "kind",
    "metadata",
    "type",
    "data",
    "stringData",
];

/// True for the kind that holds credentials.
pub(super) fn is_secret(kind: &KindName) -> bool {
    kind.kind == "Secret" && kind.api_version == "v1"
}

/// True for the kinds whose values are compared without being shown.
pub(super) fn is_comparable(kind: &KindName) -> bool {
    is_secret(kind) || (kind.kind == "ConfigMap" && kind.api_version == "v1")
}

/// Takes out what is not for a provider's eyes: bookkeeping of field managers, and the data of a Secret but for `keys`.
pub(super) fn hide(object: &mut Value, asked_for: &KindName, keys: &[&str]) {
    let secret = is_secret(asked_for) || text_at(object, "/kind") == "Secret";
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
        if secret
            && let Some(annotations) = metadata
                .get_mut("annotations")
                .and_then(Value::as_object_mut)
        {
            annotations.remove(LAST_APPLIED);
        }
    }
    if !secret {
        return;
    }
    if let Some(fields) = object.as_object_mut() {
        fields.retain(|field, _| WRITABLE.contains(&field.as_str()));
        for field in ["data", "stringData"] {
            if let Some(Value::Object(data)) = fields.get_mut(field) {
                data.retain(|key, _| keys.contains(&key.as_str()));
            } else {
                fields.remove(field);
            }
        }
    }
}

/// What a write to a Secret touches besides the granted `keys`; none where it may be sent. A field that would do more
/// than set keys (a directive of a strategic patch, `data` that is no object) counts as itself.
pub(super) fn beyond<'v>(written: &'v Value, keys: &[&str]) -> Vec<&'v str> {
    let Some(fields) = written.as_object() else {
        return vec!["what is no object"];
    };
    let mut beyond: Vec<&str> = fields
        .keys()
        .map(String::as_str)
        .filter(|field| !WRITABLE.contains(field))
        .collect();
    for field in ["data", "stringData"] {
        match fields.get_key_value(field) {
            None => {}
            Some((_, Value::Object(data))) => {
                let others = data.keys().map(String::as_str);
                beyond.extend(others.filter(|key| !keys.contains(key)));
            }
            Some((name, _)) => beyond.push(name),
        }
    }
    beyond
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kind(kind: &str) -> KindName {
        KindName {
            api_version: "v1".to_owned(),
            kind: kind.to_owned(),
        }
    }

    #[test]
    fn only_granted_keys_are_shown() {
        let mut secret = json!({
            "apiVersion": "v1", "kind": "Secret", "surprise": "hunter2hunter2",
            "metadata": {
                "name": "db", "managedFields": [{ "manager": "kubectl" }],
                "annotations": { LAST_APPLIED: "{\"data\":{\"password\":\"x\"}}", "team": "db" }
            },
            "data": { "endpoint": "ZGI6MzMwNg==", "password": "aHVudGVyMg==" }, "type": "Opaque"
        });
        let untold = secret.clone();
        hide(&mut secret, &kind("Secret"), &["endpoint"]);
        let shown = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": { "name": "db", "annotations": { "team": "db" } },
            "data": { "endpoint": "ZGI6MzMwNg==" }
        });
        assert_eq!(secret, shown);
        // Whatever was asked for, and whatever the answer says it is.
        let (mut unasked, mut disguised) = (untold.clone(), untold);
        hide(&mut unasked, &kind("ConfigMap"), &["endpoint"]);
        assert_eq!(unasked, shown);
        disguised["kind"] = "ConfigMap".into();
        hide(&mut disguised, &kind("Secret"), &[]);
        assert_eq!(disguised["data"], json!({}));
    }

    #[test]
    fn other_objects_lose_their_bookkeeping_alone() {
        let mut object = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "immutable": true, "data": { "a": "b" },
            "metadata": { "managedFields": [], "annotations": { LAST_APPLIED: "{}" } }
        });
        hide(&mut object, &kind("ConfigMap"), &[]);
        assert_eq!(object["data"]["a"], "b");
        assert_eq!(object["immutable"], true);
        assert_eq!(object["metadata"]["managedFields"], Value::Null);
        assert_eq!(object["metadata"]["annotations"][LAST_APPLIED], "{}");
    }

    #[test]
    fn a_write_beyond_the_granted_keys_is_seen() {
        let beyond = |written: Value| {
            let found = beyond(&written, &["endpoint"]);
            found.join(" ")
        };
        for (written, expected) in [
            (json!({ "data": { "endpoint": "eA==" } }), ""),
            (json!({ "stringData": { "endpoint": "x" } }), ""),
            (json!({ "metadata": { "annotations": {} } }), ""),
            (
                json!({ "data": { "endpoint": "eA==", "password": null } }),
                "password",
            ),
            (json!({ "stringData": { "password": "x" } }), "password"),
            (json!({ "data": { "$patch": "replace" } }), "$patch"),
            (json!({ "$patch": "delete" }), "$patch"),
            (json!({ "data": null }), "data"),
            (json!({ "immutable": true }), "immutable"),
        ] {
            assert_eq!(beyond(written.clone()), expected, "{written}");
        }
    }
}
