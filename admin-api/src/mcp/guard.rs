//! Where scans may go: public addresses, and networks that the configuration names.
//!
//! A name is resolved here, and the connection goes to an address that was looked at: what the name resolves to afterwards doesn't
//! matter. A URL's host that is an address is looked at as the URL's parser understands it, in whatever notation it is written.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// Addresses of IPv4 that are somebody's own, or nobody's (IANA's registry of special purposes).
const NOT_PUBLIC: &[([u8; 4], u8)] = &[
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    ([224, 0, 0, 0], 4),
    ([240, 0, 0, 0], 4),
];
/// Of IPv6 only this is handed out at all: mapped, compatible, NAT64, unique-local, link-local and multicast ones are outside.
const HANDED_OUT: (Ipv6Addr, u8) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
/// What in it is special: protocols (Teredo, benchmarks, ORCHID), documentation, 6to4.
const NOT_PUBLIC_V6: &[(Ipv6Addr, u8)] = &[
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

/// Why a scan doesn't go somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("the address is not public, and not in mcp.allowed_networks")]
    Address,
    #[error("the URL must be http or https, without a user in it")]
    Url,
    #[error("the port must be 80, 443, or 1024 and above")]
    Port,
    #[error("headers with values go to public addresses by https only")]
    PlainText,
}

/// Decides about addresses, and resolves names to those that pass.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    allowed: Arc<[IpNet]>,
    /// What is sent is not for everybody on the way.
    in_plain_text: bool,
}

impl Guard {
    pub(crate) fn new(allowed: &[IpNet]) -> Self {
        Self {
            allowed: allowed.into(),
            in_plain_text: false,
        }
    }

    /// What is sent in plain text goes no further than to networks that the configuration names.
    pub(crate) fn for_plain_text(self) -> Self {
        Self {
            in_plain_text: true,
            ..self
        }
    }

    fn check_address(&self, address: IpAddr) -> Result<(), Refused> {
        // A mapped address is the one that it maps.
        let address = address.to_canonical();
        if self.allowed.iter().any(|net| net.contains(&address)) {
            Ok(())
        } else if !is_public(address) {
            Err(Refused::Address)
        } else if self.in_plain_text {
            Err(Refused::PlainText)
        } else {
            Ok(())
        }
    }

    /// Looks at what a URL says by itself. Names are looked at when they are resolved.
    pub(crate) fn check(&self, url: &Url) -> Result<(), Refused> {
        let is_web = matches!(url.scheme(), "http" | "https");
        if !is_web || !url.username().is_empty() || url.password().is_some() {
            return Err(Refused::Url);
        }
        let address = match url.host() {
            None => return Err(Refused::Url),
            Some(Host::Domain(_)) => None,
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
        };
        address.map_or(Ok(()), |address| self.check_address(address))?;
        match url.port_or_known_default() {
            Some(80 | 443 | 1024..) => Ok(()),
            _ => Err(Refused::Port),
        }
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let mut refused = Refused::Address;
            let permits = |found: &SocketAddr| {
                let checked = guard.check_address(found.ip());
                checked.map_err(|why| refused = why).is_ok()
            };
            let permitted: Vec<SocketAddr> = found.filter(permits).collect();
            if permitted.is_empty() {
                return Err(refused.into());
            }
            Ok(Box::new(permitted.into_iter()) as Addrs)
        })
    }
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let within = |(net, prefix): &([u8; 4], u8)| {
                let (net, address) = (u32::from(Ipv4Addr::from(*net)), u32::from(address));
                (net ^ address).leading_zeros() >= u32::from(*prefix)
            };
            !NOT_PUBLIC.iter().any(within)
        }
        IpAddr::V6(address) => {
            let within = |(net, prefix): &(Ipv6Addr, u8)| {
                (u128::from(*net) ^ u128::from(address)).leading_zeros() >= u32::from(*prefix)
            };
            within(&HANDED_OUT) && !NOT_PUBLIC_V6.iter().any(within)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(allowed: &[&str], url: &str) -> Result<(), Refused> {
        let allowed: Vec<IpNet> = allowed.iter().map(|net| net.parse().unwrap()).collect();
        Guard::new(&allowed).check(&url.parse().unwrap())
    }

    #[test]
    fn what_is_not_public_is_refused_in_every_notation() {
        for host in [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
            "0x7f.1",
            "127.0.0.1.",
            "0.0.0.0",
            "0",
            "10.1.2.3",
            "100.64.0.1",
            "100.127.255.255",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.250",
            "240.0.0.1",
            "255.255.255.255",
            "１２７.０.０.１",
            "[::]",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[::127.0.0.1]",
            "[::ffff:169.254.169.254]",
            "[64:ff9b::7f00:1]",
            "[64:ff9b:1::a00:1]",
            "[100::1]",
            "[2001::1]",
            "[2001:2::1]",
            "[2001:10::1]",
            "[2001:db8::1]",
            "[2002:7f00:1::]",
            "[2002:a00:1::1]",
            "[3fff::1]",
            "[5f00::1]",
            "[fc00::1]",
            "[fd12:3456::1]",
            "[fe80::1]",
            "[fec0::1]",
            "[ff02::1]",
        ] {
            let found = check(&[], &format!("http://{host}/mcp"));
            assert_eq!(found, Err(Refused::Address), "{host}");
        }
    }

    #[test]
    fn what_is_public_passes() {
        for host in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.1",
            "100.63.255.255",
            "100.128.0.1",
            "126.255.255.255",
            "128.0.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "[2606:4700::1111]",
            "[2a00::1]",
            "[2001:4860::1]",
            "[::ffff:1.1.1.1]",
            "example.com",
            "localhost",
        ] {
            assert_eq!(check(&[], &format!("http://{host}/mcp")), Ok(()), "{host}");
        }
    }

    #[test]
    fn the_configuration_may_allow_more() {
        let allowed = ["10.1.0.0/16", "fd00::/8"];
        for (host, expected) in [
            ("10.1.2.3", Ok(())),
            ("[::ffff:10.1.2.3]", Ok(())),
            ("10.2.0.1", Err(Refused::Address)),
            ("[fd00::1]", Ok(())),
            ("[fc00::1]", Err(Refused::Address)),
        ] {
            assert_eq!(
                check(&allowed, &format!("https://{host}/")),
                expected,
                "{host}"
            );
        }
    }

    #[tokio::test]
    async fn plain_text_goes_only_where_the_configuration_allows() {
        let allowed: Vec<IpNet> = vec!["10.1.0.0/16".parse().unwrap()];
        let guard = Guard::new(&allowed).for_plain_text();
        for (url, expected) in [
            ("http://1.1.1.1/", Err(Refused::PlainText)),
            ("http://10.1.2.3/", Ok(())),
            ("http://10.2.0.1/", Err(Refused::Address)),
        ] {
            assert_eq!(guard.check(&url.parse().unwrap()), expected, "{url}");
        }
        // A name of a public address.
        let refused = guard
            .resolve("1.1.1.1".parse().unwrap())
            .await
            .err()
            .unwrap();
        assert_eq!(refused.downcast_ref(), Some(&Refused::PlainText));
    }

    #[test]
    fn urls_and_ports_that_no_server_has_are_refused() {
        for (url, expected) in [
            ("http://1.1.1.1:22/", Err(Refused::Port)),
            ("http://1.1.1.1:0/", Err(Refused::Port)),
            ("http://1.1.1.1:1023/", Err(Refused::Port)),
            ("http://1.1.1.1:1024/", Ok(())),
            ("https://1.1.1.1:80/", Ok(())),
            ("http://me@1.1.1.1/", Err(Refused::Url)),
            ("http://:x@1.1.1.1/", Err(Refused::Url)),
            ("ftp://1.1.1.1/", Err(Refused::Url)),
            ("file:///etc/passwd", Err(Refused::Url)),
        ] {
            assert_eq!(check(&[], url), expected, "{url}");
        }
    }

    #[tokio::test]
    async fn a_name_that_resolves_to_what_is_refused_resolves_to_nothing() {
        let resolve = |allowed: &[&str]| {
            let allowed: Vec<IpNet> = allowed.iter().map(|net| net.parse().unwrap()).collect();
            Guard::new(&allowed).resolve("localhost".parse().unwrap())
        };
        let refused = resolve(&[]).await.err().unwrap();
        assert_eq!(refused.downcast_ref(), Some(&Refused::Address));
        let found: Vec<_> = resolve(&["127.0.0.0/8"]).await.unwrap().collect();
        assert!(!found.is_empty());
        assert!(found.iter().all(SocketAddr::is_ipv4), "{found:?}");
    }
}
