//! The contract `kubernetes`: what is asked for, and what became of it.

use serde_json::Value;
use understudy_sdk::host::understudy::kubernetes::api;
use understudy_sdk::host::understudy::types::types::{Error, Outcome};
use understudy_sdk::kubernetes::{
    ObjectRef, PatchKind as ApiPatchKind, Progress, condition, list, object, text, version,
};

use crate::exports::understudy::kubernetes::kubernetes::{
    self, Guest, NodeCondition, PatchKind, ValueDigest, ValueDigests,
};
use crate::logs::{self, Said};
use crate::{CONFIG, Kubernetes, already};

impl Guest for Kubernetes {
    fn get_object(site: String, object: kubernetes::ObjectRef) -> Result<String, Error> {
        let config = CONFIG.get()?;
        Ok(config.cluster(&site).get(&wanted(object))?.to_string())
    }

    fn get_value_digests(
        site: String,
        object: kubernetes::ObjectRef,
    ) -> Result<ValueDigests, Error> {
        let cluster = CONFIG.get()?.cluster(&site).0;
        let digests = api::get_value_digests(cluster, &wanted(object))?;
        let value = |one: api::ValueDigest| ValueDigest {
            name: one.name,
            digest: one.digest,
        };
        Ok(ValueDigests {
            made_with: digests.made_with,
            values: digests.values.into_iter().map(value).collect(),
        })
    }

    fn list_objects(
        site: String,
        api_version: String,
        kind: String,
        namespace: String,
        label_selector: String,
    ) -> Result<String, Error> {
        let cluster = CONFIG.get()?.cluster(&site).0;
        api::list_objects(cluster, &api_version, &kind, &namespace, &label_selector)
    }

    fn ensure_applied(site: String, manifest: String) -> Result<Outcome, Error> {
        let cluster = CONFIG.get()?.cluster(&site);
        let manifest: Value = serde_json::from_str(&manifest)
            .map_err(|error| Error::Invalid(format!("the manifest is no JSON: {error}")))?;
        let object = object(
            text(&manifest, "/apiVersion"),
            text(&manifest, "/kind"),
            text(&manifest, "/metadata/namespace"),
            text(&manifest, "/metadata/name"),
        );
        let before = cluster.find(&object)?;
        let manifest = already::signed(manifest);
        if before
            .as_ref()
            .is_some_and(|seen| already::is_applied(seen, &manifest))
        {
            return Ok(Outcome::Unchanged);
        }
        let after = cluster.apply(&manifest, false)?;
        Ok(outcome(before.as_ref(), &after))
    }

    fn ensure_patched(
        site: String,
        object: kubernetes::ObjectRef,
        kind: PatchKind,
        patch: String,
    ) -> Result<Outcome, Error> {
        let (cluster, object) = (CONFIG.get()?.cluster(&site), wanted(object));
        let before = cluster.get(&object)?;
        let merged: Value = serde_json::from_str(&patch)
            .map_err(|error| Error::Invalid(format!("the patch is no JSON: {error}")))?;
        if already::is_patched(&before, &merged) {
            return Ok(Outcome::Unchanged);
        }
        let kind = match kind {
            PatchKind::Merge => ApiPatchKind::Merge,
            PatchKind::Strategic => ApiPatchKind::Strategic,
        };
        let after = cluster.patch(&object, kind, &patch, &before)?;
        Ok(outcome(Some(&before), &after))
    }

    fn ensure_deleted(site: String, object: kubernetes::ObjectRef) -> Result<Outcome, Error> {
        CONFIG.get()?.cluster(&site).remove(&wanted(object))
    }

    fn ensure_scaled(
        site: String,
        object: kubernetes::ObjectRef,
        replicas: u32,
    ) -> Result<Outcome, Error> {
        let cluster = CONFIG.get()?.cluster(&site);
        cluster.scale(&wanted(object), replicas)
    }

    fn ensure_restarted(
        site: String,
        object: kubernetes::ObjectRef,
        token: String,
    ) -> Result<Outcome, Error> {
        let cluster = CONFIG.get()?.cluster(&site);
        cluster.restart(&wanted(object), &token)
    }

    fn ensure_condition(
        site: String,
        object: kubernetes::ObjectRef,
        condition: String,
        holds: bool,
    ) -> Result<Outcome, Error> {
        let (cluster, object) = (CONFIG.get()?.cluster(&site), wanted(object));
        cluster.settle(&object, Outcome::Unchanged, || {
            let seen = cluster.get(&object)?;
            Ok((has_condition(&seen, &condition, holds), Some(seen)))
        })
    }

    fn list_node_conditions(site: String) -> Result<Vec<NodeCondition>, Error> {
        let cluster = CONFIG.get()?.cluster(&site);
        let nodes = cluster.list("v1", "Node", "", "")?;
        Ok(nodes.iter().flat_map(node_conditions).collect())
    }

    fn get_pod_logs(
        site: String,
        namespace: String,
        label_selector: String,
        lines: u32,
    ) -> Result<String, Error> {
        let cluster = CONFIG.get()?.cluster(&site);
        let mut all = Vec::new();
        for pod in cluster.list("v1", "Pod", &namespace, &label_selector)? {
            let name = text(&pod, "/metadata/name");
            for container in list(&pod, "/spec/containers") {
                let container = text(container, "/name");
                all.push(Said {
                    of: format!("{name} {container}"),
                    log: api::get_pod_logs(cluster.0, &namespace, name, Some(container), lines),
                });
            }
        }
        logs::joined(all)
    }
}

fn wanted(object: kubernetes::ObjectRef) -> ObjectRef {
    ObjectRef {
        api_version: object.api_version,
        kind: object.kind,
        namespace: object.namespace,
        name: object.name,
    }
}

/// An object whose version is another one was changed.
fn outcome(before: Option<&Value>, after: &Value) -> Outcome {
    match before {
        Some(before) if version(before) == version(after) => Outcome::Unchanged,
        _ => Outcome::Changed,
    }
}

fn has_condition(object: &Value, kind: &str, holds: bool) -> Progress {
    match condition(object, kind) {
        Some(found) if found.current && found.holds == holds => Progress::Done,
        Some(found) => Progress::Going(format!("{kind}: {}: {}", found.reason, found.message)),
        None => Progress::Going(format!("it has no condition {kind} yet")),
    }
}

fn node_conditions(node: &Value) -> Vec<NodeCondition> {
    let name = text(node, "/metadata/name");
    list(node, "/status/conditions")
        .iter()
        .map(|condition| NodeCondition {
            node: name.to_owned(),
            condition: text(condition, "/type").to_owned(),
            holds: text(condition, "/status") == "True",
            reason: text(condition, "/reason").to_owned(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_condition_is_waited_for_whichever_way_it_should_be() {
        let object = json!({ "status": { "conditions": [
            { "type": "Ready", "status": "False", "reason": "Pending", "message": "waits" }
        ] } });
        assert_eq!(has_condition(&object, "Ready", false), Progress::Done);
        assert!(
            matches!(has_condition(&object, "Ready", true), Progress::Going(text) if text.contains("waits"))
        );
        assert!(matches!(
            has_condition(&object, "Other", false),
            Progress::Going(_)
        ));
    }

    #[test]
    fn a_change_is_told_by_the_version() {
        let at = |version: &str| json!({ "metadata": { "resourceVersion": version } });
        assert!(matches!(
            outcome(Some(&at("1")), &at("1")),
            Outcome::Unchanged
        ));
        assert!(matches!(
            outcome(Some(&at("1")), &at("2")),
            Outcome::Changed
        ));
        assert!(matches!(outcome(None, &at("1")), Outcome::Changed));
    }

    #[test]
    fn nodes_tell_their_conditions_one_by_one() {
        let node = json!({ "metadata": { "name": "a" }, "status": { "conditions": [
            { "type": "Ready", "status": "True", "reason": "KubeletReady" },
            { "type": "MemoryPressure", "status": "Unknown", "reason": "NodeStatusUnknown" }
        ] } });
        let told: Vec<_> = node_conditions(&node)
            .into_iter()
            .map(|one| (one.condition, one.holds))
            .collect();
        assert_eq!(
            told,
            [
                ("Ready".to_owned(), true),
                ("MemoryPressure".to_owned(), false)
            ]
        );
    }
}
