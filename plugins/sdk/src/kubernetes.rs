//! Objects of clusters as JSON: asking the host for them, and reading what they say of themselves.
//!
//! Start at [`Cluster`], which is thin; what is worth testing are the pure functions below it, which take objects as they
//! are. Waiting is done in turns on a watch ([`Cluster::turn`]), each short enough for the host's limit on one call.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use crate::host::understudy::kubernetes::api;
use crate::host::understudy::types::types::{Error, Outcome};
use crate::provider::in_progress;

pub mod rollout;

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

impl<'a> Cluster<'a> {
    /// The cluster of a site: as `clusters` has it, else the one with the site's name.
    #[must_use]
    pub fn of_site(clusters: &'a BTreeMap<String, String>, site: &'a str) -> Self {
        Self(clusters.get(site).map_or(site, String::as_str))
    }
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
        self.patch(object, PatchKind::Merge, &patch.to_string(), seen)
    }

    /// Patches an object, where `seen` is still its newest version.
    ///
    /// # Errors
    /// As `ensure-patched`.
    pub fn patch(
        &self,
        object: &ObjectRef,
        kind: PatchKind,
        patch: &str,
        seen: &Value,
    ) -> Result<Value, Error> {
        let version = Some(version(seen));
        parse(&api::ensure_patched(self.0, object, kind, patch, version)?)
    }

    /// Has the status of the object that was `seen` hold a condition, beside its others.
    ///
    /// # Errors
    /// As `ensure-status-patched`.
    pub fn set_condition(
        &self,
        object: &ObjectRef,
        condition: Value,
        seen: &Value,
    ) -> Result<Value, Error> {
        let others = list(seen, "/status/conditions").iter();
        let others = others.filter(|other| text(other, "/type") != text(&condition, "/type"));
        let conditions: Vec<Value> = others.cloned().chain([condition.clone()]).collect();
        let patch = json!({ "status": { "conditions": conditions } }).to_string();
        let version = Some(version(seen));
        parse(&api::ensure_status_patched(
            self.0, object, &patch, version,
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

/// Text under a key of the map at a JSON pointer, where the key may hold anything; empty where there is none.
#[must_use]
pub fn entry<'v>(object: &'v Value, pointer: &str, key: &str) -> &'v str {
    let map = object.pointer(pointer);
    map.and_then(|map| map.get(key)?.as_str()).unwrap_or("")
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
        .find(|condition| text(condition, "/type") == kind)?;
    let made_for = number(found, "/observedGeneration");
    let generation = number(object, "/metadata/generation");
    Some(Condition {
        holds: text(found, "/status") == "True",
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

#[cfg(test)]
mod tests {
    use super::*;

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
        let deployment = json!({
            "metadata": { "resourceVersion": "41" },
            "spec": { "selector": { "matchLabels": { "app": "wordpress", "tier": "web" } } }
        });
        assert_eq!(selector(&deployment), "app=wordpress,tier=web");
        assert_eq!(version(&deployment), "41");
        let secret = json!({ "data": { "endpoint": secret_data("db:3306"), "bad": "%" } });
        assert_eq!(secret_text(&secret, "endpoint").unwrap(), "db:3306");
        assert_eq!(secret_text(&secret, "bad"), None);
        assert_eq!(secret_text(&secret, "none"), None);
        assert_eq!(id(&object("v1", "Node", "", "a")), "Node a");
        assert_eq!(id(&object("v1", "Pod", "app", "a")), "Pod app/a");
    }
}
