//! A strategy that misbehaves on request, for tests of the host's limits.
//!
//! Its one step `attack` does what the configuration says: `{"attack": "memory"}`. Where an attack is survived the
//! step's answer says what the guest got; an attack that must be stopped never answers. Growing a table cannot be
//! written in Rust: `table.wat` beside this crate does that.

use std::hint::black_box;
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicU64, Ordering};

use exports::understudy::plugin::strategy::{
    Act, Context, Description, Error, Finding, Guest, Reversal, Step,
};
use serde::Deserialize;
use understudy::control::control;
use understudy::dns::dns;
use understudy::probe::probe;

mod canary;
mod search;

wit_bindgen::generate!({
    path: ["../../../wit/types", "../../../wit/control", "../../../wit/database", "../../../wit/dns",
            "../../../wit/kubernetes", "../../../wit/workload", "../../../wit/certificates",
            "../../../wit/ingress", "../../../wit/infrastructure", "../../../wit/storage", "../../../wit/edge-cache", "../../../wit/probe", "../../../wit/metrics",
            "../../../wit/notify", "../../../wit/http", "../../../wit/sql", "../../../wit/tls", "../../../wit/exec", "../../../wit/dns-update", "../../../wit/acme",
            "../../../wit/plugin"],
    world: "understudy:plugin/strategy-plugin",
    generate_all,
});

/// What to do. `rounds` bounds the attacks that repeat a call; without it they go on until they are stopped.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", tag = "attack")]
enum Attack {
    /// Allocate and touch memory without end.
    Memory,
    /// Compute without end.
    Cpu,
    /// Recurse without end.
    Stack,
    /// Panic.
    Trap,
    /// Call `control.now`, whatever it answers.
    Calls { rounds: Option<u64> },
    /// Write log lines of 1 KiB, whatever is answered.
    Log { rounds: Option<u64> },
    /// Pass one string of this many MiB to a call.
    Payload { mib: usize },
    /// Attach evidence of 100 KiB.
    Attach,
    /// Pass strings of 200 KiB to calls, whatever is answered.
    Volume,
    /// Pass a list of this many strings of 1 MiB to a call. They are all the same memory: a guest of 2 MiB makes the
    /// host copy as much as it likes, if the host lets it.
    PayloadAliased { strings: usize },
    /// Ask for records that no runbook grants; fails with what it was told.
    DenyDns,
    /// Walk a journey at a site itself, whoever is led there, and call that served.
    ServedEarly { site: String, journey: String },
    /// Sleep without end.
    Sleep,
    /// Read a record, and fail as the read does.
    Relay,
    /// Ask for a record to be made so, and fail as that does.
    RelayEffect,
    /// Call a provider and the probe, then look for secrets in the whole memory; answers what it got and how often they
    /// were found.
    Canary {
        needles: Vec<canary::Needle>,
        journey: Option<String>,
    },
    /// Write to memory of every kind; answers how much was there that an earlier instance wrote.
    LeaveBehind,
    /// Try files, environment, network and threads by the standard library; answers what worked.
    Ambient,
    /// Read the machine's clock by the standard library, which panics on this target.
    AmbientClock,
}

/// A record that a runbook grants.
const ACTIVE: &str = "wp-active.example.test";

struct Hostile;

impl Guest for Hostile {
    fn describe() -> Description {
        Description {
            name: "hostile".into(),
            version: "0.1.0".into(),
            summary: "Misbehaves on request".into(),
            config_schema: r#"{"type":"object","required":["attack"]}"#.into(),
        }
    }

    fn validate_config(config: String) -> Result<(), Vec<String>> {
        attack(&config).map(drop).map_err(|problem| vec![problem])
    }

    fn plan(_: Context) -> Result<Vec<Step>, Error> {
        Ok(vec![Step {
            id: "attack".into(),
            title: "Misbehave".into(),
            role: "incident-commander".into(),
            budget_ms: 60_000,
            needs: Vec::new(),
            reversal: Reversal::Nothing,
            acts: vec![Act {
                verb: "check".into(),
                site: String::new(),
            }],
            covers: Vec::new(),
            uses: vec!["control".into(), "dns".into(), "probe".into()],
        }])
    }

    #[expect(clippy::disallowed_methods, reason = "the attack")]
    fn run_step(context: Context, _: String) -> Result<String, Error> {
        match attack(&context.config).map_err(Error::Invalid)? {
            Attack::Memory => exhaust_memory(),
            Attack::Cpu => compute_for_ever(),
            Attack::Stack => Ok(recurse(0).to_string()),
            Attack::Trap => panic!("as asked"),
            Attack::Calls { rounds } => Ok(repeat(rounds, || control::now().map(drop))),
            Attack::Log { rounds } => {
                let line = "x".repeat(1024);
                Ok(repeat(rounds, || control::log(control::Level::Info, &line)))
            }
            Attack::Payload { mib } => {
                let name = "x".repeat(mib << 20);
                Ok(format!("{:?}", dns::get_record(&name, "A")?))
            }
            Attack::Attach => {
                let evidence = control::Evidence {
                    name: "much".into(),
                    media_type: "text/plain".into(),
                    body: "x".repeat(100 << 10),
                };
                control::attach(&evidence).map(|()| "attached".into())
            }
            Attack::Volume => {
                let name = "x".repeat(200 << 10);
                Ok(repeat(None, || dns::get_record(&name, "A").map(drop)))
            }
            Attack::PayloadAliased { strings } => send_aliased(strings),
            Attack::LeaveBehind => Ok(leave_behind()),
            Attack::DenyDns => {
                let values = ["198.51.100.66".to_owned()];
                let answers = ["wp-pz.example.test", "wp-bz.example.test"]
                    .map(|name| dns::ensure_record(name, "A", None, &values, 60));
                Err(Error::Other(format!("{answers:?}")))
            }
            Attack::ServedEarly { site, journey } => {
                probe::ensure_journey(&site, &journey, probe::Entry::Direct, 1)?;
                control::mark("served", Some(&site)).map(|()| "served".into())
            }
            Attack::Sleep => control::sleep(u64::MAX).map(|()| "slept".into()),
            Attack::Relay => Ok(format!("{:?}", dns::get_record(ACTIVE, "CNAME")?)),
            Attack::RelayEffect => {
                let values = ["wp-bz.example.test".to_owned()];
                let outcome = dns::ensure_record(ACTIVE, "CNAME", None, &values, 60)?;
                Ok(format!("{outcome:?}"))
            }
            Attack::Canary { needles, journey } => {
                // Whatever is answered is in this memory while it is searched.
                let record = black_box(dns::get_record(ACTIVE, "CNAME"));
                let recalled = black_box(control::recall("rpo"));
                let walked = journey.map(|name| {
                    black_box(probe::observe_journey("pz", &name, probe::Entry::Direct))
                });
                let found = search::look_for(&needles);
                Ok(format!("{record:?} {recalled:?} {walked:?}; {found}"))
            }
            Attack::Ambient => Ok(ambient()),
            Attack::AmbientClock => Ok(format!("{:?}", std::time::SystemTime::now())),
        }
    }

    fn undo_step(_: Context, _: String) -> Result<String, Error> {
        Ok(String::new())
    }

    fn assess(_: Context) -> Result<Vec<Finding>, Error> {
        Ok(Vec::new())
    }
}

fn attack(config: &str) -> Result<Attack, String> {
    serde_json::from_str(config).map_err(|error| error.to_string())
}

fn exhaust_memory() -> ! {
    let mut kept: Vec<Vec<u8>> = Vec::new();
    loop {
        kept.push(black_box(vec![1; 1 << 20]));
    }
}

/// What is static, and memory that had to grow for it and is said to be zero.
fn leave_behind() -> String {
    static LEFT: AtomicU64 = AtomicU64::new(0);
    let mut grown = black_box(vec![0_u8; 4 << 20]);
    let found = grown.iter().filter(|byte| **byte != 0).count();
    let found = LEFT.fetch_add(1, Ordering::Relaxed) + u64::try_from(found).unwrap_or(u64::MAX);
    grown.fill(1);
    drop(black_box(grown));
    format!("found: {found}")
}

fn compute_for_ever() -> ! {
    let mut number = 0_u64;
    loop {
        number = black_box(number.wrapping_add(1));
    }
}

/// Small frames: a Rust guest keeps arrays on a stack inside its own memory, and that is not the one to exhaust.
fn recurse(depth: u64) -> u64 {
    let next: fn(u64) -> u64 = black_box(recurse);
    next(depth + 1) ^ depth
}

/// Says how many of the calls were answered with an error.
fn repeat(rounds: Option<u64>, call: impl Fn() -> Result<(), Error>) -> String {
    let mut refused = 0_u64;
    for _ in 0..rounds.unwrap_or(u64::MAX) {
        refused += u64::from(call().is_err());
    }
    format!("{refused} refused")
}

fn send_aliased(strings: usize) -> Result<String, Error> {
    let mut text = ManuallyDrop::new("x".repeat(1 << 20));
    let (start, length) = (text.as_mut_ptr(), text.len());
    let values: ManuallyDrop<Vec<String>> = ManuallyDrop::new(
        (0..strings)
            // SAFETY: the strings are only read, by the call below, and neither they nor `text` are ever dropped.
            .map(|_| unsafe { String::from_raw_parts(start, length, length) })
            .collect(),
    );
    let outcome = dns::ensure_record(ACTIVE, "TXT", None, &values, 60)?;
    Ok(format!("{outcome:?}"))
}

fn ambient() -> String {
    let mut worked = Vec::new();
    if std::fs::read("/etc/hostname").is_ok() || std::fs::read_dir("/").is_ok() {
        worked.push("files");
    }
    if std::env::var_os("PATH").is_some() || std::env::args_os().next().is_some() {
        worked.push("environment");
    }
    if std::net::TcpListener::bind("127.0.0.1:0").is_ok()
        || std::net::UdpSocket::bind("127.0.0.1:0").is_ok()
    {
        worked.push("network");
    }
    if std::thread::Builder::new().spawn(|| ()).is_ok() {
        worked.push("threads");
    }
    if std::process::Command::new("true").spawn().is_ok() {
        worked.push("processes");
    }
    format!("worked: {worked:?}")
}

export!(Hostile);
