//! The ways a secret can be spelled, and where in a text one of them stands.
//!
//! Texts are bytes here. Nothing is decoded: the encodings are followed on the text itself, so that a hit is a range of it.

use std::ops::Range;

/// Escapes of escapes that are followed: JSON text kept as a string in JSON kept as a string, twice more.
const MAX_BACKSLASHES: usize = 16;

/// One secret in every spelling.
#[derive(Clone)]
pub(super) struct Pattern {
    units: Vec<Unit>,
    /// The bytes that a spelling of the first unit can begin with: nearly all places in a text are passed over by it.
    begins: Vec<u8>,
    hexadecimal: Vec<u8>,
    base64: Vec<Vec<u8>>,
}

/// The smallest thing that encodings treat as one.
#[derive(Clone, Copy)]
enum Unit {
    Char(char),
    Byte(u8),
}

impl Pattern {
    /// Every spelling of `secret`.
    pub(super) fn new(secret: &[u8]) -> Self {
        let units: Vec<Unit> = match std::str::from_utf8(secret) {
            Ok(text) => text.chars().map(Unit::Char).collect(),
            Err(_) => secret.iter().copied().map(Unit::Byte).collect(),
        };
        let begins = secret.first().copied().into_iter().chain(*b"%+\\");
        let mut base64: Vec<Vec<u8>> = Vec::new();
        for alphabet in [STANDARD, URL_SAFE] {
            for offset in 0..3 {
                let fragment = base64_fragment(secret, offset, alphabet);
                if !base64.contains(&fragment) {
                    base64.push(fragment);
                }
            }
        }
        Self {
            units,
            begins: begins.collect(),
            hexadecimal: crate::call::hex(secret).into_bytes(),
            base64,
        }
    }

    /// Adds where in `text` the secret is spelled.
    pub(super) fn find(&self, text: &[u8], hits: &mut Vec<Range<usize>>) {
        for (start, byte) in text.iter().enumerate() {
            if self.begins.contains(byte)
                && let Some(end) = self.spelled_at(text, start)
            {
                hits.push(start..end);
            }
        }
        for (start, window) in text.windows(self.hexadecimal.len()).enumerate() {
            if window.eq_ignore_ascii_case(&self.hexadecimal) {
                hits.push(start..start + window.len());
            }
        }
        for fragment in &self.base64 {
            for (start, window) in text.windows(fragment.len()).enumerate() {
                if window == fragment {
                    hits.push(whole_token(text, start..start + window.len()));
                }
            }
        }
    }

    /// Where the longest spelling that begins at `start` ends. Follows every mixture of spellings at once.
    fn spelled_at(&self, text: &[u8], start: usize) -> Option<usize> {
        let mut ends = vec![start];
        let mut next = Vec::new();
        for unit in &self.units {
            next.clear();
            for &at in &ends {
                unit.ends(text, at, &mut next);
            }
            if next.is_empty() {
                return None;
            }
            next.sort_unstable();
            next.dedup();
            std::mem::swap(&mut ends, &mut next);
        }
        ends.last().copied()
    }
}

impl Unit {
    /// Adds every place where a spelling of this unit that begins at `at` ends.
    fn ends(self, text: &[u8], at: usize, ends: &mut Vec<usize>) {
        let rest = text.get(at..).unwrap_or_default();
        let mut buffer = [0; 4];
        let bytes: &[u8] = match self {
            Self::Char(character) => character.encode_utf8(&mut buffer).as_bytes(),
            Self::Byte(byte) => {
                buffer[0] = byte;
                &buffer[..1]
            }
        };
        if rest.starts_with(bytes) {
            ends.push(at + bytes.len());
        }
        if percent_encoded(rest, bytes) {
            ends.push(at + bytes.len() * 3);
        }
        let Self::Char(character) = self else { return };
        if character == ' ' && rest.first() == Some(&b'+') {
            ends.push(at + 1);
        }
        let slashes = backslashes(rest);
        if character == '\\' {
            ends.extend((2..=slashes).map(|count| at + count));
        }
        if slashes == 0 {
            return;
        }
        let escaped = rest.get(slashes..).unwrap_or_default();
        if short_escape(character).is_some_and(|escape| escaped.first() == Some(&escape)) {
            ends.push(at + slashes + 1);
        }
        if let Some(length) = unicode_escape(rest, character) {
            ends.push(at + length);
        }
    }
}

fn percent_encoded(rest: &[u8], bytes: &[u8]) -> bool {
    rest.len() >= bytes.len() * 3
        && rest.chunks(3).zip(bytes).all(|(chunk, byte)| {
            matches!(chunk, [b'%', digits @ ..] if hex_value(digits) == Some(u32::from(*byte)))
        })
}

fn hex_value(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |value, digit| {
        Some(value * 16 + char::from(*digit).to_digit(16)?)
    })
}

fn backslashes(rest: &[u8]) -> usize {
    rest.iter()
        .take(MAX_BACKSLASHES)
        .take_while(|byte| **byte == b'\\')
        .count()
}

/// What follows the backslash (RFC 8259, section 7).
fn short_escape(character: char) -> Option<u8> {
    Some(match character {
        '"' => b'"',
        '\'' => b'\'',
        '/' => b'/',
        '\u{8}' => b'b',
        '\u{c}' => b'f',
        '\n' => b'n',
        '\r' => b'r',
        '\t' => b't',
        _ => return None,
    })
}

/// Length of `\uXXXX` (two of them beyond the basic plane) that spells `character`.
fn unicode_escape(rest: &[u8], character: char) -> Option<usize> {
    let mut buffer = [0; 2];
    let mut at = 0;
    for unit in character.encode_utf16(&mut buffer) {
        let escape = rest.get(at..)?;
        let slashes = backslashes(escape);
        let [b'u', digits @ ..] = escape.get(slashes..)?.get(..5)? else {
            return None;
        };
        if slashes == 0 || hex_value(digits) != Some(u32::from(*unit)) {
            return None;
        }
        at += slashes + 5;
    }
    Some(at)
}

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The characters of a Base64 text (RFC 4648) that `secret` alone decides when it begins `offset` bytes after a group
/// of three.
fn base64_fragment(secret: &[u8], offset: usize, alphabet: &[u8; 64]) -> Vec<u8> {
    let bit = |index: usize| {
        let byte = secret.get(index / 8).copied().unwrap_or(0);
        usize::from(byte >> (7 - index % 8) & 1)
    };
    let first = (offset * 8).div_ceil(6);
    let end = (offset + secret.len()) * 8 / 6;
    (first..end)
        .filter_map(|character| {
            let start = character * 6 - offset * 8;
            let value = (start..start + 6).fold(0, |value, index| value * 2 + bit(index));
            alphabet.get(value).copied()
        })
        .collect()
}

/// The whole Base64 text around a hit: its edges hold bits of the secret too.
fn whole_token(text: &[u8], hit: Range<usize>) -> Range<usize> {
    let inside =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_');
    let before = text.get(..hit.start).unwrap_or_default();
    let after = text.get(hit.end..).unwrap_or_default();
    let start = hit.start - before.iter().rev().take_while(|byte| inside(byte)).count();
    let mut end = hit.end + after.iter().take_while(|byte| inside(byte)).count();
    let padding = text.get(end..).unwrap_or_default();
    end += padding
        .iter()
        .take(2)
        .take_while(|byte| **byte == b'=')
        .count();
    start..end
}
