//! The forwarder's loop.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use rustix::net::SocketFlags;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::ServerConfig;
use sys::channel::Channel;

use super::control::{Plan, Request};
use super::http::{self, Rule, Status, Verdict};
use super::pipes::Pipes;
use super::place::{Prepared, Towards, Whereabouts};
use super::slab::Slab;
use super::tcp::{Asked, Connection, Progress};
use super::tls::Session;
use super::turns::Turns;
use super::udp::Flows;
use crate::certificate::server_config;
use crate::ports::Protocol;
use crate::{Error, Result};

/// Runs the plan that [`crate::Forwarder`] made, as the whole of a process that has inherited the plan's descriptors.
/// Returns when the channel for further requests ends, or nothing is left of what the plan told it to serve.
///
/// It has to be the first thing in the process that opens descriptors, and the process must have one thread.
pub fn forward(plan: &str) -> Result<()> {
    let plan: Plan =
        serde_json::from_str(plan).map_err(|error| Error::Forwarder(format!("the plan is damaged: {error}")))?;
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
        .map_err(Error::kernel("start to forward"))?;
    // The parent may have died before the line above.
    if rustix::process::getppid().is_none_or(|parent| parent.as_raw_nonzero().get() != plan.parent) {
        return Err(Error::Forwarder("its parent is gone".into()));
    }
    raise_descriptor_limit();
    let inherited = |number: i32| {
        let missing = || Error::Forwarder(format!("descriptor {number} was not inherited"));
        sys::task::inherited_descriptor(number).ok_or_else(missing)
    };
    let mut server = Server::new().map_err(Error::kernel("start to forward"))?;
    let control = Channel::from(inherited(plan.control)?);
    server.ends_idle = !plan.steps.is_empty();
    for step in plan.steps {
        let fds = step.fds.into_iter().map(inherited).collect::<Result<Vec<_>>>()?;
        server.obey(step.request, fds).map_err(Error::kernel("set up the port forwarder"))?;
    }
    server.run(&control).map_err(Error::kernel("forward ports"))
}

/// A connection costs two descriptors, and up to four more while bytes are on their way.
pub(crate) fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// What an event is about, packed into the 64 bits that epoll(7) carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Control,
    Listener(usize),
    Client(usize),
    Server(usize),
    Flow(usize),
}

impl Token {
    pub(super) fn data(self) -> epoll::EventData {
        let (kind, key) = match self {
            Token::Control => (0, 0),
            Token::Listener(key) => (1, key),
            Token::Client(key) => (2, key),
            Token::Server(key) => (3, key),
            Token::Flow(key) => (4, key),
        };
        epoll::EventData::new_u64(kind << 56 | key as u64)
    }

    fn of(data: epoll::EventData) -> Token {
        let key = (data.u64() & (u64::MAX >> 8)) as usize;
        match data.u64() >> 56 {
            0 => Token::Control,
            1 => Token::Listener(key),
            2 => Token::Client(key),
            3 => Token::Server(key),
            _ => Token::Flow(key),
        }
    }
}

/// Where clients can be taken to.
#[derive(Debug, Default)]
pub(super) struct Routes {
    places: HashMap<u32, Prepared>,
    groups: HashMap<u32, Turns>,
    routers: HashMap<u32, Router>,
    whereabouts: Whereabouts,
}

/// Requests over HTTP, led by rules to groups.
#[derive(Debug)]
struct Router {
    rules: Vec<Rule>,
    /// Where its clients speak TLS.
    tls: Option<Arc<ServerConfig>>,
}

/// One way to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) place: u32,
    pub(super) target: SocketAddr,
}

impl Routes {
    /// The ways from `client` to the servers of `group`, the last one to be tried first.
    ///
    /// A server that listens only on the other family is reached there, so that a client who says `localhost`, which
    /// is ::1 first, is served by one on 0.0.0.0.
    pub(super) fn candidates(&mut self, group: u32, client: SocketAddr) -> Vec<Candidate> {
        let Some(turns) = self.groups.get_mut(&group).filter(|turns| turns.takes(client.ip())) else {
            return Vec::new();
        };
        let mut candidates = Vec::with_capacity(2);
        for backend in turns.order(client.ip(), Instant::now()) {
            let Some(place) = self.places.get(&backend.place) else { continue };
            for target in place.targets(backend.port, backend.address, client.ip()) {
                candidates.push(Candidate { place: backend.place, target });
            }
        }
        candidates.reverse();
        candidates
    }

    pub(super) fn connect(&mut self, protocol: Protocol, client: SocketAddr, to: Candidate) -> io::Result<Towards> {
        let place = self.places.get_mut(&to.place).ok_or(io::ErrorKind::NotFound)?;
        place.connect(to.place, &mut self.whereabouts, protocol, client, to.target)
    }

    pub(super) fn release(&mut self, place: u32, towards: &Towards) {
        if let Some(place) = self.places.get_mut(&place) {
            place.release(towards.client);
        }
    }
}

#[derive(Debug)]
pub(super) struct Listening {
    pub(super) socket: OwnedFd,
    pub(super) group: u32,
    pub(super) protocol: Protocol,
}

struct Server {
    epoll: OwnedFd,
    routes: Routes,
    listeners: Slab<Listening>,
    connections: Slab<Connection>,
    flows: Flows,
    pipes: Pipes,
    /// Connections that still had bytes to move when their turn was over.
    busy: Vec<usize>,
    /// No descriptors were left: nothing is accepted until then.
    paused_until: Option<Instant>,
    next_sweep: Instant,
    /// Hears of clients, see [`Request::Report`].
    report: Option<OwnedFd>,
    /// Nobody needs it any more once it listens nowhere and the last client has gone.
    ends_idle: bool,
}

/// Connections accepted in one turn of the loop from one socket.
const ACCEPT_TURN: usize = 64;
/// How long a server may take to accept, before another one is tried.
pub(super) const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
const SWEEP: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(200);

impl Server {
    fn new() -> io::Result<Server> {
        Ok(Server {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            routes: Routes::default(),
            listeners: Slab::new(),
            connections: Slab::new(),
            flows: Flows::default(),
            pipes: Pipes::default(),
            busy: Vec::new(),
            paused_until: None,
            next_sweep: Instant::now(),
            report: None,
            ends_idle: false,
        })
    }

    fn obey(&mut self, request: Request, fds: Vec<OwnedFd>) -> io::Result<()> {
        match request {
            Request::Place { id, place } => {
                let netns = fds.into_iter().next().ok_or(io::ErrorKind::InvalidInput)?;
                let prepared = Prepared::new(id, place, netns, &mut self.routes.whereabouts)?;
                self.routes.places.insert(id, prepared);
            }
            Request::Forget { id } => {
                self.routes.places.remove(&id);
                self.routes.whereabouts.forget(id);
                // Nobody in there will answer them: they need not wait for that.
                let waiting: Vec<usize> =
                    self.connections.iter().filter(|(_, it)| it.is_connecting_to(id)).map(|(key, _)| key).collect();
                for key in waiting {
                    self.retry(key);
                }
            }
            Request::Group { id, group } => {
                match self.routes.groups.get_mut(&id) {
                    Some(turns) => turns.replace(group),
                    None => drop(self.routes.groups.insert(id, Turns::new(group))),
                }
                // The next datagram of every client of it finds its server anew.
                self.flows.forget(id, &mut self.routes);
            }
            Request::Router { id, rules, certificates } => {
                let tls = match certificates.is_empty() {
                    true => None,
                    false => Some(server_config(&certificates).map_err(io::Error::other)?),
                };
                self.routes.routers.insert(id, Router { rules, tls });
            }
            Request::Written => {
                let mut text = String::new();
                let mut fds = fds.into_iter();
                let memory = fds.next().ok_or(io::ErrorKind::InvalidInput)?;
                File::from(memory).read_to_string(&mut text)?;
                self.obey(serde_json::from_str(&text)?, fds.collect())?;
            }
            Request::Report => self.report = Some(fds.into_iter().next().ok_or(io::ErrorKind::InvalidInput)?),
            Request::Listen { group } => {
                let protocol = match self.routes.groups.get(&group) {
                    Some(turns) => turns.group().protocol,
                    None if self.routes.routers.contains_key(&group) => Protocol::Tcp,
                    None => return Err(io::ErrorKind::NotFound.into()),
                };
                for socket in fds {
                    self.listen(socket, group, protocol)?;
                }
            }
            Request::Close { group } => {
                let of_group = |listening: &Listening| listening.group == group;
                let keys: Vec<usize> =
                    self.listeners.iter().filter(|(_, it)| of_group(it)).map(|(key, _)| key).collect();
                for key in keys {
                    self.listeners.remove(key);
                }
                self.flows.forget(group, &mut self.routes);
                self.routes.groups.remove(&group);
                self.routes.routers.remove(&group);
            }
        }
        Ok(())
    }

    fn listen(&mut self, socket: OwnedFd, group: u32, protocol: Protocol) -> io::Result<()> {
        if protocol == Protocol::Udp {
            super::udp::prepare(&socket)?;
        }
        let key = self.listeners.insert(Listening { socket, group, protocol });
        if let Some(listening) = self.listeners.get(key) {
            epoll::add(&self.epoll, &listening.socket, Token::Listener(key).data(), epoll::EventFlags::IN)?;
        }
        Ok(())
    }

    fn run(mut self, control: &Channel) -> io::Result<()> {
        epoll::add(&self.epoll, control, Token::Control.data(), epoll::EventFlags::IN)?;
        let mut events: Vec<epoll::Event> = Vec::with_capacity(256);
        // It only costs memory where it fails.
        let _ = sys::memory::shrink();
        loop {
            events.clear();
            let timeout = self
                .timeout()
                .map(|timeout| Timespec { tv_sec: timeout.as_secs() as i64, tv_nsec: timeout.subsec_nanos().into() });
            match epoll::wait(&self.epoll, spare_capacity(&mut events), timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for key in std::mem::take(&mut self.busy) {
                self.advance(key);
            }
            for event in &events {
                match Token::of(event.data) {
                    Token::Control => {
                        let (message, fds) = control.recv()?;
                        if message.is_empty() {
                            return Ok(());
                        }
                        let answer = self.answer(&message, fds);
                        control.send(answer.as_bytes(), &[])?;
                    }
                    Token::Listener(key) => self.arrive(key),
                    Token::Client(key) => {
                        if let Some(connection) = self.connections.get(key) {
                            connection.client_event(event.flags);
                            self.advance(key);
                        }
                    }
                    Token::Server(key) => {
                        if let Some(connection) = self.connections.get(key) {
                            connection.server_event(event.flags);
                            self.advance(key);
                        }
                    }
                    Token::Flow(key) => self.flows.answer(key, &self.epoll, &mut self.listeners, &mut self.routes),
                }
            }
            self.sweep();
            self.connections.settle();
            self.listeners.settle();
            self.flows.settle();
            if self.ends_idle && self.listeners.is_empty() && self.connections.is_empty() && self.flows.is_empty() {
                return Ok(());
            }
        }
    }

    fn answer(&mut self, message: &[u8], fds: Vec<OwnedFd>) -> String {
        let request = match serde_json::from_slice::<Request>(message) {
            Ok(request) => request,
            Err(error) => return format!("not a request: {error}"),
        };
        match self.obey(request, fds) {
            Ok(()) => "ok".into(),
            Err(error) => error.to_string(),
        }
    }

    /// `None`: nothing is due, only events wake it.
    fn timeout(&self) -> Option<Duration> {
        if !self.busy.is_empty() {
            return Some(Duration::ZERO);
        }
        let sweeping =
            !self.flows.is_empty() || self.connections.iter().any(|(_, connection)| connection.is_starting());
        let sweep = sweeping.then_some(self.next_sweep);
        let next = match (sweep, self.paused_until) {
            (Some(sweep), Some(paused)) => Some(sweep.min(paused)),
            (sweep, paused) => sweep.or(paused),
        };
        next.map(|next| next.saturating_duration_since(Instant::now()))
    }

    fn sweep(&mut self) {
        let now = Instant::now();
        if self.paused_until.is_some_and(|until| until <= now) {
            self.pause(None);
        }
        if now < self.next_sweep {
            return;
        }
        self.next_sweep = now + SWEEP;
        let late: Vec<usize> = self.connections.iter().filter(|(_, it)| it.is_late(now)).map(|(key, _)| key).collect();
        for key in late {
            self.retry(key);
        }
        self.flows.sweep(now, &mut self.routes);
    }

    /// Clients are at a listening socket.
    fn arrive(&mut self, key: usize) {
        let Some(listening) = self.listeners.get(key) else { return };
        if listening.protocol == Protocol::Udp {
            return self.flows.arrive(key, &self.epoll, &mut self.listeners, &mut self.routes);
        }
        for _ in 0..ACCEPT_TURN {
            let Some(listening) = self.listeners.get(key) else { return };
            let group = listening.group;
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let (client, peer) = match rustix::net::acceptfrom_with(&listening.socket, flags) {
                Ok((client, Some(peer))) => (client, peer),
                Ok((_, None)) | Err(Errno::INTR | Errno::CONNABORTED) => continue,
                Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
                    return self.pause(Some(Instant::now() + PAUSE));
                }
                Err(_) => return,
            };
            let Ok(peer) = SocketAddr::try_from(peer) else { continue };
            if let Some(pipe) = &self.report {
                // It is for somebody to look at: no client waits for that.
                let _ = rustix::io::write(pipe, &group.to_ne_bytes());
            }
            if let Some(router) = self.routes.routers.get(&group) {
                let Ok(tls) = router.tls.as_ref().map(Session::new).transpose() else { continue };
                let key = self.connections.insert(Connection::reading(client, peer, group, tls));
                self.greet(key);
                continue;
            }
            let candidates = self.routes.candidates(group, peer);
            let key = self.connections.insert(Connection::new(client, peer, candidates));
            self.retry(key);
        }
    }

    /// Stops or resumes accepting. Events of listening sockets are not edges: a waiting client would wake us for ever.
    fn pause(&mut self, until: Option<Instant>) {
        self.paused_until = until;
        let flags = if until.is_some() { epoll::EventFlags::empty() } else { epoll::EventFlags::IN };
        for (key, listening) in self.listeners.iter() {
            let _ = epoll::modify(&self.epoll, &listening.socket, Token::Listener(key).data(), flags);
        }
    }

    /// Waits for the request of a client that is routed by it.
    fn greet(&mut self, key: usize) {
        let Some(connection) = self.connections.get(key) else { return };
        if connection.watch_client(key, &self.epoll).is_err() {
            self.end(key);
        }
    }

    /// Finds the servers for a request, as far as it has arrived.
    fn route(&mut self, key: usize) {
        let Some(connection) = self.connections.get(key) else { return };
        let Some(Asked { router, peer, scheme, received }) = connection.request() else { return };
        let rules = self.routes.routers.get(&router).map(|router| router.rules.as_slice()).unwrap_or_default();
        match http::route(rules, received, peer.ip(), scheme) {
            Verdict::Incomplete => {}
            Verdict::Answer(status) => {
                connection.answer(&status);
                self.end(key);
            }
            Verdict::Forward { group, bytes } => {
                let candidates = self.routes.candidates(group, peer);
                if let Some(connection) = self.connections.get(key) {
                    connection.find_server(candidates, bytes);
                }
                self.retry(key);
            }
        }
    }

    /// Tries the next server for a connection, or ends it.
    fn retry(&mut self, key: usize) {
        let Some(connection) = self.connections.get(key) else { return };
        if connection.retry(key, &self.epoll, &mut self.routes).is_err() {
            let is_silent = connection.request().is_some();
            connection.answer(if is_silent { &Status::Timeout } else { &Status::Unavailable });
            self.end(key);
        }
    }

    /// Moves what can be moved.
    fn advance(&mut self, key: usize) {
        let Some(connection) = self.connections.get(key) else { return };
        match connection.advance(key, &self.epoll, &mut self.pipes) {
            Progress::Waits => {}
            // Once, whoever found it so: it had been served twice in a round otherwise, and ever more often.
            Progress::HasMore if !self.busy.contains(&key) => self.busy.push(key),
            Progress::HasMore => {}
            Progress::Refused => self.retry(key),
            Progress::Read => self.route(key),
            Progress::Over => self.end(key),
        }
    }

    fn end(&mut self, key: usize) {
        if let Some(connection) = self.connections.remove(key) {
            connection.release(&mut self.routes, &mut self.pipes);
        }
    }
}

/// Registers a descriptor for edges: each readiness is told once, and remembered by its owner.
pub(super) fn watch_edges(epoll: &OwnedFd, fd: impl AsFd, token: Token) -> io::Result<()> {
    use epoll::EventFlags;
    let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
    Ok(epoll::add(epoll, fd, token.data(), flags)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_survive_the_kernel() {
        for token in [Token::Control, Token::Listener(1), Token::Client(70_000), Token::Server(1 << 40), Token::Flow(0)]
        {
            assert_eq!(Token::of(token.data()), token);
        }
    }
}
