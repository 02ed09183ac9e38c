//! What a container says and hears, on a client's connection: raw for a terminal, else each piece of output behind eight
//! bytes that say of which stream it is and how long (Docker's "Stream format").

use std::fs::File;
use std::io::{self, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, Signal};
use sys::pty::Pty;

use crate::http::Connection;

const PIECE: usize = 32 << 10;

pub(crate) const RAW: &str = "application/vnd.docker.raw-stream";
pub(crate) const MULTIPLEXED: &str = "application/vnd.docker.multiplexed-stream";

/// Which stream a frame is of.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stream {
    Stdout = 1,
    Stderr = 2,
}

/// One piece of output in one write.
pub(crate) fn frame(stream: Stream, data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    let mut frame = vec![stream as u8, 0, 0, 0];
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(data);
    frame
}

/// Copies both outputs of a command into `writer` until they end; framed, or the two as one. A client that is gone ends it.
pub(crate) fn copy_outputs(child: &mut Child, is_framed: bool, writer: &mut (dyn Write + Send)) {
    let writer = Mutex::new(writer);
    let copy = |stream: Stream, source: Option<&mut dyn Read>| {
        let Some(source) = source else { return };
        let mut buffer = vec![0; PIECE];
        while let Ok(count @ 1..) = source.read(&mut buffer) {
            let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
            let piece = &buffer[..count];
            let written = if is_framed { writer.write_all(&frame(stream, piece)) } else { writer.write_all(piece) };
            if written.is_err() {
                return;
            }
        }
    };
    let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
    std::thread::scope(|scope| {
        scope.spawn(|| copy(Stream::Stderr, stderr.as_mut().map(|source| source as &mut dyn Read)));
        copy(Stream::Stdout, stdout.as_mut().map(|source| source as &mut dyn Read));
        // One that nobody listens to any more learns it as it would in a shell.
        drop(stdout);
    });
}

/// Ends a command whose client goes: one that waits for what may never come would notice it only then.
pub(crate) struct Watch {
    client: File,
    command: rustix::fd::OwnedFd,
}

impl Watch {
    pub(crate) fn new(connection: &Connection, child: &Child) -> io::Result<Watch> {
        let pid = pid_of(child)?;
        let command = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?;
        Ok(Watch { client: connection.writer().try_clone()?, command })
    }

    /// Returns when either has gone.
    pub(crate) fn run(&self) {
        let mut fds = [PollFd::new(&self.client, PollFlags::RDHUP), PollFd::new(&self.command, PollFlags::IN)];
        while poll(&mut fds, None) == Err(rustix::io::Errno::INTR) {}
        if fds[1].revents().is_empty() {
            let _ = rustix::process::pidfd_send_signal(&self.command, Signal::TERM);
        }
    }
}

fn pid_of(child: &Child) -> io::Result<Pid> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    pid.ok_or_else(|| io::Error::other("the command has no process id"))
}

/// Connects a client to a command's pipes until the command ends. `ended` hears of it before the client does.
pub(crate) fn connect(
    connection: &mut Connection,
    child: &mut Child,
    ended: impl FnOnce(ExitStatus),
) -> io::Result<()> {
    let mut writer = connection.writer().try_clone()?;
    let end = writer.try_clone()?;
    let stdin = child.stdin.take();
    std::thread::scope(|scope| {
        let reader = connection.reader();
        if let Some(mut stdin) = stdin {
            scope.spawn(move || io::copy(reader, &mut stdin));
        }
        copy_outputs(child, true, &mut writer);
        let told = child.wait().map(ended);
        close(&end);
        told
    })
}

/// Ends a connection for whoever reads it, too.
fn close(socket: &File) {
    let _ = rustix::net::shutdown(socket, rustix::net::Shutdown::Both);
}

/// A terminal that a command of ours has, so that its size can be changed while it runs.
#[derive(Debug)]
pub(crate) struct Terminal {
    master: File,
    pid: Pid,
}

impl Terminal {
    /// What the command writes to it.
    pub(crate) fn output(&self) -> io::Result<File> {
        self.master.try_clone()
    }

    /// Changes the size, and says so to the command: the terminal is not the one that controls it.
    pub(crate) fn resize(&self, rows: u16, columns: u16) -> io::Result<()> {
        sys::pty::set_size(&self.master, columns, rows)?;
        rustix::process::kill_process(self.pid, Signal::WINCH)?;
        Ok(())
    }
}

/// Starts a command on a terminal of its own, of a size where one is known.
pub(crate) fn on_a_terminal(
    command: &mut Command,
    rows_columns: Option<(u16, u16)>,
) -> io::Result<(Child, Arc<Terminal>)> {
    let Pty { master, slave } = Pty::open()?;
    if let Some((rows, columns)) = rows_columns {
        sys::pty::set_size(&master, columns, rows)?;
    }
    let child = command.stdin(slave.try_clone()?).stdout(slave.try_clone()?).stderr(slave).spawn()?;
    // The command would keep its ends of the terminal for us.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let pid = pid_of(&child)?;
    Ok((child, Arc::new(Terminal { master: master.into(), pid })))
}

/// As [`connect`], with a terminal between them.
pub(crate) fn connect_terminal(
    connection: &mut Connection,
    child: &mut Child,
    terminal: &Terminal,
    ended: impl FnOnce(ExitStatus),
) -> io::Result<()> {
    let mut writer = connection.writer().try_clone()?;
    let (mut input, mut output) = (terminal.master.try_clone()?, terminal.master.try_clone()?);
    std::thread::scope(|scope| {
        let reader = connection.reader();
        scope.spawn(move || io::copy(reader, &mut input));
        let mut buffer = vec![0; PIECE];
        // Reading fails (EIO) when nobody has the other end any more.
        while let Ok(count @ 1..) = output.read(&mut buffer) {
            if writer.write_all(&buffer[..count]).is_err() {
                // The client is gone, the command is not: as when a terminal's window is closed.
                let _ = rustix::process::kill_process(terminal.pid, Signal::HUP);
                break;
            }
        }
        let told = child.wait().map(ended);
        close(&writer);
        told
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_framed_each_as_its_stream() {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "echo out; sleep 0.1; echo err >&2"]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut written = Vec::new();
        copy_outputs(&mut child, true, &mut written);
        assert!(child.wait().unwrap().success());
        assert_eq!(written, b"\x01\0\0\0\0\0\0\x04out\n\x02\0\0\0\0\0\0\x04err\n");
    }

    #[test]
    fn a_command_on_a_terminal_hears_of_its_size() {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "stty size; trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.01; done"]);
        let (mut child, terminal) = on_a_terminal(&mut command, Some((10, 20))).unwrap();
        let mut output = terminal.master.try_clone().unwrap();
        let mut text = String::new();
        let mut read_until = |wanted: &str| {
            let mut buffer = [0; 64];
            while !text.contains(wanted) {
                let count = output.read(&mut buffer).unwrap();
                text.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
            }
        };
        read_until("10 20");
        read_until("ready");
        terminal.resize(30, 40).unwrap();
        read_until("30 40");
        assert!(child.wait().unwrap().success());
    }
}
