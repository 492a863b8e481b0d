//! Deployments and StatefulSets: scaled and restarted ([`Cluster::scale`], [`Cluster::restart`]), how far one is with what it
//! asks for, and what keeps its pods from running. All but the two is pure.

use serde_json::{Value, json};

use super::{
    Cluster, ObjectRef, Progress, RESTART_TOKEN, RESTARTED_AT, condition, entry, id, list, number,
    selector, text,
};
use crate::host::understudy::kubernetes::api;
use crate::host::understudy::types::types::{Error, Outcome};
use crate::time::rfc3339;

/// Restarts after which a container that crashes at once is not waited for any longer.
const CRASHES: u64 = 3;

impl Cluster<'_> {
    /// Asks for this many replicas, waits until that many are ready or the last is gone.
    ///
    /// # Errors
    /// `invalid`: neither a Deployment nor a StatefulSet. `conflict`: a pod cannot start. And as the functions of the host.
    pub fn scale(&self, object: &ObjectRef, replicas: u32) -> Result<Outcome, Error> {
        rolls(object)?;
        let seen = self.get(object)?;
        let done = if desired(&seen) == u64::from(replicas) {
            Outcome::Unchanged
        } else {
            api::ensure_scaled(self.0, object, replicas)?;
            Outcome::Changed
        };
        self.rolled_out(object, done)
    }

    /// Restarts once for `token`, waits until every replica is new and ready.
    ///
    /// # Errors
    /// As [`scale`](Self::scale); `invalid` for an empty token.
    pub fn restart(&self, object: &ObjectRef, token: &str) -> Result<Outcome, Error> {
        rolls(object)?;
        if token.is_empty() {
            return Err(Error::Invalid("the restart token is empty".to_owned()));
        }
        let seen = self.get(object)?;
        let annotations = "/spec/template/metadata/annotations";
        let done = if entry(&seen, annotations, RESTART_TOKEN) == token {
            Outcome::Unchanged
        } else {
            let at = rfc3339(api::get_time(self.0)?);
            let annotations = json!({ (RESTART_TOKEN): token, (RESTARTED_AT): at });
            let template = json!({ "metadata": { "annotations": annotations } });
            self.merge(object, &json!({ "spec": { "template": template } }), &seen)?;
            Outcome::Changed
        };
        self.rolled_out(object, done)
    }

    fn rolled_out(&self, object: &ObjectRef, done: Outcome) -> Result<Outcome, Error> {
        self.settle(object, done, || {
            let seen = self.get(object)?;
            let pods = self.list("v1", "Pod", &object.namespace, &selector(&seen))?;
            Ok((rollout(&seen, &pods), Some(seen)))
        })
    }
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

/// Replicas that a workload asks for.
#[must_use]
pub fn desired(workload: &Value) -> u64 {
    number(workload, "/spec/replicas").unwrap_or(1)
}

/// How far a Deployment or a StatefulSet is with what it asks for: what `kubectl rollout status` waits for, and for no
/// replicas that the last pod is gone, the ones that are still ending included. `pods` are those of its selector.
#[must_use]
pub fn rollout(workload: &Value, pods: &[Value]) -> Progress {
    let going = |text: String| Progress::Going(text);
    let count = |field: &str| number(workload, &format!("/status/{field}")).unwrap_or(0);
    let generation = number(workload, "/metadata/generation").unwrap_or(0);
    if count("observedGeneration") < generation {
        return going("its controller has not looked at it yet".to_owned());
    }
    let desired = desired(workload);
    if desired == 0 {
        return match pods.len() {
            0 => Progress::Done,
            left => going(format!("{left} pods are still there")),
        };
    }
    if let Some(trouble) = trouble(workload, pods) {
        return trouble;
    }
    let late = condition(workload, "Progressing")
        .filter(|progressing| progressing.reason == "ProgressDeadlineExceeded");
    if let Some(late) = late {
        return Progress::Stuck(format!("{}: {}", late.reason, late.message));
    }
    let (updated, all, ready) = (
        count("updatedReplicas"),
        count("replicas"),
        count("readyReplicas"),
    );
    if updated < desired {
        return going(format!("{updated} of {desired} replicas are new"));
    }
    if all > desired {
        return going(format!("{} old replicas are still there", all - desired));
    }
    if ready < desired {
        return going(format!("{ready} of {desired} replicas ready"));
    }
    Progress::Done
}

/// What keeps the newest pods of a workload from running: those of an earlier template are about to go.
fn trouble(workload: &Value, pods: &[Value]) -> Option<Progress> {
    let newest = entry(
        workload,
        "/spec/template/metadata/annotations",
        RESTART_TOKEN,
    );
    let mut going = None;
    for pod in pods {
        if entry(pod, "/metadata/annotations", RESTART_TOKEN) != newest {
            continue;
        }
        match pod_trouble(pod) {
            Some(Progress::Going(reason)) => going = Some(Progress::Going(reason)),
            Some(stuck) => return Some(stuck),
            None => {}
        }
    }
    going
}

/// What keeps a pod from running, as its containers and its conditions tell; none where it is on its way.
fn pod_trouble(pod: &Value) -> Option<Progress> {
    let name = text(pod, "/metadata/name");
    let containers = ["/status/initContainerStatuses", "/status/containerStatuses"];
    for status in containers.iter().flat_map(|pointer| list(pod, pointer)) {
        let reason = text(status, "/state/waiting/reason");
        let restarts = number(status, "/restartCount").unwrap_or(0);
        let said = [
            text(status, "/state/waiting/message"),
            text(status, "/lastState/terminated/message"),
        ];
        let said = said.into_iter().find(|text| !text.is_empty()).unwrap_or("");
        let container = text(status, "/name");
        let told = format!(
            "pod {name}, container {container}: {reason} after {restarts} restarts: {said}"
        );
        match reason {
            "ImagePullBackOff"
            | "InvalidImageName"
            | "ErrImageNeverPull"
            | "CreateContainerConfigError" => return Some(Progress::Stuck(told)),
            "CrashLoopBackOff" if restarts >= CRASHES => return Some(Progress::Stuck(told)),
            "CrashLoopBackOff" | "ErrImagePull" | "CreateContainerError" | "RunContainerError" => {
                return Some(Progress::Going(told));
            }
            _ => {}
        }
    }
    let scheduled = condition(pod, "PodScheduled").filter(|scheduled| !scheduled.holds)?;
    let told = format!("pod {name}: {}: {}", scheduled.reason, scheduled.message);
    // A node may come, so it is waited for; what is waited for is said.
    Some(Progress::Going(told))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::object;

    fn deployment(desired: u64, status: &Value) -> Value {
        json!({
            "metadata": { "generation": 4, "resourceVersion": "41" },
            "spec": {
                "replicas": desired, "selector": { "matchLabels": { "app": "wordpress", "tier": "web" } },
                "template": { "metadata": { "annotations": { RESTART_TOKEN: "t2" } } }
            },
            "status": status
        })
    }

    fn running(desired: u64) -> Value {
        json!({ "observedGeneration": 4, "replicas": desired, "updatedReplicas": desired, "readyReplicas": desired })
    }

    fn pod(token: &str, reason: &str, restarts: u64) -> Value {
        json!({
            "metadata": { "name": "wordpress-1", "annotations": { RESTART_TOKEN: token } },
            "status": { "containerStatuses": [{
                "name": "php", "restartCount": restarts,
                "state": { "waiting": { "reason": reason, "message": "back-off 40s" } }
            }] }
        })
    }

    #[test]
    fn a_rollout_is_done_when_all_that_is_asked_for_is_new_and_ready() {
        let with = |changes: Value| {
            let mut status = running(3);
            for (key, value) in changes.as_object().unwrap() {
                status[key] = value.clone();
            }
            rollout(&deployment(3, &status), &[])
        };
        assert_eq!(with(json!({})), Progress::Done);
        for (changes, words) in [
            (json!({ "observedGeneration": 3 }), "not looked"),
            (json!({ "updatedReplicas": 1 }), "1 of 3 replicas are new"),
            (json!({ "replicas": 4 }), "1 old replicas"),
            (json!({ "readyReplicas": 2 }), "2 of 3 replicas ready"),
            (json!({ "readyReplicas": null }), "0 of 3 replicas ready"),
        ] {
            let progress = with(changes);
            assert!(
                matches!(&progress, Progress::Going(text) if text.contains(words)),
                "{progress:?}"
            );
        }
        let late = json!({ "conditions": [{ "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out" }] });
        assert!(matches!(with(late), Progress::Stuck(text) if text.contains("timed out")));
    }

    #[test]
    fn no_replicas_means_that_the_last_pod_is_gone() {
        let none = deployment(0, &json!({ "observedGeneration": 4 }));
        assert_eq!(rollout(&none, &[]), Progress::Done);
        let ending = json!({ "metadata": { "deletionTimestamp": "2024-02-29T12:00:00Z" } });
        assert!(matches!(rollout(&none, &[ending]), Progress::Going(_)));
    }

    #[test]
    fn a_pod_that_cannot_start_is_reported_in_its_own_words() {
        let judge =
            |pod: Value| rollout(&deployment(3, &json!({ "observedGeneration": 4 })), &[pod]);
        for (reason, restarts, stuck) in [
            ("ImagePullBackOff", 0, true),
            ("CreateContainerConfigError", 0, true),
            ("CrashLoopBackOff", 5, true),
            ("CrashLoopBackOff", 1, false),
            ("ErrImagePull", 0, false),
        ] {
            let progress = judge(pod("t2", reason, restarts));
            assert_eq!(
                matches!(progress, Progress::Stuck(_)),
                stuck,
                "{progress:?}"
            );
            let (Progress::Stuck(text) | Progress::Going(text)) = progress else {
                panic!("done")
            };
            for word in [reason, "wordpress-1", "php", "back-off 40s"] {
                assert!(text.contains(word), "{text}");
            }
        }
        // A pod of the template before is about to go.
        assert!(
            matches!(judge(pod("t1", "ImagePullBackOff", 0)), Progress::Going(text) if !text.contains("ImagePull"))
        );
        let unscheduled = json!({
            "metadata": { "name": "a", "annotations": { RESTART_TOKEN: "t2" } },
            "status": { "conditions": [{ "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available" }] }
        });
        assert!(matches!(judge(unscheduled), Progress::Going(text) if text.contains("0/1 nodes")));
    }

    #[test]
    fn a_workload_asks_for_one_replica_unless_it_says_so() {
        assert_eq!(
            (desired(&deployment(2, &running(2))), desired(&json!({}))),
            (2, 1)
        );
    }

    #[test]
    fn only_what_rolls_out_is_scaled_and_restarted() {
        let of = |kind: &str| rolls(&object("apps/v1", kind, "app", "a"));
        assert!(of("Deployment").is_ok() && of("StatefulSet").is_ok());
        assert!(matches!(of("DaemonSet"), Err(Error::Invalid(_))));
    }
}
