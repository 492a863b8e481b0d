//! What Terraform says with `-json`: one object per line (its machine-readable UI, version 1.2). Pure.

use serde::Deserialize;
use understudy_sdk::host::understudy::types::types::Error;

use crate::infrastructure::{Action, Change, Difference, Lock};

/// Most changes told, as the contract says.
const MAX_CHANGES: usize = 1000;

/// The summary of the error where somebody else holds the lock.
const LOCKED: &str = "Error acquiring the state lock";

/// A line that matters here; every other is of no interest.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line {
    PlannedChange {
        change: Planned,
    },
    ResourceDrift {
        change: Planned,
    },
    Diagnostic {
        diagnostic: Diagnostic,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Planned {
    resource: Resource,
    action: String,
}

#[derive(Deserialize)]
struct Resource {
    addr: String,
}

#[derive(Deserialize)]
struct Diagnostic {
    severity: String,
    summary: String,
    #[serde(default)]
    detail: String,
}

/// What was said.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) difference: Difference,
    /// Summary and detail of each error.
    pub(crate) errors: Vec<(String, String)>,
}

#[expect(clippy::derivable_impls, reason = "the type is generated")]
impl Default for Difference {
    fn default() -> Self {
        Self {
            changes: Vec::new(),
            drifted: Vec::new(),
        }
    }
}

impl Said {
    /// Reads standard output. A line that cannot be read is of a version that says something new.
    pub(crate) fn read(stdout: &[u8]) -> Self {
        let mut said = Self::default();
        for line in stdout.split(|byte| *byte == b'\n') {
            match serde_json::from_slice(line) {
                Ok(Line::PlannedChange { change }) => {
                    add(&mut said.difference.changes, change);
                }
                Ok(Line::ResourceDrift { change }) => {
                    add(&mut said.difference.drifted, change);
                }
                Ok(Line::Diagnostic { diagnostic }) if diagnostic.severity == "error" => {
                    said.errors.push((diagnostic.summary, diagnostic.detail));
                }
                Ok(Line::Diagnostic { .. } | Line::Other) | Err(_) => {}
            }
        }
        said
    }

    /// Who holds the lock, where that is why it gave up.
    pub(crate) fn lock(&self) -> Option<Lock> {
        let (_, detail) = self.errors.iter().find(|(summary, _)| summary == LOCKED)?;
        let info = |name: &str| {
            let mut lines = detail.lines().map(str::trim);
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim))
        };
        let held: Vec<String> = ["Who", "Operation", "Created", "Info"]
            .iter()
            .filter_map(|name| Some((name, info(name).filter(|text| !text.is_empty())?)))
            .map(|(name, text)| format!("{}: {text}", name.to_lowercase()))
            .collect();
        Some(Lock {
            id: info("ID").unwrap_or_default().to_owned(),
            holder: held.join(", "),
        })
    }

    /// Why it gave up, in its words.
    pub(crate) fn error(&self, what: &str, last_words: &str) -> Error {
        if let Some(lock) = self.lock() {
            return Error::Conflict(format!(
                "{what}: the state is locked by {} (lock {})",
                lock.holder, lock.id
            ));
        }
        let words = self.errors.iter().map(|(summary, detail)| {
            let detail: Vec<&str> = detail.split_whitespace().collect();
            format!("{summary}: {}", detail.join(" "))
        });
        let words: Vec<String> = words.collect();
        match words.is_empty() {
            true => Error::Other(format!("{what}: {last_words}")),
            false => Error::Other(format!("{what}: {}", words.join("; "))),
        }
    }
}

fn add(changes: &mut Vec<Change>, planned: Planned) {
    let action = match planned.action.as_str() {
        "create" => Action::Create,
        "update" => Action::Update,
        "replace" => Action::Replace,
        "delete" => Action::Destroy,
        // `noop`, `read`, `move`, `import`, `forget`: nothing of what exists is changed.
        _ => return,
    };
    if changes.len() < MAX_CHANGES {
        changes.push(Change {
            address: planned.resource.addr,
            action,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &str = r#"{"@level":"info","@message":"Terraform 1.11.4","terraform":"1.11.4","type":"version","ui":"1.2"}
{"@level":"info","change":{"resource":{"addr":"terraform_data.database","module":""},"action":"replace","reason":"cannot_update"},"type":"planned_change"}
{"@level":"info","change":{"resource":{"addr":"data.http.x"},"action":"read"},"type":"planned_change"}
{"@level":"info","change":{"resource":{"addr":"terraform_data.slow"},"action":"delete"},"type":"resource_drift"}
{"@level":"info","changes":{"add":1,"change":0,"remove":1,"operation":"plan"},"type":"change_summary"}
"#;

    #[test]
    fn changes_and_drift_are_told_apart() {
        let said = Said::read(PLAN.as_bytes());
        let told = |changes: &[Change]| -> Vec<(String, Action)> {
            changes
                .iter()
                .map(|change| (change.address.clone(), change.action))
                .collect()
        };
        assert_eq!(
            told(&said.difference.changes),
            [("terraform_data.database".to_owned(), Action::Replace)]
        );
        assert_eq!(
            told(&said.difference.drifted),
            [("terraform_data.slow".to_owned(), Action::Destroy)]
        );
        assert!(said.errors.is_empty() && said.lock().is_none());
    }

    #[test]
    fn the_holder_of_a_lock_is_named() {
        let line = serde_json::json!({
            "type": "diagnostic", "@level": "error",
            "diagnostic": { "severity": "error", "summary": LOCKED,
                "detail": "Error message: resource temporarily unavailable\nLock Info:\n  ID:        7f3a\n  Path:      x\n  Operation: OperationTypeApply\n  Who:       sam@ops\n  Version:   1.11.4\n  Created:   2026-11-21 10:00:00 +0000 UTC\n  Info:      \n\nTerraform acquires a state lock" }
        });
        let said = Said::read(line.to_string().as_bytes());
        let lock = said.lock().unwrap();
        assert_eq!(lock.id, "7f3a");
        assert_eq!(
            lock.holder,
            "who: sam@ops, operation: OperationTypeApply, created: 2026-11-21 10:00:00 +0000 UTC"
        );
        assert!(
            matches!(said.error("plan", ""), Error::Conflict(text) if text.contains("sam@ops"))
        );
    }
}
