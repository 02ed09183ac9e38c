//! Control groups: limits, accounting and the set of a container's processes, see cgroups(7) and the kernel's
//! admin-guide/cgroup-v2.
//!
//! Only version 2. Where a service manager runs, all containers of a user are parts of one scope that it has delegated to
//! us (`creel-*.scope`), so that a container costs one mkdir and no conversation. Where nothing can be had, containers run
//! in the caller's cgroup; a limit that was asked for is then an error, never silently left out.

mod limits;
mod manager;

use std::cell::RefCell;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use oci_spec::runtime::LinuxResources;
use rustix::event::{PollFd, PollFlags};
use rustix::fs::{Mode, OFlags};
use sys::clone::{CloneRequest, clone_idle};

use self::limits::{Wanted, file_refused, unified, wanted_limits};
pub use self::manager::Manager;
use self::manager::{MONITORS, Unavailable, enable_controllers, wait_until};
use crate::systemd::{Answer, Systemd};
use crate::{Error, Result};

const MOUNT: &str = "/sys/fs/cgroup";
/// How the name of a cgroup begins that several containers share.
const GROUP_PREFIX: &str = "libpod_pod_";
/// How long a service manager may take to move a process.
const PATIENCE: Duration = Duration::from_secs(10);

/// The caller's own cgroup.
fn own_path() -> Option<PathBuf> {
    unified_path(&fs::read_to_string("/proc/self/cgroup").ok()?)
}

/// The line of the unified hierarchy in proc_pid_cgroup(5).
fn unified_path(text: &str) -> Option<PathBuf> {
    text.lines().find_map(|line| line.strip_prefix("0::")).map(PathBuf::from)
}

fn on_disk(path: &Path) -> PathBuf {
    Path::new(MOUNT).join(path.strip_prefix("/").unwrap_or(path))
}

/// The cgroup of one container. Dropping it leaves it in place; [`Cgroup::remove`] takes it away.
#[derive(Debug)]
pub struct Cgroup {
    /// Below the hierarchy's mount point, as `/proc/PID/cgroup` has it.
    pub path: PathBuf,
    directory: OwnedFd,
    pin: RefCell<Option<Pin>>,
}

/// A process that only keeps a cgroup from looking abandoned until the container's first one is there.
#[derive(Debug)]
struct Pin(sys::clone::Child);

impl Drop for Pin {
    fn drop(&mut self) {
        // Errors mean that it is gone already, which is the aim.
        let _ = self.0.pidfd.signal(9);
        let _ = self.0.pidfd.wait();
    }
}

/// What a cgroup has used so far; `None` where the controller that counts it is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Microseconds.
    pub cpu_usage: u64,
    pub cpu_user: u64,
    pub cpu_system: u64,
    /// Bytes, without what the kernel can give back at once (inactive page cache).
    pub memory: Option<u64>,
    /// Bytes; `None` without a limit.
    pub memory_limit: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
    pub pids_limit: Option<u64>,
    /// Bytes read and written.
    pub io: Option<(u64, u64)>,
}

impl Cgroup {
    /// A new cgroup with limits. `parent` is a slice for systemd, a path below our base for cgroupfs. `None` where there
    /// is no cgroup to be had and no limit was asked for.
    ///
    /// The calling process may be moved, by systemd, into a scope of ours: from a login session no
    /// process can be born there.
    ///
    /// # Errors
    /// [`Error::Limit`] for a limit that the machine does not let us set. Each limit is read back.
    pub fn create(
        manager: &Manager,
        name: &str,
        parent: Option<&str>,
        limits: &LinuxResources,
    ) -> Result<Option<Cgroup>> {
        Cgroup::with_retries(manager, None, name, parent, limits)
    }

    /// The same inside of a cgroup that several containers share: made, and given `limits_of_all`, by each that comes.
    /// [`Cgroup::remove`] of the last takes it away.
    pub fn create_in(
        manager: &Manager,
        group: &str,
        limits_of_all: &LinuxResources,
        name: &str,
        parent: Option<&str>,
        limits: &LinuxResources,
    ) -> Result<Option<Cgroup>> {
        Cgroup::with_retries(manager, Some((group, limits_of_all)), name, parent, limits)
    }

    fn with_retries(
        manager: &Manager,
        group: Option<(&str, &LinuxResources)>,
        name: &str,
        parent: Option<&str>,
        limits: &LinuxResources,
    ) -> Result<Option<Cgroup>> {
        let mut wanted = wanted_limits(limits);
        wanted.extend(group.into_iter().flat_map(|(_, limits_of_all)| wanted_limits(limits_of_all)));
        for _ in 0..5 {
            match Cgroup::attempt(manager, group, name, parent, limits, &wanted) {
                // The scope, or the group, went away under us, with the last container of it.
                Err(Error::Cgroup { source, .. }) if is_gone(&source) => {}
                other => return other,
            }
        }
        Cgroup::attempt(manager, group, name, parent, limits, &wanted)
    }

    fn attempt(
        manager: &Manager,
        group: Option<(&str, &LinuxResources)>,
        name: &str,
        parent: Option<&str>,
        limits: &LinuxResources,
        wanted: &[Wanted],
    ) -> Result<Option<Cgroup>> {
        let holder = match manager.holder(parent) {
            Ok(holder) => holder,
            Err(Unavailable::Wrong(error)) => return Err(error),
            Err(unavailable) => {
                return match (wanted.first(), unified(limits).next()) {
                    (Some(limit), _) => Err(limit.refused(unavailable.why())),
                    (None, Some((file, _))) => Err(file_refused(file, unavailable.why())),
                    (None, None) => Ok(None),
                };
            }
        };
        // A monitor for which a scope was made may still be on its way out of the top.
        enable_controllers(&holder, Duration::from_secs(1));
        let mut path = holder.clone();
        if let Some((group, limits_of_all)) = group {
            path.push(format!("{GROUP_PREFIX}{group}"));
            make_directory(&on_disk(&path))?;
            let around = Cgroup::open(&path)?;
            if let Err(error) = around.apply(limits_of_all) {
                let _ = fs::remove_dir(on_disk(&path));
                return Err(error);
            }
            enable_controllers(&path, Duration::ZERO);
        }
        path.push(name);
        let directory = on_disk(&path);
        make_directory(&directory)?;
        let cgroup = Cgroup::open(&path)?;
        let pinned = if own_path().is_some_and(|own| own.starts_with(&holder)) { Ok(()) } else { cgroup.pin() };
        if let Err(error) = pinned.and_then(|()| cgroup.apply(limits)) {
            cgroup.release();
            let _ = fs::remove_dir(&directory);
            remove_group_if_last(&path);
            return Err(error);
        }
        Ok(Some(cgroup))
    }

    /// One that exists.
    pub fn open(path: &Path) -> Result<Cgroup> {
        let directory = on_disk(path);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(&directory, flags, Mode::empty())
            .map_err(|error| Error::Cgroup { path: directory, source: error.into() })?;
        Ok(Cgroup { path: path.to_owned(), directory: opened, pin: RefCell::new(None) })
    }

    /// The one a process is in now.
    pub fn of_process(pid: i32) -> Option<Cgroup> {
        let path = unified_path(&fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?)?;
        Cgroup::open(&path).ok()
    }

    /// Without a process in it a scope can be taken away by systemd at any moment.
    fn pin(&self) -> Result<()> {
        let request = CloneRequest { namespaces: 0, cgroup: Some(self.directory.as_fd()) };
        let child =
            clone_idle(&request, || {}).map_err(|source| Error::Cgroup { path: on_disk(&self.path), source })?;
        self.pin.replace(Some(Pin(child)));
        Ok(())
    }

    /// Has the caller moved, by systemd, to where a process of its can be born in this cgroup. For callers in a login
    /// session, whose way there does not lead through a cgroup of theirs.
    pub(crate) fn bring_caller_near(&self) -> Result<()> {
        let failed = |source: io::Error| self.error("cgroup.procs", source);
        let names: Vec<&str> = self.path.iter().filter_map(std::ffi::OsStr::to_str).collect();
        let uid = names.iter().find_map(|name| name.strip_prefix("user@")?.strip_suffix(".service")?.parse().ok());
        let Some(uid) = uid else { return Err(failed(io::ErrorKind::PermissionDenied.into())) };
        let pid = std::process::id();
        let scope = names.iter().find(|name| name.starts_with("creel-") && name.ends_with(".scope"));
        // A container in a service's own cgroup: who visits it stays out of that, and does not end with it.
        let unit = scope.map_or_else(|| format!("exec-of-creel-{pid}.scope"), |scope| (*scope).to_owned());
        let mut systemd = Systemd::connect(uid).map_err(failed)?;
        let answer = match scope {
            Some(scope) => systemd.attach_process(scope, MONITORS, pid),
            None => systemd.start_scope(&unit, "user.slice", pid),
        };
        match answer.map_err(failed)? {
            Answer::Done => {}
            Answer::Refused { name, text } => return Err(failed(io::Error::other(format!("{text} ({name})")))),
        }
        let there = || own_path().is_some_and(|own| own.iter().any(|name| *name == *unit));
        if wait_until(Instant::now() + PATIENCE, there) { Ok(()) } else { Err(failed(io::ErrorKind::TimedOut.into())) }
    }

    /// The container's first process is there.
    pub(crate) fn release(&self) {
        self.pin.replace(None);
    }

    /// For CLONE_INTO_CGROUP.
    pub(crate) fn directory(&self) -> Option<BorrowedFd<'_>> {
        Some(self.directory.as_fd())
    }

    pub fn stats(&self) -> Stats {
        let flat = |file: &str| self.read(file).unwrap_or_default();
        let field = |text: &str, name: &str| {
            text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse::<u64>().ok()).unwrap_or(0)
        };
        let single = |file: &str| flat(file).trim().parse::<u64>().ok();
        let cpu = flat("cpu.stat");
        let cache = field(&flat("memory.stat"), "inactive_file");
        let io = self.read("io.stat").ok().map(|text| {
            let sum = |name: &str| {
                let words = text.split_ascii_whitespace();
                words.filter_map(|word| word.strip_prefix(name)?.strip_prefix('=')?.parse::<u64>().ok()).sum()
            };
            (sum("rbytes"), sum("wbytes"))
        });
        Stats {
            cpu_usage: field(&cpu, "usage_usec"),
            cpu_user: field(&cpu, "user_usec"),
            cpu_system: field(&cpu, "system_usec"),
            memory: single("memory.current").map(|memory| memory.saturating_sub(cache)),
            memory_limit: single("memory.max"),
            pids: single("pids.current"),
            pids_limit: single("pids.max"),
            io,
        }
    }

    /// Stops every process in it, and waits until they stand still.
    pub fn freeze(&self) -> Result<()> {
        self.change_state("cgroup.freeze", "1", "frozen 1")
    }

    pub fn thaw(&self) -> Result<()> {
        self.change_state("cgroup.freeze", "0", "frozen 0")
    }

    pub fn is_frozen(&self) -> bool {
        self.read("cgroup.events").is_ok_and(|events| events.lines().any(|line| line == "frozen 1"))
    }

    /// Kills every process in it (Linux 5.14).
    pub fn kill(&self) -> Result<()> {
        self.write("cgroup.kill", "1").map_err(|source| self.error("cgroup.kill", source))
    }

    /// All processes in it and its parts.
    pub fn pids(&self) -> Vec<i32> {
        let mut all = Vec::new();
        collect_pids(&on_disk(&self.path), &mut all);
        all
    }

    /// What can be limited in it: `cpu`, `memory`, `pids` ...
    pub fn controllers(&self) -> Vec<String> {
        let words = self.read("cgroup.controllers").unwrap_or_default();
        words.split_ascii_whitespace().map(str::to_owned).collect()
    }

    /// Whether the kernel has killed a process in it for lack of memory.
    pub fn oom_killed(&self) -> bool {
        let events = self.read("memory.events").unwrap_or_default();
        events.lines().any(|line| line.strip_prefix("oom_kill ").is_some_and(|count| count != "0"))
    }

    /// Takes it away, with its parts and whatever still runs in them.
    pub fn remove(self) -> Result<()> {
        self.release();
        let directory = on_disk(&self.path);
        match remove_tree(&directory) {
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::BUSY.raw_os_error()) => {
                self.kill()?;
                self.wait_for("populated 0")?;
                remove_tree(&directory)
            }
            other => other,
        }
        .inspect(|()| remove_group_if_last(&self.path))
        .or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
        .map_err(|source| Error::Cgroup { path: directory, source })
    }

    fn change_state(&self, file: &str, value: &str, event: &str) -> Result<()> {
        self.write(file, value).map_err(|source| self.error(file, source))?;
        self.wait_for(event)
    }

    /// Waits for a line of `cgroup.events`; the kernel tells a poller of every change.
    fn wait_for(&self, event: &str) -> Result<()> {
        let failed = |source: io::Error| self.error("cgroup.events", source);
        let until = Instant::now() + PATIENCE;
        let events = self.open_file("cgroup.events", OFlags::RDONLY).map_err(failed)?;
        loop {
            let mut buffer = [0; 256];
            let count = rustix::io::pread(&events, &mut buffer, 0).map_err(|error| failed(error.into()))?;
            if String::from_utf8_lossy(&buffer[..count]).lines().any(|line| line == event) {
                return Ok(());
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(failed(io::ErrorKind::TimedOut.into()));
            }
            let timeout = rustix::time::Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            };
            match rustix::event::poll(&mut [PollFd::new(&events, PollFlags::PRI)], Some(&timeout)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(failed(error.into())),
            }
        }
    }

    fn error(&self, file: &str, source: io::Error) -> Error {
        Error::Cgroup { path: on_disk(&self.path).join(file), source }
    }

    fn open_file(&self, name: &str, flags: OFlags) -> io::Result<File> {
        Ok(rustix::fs::openat(&self.directory, name, flags | OFlags::CLOEXEC, Mode::empty())?.into())
    }

    fn read(&self, name: &str) -> io::Result<String> {
        let mut text = String::new();
        io::Read::read_to_string(&mut self.open_file(name, OFlags::RDONLY)?, &mut text)?;
        Ok(text)
    }

    fn write(&self, name: &str, value: &str) -> io::Result<()> {
        io::Write::write_all(&mut self.open_file(name, OFlags::WRONLY)?, value.as_bytes())
    }
}

/// What using a directory that has been removed gives.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error())
}

fn collect_pids(directory: &Path, all: &mut Vec<i32>) {
    let text = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
    all.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
    for part in parts(directory) {
        collect_pids(&part, all);
    }
}

fn parts(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect()
}

fn remove_tree(directory: &Path) -> io::Result<()> {
    match fs::remove_dir(directory) {
        // The usual case: it has no parts.
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(_) => {}
    }
    for part in parts(directory) {
        remove_tree(&part)?;
    }
    fs::remove_dir(directory)
}

/// Left by one that was killed it is empty, or it could not be ours.
fn make_directory(directory: &Path) -> Result<()> {
    match fs::create_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other.map_err(|source| Error::Cgroup { path: directory.to_owned(), source }),
    }
}

/// The group that a cgroup was made in; one with other parts in it stays.
fn remove_group_if_last(path: &Path) {
    let Some(group) = path.parent() else { return };
    let is_group = group.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(GROUP_PREFIX));
    if is_group {
        let _ = fs::remove_dir(on_disk(group));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unified_line_is_found_among_others() {
        let text = "9:name=systemd:/x\n0::/user.slice/user-1000.slice/session-1.scope\n";
        assert_eq!(unified_path(text), Some("/user.slice/user-1000.slice/session-1.scope".into()));
        assert_eq!(unified_path("1:cpu:/\n"), None);
    }
}
