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
        let due = [
            self.connections.next_due(),
            self.flows.next_due(),
            self.echoes.next_due(),
            self.rest.filter(|_| self.is_idle()),
        ];
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

    fn is_idle(&self) -> bool {
        self.connections.is_empty() && self.flows.is_empty() && self.echoes.is_empty()
    }

    /// After the last connection and a while the process is as small as it was before the first.
    fn rest(&mut self) {
        match (self.is_idle(), self.rest) {
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
                    self.connections.make_way(from, to);
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
    use std::net::TcpListener;

    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    use super::*;

    /// A stack, and the container's end of its interface.
    fn stack() -> (Stack, OwnedFd) {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (ours, inside) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        let options = Options::parse(&["allow_host_loopback=true".to_owned()]).unwrap();
        (Stack::new(&options, ours).unwrap(), inside)
    }

    fn say(stack: &mut Stack, inside: &OwnedFd, packet: &[u8]) {
        let framed = [&[0; 10][..], packet].concat();
        if rustix::io::write(inside, &framed).is_ok() {
            stack.turn().unwrap();
        }
    }

    /// The next packet that came in, without the kernel's header.
    fn hear(inside: &OwnedFd) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 70_000];
        let length = rustix::io::read(inside, &mut buffer[..]).ok()?;
        Some(buffer[10..length].to_vec())
    }

    fn echo_request() -> Vec<u8> {
        let (from, to) = ([10, 0, 2, 100].into(), [10, 0, 2, 2].into());
        let mut packet = vec![0; 20 + 12];
        Draft::echo(from, to, [1, 2], &[8, 0, 0, 0, 1, 2, 0, 7, b'b', b'o', b'd', b'y']).write(&mut packet);
        // The reply becomes a request.
        packet[20] = 8;
        packet
    }

    fn segment(port: u16, flags: u8, sequence: u32, acknowledged: u32, payload: &[u8]) -> Vec<u8> {
        let (from, to) = (SocketAddr::from(([10, 0, 2, 100], 40_000)), SocketAddr::from(([10, 0, 2, 2], port)));
        let mut packet = vec![0; 20 + 20 + payload.len()];
        // The ports are where UDP has them.
        Draft::udp(from, to, &[0; 12][..]).write(&mut packet[..40]);
        let total = packet.len() as u16;
        packet[2..4].copy_from_slice(&total.to_be_bytes());
        packet[9] = 6;
        packet[24..28].copy_from_slice(&sequence.to_be_bytes());
        packet[28..32].copy_from_slice(&acknowledged.to_be_bytes());
        (packet[32], packet[33]) = (0x50, flags);
        packet[34..36].copy_from_slice(&[0xff, 0xff]);
        packet[36..40].copy_from_slice(&[0; 4]);
        packet[40..].copy_from_slice(payload);
        packet
    }

    const SYN: u8 = 2;
    const RST: u8 = 4;
    const ACK: u8 = 16;

    #[test]
    fn a_connection_that_the_host_refuses_is_refused() {
        let (mut stack, inside) = stack();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        say(&mut stack, &inside, &segment(port, SYN, 7, 0, &[]));
        while stack.connections.has(([10, 0, 2, 100], 40_000).into(), ([10, 0, 2, 2], port).into()) {
            stack.turn().unwrap();
        }
        let answer = hear(&inside).unwrap();
        assert_eq!((answer[33], &answer[28..32]), (RST | ACK, &8_u32.to_be_bytes()[..]), "{answer:?}");
        // And one that there never was.
        say(&mut stack, &inside, &segment(port, ACK, 7, 99, b"x"));
        let answer = hear(&inside).unwrap();
        assert_eq!((answer[33], &answer[24..28]), (RST, &99_u32.to_be_bytes()[..]), "{answer:?}");
    }

    #[test]
    fn whatever_a_container_sends_the_stack_goes_on() {
        let (mut stack, inside) = stack();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        // xorshift: the same every time.
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = move |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % below as u64) as usize
        };
        let mut known = Vec::new();
        for round in 0..20_000 {
            let mut packet = match random(6) {
                0 => (0..random(200)).map(|_| random(256) as u8).collect(),
                1 => echo_request(),
                2 => segment(port, SYN, random(1 << 32) as u32, 0, &[]),
                3 => segment(port, random(64) as u8, random(1 << 32) as u32, random(1 << 32) as u32, &[b'x'; 99]),
                // An answer sent back: its numbers are right.
                4 if !known.is_empty() => {
                    let heard: &Vec<u8> = &known[random(known.len())];
                    let number =
                        |at: usize| heard.get(at..at + 4).map_or(0, |it| u32::from_be_bytes(it.try_into().unwrap()));
                    segment(
                        port,
                        ACK | random(2) as u8,
                        number(28),
                        number(24).wrapping_add(random(3) as u32),
                        b"hello",
                    )
                }
                _ => segment(port, SYN | random(256) as u8, 1, 2, &[]),
            };
            for _ in 0..random(4) {
                if !packet.is_empty() {
                    let at = random(packet.len());
                    packet[at] = random(256) as u8;
                }
            }
            if random(5) == 0 {
                packet.truncate(random(packet.len() + 1));
            }
            // Nobody else in the world is to be bothered.
            if let Some(to) = packet.get_mut(16..20) {
                to.copy_from_slice(&[10, 0, 2, 2]);
            }
            say(&mut stack, &inside, &packet);
            while let Some(heard) = hear(&inside) {
                known.truncate(32);
                known.insert(0, heard);
            }
            if round % 64 == 0 {
                while listener.accept().is_ok() {}
            }
        }
        let asked = echo_request();
        say(&mut stack, &inside, &asked);
        let answers = std::iter::from_fn(|| hear(&inside));
        assert!(answers.into_iter().any(|answer| answer[20..22] == [0, 0] && answer[28..] == asked[28..]));
    }

    #[test]
    fn a_flood_of_first_packets_takes_no_more_than_its_share() {
        let (mut stack, inside) = stack();
        // Its backlog is never emptied: connections wait in the kernel, and those for which there is no room here.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        for source in 1..3000_u16 {
            let mut packet = segment(port, SYN, 7, 0, &[]);
            packet[20..22].copy_from_slice(&source.to_be_bytes());
            say(&mut stack, &inside, &packet);
            while hear(&inside).is_some() {}
        }
        assert!(stack.connections.connecting() <= 1024, "{}", stack.connections.connecting());
    }

    #[test]
    fn tokens_survive_the_kernel() {
        for token in [Token::Tun, Token::Connection(70_000), Token::Flow(0), Token::Echo(1 << 40)] {
            assert_eq!(Token::of(token.data()), token);
        }
    }
}
