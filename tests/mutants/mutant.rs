//! A mutant: its name, what it changes, and what is to catch it.

use serde::Deserialize;

use crate::root;
use crate::trial::Verdict;

/// One mutant.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Mutant {
    /// What is wrong with it, in kebab-case.
    pub(crate) name: String,
    /// What it changes, below `plugins`. More than one where a guard has another behind it.
    edits: Vec<Edit>,
    /// What it changes in the runbook, where that would refuse it.
    #[serde(default)]
    runbook: Vec<Change>,
    /// Codes of rules that must catch it; others may too.
    #[serde(default)]
    caught_by: Vec<String>,
    /// Why no shipped scenario feels it: mostly another guard behind it.
    unfelt: Option<String>,
}

/// A change of a file.
#[derive(Debug, Deserialize)]
struct Edit {
    file: String,
    #[serde(flatten)]
    change: Change,
}

/// A text that stands once, and what takes its place.
#[derive(Debug, Deserialize)]
struct Change {
    find: String,
    replace: String,
}

impl Change {
    fn apply(&self, text: &str, mutant: &str) -> String {
        let (there, find) = (text.matches(&self.find).count(), &self.find);
        assert_eq!(there, 1, "{mutant}: this stands {there} times: {find}");
        text.replacen(find, &self.replace, 1)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    mutants: Vec<Mutant>,
}

impl Mutant {
    /// Those of every file beside this one.
    pub(crate) fn all() -> Vec<Self> {
        let folder = std::fs::read_dir(root().join("tests/mutants")).unwrap();
        let mut files: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
        files.retain(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        });
        files.sort();
        let read = |path: std::path::PathBuf| {
            let text = std::fs::read_to_string(&path).unwrap();
            let file: File =
                toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            file.mutants
        };
        let mutants: Vec<Self> = files.into_iter().flat_map(read).collect();
        for mutant in &mutants {
            assert!(
                mutant.caught_by.is_empty() == mutant.unfelt.is_some(),
                "{}: say what catches it, or what holds without it",
                mutant.name
            );
            let same = mutants.iter().filter(|other| other.name == mutant.name);
            assert_eq!(same.count(), 1, "{}", mutant.name);
        }
        mutants
    }

    /// The files it changes, each with its new text.
    pub(crate) fn changed(&self, read: impl Fn(&str) -> String) -> Vec<(&str, String)> {
        let mut changed: Vec<(&str, String)> = Vec::new();
        for edit in &self.edits {
            if !changed.iter().any(|(file, _)| *file == edit.file) {
                changed.push((&edit.file, read(&edit.file)));
            }
            let text = changed.iter_mut().find(|(file, _)| *file == edit.file);
            let (_, text) = text.unwrap();
            *text = edit.change.apply(text, &self.name);
        }
        changed
    }

    /// The runbook with what it changes there.
    pub(crate) fn runbook(&self, text: &str) -> String {
        let changes = self.runbook.iter();
        changes.fold(text.to_owned(), |text, change| {
            change.apply(&text, &self.name)
        })
    }

    /// Why no shipped scenario feels it, where none does.
    pub(crate) fn unfelt(&self) -> Option<&str> {
        self.unfelt.as_deref()
    }

    /// Whether everything that must catch it has.
    pub(crate) fn is_caught(&self, verdict: &Verdict) -> bool {
        let caught = |code| verdict.codes.contains(code);
        !self.caught_by.is_empty() && self.caught_by.iter().all(caught)
    }

    /// What is wrong with what came of it.
    pub(crate) fn problem_with(&self, verdict: &Verdict) -> Option<String> {
        let name = &self.name;
        if self.unfelt.is_none() && verdict.codes.is_empty() {
            return Some(format!("{name}: nothing catches it"));
        }
        let missing = self
            .caught_by
            .iter()
            .find(|code| !verdict.codes.contains(*code));
        missing.map(|code| {
            format!(
                "{name}: {code} does not catch it; {}",
                verdict.in_one_line()
            )
        })
    }
}
