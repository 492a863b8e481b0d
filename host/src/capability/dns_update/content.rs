//! Contents of records between the form of a zone file (RFC 1035, 5.1) and the wire.
//!
//! The library reads and writes all but `TXT`: of a character string its reader gets decimal escapes wrong, and its
//! writer says neither where a string begins nor what is no text.

use hickory_proto::rr::rdata::TXT;
use hickory_proto::rr::{RData, RecordType};

use super::super::Fault;

/// The types that are served.
const KINDS: [(&str, RecordType); 8] = [
    ("A", RecordType::A),
    ("AAAA", RecordType::AAAA),
    ("CNAME", RecordType::CNAME),
    ("MX", RecordType::MX),
    ("NS", RecordType::NS),
    ("PTR", RecordType::PTR),
    ("SRV", RecordType::SRV),
    ("TXT", RecordType::TXT),
];

/// Longest character string in bytes (RFC 1035, 3.3).
const STRING_BYTES: usize = 255;

/// A type that is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind(RecordType);

impl Kind {
    /// From its upper-case name.
    ///
    /// # Errors
    /// `invalid`: names those that are served.
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        let known = KINDS.iter().find(|(name, _)| *name == text);
        known.map(|(_, kind)| Self(*kind)).ok_or_else(|| {
            let names: Vec<&str> = KINDS.iter().map(|(name, _)| *name).collect();
            let text = format!(
                "records of type `{text}` are not served; served are {}",
                names.join(", ")
            );
            Fault::invalid("CP0009", text)
        })
    }

    /// The same for the library.
    pub(super) fn record_type(self) -> RecordType {
        self.0
    }

    /// Whether it is this one.
    pub(super) fn is(self, other: RecordType) -> bool {
        self.0 == other
    }

    /// A content of this type.
    ///
    /// # Errors
    /// `invalid`: it is none.
    pub(super) fn read(self, content: &str) -> Result<RData, Fault> {
        let wrong = || {
            let text = format!(
                "`{content}` is not the content of a record of type {}",
                self.0
            );
            Fault::invalid("CP0009", text)
        };
        if self.0 == RecordType::TXT {
            let strings = strings(content).ok_or_else(wrong)?;
            let strings = strings.iter().map(Vec::as_slice).collect();
            return Ok(RData::TXT(TXT::from_bytes(strings)));
        }
        // What the library's reader takes for more than one word of data: comments, lists, directives, quotes.
        if content.contains([';', '(', ')', '"', '@', '$', '\\']) || !content.is_ascii() {
            return Err(wrong());
        }
        let data = RData::try_from_str(self.0, content).map_err(|_| wrong())?;
        // A name without its last dot would mean another one in every zone file.
        is_absolute(&data).then_some(data).ok_or_else(wrong)
    }
}

fn is_absolute(data: &RData) -> bool {
    match data {
        RData::CNAME(name) => name.0.is_fqdn(),
        RData::NS(name) => name.0.is_fqdn(),
        RData::PTR(name) => name.0.is_fqdn(),
        RData::MX(mx) => mx.exchange.is_fqdn(),
        RData::SRV(srv) => srv.target.is_fqdn(),
        _ => true,
    }
}

/// A content as a zone file has it.
pub(super) fn written(data: &RData) -> String {
    let RData::TXT(text) = data else {
        return data.to_string();
    };
    let strings = text.txt_data.iter().map(|string| quoted(string));
    strings.collect::<Vec<_>>().join(" ")
}

/// A character string in quotes; what is not printable ASCII by its number.
fn quoted(string: &[u8]) -> String {
    let mut text = String::from("\"");
    for byte in string {
        match byte {
            b'"' | b'\\' => text.extend(['\\', char::from(*byte)]),
            b' '..=b'~' => text.push(char::from(*byte)),
            other => text.push_str(&format!("\\{other:03}")),
        }
    }
    text.push('"');
    text
}

/// The character strings of a `TXT` content; `None` where one is not in quotes, or too long, or there is none.
fn strings(content: &str) -> Option<Vec<Vec<u8>>> {
    let mut strings = Vec::new();
    let mut bytes = content.bytes().peekable();
    loop {
        while bytes.next_if_eq(&b' ').is_some() {}
        if bytes.peek().is_none() {
            return (!strings.is_empty()).then_some(strings);
        }
        let string = string(&mut bytes)?;
        if string.len() > STRING_BYTES {
            return None;
        }
        strings.push(string);
    }
}

/// One character string in quotes.
fn string(bytes: &mut std::iter::Peekable<std::str::Bytes<'_>>) -> Option<Vec<u8>> {
    bytes.next_if_eq(&b'"')?;
    let mut string = Vec::new();
    loop {
        match bytes.next()? {
            b'"' => return Some(string),
            b'\\' if bytes.peek().is_some_and(u8::is_ascii_digit) => {
                let mut number = 0_u32;
                for _ in 0..3 {
                    let digit = bytes.next_if(u8::is_ascii_digit)?;
                    number = number * 10 + u32::from(digit - b'0');
                }
                string.push(u8::try_from(number).ok()?);
            }
            b'\\' => string.push(bytes.next()?),
            byte => string.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: &str, content: &str) -> Option<RData> {
        Kind::parse(kind).ok()?.read(content).ok()
    }

    #[test]
    fn contents_come_back_as_they_went() {
        for (kind, content) in [
            ("A", "192.0.2.1"),
            ("AAAA", "2001:db8::1"),
            ("CNAME", "wp-bz.example.test."),
            ("NS", "ns.example.test."),
            ("PTR", "www.example.test."),
            ("MX", "10 mail.example.test."),
            ("SRV", "1 2 443 www.example.test."),
            ("TXT", "\"v=spf1 -all\""),
            ("TXT", "\"\""),
            ("TXT", r#""a \"b\" \\" "c; (d)" "\195\169\000""#),
        ] {
            let data = read(kind, content);
            let back = data.as_ref().map(written);
            assert_eq!(back.as_deref(), Some(content), "{kind} {content}");
        }
    }

    #[test]
    fn what_is_no_content_of_its_type_is_refused() {
        let long = format!("\"{}\"", "x".repeat(256));
        for (kind, content) in [
            ("A", "192.0.2"),
            ("A", "192.0.2.1 192.0.2.2 ; two"),
            ("CNAME", "wp-bz"),
            ("CNAME", "wp bz.example.test."),
            ("MX", "mail.example.test."),
            ("MX", "10 mail"),
            ("SRV", "1 2 www.example.test."),
            ("TXT", "v=spf1"),
            ("TXT", "\"open"),
            ("TXT", r#""\300""#),
            ("TXT", r#""\12""#),
            ("TXT", ""),
            ("TXT", &long),
            ("SOA", "a. b. 1 2 3 4 5"),
            ("cname", "a.test."),
        ] {
            assert!(read(kind, content).is_none(), "{kind} {content}");
        }
    }
}
