//! One walk of a journey: its requests in order, with cookies kept, until an expectation is missed.
//!
//! A redirect is a response like any other: what a journey expects after it is its next step. Start at [`Walk`].

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::str::FromStr as _;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue, SET_COOKIE};
use reqwest::{Method, Response};
use serde::Serialize;
use url::Url;

use crate::clock::{Instant, millis, timeout_at};
use crate::name::SiteName;
use crate::runbook::types::JourneyStep;

use super::super::credential::{Attachment, Redactor};
use super::super::http::{self, chain, client, find_tls};
use super::super::trust::Trust;
use super::super::{Facilities, clip, network};
use super::cookie::Jar;
use super::dns::{self, Question};

/// Most bytes of a response in which an expected text is looked for.
pub const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;

/// What came of one request: `probe.journey-step`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Step {
    pub(super) name: String,
    pub(super) status: u16,
    pub(super) zone: Option<String>,
    pub(super) took_ms: u64,
    pub(super) problem: Option<String>,
}

/// What came of a journey: `probe.journey-report`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Report {
    pub(super) passed: bool,
    pub(super) steps: Vec<Step>,
}

impl Report {
    /// The first missed expectation, with the step it was missed at.
    pub(super) fn problem(&self) -> Option<String> {
        self.steps
            .iter()
            .find_map(|step| Some(format!("{}: {}", step.name, step.problem.as_ref()?)))
    }
}

/// How the entry is found.
#[derive(Debug, Clone, Copy)]
pub(super) enum Way {
    /// At this address, with the public name in SNI and `Host`.
    Direct(SocketAddr),
    /// By asking this resolver.
    Resolver(SocketAddr),
    /// By the machine's own resolver.
    System,
}

/// Everything a walk needs.
pub(super) struct Walk<'a> {
    pub(super) way: Way,
    pub(super) site: &'a SiteName,
    /// Empty where the runbook names none.
    pub(super) zone_header: &'a str,
    pub(super) attachments: &'a BTreeMap<String, Attachment>,
    pub(super) trust: &'a Trust,
    pub(super) redactor: &'a Redactor,
    pub(super) facilities: &'a Facilities,
    pub(super) deadline: Instant,
}

/// What a response showed, before it is judged.
struct Shown {
    status: u16,
    zone: Option<String>,
    body: Body,
}

enum Body {
    Read(Vec<u8>),
    TooLong,
}

impl Walk<'_> {
    /// Walks the journey. A missed expectation ends it: what follows builds on it.
    pub(super) async fn walk(&self, journey: &[JourneyStep]) -> Report {
        let mut jar = Jar::default();
        let mut steps = Vec::with_capacity(journey.len());
        for step in journey {
            let taken = self.take(step, &mut jar).await;
            let missed = taken.problem.is_some();
            steps.push(taken);
            if missed {
                break;
            }
        }
        Report {
            passed: steps.len() == journey.len() && steps.iter().all(|step| step.problem.is_none()),
            steps,
        }
    }

    async fn take(&self, step: &JourneyStep, jar: &mut Jar) -> Step {
        let clock = self.facilities.clock.as_ref();
        let started = clock.now();
        let shown = timeout_at(clock, self.deadline, self.request(step, jar))
            .await
            .unwrap_or_else(|| Err("no response by the deadline".to_owned()));
        let took_ms = millis(clock.now().since(started));
        let (status, zone, problem) = match shown {
            Ok(shown) => {
                let problem = self.judge(step, &shown);
                (shown.status, shown.zone, problem)
            }
            Err(problem) => (0, None, Some(problem)),
        };
        Step {
            name: step.name.clone(),
            status,
            zone,
            took_ms,
            problem: problem.map(|text| clip(self.redactor.text(&text))),
        }
    }

    async fn request(&self, step: &JourneyStep, jar: &mut Jar) -> Result<Shown, String> {
        let host = step.url.host_str().unwrap_or("").trim_matches(['[', ']']);
        let port = step.url.port_or_known_default().unwrap_or(0);
        let addresses = self.addresses(host, port).await?;
        let client = client(self.trust.config(), host, &addresses)?;
        let mut url = step.url.clone();
        let mut headers = self.headers(step, jar)?;
        if let Way::Direct(entry) = self.way {
            // The port is the entry's; `Host` keeps the public authority, and SNI the public name.
            headers.insert(reqwest::header::HOST, value(&authority(&step.url))?);
            url.set_port(Some(entry.port()))
                .map_err(|()| "the address takes no port".to_owned())?;
        }
        let method = Method::from_str(&step.method)
            .map_err(|_| format!("`{}` is not a method", step.method))?;
        let mut request = client.request(method, url).headers(headers);
        if !step.body.is_empty() {
            request = request.body(step.body.clone());
        }
        let mut request = request.build().map_err(transport)?;
        if let Some(slot) = &step.credential {
            let attachment = self.attachments.get(slot).ok_or_else(|| {
                format!(
                    "the runbook's probe has no credential `{slot}`; add it to `probe.credentials`"
                )
            })?;
            attachment.attach(&mut request, self.facilities.clock.now())?;
        }
        let response = client.execute(request).await.map_err(transport)?;
        let cookies = response.headers().get_all(SET_COOKIE).into_iter();
        jar.store(&step.url, cookies.filter_map(|cookie| cookie.to_str().ok()));
        self.read(response).await
    }

    async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
        let resolver = match self.way {
            Way::Direct(entry) => return Ok(vec![entry]),
            Way::Resolver(server) if host.parse::<std::net::IpAddr>().is_err() => server,
            Way::Resolver(_) | Way::System => {
                let resolver = self.facilities.resolver.as_ref();
                // The runbook's own addresses: private ones are what they often are.
                return network::reach(resolver, host, port, true)
                    .await
                    .map_err(|problem| problem.to_string());
            }
        };
        let clock = self.facilities.clock.as_ref();
        let mut addresses = Vec::new();
        let mut problem = None;
        for kind in ["A", "AAAA"] {
            let question = Question::new(host, kind)?;
            match dns::ask(clock, resolver, &question, self.deadline).await {
                Ok(found) => {
                    let parsed = found.values.iter().filter_map(|value| value.parse().ok());
                    addresses.extend(parsed.map(|ip| SocketAddr::new(ip, port)));
                }
                Err(error) => problem = Some(error.to_string()),
            }
        }
        addresses.truncate(network::MAX_ADDRESSES);
        if addresses.is_empty() {
            let why = problem.unwrap_or_else(|| "no addresses".to_owned());
            return Err(format!("`{host}` does not resolve: {why}"));
        }
        Ok(addresses)
    }

    fn headers(&self, step: &JourneyStep, jar: &Jar) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        for (name, text) in &step.headers {
            let name = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| format!("`{name}` is not the name of a header"))?;
            headers.insert(name, value(text)?);
        }
        if let Some(cookies) = jar.header(&step.url) {
            headers.insert(reqwest::header::COOKIE, value(&cookies)?);
        }
        Ok(headers)
    }

    async fn read(&self, mut response: Response) -> Result<Shown, String> {
        let status = response.status().as_u16();
        let zone = response
            .headers()
            .get(self.zone_header)
            .filter(|_| !self.zone_header.is_empty())
            .and_then(|zone| zone.to_str().ok())
            .map(|zone| clip(self.redactor.text(zone.trim()).to_lowercase()));
        let bytes = http::body(&mut response, MAX_BODY_BYTES).await;
        let body = bytes.map_err(transport)?.map_or(Body::TooLong, Body::Read);
        Ok(Shown { status, zone, body })
    }

    fn judge(&self, step: &JourneyStep, shown: &Shown) -> Option<String> {
        if !step.expect_status.contains(&shown.status) {
            let expected: Vec<String> = step.expect_status.iter().map(u16::to_string).collect();
            return Some(format!(
                "status {}, expected {}",
                shown.status,
                expected.join(" or ")
            ));
        }
        match &shown.zone {
            Some(zone) if zone != self.site.as_str() => {
                return Some(format!("answered by `{zone}`, expected `{}`", self.site));
            }
            // Without a header to tell, only the direct way in says who answered.
            None if !self.zone_header.is_empty() => {
                return Some(format!(
                    "no header `{}` to tell which site answered",
                    self.zone_header
                ));
            }
            None if !matches!(self.way, Way::Direct(_)) => {
                return Some(
                    "the runbook names no `zone-header` to tell which site answered".to_owned(),
                );
            }
            _ => {}
        }
        if step.expect_body.is_empty() {
            return None;
        }
        match &shown.body {
            Body::TooLong => Some(format!("the body has more than {MAX_BODY_BYTES} bytes")),
            Body::Read(bytes) if String::from_utf8_lossy(bytes).contains(&step.expect_body) => None,
            Body::Read(_) => Some(format!("the body lacks `{}`", step.expect_body)),
        }
    }
}

fn value(text: &str) -> Result<HeaderValue, String> {
    HeaderValue::from_str(text).map_err(|_| "a header holds characters it cannot".to_owned())
}

/// As `Host` has it: the port only where it is not the scheme's own.
fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or("");
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn transport(error: reqwest::Error) -> String {
    let error = error.without_url();
    match find_tls(&error) {
        Some(tls) => format!("TLS did not verify: {tls}"),
        None if error.is_connect() => format!("not reached: {}", chain(&error)),
        None => format!("the connection broke: {}", chain(&error)),
    }
}
