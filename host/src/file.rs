//! Files that are replaced in one step.

use std::fs;
use std::io;
use std::path::Path;

/// Writes a file whole or not at all: after a crash the old text is there or the new one, and what could not be written leaves
/// nothing beside it.
///
/// # Errors
/// What the system says.
pub fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    let replaced = fs::write(&new, text).and_then(|()| fs::rename(&new, path));
    if replaced.is_err() {
        fs::remove_file(&new).ok();
    }
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.md");
        replace(&path, "one").unwrap();
        replace(&path, "two").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        let occupied = folder.path().join("occupied");
        fs::create_dir_all(occupied.join("by-something")).unwrap();
        replace(&occupied, "a folder").unwrap_err();
        let mut names: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["occupied", "report.md"]);
    }
}
