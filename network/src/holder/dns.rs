//! The name server of a network: answers for its members, passes everything else on to the host's name servers.
//!
//! Its sockets are bound once, in the network's namespace; the sockets on which it asks are the host's. One thread, no
//! cache: a name is what it is now. For a member with a list (`gate`) only names of the list are asked, and what they turn
//! out to be is allowed before the member hears of it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use super::message::{self, Code, Kind, Query, Say, Unusable};
use super::names::{Found, Names};
use crate::resolv::HostServers;

/// How long one name server may think about a question before the next one is asked.
const PATIENCE: Duration = Duration::from_millis(2500);
/// Questions on their way; beyond it the oldest is given up.
const MOST_PENDING: usize = 1024;
const MOST_STREAMS: usize = 64;
/// A TCP client that says nothing.
const IDLE: Duration = Duration::from_secs(15);
const DATAGRAM: usize = 4096;
const DNS_PORT: u16 = 53;
/// Datagrams read in one turn from one socket.
const TURN: usize = 64;

/// A question that was passed on.
#[derive(Debug)]
struct Pending {
    socket: OwnedFd,
    /// Which of our sockets it came in by, and from whom.
    listener: usize,
    client: SocketAddr,
    question: Vec<u8>,
    id: [u8; 2],
    /// The servers that are left, the next one last.
    left: Vec<SocketAddr>,
    until: Instant,
}

/// A client over TCP: we answer what we know, and pass on the rest over one connection to a server.
#[derive(Debug)]
struct Stream {
    client: OwnedFd,
    peer: SocketAddr,
    server: Option<OwnedFd>,
    from_client: Vec<u8>,
    to_server: Vec<u8>,
    from_server: Vec<u8>,
    to_client: Vec<u8>,
    /// The server will say nothing more.
    is_answered: bool,
    is_over: bool,
    until: Instant,
}

#[derive(Debug, Default)]
pub(super) struct NameServer {
    udp: Vec<OwnedFd>,
    tcp: Vec<OwnedFd>,
    pending: Vec<Pending>,
    streams: Vec<Stream>,
    host: HostServers,
    /// `--dns` of the network.
    servers: Vec<IpAddr>,
    /// Nobody outside is asked.
    internal: bool,
}

/// What one of the server's descriptors is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Udp(usize),
    Tcp(usize),
    Pending(usize),
    Client(usize),
    Server(usize),
}

/// What the server has to know to answer.
pub(super) struct Known<'a> {
    pub(super) names: &'a mut Names,
    pub(super) run_dir: &'a Path,
    pub(super) is_own: &'a dyn Fn(IpAddr) -> bool,
    pub(super) learn: &'a mut Learn<'a>,
}

/// Told what addresses a name has before its client is, in the words of a server. False: the client must not hear of it.
pub(super) type Learn<'a> = dyn FnMut(IpAddr, &str, &[IpAddr]) -> bool + 'a;

impl Known<'_> {
    /// An answer of the world on its way to a client: what the client hears.
    fn pass(&mut self, client: IpAddr, answer: Vec<u8>) -> Vec<u8> {
        let mut question = answer.clone();
        if let Some(flags) = question.get_mut(2) {
            *flags &= 0x7f;
        }
        let heard = match message::read(&question) {
            Ok(query) => (self.learn)(client, &query.name, &message::addresses(&answer)),
            // It answers nothing that we have let through.
            Err(_) => self.names.is_free(client),
        };
        if heard { answer } else { message::refuse_question(&question, Code::ServFail) }
    }
}

impl NameServer {
    pub(super) fn new(udp: Vec<OwnedFd>, tcp: Vec<OwnedFd>) -> NameServer {
        NameServer { udp, tcp, ..NameServer::default() }
    }

    pub(super) fn configure(&mut self, servers: &[IpAddr], internal: bool) {
        self.servers = servers.to_vec();
        self.internal = internal;
    }

    /// What to wait for.
    pub(super) fn sources(&self) -> impl Iterator<Item = (Source, BorrowedFd<'_>, PollFlags)> {
        let udp = self.udp.iter().enumerate().map(|(n, fd)| (Source::Udp(n), fd.as_fd(), PollFlags::IN));
        let tcp = self.tcp.iter().enumerate().map(|(n, fd)| (Source::Tcp(n), fd.as_fd(), PollFlags::IN));
        let pending =
            self.pending.iter().enumerate().map(|(n, it)| (Source::Pending(n), it.socket.as_fd(), PollFlags::IN));
        let clients = self.streams.iter().enumerate().map(|(n, stream)| {
            let mut flags = PollFlags::empty();
            let waiting = [&stream.from_client, &stream.to_server, &stream.to_client];
            flags.set(PollFlags::IN, waiting.iter().all(|bytes| bytes.len() < DATAGRAM));
            flags.set(PollFlags::OUT, !stream.to_client.is_empty());
            (Source::Client(n), stream.client.as_fd(), flags)
        });
        let open = self.streams.iter().enumerate().filter(|(_, stream)| !stream.is_answered);
        let servers = open.filter_map(|(n, stream)| {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::IN, stream.to_client.len() < DATAGRAM);
            flags.set(PollFlags::OUT, !stream.to_server.is_empty());
            Some((Source::Server(n), stream.server.as_ref()?.as_fd(), flags))
        });
        udp.chain(tcp).chain(pending).chain(clients).chain(servers)
    }

    /// When something is due without an event.
    pub(super) fn next(&self) -> Option<Instant> {
        let pending = self.pending.iter().map(|pending| pending.until);
        pending.chain(self.streams.iter().map(|stream| stream.until)).min()
    }

    /// Does what the events ask for; their numbers are those of the last [`NameServer::sources`].
    pub(super) fn handle(&mut self, events: &[(Source, PollFlags)], known: &mut Known<'_>) {
        let mut answered = Vec::new();
        for (source, _) in events {
            match source {
                Source::Udp(_) | Source::Tcp(_) => {}
                Source::Pending(number) => {
                    if self.hear(*number, known) {
                        answered.push(*number);
                    }
                }
                Source::Client(number) => self.read_client(*number, known),
                Source::Server(number) => {
                    if let Some(stream) = self.streams.get_mut(*number) {
                        stream.relay(known);
                    }
                }
            }
        }
        // From behind, so that the numbers before stay right.
        answered.sort_unstable();
        for number in answered.into_iter().rev() {
            self.pending.swap_remove(number);
        }
        let now = Instant::now();
        self.give_up_late(now);
        self.streams.retain(|stream| !stream.is_over && stream.until > now);
        for (source, _) in events {
            match source {
                Source::Udp(number) => self.arrive(*number, known),
                Source::Tcp(number) => self.accept(*number),
                Source::Pending(_) | Source::Client(_) | Source::Server(_) => {}
            }
        }
    }

    /// Questions over UDP.
    fn arrive(&mut self, listener: usize, known: &mut Known<'_>) {
        for _ in 0..TURN {
            let mut buffer = [0; DATAGRAM];
            let received = rustix::net::recvfrom(&self.udp[listener], &mut buffer, RecvFlags::empty());
            let (length, client) = match received {
                Ok((length, _, Some(client))) => (length, client),
                Ok((_, _, None)) | Err(Errno::INTR) => continue,
                Err(_) => return,
            };
            let Ok(client) = SocketAddr::try_from(client) else { continue };
            let question = &buffer[..length];
            match self.own_answer(question, client.ip(), known, true) {
                Some(answer) => self.say(listener, client, &answer),
                None => self.pass_on(listener, client, question, known),
            }
        }
    }

    fn say(&self, listener: usize, client: SocketAddr, answer: &[u8]) {
        if !answer.is_empty() {
            // What cannot be sent the client asks for again.
            let _ = rustix::net::sendto(&self.udp[listener], answer, SendFlags::NOSIGNAL, &client);
        }
    }

    /// `None`: somebody else has to know. An empty answer is none at all.
    fn own_answer(&self, question: &[u8], client: IpAddr, known: &mut Known<'_>, datagram: bool) -> Option<Vec<u8>> {
        let query = match message::read(question) {
            Ok(query) => query,
            Err(Unusable::Ignore) => return Some(Vec::new()),
            Err(Unusable::Refuse(code)) => return Some(message::refuse(question, code)),
        };
        let say = |say: Say<'_>| Some(message::answer(question, &query, say, datagram));
        if let (Kind::Ptr | Kind::Any, Some(address)) = (query.kind, message::reverse(&query.name)) {
            return match known.names.name_of(address) {
                Some(name) => say(Say::Name(name)),
                // Nobody else knows our addresses.
                None if self.internal || (known.is_own)(address) => say(Say::Nothing(Code::NxDomain)),
                None if !known.names.may_ask(client, &query.name) => say(Say::Nothing(Code::NxDomain)),
                None => None,
            };
        }
        match self.find(&query, client, known) {
            Found::Addresses(addresses) => say(Say::Addresses(&addresses)),
            Found::Nowhere => say(Say::Nothing(Code::NxDomain)),
            Found::Elsewhere if self.internal || !known.names.may_ask(client, &query.name) => {
                say(Say::Nothing(Code::NxDomain))
            }
            Found::Elsewhere => None,
        }
    }

    fn find(&self, query: &Query, client: IpAddr, known: &mut Known<'_>) -> Found {
        match known.names.find(&query.name) {
            Found::Addresses(addresses) => Found::Addresses(addresses),
            not_here @ (Found::Nowhere | Found::Elsewhere) => {
                match known.names.elsewhere(client, &query.name, known.run_dir) {
                    Some(addresses) => Found::Addresses(addresses),
                    None => not_here,
                }
            }
        }
    }

    /// The name servers to ask for a client, the first one last.
    fn servers_for(&mut self, client: IpAddr, known: &Known<'_>) -> Vec<SocketAddr> {
        let own = known.names.servers_for(client);
        let chosen = if own.is_empty() { self.servers.as_slice() } else { own };
        let mut servers: Vec<SocketAddr> = match chosen {
            [] => self.host.read().to_vec(),
            chosen => chosen.iter().map(|server| SocketAddr::new(*server, DNS_PORT)).collect(),
        };
        servers.reverse();
        servers
    }

    fn pass_on(&mut self, listener: usize, client: SocketAddr, question: &[u8], known: &Known<'_>) {
        let left = self.servers_for(client.ip(), known);
        let Some(id) = question.first_chunk().copied() else { return };
        if self.pending.len() >= MOST_PENDING
            && let Some(oldest) = (0..self.pending.len()).min_by_key(|number| self.pending[*number].until)
        {
            self.pending.swap_remove(oldest);
        }
        match Pending::ask(listener, client, question.to_vec(), id, left) {
            Ok(pending) => self.pending.push(pending),
            // No server can be reached: an answer at once is better than silence.
            Err(question) => self.say(listener, client, &message::refuse_question(&question, Code::ServFail)),
        }
    }

    /// A server answers, or cannot be reached. True: the question is done with.
    fn hear(&mut self, number: usize, known: &mut Known<'_>) -> bool {
        let Some(pending) = self.pending.get_mut(number) else { return false };
        let mut buffer = vec![0; 1 << 16];
        match rustix::net::recv(&pending.socket, buffer.as_mut_slice(), RecvFlags::empty()) {
            // An answer to something else: somebody guesses.
            Ok((length, _)) if length < 12 || buffer[..2] != pending.question[..2] || buffer[2] & 0x80 == 0 => false,
            Ok((length, _)) => {
                buffer.truncate(length);
                buffer[..2].copy_from_slice(&pending.id);
                let (listener, client) = (pending.listener, pending.client);
                self.say(listener, client, &known.pass(client.ip(), buffer));
                true
            }
            Err(Errno::AGAIN | Errno::INTR) => false,
            Err(_) => !self.ask_next(number),
        }
    }

    /// Asks the next server; where there is none the client is told. False: it is done with.
    fn ask_next(&mut self, number: usize) -> bool {
        let pending = &mut self.pending[number];
        let left = std::mem::take(&mut pending.left);
        let question = std::mem::take(&mut pending.question);
        let (listener, client, id) = (pending.listener, pending.client, pending.id);
        match Pending::ask(listener, client, question, id, left) {
            Ok(next) => {
                self.pending[number] = next;
                true
            }
            Err(question) => {
                self.say(listener, client, &message::refuse_question(&question, Code::ServFail));
                false
            }
        }
    }

    fn give_up_late(&mut self, now: Instant) {
        let mut number = 0;
        while number < self.pending.len() {
            if self.pending[number].until <= now && !self.ask_next(number) {
                self.pending.swap_remove(number);
            } else {
                number += 1;
            }
        }
    }

    fn accept(&mut self, listener: usize) {
        loop {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let (client, peer) = match rustix::net::acceptfrom_with(&self.tcp[listener], flags) {
                Ok((client, Some(peer))) => (client, peer),
                Ok((_, None)) | Err(Errno::INTR | Errno::CONNABORTED) => continue,
                Err(_) => return,
            };
            let Ok(peer) = SocketAddr::try_from(peer) else { continue };
            if self.streams.len() < MOST_STREAMS {
                self.streams.push(Stream {
                    client,
                    peer,
                    server: None,
                    from_client: Vec::new(),
                    to_server: Vec::new(),
                    from_server: Vec::new(),
                    to_client: Vec::new(),
                    is_answered: false,
                    is_over: false,
                    until: Instant::now() + IDLE,
                });
            }
        }
    }

    fn read_client(&mut self, number: usize, known: &mut Known<'_>) {
        if let Some(stream) = self.streams.get_mut(number) {
            stream.read_client();
        }
        while let Some(question) = self.streams.get_mut(number).and_then(|stream| framed(&mut stream.from_client)) {
            let client = self.streams[number].peer.ip();
            let answer = self.own_answer(&question, client, known, false);
            let is_first = self.streams[number].server.is_none();
            let server = if answer.is_none() && is_first { self.servers_for(client, known).pop() } else { None };
            let stream = &mut self.streams[number];
            if let Some(server) = server {
                stream.server = connect(SocketType::STREAM, server).ok();
            }
            match answer {
                Some(answer) => stream.answer(&answer),
                None if stream.server.is_some() => frame(&mut stream.to_server, &question),
                None => stream.answer(&message::refuse_question(&question, Code::ServFail)),
            }
        }
        if let Some(stream) = self.streams.get_mut(number) {
            stream.relay(known);
        }
    }
}

/// RFC 1035, 4.2.2: two bytes of length before each message.
fn frame(into: &mut Vec<u8>, message: &[u8]) {
    into.extend((message.len() as u16).to_be_bytes());
    into.extend(message);
}

/// Takes the first message that is there as a whole.
fn framed(from: &mut Vec<u8>) -> Option<Vec<u8>> {
    let length = usize::from(u16::from_be_bytes(*from.first_chunk()?));
    let message = from.get(2..2 + length)?.to_vec();
    from.drain(..2 + length);
    Some(message)
}

impl Pending {
    /// Asks the first server that can be asked; the question comes back where there is none.
    fn ask(
        listener: usize,
        client: SocketAddr,
        mut question: Vec<u8>,
        id: [u8; 2],
        mut left: Vec<SocketAddr>,
    ) -> Result<Pending, Vec<u8>> {
        while let Some(server) = left.pop() {
            // A number of our own, and a port of the kernel's choice: an answer is hard to guess.
            if let Ok(own) = crate::networks::random::<2>() {
                question[..2].copy_from_slice(&own);
            }
            let Ok(socket) = connect(SocketType::DGRAM, server) else { continue };
            if rustix::net::send(&socket, &question, SendFlags::NOSIGNAL).is_ok() {
                let until = Instant::now() + PATIENCE;
                return Ok(Pending { socket, listener, client, question, id, left, until });
            }
        }
        question[..2].copy_from_slice(&id);
        Err(question)
    }
}

fn connect(kind: SocketType, server: SocketAddr) -> io::Result<OwnedFd> {
    let family = if server.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, kind, flags, None)?;
    match rustix::net::connect(&socket, &server) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(error) => Err(error.into()),
    }
}

impl Stream {
    fn answer(&mut self, answer: &[u8]) {
        if answer.is_empty() {
            self.is_over = true;
            return;
        }
        frame(&mut self.to_client, answer);
    }

    fn read_client(&mut self) {
        match take(&self.client, &mut self.from_client) {
            Ok(true) => self.until = Instant::now() + IDLE,
            Ok(false) => {}
            Err(_) => self.is_over = true,
        }
    }

    /// Moves what can be moved.
    fn relay(&mut self, known: &mut Known<'_>) {
        if let Some(server) = self.server.as_ref().filter(|_| !self.is_answered) {
            let moved = give(server, &mut self.to_server).and_then(|()| take(server, &mut self.from_server));
            self.is_answered = moved.is_err();
        }
        while let Some(answer) = framed(&mut self.from_server) {
            self.answer(&known.pass(self.peer.ip(), answer));
        }
        if give(&self.client, &mut self.to_client).is_err() || self.is_answered && self.to_client.is_empty() {
            self.is_over = true;
        }
    }
}

/// Reads once. False: nothing is there now.
fn take(from: &OwnedFd, into: &mut Vec<u8>) -> io::Result<bool> {
    let mut buffer = [0; DATAGRAM];
    match rustix::net::recv(from, &mut buffer, RecvFlags::empty()) {
        Ok((0, _)) => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok((length, _)) => {
            into.extend_from_slice(&buffer[..length]);
            Ok(true)
        }
        Err(Errno::AGAIN | Errno::INTR | Errno::NOTCONN) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn give(to: &OwnedFd, from: &mut Vec<u8>) -> io::Result<()> {
    while !from.is_empty() {
        match rustix::net::send(to, from, SendFlags::NOSIGNAL) {
            Ok(length) => drop(from.drain(..length)),
            Err(Errno::AGAIN | Errno::NOTCONN) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_over_tcp_are_taken_as_a_whole() {
        let mut bytes = Vec::new();
        frame(&mut bytes, b"one");
        frame(&mut bytes, b"");
        frame(&mut bytes, b"two");
        let last = bytes.pop();
        assert_eq!(framed(&mut bytes).as_deref(), Some(&b"one"[..]));
        assert_eq!(framed(&mut bytes).as_deref(), Some(&b""[..]));
        assert_eq!(framed(&mut bytes), None);
        bytes.extend(last);
        assert_eq!(framed(&mut bytes).as_deref(), Some(&b"two"[..]));
        assert_eq!((framed(&mut bytes), bytes.len()), (None, 0));
    }
}
