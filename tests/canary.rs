//! A credential reaches the server it is for, and nothing else: no guest's memory, journal, log, trace, error or report.
//!
//! Each case is a live run of the hostile strategy over the hostile provider against a server of the test, which checks
//! that the credential arrived and tries to give it away. Both guests search their whole memory; the test searches
//! everything that the host has written or said.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test: what does not hold must end it"
)]

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use records::records;
use server::{Server, name_server, refusing_database};
use stage::{PLUGINS, Stage, text};

#[path = "hostile/strategy/src/canary.rs"]
mod canary;
#[path = "support/records.rs"]
mod records;
#[path = "canary/server.rs"]
mod server;
#[path = "support/stage.rs"]
mod stage;

/// The secret, with characters that every encoding spells in its own way.
const CANARY: &str = "canary\"7f3a/9c+51e2=";
/// The user of basic authentication.
const USER: &str = "ops";

/// Ways to spell the secret that nothing may hold. Base64 is also cut to what the secret alone decides, wherever it
/// stands in what was encoded.
fn spellings() -> Vec<String> {
    let hex: String = CANARY.bytes().map(|byte| format!("{byte:02x}")).collect();
    let percent: String = CANARY.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let mut all = vec![
        CANARY.to_owned(),
        CANARY.replace('"', "\\\""),
        url::form_urlencoded::byte_serialize(CANARY.as_bytes()).collect(),
        STANDARD.encode(format!("{USER}:{CANARY}")),
        hex.to_uppercase(),
        percent.to_lowercase(),
        hex,
        percent,
    ];
    for offset in 0..3 {
        let around = format!("{}{CANARY}", "x".repeat(offset));
        for encoded in [STANDARD.encode(&around), URL_SAFE_NO_PAD.encode(&around)] {
            all.push(encoded[4..24].to_owned());
        }
    }
    all
}

/// The needles for the guests, as TOML.
fn needles() -> String {
    let needles = spellings().into_iter().map(|spelling| {
        let needle = serde_json::to_value(canary::Needle::of(spelling.as_bytes())).unwrap();
        format!(
            "{{ length = {}, digest = {} }}",
            needle["length"], needle["digest"]
        )
    });
    format!("[{}]", needles.collect::<Vec<_>>().join(", "))
}

/// What a run is made of.
struct Case {
    /// Configuration of the provider, without needles.
    provider: String,
    /// The rest of the binding.
    binding: String,
    /// What the strategy may ask of it.
    grant: &'static str,
    /// The probe, and the journey that is walked.
    probe: String,
    journey: &'static str,
    /// The kubeconfig of the binding's cluster.
    kubeconfig: String,
}

impl Case {
    /// A request to `url` with the credential as `scheme`, where `granted` may be reached.
    fn http(url: &str, granted: &str, scheme: &str) -> Self {
        Self {
            provider: format!(r#"attack = "canary", url = "{url}", slot = "token""#),
            binding: format!(
                r#"credentials.token = {{ env = "CANARY", {scheme} }}
http = [{{ methods = ["GET"], url = "{granted}", private = true }}]"#
            ),
            grant: r#"allow = "dns/get-record""#,
            probe: String::new(),
            journey: "",
            kubeconfig: String::new(),
        }
    }

    /// A statement to a database at this port.
    fn sql(port: u16) -> Self {
        Self {
            provider: r#"attack = "canary-sql", connection = "main""#.to_owned(),
            binding: format!(
                r#"connections.main = {{ host = "127.0.0.1", port = {port}, user = "{USER}", password = {{ env = "CANARY" }} }}"#
            ),
            ..Self::http("http://127.0.0.1:9/", "http://127.0.0.1:9/", BEARER)
        }
    }

    /// A look at the ConfigMap of this name, where the cluster's kubeconfig has the secret as `user` says.
    fn kubernetes(server: &str, name: &str, user: &str) -> Self {
        let kubeconfig = format!(
            "apiVersion: v1
kind: Config
current-context: main
contexts: [{{ name: main, context: {{ cluster: main, user: main }} }}]
clusters: [{{ name: main, cluster: {{ {server} }} }}]
users: [{{ name: main, user: {{ {user} }} }}]
"
        );
        Self {
            provider: format!(r#"attack = "canary-kubernetes", cluster = "pz", name = "{name}""#),
            binding: r#"clusters.pz = { kubeconfig = { env = "CANARY_CLUSTER" } }
kubernetes = [{ clusters = ["pz"], verbs = ["get"], kinds = ["v1/ConfigMap"], namespaces = ["app"] }]"#
                .to_owned(),
            kubeconfig,
            ..Self::http("http://127.0.0.1:9/", "http://127.0.0.1:9/", BEARER)
        }
    }

    /// A look at the texts of a name at the name server at this port, whose key is the secret.
    fn dns(port: u16, name: &str) -> Self {
        Self {
            provider: format!(r#"attack = "canary-dns", name = "{name}""#),
            binding: format!(
                r#"name-servers.primary = {{ host = "127.0.0.1", port = {port}, zone = "example.test", key = {{ name = "understudy", algorithm = "hmac-sha256", secret = {{ env = "CANARY_KEY" }} }} }}"#
            ),
            ..Self::http("http://127.0.0.1:9/", "http://127.0.0.1:9/", BEARER)
        }
    }

    /// A shell that runs `script` with the secret in its environment, given this argument.
    fn exec(script: &str, argument: &str) -> Self {
        Self {
            provider: format!(r#"attack = "canary-exec", argument = "{argument}""#),
            binding: format!(
                r#"programs.tool = {{ program = "/bin/sh", leading = ["-c", '{script}', "sh"], arguments = [["{{name}}"]], environment = {{ PATH = "/usr/bin:/bin" }}, secrets = {{ SECRET = {{ env = "CANARY" }} }} }}"#
            ),
            ..Self::http("http://127.0.0.1:9/", "http://127.0.0.1:9/", BEARER)
        }
    }

    fn runbook(&self) -> String {
        let (plugins, needles) = (PLUGINS.display(), needles());
        let Self {
            provider,
            binding,
            grant,
            probe,
            journey,
            ..
        } = self;
        let walked = match *journey {
            "" => String::new(),
            journey => format!(r#", journey = "{journey}""#),
        };
        format!(
            r#"
[runbook]
format = 1
name = "canary"
summary = "A credential and those who would like to have it"
[targets]
rto = "30m"
rpo = "5m"
[sites.pz]
title = "Primary zone"
[plugins.hostile]
path = "{plugins}/hostile-strategy.wasm"
[plugins.hostile-provider]
path = "{plugins}/hostile-provider.wasm"
[strategies.hostile]
plugin = "hostile"
parameters = {{ attack = "canary", needles = {needles}{walked} }}
[procedures]
look = ["hostile"]
[[grants]]
strategy = "hostile"
{grant}
[[grants]]
strategy = "hostile"
allow = "probe/observe-journey"
[[bindings]]
contract = "understudy:dns/dns@0.1.0"
plugin = "hostile-provider"
config = {{ {provider}, needles = {needles} }}
{binding}
{probe}
"#
        )
    }
}

const BEARER: &str = r#"scheme = "bearer""#;
const BASIC: &str = r#"scheme = "basic", user = "ops""#;
const HEADER: &str = r#"scheme = "header", name = "x-api-key""#;

/// What was told.
struct Ran {
    /// By the step.
    done: String,
    /// On stderr.
    said: String,
}

/// Runs a case, expects the guests to have got what `words` say, and looks everywhere.
fn run(case: &Case, words: &[&str]) -> Ran {
    let mut stage = Stage::with(&case.runbook());
    stage.environment.push(("CANARY", CANARY.to_owned()));
    let kubeconfig = case.kubeconfig.clone();
    stage.environment.push(("CANARY_CLUSTER", kubeconfig));
    // A key is written in Base64.
    let key = STANDARD.encode(CANARY);
    stage.environment.push(("CANARY_KEY", key));
    let stage = stage.locked();
    let output = stage.run(&["--log", "trace", "run", "runbook.toml"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");

    let mut told = Vec::new();
    files(&stage.path("runs"), &mut told);
    assert!(told.iter().any(|(name, _)| name.ends_with("report.html")));
    told.push(("stdout".to_owned(), output.stdout));
    told.push(("stderr".to_owned(), output.stderr));
    let run = stage.only_run();
    for args in [
        &["report", &run, "--format", "journal"] as &[&str],
        &["show", &run],
        &["show", &run, "-o", "json"],
        &["--log", "trace", "verify", &run],
        &["--log", "trace", "check", "runbook.toml"],
    ] {
        let output = stage.run(args);
        told.push((format!("{args:?}"), output.stdout));
        told.push((format!("stderr of {args:?}"), output.stderr));
    }
    for (name, bytes) in &told {
        for spelling in spellings() {
            let found = bytes
                .windows(spelling.len())
                .any(|part| part == spelling.as_bytes());
            assert!(!found, "{name} holds {spelling}");
        }
    }

    let done = records(&stage.journal())
        .into_iter()
        .filter(|record| record["type"] == "step-changed" && record["body"]["to"] == "done")
        .map(|record| record["body"]["detail"].as_str().unwrap().to_owned())
        .next()
        .unwrap();
    for word in words {
        assert!(done.contains(word), "no `{word}` in {done}");
    }
    assert!(done.ends_with("; found 0 times"), "the strategy: {done}");
    Ran { done, said }
}

/// As [`run`], where the provider was reached: it has searched its memory too.
fn run_both(case: &Case, words: &[&str]) -> Ran {
    let ran = run(case, words);
    let clean = ran.done.matches("; found 0 times").count();
    assert_eq!(clean, 2, "the provider: {}", ran.done);
    ran
}

/// Everything below `folder`: databases with their write-ahead logs, reports, whatever else.
fn files(folder: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
}

#[test]
fn a_server_that_answers_plainly_gets_the_credential_and_nobody_else() {
    let server = Server::start(CANARY);
    let case = Case::http(&server.url("/plain"), &server.url("/"), BEARER);
    let ran = run_both(&case, &["status 200"]);
    assert_eq!(server.heard(&format!("authorization: Bearer {CANARY}")), 1);
    assert!(ran.said.contains("TRACE"), "no traces: {}", ran.said);
}

#[test]
fn a_server_that_echoes_the_credential_in_every_spelling_gives_nothing_away() {
    let server = Server::start(CANARY);
    let basic = STANDARD.encode(format!("{USER}:{CANARY}"));
    for (scheme, header) in [
        (BEARER, format!("authorization: Bearer {CANARY}")),
        (BASIC, format!("authorization: Basic {basic}")),
        (HEADER, format!("x-api-key: {CANARY}")),
    ] {
        run_both(
            &Case::http(&server.url("/echo"), &server.url("/"), scheme),
            &["status 200"],
        );
        assert_eq!(server.heard(&header), 1, "{scheme}");
    }
}

#[test]
fn a_redirect_that_carries_the_credential_gives_nothing_away() {
    let server = Server::start(CANARY);
    run_both(
        &Case::http(&server.url("/redirect"), &server.url("/"), BEARER),
        &["status 200"],
    );
    let credential = format!("authorization: Bearer {CANARY}");
    assert_eq!(
        server.heard(&credential),
        2,
        "the same server is told again"
    );

    // The same name with another port is another origin: granted or not, it is not told.
    let other = Server::start(CANARY);
    let away = server.url(&format!("/away/{}", other.port()));
    run_both(&Case::http(&away, &server.url("/"), BEARER), &["CP0002"]);
    assert_eq!(other.heard(""), 0, "it is not reached");
    let mut granted = Case::http(&away, &server.url("/"), BEARER);
    granted.binding = granted.binding.replace(
        "http = [",
        &format!(
            r#"http = [{{ methods = ["GET"], url = "{}", private = true }}, "#,
            other.url("/")
        ),
    );
    run_both(&granted, &["status 200"]);
    assert_eq!((other.heard(""), other.heard(&credential)), (1, 0));
}

#[test]
fn an_answer_that_breaks_or_is_none_gives_nothing_away() {
    let server = Server::start(CANARY);
    for path in ["/garbage", "/cut", "/reset"] {
        run_both(
            &Case::http(&server.url(path), &server.url("/"), BASIC),
            &["CP0014"],
        );
    }
    assert_eq!(server.heard("authorization: Basic "), 3);
    let nobody = format!("http://127.0.0.1:{}/", server::closed_port());
    run_both(&Case::http(&nobody, &nobody, BEARER), &["CP0013"]);
}

#[test]
fn a_denial_gives_nothing_away() {
    let server = Server::start(CANARY);
    run_both(
        &Case::http(&server.url("/plain"), &server.url("/other"), BEARER),
        &["CP0001"],
    );
    let mut denied = Case::http(&server.url("/plain"), &server.url("/"), BEARER);
    denied.grant = r#"allow = "dns/get-zone-limits""#;
    run(&denied, &["PO0001"]);
    assert_eq!(server.heard(""), 0, "nothing was sent");
}

#[test]
fn a_database_that_refuses_or_is_not_there_gives_no_password_away() {
    run_both(&Case::sql(server::closed_port()), &["CP0013"]);
    run_both(
        &Case::sql(refusing_database(CANARY)),
        &["CP0017", "Access denied"],
    );
}

#[test]
fn the_token_of_a_kubeconfig_reaches_its_api_server_and_nobody_else() {
    let certificate = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let server = Server::start_tls(CANARY, &certificate);
    let authority = STANDARD.encode(certificate.cert.pem());
    let cluster = |port: u16| {
        format!("server: \"https://127.0.0.1:{port}\", certificate-authority-data: {authority}")
    };
    let quoted = serde_json::Value::from(CANARY);
    let (token, password) = (
        format!("token: {quoted}"),
        format!("username: {USER}, password: {quoted}"),
    );
    for (name, word) in [
        ("plain", "resourceVersion"),
        ("echo", "[redacted]"),
        ("forbidden", "CP0026"),
        ("overloaded", "CP0030"),
        ("garbage", "CP0031"),
    ] {
        for user in [&token, &password] {
            let case = Case::kubernetes(&cluster(server.port()), name, user);
            run_both(&case, &[word]);
        }
    }
    // Discovery and the object, each time.
    let basic = STANDARD.encode(format!("{USER}:{CANARY}"));
    assert_eq!(server.heard(&format!("authorization: Bearer {CANARY}")), 10);
    assert_eq!(server.heard(&format!("authorization: Basic {basic}")), 10);

    let nobody = Case::kubernetes(&cluster(server::closed_port()), "plain", &token);
    run_both(&nobody, &["CP0013"]);
    let stranger = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let stranger = Server::start_tls(CANARY, &stranger);
    let stood_in = Case::kubernetes(&cluster(stranger.port()), "echo", &token);
    run_both(&stood_in, &["CP0011"]);
    assert_eq!(stranger.heard(""), 0, "nothing is told to who stands in");
}

#[test]
fn a_program_that_echoes_the_secret_of_its_environment_gives_nothing_away() {
    for (script, word) in [
        (r#"[ -n "$SECRET" ] && echo got it"#, "exit-code: 0"),
        (
            r#"echo "$SECRET"; echo "$SECRET" >&2; printf %s "$SECRET" | base64; exit 3"#,
            "exit-code: 3",
        ),
        (r#"echo "$SECRET" >&2; kill -9 $$"#, "CP0037"),
        (r#"exec /nowhere/"$SECRET""#, "exit-code: 127"),
        (r#"while :; do echo "$SECRET"; done"#, "CP0010"),
    ] {
        run_both(&Case::exec(script, "look"), &[word]);
    }
    let denied = Case::exec(r#"echo "$SECRET""#, "--look");
    run_both(&denied, &["CP0033"]);
}

#[test]
fn the_key_that_messages_to_a_name_server_are_signed_with_is_in_none_of_them() {
    let port = name_server(CANARY);
    run_both(&Case::dns(port, "echo.example.test"), &["[redacted]"]);
    for name in ["unsigned", "garbage"] {
        let case = Case::dns(port, &format!("{name}.example.test"));
        run_both(&case, &["CP0056"]);
    }
    run_both(&Case::dns(port, "cut.example.test"), &["CP0014"]);
    let nobody = Case::dns(server::closed_port(), "echo.example.test");
    run_both(&nobody, &["CP0013"]);
}

#[test]
fn the_credential_of_the_probe_is_given_away_neither() {
    let server = Server::start(CANARY);
    let mut case = Case::http(&server.url("/plain"), &server.url("/"), HEADER);
    case.journey = "look";
    let probe = |path: &str, entry: u16| {
        format!(
            r#"
[probe]
zone-header = "x-zone"
entries = {{ pz = "127.0.0.1:{entry}" }}
credentials.user = {{ env = "CANARY", {BASIC} }}
[[probe.journeys.look]]
name = "look"
url = "{}"
credential = "user"
expect-body = "what it does not say"
"#,
            server.url(path)
        )
    };
    let basic = STANDARD.encode(format!("{USER}:{CANARY}"));
    for (times, (path, word)) in [
        ("/plain", "the body lacks"),
        ("/echo", "[redacted]"),
        ("/redirect", "status 302"),
        ("/garbage", "the connection broke"),
    ]
    .into_iter()
    .enumerate()
    {
        case.probe = probe(path, server.port());
        run_both(&case, &[word]);
        assert_eq!(
            server.heard(&format!("authorization: Basic {basic}")),
            times + 1,
            "{path}"
        );
    }
    case.probe = probe("/plain", server::closed_port());
    run_both(&case, &["not reached"]);
}

#[test]
fn what_is_looked_for_is_found_where_it_is() {
    let spellings = spellings();
    let shown = text(CANARY.as_bytes());
    assert!(spellings.contains(&shown));
    for encoded in [
        STANDARD.encode(format!("{USER}:{CANARY}")),
        URL_SAFE_NO_PAD.encode(format!("a{CANARY}b")),
    ] {
        assert!(
            spellings.iter().any(|spelling| encoded.contains(spelling)),
            "{encoded}"
        );
    }
}
