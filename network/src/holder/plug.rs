//! Work in network namespaces, done by short-lived children: a process of the user's namespace that leaves the host's
//! network namespace could never come back.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::sched::{CloneFlags, setns, unshare};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use sys::channel::Channel;

use super::Endpoint;
use super::gate::Learned;
use crate::inside::reserve;
use crate::netlink::filter::Filter;
use crate::netlink::{Face, Netlink, Veth};
use crate::networks::random;
use crate::record::{Network, RouteKind};
use crate::{Cidr, Egress, Error, Result};

/// The bridge's number in the network's namespace; loopback is 1.
pub(super) const BRIDGE: u32 = 2;
/// What the faces of macvlan and ipvlan look out of.
const CARD: &str = "card";
const DNS_PORT: u16 = 53;

/// The network's own namespace.
#[derive(Debug)]
pub(super) struct Ground {
    pub(super) netns: OwnedFd,
    pub(super) netlink: Netlink,
    /// Opened for the first member with a list.
    pub(super) filter: Option<Filter>,
    /// The name server's sockets, one of each kind for each gateway.
    pub(super) udp: Vec<OwnedFd>,
    pub(super) tcp: Vec<OwnedFd>,
}

/// Runs `work` in a child process, in the namespace given or in a new one. Descriptors that it makes come back.
pub(crate) fn in_namespace(
    netns: Option<BorrowedFd<'_>>,
    work: impl FnOnce() -> io::Result<Vec<OwnedFd>>,
) -> io::Result<Vec<OwnedFd>> {
    let (ours, theirs) = Channel::pair()?;
    let child = sys::clone::fork(|| {
        let done = (|| {
            match netns {
                Some(netns) => setns(netns, CloneFlags::CLONE_NEWNET)?,
                None => unshare(CloneFlags::CLONE_NEWNET)?,
            }
            work()
        })();
        let sent = match done {
            Ok(fds) => {
                let fds: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
                theirs.send(b"ok", &fds)
            }
            Err(error) => theirs.send(error.to_string().as_bytes(), &[]),
        };
        sys::clone::exit_now(i32::from(sent.is_err()))
    })?;
    drop(theirs);
    let received = ours.recv();
    child.pidfd.wait()?;
    match received? {
        (message, fds) if message == b"ok" => Ok(fds),
        (message, _) if message.is_empty() => Err(io::Error::other("a process of ours was killed")),
        (message, _) => Err(io::Error::other(String::from_utf8_lossy(&message).into_owned())),
    }
}

/// For the error's text: what was being done.
pub(super) fn doing<T>(what: &str, result: io::Result<T>) -> io::Result<T> {
    result.map_err(|error| io::Error::other(format!("{what}: {error}")))
}

fn sysctl(name: &str, value: &str) -> io::Result<()> {
    doing(name, std::fs::write(format!("/proc/sys/net/{name}"), value))
}

impl Ground {
    /// Makes the namespace: bridge, forwarding, the name server's sockets.
    pub(super) fn make(network: &Network) -> Result<Ground> {
        let mut fds = in_namespace(None, || {
            doing("set lo up", sys::net::loopback_up())?;
            let netlink = Netlink::open()?;
            let namespace = OwnedFd::from(std::fs::File::open("/proc/self/ns/net")?);
            match network.is_bridge() {
                true => make_bridge(&netlink, network)?,
                false => make_card(&netlink, network, namespace.as_fd())?,
            }
            if network.has_way_out() {
                forwarding(network)?;
            }
            if let Some(range) = network.service_range {
                doing(&format!("reserve {range} for Services"), reserve(&netlink, range))?;
            }
            let mut fds = vec![namespace, netlink.into()];
            if network.dns {
                for kind in [SocketType::DGRAM, SocketType::STREAM] {
                    for (gateway, _) in network.gateways() {
                        let address = SocketAddr::new(gateway, DNS_PORT);
                        fds.push(doing(&format!("listen on {address}"), name_socket(kind, address))?);
                    }
                }
            }
            Ok(fds)
        })
        .map_err(Error::kernel(format!("make the network {}", network.name)))?
        .into_iter();
        let missing = || Error::Holder { network: network.name.clone(), reason: "a descriptor was lost".into() };
        let (netns, netlink) = (fds.next().ok_or_else(missing)?, fds.next().ok_or_else(missing)?);
        let mut udp: Vec<OwnedFd> = fds.collect();
        let tcp = udp.split_off(udp.len() / 2);
        Ok(Ground { netns, netlink: netlink.into(), filter: None, udp, tcp })
    }
}

fn make_bridge(netlink: &Netlink, network: &Network) -> io::Result<()> {
    let mac = bridge_mac(&network.id);
    let made = netlink.add_bridge(&network.interface, BRIDGE, mac, network.mtu(), network.vlan());
    doing("make the bridge", made)?;
    for (gateway, prefix) in network.gateways() {
        doing(&format!("give {gateway} to the bridge"), netlink.add_address(gateway, prefix, BRIDGE))?;
    }
    doing("set the bridge up", netlink.set_up(BRIDGE))
}

/// In the bridge's place what faces look out of: the host's card belongs to root. A pair of interfaces that are plugged
/// into each other has a carrier, a bridge without ports has none.
fn make_card(netlink: &Netlink, network: &Network, namespace: BorrowedFd<'_>) -> io::Result<()> {
    let (name, index, peer_name, mtu) = (CARD, 0, "wire", network.mtu());
    let peer_mac = random_mac().map_err(io::Error::other)?;
    let veth = Veth { name, index, bridge: None, mtu, peer_name, peer_mac, peer_namespace: namespace, up: true };
    doing("make an interface", netlink.add_veth(&veth))?;
    doing("set it up", netlink.set_up(netlink.index_of(peer_name)?))
}

/// Packets of members go on to the uplink, which knows only its own small network: who is asked there for a member's
/// address answers for it.
fn forwarding(network: &Network) -> io::Result<()> {
    sysctl("ipv4/ip_forward", "1")?;
    // The uplink's interface takes it from here when it comes.
    sysctl("ipv4/conf/default/proxy_arp", "1")?;
    if network.ipv6 {
        sysctl("ipv6/conf/all/forwarding", "1")?;
        // For [`announce`].
        sysctl("ipv6/ip_nonlocal_bind", "1")?;
    }
    Ok(())
}

/// Tells `listener` in a member's name that its address is at our `interface`: a neighbour advertisement, RFC 4861, 4.4.
///
/// The kernel could answer for members (proxy_ndp), but from an address of its own, and libslirp takes the sender for what
/// is advertised. It remembers the last 16 (NDP_TABLE_SIZE), of which we are two.
pub(super) fn announce(ground: &Ground, member: Ipv6Addr, interface: &str, listener: Ipv6Addr) -> io::Result<()> {
    in_namespace(Some(ground.netns.as_fd()), || {
        let link = nix::ifaddrs::getifaddrs()?
            .filter(|found| found.interface_name == interface)
            .find_map(|found| found.address?.as_link_addr()?.addr())
            .ok_or(io::ErrorKind::NotFound)?;
        let protocol = Some(rustix::net::ipproto::ICMPV6);
        let socket = rustix::net::socket_with(AddressFamily::INET6, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
        rustix::net::sockopt::set_ipv6_unicast_hops(&socket, Some(255))?;
        rustix::net::bind(&socket, &SocketAddr::new(member.into(), 0))?;
        // Type 136, code 0, checksum (the kernel's), flag "override", the address, option 2: the link-layer address.
        let mut message = vec![136, 0, 0, 0, 0x20, 0, 0, 0];
        message.extend(member.octets());
        message.extend([2, 1]);
        message.extend(link);
        let to = SocketAddr::new(listener.into(), 0);
        rustix::net::sendto(&socket, &message, rustix::net::SendFlags::empty(), &to)?;
        Ok(Vec::new())
    })
    .map(drop)
}

fn name_socket(kind: SocketType, address: SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, kind, flags, None)?;
    rustix::net::bind(&socket, &address)?;
    if kind == SocketType::STREAM {
        rustix::net::listen(&socket, 64)?;
    }
    Ok(socket)
}

/// How one member is plugged in.
pub(super) struct Plug<'a> {
    pub(super) network: &'a Network,
    pub(super) endpoint: &'a Endpoint,
    /// Its list, and what names of it have turned out to be.
    pub(super) restricted: Option<(&'a Egress, &'a Learned)>,
    /// The name and number of the end on the bridge.
    pub(super) name: &'a str,
    pub(super) index: u32,
    /// Its last connection was cut off: an interface of that name is a left-over.
    pub(super) again: bool,
}

/// Makes the member's interface, with its addresses and routes.
pub(super) fn plug(ground: &mut Ground, plug: &Plug<'_>, netns: BorrowedFd<'_>) -> io::Result<()> {
    let endpoint = plug.endpoint;
    if plug.again {
        in_namespace(Some(netns), || {
            let netlink = Netlink::open()?;
            if let Ok(index) = netlink.index_of(&endpoint.interface) {
                netlink.remove_link(index)?;
            }
            Ok(Vec::new())
        })?;
    }
    let made = connect(ground, plug, netns);
    doing(&format!("make the interface {}", endpoint.interface), made)?;
    let configured = restrict(ground, plug).and_then(|()| configure(plug, netns));
    if configured.is_err() {
        // The first error is the one that counts.
        let _ = unplug(ground, plug, Some(netns));
    }
    configured
}

/// A bridge's member with a list: the list is there before anything can pass. Members of other networks have nobody to
/// talk to but each other.
fn restrict(ground: &mut Ground, plug: &Plug<'_>) -> io::Result<()> {
    let Some((egress, learned)) = plug.restricted.filter(|_| plug.network.is_bridge()) else { return Ok(()) };
    ground.restrict(plug.network, egress, plug.endpoint, learned, (plug.name, plug.index))?;
    doing("set its end up", ground.netlink.set_up(plug.index))
}

/// Addresses and routes, in the member's namespace.
fn configure(plug: &Plug<'_>, netns: BorrowedFd<'_>) -> io::Result<()> {
    let Plug { network, endpoint, .. } = plug;
    in_namespace(Some(netns), || {
        let netlink = Netlink::open()?;
        let index = netlink.index_of(&endpoint.interface)?;
        for assigned in &endpoint.addresses {
            doing(
                &format!("give it {}", assigned.address),
                netlink.add_address(assigned.address, assigned.prefix, index),
            )?;
        }
        doing("set it up", netlink.set_up(index))?;
        for route in &network.routes {
            // Routes that lead nowhere have no interface.
            let interface = (route.kind == RouteKind::Unicast).then_some(index);
            doing(
                &format!("add the route to {}", route.destination),
                netlink.add_route(route.destination, route.gateway, interface, route.metric, route.kind),
            )?;
        }
        if network.has_default_route() {
            for assigned in &endpoint.addresses {
                let Some(gateway) = assigned.gateway else { continue };
                let everything: IpAddr = match gateway {
                    IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
                    IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
                };
                let everything = Cidr { address: everything, prefix: 0 };
                let metric = Some(network.metric());
                doing(
                    "add the default route",
                    netlink.add_route(everything, Some(gateway), Some(index), metric, RouteKind::Unicast),
                )?;
            }
        }
        Ok(Vec::new())
    })
    .map(drop)
}

/// Makes the interface itself.
fn connect(ground: &Ground, plug: &Plug<'_>, netns: BorrowedFd<'_>) -> io::Result<()> {
    let Plug { network, endpoint, .. } = plug;
    let mac = parse_mac(&endpoint.mac).ok_or_else(|| io::Error::other("the MAC address is damaged"))?;
    if network.is_bridge() {
        return ground.netlink.add_veth(&Veth {
            name: plug.name,
            index: plug.index,
            bridge: Some(BRIDGE),
            mtu: network.mtu(),
            peer_name: &endpoint.interface,
            peer_mac: mac,
            peer_namespace: netns,
            up: plug.restricted.is_none(),
        });
    }
    let option = |key: &str| network.options.get(key).map_or("", String::as_str);
    let face = Face {
        name: &endpoint.interface,
        below: ground.netlink.index_of(CARD)?,
        kind: &network.driver,
        mode: option("mode"),
        broadcast_limit: option("bclim").parse().ok(),
        mac,
        mtu: network.mtu(),
        namespace: netns,
    };
    ground.netlink.add_face(&face).map_err(|error| match error.raw_os_error() {
        Some(nix::libc::EOPNOTSUPP) => io::Error::other(format!("the kernel has no {}: {error}", network.driver)),
        _ => error,
    })
}

/// Takes the interface away. Of a bridge's member the end here is enough; another one is only in the member's namespace.
pub(super) fn unplug(ground: &mut Ground, plug: &Plug<'_>, netns: Option<BorrowedFd<'_>>) -> io::Result<()> {
    if plug.network.is_bridge() {
        ground.netlink.remove_link(plug.index)?;
        return plug.restricted.map_or(Ok(()), |_| ground.forget(plug.index));
    }
    let Some(netns) = netns else { return Ok(()) };
    in_namespace(Some(netns), || {
        let netlink = Netlink::open()?;
        netlink.remove_link(netlink.index_of(&plug.endpoint.interface)?)?;
        Ok(Vec::new())
    })
    .map(drop)
}

/// The same whenever the network is made again: its members remember it.
fn bridge_mac(id: &str) -> [u8; 6] {
    let byte = |n: usize| id.get(2 * n..2 * n + 2).and_then(|text| u8::from_str_radix(text, 16).ok()).unwrap_or(0);
    [0x02, byte(0), byte(1), byte(2), byte(3), byte(4)]
}

/// Made up here, and of one station.
pub(super) fn random_mac() -> Result<[u8; 6]> {
    let mut mac = random::<6>()?;
    mac[0] = mac[0] & 0xfc | 0x02;
    Ok(mac)
}

/// `02:11:22:33:44:55`.
pub(super) fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let bytes: Vec<u8> = text.split([':', '-']).map(|byte| u8::from_str_radix(byte, 16).ok()).collect::<Option<_>>()?;
    bytes.try_into().ok()
}

pub(super) fn write_mac(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bridge_has_an_address_of_its_own() {
        assert_eq!(write_mac(bridge_mac("2f259bab93aa")), "02:2f:25:9b:ab:93");
    }

    #[test]
    fn mac_addresses_are_read_and_written() {
        let mac = parse_mac("92:d0:C6:00:00:01").unwrap();
        assert_eq!(write_mac(mac), "92:d0:c6:00:00:01");
        assert_eq!(parse_mac("92-d0-c6-00-00-01"), Some(mac));
        assert_eq!(parse_mac("92:d0"), None);
        assert_eq!(parse_mac("92:d0:c6:00:00:xx"), None);
    }
}
