//! Passwords and tokens, new for every lab, so that finding one in a journal or a log can mean only one thing.

use std::fs::File;
use std::io::Read as _;

use anyhow::{Context as _, Result};

/// Bytes of randomness in a secret; twice as many characters.
const SECRET_BYTES: usize = 12;

/// A new secret: 24 lower-case hexadecimal characters.
///
/// # Errors
/// Where the kernel gives no randomness.
pub fn fresh() -> Result<String> {
    let mut bytes = [0_u8; SECRET_BYTES];
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .context("cannot read /dev/urandom")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Standard base64 with padding (RFC 4648, section 4), for HTTP basic authentication.
#[must_use]
pub fn base64(text: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut encoded = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let group = byte(0) << 16 | byte(1) << 8 | byte(2);
        for (index, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            let digit = usize::try_from(group >> shift & 63).unwrap_or(0);
            let letter = ALPHABET.get(digit).copied().unwrap_or(b'=');
            encoded.push(char::from(if index <= chunk.len() { letter } else { b'=' }));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_gives_the_vectors_of_rfc_4648() {
        let encoded = ["", "f", "fo", "foo", "foob", "fooba", "foobar"].map(base64);
        assert_eq!(
            encoded,
            [
                "", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"
            ]
        );
    }
}
