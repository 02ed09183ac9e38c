//! One more process in a running container.
//!
//! It is a child of this command, in the container's namespaces and cgroup. Its streams go through pipes or a terminal of
//! the container's, never through ours: a descriptor of the host must not stay behind in the container.

use std::convert::Infallible;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use oci_spec::runtime::Process as ProcessSpec;
use runtime::{ExecChild, Stdio};
use rustix::event::{PollFd, PollFlags};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::Resource;
use serde::{Deserialize, Serialize};
use sys::process::{Pidfd, Process};
use sys::task::Numbered;

use crate::attach::{ClientSignals, DetachKeys, RawTerminal, own_terminal_size, write_all};
use crate::container::Container;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::events::{self, Event};
use crate::id::ContainerId;
use crate::monitor::prepare::hard_limit;
use crate::notice::poll_until;
use crate::spec::Security;
use crate::state::State;
use crate::{list, oci, pause, seccomp, users};

/// What to run and how.
#[derive(Debug, Default)]
pub struct ExecRequest {
    pub command: Vec<String>,
    /// Added to the container's own; later wins.
    pub env: Vec<(String, String)>,
    /// `user[:group]`; the container's user where `None`.
    pub user: Option<String>,
    pub workdir: Option<String>,
    pub tty: bool,
    /// Pass our stdin on.
    pub stdin: bool,
    /// Do not wait for it.
    pub detach: bool,
    pub privileged: bool,
    /// Become 3, 4, ... in the new process.
    pub preserve_fds: Vec<Numbered>,
    /// In a terminal only; empty for none.
    pub detach_keys: Vec<u8>,
}

/// How an exec ended, for us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecEnd {
    Exited(i32),
    /// The user left; the process goes on. Its id.
    Detached(String),
    /// It runs, as was asked. Its id.
    Started(String),
}

/// Bytes copied at once.
const CHUNK: usize = 32 * 1024;
/// What a pipe can hold at the most (pipe(7), `pipe-max-size`): so much is read of one whose writer has ended. Of one that
/// is still written to less is read at once, or a writer that never rests would keep us from signals and the time.
const FULL_PIPE: usize = 1024 * 1024;
const SIGWINCH: i32 = 28;

/// Runs a process in a container.
///
/// # Errors
/// [`Error::Runtime`] with the exit code for a program that is not there (127) or cannot be run (126).
pub fn exec(engine: &Engine, container: &Container, mut request: ExecRequest) -> Result<ExecEnd> {
    let container = running(engine, container)?;
    let mut plan = Plan::make(engine, &container, &request)?;
    let preserve_fds = std::mem::take(&mut request.preserve_fds);
    if request.tty {
        oci::set_console_size(&mut plan.process, own_terminal_size());
    }
    let session = Session::new(engine, &container)?;
    if request.detach {
        let stdio =
            if request.tty { Stdio::Terminal } else { Stdio::Fds { stdin: null()?, stdout: null()?, stderr: null()? } };
        let child = plan.run(&container, stdio, preserve_fds)?;
        events::record(engine, &container, "exec");
        session.record(&child, &request.command);
        if let Some(terminal) = child.terminal {
            hold_terminal(terminal)?;
        }
        return Ok(ExecEnd::Started(session.stays()));
    }
    let signals = ClientSignals::catch(!request.tty, request.tty)?;
    let (ours, stdio) = streams(&request)?;
    let child = plan.run(&container, stdio, preserve_fds)?;
    events::record(engine, &container, "exec");
    session.record(&child, &request.command);
    let _raw = RawTerminal::enter(request.tty && request.stdin)?;
    let mut copy = Copy::new(ours, child, &request)?;
    match copy.run(&signals)? {
        Some(code) => {
            let died = Event { exit_code: Some(code), ..events::event(&container, "exec_died") };
            storage::events::record(&engine.store, died);
            Ok(ExecEnd::Exited(code))
        }
        None => {
            if let Some(terminal) = copy.terminal.take() {
                hold_terminal(terminal.into())?;
            }
            Ok(ExecEnd::Detached(session.stays()))
        }
    }
}

/// What a short program said, for health checks and `top`.
pub(crate) struct Captured {
    /// `None`: it took too long and was killed.
    pub(crate) code: Option<i32>,
    /// Both outputs, as they came.
    pub(crate) output: Vec<u8>,
}

/// Runs a program to its end, without input.
pub(crate) fn capture(
    engine: &Engine,
    container: &Container,
    command: Vec<String>,
    timeout: Option<Duration>,
    max_output: usize,
) -> Result<Captured> {
    let container = running(engine, container)?;
    let request = ExecRequest { command, ..ExecRequest::default() };
    let plan = Plan::make(engine, &container, &request)?;
    let (read, write) = pipe()?;
    let copy = write.try_clone().map_err(Error::io("a pipe"))?;
    let child = plan.run(&container, Stdio::Fds { stdin: null()?, stdout: write, stderr: copy }, Vec::new())?;
    output_of(&child.pidfd, read, timeout, max_output)
}

/// What a process writes until it ends; one that takes too long is killed.
pub(crate) fn output_of(
    process: &Pidfd,
    read: OwnedFd,
    timeout: Option<Duration>,
    max_output: usize,
) -> Result<Captured> {
    let until = timeout.map(|timeout| Instant::now() + timeout);
    let mut output = Vec::new();
    rustix::io::ioctl_fionbio(&read, true).map_err(|error| Error::io("a pipe")(error.into()))?;
    let mut read = Some(File::from(read));
    let failed = |error| Error::io("the process in the container")(error);
    loop {
        let mut entries = vec![PollFd::from_borrowed_fd(process.as_fd(), PollFlags::IN)];
        entries.extend(read.as_ref().map(|read| PollFd::from_borrowed_fd(read.as_fd(), PollFlags::IN)));
        poll_until(&mut entries, until).map_err(Error::io("poll"))?;
        let ended = !entries[0].revents().is_empty();
        drop(entries);
        take_output(&mut read, &mut output, max_output, if ended { FULL_PIPE } else { CHUNK });
        if ended {
            let code = process.wait().map_err(failed)?.exit_code();
            return Ok(Captured { code: Some(code), output });
        }
        if until.is_some_and(|until| Instant::now() >= until) {
            process.signal(9).map_err(failed)?;
            process.wait().map_err(failed)?;
            return Ok(Captured { code: None, output });
        }
    }
}

/// What is in the pipe now, about `turn` bytes at the most; what is above the limit is thrown away.
fn take_output(from: &mut Option<File>, output: &mut Vec<u8>, max: usize, turn: usize) {
    let mut buffer = [0; 4096];
    let mut taken = 0;
    while let Some(file) = from.as_mut().filter(|_| taken < turn) {
        match file.read(&mut buffer) {
            Ok(length) if length > 0 => {
                taken += length;
                let room = max.saturating_sub(output.len());
                output.extend_from_slice(&buffer[..length.min(room)]);
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => return,
            Ok(_) | Err(_) => *from = None,
        }
    }
}

fn running(engine: &Engine, container: &Container) -> Result<Container> {
    let container = list::again(engine, container)?;
    match container.state() {
        State::Running { .. } if pause::paused(&container) => Err(Error::StateImproper {
            what: format!(
                "container {} is paused: can only create exec sessions on running containers",
                container.id()
            ),
        }),
        State::Running { .. } => Ok(container),
        State::Created | State::Initialized { .. } | State::Exited(_) | State::Removing => {
            Err(Error::StateImproper { what: "can only create exec sessions on running containers".into() })
        }
    }
}

/// Everything the runtime needs to know.
struct Plan {
    init: Process,
    process: ProcessSpec,
    seccomp: Option<oci_spec::runtime::LinuxSeccomp>,
    cgroup: Option<runtime::cgroup::Cgroup>,
    keep_groups: bool,
}

impl Plan {
    fn make(engine: &Engine, container: &Container, request: &ExecRequest) -> Result<Plan> {
        let gone = || has_ended(container);
        let init = container.state().init().cloned().ok_or_else(gone)?;
        let spec = container.spec();
        let root = open_root(&init)?.ok_or_else(gone)?;
        let files = users::files_in(&root);
        let account = users::account_in(engine, container, &files, request.user.as_deref())?;
        let security = Security { privileged: spec.security.privileged || request.privileged, ..spec.security.clone() };
        let workdir = request.workdir.clone().unwrap_or_else(|| users::workdir(container));
        let secrets = crate::secrets::environment(engine, container)?;
        let environment = environment(container, request, &account.home, secrets);
        let limits = oci::limits(&spec.ulimits, hard_limit(Resource::Nofile), hard_limit(Resource::Nproc));
        let (tty, command) = (request.tty, request.command.clone());
        let process = oci::exec_process(&security, limits, &account, tty, command, environment, &workdir)?;
        let cgroup = pause::cgroup_of(container)?;
        Ok(Plan {
            keep_groups: users::keeps_groups(spec),
            init,
            process,
            seccomp: seccomp::filter(engine, &security)?,
            cgroup,
        })
    }

    fn run(&self, container: &Container, stdio: Stdio, preserve_fds: Vec<Numbered>) -> Result<ExecChild> {
        let child = runtime::exec(runtime::ExecRequest {
            init: &self.init,
            process: &self.process,
            keep_groups: self.keep_groups,
            cgroup: self.cgroup.as_ref(),
            stdio,
            preserve_fds,
            seccomp: self.seccomp.as_ref(),
        });
        // Its end while we were on the way in shows as anything: what was to be opened is gone, or the pids are used up.
        child.map_err(|error| if self.init.alive() { error.into() } else { has_ended(container) })
    }
}

fn has_ended(container: &Container) -> Error {
    Error::StateImproper { what: format!("container {} has ended", container.id()) }
}

/// The root directory of a running container's first process; `None` when that has ended.
pub(crate) fn open_root(init: &Process) -> Result<Option<OwnedFd>> {
    // The pidfd first: it says afterwards whose root was opened.
    let Some(pidfd) = init.open() else { return Ok(None) };
    let path = PathBuf::from(format!("/proc/{}/root", init.pid));
    let root = rustix::fs::open(&path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    if pidfd.wait_end(Some(Duration::ZERO)).map_err(Error::io(&path))? {
        return Ok(None);
    }
    match root {
        Ok(root) => Ok(Some(root)),
        // It is ending, and its pidfd does not say so yet.
        Err(Errno::NOENT | Errno::SRCH) => Ok(None),
        Err(error) => Err(Error::Io { path, source: error.into() }),
    }
}

/// The container's own environment, then what depends on the user and the terminal, then the request's.
fn environment(
    container: &Container,
    request: &ExecRequest,
    home: &str,
    secrets: Vec<(String, String)>,
) -> Vec<String> {
    let spec = container.spec();
    let mut all = oci::default_environment(&container.record);
    if request.tty || spec.tty {
        all.entry("TERM".into()).or_insert_with(|| "xterm".into());
    }
    all.entry("HOME".into()).or_insert_with(|| home.to_owned());
    all.extend(secrets);
    all.extend(request.env.iter().cloned());
    all.into_iter().map(|(key, value)| format!("{key}={value}")).collect()
}

pub(crate) fn null() -> Result<OwnedFd> {
    File::options().read(true).write(true).open("/dev/null").map(OwnedFd::from).map_err(Error::io("/dev/null"))
}

pub(crate) fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(|error| Error::io("a pipe")(error.into()))
}

/// Our ends of the new process's pipes.
#[derive(Default)]
struct Ours {
    stdin: Option<OwnedFd>,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
}

fn streams(request: &ExecRequest) -> Result<(Ours, Stdio)> {
    if request.tty {
        return Ok((Ours::default(), Stdio::Terminal));
    }
    let (our_stdout, stdout) = pipe()?;
    let (our_stderr, stderr) = pipe()?;
    let (stdin, our_stdin) = if request.stdin {
        let (read, write) = pipe()?;
        (read, Some(write))
    } else {
        (null()?, None)
    };
    let ours = Ours { stdin: our_stdin, stdout: Some(our_stdout), stderr: Some(our_stderr) };
    Ok((ours, Stdio::Fds { stdin, stdout, stderr }))
}

/// The loop between our streams and the new process's.
struct Copy {
    pidfd: Pidfd,
    terminal: Option<File>,
    stdin: Option<File>,
    stdout: Option<File>,
    stderr: Option<File>,
    /// Whether there may be more on our stdin.
    input: bool,
    /// What the process has not read yet.
    pending: Vec<u8>,
    keys: DetachKeys,
    buffer: Vec<u8>,
}

impl Copy {
    fn new(ours: Ours, child: ExecChild, request: &ExecRequest) -> Result<Copy> {
        let open = |fd: Option<OwnedFd>| -> Result<Option<File>> {
            if let Some(fd) = &fd {
                rustix::io::ioctl_fionbio(fd, true).map_err(|error| Error::io("a stream")(error.into()))?;
            }
            Ok(fd.map(File::from))
        };
        Ok(Copy {
            pidfd: child.pidfd,
            terminal: open(child.terminal)?,
            stdin: open(ours.stdin)?,
            stdout: open(ours.stdout)?,
            stderr: open(ours.stderr)?,
            input: request.stdin,
            pending: Vec::new(),
            keys: DetachKeys::new(if request.tty { request.detach_keys.clone() } else { Vec::new() }),
            buffer: vec![0; CHUNK],
        })
    }

    /// The exit code, or `None` when the user detached.
    fn run(&mut self, signals: &ClientSignals) -> Result<Option<i32>> {
        loop {
            let (ready, ended) = self.wait(signals)?;
            if ready.signals {
                self.signals(signals)?;
            }
            if ready.output {
                self.take_output(CHUNK)?;
            }
            if ready.write {
                self.give_input();
            }
            if ready.input && self.read_input() {
                return Ok(None);
            }
            if ended {
                // What it wrote before its end is in the pipes. Who else holds them is not waited for.
                self.take_output(FULL_PIPE)?;
                let ended = self.pidfd.wait().map_err(Error::io("the process in the container"))?;
                return Ok(Some(ended.exit_code()));
            }
        }
    }

    fn wait(&self, signals: &ClientSignals) -> Result<(Ready, bool)> {
        let mut entries = vec![
            PollFd::from_borrowed_fd(self.pidfd.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(signals.fd.as_fd(), PollFlags::IN),
        ];
        let outputs = [&self.terminal, &self.stdout, &self.stderr];
        for output in outputs.into_iter().flatten() {
            entries.push(PollFd::from_borrowed_fd(output.as_fd(), PollFlags::IN));
        }
        let outputs = entries.len();
        let target = self.terminal.as_ref().or(self.stdin.as_ref());
        if let Some(target) = target.filter(|_| !self.pending.is_empty()) {
            entries.push(PollFd::from_borrowed_fd(target.as_fd(), PollFlags::OUT));
        }
        let writes = entries.len();
        if self.input && self.pending.is_empty() {
            entries.push(PollFd::from_borrowed_fd(rustix::stdio::stdin(), PollFlags::IN));
        }
        poll_until(&mut entries, None).map_err(Error::io("poll"))?;
        let any = |entries: &[PollFd<'_>]| entries.iter().any(|entry| !entry.revents().is_empty());
        let ready = Ready {
            signals: any(&entries[1..2]),
            output: any(&entries[2..outputs]),
            write: any(&entries[outputs..writes]),
            input: any(&entries[writes..]),
        };
        Ok((ready, any(&entries[..1])))
    }

    fn signals(&mut self, signals: &ClientSignals) -> Result<()> {
        while let Some(arrived) = signals.fd.read().map_err(Error::io("signalfd"))? {
            if arrived.signal != SIGWINCH {
                // It may have ended in this moment.
                let _ = self.pidfd.signal(arrived.signal);
            } else if let (Some(terminal), Some((columns, rows))) = (&self.terminal, own_terminal_size()) {
                let _ = sys::pty::set_size(terminal, columns, rows);
            }
        }
        Ok(())
    }

    fn take_output(&mut self, turn: usize) -> Result<()> {
        let (stdout, stderr) = (rustix::stdio::stdout(), rustix::stdio::stderr());
        pass(&mut self.terminal, stdout, "stdout", &mut self.buffer, turn)?;
        pass(&mut self.stdout, stdout, "stdout", &mut self.buffer, turn)?;
        pass(&mut self.stderr, stderr, "stderr", &mut self.buffer, turn)
    }

    /// True when the user typed the detach keys.
    fn read_input(&mut self) -> bool {
        match rustix::io::read(rustix::stdio::stdin(), self.buffer.as_mut_slice()) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            Ok(length) if length > 0 => {
                let (bytes, detached) = self.keys.feed(&self.buffer[..length]);
                self.pending = bytes;
                if detached {
                    return true;
                }
            }
            Ok(_) | Err(_) => self.input = false,
        }
        self.give_input();
        false
    }

    fn give_input(&mut self) {
        let Some(target) = self.terminal.as_mut().or(self.stdin.as_mut()) else {
            self.pending.clear();
            return;
        };
        while !self.pending.is_empty() {
            match target.write(&self.pending) {
                Ok(written) => drop(self.pending.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // It reads no more.
                Err(_) => {
                    self.pending.clear();
                    self.input = false;
                }
            }
        }
        if !self.input {
            self.stdin = None;
        }
    }
}

#[derive(Clone, Copy)]
struct Ready {
    signals: bool,
    output: bool,
    write: bool,
    input: bool,
}

/// From one of the process's outputs to ours: what is there now, about `turn` bytes at the most.
fn pass(from: &mut Option<File>, to: BorrowedFd<'_>, name: &str, buffer: &mut [u8], turn: usize) -> Result<()> {
    let mut taken = 0;
    while let Some(file) = from.as_mut().filter(|_| taken < turn) {
        match file.read(buffer) {
            Ok(length) if length > 0 => {
                taken += length;
                write_all(to, &buffer[..length]).map_err(Error::io(name))?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            // EIO: the last process has closed the terminal.
            Ok(_) | Err(_) => *from = None,
        }
    }
    Ok(())
}

/// A terminal without a holder hangs up on its programs. This process reads it to its end and nothing else.
fn hold_terminal(terminal: OwnedFd) -> Result<()> {
    let holder = sys::clone::fork(|| -> Infallible {
        let _ = rustix::process::setsid();
        let _ = rustix::io::ioctl_fionbio(&terminal, false);
        if let Ok(null) = rustix::fs::open("/dev/null", OFlags::RDWR, Mode::empty()) {
            let null = null.as_fd();
            // Whoever waits for our streams to close must not wait for the terminal.
            let _ = sys::task::out_of_the_way(terminal.as_fd(), 3).map(|terminal| {
                let _ = sys::task::place_descriptors(0, &[null, null, null]);
                read_to_end(terminal)
            });
        }
        sys::clone::exit_now(0)
    });
    holder.map(drop).map_err(Error::io("a process to hold the terminal"))
}

fn read_to_end(terminal: OwnedFd) {
    let mut terminal = File::from(terminal);
    let mut buffer = [0; 4096];
    loop {
        match terminal.read(&mut buffer) {
            Ok(length) if length > 0 => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(_) | Err(_) => return,
        }
    }
}

/// What is known of an exec while it runs: `exec/ID` in the container's run directory, for inspect.
#[derive(Serialize, Deserialize)]
pub(crate) struct ExecRecord {
    pub(crate) process: Process,
    pub(crate) command: Vec<String>,
}

struct Session {
    id: ContainerId,
    path: PathBuf,
    stays: bool,
}

impl Session {
    fn new(engine: &Engine, container: &Container) -> Result<Session> {
        let id = ContainerId::random().map_err(Error::io("/dev/urandom"))?;
        let path = engine.run_dir(container.id()).join("exec").join(id.as_str());
        Ok(Session { id, path, stays: false })
    }

    /// The process runs already: that it cannot be shown, on a full disk, is no reason to leave it alone.
    fn record(&self, child: &ExecChild, command: &[String]) {
        // It may have ended already: then there is nothing to show.
        let Ok(process) = Process::of(child.pid) else { return };
        let record = ExecRecord { process, command: command.to_vec() };
        let write = || -> io::Result<()> {
            let text = serde_json::to_vec(&record)?;
            if let Some(dir) = self.path.parent() {
                match std::fs::create_dir(dir) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                    Ok(()) | Err(_) => {}
                }
            }
            std::fs::write(&self.path, text)
        };
        match write() {
            // The container has ended, and its run directory with it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(path = %self.path.display(), %error, "cannot write what runs down"),
            Ok(()) => {}
        }
    }

    fn stays(mut self) -> String {
        self.stays = true;
        self.id.to_string()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if !self.stays {
            // Gone with the container, or never written.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// The ids of the execs that run in a container.
pub(crate) fn sessions(engine: &Engine, container: &Container) -> Vec<String> {
    let dir = engine.run_dir(container.id()).join("exec");
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut ids: Vec<String> = entries
        .flatten()
        .filter_map(|entry| {
            let record: ExecRecord = serde_json::from_slice(&std::fs::read(entry.path()).ok()?).ok()?;
            record.process.alive().then(|| entry.file_name().into_string().ok()).flatten()
        })
        .collect();
    ids.sort();
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_that_never_rests_gets_one_turn() {
        let endless = || Some(File::open("/dev/zero").unwrap());
        let mut output = Vec::new();
        take_output(&mut endless(), &mut output, 100, CHUNK);
        assert_eq!(output, [0; 100]);
        pass(&mut endless(), null().unwrap().as_fd(), "null", &mut [0; CHUNK], FULL_PIPE).unwrap();
    }
}
