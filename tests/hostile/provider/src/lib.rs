//! A DNS provider that misbehaves on request, for tests of the host's limits.
//!
//! Its binding's configuration says how: `{"attack": "cpu"}`. `get-record` performs the attack; `ensure-record` does so
//! for `hang` alone, and answers `unchanged` otherwise. Where an attack is survived, the answer is `not-found` with what
//! the guest got as its text.

use std::cell::RefCell;
use std::hint::black_box;

use exports::understudy::{dns::dns, plugin::provider};
use serde::Deserialize;
use understudy::dns_update::dns_update;
use understudy::exec::exec;
use understudy::http::http;
use understudy::kubernetes::api;
use understudy::sql::sql;
use understudy::types::types::{Error, Operation};

#[path = "../../strategy/src/canary.rs"]
mod canary;
#[path = "../../strategy/src/search.rs"]
mod search;

wit_bindgen::generate!({
    path: ["../../../wit/types", "../../../wit/control", "../../../wit/database", "../../../wit/dns",
            "../../../wit/kubernetes", "../../../wit/workload", "../../../wit/certificates",
            "../../../wit/ingress", "../../../wit/infrastructure", "../../../wit/storage", "../../../wit/edge-cache", "../../../wit/probe", "../../../wit/metrics",
            "../../../wit/notify", "../../../wit/http", "../../../wit/sql", "../../../wit/tls", "../../../wit/exec", "../../../wit/dns-update", "../../../wit/acme",
            "../../../wit/plugin"],
    world: "understudy:plugin/provider-dns",
    generate_all,
});

/// What to do.
#[derive(Deserialize, Clone)]
#[serde(rename_all = "kebab-case", tag = "attack")]
enum Attack {
    /// Allocate and touch memory without end.
    Memory,
    /// Compute without end.
    Cpu,
    /// Compute without end already in `configure`.
    ConfigureCpu,
    /// Panic.
    Trap,
    /// Answer with a record set of this many values of 1 KiB.
    Response { values: usize },
    /// Send a request to `url`; answers with what came of it.
    Http { url: String },
    /// Send requests to `url` without end, whatever is answered.
    HttpFlood { url: String },
    /// `ensure-record` is in progress, for ever.
    Hang,
    /// Send a request to `url` with the credential of `slot`, then look for secrets in the whole memory; answers what
    /// it got and how often they were found.
    Canary {
        url: String,
        slot: String,
        needles: Vec<canary::Needle>,
    },
    /// As `canary`, with a statement to `connection`.
    CanarySql {
        connection: String,
        needles: Vec<canary::Needle>,
    },
    /// As `canary`, with a look at the object of this name in `cluster`.
    CanaryKubernetes {
        cluster: String,
        name: String,
        needles: Vec<canary::Needle>,
    },
    /// As `canary`, with a look at the texts of `name` at the name server `primary`.
    CanaryDns {
        name: String,
        needles: Vec<canary::Needle>,
    },
    /// As `canary`, with the program `tool`, given this argument.
    CanaryExec {
        argument: String,
        needles: Vec<canary::Needle>,
    },
}

thread_local! {
    /// Set by `configure`; one instance serves one call.
    static ATTACK: RefCell<Option<Attack>> = const { RefCell::new(None) };
}

struct Hostile;

impl provider::Guest for Hostile {
    fn describe() -> provider::Description {
        provider::Description {
            name: "hostile".into(),
            version: "0.1.0".into(),
            summary: "Misbehaves on request".into(),
            config_schema: r#"{"type":"object","required":["attack"]}"#.into(),
        }
    }

    fn configure(config: String) -> Result<(), String> {
        let attack: Attack = serde_json::from_str(&config).map_err(|error| error.to_string())?;
        if matches!(attack, Attack::ConfigureCpu) {
            compute_for_ever();
        }
        ATTACK.set(Some(attack));
        Ok(())
    }
}

impl dns::Guest for Hostile {
    fn get_record(name: String, kind: String) -> Result<dns::RecordSet, Error> {
        let got = match ATTACK.with_borrow(Clone::clone) {
            Some(Attack::Memory) => exhaust_memory(),
            Some(Attack::Cpu) => compute_for_ever(),
            Some(Attack::Trap) => panic!("as asked"),
            Some(Attack::Response { values }) => {
                return Ok(dns::RecordSet {
                    name,
                    kind,
                    values: vec!["x".repeat(1024); values],
                    ttl_seconds: 60,
                });
            }
            Some(Attack::Http { url }) => format!("{:?}", get(&url, None)),
            Some(Attack::HttpFlood { url }) => loop {
                drop(black_box(get(&url, None)));
            },
            Some(Attack::Canary { url, slot, needles }) => {
                let answer = black_box(get(&url, Some(slot)));
                let found = search::look_for(&needles);
                match answer {
                    Ok(response) => format!("status {}; {found}", response.status),
                    Err(error) => format!("{error:?}; {found}"),
                }
            }
            Some(Attack::CanarySql {
                connection,
                needles,
            }) => {
                let statement = sql::Statement {
                    text: "SELECT 1".into(),
                    parameters: Vec::new(),
                };
                let answer = black_box(sql::run(&connection, &[statement]));
                let found = search::look_for(&needles);
                format!("{answer:?}; {found}")
            }
            Some(Attack::CanaryKubernetes {
                cluster,
                name,
                needles,
            }) => {
                let object = api::ObjectRef {
                    api_version: "v1".into(),
                    kind: "ConfigMap".into(),
                    namespace: "app".into(),
                    name,
                };
                let answer = black_box(api::get_object(&cluster, &object));
                let found = search::look_for(&needles);
                format!("{answer:?}; {found}")
            }
            Some(Attack::CanaryDns { name, needles }) => {
                let set = dns_update::SetName {
                    name,
                    kind: "TXT".into(),
                };
                let answer = black_box(dns_update::get_record_set("primary", &set));
                let found = search::look_for(&needles);
                format!("{answer:?}; {found}")
            }
            Some(Attack::CanaryExec { argument, needles }) => {
                let command = exec::Command {
                    program: "tool".into(),
                    arguments: vec![argument],
                    input: exec::Input::Nothing,
                    output: exec::Output::Captured,
                };
                let answer = black_box(exec::run(&command));
                let found = search::look_for(&needles);
                format!("{answer:?}; {found}")
            }
            Some(Attack::Hang | Attack::ConfigureCpu) | None => "nothing to do".to_owned(),
        };
        Err(Error::NotFound(got))
    }

    fn get_zone_limits(name: String) -> Result<dns::ZoneLimits, Error> {
        Ok(dns::ZoneLimits {
            zone: name,
            min_ttl_seconds: 1,
        })
    }

    fn ensure_record(
        _: String,
        _: String,
        _: Option<Vec<String>>,
        _: Vec<String>,
        _: u32,
    ) -> Result<dns::Outcome, Error> {
        match ATTACK.with_borrow(Clone::clone) {
            Some(Attack::Hang) => Ok(dns::Outcome::InProgress(Operation {
                id: "never".into(),
                description: "something that never ends".into(),
                poll_after_ms: 0,
            })),
            _ => Ok(dns::Outcome::Unchanged),
        }
    }
}

fn get(url: &str, credential: Option<String>) -> Result<http::Response, Error> {
    http::send(&http::Request {
        method: "GET".into(),
        url: url.into(),
        headers: Vec::new(),
        body: b"give".to_vec(),
        credential,
    })
}

fn exhaust_memory() -> ! {
    let mut kept: Vec<Vec<u8>> = Vec::new();
    loop {
        kept.push(black_box(vec![1; 1 << 20]));
    }
}

fn compute_for_ever() -> ! {
    let mut number = 0_u64;
    loop {
        number = black_box(number.wrapping_add(1));
    }
}

export!(Hostile);
