//! What people are told when something is not as it should be, and that nothing is lost by it: servers that are not
//! reached, certificates that do not verify, a second host, a journal that cannot be read.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::ExitStatus;

use anyhow::{Result, ensure};
use tokio::process::Child;
use understudy_lab::clock::eventually;
use understudy_lab::lab::{Lab, SHARED};
use understudy_lab::ports::free_port;

use crate::host::{Everybody, Host, Said, answer, said};
use crate::world::{FENCE, PROMOTION, World, operator_sessions};
use crate::{LIMIT, lab};

/// Commands that read a journal.
const READERS: [&str; 4] = ["resume", "show", "report", "verify"];

/// A failover with a fault in its overlay: it fails, everybody says no-go, and the world is as it was.
async fn taken_back(lab: &Lab, fault: &str) -> Result<Said> {
    let host = Host::new(lab)?.laid_over("fault", fault)?;
    let (pz, bz) = (&lab.databases.pz, &lab.databases.bz);
    pz.log_statements().await?;
    bz.log_statements().await?;
    let before = World::of(lab).await?;
    let said = said(host.begin("failover", "graceful", Everybody::NoGo)?).await?;
    assert_eq!(World::of(lab).await?, before, "{}", said.text);
    for server in [pz, bz] {
        assert_eq!(server.statements_with(PROMOTION)?, 0);
        assert_eq!(server.statements_with(FENCE)?, 0);
    }
    assert_eq!(said.code, Some(1), "{}", said.text);
    host.verify().await?;
    Ok(said)
}

/// An overlay that changes a binding.
fn binding(contract: &str, lines: &str) -> String {
    format!("[[bindings]]\ncontract = \"understudy:{contract}@0.1.0\"\n{lines}\n")
}

#[tokio::test]
async fn a_database_that_is_not_reached_is_named() {
    let lab = lab().await.unwrap();
    let port = free_port(&[SHARED]).unwrap();
    let lines = format!("connections.bz = {{ host = \"{SHARED}\", port = {port} }}");
    let said = taken_back(&lab, &binding("database/database", &lines)).await;
    said.unwrap()
        .tells(&[
            &format!("CP0013: {SHARED}:{port} is not reached: Connection refused"),
            "asks incident-commander",
            "go tries it again, no-go takes the run back",
            "hint: `replica/measure-lag` failed: ",
        ])
        .unwrap();
    assert_eq!(operator_sessions(&lab.databases.bz).unwrap(), 0);
}

#[tokio::test]
async fn a_dns_api_that_is_not_reached_is_named() {
    let lab = lab().await.unwrap();
    let server = format!("http://{SHARED}:{}", free_port(&[SHARED]).unwrap());
    let zones = format!("{server}/api/v1/servers/localhost/zones");
    let lines = format!(
        "config.server = \"{server}\"\n\
         http = [{{ methods = [\"GET\", \"PATCH\"], url = \"{zones}\", private = true }}]"
    );
    let serial = lab.authoritative.serial().await.unwrap();
    let said = taken_back(&lab, &binding("dns/dns", &lines)).await;
    said.unwrap()
        .tells(&[
            &format!("CP0013: {} is not reached", server.replace("http://", "")),
            "hint: `replica/lower-ttl` failed: ",
        ])
        .unwrap();
    assert_eq!(lab.authoritative.serial().await.unwrap(), serial);
}

#[tokio::test]
async fn a_database_whose_certificate_does_not_verify_is_sent_nothing() {
    let lab = lab().await.unwrap();
    let said = taken_back(&lab, &binding("database/database", "trust = []")).await;
    said.unwrap()
        .tells(&[
            &format!("CP0011: TLS with {}", lab.databases.bz.address()),
            "did not verify",
            "UnknownIssuer",
            "add its issuer to the binding's `trust`",
        ])
        .unwrap();
    for server in [&lab.databases.pz, &lab.databases.bz] {
        assert_eq!(operator_sessions(server).unwrap(), 0, "somebody logged in");
    }
}

#[tokio::test]
async fn an_application_whose_certificate_does_not_verify_is_sent_nothing() {
    let lab = lab().await.unwrap();
    let said = taken_back(&lab, &binding("workload/workload", "trust = []")).await;
    said.unwrap()
        .tells(&[
            &format!("CP0011: TLS with {} did not verify", lab.bz.admin()),
            "UnknownIssuer",
            "add its issuer to the binding's `trust`",
        ])
        .unwrap();
}

#[tokio::test]
async fn a_provider_that_issues_nothing_does_not_pass_for_an_issuer() {
    let lab = lab().await.unwrap();
    let lines = "issued-elsewhere = false\ntest-issue = false\n";
    let overlay = format!("[strategies.replica.parameters.certificate]\n{lines}");
    let said = taken_back(&lab, &overlay).await;
    said.unwrap()
        .tells(&[
            "issuer-left-ready (",
            "issuer-gone-to-ready (",
            "cannot issue any, so it knows nothing of issuer `production`",
            "`certificate.issued-elsewhere = true`",
            "hint: `replica/check-sites` failed: ",
        ])
        .unwrap();
}

/// Says go to whatever the run asks, once for each question, until it ends.
async fn decide_until_ended(host: &Host, running: &mut Child) -> Result<ExitStatus> {
    let mut decided = BTreeSet::new();
    eventually("the run to end", LIMIT, async || {
        if let Some(status) = running.try_wait()? {
            return Ok(Some(status));
        }
        for gate in host.open_gates()? {
            if decided.insert(gate.clone()) {
                host.say_go(&gate, "incident-commander").await?;
            }
        }
        Ok(None)
    })
    .await
}

#[tokio::test]
async fn a_second_host_is_refused_and_the_first_goes_on() {
    let lab = lab().await.unwrap();
    let host = Host::new(&lab).unwrap();
    lab.databases.bz.log_statements().await.unwrap();
    let mut first = host
        .begin("failover", "graceful", Everybody::IsAway)
        .unwrap()
        .spawn()
        .unwrap();
    eventually("a question", LIMIT, async || {
        ensure!(first.try_wait()?.is_none(), "{}", host.log());
        Ok((!host.open_gates()?.is_empty()).then_some(()))
    })
    .await
    .unwrap();
    let (records, world) = (host.records().unwrap(), World::of(&lab).await.unwrap());

    let mut resume = host.about("resume").unwrap();
    answer(&mut resume, Everybody::Go);
    let second = said(resume).await.unwrap();
    assert_eq!(second.code, Some(2), "{}", second.text);
    second
        .tells(&[
            &format!(
                "JN0005: run `{}` is held by another host",
                host.newest().unwrap()
            ),
            &format!("(pid {})", first.id().unwrap()),
            "let it finish, or end that process and resume",
        ])
        .unwrap();
    assert_eq!(first.try_wait().unwrap(), None);
    assert_eq!(host.records().unwrap(), records);
    assert_eq!(World::of(&lab).await.unwrap(), world);

    let status = decide_until_ended(&host, &mut first).await.unwrap();
    assert!(status.success(), "{}", host.log());
    assert_eq!(lab.databases.bz.statements_with(PROMOTION).unwrap(), 1);
    let report = host.report().await.unwrap();
    assert_eq!(report["conclusion"]["ending"], "recovered", "{report}");
    assert_eq!(report["run"]["resumes"], 0);
}

/// A way to lose a journal, and the code under which it is told.
type Damage = (&'static str, fn(&mut Vec<u8>), &'static str);

fn damages() -> [Damage; 4] {
    [
        ("no header", |file| file[..100].fill(0), "JN0001"),
        (
            "cut in half",
            |file| file.truncate(file.len() / 2),
            "JN0001",
        ),
        (
            "garbage inside",
            |file| file[5 * 4096..7 * 4096].fill(0xa5),
            "JN0001",
        ),
        ("empty", Vec::clear, "JN0002"),
    ]
}

#[tokio::test]
async fn a_journal_that_cannot_be_read_is_named_and_is_as_good_as_its_copy() {
    let lab = lab().await.unwrap();
    let host = Host::new(&lab).unwrap();
    let mut run = host.begin("failover", "graceful", Everybody::Go).unwrap();
    run.args(["--journal-pages", "28"]);
    assert_eq!(said(run).await.unwrap().code, Some(3));
    let journal = host.journal().unwrap();
    let (copy, world) = (fs::read(&journal).unwrap(), World::of(&lab).await.unwrap());

    for (damage, spoil, code) in damages() {
        let mut spoilt = copy.clone();
        spoil(&mut spoilt);
        fs::write(&journal, &spoilt).unwrap();
        for reader in READERS {
            unreadable(&host, reader, &journal, code)
                .await
                .unwrap_or_else(|error| panic!("{damage}: {error:#}"));
        }
        assert_eq!(fs::read(&journal).unwrap(), spoilt, "{damage}: was changed");
    }
    fs::remove_file(&journal).unwrap();
    for reader in READERS {
        unreadable(&host, reader, &journal, "JN0008").await.unwrap();
    }
    assert_eq!(World::of(&lab).await.unwrap(), world);

    fs::write(&journal, copy).unwrap();
    host.resume().await.unwrap();
    let report = host.report().await.unwrap();
    assert_eq!(report["conclusion"]["ending"], "recovered", "{report}");
}

async fn unreadable(host: &Host, command: &str, journal: &Path, code: &str) -> Result<()> {
    let said = said(host.about(command)?).await?;
    ensure!(said.code == Some(2), "{command}: {said:?}");
    said.tells(&[&format!("error: {code}: "), &journal.display().to_string()])?;
    let way_out = ["restore", "mend the cause"];
    ensure!(
        way_out.iter().any(|way| said.text.contains(way)),
        "{command} names no way out: {}",
        said.text
    );
    Ok(())
}
