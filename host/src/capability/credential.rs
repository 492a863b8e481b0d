//! Secrets: read once, attached at egress, and scrubbed from everything that comes back.
//!
//! A [`Secret`] cannot be printed, compared or serialised; only the code that attaches one sees its text. A
//! [`Redactor`] takes the secrets of a binding out of what the other side answers before a guest sees it, out of errors,
//! and out of journal lines. Not here: which request may carry which credential (`http/grant.rs`).
//!
//! **What it covers.** A server that echoes what it was sent: the secret as it is, JSON-escaped, percent-encoded, in
//! hexadecimal, in Base64 of either alphabet (also where it is only part of what was encoded, as in basic
//! authentication), and mixtures of these; in header names and values, bodies, rows, names of columns and errors. The
//! spellings are those that the journal knows (`journal/redact.rs`).
//!
//! **What it cannot.** A server that changes the secret: compressed (none is asked for), enciphered, hashed, reversed, in
//! another case, or a piece at a time, over several answers or between other text. A secret that is known to a server is
//! the server's to give away; grants keep it to servers that the operator named.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use reqwest::Request;
use reqwest::header::{HeaderName, HeaderValue};
use serde_json::Value;

use crate::clock::Instant;
use crate::journal::redact;
use crate::runbook::types::{Credential, CredentialScheme, SecretSource};

mod sigv4;

pub(crate) use sigv4::Signer;

/// Shortest secret accepted, in bytes. A shorter one cannot be told apart from ordinary text, so it could not be
/// kept out of journals and reports.
pub const MIN_SECRET_BYTES: usize = 8;

/// Longest secret accepted, in bytes: more than any token, less than a file named by mistake.
pub const MAX_SECRET_BYTES: usize = 64 * 1024;

/// A secret. It has no `Debug` text, no `Display`, no `Clone` and no serialisation.
pub struct Secret(Box<str>);

impl Secret {
    /// A secret of this text.
    ///
    /// # Errors
    /// [`SecretProblem::TooShort`] and [`SecretProblem::TooLong`].
    pub fn new(text: impl Into<Box<str>>) -> Result<Self, SecretProblem> {
        let text = text.into();
        match text.len() {
            length if length < MIN_SECRET_BYTES => Err(SecretProblem::TooShort),
            length if length > MAX_SECRET_BYTES => Err(SecretProblem::TooLong),
            _ => Ok(Self(text)),
        }
    }

    /// The text, for whoever attaches it or takes it out again.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// What is wrong with a secret, in words that say nothing of its content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretProblem {
    /// Nothing there.
    #[error("it is not set")]
    Missing,
    /// Could not be read.
    #[error("it cannot be read ({0})")]
    Unreadable(String),
    /// Shorter than [`MIN_SECRET_BYTES`].
    #[error(
        "it has fewer than {MIN_SECRET_BYTES} bytes, too few to be recognised and kept out of records"
    )]
    TooShort,
    /// Longer than [`MAX_SECRET_BYTES`].
    #[error("it has more than {MAX_SECRET_BYTES} bytes")]
    TooLong,
    /// Cannot stand in a header.
    #[error("it holds characters that cannot stand in a header")]
    NotForHeaders,
    /// Not in the form in which keys are written.
    #[error("it is not Base64, as `tsig-keygen` writes a key")]
    NotBase64,
    /// The name of the header is none.
    #[error("`{0}` is not the name of a header that a credential may have")]
    BadHeader(String),
}

/// A secret that a binding names and that is not usable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the secret for `{slot}` from {} is not usable: {problem}", describe(.source_of))]
pub struct SecretError {
    /// The credential slot or connection it is for.
    pub slot: String,
    /// Where it was looked for.
    pub source_of: SecretSource,
    /// What is wrong.
    pub problem: SecretProblem,
}

fn describe(source: &SecretSource) -> String {
    match source {
        SecretSource::Environment(name) => format!("environment variable `{name}`"),
        SecretSource::File(path) => format!("file `{}`", path.display()),
    }
}

/// Where secrets are read from. The binary hands one in; the library reads no environment by itself.
pub trait SecretReader: Send + Sync {
    /// The secret of this source.
    ///
    /// # Errors
    /// [`SecretProblem`].
    fn read(&self, source: &SecretSource) -> Result<Secret, SecretProblem>;
}

/// Looks environment variables up by name.
pub type Lookup = dyn Fn(&str) -> Option<String> + Send + Sync;

/// Reads files itself and variables by the function it is given.
pub struct MachineSecrets(Box<Lookup>);

impl MachineSecrets {
    /// Variables come from `lookup`, which the binary makes from its environment.
    #[must_use]
    pub fn new(lookup: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Box::new(lookup))
    }
}

impl SecretReader for MachineSecrets {
    fn read(&self, source: &SecretSource) -> Result<Secret, SecretProblem> {
        match source {
            SecretSource::Environment(name) => {
                Secret::new(self.0(name).ok_or(SecretProblem::Missing)?)
            }
            SecretSource::File(path) => {
                let length = std::fs::metadata(path)
                    .map_err(|error| SecretProblem::Unreadable(error.kind().to_string()))?
                    .len();
                if length > u64::try_from(MAX_SECRET_BYTES).unwrap_or(u64::MAX) {
                    return Err(SecretProblem::TooLong);
                }
                let text = std::fs::read_to_string(path)
                    .map_err(|error| SecretProblem::Unreadable(error.kind().to_string()))?;
                let text = text.strip_suffix('\n').unwrap_or(&text);
                Secret::new(text.strip_suffix('\r').unwrap_or(text))
            }
        }
    }
}

/// Secrets from a table: variables by their name, files by their path. For tests.
#[derive(Default)]
pub struct FixedSecrets(pub BTreeMap<String, String>);

impl SecretReader for FixedSecrets {
    fn read(&self, source: &SecretSource) -> Result<Secret, SecretProblem> {
        let name = match source {
            SecretSource::Environment(name) => name.clone(),
            SecretSource::File(path) => path.display().to_string(),
        };
        Secret::new(self.0.get(&name).cloned().ok_or(SecretProblem::Missing)?)
    }
}

/// A credential whose secret has been read.
pub(crate) enum Attachment {
    /// A header, marked sensitive.
    Header(HeaderName, HeaderValue),
    /// A signature over the whole request.
    Signature(Signer),
}

impl Attachment {
    /// The credential of a slot, with its secret, ready to be attached.
    pub(crate) fn new(credential: &Credential, secret: Secret) -> Result<Self, SecretProblem> {
        let (header, text) = match &credential.scheme {
            CredentialScheme::Bearer => (
                HeaderName::from_static("authorization"),
                format!("Bearer {}", secret.expose()),
            ),
            CredentialScheme::Basic { user } => (
                HeaderName::from_static("authorization"),
                format!("Basic {}", basic(user, &secret)),
            ),
            CredentialScheme::Header { name } => {
                let header = HeaderName::from_bytes(name.as_bytes())
                    .ok()
                    .filter(|header| !super::http::is_reserved_for_the_message(header.as_str()))
                    .ok_or_else(|| SecretProblem::BadHeader(name.clone()))?;
                (header, secret.expose().to_owned())
            }
            CredentialScheme::AwsSigV4 {
                access_key_id,
                region,
                service,
            } => {
                let signer = Signer::new(access_key_id, region, service, secret);
                return Ok(Self::Signature(signer));
            }
        };
        let mut value = HeaderValue::from_str(&text).map_err(|_| SecretProblem::NotForHeaders)?;
        value.set_sensitive(true);
        Ok(Self::Header(header, value))
    }

    /// Puts it onto a request that has everything else, as of `now`.
    ///
    /// # Errors
    /// What of the request cannot be signed, in words.
    pub(crate) fn attach(&self, request: &mut Request, now: Instant) -> Result<(), String> {
        match self {
            Self::Header(name, value) => {
                request.headers_mut().insert(name.clone(), value.clone());
                Ok(())
            }
            Self::Signature(signer) => signer.sign(request, now),
        }
    }
}

fn basic(user: &str, secret: &Secret) -> String {
    BASE64.encode(format!("{user}:{}", secret.expose()))
}

/// Takes secrets out of whatever is about to leave the host's hands. Its clones know what it knows, also what it learns
/// later.
#[derive(Clone)]
pub struct Redactor {
    texts: Arc<Mutex<Vec<String>>>,
    spellings: redact::Redactor,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor({} forms)", self.texts().len())
    }
}

impl Redactor {
    /// Knows these texts and every way to spell them.
    #[must_use]
    pub fn new(texts: impl IntoIterator<Item = String>) -> Self {
        let redactor = Self {
            texts: Arc::default(),
            spellings: redact::Redactor::none(),
        };
        redactor.learn(texts);
        redactor
    }

    /// Comes to know these as well: to be called before anything is sent with them.
    pub fn learn(&self, texts: impl IntoIterator<Item = String>) {
        let mut known = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut new: Vec<String> = texts
            .into_iter()
            .filter(|text| text.len() >= MIN_SECRET_BYTES && !known.contains(text))
            .collect();
        // Shortest first: most forms are spellings of the secret itself and need not be looked for once more.
        new.sort_by(|a, b| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
        new.dedup();
        for text in new {
            if self.spellings.redact_bytes(text.as_bytes()).is_none() {
                self.spellings.learn([("secret", text.as_bytes())]);
            }
            known.push(text);
        }
    }

    /// Every text that must not be written anywhere, as far as it is known by now.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        let texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        texts.clone()
    }

    /// What a journal needs, to hold none of them.
    #[must_use]
    pub fn for_journal(&self) -> &redact::Redactor {
        &self.spellings
    }

    /// `text` without secrets.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        self.spellings.redact_str(text)
    }

    /// Takes secrets out of every string and key in `value`.
    pub fn value(&self, value: &mut Value) {
        self.spellings.redact_value(value);
    }

    /// `bytes` without secrets.
    #[must_use]
    pub fn bytes(&self, bytes: Vec<u8>) -> Vec<u8> {
        self.spellings.redact_bytes(&bytes).unwrap_or(bytes)
    }
}

/// The forms in which a secret can come back: itself, as in JSON text, percent-encoded, in base64, and, for basic
/// authentication, with its user.
pub(crate) fn forms(secret: &Secret, scheme: Option<&CredentialScheme>) -> Vec<String> {
    let text = secret.expose();
    let json = serde_json::Value::from(text).to_string();
    let json = json
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let mut forms = vec![
        text.to_owned(),
        url::form_urlencoded::byte_serialize(text.as_bytes()).collect(),
        BASE64.encode(text),
    ];
    forms.extend(json.map(str::to_owned));
    if let Some(CredentialScheme::Basic { user }) = scheme {
        forms.push(basic(user, secret));
    }
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    const CANARY: &str = "canary-9f\"3c+/=";

    #[test]
    fn a_secret_says_nothing_of_itself() {
        let secret = Secret::new(CANARY).unwrap();
        assert_eq!(format!("{secret:?}"), "Secret");
        assert!(matches!(Secret::new("short"), Err(SecretProblem::TooShort)));
    }

    #[test]
    fn every_form_is_taken_out_and_nothing_else() {
        let secret = Secret::new(CANARY).unwrap();
        let scheme = CredentialScheme::Basic {
            user: "ops".to_owned(),
        };
        let redactor = Redactor::new(forms(&secret, Some(&scheme)));
        for form in forms(&secret, Some(&scheme)) {
            let echoed = format!("before {form} between {form} after");
            let expected = "before [redacted] between [redacted] after";
            assert_eq!(redactor.text(&echoed), expected);
            assert_eq!(
                redactor.bytes(echoed.into_bytes()),
                expected.as_bytes().to_vec()
            );
        }
        for spelled in [
            crate::call::hex(CANARY.as_bytes()),
            CANARY.bytes().map(|byte| format!("%{byte:02x}")).collect(),
            BASE64.encode(format!("x{CANARY}y")),
        ] {
            assert_eq!(redactor.text(&format!("a {spelled} b")), "a [redacted] b");
        }
        assert_eq!(redactor.text("canary"), "canary");
        assert_eq!(redactor.bytes(vec![0, 255]), vec![0, 255]);
    }

    #[test]
    fn files_lose_one_newline_and_missing_things_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "0123456789\n").unwrap();
        let reader = MachineSecrets::new(|name| (name == "TOKEN").then(|| "abcdefgh".to_owned()));
        let read = |source| reader.read(&source);
        let secret = read(SecretSource::File(path.clone())).unwrap();
        assert_eq!(secret.expose(), "0123456789");
        let secret = read(SecretSource::Environment("TOKEN".to_owned())).unwrap();
        assert_eq!(secret.expose(), "abcdefgh");
        let missing = read(SecretSource::Environment("OTHER".to_owned()));
        assert_eq!(missing.unwrap_err(), SecretProblem::Missing);
        let missing = read(SecretSource::File(folder.path().join("none")));
        assert_eq!(
            missing.unwrap_err().to_string(),
            "it cannot be read (entity not found)"
        );
    }

    #[test]
    fn the_message_of_an_unusable_secret_names_slot_and_source() {
        let error = SecretError {
            slot: "dns-token".to_owned(),
            source_of: SecretSource::Environment("PDNS_KEY".to_owned()),
            problem: SecretProblem::Missing,
        };
        assert_eq!(
            error.to_string(),
            "the secret for `dns-token` from environment variable `PDNS_KEY` is not usable: it is not set"
        );
    }
}
