//! Addresses and networks of callers.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::rules::Faults;
use crate::rules::reader::Item;

/// Networks; an address alone is the smallest.
#[derive(Debug, Clone)]
pub(super) struct Networks(Vec<IpNet>);

impl Networks {
    pub(super) fn read(item: &Item<'_>, faults: &mut Faults) -> Option<Self> {
        item.list(faults, read_network).map(Self)
    }

    /// Of an address in its canonical form: an IPv4 address that came by IPv6 is an IPv4 address.
    pub(super) fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

fn read_network(item: &Item<'_>, faults: &mut Faults) -> Option<IpNet> {
    let text = item.value.as_str().unwrap_or_default();
    let address = || text.parse::<IpAddr>().ok();
    let network = text.parse().ok();
    match network.or_else(|| address().map(|address| IpNet::from(address.to_canonical()))) {
        Some(network) => Some(network),
        None => item.fault(
            faults,
            "must be an address or a network, such as 10.0.0.0/8",
        ),
    }
}
