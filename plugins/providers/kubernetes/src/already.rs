//! Whether an object is what is asked for already: then nothing is sent. Pure.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use understudy_sdk::kubernetes::{entry, text};

/// Where the digest of the manifest that was applied last stands, among the annotations of the object. Without it nobody
/// could tell an object that holds the manifest from one that also holds what an earlier manifest had.
const APPLIED: &str = "understudy/applied";

/// A manifest with its digest among its annotations.
pub(crate) fn signed(mut manifest: Value) -> Value {
    let digest = Sha256::digest(manifest.to_string().as_bytes());
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    merge(
        &mut manifest,
        &json!({ "metadata": { "annotations": { (APPLIED): digest } } }),
    );
    manifest
}

/// Whether an object is as this signed manifest left it.
pub(crate) fn is_applied(seen: &Value, signed: &Value) -> bool {
    let digest = |object| entry(object, "/metadata/annotations", APPLIED);
    digest(seen) == digest(signed) && holds(seen, signed)
}

/// Whether an object has all of `wanted`. Beside that it has what the cluster adds.
fn holds(seen: &Value, wanted: &Value) -> bool {
    match (seen, wanted) {
        (Value::Object(seen), Value::Object(wanted)) => wanted
            .iter()
            .all(|(key, wanted)| holds(seen.get(key).unwrap_or(&Value::Null), wanted)),
        (Value::Array(seen), Value::Array(wanted)) => {
            seen.len() == wanted.len() && seen.iter().zip(wanted).all(|(a, b)| holds(a, b))
        }
        _ => seen == wanted,
    }
}

/// Whether a patch changes nothing. Of a strategic one only where it gives the cluster no directive: a list that is there as
/// the patch has it stays as it is, however its elements are merged. What is not shown of a Secret may be there to be
/// removed.
pub(crate) fn is_patched(seen: &Value, patch: &Value) -> bool {
    let mut patched = seen.clone();
    merge(&mut patched, patch);
    let may_be_hidden = text(seen, "/kind") == "Secret" && removes(patch);
    patched == *seen && !directs(patch) && !may_be_hidden
}

/// Whether there is a field that is to go.
fn removes(patch: &Value) -> bool {
    match patch {
        Value::Object(fields) => fields.values().any(removes),
        other => other.is_null(),
    }
}

/// Whether there is a key that is an instruction to the cluster, such as `$patch`, and no field.
fn directs(patch: &Value) -> bool {
    match patch {
        Value::Object(fields) => fields
            .iter()
            .any(|(key, value)| key.starts_with('$') || directs(value)),
        Value::Array(items) => items.iter().any(directs),
        _ => false,
    }
}

/// RFC 7386.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let Value::Object(target) = target else {
        return;
    };
    for (key, value) in patch {
        if value.is_null() {
            target.remove(key);
        } else {
            merge(target.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment() -> Value {
        json!({
            "metadata": { "name": "a", "labels": { "app": "a" } },
            "spec": { "replicas": 2, "containers": [{ "name": "php", "image": "wordpress" }] }
        })
    }

    /// As a cluster has it: with what it adds.
    fn kept(mut object: Value) -> Value {
        object["metadata"]["resourceVersion"] = json!("7");
        object["spec"]["containers"][0]["imagePullPolicy"] = json!("Always");
        object
    }

    #[test]
    fn what_a_manifest_left_is_not_applied_again() {
        let manifest = signed(deployment());
        let seen = kept(manifest.clone());
        assert!(is_applied(&seen, &manifest));
        assert!(
            !is_applied(&kept(deployment()), &manifest),
            "by somebody else"
        );
        let mut changed = seen.clone();
        changed["spec"]["replicas"] = json!(3);
        assert!(!is_applied(&changed, &manifest));
        let mut longer = seen.clone();
        let containers = longer["spec"]["containers"].as_array_mut().unwrap();
        containers.push(json!({ "name": "sidecar" }));
        assert!(!is_applied(&longer, &manifest));
        // What an earlier manifest had and this one has not is still there.
        let mut less = deployment();
        less["spec"].as_object_mut().unwrap().remove("replicas");
        assert!(!is_applied(&seen, &signed(less)));
    }

    #[test]
    fn a_manifest_keeps_its_own_annotations() {
        let mut manifest = deployment();
        manifest["metadata"]["annotations"] = json!({ "note": "kept" });
        let annotations = signed(manifest)["metadata"]["annotations"].clone();
        assert_eq!(annotations["note"], "kept");
        assert_eq!(annotations[APPLIED].as_str().unwrap().len(), 64);
    }

    #[test]
    fn a_patch_that_changes_nothing_is_seen() {
        let seen = kept(deployment());
        for (patch, nothing) in [
            (json!({ "spec": { "replicas": 2 } }), true),
            (json!({ "spec": { "replicas": 3 } }), false),
            (json!({ "spec": { "paused": null } }), true),
            (json!({ "metadata": { "labels": { "app": null } } }), false),
            (
                json!({ "spec": { "containers": seen["spec"]["containers"] } }),
                true,
            ),
            (
                json!({ "spec": { "containers": [{ "name": "php" }] } }),
                false,
            ),
            (json!({ "$retainKeys": ["spec"] }), false),
            (
                json!({ "spec": { "$patch": "replace", "replicas": 2 } }),
                false,
            ),
        ] {
            assert_eq!(is_patched(&seen, &patch), nothing, "{patch}");
        }
    }

    #[test]
    fn a_key_of_a_secret_that_is_not_shown_is_not_taken_for_gone() {
        let of = |kind: &str| json!({ "kind": kind, "data": { "endpoint": "ZGI=" } });
        let forget = json!({ "data": { "password": null } });
        assert!(is_patched(&of("ConfigMap"), &forget));
        assert!(!is_patched(&of("Secret"), &forget));
        let same = json!({ "data": { "endpoint": "ZGI=" } });
        assert!(is_patched(&of("Secret"), &same));
    }
}
