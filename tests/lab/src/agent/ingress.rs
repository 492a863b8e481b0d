//! The ingress controller: one nginx at the load balancer's address, which serves exactly the hosts of the Ingresses of
//! its class, each with the certificate of its Secret, from the pods behind its Service that are ready.
//!
//! A name it does not serve is 404 with a certificate for no name, a service without a ready pod is 503. Connections
//! are not kept, so what is taken away is gone for the next request. One backend per host: paths are not told apart.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::containers::port;
use super::{Config, log};
use crate::authority::Certificate;
use crate::kubernetes::cluster::{Cluster, Kind, is_condition_true, list, text};
use crate::kubernetes::objects::INGRESS_CLASS;
use crate::nginx;
use crate::process::Process;

/// The ingress controller of a zone.
pub(super) struct Controller<'a> {
    config: &'a Config,
    cluster: &'a Cluster,
    process: Option<Process>,
    /// The configuration that the process has.
    loaded: String,
    serving: bool,
}

fn folder(config: &Config) -> PathBuf {
    config.folder.join("ingress")
}

/// Where a zone's controller keeps one line for each request that it answered: host and status.
pub(crate) fn requests(config: &Config) -> PathBuf {
    folder(config).join("requests.log")
}

/// Where it says what is wrong.
pub(super) fn errors(config: &Config) -> PathBuf {
    nginx::errors(&folder(config))
}

/// A host and what is behind it.
struct Host {
    name: String,
    certificate: Certificate,
    /// Changes when the certificate does.
    certificate_version: String,
    pods: Vec<String>,
}

impl<'a> Controller<'a> {
    pub(super) fn new(config: &'a Config, cluster: &'a Cluster) -> Self {
        Self {
            config,
            cluster,
            process: None,
            loaded: String::new(),
            serving: false,
        }
    }

    /// Whether it answers at the public address.
    pub(super) fn is_serving(&self) -> bool {
        self.serving
    }

    /// Starts, changes or ends it.
    pub(super) async fn reconcile(&mut self, wanted: bool) -> Result<()> {
        if !wanted {
            self.process = None;
            self.serving = false;
            return Ok(());
        }
        let folder = self.folder();
        fs::create_dir_all(folder.join("tmp"))?;
        let hosts = self.hosts().await?;
        let text = self.configuration(&hosts)?;
        if let Some(Err(ended)) = self.process.as_mut().map(Process::alive) {
            log(&format!("{ended:#}"));
            self.process = None;
        }
        if text != self.loaded || self.process.is_none() {
            fs::write(folder.join("nginx.conf"), &text)?;
            if let Some(process) = &self.process {
                process.reload()?;
            } else {
                let name = format!("ingress {}", self.config.zone);
                let process =
                    nginx::start(&self.config.setpriv, &self.config.programs, &name, &folder)?;
                self.process = Some(process);
            }
            let names: Vec<String> = hosts
                .iter()
                .map(|host| format!("{} → {:?}", host.name, host.pods))
                .collect();
            log(&format!("ingress: {}", names.join(", ")));
            self.loaded = text;
        }
        self.serving = TcpStream::connect(self.address()).await.is_ok();
        Ok(())
    }

    async fn hosts(&self) -> Result<Vec<Host>> {
        let mut hosts = BTreeMap::new();
        for ingress in self.cluster.list(Kind::INGRESS, "").await? {
            if text(&ingress, "/spec/ingressClassName") != INGRESS_CLASS {
                continue;
            }
            self.report(&ingress).await?;
            for rule in list(&ingress, "/spec/rules") {
                let name = text(rule, "/host").to_owned();
                if name.is_empty() {
                    continue;
                }
                let host = self.host(&ingress, rule, &name).await?;
                hosts.insert(name, host);
            }
        }
        Ok(hosts.into_values().collect())
    }

    async fn host(&self, ingress: &Value, rule: &Value, name: &str) -> Result<Host> {
        let namespace = text(ingress, "/metadata/namespace");
        let service = text(rule, "/http/paths/0/backend/service/name");
        let pods = self.pods(namespace, service).await?;
        let is_for = |tls: &&Value| list(tls, "/hosts").iter().any(|host| host == name);
        let secret = list(ingress, "/spec/tls")
            .iter()
            .find(is_for)
            .map(|tls| text(tls, "/secretName"));
        let held = match secret {
            Some(secret) => self.cluster.get(Kind::SECRET, namespace, secret).await?,
            None => None,
        };
        let (certificate, certificate_version) = match held {
            Some(held) => (
                self.store(name, &held)?,
                text(&held, "/metadata/resourceVersion").to_owned(),
            ),
            None => (self.config.fallback.clone(), String::new()),
        };
        Ok(Host {
            name: name.to_owned(),
            certificate,
            certificate_version,
            pods,
        })
    }

    /// The pods behind a service that are ready, each with its port. An API refuses endpoints in 127.0.0.0/8, so there
    /// are none that could be read.
    async fn pods(&self, namespace: &str, service: &str) -> Result<Vec<String>> {
        let service = self
            .cluster
            .get(Kind::SERVICE, namespace, service)
            .await?
            .unwrap_or_default();
        let Some(selector) = service.pointer("/spec/selector").and_then(Value::as_object) else {
            return Ok(Vec::new());
        };
        let pods = self.cluster.list(Kind::POD, namespace).await?;
        let is_behind = |pod: &&Value| {
            let labels = pod.pointer("/metadata/labels").unwrap_or(&Value::Null);
            let is_meant = selector
                .iter()
                .all(|(name, value)| labels.get(name) == Some(value));
            let is_leaving = !text(pod, "/metadata/deletionTimestamp").is_empty();
            is_meant && !is_leaving && is_condition_true(pod, "Ready")
        };
        let ready = pods.iter().filter(is_behind);
        Ok(ready
            .map(|pod| format!("{}:{}", text(pod, "/status/podIP"), port(pod)))
            .collect())
    }

    /// Writes a Secret's certificate to files.
    fn store(&self, name: &str, secret: &Value) -> Result<Certificate> {
        let folder = self.folder();
        let write = |key: &str, file: PathBuf| -> Result<PathBuf> {
            let value = secret
                .get("data")
                .and_then(|data| data.get(key))
                .and_then(Value::as_str);
            let value = value.with_context(|| format!("the certificate of {name} has no {key}"))?;
            fs::write(&file, BASE64.decode(value)?)?;
            Ok(file)
        };
        Ok(Certificate {
            certificate: write("tls.crt", folder.join(format!("{name}.pem")))?,
            key: write("tls.key", folder.join(format!("{name}.key")))?,
        })
    }

    /// Says in the Ingress where it is served.
    async fn report(&self, ingress: &Value) -> Result<()> {
        let address = self.config.public.to_string();
        if text(ingress, "/status/loadBalancer/ingress/0/ip") == address {
            return Ok(());
        }
        let (namespace, name) = (
            text(ingress, "/metadata/namespace"),
            text(ingress, "/metadata/name"),
        );
        let status = json!({ "loadBalancer": { "ingress": [{ "ip": address }] } });
        self.cluster
            .patch_status(Kind::INGRESS, namespace, name, &status)
            .await
    }

    fn configuration(&self, hosts: &[Host]) -> Result<String> {
        let (frame, files) = (nginx::frame(&self.folder()), nginx::files(&self.folder()));
        let (address, zone) = (self.address(), &self.config.zone);
        let requests = requests(self.config);
        let requests = requests.display();
        let mut text = format!(
            "{frame}http {{\n{files}    keepalive_timeout 0;\n    add_header X-Zone {zone} always;\n    \
             log_format answered '$host $status';\n"
        );
        let mut server = |names: &str, certificate: &Certificate, answer: &str| {
            write!(
                text,
                "    server {{\n        listen {address} ssl{names};\n        ssl_certificate {};\n        \
                 ssl_certificate_key {};\n        {answer}\n    }}\n",
                certificate.certificate.display(),
                certificate.key.display(),
            )
        };
        server(
            " default_server",
            &self.config.fallback,
            "location / { return 404; }",
        )?;
        for (number, host) in hosts.iter().enumerate() {
            let answer = if host.pods.is_empty() {
                "location / { return 503; }".to_owned()
            } else {
                format!(
                    "location / {{ proxy_pass http://pods-{number}; proxy_set_header Host $http_host; \
                     proxy_set_header X-Forwarded-Proto https; proxy_connect_timeout 2s; proxy_read_timeout 60s; }}"
                )
            };
            let answer = format!(
                "server_name {};\n        # {}\n        access_log {requests} answered;\n        {answer}",
                host.name, host.certificate_version
            );
            server("", &host.certificate, &answer)?;
        }
        for (number, host) in hosts
            .iter()
            .enumerate()
            .filter(|(_, host)| !host.pods.is_empty())
        {
            let pods: String = host
                .pods
                .iter()
                .map(|pod| format!(" server {pod};"))
                .collect();
            writeln!(text, "    upstream pods-{number} {{{pods} }}")?;
        }
        text.push_str("}\n");
        Ok(text)
    }

    fn folder(&self) -> PathBuf {
        folder(self.config)
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::new(self.config.public, self.config.public_port)
    }
}
