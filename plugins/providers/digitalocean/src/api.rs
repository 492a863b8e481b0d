//! Requests to the API, behind a trait so that everything above is tested without a host; its errors in its own words.
//!
//! No body of a success is ever quoted: where the token may see credentials, they are in it.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use understudy_sdk::host::understudy::http::http::{self, Request, Response};
use understudy_sdk::host::understudy::types::types::Error;
use understudy_sdk::provider::{is_success, json_request, quote, status_error};

use crate::config::Config;

/// Sends requests.
pub(crate) trait Http {
    /// See `http.send`.
    fn send(&self, request: &Request) -> Result<Response, Error>;
}

/// Requests through the host.
pub(crate) struct Host;

impl Http for Host {
    fn send(&self, request: &Request) -> Result<Response, Error> {
        http::send(request)
    }
}

/// The API under a configuration.
#[derive(Clone, Copy)]
pub(crate) struct Api<'a> {
    http: &'a dyn Http,
    config: &'a Config,
}

#[derive(Deserialize)]
struct Failure {
    id: String,
    message: String,
}

impl<'a> Api<'a> {
    pub(crate) fn new(http: &'a dyn Http, config: &'a Config) -> Self {
        Self { http, config }
    }

    /// What is at a path below `/v2`.
    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        let response = self.send("GET", path, None)?;
        serde_json::from_slice(&response.body).map_err(|error| {
            Error::Other(format!(
                "GET {path}: an answer that cannot be read: {error}"
            ))
        })
    }

    /// Sends a change; whatever it answers is looked at by the next look.
    pub(crate) fn change(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(), Error> {
        self.send(method, path, body).map(drop)
    }

    fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Response, Error> {
        let url = format!("{}/v2{path}", self.config.server);
        let request = json_request(method, url, body, Some(&self.config.credential));
        let response = self.http.send(&request)?;
        if is_success(&response) {
            return Ok(response);
        }
        let said = match serde_json::from_slice::<Failure>(&response.body) {
            Ok(failure) => format!("{}: {}", failure.id, quote(failure.message.as_bytes())),
            Err(_) => quote(&response.body),
        };
        Err(status_error(&format!("{method} {path}"), &response, &said))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::cell::RefCell;

    use serde_json::json;
    use understudy_sdk::provider::header;

    use super::*;

    /// Answers by method and path, and what was sent.
    #[derive(Default)]
    pub(crate) struct Script {
        pub(crate) answers: Vec<(&'static str, String, u16, Value)>,
        pub(crate) sent: RefCell<Vec<(String, String, Value)>>,
    }

    impl Script {
        pub(crate) fn with(
            mut self,
            method: &'static str,
            path: &str,
            status: u16,
            body: Value,
        ) -> Self {
            self.answers.push((method, path.to_owned(), status, body));
            self
        }

        /// Changes that were sent, as `METHOD path`.
        pub(crate) fn changes(&self) -> Vec<String> {
            let sent = self.sent.borrow();
            let changes = sent.iter().filter(|(method, _, _)| method != "GET");
            changes
                .map(|(method, path, _)| format!("{method} {path}"))
                .collect()
        }
    }

    impl Http for Script {
        fn send(&self, request: &Request) -> Result<Response, Error> {
            let path = request.url.split_once("/v2").unwrap().1;
            let body = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
            self.sent
                .borrow_mut()
                .push((request.method.clone(), path.to_owned(), body));
            let mut answers = self.answers.iter();
            let (_, _, status, body) = answers
                .find(|(method, known, _, _)| *method == request.method && known == path)
                .unwrap_or_else(|| panic!("{} {path}", request.method));
            Ok(Response {
                status: *status,
                headers: vec![header("retry-after", "9")],
                body: body.to_string().into_bytes(),
            })
        }
    }

    #[test]
    fn a_refusal_is_told_in_the_vendors_words() {
        let config = crate::config::example();
        let refused = |status| {
            let body = json!({ "id": "some_id", "message": "Some reason." });
            let script = Script::default().with("GET", "/x", status, body);
            Api::new(&script, &config).get::<Value>("/x").unwrap_err()
        };
        assert!(matches!(refused(422), Error::Invalid(text)
            if text == "GET /x: HTTP 422: some_id: Some reason."));
        assert!(matches!(refused(404), Error::NotFound(_)));
        assert!(matches!(refused(429), Error::Unavailable(hint) if hint.after_ms == Some(9000)));
        assert!(
            matches!(refused(401), Error::Invalid(text) if text.contains("check the credential"))
        );
    }

    #[test]
    fn the_body_of_a_success_is_not_quoted() {
        let config = crate::config::example();
        let script = Script::default().with("GET", "/x", 200, json!({ "password": "hunter2" }));
        let error = Api::new(&script, &config).get::<Vec<u8>>("/x").unwrap_err();
        assert!(
            matches!(&error, Error::Other(text) if !text.contains("hunter2")),
            "{error:?}"
        );
    }
}
