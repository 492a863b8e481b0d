//! `understudy plugin test` as whoever writes a provider uses it: providers that conform pass, and each that is careless
//! fails by the name of the check that it breaks.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test: what does not hold must end it"
)]

use std::collections::BTreeSet;

use serde_json::Value;
use server::Server;
use stage::{PLUGINS, Stage, text};
use understudy::journal::record::Record;

#[path = "conformance/server.rs"]
mod server;
#[expect(dead_code, reason = "runs and their journals are for other tests")]
#[path = "support/stage.rs"]
mod stage;

/// Things for the suite of `dns`.
const DNS: &str = r#"
[[suites]]
contract = "understudy:dns/dns@0.1.0"
things = { name = "kit.example.test", kind = "A", values = ["192.0.2.1"], other-values = ["192.0.2.2"],
    stranger-values = ["192.0.2.3"], ttl-seconds = 60, absent = "nobody.example.test", foreign = "kit.example.org" }
"#;

/// What came of a test.
struct Tested {
    code: i32,
    verdicts: Vec<Value>,
    stderr: String,
    stage: Stage,
}

impl Tested {
    fn names(&self, came: &str) -> BTreeSet<String> {
        let verdicts = self.verdicts.iter();
        verdicts
            .filter(|verdict| verdict["came"] == came)
            .map(|verdict| {
                let (case, check) = (&verdict["case"], &verdict["check"]);
                format!("{}/{}", case.as_str().unwrap(), check.as_str().unwrap())
            })
            .collect()
    }

    /// Everything that was run passed; what was not run.
    fn passed(&self) -> BTreeSet<String> {
        assert_eq!(self.names("failed"), BTreeSet::new(), "{}", self.stderr);
        assert_eq!(self.code, 0, "{}", self.stderr);
        assert!(!self.names("passed").is_empty());
        self.names("not-run")
    }
}

/// Tests a component, with a configuration file after its header.
fn test(component: &str, config: &str) -> Tested {
    let stage = Stage::with("");
    let header = "[conformance]\nformat = 1\nplugin = \"tested\"\npatience = \"10s\"\n";
    std::fs::write(stage.path("against.toml"), format!("{header}{config}")).unwrap();
    let component = PLUGINS.join(format!("{component}.wasm"));
    let output = stage.run(&[
        "plugin",
        "test",
        component.to_str().unwrap(),
        "--against",
        "against.toml",
        "-o",
        "json",
        "--junit",
        "junit.xml",
        "--journal",
        "journal.jsonl",
    ]);
    let stderr = text(&output.stderr);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    Tested {
        code: output.status.code().unwrap(),
        verdicts: report["verdicts"].as_array().cloned().unwrap_or_default(),
        stderr,
        stage,
    }
}

/// A binding of `contract` over HTTP to the server.
fn binding(contract: &str, server: &Server, config: &str) -> String {
    format!(
        r#"
[[bindings]]
contract = "{contract}"
plugin = "tested"
config = {{ {config} }}
http = [{{ methods = ["GET", "PUT", "POST"], url = "{}/", private = true }}]
"#,
        server.url()
    )
}

fn careless(defect: &str) -> Tested {
    let server = Server::start();
    let defect = match defect {
        "" => String::new(),
        defect => format!(", defect = \"{defect}\""),
    };
    let config = format!("server = \"{}\"{defect}", server.url());
    let binding = binding("understudy:dns/dns@0.1.0", &server, &config);
    test("careless-provider", &format!("{binding}{DNS}"))
}

/// A defect, and the checks that it breaks; whether it breaks no other.
fn breaks(defect: &str, checks: &[&str], only: bool) {
    let tested = careless(defect);
    let failed = tested.names("failed");
    for name in checks {
        assert!(failed.contains(*name), "{defect}: {}", tested.stderr);
        assert!(
            tested.stderr.contains(&format!("dns/{name}: ")),
            "{}",
            tested.stderr
        );
    }
    assert!(
        !only || failed.len() == checks.len(),
        "{defect}: {}",
        tested.stderr
    );
    assert_eq!(tested.code, 1, "{}", tested.stderr);
    assert!(tested.stderr.contains("CK0001"), "{}", tested.stderr);
    let junit = std::fs::read_to_string(tested.stage.path("junit.xml")).unwrap();
    assert_eq!(junit.matches("<failure ").count(), failed.len(), "{junit}");
}

#[test]
fn a_provider_without_a_defect_passes_everything() {
    let tested = careless("");
    let not_run = tested.passed();
    let reaches_nothing = ["throttled", "unreachable", "denied", "silent", "stranger"];
    let expected = reaches_nothing.map(|check| format!("get-zone-limits/{check}"));
    assert_eq!(not_run, expected.into(), "{:?}", tested.verdicts);
    let passed = tested.names("passed");
    for check in [
        "takes-effect",
        "other-key",
        "same-key",
        "lost-answer",
        "died-halfway",
    ] {
        assert!(
            passed.contains(&format!("ensure-record/{check}")),
            "{check}: {passed:?}"
        );
    }
    // One key for each call, one intent and at most one outcome for each key: also where the host died.
    let journal = std::fs::read_to_string(tested.stage.path("journal.jsonl")).unwrap();
    let (entries, _) = understudy::journal::import(&journal).unwrap();
    let mut intents = BTreeSet::new();
    let mut outcomes = BTreeSet::new();
    for entry in entries {
        match entry.record {
            Record::Intent { site, key, .. } => {
                assert!(intents.insert(key.0), "a key has two intents: {site:?}");
            }
            Record::Outcome { site, .. } => {
                let site = format!("{site:?}");
                assert!(outcomes.insert(site.clone()), "two outcomes: {site}");
            }
            _ => {}
        }
    }
    assert!(intents.len() > 50, "{}", intents.len());
}

#[test]
fn what_is_made_again_is_made_twice() {
    let checks = [
        "ensure-record/other-key",
        "ensure-record/same-key",
        "ensure-record/lost-answer",
        "ensure-record/died-halfway",
    ];
    breaks("creates-again", &checks, false);
}

#[test]
fn a_precondition_that_is_forgotten_is_not_refused() {
    breaks(
        "expects-nothing",
        &["ensure-record-unexpected/refused"],
        true,
    );
}

#[test]
fn an_effect_that_is_only_claimed_is_not_seen() {
    breaks("only-claims", &["ensure-record/takes-effect"], false);
}

#[test]
fn a_change_where_nothing_is_left_to_do_is_not_quiet() {
    let checks = ["ensure-record/quiet", "ensure-record-expected/quiet"];
    breaks("never-rests", &checks, true);
}

#[test]
fn one_error_for_everything_is_none_of_the_contract() {
    let checks = [
        "get-record-absent/refused",
        "ensure-record-unexpected/refused",
        "ensure-record/lost-answer",
        "get-record/throttled",
        "get-record/unreachable",
        "get-record/denied",
        "get-record/silent",
    ];
    breaks("one-error", &checks, false);
}

#[test]
fn whoever_panics_does_not_come_back() {
    let checks = ["get-record/stranger", "get-record-absent/comes-back"];
    breaks("panics", &checks, false);
}

#[test]
fn whoever_waits_for_ever_does_not_come_back() {
    let checks = [
        "ensure-record/comes-back",
        "ensure-record/takes-effect",
        "ensure-record-expected/comes-back",
        "ensure-record-expected/takes-effect",
    ];
    breaks("waits-for-ever", &checks, true);
}

#[test]
fn patience_that_is_not_passed_on_is_asked_for_in_vain() {
    let checks = [
        "get-record/throttled",
        "ensure-record/throttled",
        "ensure-record-expected/throttled",
    ];
    breaks("forgets-the-hint", &checks, true);
}

#[test]
fn a_zone_in_a_document_conforms() {
    let server = Server::start();
    let config = format!(
        "url = \"{}/zone.json\", zone = \"example.test\"",
        server.url()
    );
    let binding = binding("understudy:dns/dns@0.1.0", &server, &config);
    let tested = test("provider-json-zone", &format!("{binding}{DNS}"));
    let not_run = tested.passed();
    assert_eq!(not_run.len(), 5, "{not_run:?}");
}

#[test]
fn applications_and_announcements_at_endpoints_conform() {
    let server = Server::start();
    let config = format!(
        "sites = {{ pz = \"{0}\" }}, channels = {{ status = \"{0}/announcements\" }}",
        server.url()
    );
    let workload = binding("understudy:workload/workload@0.1.0", &server, &config);
    let notify = binding("understudy:notify/notify@0.1.0", &server, &config);
    let suites = r#"
[[suites]]
contract = "understudy:workload/workload@0.1.0"
things = { site = "pz", app = "shop", replicas = 2, other-replicas = 3, endpoint = "db.bz.example.test:3306",
    other-endpoint = "db.pz.example.test:3306", unknown-app = "nobody" }

[[suites]]
contract = "understudy:notify/notify@0.1.0"
things = { channel = "status", unknown-channel = "nobody" }
"#;
    let tested = test("provider-webhook", &format!("{workload}{notify}{suites}"));
    assert_eq!(
        tested.passed(),
        BTreeSet::from(["ensure-announced/quiet".to_owned()])
    );
}

#[test]
fn a_contract_of_ones_own_is_held_to_the_same_checks() {
    let server = Server::start();
    let config = format!("api = \"{}\"", server.url());
    let bound = binding("acme:cdn/purge@1.0.0", &server, &config);
    let cases = r#"
[[suites]]
contract = "acme:cdn/purge@1.0.0"
things = { host = "www.example.test" }
effects = [{ call = "ensure-purged", args = { site = "bz", host = "$host" },
    before = [{ call = "ensure-purged", args = { site = "pz", host = "$host" } }] }]
refusals = [{ id = "ensure-purged-unknown", call = "ensure-purged", args = { site = "bz", host = "nobody.example.test" },
    errors = ["not-found"] }]
"#;
    let tested = test("acme-cdn-provider", &format!("{bound}{cases}"));
    assert_eq!(tested.passed(), BTreeSet::new());
    let silent = test("acme-cdn-provider", &bound);
    assert_eq!(silent.code, 2, "{}", silent.stderr);
    assert!(silent.stderr.contains("CK0002"), "{}", silent.stderr);
    let why = silent.verdicts[0]["why"].as_str().unwrap();
    assert!(why.contains("no case calls it"), "{why}");
}

#[test]
fn a_file_that_speaks_of_what_there_is_not_is_refused_at_its_place() {
    let server = Server::start();
    let config = format!("server = \"{}\"", server.url());
    let bound = binding("understudy:dns/dns@0.1.0", &server, &config);
    let suites = r#"
[[suites]]
contract = "understudy:dns/dns@0.1.0"
things = { nam = "kit.example.test" }
allow = ["ensure-recrd"]
alow = []

[[suites]]
contract = "understudy:notify/notify@0.1.0"
"#;
    let tested = test("careless-provider", &format!("{bound}{suites}"));
    assert_eq!(tested.code, 2, "{}", tested.stderr);
    for expected in [
        "unknown key `nam`",
        "did you mean `name`",
        "unknown case `ensure-recrd`",
        "unknown key `alow`",
        "unknown bound contract `understudy:notify/notify@0.1.0`",
        "against.toml:14:12",
    ] {
        assert!(
            tested.stderr.contains(expected),
            "{expected}: {}",
            tested.stderr
        );
    }
}
