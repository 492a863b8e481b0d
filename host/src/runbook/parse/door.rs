//! What every table needs at the door: one check per kind of text, each reporting at the text's place.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde_json::Value;
use url::Url;

use crate::name::{InvalidName, is_kebab};
use crate::runbook::duration;
use crate::runbook::error::RunbookError;
use crate::runbook::problem::Problem;
use crate::runbook::raw::Text;
use crate::runbook::source::Sources;

/// The problems so far, and the files to say where they are.
pub(super) struct Door<'s> {
    pub(super) sources: &'s Sources,
    pub(super) errors: Vec<RunbookError>,
}

impl<'s> Door<'s> {
    pub(super) fn new(sources: &'s Sources, errors: Vec<RunbookError>) -> Self {
        Self { sources, errors }
    }

    pub(super) fn report(&mut self, span: &Range<usize>, problem: Problem) {
        let place = self.sources.place(span);
        self.errors.push(RunbookError::new(problem, place));
    }

    pub(super) fn invalid(&mut self, kind: &'static str, text: &Text, rule: &str) {
        let problem = Problem::InvalidValue {
            kind,
            text: text.value().clone(),
            rule: rule.to_owned(),
        };
        self.report(&text.span(), problem);
    }

    pub(super) fn duplicate(&mut self, kind: &'static str, text: &Text, first: &Range<usize>) {
        let first = self.sources.place(first);
        let problem = Problem::Duplicate {
            kind,
            name: text.value().clone(),
            first,
        };
        self.report(&text.span(), problem);
    }

    pub(super) fn contradiction(&mut self, span: &Range<usize>, message: String, help: &str) {
        self.report(
            span,
            Problem::Contradiction {
                message,
                help: help.to_owned(),
            },
        );
    }

    /// A name of the domain.
    pub(super) fn name<T: FromStr<Err = InvalidName>>(&mut self, text: &Text) -> Option<T> {
        match text.value().parse() {
            Ok(name) => Some(name),
            Err(InvalidName { kind, rule, .. }) => {
                self.invalid(kind, text, rule);
                None
            }
        }
    }

    /// A name that something declared in this runbook has.
    pub(super) fn reference<T: FromStr<Err = InvalidName>>(
        &mut self,
        kind: &'static str,
        text: &Text,
        known: &BTreeSet<&str>,
    ) -> Option<T> {
        // A declared name that is no valid name was reported where it is declared.
        self.declared(kind, text, known)
            .then(|| text.value().parse().ok())?
    }

    /// Whether something declared in this runbook has the name.
    pub(super) fn declared(
        &mut self,
        kind: &'static str,
        text: &Text,
        known: &BTreeSet<&str>,
    ) -> bool {
        if known.contains(text.value().as_str()) {
            return true;
        }
        let known = known.iter().map(|name| (*name).to_owned()).collect();
        self.report(
            &text.span(),
            Problem::UnknownReference {
                kind,
                name: text.value().clone(),
                known,
            },
        );
        false
    }

    /// A name that only this file uses: a slot, a journey, a procedure.
    pub(super) fn kebab(&mut self, kind: &'static str, text: &Text) -> Option<String> {
        if is_kebab(text.value()) {
            return Some(text.value().clone());
        }
        self.invalid(kind, text, "use lower-case words joined by `-`");
        None
    }

    pub(super) fn duration(&mut self, text: &Text) -> Option<Duration> {
        let parsed = duration::parse(text.value());
        if parsed.is_none() {
            self.invalid("duration", text, duration::RULE);
        }
        parsed
    }

    pub(super) fn address(&mut self, text: &Text) -> Option<SocketAddr> {
        let parsed = text
            .value()
            .parse()
            .ok()
            .filter(|address: &SocketAddr| address.port() != 0);
        if parsed.is_none() {
            self.invalid(
                "address",
                text,
                "use an IP address and a port, such as `192.0.2.10:443` or `[2001:db8::1]:443`",
            );
        }
        parsed
    }

    /// `host:port`.
    pub(super) fn authority(&mut self, text: &Text) -> Option<String> {
        let valid = text.value().rsplit_once(':').is_some_and(|(host, port)| {
            is_host(host.trim_start_matches('[').trim_end_matches(']'))
                && port.parse::<u16>().is_ok_and(|port| port != 0)
        });
        if valid {
            return Some(text.value().clone());
        }
        self.invalid(
            "authority",
            text,
            "use a host and a port, such as `wp-active.example.test:443`",
        );
        None
    }

    /// A host name or an address.
    pub(super) fn host(&mut self, text: &Text) -> Option<String> {
        if is_host(text.value()) {
            return Some(text.value().clone());
        }
        self.invalid(
            "host",
            text,
            "use a host name or an IP address, without scheme and port",
        );
        None
    }

    /// An address of the web, without a secret in it.
    pub(super) fn url(&mut self, text: &Text) -> Option<Url> {
        let parsed = Url::parse(text.value())
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.host_str().is_some());
        match parsed {
            None => self.invalid("URL", text, "use `https://host[:port]/path`"),
            Some(url) if !url.username().is_empty() || url.password().is_some() => {
                self.report(&text.span(), Problem::SecretInUrl);
            }
            Some(url) if url.fragment().is_some() => {
                self.invalid("URL", text, "leave `#…` out: it is never sent");
            }
            Some(url) => return Some(url),
        }
        None
    }

    pub(super) fn method(&mut self, text: &Text) -> Option<String> {
        let value = text.value();
        if !value.is_empty() && value.len() <= 32 && value.bytes().all(|b| b.is_ascii_uppercase()) {
            return Some(value.clone());
        }
        self.invalid("method", text, "use upper-case letters, such as `GET`");
        None
    }

    /// The name of a header, in lower case.
    pub(super) fn header(&mut self, text: &Text) -> Option<String> {
        let value = text.value();
        // RFC 9110 section 5.6.2: the characters of a token.
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if !value.is_empty() && value.bytes().all(token) {
            return Some(value.to_ascii_lowercase());
        }
        self.invalid(
            "header name",
            text,
            "use letters, digits and `-`, such as `x-api-key`",
        );
        None
    }

    pub(super) fn path(&mut self, kind: &'static str, text: &Text) -> Option<PathBuf> {
        if text.value().trim().is_empty() {
            self.invalid(
                kind,
                text,
                "name a file, starting at the folder of this file",
            );
            return None;
        }
        Some(self.sources.path_at(&text.span(), text.value()))
    }

    /// A free value as JSON: dates and times become text.
    pub(super) fn json(
        &mut self,
        what: &'static str,
        span: &Range<usize>,
        value: &toml::Value,
    ) -> Option<Value> {
        match value {
            toml::Value::String(text) => Some(Value::String(text.clone())),
            toml::Value::Integer(number) => Some(Value::from(*number)),
            toml::Value::Boolean(flag) => Some(Value::Bool(*flag)),
            toml::Value::Datetime(time) => Some(Value::String(time.to_string())),
            toml::Value::Float(number) => {
                let json = serde_json::Number::from_f64(*number).map(Value::Number);
                if json.is_none() {
                    let rule = "JSON has neither infinity nor `nan`".to_owned();
                    let problem = Problem::InvalidValue {
                        kind: what,
                        text: number.to_string(),
                        rule,
                    };
                    self.report(span, problem);
                }
                json
            }
            toml::Value::Array(items) => items
                .iter()
                .map(|item| self.json(what, span, item))
                .collect(),
            toml::Value::Table(table) => table
                .iter()
                .map(|(key, value)| Some((key.clone(), self.json(what, span, value)?)))
                .collect::<Option<serde_json::Map<_, _>>>()
                .map(Value::Object),
        }
    }
}

fn is_host(text: &str) -> bool {
    url::Host::parse(text).is_ok() || text.parse::<std::net::Ipv6Addr>().is_ok()
}
