//! From crates to components: `cargo` compiles, the `wit-component` library componentizes, the shape is checked.
//!
//! No external tool but the Rust toolchain. Where it lacks the target and rustup cannot add it, a distribution's
//! toolchain with its sources is used (`-Zbuild-std`).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::component::Component;
use super::engine::Engines;
use super::error::PluginError;
use super::inspect;

/// The one target of plugins.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// Settings of the profile `guest`, so that a plugin's own workspace needs none: an abort instead of unwinding tables that
/// no component can use.
const PROFILE: [&str; 7] = [
    "profile.guest.inherits='release'",
    "profile.guest.opt-level=3",
    "profile.guest.lto=true",
    "profile.guest.codegen-units=1",
    "profile.guest.panic='abort'",
    "profile.guest.strip='symbols'",
    "profile.guest.debug=false",
];

/// What is built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To be used: fast.
    Use,
    /// To be tried once: compiled in a fraction of the time, several times as large.
    Trial,
}

/// Settings on top of [`PROFILE`] for a component that is tried once: only its dependencies are optimised.
const TRIAL: [&str; 4] = [
    "profile.guest.lto=false",
    "profile.guest.codegen-units=16",
    "profile.guest.opt-level=0",
    "profile.guest.package.'*'.opt-level='s'",
];

impl Purpose {
    fn profile(self) -> impl Iterator<Item = &'static str> {
        let trial = TRIAL.iter().filter(move |_| self == Self::Trial);
        PROFILE.iter().chain(trial).copied()
    }
}

/// A component that was built.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Built {
    /// Package name.
    pub package: String,
    /// Where the component is.
    pub path: PathBuf,
    /// Digest of its bytes.
    pub digest: crate::name::PluginDigest,
    /// Size in bytes.
    pub size_bytes: usize,
}

/// Why a crate did not become a component.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The folder holds no crate.
    #[error("PG0010: `{}` holds no crate with a name; give the folder of a `Cargo.toml`", .0.display())]
    NoCrate(PathBuf),
    /// The toolchain could not be started.
    #[error(
        "PG0011: `{program}` could not be started; install the Rust toolchain that `rust-toolchain.toml` names"
    )]
    NoToolchain {
        /// The program.
        program: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// There is no way to compile for the target.
    #[error(
        "PG0012: the target {TARGET} is not installed and could not be added; run `rustup target add {TARGET}`, or install the packages rustc-web, cargo-web, rust-web-src and lld of a Debian-like distribution"
    )]
    NoTarget,
    /// cargo reported errors; they are on stderr.
    #[error("PG0013: cargo could not compile {0}; its messages are above")]
    Compile(String),
    /// The crate is not a `cdylib`.
    #[error(
        "PG0014: `{0}` produced no WebAssembly; set `crate-type = [\"cdylib\"]` in its `[lib]`"
    )]
    NoArtifact(String),
    /// The module could not be made a component.
    #[error("PG0015: `{package}` could not be made a component: {reason}")]
    Encode {
        /// Package.
        package: String,
        /// Why, in the encoder's words.
        reason: String,
    },
    /// A file could not be written.
    #[error("PG0016: `{}` could not be written", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is a component, but not a plugin.
    #[error(transparent)]
    Plugin(#[from] PluginError),
}

/// Pages for `understudy explain`.
pub const PAGES: &[(&str, &str)] = crate::explain::pages![
    "PG0010", "PG0011", "PG0012", "PG0013", "PG0014", "PG0015", "PG0016"
];

/// Builds the crates in `folders` into `out`, or into `plugins` of their target folder. Compiling them for this machine
/// happens here as well (into the engines' cache), never in a run.
///
/// # Errors
/// [`BuildError`] for the first crate that does not become a plugin.
pub fn build(
    engines: &Engines,
    folders: &[PathBuf],
    out: Option<&Path>,
) -> Result<Vec<Built>, BuildError> {
    build_for(Purpose::Use, engines, folders, out)
}

/// The same for a purpose.
///
/// # Errors
/// As [`build`].
pub fn build_for(
    purpose: Purpose,
    engines: &Engines,
    folders: &[PathBuf],
    out: Option<&Path>,
) -> Result<Vec<Built>, BuildError> {
    let toolchain = Toolchain::find()?;
    let mut by_workspace: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
    let mut order = Vec::new();
    for folder in folders {
        let package = package_name(folder)?;
        by_workspace
            .entry(workspace_of(folder)?)
            .or_default()
            .push(package.clone());
        order.push(package);
    }
    let mut artifacts = BTreeMap::new();
    for (workspace, packages) in by_workspace {
        artifacts.extend(toolchain.compile(purpose, &workspace, &packages)?);
    }
    order
        .into_iter()
        .map(|package| {
            let module = artifacts
                .get(&package)
                .ok_or_else(|| BuildError::NoArtifact(package.clone()))?;
            componentize(engines, &package, module, out)
        })
        .collect()
}

fn componentize(
    engines: &Engines,
    package: &str,
    module: &Path,
    out: Option<&Path>,
) -> Result<Built, BuildError> {
    let encode = |reason: String| BuildError::Encode {
        package: package.to_owned(),
        reason,
    };
    let bytes = std::fs::read(module).map_err(|source| PluginError::Unreadable {
        path: module.to_owned(),
        source,
    })?;
    let component = wit_component::ComponentEncoder::default()
        .validate(true)
        .module(&bytes)
        .and_then(|mut encoder| encoder.encode())
        .map_err(|error| encode(format!("{error:#}")))?;
    let kind = inspect::kind_of(&component)
        .ok_or_else(|| encode("it exports neither a strategy nor a provider".into()))?;
    let checked = Component::from_bytes(engines, kind, package, &component, None)?;
    let folder = match out {
        Some(folder) => folder.to_owned(),
        // …/target/wasm32-unknown-unknown/guest/x.wasm
        None => module.ancestors().nth(3).unwrap_or(module).join("plugins"),
    };
    let path = folder.join(format!("{package}.wasm"));
    let unwritten = |source| BuildError::Write {
        path: path.clone(),
        source,
    };
    std::fs::create_dir_all(&folder).map_err(unwritten)?;
    // An unchanged component keeps its time, so that nothing downstream looks stale.
    if std::fs::read(&path).ok().as_deref() != Some(&component) {
        std::fs::write(&path, &component).map_err(unwritten)?;
    }
    Ok(Built {
        package: package.to_owned(),
        path,
        digest: checked.digest().clone(),
        size_bytes: component.len(),
    })
}

fn package_name(folder: &Path) -> Result<String, BuildError> {
    let no_crate = || BuildError::NoCrate(folder.to_owned());
    let text = std::fs::read_to_string(folder.join("Cargo.toml")).map_err(|_| no_crate())?;
    let manifest: toml::Table = text.parse().map_err(|_| no_crate())?;
    manifest
        .get("package")
        .and_then(|package| package.get("name"))
        .and_then(|name| name.as_str())
        .map(str::to_owned)
        .ok_or_else(no_crate)
}

fn workspace_of(folder: &Path) -> Result<PathBuf, BuildError> {
    let output = Command::new("cargo")
        .args([
            "locate-project",
            "--workspace",
            "--message-format",
            "plain",
            "--manifest-path",
        ])
        .arg(folder.join("Cargo.toml"))
        .stderr(Stdio::inherit())
        .output()
        .map_err(|source| BuildError::NoToolchain {
            program: "cargo".to_owned(),
            source,
        })?;
    let path = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() {
        Ok(path.into())
    } else {
        Err(BuildError::NoCrate(folder.to_owned()))
    }
}

/// How to compile for the target on this machine.
enum Toolchain {
    /// The toolchain at hand has the target's standard library.
    AtHand,
    /// A distribution's toolchain, building the standard library from its sources.
    Distribution,
}

impl Toolchain {
    fn find() -> Result<Self, BuildError> {
        let quiet = |program: &str, args: &[&str]| {
            Command::new(program)
                .args(args)
                .stdin(Stdio::null())
                .stderr(Stdio::null())
                .output()
                .ok()
        };
        let has_target = || {
            quiet("rustc", &["--print", "target-libdir", "--target", TARGET]).is_some_and(
                |output| Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir(),
            )
        };
        if has_target() {
            return Ok(Self::AtHand);
        }
        let added = quiet("rustup", &["target", "add", TARGET])
            .is_some_and(|output| output.status.success());
        if added && has_target() {
            return Ok(Self::AtHand);
        }
        let distribution = ["/usr/bin/rustc", "/usr/bin/cargo", "/usr/bin/wasm-ld"];
        if distribution
            .iter()
            .all(|program| Path::new(program).exists())
        {
            return Ok(Self::Distribution);
        }
        Err(BuildError::NoTarget)
    }

    /// Compiles packages of one workspace; answers the module of each.
    fn compile(
        &self,
        purpose: Purpose,
        workspace: &Path,
        packages: &[String],
    ) -> Result<BTreeMap<String, PathBuf>, BuildError> {
        let program = match self {
            Self::AtHand => "cargo",
            Self::Distribution => "/usr/bin/cargo",
        };
        let mut command = Command::new(program);
        command.args(["build", "--profile", "guest", "--target", TARGET]);
        command
            .args([
                "--message-format",
                "json-render-diagnostics",
                "--manifest-path",
            ])
            .arg(workspace);
        command.args(purpose.profile().flat_map(|setting| ["--config", setting]));
        command.args(
            packages
                .iter()
                .flat_map(|package| ["--package", package.as_str()]),
        );
        if matches!(self, Self::Distribution) {
            command.arg("-Zbuild-std=std,panic_abort");
            command.envs([
                (
                    "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER",
                    OsString::from("wasm-ld"),
                ),
                ("RUSTC_BOOTSTRAP", OsString::from("1")),
                ("RUSTC", OsString::from("/usr/bin/rustc")),
            ]);
        }
        let output = command
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .map_err(|source| BuildError::NoToolchain {
                program: program.to_owned(),
                source,
            })?;
        if !output.status.success() {
            return Err(BuildError::Compile(packages.join(", ")));
        }
        Ok(artifacts(
            &String::from_utf8_lossy(&output.stdout),
            packages,
        ))
    }
}

/// The WebAssembly modules in cargo's messages, by package.
fn artifacts(messages: &str, packages: &[String]) -> BTreeMap<String, PathBuf> {
    let mut found = BTreeMap::new();
    for message in messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
    {
        let files = message.get("filenames").and_then(Value::as_array);
        let module = files
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .find(|file| file.ends_with(".wasm"));
        let id = message
            .get("package_id")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let package = packages.iter().find(|package| is_package(id, package));
        if let (Some(module), Some(package)) = (module, package) {
            found.insert(package.clone(), PathBuf::from(module));
        }
    }
    found
}

/// Whether cargo's package id (`path+file:///…/name#version` or `…#name@version`) is of `package`.
fn is_package(id: &str, package: &str) -> bool {
    let Some((url, fragment)) = id.rsplit_once('#') else {
        return false;
    };
    match fragment.split_once('@') {
        Some((name, _)) => name == package,
        None => url.rsplit('/').next() == Some(package),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn artifacts_are_found_by_package_id() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","package_id":"path+file:///x/replica#strategy-replica@0.1.0","filenames":["/t/strategy_replica.wasm"]}"#,
            "\n",
            r#"{"reason":"compiler-artifact","package_id":"path+file:///x/acme#0.1.0","filenames":["/t/acme.wasm"]}"#,
            "\n",
            r#"{"reason":"compiler-artifact","package_id":"registry+x#serde@1.0.0","filenames":["/t/libserde.rlib"]}"#,
        );
        let packages = ["strategy-replica".to_owned(), "acme".to_owned()];
        let found = artifacts(messages, &packages);
        assert_eq!(found.len(), 2);
        assert_eq!(
            found["strategy-replica"],
            PathBuf::from("/t/strategy_replica.wasm")
        );
    }
}
