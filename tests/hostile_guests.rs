//! Guests that misbehave, against the limits of one instance. What the mediation bounds (number of calls, payload, log,
//! policy) is tested where the whole host runs; here the guests prove that they do attack.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test: what does not hold must end it"
)]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use serde_json::{Map, Value, json};
use understudy::call::{
    CallError, CallSite, Denial, Direction, FunctionName, IdempotencyKey, Reply, Request,
};
use understudy::clock::{BoxFuture, Instant};
use understudy::journal::record::Mode;
use understudy::plugin::build;
use understudy::plugin::component::Component;
use understudy::plugin::engine::{Engines, Kind};
use understudy::plugin::error::{Halt, PluginError};
use understudy::plugin::link::{Imports, NoImports};
use understudy::plugin::provider::ProviderPlugin;
use understudy::plugin::strategy::{Context, StrategyPlugin};

#[path = "hostile/strategy/src/canary.rs"]
mod canary;

/// After so many calls an attack by calls has shown what it does.
const ENOUGH_CALLS: u64 = 5_000;
const CANARY: &str = "canary-7f3a9c51e2";

struct Guests {
    engines: Engines,
    strategy: Component,
    provider: Component,
}

static GUESTS: LazyLock<Guests> = LazyLock::new(|| {
    let folder = hostile();
    let engines = Engines::new(None).unwrap();
    let crates = [folder.join("strategy"), folder.join("provider")];
    let built = build::build(&engines, &crates, None).unwrap();
    let load = |kind, index: usize| {
        Component::load(&engines, kind, "hostile", &built[index].path, None).unwrap()
    };
    Guests {
        strategy: load(Kind::Strategy, 0),
        provider: load(Kind::Provider, 1),
        engines,
    }
});

fn hostile() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/hostile")
}

/// Answers every call, up to [`ENOUGH_CALLS`], and remembers the last.
struct Answers {
    reply: Reply,
    calls: AtomicU64,
    last: Mutex<Option<(FunctionName, Map<String, Value>)>>,
}

impl Answers {
    fn with(reply: Reply) -> Arc<Self> {
        Arc::new(Self {
            reply,
            calls: AtomicU64::new(0),
            last: Mutex::new(None),
        })
    }
}

impl Imports for Answers {
    fn call(
        &self,
        function: FunctionName,
        args: Map<String, Value>,
    ) -> BoxFuture<'_, Result<Arc<Reply>, Halt>> {
        Box::pin(async move {
            *self.last.lock().unwrap() = Some((function, args));
            if self.calls.fetch_add(1, Ordering::Relaxed) >= ENOUGH_CALLS {
                return Err(Halt::Cancelled("enough".to_owned()));
            }
            Ok(Arc::new(self.reply.clone()))
        })
    }
}

fn refusal() -> Reply {
    Err(CallError::Denied(Denial {
        rule: "PO0001".to_owned(),
        grant: "a grant line".to_owned(),
    }))
}

fn run<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

fn perform(
    component: Component,
    config: &Value,
    imports: Arc<dyn Imports>,
) -> Result<String, PluginError> {
    let strategy = StrategyPlugin::new(&GUESTS.engines, component)?;
    let context = Context {
        run: "20260102t030405z-hostile-ab12".parse().unwrap(),
        config: config.to_string(),
        mode: Mode::Graceful,
        rto_target_ms: 1,
        rpo_target_ms: 1,
    };
    run(async {
        let steps = strategy.plan(&context).await?;
        assert_eq!(steps[0].id, "attack");
        let answer = strategy
            .perform(Direction::Run, &context, "attack", imports)
            .await?;
        Ok(answer.unwrap_or_else(|error| error.to_string()))
    })
}

fn strategy(config: &Value, imports: Arc<dyn Imports>) -> Result<String, PluginError> {
    perform(GUESTS.strategy.clone(), config, imports)
}

fn provider(
    config: &Value,
    function: &str,
    imports: Arc<dyn Imports>,
) -> Result<Reply, PluginError> {
    let plugin = ProviderPlugin::new(&GUESTS.engines, GUESTS.provider.clone())?;
    let args = json!({
        "name": "wp-active.example.test", "kind": "CNAME", "expected": null, "values": [], "ttl-seconds": 60
    });
    let Value::Object(mut args) = args else {
        unreachable!()
    };
    if function == "get-record" {
        args.retain(|name, _| name == "name" || name == "kind");
    }
    let request = Request {
        function: FunctionName {
            interface: "understudy:dns/dns@0.1.0".parse().unwrap(),
            function: function.to_owned(),
        },
        args: args.into(),
        key: IdempotencyKey("key".to_owned()),
        site: CallSite {
            step: "replica/flip".parse().unwrap(),
            direction: Direction::Run,
            attempt: 1,
            ordinal: 0,
        },
        deadline: Instant(u64::MAX),
    };
    run(plugin.serve(&config.to_string(), &request, imports))
}

fn trapped(result: Result<impl std::fmt::Debug, PluginError>) -> String {
    match result.unwrap_err() {
        PluginError::Trapped { reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}

/// The strategy written in WebAssembly text, componentized as `understudy plugin build` would.
fn table_component() -> Component {
    let mut module = wat::parse_file(hostile().join("strategy/table.wat")).unwrap();
    let mut resolve = wit_parser::Resolve::default();
    let mut plugin = None;
    for package in [
        "types",
        "control",
        "database",
        "dns",
        "kubernetes",
        "workload",
        "certificates",
        "ingress",
        "storage",
        "edge-cache",
        "probe",
        "metrics",
        "notify",
        "infrastructure",
        "http",
        "sql",
        "tls",
        "exec",
        "dns-update",
        "acme",
        "plugin",
    ] {
        let path = hostile().join("../../wit").join(package);
        plugin = Some(resolve.push_path(&path).unwrap().0);
    }
    let world = resolve
        .select_world(&[plugin.unwrap()], Some("strategy-plugin"))
        .unwrap();
    let encoding = wit_component::StringEncoding::UTF8;
    wit_component::embed_component_metadata(&mut module, &resolve, world, encoding).unwrap();
    let bytes = wit_component::ComponentEncoder::default()
        .module(&module)
        .unwrap()
        .encode()
        .unwrap();
    Component::from_bytes(&GUESTS.engines, Kind::Strategy, "table", &bytes, None).unwrap()
}

#[test]
fn a_strategy_is_stopped_by_each_limit_of_its_instance() {
    let stopped =
        |attack: &str| trapped(strategy(&json!({ "attack": attack }), Arc::new(NoImports)));
    assert!(
        stopped("memory").contains("memory"),
        "{}",
        stopped("memory")
    );
    assert!(stopped("cpu").contains("fuel"));
    assert!(stopped("stack").contains("stack"));
    assert!(stopped("trap").contains("panicked"));
    assert!(stopped("ambient-clock").contains("panicked"));
}

#[test]
fn a_table_that_grows_without_end_is_stopped() {
    let reason = trapped(perform(table_component(), &json!({}), Arc::new(NoImports)));
    assert!(reason.contains("10000 elements"), "{reason}");
}

#[test]
fn a_provider_is_stopped_by_each_limit_of_its_instance() {
    let stopped = |attack: &str| {
        trapped(provider(
            &json!({ "attack": attack }),
            "get-record",
            Arc::new(NoImports),
        ))
    };
    assert!(stopped("memory").contains("64 MiB of memory"));
    assert!(stopped("cpu").contains("computed"));
    assert!(stopped("configure-cpu").contains("computed"));
    assert!(stopped("trap").contains("panicked"));
}

/// Instances take turns in the same memory.
#[test]
fn nothing_that_an_instance_wrote_is_seen_by_the_next() {
    for _ in 0..3 {
        let answer = strategy(&json!({"attack": "leave-behind"}), Arc::new(NoImports));
        assert_eq!(answer.unwrap(), "found: 0");
    }
}

#[test]
fn a_strategy_has_nothing_ambient() {
    let answer = strategy(&json!({"attack": "ambient"}), Arc::new(NoImports)).unwrap();
    assert_eq!(answer, "worked: []");
}

#[test]
fn the_guests_call_as_often_and_as_much_as_they_are_let() {
    for (attack, reply) in [("calls", json!(0)), ("log", Value::Null)] {
        let answers = Answers::with(Ok(reply));
        let error = strategy(&json!({ "attack": attack }), answers.clone()).unwrap_err();
        assert!(
            matches!(error, PluginError::Halted(Halt::Cancelled(_))),
            "{error}"
        );
        assert_eq!(answers.calls.load(Ordering::Relaxed), ENOUGH_CALLS + 1);
    }
    let bounded = strategy(
        &json!({"attack": "calls", "rounds": 7}),
        Answers::with(refusal()),
    );
    assert_eq!(bounded.unwrap(), "7 refused");

    let flood = json!({"attack": "http-flood", "url": "https://evil.example.test/"});
    let answers = Answers::with(refusal());
    let error = provider(&flood, "get-record", answers.clone()).unwrap_err();
    assert!(matches!(error, PluginError::Halted(_)), "{error}");

    let answers = Answers::with(refusal());
    strategy(&json!({"attack": "payload", "mib": 4}), answers.clone()).unwrap();
    let (_, args) = answers.last.lock().unwrap().take().unwrap();
    assert_eq!(args["name"].as_str().unwrap().len(), 4 << 20);
}

/// The engine bounds what one call may make the host copy; without that bound this would be 4 GiB.
#[test]
fn one_megabyte_sent_four_thousand_times_in_one_call_is_stopped() {
    let answers = Answers::with(refusal());
    let few = json!({"attack": "payload-aliased", "strings": 3});
    strategy(&few, answers.clone()).unwrap();
    let (_, args) = answers.last.lock().unwrap().take().unwrap();
    assert_eq!(args["values"].as_array().unwrap().len(), 3);

    let many = json!({"attack": "payload-aliased", "strings": 4096});
    let reason = trapped(strategy(&many, answers.clone()));
    assert_eq!(reason, "it passed more than 8 MiB at once; pass less");
    assert!(
        answers.last.lock().unwrap().is_none(),
        "it was never carried over"
    );
}

#[test]
fn a_denial_reaches_the_guest_as_text() {
    let answers = Answers::with(refusal());
    let answer = strategy(&json!({"attack": "deny-dns"}), answers.clone()).unwrap();
    assert!(
        answer.contains("PO0001") && answer.contains("a grant line"),
        "{answer}"
    );
    let (function, args) = answers.last.lock().unwrap().take().unwrap();
    assert_eq!(
        (function.function.as_str(), &args["name"]),
        ("ensure-record", &json!("wp-bz.example.test"))
    );

    let ungranted = json!({"attack": "http", "url": "https://evil.example.test/"});
    let answers = Answers::with(refusal());
    let reply = provider(&ungranted, "get-record", answers.clone()).unwrap();
    assert!(reply.unwrap_err().to_string().contains("PO0001"));
    let (_, args) = answers.last.lock().unwrap().take().unwrap();
    assert_eq!(args["request"]["body"], json!({"base64": "Z2l2ZQ=="}));
}

/// The search finds what is there: in the configuration, and in what a call answered.
#[test]
fn the_canary_is_found_exactly_where_it_is() {
    let attack = |extra: Value| {
        let needle = canary::Needle::of(CANARY.as_bytes());
        let mut config = json!({"attack": "canary", "needles": [needle]});
        config
            .as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        config
    };
    let clean = strategy(&attack(json!({})), Answers::with(refusal())).unwrap();
    assert!(clean.ends_with("; found 0 times"), "{clean}");
    let planted = strategy(&attack(json!({ "note": CANARY })), Answers::with(refusal())).unwrap();
    assert!(!planted.ends_with("; found 0 times"), "{planted}");

    let request = json!({"url": "https://api.example.test/", "slot": "token"});
    let leaky = json!({"status": 200, "headers": [], "body": understudy::bytes::to_value(CANARY.as_bytes())});
    let innocent = json!({"status": 200, "headers": [], "body": b"ok"});
    let searched = |response: Value| {
        let reply = provider(
            &attack(request.clone()),
            "get-record",
            Answers::with(Ok(response)),
        );
        reply.unwrap().unwrap_err().to_string()
    };
    assert_eq!(searched(innocent), "not found: status 200; found 0 times");
    assert_ne!(searched(leaky), "not found: status 200; found 0 times");
}

#[test]
fn a_provider_can_answer_much_and_wait_for_ever() {
    let too_much = json!({"attack": "response", "values": 2_500});
    let error = provider(&too_much, "get-record", Arc::new(NoImports)).unwrap_err();
    let said = error.to_string();
    assert!(
        said.starts_with("PG0017: `hostile` answered `dns/get-record` with 25"),
        "{said}"
    );
    let much = json!({"attack": "response", "values": 2_000});
    let record = provider(&much, "get-record", Arc::new(NoImports))
        .unwrap()
        .unwrap();
    assert_eq!(record["values"].as_array().unwrap().len(), 2_000);
    let hang = provider(
        &json!({"attack": "hang"}),
        "ensure-record",
        Arc::new(NoImports),
    );
    assert_eq!(hang.unwrap().unwrap()["in-progress"]["id"], "never");
}
