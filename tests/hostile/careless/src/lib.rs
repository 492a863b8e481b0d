//! A DNS provider with one defect, for tests of the conformance kit: each is a mistake that a diligent author makes.
//!
//! The binding's configuration names it: `{"server": "http://…", "defect": "creates-again"}`. Without one it conforms. The
//! server keeps a list of objects, each with a value and a TTL, under `/records/NAME/KIND`: `GET` answers it, `PUT` takes
//! the whole list, `POST` adds one object.

use serde::{Deserialize, Serialize};
use understudy_sdk::host::understudy::{http::http, types::types::Error};
use understudy_sdk::provider::{Configured, is_success, json_request, read_json, response_error};

understudy_sdk::provider_bindings!("understudy:plugin/provider-dns");

use exports::understudy::{dns::dns, plugin::provider};

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Config {
    server: String,
    #[serde(default)]
    defect: Option<Defect>,
}

#[derive(Deserialize, PartialEq, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum Defect {
    /// Adds what is wanted without a look at what is there.
    CreatesAgain,
    /// Forgets what it was told to expect.
    ExpectsNothing,
    /// Believes that what it was asked for is so.
    OnlyClaims,
    /// Sends the change again although there is nothing to do.
    NeverRests,
    /// Has one error for everything.
    OneError,
    /// Takes every answer for the one that it wanted.
    Panics,
    /// Waits by itself for something that does not come.
    WaitsForEver,
    /// Does not pass on for how long it was asked to wait.
    ForgetsTheHint,
}

#[derive(Deserialize, Serialize, PartialEq, Clone)]
struct Object {
    value: String,
    ttl: u32,
}

static CONFIG: Configured<Config> = Configured::new();

struct Careless;

impl provider::Guest for Careless {
    fn describe() -> provider::Description {
        provider::Description {
            name: "careless".into(),
            version: "0.1.0".into(),
            summary: "Has a defect on request".into(),
            config_schema: r#"{"type":"object","required":["server"]}"#.into(),
        }
    }

    fn configure(config: String) -> Result<(), String> {
        CONFIG.set(serde_json::from_str(&config).map_err(|error| error.to_string())?)
    }
}

impl dns::Guest for Careless {
    fn get_record(name: String, kind: String) -> Result<dns::RecordSet, Error> {
        let objects = get(&name, &kind).map_err(told)?;
        let Some(first) = objects.first() else {
            if has(Defect::Panics) {
                panic!("there is always a record");
            }
            return Err(told(Error::NotFound(format!("{name} {kind}"))));
        };
        Ok(dns::RecordSet {
            ttl_seconds: first.ttl,
            values: objects.iter().map(|object| object.value.clone()).collect(),
            name,
            kind,
        })
    }

    fn get_zone_limits(_: String) -> Result<dns::ZoneLimits, Error> {
        Ok(dns::ZoneLimits {
            zone: "example.test".into(),
            min_ttl_seconds: 1,
        })
    }

    fn ensure_record(
        name: String,
        kind: String,
        expected: Option<Vec<String>>,
        values: Vec<String>,
        ttl_seconds: u32,
    ) -> Result<dns::Outcome, Error> {
        ensure(&name, &kind, expected, values, ttl_seconds).map_err(told)
    }
}

fn ensure(
    name: &str,
    kind: &str,
    expected: Option<Vec<String>>,
    values: Vec<String>,
    ttl: u32,
) -> Result<dns::Outcome, Error> {
    let objects = get(name, kind)?;
    let object = |value| Object { value, ttl };
    let wanted: Vec<Object> = values.iter().cloned().map(object).collect();
    let held: Vec<String> = objects.iter().map(|object| object.value.clone()).collect();
    if let Some(expected) = expected
        && expected != held
        && values != held
        && !has(Defect::ExpectsNothing)
    {
        return Err(Error::Conflict(format!(
            "expected {expected:?}, found {held:?}"
        )));
    }
    if has(Defect::CreatesAgain) {
        let kept: Vec<&Object> = objects
            .iter()
            .filter(|o| values.contains(&o.value))
            .collect();
        if kept.len() < objects.len() {
            send("PUT", name, kind, &serde_json::json!(kept))?;
        }
        for object in &wanted {
            send("POST", name, kind, &serde_json::json!(object))?;
        }
        return Ok(dns::Outcome::Changed);
    }
    if objects == wanted {
        if has(Defect::NeverRests) {
            send("PUT", name, kind, &serde_json::json!(wanted))?;
        }
        return Ok(dns::Outcome::Unchanged);
    }
    if has(Defect::OnlyClaims) {
        return Ok(dns::Outcome::Changed);
    }
    send("PUT", name, kind, &serde_json::json!(wanted))?;
    while has(Defect::WaitsForEver) {
        get(name, kind)?;
    }
    Ok(dns::Outcome::Changed)
}

fn has(defect: Defect) -> bool {
    CONFIG
        .get()
        .is_ok_and(|config| config.defect == Some(defect))
}

/// An error as the contract's caller is told it.
fn told(error: Error) -> Error {
    match error {
        error if has(Defect::OneError) => Error::Other(format!("it failed: {error:?}")),
        Error::Unavailable(mut hint) if has(Defect::ForgetsTheHint) => {
            hint.after_ms = None;
            Error::Unavailable(hint)
        }
        error => error,
    }
}

fn get(name: &str, kind: &str) -> Result<Vec<Object>, Error> {
    let response = http::send(&json_request("GET", url(name, kind)?, None, None))?;
    match response.status {
        404 => Err(Error::NotFound(format!("no zone holds {name}"))),
        _ if has(Defect::Panics) => Ok(serde_json::from_slice(&response.body).unwrap()),
        _ if is_success(&response) => read_json("GET", &response),
        _ => Err(response_error("GET", &response)),
    }
}

fn send(method: &str, name: &str, kind: &str, body: &serde_json::Value) -> Result<(), Error> {
    let response = http::send(&json_request(method, url(name, kind)?, Some(body), None))?;
    if is_success(&response) {
        Ok(())
    } else {
        Err(response_error(method, &response))
    }
}

fn url(name: &str, kind: &str) -> Result<String, Error> {
    Ok(format!("{}/records/{name}/{kind}", CONFIG.get()?.server))
}

export!(Careless);
