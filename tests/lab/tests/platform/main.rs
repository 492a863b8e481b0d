//! The lab with two whole zones: what a recovery will rely on must be seen to be so here first.
//!
//! `standing` is how it comes up and goes, `writing` what users do, `running` how a zone follows its cluster,
//! `certificates` who issues them, `access` what a recovery may do. Every wait is for a condition, with a limit that only
//! bounds a failure.

mod access;
mod certificates;
mod running;
mod standing;
mod writing;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use understudy_lab::cli::is_alive;
use understudy_lab::clock::{LIMIT, eventually};
use understudy_lab::lab::Options;
use understudy_lab::platform::{ADMIN, Platform};
use understudy_lab::wordpress::session::Session;
use understudy_lab::zone::Zone;

fn options() -> Options {
    Options::new(env!("CARGO_BIN_EXE_understudy-lab"))
}

/// Every process that has to do with a folder: it is named on their command line, or they hold a file below it open.
/// Workers show a title of their own instead of a command line.
fn processes(folder: &Path) -> Result<BTreeMap<u32, String>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let Ok(id) = entry.file_name().to_string_lossy().parse() else {
            continue;
        };
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        let open = fs::read_dir(entry.path().join("fd"));
        let holds = open
            .into_iter()
            .flatten()
            .flatten()
            .flat_map(|file| fs::read_link(file.path()))
            .any(|file| file.starts_with(folder));
        let named = line.contains(&folder.display().to_string());
        if is_alive(id) && id != std::process::id() && (holds || named) {
            found.insert(id, line);
        }
    }
    Ok(found)
}

/// How many processes of a folder have a title that begins so.
fn count(folder: &Path, title: &str) -> Result<usize> {
    let found = processes(folder)?;
    Ok(found
        .values()
        .filter(|line| line.starts_with(title))
        .count())
}

async fn gone(folder: &Path) -> Result<()> {
    eventually("every process to be gone", LIMIT, async || {
        let left = processes(folder)?;
        ensure!(left.is_empty(), "left: {left:?}");
        Ok(Some(()))
    })
    .await
}

/// What users get at a zone for a path: status, zone and page.
async fn get(platform: &Platform, zone: &Zone, path: &str) -> Result<(u16, String, String)> {
    let client = zone.client(&platform.roots, &Platform::name())?;
    let answer = client
        .get(format!("{}{path}", platform.home()))
        .send()
        .await?;
    let zone = answer.headers().get("x-zone").context("no x-zone")?;
    let zone = zone.to_str()?.to_owned();
    Ok((answer.status().as_u16(), zone, answer.text().await?))
}

async fn answers(platform: &Platform, zone: &Zone, path: &str, status: u16) -> Result<()> {
    eventually(&format!("{status} at {path}"), LIMIT, async || {
        let (seen, ..) = get(platform, zone, path).await?;
        ensure!(seen == status, "{seen}");
        Ok(Some(()))
    })
    .await
}

async fn log_in(platform: &Platform, zone: &Zone) -> Result<(Session, reqwest::Client)> {
    let client = zone.client(&platform.roots, &Platform::name())?;
    let (home, password) = (platform.home(), platform.admin_password());
    let session = Session::log_in(&client, &home, ADMIN, password).await?;
    Ok((session, client))
}
