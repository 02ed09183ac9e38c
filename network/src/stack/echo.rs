//! Echo requests to the world, by ping sockets: see icmp(7), ping_group_range.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::event::epoll::{self, EventFlags};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, ipproto};
use smoltcp::time::{Duration, Instant};

use super::packet::{Draft, ECHO_HEADER};
use super::serve::{Base, Token};
use crate::forwarder::slab::Slab;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    inside: IpAddr,
    outside: IpAddr,
    identifier: [u8; 2],
}

#[derive(Debug)]
struct Flow {
    key: Key,
    socket: OwnedFd,
    last: Instant,
}

#[derive(Debug)]
pub(super) struct Echoes {
    flows: Slab<Flow>,
    keys: HashMap<Key, usize>,
    next_sweep: Instant,
}

const IDLE: Duration = Duration::from_secs(30);
const SWEEP: Duration = Duration::from_secs(10);
const MOST: usize = 128;

impl Default for Echoes {
    fn default() -> Echoes {
        Echoes { flows: Slab::new(), keys: HashMap::new(), next_sweep: Instant::ZERO }
    }
}

impl Echoes {
    pub(super) fn settle(&mut self) {
        self.flows.settle();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        (!self.keys.is_empty()).then_some(self.next_sweep)
    }

    /// Sends a request on. Where this user may have no such socket it is not answered.
    pub(super) fn request(&mut self, inside: IpAddr, outside: IpAddr, message: &[u8], base: &Base) {
        let key = Key { inside, outside, identifier: [message[4], message[5]] };
        let number = match self.keys.get(&key) {
            Some(number) => *number,
            None => match self.begin(key, base) {
                Some(number) => number,
                None => return,
            },
        };
        if let Some(flow) = self.flows.get(number) {
            flow.last = base.now;
            // The kernel puts an identifier of its own and the checksum in.
            let _ = rustix::net::send(&flow.socket, message, SendFlags::NOSIGNAL);
        }
    }

    fn begin(&mut self, key: Key, base: &Base) -> Option<usize> {
        if self.keys.len() >= MOST {
            let oldest = self.flows.iter().min_by_key(|(_, flow)| flow.last).map(|(number, _)| number)?;
            self.end(oldest);
        }
        let (family, protocol) = match key.outside {
            IpAddr::V4(_) => (AddressFamily::INET, ipproto::ICMP),
            IpAddr::V6(_) => (AddressFamily::INET6, ipproto::ICMPV6),
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(family, SocketType::DGRAM, flags, Some(protocol)).ok()?;
        rustix::net::connect(&socket, &SocketAddr::new(key.outside, 0)).ok()?;
        let number = self.flows.insert(Flow { key, socket, last: base.now });
        self.keys.insert(key, number);
        let flow = self.flows.get(number)?;
        if epoll::add(&base.epoll, &flow.socket, Token::Echo(number).data(), EventFlags::IN).is_err() {
            self.end(number);
            return None;
        }
        if self.keys.len() == 1 {
            self.next_sweep = base.now + SWEEP;
        }
        Some(number)
    }

    /// Answers from the world.
    pub(super) fn event(&mut self, number: usize, buffer: &mut [u8], base: &mut Base) {
        let Some(flow) = self.flows.get(number) else { return };
        while let Ok((length, _)) = rustix::net::recv(&flow.socket, &mut *buffer, RecvFlags::DONTWAIT) {
            if length >= ECHO_HEADER {
                let Key { inside, outside, identifier } = flow.key;
                base.tun.send(&Draft::echo(outside, inside, identifier, &buffer[..length]));
            }
        }
    }

    pub(super) fn sweep(&mut self, now: Instant) {
        if self.keys.is_empty() || now < self.next_sweep {
            return;
        }
        self.next_sweep = now + SWEEP;
        let over = |flow: &Flow| now >= flow.last + IDLE;
        let over: Vec<usize> = self.flows.iter().filter(|(_, flow)| over(flow)).map(|(number, _)| number).collect();
        for number in over {
            self.end(number);
        }
    }

    fn end(&mut self, number: usize) {
        if let Some(flow) = self.flows.remove(number) {
            self.keys.remove(&flow.key);
        }
    }
}
