//! The client's side of an attachment: our terminal or pipes on one end, the container's monitor on the other.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::termios::{OptionalActions, Termios};
use serde::{Deserialize, Serialize};
use sys::channel::Channel;
use sys::process::{Pidfd, Process};
use sys::signals::{self, SignalFd};

use crate::container::Container;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::pause;
use crate::state::State;
use crate::wire::{CHUNK, FromClient, FromMonitor};

/// What of a container's streams a command is connected to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Streams {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
}

impl Streams {
    pub const ALL: Streams = Streams { stdin: true, stdout: true, stderr: true };
}

/// How an attachment behaves.
#[derive(Clone, Debug, Default)]
pub struct AttachRequest {
    /// The bytes that end the attachment, in a terminal only; empty for none. [`parse_detach_keys`] makes them.
    pub detach_keys: Vec<u8>,
    /// The container's first process, which gets the signals that we get.
    pub sig_proxy: Option<Process>,
    /// The container has a terminal: ours goes into raw mode and passes its size on.
    pub tty: bool,
}

/// How an attachment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachEnd {
    Exited(i32),
    Detached,
}

/// A connection to a container's monitor. Dropping it detaches.
#[derive(Debug)]
pub struct Attached {
    channel: Channel,
    streams: Streams,
}

/// Connects to the streams of a container that runs, or is about to: from an initialized one nothing is missed.
pub fn attach(engine: &Engine, container: &Container, streams: Streams) -> Result<Attached> {
    match container.state() {
        State::Running { .. } if !pause::paused(container) => {}
        State::Initialized { .. } => {}
        State::Running { .. } | State::Created | State::Exited(_) | State::Removing => {
            return Err(Error::StateImproper { what: "you can only attach to running containers".into() });
        }
    }
    let channel = connect(engine, container)?;
    channel.send(&FromClient::Hello(streams).encode(), &[]).map_err(|error| monitor_gone(container, &error))?;
    crate::events::record(engine, container, "attach");
    Ok(Attached::new(channel, streams))
}

/// A connection to the monitor's socket, before any word is said.
pub(crate) fn connect(engine: &Engine, container: &Container) -> Result<Channel> {
    let dir = engine.run_dir(container.id());
    let made = || -> io::Result<Channel> {
        let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
        let handle = rustix::fs::open(&dir, flags, rustix::fs::Mode::empty())?;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        // A socket's path has 108 bytes, a directory may be deeper: name it through the descriptor.
        let path = format!("/proc/self/fd/{}/attach", std::os::fd::AsRawFd::as_raw_fd(&handle));
        rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
        Ok(Channel::from(socket))
    };
    made().map_err(|error| monitor_gone(container, &error))
}

fn monitor_gone(container: &Container, error: &io::Error) -> Error {
    Error::Io {
        path: format!("the monitor of container {}", container.id()).into(),
        source: io::Error::new(error.kind(), error.to_string()),
    }
}

impl Attached {
    pub(crate) fn new(channel: Channel, streams: Streams) -> Attached {
        Attached { channel, streams }
    }

    /// Copies between our streams and the container's until it exits or the user detaches.
    pub fn run(self, request: AttachRequest) -> Result<AttachEnd> {
        let _raw = RawTerminal::enter(request.tty && self.streams.stdin)?;
        let signals = ClientSignals::catch(request.sig_proxy.is_some(), request.tty)?;
        let init = request.sig_proxy.as_ref().and_then(Process::open);
        rustix::io::ioctl_fionbio(self.channel.as_fd(), true).map_err(|error| connection(error.into()))?;
        let keys = if request.tty { request.detach_keys } else { Vec::new() };
        let mut copy = Copy {
            channel: self.channel,
            pending: VecDeque::new(),
            input: self.streams.stdin,
            keys: DetachKeys::new(keys),
            buffer: vec![0; CHUNK],
        };
        if request.tty {
            copy.resize();
        }
        copy.run(&signals.fd, init.as_ref())
    }
}

/// What the monitor says next; empty at its end.
///
/// A monitor that ends without having read all that we said resets the connection (unix(7)): that is reported once, and
/// what it said before is still there.
pub(crate) fn recv(channel: &Channel) -> io::Result<Vec<u8>> {
    match channel.recv() {
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => channel.recv(),
        other => other,
    }
    .map(|(message, _)| message)
}

fn connection(error: io::Error) -> Error {
    Error::Io { path: "the connection to the container's monitor".into(), source: error }
}

struct Copy {
    channel: Channel,
    /// Messages that the monitor has not taken yet. While there are any, we do not read: a container that does not read
    /// its input must not keep us from taking its output.
    pending: VecDeque<Vec<u8>>,
    input: bool,
    keys: DetachKeys,
    buffer: Vec<u8>,
}

impl Copy {
    fn run(mut self, signals: &SignalFd, init: Option<&Pidfd>) -> Result<AttachEnd> {
        loop {
            let read_input = self.input && self.pending.is_empty();
            let mut flags = PollFlags::IN;
            flags.set(PollFlags::OUT, !self.pending.is_empty());
            let stdin = rustix::stdio::stdin();
            let mut entries = vec![
                PollFd::from_borrowed_fd(self.channel.as_fd(), flags),
                PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN),
            ];
            if read_input {
                entries.push(PollFd::from_borrowed_fd(stdin, PollFlags::IN));
            }
            match poll(&mut entries, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(connection(error.into())),
            }
            let events: Vec<PollFlags> = entries.iter().map(PollFd::revents).collect();
            drop(entries);
            if !events[1].is_empty() {
                self.signals(signals, init)?;
            }
            if let Some(end) = self.output(events[0])? {
                return Ok(end);
            }
            if events.get(2).is_some_and(|events| !events.is_empty()) && self.read(stdin)? {
                self.send_rest();
                return Ok(AttachEnd::Detached);
            }
        }
    }

    fn signals(&mut self, signals: &SignalFd, init: Option<&Pidfd>) -> Result<()> {
        while let Some(arrived) = signals.read().map_err(Error::io("signalfd"))? {
            if arrived.signal == SIGWINCH {
                self.resize();
            } else if let Some(init) = init {
                // It may have ended in this moment; then its exit is the next thing we read.
                let _ = init.signal(arrived.signal);
            }
        }
        Ok(())
    }

    fn resize(&mut self) {
        if let Some((columns, rows)) = own_terminal_size() {
            self.pending.push_back(FromClient::Resize { rows, columns }.encode());
        }
    }

    /// What we still have to say to the monitor, and one message of what it has said: where our output is slower than the
    /// container there is always one more, and signals and keys are not to wait for the last.
    fn output(&mut self, events: PollFlags) -> Result<Option<AttachEnd>> {
        self.flush();
        if !events.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
            return Ok(None);
        }
        let message = match recv(&self.channel) {
            Ok(message) => message,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(connection(error)),
        };
        if message.is_empty() {
            return Err(connection(io::ErrorKind::UnexpectedEof.into()));
        }
        match FromMonitor::decode(&message).map_err(connection)? {
            FromMonitor::Stdout(bytes) => write_all(rustix::stdio::stdout(), &bytes).map_err(Error::io("stdout"))?,
            FromMonitor::Stderr(bytes) => write_all(rustix::stdio::stderr(), &bytes).map_err(Error::io("stderr"))?,
            FromMonitor::Exited { code } => return Ok(Some(AttachEnd::Exited(code))),
            FromMonitor::Failed { exit_code, message } => return Err(Error::StartFailed { message, exit_code }),
            FromMonitor::Started { .. } | FromMonitor::Done => {}
        }
        Ok(None)
    }

    /// True when the user typed the detach keys.
    fn read(&mut self, stdin: BorrowedFd<'_>) -> Result<bool> {
        match rustix::io::read(stdin, self.buffer.as_mut_slice()) {
            Ok(0) => {
                self.input = false;
                self.pending.push_back(FromClient::StdinEnd.encode());
            }
            Ok(length) => {
                let (bytes, detached) = self.keys.feed(&self.buffer[..length]);
                for chunk in bytes.chunks(CHUNK) {
                    self.pending.push_back(FromClient::Stdin(chunk.to_vec()).encode());
                }
                if detached {
                    return Ok(true);
                }
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            // The terminal is gone (EIO), or stdin was closed from the beginning (EBADF).
            Err(_) => {
                self.input = false;
                self.pending.push_back(FromClient::StdinEnd.encode());
            }
        }
        self.flush();
        Ok(false)
    }

    fn flush(&mut self) {
        while let Some(message) = self.pending.front() {
            match self.channel.send(message, &[]) {
                Ok(()) => drop(self.pending.pop_front()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // The monitor is about to say that the container has ended; nobody reads any more.
                Err(_) => {
                    self.pending.clear();
                    self.input = false;
                    return;
                }
            }
        }
    }

    /// What was typed before the detach keys still counts.
    fn send_rest(&mut self) {
        if rustix::io::ioctl_fionbio(self.channel.as_fd(), false).is_ok() {
            self.flush();
        }
    }
}

const SIGWINCH: i32 = 28;
/// What is not passed on: what cannot be caught (9, 19), faults of our own (4, 6, 7, 8, 11), a broken pipe of ours (13),
/// children (17), job control of the shell that we are a job of (18, 20, 21, 22), urgent data (23) and glibc's own.
const KEPT: [i32; 17] = [4, 5, 6, 7, 8, 9, 11, 13, 17, 18, 19, 20, 21, 22, 23, 32, 33];

/// Signals as a descriptor while it lives; afterwards they do what they did before.
pub(crate) struct ClientSignals {
    pub(crate) fd: SignalFd,
    before: signals::Set,
}

impl ClientSignals {
    pub(crate) fn catch(proxy: bool, tty: bool) -> Result<ClientSignals> {
        let wanted: Vec<i32> = (1..=64)
            .filter(|signal| match *signal {
                SIGWINCH => proxy || tty,
                signal => proxy && !KEPT.contains(&signal),
            })
            .collect();
        let before = signals::block(&signals::Set::empty()).map_err(Error::io("sigprocmask"))?;
        let fd = SignalFd::new(&wanted).map_err(Error::io("signalfd"))?;
        Ok(ClientSignals { fd, before })
    }
}

impl Drop for ClientSignals {
    fn drop(&mut self) {
        // Only fails for a set that is none.
        let _ = signals::set_mask(&self.before);
    }
}

/// Columns and rows of the terminal we are in, by whichever of our streams is one.
pub(crate) fn own_terminal_size() -> Option<(u16, u16)> {
    let streams = [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()];
    streams.into_iter().find_map(|stream| sys::pty::size(stream).ok())
}

/// Our terminal in raw mode while it lives.
pub(crate) struct RawTerminal(Option<Termios>);

impl RawTerminal {
    /// Does nothing where stdin is no terminal.
    pub(crate) fn enter(wanted: bool) -> Result<RawTerminal> {
        let stdin = rustix::stdio::stdin();
        if !wanted || !rustix::termios::isatty(stdin) {
            return Ok(RawTerminal(None));
        }
        let failed = |error: rustix::io::Errno| Error::Io { path: "the terminal".into(), source: error.into() };
        let before = rustix::termios::tcgetattr(stdin).map_err(failed)?;
        let mut raw = before.clone();
        raw.make_raw();
        rustix::termios::tcsetattr(stdin, OptionalActions::Now, &raw).map_err(failed)?;
        Ok(RawTerminal(Some(before)))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            // A terminal that is gone needs no restoring.
            let _ = rustix::termios::tcsetattr(rustix::stdio::stdin(), OptionalActions::Drain, before);
        }
    }
}

/// All of it, also to a descriptor that somebody made non-blocking.
pub(crate) fn write_all(to: BorrowedFd<'_>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(to, bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => {
                let _ = poll(&mut [PollFd::from_borrowed_fd(to, PollFlags::OUT)], None);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Finds the detach keys in what is typed. Keys that may be the beginning of them are held back until it is clear.
#[derive(Debug)]
pub(crate) struct DetachKeys {
    keys: Vec<u8>,
    matched: usize,
}

impl DetachKeys {
    pub(crate) fn new(keys: Vec<u8>) -> DetachKeys {
        DetachKeys { keys, matched: 0 }
    }

    /// What is to be passed on, and whether the keys are complete.
    pub(crate) fn feed(&mut self, typed: &[u8]) -> (Vec<u8>, bool) {
        if self.keys.is_empty() {
            return (typed.to_vec(), false);
        }
        let mut passed = Vec::with_capacity(typed.len());
        for &byte in typed {
            if byte != self.keys[self.matched] {
                passed.extend_from_slice(&self.keys[..self.matched]);
                self.matched = 0;
            }
            if byte == self.keys[self.matched] {
                self.matched += 1;
            } else {
                passed.push(byte);
            }
            if self.matched == self.keys.len() {
                self.matched = 0;
                return (passed, true);
            }
        }
        (passed, false)
    }
}

/// Reads `ctrl-p,ctrl-q`, `ctrl-[`, `a,b`: single characters and `ctrl-` with a letter or one of `@[\]^_`.
pub fn parse_detach_keys(text: &str) -> Result<Vec<u8>> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let invalid = || Error::Invalid(format!("invalid detach keys: Unknown character: '{text}'"));
    text.split(',')
        .map(|key| match (key.strip_prefix("ctrl-").map(str::as_bytes), key.as_bytes()) {
            (Some([letter]), _) => match letter.to_ascii_lowercase() {
                letter @ b'a'..=b'z' => Ok(letter - b'a' + 1),
                b'@' => Ok(0),
                other @ (b'[' | b'\\' | b']' | b'^' | b'_') => Ok(other - b'@'),
                _ => Err(invalid()),
            },
            (None, [character]) if character.is_ascii() => Ok(*character),
            _ => Err(invalid()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detach_keys_are_read() {
        assert_eq!(parse_detach_keys("ctrl-p,ctrl-q").unwrap(), [16, 17]);
        assert_eq!(parse_detach_keys("ctrl-@,a,ctrl-_").unwrap(), [0, b'a', 31]);
        assert!(parse_detach_keys("").unwrap().is_empty());
        for bad in ["ctrl-", "ctrl-pp", "ab", "ctrl-p,", "ctrl-1"] {
            assert!(parse_detach_keys(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_keys_are_found_across_reads_and_nothing_else_is_lost() {
        let mut keys = DetachKeys::new(vec![16, 17]);
        assert_eq!(keys.feed(b"ab\x10"), (b"ab".to_vec(), false));
        assert_eq!(keys.feed(b"c"), (b"\x10c".to_vec(), false));
        assert_eq!(keys.feed(b"\x10\x10"), (b"\x10".to_vec(), false));
        assert_eq!(keys.feed(b"\x11rest"), (Vec::new(), true));
        assert_eq!(DetachKeys::new(Vec::new()).feed(b"\x10\x11"), (b"\x10\x11".to_vec(), false));
    }

    #[test]
    fn signals_and_keys_come_between_two_messages() {
        let (ours, theirs) = Channel::pair().unwrap();
        for message in [FromMonitor::Done, FromMonitor::Exited { code: 3 }] {
            theirs.send(&message.encode(), &[]).unwrap();
        }
        let keys = DetachKeys::new(Vec::new());
        let mut copy = Copy { channel: ours, pending: VecDeque::new(), input: false, keys, buffer: Vec::new() };
        assert!(copy.output(PollFlags::IN).unwrap().is_none());
        assert!(matches!(copy.output(PollFlags::IN).unwrap(), Some(AttachEnd::Exited(3))));
    }
}
