//! What an Ingress and a Service say, and the Ingress that an application should have. Pure.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use understudy_sdk::host::understudy::types::types::Error;
use understudy_sdk::kubernetes::{ObjectRef, list, text};

use crate::config::App;

/// Most host names of one application.
const MAX_HOSTS: usize = 100;

/// The host names that an Ingress answers for, sorted.
pub(crate) fn hosts(ingress: &Value) -> Vec<String> {
    let hosts = list(ingress, "/spec/rules")
        .iter()
        .map(|rule| text(rule, "/host"));
    let hosts: BTreeSet<&str> = hosts.filter(|host| !host.is_empty()).collect();
    hosts.into_iter().map(str::to_owned).collect()
}

/// The public addresses of a LoadBalancer Service.
pub(crate) fn addresses(service: &Value) -> Vec<String> {
    list(service, "/status/loadBalancer/ingress")
        .iter()
        .map(|entry| match text(entry, "/ip") {
            "" => text(entry, "/hostname"),
            ip => ip,
        })
        .filter(|address| !address.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The Ingress that exposes an application for exactly these hosts.
///
/// # Errors
/// `invalid`: no hosts, or too many.
pub(crate) fn wanted(object: &ObjectRef, app: &App, hosts: &[String]) -> Result<Value, Error> {
    if hosts.is_empty() || hosts.len() > MAX_HOSTS {
        return Err(Error::Invalid(format!(
            "an application is exposed for 1 to {MAX_HOSTS} hosts, asked for are {}",
            hosts.len()
        )));
    }
    let sorted: BTreeSet<&String> = hosts.iter().collect();
    let backend = json!({ "service": { "name": app.service, "port": { "number": app.port } } });
    let paths = json!([{ "path": "/", "pathType": "Prefix", "backend": backend }]);
    let rules: Vec<_> = sorted
        .iter()
        .map(|host| json!({ "host": host, "http": { "paths": paths } }))
        .collect();
    Ok(json!({
        "apiVersion": object.api_version,
        "kind": object.kind,
        "metadata": { "namespace": object.namespace, "name": object.name },
        "spec": {
            "ingressClassName": app.class,
            "rules": rules,
            "tls": [{ "hosts": sorted, "secretName": app.tls_secret }]
        }
    }))
}

/// True where an Ingress already is what is wanted: the same hosts, class, certificate and backends. Whatever else an
/// operator has set on it is the operator's.
pub(crate) fn is_as_wanted(found: &Value, wanted: &Value) -> bool {
    let class = "/spec/ingressClassName";
    hosts(found) == hosts(wanted)
        && text(found, class) == text(wanted, class)
        && certificates(found) == certificates(wanted)
        && backends(found) == backends(wanted)
}

/// Which Secret has the certificate for which host.
fn certificates(ingress: &Value) -> BTreeSet<(&str, &str)> {
    let entries = list(ingress, "/spec/tls").iter();
    entries
        .flat_map(|entry| {
            let secret = text(entry, "/secretName");
            list(entry, "/hosts")
                .iter()
                .filter_map(move |host| Some((host.as_str()?, secret)))
        })
        .collect()
}

/// Where the requests of which host and path go.
fn backends(ingress: &Value) -> BTreeSet<(&str, &str, Option<String>)> {
    let rules = list(ingress, "/spec/rules").iter();
    rules
        .flat_map(|rule| {
            let host = text(rule, "/host");
            list(rule, "/http/paths").iter().map(move |path| {
                (
                    host,
                    text(path, "/path"),
                    path.get("backend").map(Value::to_string),
                )
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use understudy_sdk::kubernetes::object;

    use super::*;
    use crate::config::{Config, SCHEMA};

    fn made(hosts: &[&str]) -> Result<Value, Error> {
        let schema: Value = serde_json::from_str(SCHEMA).unwrap();
        let config = Config::parse(&schema["examples"][0].to_string()).unwrap();
        let hosts: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
        let object = object("networking.k8s.io/v1", "Ingress", "app", "wordpress");
        wanted(&object, config.app("wordpress").unwrap(), &hosts)
    }

    #[test]
    fn an_application_is_exposed_for_exactly_its_hosts() {
        let ingress = made(&["wp-bz.example.test", "wp-active.example.test"]).unwrap();
        assert_eq!(
            hosts(&ingress),
            ["wp-active.example.test", "wp-bz.example.test"]
        );
        assert_eq!(ingress["spec"]["tls"][0]["secretName"], "wordpress-tls");
        assert_eq!(ingress["spec"]["ingressClassName"], "nginx");
        assert!(made(&[]).is_err());
    }

    #[test]
    fn what_is_there_is_not_applied_again_and_what_differs_is() {
        let wanted = made(&["a.example.test", "b.example.test"]).unwrap();
        let mut found = made(&["b.example.test", "a.example.test"]).unwrap();
        found["metadata"]["annotations"] =
            json!({ "nginx.ingress.kubernetes.io/proxy-body-size": "64m" });
        assert!(is_as_wanted(&found, &wanted));
        assert!(!is_as_wanted(&made(&["a.example.test"]).unwrap(), &wanted));
        for (pointer, value) in [
            ("/spec/ingressClassName", json!("other")),
            ("/spec/tls/0/secretName", json!("other")),
            ("/spec/tls/0/hosts", json!(["a.example.test"])),
            (
                "/spec/rules/0/http/paths/0/backend/service/name",
                json!("other"),
            ),
            ("/spec/rules/0/http/paths/0/path", json!("/only")),
        ] {
            let mut other = found.clone();
            *other.pointer_mut(pointer).unwrap() = value;
            assert!(!is_as_wanted(&other, &wanted), "{pointer}");
        }
    }

    #[test]
    fn an_address_is_an_ip_or_a_name() {
        let service = json!({ "status": { "loadBalancer": { "ingress": [
            { "ip": "192.0.2.1" }, { "hostname": "lb.example.test" }, {}
        ] } } });
        assert_eq!(addresses(&service), ["192.0.2.1", "lb.example.test"]);
        assert!(addresses(&json!({ "status": { "loadBalancer": {} } })).is_empty());
    }
}
