//! Two sites with TLS on two loopback addresses, a resolver that answers as it is told, and what the probe sees.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse as _;
use axum::routing::{get, post};
use hickory_proto::rr::rdata::TXT;
use hickory_proto::rr::{RData, RecordType};
use serde_json::{Map, Value, json};
use tokio::net::{TcpListener, UdpSocket};

use super::super::testbed::{Authority, CANARY, CANARY_VARIABLE, facilities, serve_tls_on, soon};
use super::super::{Asked, Capability as _, Used};
use super::ProbeService;
use super::testbed::{Records, address, alias, resolver};
use crate::call::{CallError, CallSite, Direction, FunctionName, IdempotencyKey, Request, Service};
use crate::runbook::types::{self, Credential, CredentialScheme, JourneyStep, SecretSource};

const ACTIVE: &str = "wp-active.example.test";

fn probe(declared: &types::Probe, folder: &Path) -> ProbeService {
    ProbeService::new(declared, folder, &facilities()).unwrap()
}

async fn call_as(probe: &ProbeService, key: &str, function: &str, args: Value) -> Used {
    let Value::Object(args) = args else {
        panic!("arguments are an object")
    };
    let key = IdempotencyKey(key.to_owned());
    let asked = Asked {
        function,
        args,
        key: &key,
        deadline: soon(),
    };
    let used = super::super::Capability::call(probe, asked).await;
    let everything = format!("{used:?}");
    for form in probe.redactor().texts() {
        assert!(
            !everything.contains(form.as_str()),
            "a secret in {everything}"
        );
    }
    used
}

async fn call(probe: &ProbeService, function: &str, args: Value) -> Used {
    call_as(probe, "run-1.step.0", function, args).await
}

/// Both sites: a login that sets a cookie, a page that needs it, and an echo of the credential.
struct Sites {
    folder: tempfile::TempDir,
    records: Records,
    declared: types::Probe,
    healthy: Arc<AtomicBool>,
}

fn site(zone: &'static str, healthy: Arc<AtomicBool>) -> Router {
    let zone = [("x-zone", zone)];
    let login = async |body: String| match body.as_str() {
        "user=ops" => (
            StatusCode::FOUND,
            [("set-cookie", "session=7; Path=/; Secure")],
        )
            .into_response(),
        _ => StatusCode::FORBIDDEN.into_response(),
    };
    let page = async |headers: HeaderMap| {
        let host = headers["host"].to_str().unwrap().to_owned();
        match headers.get("cookie").map(|cookie| cookie.as_bytes()) {
            Some(b"session=7") => format!("welcome to {host}").into_response(),
            _ => StatusCode::UNAUTHORIZED.into_response(),
        }
    };
    let health = async move || match healthy.load(Ordering::Relaxed) {
        true => (StatusCode::OK, "up").into_response(),
        false => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    };
    // What a talkative site says of a credential must not come back as the name of a zone.
    let echo =
        async |headers: HeaderMap| [("x-zone", headers["authorization"].clone())].into_response();
    let routes = Router::new()
        .route("/login", post(login))
        .route("/page", get(page))
        .route("/health", get(health));
    let stamped = routes.layer(axum::middleware::map_response(
        move |response: axum::response::Response| async move { (zone, response) },
    ));
    stamped.route("/echo", get(echo))
}

fn step(port: u16, method: &str, path: &str, status: u16, body: &str) -> JourneyStep {
    JourneyStep {
        name: path.trim_start_matches('/').to_owned(),
        method: method.to_owned(),
        url: format!("https://{ACTIVE}:{port}{path}").parse().unwrap(),
        headers: BTreeMap::new(),
        body: if method == "POST" { "user=ops" } else { "" }.to_owned(),
        credential: None,
        expect_status: vec![status],
        expect_body: body.to_owned(),
    }
}

/// A port that is free on both addresses: the public name has one port, whoever serves it.
async fn pair() -> (TcpListener, TcpListener) {
    for _ in 0..100 {
        let one = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = one.local_addr().unwrap().port();
        if let Ok(two) = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 2), port)).await {
            return (one, two);
        }
    }
    panic!("no port is free on two addresses")
}

fn journeys(port: u16) -> BTreeMap<String, Vec<JourneyStep>> {
    let mut echo = step(port, "GET", "/echo", 200, "");
    echo.credential = Some("token".to_owned());
    BTreeMap::from([
        (
            "login".to_owned(),
            vec![
                step(port, "POST", "/login", 302, ""),
                step(
                    port,
                    "GET",
                    "/page",
                    200,
                    &format!("welcome to {ACTIVE}:{port}"),
                ),
            ],
        ),
        (
            "page".to_owned(),
            vec![
                step(port, "GET", "/page", 200, ""),
                step(port, "GET", "/health", 200, ""),
            ],
        ),
        (
            "health".to_owned(),
            vec![step(port, "GET", "/health", 200, "up")],
        ),
        (
            "body".to_owned(),
            vec![step(port, "GET", "/health", 200, "down")],
        ),
        ("echo".to_owned(), vec![echo]),
    ])
}

async fn sites() -> Sites {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
    let identity = authority.issue(&[ACTIVE]);
    let healthy = Arc::new(AtomicBool::new(true));
    let (pz, bz) = pair().await;
    let port = serve_tls_on(pz, site("PZ", Arc::clone(&healthy)), &identity);
    serve_tls_on(bz, site("BZ", Arc::clone(&healthy)), &identity);
    // A site's own port need not be the public one.
    let aside = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 2), 0))
        .await
        .unwrap();
    let direct = serve_tls_on(aside, site("bz", Arc::clone(&healthy)), &identity);
    let records = Records::default();
    records.lock().unwrap().extend([
        (
            (ACTIVE, RecordType::CNAME),
            (alias("wp-pz.example.test"), 5),
        ),
        (("wp-pz.example.test", RecordType::A), (address(1), 300)),
        (("wp-bz.example.test", RecordType::A), (address(2), 300)),
    ]);
    let resolver = resolver(&records).await;
    let declared = types::Probe {
        zone_header: "x-zone".to_owned(),
        entries: BTreeMap::from([
            ("pz".parse().unwrap(), (Ipv4Addr::LOCALHOST, port).into()),
            (
                "bz".parse().unwrap(),
                (Ipv4Addr::new(127, 0, 0, 2), direct).into(),
            ),
        ]),
        journeys: journeys(port),
        resolvers: BTreeMap::from([("local".to_owned(), resolver)]),
        public_resolver: Some("local".to_owned()),
        credentials: BTreeMap::from([(
            "token".to_owned(),
            Credential {
                source: SecretSource::Environment(CANARY_VARIABLE.to_owned()),
                scheme: CredentialScheme::Bearer,
            },
        )]),
        trust: vec!["ca.pem".into()],
    };
    Sites {
        folder,
        records,
        declared,
        healthy,
    }
}

fn walk(site: &str, journey: &str, entry: &str) -> Value {
    json!({ "site": site, "journey": journey, "entry": entry })
}

fn wait(site: &str, journey: &str, consecutive: u32) -> Value {
    json!({ "site": site, "journey": journey, "entry": "direct", "consecutive": consecutive })
}

#[tokio::test]
async fn a_journey_takes_the_public_or_the_direct_way_in() {
    let sites = sites().await;
    let probe = probe(&sites.declared, sites.folder.path());
    for (site, entry, passed) in [
        ("pz", "public", true),
        ("bz", "public", false),
        ("pz", "direct", true),
        ("bz", "direct", true),
    ] {
        let used = call(&probe, "observe-journey", walk(site, "login", entry)).await;
        let report = used.reply.unwrap();
        assert_eq!(report["passed"], json!(passed), "{site} {entry}: {report}");
    }
    let used = call(&probe, "observe-journey", walk("bz", "login", "public")).await;
    assert_eq!(used.action, "probe journey login at bz, public");
    assert_eq!(
        used.result,
        "missed, login: answered by `pz`, expected `bz`"
    );
    // The flip: the same entry leads to the other site.
    let flipped = (alias("wp-bz.example.test"), 5);
    sites
        .records
        .lock()
        .unwrap()
        .insert((ACTIVE, RecordType::CNAME), flipped);
    let used = call(&probe, "observe-journey", walk("bz", "login", "public")).await;
    let report = used.reply.unwrap();
    assert_eq!(report["steps"][1]["zone"], json!("bz"));
    assert_eq!(
        (&report["passed"], used.result.as_str()),
        (&json!(true), "passed")
    );
}

#[tokio::test]
async fn a_missed_expectation_says_what_and_ends_the_walk() {
    let sites = sites().await;
    let trusting = probe(&sites.declared, sites.folder.path());
    let problem = async |probe: &ProbeService, journey: &str| {
        let used = call(probe, "observe-journey", walk("pz", journey, "direct")).await;
        let report = used.reply.unwrap();
        let steps = report["steps"].as_array().unwrap();
        assert_eq!(
            (&report["passed"], steps.len()),
            (&json!(false), 1),
            "{report}"
        );
        (
            steps[0]["status"].clone(),
            steps[0]["problem"].as_str().unwrap().to_owned(),
        )
    };
    // A journey of its own has no cookie of another one.
    let used = call(&trusting, "observe-journey", walk("pz", "login", "direct")).await;
    assert_eq!(used.reply.unwrap()["passed"], json!(true));
    let missed = problem(&trusting, "page").await;
    assert_eq!(missed, (json!(401), "status 401, expected 200".to_owned()));
    let missed = problem(&trusting, "body").await;
    assert_eq!(missed, (json!(200), "the body lacks `down`".to_owned()));
    let (_, missed) = problem(&trusting, "echo").await;
    assert_eq!(missed, "answered by `bearer [redacted]`, expected `pz`");
    assert!(!missed.contains(CANARY));
    let mut declared = sites.declared.clone();
    declared.trust.clear();
    let (status, missed) = problem(&probe(&declared, Path::new(".")), "health").await;
    assert_eq!(status, json!(0));
    assert!(missed.starts_with("TLS did not verify: "), "{missed}");
    declared
        .entries
        .insert("pz".parse().unwrap(), (Ipv4Addr::LOCALHOST, 1).into());
    let (_, missed) = problem(&probe(&declared, Path::new(".")), "health").await;
    assert!(missed.starts_with("not reached: "), "{missed}");
}

#[tokio::test]
async fn passes_in_a_row_are_counted_per_call() {
    let sites = sites().await;
    let probe = probe(&sites.declared, sites.folder.path());
    let look = async |key: &str| {
        let used = call_as(&probe, key, "ensure-journey", wait("pz", "health", 2)).await;
        let reply = used.reply.unwrap();
        match reply.get("in-progress") {
            None => reply.as_str().unwrap().to_owned(),
            Some(operation) => {
                assert_eq!(operation["poll-after-ms"], json!(super::POLL_AFTER_MS));
                operation["description"].as_str().unwrap().to_owned()
            }
        }
    };
    assert_eq!(look("a").await, "1 of 2 passes in a row");
    assert_eq!(look("b").await, "1 of 2 passes in a row");
    assert_eq!(look("a").await, "unchanged");
    sites.healthy.store(false, Ordering::Relaxed);
    let missed = "0 of 2 passes in a row; health: status 503, expected 200";
    assert_eq!(look("b").await, missed);
    sites.healthy.store(true, Ordering::Relaxed);
    assert_eq!(look("b").await, "1 of 2 passes in a row");
    assert_eq!(look("b").await, "changed");
    // What is over is forgotten.
    assert_eq!(look("a").await, "1 of 2 passes in a row");
}

#[tokio::test]
async fn a_site_serves_when_most_vantage_points_see_it() {
    let sites = sites().await;
    let mut declared = sites.declared.clone();
    // Three more resolvers of other people: one has followed the flip, one fails, one is silent.
    let followed = Records::default();
    let mut records = sites.records.lock().unwrap().clone();
    records.insert(
        (ACTIVE, RecordType::CNAME),
        (alias("wp-bz.example.test"), 5),
    );
    *followed.lock().unwrap() = records;
    let mute = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    declared.resolvers.extend([
        ("a-followed".to_owned(), resolver(&followed).await),
        ("b-empty".to_owned(), resolver(&Records::default()).await),
        ("c-mute".to_owned(), mute.local_addr().unwrap()),
    ]);
    let probe = probe(&declared, sites.folder.path());
    let args = json!({ "site": "bz", "journey": "login" });
    let used = call(&probe, "observe-vantages", args.clone()).await;
    assert_eq!(used.result, "served at 1 of 4 vantage points");
    let seen = used.reply.unwrap();
    let of = |place: usize, field: &str| seen[place][field].clone();
    assert_eq!((of(0, "passed"), of(0, "zone")), (json!(true), json!("bz")));
    assert!(of(1, "problem").as_str().unwrap().contains("resolve"));
    assert_eq!((of(2, "passed"), of(2, "status")), (json!(false), json!(0)));
    assert_eq!(
        of(3, "problem"),
        json!("login: answered by `pz`, expected `bz`")
    );

    let look = async |probe: &ProbeService| {
        let used = call_as(probe, "a", "ensure-served", args.clone()).await;
        (used.result, used.reply.unwrap())
    };
    let (said, _) = look(&probe).await;
    assert_eq!(said, "in progress, served at 1 of 4 vantage points");
    // The name server of `local` follows: two of four are not more than half.
    let flipped = (alias("wp-bz.example.test"), 5);
    let names = || sites.records.lock().unwrap();
    names().insert((ACTIVE, RecordType::CNAME), flipped.clone());
    let (said, _) = look(&probe).await;
    assert_eq!(said, "in progress, served at 2 of 4 vantage points");
    // A third: whoever is silent is not waited for.
    let third = resolver(&sites.records).await;
    declared.resolvers.insert("b-empty".to_owned(), third);
    let probe = self::probe(&declared, sites.folder.path());
    let soon = std::time::Duration::from_millis(super::LOOK_MS / 2);
    let (said, reply) = tokio::time::timeout(soon, look(&probe)).await.unwrap();
    assert_eq!(said, "unchanged, served at 3 of 4 vantage points");
    assert_eq!(reply, json!("unchanged"));
}

#[tokio::test]
async fn what_the_runbook_does_not_declare_is_not_found() {
    let sites = sites().await;
    let probe = probe(&sites.declared, sites.folder.path());
    for args in [
        walk("pz", "other", "direct"),
        walk("zz", "health", "direct"),
    ] {
        let used = call(&probe, "observe-journey", args).await;
        assert!(
            matches!(&used.reply, Err(CallError::NotFound(text)) if text.starts_with("CP0019"))
        );
    }
    for (function, args) in [
        ("ensure-journey", wait("pz", "health", 0)),
        ("ensure-journey", walk("pz", "health", "direct")),
        ("observe-journey", wait("pz", "health", 1)),
        ("observe-names", json!({ "name": "a b..c", "kind": "A" })),
        ("observe-names", json!({ "name": "a.test", "kind": "AXFR" })),
        (
            "ensure-converged",
            json!({ "name": "a.test", "kind": "A", "values": [], "percent": 0 }),
        ),
        ("other", json!({})),
    ] {
        let used = call(&probe, function, args).await;
        assert!(
            matches!(used.reply, Err(CallError::Invalid(_))),
            "{function}: {used:?}"
        );
    }
    let without = ProbeService::new(&types::Probe::default(), Path::new("."), &facilities());
    let args = json!({ "name": "a.test", "kind": "A" });
    let used = call(&without.unwrap(), "observe-names", args).await;
    assert!(
        matches!(used.reply, Err(CallError::NotFound(_))),
        "{used:?}"
    );
}

#[tokio::test]
async fn resolvers_are_asked_and_their_answers_normalised() {
    let records = Records::default();
    records.lock().unwrap().extend([
        (
            (ACTIVE, RecordType::CNAME),
            (alias("WP-PZ.example.test"), 5),
        ),
        (("WP-PZ.example.test", RecordType::A), (address(9), 300)),
        (
            ("cut.example.test", RecordType::A),
            ((1..=200).flat_map(address).collect(), 60),
        ),
        (("forged.example.test", RecordType::A), (address(7), 60)),
        (
            ("text.example.test", RecordType::TXT),
            (vec![RData::TXT(TXT::new(vec!["One.".to_owned()]))], 60),
        ),
    ]);
    let dead = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let declared = types::Probe {
        resolvers: BTreeMap::from([
            ("a".to_owned(), resolver(&records).await),
            ("b".to_owned(), dead.local_addr().unwrap()),
        ]),
        ..types::Probe::default()
    };
    let probe = probe(&declared, Path::new("."));
    let ask = async |name: &str, kind: &str| {
        let args = json!({ "name": name, "kind": kind });
        let used = call(&probe, "observe-names", args).await;
        let answers = used.reply.unwrap();
        assert_eq!(answers[1]["problem"], json!("no answer in time"));
        assert_eq!(answers[1]["resolver"], json!("b"));
        answers[0].clone()
    };
    let cname = ask("WP-Active.example.test.", "CNAME");
    let address = ask(ACTIVE, "A");
    let (text, none) = (
        ask("text.example.test", "TXT"),
        ask("none.example.test", "A"),
    );
    let (failing, silent) = (
        ask("fail.example.test", "A"),
        ask("silent.example.test", "A"),
    );
    let (cut, forged) = (
        ask("cut.example.test", "A"),
        ask("forged.example.test", "A"),
    );
    // All at once: each waits for the dead resolver.
    let (cname, address, text, none, failing, silent, cut, forged) =
        tokio::join!(cname, address, text, none, failing, silent, cut, forged);
    let answer = |values: Value, ttl: u32| json!({ "resolver": "a", "values": values, "ttl-seconds": ttl, "problem": null });
    assert_eq!(cname, answer(json!(["wp-pz.example.test"]), 5));
    assert_eq!(address, answer(json!(["127.0.0.9"]), 5));
    assert_eq!(text, answer(json!(["One."]), 60));
    assert_eq!(none, answer(json!([]), 0));
    assert_eq!(forged, answer(json!(["127.0.0.7"]), 60));
    assert_eq!(cut["values"].as_array().unwrap().len(), 200);
    let problem = failing["problem"].as_str().unwrap();
    assert!(
        problem.starts_with("it answers ") && failing["values"] == json!([]),
        "{failing}"
    );
    assert_eq!(silent["problem"], json!("no answer in time"));
}

#[tokio::test]
async fn convergence_is_a_share_of_all_resolvers() {
    let records: Vec<Records> = vec![Records::default(), Records::default(), Records::default()];
    let set = |index: usize, target: &str| {
        let mut records = records[index].lock().unwrap();
        records.insert((ACTIVE, RecordType::CNAME), (alias(target), 5));
    };
    let mut declared = types::Probe::default();
    for (index, records) in records.iter().enumerate() {
        set(index, "wp-pz.example.test");
        let at = resolver(records).await;
        declared.resolvers.insert(format!("r{index}"), at);
    }
    let probe = probe(&declared, Path::new("."));
    let converged = async |percent: u32| {
        let args = json!({ "name": ACTIVE, "kind": "CNAME", "values": ["WP-BZ.example.test."], "percent": percent });
        let key = format!("percent-{percent}");
        call_as(&probe, &key, "ensure-converged", args).await
    };
    let first = converged(66).await;
    assert_eq!(first.result, "in progress, 0 of 3 resolvers, 2 needed");
    set(0, "wp-bz.example.test");
    assert_eq!(
        converged(33).await.result,
        "unchanged, 1 of 3 resolvers, 1 needed"
    );
    assert_eq!(
        converged(66).await.result,
        "in progress, 1 of 3 resolvers, 2 needed"
    );
    set(1, "wp-bz.example.test");
    assert_eq!(
        converged(66).await.result,
        "changed, 2 of 3 resolvers, 2 needed"
    );
    assert_eq!(
        converged(67).await.result,
        "in progress, 2 of 3 resolvers, 3 needed"
    );
    set(2, "wp-bz.example.test");
    assert_eq!(converged(100).await.reply, Ok(json!("unchanged")));
}

#[tokio::test]
async fn strategies_call_it_as_a_service() {
    let sites = sites().await;
    let probe = probe(&sites.declared, sites.folder.path());
    let Value::Object(args) = walk("pz", "health", "public") else {
        unreachable!()
    };
    let args: Map<String, Value> = args;
    let request = Request {
        function: FunctionName {
            interface: format!("{}@0.1.0", probe.interface()).parse().unwrap(),
            function: "observe-journey".to_owned(),
        },
        args: args.into(),
        key: IdempotencyKey("k".to_owned()),
        site: CallSite {
            step: "replica/check".parse().unwrap(),
            direction: Direction::Run,
            attempt: 1,
            ordinal: 0,
        },
        deadline: soon(),
    };
    let reply = Service::call(&probe, &request).await.unwrap();
    assert_eq!(reply["passed"], json!(true));
}
