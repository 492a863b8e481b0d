//! The capability with the programs of every machine: shells that do what a program may do wrong.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, test_kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::super::testbed::{CANARY, CANARY_VARIABLE, binding, call, capabilities, soon};
use super::super::{Capabilities, Used};
use crate::bytes;
use crate::call::CallError;
use crate::clock::{Clock as _, Instant, SystemClock};
use crate::runbook::argument::Pattern;
use crate::runbook::types::{Program, SecretSource};

const EXEC: &str = "understudy:exec/exec@0.1.0";

/// A shell that runs `script`, with one name as its argument.
fn shell(script: &str) -> Program {
    let pattern = |text| Pattern::parse(text).unwrap();
    Program {
        program: "/bin/sh".into(),
        leading: ["-c", script, "sh"].map(str::to_owned).into(),
        arguments: vec![vec![], vec![pattern("{name}")]],
        directory: None,
        environment: BTreeMap::from([("GIVEN".to_owned(), "by the entry".to_owned())]),
        secrets: BTreeMap::new(),
        files: Some("files".into()),
        time_limit: Duration::from_secs(60),
        max_output_bytes: 1000,
        max_file_bytes: 1_000_000,
    }
}

struct Bench {
    folder: TempDir,
    capabilities: Capabilities,
}

impl Bench {
    fn new(program: Program) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("files")).unwrap();
        let mut binding = binding();
        binding.programs = [("tool".to_owned(), program)].into();
        let capabilities = capabilities(&binding, folder.path());
        Self {
            folder,
            capabilities,
        }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join("files").join(name)
    }

    async fn ask(&self, function: &str, args: Value, deadline: Instant) -> Used {
        call(&self.capabilities, EXEC, function, args, deadline).await
    }

    async fn run(&self, arguments: &[&str], input: Value, output: Value) -> Used {
        let command = command(arguments, input, output);
        self.ask("run", json!({ "command": command }), soon()).await
    }

    /// Runs it with nothing, and answers what it said.
    async fn said(&self) -> String {
        let used = self.run(&[], json!("nothing"), json!("captured")).await;
        let ended = used.reply.unwrap();
        assert_eq!(ended["exit-code"], 0, "{ended}");
        text(&ended)
    }

    async fn refused(&self, used: Used) -> String {
        let text = match used.reply.unwrap_err() {
            CallError::Denied(denial) => format!("denied {} {}", denial.rule, denial.grant),
            error => error.to_string(),
        };
        let partial = fs::read_dir(self.folder.path().join("files")).unwrap();
        assert_eq!(partial.count(), 0, "a file is left: {text}");
        text
    }
}

fn command(arguments: &[&str], input: Value, output: Value) -> Value {
    json!({ "program": "tool", "arguments": arguments, "input": input, "output": output })
}

fn text(ended: &Value) -> String {
    String::from_utf8(bytes::from_value(&ended["stdout"]).unwrap()).unwrap()
}

fn is_gone(pid: &str) -> bool {
    let pid = Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
    test_kill_process(pid).is_err()
}

async fn gone(pid: &str) {
    let patience = SystemClock.now().after(Duration::from_secs(30));
    while !is_gone(pid) {
        assert!(SystemClock.now() < patience, "process {pid} is still there");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn written(path: &Path) -> String {
    let patience = SystemClock.now().after(Duration::from_secs(30));
    loop {
        match fs::read_to_string(path) {
            Ok(text) if text.ends_with('\n') => return text,
            _ => assert!(
                SystemClock.now() < patience,
                "{} is not written",
                path.display()
            ),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_program_gets_what_its_entry_says_and_nothing_of_the_hosts() {
    let bench = Bench::new(shell("env; pwd; cat; echo done >&2; exit 3"));
    let used = bench
        .run(
            &[],
            json!({ "bytes": bytes::to_value(b"input") }),
            json!("captured"),
        )
        .await;
    assert_eq!(used.action, "exec tool:");
    let ended = used.reply.unwrap();
    assert_eq!(
        (ended["exit-code"].clone(), ended["stderr"].clone()),
        (json!(3), json!("done\n"))
    );
    let said = text(&ended);
    let folder = bench.folder.path().canonicalize().unwrap();
    assert!(
        said.ends_with(&format!("{}\ninput", folder.display())),
        "{said}"
    );
    let variables = said.lines().filter(|line| line.contains('='));
    let own = |line: &&str| {
        !["PWD=", "_=", "SHLVL=", "OLDPWD="]
            .iter()
            .any(|name| line.starts_with(name))
    };
    assert_eq!(
        variables.filter(own).collect::<Vec<_>>(),
        ["GIVEN=by the entry"]
    );
}

#[tokio::test]
async fn nothing_is_started_that_the_entry_does_not_allow() {
    let bench = Bench::new(shell("echo started > files/started"));
    for (arguments, rule) in [
        (&["-x"][..], "CP0033"),
        (&["a", "b"], "CP0033"),
        (&["a b"], "CP0033"),
    ] {
        let used = bench
            .run(arguments, json!("nothing"), json!("captured"))
            .await;
        assert!(used.result.starts_with("denied CP0033"), "{}", used.result);
        let text = bench.refused(used).await;
        let grant = format!("programs.tool.arguments = [{}]", json!(arguments));
        assert_eq!(text, format!("denied {rule} {grant}"));
    }
    let mut other = command(&[], json!("nothing"), json!("captured"));
    other["program"] = json!("other");
    let used = bench.ask("run", json!({ "command": other }), soon()).await;
    assert!(
        bench
            .refused(used)
            .await
            .starts_with("denied CP0032 programs.other = ")
    );
    for name in ["../escaped", "/etc/passwd", ".hidden", "", "-x"] {
        let used = bench
            .run(&[], json!("nothing"), json!({ "file": name }))
            .await;
        assert!(bench.refused(used).await.contains("CP0009"), "{name}");
        let input = json!({ "file": { "name": name, "sha256": null } });
        let used = bench.run(&[], input, json!("captured")).await;
        assert!(bench.refused(used).await.contains("CP0009"), "{name}");
    }
    let mut none = shell("true");
    none.files = None;
    let bench = Bench::new(none);
    let used = bench
        .run(&[], json!("nothing"), json!({ "file": "a" }))
        .await;
    assert!(
        bench
            .refused(used)
            .await
            .starts_with("denied CP0034 programs.tool.files")
    );
}

#[tokio::test]
async fn every_way_to_end_badly_has_its_own_error() {
    let ends = async |program: Program, output: Value| {
        let bench = Bench::new(program);
        let used = bench.run(&[], json!("nothing"), output).await;
        bench.refused(used).await
    };
    let signal = ends(
        shell("echo last words >&2; kill -9 $$"),
        json!({ "file": "a" }),
    )
    .await;
    assert!(
        signal.contains("CP0037") && signal.contains("signal 9") && signal.contains("last words"),
        "{signal}"
    );
    let mut hurried = shell("sleep 1000");
    hurried.time_limit = Duration::from_millis(50);
    let late = ends(hurried, json!({ "file": "a" })).await;
    assert!(late.starts_with("timed out: CP0036"), "{late}");
    let endless = "while :; do echo and on and on; done";
    assert!(
        ends(shell(endless), json!("captured"))
            .await
            .contains("CP0010")
    );
    assert!(
        ends(shell(endless), json!({ "file": "a" }))
            .await
            .contains("CP0010")
    );
    let mut missing = shell("true");
    missing.program = "/nowhere/tool".into();
    assert!(
        ends(missing, json!("captured"))
            .await
            .starts_with("invalid: CP0035")
    );
}

#[tokio::test]
async fn whatever_a_program_started_ends_with_it() {
    // By itself, leaving a child that holds its output open.
    let bench = Bench::new(shell("sleep 1000 & echo $!"));
    gone(&bench.said().await).await;
    // At its time limit.
    let mut hurried = shell("sleep 1000 & echo $! > files/pid; wait");
    hurried.time_limit = Duration::from_secs(2);
    let bench = Bench::new(hurried);
    let used = bench.run(&[], json!("nothing"), json!("captured")).await;
    assert!(used.result.contains("CP0036"), "{}", used.result);
    gone(&written(&bench.path("pid")).await).await;
    // With the call that is given up.
    let bench = Bench::new(shell("sleep 1000 & echo $! > files/pid; wait"));
    let pid = {
        let pid_file = bench.path("pid");
        tokio::select! {
            _ = bench.run(&[], json!("nothing"), json!("captured")) => panic!("it ended"),
            pid = written(&pid_file) => pid,
        }
    };
    gone(&pid).await;
}

#[tokio::test]
async fn a_file_is_there_whole_or_not_at_all() {
    let bench = Bench::new(shell("cat; exit \"${1:-0}\""));
    let content = "0123456789".repeat(90_000);
    let input = json!({ "bytes": bytes::to_value(content.as_bytes()) });
    let used = bench
        .run(&[], input.clone(), json!({ "file": "copy" }))
        .await;
    assert_eq!(used.action, "exec tool: > copy");
    let ended = used.reply.unwrap();
    let digest = ended["written"]["sha256"].as_str().unwrap().to_owned();
    assert_eq!(ended["written"]["size-bytes"], 900_000);
    assert_eq!(fs::read_to_string(bench.path("copy")).unwrap(), content);

    let failed = bench.run(&["1"], input, json!({ "file": "failed" })).await;
    let failed = failed.reply.unwrap();
    assert_eq!(
        (failed["exit-code"].clone(), failed["written"].clone()),
        (json!(1), Value::Null)
    );
    assert!(!bench.path("failed").exists());

    let from = |sha256: Value| json!({ "file": { "name": "copy", "sha256": sha256 } });
    let used = bench
        .run(&[], from(json!(digest)), json!({ "file": "again" }))
        .await;
    assert_eq!(used.reply.unwrap()["written"]["sha256"], json!(digest));
    fs::write(bench.path("copy"), "something else").unwrap();
    let damaged = bench.run(&[], from(json!(digest)), json!("captured")).await;
    let damaged = damaged.reply.unwrap_err().to_string();
    assert!(damaged.starts_with("conflict: CP0038"), "{damaged}");
    let gone = json!({ "file": { "name": "gone", "sha256": null } });
    let gone = bench.run(&[], gone, json!("captured")).await;
    assert!(matches!(gone.reply, Err(CallError::NotFound(text)) if text.contains("CP0039")));
}

#[tokio::test]
async fn files_are_listed_read_written_and_removed() {
    let bench = Bench::new(shell("true"));
    let put = json!({ "program": "tool", "name": "b", "content": bytes::to_value(b"0123456789") });
    assert_eq!(
        bench.ask("ensure-file", put.clone(), soon()).await.reply,
        Ok(Value::Null)
    );
    fs::write(bench.path(".a.partial"), "half").unwrap();
    fs::write(bench.path("a"), "").unwrap();
    let listed = bench
        .ask("list-files", json!({ "program": "tool" }), soon())
        .await
        .reply
        .unwrap();
    let names: Vec<&Value> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|file| &file["name"])
        .collect();
    assert_eq!(
        (names, &listed[1]["size-bytes"]),
        (vec![&json!("a"), &json!("b")], &json!(10))
    );
    for (offset, length, expected) in [
        (2, 3, "234"),
        (-4, 2, "67"),
        (8, 100, "89"),
        (-100, 2, "01"),
        (100, 1, ""),
    ] {
        let args = json!({ "program": "tool", "name": "b", "offset": offset, "length": length });
        let part = bench.ask("get-file", args, soon()).await.reply.unwrap();
        assert_eq!(
            bytes::from_value(&part).unwrap(),
            expected.as_bytes(),
            "{offset} {length}"
        );
    }
    // A name that leads elsewhere is no file of the folder.
    std::os::unix::fs::symlink("/etc/passwd", bench.path("link")).unwrap();
    let link = json!({ "program": "tool", "name": "link", "offset": 0, "length": 10 });
    assert!(matches!(
        bench.ask("get-file", link, soon()).await.reply,
        Err(CallError::NotFound(_))
    ));
    for _ in 0..2 {
        let name = json!({ "program": "tool", "name": "b" });
        assert_eq!(
            bench.ask("ensure-no-file", name, soon()).await.reply,
            Ok(Value::Null)
        );
    }
    assert!(!bench.path("b").exists());
}

#[tokio::test]
async fn a_job_is_started_once_and_its_end_is_told_once() {
    let bench = Bench::new(shell(
        "echo $$ >> files/started; while [ ! -e files/go ]; do sleep 0.01; done; echo done",
    ));
    let job =
        json!({ "name": "nightly", "command": command(&[], json!("nothing"), json!("captured")) });
    let at_once = || SystemClock.now().after(Duration::from_millis(1));
    for _ in 0..3 {
        let stand = bench
            .ask("ensure-job", job.clone(), at_once())
            .await
            .reply
            .unwrap();
        assert!(stand["running"].is_u64(), "{stand}");
    }
    let other = json!({ "name": "nightly", "command": command(&["a"], json!("nothing"), json!("captured")) });
    let other = bench
        .ask("ensure-job", other, at_once())
        .await
        .reply
        .unwrap_err();
    assert!(other.to_string().starts_with("conflict: CP0040"), "{other}");
    written(&bench.path("started")).await;
    fs::write(bench.path("go"), "").unwrap();
    let used = bench.ask("ensure-job", job.clone(), soon()).await;
    assert_eq!(used.action, "job nightly: exec tool:");
    assert_eq!(text(&used.reply.unwrap()["ended"]), "done\n");
    assert_eq!(written(&bench.path("started")).await.lines().count(), 1);
    // Told once: the same name begins anew.
    bench.ask("ensure-job", job, soon()).await.reply.unwrap();
    assert_eq!(written(&bench.path("started")).await.lines().count(), 2);
}

#[tokio::test]
async fn jobs_are_bounded_and_end_with_their_binding() {
    let bench = Bench::new(shell("echo $$ > files/$1; while :; do sleep 1; done"));
    let ask = async |name: &str| {
        let command = command(&[name], json!("nothing"), json!("captured"));
        let job = json!({ "name": name, "command": command });
        let at_once = SystemClock.now().after(Duration::from_millis(1));
        bench.ask("ensure-job", job, at_once).await.reply
    };
    let names: Vec<String> = (0..super::MAX_JOBS)
        .map(|place| format!("job-{place}"))
        .collect();
    for name in &names {
        ask(name).await.unwrap();
    }
    let more = ask("more").await.unwrap_err();
    assert!(
        more.to_string().starts_with("unavailable: CP0041"),
        "{more}"
    );
    let mut pids = Vec::new();
    for name in &names {
        pids.push(written(&bench.path(name)).await);
    }
    drop(bench);
    for pid in pids {
        gone(&pid).await;
    }
}

#[tokio::test]
async fn a_secret_of_the_environment_comes_back_in_nothing() {
    let mut program = shell(
        "cat >/dev/null; echo \"it is $TOKEN\" | tee files/echoed; echo \"no, $TOKEN\" >&2; [ -z \"$1\" ] || kill -9 $$",
    );
    program.secrets = [(
        "TOKEN".to_owned(),
        SecretSource::Environment(CANARY_VARIABLE.to_owned()),
    )]
    .into();
    let bench = Bench::new(program);
    let used = bench.run(&[], json!("nothing"), json!("captured")).await;
    let ended = used.reply.unwrap();
    assert_eq!(
        (text(&ended), &ended["stderr"]),
        ("it is [redacted]\n".to_owned(), &json!("no, [redacted]\n"))
    );
    assert_eq!(
        fs::read_to_string(bench.path("echoed")).unwrap(),
        format!("it is {CANARY}\n")
    );
    let part = json!({ "program": "tool", "name": "echoed", "offset": 0, "length": 100 });
    let part = bench.ask("get-file", part, soon()).await.reply.unwrap();
    assert_eq!(bytes::from_value(&part).unwrap(), b"it is [redacted]\n");
    let killed = bench.run(&["a"], json!("nothing"), json!("captured")).await;
    assert!(
        killed.result.contains("no, [redacted]"),
        "{}",
        killed.result
    );
}

#[tokio::test]
async fn a_runbook_named_without_a_folder_is_in_the_current_one() {
    let mut binding = binding();
    let mut program = shell("pwd");
    program.files = None;
    binding.programs = [("tool".to_owned(), program)].into();
    let capabilities = capabilities(&binding, Path::new(""));
    let args = json!({ "command": command(&[], json!("nothing"), json!("captured")) });
    let ended = call(&capabilities, EXEC, "run", args, soon()).await;
    let here = std::env::current_dir().unwrap();
    assert_eq!(
        text(&ended.reply.unwrap()).trim_end(),
        here.display().to_string()
    );
}
