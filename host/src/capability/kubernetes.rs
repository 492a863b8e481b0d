//! Kubernetes for providers: `understudy:kubernetes/api`, the API servers of the binding's clusters.
//!
//! Every call takes the same way: names checked → granted? → kind looked up in the API server's own discovery → sent,
//! TLS verified → answer read within its limit, freed of secrets and of what the grant does not show. Nothing is
//! tried again here, and no field is taken over from another manager unless that is granted. Start at [`Kubernetes`];
//! `kubernetes/kubeconfig.rs` is who is asked and as whom, `kubernetes/grant.rs` what may be asked.

use std::collections::BTreeMap;
use std::time::Duration;

use kube::core::params::{DeleteParams, GetParams, ListParams, Patch, PatchParams, Preconditions};
use kube::core::subresource::{LogParams, Scale};
use reqwest::header::DATE;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::clock::{BoxFuture, Instant, timeout_at};
use crate::runbook::types::{KubernetesGrant, KubernetesVerb};

use super::credential::Redactor;
use super::handout::Desk;
use super::trust::UNBELIEVED;
use super::{Asked, Capability, Facilities, Fault, Used, arguments};

mod args;
mod change;
pub(crate) mod cluster;
mod compare;
mod discovery;
pub mod grant;
pub mod kubeconfig;
mod object;
mod secret;
mod server;

use args::{
    ApplyArgs, ChangeArgs, DeleteArgs, ListArgs, LogArgs, ObjectArgs, PatchArgs, PatchKind,
    ScaleArgs, StatusArgs, TimeArgs,
};
use cluster::{Entry, Reached};
use discovery::{Discovery, Served};
use grant::Wanted;
use object::{ObjectRef, Place};
pub use server::MAX_ANSWER_BYTES;
use server::{Answer, Server};

/// Most objects of one list: as `wit/kubernetes` says.
pub const MAX_OBJECTS: usize = 500;

/// Most bytes of a manifest or patch: as etcd has it for one object.
pub const MAX_REQUEST_BYTES: usize = 1536 * 1024;

/// Objects asked for at once: a page of a list.
const PAGE_OBJECTS: u32 = 100;

/// The subresource that says how many replicas.
const SCALE: &str = "scale";

/// The subresource that controllers write.
const STATUS: &str = "status";

/// Most lines of a log that are asked for.
pub const MAX_LOG_LINES: u32 = 5_000;

/// Most bytes of a log: as `wit/kubernetes` says.
pub const MAX_LOG_BYTES: usize = 64 * 1024;

/// Code of an API server that does not know who asks.
const UNKNOWN: &str = "CP0025";

/// The capability.
pub struct Kubernetes {
    clusters: BTreeMap<String, Entry>,
    desk: Desk,
    grants: Vec<KubernetesGrant>,
    discovery: Discovery,
    redactor: Redactor,
    facilities: Facilities,
}

/// The answer with its result line for the journal.
type Done = Result<(Value, String), Fault>;

/// A granted use of an object, or of the objects of a namespace.
struct Granted<'a> {
    server: Server<'a>,
    wanted: Wanted<'a>,
    /// Keys of a Secret that may be seen and written.
    keys: Vec<&'a str>,
    served: Served,
}

impl Granted<'_> {
    /// What was asked, for people.
    fn asked(&self) -> String {
        self.wanted.to_string()
    }

    /// Requests for the kind at its place.
    fn requests(&self) -> kube::core::Request {
        let path = self.served.path(self.wanted.namespace);
        kube::core::Request::new(self.server.path(&path))
    }

    /// An object as a provider may see it.
    fn shown(&self, mut object: Value, redactor: &Redactor) -> Value {
        secret::hide(&mut object, self.wanted.kind, &self.keys);
        redactor.value(&mut object);
        object
    }

    /// A write to a Secret keeps to the granted keys.
    fn within_keys(&self, written: &Value) -> Result<(), Fault> {
        if !secret::is_secret(self.wanted.kind) {
            return Ok(());
        }
        match secret::beyond(written, &self.keys).as_slice() {
            [] => Ok(()),
            beyond => Err(self.wanted.denied(beyond)),
        }
    }
}

impl Kubernetes {
    pub(crate) fn new(
        clusters: BTreeMap<String, Entry>,
        desk: Desk,
        grants: Vec<KubernetesGrant>,
        redactor: Redactor,
        facilities: Facilities,
    ) -> Self {
        Self {
            clusters,
            desk,
            grants,
            discovery: Discovery::default(),
            redactor,
            facilities,
        }
    }

    async fn serve(&self, asked: Asked<'_>) -> Used {
        // Made more exact as soon as it is known what is done to what.
        let mut action = format!("kubernetes {}", asked.function);
        let deadline = asked.deadline;
        let serving = self.known(&asked, &mut action);
        let done = timeout_at(self.facilities.clock.as_ref(), deadline, serving).await;
        let done = done.unwrap_or_else(|| Err(Fault::timed_out(&action)));
        Used::of(&action, done, &self.redactor)
    }

    /// Serves it, with a new kubeconfig where the API server does not know who asks and somebody hands one out. Nothing is
    /// done twice: a function makes one change at most, and what is answered 401 is not done.
    async fn known(&self, asked: &Asked<'_>, action: &mut String) -> Done {
        let done = self.function(asked, action).await;
        let Err(fault) = &done else { return done };
        let cluster = asked.args.get("cluster").and_then(Value::as_str);
        let entry = cluster.and_then(|name| self.clusters.get(name));
        let stale = fault.is_code(UNKNOWN) || fault.is_code(UNBELIEVED);
        let (Some(entry), true) = (entry, stale) else {
            return done;
        };
        if entry.forget().await && fault.is_code(UNKNOWN) {
            return self.function(asked, action).await;
        }
        done
    }

    async fn function(&self, asked: &Asked<'_>, action: &mut String) -> Done {
        let (args, deadline) = (asked.args.clone(), asked.deadline);
        match asked.function {
            "get-object" => self.get(args, action).await,
            "get-value-digests" => self.compare(args, action).await,
            "list-objects" => self.list(args, action).await,
            "ensure-applied" => self.apply(args, action).await,
            "ensure-patched" => self.patch(args, action).await,
            "ensure-status-patched" => self.patch_status(args, action).await,
            "ensure-deleted" => self.delete(args, action).await,
            "get-scale" => self.get_scale(args, action).await,
            "ensure-scaled" => self.scale(args, action).await,
            "observe-change" => self.change(args, action, deadline).await,
            "get-pod-logs" => self.logs(args, action).await,
            "get-time" => self.time(args, action).await,
            other => Err(Fault::no_function(self.interface(), other)),
        }
    }

    /// A cluster of the binding.
    fn cluster(&self, cluster: &str) -> Result<&Entry, Fault> {
        self.clusters.get(cluster).ok_or_else(|| {
            let grant = format!(r#"clusters.{cluster} = {{ kubeconfig = {{ file = "PATH" }} }}"#);
            let text = format!("the binding has no cluster `{cluster}`");
            Fault::denied("CP0021", text, grant)
        })
    }

    /// Its API server. What had to be asked to know how it is reached is said in `action`.
    async fn server(&self, entry: &Entry, action: &mut String) -> Result<Server<'_>, Fault> {
        let facilities = &self.facilities;
        let reached = entry.reach(&self.desk, &self.redactor, facilities).await;
        let Reached { access, asked } = reached?;
        if let Some(asked) = asked {
            action.push_str(&format!(", its kubeconfig by {asked}"));
        }
        Ok(Server { access, facilities })
    }

    /// Granted, and found in the API server's discovery.
    async fn granted<'a>(
        &'a self,
        place: &'a Place,
        cluster: &'a str,
        verb: KubernetesVerb,
        action: &mut String,
    ) -> Result<Granted<'a>, Fault> {
        let wanted = place.wanted(cluster, verb);
        *action = format!("kubernetes {wanted}");
        let entry = self.cluster(cluster)?;
        let grants = wanted.granted(&self.grants)?;
        let keys = grants.iter().flat_map(|grant| &grant.keys);
        let keys = keys.map(String::as_str).collect();
        let server = self.server(entry, action).await?;
        let served = self.discovery.find(&server, cluster, &place.kind).await?;
        served.fits(place)?;
        Ok(Granted {
            server,
            wanted,
            keys,
            served,
        })
    }

    /// The object in an answer, as text.
    fn object(&self, granted: &Granted<'_>, answer: &Answer) -> Done {
        let object: Value = answer.json(&granted.asked())?;
        let line = format!("ok, version {}", version(&object));
        let object = granted.shown(object, &self.redactor);
        Ok((Value::from(object.to_string()), line))
    }

    async fn get(&self, args: Map<String, Value>, action: &mut String) -> Done {
        let ObjectArgs { cluster, object } = arguments(args)?;
        let place = Place::of(object)?;
        let granted = self
            .granted(&place, &cluster, KubernetesVerb::Get, action)
            .await?;
        let request = granted.requests().get(&place.name, &GetParams::default());
        let answer = granted.server.ask(&granted.asked(), request).await?;
        self.object(&granted, &answer)
    }

    async fn compare(&self, args: Map<String, Value>, action: &mut String) -> Done {
        let ObjectArgs { cluster, object } = arguments(args)?;
        let place = Place::of(object)?;
        if !secret::is_comparable(&place.kind) {
            let text = format!("{} has no keys whose values are compared", place.kind);
            return Err(Fault::invalid("CP0009", text));
        }
        let granted = self
            .granted(&place, &cluster, KubernetesVerb::Compare, action)
            .await?;
        let request = granted.requests().get(&place.name, &GetParams::default());
        let asked = granted.asked();
        let answer = granted.server.ask(&asked, request).await?;
        let object: Value = answer.json(&asked)?;
        let key = &self.facilities.digests;
        let (digests, count) = compare::digests(&object, &place, key, &self.redactor)?;
        let line = format!("ok, {count} keys, version {}", version(&object));
        Ok((digests, line))
    }

    async fn list(&self, args: Map<String, Value>, action: &mut String) -> Done {
        let args: ListArgs = arguments(args)?;
        let place = Place::of_kind(args.api_version, args.kind, args.namespace)?;
        let granted = self
            .granted(&place, &args.cluster, KubernetesVerb::List, action)
            .await?;
        let mut params = ListParams {
            label_selector: Some(args.label_selector).filter(|selector| !selector.is_empty()),
            limit: Some(PAGE_OBJECTS),
            ..ListParams::default()
        };
        let asked = granted.asked();
        let (mut objects, mut room) = (Vec::new(), MAX_ANSWER_BYTES);
        loop {
            let request = granted.requests().list(&params);
            let answer = granted.server.ask(&asked, request).await?;
            room = room
                .checked_sub(answer.body.len())
                .ok_or_else(|| server::too_long(&asked, true))?;
            let page: Page = answer.json(&asked)?;
            if objects.len() + page.items.len() > MAX_OBJECTS {
                let text =
                    format!("{asked}: more than {MAX_OBJECTS} objects; ask with a label selector");
                return Err(Fault::other("CP0010", text));
            }
            objects.extend(
                page.items.into_iter().map(|item| {
                    granted.shown(object::described(&place.kind, item), &self.redactor)
                }),
            );
            params.continue_token = page.metadata.more.filter(|token| !token.is_empty());
            if params.continue_token.is_none() {
                break;
            }
        }
        let line = format!("ok, {} objects", objects.len());
        Ok((Value::from(Value::from(objects).to_string()), line))
    }

    async fn apply(&self, args: Map<String, Value>, action: &mut String) -> Done {
        let args: ApplyArgs = arguments(args)?;
        let (place, manifest) = object::manifest(&args.manifest)?;
        let verb = if args.force {
            KubernetesVerb::ForceApply
        } else {
            KubernetesVerb::Apply
        };
        let granted = self.granted(&place, &args.cluster, verb, action).await?;
        granted.within_keys(&manifest)?;
        if args.field_manager.is_empty() {
            return Err(Fault::invalid("CP0009", "the field manager has no name"));
        }
        let params = PatchParams {
            force: args.force,
            ..PatchParams::apply(&args.field_manager)
        };
        let patch = Patch::Apply(manifest);
        let request = granted.requests().patch(&place.name, &params, &patch);
        let answer = granted.server.ask(&granted.asked(), request).await?;
        self.object(&granted, &answer)
    }

    async fn patch(&self, args: Map<String, Value>, action: &mut String) -> Done {
        let args: PatchArgs = arguments(args)?;
        let place = Place::of(args.object)?;
        let mut patch = object::json_object("patch", &args.patch)?;
        let granted = self
            .granted(&place, &args.cluster, KubernetesVerb::Patch, action)
            .await?;
        granted.within_keys(&patch)?;
        if let Some(version) = args.resource_version {
            object::at_version(&mut patch, version)?;
        }
        let patch = match args.kind {
            PatchKind::Merge => Patch::Merge(patch),
            PatchKind::Strategic => Patch::Strategic(patch),
        };
        let params = PatchParams::default();
        let request = granted.requests().patch(&place.name, &params, &patch);
        let answer = granted.server.ask(&granted.asked(), request).await?;
        self.object(&granted, &answer)
    }

    async fn patch_status(&self, args: Map<String, Value>, action: &mut String) -> Done {
        let args: StatusArgs = arguments(args)?;
        let place = Place::of(args.object)?;
        let mut patch = object::json_object("patch", &args.patch)?;
        let granted = self
            .granted(&place, &args.cluster, KubernetesVerb::PatchStatus, action)
            .await?;
        if let Some(version) = args.resource_version {
            object::at_version(&mut patch, version)?;
        }
        let (patch, params) = (Patch::Merge(patch), PatchParams::default());
        let request = granted
            .requests()
            .patch_subresource(STATUS, &place.name, &params, &patch);
        let answer = granted.server.ask(&granted.asked(), request).await?;
        self.object(&granted, &answer)
    }

    async fn delete(&self, args: Map<String, Value>, action: &mut String) -> Done {
        let args: DeleteArgs = arguments(args)?;
        let place = Place::of(args.object)?;
        let granted = self
            .granted(&place, &args.cluster, KubernetesVerb::Delete, action)
            .await?;
        let (uid, resource_version) = (args.uid, args.resource_version);
        let conditional = uid.is_some() || resource_version.is_some();
        let params = DeleteParams {
            preconditions: conditional.then_some(Preconditions {
                resource_version,
                uid,
            }),
            ..DeleteParams::background()
        };
        let request = granted.requests().delete(&place.name, &params);
        granted.server.ask(&granted.asked(), request).await?;
        Ok((Value::Null, "ok".to_owned()))
    }

    async fn get_scale(&self, args: Map<String, Value>, action: &mut String) -> Done {
        let ObjectArgs { cluster, object } = arguments(args)?;
        let place = Place::of(object)?;
        let granted = self
            .granted(&place, &cluster, KubernetesVerb::Get, action)
            .await?;
        let request = granted.requests().get_subresource(SCALE, &place.name);
        let answer = granted.server.ask(&granted.asked(), request).await?;
        scale(&granted, &answer)
    }

    async fn scale(&self, args: Map<String, Value>, action: &mut String) -> Done {
        let args: ScaleArgs = arguments(args)?;
        let place = Place::of(args.object)?;
        let granted = self
            .granted(&place, &args.cluster, KubernetesVerb::Scale, action)
            .await?;
        let patch = Patch::Merge(json!({ "spec": { "replicas": args.replicas } }));
        let params = PatchParams::default();
        let request = granted
            .requests()
            .patch_subresource(SCALE, &place.name, &params, &patch);
        let answer = granted.server.ask(&granted.asked(), request).await?;
        scale(&granted, &answer)
    }

    async fn change(
        &self,
        args: Map<String, Value>,
        action: &mut String,
        deadline: Instant,
    ) -> Done {
        let args: ChangeArgs = arguments(args)?;
        let place = Place::of(args.object)?;
        let granted = self
            .granted(&place, &args.cluster, KubernetesVerb::Watch, action)
            .await?;
        let at_most = Duration::from_millis(args.at_most_ms);
        let changed = change::observe(&granted, &args.resource_version, at_most, deadline).await?;
        let line = if changed { "changed" } else { "no change" };
        Ok((Value::from(changed), line.to_owned()))
    }

    async fn logs(&self, args: Map<String, Value>, action: &mut String) -> Done {
        let args: LogArgs = arguments(args)?;
        let place = Place::of(ObjectRef::pod(args.namespace, args.pod))?;
        let granted = self
            .granted(&place, &args.cluster, KubernetesVerb::Logs, action)
            .await?;
        let params = LogParams {
            container: args.container,
            tail_lines: Some(args.lines.min(MAX_LOG_LINES).into()),
            ..LogParams::default()
        };
        let request = granted.requests().logs(&place.name, &params);
        let answer = granted.server.ask(&granted.asked(), request).await?;
        let text = String::from_utf8_lossy(&answer.body);
        let text = last_bytes(&self.redactor.text(&text), MAX_LOG_BYTES).to_owned();
        let line = format!("ok, {} bytes", text.len());
        Ok((Value::from(text), line))
    }

    /// The `date` of any answer.
    async fn time(&self, args: Map<String, Value>, action: &mut String) -> Done {
        let TimeArgs { cluster } = arguments(args)?;
        let asked = format!("get the time in {cluster}");
        *action = format!("kubernetes {asked}");
        let server = self.server(self.cluster(&cluster)?, action).await?;
        let request = kube::core::Request::new(server.path(""));
        let request = request.get("version", &GetParams::default());
        let (response, _) = server.send(&asked, request).await?;
        let date = response.headers().get(DATE);
        let time = date
            .and_then(|date| date.to_str().ok())
            .and_then(|text| jiff::fmt::rfc2822::parse(text).ok())
            .and_then(|time| u64::try_from(time.timestamp().as_millisecond()).ok());
        let time = time.ok_or_else(|| {
            let text = format!("{asked}: the answer has no date that can be read");
            Fault::other("CP0031", text)
        })?;
        Ok((Value::from(time), "ok".to_owned()))
    }
}

impl Capability for Kubernetes {
    fn interface(&self) -> &'static str {
        "understudy:kubernetes/api"
    }

    fn call<'a>(&'a self, asked: Asked<'a>) -> BoxFuture<'a, Used> {
        Box::pin(self.serve(asked))
    }
}

/// A page of a list. The items do not say what they are.
#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    metadata: PageMetadata,
    items: Vec<Value>,
}

#[derive(Default, Deserialize)]
struct PageMetadata {
    #[serde(rename = "continue")]
    more: Option<String>,
}

/// `scale` of `wit/kubernetes`, from the subresource.
fn scale(granted: &Granted<'_>, answer: &Answer) -> Done {
    let scale: Scale = answer.json(&granted.asked())?;
    let replicas = |count: Option<i32>| u32::try_from(count.unwrap_or(0)).unwrap_or(0);
    let desired = replicas(scale.spec.and_then(|spec| spec.replicas));
    let observed = replicas(scale.status.map(|status| status.replicas));
    let version = scale.metadata.resource_version.unwrap_or_default();
    let line = format!("ok, {observed} of {desired} replicas, version {version}");
    let value = json!({ "desired": desired, "observed": observed, "resource-version": version });
    Ok((value, line))
}

fn version(object: &Value) -> &str {
    object::text_at(object, "/metadata/resourceVersion")
}

/// The end of a text, from the beginning of a line where it is cut.
fn last_bytes(text: &str, limit: usize) -> &str {
    let start = text.ceil_char_boundary(text.len().saturating_sub(limit));
    let end = text.get(start..).unwrap_or("");
    if start == 0 {
        return end;
    }
    end.split_once('\n').map_or(end, |(_, lines)| lines)
}

#[cfg(test)]
mod tests;
