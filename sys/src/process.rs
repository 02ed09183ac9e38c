//! A process one can refer to: on disk by pid, start time and boot, at run time by pidfd.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{PidfdFlags, WaitId, WaitIdOptions};
use serde::{Deserialize, Serialize};

use crate::printable::printable;

/// The identity of one process, safe against reuse of its pid and against a reboot.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Process {
    pub pid: i32,
    /// Clock ticks since boot, field 22 of proc_pid_stat(5).
    pub start_time: u64,
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot: String,
}

impl Process {
    /// The calling process.
    pub fn me() -> io::Result<Process> {
        Process::of(rustix::process::getpid().as_raw_nonzero().get())
    }

    /// The process that has this pid now.
    pub fn of(pid: i32) -> io::Result<Process> {
        Ok(Process { pid, start_time: stat(pid)?.start_time, boot: boot_id().to_owned() })
    }

    /// A handle on it, or `None` when it is gone (also when its pid belongs to another process by now).
    pub fn open(&self) -> Option<Pidfd> {
        if self.boot != boot_id() {
            return None;
        }
        let pidfd = Pidfd::open(self.pid).ok()?;
        // Checked after the pidfd is held: from here on the pid cannot be reused unnoticed.
        let now = stat(self.pid).ok()?;
        (now.start_time == self.start_time && !now.dead).then_some(pidfd)
    }

    /// Whether it still runs; a zombie does not.
    pub fn alive(&self) -> bool {
        self.boot == boot_id() && stat(self.pid).is_ok_and(|now| now.start_time == self.start_time && !now.dead)
    }
}

/// Whether a process has been stopped, by SIGSTOP or by its terminal; also false when it is gone.
pub fn is_stopped(pid: i32) -> bool {
    stat(pid).is_ok_and(|now| now.stopped)
}

/// The command that a process was started with, for messages: short enough for one, and without control characters.
/// `None` when it is gone, or shows none.
pub fn command_line(pid: i32) -> Option<String> {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let text = String::from_utf8_lossy(&bytes).replace('\0', " ");
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = printable(&line);
    Some(match line.char_indices().nth(LONGEST_COMMAND) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line.into_owned(),
    })
    .filter(|line| !line.is_empty())
}

/// Characters of a command in a message.
const LONGEST_COMMAND: usize = 200;

struct Stat {
    start_time: u64,
    dead: bool,
    /// By a signal or by a tracer.
    stopped: bool,
}

fn stat(pid: i32) -> io::Result<Stat> {
    // More than 52 fields can have: one read, where std would feel its way to the end of a file that has no size. Lists do
    // this for every container that runs.
    let mut buffer = [0; 2048];
    let length = std::fs::File::open(format!("/proc/{pid}/stat"))?.read(&mut buffer)?;
    // A command's name may be no text.
    parse_stat(&String::from_utf8_lossy(&buffer[..length]))
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("/proc/{pid}/stat is not readable")))
}

/// The command name stands in parentheses and may hold anything, so fields are counted from the last one.
fn parse_stat(text: &str) -> Option<Stat> {
    let mut fields = text[text.rfind(')')? + 1..].split_ascii_whitespace();
    let state = fields.next()?;
    let start_time = fields.nth(18)?.parse().ok()?;
    Some(Stat { start_time, dead: matches!(state, "Z" | "X" | "x"), stopped: matches!(state, "T" | "t") })
}

/// The kernel's random name of this boot.
pub fn boot_id() -> &'static str {
    static BOOT: OnceLock<String> = OnceLock::new();
    BOOT.get_or_init(|| {
        std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
    })
}

/// A handle on a process, see pidfd_open(2).
#[derive(Debug)]
pub struct Pidfd(OwnedFd);

impl Pidfd {
    pub fn open(pid: i32) -> io::Result<Pidfd> {
        let pid = rustix::process::Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(Pidfd(rustix::process::pidfd_open(pid, PidfdFlags::empty())?))
    }

    /// Sends a signal, real-time ones included. 0 only asks whether the process can be signalled.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        crate::signals::pidfd_send(self.0.as_fd(), signal)
    }

    /// Whether the process has ended, waiting for at most `timeout` (for ever with `None`).
    pub fn wait_end(&self, timeout: Option<Duration>) -> io::Result<bool> {
        let until = timeout.map(|timeout| Instant::now() + timeout);
        loop {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            let left = left.map(|left| rustix::time::Timespec {
                tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            });
            match poll(&mut [PollFd::new(&self.0, PollFlags::IN)], left.as_ref()) {
                Ok(0) => return Ok(false),
                Ok(_) => return Ok(true),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Reaps the child this is a handle on; `None` while it runs.
    pub fn reap(&self) -> io::Result<Option<Ended>> {
        let status =
            rustix::process::waitid(WaitId::PidFd(self.0.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG)?;
        Ok(status.map(|status| match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Ended::Code(code),
            (None, Some(signal)) => Ended::Signal(signal),
            (None, None) => Ended::Code(0),
        }))
    }

    /// Waits for the child this is a handle on, and reaps it.
    pub fn wait(&self) -> io::Result<Ended> {
        loop {
            self.wait_end(None)?;
            if let Some(ended) = self.reap()? {
                return Ok(ended);
            }
        }
    }
}

impl AsFd for Pidfd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<OwnedFd> for Pidfd {
    fn from(fd: OwnedFd) -> Self {
        Pidfd(fd)
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Code(i32),
    Signal(i32),
}

impl Ended {
    /// As a shell reports it: 128 + n for a signal.
    pub fn exit_code(self) -> i32 {
        match self {
            Ended::Code(code) => code,
            Ended::Signal(signal) => 128 + signal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_name_with_parentheses_does_not_shift_the_fields() {
        let text = "7 (a) b (c)) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 1 1";
        let stat = parse_stat(text).unwrap();
        assert_eq!(stat.start_time, 4242);
        assert!(!stat.dead && !stat.stopped);
    }

    #[test]
    fn a_reused_pid_is_not_the_process_on_record() {
        let me = Process::me().unwrap();
        assert!(me.alive());
        assert!(me.open().is_some());
        let other = Process { start_time: me.start_time + 1, ..me.clone() };
        assert!(!other.alive());
        assert!(other.open().is_none());
        let before_reboot = Process { boot: "another".into(), ..me };
        assert!(!before_reboot.alive());
    }
}
