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
