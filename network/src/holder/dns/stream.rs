//! A client of the name server over TCP, and the connection to a server on which its questions are passed on.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketType};

use super::{Alias, DATAGRAM, Known, PATIENCE, connect};
use crate::holder::answer;
use crate::holder::message::Code;

/// A client that says nothing.
const IDLE: Duration = Duration::from_secs(15);
/// Aliases whose answers a server owes us; a client that asks for more is left alone.
const MOST_ALIASES: usize = 256;

/// A client over TCP: we answer what we know, and pass on the rest over one connection to a server.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) client: OwnedFd,
    pub(super) peer: SocketAddr,
    pub(super) server: Option<OwnedFd>,
    /// The servers that are left, the next one last.
    left: Vec<SocketAddr>,
    /// What was sent to the server, as long as it has answered nothing, and how long it may think about it.
    asked: Vec<u8>,
    pub(super) patience: Option<Instant>,
    aliases: Vec<Alias>,
    pub(super) from_client: Vec<u8>,
    pub(super) to_server: Vec<u8>,
    from_server: Vec<u8>,
    pub(super) to_client: Vec<u8>,
    /// The server will say nothing more.
    pub(super) is_answered: bool,
    pub(super) is_over: bool,
    pub(super) until: Instant,
}

impl Stream {
    pub(super) fn new(client: OwnedFd, peer: SocketAddr) -> Stream {
        Stream {
            client,
            peer,
            server: None,
            left: Vec::new(),
            asked: Vec::new(),
            patience: None,
            aliases: Vec::new(),
            from_client: Vec::new(),
            to_server: Vec::new(),
            from_server: Vec::new(),
            to_client: Vec::new(),
            is_answered: false,
            is_over: false,
            until: Instant::now() + IDLE,
        }
    }

    /// The client's next question, once it is there as a whole.
    pub(super) fn question(&mut self) -> Option<Vec<u8>> {
        framed(&mut self.from_client)
    }

    pub(super) fn answer(&mut self, answer: &[u8]) {
        if answer.is_empty() {
            self.is_over = true;
            return;
        }
        frame(&mut self.to_client, answer);
    }

    pub(super) fn read_client(&mut self) {
        match take(&self.client, &mut self.from_client) {
            Ok(true) => self.until = Instant::now() + IDLE,
            Ok(false) => {}
            Err(_) => self.is_over = true,
        }
    }

    /// Passes a question on, to the first of these servers that can be asked, or to the one that is asked already.
    pub(super) fn ask(&mut self, question: &[u8], alias: Option<Alias>, servers: Vec<SocketAddr>) {
        let asked = alias.as_ref().map_or_else(|| Some(question.to_vec()), Alias::asked);
        let Some(asked) = asked else { return };
        if self.aliases.len() >= MOST_ALIASES {
            self.is_over = true;
            return;
        }
        self.aliases.extend(alias);
        if self.server.is_some() {
            frame(&mut self.to_server, &asked);
            if self.patience.is_some() {
                frame(&mut self.asked, &asked);
            }
            return;
        }
        self.left = servers;
        frame(&mut self.asked, &asked);
        self.ask_next();
    }

    /// Asks the next server what none has answered yet; where there is none the client is told.
    pub(super) fn ask_next(&mut self) {
        self.patience = None;
        self.from_server.clear();
        while let Some(server) = self.left.pop() {
            if let Ok(server) = connect(SocketType::STREAM, server) {
                (self.server, self.to_server) = (Some(server), self.asked.clone());
                self.patience = Some(Instant::now() + PATIENCE);
                return;
            }
        }
        self.server = None;
        while let Some(question) = framed(&mut self.asked) {
            let failure = answer::refuse_question(&question, Code::ServFail);
            let answer = self.of_alias(&failure).unwrap_or(failure);
            self.answer(&answer);
        }
    }

    /// An answer to what was asked in place of a question about an alias.
    fn of_alias(&mut self, heard: &[u8]) -> Option<Vec<u8>> {
        let place = self.aliases.iter().position(|alias| alias.question.get(..2) == heard.get(..2))?;
        Some(self.aliases.swap_remove(place).answer(heard, false))
    }

    /// Moves what can be moved.
    pub(super) fn relay(&mut self, known: &mut Known<'_>) {
        while let Some(server) = self.server.as_ref().filter(|_| !self.is_answered) {
            let moved = give(server, &mut self.to_server).and_then(|()| take(server, &mut self.from_server));
            match moved {
                Ok(_) => break,
                // It has answered nothing: another one may.
                Err(_) if self.patience.is_some() => self.ask_next(),
                Err(_) => self.is_answered = true,
            }
        }
        while let Some(answer) = framed(&mut self.from_server) {
            // Shorter than its header: as good as none.
            if answer.len() < 12 {
                continue;
            }
            self.patience = None;
            self.asked.clear();
            let heard = known.pass(self.peer.ip(), answer);
            let answer = self.of_alias(&heard).unwrap_or(heard);
            self.answer(&answer);
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
