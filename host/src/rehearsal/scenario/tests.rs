//! What a scenario may not say, and what a script misses.

use super::error::Refused;
use super::*;
use crate::report::fixture::stories;

const PLANNED: &str = include_str!("../../../../runbooks/wordpress/scenarios/planned.toml");

fn refused(text: &str) -> (&'static str, String) {
    let error = Scenario::parse(text).unwrap_err();
    let span = error.span().unwrap_or_else(|| panic!("no place: {error}"));
    (error.code(), text[span].lines().next().unwrap().to_owned())
}

/// What is added to a scenario, the code of its refusal, and the place.
const REFUSED: &[(&str, &str, &str)] = &[
    (
        "[[injects]]\nat = 'T+1m'\nexplode.site = 'pz'\n",
        "RH0001",
        "explode",
    ),
    (
        "[[injects]]\nat = '1m'\nfail.site = 'pz'\n",
        "RH0001",
        "'1m'",
    ),
    (
        "[[injects]]\nat = 'T+1m'\nfail.site = 'mars'\n",
        "RH0002",
        "'mars'",
    ),
    (
        "[[injects]]\nat = 'T+1m'\nfail.api = 'dnss'\n",
        "RH0002",
        "'dnss'",
    ),
    (
        "[[injects]]\nat = 'T+1m'\nlag = { api = 'probe', by = '1s', for = '1m' }\n",
        "RH0002",
        "'probe'",
    ),
    (
        "[[injects]]\nat = 'T+1m'\nread-only = { site = 'pz', database = 'crm', for = '1m' }\n",
        "RH0002",
        "'crm'",
    ),
    (
        "[[injects]]\nat = 'T+1m'\ndamage = { database = 'crm', tables = 1 }\n",
        "RH0002",
        "'crm'",
    ),
    (
        "[[injects]]\nat = 'T+1m'\ndamage = { database = 'wordpress', tables = 13 }\n",
        "RH0003",
        "13",
    ),
    (
        "[[injects]]\nat = 'T+1m'\ncrash-loop = { site = 'pz', app = 'crm' }\n",
        "RH0002",
        "'crm'",
    ),
    (
        "[[injects]]\nat = 'T+1m'\nnode = { site = 'bz', name = 'bz-4', condition = 'Ready', holds = false }\n",
        "RH0002",
        "'bz-4'",
    ),
    (
        "[[injects]]\nat = 'T+1m'\nedit = { record = 'wp-cz.example.test', kind = 'A', ttl-seconds = 600 }\n",
        "RH0002",
        "'wp-cz.example.test'",
    ),
    (
        "[[injects]]\nat = 'T+1m'\nedit = { record = 'wp-bz.example.test', kind = 'A', ttl-seconds = 1 }\n",
        "RH0003",
        "'wp-bz.example.test'",
    ),
    (
        "[[injects]]\nat = 'T+1m'\nedit = { record = 'wp-bz.example.test', kind = 'A' }\n",
        "RH0003",
        "'wp-bz.example.test'",
    ),
    (
        "[[faults]]\ncall = 'dns/get-record'\nnth = 1\nkind = 'melt'\n",
        "RH0001",
        "'melt'",
    ),
    (
        "[[faults]]\ncall = 'sql/run'\nnth = 1\nkind = 'error'\n",
        "RH0002",
        "'sql/run'",
    ),
    (
        "[[faults]]\ncall = 'dns/ensure-records'\nnth = 1\nkind = 'error'\n",
        "RH0002",
        "'dns/ensure-records'",
    ),
    (
        "[[faults]]\ncall = 'dns'\nnth = 1\nkind = 'error'\n",
        "RH0002",
        "'dns'",
    ),
    (
        "[[faults]]\ncall = 'dns/get-record'\nprobability = 2.0\nkind = 'error'\n",
        "RH0003",
        "'dns/get-record'",
    ),
    (
        "[[faults]]\ncall = 'dns/get-record'\nkind = 'error'\n",
        "RH0003",
        "'dns/get-record'",
    ),
    ("[control-planes]\ndnss = 'pz'\n", "RH0002", "'pz'"),
    ("[control-planes]\ndns = 'mars'\n", "RH0002", "'mars'"),
    ("[eventual-consistency]\nprobe = '5s'\n", "RH0002", "'5s'"),
    ("[people.db-lead]\nafter = '-5m'\n", "RH0001", "'-5m'"),
    ("[[crashes]]\nafter-records = 0\n", "RH0003", "[[crashes]]"),
    ("[[crashes]]\nafter = 'lunch'\n", "RH0002", "'lunch'"),
    (
        "[[crashes]]\nbefore = 'outcome'\ncall = 'dns/flip'\n",
        "RH0002",
        "'dns/flip'",
    ),
    (
        "[[crashes]]\nbefore = 'marked'\ncall = 'dns/get-record'\n",
        "RH0003",
        "'dns/get-record'",
    ),
    (
        "[[crashes]]\nbefore = 'marked'\nnth = 0\n",
        "RH0003",
        "[[crashes]]",
    ),
    (
        "[[script]]\nreached = 'served'\nby = 'T-5m'\n",
        "RH0003",
        "'T-5m'",
    ),
    (
        "[[script]]\nreached = 'served'\nby = 'T'\n",
        "RH0003",
        "'T'",
    ),
    (
        "[[script]]\nreached = 'lunch'\nby = 'T+5m'\n",
        "RH0002",
        "'lunch'",
    ),
    (
        "[[script]]\nreached = 'served'\nsite = 'mars'\nby = 'T+5m'\n",
        "RH0002",
        "'mars'",
    ),
    (
        "[edge-cache]\nshare = 0.5\nkeeps = '1h'\nholds = 'mars'\n",
        "RH0002",
        "[edge-cache]",
    ),
    (
        "[edge-cache]\nshare = 1.5\nkeeps = '1h'\n",
        "RH0003",
        "[edge-cache]",
    ),
    (
        "[edge-cache]\nshare = 0.5\nkeeps = '0s'\n",
        "RH0003",
        "[edge-cache]",
    ),
    (
        "[[script]]\nreached = 'served'\nby = 'T+5m'\n[[script]]\nreached = 'recovered'\nby = 'T+4m'\n",
        "RH0003",
        "'T+4m'",
    ),
];

#[test]
fn a_timing_is_of_a_function_that_can_have_it() {
    let refused = |timing: &str| {
        let text = format!(
            "{}\n[[timings]]\n{timing}",
            include_str!("../../../../runbooks/wordpress/scenarios/planned.toml")
        );
        Scenario::parse(&text).unwrap_err().to_string()
    };
    let cases = [
        ("call = 'dns/ensure-recrod'\nanswer = '1s'", "ensure-recrod"),
        (
            "call = 'dns/get-record'\nsite = 'qz'\nanswer = '1s'",
            "no site `qz`",
        ),
        (
            "call = 'dns/get-record'",
            "has `answer`, `work`, `look` or `given-up`",
        ),
        ("call = 'dns/get-record'\nwork = '1s'", "begins no work"),
        (
            "call = 'probe/ensure-served'\nwork = '1s'",
            "begins no work",
        ),
    ];
    for (timing, problem) in cases {
        let error = refused(timing);
        assert!(error.contains(problem), "{timing}: {error}");
    }
}

#[test]
fn what_cannot_be_is_refused_where_it_stands() {
    for (extra, code, at) in REFUSED {
        let (found, place) = refused(&format!("{PLANNED}\n{extra}"));
        assert_eq!((found, place.as_str()), (*code, *at), "{extra}");
    }
}

#[test]
fn entries_that_say_nothing_or_two_things_are_refused() {
    for extra in [
        "[[crashes]]\nnth = 1\n",
        "[[crashes]]\nafter = 'intent'\nbefore = 'outcome'\n",
        "[[crashes]]\nafter-records = 5\nnth = 2\n",
        "[[script]]\nby = 'T+5m'\n",
        "[[script]]\nbegun = 'a/b'\ndone = 'a/b'\nby = 'T+5m'\n",
        "[[script]]\ndone = 'a/b'\nsite = 'pz'\nby = 'T+5m'\n",
        "[[injects]]\nat = 'T'\n",
    ] {
        let (code, place) = refused(&format!("{PLANNED}\n{extra}"));
        assert_eq!(code, "RH0001", "{extra}");
        assert!(place.starts_with("[["), "{extra}: {place}");
    }
}

#[test]
fn expectations_that_no_run_meets_are_refused() {
    let lost = include_str!("../../../../runbooks/wordpress/scenarios/primary-lost.toml");
    for (base, from, to, code, at) in [
        (
            PLANNED,
            "rto-at-most = \"20m\"",
            "rto-at-most = \"0s\"",
            "RH0003",
            "\"0s\"",
        ),
        (
            lost,
            "rto-at-most = \"30m\"",
            "rto-at-most = \"3m\"",
            "RH0003",
            "\"3m\"",
        ),
        (
            PLANNED,
            "ending = \"recovered\"",
            "ending = \"fine\"",
            "RH0001",
            "\"fine\"",
        ),
        (
            PLANNED,
            "rto-at-most = \"20m\"",
            "rto-at-most = \"-20m\"",
            "RH0001",
            "\"-20m\"",
        ),
        (
            PLANNED,
            "lost-writes-at-most = 0",
            "figures.error-ratio = { at-least = 0.5, at-most = 0.1 }",
            "RH0003",
            "{ at-least = 0.5, at-most = 0.1 }",
        ),
        (
            PLANNED,
            "lost-writes-at-most = 0",
            "figures.happiness = { at-least = 1 }",
            "RH0002",
            "{ at-least = 1 }",
        ),
        (
            PLANNED,
            "lost-writes-at-most = 0",
            "lost-writes-at-most = -1",
            "RH0001",
            "-1",
        ),
    ] {
        assert!(base.contains(from), "{from}");
        let (found, place) = refused(&base.replace(from, to));
        assert_eq!((found, place.as_str()), (code, at), "{to}");
    }
    assert!(
        Scenario::parse(&lost.replace("rto-at-most = \"30m\"", "rto-at-most = \"181s\"")).is_ok()
    );
}

#[test]
fn what_the_runbook_does_not_have_is_refused_where_it_stands() {
    let extra = "[[script]]\ndone = 'replica/flip'\nby = 'T+5m'\n[people.db-lead]\nswitch-to = 'restore'\n[[crashes]]\nafter = 'intent'\nstep = 'replica/promote'\n";
    let text = format!("{PLANNED}\n{extra}");
    let scenario = Scenario::parse(&text).unwrap();
    let at = |checked: Result<(), ScenarioError>| {
        let error = checked.unwrap_err();
        assert_eq!(error.code(), "RH0002");
        text[error.span().unwrap()].to_owned()
    };
    let step = |name: &str| name.parse::<StepId>().unwrap();
    let (flip, promote) = (step("replica/flip"), step("replica/promote"));
    assert_eq!(
        at(scenario.check_steps(std::slice::from_ref(&promote))),
        "'replica/flip'"
    );
    assert_eq!(
        at(scenario.check_steps(std::slice::from_ref(&flip))),
        "'replica/promote'"
    );
    scenario.check_steps(&[flip, promote]).unwrap();
    let strategy = |name: &str| name.parse::<StrategyName>().unwrap();
    assert_eq!(
        at(scenario.check_strategies(&[strategy("replica")])),
        "'restore'"
    );
    scenario.check_strategies(&[strategy("restore")]).unwrap();
    let mars = ["mars".parse().unwrap()];
    let error = scenario.check_sites(&mars).unwrap_err();
    assert!(error.to_string().contains("mars"), "{error}");
}

#[test]
fn a_refusal_shows_the_line_it_is_about() {
    let text = format!("{PLANNED}\n[[script]]\nreached = 'lunch'\nby = 'T+5m'\n");
    let error = Scenario::parse(&text).unwrap_err();
    let refused = Refused {
        path: "scenarios/lunch.toml".into(),
        error,
        text,
    };
    let shown = refused.render(false);
    assert!(
        shown.starts_with("error[RH0002]: there is no milestone `lunch`"),
        "{shown}"
    );
    assert!(
        shown.contains("| reached = 'lunch'") && shown.contains("^^^^^^^"),
        "{shown}"
    );
    let line = PLANNED.lines().count() + 3;
    let place = format!("scenarios/lunch.toml:{line}:11");
    assert!(shown.contains(&place), "{place} in {shown}");
    assert!(
        refused
            .to_string()
            .starts_with(&format!("{place}: RH0002: there is no")),
        "{refused}"
    );
}

fn script(text: &str) -> Vec<Spanned<Cue>> {
    Scenario::parse(&format!("{PLANNED}\n{text}"))
        .unwrap()
        .script
}

#[test]
fn a_script_is_missed_by_what_is_late_out_of_order_or_never_reached() {
    let entries = stories::failover_and_failback();
    let start = entries[0].at;
    let at = |name: &str| {
        let found = entries.iter().find(|entry| matches!(&entry.record, crate::journal::record::Record::Marked { name: set, .. } if set == name));
        found.unwrap().at.since(start).as_secs()
    };
    let (declared, served) = (at("declared"), at("served"));
    assert!(declared + 2 < served, "{declared} {served}");
    let missed = |text: &str| -> Vec<(String, String)> {
        let missed = script::missed(&script(text), start, &entries);
        missed
            .into_iter()
            .map(|missed| (missed.what, missed.found))
            .collect()
    };
    let cue = |name: &str, by: u64| format!("[[script]]\nreached = '{name}'\nby = 'T+{by}s'\n");
    let kept = cue("declared", declared + 1) + &cue("served", served + 1);
    assert_eq!(missed(&kept), []);
    let late = missed(&(cue("declared", declared + 1) + &cue("served", served - 1)));
    assert_eq!(late.len(), 1, "{late:?}");
    assert_eq!(late[0].0, "script: served");
    let swapped = missed(&(cue("served", served + 1) + &cue("declared", served + 1)));
    assert_eq!(swapped.len(), 1, "{swapped:?}");
    assert_eq!(swapped[0].0, "script: declared");
    let elsewhere = "[[script]]\nreached = 'served'\nsite = 'pz'\nby = 'T+1s'\n[[script]]\ndone = 'replica/lunch'\nby = 'T+9h'\n";
    let found = missed(elsewhere);
    assert_eq!(
        found[1],
        ("script: replica/lunch done".to_owned(), "never".to_owned())
    );
    assert_eq!(found.len(), 2, "{found:?}");
    let steps = "[[script]]\nbegun = 'replica/promote'\nby = 'T+9h'\n[[script]]\ndone = 'replica/promote'\nby = 'T+9h'\n";
    assert_eq!(missed(steps), []);
}

#[test]
fn milestones_are_those_of_the_contract() {
    let wit = include_str!("../../../../wit/control/control.wit");
    for name in script::MILESTONES {
        assert!(wit.contains(&format!("`{name}`")), "{name}");
    }
}
