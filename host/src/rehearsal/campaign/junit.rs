//! A campaign as JUnit XML, for the CI systems that show it: one suite per scenario, one case per rule and per
//! required probability.

use std::fmt::Write as _;

use super::summary::{BrokenRule, Summary};
use crate::rehearsal::trace;
use crate::report::units::{lines, one_line};

/// Something that was required beside the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// Which scenario.
    pub scenario: String,
    /// What, for example `rto met in 95 % of the runs`.
    pub name: String,
    /// Why it is not met; `None` where it is.
    pub failure: Option<String>,
    /// Seed of the run that shows it best.
    pub seed: u64,
}

/// The document. `reproduce` is the command that repeats the run of a seed.
#[must_use]
pub fn render(
    summaries: &[Summary],
    requirements: &[Requirement],
    reproduce: &dyn Fn(&Summary, u64) -> String,
) -> String {
    let suites: String = summaries
        .iter()
        .map(|summary| suite(summary, requirements, reproduce))
        .collect();
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n{suites}</testsuites>\n")
}

fn suite(
    summary: &Summary,
    requirements: &[Requirement],
    reproduce: &dyn Fn(&Summary, u64) -> String,
) -> String {
    let class = format!("{}.{}", summary.runbook, summary.scenario);
    let (mut cases, mut tests, mut failures) = (String::new(), 0, 0);
    let mut case = |name: &str, failure: Option<(String, String)>| {
        tests += 1;
        let head = format!(
            "    <testcase classname=\"{}\" name=\"{}\"",
            attribute(&class),
            attribute(name)
        );
        // Writing to a string cannot fail.
        match failure {
            None => writeln!(cases, "{head}/>").ok(),
            Some((message, text)) => {
                failures += 1;
                writeln!(
                    cases,
                    "{head}>\n      <failure message=\"{}\">{}</failure>\n    </testcase>",
                    attribute(&message),
                    escaped(&text)
                )
                .ok()
            }
        };
    };
    for (code, name) in trace::names() {
        let broken = summary.broken.iter().find(|broken| broken.code == code);
        let failure = broken.map(|broken| failure(summary, broken, reproduce));
        case(&format!("{code} {name}"), failure);
    }
    for requirement in requirements {
        if requirement.scenario == summary.scenario {
            let failure = requirement.failure.clone();
            case(&requirement.name, failure.map(|why| (why.clone(), why)));
        }
    }
    format!(
        "  <testsuite name=\"{}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"0\" skipped=\"0\">\n{cases}  </testsuite>\n",
        attribute(&class)
    )
}

fn failure(
    summary: &Summary,
    broken: &BrokenRule,
    reproduce: &dyn Fn(&Summary, u64) -> String,
) -> (String, String) {
    let first = broken.seeds.first().copied().unwrap_or(summary.first_seed);
    let message = format!(
        "{} of {} runs, first with seed {first}: {}",
        broken.runs, summary.runs, broken.message
    );
    let seeds: Vec<String> = broken.seeds.iter().map(u64::to_string).collect();
    let text = format!(
        "seeds {}\nreproduce: {}\n\n{}",
        seeds.join(", "),
        reproduce(summary, first),
        broken.minimal.scenario_toml
    );
    (message, text)
}

/// As an attribute's value, on one line.
fn attribute(text: &str) -> String {
    escaped(&one_line(text))
}

/// Text as XML 1.0 takes it; what it cannot hold becomes `�`.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in lines(text).chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_stays_text() {
        assert_eq!(escaped("a<b>&\"c\"\nd"), "a&lt;b&gt;&amp;&quot;c&quot;\nd");
        assert_eq!(attribute("a\nb"), "a b");
        assert_eq!(escaped("\u{1b}\u{ffff}"), "\u{fffd}\u{fffd}");
    }
}
