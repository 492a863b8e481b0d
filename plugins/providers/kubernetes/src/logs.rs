//! Logs of several containers as one text within the contract's bound. Pure.

use understudy_sdk::host::understudy::types::types::Error;

/// Most bytes of one answer: as the contract says.
const LOG_BYTES: usize = 64 * 1024;

/// What a container has said, or why that cannot be read.
pub(crate) struct Said {
    /// Its pod and its own name.
    pub(crate) of: String,
    /// Its last lines.
    pub(crate) log: Result<String, Error>,
}

/// All logs, each below the name of its container and with its share of the bound: one that says much hides no other.
///
/// # Errors
/// Where no log at all could be read, what the first one answered. One of several is a line of the answer: a container
/// that has not started has none, and a node may be away.
pub(crate) fn joined(all: Vec<Said>) -> Result<String, Error> {
    let mut first = None;
    let share = LOG_BYTES / all.len().max(1);
    let (mut text, mut read) = (String::new(), all.is_empty());
    for Said { of, log } in all {
        let head = format!("==> {of}\n");
        let room = share.saturating_sub(head.len() + 1);
        text.push_str(&head);
        match log {
            Ok(log) => {
                read = true;
                text.push_str(end(&log, room));
            }
            Err(error) => {
                text.push_str(end(&format!("no log: {error:?}"), room));
                first = first.or(Some(error));
            }
        }
        if !text.ends_with('\n') {
            text.push('\n');
        }
    }
    match first {
        Some(error) if !read => Err(error),
        _ => Ok(end(&text, LOG_BYTES).to_owned()),
    }
}

/// The end of a text, from the beginning of a line where it is cut.
fn end(text: &str, bytes: usize) -> &str {
    if text.len() <= bytes {
        return text;
    }
    let cut = text.ceil_char_boundary(text.len() - bytes);
    let (before, end) = text.split_at_checked(cut).unwrap_or(("", text));
    if before.ends_with('\n') {
        return end;
    }
    end.split_once('\n').map_or(end, |(_, lines)| lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(of: &str, log: &str) -> Said {
        Said {
            of: of.to_owned(),
            log: Ok(log.to_owned()),
        }
    }

    #[test]
    fn each_container_has_its_share_and_is_cut_at_a_line() {
        let loud = "0123456789\n".repeat(LOG_BYTES);
        let text = joined(vec![
            said("a php", &loud),
            said("b php", "quiet\n"),
            said("c php", &loud),
        ])
        .unwrap();
        assert!(text.len() <= LOG_BYTES && text.len() > LOG_BYTES / 2);
        assert!(
            text.starts_with("==> a php\n0123456789\n"),
            "{}",
            &text[..40]
        );
        assert!(text.contains("9\n==> b php\nquiet\n==> c php\n0123456789\n"));
        assert_eq!(joined(Vec::new()).unwrap(), "");
        assert_eq!(
            joined(vec![said("a", "no end")]).unwrap(),
            "==> a\nno end\n"
        );
    }

    #[test]
    fn so_many_containers_that_nothing_is_left_for_each_stay_within_the_bound() {
        let many = (0..LOG_BYTES).map(|n| said(&n.to_string(), "a line\n"));
        let text = joined(many.collect()).unwrap();
        assert!(text.len() <= LOG_BYTES && text.starts_with("==> "));
        let umlauts = "ü".repeat(LOG_BYTES);
        assert!(joined(vec![said("a", &umlauts)]).unwrap().len() <= LOG_BYTES);
    }

    #[test]
    fn a_log_that_is_missing_is_said_unless_there_is_no_other() {
        let missing = || Said {
            of: "b php".to_owned(),
            log: Err(Error::Invalid("waiting to start".to_owned())),
        };
        let text = joined(vec![missing(), said("a php", "ready\n")]).unwrap();
        assert!(text.contains("waiting to start") && text.contains("==> a php\nready\n"));
        assert!(matches!(joined(vec![missing()]), Err(Error::Invalid(_))));
    }
}
