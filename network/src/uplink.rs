//! The way out: a user-mode network stack as a child process.

use std::convert::Infallible;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::pipe::PipeFlags;
use serde::{Deserialize, Serialize};
use sys::clone::Child;
use sys::process::{Ended, Pidfd, Process};
use sys::task::StringList;

use crate::addresses::{self, Addresses};
use crate::{Error, Mode, Result, pasta, slirp, stack};

/// Which user-mode network stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UplinkKind {
    /// Our own, which is always there.
    Creel,
    Slirp,
    Pasta,
}

impl UplinkKind {
    fn program(self) -> &'static str {
        match self {
            UplinkKind::Creel => stack::NAME,
            UplinkKind::Slirp => slirp::PROGRAM,
            UplinkKind::Pasta => pasta::PROGRAM,
        }
    }

    /// Where distributions and Podman's packages put it. The caller's PATH is not asked: it may lead into a project's
    /// directory.
    fn path(self) -> Option<PathBuf> {
        if self == UplinkKind::Creel {
            return Some("/proc/self/exe".into());
        }
        const PLACES: [&str; 8] = [
            "/usr/local/bin",
            "/usr/bin",
            "/bin",
            "/usr/local/libexec/podman",
            "/usr/libexec/podman",
            "/usr/lib/podman",
            "/run/current-system/sw/bin",
            "/usr/sbin",
        ];
        PLACES.iter().map(|place| PathBuf::from(place).join(self.program())).find(|path| path.is_file())
    }
}

impl fmt::Display for UplinkKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.program())
    }
}

impl FromStr for UplinkKind {
    type Err = Error;

    fn from_str(text: &str) -> Result<UplinkKind> {
        match text {
            stack::NAME => Ok(UplinkKind::Creel),
            slirp::PROGRAM => Ok(UplinkKind::Slirp),
            pasta::PROGRAM => Ok(UplinkKind::Pasta),
            _ => Err(Error::invalid("default_rootless_network_cmd", text, "must be creel, pasta or slirp4netns")),
        }
    }
}

/// The stack to use for `mode`: the one it names, else the one of containers.conf (`conf`), else our own.
pub fn choose(mode: &Mode, conf: Option<&str>) -> Result<UplinkKind> {
    let kind = match (mode, conf) {
        (Mode::Creel(_), _) => UplinkKind::Creel,
        (Mode::Slirp4netns(_), _) => UplinkKind::Slirp,
        (Mode::Pasta(_), _) => UplinkKind::Pasta,
        (_, Some(conf)) if !conf.is_empty() => conf.parse()?,
        _ => UplinkKind::Creel,
    };
    kind.path().map(|_| kind).ok_or_else(|| Error::NoUplink(kind.program().into()))
}

/// Refuses what the stack has no option for; the options of pasta are pasta's own affair.
pub fn check_mode(mode: &Mode) -> Result<()> {
    match mode {
        Mode::Creel(options) => slirp::Options::parse(stack::NAME, options).map(drop),
        Mode::Slirp4netns(options) => slirp::Options::parse(slirp::PROGRAM, options).map(drop),
        _ => Ok(()),
    }
}

/// What is known before the stack runs: the name servers and the host's address are right, the rest is what it will
/// be at best.
pub fn expected_addresses(kind: UplinkKind, options: &[String]) -> Addresses {
    match kind {
        UplinkKind::Creel => stack::Options::parse(options).map(|options| options.addresses()).unwrap_or_default(),
        UplinkKind::Slirp => {
            slirp::Options::parse(slirp::PROGRAM, options).map(|options| options.addresses()).unwrap_or_default()
        }
        UplinkKind::Pasta => {
            let features = pasta_features().unwrap_or(pasta::Features { map_guest_addr: false });
            let style = pasta::style(options, features, addresses::template());
            let mut addresses = if style == pasta::Style::Constant { pasta::constant() } else { Addresses::default() };
            pasta::complete(&mut addresses, options, features, style);
            addresses
        }
    }
}

pub(crate) fn pasta_features() -> Option<pasta::Features> {
    Some(pasta::Features::of(&std::fs::read(UplinkKind::Pasta.path()?).ok()?))
}

/// A running stack. Dropping it ends it.
#[derive(Debug)]
pub struct Uplink {
    kind: UplinkKind,
    child: Option<Child>,
    init_pid: i32,
    expected: Addresses,
    is_fixed: bool,
    /// The program's side of it is closed when it ends.
    ready: Option<OwnedFd>,
    /// Its closing tells slirp4netns to end, also when this process is killed.
    _exit: OwnedFd,
    log: File,
    /// What the user should know although all goes on.
    pub warning: Option<String>,
}

/// How long the stack may take to become ready on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between the end of its messages and its own.
const LAST_STEPS: Duration = Duration::from_secs(1);
/// Bytes of its messages that are kept.
const LOG_SIZE: u64 = 8192;

/// Starts the stack for the namespace `netns`, whose first process is `init_pid`, and returns at once:
/// [`Uplink::ready`] waits.
///
/// The caller is in the host's network namespace and has CAP_SYS_ADMIN over the user namespace that owns `netns`. The
/// child dies with the caller.
pub fn start_uplink(kind: UplinkKind, options: &[String], init_pid: i32, netns: BorrowedFd<'_>) -> Result<Uplink> {
    let path = kind.path().ok_or_else(|| Error::NoUplink(kind.program().into()))?;
    let (arguments, expected, is_fixed) = match kind {
        UplinkKind::Creel => {
            let expected = stack::Options::parse(options)?.addresses();
            (["uplink".to_owned()].into_iter().chain(options.iter().cloned()).collect(), expected, true)
        }
        UplinkKind::Slirp => {
            let options = slirp::Options::parse(slirp::PROGRAM, options)?;
            (options.arguments()?, options.addresses(), true)
        }
        UplinkKind::Pasta => {
            let features = pasta_features().ok_or_else(|| Error::NoUplink(kind.program().into()))?;
            let style = pasta::style(options, features, addresses::template());
            let mut expected = Addresses::default();
            pasta::complete(&mut expected, options, features, style);
            (pasta::arguments(options, features, style), expected, false)
        }
    };
    let action = format!("start {kind}");
    let (ready, ready_child) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(Error::kernel(&action))?;
    let (exit_child, exit) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(Error::kernel(&action))?;
    let log = log_file().map_err(Error::kernel(&action))?;
    let path = path.to_string_lossy().into_owned();
    let name = if kind == UplinkKind::Creel { stack::NAME } else { path.as_str() };
    let words = StringList::new([name].into_iter().chain(arguments.iter().map(String::as_str)));
    let words = words.map_err(Error::kernel(&action))?;
    let path = StringList::new([path]).map_err(Error::kernel(&action))?;
    let mut environment = vec!["LC_ALL=C".to_owned(), "PATH=/usr/local/bin:/usr/bin:/bin".to_owned()];
    if kind == UplinkKind::Creel {
        environment.push(sys::memory::sparse_environment());
    }
    let environment = StringList::new(environment).map_err(Error::kernel(&action))?;
    let out = match kind {
        UplinkKind::Creel | UplinkKind::Slirp => log.as_fd(),
        UplinkKind::Pasta => ready_child.as_fd(),
    };
    let descriptors = [netns, out, log.as_fd(), ready_child.as_fd(), exit_child.as_fd()];
    let parent = rustix::process::getpid();
    let child = sys::clone::fork(|| become_uplink(&path, &words, &environment, &descriptors, parent))
        .map_err(Error::kernel(&action))?;
    tracing::debug!(%kind, pid = child.pid, ?arguments, "started the uplink");
    Ok(Uplink {
        kind,
        child: Some(child),
        init_pid,
        expected,
        is_fixed,
        ready: Some(ready),
        _exit: exit,
        log,
        warning: None,
    })
}

/// In the child: what it says on failure goes to the log that the parent reads.
fn become_uplink(
    path: &StringList,
    words: &StringList,
    environment: &StringList,
    descriptors: &[BorrowedFd<'_>; 5],
    parent: rustix::process::Pid,
) -> Infallible {
    let exec = || -> io::Result<Infallible> {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
        // The parent may have died before the line above.
        if rustix::process::getppid() != Some(parent) {
            return Err(io::ErrorKind::NotConnected.into());
        }
        sys::signals::reset_for_exec()?;
        sys::task::place_descriptors(0, descriptors)?;
        sys::task::close_on_exec_from(descriptors.len() as u32)?;
        let path = path.first().ok_or(io::ErrorKind::InvalidInput)?;
        Err(sys::task::execve(path, words, environment))
    };
    let Err(error) = exec();
    let _ = rustix::io::write(descriptors[2], error.to_string().as_bytes());
    sys::clone::exit_now(127)
}

/// A file in memory that cannot grow: a program that talks for months costs nothing.
fn log_file() -> io::Result<File> {
    let file = rustix::fs::memfd_create("uplink", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    rustix::fs::ftruncate(&file, LOG_SIZE)?;
    rustix::fs::fcntl_add_seals(&file, SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?;
    Ok(file.into())
}

impl Uplink {
    /// Waits until the interface is up, and says which addresses it has.
    ///
    /// A pasta too old to start on a host without a network leaves the container with loopback only, and a warning.
    pub fn ready(&mut self) -> Result<Addresses> {
        if !self.up()? {
            return self.failed();
        }
        if self.is_fixed || self.child.is_none() {
            return Ok(self.expected.clone());
        }
        let seen = addresses::of_process(self.init_pid)?;
        let expected = self.expected.clone();
        Ok(Addresses {
            dns: expected.dns,
            host_gateway: expected.host_gateway,
            host_alias: expected.host_alias,
            host_alias6: expected.host_alias6,
            ..seen
        })
    }

    /// Waits until the interface is up. False: the program has ended.
    fn up(&mut self) -> Result<bool> {
        match self.ready.take() {
            Some(ready) => said_ready(&ready).map_err(Error::kernel(format!("wait for {}", self.kind))),
            None => Ok(self.child.is_some()),
        }
    }

    /// The same for a namespace whose addresses are known.
    ///
    /// # Errors
    /// [`Error::Uplink`] with what the program said.
    pub(crate) fn wait_up(&mut self) -> Result<()> {
        match self.up()? {
            true => Ok(()),
            false => Err(self.failure()),
        }
    }

    fn failed(&mut self) -> Result<Addresses> {
        let failure = self.failure();
        let template = addresses::template();
        if self.kind == UplinkKind::Pasta && !template.v4 && !template.v6 {
            self.warning = Some(
                "this version of pasta does not start without a network on the host; only loopback is there".into(),
            );
            self.expected = Addresses::default();
            return Ok(Addresses::default());
        }
        Err(failure)
    }

    /// Why the program has ended, or is ended now.
    fn failure(&mut self) -> Error {
        // It closes its end of the pipe on its way out.
        let ended = self.child.take().and_then(|child| {
            if !child.pidfd.wait_end(Some(LAST_STEPS)).unwrap_or(false) {
                let _ = child.pidfd.signal(rustix::process::Signal::KILL.as_raw());
            }
            child.pidfd.wait().ok()
        });
        let code = match ended {
            Some(Ended::Code(code)) => Some(code),
            Some(Ended::Signal(_)) | None => None,
        };
        Error::Uplink { program: self.kind.program(), code, log: self.log() }
    }

    /// What the program said so far, without pasta's remarks on a missing syslog.
    fn log(&self) -> String {
        let mut bytes = vec![0; LOG_SIZE as usize];
        let length = self.log.read_at(&mut bytes, 0).unwrap_or(0);
        let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
        let lines = text.trim_end_matches('\0').lines().map(str::trim);
        let lines = lines
            .filter(|line| !line.is_empty() && !line.starts_with("Failed to send") && !line.starts_with("WARNING"));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// The identity to keep on disk; `None` when it is not running.
    pub fn process(&self) -> Option<Process> {
        Process::of(self.child.as_ref()?.pid).ok()
    }

    /// Readable when the stack has ended.
    pub fn pidfd(&self) -> Option<&Pidfd> {
        self.child.as_ref().map(|child| &child.pidfd)
    }

    fn end(&mut self) {
        if let Some(child) = self.child.take() {
            let _ = child.pidfd.signal(rustix::process::Signal::KILL.as_raw());
            let _ = child.pidfd.wait();
        }
    }
}

impl Drop for Uplink {
    fn drop(&mut self) {
        self.end();
    }
}

/// Both programs write something once they are ready; the pipe's end without a byte means that they are gone.
fn said_ready(pipe: &OwnedFd) -> io::Result<bool> {
    let until = Instant::now() + PATIENCE;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        match poll(&mut [PollFd::new(pipe, PollFlags::IN)], Some(&left)) {
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            Ok(_) => return Ok(rustix::io::read(pipe, &mut [0; 16])? > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_conf_may_name_the_stack() {
        assert_eq!("pasta".parse::<UplinkKind>().unwrap(), UplinkKind::Pasta);
        assert!("vpnkit".parse::<UplinkKind>().is_err());
    }

    #[test]
    fn the_log_keeps_its_size() {
        use std::io::Write;
        let mut log = log_file().unwrap();
        log.write_all(&[b'x'; LOG_SIZE as usize]).unwrap();
        assert!(log.write_all(b"more").is_err());
    }
}
