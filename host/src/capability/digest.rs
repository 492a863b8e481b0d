//! Digests that say of two values whether they are the same, and nothing else: HMAC-SHA-256 (RFC 2104) under a key that
//! only this process knows.
//!
//! **Why a key.** What a plugin is told is recorded. A plain digest of a password can be tried against a dictionary by
//! whoever reads a journal; without the key nobody can try anything. The key is drawn when the host starts, shared by all
//! bindings so that values of two sites can be compared, and kept nowhere: it dies with the process.
//!
//! **Why a name for it.** After a crash another host replays what the dead one was told, under a key that is gone. By the
//! key's name, which is drawn apart from it, a caller sees that two digests cannot be compared, and asks again.
//!
//! **What it leaves.** Who may write values and compare them can try guesses, one write each. What a value belongs to is
//! therefore part of its digest: guesses would have to be written into that very place of another cluster.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use rustls::crypto::GetRandomFailed;
use sha2::Sha256;

use super::trust;

/// Bytes of the key: a block of SHA-256, the most that HMAC takes without hashing it first.
const KEY_BYTES: usize = 64;

/// Bytes of its name: two keys of one name do not occur.
const NAME_BYTES: usize = 16;

/// The key of a host. It has no `Debug` text, no `Display`, no `Clone` and no serialisation.
pub struct DigestKey {
    key: [u8; KEY_BYTES],
    name: String,
}

/// The system gives no random numbers.
#[derive(Debug, thiserror::Error)]
#[error("the system gives no random numbers to make a key of")]
pub struct NoRandomness;

impl DigestKey {
    /// A new key, from the system's own source of random numbers.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn draw() -> Result<Self, NoRandomness> {
        let (mut key, mut name) = ([0; KEY_BYTES], [0; NAME_BYTES]);
        let source = trust::provider().secure_random;
        let unable = |_: GetRandomFailed| NoRandomness;
        source.fill(&mut key).map_err(unable)?;
        source.fill(&mut name).map_err(unable)?;
        Ok(Self {
            key,
            name: hexadecimal(&name),
        })
    }

    /// Its name, which says nothing of it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The digest of a value, and of what it belongs to, part by part.
    #[must_use]
    pub fn digest(&self, of: &[&str], value: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new(&self.key.into());
        for part in of.iter().map(|part| part.as_bytes()).chain([value]) {
            // With its length before it, so that ("ab", "c") and ("a", "bc") differ.
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        hexadecimal(&mac.finalize().into_bytes())
    }
}

impl fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DigestKey")
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_that_of_the_standard() {
        // RFC 4231, test case 2, with the lengths before both parts; the key is filled up with zeros by HMAC itself.
        let mut key = [0; KEY_BYTES];
        key[..4].copy_from_slice(b"Jefe");
        let known = DigestKey {
            key,
            name: String::new(),
        };
        let text = b"what do ya want for nothing?";
        let mut mac = Hmac::<Sha256>::new_from_slice(b"Jefe").unwrap();
        mac.update(text);
        let published = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hexadecimal(&mac.finalize().into_bytes()), published);
        let mut mac = Hmac::<Sha256>::new_from_slice(b"Jefe").unwrap();
        mac.update(&[&1_u64.to_be_bytes()[..], b"k", &28_u64.to_be_bytes(), text].concat());
        let expected = hexadecimal(&mac.finalize().into_bytes());
        assert_eq!(known.digest(&["k"], text), expected);
    }

    #[test]
    fn equal_values_of_one_place_are_equal_and_nothing_else_is() {
        let key = DigestKey::draw().unwrap();
        let of = ["v1/Secret", "app", "db", "password"];
        let digest = key.digest(&of, b"hunter2");
        assert_eq!(key.digest(&of, b"hunter2"), digest);
        assert_eq!(digest.len(), 64, "however long the value is");
        assert_eq!(key.digest(&of, b"").len(), 64);
        for (of, value) in [
            (["v1/Secret", "app", "db", "password"], "hunter3"),
            (["v1/ConfigMap", "app", "db", "password"], "hunter2"),
            (["v1/Secret", "app", "d", "bpassword"], "hunter2"),
            (["v1/Secret", "app", "db", "passwor"], "dhunter2"),
        ] {
            assert_ne!(key.digest(&of, value.as_bytes()), digest, "{of:?} {value}");
        }
    }

    #[test]
    fn another_host_has_another_key_under_another_name_and_shows_neither() {
        let (one, other) = (DigestKey::draw().unwrap(), DigestKey::draw().unwrap());
        assert_ne!(one.digest(&["k"], b"v"), other.digest(&["k"], b"v"));
        assert_ne!(one.name(), other.name());
        assert_eq!(format!("{one:?}"), "DigestKey");
        assert!(!hexadecimal(&one.key).contains(one.name()));
    }
}
