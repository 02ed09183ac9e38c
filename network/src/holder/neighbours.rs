//! Networks that are open to each other (`isolate=false`): a pair of interfaces between their namespaces, with a route to
//! the other's subnets at each end. It goes with the first of the two.

use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd};

use sys::lock::FileLock;

use super::door::Link;
use super::plug::{doing, in_namespace, random_mac};
use crate::netlink::{Netlink, Veth};
use crate::networks::make_private_dir;
use crate::record::{Network, RouteKind, Subnet};
use crate::{Error, Networks, Result};

impl Networks {
    /// Connects a network that is open with the others that are, and that are in use now.
    pub(super) fn meet_neighbours(&self, network: &Network, link: &mut Link) -> Result<()> {
        if !network.is_open() {
            return Ok(());
        }
        let runs = self.runs();
        make_private_dir(&runs)?;
        let path = runs.join("neighbours.lock");
        // Of two that come at the same time the second one sees the first.
        let _lock = FileLock::exclusive(&path).map_err(Error::kernel(format!("lock {}", path.display())))?;
        let here = link.namespace()?;
        for other in self.list()?.into_iter().flatten() {
            if !other.is_open() || other.name == network.name {
                continue;
            }
            let there =
                match self.connect(&other.name).and_then(|link| link.map(|mut link| link.namespace()).transpose()) {
                    Ok(Some(there)) => there,
                    // Nobody uses it, or its last member is just leaving.
                    Ok(None) | Err(Error::Holder { .. }) => continue,
                    Err(error) => return Err(error),
                };
            meet((network, here.as_fd()), (&other, there.as_fd()))
                .map_err(Error::kernel(format!("connect the networks {} and {}", network.name, other.name)))?;
        }
        Ok(())
    }
}

/// What an end is called: after the network that it leads to.
fn end_name(to: &Network) -> String {
    format!("to-{}", to.id.get(..12).unwrap_or(&to.name))
}

/// The gateways of IPv6 between two networks, of the one with the smaller id first. IPv4 needs none: each side answers
/// for its members (proxy ARP).
const ENDS: [Ipv6Addr; 2] = [Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1), Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2)];

type Ground<'a> = (&'a Network, BorrowedFd<'a>);

fn meet(one: Ground<'_>, other: Ground<'_>) -> io::Result<()> {
    let ((one, here), (other, there)) = if one.0.id < other.0.id { (one, other) } else { (other, one) };
    let (name, peer_name) = (end_name(other), end_name(one));
    let (inside, beyond) = (netlink_in(here)?, netlink_in(there)?);
    let ends = (inside.index_of(&name).ok(), beyond.index_of(&peer_name).ok());
    if !matches!(ends, (Some(_), Some(_))) {
        // The end of a network that has gone stays for a moment after it: the kernel takes namespaces down later.
        for (netlink, end) in [(&inside, ends.0), (&beyond, ends.1)] {
            end.map_or(Ok(()), |index| doing("remove an old interface", netlink.remove_link(index)))?;
        }
        let veth = Veth {
            name: &name,
            index: 0,
            bridge: None,
            mtu: one.mtu().min(other.mtu()),
            peer_name: &peer_name,
            peer_mac: random_mac().map_err(io::Error::other)?,
            peer_namespace: there,
            up: true,
        };
        doing("make an interface", inside.add_veth(&veth))?;
    }
    // Again where it is there: whoever made it may have been killed half-way.
    lead(&inside, &name, other, ENDS)?;
    lead(&beyond, &peer_name, one, [ENDS[1], ENDS[0]])
}

/// A socket into a namespace.
fn netlink_in(namespace: BorrowedFd<'_>) -> io::Result<Netlink> {
    let fds = in_namespace(Some(namespace), || Ok(vec![Netlink::open()?.into()]))?;
    fds.into_iter().next().map(Netlink::from).ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// From this end everything goes to the other network.
fn lead(netlink: &Netlink, end: &str, to: &Network, [own, gateway]: [Ipv6Addr; 2]) -> io::Result<()> {
    let index = netlink.index_of(end)?;
    doing("set an interface up", netlink.set_up(index))?;
    doing("answer for members", netlink.answer_for_others_at_once(index))?;
    if to.ipv6 {
        doing("give an interface its address", netlink.add_address(own.into(), 64, index))?;
    }
    for Subnet { subnet, .. } in &to.subnets {
        let gateway = (!subnet.is_ipv4()).then_some(IpAddr::V6(gateway));
        let added = netlink.add_route(*subnet, gateway, Some(index), None, RouteKind::Unicast);
        doing(&format!("add the route to {subnet}"), added)?;
    }
    Ok(())
}
