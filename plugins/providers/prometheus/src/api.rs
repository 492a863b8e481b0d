//! Requests to Prometheus' HTTP API, and its numbers.
//! Source: <https://prometheus.io/docs/prometheus/latest/querying/api/>.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use understudy_sdk::host::understudy::http::http::{self, Response};
use understudy_sdk::host::understudy::types::types::Error;
use understudy_sdk::provider::{
    is_success, json_request, percent_encoded, quote, read_json, status_error,
};

use crate::config::Server;
use crate::judge::Sample;
use crate::monitoring::{Rules, Targets};

#[derive(Debug, Deserialize)]
struct Answer<T> {
    data: T,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: String,
    result: Value,
}

#[derive(Debug, Deserialize)]
struct Series {
    #[serde(default)]
    value: Option<(f64, String)>,
    #[serde(default)]
    values: Vec<(f64, String)>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Failure {
    error_type: String,
    error: String,
}

/// The server's clock, in milliseconds since the epoch.
pub(crate) fn now(server: &Server) -> Result<u64, Error> {
    let data: Data = ask(server, "query", &[("query", "time()".to_owned())])?;
    read(&data)?
        .last()
        .map(|sample| sample.at)
        .ok_or_else(|| Error::Other("the server does not say what time it is".to_owned()))
}

/// A query's number now; none where there is no data.
pub(crate) fn instant(server: &Server, query: &str) -> Result<Option<Sample>, Error> {
    let data: Data = ask(server, "query", &[("query", query.to_owned())])?;
    Ok(read(&data)?.pop())
}

/// A query's numbers at `start`, every `step` after it, and not after `end`, all in milliseconds.
pub(crate) fn range(
    server: &Server,
    query: &str,
    (start, end, step): (u64, u64, u64),
) -> Result<Vec<Sample>, Error> {
    let parameters = [
        ("query", query.to_owned()),
        ("start", seconds(start)),
        ("end", seconds(end)),
        ("step", seconds(step)),
    ];
    read(&ask(server, "query_range", &parameters)?)
}

/// What is scraped.
pub(crate) fn targets(server: &Server) -> Result<Targets, Error> {
    ask(server, "targets", &[("state", "active".to_owned())])
}

/// The rules that alert.
pub(crate) fn alerting_rules(server: &Server) -> Result<Rules, Error> {
    ask(server, "rules", &[("type", "alert".to_owned())])
}

fn ask<T: DeserializeOwned>(
    server: &Server,
    function: &str,
    parameters: &[(&str, String)],
) -> Result<T, Error> {
    let query: Vec<String> = parameters
        .iter()
        .map(|(name, value)| format!("{name}={}", percent_encoded(value)))
        .collect();
    let url = format!("{}/api/v1/{function}?{}", server.server, query.join("&"));
    let asked = format!("GET /api/v1/{function}");
    let request = json_request("GET", url, None, server.credential.as_deref());
    let response = http::send(&request)?;
    if !is_success(&response) {
        return Err(failed(&asked, &response));
    }
    Ok(read_json::<Answer<T>>(&asked, &response)?.data)
}

/// A refusal in the server's words.
fn failed(asked: &str, response: &Response) -> Error {
    let said = match serde_json::from_slice::<Failure>(&response.body) {
        Ok(failure) => format!(
            "{}: {}",
            failure.error_type,
            quote(failure.error.as_bytes())
        ),
        Err(_) => quote(&response.body),
    };
    status_error(asked, response, &said)
}

/// The one series of an answer, in order of time; empty where there is none.
fn read(data: &Data) -> Result<Vec<Sample>, Error> {
    let unreadable = |problem: String| Error::Other(format!("{} {problem}", data.result_type));
    let samples = match data.result_type.as_str() {
        "scalar" => vec![
            serde_json::from_value(data.result.clone())
                .map_err(|error| unreadable(error.to_string()))?,
        ],
        "vector" | "matrix" => {
            let mut series: Vec<Series> = serde_json::from_value(data.result.clone())
                .map_err(|error| unreadable(error.to_string()))?;
            if series.len() > 1 {
                return Err(Error::Invalid(format!(
                    "the query gives {} series; aggregate them to one number, for example by `sum`",
                    series.len()
                )));
            }
            let only = series.pop();
            only.map(|series| series.value.into_iter().chain(series.values).collect())
                .unwrap_or_default()
        }
        other => {
            return Err(Error::Invalid(format!(
                "the query gives a {other}, not a number"
            )));
        }
    };
    samples
        .into_iter()
        .map(|(at, value): (f64, String)| {
            let value = number(&value).ok_or_else(|| unreadable(format!("with `{value}`")))?;
            Ok(Sample {
                at: milliseconds(at),
                value,
            })
        })
        .collect()
}

/// Prometheus writes `NaN`, `+Inf` and `-Inf` beside numbers.
fn number(text: &str) -> Option<f64> {
    text.parse().ok()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "milliseconds since the epoch are far from both ends"
)]
fn milliseconds(seconds: f64) -> u64 {
    (seconds * 1000.0).round() as u64
}

fn seconds(milliseconds: u64) -> String {
    format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn samples(kind: &str, result: Value) -> Result<Vec<(u64, f64)>, Error> {
        let data = Data {
            result_type: kind.to_owned(),
            result,
        };
        let samples = read(&data)?;
        Ok(samples
            .iter()
            .map(|sample| (sample.at, sample.value))
            .collect())
    }

    #[test]
    fn one_series_is_read_whatever_its_form() {
        let series = json!([{ "metric": {}, "value": [1435781451.781, "0.5"] }]);
        assert_eq!(
            samples("vector", series).unwrap(),
            [(1_435_781_451_781, 0.5)]
        );
        let series = json!([{ "metric": {}, "values": [[1, "+Inf"], [2.5, "-1e3"]] }]);
        assert_eq!(
            samples("matrix", series).unwrap(),
            [(1000, f64::INFINITY), (2500, -1000.0)]
        );
        assert_eq!(samples("scalar", json!([3, "7"])).unwrap(), [(3000, 7.0)]);
        assert_eq!(samples("vector", json!([])).unwrap(), []);
        let nan = samples("vector", json!([{ "metric": {}, "value": [1, "NaN"] }])).unwrap();
        assert!(nan[0].1.is_nan());
    }

    #[test]
    fn several_series_and_text_are_refused() {
        let two = json!([{ "value": [1, "1"] }, { "value": [1, "2"] }]);
        assert!(
            matches!(samples("vector", two), Err(Error::Invalid(text)) if text.contains("2 series"))
        );
        assert!(matches!(
            samples("string", json!([1, "a"])),
            Err(Error::Invalid(_))
        ));
        let words = json!([{ "value": [1, "many"] }]);
        assert!(matches!(samples("vector", words), Err(Error::Other(_))));
    }

    #[test]
    fn a_refusal_is_told_in_the_servers_words() {
        let refused = |status, kind: &str| {
            let body = json!({ "status": "error", "errorType": kind, "error": "parse error" });
            let response = Response {
                status,
                headers: Vec::new(),
                body: body.to_string().into_bytes(),
            };
            failed("GET /api/v1/query", &response)
        };
        assert!(matches!(refused(400, "bad_data"), Error::Invalid(text)
            if text == "GET /api/v1/query: HTTP 400: bad_data: parse error"));
        assert!(matches!(refused(503, "timeout"), Error::Unavailable(_)));
        assert!(matches!(refused(422, "execution"), Error::Invalid(_)));
    }

    #[test]
    fn instants_go_out_in_seconds() {
        assert_eq!(
            (seconds(1_435_781_451_007), seconds(250)),
            ("1435781451.007".to_owned(), "0.250".to_owned())
        );
    }
}
