//! The overlay for two whole zones: workload, ingress, certificates and objects are the clusters' own.
//!
//! Its grants are those of the roles that [`access`](crate::kubernetes::access) binds, so what a provider may not do is
//! refused twice: by the host, and by the cluster.

use anyhow::Result;
use serde_json::{Value, json};

use super::{database, dns, notify, overlay, parameters, resolvers, set};
use crate::kubernetes::objects::{
    APP, CONTROLLER, CONTROLLER_NAMESPACE, DATABASE_SECRET, ISSUER, PLATFORM, SETTINGS,
    TEST_CERTIFICATE, TLS_SECRET, WORDPRESS,
};
use crate::object_storage::{ACCESS_KEY_ID, BUCKET, REGION};
use crate::platform::{ADMIN, Platform};
use crate::zone::Zone;

impl Platform {
    /// The overlay, as TOML. The secrets it names are [`credentials`](Self::credentials).
    ///
    /// # Errors
    /// Where a program that takes backups is missing.
    pub fn overlay_toml(&self) -> Result<String> {
        let bindings = [
            database(
                &self.databases,
                &self.root,
                ("wp_posts", "post_modified_gmt"),
            )?,
            dns(&self.names.authoritative),
            notify(&self.board, &self.root),
            workload(),
            ingress(),
            self.certificates(),
            self.storage(),
            objects(),
        ];
        let mut parameters = parameters(self.options.ttl_seconds);
        set(&mut parameters, "expose", true.into());
        set(&mut parameters, "media-bucket", BUCKET.into());
        let pods =
            json!({ "namespace": CONTROLLER_NAMESPACE, "selector": format!("app={CONTROLLER}") });
        let logs = json!([{ "namespace": APP }, pods]);
        set(
            &mut parameters,
            "diagnosis",
            json!({ "nodes": true, "logs": logs }),
        );
        let cluster = json!({
            "min-nodes": 1,
            "max-nodes": 1,
            "namespaces": [PLATFORM, APP],
            "pods": [pods],
            "networks-apart": true,
        });
        let mirrored = json!([
            { "namespace": APP, "secret": DATABASE_SECRET, "differs": ["endpoint"] },
            { "namespace": APP, "config-map": SETTINGS, "differs": ["maintenance"] },
        ]);
        overlay(
            &parameters,
            self.options.standby_replicas,
            json!({ "cluster": cluster, "mirrored": mirrored }),
            &bindings,
            self.probe(),
        )
    }

    /// Each zone's bucket is copied to the other one, whichever serves.
    fn storage(&self) -> Value {
        let at = |zone: &Zone, source: &str| {
            let endpoint = format!("https://{}", zone.storage().address);
            json!({ "endpoint": endpoint, "bucket": BUCKET, "source": source })
        };
        let grant = |zone: &Zone| {
            let url = format!("https://{}/{BUCKET}", zone.storage().address);
            json!({ "methods": ["GET", "PUT"], "url": url, "private": true })
        };
        json!({
            "contract": "understudy:storage/storage@0.1.0",
            "plugin": "s3",
            "config": { "buckets": { BUCKET: { "pz": at(&self.pz, "bz"), "bz": at(&self.bz, "pz") } } },
            "credentials": { "s3": {
                "env": "LAB_STORAGE_KEY",
                "scheme": "aws-sigv4",
                "access-key-id": ACCESS_KEY_ID,
                "region": REGION,
                "service": "s3",
            } },
            "http": [grant(&self.pz), grant(&self.bz)],
            "trust": [self.root],
        })
    }

    fn certificates(&self) -> Value {
        let (pz, bz) = (self.pz.public().to_string(), self.bz.public().to_string());
        let mut binding = binding(
            "certificates",
            "cert-manager",
            &json!({ "namespace": APP, "addresses": { "pz": pz, "bz": bz } }),
            &[
                grant(
                    &["get", "watch", "apply"],
                    &["cert-manager.io/v1/Certificate"],
                    APP,
                    &[TLS_SECRET, TEST_CERTIFICATE],
                ),
                grant(
                    &["patch-status"],
                    &["cert-manager.io/v1/Certificate"],
                    APP,
                    &[TLS_SECRET],
                ),
                grant(
                    &["get"],
                    &["cert-manager.io/v1/ClusterIssuer"],
                    "",
                    &[ISSUER],
                ),
                grant(
                    &["get", "watch", "delete"],
                    &["cert-manager.io/v1/Certificate", "v1/Secret"],
                    APP,
                    &[TEST_CERTIFICATE],
                ),
                grant(
                    &["get", "apply"],
                    &["v1/ConfigMap"],
                    APP,
                    &[TEST_CERTIFICATE],
                ),
            ],
        );
        set(&mut binding, "tls", json!([pz, bz]));
        set(&mut binding, "trust", json!([self.pebble.root()]));
        binding
    }

    fn probe(&self) -> Value {
        let home = self.home();
        let route = |route: &str| format!("{home}/?rest_route=/wp/v2/{route}");
        json!({
            "zone-header": "x-zone",
            "entries": { "pz": self.pz.public().to_string(), "bz": self.bz.public().to_string() },
            "resolvers": resolvers(&self.names.resolver, &self.names.stubborn),
            "public-resolver": "isp-a",
            "credentials": {
                "wordpress": { "env": "LAB_PROBE_PASSWORD", "scheme": "basic", "user": ADMIN },
            },
            "trust": [self.pebble.root()],
            "journeys": {
                "front-page": [{ "name": "front page", "url": format!("{home}/"), "expect-body": "wp-content" }],
                "login": [{
                    "name": "own account",
                    "url": format!("{}&context=edit", route("users/me")),
                    "credential": "wordpress",
                    "expect-body": "capabilities",
                }],
                "create-post": [{
                    "name": "draft",
                    "method": "POST",
                    "url": route("posts"),
                    "credential": "wordpress",
                    "headers": { "content-type": "application/json" },
                    "body": r#"{"title": "Recovery check", "status": "draft"}"#,
                    "expect-status": [201],
                    "expect-body": "Recovery check",
                }],
                "upload-media": [{
                    "name": "upload",
                    "method": "POST",
                    "url": route("media"),
                    "credential": "wordpress",
                    "headers": {
                        "content-type": "text/plain",
                        "content-disposition": "attachment; filename=\"recovery-check.txt\"",
                    },
                    "body": "Written by the recovery run.",
                    "expect-status": [201],
                    "expect-body": "source_url",
                }],
            },
        })
    }
}

fn workload() -> Value {
    binding(
        "workload",
        "kubernetes-workload",
        &json!({ "apps": { WORDPRESS: {
            "namespace": APP,
            "deployment": WORDPRESS,
            "database": { "secret": DATABASE_SECRET, "endpoint-key": "endpoint" },
            "maintenance": { "config-map": SETTINGS, "key": "maintenance" },
        } } }),
        &[
            {
                let mut endpoint =
                    grant(&["get", "patch"], &["v1/Secret"], APP, &[DATABASE_SECRET]);
                set(&mut endpoint, "keys", json!(["endpoint"]));
                endpoint
            },
            grant(&["get", "patch"], &["v1/ConfigMap"], APP, &[SETTINGS]),
            grant(
                &["get", "watch", "patch", "scale"],
                &["apps/v1/Deployment"],
                APP,
                &[WORDPRESS],
            ),
            grant(&["list"], &["v1/Pod"], APP, &[]),
        ],
    )
}

fn ingress() -> Value {
    binding(
        "ingress",
        "ingress-nginx",
        &json!({ "apps": { WORDPRESS: {
            "namespace": APP,
            "service": WORDPRESS,
            "port": 80,
            "tls-secret": TLS_SECRET,
        } } }),
        &[
            grant(
                &["get", "watch", "apply", "delete"],
                &["networking.k8s.io/v1/Ingress"],
                APP,
                &[WORDPRESS],
            ),
            grant(&["get"], &["apps/v1/Deployment"], APP, &[WORDPRESS]),
            grant(
                &["get", "watch", "scale"],
                &["apps/v1/Deployment"],
                CONTROLLER_NAMESPACE,
                &[CONTROLLER],
            ),
            grant(
                &["get", "watch"],
                &["v1/Service"],
                CONTROLLER_NAMESPACE,
                &[CONTROLLER],
            ),
            grant(&["list"], &["v1/Pod"], CONTROLLER_NAMESPACE, &[]),
        ],
    )
}

fn objects() -> Value {
    binding(
        "kubernetes",
        "kubernetes",
        &json!({}),
        &[
            // The last is one that clusters of this age do not serve.
            grant(
                &["list"],
                &[
                    "v1/Node",
                    "v1/Namespace",
                    "networking.k8s.io/v1/ServiceCIDR",
                ],
                "",
                &[],
            ),
            grant(&["list", "logs"], &["v1/Pod"], APP, &[]),
            grant(&["list", "logs"], &["v1/Pod"], CONTROLLER_NAMESPACE, &[]),
            grant(&["compare"], &["v1/Secret"], APP, &[DATABASE_SECRET]),
            grant(&["compare"], &["v1/ConfigMap"], APP, &[SETTINGS]),
        ],
    )
}

/// A binding of a contract to a provider of the clusters of both zones.
fn binding(contract: &str, plugin: &str, config: &Value, grants: &[Value]) -> Value {
    json!({
        "contract": format!("understudy:{contract}/{contract}@0.1.0"),
        "plugin": plugin,
        "config": config,
        "clusters": {
            "pz": { "kubeconfig": { "env": "LAB_KUBECONFIG_PZ" } },
            "bz": { "kubeconfig": { "env": "LAB_KUBECONFIG_BZ" } },
        },
        "kubernetes": grants,
    })
}

/// A grant in both zones' clusters; no namespace for what lies in none, no names for all of them.
fn grant(verbs: &[&str], kinds: &[&str], namespace: &str, names: &[&str]) -> Value {
    let mut grant = json!({ "clusters": ["pz", "bz"], "verbs": verbs, "kinds": kinds });
    if !namespace.is_empty() {
        set(&mut grant, "namespaces", json!([namespace]));
    }
    if !names.is_empty() {
        set(&mut grant, "names", json!(names));
    }
    grant
}
