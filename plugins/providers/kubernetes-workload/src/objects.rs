//! The contract `kubernetes`: objects as they are, and what is done to Deployments and StatefulSets for both contracts.

use serde_json::{Value, json};
use understudy_sdk::host::understudy::kubernetes::api;
use understudy_sdk::host::understudy::types::types::{Error, Outcome};
use understudy_sdk::kubernetes::rollout::{desired, rollout};
use understudy_sdk::kubernetes::{
    Cluster, ObjectRef, Progress, RESTART_TOKEN, RESTARTED_AT, condition, id, list, object,
    selector, text, version,
};
use understudy_sdk::time::rfc3339;

use crate::exports::understudy::kubernetes::kubernetes::{self, Guest, NodeCondition, PatchKind};
use crate::{CONFIG, KubernetesWorkload};

/// Most bytes of logs of one answer: as the contract says.
const LOG_BYTES: usize = 64 * 1024;

impl Guest for KubernetesWorkload {
    fn get_object(site: String, object: kubernetes::ObjectRef) -> Result<String, Error> {
        let config = CONFIG.get()?;
        Ok(config.cluster(&site).get(&wanted(object))?.to_string())
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
        let kind = match kind {
            PatchKind::Merge => api::PatchKind::Merge,
            PatchKind::Strategic => api::PatchKind::Strategic,
        };
        let seen = Some(version(&before));
        let after = api::ensure_patched(cluster.0, &object, kind, &patch, seen)?;
        let after = serde_json::from_str(&after).unwrap_or_default();
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
        scale(CONFIG.get()?.cluster(&site), &wanted(object), replicas)
    }

    fn ensure_restarted(
        site: String,
        object: kubernetes::ObjectRef,
        token: String,
    ) -> Result<Outcome, Error> {
        restart(CONFIG.get()?.cluster(&site), &wanted(object), &token)
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
        let mut logs = String::new();
        for pod in cluster.list("v1", "Pod", &namespace, &label_selector)? {
            let name = text(&pod, "/metadata/name");
            for container in list(&pod, "/spec/containers") {
                let container = text(container, "/name");
                let said = api::get_pod_logs(cluster.0, &namespace, name, Some(container), lines);
                // A container that has not started has none; the others still do.
                let said = said.unwrap_or_else(|error| format!("no logs: {error:?}\n"));
                logs.push_str(&format!("==> {name} {container}\n{said}"));
            }
        }
        Ok(tail(logs))
    }
}

/// Asks for this many replicas, waits until that many are ready or the last is gone.
pub(crate) fn scale(
    cluster: Cluster<'_>,
    object: &ObjectRef,
    replicas: u32,
) -> Result<Outcome, Error> {
    rolls(object)?;
    let seen = cluster.get(object)?;
    let done = if desired(&seen) == u64::from(replicas) {
        Outcome::Unchanged
    } else {
        api::ensure_scaled(cluster.0, object, replicas)?;
        Outcome::Changed
    };
    settle(cluster, object, done)
}

/// Restarts once for `token`, waits until every replica is new and ready.
pub(crate) fn restart(
    cluster: Cluster<'_>,
    object: &ObjectRef,
    token: &str,
) -> Result<Outcome, Error> {
    rolls(object)?;
    if token.is_empty() {
        return Err(Error::Invalid("the restart token is empty".to_owned()));
    }
    let seen = cluster.get(object)?;
    let done = if seen["spec"]["template"]["metadata"]["annotations"][RESTART_TOKEN] == token {
        Outcome::Unchanged
    } else {
        let at = rfc3339(api::get_time(cluster.0)?);
        let annotations = json!({ (RESTART_TOKEN): token, (RESTARTED_AT): at });
        let patch =
            json!({ "spec": { "template": { "metadata": { "annotations": annotations } } } });
        cluster.merge(object, &patch, &seen)?;
        Outcome::Changed
    };
    settle(cluster, object, done)
}

fn settle(cluster: Cluster<'_>, object: &ObjectRef, done: Outcome) -> Result<Outcome, Error> {
    cluster.settle(object, done, || {
        let seen = cluster.get(object)?;
        let pods = cluster.list("v1", "Pod", &object.namespace, &selector(&seen))?;
        Ok((rollout(&seen, &pods), Some(seen)))
    })
}

/// What is rolled out in a way that is known here.
fn rolls(object: &ObjectRef) -> Result<(), Error> {
    match object.kind.as_str() {
        "Deployment" | "StatefulSet" => Ok(()),
        _ => Err(Error::Invalid(format!(
            "{} is neither a Deployment nor a StatefulSet",
            id(object)
        ))),
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
            holds: condition["status"] == "True",
            reason: text(condition, "/reason").to_owned(),
        })
        .collect()
}

/// The end of the logs, from the beginning of a line where they are cut.
fn tail(logs: String) -> String {
    if logs.len() <= LOG_BYTES {
        return logs;
    }
    let end = logs.get(logs.ceil_char_boundary(logs.len() - LOG_BYTES)..);
    let end = end.unwrap_or("");
    end.split_once('\n')
        .map_or(end, |(_, lines)| lines)
        .to_owned()
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn logs_are_cut_at_a_line() {
        let long = tail("0123456789\n".repeat(LOG_BYTES));
        assert!(long.len() <= LOG_BYTES && long.starts_with("0123456789\n"));
        assert_eq!(tail("short".to_owned()), "short");
    }

    #[test]
    fn only_what_rolls_out_is_scaled_and_restarted() {
        let of = |kind: &str| rolls(&object("apps/v1", kind, "app", "a"));
        assert!(of("Deployment").is_ok() && of("StatefulSet").is_ok());
        assert!(matches!(of("DaemonSet"), Err(Error::Invalid(_))));
    }
}
