//! Mutants of the shipped strategies: each takes one guard or one move out of their sources, and a shipped scenario must
//! fail for it. Prints which rule catches which mutant; a mutant that nothing catches fails.
//!
//! `make mutants`, or `cargo test -p understudy --test mutants -- --all [WORD …] [--seeds N]` for those whose name has one
//! of the words. Without `--all` a mutant is rehearsed until what must catch it has, which is enough to pass. The mutants are the `.toml` files of this folder: see [`mutant`]. What catches one is the verdict of the
//! same host that rehearses for users ([`trial`]): rules on plans and runs (`SR`), on traces (`TR`), and what the
//! scenarios expect (`TR0006`).

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test: what does not hold must end it, and it prints a table"
)]

mod mutant;
mod table;
mod trial;
mod workspace;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::sync_channel;

use mutant::Mutant;
use trial::{Trials, Verdict};
use understudy::plugin::Engines;
use workspace::Workspace;

/// Seeds per scenario, from 1: a guard that only some seeds miss is for campaigns.
const SEEDS: u64 = 1;

/// Folder of the repository.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    here.canonicalize().unwrap()
}

fn main() -> ExitCode {
    let mut seeds = SEEDS;
    let (mut words, mut all) = (Vec::new(), false);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--seeds" => seeds = args.next().unwrap().parse().unwrap(),
            "--all" => all = true,
            // What `cargo test` is told for other test programs.
            arg if arg.starts_with('-') => {}
            word => words.push(word.to_owned()),
        }
    }
    let mut mutants = Mutant::all();
    mutants
        .retain(|mutant| words.is_empty() || words.iter().any(|word| mutant.name.contains(word)));
    let folder = root().join("target/mutants");
    let engines = Engines::new(Some(folder.join("cache"))).unwrap();
    let mut workspace = Workspace::copied(&folder);
    let trials = Trials::new(&folder, seeds);

    let plugins = workspace.build(&engines, "shipped").unwrap();
    let shipped = trials.judge(&engines, &plugins, None, all);
    assert_eq!(shipped, Verdict::default(), "the shipped strategies");

    let mut verdicts = Vec::new();
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(1);
        let (mutants, engines) = (&mutants, &engines);
        scope.spawn(move || {
            for mutant in mutants {
                let built =
                    workspace.with(mutant, |workspace| workspace.build(engines, &mutant.name));
                if sender.send((mutant, built)).is_err() {
                    return;
                }
            }
        });
        for (mutant, built) in receiver {
            let plugins = built.unwrap_or_else(|error| panic!("{}: {error}", mutant.name));
            let verdict = trials.judge(engines, &plugins, Some(mutant), all);
            eprintln!("{}: {}", mutant.name, verdict.in_one_line());
            verdicts.push((mutant, verdict));
        }
    });
    println!("{}", table::of(&verdicts));
    let wrong: Vec<String> = verdicts
        .iter()
        .filter_map(|(mutant, verdict)| mutant.problem_with(verdict))
        .collect();
    for problem in &wrong {
        println!("{problem}");
    }
    if wrong.is_empty() && !verdicts.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
