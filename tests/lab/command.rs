//! One command line, run to its end, and what came of it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{PidfdFlags, pidfd_open};

/// No single command of ours takes this long on a loaded machine unless it hangs.
const DEADLINE: Duration = Duration::from_secs(120);
/// Who was started by a command and lives on must not keep the command's own pipes; a deed that a killed command has begun
/// is finished first.
const PIPES_CLOSE_WITHIN: Duration = Duration::from_secs(15);

/// Bytes of a command's output that are shown where a test fails.
const SHOWN: usize = 20_000;

/// A command about to be run.
#[must_use = "a command that is not run tests nothing"]
pub(crate) struct Invocation {
    pub(super) command: Command,
    pub(super) line: String,
    pub(super) input: Vec<u8>,
    pub(super) deadline: Duration,
}

impl Invocation {
    pub(super) fn new(command: Command, line: String) -> Invocation {
        Invocation { command, line, input: Vec::new(), deadline: DEADLINE }
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Invocation {
        self.command.env(name, value);
        self
    }

    pub(crate) fn input(mut self, bytes: impl Into<Vec<u8>>) -> Invocation {
        self.input = bytes.into();
        self
    }

    pub(crate) fn within(mut self, seconds: u64) -> Invocation {
        self.deadline = Duration::from_secs(seconds);
        self
    }

    pub(crate) fn run(self) -> Outcome {
        let input = self.input.clone();
        let deadline = self.deadline;
        let mut background = self.spawn();
        let mut stdin = background.stdin.take().unwrap();
        // From a thread: the command may fill its output before it has read its input.
        let writer = std::thread::spawn(move || {
            let _ = stdin.write_all(&input);
        });
        let outcome = background.end_within(deadline);
        let _ = writer.join();
        outcome
    }

    /// Starts it and returns at once.
    pub(crate) fn spawn(mut self) -> Background {
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().unwrap_or_else(|error| panic!("{}: {error}", self.line));
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let number = |descriptor: std::os::fd::BorrowedFd<'_>| rustix::fs::fstat(descriptor).unwrap().st_ino;
        let pipes = [number(stdout.as_ref().unwrap().as_fd()), number(stderr.as_ref().unwrap().as_fd())];
        let pipes = pipes.map(|number| format!("pipe:[{number}]"));
        let (lines, received) = channel();
        let stdout = std::thread::spawn(move || {
            let mut all = Vec::new();
            let mut reader = BufReader::new(stdout.unwrap());
            loop {
                let mut line = Vec::new();
                match reader.read_until(b'\n', &mut line) {
                    Ok(0) | Err(_) => return all,
                    Ok(_) => {
                        all.extend_from_slice(&line);
                        let _ = lines.send(String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned());
                    }
                }
            }
        });
        let stderr = std::thread::spawn(move || {
            let mut all = Vec::new();
            let _ = stderr.unwrap().read_to_end(&mut all);
            all
        });
        Background { line: self.line, pipes, child, stdin, received, stdout: Some(stdout), stderr: Some(stderr) }
    }
}

/// A command that runs beside the test.
pub(crate) struct Background {
    line: String,
    /// Its standard output and error, as `/proc/PID/fd` names them.
    pipes: [String; 2],
    child: Child,
    pub(crate) stdin: Option<ChildStdin>,
    received: Receiver<String>,
    stdout: Option<JoinHandle<Vec<u8>>>,
    stderr: Option<JoinHandle<Vec<u8>>>,
}

impl Background {
    /// The next line of its standard output.
    pub(crate) fn line(&mut self) -> String {
        match self.received.recv_timeout(Duration::from_secs(30)) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => panic!("{}: no line of output for 30 s", self.line),
            Err(RecvTimeoutError::Disconnected) => {
                let error = self.stderr.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
                panic!("{}: ended without a further line\n{}", self.line, String::from_utf8_lossy(&error))
            }
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        nix::sys::signal::kill(Pid::from_raw(self.pid()), signal).unwrap();
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// Closes its input and waits for its end.
    pub(crate) fn end(self) -> Outcome {
        self.end_within(DEADLINE)
    }

    /// Waits for its end while its input stays open.
    pub(crate) fn end_with_input_open(mut self) -> Outcome {
        let _open = self.stdin.take();
        self.end_within(DEADLINE)
    }

    /// Who has one of the command's pipes open, besides us.
    fn holders(&self) -> String {
        let own = std::process::id().to_string();
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            if entry.file_name().to_str() == Some(&own) {
                continue;
            }
            let descriptors = std::fs::read_dir(entry.path().join("fd")).into_iter().flatten().flatten();
            let targets = descriptors.filter_map(|descriptor| std::fs::read_link(descriptor.path()).ok());
            if targets.into_iter().any(|target| self.pipes.iter().any(|pipe| target.as_os_str() == pipe.as_str())) {
                let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
                found.push(format!("{} {}", entry.path().display(), String::from_utf8_lossy(&line).replace('\0', " ")));
            }
        }
        found.join(", ")
    }

    fn end_within(mut self, deadline: Duration) -> Outcome {
        drop(self.stdin.take());
        let ended = ends_within(&self.child, deadline);
        if !ended {
            let _ = self.child.kill();
        }
        let status = self.child.wait().unwrap();
        let (stdout, stderr) = (self.stdout.take().unwrap(), self.stderr.take().unwrap());
        let until = Instant::now() + PIPES_CLOSE_WITHIN;
        while ended && !(stdout.is_finished() && stderr.is_finished()) {
            assert!(Instant::now() < until, "{}: ended, but its pipes are still held by {}", self.line, self.holders());
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(ended, "{}: did not end within {deadline:?}", self.line);
        let outcome =
            Outcome { line: self.line.clone(), status, stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() };
        remember(&outcome);
        outcome
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn ends_within(child: &Child, deadline: Duration) -> bool {
    let pid = rustix::process::Pid::from_child(child);
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).unwrap();
    let timeout = Timespec::try_from(deadline).unwrap();
    poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&timeout)).unwrap() == 1
}

/// What is told of when a test fails.
const REMEMBERED: usize = 12;

thread_local! {
    /// The last commands of this thread's test, a line that was run again and again only once.
    static LAST: RefCell<VecDeque<(Instant, String, String)>> = const { RefCell::new(VecDeque::new()) };
}

fn remember(outcome: &Outcome) {
    LAST.with_borrow_mut(|last| {
        if last.back().is_some_and(|(_, line, _)| *line == outcome.line) {
            last.pop_back();
        }
        last.push_back((Instant::now(), outcome.line.clone(), outcome.to_string()));
        if last.len() > REMEMBERED {
            last.pop_front();
        }
    });
}

/// The last commands, and how long ago each ended.
pub(super) fn remembered() -> String {
    let mut text = String::new();
    LAST.with_borrow(|last| {
        for (ended, _, outcome) in last {
            let _ = write!(text, "{:.3} s ago: {outcome}", ended.elapsed().as_secs_f64());
        }
    });
    text
}

/// What a command left: exit code, standard output, standard error.
#[must_use = "say how it should have ended"]
pub(crate) struct Outcome {
    line: String,
    status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

impl Outcome {
    /// The exit code as a shell sees it: 128 and the signal for one that was killed.
    pub(crate) fn exit_code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| 128 + self.status.signal().unwrap())
    }

    /// Standard output without the last newline.
    pub(crate) fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim_end_matches('\n').to_owned()
    }

    pub(crate) fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).trim_end_matches('\n').to_owned()
    }

    /// It succeeded; its standard output without the last newline.
    #[track_caller]
    pub(crate) fn ok(&self) -> String {
        self.code(0)
    }

    /// It ended with this exit code; its standard output without the last newline.
    #[track_caller]
    pub(crate) fn code(&self, expected: i32) -> String {
        assert_eq!(self.exit_code(), expected, "exit code of {self}");
        self.out()
    }

    /// It failed with this exit code; its standard error.
    #[track_caller]
    pub(crate) fn fails(&self, expected: i32) -> String {
        assert_eq!(self.exit_code(), expected, "exit code of {self}");
        self.err()
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(formatter, "`{}`: {}", self.line, self.status)?;
        for (name, bytes) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            let text = String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN)]);
            let mut indented = String::new();
            for line in text.lines().take(60) {
                let _ = writeln!(indented, "    {line}");
            }
            write!(formatter, "  {name}:\n{indented}")?;
        }
        Ok(())
    }
}

/// Waits for what cannot be waited for by a descriptor, 30 s at the most.
#[track_caller]
pub(crate) fn eventually(what: &str, holds: impl FnMut() -> bool) {
    assert!(comes_true(Duration::from_secs(30), holds), "within 30 s: {what}");
}

pub(crate) fn comes_true(within: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + within;
    loop {
        if holds() {
            return true;
        }
        if Instant::now() > until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
