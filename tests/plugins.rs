//! What is shipped as plugins, beside each other: the bytes of none may depend on which others are built with it.

#![expect(clippy::unwrap_used, reason = "a test: what does not hold must end it")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Names of the crates in the folders below this one.
fn packages(folder: &str) -> Vec<String> {
    let folders = std::fs::read_dir(root().join(folder)).unwrap();
    let manifests = folders.map(|folder| folder.unwrap().path().join("Cargo.toml"));
    let name = |manifest: PathBuf| {
        let manifest = std::fs::read_to_string(manifest).unwrap();
        let manifest: toml::Table = toml::from_str(&manifest).unwrap();
        let package = manifest.get("package").unwrap();
        package
            .get("name")
            .and_then(toml::Value::as_str)
            .unwrap()
            .to_owned()
    };
    manifests.map(name).collect()
}

/// The crates that a plugin is made of when it is built alone, each with its features.
fn dependencies(package: &str) -> Vec<(String, String)> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(root())
        .args(["tree", "--locked", "--package", package])
        .args(["--edges", "normal,no-proc-macro", "--no-dedupe"])
        .args(["--target", "wasm32-unknown-unknown"])
        .args(["--prefix", "none", "--format", "{p}|{f}"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{package}: {said}");
    let lines = String::from_utf8(output.stdout).unwrap();
    let pairs = lines.lines().map(|line| line.split_once('|').unwrap());
    pairs
        .map(|(name, features)| (name.to_owned(), features.to_owned()))
        .collect()
}

#[test]
fn plugins_ask_their_dependencies_for_the_same_features() {
    let mut asked: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for package in [
        packages("plugins/strategies"),
        packages("plugins/providers"),
    ]
    .concat()
    {
        for (dependency, features) in dependencies(&package) {
            let by_features = asked.entry(dependency).or_default();
            by_features
                .entry(features)
                .or_default()
                .insert(package.clone());
        }
    }
    let shared = asked.values().flat_map(BTreeMap::values).map(BTreeSet::len);
    assert!(shared.max() > Some(20), "no crate that all have: {asked:?}");
    let apart: Vec<_> = asked.iter().filter(|(_, ways)| ways.len() > 1).collect();
    assert!(
        apart.is_empty(),
        "cargo would unite these for plugins that are built together; ask for them in [workspace.dependencies]: {apart:#?}"
    );
}
