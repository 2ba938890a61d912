//! The caller's address: the connection's, or what a trusted proxy in front says it is.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

/// The header that proxies name their callers in.
pub const X_FORWARDED_FOR: &str = "x-forwarded-for";

/// Walks the values of `X-Forwarded-For` from the right, as long as the speaker is trusted.
///
/// They come in the order of the headers. Whoever is not trusted could have written anything to the left of its own address.
pub fn client_address<'a>(
    peer: IpAddr,
    forwarded: impl DoubleEndedIterator<Item = &'a [u8]>,
    trusted: &[IpNet],
) -> IpAddr {
    let mut address = canonical(peer);
    if !is_trusted(address, trusted) {
        return address;
    }
    let hops = forwarded
        .rev()
        .flat_map(|value| value.rsplit(|byte| *byte == b','));
    for hop in hops {
        // What can't be read ends the walk: beyond it nothing is vouched for.
        let Some(named) = std::str::from_utf8(hop)
            .ok()
            .and_then(|hop| parse(hop.trim()))
        else {
            break;
        };
        address = named;
        if !is_trusted(address, trusted) {
            break;
        }
    }
    address
}

/// Whether what this peer says of the caller is to be believed.
#[must_use]
pub fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|network| network.contains(&address))
}

/// An IPv4 address that reached a dual-stack socket is an IPv4 address.
fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// Accepts `1.2.3.4`, `1.2.3.4:567`, `::1`, `[::1]` and `[::1]:567`.
fn parse(hop: &str) -> Option<IpAddr> {
    let bare = hop.trim_start_matches('[').split(']').next().unwrap_or(hop);
    bare.parse()
        .ok()
        .or_else(|| hop.parse::<SocketAddr>().ok().map(|address| address.ip()))
        .map(canonical)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(peer: &str, forwarded: &[&str], trusted: &[&str], expected: &str) {
        let trusted: Vec<IpNet> = trusted
            .iter()
            .map(|network| network.parse().unwrap())
            .collect();
        let values = forwarded.iter().map(|value| value.as_bytes());
        let found = client_address(peer.parse().unwrap(), values, &trusted);
        assert_eq!(
            found,
            expected.parse::<IpAddr>().unwrap(),
            "{peer} {forwarded:?} {trusted:?}"
        );
    }

    #[test]
    fn a_stranger_is_who_connects_whatever_it_says() {
        check("9.9.9.9", &["1.1.1.1"], &[], "9.9.9.9");
        check("9.9.9.9", &["1.1.1.1"], &["10.0.0.0/8"], "9.9.9.9");
    }

    #[test]
    fn a_trusted_proxy_names_the_caller() {
        check("10.0.0.1", &["1.1.1.1"], &["10.0.0.0/8"], "1.1.1.1");
        check("::ffff:10.0.0.1", &["1.1.1.1"], &["10.0.0.0/8"], "1.1.1.1");
        check(
            "10.0.0.1",
            &["[2001:db8::1]:443"],
            &["10.0.0.0/8"],
            "2001:db8::1",
        );
        check("10.0.0.1", &["1.1.1.1:99"], &["10.0.0.0/8"], "1.1.1.1");
        check("10.0.0.1", &[], &["10.0.0.0/8"], "10.0.0.1");
    }

    #[test]
    fn an_unreadable_hop_hides_nothing_behind_it() {
        check(
            "10.0.0.1",
            &["6.6.6.6", "\u{ff}, 1.1.1.1"],
            &["10.0.0.0/8"],
            "1.1.1.1",
        );
        check(
            "10.0.0.1",
            &["6.6.6.6", "\u{ff}"],
            &["10.0.0.0/8"],
            "10.0.0.1",
        );
    }

    #[test]
    fn what_the_caller_forged_on_the_left_is_not_believed() {
        check(
            "10.0.0.1",
            &["6.6.6.6, 1.1.1.1"],
            &["10.0.0.0/8"],
            "1.1.1.1",
        );
        check(
            "10.0.0.1",
            &["6.6.6.6", "1.1.1.1, 10.0.0.2"],
            &["10.0.0.0/8"],
            "1.1.1.1",
        );
        check(
            "10.0.0.1",
            &["6.6.6.6, nonsense"],
            &["10.0.0.0/8"],
            "10.0.0.1",
        );
    }
}
