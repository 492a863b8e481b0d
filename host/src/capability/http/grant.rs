//! Which requests a binding may send: scheme, authority, method, and a path prefix that ends at a `/`.
//!
//! A request is compared as it will be sent, so everything that a server might read differently from this file is
//! refused first: user info, dot segments in any disguise, empty segments, backslashes. Start at [`Target::parse`],
//! then [`find`].

use url::Url;

use crate::runbook::types::HttpGrant;

/// Longest address accepted, in bytes: what common servers take in a request line.
pub const MAX_URL_BYTES: usize = 8 * 1024;

/// How often a path is percent-decoded in search of a disguise. Servers decode once, behind a proxy twice.
const MAX_DECODINGS: usize = 3;

/// An address that a request cannot be sent to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTarget {
    /// No absolute address.
    #[error("the address is not absolute; give scheme, host and path")]
    NotAbsolute,
    /// Neither `https` nor `http`.
    #[error("the scheme `{0}` is not served; use `https`")]
    Scheme(String),
    /// A user name or password in the address.
    #[error("the address carries user info; name a credential slot instead")]
    UserInfo,
    /// Something in the path that servers read in different ways.
    #[error("the path holds {0}, which servers read in different ways; write the path out")]
    Ambiguous(&'static str),
    /// Over [`MAX_URL_BYTES`].
    #[error("the address is longer than {MAX_URL_BYTES} bytes")]
    TooLong,
}

/// An address that means the same to this host and to any server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target(Url);

impl Target {
    /// Reads an address as a provider wrote it.
    ///
    /// # Errors
    /// [`BadTarget`].
    pub fn parse(text: &str) -> Result<Self, BadTarget> {
        if text.len() > MAX_URL_BYTES {
            return Err(BadTarget::TooLong);
        }
        if text.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
            return Err(BadTarget::Ambiguous("white space or control characters"));
        }
        // The parser resolves dot segments and turns `\` into `/`, so the path is judged as it was written.
        let (scheme, rest) = text.split_once("://").ok_or(BadTarget::NotAbsolute)?;
        let rest = rest.split(['?', '#']).next().unwrap_or("");
        if rest.contains('\\') {
            return Err(BadTarget::Ambiguous("a backslash"));
        }
        if let Some((_, path)) = rest.split_once('/') {
            judge_path(path)?;
        }
        let mut url = Url::parse(text).map_err(|_| BadTarget::NotAbsolute)?;
        if !matches!(url.scheme(), "https" | "http") {
            return Err(BadTarget::Scheme(scheme.to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() || rest_has_user(rest) {
            return Err(BadTarget::UserInfo);
        }
        url.set_fragment(None);
        Ok(Self(url))
    }

    /// Where a `location` header leads from here.
    ///
    /// # Errors
    /// [`BadTarget`].
    pub fn join(&self, location: &str) -> Result<Self, BadTarget> {
        if Url::parse(location).is_ok() {
            return Self::parse(location);
        }
        // A relative reference may hold dot segments (RFC 3986 section 5.2.4); it is resolved, then judged.
        let joined = self.0.join(location).map_err(|_| BadTarget::NotAbsolute)?;
        Self::parse(joined.as_str())
    }

    /// The address.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.0
    }

    /// The host, without brackets.
    #[must_use]
    pub fn host(&self) -> String {
        let host = self.0.host_str().unwrap_or("");
        host.trim_matches(['[', ']']).to_owned()
    }

    /// The port, given or that of the scheme.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.0.port_or_known_default().unwrap_or(0)
    }

    /// Scheme, host and path: what may be written down. A query can hold what nobody should read.
    #[must_use]
    pub fn without_query(&self) -> String {
        let mut url = self.0.clone();
        url.set_query(None);
        url.to_string()
    }

    /// True where both have the same scheme, host and port (RFC 6454).
    #[must_use]
    pub fn same_origin(&self, other: &Self) -> bool {
        same_origin(&self.0, &other.0)
    }
}

fn rest_has_user(rest: &str) -> bool {
    rest.split('/').next().unwrap_or("").contains('@')
}

fn same_origin(a: &Url, b: &Url) -> bool {
    a.scheme() == b.scheme()
        && a.host_str() == b.host_str()
        && a.port_or_known_default() == b.port_or_known_default()
}

/// Refuses dot segments, also encoded and with path parameters, and empty segments but the last.
fn judge_path(path: &str) -> Result<(), BadTarget> {
    if path.split('/').rev().skip(1).any(str::is_empty) {
        return Err(BadTarget::Ambiguous("an empty segment (`//`)"));
    }
    let mut text = path.to_owned();
    for _ in 0..MAX_DECODINGS {
        let dots = text.split(['/', '\\']).any(|segment| {
            let name = segment.split(';').next().unwrap_or("");
            name == "." || name == ".."
        });
        if dots {
            return Err(BadTarget::Ambiguous("a dot segment (`.` or `..`)"));
        }
        let decoded = decode(&text);
        if decoded == text {
            return Ok(());
        }
        if decoded.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
            return Err(BadTarget::Ambiguous("encoded control characters"));
        }
        text = decoded;
    }
    Err(BadTarget::Ambiguous("nested percent-encoding"))
}

fn decode(text: &str) -> String {
    // `+` stands for itself in a path; the form decoder would make it a space.
    let plus_kept = text.replace('+', "%2B");
    let pairs = plus_kept.replace('&', "%26").replace('=', "%3D");
    url::form_urlencoded::parse(pairs.as_bytes())
        .next()
        .map_or_else(String::new, |(name, _)| name.into_owned())
}

/// The grant that allows a request, if one does.
#[must_use]
pub fn find<'a>(grants: &'a [HttpGrant], method: &str, target: &Target) -> Option<&'a HttpGrant> {
    let mut matching = grants.iter().filter(|grant| allows(grant, method, target));
    let first = matching.next()?;
    // Of several, one that allows private addresses: grants only ever add up.
    Some(matching.find(|grant| grant.private).unwrap_or(first))
}

fn allows(grant: &HttpGrant, method: &str, target: &Target) -> bool {
    grant.methods.iter().any(|granted| granted == method)
        && same_origin(&grant.url, &target.0)
        && within(grant.url.path(), target.0.path())
}

/// True where `path` is `prefix` or continues it at a `/`.
fn within(prefix: &str, path: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || prefix.ends_with('/') || rest.starts_with('/'))
}

/// The line that would allow exactly this request.
#[must_use]
pub fn line(method: &str, target: &Target, private: bool) -> String {
    let private = if private { ", private = true" } else { "" };
    let url = target.without_query();
    format!(r#"http = [{{ methods = ["{method}"], url = "{url}"{private} }}]"#)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants(url: &str) -> Vec<HttpGrant> {
        vec![HttpGrant {
            methods: vec!["GET".to_owned()],
            url: Url::parse(url).unwrap(),
            private: false,
        }]
    }

    fn granted(prefix: &str, url: &str) -> bool {
        find(&grants(prefix), "GET", &Target::parse(url).unwrap()).is_some()
    }

    #[test]
    fn a_prefix_ends_at_a_slash() {
        for (prefix, url, expected) in [
            ("https://a.test/api", "https://a.test/api", true),
            ("https://a.test/api", "https://a.test/api/", true),
            ("https://a.test/api", "https://a.test/api/v1?x=1", true),
            ("https://a.test/api", "https://a.test/apix", false),
            ("https://a.test/api", "https://a.test/api%2Fv1", false),
            ("https://a.test/api", "https://a.test/API", false),
            ("https://a.test/api/", "https://a.test/api", false),
            ("https://a.test/", "https://a.test/anything", true),
            ("https://a.test", "https://a.test/anything", true),
            ("https://a.test/api", "http://a.test/api", false),
            ("https://a.test/api", "https://a.test:444/api", false),
            ("https://a.test/api", "https://a.test:443/api", true),
            ("https://a.test/api", "https://b.test/api", false),
            ("https://a.test/api", "https://a.test./api", false),
            ("https://a.test/api", "https://A.TEST/api", true),
        ] {
            assert_eq!(granted(prefix, url), expected, "{prefix} {url}");
        }
    }

    #[test]
    fn what_servers_read_in_different_ways_is_refused() {
        for url in [
            "https://a.test/api/../admin",
            "https://a.test/api/..",
            "https://a.test/api/./x",
            "https://a.test/api/%2e%2e/admin",
            "https://a.test/api/.%2E/admin",
            "https://a.test/api/%252e%252e/admin",
            "https://a.test/api/..%2fadmin",
            "https://a.test/api/x%2f..%2f..%2fadmin",
            "https://a.test/api/..;a=b/admin",
            "https://a.test/api/..%5cadmin",
            "https://a.test/api\\..\\admin",
            "https://a.test//api",
            "https://a.test/api//x",
            "https://a.test/api/%00",
            "https://a.test/api/%0d%0ax",
            "https://a.test/ api",
            "https://a.test/api/\t..",
            "https://user@a.test/api",
            "https://user:secret@a.test/api",
            "https://@a.test/api",
            "ftp://a.test/api",
            "/api",
            "//a.test/api",
            "https:a.test/api",
        ] {
            assert!(Target::parse(url).is_err(), "{url} must not pass");
        }
        for url in [
            "https://a.test",
            "https://a.test/api/",
            "https://a.test/api/v1/zones/example.test.",
            "https://a.test/api/a%2Fb",
            "https://a.test/api/a+b&c=d;e",
            "https://a.test/api?next=//x/../y",
            "https://a.test/api/...",
            "https://[2001:db8::1]:8443/api",
        ] {
            assert!(Target::parse(url).is_ok(), "{url} must pass");
        }
    }

    #[test]
    fn a_redirect_is_resolved_then_judged() {
        let base = Target::parse("https://a.test/api/v1/x").unwrap();
        let to = |location: &str| base.join(location).map(|target| target.url().to_string());
        assert_eq!(to("../y"), Ok("https://a.test/api/y".to_owned()));
        assert_eq!(to("//b.test/z"), Ok("https://b.test/z".to_owned()));
        assert_eq!(
            to("/login?next=https://b.test/"),
            Ok("https://a.test/login?next=https://b.test/".to_owned())
        );
        assert_eq!(to("?q=1#f"), Ok("https://a.test/api/v1/x?q=1".to_owned()));
        assert_eq!(to("https://u:p@b.test/"), Err(BadTarget::UserInfo));
        assert!(to("/a/%2e%2e%2fb").is_err());
    }

    #[test]
    fn the_line_to_add_is_exact_and_has_no_query() {
        let target = Target::parse("https://api.example.test/v1/x?token=1").unwrap();
        assert_eq!(
            line("PATCH", &target, false),
            r#"http = [{ methods = ["PATCH"], url = "https://api.example.test/v1/x" }]"#
        );
    }
}
