//! Which address a member gets.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::record::Subnet;

/// A free address of the subnet: the next one after `last`, so that an address that was just given back is not at once
/// somebody else's. `None` when all are taken.
pub(crate) fn pick(subnet: &Subnet, taken: &BTreeSet<IpAddr>, last: Option<IpAddr>) -> Option<IpAddr> {
    let (first, end) = bounds(subnet);
    let size = end.checked_sub(first)?.checked_add(1)?;
    let start = match last.filter(|last| subnet.subnet.contains(*last)).map(|last| subnet.subnet.offset(last)) {
        Some(last) if (first..end).contains(&last) => last + 1,
        _ => first,
    };
    // No more can be taken than there are members and the gateway.
    let most = size.min(taken.len() as u128 + 2);
    (0..most)
        .map(|step| first + (start - first + step) % size)
        .filter_map(|offset| subnet.subnet.nth(offset))
        .find(|address| !taken.contains(address) && Some(*address) != subnet.gateway)
}

/// Offsets of the first and last address that may be given away.
fn bounds(subnet: &Subnet) -> (u128, u128) {
    let network = &subnet.subnet;
    if let Some(range) = subnet.range {
        return (network.offset(range.first), network.offset(range.last));
    }
    let last = network.offset(network.last());
    // Without the network's own address and, of IPv4, the broadcast address. In networks of one or two addresses
    // there are neither (RFC 3021).
    match (last, network.is_ipv4()) {
        (0 | 1, _) => (0, last),
        (last, true) => (1, last - 1),
        (last, false) => (1, last),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LeaseRange;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn subnet(text: &str, gateway: &str) -> Subnet {
        Subnet { subnet: text.parse().unwrap(), gateway: Some(ip(gateway)), range: None }
    }

    #[test]
    fn the_first_is_the_one_after_the_gateway() {
        let network = subnet("10.89.0.0/24", "10.89.0.1");
        assert_eq!(pick(&network, &BTreeSet::new(), None), Some(ip("10.89.0.2")));
    }

    #[test]
    fn the_next_one_follows_the_last_and_the_end_is_followed_by_the_start() {
        let network = subnet("10.89.0.0/29", "10.89.0.1");
        let mut taken = BTreeSet::new();
        let mut last = None;
        for expected in ["10.89.0.2", "10.89.0.3", "10.89.0.4", "10.89.0.5", "10.89.0.6"] {
            last = pick(&network, &taken, last);
            assert_eq!(last, Some(ip(expected)));
            taken.insert(last.unwrap());
        }
        assert_eq!(pick(&network, &taken, last), None);
        taken.remove(&ip("10.89.0.3"));
        assert_eq!(pick(&network, &taken, last), Some(ip("10.89.0.3")));
    }

    #[test]
    fn a_range_is_kept_to() {
        let mut network = subnet("10.89.0.0/24", "10.89.0.1");
        network.range = Some(LeaseRange { first: ip("10.89.0.128"), last: ip("10.89.0.129") });
        let taken = BTreeSet::from([ip("10.89.0.128")]);
        assert_eq!(pick(&network, &taken, None), Some(ip("10.89.0.129")));
        assert_eq!(pick(&network, &BTreeSet::from([ip("10.89.0.128"), ip("10.89.0.129")]), None), None);
    }

    #[test]
    fn wide_networks_are_no_work() {
        let network = subnet("fd00::/8", "fd00::1");
        assert_eq!(pick(&network, &BTreeSet::new(), None), Some(ip("fd00::2")));
        assert_eq!(pick(&subnet("1.2.3.4/32", "1.2.3.4"), &BTreeSet::new(), None), None);
    }
}
