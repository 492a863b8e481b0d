//! Names and addresses: a name is resolved once, every address it gave is judged, and only those are connected to.
//!
//! Resolving a second time between the check and the connection would let a name change its answer in between (DNS
//! rebinding). So nothing here hands out a name; it hands out addresses. Not here: who may name which host (grants).
//! Start at [`reach`].

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::clock::BoxFuture;

/// Most addresses of one name that are judged and tried. A name with more is refused rather than judged in part.
pub const MAX_ADDRESSES: usize = 32;

/// Turns a name into addresses.
pub trait Resolve: Send + Sync {
    /// All addresses of `host`, in order of preference.
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>>;
}

/// The machine's resolver.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((host, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// A fixed table of names, for tests and closed networks.
#[derive(Debug, Default, Clone)]
pub struct FixedResolver(pub BTreeMap<String, Vec<IpAddr>>);

impl Resolve for FixedResolver {
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            self.0
                .get(host)
                .cloned()
                .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such name"))
        })
    }
}

/// What kind of network an address belongs to.
///
/// | kind | blocks | source |
/// |---|---|---|
/// | public | all others | |
/// | private | 10/8, 172.16/12, 192.168/16 | RFC 1918 |
/// | private | fc00::/7 (unique local) | RFC 4193 |
/// | private | fec0::/10 (site local, deprecated) | RFC 3879 |
/// | private | 100.64/10 (shared, carrier-grade NAT) | RFC 6598 |
/// | private | 198.18/15 (benchmarks) | RFC 2544 |
/// | private | 64:ff9b:1::/48 (translation inside one network) | RFC 8215 |
/// | loopback | 127/8, ::1 | RFC 1122 §3.2.1.3, RFC 4291 §2.5.3 |
/// | link local | 169.254/16, fe80::/10 | RFC 3927, RFC 4291 §2.5.6 |
/// | unusable | 0/8, :: | RFC 1122 §3.2.1.3, RFC 4291 §2.5.2 |
/// | unusable | 224/4, ff00::/8 (multicast) | RFC 5771, RFC 4291 §2.7 |
/// | unusable | 240/4 and 255.255.255.255 | RFC 1112 §4, RFC 919 |
/// | unusable | 192.0.0/24 (protocol assignments) | RFC 6890 |
/// | unusable | 192.0.2/24, 198.51.100/24, 203.0.113/24 (documentation) | RFC 5737 |
/// | unusable | 2001:db8::/32, 3fff::/20 (documentation) | RFC 3849, RFC 9637 |
/// | unusable | 100::/64 (discard) | RFC 6666 |
/// | unusable | 2001::/32 (Teredo) | RFC 4380 |
/// | unusable | ::/96 (IPv4-compatible, deprecated) | RFC 4291 §2.5.5.1 |
/// | that of the IPv4 address inside | ::ffff:0:0/96, 64:ff9b::/96, 2002::/16 | RFC 4291 §2.5.5.2, RFC 6052, RFC 3056 |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Realm {
    /// Anybody's.
    Public,
    /// Of the operator's own networks.
    Private,
    /// The host itself.
    Loopback,
    /// The same link; cloud metadata services live here.
    LinkLocal,
    /// Nothing that a request could be meant for.
    Unusable,
}

impl fmt::Display for Realm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "public",
            Self::Private => "private",
            Self::Loopback => "loopback",
            Self::LinkLocal => "link-local",
            Self::Unusable => "reserved",
        })
    }
}

impl Realm {
    /// The realm of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::of_v4(address),
            IpAddr::V6(address) => Self::of_v6(address),
        }
    }

    fn of_v4(address: Ipv4Addr) -> Self {
        match address.octets() {
            [10, ..] | [192, 168, ..] | [198, 18 | 19, ..] => Self::Private,
            [172, second, ..] if (16..32).contains(&second) => Self::Private,
            [100, second, ..] if (64..128).contains(&second) => Self::Private,
            [127, ..] => Self::Loopback,
            [169, 254, ..] => Self::LinkLocal,
            [0 | 224..=255, ..] | [192, 0, 0 | 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => {
                Self::Unusable
            }
            _ => Self::Public,
        }
    }

    fn of_v6(address: Ipv6Addr) -> Self {
        let [a, b, c, d, e, f, g, h] = address.segments();
        let inner = |high: u16, low: u16| {
            Self::of_v4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)))
        };
        match [a, b, c, d, e, f] {
            [0, 0, 0, 0, 0, 0xffff] | [0x64, 0xff9b, 0, 0, 0, 0] => inner(g, h),
            [0, 0, 0, 0, 0, 0] if (g, h) == (0, 1) => Self::Loopback,
            [0, 0, 0, 0, 0, 0] | [0x100, 0, 0, 0, ..] => Self::Unusable,
            [0x64, 0xff9b, 1, ..] => Self::Private,
            [0x2001, 0 | 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] | [0xff00..=0xffff, ..] => {
                Self::Unusable
            }
            [0x2002, high, low, ..] => inner(high, low),
            [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] => Self::Private,
            [0xfe80..=0xfebf, ..] => Self::LinkLocal,
            _ => Self::Public,
        }
    }

    /// True where a request may go there: anywhere public, and with `private` into the operator's own networks.
    #[must_use]
    pub fn allowed(self, private: bool) -> bool {
        match self {
            Self::Public => true,
            Self::Private | Self::Loopback | Self::LinkLocal => private,
            Self::Unusable => false,
        }
    }
}

/// Why a host cannot be connected to.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The name gave no addresses.
    #[error("`{host}` does not resolve: {reason}")]
    Unresolved {
        /// The name.
        host: String,
        /// What the resolver said.
        reason: String,
    },
    /// The name gave more addresses than are judged.
    #[error("`{host}` has {count} addresses, more than the {MAX_ADDRESSES} that are checked")]
    TooMany {
        /// The name.
        host: String,
        /// How many it has.
        count: usize,
    },
    /// An address lies where requests may not go.
    #[error("`{host}` is at {address}, a {realm} address")]
    Refused {
        /// The name.
        host: String,
        /// The address that is refused.
        address: IpAddr,
        /// Where it lies.
        realm: Realm,
    },
}

/// The addresses of `host`, each of them allowed. One refused address refuses the name: a name that answers with a
/// public and a private address at once is a known way around such checks.
///
/// # Errors
/// [`NetworkError`].
pub async fn reach(
    resolver: &dyn Resolve,
    host: &str,
    port: u16,
    private: bool,
) -> Result<Vec<SocketAddr>, NetworkError> {
    let addresses = addresses(resolver, host, port).await?;
    for address in addresses.iter().map(SocketAddr::ip) {
        let realm = Realm::of(address);
        if !realm.allowed(private) {
            return Err(NetworkError::Refused {
                host: host.to_owned(),
                address,
                realm,
            });
        }
    }
    Ok(addresses)
}

/// The addresses of a host that the operator named by its full authority: looked up once, not judged.
///
/// # Errors
/// [`NetworkError::Unresolved`] and [`NetworkError::TooMany`].
pub async fn addresses(
    resolver: &dyn Resolve,
    host: &str,
    port: u16,
) -> Result<Vec<SocketAddr>, NetworkError> {
    let literal = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(host);
    if let Ok(address) = literal.parse() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let unresolved = |reason: String| NetworkError::Unresolved {
        host: host.to_owned(),
        reason,
    };
    let found = resolver
        .resolve(host)
        .await
        .map_err(|error| unresolved(error.to_string()))?;
    if found.is_empty() {
        return Err(unresolved("no addresses".to_owned()));
    }
    if found.len() > MAX_ADDRESSES {
        return Err(NetworkError::TooMany {
            host: host.to_owned(),
            count: found.len(),
        });
    }
    let found = found.into_iter();
    Ok(found.map(|ip| SocketAddr::new(ip, port)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn realm(text: &str) -> Realm {
        Realm::of(text.parse().unwrap())
    }

    #[test]
    fn every_block_of_the_table_and_the_addresses_beside_it() {
        use Realm::{LinkLocal, Loopback, Private, Public, Unusable};
        for (text, expected) in [
            ("9.255.255.255", Public),
            ("10.0.0.0", Private),
            ("10.255.255.255", Private),
            ("11.0.0.0", Public),
            ("172.15.255.255", Public),
            ("172.16.0.0", Private),
            ("172.31.255.255", Private),
            ("172.32.0.0", Public),
            ("192.168.0.1", Private),
            ("192.169.0.1", Public),
            ("100.63.0.1", Public),
            ("100.64.0.1", Private),
            ("100.127.255.255", Private),
            ("100.128.0.1", Public),
            ("198.17.0.1", Public),
            ("198.18.0.1", Private),
            ("198.19.0.1", Private),
            ("198.20.0.1", Public),
            ("127.0.0.1", Loopback),
            ("127.255.255.255", Loopback),
            ("169.254.169.254", LinkLocal),
            ("0.0.0.0", Unusable),
            ("0.1.2.3", Unusable),
            ("223.255.255.255", Public),
            ("224.0.0.1", Unusable),
            ("240.0.0.1", Unusable),
            ("255.255.255.255", Unusable),
            ("192.0.0.8", Unusable),
            ("192.0.1.1", Public),
            ("192.0.2.1", Unusable),
            ("198.51.100.1", Unusable),
            ("203.0.113.1", Unusable),
            ("::", Unusable),
            ("::1", Loopback),
            ("::2", Unusable),
            ("::127.0.0.1", Unusable),
            ("::ffff:127.0.0.1", Loopback),
            ("::ffff:10.1.2.3", Private),
            ("::ffff:8.8.8.8", Public),
            ("64:ff9b::10.0.0.1", Private),
            ("64:ff9b::8.8.8.8", Public),
            ("64:ff9b:1::1", Private),
            ("2002:7f00:1::", Loopback),
            ("2002:808:808::", Public),
            ("2001::1", Unusable),
            ("2001:db8::1", Unusable),
            ("2001:4860::8888", Public),
            ("3fff:fff::1", Unusable),
            ("3fff:1000::1", Public),
            ("100::1", Unusable),
            ("fbff::1", Public),
            ("fc00::1", Private),
            ("fdff::1", Private),
            ("fe80::1", LinkLocal),
            ("febf::1", LinkLocal),
            ("fec0::1", Private),
            ("ff02::1", Unusable),
        ] {
            assert_eq!(realm(text), expected, "{text}");
        }
    }

    #[tokio::test]
    async fn one_private_address_refuses_the_whole_name() {
        let resolver = FixedResolver(BTreeMap::from([(
            "mixed.example.test".to_owned(),
            vec!["8.8.8.8".parse().unwrap(), "10.0.0.1".parse().unwrap()],
        )]));
        let refused = reach(&resolver, "mixed.example.test", 443, false).await;
        assert_eq!(
            refused.unwrap_err().to_string(),
            "`mixed.example.test` is at 10.0.0.1, a private address"
        );
        let reached = reach(&resolver, "mixed.example.test", 443, true)
            .await
            .unwrap();
        assert_eq!(reached.len(), 2);
    }

    #[tokio::test]
    async fn a_grant_for_private_addresses_is_none_for_reserved_ones() {
        let resolver = FixedResolver::default();
        assert!(reach(&resolver, "0.0.0.0", 80, true).await.is_err());
        assert!(reach(&resolver, "[::1]", 80, true).await.is_ok());
        assert!(reach(&resolver, "[::1]", 80, false).await.is_err());
        assert!(reach(&resolver, "unknown.test", 80, true).await.is_err());
    }
}
