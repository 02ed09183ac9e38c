//! Connections of TCP: inside they end in smoltcp, outside in a socket of the host's.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::epoll::{self, EventFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SendFlags, Shutdown, SocketFlags, SocketType, sockopt};
use smoltcp::iface::{Config, Interface, PollResult, SocketHandle, SocketSet};
use smoltcp::phy::{Checksum, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpCidr, IpListenEndpoint, TcpPacket};

use super::packet::{Draft, Unreachable};
use super::serve::{Base, Token};
use super::tun::Tun;
use crate::forwarder::slab::Slab;

/// Both ends as they are inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    inside: SocketAddr,
    outside: SocketAddr,
}

#[derive(Debug)]
struct Connection {
    key: Key,
    host: OwnedFd,
    /// What the last edges said of the host's socket.
    readable: bool,
    writable: bool,
    /// It has ended or failed: reading goes on until it says so itself.
    at_end: bool,
    stage: Stage,
    /// When it is in the list of those that are due.
    queued: Option<Instant>,
}

#[derive(Debug)]
enum Stage {
    /// The packet that opened it, to be answered when the host's connect(2) has been.
    Connecting(Box<[u8]>),
    Open(Box<Session>),
}

/// The inner half: an interface that has the address of the far end.
struct Session {
    interface: Interface,
    sockets: SocketSet<'static>,
    socket: SocketHandle,
    /// The host's end has said all.
    host_ended: bool,
    /// The host's end was told that the container has said all.
    shut: bool,
    is_established: bool,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

#[derive(Debug)]
pub(super) struct Connections {
    connections: Slab<Connection>,
    keys: HashMap<Key, usize>,
    connecting: usize,
    due: BTreeSet<(Instant, usize)>,
    /// Sessions that have ended, to be used again: their buffers are in the cache.
    spare: Vec<Session>,
    /// Connections that packets have come for in this turn.
    touched: Vec<usize>,
    mtu: usize,
}

/// Beyond it nobody is answered, as by a server whose backlog is full; who tries again may be luckier.
const MOST: usize = 4096;
const MOST_CONNECTING: usize = 1024;
/// Bytes on their way in each direction, by the number of connections: what all of them may hold stays below 300 MiB.
const BUFFERS: [(usize, usize); 3] = [(128, 512 << 10), (1024, 64 << 10), (MOST, 16 << 10)];
const KEPT: usize = 8;
/// For the third packet of the handshake.
const HANDSHAKE: smoltcp::time::Duration = smoltcp::time::Duration::from_secs(30);
/// A container's end that vanishes without a word (a member of a network that was killed) is noticed after this.
const SILENCE: smoltcp::time::Duration = smoltcp::time::Duration::from_secs(900);
const KEEP_ALIVE: smoltcp::time::Duration = smoltcp::time::Duration::from_secs(300);
/// The same for the host's end.
const HOST_KEEP_ALIVE: Duration = Duration::from_secs(120);

/// The one packet that comes in, and the way for those that go out.
struct Port<'a> {
    packet: Option<&'a [u8]>,
    tun: &'a mut Tun,
    mtu: usize,
}

struct Incoming<'a>(&'a [u8]);
struct Outgoing<'a>(&'a mut Tun);

impl RxToken for Incoming<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(self.0)
    }
}

impl TxToken for Outgoing<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, write: F) -> R {
        self.0.transmit(length, write)
    }
}

impl Device for Port<'_> {
    type RxToken<'b>
        = Incoming<'b>
    where
        Self: 'b;
    type TxToken<'b>
        = Outgoing<'b>
    where
        Self: 'b;

    fn receive(&mut self, _: Instant) -> Option<(Incoming<'_>, Outgoing<'_>)> {
        Some((Incoming(self.packet.take()?), Outgoing(self.tun)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Outgoing<'_>> {
        Some(Outgoing(self.tun))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = self.mtu;
        // The kernel is on both sides of the interface, and completes what leaves its side.
        capabilities.checksum.ipv4 = Checksum::Tx;
        capabilities.checksum.tcp = Checksum::None;
        capabilities
    }
}

impl Session {
    fn new(port: &mut Port<'_>, now: Instant, buffer: usize) -> Session {
        let mut config = Config::new(HardwareAddress::Ip);
        // Sequence numbers follow from it. Without the kernel's chance it is the clock's.
        config.random_seed = sys::random::bytes::<8>().map_or(now.total_micros() as u64, u64::from_ne_bytes);
        let interface = Interface::new(config, port, now);
        let bytes = || SocketBuffer::new(vec![0; buffer]);
        let mut socket = Socket::new(bytes(), bytes());
        // The container's own kernel has waited for more already.
        socket.set_nagle_enabled(false);
        socket.set_ack_delay(None);
        let mut sockets = SocketSet::new(Vec::with_capacity(1));
        let socket = sockets.add(socket);
        Session { interface, sockets, socket, host_ended: false, shut: false, is_established: false }
    }

    fn socket(&mut self) -> &mut Socket<'static> {
        self.sockets.get_mut(self.socket)
    }

    /// Waits for the first packet of a connection to `outside`.
    fn listen(&mut self, outside: SocketAddr) {
        (self.host_ended, self.shut, self.is_established) = (false, false, false);
        self.interface.update_ip_addrs(|addresses| {
            addresses.clear();
            // Everybody else is on its network.
            let _ = addresses.push(IpCidr::new(outside.ip().into(), 0));
        });
        let socket = self.socket();
        socket.set_timeout(Some(HANDSHAKE));
        socket.set_keep_alive(None);
        let listening = socket.listen(IpListenEndpoint { addr: Some(outside.ip().into()), port: outside.port() });
        debug_assert!(listening.is_ok());
    }

    fn is_over(&mut self) -> bool {
        // Both sides have said all, and the last word was acknowledged: waiting for it to come again is for networks that
        // lose packets.
        matches!(self.socket().state(), State::Closed | State::Listen | State::TimeWait)
    }
}

/// What is left of a connection after a turn.
enum Progress {
    Waits,
    Over,
    /// It ended before both sides had said all.
    Broken,
}

impl Connections {
    pub(super) fn new(mtu: usize) -> Connections {
        Connections {
            connections: Slab::new(),
            keys: HashMap::new(),
            connecting: 0,
            due: BTreeSet::new(),
            spare: Vec::new(),
            touched: Vec::new(),
            mtu,
        }
    }

    pub(super) fn settle(&mut self) {
        self.connections.settle();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    #[cfg(test)]
    pub(super) fn connecting(&self) -> usize {
        self.connecting
    }

    /// Gives memory back.
    pub(super) fn rest(&mut self) {
        (self.spare, self.touched) = (Vec::new(), Vec::new());
        self.keys.shrink_to_fit();
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    pub(super) fn has(&self, inside: SocketAddr, outside: SocketAddr) -> bool {
        self.keys.contains_key(&Key { inside, outside })
    }

    /// A segment of a connection that is known.
    pub(super) fn segment(
        &mut self,
        inside: SocketAddr,
        outside: SocketAddr,
        segment: &TcpPacket<&[u8]>,
        packet: &[u8],
        base: &mut Base,
    ) {
        let Some(&number) = self.keys.get(&Key { inside, outside }) else { return };
        let Some(connection) = self.connections.get(number) else { return };
        match &mut connection.stage {
            Stage::Connecting(first) => match (segment.rst(), segment.syn() && !segment.ack()) {
                (true, _) => self.end(number, true),
                // The same again, or another one from the same port.
                (false, true) => *first = packet.into(),
                (false, false) => {}
            },
            Stage::Open(session) => {
                let mut port = Port { packet: Some(packet), tun: &mut base.tun, mtu: self.mtu };
                session.interface.poll_ingress_single(base.now, &mut port, &mut session.sockets);
                if self.touched.last() != Some(&number) {
                    self.touched.push(number);
                }
            }
        }
    }

    /// A connection of which the container has said all gives way to another one from the same port: its kernel is done
    /// with the first.
    pub(super) fn make_way(&mut self, inside: SocketAddr, outside: SocketAddr) {
        let Some(&number) = self.keys.get(&Key { inside, outside }) else { return };
        if let Some(Connection { stage: Stage::Open(session), .. }) = self.connections.get(number)
            && session.shut
        {
            self.end(number, false);
        }
    }

    /// The first packet of a connection: connects to `to`. What it meets at once is returned, and is the caller's to tell.
    pub(super) fn begin(
        &mut self,
        inside: SocketAddr,
        outside: SocketAddr,
        (to, from): (SocketAddr, Option<IpAddr>),
        packet: &[u8],
        base: &Base,
    ) -> Result<(), Errno> {
        if self.keys.len() >= MOST || self.connecting >= MOST_CONNECTING {
            return Err(Errno::TIMEDOUT);
        }
        let family = if to.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let host = match rustix::net::socket_with(family, SocketType::STREAM, flags, None) {
            Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => return Err(Errno::TIMEDOUT),
            host => host?,
        };
        // The container's own kernel has waited for more already.
        sockopt::set_tcp_nodelay(&host, true)?;
        if let Some(from) = from {
            rustix::net::bind(&host, &SocketAddr::new(from, 0))?;
        }
        match rustix::net::connect(&host, &to) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error),
        }
        let key = Key { inside, outside };
        let stage = Stage::Connecting(packet.into());
        let connection = Connection { key, host, readable: false, writable: false, at_end: false, stage, queued: None };
        let number = self.connections.insert(connection);
        self.keys.insert(key, number);
        self.connecting += 1;
        let watched = self.connections.get(number).map(|connection| {
            let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
            epoll::add(&base.epoll, &connection.host, Token::Connection(number).data(), flags)
        });
        if !matches!(watched, Some(Ok(()))) {
            self.end(number, true);
            return Err(Errno::TIMEDOUT);
        }
        Ok(())
    }

    /// Something has happened to the host's socket.
    pub(super) fn event(&mut self, number: usize, flags: EventFlags, base: &mut Base) {
        let Some(connection) = self.connections.get(number) else { return };
        let over = EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
        connection.readable |= flags.intersects(EventFlags::IN | over);
        connection.writable |= flags.intersects(EventFlags::OUT | EventFlags::ERR);
        connection.at_end |= flags.intersects(over);
        if matches!(connection.stage, Stage::Connecting(_)) {
            self.connected(number, flags, base);
        }
        self.advance(number, base);
    }

    /// The host's connect(2) has been, well or not: now the first packet is answered.
    fn connected(&mut self, number: usize, flags: EventFlags, base: &mut Base) {
        let buffer = BUFFERS.iter().find(|(most, _)| self.keys.len() <= *most).map_or(BUFFERS[2].1, |(_, size)| *size);
        let Some(connection) = self.connections.get(number) else { return };
        let Stage::Connecting(first) = &mut connection.stage else { return };
        let failed = match sockopt::socket_error(&connection.host) {
            Ok(Ok(())) if flags.contains(EventFlags::OUT) => None,
            Ok(Ok(())) => return,
            Ok(Err(error)) | Err(error) => Some(error),
        };
        let first = std::mem::take(first);
        if let Some(error) = failed {
            let Key { inside, outside } = connection.key;
            self.end(number, false);
            return refuse(inside, outside, &first, error, base);
        }
        let _ = sockopt::set_socket_keepalive(&connection.host, true);
        let _ = sockopt::set_tcp_keepidle(&connection.host, HOST_KEEP_ALIVE);
        let mut port = Port { packet: None, tun: &mut base.tun, mtu: self.mtu };
        let mut session = match self.spare.pop() {
            Some(session) if buffer == BUFFERS[0].1 => session,
            _ => Session::new(&mut port, base.now, buffer),
        };
        session.listen(connection.key.outside);
        port.packet = Some(&first);
        session.interface.poll_ingress_single(base.now, &mut port, &mut session.sockets);
        connection.stage = Stage::Open(Box::new(session));
        self.connecting -= 1;
    }

    /// Goes on with what packets have come for.
    pub(super) fn advance_touched(&mut self, base: &mut Base) {
        let touched = std::mem::take(&mut self.touched);
        for &number in &touched {
            self.advance(number, base);
        }
        self.touched = touched;
        self.touched.clear();
    }

    /// Goes on with what is due.
    pub(super) fn advance_due(&mut self, base: &mut Base) {
        while let Some(&(due, number)) = self.due.first()
            && due <= base.now
        {
            self.due.pop_first();
            if let Some(connection) = self.connections.get(number) {
                connection.queued = None;
                self.advance(number, base);
            }
        }
    }

    /// Moves what can be moved, both ways.
    fn advance(&mut self, number: usize, base: &mut Base) {
        let Some(connection) = self.connections.get(number) else { return };
        let mut port = Port { packet: None, tun: &mut base.tun, mtu: self.mtu };
        match connection.advance(&mut port, base.now) {
            Progress::Waits => self.queue(number, base.now),
            Progress::Over => self.end(number, false),
            Progress::Broken => self.end(number, true),
        }
    }

    /// Has it looked at again when its next timer ends.
    fn queue(&mut self, number: usize, now: Instant) {
        /// What is due at once has just been done.
        const SOON: smoltcp::time::Duration = smoltcp::time::Duration::from_millis(10);
        let Some(connection) = self.connections.get(number) else { return };
        let Stage::Open(session) = &mut connection.stage else { return };
        let Some(due) = session.interface.poll_at(now, &session.sockets) else { return };
        let due = due.max(now + SOON);
        match connection.queued {
            // A later one is seen then.
            Some(queued) if queued <= due => {}
            queued => {
                if let Some(queued) = queued {
                    self.due.remove(&(queued, number));
                }
                connection.queued = Some(due);
                self.due.insert((due, number));
            }
        }
    }

    /// Forgets it. The host's end of one that was broken is reset, so that nobody takes it for whole.
    fn end(&mut self, number: usize, broken: bool) {
        let Some(connection) = self.connections.remove(number) else { return };
        self.keys.remove(&connection.key);
        if let Some(queued) = connection.queued {
            self.due.remove(&(queued, number));
        }
        if broken {
            let _ = sockopt::set_socket_linger(&connection.host, Some(Duration::ZERO));
        }
        match connection.stage {
            Stage::Connecting(_) => self.connecting -= 1,
            Stage::Open(mut session) => {
                if session.socket().recv_capacity() == BUFFERS[0].1 && self.spare.len() < KEPT {
                    // From the middle of something it could not listen.
                    session.socket().abort();
                    self.spare.push(*session);
                }
            }
        }
    }
}

/// Tells who has sent the first packet why there is no connection.
pub(super) fn refuse(inside: SocketAddr, outside: SocketAddr, packet: &[u8], error: Errno, base: &mut Base) {
    let why = match error {
        Errno::CONNREFUSED | Errno::CONNRESET => {
            if let Some(super::packet::Packet::Tcp { segment, .. }) = super::packet::parse(packet) {
                base.tun.send(&Draft::reset(inside, outside, &segment));
            }
            return;
        }
        // Who waits there waits here.
        Errno::TIMEDOUT => return,
        Errno::NETUNREACH => Unreachable::Network,
        Errno::ACCESS | Errno::PERM => Unreachable::Prohibited,
        _ => Unreachable::Host,
    };
    if let Some(gateway) = base.gateway(inside.ip()) {
        base.tun.send(&Draft::unreachable(gateway, inside.ip(), why, packet));
    }
}

impl Connection {
    fn advance(&mut self, port: &mut Port<'_>, now: Instant) -> Progress {
        let Stage::Open(session) = &mut self.stage else { return Progress::Waits };
        if session.is_over() {
            // Reset from inside, or nobody there any more.
            return if session.shut && session.host_ended { Progress::Over } else { Progress::Broken };
        }
        let mut reset = self.move_out().is_err();
        reset |= self.move_in().is_err();
        let Stage::Open(session) = &mut self.stage else { return Progress::Waits };
        if reset {
            session.socket().abort();
        }
        while session.interface.poll_egress(now, port, &mut session.sockets) == PollResult::SocketStateChanged {}
        if !session.is_established && session.socket().state() == State::Established {
            session.is_established = true;
            session.socket().set_timeout(Some(SILENCE));
            session.socket().set_keep_alive(Some(KEEP_ALIVE));
        }
        match session.is_over() {
            false => Progress::Waits,
            true if session.shut && session.host_ended && !reset => Progress::Over,
            true => Progress::Broken,
        }
    }

    /// What the container has said.
    fn move_out(&mut self) -> io::Result<()> {
        let Stage::Open(session) = &mut self.stage else { return Ok(()) };
        let socket = session.sockets.get_mut::<Socket<'_>>(session.socket);
        while self.writable && socket.can_recv() {
            let sent = socket.recv(|bytes| match rustix::net::send(&self.host, bytes, SendFlags::NOSIGNAL) {
                Ok(count) => (count, Ok(count == bytes.len())),
                Err(error) => (0, Err(error)),
            });
            match sent {
                Ok(Ok(all)) => self.writable = all,
                Ok(Err(Errno::AGAIN)) => self.writable = false,
                Ok(Err(Errno::INTR)) => {}
                Ok(Err(error)) => return Err(error.into()),
                Err(_) => break,
            }
        }
        let has_said_all =
            matches!(socket.state(), State::CloseWait | State::LastAck | State::Closing | State::TimeWait);
        if has_said_all && socket.recv_queue() == 0 && !session.shut {
            session.shut = true;
            // ENOTCONN: it has ended already.
            let _ = rustix::net::shutdown(&self.host, Shutdown::Write);
        }
        Ok(())
    }

    /// What the host's end has said.
    fn move_in(&mut self) -> io::Result<()> {
        let Stage::Open(session) = &mut self.stage else { return Ok(()) };
        let socket = session.sockets.get_mut::<Socket<'_>>(session.socket);
        while self.readable && !session.host_ended && socket.can_send() {
            let received = socket.send(|room| match rustix::io::read(&self.host, &mut *room) {
                Ok(count) => (count, Ok((count, room.len()))),
                Err(error) => (0, Err(error)),
            });
            match received {
                Ok(Ok((0, room))) if room > 0 => {
                    session.host_ended = true;
                    socket.close();
                }
                // Less than there was room for is all there is, but for its end.
                Ok(Ok((count, room))) => self.readable = count == room || self.at_end,
                Ok(Err(Errno::AGAIN)) => self.readable = false,
                Ok(Err(Errno::INTR)) => {}
                Ok(Err(error)) => return Err(error.into()),
                Err(_) => break,
            }
        }
        Ok(())
    }
}
