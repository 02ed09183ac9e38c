//! One TCP connection: a client's socket, a server's socket, and bytes both ways.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::{SendFlags, Shutdown, sockopt};
use rustix::pipe::{SpliceFlags, splice};

use super::http::{HEAD_LIMIT, Scheme, Status};
use super::pipes::{CAPACITY, Pipe, Pipes};
use super::place::Towards;
use super::serve::{CONNECT_PATIENCE, Candidate, Routes, Token, watch_edges};
use super::tls::Session;
use crate::ports::Protocol;

#[derive(Debug)]
pub(super) struct Connection {
    client: End,
    peer: SocketAddr,
    /// `None` only before the first try.
    server: Option<(u32, Towards)>,
    server_ready: Ready,
    stage: Stage,
    /// What the server is sent before anything else: the rewritten head of a request.
    first: Vec<u8>,
    /// Whether the client speaks HTTP with us, and may be answered by us.
    is_routed: bool,
    /// Where the client speaks TLS with us.
    tls: Option<Box<Session>>,
    up: Stream,
    down: Stream,
}

#[derive(Debug)]
enum Stage {
    /// What a client of a router has sent so far.
    Reading {
        router: u32,
        received: Vec<u8>,
        since: Instant,
    },
    /// The ways that are left, the next one last.
    Connecting {
        left: Vec<Candidate>,
        since: Instant,
    },
    Open,
}

/// What the client of a router asks for, as far as it has arrived.
pub(super) struct Asked<'a> {
    pub(super) router: u32,
    pub(super) peer: SocketAddr,
    pub(super) scheme: Scheme,
    pub(super) received: &'a [u8],
}

#[derive(Debug)]
pub(super) struct End {
    pub(super) socket: OwnedFd,
    pub(super) ready: Ready,
}

/// What the last edges said: true until the kernel says EAGAIN.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ready {
    pub(super) input: bool,
    pub(super) output: bool,
}

/// One direction.
#[derive(Debug, Default)]
pub(super) struct Stream {
    pipe: Option<Pipe>,
    /// Bytes in the pipe.
    held: usize,
    /// The sender has finished.
    pub(super) ended: bool,
    /// The receiver was told so.
    pub(super) shut: bool,
}

pub(super) enum Progress {
    Waits,
    HasMore,
    /// More of a request has arrived.
    Read,
    /// No connection with this server.
    Refused,
    Over,
}

/// Fillings of a pipe that one connection may move before the others have their turn. Measured with eight busy
/// connections: one filling moves twice as much as eight, since clients and servers work on while others are served.
const TURN: usize = 1;
/// What a socket between two processes of this machine may hold (the kernel takes twice that for its own accounts, and not
/// more than net.core.wmem_max, of which this is the default). Left to itself a busy one grows to many MB, and with a few
/// of them no byte is still in the processor's cache when it is read: with 32 busy connections that took a fifth more
/// time per byte.
const LOCAL_BUFFER: usize = 208 << 10;
/// A client that vanishes without a word is noticed after some minutes.
const KEEP_ALIVE: Duration = Duration::from_secs(120);
/// How long a client may take to send the head of its request.
const REQUEST_PATIENCE: Duration = Duration::from_secs(60);

impl Ready {
    fn hear(&mut self, flags: EventFlags) {
        // An error or the end shows itself in the next read or write.
        let end = EventFlags::ERR | EventFlags::HUP;
        self.input |= flags.intersects(EventFlags::IN | EventFlags::RDHUP | end);
        self.output |= flags.intersects(EventFlags::OUT | end);
    }
}

impl Connection {
    pub(super) fn new(client: OwnedFd, peer: SocketAddr, candidates: Vec<Candidate>) -> Connection {
        Connection::at(Stage::Connecting { left: candidates, since: Instant::now() }, client, peer)
    }

    /// One whose server depends on what the client asks for, in clear or by `tls`.
    pub(super) fn reading(client: OwnedFd, peer: SocketAddr, router: u32, tls: Option<Session>) -> Connection {
        let received = Vec::new();
        let connection = Connection::at(Stage::Reading { router, received, since: Instant::now() }, client, peer);
        Connection { is_routed: true, tls: tls.map(Box::new), ..connection }
    }

    fn at(stage: Stage, client: OwnedFd, peer: SocketAddr) -> Connection {
        let _ = sockopt::set_tcp_nodelay(&client, true);
        let _ = sockopt::set_socket_keepalive(&client, true);
        let _ = sockopt::set_tcp_keepidle(&client, KEEP_ALIVE);
        if is_local(&client, peer) {
            bound_buffers(&client);
        }
        Connection {
            client: End { socket: client, ready: Ready::default() },
            peer,
            server: None,
            server_ready: Ready::default(),
            stage,
            first: Vec::new(),
            is_routed: false,
            tls: None,
            up: Stream::default(),
            down: Stream::default(),
        }
    }

    pub(super) fn is_starting(&self) -> bool {
        !matches!(self.stage, Stage::Open)
    }

    pub(super) fn is_connecting_to(&self, place: u32) -> bool {
        matches!(self.stage, Stage::Connecting { .. }) && self.server.as_ref().is_some_and(|(id, _)| *id == place)
    }

    pub(super) fn is_late(&self, now: Instant) -> bool {
        match self.stage {
            Stage::Reading { since, .. } => now.saturating_duration_since(since) > REQUEST_PATIENCE,
            Stage::Connecting { since, .. } => now.saturating_duration_since(since) > CONNECT_PATIENCE,
            Stage::Open => false,
        }
    }

    pub(super) fn watch_client(&self, key: usize, epoll: &OwnedFd) -> io::Result<()> {
        watch_edges(epoll, &self.client.socket, Token::Client(key))
    }

    /// `None` where the server is chosen.
    pub(super) fn request(&self) -> Option<Asked<'_>> {
        match &self.stage {
            Stage::Reading { router, received, .. } => {
                let scheme = if self.tls.is_some() { Scheme::Https } else { Scheme::Http };
                Some(Asked { router: *router, peer: self.peer, scheme, received })
            }
            Stage::Connecting { .. } | Stage::Open => None,
        }
    }

    /// The client's request is known: these are the ways to its servers, and what they are to be sent.
    pub(super) fn find_server(&mut self, candidates: Vec<Candidate>, first: Vec<u8>) {
        self.stage = Stage::Connecting { left: candidates, since: Instant::now() };
        self.first = first;
    }

    /// Answers in place of a server, where the client can understand it. The connection is over then.
    pub(super) fn answer(&mut self, status: &Status) {
        if !self.is_routed || !self.is_starting() {
            return;
        }
        // A few lines always fit into an empty socket.
        match &mut self.tls {
            Some(tls) => tls.say(&mut self.client, &status.answer()),
            None => {
                let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
                let _ = rustix::net::send(&self.client.socket, &status.answer(), flags);
            }
        }
        self.part();
    }

    /// Ends what the client was told, so that it reaches the client.
    fn part(&mut self) {
        let _ = rustix::net::shutdown(&self.client.socket, Shutdown::Write);
        // With unread bytes the kernel would reset the connection, and the client might never see the answer.
        let mut unread = [0; 16 * 1024];
        while matches!(rustix::io::read(&self.client.socket, &mut unread), Ok(1..)) {}
        (self.up.shut, self.down.shut) = (true, true);
    }

    pub(super) fn client_event(&mut self, flags: EventFlags) {
        self.client.ready.hear(flags);
    }

    pub(super) fn server_event(&mut self, flags: EventFlags) {
        self.server_ready.hear(flags);
    }

    /// Starts to connect to the next server; an error when none is left.
    pub(super) fn retry(&mut self, key: usize, epoll: &OwnedFd, routes: &mut Routes) -> io::Result<()> {
        if let Some((place, towards)) = self.server.take() {
            routes.release(place, &towards);
        }
        let Stage::Connecting { left, since } = &mut self.stage else { return Err(io::ErrorKind::NotConnected.into()) };
        while let Some(candidate) = left.pop() {
            let Ok(towards) = routes.connect(Protocol::Tcp, self.peer, candidate) else { continue };
            let _ = sockopt::set_tcp_nodelay(&towards.socket, true);
            bound_buffers(&towards.socket);
            self.server_ready = Ready::default();
            *since = Instant::now();
            let watched = watch_edges(epoll, &towards.socket, Token::Server(key));
            self.server = Some((candidate.place, towards));
            return watched;
        }
        Err(io::ErrorKind::ConnectionRefused.into())
    }

    pub(super) fn advance(&mut self, key: usize, epoll: &OwnedFd, pipes: &mut Pipes) -> Progress {
        if let Stage::Reading { received, .. } = &mut self.stage {
            let Some(tls) = &mut self.tls else {
                return read_request(&self.client.socket, &mut self.client.ready.input, received);
            };
            let before = received.len();
            return match tls.read(&mut self.client, received, HEAD_LIMIT) {
                Ok(_) if received.len() > before => Progress::Read,
                Ok(true) => Progress::Waits,
                Ok(false) => Progress::Over,
                Err(_) => {
                    self.part();
                    Progress::Over
                }
            };
        }
        let Some((_, Towards { socket: server, .. })) = &self.server else { return Progress::Waits };
        if self.is_starting() {
            if !self.server_ready.output {
                return Progress::Waits;
            }
            match (sockopt::socket_error(server), rustix::net::getpeername(server)) {
                (Ok(Ok(())), Ok(_)) => {}
                // An event of an earlier try.
                (Ok(Ok(())), Err(Errno::NOTCONN)) => {
                    self.server_ready.output = false;
                    return Progress::Waits;
                }
                _ => return Progress::Refused,
            }
            self.stage = Stage::Open;
            if !self.is_routed && watch_edges(epoll, &self.client.socket, Token::Client(key)).is_err() {
                return Progress::Over;
            }
        }
        if !self.first.is_empty() && self.server_ready.output {
            match rustix::net::send(server, &self.first, SendFlags::NOSIGNAL) {
                Ok(sent) => drop(self.first.drain(..sent)),
                Err(Errno::AGAIN) => self.server_ready.output = false,
                Err(Errno::INTR) => return Progress::HasMore,
                Err(_) => return Progress::Over,
            }
        }
        if !self.first.is_empty() {
            return if self.server_ready.output { Progress::HasMore } else { Progress::Waits };
        }
        let client = &mut self.client;
        if let Some(tls) = &mut self.tls {
            let streams = (&mut self.up, &mut self.down);
            return match tls.advance(client, server, &mut self.server_ready, streams) {
                Ok(_) if self.up.shut && self.down.shut => Progress::Over,
                Ok(true) => Progress::HasMore,
                Ok(false) => Progress::Waits,
                Err(_) => Progress::Over,
            };
        }
        let up = self.up.advance(&client.socket, &mut client.ready.input, server, &mut self.server_ready.output, pipes);
        let down =
            self.down.advance(server, &mut self.server_ready.input, &client.socket, &mut client.ready.output, pipes);
        match (up, down) {
            (Ok(_), Ok(_)) if self.up.shut && self.down.shut => Progress::Over,
            (Ok(more_up), Ok(more_down)) if more_up || more_down => Progress::HasMore,
            (Ok(_), Ok(_)) => Progress::Waits,
            _ => Progress::Over,
        }
    }

    /// Ends it. A connection that did not end on both sides is reset on both, so that nobody takes it for whole.
    pub(super) fn release(self, routes: &mut Routes, pipes: &mut Pipes) {
        let is_whole = self.up.shut && self.down.shut;
        for stream in [self.up, self.down] {
            if let (Some(pipe), 0) = (stream.pipe, stream.held) {
                pipes.give(pipe);
            }
        }
        if !is_whole {
            let _ = sockopt::set_socket_linger(&self.client.socket, Some(Duration::ZERO));
        }
        if let Some((place, towards)) = self.server {
            if !is_whole {
                let _ = sockopt::set_socket_linger(&towards.socket, Some(Duration::ZERO));
            }
            routes.release(place, &towards);
        }
    }
}

/// Whether the client is on this machine. The way to a far one holds more than [`LOCAL_BUFFER`].
fn is_local(client: &OwnedFd, peer: SocketAddr) -> bool {
    let own = || SocketAddr::try_from(rustix::net::getsockname(client).ok()?).ok();
    peer.ip().is_loopback() || own().is_some_and(|own| own.ip() == peer.ip())
}

fn bound_buffers(socket: &OwnedFd) {
    let _ = sockopt::set_socket_recv_buffer_size(socket, LOCAL_BUFFER);
    let _ = sockopt::set_socket_send_buffer_size(socket, LOCAL_BUFFER);
}

/// Takes in what a client has sent, as far as the head of a request may reach.
fn read_request(client: &OwnedFd, readable: &mut bool, received: &mut Vec<u8>) -> Progress {
    let before = received.len();
    while *readable && received.len() < HEAD_LIMIT {
        let mut bytes = [0; 4096];
        let room = bytes.len().min(HEAD_LIMIT - received.len());
        match rustix::io::read(client, &mut bytes[..room]) {
            Ok(0) if received.len() == before => return Progress::Over,
            // Its end is seen again when bytes are spliced.
            Ok(0) => break,
            Ok(count) => received.extend_from_slice(&bytes[..count]),
            Err(Errno::AGAIN) => *readable = false,
            Err(Errno::INTR) => {}
            Err(_) => return Progress::Over,
        }
    }
    if received.len() > before { Progress::Read } else { Progress::Waits }
}

impl Stream {
    /// Moves bytes until one side has to be waited for. `true`: the turn is over before that.
    fn advance(
        &mut self,
        from: &OwnedFd,
        readable: &mut bool,
        to: &OwnedFd,
        writable: &mut bool,
        pipes: &mut Pipes,
    ) -> io::Result<bool> {
        const FLAGS: SpliceFlags = SpliceFlags::MOVE.union(SpliceFlags::NONBLOCK);
        let mut moved = 0;
        loop {
            // The pipe is filled only when it is empty: then EAGAIN can only mean that there is nothing to read.
            if self.held == 0 && !self.ended && *readable {
                let pipe = match &self.pipe {
                    Some(pipe) => pipe,
                    None => self.pipe.insert(pipes.take()?),
                };
                match splice(from, None, &pipe.input, None, CAPACITY, FLAGS) {
                    Ok(0) => self.ended = true,
                    Ok(count) => self.held = count,
                    Err(Errno::AGAIN) => *readable = false,
                    Err(Errno::INTR) => continue,
                    Err(error) => return Err(error.into()),
                }
            }
            if self.held == 0 {
                break;
            }
            if !*writable {
                return Ok(false);
            }
            let Some(pipe) = &self.pipe else { break };
            match splice(&pipe.output, None, to, None, self.held, FLAGS) {
                Ok(count) => self.held -= count,
                Err(Errno::AGAIN) => *writable = false,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            if self.held == 0 {
                moved += 1;
                if moved == TURN {
                    return Ok(true);
                }
            }
        }
        if let Some(pipe) = self.pipe.take() {
            pipes.give(pipe);
        }
        if self.ended && !self.shut {
            self.shut = true;
            // ENOTCONN: the receiver has ended already.
            let _ = rustix::net::shutdown(to, Shutdown::Write);
        }
        Ok(false)
    }
}
