//! Arguments of the functions of `wit/kubernetes`, by parameter name.

use serde::Deserialize;

use super::object::ObjectRef;

/// `get-object`, `get-value-digests` and `get-scale`.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct ObjectArgs {
    pub(super) cluster: String,
    pub(super) object: ObjectRef,
}

/// `list-objects`.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct ListArgs {
    pub(super) cluster: String,
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) label_selector: String,
}

/// `ensure-applied`.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct ApplyArgs {
    pub(super) cluster: String,
    pub(super) manifest: String,
    pub(super) field_manager: String,
    pub(super) force: bool,
}

/// `ensure-patched`.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct PatchArgs {
    pub(super) cluster: String,
    pub(super) object: ObjectRef,
    pub(super) kind: PatchKind,
    pub(super) patch: String,
    pub(super) resource_version: Option<String>,
}

/// `patch-kind`.
#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
pub(super) enum PatchKind {
    Merge,
    Strategic,
}

/// `ensure-status-patched`.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct StatusArgs {
    pub(super) cluster: String,
    pub(super) object: ObjectRef,
    pub(super) patch: String,
    pub(super) resource_version: Option<String>,
}

/// `ensure-deleted`.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct DeleteArgs {
    pub(super) cluster: String,
    pub(super) object: ObjectRef,
    pub(super) uid: Option<String>,
    pub(super) resource_version: Option<String>,
}

/// `ensure-scaled`.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct ScaleArgs {
    pub(super) cluster: String,
    pub(super) object: ObjectRef,
    pub(super) replicas: u32,
}

/// `observe-change`.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct ChangeArgs {
    pub(super) cluster: String,
    pub(super) object: ObjectRef,
    pub(super) resource_version: String,
    pub(super) at_most_ms: u64,
}

/// `get-pod-logs`.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct LogArgs {
    pub(super) cluster: String,
    pub(super) namespace: String,
    pub(super) pod: String,
    pub(super) container: Option<String>,
    pub(super) lines: u32,
}

/// `get-time`.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct TimeArgs {
    pub(super) cluster: String,
}
