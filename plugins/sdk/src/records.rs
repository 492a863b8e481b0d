//! Names and contents of DNS records: the contract's form (lower case, no last dot, TXT without quotes) against the
//! form of a zone file (RFC 1035: absolute names, TXT in quotes), which most vendors speak. Pure.
//!
//! Start at [`Wanted`]: what `ensure-record` was asked for, checked and normalised.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::host::understudy::types::types::Error;

/// Record types that can be written; another one is refused rather than mangled.
pub const KINDS: [&str; 8] = ["A", "AAAA", "CNAME", "MX", "NS", "PTR", "SRV", "TXT"];

/// Longest character string inside a TXT record in bytes (RFC 1035, 3.3).
const TXT_STRING_BYTES: usize = 255;

/// Longest name in characters, without the last dot (RFC 1035, 2.3.4).
const NAME_CHARS: usize = 253;

/// What a record set shall be, normalised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Fully qualified.
    pub name: String,
    /// Upper-case type, one of [`KINDS`].
    pub kind: String,
    /// What it must hold now, where anything is required of it.
    pub expected: Option<Vec<String>>,
    /// What it shall hold.
    pub values: Vec<String>,
    /// Time to live in seconds.
    pub ttl_seconds: u32,
}

impl Wanted {
    /// The arguments of `ensure-record` for a zone whose shortest TTL is `min_ttl_seconds`.
    ///
    /// # Errors
    /// `invalid`: the zone does not hold the name, the TTL is too short, a value is none of its type.
    pub fn parse(
        zone: &str,
        min_ttl_seconds: u32,
        name: &str,
        kind: String,
        expected: Option<&[String]>,
        values: &[String],
        ttl_seconds: u32,
    ) -> Result<Self, Error> {
        if ttl_seconds < min_ttl_seconds {
            return Err(Error::Invalid(format!(
                "a TTL of {ttl_seconds} s is below the {min_ttl_seconds} s that zone {zone} accepts"
            )));
        }
        let normal = |values: &[String]| normal_values(&kind, values).map_err(Error::Invalid);
        Ok(Self {
            name: name_in_zone(zone, name)?,
            expected: expected.map(normal).transpose()?,
            values: normal(values)?,
            kind,
            ttl_seconds,
        })
    }

    /// Compares what the set holds now with what was expected. The values that are wanted are in order too.
    ///
    /// # Errors
    /// `conflict`: it holds neither; the text names both.
    pub fn check(&self, now: &[String]) -> Result<(), Error> {
        match &self.expected {
            Some(expected) if now != expected && now != self.values => {
                Err(Error::Conflict(format!(
                    "{} {} holds {}, expected {} to change it to {}: somebody else changed it",
                    self.name,
                    self.kind,
                    shown(now),
                    shown(expected),
                    shown(&self.values)
                )))
            }
            _ => Ok(()),
        }
    }
}

/// Values for a message.
#[must_use]
pub fn shown(values: &[String]) -> String {
    if values.is_empty() {
        "nothing".to_owned()
    } else {
        values.join(", ")
    }
}

/// The name, normalised.
///
/// # Errors
/// `invalid`: the zone does not hold it.
pub fn name_in_zone(zone: &str, name: &str) -> Result<String, Error> {
    normal_name(name)
        .filter(|normal| is_in_zone(normal, zone))
        .ok_or_else(|| {
            Error::Invalid(format!(
                "`{name}` is not a name in zone {zone}; bind the provider of the zone that holds it"
            ))
        })
}

/// The type, if it can be written.
///
/// # Errors
/// `invalid`: names those that can.
pub fn known_kind(kind: &str) -> Result<(), Error> {
    if KINDS.contains(&kind) {
        return Ok(());
    }
    Err(Error::Invalid(
        to_vendor(kind, "").err().unwrap_or_default(),
    ))
}

/// The name in lower case without the last dot; none where it is not a name.
#[must_use]
pub fn normal_name(name: &str) -> Option<String> {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    let label_is_well_formed = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'*'))
    };
    (name.len() <= NAME_CHARS && name.split('.').all(label_is_well_formed)).then_some(name)
}

/// True where `name` is the zone's own name or below it; both normalised.
#[must_use]
pub fn is_in_zone(name: &str, zone: &str) -> bool {
    name.strip_suffix(zone)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// A value of the contract as a zone file has it.
///
/// # Errors
/// Says what is wrong with it.
pub fn to_vendor(kind: &str, value: &str) -> Result<String, String> {
    let wrong = || format!("`{value}` is not the content of a record of type {kind}");
    let absolute = |name: &str| normal_name(name).map(|name| name + ".").ok_or_else(wrong);
    match kind {
        "A" => Ok(value.parse::<Ipv4Addr>().map_err(|_| wrong())?.to_string()),
        "AAAA" => Ok(value.parse::<Ipv6Addr>().map_err(|_| wrong())?.to_string()),
        "CNAME" | "NS" | "PTR" => absolute(value),
        "MX" | "SRV" => {
            let (numbers, name) = value.rsplit_once(' ').ok_or_else(wrong)?;
            let count = numbers
                .split(' ')
                .filter(|n| n.parse::<u16>().is_ok())
                .count();
            let wanted = if kind == "MX" { 1 } else { 3 };
            if count != wanted || numbers.split(' ').count() != wanted {
                return Err(wrong());
            }
            Ok(format!("{numbers} {}", absolute(name)?))
        }
        "TXT" => Ok(quoted(value)),
        _ => Err(format!(
            "records of type {kind} are not supported; supported are {}",
            KINDS.join(", ")
        )),
    }
}

/// A content of a zone file as the contract has it. Of TXT, what is not in quotes is taken as it is.
#[must_use]
pub fn from_vendor(kind: &str, content: &str) -> String {
    match kind {
        "A" => content.to_owned(),
        "AAAA" => content
            .parse::<Ipv6Addr>()
            .map_or_else(|_| content.to_owned(), |address| address.to_string()),
        "TXT" if content.starts_with('"') => unquoted(content),
        "TXT" => content.to_owned(),
        _ => content
            .strip_suffix('.')
            .unwrap_or(content)
            .to_ascii_lowercase(),
    }
}

/// Values in the contract's form, sorted and without doubles, so that two sets can be compared.
///
/// # Errors
/// Says which value is wrong.
pub fn normal_values(kind: &str, values: &[String]) -> Result<Vec<String>, String> {
    let mut normal = values
        .iter()
        .map(|value| Ok(from_vendor(kind, &to_vendor(kind, value)?)))
        .collect::<Result<Vec<_>, String>>()?;
    normal.sort();
    normal.dedup();
    Ok(normal)
}

/// Text as one or more quoted character strings.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    let mut bytes = 0;
    for c in text.chars() {
        if bytes + c.len_utf8() > TXT_STRING_BYTES {
            out.push_str("\" \"");
            bytes = 0;
        }
        bytes += c.len_utf8();
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}

/// The character strings of a TXT content joined; `\"`, `\\` and `\DDD` are read (RFC 1035, 5.1).
fn unquoted(content: &str) -> String {
    let mut out = Vec::new();
    let mut inside = false;
    let mut bytes = content.bytes().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => inside = !inside,
            b'\\' => {
                let mut code = 0u32;
                let mut digits = 0;
                while let Some(digit) = bytes.next_if(|b| digits < 3 && b.is_ascii_digit()) {
                    code = code * 10 + u32::from(digit - b'0');
                    digits += 1;
                }
                match (digits, u8::try_from(code)) {
                    (3, Ok(value)) => out.push(value),
                    _ => out.extend(bytes.next()),
                }
            }
            _ if inside || byte != b' ' => out.push(byte),
            _ => {}
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_normalised_and_judged_against_the_zone() {
        assert_eq!(
            normal_name("WP-Active.Example.Test.").unwrap(),
            "wp-active.example.test"
        );
        for bad in [
            "",
            ".",
            "a..b",
            "a b.test",
            "a/../b",
            "ä.test",
            &"x".repeat(64),
        ] {
            assert_eq!(normal_name(bad), None, "{bad}");
        }
        assert!(is_in_zone("wp.example.test", "example.test"));
        assert!(is_in_zone("example.test", "example.test"));
        assert!(!is_in_zone("badexample.test", "example.test"));
        assert!(!is_in_zone("example.org", "example.test"));
    }

    #[test]
    fn what_was_expected_and_what_is_wanted_are_in_order_and_nothing_else() {
        let owned = |values: &[&str]| values.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>();
        let wanted = |expected: Option<&[&str]>| {
            Wanted::parse(
                "example.test",
                60,
                "WP.Example.Test.",
                "CNAME".to_owned(),
                expected.map(owned).as_deref(),
                &owned(&["B.test."]),
                60,
            )
            .unwrap()
        };
        assert_eq!(wanted(None).name, "wp.example.test");
        assert!(wanted(None).check(&owned(&["c.test"])).is_ok());
        for now in ["a.test", "b.test"] {
            assert!(wanted(Some(&["A.test"])).check(&owned(&[now])).is_ok());
        }
        let refused = wanted(Some(&["a.test"])).check(&[]);
        assert!(
            matches!(&refused, Err(Error::Conflict(text)) if text.contains("holds nothing, expected a.test")),
            "{refused:?}"
        );
    }

    #[test]
    fn a_short_ttl_a_foreign_name_and_an_unknown_type_are_refused() {
        let parse = |name, kind: &str, ttl| {
            Wanted::parse("example.test", 60, name, kind.to_owned(), None, &[], ttl).map(drop)
        };
        assert!(parse("a.example.test", "A", 60).is_ok());
        for (name, ttl) in [("a.example.test", 59), ("a.example.org", 60)] {
            assert!(
                matches!(parse(name, "A", ttl), Err(Error::Invalid(_))),
                "{name} {ttl}"
            );
        }
        assert!(matches!(known_kind("LUA"), Err(Error::Invalid(text)) if text.contains("CNAME")));
    }

    #[test]
    fn contents_cross_over_and_back() {
        for (kind, contract, vendor) in [
            ("A", "192.0.2.7", "192.0.2.7"),
            ("AAAA", "2001:db8::1", "2001:db8::1"),
            ("CNAME", "wp-bz.example.test", "wp-bz.example.test."),
            ("MX", "10 mail.example.test", "10 mail.example.test."),
            ("SRV", "0 5 443 a.example.test", "0 5 443 a.example.test."),
            ("TXT", "v=spf1 \"x\" \\", "\"v=spf1 \\\"x\\\" \\\\\""),
        ] {
            assert_eq!(to_vendor(kind, contract).unwrap(), vendor);
            assert_eq!(from_vendor(kind, vendor), contract);
        }
        assert_eq!(from_vendor("AAAA", "2001:DB8:0::1"), "2001:db8::1");
        let long = "x".repeat(600);
        assert_eq!(from_vendor("TXT", &to_vendor("TXT", &long).unwrap()), long);
        assert_eq!(from_vendor("TXT", "v=spf1 -all"), "v=spf1 -all");
        assert_eq!(from_vendor("TXT", r#""caf\195\169" "s""#), "cafés");
    }

    #[test]
    fn wrong_content_is_refused_before_it_is_sent() {
        for (kind, value) in [
            ("A", "wp.example.test"),
            ("A", "1.2.3"),
            ("AAAA", "192.0.2.1"),
            ("CNAME", "no name"),
            ("MX", "mail.example.test"),
            ("MX", "1 2 mail.example.test"),
            ("LUA", "A \"x\""),
        ] {
            assert!(to_vendor(kind, value).is_err(), "{kind} {value}");
        }
    }

    #[test]
    fn sets_compare_whatever_their_order_and_dots() {
        let values = |list: &[&str]| list.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            normal_values("CNAME", &values(&["B.test.", "a.test", "b.test"])).unwrap(),
            values(&["a.test", "b.test"])
        );
    }
}
