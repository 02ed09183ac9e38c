//! UDP: one socket towards the server for each client, kept while they talk.

use std::collections::HashMap;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::libc;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, SockaddrIn6, SockaddrStorage, recvmsg, sendmsg,
    setsockopt, sockopt,
};
use rustix::event::epoll;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

use super::place::Towards;
use super::serve::{Candidate, Listening, Routes, Token};
use super::slab::Slab;
use crate::ports::Protocol;

/// One client, the address it wrote to, and its server.
#[derive(Debug)]
struct Flow {
    key: Key,
    /// The interface of a link-local client; 0 else.
    interface: u32,
    group: u32,
    place: u32,
    towards: Towards,
    last: Instant,
    has_answered: bool,
    /// Other ways to a server, the next one last.
    left: Vec<Candidate>,
    /// What the client said first, to say it again to the next server when this one is not there.
    first: Box<[u8]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    listener: usize,
    client: SocketAddr,
    /// The host's address the client wrote to: answers must come from it.
    local: IpAddr,
}

#[derive(Debug)]
pub(super) struct Flows {
    flows: Slab<Flow>,
    keys: HashMap<Key, usize>,
    /// One datagram.
    buffer: Vec<u8>,
    control: Vec<u8>,
}

impl Default for Flows {
    fn default() -> Flows {
        Flows { flows: Slab::new(), keys: HashMap::new(), buffer: Vec::new(), control: Vec::new() }
    }
}

/// Silence after which a client is forgotten: nothing is lost by it, since its next datagram gets it the same address
/// again.
const IDLE: Duration = Duration::from_secs(300);
/// The same while no server has ever answered: a scan, or a source that is not there.
const IDLE_UNANSWERED: Duration = Duration::from_secs(30);
const MOST_FLOWS: usize = 8192;
/// Datagrams moved in one turn of the loop from one socket.
const TURN: usize = 64;
const LARGEST: usize = 64 << 10;
/// Longer first words are not kept.
const LARGEST_FIRST: usize = 2048;

/// Lets the kernel say which address a client wrote to.
pub(super) fn prepare(socket: &OwnedFd) -> io::Result<()> {
    let address = SocketAddr::try_from(rustix::net::getsockname(socket)?)?;
    match address {
        SocketAddr::V4(_) => setsockopt(socket, sockopt::Ipv4PacketInfo, &true)?,
        SocketAddr::V6(_) => setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true)?,
    }
    Ok(())
}

impl Flows {
    pub(super) fn is_empty(&self) -> bool {
        self.flows.is_empty()
    }

    pub(super) fn settle(&mut self) {
        self.flows.settle();
    }

    /// Datagrams from clients.
    pub(super) fn arrive(
        &mut self,
        listener: usize,
        epoll: &OwnedFd,
        listeners: &mut Slab<Listening>,
        routes: &mut Routes,
    ) {
        self.buffer.resize(LARGEST, 0);
        if self.control.is_empty() {
            self.control = nix::cmsg_space!(libc::in6_pktinfo);
        }
        let Some(listening) = listeners.get(listener) else { return };
        for _ in 0..TURN {
            let received = receive(&listening.socket, &mut self.buffer, &mut self.control);
            let Some((length, client, local, interface)) = received else { return };
            let key = Key { listener, client, local };
            let number = match self.keys.get(&key) {
                Some(number) => *number,
                None => match self.begin(key, interface, length, listening.group, epoll, routes) {
                    Some(number) => number,
                    None => continue,
                },
            };
            let Some(flow) = self.flows.get(number) else { continue };
            flow.last = Instant::now();
            // The first error may be one that an earlier datagram met.
            for _ in 0..2 {
                match rustix::net::send(&flow.towards.socket, &self.buffer[..length], SendFlags::NOSIGNAL) {
                    Err(Errno::CONNREFUSED) => {}
                    _ => break,
                }
            }
        }
    }

    fn begin(
        &mut self,
        key: Key,
        interface: u32,
        length: usize,
        group: u32,
        epoll: &OwnedFd,
        routes: &mut Routes,
    ) -> Option<usize> {
        if self.keys.len() >= MOST_FLOWS {
            self.end_oldest(routes);
        }
        let mut left = routes.candidates(group, key.client);
        let (place, towards) = next(&mut left, key.client, routes)?;
        let first = if length <= LARGEST_FIRST { self.buffer[..length].into() } else { Box::default() };
        let last = Instant::now();
        let flow = Flow { key, interface, group, place, towards, last, has_answered: false, left, first };
        let number = self.flows.insert(flow);
        self.keys.insert(key, number);
        let flow = self.flows.get(number)?;
        match epoll::add(epoll, &flow.towards.socket, Token::Flow(number).data(), epoll::EventFlags::IN) {
            Ok(()) => Some(number),
            Err(_) => {
                self.end(number, routes);
                None
            }
        }
    }

    /// Datagrams from a server.
    pub(super) fn answer(
        &mut self,
        number: usize,
        epoll: &OwnedFd,
        listeners: &mut Slab<Listening>,
        routes: &mut Routes,
    ) {
        self.buffer.resize(LARGEST, 0);
        for _ in 0..TURN {
            let Some(flow) = self.flows.get(number) else { return };
            match rustix::net::recv(&flow.towards.socket, self.buffer.as_mut_slice(), RecvFlags::empty()) {
                Ok((length, _)) => {
                    let now = Instant::now();
                    flow.last = now;
                    if !flow.has_answered {
                        flow.has_answered = true;
                        flow.first = Box::default();
                        flow.left = Vec::new();
                    }
                    match listeners.get(flow.key.listener) {
                        Some(listening) => {
                            send_back(&listening.socket, &self.buffer[..length], flow.key, flow.interface)
                        }
                        None => return self.end(number, routes),
                    }
                }
                Err(Errno::CONNREFUSED) if !flow.has_answered => {
                    if !self.try_next(number, epoll, routes) {
                        return self.end(number, routes);
                    }
                }
                // A server that was restarted: the client will speak again.
                Err(Errno::CONNREFUSED | Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }

    /// Goes on with another server, or the other family of the same one.
    fn try_next(&mut self, number: usize, epoll: &OwnedFd, routes: &mut Routes) -> bool {
        let Some(flow) = self.flows.get(number) else { return false };
        let Some((place, towards)) = next(&mut flow.left, flow.key.client, routes) else { return false };
        routes.release(flow.place, &flow.towards);
        (flow.place, flow.towards) = (place, towards);
        if !flow.first.is_empty() {
            let _ = rustix::net::send(&flow.towards.socket, &flow.first, SendFlags::NOSIGNAL);
        }
        epoll::add(epoll, &flow.towards.socket, Token::Flow(number).data(), epoll::EventFlags::IN).is_ok()
    }

    /// Ends the flows of a group whose servers or sockets have changed.
    pub(super) fn forget(&mut self, group: u32, routes: &mut Routes) {
        self.end_all(|flow| flow.group == group, routes);
    }

    pub(super) fn sweep(&mut self, now: Instant, routes: &mut Routes) {
        let is_over = |flow: &Flow| {
            now.saturating_duration_since(flow.last) > if flow.has_answered { IDLE } else { IDLE_UNANSWERED }
        };
        self.end_all(is_over, routes);
        if self.flows.is_empty() {
            self.buffer = Vec::new();
        }
    }

    fn end_oldest(&mut self, routes: &mut Routes) {
        let oldest = self.flows.iter().min_by_key(|(_, flow)| (flow.has_answered, flow.last)).map(|(number, _)| number);
        if let Some(number) = oldest {
            self.end(number, routes);
        }
    }

    fn end_all(&mut self, which: impl Fn(&Flow) -> bool, routes: &mut Routes) {
        let numbers: Vec<usize> = self.flows.iter().filter(|(_, flow)| which(flow)).map(|(number, _)| number).collect();
        for number in numbers {
            self.end(number, routes);
        }
    }

    fn end(&mut self, number: usize, routes: &mut Routes) {
        if let Some(flow) = self.flows.remove(number) {
            self.keys.remove(&flow.key);
            routes.release(flow.place, &flow.towards);
        }
    }
}

fn next(left: &mut Vec<Candidate>, client: SocketAddr, routes: &mut Routes) -> Option<(u32, Towards)> {
    while let Some(candidate) = left.pop() {
        if let Ok(towards) = routes.connect(Protocol::Udp, client, candidate) {
            return Some((candidate.place, towards));
        }
    }
    None
}

/// One datagram: its length, who sent it, to which address of ours, over which interface if that matters.
fn receive(socket: &OwnedFd, buffer: &mut [u8], control: &mut [u8]) -> Option<(usize, SocketAddr, IpAddr, u32)> {
    loop {
        let parts = &mut [IoSliceMut::new(buffer)];
        let message = match recvmsg::<SockaddrStorage>(socket.as_raw_fd(), parts, Some(control), MsgFlags::empty()) {
            Ok(message) => message,
            Err(nix::errno::Errno::EINTR) => continue,
            Err(_) => return None,
        };
        let address = message.address?;
        let client = match (address.as_sockaddr_in(), address.as_sockaddr_in6()) {
            (Some(v4), _) => SocketAddr::V4(SocketAddrV4::from(*v4)),
            (_, Some(v6)) => SocketAddr::V6(SocketAddrV6::from(*v6)),
            (None, None) => continue,
        };
        let local = message.cmsgs().ok()?.find_map(|control| match control {
            ControlMessageOwned::Ipv4PacketInfo(info) => {
                Some((Ipv4Addr::from(info.ipi_spec_dst.s_addr.to_ne_bytes()).into(), 0))
            }
            ControlMessageOwned::Ipv6PacketInfo(info) => {
                let local = Ipv6Addr::from(info.ipi6_addr.s6_addr);
                Some((local.into(), if local.is_unicast_link_local() { info.ipi6_ifindex } else { 0 }))
            }
            _ => None,
        });
        let (local, interface) = local?;
        return Some((message.bytes, client, local, interface));
    }
}

/// To the client, from the address it wrote to. What does not fit is dropped, as any router does.
fn send_back(socket: &OwnedFd, datagram: &[u8], key: Key, interface: u32) {
    let parts = [IoSlice::new(datagram)];
    let flags = MsgFlags::MSG_DONTWAIT;
    let _ = match (key.client, key.local) {
        (SocketAddr::V4(client), IpAddr::V4(local)) => {
            let local = libc::in_addr { s_addr: u32::from_ne_bytes(local.octets()) };
            let info = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: local, ipi_addr: libc::in_addr { s_addr: 0 } };
            let control = [ControlMessage::Ipv4PacketInfo(&info)];
            sendmsg(socket.as_raw_fd(), &parts, &control, flags, Some(&SockaddrIn::from(client)))
        }
        (SocketAddr::V6(client), IpAddr::V6(local)) => {
            let local = libc::in6_addr { s6_addr: local.octets() };
            let info = libc::in6_pktinfo { ipi6_addr: local, ipi6_ifindex: interface };
            let control = [ControlMessage::Ipv6PacketInfo(&info)];
            sendmsg(socket.as_raw_fd(), &parts, &control, flags, Some(&SockaddrIn6::from(client)))
        }
        _ => Ok(0),
    };
}
