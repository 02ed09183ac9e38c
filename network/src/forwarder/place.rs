//! A network namespace with servers in it, and sockets towards them that carry the client's address.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};

use nix::sched::{CloneFlags, setns};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::{IpTransparent, Mark};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use crate::Place;
use crate::netlink::{Match, Netlink};
use crate::ports::Protocol;

/// "cree". On packets of ours and of servers that answer them.
const MARK: u32 = 0x6372_6565;
/// Everything in it is local: packets that carry the mark.
const MARKED_TABLE: u32 = 0x6372_0001;
/// The addresses of clients that are being served without a mark.
const CLIENTS_TABLE: u32 = 0x6372_0002;
/// After the table of local addresses (0), before anything a program inside is likely to add.
const PREFERENCE: u32 = 50;

/// A namespace made ready.
#[derive(Debug)]
pub(super) struct Prepared {
    netns: OwnedFd,
    place: Place,
    netlink: Option<Netlink>,
    loopback: u32,
    /// Whether servers answer with the mark of the client's connection, by family. Else TCP uses the clients' table
    /// as UDP does.
    marks: [bool; 2],
    /// Whether a refusal ("port unreachable") carries that mark too, by family. Else it looks into the clients' table.
    reflects: [bool; 2],
    /// Server ports whose answers look into the clients' table.
    rules: HashSet<(bool, Protocol, u16)>,
    /// How many of our sockets stand for each client in that table.
    clients: HashMap<IpAddr, usize>,
}

/// Which namespace the process is in.
#[derive(Debug, Default)]
pub(super) struct Whereabouts(Option<u32>);

impl Whereabouts {
    /// Goes into the namespace of `place`, if it is not there yet.
    fn enter(&mut self, id: u32, netns: &OwnedFd) -> io::Result<()> {
        if self.0 != Some(id) {
            setns(netns, CloneFlags::CLONE_NEWNET)?;
            self.0 = Some(id);
        }
        Ok(())
    }

    /// A place's number may come to mean another namespace.
    pub(super) fn forget(&mut self, id: u32) {
        if self.0 == Some(id) {
            self.0 = None;
        }
    }
}

/// A socket towards a server.
#[derive(Debug)]
pub(super) struct Towards {
    pub(super) socket: OwnedFd,
    /// The address in the clients' table that stands for it, to be given back by [`Prepared::release`].
    pub(super) client: Option<IpAddr>,
}

impl Prepared {
    /// Makes the namespace ready. What the kernel refuses is left out: servers then see the container's own address,
    /// and are served.
    pub(super) fn new(
        id: u32,
        mut place: Place,
        netns: OwnedFd,
        whereabouts: &mut Whereabouts,
    ) -> io::Result<Prepared> {
        whereabouts.forget(id);
        whereabouts.enter(id, &netns)?;
        if place.ipv4.is_some_and(|address| address.is_loopback()) {
            return Ok(Prepared::plain(netns, place));
        }
        // A refusal is answered with the mark of what it refuses, as an acceptance is.
        let sysctl = |name: &str| std::fs::write(format!("/proc/sys/net/{name}"), "1").is_ok();
        let accept = sysctl("ipv4/tcp_fwmark_accept");
        let reflects = [sysctl("ipv4/fwmark_reflect"), sysctl("ipv6/fwmark_reflect")];
        let netlink = Netlink::open().ok();
        let index = |name: &str| nix::net::if_::if_nametoindex(name).unwrap_or(0);
        let loopback = index("lo");
        let mut marks = [false; 2];
        if let Some(netlink) = &netlink {
            for v6 in [false, true] {
                let everything = if v6 { Ipv6Addr::UNSPECIFIED.into() } else { IpAddr::from(Ipv4Addr::UNSPECIFIED) };
                marks[usize::from(v6)] = accept
                    && reflects[usize::from(v6)]
                    && netlink.add_local_route(everything, 0, None, loopback, MARKED_TABLE).is_ok()
                    && netlink.add_rule(v6, PREFERENCE, Match::Mark(MARK), MARKED_TABLE).is_ok();
            }
            if let Some(ipv6) = place.ipv6
                && !place.interface.is_empty()
                && netlink.add_address(ipv6.into(), place.ipv6_prefix, index(&place.interface)).is_err()
            {
                place.ipv6 = None;
            }
        }
        Ok(Prepared { netlink, loopback, marks, reflects, ..Prepared::plain(netns, place) })
    }

    /// As it is: servers see who connects from inside of it.
    fn plain(netns: OwnedFd, place: Place) -> Prepared {
        Prepared {
            netns,
            place,
            netlink: None,
            loopback: 0,
            marks: [false; 2],
            reflects: [false; 2],
            rules: HashSet::new(),
            clients: HashMap::new(),
        }
    }

    /// Where a server may be found, in the order of trial: in the client's own family first.
    pub(super) fn targets(
        &self,
        port: u16,
        address: Option<IpAddr>,
        client: IpAddr,
    ) -> impl Iterator<Item = SocketAddr> {
        let own = match address {
            Some(address) => [Some(address), None],
            None => {
                let (v4, v6) = (self.place.ipv4.map(IpAddr::V4), self.place.ipv6.map(IpAddr::V6));
                if client.is_ipv6() { [v6, v4] } else { [v4, v6] }
            }
        };
        own.into_iter().flatten().map(move |address| SocketAddr::new(address, port))
    }

    /// The address the server is to see.
    fn shown(&self, client: IpAddr, target: IpAddr) -> Option<IpAddr> {
        let is_own = Some(client) == self.place.ipv4.map(IpAddr::V4) || Some(client) == self.place.ipv6.map(IpAddr::V6);
        let means_another = client.is_loopback()
            || target.is_loopback()
            || is_own
            || client.is_ipv6() != target.is_ipv6()
            || matches!(client, IpAddr::V6(v6) if v6.is_unicast_link_local());
        match (means_another, target) {
            (false, _) => Some(client),
            (true, IpAddr::V4(_)) => self.place.host_alias.map(IpAddr::V4),
            (true, IpAddr::V6(_)) => self.place.host_alias6.map(IpAddr::V6),
        }
    }

    /// A connected (UDP) or connecting (TCP) socket from the client's address to `target`.
    ///
    /// The client's port is kept too unless it is taken inside, by another connection of this forwarder's or by a
    /// program.
    pub(super) fn connect(
        &mut self,
        id: u32,
        whereabouts: &mut Whereabouts,
        protocol: Protocol,
        client: SocketAddr,
        target: SocketAddr,
    ) -> io::Result<Towards> {
        whereabouts.enter(id, &self.netns)?;
        if let Some(shown) = self.shown(client.ip(), target.ip()) {
            for port in [client.port(), 0] {
                match self.connect_from(protocol, SocketAddr::new(shown, port), target) {
                    Ok(towards) => return Ok(towards),
                    // Another port, or another way, may do.
                    Err(Errno::ADDRINUSE | Errno::ADDRNOTAVAIL | Errno::PERM | Errno::INVAL) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        let socket = open(protocol, target)?;
        start_connect(&socket, target)?;
        Ok(Towards { socket, client: None })
    }

    fn connect_from(&mut self, protocol: Protocol, shown: SocketAddr, target: SocketAddr) -> Result<Towards, Errno> {
        let io = |error: nix::errno::Errno| Errno::from_raw_os_error(error as i32);
        let v6 = target.is_ipv6();
        let socket = open(protocol, target)?;
        // On an IPv6 socket too: the kernel keeps one bit for both families, and passes the level of IPv4 on.
        setsockopt(&socket, IpTransparent, &true).map_err(io)?;
        setsockopt(&socket, Mark, &MARK).map_err(io)?;
        sockopt::set_socket_reuseaddr(&socket, true)?;
        rustix::net::bind(&socket, &shown)?;
        let is_marked = protocol == Protocol::Tcp && self.marks[usize::from(v6)];
        let client = if is_marked {
            None
        } else {
            self.expect_answers(protocol, shown.ip(), target).map_err(|_| Errno::PERM)?;
            Some(shown.ip())
        };
        if let Err(error) = start_connect(&socket, target) {
            self.release(client);
            return Err(error);
        }
        Ok(Towards { socket, client })
    }

    /// Has answers from the server's port to this client delivered here.
    fn expect_answers(&mut self, protocol: Protocol, client: IpAddr, target: SocketAddr) -> io::Result<()> {
        let netlink = self.netlink.as_ref().ok_or(io::ErrorKind::Unsupported)?;
        let rule = (target.is_ipv6(), protocol, target.port());
        if !self.rules.contains(&rule) {
            let number = if protocol == Protocol::Udp { nix::libc::IPPROTO_UDP } else { nix::libc::IPPROTO_TCP };
            let matching = Match::SourcePort { protocol: number as u8, port: target.port() };
            netlink.add_rule(rule.0, PREFERENCE + 1, matching, CLIENTS_TABLE)?;
            if !self.reflects[usize::from(rule.0)] {
                let icmp = if rule.0 { nix::libc::IPPROTO_ICMPV6 } else { nix::libc::IPPROTO_ICMP };
                netlink.add_rule(rule.0, PREFERENCE + 1, Match::Protocol(icmp as u8), CLIENTS_TABLE)?;
            }
            self.rules.insert(rule);
        }
        if !self.clients.contains_key(&client) {
            // Without the source a server on every address would answer from the client's own.
            netlink.add_local_route(client, bits(client), Some(target.ip()), self.loopback, CLIENTS_TABLE)?;
        }
        *self.clients.entry(client).or_insert(0) += 1;
        Ok(())
    }

    /// Gives back what [`Towards::client`] stands for.
    pub(super) fn release(&mut self, client: Option<IpAddr>) {
        let Some(client) = client else { return };
        if let Some(sockets) = self.clients.get_mut(&client) {
            *sockets -= 1;
            if *sockets == 0 {
                self.clients.remove(&client);
                if let Some(netlink) = &self.netlink {
                    let _ = netlink.remove_local_route(client, bits(client), self.loopback, CLIENTS_TABLE);
                }
            }
        }
    }
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv6() { 128 } else { 32 }
}

fn open(protocol: Protocol, target: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = if target.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let kind = if protocol == Protocol::Udp { SocketType::DGRAM } else { SocketType::STREAM };
    rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)
}

fn start_connect(socket: impl AsFd, target: SocketAddr) -> Result<(), Errno> {
    match rustix::net::connect(socket, &target) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(()),
        Err(error) => Err(error),
    }
}
