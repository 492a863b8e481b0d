//! The endpoint of a database as a Secret holds it. Pure.

use serde_json::{Value, json};
use understudy_sdk::host::understudy::types::types::Error;
use understudy_sdk::kubernetes::{secret_data, secret_text};

use crate::config::Keys;

/// The endpoint in a Secret, `host:port`.
///
/// # Errors
/// `conflict`: a key is not there; the grant may not show it.
pub(crate) fn read(secret: &Value, keys: &Keys) -> Result<String, Error> {
    let key = |key: &str| {
        secret_text(secret, key).ok_or_else(|| {
            Error::Conflict(format!(
                "the Secret shows no text under the key `{key}`: it is not there, or `keys` of the grant does not name it"
            ))
        })
    };
    match keys {
        Keys::Whole { endpoint_key } => key(endpoint_key),
        Keys::Split { host_key, port_key } => {
            let (host, port) = (key(host_key)?, key(port_key)?);
            // An IPv6 address stands in brackets beside a port (RFC 3986, 3.2.2).
            Ok(match host.contains(':') {
                true => format!("[{host}]:{port}"),
                false => format!("{host}:{port}"),
            })
        }
    }
}

/// What to merge into the Secret for an endpoint.
///
/// # Errors
/// `invalid`: not `host:port`.
pub(crate) fn patch(keys: &Keys, endpoint: &str) -> Result<Value, Error> {
    let parts = endpoint
        .rsplit_once(':')
        .filter(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0));
    let (host, port) = parts.ok_or_else(|| {
        Error::Invalid(format!("`{endpoint}` is not the `host:port` of a database"))
    })?;
    let data = match keys {
        Keys::Whole { endpoint_key } => json!({ (endpoint_key): secret_data(endpoint) }),
        Keys::Split { host_key, port_key } => {
            let host = host.trim_matches(['[', ']']);
            json!({ (host_key): secret_data(host), (port_key): secret_data(port) })
        }
    };
    Ok(json!({ "data": data }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_patched_is_what_is_read() {
        let whole = Keys::Whole {
            endpoint_key: "endpoint".to_owned(),
        };
        let split = Keys::Split {
            host_key: "host".to_owned(),
            port_key: "port".to_owned(),
        };
        for endpoint in ["db.bz.example.test:3306", "[2001:db8::1]:3306"] {
            for keys in [&whole, &split] {
                let secret = patch(keys, endpoint).unwrap();
                assert_eq!(read(&secret, keys).unwrap(), endpoint);
            }
        }
        for bad in ["db", "db:", ":3306", "db:x", "db:0", "db:99999"] {
            assert!(
                matches!(patch(&whole, bad), Err(Error::Invalid(_))),
                "{bad}"
            );
        }
        assert!(
            matches!(read(&json!({ "data": {} }), &whole), Err(Error::Conflict(text)) if text.contains("`endpoint`"))
        );
    }
}
