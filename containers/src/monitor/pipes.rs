//! What a container reads and writes: its pipes or its terminal, between its log and whoever is attached.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{BorrowedFd, OwnedFd};

use jiff::Timestamp;
use rustix::event::{PollFd, PollFlags, poll};

use super::clients::Clients;
use super::prepare::Terminals;
use crate::error::{Error, Result};
use crate::log::{Log, Output};
use crate::wire::CHUNK;

/// Our ends of them.
pub(super) struct Pipes {
    pub(super) stdin: Option<File>,
    pub(super) stdout: Option<File>,
    pub(super) stderr: Option<File>,
    /// Instead of the three, with `--tty`.
    pub(super) terminal: Option<File>,
    /// Input that the container has not read yet.
    pending: VecDeque<u8>,
    /// A client said that there is no more.
    input_ended: bool,
    log: Option<Log>,
    log_failed: bool,
    buffer: sys::memory::Buffer,
}

impl Pipes {
    pub(super) fn new(pipes: Terminals, terminal: Option<OwnedFd>, log: Option<Log>) -> Result<Pipes> {
        let nonblocking = |fd: OwnedFd| -> Result<File> {
            rustix::io::ioctl_fionbio(&fd, true)
                .map_err(|error| Error::Io { path: "a stream".into(), source: error.into() })?;
            Ok(File::from(fd))
        };
        Ok(Pipes {
            stdin: pipes.stdin.map(nonblocking).transpose()?,
            stdout: pipes.stdout.map(nonblocking).transpose()?,
            stderr: pipes.stderr.map(nonblocking).transpose()?,
            terminal: terminal.map(nonblocking).transpose()?,
            pending: VecDeque::new(),
            input_ended: false,
            log,
            log_failed: false,
            buffer: sys::memory::Buffer::new(CHUNK - 1).map_err(Error::io("memory"))?,
        })
    }

    /// Bytes that the container has not read yet.
    pub(super) fn pending_input(&self) -> usize {
        self.pending.len()
    }

    /// Input of a client's. After the end of the input there is no more.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        if !self.input_ended {
            self.pending.extend(bytes);
            self.write_input();
        }
    }

    pub(super) fn end_input(&mut self) {
        self.input_ended = true;
        self.write_input();
    }

    /// As much as the container takes now.
    pub(super) fn write_input(&mut self) {
        let Some(target) = self.terminal.as_mut().or(self.stdin.as_mut()) else {
            self.pending.clear();
            return;
        };
        while !self.pending.is_empty() {
            let (front, _) = self.pending.as_slices();
            match target.write(front) {
                Ok(written) => drop(self.pending.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => {
                    // The container reads no more.
                    self.pending.clear();
                    self.stdin = None;
                    return;
                }
            }
        }
        if self.input_ended {
            self.stdin = None;
        }
    }

    /// One read of one output: to the log first, then to whoever is attached.
    pub(super) fn pass_on(&mut self, output: Output, clients: &mut Clients) {
        let stream = match output {
            Output::Stdout if self.terminal.is_some() => &mut self.terminal,
            Output::Stdout => &mut self.stdout,
            Output::Stderr => &mut self.stderr,
        };
        let Some(file) = stream else { return };
        match file.read(&mut self.buffer) {
            Ok(0) => *stream = None,
            Ok(length) => {
                let bytes = &self.buffer[..length];
                if let Some(log) = &mut self.log
                    && let Err(error) = log.append(output, bytes, Timestamp::now())
                    && !std::mem::replace(&mut self.log_failed, true)
                {
                    tracing::warn!(%error, "the container's log cannot be written");
                }
                clients.output(output, bytes);
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            // EIO: the last process has closed the terminal.
            Err(_) => *stream = None,
        }
    }

    /// After the exit: everything that is still in the pipes. A process that outlived the container's first one and
    /// holds a pipe open is not waited for.
    pub(super) fn drain(&mut self, clients: &mut Clients) {
        for output in [Output::Stdout, Output::Stderr] {
            while let Some(file) = self.stream(output) {
                let mut entry = [PollFd::new(file, PollFlags::IN)];
                match poll(&mut entry, Some(&rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 })) {
                    Ok(1..) => self.pass_on(output, clients),
                    _ => break,
                }
            }
        }
        (self.terminal, self.stdout, self.stderr) = (None, None, None);
    }

    fn stream(&self, output: Output) -> Option<&File> {
        match output {
            Output::Stdout => self.terminal.as_ref().or(self.stdout.as_ref()),
            Output::Stderr => self.stderr.as_ref(),
        }
    }
}

pub(super) fn resize(terminal: Option<BorrowedFd<'_>>, rows: u16, columns: u16) {
    if let Some(terminal) = terminal {
        // A terminal that is gone has no size.
        let _ = sys::pty::set_size(terminal, columns, rows);
    }
}
