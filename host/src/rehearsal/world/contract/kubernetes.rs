//! `understudy:kubernetes/kubernetes`: objects that are applied are kept; Deployments of the scenario's applications, pods,
//! namespaces, issuers, certificates and nodes are shown as they are.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::World;
use super::super::cluster::condition;
use super::super::site::{Site, object_key};
use super::{args, no_such_function, ok, outcome};
use crate::call::{CallError, Outcome, Reply, Request};
use crate::name::SiteName;
use crate::rehearsal::scenario::cluster::node_name;

/// Most objects in a list.
const MAX_OBJECTS: usize = 500;
/// Most bytes of logs.
const MAX_LOG_BYTES: usize = 65_536;

#[derive(Deserialize, Clone)]
#[serde(rename_all = "kebab-case")]
struct ObjectRef {
    api_version: String,
    kind: String,
    namespace: String,
    name: String,
}

impl ObjectRef {
    fn key(&self) -> String {
        object_key(&self.api_version, &self.kind, &self.namespace, &self.name)
    }
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum PatchKind {
    Merge,
    Strategic,
}

#[derive(Deserialize)]
struct At {
    site: SiteName,
}

#[derive(Deserialize)]
struct Object {
    object: ObjectRef,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct List {
    api_version: String,
    kind: String,
    namespace: String,
    label_selector: String,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct ValueDigests {
    made_with: String,
    values: Vec<ValueDigest>,
}

#[derive(Serialize)]
struct ValueDigest {
    name: String,
    digest: String,
}

#[derive(Deserialize)]
struct Apply {
    manifest: String,
}

#[derive(Deserialize)]
struct Patch {
    #[serde(rename = "kind")]
    _kind: PatchKind,
    patch: String,
}

#[derive(Deserialize)]
struct Replicas {
    replicas: u32,
}

#[derive(Deserialize)]
struct Token {
    token: String,
}

#[derive(Deserialize)]
struct Condition {
    condition: String,
    holds: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Logs {
    namespace: String,
    label_selector: String,
    lines: u32,
}

impl World {
    pub(crate) fn kubernetes(&mut self, request: &Request) -> Reply {
        let At { site } = args(request)?;
        self.reach(&site)?;
        let object = || args::<Object>(request).map(|args| args.object);
        match request.function.function.as_str() {
            "get-object" => ok(&self.object(&site, &object()?)?.to_string()),
            "get-value-digests" => self.value_digests(&site, &object()?),
            "list-objects" => self.list_objects(&site, &args(request)?),
            "ensure-applied" => self.ensure_applied(&site, &args::<Apply>(request)?.manifest),
            "ensure-patched" => {
                self.ensure_patched(&site, &object()?, &args::<Patch>(request)?.patch)
            }
            "ensure-deleted" => self.ensure_deleted(&site, &object()?),
            "ensure-scaled" => {
                self.scale(&site, &object()?.name, args::<Replicas>(request)?.replicas)
            }
            "ensure-restarted" => {
                self.restart(&site, &object()?.name, args::<Token>(request)?.token)
            }
            "ensure-condition" => self.ensure_condition(&site, &object()?, &args(request)?),
            "list-node-conditions" => {
                let found = self.sites.get(&site);
                ok(&found.map_or_else(Vec::new, |found| found.node_conditions(&site)))
            }
            "get-pod-logs" => self.pod_logs(&site, &args(request)?),
            _ => no_such_function(request),
        }
    }

    fn object(&self, place: &SiteName, object: &ObjectRef) -> Result<Value, CallError> {
        let missing =
            || CallError::NotFound(format!("no {} `{}` at `{place}`", object.kind, object.name));
        let site = self.sites.get(place).ok_or_else(missing)?;
        let applied = site.objects.get(&object.key()).cloned();
        let mut shown = applied.unwrap_or_else(|| {
            json!({
                "apiVersion": object.api_version,
                "kind": object.kind,
                "metadata": { "name": object.name, "namespace": object.namespace },
            })
        });
        if object.kind == "Pod" {
            let pods = site.pods(place, &object.namespace).into_iter();
            let mut named = pods.filter(|pod| text(pod, "/metadata/name") == object.name);
            return named.next().ok_or_else(missing);
        }
        let status = self.status(place, site, object);
        match (status, site.objects.contains_key(&object.key())) {
            (Some((spec, status)), _) => {
                merge(&mut shown, &json!({ "spec": spec, "status": status }))
            }
            // As providers see one whose keys they are not granted.
            (None, true) if object.kind == "Secret" => {
                if let Some(fields) = shown.as_object_mut() {
                    fields.insert("data".to_owned(), json!({}));
                }
            }
            (None, true) => {}
            (None, false) => return Err(missing()),
        }
        Ok(shown)
    }

    /// Spec and status of an object that the world itself knows.
    fn status(&self, place: &SiteName, site: &Site, object: &ObjectRef) -> Option<(Value, Value)> {
        let only = |kind: &str, holds: bool| json!({ "conditions": [condition(kind, holds)] });
        match object.kind.as_str() {
            "Deployment" => {
                if object.name.contains("ingress") {
                    let ready = u32::from(site.controller);
                    return site.controller.then(|| {
                        (
                            json!({ "replicas": 1 }),
                            with(only("Available", true), ready),
                        )
                    });
                }
                let app = site.apps.get(&object.name)?;
                let available = app.ready() >= app.desired;
                Some((
                    json!({ "replicas": app.desired }),
                    with(only("Available", available), app.ready()),
                ))
            }
            "ClusterIssuer" | "Issuer" => {
                let issuer = self.issuers.get(&object.name)?;
                let ready = issuer.limited_until.is_none_or(|until| until <= self.now);
                Some((json!({}), only("Ready", ready)))
            }
            "Certificate" => {
                let certificate = site.certificates.get(&object.name)?;
                Some((
                    json!({ "dnsNames": certificate.dns_names }),
                    only("Ready", certificate.not_after > self.now),
                ))
            }
            "Node" => {
                let known = (1..=site.nodes).any(|n| node_name(place, n) == object.name);
                known.then(|| {
                    let spec = site.node_spec(place, &object.name);
                    (spec, site.node_status(&object.name))
                })
            }
            "Namespace" => {
                let known = site.namespaces.contains_key(&object.name)
                    || site.objects.contains_key(&object.key());
                known.then(|| (json!({}), json!({ "phase": "Active" })))
            }
            _ => None,
        }
    }

    /// By which the values of an object are compared. A host makes digests with a key of its own, and has none of those
    /// before it.
    fn value_digests(&self, place: &SiteName, object: &ObjectRef) -> Reply {
        let (api_version, kind) = (object.api_version.as_str(), object.kind.as_str());
        if !matches!((api_version, kind), ("v1", "Secret" | "ConfigMap")) {
            return Err(CallError::Invalid(format!(
                "{api_version}/{kind} has no keys whose values are compared"
            )));
        }
        let key = object.key();
        let found = self
            .sites
            .get(place)
            .and_then(|site| site.objects.get(&key));
        let found = found.ok_or_else(|| {
            CallError::NotFound(format!("no {kind} `{}` at `{place}`", object.name))
        })?;
        let data = found.get("data").and_then(Value::as_object);
        let digest = |(name, value): (&String, &Value)| {
            let value = format!("{key}|{name}={value}");
            let bits = self.draws.bits("value-digest", &value, self.dead_hosts);
            ValueDigest {
                name: name.clone(),
                digest: format!("{bits:016x}"),
            }
        };
        ok(&ValueDigests {
            made_with: format!("host-{}", self.dead_hosts + 1),
            values: data.into_iter().flatten().map(digest).collect(),
        })
    }

    fn list_objects(&self, place: &SiteName, list: &List) -> Reply {
        let Some(site) = self.sites.get(place) else {
            return ok(&"[]");
        };
        if list.kind == "Pod" {
            let pods = site.pods(place, &list.namespace).into_iter();
            let pods = pods.filter(|pod| selected(pod, &list.label_selector));
            return ok(&Value::Array(pods.take(MAX_OBJECTS).collect()).to_string());
        }
        let known: Vec<String> = match list.kind.as_str() {
            "Deployment" => site.apps.keys().cloned().collect(),
            "ClusterIssuer" | "Issuer" => self.issuers.keys().cloned().collect(),
            "Certificate" => site.certificates.keys().cloned().collect(),
            "Node" => (1..=site.nodes).map(|n| node_name(place, n)).collect(),
            "Namespace" => site.namespaces.keys().cloned().collect(),
            _ => Vec::new(),
        };
        let reference = |name: String| ObjectRef {
            api_version: list.api_version.clone(),
            kind: list.kind.clone(),
            namespace: list.namespace.clone(),
            name,
        };
        let prefix = format!("{}|{}|{}|", list.api_version, list.kind, list.namespace);
        let applied = site
            .objects
            .keys()
            .filter_map(|key| key.strip_prefix(&prefix))
            .map(str::to_owned);
        let names: std::collections::BTreeSet<String> = known.into_iter().chain(applied).collect();
        let objects = names
            .into_iter()
            .filter_map(|name| self.object(place, &reference(name)).ok());
        let selected = objects.filter(|object| selected(object, &list.label_selector));
        let objects: Vec<Value> = selected.take(MAX_OBJECTS).collect();
        ok(&Value::Array(objects).to_string())
    }

    fn ensure_applied(&mut self, place: &SiteName, manifest: &str) -> Reply {
        let manifest: Value = serde_json::from_str(manifest)
            .map_err(|error| CallError::Invalid(format!("the manifest is no JSON: {error}")))?;
        let said = |pointer: &str| text(&manifest, pointer).to_owned();
        let object = ObjectRef {
            api_version: said("/apiVersion"),
            kind: said("/kind"),
            namespace: said("/metadata/namespace"),
            name: said("/metadata/name"),
        };
        if object.api_version.is_empty() || object.kind.is_empty() || object.name.is_empty() {
            return Err(CallError::Invalid(
                "a manifest has `apiVersion`, `kind` and `metadata.name`".to_owned(),
            ));
        }
        self.put(place, &object, &manifest)
    }

    fn put(&mut self, place: &SiteName, object: &ObjectRef, change: &Value) -> Reply {
        let Some(site) = self.sites.get_mut(place) else {
            return outcome(Outcome::Unchanged);
        };
        let kept = site
            .objects
            .entry(object.key())
            .or_insert_with(|| json!({}));
        let before = kept.clone();
        merge(kept, change);
        outcome(if *kept == before {
            Outcome::Unchanged
        } else {
            Outcome::Changed
        })
    }

    fn ensure_patched(&mut self, place: &SiteName, object: &ObjectRef, patch: &str) -> Reply {
        self.object(place, object)?;
        let patch: Value = serde_json::from_str(patch)
            .map_err(|error| CallError::Invalid(format!("the patch is no JSON: {error}")))?;
        self.put(place, object, &patch)
    }

    fn ensure_deleted(&mut self, place: &SiteName, object: &ObjectRef) -> Reply {
        let Some(site) = self.sites.get_mut(place) else {
            return outcome(Outcome::Unchanged);
        };
        let mut gone = site.objects.remove(&object.key()).is_some();
        if object.kind == "Namespace" {
            gone |= site.namespaces.remove(&object.name).is_some();
        }
        if object.kind == "Certificate" {
            gone |= site.certificates.remove(&object.name).is_some();
        }
        outcome(if gone {
            Outcome::Changed
        } else {
            Outcome::Unchanged
        })
    }

    fn ensure_condition(
        &mut self,
        place: &SiteName,
        object: &ObjectRef,
        wanted: &Condition,
    ) -> Reply {
        let shown = self.object(place, object)?;
        let conditions = shown
            .pointer("/status/conditions")
            .and_then(Value::as_array);
        let condition =
            conditions.and_then(|all| all.iter().find(|c| c["type"] == wanted.condition.as_str()));
        let holds = condition.is_some_and(|condition| condition["status"] == "True");
        if holds == wanted.holds {
            return outcome(Outcome::Unchanged);
        }
        let name = format!("{} {}", object.kind, object.name);
        outcome(self.wait(
            name,
            format!("condition {} = {}", wanted.condition, wanted.holds),
        ))
    }

    fn pod_logs(&self, place: &SiteName, logs: &Logs) -> Reply {
        let found = self.sites.get(place);
        let pods = found.map_or_else(Vec::new, |site| site.pods(place, &logs.namespace));
        let pods = pods.iter().filter(|pod| {
            selected(pod, &logs.label_selector) && text(pod, "/status/phase") == "Running"
        });
        let names = pods.map(|pod| text(pod, "/metadata/name"));
        let lines = logs.lines.min(1) as usize;
        let said = names.map(|name| format!("{} {name} ready\n", self.now).repeat(lines));
        let mut said: String = said.collect();
        said.truncate(MAX_LOG_BYTES);
        ok(&said)
    }
}

/// Text at a JSON pointer; empty where there is none.
fn text<'v>(object: &'v Value, pointer: &str) -> &'v str {
    let found = object.pointer(pointer).and_then(Value::as_str);
    found.unwrap_or_default()
}

fn with(mut status: Value, ready: u32) -> Value {
    merge(
        &mut status,
        &json!({ "readyReplicas": ready, "availableReplicas": ready }),
    );
    status
}

/// RFC 7386, for both kinds of patch: the world keeps no lists whose elements strategic merging would match by name.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    if let Value::Object(target) = target {
        for (key, value) in patch {
            if value.is_null() {
                target.remove(key);
            } else {
                merge(target.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
    }
}

/// Whether an object has all labels of a selector such as `app=wordpress,tier=web`; an empty one selects all.
fn selected(object: &Value, selector: &str) -> bool {
    selector
        .split(',')
        .filter(|part| !part.is_empty())
        .all(|part| {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let label = object
                .pointer("/metadata/labels")
                .and_then(|labels| labels.get(key.trim()));
            label.and_then(Value::as_str) == Some(value.trim())
        })
}
