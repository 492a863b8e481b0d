//! Where to look when users are not served as they should be after the flip: what is served, what the application and its
//! database say of themselves, what the nodes are short of, and the last lines that were logged.
//!
//! Only reads, and none of them ends a step: what cannot be read is a finding too. Start at [`diagnose`].

use understudy_sdk::strategy::understudy::certificates::certificates;
use understudy_sdk::strategy::understudy::control::control;
use understudy_sdk::strategy::understudy::database::database::{self, Role};
use understudy_sdk::strategy::understudy::ingress::ingress;
use understudy_sdk::strategy::understudy::kubernetes::kubernetes;
use understudy_sdk::strategy::understudy::workload::workload;

use crate::check::judged;
use crate::parameters::Pods;
use crate::recovery::{Recovery, attach_text};
use crate::{Error, Finding, certify, check, fault, nodes};

/// Lines of each pod that are kept.
const LOG_LINES: u32 = 50;
/// Most bytes of logs of a namespace that are kept, the last ones.
const MAX_LOG_BYTES: usize = 16 * 1024;

/// True where nodes or pods are looked at.
#[must_use]
pub fn looks_at_cluster(recovery: &Recovery) -> bool {
    let diagnosis = &recovery.parameters.diagnosis;
    diagnosis.nodes || !diagnosis.logs.is_empty()
}

/// What was missed, in words, and what was found where such things come from. Everything that was seen is attached.
///
/// # Errors
/// Whatever `control` answers. What else cannot be read is a finding.
pub fn diagnose(recovery: &Recovery, missed: &str) -> Result<String, Error> {
    let mut found = service(recovery);
    if recovery.parameters.diagnosis.nodes {
        found.push(judged(
            "nodes-well",
            kubernetes::list_node_conditions(recovery.to()),
            |conditions| {
                let mut problems = nodes::not_ready(&conditions);
                problems.extend(nodes::short_of(&conditions));
                let all = nodes::names(&conditions).len();
                let said = if problems.is_empty() {
                    format!("{all} nodes are Ready and short of nothing")
                } else {
                    problems.join(", ")
                };
                (problems.is_empty(), said)
            },
        ));
    }
    check::attach_findings(&found, "diagnosis")?;
    for pods in &recovery.parameters.diagnosis.logs {
        keep_logs(recovery, pods)?;
    }
    let suspects: Vec<_> = found.iter().filter(|one| !one.ok).collect();
    let seen = match suspects.as_slice() {
        [] => "nothing else is wrong that could be seen".to_owned(),
        some => {
            let all = some
                .iter()
                .map(|one| format!("{} ({})", one.id, one.detail));
            format!("look at {}", all.collect::<Vec<_>>().join("; "))
        }
    };
    Ok(format!("{missed}; {seen}"))
}

/// Certificate, way in, replicas, and the database that they were told of.
fn service(recovery: &Recovery) -> Vec<Finding> {
    let (to, parameters) = (recovery.to(), &recovery.parameters);
    let name = &parameters.records.active;
    let mut found = vec![judged(
        "certificate-served",
        certificates::observe_served(to, name).and_then(|served| Ok((served, control::now()?))),
        |(served, now)| match certify::problem_with(&served, name, now, 0) {
            Some(problem) => (false, problem),
            None => (true, format!("valid for {name}")),
        },
    )];
    if parameters.expose {
        let seen = ingress::observe(to, &parameters.app);
        found.push(judged("way-in-open", seen, |seen| {
            let open = seen.controller_ready && seen.healthy;
            (open, format!("reached at {}", seen.addresses.join(", ")))
        }));
    }
    let writer = database::observe(to, &parameters.database);
    let app = workload::observe(to, &parameters.app);
    found.push(judged("replicas-ready", app.clone(), |seen| {
        let ready = seen.ready >= seen.desired && seen.ready > 0;
        (ready, format!("{} of {} are", seen.ready, seen.desired))
    }));
    let endpoints = app.and_then(|app| Ok((app.database_endpoint, writer.clone()?.endpoint)));
    found.push(judged(
        "application-has-its-database",
        endpoints,
        |(held, writer)| {
            (
                held == writer,
                format!("it is told {held}, and {writer} is the one"),
            )
        },
    ));
    found.push(judged("database-writes", writer, |seen| {
        let writes = seen.role == Role::Primary && !seen.read_only;
        let how = if writes { "accepts" } else { "refuses" };
        (writes, format!("{} {how} writes", seen.endpoint))
    }));
    found
}

/// Attaches the last lines that pods have logged.
fn keep_logs(recovery: &Recovery, of: &Pods) -> Result<(), Error> {
    let logs = kubernetes::get_pod_logs(recovery.to(), &of.namespace, &of.selector, LOG_LINES);
    let said = match &logs {
        Ok(lines) => last(lines, MAX_LOG_BYTES).to_owned(),
        Err(error) => format!("no logs: {}", fault::say(error)),
    };
    attach_text(&format!("logs-{}", of.namespace), said)
}

/// The last so many bytes of a text, from the beginning of a character.
fn last(text: &str, bytes: usize) -> &str {
    let from = text.len().saturating_sub(bytes);
    let from = (from..=text.len()).find(|&at| text.is_char_boundary(at));
    from.and_then(|from| text.get(from..)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::last;

    #[test]
    fn the_end_of_a_text_begins_with_a_whole_character() {
        assert_eq!(last("abc", 10), "abc");
        assert_eq!(last("abc", 2), "bc");
        assert_eq!(last("aéc", 2), "c");
        assert_eq!(last("aéc", 3), "éc");
        assert_eq!(last("", 3), "");
    }
}
