//! Patterns for the arguments of a program: what may stand in one argument, and in which order.
//!
//! A pattern is held against a whole argument. It is literal text with at most one value in braces: `plan`,
//! `-var-file={path}`, `{name}`; `...` behind the last one of a form allows several arguments that fit it. A value never
//! begins with `-`, so that no option can stand where a value is expected, and a form fixes the place of every argument,
//! so that none can be put in between. Pure; `parse/program.rs` reports what [`Pattern::parse`] refuses.

use std::fmt;

/// Longest argument that a value may be part of, in bytes.
const MAX_VALUE_BYTES: usize = 1024;

/// Longest single name, in bytes.
const MAX_NAME_BYTES: usize = 128;

/// What one argument may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    before: String,
    value: Option<Value>,
    after: String,
    repeated: bool,
}

/// A value in braces.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    /// Letters, digits, `_`, `.` and `-`, beginning with a letter, a digit or `_`.
    Name,
    /// Digits.
    Number,
    /// Names joined by `,`.
    List,
    /// Names joined by `/`: below the folder that the program starts in.
    Path,
    /// `2026-01-31 10:00:00`, with or without a fraction.
    Time,
    /// One of these words.
    OneOf(Vec<String>),
}

/// Why a text is no pattern, in words that say what to write.
pub type Rule = &'static str;

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What to write instead.
    pub fn parse(text: &str) -> Result<Self, Rule> {
        let (text, repeated) = match text.strip_suffix("...") {
            Some(text) => (text, true),
            None => (text, false),
        };
        let plain = |text: &str| !text.contains(['{', '}', '\0']);
        let (before, value, after) = match text.split_once('{') {
            None => (text, None, ""),
            Some((before, rest)) => {
                let (name, after) = rest.split_once('}').ok_or("close the brace")?;
                (before, Some(Value::parse(name)?), after)
            }
        };
        if !plain(before) || !plain(after) {
            return Err("an argument has at most one value in braces");
        }
        if repeated && value.is_none() {
            return Err("`...` stands behind a pattern with a value");
        }
        if text.is_empty() {
            return Err("an argument is not empty");
        }
        Ok(Self {
            before: before.to_owned(),
            value,
            after: after.to_owned(),
            repeated,
        })
    }

    /// True where it allows several arguments.
    #[must_use]
    pub fn is_repeated(&self) -> bool {
        self.repeated
    }

    /// True where the whole argument fits.
    #[must_use]
    pub fn fits(&self, argument: &str) -> bool {
        let Some(value) = &self.value else {
            return argument == self.before;
        };
        argument
            .strip_prefix(self.before.as_str())
            .and_then(|rest| rest.strip_suffix(self.after.as_str()))
            .is_some_and(|text| text.len() <= MAX_VALUE_BYTES && value.fits(text))
    }
}

impl fmt::Display for Pattern {
    /// As it stands in a runbook.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { before, after, .. } = self;
        match &self.value {
            None => f.write_str(before)?,
            Some(value) => write!(f, "{before}{{{value}}}{after}")?,
        }
        f.write_str(if self.repeated { "..." } else { "" })
    }
}

impl Value {
    fn parse(name: &str) -> Result<Self, Rule> {
        match name {
            "name" => Ok(Self::Name),
            "number" => Ok(Self::Number),
            "list" => Ok(Self::List),
            "path" => Ok(Self::Path),
            "time" => Ok(Self::Time),
            words if words.contains('|') => {
                let words: Vec<String> = words.split('|').map(str::to_owned).collect();
                match words.iter().all(|word| is_name(word)) {
                    true => Ok(Self::OneOf(words)),
                    false => Err("each word of `{a|b}` is a name"),
                }
            }
            _ => Err("the values are {name}, {number}, {list}, {path}, {time} and {a|b}"),
        }
    }

    fn fits(&self, text: &str) -> bool {
        match self {
            Self::Name => is_name(text),
            Self::Number => !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()),
            Self::List => text.split(',').all(is_name),
            Self::Path => text.split('/').all(is_name),
            Self::Time => is_time(text),
            Self::OneOf(words) => words.iter().any(|word| word == text),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name => f.write_str("name"),
            Self::Number => f.write_str("number"),
            Self::List => f.write_str("list"),
            Self::Path => f.write_str("path"),
            Self::Time => f.write_str("time"),
            Self::OneOf(words) => f.write_str(&words.join("|")),
        }
    }
}

/// True where the arguments are those of this form, each in its place.
#[must_use]
pub fn form_fits(form: &[Pattern], arguments: &[String]) -> bool {
    let last = match form.last() {
        Some(last) if last.repeated => last,
        _ => {
            return form.len() == arguments.len() && each_fits(form, arguments);
        }
    };
    arguments.len() >= form.len()
        && each_fits(form, arguments)
        && arguments
            .iter()
            .skip(form.len())
            .all(|argument| last.fits(argument))
}

fn each_fits(form: &[Pattern], arguments: &[String]) -> bool {
    form.iter()
        .zip(arguments)
        .all(|(pattern, argument)| pattern.fits(argument))
}

/// A name that means itself to every program: no option, no folder, nothing that a shell would read.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let first = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    text.len() <= MAX_NAME_BYTES
        && text.bytes().next().is_some_and(first)
        && text.bytes().all(|b| first(b) || b == b'.' || b == b'-')
}

fn is_time(text: &str) -> bool {
    const SHAPE: &[u8] = b"0000-00-00 00:00:00";
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let shaped = |(byte, shape): (u8, &u8)| match shape {
        b'0' => byte.is_ascii_digit(),
        shape => byte == *shape,
    };
    whole.len() == SHAPE.len()
        && whole.bytes().zip(SHAPE).all(shaped)
        && (1..=6).contains(&fraction.len())
        && fraction.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(patterns: &[&str]) -> Vec<Pattern> {
        let parse = |text: &&str| Pattern::parse(text).unwrap();
        patterns.iter().map(parse).collect()
    }

    fn fits(patterns: &[&str], arguments: &[&str]) -> bool {
        let arguments: Vec<String> = arguments.iter().map(|&text| text.to_owned()).collect();
        form_fits(&form(patterns), &arguments)
    }

    #[test]
    fn values_are_of_their_kind_and_a_whole_argument_is_looked_at() {
        for (pattern, good, bad) in [
            ("plan", "plan", "planx"),
            ("plan", "plan", "plan\n"),
            ("{name}", "wp_1.sql-a", "wp 1"),
            ("{name}", "a", ""),
            ("{name}", "a", ".."),
            ("{name}", "a", "a/b"),
            ("--start={number}", "--start=12", "--start=1-2"),
            ("--at={list}", "--at=0-1-22,1-1-3", "--at=0-1-22,"),
            (
                "-var-file={path}",
                "-var-file=env/bz.tfvars",
                "-var-file=../bz.tfvars",
            ),
            (
                "-var-file={path}",
                "-var-file=bz.tfvars",
                "-var-file=/etc/passwd",
            ),
            (
                "--stop={time}",
                "--stop=2026-01-31 10:00:00.5",
                "--stop=2026-01-31 10:00:00; id",
            ),
            ("{apply|destroy}", "apply", "import"),
            ("{name}.sql", "a.sql", "a.sql.gz"),
        ] {
            let read = Pattern::parse(pattern).unwrap();
            assert_eq!(read.to_string(), pattern);
            assert!(read.fits(good), "{pattern} {good}");
            assert!(!read.fits(bad), "{pattern} {bad}");
        }
    }

    #[test]
    fn no_option_stands_where_a_value_is_expected() {
        for pattern in ["{name}", "{number}", "{list}", "{path}", "{time}", "{a|b}"] {
            let read = Pattern::parse(pattern).unwrap();
            for option in ["-x", "--defaults-file=x", "-", "--"] {
                assert!(!read.fits(option), "{pattern} {option}");
            }
        }
        assert!(!fits(
            &["--databases", "{name}..."],
            &["--databases", "a", "--result-file=b"]
        ));
        assert!(!fits(&["--databases", "{name}..."], &["--databases"]));
        assert!(fits(
            &["--databases", "{name}..."],
            &["--databases", "a", "b"]
        ));
    }

    #[test]
    fn every_argument_has_its_place() {
        assert!(fits(&["-out", "{name}", "apply"], &["-out", "a", "apply"]));
        assert!(!fits(&["-out", "{name}", "apply"], &["apply", "-out", "a"]));
        assert!(!fits(&["-out", "{name}"], &["-out", "a", "b"]));
        assert!(!fits(&["-out", "{name}"], &["-out"]));
        assert!(fits(&[], &[]));
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_what_to_write() {
        for bad in [
            "",
            "{",
            "{word}",
            "{name}{name}",
            "}",
            "plan...",
            "{a|}",
            "{a|-b}",
        ] {
            assert!(Pattern::parse(bad).is_err(), "{bad}");
        }
    }
}
