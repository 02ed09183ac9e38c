//! The stack's interface in a network namespace: its options, and how it is made.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use crate::addresses::Addresses;
use crate::holder::plug::in_namespace;
use crate::netlink::Netlink;
use crate::record::RouteKind;
use crate::{Cidr, Error, Result, slirp};

/// The stack's name, for `--network`, containers.conf and messages.
pub(crate) const NAME: &str = "creel";
pub(crate) const INTERFACE: &str = "eth0";
const DEVICE: &str = "/dev/net/tun";

/// What a stack is told: the options that slirp4netns has, and two of our own for the holder of a named network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) common: slirp::Options,
    pub(crate) interface: String,
    /// Whose packets are taken, beside those of the little network itself.
    pub(crate) sources: Vec<Cidr>,
}

impl Options {
    pub(crate) fn parse(words: &[String]) -> Result<Options> {
        let (mut interface, mut sources, mut common) = (INTERFACE.to_owned(), Vec::new(), Vec::new());
        for word in words {
            match word.split_once('=') {
                Some(("interface", name)) => name.clone_into(&mut interface),
                Some(("source", network)) => sources.push(network.parse()?),
                _ => common.push(word.clone()),
            }
        }
        Ok(Options { common: slirp::Options::parse(NAME, &common)?, interface, sources })
    }

    /// The same places as slirp4netns has: the member is .100, the host .2, the name server .3.
    pub(crate) fn addresses(&self) -> Addresses {
        Addresses { interface: self.interface.clone(), ..self.common.addresses() }
    }

    /// The networks whose addresses may send.
    pub(super) fn sources(&self) -> Vec<Cidr> {
        let own = self.addresses();
        let v4 = own.ipv4.map(|address| Cidr::containing(address.into(), own.prefix));
        let v6 = own.ipv6.map(|address| Cidr::containing(address.into(), own.ipv6_prefix));
        v4.into_iter().chain(v6).chain(self.sources.iter().copied()).collect()
    }

    /// Makes the interface in `netns`, with its addresses and routes, and returns the end of it that packets are read
    /// from. It is gone with that descriptor.
    pub(super) fn make(&self, netns: BorrowedFd<'_>) -> Result<OwnedFd> {
        let addresses = self.addresses();
        let made = in_namespace(Some(netns), || {
            let end = sys::net::make_tun(Path::new(DEVICE), &self.interface)
                .map_err(|error| io::Error::other(format!("{DEVICE}: {error}")))?;
            let netlink = Netlink::open()?;
            let index = netlink.index_of(&self.interface)?;
            if let Some(ipv4) = addresses.ipv4 {
                netlink.add_address(ipv4.into(), addresses.prefix, index)?;
            }
            netlink.set_up_with_mtu(index, self.common.mtu)?;
            lead_out(&netlink, Ipv4Addr::UNSPECIFIED.into(), addresses.gateway.map(IpAddr::V4), index)?;
            if let Some(ipv6) = addresses.ipv6 {
                // A kernel without IPv6, or a namespace where it was turned off.
                let _ = netlink.add_address(ipv6.into(), addresses.ipv6_prefix, index).and_then(|()| {
                    lead_out(&netlink, Ipv6Addr::UNSPECIFIED.into(), addresses.ipv6_gateway.map(IpAddr::V6), index)
                });
            }
            Ok(vec![end])
        });
        let mut made = made.map_err(Error::kernel(format!("make the interface {}", self.interface)))?;
        made.pop().ok_or_else(|| Error::Refused("the interface was lost".into()))
    }
}

fn lead_out(netlink: &Netlink, everything: IpAddr, gateway: Option<IpAddr>, interface: u32) -> io::Result<()> {
    let everything = Cidr { address: everything, prefix: 0 };
    netlink.add_route(everything, gateway, Some(interface), None, RouteKind::Unicast)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Options> {
        Options::parse(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn options_are_those_of_slirp4netns() {
        let options = parse(&["mtu=1500", "cidr=10.7.0.0/16", "source=10.89.0.0/24", "interface=out"]).unwrap();
        assert_eq!(options.common.mtu, 1500);
        let addresses = options.addresses();
        assert_eq!((addresses.interface.as_str(), addresses.ipv4), ("out", Some(Ipv4Addr::new(10, 7, 0, 100))));
        let sources: Vec<String> = options.sources().iter().map(Cidr::to_string).collect();
        assert_eq!(sources, ["10.7.0.0/16", "fd00::/64", "10.89.0.0/24"]);
        let error = parse(&["speed=fast"]).unwrap_err().to_string();
        assert_eq!(error, "unknown option for creel: \"speed=fast\"");
    }
}
