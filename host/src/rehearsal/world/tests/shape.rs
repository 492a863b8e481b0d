//! Every function of every domain contract in `wit/` is served, and its answer has the shape of its WIT type.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use wit_parser::{Resolve, Type, TypeDefKind, UnresolvedPackageGroup, Variant};

use super::{Hand, scenario, sites};
use crate::call::{Arguments, CallSite, Direction, FunctionName, IdempotencyKey, Request};
use crate::clock::Instant;
use crate::rehearsal::scenario::contracts::{CONTRACTS, functions};
use crate::rehearsal::world::World;

fn contracts() -> Resolve {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../wit"));
    let mut folders: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    folders.retain(|path| path.is_dir() && CONTRACTS.iter().any(|name| path.ends_with(name)));
    folders.sort();
    assert_eq!(folders.len(), CONTRACTS.len());
    // Domain contracts use `types` alone.
    folders.insert(0, folder.join("types"));
    let mut resolve = Resolve::default();
    for folder in folders {
        resolve
            .push_group(UnresolvedPackageGroup::parse_dir(folder).unwrap())
            .unwrap();
    }
    resolve
}

/// Whether a JSON value has the shape of a WIT type; the first place where it has not.
fn fits(resolve: &Resolve, value: &Value, ty: &Type, at: &str) -> Result<(), String> {
    let wrong = |wanted: &str| Err(format!("{at}: {value} is no {wanted}"));
    match ty {
        Type::Bool if value.is_boolean() => Ok(()),
        Type::String if value.is_string() => Ok(()),
        Type::F64 | Type::F32 if value.is_number() => Ok(()),
        Type::U64 if value.is_u64() => Ok(()),
        Type::U32 if value.as_u64().is_some_and(|n| u32::try_from(n).is_ok()) => Ok(()),
        Type::U16 if value.as_u64().is_some_and(|n| u16::try_from(n).is_ok()) => Ok(()),
        Type::Id(id) => match &resolve.types[*id].kind {
            TypeDefKind::Type(ty) => fits(resolve, value, ty, at),
            TypeDefKind::Option(_) if value.is_null() => Ok(()),
            TypeDefKind::Option(ty) => fits(resolve, value, ty, at),
            TypeDefKind::List(ty) => {
                let Some(items) = value.as_array() else {
                    return wrong("list");
                };
                items
                    .iter()
                    .try_for_each(|item| fits(resolve, item, ty, &format!("{at}[]")))
            }
            TypeDefKind::Record(record) => {
                let Some(object) = value.as_object() else {
                    return wrong("record");
                };
                let known: Vec<&str> = record
                    .fields
                    .iter()
                    .map(|field| field.name.as_str())
                    .collect();
                if object.len() != known.len()
                    || !object.keys().all(|key| known.contains(&key.as_str()))
                {
                    return Err(format!(
                        "{at}: {value} has not exactly the fields {known:?}"
                    ));
                }
                let mut fields = record.fields.iter();
                fields.try_for_each(|field| {
                    fits(
                        resolve,
                        &object[&field.name],
                        &field.ty,
                        &format!("{at}.{}", field.name),
                    )
                })
            }
            TypeDefKind::Enum(cases) => {
                match cases.cases.iter().any(|case| value == case.name.as_str()) {
                    true => Ok(()),
                    false => wrong("case"),
                }
            }
            TypeDefKind::Variant(variant) => fits_case(resolve, value, variant, at),
            other => Err(format!("{at}: this test does not know {other:?}")),
        },
        other => wrong(&format!("{other:?}")),
    }
}

fn fits_case(resolve: &Resolve, value: &Value, variant: &Variant, at: &str) -> Result<(), String> {
    let (name, payload) = match value {
        Value::String(name) => (name, None),
        Value::Object(object) if object.len() == 1 => {
            let (name, payload) = object.iter().next().unwrap();
            (name, Some(payload))
        }
        _ => return Err(format!("{at}: {value} is no variant")),
    };
    let case = variant.cases.iter().find(|case| case.name == *name);
    match (case.map(|case| case.ty), payload) {
        (Some(None), None) => Ok(()),
        (Some(Some(ty)), Some(payload)) => fits(resolve, payload, &ty, &format!("{at}.{name}")),
        _ => Err(format!("{at}: {value} is no case")),
    }
}

fn object(kind: &str, name: &str) -> Value {
    json!({ "api-version": "apps/v1", "kind": kind, "namespace": "app", "name": name })
}

/// Arguments with which the function works in the world of `planned`.
fn sample(function: &str, parameter: &str) -> Value {
    match (function, parameter) {
        (_, "site") => json!("pz"),
        (_, "database") | (_, "app") => json!("wordpress"),
        (_, "source") => json!("bz"),
        (_, "position") => json!("0-1-5"),
        (_, "target") => json!("latest"),
        (_, "version" | "token" | "id") => json!("t-1"),
        ("ensure-backup", "name") => json!("before-drill"),
        ("ensure-certificate", "name") => json!("wp-active"),
        (
            "observe-names" | "ensure-converged" | "get-record" | "ensure-record"
            | "get-zone-limits",
            "name",
        ) => {
            json!("wp-active.example.test")
        }
        ("ensure-patched", "kind") => json!("merge"),
        ("list-objects", "kind") => json!("Deployment"),
        (_, "kind") => json!("CNAME"),
        (_, "expected") => Value::Null,
        (_, "values") => json!(["wp-pz.example.test"]),
        (_, "ttl-seconds" | "lines" | "percent") => json!(100),
        (_, "replicas") => json!(4),
        (_, "consecutive") => json!(1),
        (_, "endpoint") => json!("db.bz.example.test:3306"),
        (_, "enabled" | "holds") => json!(true),
        (_, "hosts" | "dns-names") => json!(["wp-active.example.test"]),
        (_, "host" | "server-name" | "dns-name") => json!("wp-active.example.test"),
        (_, "issuer") => json!("production"),
        (_, "min-valid-ms" | "window" | "since") => json!(1),
        (_, "bucket") => json!("media"),
        (_, "stack") => json!("zone"),
        (_, "journey") => json!("front-page"),
        (_, "entry") => json!("public"),
        (_, "objective") => json!("error-rate"),
        (_, "objectives") => json!(["error-rate"]),
        (_, "channel") => json!("status"),
        (_, "announcement") => json!({ "key": "k", "title": "t", "body": "b", "severity": "info" }),
        ("get-pod-logs", _) | (_, "label-selector") => json!(""),
        (_, "api-version") => json!("apps/v1"),
        (_, "namespace") => json!("app"),
        ("get-value-digests", "object") => json!({
            "api-version": "v1", "kind": "Secret", "namespace": "app", "name": "wordpress-database",
        }),
        (_, "object") => object("Deployment", "wordpress"),
        (_, "manifest") => json!(
            r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x","namespace":"app"}}"#
        ),
        (_, "patch") => json!(r#"{"metadata":{"labels":{"a":"b"}}}"#),
        (_, "condition") => json!("Available"),
        (_, other) => panic!("no sample for `{other}` of `{function}`"),
    }
}

pub(super) fn sample_request(contract: &str, function: &str) -> Request {
    Request {
        function: FunctionName {
            interface: format!("understudy:{contract}/{contract}@0.1.0")
                .parse()
                .unwrap(),
            function: function.to_owned(),
        },
        args: Arguments::default(),
        key: IdempotencyKey("run-1/sample".to_owned()),
        site: CallSite {
            step: "replica/sample".parse().unwrap(),
            direction: Direction::Run,
            attempt: 1,
            ordinal: 0,
        },
        deadline: Instant(u64::MAX),
    }
}

#[test]
fn every_function_of_every_domain_contract_is_served_in_its_shape() {
    let resolve = contracts();
    let scenario = scenario("planned");
    let mut served = 0;
    for contract in CONTRACTS {
        let (_, interface) = resolve
            .interfaces
            .iter()
            .find(|(_, interface)| interface.name.as_deref() == Some(contract))
            .unwrap();
        let known: BTreeSet<&str> = functions(contract).iter().copied().collect();
        let there: BTreeSet<&str> = interface.functions.keys().map(String::as_str).collect();
        assert_eq!(known, there, "what a scenario may name of {contract}");
        for (name, function) in &interface.functions {
            let mut hand = Hand::new(&scenario, 1);
            hand.wait(std::time::Duration::from_secs(60));
            let args: Map<String, Value> = function
                .params
                .iter()
                .map(|param| (param.name.clone(), sample(name, &param.name)))
                .collect();
            // The backup zone is the one that can be restored, replicated into and looked at as a replica.
            let mut args = Value::Object(args);
            match name.as_str() {
                "ensure-restored" => args["site"] = json!("bz"),
                "ensure-replica-of" => (args["site"], args["source"]) = (json!("bz"), json!("pz")),
                "observe" if contract == "database" => args["site"] = json!("bz"),
                _ => {}
            }
            let reply = hand.once(&format!("{contract}/{name}"), args);
            let value = reply.unwrap_or_else(|error| panic!("{contract}/{name}: {error}"));
            let Some(Type::Id(result)) = function.result else {
                panic!("{contract}/{name} has no result")
            };
            let TypeDefKind::Result(result) = &resolve.types[result].kind else {
                panic!("{contract}/{name} answers no result")
            };
            fits(
                &resolve,
                &value,
                &result.ok.unwrap(),
                &format!("{contract}/{name}"),
            )
            .unwrap();
            served += 1;
        }
    }
    assert!(served >= 40, "only {served} functions were found");
    let world = World::new(&scenario, &sites(&scenario), 1, scenario.world.start);
    assert_eq!(world.interfaces().len(), CONTRACTS.len());
}

#[test]
fn the_shape_check_can_fail() {
    let resolve = contracts();
    let (id, _) = resolve
        .types
        .iter()
        .find(|(_, ty)| ty.name.as_deref() == Some("record-set"))
        .unwrap();
    let right = json!({ "name": "a", "kind": "A", "values": [], "ttl-seconds": 1 });
    assert_eq!(fits(&resolve, &right, &Type::Id(id), ""), Ok(()));
    for wrong in [
        json!({ "name": "a", "kind": "A", "values": [], "ttl_seconds": 1 }),
        json!({ "name": "a", "kind": "A", "values": [1], "ttl-seconds": 1 }),
        json!({ "name": "a", "kind": "A", "values": [], "ttl-seconds": -1 }),
    ] {
        assert!(
            fits(&resolve, &wrong, &Type::Id(id), "").is_err(),
            "{wrong} must not fit"
        );
    }
}
