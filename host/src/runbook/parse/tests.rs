//! Reading whole runbooks: what a good one becomes, and what is said of bad ones.

use std::path::PathBuf;
use std::time::Duration;

use crate::runbook::error::RunbookErrors;
use crate::runbook::source::Sources;
use crate::runbook::types::{CredentialScheme, Engine, Origin, Runbook, SecretSource};

mod issuer;
mod name_server;
mod origin;

const GOOD: &str = r#"
[runbook]
name = "wordpress"
summary = "A blog with its database"
format = 1

[targets]
rto = "30m"
rpo = "5m"

[sites.pz]
title = "Primary zone"
[sites.bz]
title = "Backup zone"

[plugins.replica]
path = "../../target/replica.wasm"
[plugins.mariadb]
path = "../../target/mariadb.wasm"
[plugins.powerdns]
path = "../../target/powerdns.wasm"

[strategies.replica]
plugin = "replica"
parameters = { source = "pz", target = "bz", since = 2026-01-31T10:00:00Z }
[strategies.failback]
plugin = "replica"

[[bindings]]
contract = "understudy:database/database@0.1.0"
sites = ["pz"]
plugin = "mariadb"
connections.main = { host = "127.0.0.1", port = 3306, server-name = "db.example.test", user = "dr", password = { env = "DB_PASSWORD" } }
trust = ["ca.pem"]

[[bindings]]
contract = "understudy:dns/dns@0.1.0"
plugin = "powerdns"
config = { zone = "example.test" }
credentials.api = { env = "PDNS_KEY", scheme = "header", name = "X-API-Key" }
http = [{ methods = ["GET", "PATCH"], url = "https://dns.example.test/api/v1", private = true }]
tls = ["wp-active.example.test:443"]

[[grants]]
strategy = "replica"
allow = "dns/ensure-record"
only = { name = ["wp-active.example.test"] }

[[steps]]
step = "replica/announce"
drop = true

[[steps]]
step = "replica/promote"
needs = ["replica/fence"]
budget = "2m"
role = "db-lead"
gate.before = { role = "incident-commander", quorum = 2, timeout = "10m", default = "no-go" }
gate.after = { role = "db-lead" }
covers = ["S0-A2.1"]

[procedures]
drill = ["replica", "failback"]

[probe]
zone-header = "X-Zone"
entries.pz = "127.0.1.1:8443"
resolvers.local = "127.0.0.1:5300"
public-resolver = "local"
credentials.login = { file = "login", scheme = "basic", user = "probe" }

[[probe.journeys.front-page]]
name = "front page"
url = "https://wp-active.example.test/?p=1"
credential = "login"
"#;

fn read(texts: &[(&str, &str)]) -> Result<Runbook, RunbookErrors> {
    let mut sources = Sources::default();
    for (path, text) in texts {
        sources.push(PathBuf::from(path), (*text).to_owned());
    }
    Runbook::read(sources)
}

fn good() -> Runbook {
    read(&[("books/runbook.toml", GOOD)])
        .unwrap_or_else(|errors| panic!("{}", errors.render(false)))
}

/// The errors of the good runbook with `from` replaced by `to`.
fn broken(from: &str, to: &str) -> RunbookErrors {
    assert!(
        GOOD.contains(from),
        "the text to break is not there: {from}"
    );
    read(&[("runbook.toml", &GOOD.replacen(from, to, 1))])
        .expect_err("the broken runbook was accepted")
}

fn codes(errors: &RunbookErrors) -> Vec<&'static str> {
    errors
        .errors
        .iter()
        .map(super::RunbookError::code)
        .collect()
}

#[test]
fn a_good_runbook_becomes_types() {
    let runbook = good();
    assert_eq!(runbook.folder, PathBuf::from("books"));
    assert_eq!(runbook.targets.rto, Duration::from_secs(1800));
    assert_eq!(runbook.plugins.len(), 3);
    let parameters = &runbook.strategies[&"replica".parse().unwrap()].parameters;
    assert_eq!(parameters["since"], "2026-01-31T10:00:00Z");
    let [database, dns] = runbook.bindings.as_slice() else {
        panic!("two bindings")
    };
    assert_eq!(database.sites, ["pz".parse().unwrap()]);
    assert_eq!(
        database.connections["main"].password,
        SecretSource::Environment("DB_PASSWORD".into())
    );
    assert_eq!(database.trust, [PathBuf::from("ca.pem")]);
    assert_eq!(
        dns.credentials["api"].scheme,
        CredentialScheme::Header {
            name: "x-api-key".into()
        }
    );
    assert_eq!(dns.http[0].url.as_str(), "https://dns.example.test/api/v1");
    let [announce, promote] = runbook.steps.as_slice() else {
        panic!("two changes")
    };
    assert!(announce.drop);
    assert_eq!(promote.budget, Some(Duration::from_secs(120)));
    let gate = promote.gate_before.as_ref().unwrap();
    assert_eq!(
        (gate.quorum, gate.timeout_ms, gate.default),
        (2, Some(600_000), Some(false))
    );
    assert_eq!(promote.gate_after.as_ref().unwrap().quorum, 1);
    assert_eq!(runbook.procedures["drill"].len(), 2);
    assert_eq!(runbook.probe.zone_header, "x-zone");
    let step = &runbook.probe.journeys["front-page"][0];
    assert_eq!(
        (step.method.as_str(), step.expect_status.as_slice()),
        ("GET", [200].as_slice())
    );
}

#[test]
fn an_overlay_changes_what_it_names_and_nothing_else() {
    let overlay = r#"
[[bindings]]
contract = "understudy:database/database@0.1.0"
sites = ["pz"]
connections.main.port = 13306
connections.main.engine = "postgres"
trust = ["lab-ca.pem"]
[probe]
entries.bz = "127.0.1.2:8443"
"#;
    let runbook = read(&[("books/runbook.toml", GOOD), ("/lab/overlay.toml", overlay)])
        .unwrap_or_else(|errors| panic!("{}", errors.render(false)));
    let connection = &runbook.bindings[0].connections["main"];
    assert_eq!(
        (connection.port, connection.host.as_str(), connection.engine),
        (13306, "127.0.0.1", Engine::Postgres)
    );
    assert_eq!(
        runbook.bindings[0].trust,
        [PathBuf::from("/lab/lab-ca.pem")]
    );
    assert_eq!(
        (runbook.bindings.len(), runbook.probe.entries.len()),
        (2, 2)
    );
    assert_ne!(runbook.digest, good().digest);
}

#[test]
fn grants_of_an_overlay_take_the_place_of_those_of_the_same_strategy() {
    let granted = |overlay: &str| {
        let runbook = read(&[("runbook.toml", GOOD), ("overlay.toml", overlay)]);
        let runbook = runbook.unwrap_or_else(|errors| panic!("{}", errors.render(false)));
        let grants = runbook.grants.iter();
        let said = grants.map(|grant| format!("{} {}", grant.strategy, grant.allow));
        said.collect::<Vec<String>>()
    };
    let below = granted("");
    assert_eq!(below, ["replica dns/ensure-record"]);
    let other = r#"
[strategies.other]
plugin = "replica"
[[grants]]
strategy = "other"
allow = "dns/get-record"
"#;
    assert_eq!(
        granted(other),
        ["replica dns/ensure-record", "other dns/get-record"]
    );
    let narrowed = "[[grants]]\nstrategy = \"replica\"\nallow = \"dns/get-record\"\n";
    assert_eq!(granted(narrowed), ["replica dns/get-record"]);
}

#[test]
fn another_plugin_inherits_nothing_from_the_binding_it_replaces() {
    let overlay = r#"
[[bindings]]
contract = "understudy:dns/dns@0.1.0"
plugin = "mariadb"
config = { url = "https://dns.example.test/zone.json" }
"#;
    let runbook = read(&[("runbook.toml", GOOD), ("overlay.toml", overlay)]).unwrap();
    let binding = &runbook.bindings[1];
    assert_eq!(binding.plugin.as_str(), "mariadb");
    assert_eq!(binding.config.keys().collect::<Vec<_>>(), ["url"]);
    assert!(binding.credentials.is_empty() && binding.http.is_empty() && binding.tls.is_empty());
}

/// A binding with a cluster and this grant in it.
fn with_kubernetes(grant: &str) -> String {
    format!(
        r#"
[[bindings]]
contract = "understudy:workload/workload@0.1.0"
plugin = "mariadb"
clusters.pz = {{ kubeconfig = {{ file = "pz.kubeconfig" }}, context = "recovery" }}
clusters.bz = {{ kubeconfig = {{ env = "BZ_KUBECONFIG" }} }}
kubernetes = [{{ {grant} }}]
"#
    )
}

#[test]
fn clusters_and_what_may_be_done_in_them_are_read() {
    let overlay = with_kubernetes(
        r#"clusters = ["pz", "bz"], verbs = ["get", "force-apply"], kinds = ["apps/v1/Deployment", "v1/Secret"], namespaces = ["app"], names = ["a"], keys = ["endpoint"]"#,
    );
    let runbook = read(&[("runbook.toml", GOOD), ("overlay.toml", &overlay)]).unwrap();
    let binding = runbook.bindings.last().unwrap();
    let pz = &binding.clusters["pz"];
    let Origin::Secret(SecretSource::File(path)) = &pz.kubeconfig else {
        panic!("{pz:?}")
    };
    assert!(path.ends_with("pz.kubeconfig"));
    assert_eq!(pz.context.as_deref(), Some("recovery"));
    let bz = &binding.clusters["bz"];
    assert_eq!(
        bz.kubeconfig,
        Origin::Secret(SecretSource::Environment("BZ_KUBECONFIG".to_owned()))
    );
    let [grant] = binding.kubernetes.as_slice() else {
        panic!("one grant")
    };
    assert_eq!((grant.clusters.len(), grant.verbs.len()), (2, 2));
    let kinds: Vec<_> = grant.kinds.iter().map(ToString::to_string).collect();
    assert_eq!(kinds, ["apps/v1/Deployment", "v1/Secret"]);
    assert_eq!(
        (grant.names.as_slice(), grant.keys.as_slice()),
        (
            ["a".to_owned()].as_slice(),
            ["endpoint".to_owned()].as_slice()
        )
    );
}

#[test]
fn a_kubernetes_grant_that_cannot_be_meant_is_refused() {
    for (grant, words) in [
        (
            r#"clusters = ["cz"], verbs = ["get"], kinds = ["v1/Pod"]"#,
            "`cz`",
        ),
        (
            r#"clusters = ["pz"], verbs = [], kinds = ["v1/Pod"]"#,
            "names no verb",
        ),
        (
            r#"clusters = ["pz"], verbs = ["read"], kinds = ["v1/Pod"]"#,
            "read",
        ),
        (
            r#"clusters = ["pz"], verbs = ["get"], kinds = ["Pod"]"#,
            "`Pod` is not a valid kind",
        ),
        (
            r#"clusters = ["pz"], verbs = ["get"], kinds = ["v1/*"]"#,
            "`v1/*` is not a valid kind",
        ),
        (
            r#"clusters = ["pz"], verbs = ["list"], kinds = ["v1/Pod"], names = ["a"]"#,
            "cannot allow to list",
        ),
        (
            r#"clusters = ["pz"], verbs = ["get"], kinds = ["v1/Pod"], keys = ["a"]"#,
            "those of a Secret",
        ),
    ] {
        let overlay = with_kubernetes(grant);
        let errors = read(&[("runbook.toml", GOOD), ("overlay.toml", &overlay)]).unwrap_err();
        assert!(errors.to_string().contains(words), "{errors}");
    }
}

/// A binding with this program in it.
fn with_program(keys: &str) -> String {
    format!(
        r#"
[[bindings]]
contract = "understudy:workload/workload@0.1.0"
plugin = "mariadb"
programs.terraform = {{ {keys} }}
"#
    )
}

#[test]
fn programs_and_what_they_may_be_given_are_read() {
    let overlay = with_program(
        r#"program = "/usr/bin/terraform", leading = ["-chdir=bz"], arguments = [[], ["{plan|apply}", "-var-file={path}..."]], directory = "infra", environment = { TF_IN_AUTOMATION = "1" }, secrets = { TOKEN = { env = "CLOUD_TOKEN" } }, files = "plans", time-limit = "2h", max-output-bytes = 4096"#,
    );
    let runbook = read(&[("runbook.toml", GOOD), ("overlay.toml", &overlay)]).unwrap();
    let program = &runbook.bindings.last().unwrap().programs["terraform"];
    assert_eq!(program.program, PathBuf::from("/usr/bin/terraform"));
    let forms: Vec<Vec<String>> = program
        .arguments
        .iter()
        .map(|form| form.iter().map(ToString::to_string).collect())
        .collect();
    assert_eq!(forms[0], [] as [String; 0]);
    assert_eq!(forms[1], ["{plan|apply}", "-var-file={path}..."]);
    assert_eq!(
        (program.time_limit, program.max_output_bytes),
        (Duration::from_secs(7200), 4096)
    );
    assert_eq!(
        program.secrets["TOKEN"],
        SecretSource::Environment("CLOUD_TOKEN".to_owned())
    );
    assert!(program.files.as_ref().unwrap().ends_with("plans"));
}

#[test]
fn a_program_that_cannot_be_meant_is_refused() {
    for (keys, words) in [
        (
            r#"program = "terraform", arguments = [[]]"#,
            "no `PATH` is searched",
        ),
        (
            r#"program = "/bin/terraform", arguments = []"#,
            "not even none",
        ),
        (
            r#"program = "/bin/terraform", arguments = [["{any}"]]"#,
            "the values are {name}",
        ),
        (
            r#"program = "/bin/terraform", arguments = [["{name}...", "plan"]]"#,
            "behind the last pattern",
        ),
        (
            r#"program = "/bin/terraform", arguments = [[]], environment = { A = "1" }, secrets = { A = { env = "B" } }"#,
            "`A` is set twice",
        ),
        (
            r#"program = "/bin/terraform", arguments = [[]], environment = { "A=B" = "1" }"#,
            "`A=B` is not a valid variable",
        ),
        (
            r#"program = "/bin/terraform", arguments = [[]], secrets = { A = { } }"#,
            "exactly one place",
        ),
        (
            r#"program = "/bin/terraform", arguments = [[]], max-output-bytes = 9000000"#,
            "cannot be kept in memory",
        ),
    ] {
        let overlay = with_program(keys);
        let errors = read(&[("runbook.toml", GOOD), ("overlay.toml", &overlay)]).unwrap_err();
        let errors = errors.render(false);
        assert!(errors.contains(words), "{errors}");
    }
}

#[test]
fn an_error_in_an_overlay_points_into_the_overlay() {
    let errors = read(&[
        ("runbook.toml", GOOD),
        ("overlay.toml", "# lab\n[targets]\nrto = \"soon\"\n"),
    ])
    .unwrap_err();
    let place = errors.errors[0].place.as_ref().unwrap();
    assert_eq!(
        (place.file.to_str(), place.line, place.column),
        (Some("overlay.toml"), 3, 7)
    );
    assert!(
        errors
            .to_string()
            .starts_with("overlay.toml:3:7: RB0005: `soon` is not a valid duration"),
        "{errors}"
    );
}

#[test]
fn an_unknown_key_is_shown_with_the_nearest_one() {
    let errors = broken("credentials.api", "credential.api");
    assert_eq!(
        errors.render(false),
        r#"error[RB0002]: unknown key `credential`
  --> runbook.toml:40:1
   |
40 | credential.api = { env = "PDNS_KEY", scheme = "header", name = "X-API-Key" }
   | ^^^^^^^^^^
   |
   = help: did you mean `credentials`? there is `clusters`, `config`, `connections`, `contract`, `credentials`, `dns-update`, `http`, `issuers`, `kubernetes`, `name-servers`, `plugin`, `programs`, `sites`, `tls`, `trust`"#
    );
}

#[test]
fn a_bad_duration_is_shown_with_the_rule() {
    assert_eq!(
        broken("budget = \"2m\"", "budget = \"2 minutes\"").render(false),
        r#"error[RB0005]: `2 minutes` is not a valid duration
  --> runbook.toml:56:10
   |
56 | budget = "2 minutes"
   |          ^^^^^^^^^^^
   |
   = help: use whole numbers with `d`, `h`, `m`, `s` or `ms`, largest first, such as `1h30m` or `250ms`"#
    );
}

#[test]
fn an_unknown_site_is_shown_with_those_that_exist() {
    assert_eq!(
        broken("sites = [\"pz\"]", "sites = [\"pz\", \"bzz\"]").render(false),
        r#"error[RB0003]: unknown site `bzz`
  --> runbook.toml:31:16
   |
31 | sites = ["pz", "bzz"]
   |                ^^^^^
   |
   = help: did you mean `bz`? there is `bz`, `pz`"#
    );
}

#[test]
fn a_contract_bound_twice_is_shown_with_both_places() {
    let second =
        "[[bindings]]\ncontract = \"understudy:dns/dns@0.1.0\"\nplugin = \"mariadb\"\n[[grants]]";
    assert_eq!(
        broken("[[grants]]", second).render(false),
        r#"error[RB0004]: `understudy:dns/dns@0.1.0` is bound twice for every site without a binding of its own
  --> runbook.toml:45:12
   |
37 | contract = "understudy:dns/dns@0.1.0"
   |            -------------------------- first bound here
...
45 | contract = "understudy:dns/dns@0.1.0"
   |            ^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: keep one of the two, or give each its own `sites`"#
    );
}

#[test]
fn every_problem_of_a_file_is_reported_at_once() {
    let text = GOOD
        .replace("rto = \"30m\"", "rto = \"0s\"")
        .replace("plugin = \"powerdns\"", "plugin = \"powerdnss\"")
        .replace("allow = \"dns/ensure-record\"", "allow = \"dns\"")
        .replace(
            "entries.pz = \"127.0.1.1:8443\"",
            "entries.pz = \"localhost\"",
        )
        .replace(
            "public-resolver = \"local\"",
            "public-resolver = \"lokal\"\nsurprise = 1",
        );
    let errors = read(&[("runbook.toml", &text)]).unwrap_err();
    assert_eq!(
        codes(&errors),
        ["RB0005", "RB0003", "RB0005", "RB0005", "RB0003", "RB0002"]
    );
}

#[test]
fn wrong_types_and_missing_tables_are_all_reported() {
    let text = GOOD
        .replace("[targets]\nrto = \"30m\"\nrpo = \"5m\"", "")
        .replace("port = 3306", "port = \"3306\"")
        .replace("drop = true", "drop = 1")
        .replace("strategy = \"replica\"\n", "");
    let errors = read(&[("runbook.toml", &text)]).unwrap_err();
    assert_eq!(codes(&errors), ["RB0006"; 4]);
    let all = errors.to_string();
    for part in [
        "missing table `[targets]`",
        "expected u16",
        "expected a boolean",
        "missing key `strategy`",
    ] {
        assert!(all.contains(part), "{part} is not in:\n{all}");
    }
}

#[test]
fn what_cannot_be_meant_is_refused() {
    for (from, to, code) in [
        ("format = 1", "format = 2", "RB0010"),
        ("title = \"Primary zone\"", "title = Primary", "RB0001"),
        ("[sites.bz]", "[sites.BZ]", "RB0005"),
        (
            "env = \"PDNS_KEY\"",
            "env = \"PDNS_KEY\", file = \"key\"",
            "RB0007",
        ),
        ("scheme = \"header\"", "scheme = \"bearer\"", "RB0007"),
        ("scheme = \"header\"", "scheme = \"hmac\"", "RB0006"),
        (
            "https://dns.example.test/api/v1",
            "https://user:secret@dns.example.test/",
            "RB0015",
        ),
        (
            "https://dns.example.test/api/v1",
            "ftp://dns.example.test/",
            "RB0005",
        ),
        ("\"PATCH\"", "\"patch\"", "RB0005"),
        ("drop = true", "drop = true\nrole = \"db-lead\"", "RB0007"),
        ("quorum = 2", "quorum = 0", "RB0007"),
        ("timeout = \"10m\", ", "", "RB0007"),
        (
            "step = \"replica/announce\"",
            "step = \"announce\"",
            "RB0005",
        ),
        (
            "step = \"replica/announce\"",
            "step = \"restore/announce\"",
            "RB0003",
        ),
        (
            "step = \"replica/announce\"\ndrop = true",
            "step = \"replica/promote\"",
            "RB0008",
        ),
        (
            "drill = [\"replica\", \"failback\"]",
            "drill = [\"replica\", \"replica\"]",
            "RB0008",
        ),
        (
            "drill = [\"replica\", \"failback\"]",
            "drill = []",
            "RB0007",
        ),
        ("credential = \"login\"", "credential = \"logon\"", "RB0003"),
        (
            "wp-active.example.test:443",
            "wp-active.example.test",
            "RB0005",
        ),
        (
            "contract = \"understudy:dns/dns@0.1.0\"",
            "contract = \"dns\"",
            "RB0005",
        ),
        ("zone = \"example.test\"", "zone = nan", "RB0005"),
        ("rpo = \"5m\"", "rpo = \"-5m\"", "RB0005"),
    ] {
        let errors = broken(from, to);
        assert_eq!(codes(&errors)[0], code, "{to}:\n{}", errors.render(false));
        assert!(errors.errors.iter().all(|error| !error.help().is_empty()));
    }
}

#[test]
fn the_secret_in_an_url_is_neither_shown_nor_repeated() {
    let errors = broken(
        "https://dns.example.test/api/v1",
        "https://user:canary@dns.example.test/",
    );
    for shown in [
        errors.to_string(),
        errors.render(false),
        errors.render(true),
    ] {
        assert!(!shown.contains("canary"), "{shown}");
        assert!(
            shown.contains("RB0015") && shown.contains("runbook.toml:41:"),
            "{shown}"
        );
    }
}

#[test]
fn a_file_that_is_not_there_is_told() {
    let errors = Runbook::load(&PathBuf::from("/nonexistent/runbook.toml"), &[]).unwrap_err();
    assert_eq!(codes(&errors), ["RB0009"]);
    assert!(errors.render(false).contains("/nonexistent/runbook.toml"));
}

/// Whatever is wrong with a file, it is told with a code and a way out, and never ends the host.
#[test]
fn no_text_is_too_broken_to_be_shown() {
    for (index, character) in GOOD.char_indices().step_by(11) {
        let (before, after) = GOOD.split_at(index);
        let rest = &after[character.len_utf8()..];
        for text in [
            before.to_owned(),
            format!("{before}{rest}"),
            format!("{before}\u{e9}{rest}"),
            format!("{before}\n\u{1f600}\"{rest}"),
        ] {
            if let Err(errors) = read(&[("runbook.toml", &text), ("overlay.toml", before)]) {
                assert!(!errors.errors.is_empty());
                let shown = errors.render(false);
                assert!(
                    shown.contains("error[RB00") && shown.contains("help: "),
                    "{shown}"
                );
            }
        }
    }
}
