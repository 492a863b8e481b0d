//! JUnit XML, for the CI systems that show it: suites of cases that passed, failed or were skipped.

use std::fmt::Write as _;

use crate::report::units::{lines, one_line};

/// Cases that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suite {
    /// Its name, which is also the class of its cases.
    pub name: String,
    /// The cases.
    pub cases: Vec<Case>,
}

/// One case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// Unique within the suite.
    pub name: String,
    /// How it came out.
    pub judged: Judged,
}

/// How a case came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judged {
    /// As it should.
    Passed,
    /// Not as it should.
    Failed {
        /// Why, on one line.
        message: String,
        /// What helps to see it.
        text: String,
    },
    /// It was not tried.
    Skipped {
        /// Why, on one line.
        message: String,
    },
}

/// The document.
#[must_use]
pub fn render(suites: &[Suite]) -> String {
    let suites: String = suites.iter().map(suite).collect();
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n{suites}</testsuites>\n")
}

fn suite(suite: &Suite) -> String {
    let name = attribute(&suite.name);
    let (mut cases, mut failures, mut skipped) = (String::new(), 0, 0);
    for case in &suite.cases {
        let head = format!(
            "    <testcase classname=\"{name}\" name=\"{}\"",
            attribute(&case.name)
        );
        // Writing to a string cannot fail.
        match &case.judged {
            Judged::Passed => writeln!(cases, "{head}/>").ok(),
            Judged::Failed { message, text } => {
                failures += 1;
                writeln!(
                    cases,
                    "{head}>\n      <failure message=\"{}\">{}</failure>\n    </testcase>",
                    attribute(message),
                    escaped(text)
                )
                .ok()
            }
            Judged::Skipped { message } => {
                skipped += 1;
                writeln!(
                    cases,
                    "{head}>\n      <skipped message=\"{}\"/>\n    </testcase>",
                    attribute(message)
                )
                .ok()
            }
        };
    }
    let tests = suite.cases.len();
    format!(
        "  <testsuite name=\"{name}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"0\" skipped=\"{skipped}\">\n{cases}  </testsuite>\n"
    )
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

    #[test]
    fn what_was_skipped_is_neither_passed_nor_failed() {
        let case = |name: &str, judged| Case {
            name: name.to_owned(),
            judged,
        };
        let message = "no".to_owned();
        let rendered = render(&[Suite {
            name: "s".to_owned(),
            cases: vec![
                case("a", Judged::Passed),
                case("b", Judged::Skipped { message }),
            ],
        }]);
        assert!(
            rendered.contains("tests=\"2\" failures=\"0\" errors=\"0\" skipped=\"1\""),
            "{rendered}"
        );
        assert!(rendered.contains("<skipped message=\"no\"/>"), "{rendered}");
    }
}
