//! Whether what a site serves is good enough. Pure.

use crate::host::understudy::tls::tls::Certificate;

/// The contract's `served-certificate`, of the given type, from what the host saw: the same fields in another package.
#[macro_export]
macro_rules! served_certificate {
    ($type:path, $served:expr) => {{
        let served: understudy_sdk::host::understudy::tls::tls::Certificate = $served;
        $type {
            dns_names: served.dns_names,
            issuer: served.issuer,
            not_before_ms: served.not_before_ms,
            not_after_ms: served.not_after_ms,
            verified: served.verified,
            problem: served.problem,
            fingerprint: served.fingerprint,
        }
    }};
}

/// What is wrong with a certificate served for `name`; none where it will do for `min_valid_ms` more.
///
/// `now_ms` is none where nobody asked for a remaining validity: that it is valid now is part of `verified`.
#[must_use]
pub fn shortcoming(
    name: &str,
    served: &Certificate,
    now_ms: Option<u64>,
    min_valid_ms: u64,
) -> Option<String> {
    if !served.verified {
        return Some(format!("{name}: does not verify: {}", served.problem));
    }
    if !served.dns_names.iter().any(|pattern| covers(pattern, name)) {
        return Some(format!("{name}: not among {}", served.dns_names.join(", ")));
    }
    let left_ms = served.not_after_ms.saturating_sub(now_ms?);
    (left_ms < min_valid_ms).then(|| {
        format!(
            "{name}: valid for another {} h, asked for are {} h",
            left_ms / 3_600_000,
            min_valid_ms.div_ceil(3_600_000)
        )
    })
}

/// True where a name of a certificate covers a name; a wildcard stands for exactly one label (RFC 6125, 6.4.3).
fn covers(pattern: &str, name: &str) -> bool {
    if pattern.eq_ignore_ascii_case(name) {
        return true;
    }
    match (pattern.strip_prefix("*."), name.split_once('.')) {
        (Some(parent), Some((label, rest))) => label != "*" && parent.eq_ignore_ascii_case(rest),
        _ => false,
    }
}

/// The server name to ask with for a name: a wildcard cannot be asked for, a name below it can.
#[must_use]
pub fn server_name(name: &str) -> String {
    match name.strip_prefix("*.") {
        Some(parent) => format!("understudy-check.{parent}"),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: u64 = 86_400_000;

    fn served(names: &[&str], verified: bool) -> Certificate {
        Certificate {
            dns_names: names.iter().map(|name| (*name).to_owned()).collect(),
            issuer: "CN=Test".to_owned(),
            not_before_ms: 0,
            not_after_ms: 100 * DAY_MS,
            verified,
            problem: if verified {
                String::new()
            } else {
                "unknown issuer".to_owned()
            },
            fingerprint: String::new(),
        }
    }

    #[test]
    fn a_certificate_that_covers_long_enough_will_do() {
        let certificate = served(&["*.example.test"], true);
        assert_eq!(
            shortcoming(
                "wp-active.example.test",
                &certificate,
                Some(10 * DAY_MS),
                30 * DAY_MS
            ),
            None
        );
        assert_eq!(
            shortcoming("wp-active.example.test", &certificate, None, 0),
            None
        );
    }

    #[test]
    fn each_shortcoming_is_named() {
        let find = |names: &[&str], verified, now| {
            shortcoming(
                "wp.example.test",
                &served(names, verified),
                Some(now),
                30 * DAY_MS,
            )
        };
        assert!(
            find(&["wp.example.test"], false, 0)
                .unwrap()
                .contains("unknown issuer")
        );
        assert!(
            find(&["other.example.test"], true, 0)
                .unwrap()
                .contains("other.example.test")
        );
        assert!(
            find(&["wp.example.test"], true, 80 * DAY_MS)
                .unwrap()
                .contains("another 480 h")
        );
    }

    #[test]
    fn a_wildcard_covers_one_label() {
        assert!(covers("*.example.test", "a.example.test"));
        assert!(!covers("*.example.test", "a.b.example.test"));
        assert!(!covers("*.example.test", "example.test"));
        assert_eq!(
            server_name("*.example.test"),
            "understudy-check.example.test"
        );
    }
}
