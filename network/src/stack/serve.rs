//! The stack's loop.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use smoltcp::time::{Duration, Instant};

use super::destination::{Destination, Destinations};
use super::echo::Echoes;
use super::packet::{Draft, LARGEST, Packet, Unreachable, parse};
use super::tcp::{Connections, refuse};
use super::tun::Tun;
use super::udp::Flows;
use super::{Options, sandbox};
use crate::forwarder::serve::raise_descriptor_limit;
use crate::slirp::resolve;
use crate::{Error, Result};

/// The whole life of the stack: descriptor 0 is the network namespace, 2 takes what it says, 3 is written to when the
/// interface is there. `words` are its options. Returns when it cannot go on; else it serves until it is killed, at the
/// latest with its parent.
pub fn uplink_main(words: impl Iterator<Item = String>) -> ExitCode {
    let words: Vec<String> = words.collect();
    let inherited = sys::task::inherited_descriptor;
    let (Some(netns), Some(log), Some(ready)) = (inherited(0), inherited(2), inherited(3)) else {
        return ExitCode::FAILURE;
    };
    sys::memory::settle();
    let _ = rustix::thread::set_name(c"creel-uplink");
    let begin = || -> Result<Stack> {
        let options = Options::parse(&words)?;
        let end = options.make(netns.as_fd())?;
        let stack = Stack::new(&options, end)?;
        raise_descriptor_limit();
        sandbox::enter().map_err(Error::kernel("give up what packets do not need"))?;
        Ok(stack)
    };
    match begin() {
        Ok(mut stack) => {
            let _ = rustix::io::write(&ready, b"1");
            drop((netns, log, ready));
            let _ = sys::memory::shrink();
            // The interface is gone, or nothing can be waited for.
            while stack.turn().is_ok() {}
            ExitCode::FAILURE
        }
        Err(error) => {
            let _ = rustix::io::write(&log, error.to_string().as_bytes());
            ExitCode::FAILURE
        }
    }
}

/// What an event is about, packed into the 64 bits that epoll(7) carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Tun,
    Connection(usize),
    Flow(usize),
    Echo(usize),
}

impl Token {
    pub(super) fn data(self) -> epoll::EventData {
        let (kind, key) = match self {
            Token::Tun => (0, 0),
            Token::Connection(key) => (1, key),
            Token::Flow(key) => (2, key),
            Token::Echo(key) => (3, key),
        };
        epoll::EventData::new_u64(kind << 56 | key as u64)
    }

    fn of(data: epoll::EventData) -> Token {
        let key = (data.u64() & (u64::MAX >> 8)) as usize;
        match data.u64() >> 56 {
            0 => Token::Tun,
            1 => Token::Connection(key),
            2 => Token::Flow(key),
            _ => Token::Echo(key),
        }
    }
}

/// What everything that moves packets stands on.
pub(super) struct Base {
    pub(super) epoll: OwnedFd,
    pub(super) tun: Tun,
    /// When this turn of the loop began.
    pub(super) now: Instant,
    gateways: [Option<IpAddr>; 2],
}

impl Base {
    /// Who tells `inside` of errors.
    pub(super) fn gateway(&self, inside: IpAddr) -> Option<IpAddr> {
        self.gateways[usize::from(inside.is_ipv6())]
    }
}

pub(super) struct Stack {
    base: Base,
    destinations: Destinations,
    pub(super) connections: Connections,
    pub(super) flows: Flows,
    echoes: Echoes,
    /// Which addresses of the host's its sockets have, by family, where the user says so.
    outbound: [Option<IpAddr>; 2],
    began: std::time::Instant,
    events: Vec<epoll::Event>,
    /// One packet from inside.
    packet: Vec<u8>,
    /// One datagram from the world.
    datagram: Vec<u8>,
    /// When the memory of the connections there were goes back, if no other comes.
    rest: Option<Instant>,
}

/// Packets read in one turn of the loop.
const TURN: usize = 64;
/// The last connection may be followed by another one soon.
const REST: Duration = Duration::from_secs(2);

impl Stack {
    pub(super) fn new(options: &Options, end: OwnedFd) -> Result<Stack> {
        let failed = || Error::kernel::<Errno>("start the network stack");
        let outbound = |text: &Option<String>, family| text.as_deref().map(|text| resolve(text, family)).transpose();
        rustix::io::ioctl_fionbio(&end, true).map_err(failed())?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(failed())?;
        epoll::add(&epoll, &end, Token::Tun.data(), epoll::EventFlags::IN).map_err(failed())?;
        let destinations = Destinations::new(options);
        let gateways = [destinations.gateway(false), destinations.gateway(true)];
        Ok(Stack {
            base: Base { epoll, tun: Tun::new(end), now: Instant::ZERO, gateways },
            destinations,
            connections: Connections::new(options.common.mtu as usize),
            flows: Flows::default(),
            echoes: Echoes::default(),
            outbound: [
                outbound(&options.common.outbound, IpAddr::is_ipv4)?,
                outbound(&options.common.outbound6, IpAddr::is_ipv6)?,
            ],
            began: std::time::Instant::now(),
            events: Vec::with_capacity(256),
            packet: Vec::new(),
            datagram: Vec::new(),
            rest: None,
        })
    }

    fn now(&self) -> Instant {
        Instant::from_micros(self.began.elapsed().as_micros() as i64)
    }

    /// `None`: only events wake it.
    fn timeout(&self) -> Option<Timespec> {
        let due = [self.connections.next_due(), self.flows.next_due(), self.echoes.next_due(), self.rest];
        let due = due.into_iter().flatten().min()?;
        let left = (due - self.now().min(due)).total_micros();
        Some(Timespec { tv_sec: (left / 1_000_000) as i64, tv_nsec: (left % 1_000_000 * 1000) as i64 })
    }

    /// Waits for something to do, and does it.
    ///
    /// # Errors
    /// The interface is gone, or the kernel has nothing left.
    pub(super) fn turn(&mut self) -> std::result::Result<(), Errno> {
        self.events.clear();
        let timeout = self.timeout();
        match epoll::wait(&self.base.epoll, spare_capacity(&mut self.events), timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
        self.base.now = self.now();
        let events = std::mem::take(&mut self.events);
        for event in &events {
            match Token::of(event.data) {
                Token::Tun => self.packets()?,
                Token::Connection(number) => self.connections.event(number, event.flags, &mut self.base),
                Token::Flow(number) => {
                    self.datagram.resize(LARGEST, 0);
                    self.flows.event(number, event.flags, &mut self.datagram, &mut self.base);
                }
                Token::Echo(number) => {
                    self.datagram.resize(LARGEST, 0);
                    self.echoes.event(number, &mut self.datagram, &mut self.base);
                }
            }
        }
        self.events = events;
        self.connections.advance_due(&mut self.base);
        self.flows.sweep(self.base.now);
        self.echoes.sweep(self.base.now);
        self.connections.settle();
        self.flows.settle();
        self.echoes.settle();
        self.rest();
        Ok(())
    }

    /// After the last connection and a while the process is as small as it was before the first.
    fn rest(&mut self) {
        let is_idle = self.connections.is_empty() && self.flows.is_empty() && self.echoes.is_empty();
        match (is_idle, self.rest) {
            (false, _) => self.rest = Some(self.base.now + REST),
            (true, Some(rest)) if rest <= self.base.now => {
                self.rest = None;
                self.connections.rest();
                (self.packet, self.datagram) = (Vec::new(), Vec::new());
                self.base.tun.rest();
                // It only costs memory where it fails.
                let _ = sys::memory::shrink();
            }
            (true, _) => {}
        }
    }

    fn packets(&mut self) -> std::result::Result<(), Errno> {
        let mut buffer = std::mem::take(&mut self.packet);
        for _ in 0..TURN {
            match self.base.tun.receive(&mut buffer)? {
                Some(packet) => self.packet(packet),
                None => break,
            }
        }
        self.packet = buffer;
        self.connections.advance_touched(&mut self.base);
        Ok(())
    }

    fn packet(&mut self, packet: &[u8]) {
        let base = &mut self.base;
        match parse(packet) {
            Some(Packet::Tcp { from, to, segment }) if self.destinations.takes(from.ip()) => {
                let opens = segment.syn() && !segment.ack() && !segment.rst();
                if opens {
                    self.connections.makes_way(from, to);
                }
                if self.connections.has(from, to) {
                    return self.connections.segment(from, to, &segment, packet, base);
                }
                let error = match (self.destinations.find(to), opens) {
                    (Destination::Ignored, _) => return,
                    (Destination::World(target) | Destination::Mapped(target), true) => {
                        let source = self.source(target);
                        match self.connections.begin(from, to, (target, source), packet, &self.base) {
                            Ok(()) => return,
                            Err(error) => error,
                        }
                    }
                    // Nobody listens there; or a connection that is no more.
                    (Destination::Own, true) | (_, false) if !segment.rst() => Errno::CONNREFUSED,
                    (_, false) => return,
                    (Destination::Own | Destination::Nowhere, true) => Errno::HOSTUNREACH,
                };
                refuse(from, to, packet, error, &mut self.base);
            }
            Some(Packet::Udp { from, to, payload }) if self.destinations.takes(from.ip()) => {
                match self.destinations.find(to) {
                    Destination::World(target) | Destination::Mapped(target) => {
                        let source = self.source(target);
                        self.flows.datagram(from, to, (target, source), payload, &mut self.base);
                    }
                    Destination::Own => report(from.ip(), Unreachable::Port, packet, base),
                    Destination::Nowhere => report(from.ip(), Unreachable::Host, packet, base),
                    Destination::Ignored => {}
                }
            }
            Some(Packet::Echo { from, to, message }) if self.destinations.takes(from) => {
                match self.destinations.find(SocketAddr::new(to, 0)) {
                    Destination::World(_) => self.echoes.request(from, to, message, base),
                    Destination::Own | Destination::Mapped(_) => {
                        base.tun.send(&Draft::echo(to, from, [message[4], message[5]], message));
                    }
                    Destination::Nowhere => report(from, Unreachable::Host, packet, base),
                    Destination::Ignored => {}
                }
            }
            _ => {}
        }
    }

    /// The address that the user wants a socket towards `target` to have.
    fn source(&self, target: SocketAddr) -> Option<IpAddr> {
        self.outbound[usize::from(target.is_ipv6())].filter(|_| !target.ip().is_loopback())
    }
}

fn report(inside: IpAddr, why: Unreachable, packet: &[u8], base: &mut Base) {
    if let Some(gateway) = base.gateway(inside) {
        base.tun.send(&Draft::unreachable(gateway, inside, why, packet));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_survive_the_kernel() {
        for token in [Token::Tun, Token::Connection(70_000), Token::Flow(0), Token::Echo(1 << 40)] {
            assert_eq!(Token::of(token.data()), token);
        }
    }
}
