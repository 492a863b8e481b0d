//! Storage that replicates: a zone's new media appear in the other zone a moment later, as long as this zone lives.
//!
//! Files are only ever added: nothing here deletes, so a file that one zone has lost comes from the other.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::time::sleep;

use super::{Config, log};
use crate::wordpress::{Files, files_below};

/// Time between two looks.
const PERIOD: Duration = Duration::from_millis(200);
/// While this file is in the agent's folder, nothing is copied.
pub const PAUSED: &str = "mirror-paused";
/// Name of a copy that is not finished.
const UNFINISHED: &str = ".mirrored";

/// Copies for ever.
pub(super) async fn run(config: &Config) {
    let (own, other) = (
        Files::at(&config.wordpress).uploads(),
        Files::at(&config.other_wordpress).uploads(),
    );
    let paused = config.folder.join(PAUSED);
    let mut last = String::new();
    loop {
        sleep(PERIOD).await;
        if paused.exists() {
            continue;
        }
        let failure = copy_new(&own, &other)
            .err()
            .map(|error| format!("media: {error:#}"))
            .unwrap_or_default();
        if failure != last && !failure.is_empty() {
            log(&failure);
        }
        last = failure;
    }
}

/// Copies every file that the other folder does not have, or has shorter: WordPress writes the sizes of a picture
/// where they stay.
fn copy_new(own: &Path, other: &Path) -> Result<()> {
    for file in files_below(own)? {
        let name = file.strip_prefix(own)?;
        let copy = other.join(name);
        let length = |path: &Path| fs::metadata(path).ok().map(|file| file.len());
        let is_unfinished = file
            .extension()
            .is_some_and(|extension| extension == "mirrored");
        if is_unfinished || length(&copy) >= length(&file) {
            continue;
        }
        let folder = copy.parent().context("no folder")?;
        let unfinished = folder.join(format!(
            "{}{UNFINISHED}",
            name.file_name().unwrap_or_default().display()
        ));
        fs::create_dir_all(folder)?;
        fs::copy(&file, &unfinished)?;
        fs::rename(&unfinished, &copy)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_and_grown_files_are_copied_and_nothing_is_deleted() {
        let (own, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir_all(own.path().join("2026/11")).unwrap();
        fs::write(own.path().join("2026/11/a.png"), "whole").unwrap();
        fs::write(own.path().join("b.png.mirrored"), "half").unwrap();
        fs::create_dir_all(other.path().join("2026/11")).unwrap();
        fs::write(other.path().join("2026/11/a.png"), "wh").unwrap();
        fs::write(other.path().join("kept.png"), "kept").unwrap();
        copy_new(own.path(), other.path()).unwrap();
        let mut files = files_below(other.path()).unwrap();
        files.sort();
        let names: Vec<_> = files
            .iter()
            .map(|file| file.strip_prefix(other.path()).unwrap())
            .collect();
        assert_eq!(names, [Path::new("2026/11/a.png"), Path::new("kept.png")]);
        assert_eq!(
            fs::read_to_string(other.path().join("2026/11/a.png")).unwrap(),
            "whole"
        );
    }
}
