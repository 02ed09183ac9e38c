//! A client that speaks TLS: what it says is decrypted here and read as any other client's.
//!
//! Bytes pass through this process, in place of being spliced past it.

use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::io::Errno;
use rustix::net::{SendFlags, Shutdown};
use rustls::{ServerConfig, ServerConnection};

use super::tcp::{End, Ready, Stream};

/// Bytes moved at once in one direction. Within what rustls holds for a receiver (64 KiB).
const PIECE: usize = 32 * 1024;
/// Pieces that one connection may move before the others have their turn.
const TURN: usize = 4;

pub(super) struct Session {
    tls: ServerConnection,
    /// Decrypted, on its way to the server.
    up: Vec<u8>,
}

/// What is known of it is secret.
impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

/// How reading went.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Got {
    Bytes,
    /// Nothing is there now.
    Nothing,
    End,
}

impl Session {
    /// Fails where rustls is out of memory or randomness.
    pub(super) fn new(config: &Arc<ServerConfig>) -> Result<Session, rustls::Error> {
        Ok(Session { tls: ServerConnection::new(config.clone())?, up: Vec::new() })
    }

    /// Goes on with the handshake and takes in what the client has said, up to `room` bytes. `false`: it has ended.
    pub(super) fn read(&mut self, client: &mut End, received: &mut Vec<u8>, room: usize) -> io::Result<bool> {
        loop {
            self.flush(client)?;
            match self.decrypt(client, received, room)? {
                Got::Bytes if received.len() < room => {}
                Got::Bytes => return Ok(true),
                Got::Nothing => {
                    self.flush(client)?;
                    return Ok(true);
                }
                Got::End => return Ok(false),
            }
        }
    }

    /// The next bytes of the client, appended to `into` until that is `most` long.
    fn decrypt(&mut self, client: &mut End, into: &mut Vec<u8>, most: usize) -> io::Result<Got> {
        loop {
            let before = into.len();
            let mut reader = self.tls.reader().take(most.saturating_sub(before) as u64);
            match reader.read_to_end(into) {
                // Without a last word, as most clients that have what they want.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
                Ok(0) if into.len() < most => return Ok(Got::End),
                Ok(_) => {}
            }
            if into.len() > before || into.len() >= most {
                return Ok(Got::Bytes);
            }
            if !client.ready.input || !self.tls.wants_read() {
                return Ok(Got::Nothing);
            }
            match self.tls.read_tls(&mut Socket(&client.socket)) {
                Ok(0) => return Ok(Got::End),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    client.ready.input = false;
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            if let Err(error) = self.tls.process_new_packets() {
                // The alert that says why.
                let _ = self.flush(client);
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
        }
    }

    /// Sends what there is for the client. `true`: all of it.
    fn flush(&mut self, client: &mut End) -> io::Result<bool> {
        while self.tls.wants_write() {
            if !client.ready.output {
                return Ok(false);
            }
            match self.tls.write_tls(&mut Socket(&client.socket)) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => client.ready.output = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Says this and nothing more, as far as the client takes it at once.
    pub(super) fn say(&mut self, client: &mut End, bytes: &[u8]) {
        if self.tls.is_handshaking() {
            return;
        }
        let _ = self.tls.writer().write_all(bytes);
        self.tls.send_close_notify();
        let _ = self.flush(client);
    }

    /// Moves bytes both ways until one side has to be waited for. `true`: the turn is over before that.
    pub(super) fn advance(
        &mut self,
        client: &mut End,
        server: &OwnedFd,
        server_ready: &mut Ready,
        (up, down): (&mut Stream, &mut Stream),
    ) -> io::Result<bool> {
        for _ in 0..TURN {
            let moved_up = self.advance_up(client, server, server_ready, up)?;
            let moved_down = self.advance_down(client, server, server_ready, down)?;
            if !moved_up && !moved_down {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn advance_up(
        &mut self,
        client: &mut End,
        server: &OwnedFd,
        server_ready: &mut Ready,
        up: &mut Stream,
    ) -> io::Result<bool> {
        if self.up.is_empty() && !up.ended {
            let mut piece = std::mem::take(&mut self.up);
            up.ended = self.decrypt(client, &mut piece, PIECE)? == Got::End;
            self.up = piece;
        }
        let mut moved = false;
        if !self.up.is_empty() && server_ready.output {
            match rustix::net::send(server, &self.up, SendFlags::NOSIGNAL) {
                Ok(sent) => {
                    self.up.drain(..sent);
                    moved = true;
                }
                Err(Errno::AGAIN) => server_ready.output = false,
                Err(Errno::INTR) => moved = true,
                Err(error) => return Err(error.into()),
            }
        }
        if up.ended && self.up.is_empty() && !up.shut {
            up.shut = true;
            // ENOTCONN: the server has ended already.
            let _ = rustix::net::shutdown(server, Shutdown::Write);
        }
        Ok(moved)
    }

    fn advance_down(
        &mut self,
        client: &mut End,
        server: &OwnedFd,
        server_ready: &mut Ready,
        down: &mut Stream,
    ) -> io::Result<bool> {
        let mut moved = false;
        if self.flush(client)? && server_ready.input && !down.ended {
            let mut piece = [MaybeUninit::uninit(); PIECE];
            match rustix::io::read(server, &mut piece) {
                Ok(([], _)) => {
                    down.ended = true;
                    self.tls.send_close_notify();
                }
                Ok((bytes, _)) => {
                    self.tls.writer().write_all(bytes)?;
                    moved = true;
                }
                Err(Errno::AGAIN) => server_ready.input = false,
                Err(Errno::INTR) => moved = true,
                Err(error) => return Err(error.into()),
            }
        }
        if self.flush(client)? && down.ended && !down.shut {
            down.shut = true;
            let _ = rustix::net::shutdown(&client.socket, Shutdown::Write);
        }
        Ok(moved)
    }
}

/// A socket as rustls takes one.
struct Socket<'a>(&'a OwnedFd);

impl Read for Socket<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(self.0.as_fd(), buffer)?)
    }
}

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::net::send(self.0.as_fd(), bytes, SendFlags::NOSIGNAL)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
