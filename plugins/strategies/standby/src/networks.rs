//! Ranges of addresses of both clusters, as far as their objects tell them, and whether they overlap: [`finding`].

use ipnet::IpNet;
use serde_json::Value;
use understudy_recovery::check::judged;
use understudy_recovery::{Error, Finding};
use understudy_sdk::kubernetes::{list, text};
use understudy_sdk::strategy::understudy::kubernetes::kubernetes;

/// Ranges of the pods on each node.
const NODE: (&str, &str) = ("v1", "Node");
/// Ranges of the Services; older clusters do not serve it.
const SERVICE_CIDR: (&str, &str) = ("networking.k8s.io/v1", "ServiceCIDR");

/// Ranges of addresses of a cluster.
#[derive(Debug, Default, PartialEq, Eq)]
struct Ranges {
    pods: Vec<IpNet>,
    /// Empty where the cluster does not tell.
    services: Vec<IpNet>,
}

/// Pods and Services of one cluster have no address in common with those of the other.
pub(crate) fn finding([from, to]: [&str; 2]) -> Finding {
    let read = of(from).and_then(|there| Ok([there, of(to)?]));
    judged("networks-apart", read, |[there, here]| {
        apart((from, &there), (to, &here))
    })
}

fn of(site: &str) -> Result<Ranges, Error> {
    let services = match objects(site, SERVICE_CIDR) {
        Err(Error::NotFound(_)) => Vec::new(),
        answer => service_ranges(&answer?)?,
    };
    Ok(Ranges {
        pods: pod_ranges(&objects(site, NODE)?)?,
        services,
    })
}

fn objects(site: &str, (api_version, kind): (&str, &str)) -> Result<Vec<Value>, Error> {
    let text = kubernetes::list_objects(site, api_version, kind, "", "")?;
    serde_json::from_str(&text)
        .map_err(|error| Error::Other(format!("objects of kind {kind} are no list: {error}")))
}

/// Of nodes: `podCIDRs`, and `podCIDR` where a cluster has no more than that.
fn pod_ranges(nodes: &[Value]) -> Result<Vec<IpNet>, Error> {
    let of_node = |node: &Value| -> Vec<String> {
        let several = texts(node, "/spec/podCIDRs");
        let one = text(node, "/spec/podCIDR");
        if several.is_empty() && !one.is_empty() {
            return vec![one.to_owned()];
        }
        several
    };
    parsed(nodes.iter().flat_map(of_node))
}

fn service_ranges(objects: &[Value]) -> Result<Vec<IpNet>, Error> {
    parsed(objects.iter().flat_map(|one| texts(one, "/spec/cidrs")))
}

fn texts(object: &Value, pointer: &str) -> Vec<String> {
    let all = list(object, pointer).iter();
    all.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn parsed(texts: impl Iterator<Item = String>) -> Result<Vec<IpNet>, Error> {
    texts
        .map(|text| {
            text.parse().map_err(|_| {
                Error::Other(format!(
                    "`{text}` is no range of addresses (RFC 4632, RFC 4291)"
                ))
            })
        })
        .collect()
}

/// Whether nothing of one overlaps with anything of the other. A cluster of which no range is known may be anywhere.
fn apart((from, there): (&str, &Ranges), (to, here): (&str, &Ranges)) -> (bool, String) {
    let mut problems = Vec::new();
    for (site, ranges) in [(from, there), (to, here)] {
        if ranges.pods.is_empty() {
            problems.push(format!("no node at {site} tells the range of its pods"));
        }
    }
    for one in there.all() {
        let overlapping = here.all().filter(|other| overlap(one, other));
        problems.extend(
            overlapping.map(|other| format!("{one} at {from} overlaps with {other} at {to}")),
        );
    }
    if problems.is_empty() {
        let (left, right) = (there.all().count(), here.all().count());
        return (
            true,
            format!("{left} ranges at {from} are apart from {right} at {to}"),
        );
    }
    (false, problems.join("; "))
}

impl Ranges {
    fn all(&self) -> impl Iterator<Item = &IpNet> {
        self.pods.iter().chain(&self.services)
    }
}

/// Two ranges overlap where one is a part of the other.
fn overlap(one: &IpNet, other: &IpNet) -> bool {
    one.contains(other) || other.contains(one)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ranges(pods: &[&str], services: &[&str]) -> Ranges {
        let nodes: Vec<Value> = pods
            .iter()
            .map(|range| json!({ "spec": { "podCIDR": range, "podCIDRs": [range] } }))
            .collect();
        let objects = [json!({ "spec": { "cidrs": services } })];
        Ranges {
            pods: pod_ranges(&nodes).unwrap(),
            services: service_ranges(&objects).unwrap(),
        }
    }

    #[test]
    fn what_overlaps_is_named_with_its_site() {
        let there = ranges(&["10.244.0.0/24", "10.244.1.0/24"], &["10.96.0.0/16"]);
        let judge = |here: &Ranges| apart(("pz", &there), ("bz", here));
        let (holds, said) = judge(&ranges(&["10.245.0.0/24", "fd00::/64"], &["10.97.0.0/16"]));
        assert!(holds, "{said}");
        assert_eq!(said, "3 ranges at pz are apart from 3 at bz");
        for (here, words) in [
            (
                ranges(&["10.244.1.0/26"], &[]),
                "10.244.1.0/24 at pz overlaps with 10.244.1.0/26 at bz",
            ),
            (
                ranges(&["10.245.0.0/24"], &["10.96.0.0/12"]),
                "10.96.0.0/16 at pz overlaps with 10.96.0.0/12 at bz",
            ),
            (
                ranges(&["10.96.7.0/24"], &[]),
                "10.96.0.0/16 at pz overlaps with 10.96.7.0/24 at bz",
            ),
            (
                ranges(&[], &["10.97.0.0/16"]),
                "no node at bz tells the range of its pods",
            ),
        ] {
            assert_eq!(judge(&here), (false, words.to_owned()));
        }
    }

    #[test]
    fn ranges_are_read_from_what_clusters_tell() {
        let two = json!({ "spec": { "podCIDR": "10.0.0.0/24", "podCIDRs": ["10.0.0.0/24", "fd00::/64"] } });
        let old = json!({ "spec": { "podCIDR": "10.0.1.0/24" } });
        let silent = json!({ "spec": {} });
        let read = pod_ranges(&[two, old, silent]).unwrap();
        let read: Vec<String> = read.iter().map(IpNet::to_string).collect();
        assert_eq!(read, ["10.0.0.0/24", "fd00::/64", "10.0.1.0/24"]);
        let wrong = json!({ "spec": { "podCIDR": "10.0.1.0" } });
        assert!(pod_ranges(&[wrong]).is_err());
    }
}
