//! The pipes through which splice(2) moves bytes.

use std::io;
use std::os::fd::OwnedFd;

use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};

/// Holds bytes on their way from one socket to another.
#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) output: OwnedFd,
    pub(super) input: OwnedFd,
}

/// Empty pipes. A connection has one only while bytes are on their way, so ten thousand idle ones cost none.
#[derive(Debug, Default)]
pub(super) struct Pipes(Vec<Pipe>);

/// Bytes a pipe takes at once. The kernel gives an ordinary user 64 MiB of pipes (pipe-user-pages-soft) at sizes of
/// choice.
pub(super) const CAPACITY: usize = 256 << 10;
const KEPT: usize = 8;

impl Pipes {
    pub(super) fn take(&mut self) -> io::Result<Pipe> {
        if let Some(pipe) = self.0.pop() {
            return Ok(pipe);
        }
        let (output, input) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // Beyond the user's share it stays at its default, which works too.
        let _ = fcntl_setpipe_size(&input, CAPACITY);
        Ok(Pipe { output, input })
    }

    /// The pipe must be empty.
    pub(super) fn give(&mut self, pipe: Pipe) {
        if self.0.len() < KEPT {
            self.0.push(pipe);
        }
    }
}
