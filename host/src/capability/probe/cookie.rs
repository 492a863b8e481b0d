//! The cookies of one journey (RFC 6265), as far as logging in and staying logged in needs them.
//!
//! Left out: `expires` (a journey lasts seconds), `samesite` and the list of public suffixes (every request of a
//! journey is the operator's own).

use url::Url;

/// Most cookies of a journey.
const MAX_COOKIES: usize = 64;

/// Longest cookie kept, name and value, in bytes: what RFC 6265 section 6.1 asks of a browser.
const MAX_COOKIE_BYTES: usize = 4096;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Cookie {
    name: String,
    value: String,
    domain: String,
    /// Only `domain` itself, not what lies under it.
    host_only: bool,
    path: String,
    secure: bool,
}

/// A journey's cookies.
#[derive(Debug, Default)]
pub(super) struct Jar(Vec<Cookie>);

impl Jar {
    /// Takes the `set-cookie` headers of a response from `url`.
    pub(super) fn store<'a>(&mut self, url: &Url, headers: impl Iterator<Item = &'a str>) {
        for header in headers {
            let Some((cookie, keep)) = parse(url, header) else {
                continue;
            };
            self.0.retain(|held| {
                (&held.name, &held.domain, &held.path)
                    != (&cookie.name, &cookie.domain, &cookie.path)
            });
            if keep && self.0.len() < MAX_COOKIES {
                self.0.push(cookie);
            }
        }
    }

    /// The `cookie` header of a request to `url`; `None` where it carries none.
    pub(super) fn header(&self, url: &Url) -> Option<String> {
        let host = url.host_str().unwrap_or("");
        let mut sent: Vec<&Cookie> = self
            .0
            .iter()
            .filter(|cookie| {
                (cookie.domain == host || (!cookie.host_only && is_under(host, &cookie.domain)))
                    && path_matches(&cookie.path, url.path())
                    && (!cookie.secure || url.scheme() == "https")
            })
            .collect();
        // Longer paths first (RFC 6265 section 5.4).
        sent.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let pairs: Vec<String> = sent
            .iter()
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }
}

fn parse(url: &Url, header: &str) -> Option<(Cookie, bool)> {
    let mut parts = header.split(';');
    let (name, value) = parts.next()?.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    if name.is_empty() || name.len() + value.len() > MAX_COOKIE_BYTES {
        return None;
    }
    let host = url.host_str()?;
    let mut keep = true;
    let mut cookie = Cookie {
        name: name.to_owned(),
        value: value.to_owned(),
        domain: host.to_owned(),
        host_only: true,
        path: default_path(url.path()),
        secure: false,
    };
    for part in parts {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        let value = value.trim();
        match key.trim().to_ascii_lowercase().as_str() {
            "path" if value.starts_with('/') => value.clone_into(&mut cookie.path),
            "secure" => cookie.secure = true,
            "max-age" => keep = value.parse::<i64>().map_or(true, |seconds| seconds > 0),
            "domain" if !value.is_empty() => {
                let domain = value.trim_start_matches('.').to_ascii_lowercase();
                if host != domain && !is_under(host, &domain) {
                    return None;
                }
                cookie.domain = domain;
                cookie.host_only = false;
            }
            _ => {}
        }
    }
    Some((cookie, keep))
}

fn is_under(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain)
        .is_some_and(|rest| rest.ends_with('.'))
        && host.parse::<std::net::IpAddr>().is_err()
}

fn default_path(path: &str) -> String {
    match path.rsplit_once('/') {
        Some((folder, _)) if !folder.is_empty() => folder.to_owned(),
        _ => "/".to_owned(),
    }
}

fn path_matches(cookie: &str, path: &str) -> bool {
    path.strip_prefix(cookie)
        .is_some_and(|rest| rest.is_empty() || cookie.ends_with('/') || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jar(url: &str, headers: &[&str]) -> Jar {
        let mut jar = Jar::default();
        jar.store(&url.parse().unwrap(), headers.iter().copied());
        jar
    }

    fn sent(jar: &Jar, url: &str) -> Option<String> {
        jar.header(&url.parse().unwrap())
    }

    #[test]
    fn cookies_go_back_where_they_belong() {
        let jar = jar(
            "https://wp.example.test/wp-login.php",
            &[
                "a=1; Path=/; HttpOnly",
                "b=2; path=/wp-admin; secure",
                "c=3; Domain=example.test; Path=/",
                "d=4; Domain=other.test",
                "e=5; Max-Age=0",
                "nonsense",
            ],
        );
        let all = Some("b=2; a=1; c=3".to_owned());
        assert_eq!(sent(&jar, "https://wp.example.test/wp-admin/post.php"), all);
        let two = Some("a=1; c=3".to_owned());
        assert_eq!(sent(&jar, "https://wp.example.test/wp-adminx"), two);
        assert_eq!(sent(&jar, "http://wp.example.test/wp-admin/"), two);
        let one = Some("c=3".to_owned());
        assert_eq!(sent(&jar, "https://sub.example.test/"), one);
        assert_eq!(sent(&jar, "https://badexample.test/"), None);
    }

    #[test]
    fn a_new_value_replaces_and_an_old_age_removes() {
        let url = "https://a.test/x/y".parse().unwrap();
        let mut jar = jar("https://a.test/x/y", &["a=1", "b=2"]);
        jar.store(&url, ["a=9", "b=; max-age=-1"].into_iter());
        assert_eq!(jar.header(&url), Some("a=9".to_owned()));
    }
}
