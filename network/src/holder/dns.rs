//! The name server of a network: answers for its members, passes everything else on to the host's name servers.
//!
//! Its sockets are bound once, in the network's namespace; the sockets on which it asks are the host's. One thread, no
//! cache: a name is what it is now. For a member with a list (`gate`) only names of the list are asked, and what they turn
//! out to be is allowed before the member hears of it.

mod stream;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use self::stream::Stream;
use super::ServiceAt;
use super::answer::{self, Say};
use super::message::{self, Code, Kind, Unusable};
use super::names::{Entry, Found, Names};
use crate::resolv::HostServers;

/// How long one name server may think about a question before the next one is asked.
const PATIENCE: Duration = Duration::from_millis(2500);
/// Questions on their way; beyond it the oldest is given up.
const MOST_PENDING: usize = 1024;
const MOST_STREAMS: usize = 64;
/// Aliases that lead to one another; a longer chain is a circle.
const LONGEST_CHAIN: usize = 8;
const DATAGRAM: usize = 4096;
const DNS_PORT: u16 = 53;
/// Datagrams read in one turn from one socket.
const TURN: usize = 64;

/// A question about a name of ours that stands for one of the world: that one is asked about instead.
#[derive(Debug)]
struct Alias {
    /// As the client has asked it.
    question: Vec<u8>,
    /// The names that lead to the one that is asked about, which is the last.
    chain: Vec<String>,
}

impl Alias {
    /// The question for a server.
    fn asked(&self) -> Option<Vec<u8>> {
        let query = message::read(&self.question).ok()?;
        Some(message::question_about(&self.question, &query, self.chain.last()?))
    }

    /// A server's answer to it, as one to the client's question.
    fn answer(&self, heard: &[u8], datagram: bool) -> Vec<u8> {
        match message::read(&self.question) {
            Ok(query) => answer::answer_of_alias(&self.question, &query, &self.chain, heard, datagram),
            Err(_) => Vec::new(),
        }
    }
}

/// Who answers a question.
enum Answerer {
    /// We do; an empty answer is none at all.
    Us(Vec<u8>),
    /// A server of the world.
    World(Option<Alias>),
}

/// A question for a server, over UDP.
#[derive(Debug)]
struct Question {
    /// Which of our sockets it came in by, and from whom.
    listener: usize,
    client: SocketAddr,
    /// As a server is asked, and the number that the client has given it.
    asked: Vec<u8>,
    id: [u8; 2],
    alias: Option<Alias>,
    /// The servers that are left, the next one last.
    left: Vec<SocketAddr>,
}

/// One that was passed on.
#[derive(Debug)]
struct Pending {
    question: Question,
    socket: OwnedFd,
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
            Ok(query) => (self.learn)(client, &query.name, &answer::addresses(&answer)),
            // It answers nothing that we have let through.
            Err(_) => self.names.is_free(client),
        };
        if heard { answer } else { answer::refuse_question(&question, Code::ServFail) }
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
        let streams = self.streams.iter().flat_map(|stream| [Some(stream.until), stream.patience]);
        pending.chain(streams.flatten()).min()
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
        for stream in &mut self.streams {
            if stream.patience.is_some_and(|patience| patience <= now) {
                stream.ask_next();
                stream.relay(known);
            }
        }
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
            match self.answerer(question, client.ip(), known, true) {
                Answerer::Us(answer) => self.say(listener, client, &answer),
                Answerer::World(alias) => self.pass_on(listener, client, question, alias, known),
            }
        }
    }

    fn say(&self, listener: usize, client: SocketAddr, answer: &[u8]) {
        if !answer.is_empty() {
            // What cannot be sent the client asks for again.
            let _ = rustix::net::sendto(&self.udp[listener], answer, SendFlags::NOSIGNAL, &client);
        }
    }

    fn answerer(&self, question: &[u8], client: IpAddr, known: &mut Known<'_>, datagram: bool) -> Answerer {
        let query = match message::read(question) {
            Ok(query) => query,
            Err(Unusable::Ignore) => return Answerer::Us(Vec::new()),
            Err(Unusable::Refuse(code)) => return Answerer::Us(answer::refuse(question, code)),
        };
        let say = |say: Say<'_>| Answerer::Us(answer::answer(question, &query, say, datagram));
        if let (Kind::Ptr | Kind::Any, Some(address)) = (query.kind, message::reverse(&query.name)) {
            return match known.names.name_of(address) {
                Some(name) => say(Say::Name(name)),
                // Nobody else knows our addresses.
                None if self.internal || (known.is_own)(address) => say(Say::Nothing(Code::NxDomain)),
                None if !known.names.may_ask(client, &query.name) => say(Say::Nothing(Code::NxDomain)),
                None => Answerer::World(None),
            };
        }
        let mut chain: Vec<String> = Vec::new();
        loop {
            let name = chain.last().unwrap_or(&query.name);
            match self.find(name, client, known) {
                Found::Here(Entry { alias: Some(to), .. }) => {
                    let is_asked_itself = query.kind == Kind::Cname;
                    if chain.len() == LONGEST_CHAIN {
                        return say(Say::Nothing(Code::ServFail));
                    }
                    chain.push(to);
                    if is_asked_itself {
                        return say(Say::Alias(&chain, Code::NoError, Vec::new()));
                    }
                }
                Found::Here(entry) if chain.is_empty() => {
                    return match query.kind {
                        Kind::Srv => say(Say::Services(&self.with_addresses(entry.services, client, known))),
                        _ => say(Say::Addresses(&entry.addresses)),
                    };
                }
                Found::Here(entry) => {
                    let records = answer::address_records(&query, name, &entry.addresses);
                    return say(Say::Alias(&chain, Code::NoError, records));
                }
                Found::Elsewhere if !self.internal && known.names.may_ask(client, name) => {
                    let alias = (!chain.is_empty()).then(|| Alias { question: question.to_vec(), chain });
                    return Answerer::World(alias);
                }
                Found::Nowhere | Found::Elsewhere if chain.is_empty() => return say(Say::Nothing(Code::NxDomain)),
                Found::Nowhere | Found::Elsewhere => return say(Say::Alias(&chain, Code::NxDomain, Vec::new())),
            }
        }
    }

    fn with_addresses(
        &self,
        services: Vec<ServiceAt>,
        client: IpAddr,
        known: &mut Known<'_>,
    ) -> Vec<(ServiceAt, Vec<IpAddr>)> {
        let mut with_addresses = Vec::new();
        for service in services {
            let addresses = match self.find(&service.host, client, known) {
                Found::Here(entry) => entry.addresses,
                Found::Nowhere | Found::Elsewhere => Vec::new(),
            };
            with_addresses.push((service, addresses));
        }
        with_addresses
    }

    fn find(&self, name: &str, client: IpAddr, known: &mut Known<'_>) -> Found {
        match known.names.find(name) {
            here @ Found::Here(_) => here,
            not_here @ (Found::Nowhere | Found::Elsewhere) => {
                known.names.elsewhere(client, name, known.run_dir).map_or(not_here, Found::Here)
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

    fn pass_on(
        &mut self,
        listener: usize,
        client: SocketAddr,
        question: &[u8],
        alias: Option<Alias>,
        known: &Known<'_>,
    ) {
        let left = self.servers_for(client.ip(), known);
        let Some(id) = question.first_chunk().copied() else { return };
        let asked = alias.as_ref().map_or_else(|| Some(question.to_vec()), Alias::asked);
        let Some(asked) = asked else { return };
        if self.pending.len() >= MOST_PENDING
            && let Some(oldest) = (0..self.pending.len()).min_by_key(|number| self.pending[*number].until)
        {
            self.pending.swap_remove(oldest);
        }
        let mut question = Question { listener, client, asked, id, alias, left };
        match question.ask() {
            Some(socket) => self.pending.push(Pending { question, socket, until: Instant::now() + PATIENCE }),
            // No server can be reached: an answer at once is better than silence.
            None => self.say(listener, client, &question.failure()),
        }
    }

    /// A server answers, or cannot be reached. True: the question is done with.
    fn hear(&mut self, number: usize, known: &mut Known<'_>) -> bool {
        let Some(pending) = self.pending.get(number) else { return false };
        let question = &pending.question;
        let mut buffer = vec![0; 1 << 16];
        match rustix::net::recv(&pending.socket, buffer.as_mut_slice(), RecvFlags::empty()) {
            // An answer to something else: somebody guesses.
            Ok((length, _)) if length < 12 || buffer[..2] != question.asked[..2] || buffer[2] & 0x80 == 0 => false,
            Ok((length, _)) => {
                buffer.truncate(length);
                // Another one may know what this one does not want to tell, or cannot find out.
                let is_useless = matches!(message::code(&buffer), Some(Code::ServFail | Code::NotImp | Code::Refused));
                if is_useless && !question.left.is_empty() {
                    return !self.ask_next(number);
                }
                buffer[..2].copy_from_slice(&question.id);
                let heard = known.pass(question.client.ip(), buffer);
                let answer = question.alias.as_ref().map(|alias| alias.answer(&heard, true)).unwrap_or(heard);
                self.say(question.listener, question.client, &answer);
                true
            }
            Err(Errno::AGAIN | Errno::INTR) => false,
            Err(_) => !self.ask_next(number),
        }
    }

    /// Asks the next server; where there is none the client is told. False: it is done with.
    fn ask_next(&mut self, number: usize) -> bool {
        let pending = &mut self.pending[number];
        if let Some(socket) = pending.question.ask() {
            (pending.socket, pending.until) = (socket, Instant::now() + PATIENCE);
            return true;
        }
        let question = &self.pending[number].question;
        self.say(question.listener, question.client, &question.failure());
        false
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
                self.streams.push(Stream::new(client, peer));
            }
        }
    }

    fn read_client(&mut self, number: usize, known: &mut Known<'_>) {
        if let Some(stream) = self.streams.get_mut(number) {
            stream.read_client();
        }
        while let Some(question) = self.streams.get_mut(number).and_then(Stream::question) {
            let client = self.streams[number].peer.ip();
            let answerer = self.answerer(&question, client, known, false);
            let is_first = self.streams[number].server.is_none();
            let servers = match (&answerer, is_first) {
                (Answerer::World(_), true) => self.servers_for(client, known),
                _ => Vec::new(),
            };
            let stream = &mut self.streams[number];
            match answerer {
                Answerer::Us(answer) => stream.answer(&answer),
                Answerer::World(alias) => stream.ask(&question, alias, servers),
            }
        }
        if let Some(stream) = self.streams.get_mut(number) {
            stream.relay(known);
        }
    }
}

impl Question {
    /// Asks the next server that can be asked.
    fn ask(&mut self) -> Option<OwnedFd> {
        while let Some(server) = self.left.pop() {
            // A number of our own, and a port of the kernel's choice: an answer is hard to guess.
            if let Ok(own) = crate::networks::random::<2>() {
                self.asked[..2].copy_from_slice(&own);
            }
            let Ok(socket) = connect(SocketType::DGRAM, server) else { continue };
            if rustix::net::send(&socket, &self.asked, SendFlags::NOSIGNAL).is_ok() {
                return Some(socket);
            }
        }
        None
    }

    /// What the client is told where no server answers.
    fn failure(&self) -> Vec<u8> {
        let mut question = self.alias.as_ref().map_or(&self.asked, |alias| &alias.question).clone();
        question[..2].copy_from_slice(&self.id);
        answer::refuse_question(&question, Code::ServFail)
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
