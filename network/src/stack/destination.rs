//! Where packets from inside may go, and whose are taken.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::Options;
use crate::Cidr;
use crate::resolv::HostServers;

/// What an address inside means outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Destination {
    /// The address itself.
    World(SocketAddr),
    /// Something of the host's that has another address there.
    Mapped(SocketAddr),
    /// The stack itself: it answers to echo requests.
    Own,
    /// Nothing: the sender is told so.
    Nowhere,
    /// A multicast address, or one that only means something inside: not even that.
    Ignored,
}

#[derive(Debug)]
pub(super) struct Destinations {
    sources: Vec<Cidr>,
    gateway: Ipv4Addr,
    gateway6: Option<Ipv6Addr>,
    name_server: IpAddr,
    /// The little networks themselves.
    own: Vec<Cidr>,
    allow_host_loopback: bool,
    host: HostServers,
}

const DNS_PORT: u16 = 53;

impl Destinations {
    pub(super) fn new(options: &Options) -> Destinations {
        let addresses = options.addresses();
        let gateway = addresses.gateway.unwrap_or(Ipv4Addr::UNSPECIFIED);
        let own = options.sources().into_iter().filter(|network| !options.sources.contains(network)).collect();
        Destinations {
            sources: options.sources(),
            gateway,
            gateway6: addresses.ipv6_gateway,
            name_server: addresses.dns.first().copied().unwrap_or(gateway.into()),
            own,
            allow_host_loopback: options.common.allow_host_loopback,
            host: HostServers::default(),
        }
    }

    /// Whether a packet may come from there.
    pub(super) fn takes(&self, from: IpAddr) -> bool {
        self.sources.iter().any(|network| network.contains(from)) && !self.is_stack(from)
    }

    /// Who tells of errors.
    pub(super) fn gateway(&self, v6: bool) -> Option<IpAddr> {
        if v6 { self.gateway6.map(IpAddr::V6) } else { Some(self.gateway.into()) }
    }

    fn is_stack(&self, address: IpAddr) -> bool {
        address == self.name_server || [self.gateway(false), self.gateway(true)].contains(&Some(address))
    }

    pub(super) fn find(&mut self, to: SocketAddr) -> Destination {
        if is_ignored(to.ip()) {
            return Destination::Ignored;
        }
        if to.ip() == self.name_server && to.port() == DNS_PORT {
            return self.host.read().first().map_or(Destination::Nowhere, |server| Destination::Mapped(*server));
        }
        if self.allow_host_loopback && [self.gateway(false), self.gateway(true)].contains(&Some(to.ip())) {
            let loopback = if to.is_ipv6() { Ipv6Addr::LOCALHOST.into() } else { IpAddr::from(Ipv4Addr::LOCALHOST) };
            return Destination::Mapped(SocketAddr::new(loopback, to.port()));
        }
        match () {
            () if self.is_stack(to.ip()) => Destination::Own,
            () if self.own.iter().any(|network| [network.address, network.last()].contains(&to.ip())) => {
                Destination::Nowhere
            }
            // Also one of the little network: the host may have its own addresses there, as most virtual machines have.
            () => Destination::World(to),
        }
    }

    /// Whether an answer may come in from there: who is on the host's loopback is not to be mistaken for the container.
    pub(super) fn may_answer(from: IpAddr) -> bool {
        !is_ignored(from)
    }
}

/// Addresses without a meaning beyond one machine or one link. connect(2) takes 0.0.0.0, :: and IPv4 written as IPv6 for
/// ways to this machine.
fn is_ignored(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.octets()[0] == 0 || v4.is_loopback() || v4.is_multicast() || v4.is_broadcast(),
        IpAddr::V6(v6) => {
            // ::, ::1, ::a.b.c.d and ::ffff:a.b.c.d.
            let is_special = v6.segments()[..5].iter().all(|part| *part == 0) && matches!(v6.segments()[5], 0 | 0xffff);
            is_special || v6.is_multicast() || v6.is_unicast_link_local()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn destinations(words: &[&str]) -> Destinations {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        Destinations::new(&Options::parse(&words).unwrap())
    }

    fn find(destinations: &mut Destinations, text: &str) -> Destination {
        destinations.find(text.parse().unwrap())
    }

    #[test]
    fn no_address_leads_to_the_hosts_loopback_by_itself() {
        let mut closed = destinations(&[]);
        for ignored in [
            "127.0.0.1:80",
            "127.8.8.8:80",
            "0.0.0.0:80",
            "0.1.2.3:80",
            "255.255.255.255:80",
            "224.0.0.1:80",
            "[::1]:80",
            "[::]:80",
            "[::ffff:127.0.0.1]:80",
            "[::127.0.0.1]:80",
            "[fe80::1]:80",
            "[ff02::1]:80",
        ] {
            assert_eq!(find(&mut closed, ignored), Destination::Ignored, "{ignored}");
        }
        assert_eq!(find(&mut closed, "10.0.2.2:80"), Destination::Own);
        assert_eq!(find(&mut closed, "[fd00::2]:80"), Destination::Own);
        assert_eq!(find(&mut closed, "10.0.2.3:80"), Destination::Own);
        assert_eq!(find(&mut closed, "10.0.2.0:80"), Destination::Nowhere);
        assert_eq!(find(&mut closed, "10.0.2.255:80"), Destination::Nowhere);
        assert_eq!(find(&mut closed, "10.0.2.15:80"), Destination::World("10.0.2.15:80".parse().unwrap()));
        assert_eq!(find(&mut closed, "192.0.2.7:80"), Destination::World("192.0.2.7:80".parse().unwrap()));
        let mut open = destinations(&["allow_host_loopback=true"]);
        assert_eq!(find(&mut open, "10.0.2.2:80"), Destination::Mapped("127.0.0.1:80".parse().unwrap()));
        assert_eq!(find(&mut open, "[fd00::2]:80"), Destination::Mapped("[::1]:80".parse().unwrap()));
        assert_eq!(find(&mut open, "127.0.0.1:80"), Destination::Ignored);
    }

    #[test]
    fn only_addresses_of_the_network_may_send() {
        let destinations = destinations(&["source=10.89.0.0/24"]);
        for (address, takes) in [
            ("10.0.2.100", true),
            ("10.89.0.5", true),
            ("fd00::100", true),
            ("10.0.2.2", false),
            ("10.0.2.3", false),
            ("10.90.0.5", false),
            ("127.0.0.1", false),
            ("0.0.0.0", false),
            ("fe80::1", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(destinations.takes(address.parse().unwrap()), takes, "{address}");
        }
    }
}
