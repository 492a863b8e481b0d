//! What is in a zone's cluster when the lab is up, as an operator would have put it there: WordPress with what it is
//! told, the ingress controller behind its load balancer, and who issues certificates.

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::cluster::{Cluster, Kind, is_condition_true};
use super::{access, definitions};
use crate::clock::{LIMIT, eventually};
use crate::wordpress::{READY_PATH, READY_SECONDS};

/// Namespace of the application.
pub const APP: &str = "app";
/// Name of the application's Deployment, Service and Ingress.
pub const WORDPRESS: &str = "wordpress";
/// Where the application finds its database: `endpoint`, `user`, `password`, `ca.crt`.
pub const DATABASE_SECRET: &str = "wordpress-database";
/// What the application is told while it runs: `maintenance`.
pub const SETTINGS: &str = "wordpress-settings";
/// Name of its certificate, and of the Secret that holds it.
pub const TLS_SECRET: &str = "wordpress-tls";
/// Name of the certificate by which a recovery tries whether one is issued, and of what belongs to it.
pub const TEST_CERTIFICATE: &str = "understudy-test";
/// Namespace of the ingress controller.
pub const CONTROLLER_NAMESPACE: &str = "ingress-nginx";
/// Name of the ingress controller's Deployment and Service.
pub const CONTROLLER: &str = "ingress-nginx-controller";
/// Class of what it serves.
pub const INGRESS_CLASS: &str = "nginx";
/// Namespace of the platform's own.
pub const PLATFORM: &str = "platform";
/// Who issues certificates.
pub const ISSUER: &str = "production";
/// Secret with the key by which the issuer proves names: `api-key`.
pub const SOLVER_SECRET: &str = "powerdns";
/// Image of the application's pods, by which the agent knows what to run.
pub const WORDPRESS_IMAGE: &str = "wordpress";
/// Image of the ingress controller's pods.
pub const CONTROLLER_IMAGE: &str = "ingress-nginx/controller";

/// What differs between zones.
#[derive(Debug, Clone)]
pub struct Contents {
    /// Replicas of the application.
    pub replicas: u32,
    /// `host:port` of its database.
    pub database_endpoint: String,
    /// The database's user.
    pub database_user: String,
    /// Its password.
    pub database_password: String,
    /// Root by which the database's certificate is verified, PEM.
    pub database_root: String,
    /// Address of the service for its users, as WordPress is told it.
    pub home: String,
    /// Port of every pod of the application.
    pub pod_port: u16,
    /// Port of the load balancer.
    pub public_port: u16,
    /// Names of the certificate.
    pub names: Vec<String>,
    /// Names it answers for at first; empty for no public way in.
    pub exposed: Vec<String>,
    /// Directory of the ACME authority.
    pub acme_directory: String,
    /// Root by which that is verified, PEM.
    pub acme_root: String,
    /// The name server's API, by which names are proved.
    pub dns_server: String,
    /// Its key.
    pub dns_key: String,
}

/// Creates everything in an empty cluster.
///
/// # Errors
/// Where the API refuses something.
pub async fn create(cluster: &Cluster, contents: &Contents) -> Result<()> {
    for name in [PLATFORM, APP, CONTROLLER_NAMESPACE] {
        let namespace =
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
        cluster.create(namespace).await?;
    }
    for definition in definitions::objects() {
        let name = super::cluster::text(&definition, "/metadata/name").to_owned();
        cluster.create(definition).await?;
        eventually(&format!("{name} to be served"), LIMIT, async || {
            let seen = cluster
                .get(Kind::DEFINITION, "", &name)
                .await?
                .context("it is not there")?;
            ensure!(is_condition_true(&seen, "Established"), "not established");
            Ok(Some(()))
        })
        .await?;
    }
    for object in access::objects() {
        cluster.create(object).await?;
    }
    let objects = [
        contents.configuration(),
        contents.application(),
        contents.platform(),
    ]
    .concat();
    for object in objects {
        // A kind is established a moment before every request for it is served.
        eventually("an object to be created", LIMIT, async || {
            cluster.create(object.clone()).await.map(Some)
        })
        .await?;
    }
    if !contents.exposed.is_empty() {
        cluster.create(contents.ingress()).await?;
    }
    Ok(())
}

impl Contents {
    fn configuration(&self) -> Vec<Value> {
        vec![
            json!({
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": { "name": DATABASE_SECRET, "namespace": APP },
                "stringData": {
                    "endpoint": self.database_endpoint,
                    "user": self.database_user,
                    "password": self.database_password,
                    "ca.crt": self.database_root,
                },
            }),
            json!({
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": { "name": SETTINGS, "namespace": APP },
                "data": { "maintenance": "false" },
            }),
            json!({
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": { "name": SOLVER_SECRET, "namespace": PLATFORM },
                "stringData": { "api-key": self.dns_key },
            }),
        ]
    }

    fn application(&self) -> Vec<Value> {
        let from_secret = |variable: &str, key: &str| json!({ "name": variable, "valueFrom": { "secretKeyRef": { "name": DATABASE_SECRET, "key": key } } });
        let container = json!({
            "name": WORDPRESS,
            "image": format!("{WORDPRESS_IMAGE}:6"),
            "env": [
                from_secret("WORDPRESS_DB_HOST", "endpoint"),
                from_secret("WORDPRESS_DB_USER", "user"),
                from_secret("WORDPRESS_DB_PASSWORD", "password"),
                from_secret("WORDPRESS_DB_CA", "ca.crt"),
                { "name": "WORDPRESS_HOME", "value": self.home },
            ],
            "ports": [{ "name": "http", "containerPort": self.pod_port }],
            "readinessProbe": {
                "httpGet": { "path": READY_PATH, "port": "http" },
                "periodSeconds": 1,
                "timeoutSeconds": READY_SECONDS,
            },
        });
        let port = json!({ "name": "http", "port": 80, "targetPort": "http" });
        vec![
            deployment(APP, WORDPRESS, self.replicas, &container),
            service(APP, WORDPRESS, "ClusterIP", &port),
        ]
    }

    fn platform(&self) -> Vec<Value> {
        let container = json!({
            "name": "controller",
            "image": format!("{CONTROLLER_IMAGE}:v1"),
            "ports": [{ "name": "https", "containerPort": self.public_port }],
        });
        let port = json!({ "name": "https", "port": self.public_port, "targetPort": "https" });
        vec![
            json!({
                "apiVersion": "networking.k8s.io/v1",
                "kind": "IngressClass",
                "metadata": { "name": INGRESS_CLASS },
                "spec": { "controller": "k8s.io/ingress-nginx" },
            }),
            deployment(CONTROLLER_NAMESPACE, CONTROLLER, 1, &container),
            service(CONTROLLER_NAMESPACE, CONTROLLER, "LoadBalancer", &port),
            self.issuer(),
            json!({
                "apiVersion": "cert-manager.io/v1",
                "kind": "Certificate",
                "metadata": { "name": TLS_SECRET, "namespace": APP },
                "spec": {
                    "secretName": TLS_SECRET,
                    "dnsNames": self.names,
                    "issuerRef": { "name": ISSUER, "kind": "ClusterIssuer" },
                },
            }),
        ]
    }

    /// As cert-manager is told of a solver that it does not bring itself: by its name and what it needs.
    fn issuer(&self) -> Value {
        json!({
            "apiVersion": "cert-manager.io/v1",
            "kind": "ClusterIssuer",
            "metadata": { "name": ISSUER },
            "spec": { "acme": {
                "server": self.acme_directory,
                "email": "operations@example.test",
                "caBundle": BASE64.encode(&self.acme_root),
                "solvers": [{ "dns01": { "webhook": {
                    "groupName": "powerdns.example.test",
                    "solverName": "powerdns",
                    "config": {
                        "host": self.dns_server,
                        "apiKeySecretRef": { "name": SOLVER_SECRET, "key": "api-key" },
                    },
                } } }],
            } },
        })
    }

    fn ingress(&self) -> Value {
        let backend = json!({ "service": { "name": WORDPRESS, "port": { "number": 80 } } });
        let rules: Vec<Value> = self
            .exposed
            .iter()
            .map(|host| {
                let path = json!({ "path": "/", "pathType": "Prefix", "backend": backend });
                json!({ "host": host, "http": { "paths": [path] } })
            })
            .collect();
        json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": { "name": WORDPRESS, "namespace": APP },
            "spec": {
                "ingressClassName": INGRESS_CLASS,
                "tls": [{ "hosts": self.exposed, "secretName": TLS_SECRET }],
                "rules": rules,
            },
        })
    }
}

fn deployment(namespace: &str, name: &str, replicas: u32, container: &Value) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": name, "namespace": namespace, "labels": { "app": name } },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": name } },
            "strategy": { "rollingUpdate": { "maxSurge": 1, "maxUnavailable": 0 } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": { "containers": [container], "terminationGracePeriodSeconds": 1 },
            },
        },
    })
}

fn service(namespace: &str, name: &str, kind: &str, port: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": name, "namespace": namespace },
        "spec": { "type": kind, "selector": { "app": name }, "ports": [port] },
    })
}
