//! Objects of clusters as JSON: asking the host for them, and reading what they say of themselves.
//!
//! Start at [`Cluster`], which is thin; what is worth testing are the pure functions below it, which take objects as they
//! are. Waiting is done in turns on a watch ([`Cluster::turn`]), each short enough for the host's limit on one call.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;

use crate::host::understudy::kubernetes::api;
use crate::host::understudy::types::types::{Error, Outcome};
use crate::provider::in_progress;

pub use crate::host::understudy::kubernetes::api::{ObjectRef, PatchKind};

/// Who applies: the field manager of every server-side apply.
pub const FIELD_MANAGER: &str = "understudy";

/// Where the token of the newest restart stands, among the annotations of a pod template.
pub const RESTART_TOKEN: &str = "understudy/restart-token";

/// What `kubectl rollout restart` sets: makes the template another one, and people know it.
pub const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";

/// Longest turn of waiting in milliseconds.
const TURN_MS: u64 = 5_000;

/// Turns of one call: together with the looks between them they stay below the minute that the host gives an attempt.
const TURNS: u32 = 6;

/// How soon the host asks again after the turns of one call: the next one waits on a watch too.
const POLL_AFTER_MS: u64 = 250;

/// Restarts after which a container that crashes at once is not waited for any longer.
const CRASHES: u64 = 3;

/// Which object.
#[must_use]
pub fn object(api_version: &str, kind: &str, namespace: &str, name: &str) -> ObjectRef {
    ObjectRef {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    }
}

/// A cluster of the binding, by its name there.
#[derive(Debug, Clone, Copy)]
pub struct Cluster<'a>(pub &'a str);

/// How far something is that is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// There.
    Done,
    /// Not there yet; in a few words, what is missing.
    Going(String),
    /// It will not get there; in the cluster's words.
    Stuck(String),
}

impl Cluster<'_> {
    /// An object.
    ///
    /// # Errors
    /// As `get-object`.
    pub fn get(&self, object: &ObjectRef) -> Result<Value, Error> {
        parse(&api::get_object(self.0, object)?)
    }

    /// An object; none where there is none.
    ///
    /// # Errors
    /// As `get-object`, but for `not-found`.
    pub fn find(&self, object: &ObjectRef) -> Result<Option<Value>, Error> {
        match self.get(object) {
            Ok(found) => Ok(Some(found)),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Objects of a kind by label selector.
    ///
    /// # Errors
    /// As `list-objects`.
    pub fn list(
        &self,
        api_version: &str,
        kind: &str,
        namespace: &str,
        selector: &str,
    ) -> Result<Vec<Value>, Error> {
        let text = api::list_objects(self.0, api_version, kind, namespace, selector)?;
        match parse(&text)? {
            Value::Array(items) => Ok(items),
            _ => Err(Error::Other("a list of objects is no list".to_owned())),
        }
    }

    /// Applies a manifest as [`FIELD_MANAGER`].
    ///
    /// # Errors
    /// As `ensure-applied`.
    pub fn apply(&self, manifest: &Value, force: bool) -> Result<Value, Error> {
        let text = manifest.to_string();
        parse(&api::ensure_applied(self.0, &text, FIELD_MANAGER, force)?)
    }

    /// Merges a patch, where `seen` is still the newest version of the object.
    ///
    /// # Errors
    /// As `ensure-patched`.
    pub fn merge(&self, object: &ObjectRef, patch: &Value, seen: &Value) -> Result<Value, Error> {
        let text = patch.to_string();
        let version = Some(version(seen));
        parse(&api::ensure_patched(
            self.0,
            object,
            PatchKind::Merge,
            &text,
            version,
        )?)
    }

    /// Asks for the object that was `seen` to be deleted, and no other of its name.
    ///
    /// # Errors
    /// As `ensure-deleted`, but for `not-found`.
    pub fn delete(&self, object: &ObjectRef, seen: &Value) -> Result<(), Error> {
        let uid = text(seen, "/metadata/uid");
        let uid = (!uid.is_empty()).then_some(uid);
        match api::ensure_deleted(self.0, object, uid, None) {
            Err(Error::NotFound(_)) => Ok(()),
            deleted => deleted,
        }
    }

    /// Deletes the object, waits until it is gone.
    ///
    /// # Errors
    /// As the functions of the host.
    pub fn remove(&self, object: &ObjectRef) -> Result<Outcome, Error> {
        let Some(seen) = self.find(object)? else {
            return Ok(Outcome::Unchanged);
        };
        if text(&seen, "/metadata/deletionTimestamp").is_empty() {
            self.delete(object, &seen)?;
        }
        self.settle(object, Outcome::Changed, || {
            Ok(match self.find(object)? {
                None => (Progress::Done, None),
                Some(left) => (
                    Progress::Going("waits for its finalizers".to_owned()),
                    Some(left),
                ),
            })
        })
    }

    /// Looks until it is done or stuck, waiting for a change of `object` in between; `done` is the answer then, and
    /// `in-progress` when this call has waited long enough. A look answers the object as well, where there is one.
    ///
    /// # Errors
    /// `conflict`: stuck. And what looking answers.
    pub fn settle(
        &self,
        object: &ObjectRef,
        done: Outcome,
        look: impl Fn() -> Result<(Progress, Option<Value>), Error>,
    ) -> Result<Outcome, Error> {
        let mut missing = String::new();
        for _ in 0..TURNS {
            let (progress, seen) = look()?;
            match progress {
                Progress::Done => return Ok(done),
                Progress::Stuck(reason) => {
                    return Err(Error::Conflict(format!("{}: {reason}", id(object))));
                }
                Progress::Going(reason) => missing = reason,
            }
            self.turn(object, seen.as_ref())?;
        }
        Ok(in_progress(id(object), missing, POLL_AFTER_MS))
    }

    /// Waits one turn for the object to change from what was `seen`.
    ///
    /// # Errors
    /// As `observe-change`.
    pub fn turn(&self, object: &ObjectRef, seen: Option<&Value>) -> Result<bool, Error> {
        api::observe_change(self.0, object, seen.map_or("", version), TURN_MS)
    }
}

fn parse(text: &str) -> Result<Value, Error> {
    serde_json::from_str(text)
        .map_err(|error| Error::Other(format!("an object is no JSON: {error}")))
}

/// For people: `Deployment app/wordpress`.
#[must_use]
pub fn id(object: &ObjectRef) -> String {
    let ObjectRef {
        kind,
        namespace,
        name,
        ..
    } = object;
    if namespace.is_empty() {
        format!("{kind} {name}")
    } else {
        format!("{kind} {namespace}/{name}")
    }
}

/// The version of an object; empty where it has none.
#[must_use]
pub fn version(object: &Value) -> &str {
    text(object, "/metadata/resourceVersion")
}

/// Text at a JSON pointer; empty where there is none.
#[must_use]
pub fn text<'v>(object: &'v Value, pointer: &str) -> &'v str {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or("")
}

/// A number at a JSON pointer; none where there is none.
#[must_use]
pub fn number(object: &Value, pointer: &str) -> Option<u64> {
    object.pointer(pointer).and_then(Value::as_u64)
}

/// A list at a JSON pointer; empty where there is none.
#[must_use]
pub fn list<'v>(object: &'v Value, pointer: &str) -> &'v [Value] {
    object
        .pointer(pointer)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// A key of a Secret's `data` as text; none where it is not there or not text.
#[must_use]
pub fn secret_text(secret: &Value, key: &str) -> Option<String> {
    let encoded = secret.get("data")?.get(key)?.as_str()?;
    String::from_utf8(BASE64.decode(encoded).ok()?).ok()
}

/// Text as a Secret's `data` holds it.
#[must_use]
pub fn secret_data(text: &str) -> Value {
    Value::from(BASE64.encode(text))
}

/// A condition of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// True where its status is `True`.
    pub holds: bool,
    /// One word.
    pub reason: String,
    /// A sentence; may be empty.
    pub message: String,
    /// Made for the object as it is now, as far as it says.
    pub current: bool,
}

/// A condition of an object by its type; none where it does not have it yet.
#[must_use]
pub fn condition(object: &Value, kind: &str) -> Option<Condition> {
    let found = list(object, "/status/conditions")
        .iter()
        .find(|condition| condition["type"] == kind)?;
    let made_for = number(found, "/observedGeneration");
    let generation = number(object, "/metadata/generation");
    Some(Condition {
        holds: found["status"] == "True",
        reason: text(found, "/reason").to_owned(),
        message: text(found, "/message").to_owned(),
        current: match (made_for, generation) {
            (Some(made_for), Some(generation)) => made_for >= generation,
            _ => true,
        },
    })
}

/// The label selector of a workload, as the API takes it: `matchLabels` alone, which is what Deployments have.
#[must_use]
pub fn selector(workload: &Value) -> String {
    let labels = workload
        .pointer("/spec/selector/matchLabels")
        .and_then(Value::as_object);
    let pairs = labels.into_iter().flatten();
    let pairs = pairs.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or("")));
    pairs.collect::<Vec<_>>().join(",")
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
    let token = |object: &Value, pointer: &str| {
        let annotations = object.pointer(pointer);
        let token = annotations.and_then(|annotations| annotations.get(RESTART_TOKEN));
        token.and_then(Value::as_str).unwrap_or("").to_owned()
    };
    let newest = token(workload, "/spec/template/metadata/annotations");
    let mut going = None;
    for pod in pods {
        if token(pod, "/metadata/annotations") != newest {
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
    use serde_json::json;

    use super::*;

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
    fn conditions_say_whether_they_are_about_the_object_as_it_is() {
        let object = json!({
            "metadata": { "generation": 2 },
            "status": { "conditions": [
                { "type": "Ready", "status": "True", "reason": "Ready", "observedGeneration": 1 },
                { "type": "Issuing", "status": "False", "reason": "Failed", "message": "no" }
            ] }
        });
        let ready = condition(&object, "Ready").unwrap();
        assert!(ready.holds && !ready.current);
        let issuing = condition(&object, "Issuing").unwrap();
        assert!(!issuing.holds && issuing.current && issuing.message == "no");
        assert_eq!(condition(&object, "Other"), None);
    }

    #[test]
    fn small_things_are_read() {
        let deployment = deployment(2, &running(2));
        assert_eq!(selector(&deployment), "app=wordpress,tier=web");
        assert_eq!((desired(&deployment), desired(&json!({}))), (2, 1));
        assert_eq!(version(&deployment), "41");
        let secret = json!({ "data": { "endpoint": secret_data("db:3306"), "bad": "%" } });
        assert_eq!(secret_text(&secret, "endpoint").unwrap(), "db:3306");
        assert_eq!(secret_text(&secret, "bad"), None);
        assert_eq!(secret_text(&secret, "none"), None);
        assert_eq!(id(&object("v1", "Node", "", "a")), "Node a");
        assert_eq!(id(&object("v1", "Pod", "app", "a")), "Pod app/a");
    }
}
