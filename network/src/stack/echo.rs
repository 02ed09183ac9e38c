//! Echo requests to the world, by ping sockets: see icmp(7), ping_group_range.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, ipproto};
use smoltcp::time::{Duration, Instant};

use super::packet::{Draft, ECHO_HEADER};
use super::serve::{Base, Token};
use super::table::Table;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    inside: IpAddr,
    outside: IpAddr,
    identifier: [u8; 2],
}

#[derive(Debug)]
pub(super) struct Echoes(Table<Key, ()>);

const IDLE: Duration = Duration::from_secs(30);
const MOST: usize = 128;

impl Default for Echoes {
    fn default() -> Echoes {
        Echoes(Table::new(MOST, Token::Echo))
    }
}

impl Echoes {
    pub(super) fn settle(&mut self) {
        self.0.settle();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.0.next_due()
    }

    /// Sends a request on. Where this user may have no such socket it is not answered.
    pub(super) fn request(&mut self, inside: IpAddr, outside: IpAddr, message: &[u8], base: &Base) {
        let key = Key { inside, outside, identifier: [message[4], message[5]] };
        if let Some(flow) = self.0.of(key, base, || open(outside)) {
            flow.last = base.now;
            // The kernel puts an identifier of its own and the checksum in.
            let _ = rustix::net::send(&flow.socket, message, SendFlags::NOSIGNAL);
        }
    }

    /// Answers from the world.
    pub(super) fn event(&mut self, number: usize, buffer: &mut [u8], base: &mut Base) {
        let Some(flow) = self.0.get(number) else { return };
        while let Ok((length, _)) = rustix::net::recv(&flow.socket, &mut *buffer, RecvFlags::DONTWAIT) {
            if length >= ECHO_HEADER {
                let Key { inside, outside, identifier } = flow.key;
                base.tun.send(&Draft::echo(outside, inside, identifier, &buffer[..length]));
            }
        }
    }

    pub(super) fn sweep(&mut self, now: Instant) {
        self.0.sweep(now, |_| IDLE);
    }
}

fn open(outside: IpAddr) -> Option<OwnedFd> {
    let (family, protocol) = match outside {
        IpAddr::V4(_) => (AddressFamily::INET, ipproto::ICMP),
        IpAddr::V6(_) => (AddressFamily::INET6, ipproto::ICMPV6),
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, SocketType::DGRAM, flags, Some(protocol)).ok()?;
    rustix::net::connect(&socket, &SocketAddr::new(outside, 0)).ok()?;
    Some(socket)
}
