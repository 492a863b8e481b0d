//! Applications and announcements through an organisation's own HTTP endpoints: where no provider exists for what runs
//! an application, a small endpoint that speaks the protocol below makes it part of a runbook.
//!
//! # The protocol
//! **Applications**, at the base address that the configuration names for a site:
//!
//! `GET /apps/{app}` answers 200 with one JSON object, or 404:
//! ```json
//! { "desired": 2, "ready": 2, "database-endpoint": "db.bz.example.test:3306", "maintenance": false,
//!   "restart-token": "run-7-restart", "running-restart-token": "run-7-restart",
//!   "running-database-endpoint": "db.bz.example.test:3306" }
//! ```
//! `desired`: replicas asked for. `ready`: replicas that answer their readiness check now. `database-endpoint`: what
//! the configuration names. `maintenance`: users' writes are refused. `restart-token`: the newest restart asked for
//! (empty or absent: none). The two `running-*` fields say what *every* running replica really uses; an endpoint that
//! cannot tell leaves them out, and then a restart counts as done once `ready` equals `desired`.
//!
//! `PUT /apps/{app}` takes the object without `ready` and `running-*`, stores what is asked for, begins to converge and
//! answers any 2xx at once. A `restart-token` other than the stored one restarts every replica once. Where the `GET`
//! had an `etag`, the `PUT` carries it as `if-match`; an endpoint that compares it answers 412 to a lost race, which is
//! looked at again.
//!
//! **Announcements**, at the full address that the configuration names for a channel: `POST` with the header
//! `idempotency-key` and the body `{"key", "title", "body", "severity"}` with severity `info`, `warning` or `critical`.
//! 201 says that it is shown now, any other 2xx that this key was shown before; 202 that it will be shown. A page
//! (`text/html`) is no answer: something else is in the endpoint's place.
//!
//! # What it needs on the server
//! The endpoints behind TLS, a credential in the binding's slot that may read and change exactly these applications,
//! and grants of the host for `GET`, `PUT` and `POST` on these paths.
//!
//! # What each function does there
//! `observe` reads. `ensure-scaled`, `ensure-database-endpoint`, `ensure-restarted` and `ensure-maintenance` read,
//! compare, `PUT` only what differs, and read again; `ensure-scaled` and `ensure-restarted` answer `in-progress` until
//! `ready` equals `desired` (and, after a restart, every replica has been through it and uses the configured database).
//! `ensure-announced` posts; the endpoint keeps apart what it has shown.
//!
//! # Limits
//! What the endpoint says is believed. A restart while `desired` is 0 is done at once.
//!
//! Start at [`converge`]; decisions are in `app`.

use understudy_sdk::host::understudy::http::http::{self, Response};
use understudy_sdk::host::understudy::types::types::Error;
use understudy_sdk::provider::{
    Configured, header, header_value, in_progress, is_success, json_request, quote, read_json,
    response_error,
};

mod app;
mod config;

understudy_sdk::provider_bindings!(
    "understudy:webhook/webhook",
    inline: "package understudy:webhook; world webhook {
        include understudy:plugin/provider-base@0.1.0;
        export understudy:workload/workload@0.1.0;
        export understudy:notify/notify@0.1.0;
    }"
);

use app::{App, Distance, Wish};
use config::Config;
use exports::understudy::{notify::notify, plugin::provider, workload::workload};
use serde_json::{Map, Value};
use workload::Outcome;

static CONFIG: Configured<Config> = Configured::new();

/// The provider.
struct Webhook;

impl provider::Guest for Webhook {
    fn describe() -> provider::Description {
        provider::Description {
            name: "webhook".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "applications and announcements through an organisation's own endpoints"
                .to_owned(),
            config_schema: config::SCHEMA.to_owned(),
        }
    }

    fn configure(config: String) -> Result<(), String> {
        CONFIG.set(Config::parse(&config)?)
    }
}

impl workload::Guest for Webhook {
    fn observe(site: String, app: String) -> Result<workload::Observation, Error> {
        let config = CONFIG.get()?;
        let found = get_app(config, &config.app_url(&site, &app)?)?;
        Ok(workload::Observation {
            desired: found.app.desired,
            ready: found.app.ready,
            database_endpoint: found.app.database_endpoint,
            maintenance: found.app.maintenance,
        })
    }

    fn ensure_scaled(site: String, app: String, replicas: u32) -> Result<Outcome, Error> {
        converge(&site, &app, &Wish::Scaled(replicas))
    }

    fn ensure_database_endpoint(
        site: String,
        app: String,
        endpoint: String,
    ) -> Result<Outcome, Error> {
        converge(&site, &app, &Wish::DatabaseEndpoint(endpoint))
    }

    fn ensure_restarted(site: String, app: String, token: String) -> Result<Outcome, Error> {
        if token.is_empty() {
            return Err(Error::Invalid("the restart token is empty".to_owned()));
        }
        converge(&site, &app, &Wish::Restarted(token))
    }

    fn ensure_maintenance(site: String, app: String, enabled: bool) -> Result<Outcome, Error> {
        converge(&site, &app, &Wish::Maintenance(enabled))
    }
}

impl notify::Guest for Webhook {
    fn ensure_announced(
        channel: String,
        announcement: notify::Announcement,
    ) -> Result<notify::Outcome, Error> {
        let config = CONFIG.get()?;
        let url = config.channel_url(&channel)?;
        if announcement.key.is_empty() || announcement.key.chars().any(char::is_control) {
            return Err(Error::Invalid(
                "the announcement's key is empty or not one line".to_owned(),
            ));
        }
        let body = serde_json::json!({
            "key": announcement.key,
            "title": announcement.title,
            "body": announcement.body,
            "severity": severity(announcement.severity),
        });
        let mut request = json_request("POST", url, Some(&body), config.credential());
        request
            .headers
            .push(header("idempotency-key", &announcement.key));
        let response = http::send(&request)?;
        announced(&channel, &response)
    }
}

/// Reads an announcement's answer.
fn announced(channel: &str, response: &Response) -> Result<notify::Outcome, Error> {
    if is_success(response) && is_page(response) {
        return Err(Error::Other(format!(
            "POST to channel {channel}: a page was answered, so it is no endpoint for announcements: {}",
            quote(&response.body)
        )));
    }
    match response.status {
        201 | 202 => Ok(notify::Outcome::Changed),
        _ if is_success(response) => Ok(notify::Outcome::Unchanged),
        _ => Err(response_error(
            &format!("POST to channel {channel}"),
            response,
        )),
    }
}

/// Whether a person was meant: what logins and networks that want to be paid for answer in an endpoint's place.
fn is_page(response: &Response) -> bool {
    let media_type = header_value(response, "content-type").unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("text/html")
}

/// The protocol's word for a severity.
fn severity(severity: notify::Severity) -> &'static str {
    match severity {
        notify::Severity::Info => "info",
        notify::Severity::Warning => "warning",
        notify::Severity::Critical => "critical",
    }
}

/// An application as read: typed, whole, and at which version.
struct Found {
    app: App,
    document: Map<String, Value>,
    etag: Option<String>,
}

/// Looks, asks for what differs, looks again.
fn converge(site: &str, app: &str, wish: &Wish) -> Result<Outcome, Error> {
    let config = CONFIG.get()?;
    let url = config.app_url(site, app)?;
    let found = get_app(config, &url)?;
    let id = format!("{site}/{app}");
    let (after, done) = match wish.distance(&found.app) {
        Distance::Ask(field, value) => {
            if !put_app(config, &url, found, field, value)? {
                let lost = "somebody else changed the application at the same moment";
                return Ok(in_progress(id, lost, config.poll_after_ms()));
            }
            (get_app(config, &url)?.app, Outcome::Changed)
        }
        Distance::Wait(missing) => return Ok(in_progress(id, missing, config.poll_after_ms())),
        Distance::None => (found.app, Outcome::Unchanged),
    };
    match wish.distance(&after) {
        Distance::None => Ok(done),
        Distance::Wait(missing) => Ok(in_progress(id, missing, config.poll_after_ms())),
        Distance::Ask(field, _) => Err(Error::Conflict(format!(
            "the endpoint of {app} at {site} accepted `{field}` and still shows another value"
        ))),
    }
}

/// Reads an application.
fn get_app(config: &Config, url: &str) -> Result<Found, Error> {
    let response = http::send(&json_request(
        "GET",
        url.to_owned(),
        None,
        config.credential(),
    ))?;
    let asked = format!("GET {url}");
    if !is_success(&response) {
        return Err(response_error(&asked, &response));
    }
    Ok(Found {
        app: read_json(&asked, &response)?,
        document: read_json(&asked, &response)?,
        etag: header_value(&response, "etag").map(str::to_owned),
    })
}

/// Puts one field; false where somebody else changed the application in between.
fn put_app(
    config: &Config,
    url: &str,
    found: Found,
    field: &str,
    value: Value,
) -> Result<bool, Error> {
    let body = app::with_field(found.document, field, value);
    let mut request = json_request("PUT", url.to_owned(), Some(&body), config.credential());
    if let Some(etag) = &found.etag {
        request.headers.push(header("if-match", etag));
    }
    let response = http::send(&request)?;
    match response.status {
        412 if found.etag.is_some() => Ok(false),
        _ if is_success(&response) => Ok(true),
        _ => Err(response_error(&format!("PUT {url}"), &response)),
    }
}

export!(Webhook);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announcement_counts_as_shown_now_or_before() {
        let told = |status, media_type: &str| {
            announced(
                "chat",
                &Response {
                    status,
                    headers: vec![header("content-type", media_type)],
                    body: Vec::new(),
                },
            )
        };
        let answer = |status| told(status, "text/plain");
        assert!(matches!(
            told(200, "Text/HTML; charset=utf-8"),
            Err(Error::Other(_))
        ));
        assert!(matches!(answer(201), Ok(notify::Outcome::Changed)));
        assert!(matches!(answer(200), Ok(notify::Outcome::Unchanged)));
        assert!(matches!(answer(503), Err(Error::Unavailable(_))));
        assert!(matches!(answer(403), Err(Error::Invalid(_))));
    }
}
