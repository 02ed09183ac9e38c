//! Control groups: limits, accounting and the set of a container's processes, see cgroups(7) and the kernel's
//! admin-guide/cgroup-v2.
//!
//! Only version 2. Where a service manager runs, all containers of a user are parts of one scope that it has delegated to
//! us (`creel-*.scope`), so that a container costs one mkdir and no conversation. Where nothing can be had, containers run in
//! the caller's cgroup; a limit that was asked for is then an error, never silently left out.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use libcgroups::common::{CgroupManager as _, ControllerOpt};
use oci_spec::runtime::LinuxResources;
use rustix::event::{PollFd, PollFlags};
use rustix::fs::{Access, Mode, OFlags};
use sys::clone::{CloneRequest, clone_child};

use crate::systemd::{self, Answer, Systemd};
use crate::{Error, Result};

const MOUNT: &str = "/sys/fs/cgroup";
const CGROUP2_SUPER_MAGIC: i64 = 0x6367_7270;
/// How the name of a cgroup begins that several containers share.
const GROUP_PREFIX: &str = "libpod_pod_";
/// Where monitors go that systemd had to bring in: a cgroup with parts may have no processes of its own.
const MONITORS: &str = "/monitors";
/// How long a service manager may take to move a process.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who makes cgroups for us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Manager {
    /// The user's systemd, which delegates a scope. `uid` is the caller's outside of the user namespace.
    Systemd { uid: u32 },
    /// A cgroup, below the mount point, that we may divide.
    Cgroupfs { base: PathBuf },
    /// Nobody, and why.
    None { why: &'static str },
}

impl Manager {
    /// `wanted` is `systemd` or `cgroupfs` as containers.conf has it, and gives way to what the machine has; `uid` is the
    /// caller's outside of the user namespace.
    pub fn choose(wanted: Option<&str>, uid: u32) -> Result<Manager> {
        if let Some(other) = wanted.filter(|wanted| !matches!(*wanted, "" | "systemd" | "cgroupfs")) {
            return Err(Error::configuration(format!(
                "`{other}` is no cgroup manager, there are systemd and cgroupfs"
            )));
        }
        let unified = rustix::fs::statfs(MOUNT).is_ok_and(|stat| stat.f_type == CGROUP2_SUPER_MAGIC);
        if !unified {
            return Ok(Manager::None {
                why: "and this machine does not have the unified cgroup hierarchy (version 2)",
            });
        }
        if wanted != Some("cgroupfs") && systemd::socket_of(uid).exists() {
            return Ok(Manager::Systemd { uid });
        }
        match own_path().as_deref().and_then(delegated) {
            Some(base) => Ok(Manager::Cgroupfs { base }),
            None => {
                Ok(Manager::None { why: "and no cgroup is delegated to this user: there is no systemd user session" })
            }
        }
    }

    /// The cgroup that the caller is in, as a service of systemd with `Delegate=yes` is: the container's becomes a part of it.
    pub fn own() -> Result<Manager> {
        let refused = |why: &str| {
            Error::configuration(format!("--cgroups=split {why}: the unit needs Delegate=yes, or leave the flag out"))
        };
        let own = own_path().ok_or_else(|| refused("needs the unified cgroup hierarchy (version 2)"))?;
        // We may have stepped aside before.
        let base = match own.file_name() {
            Some(name) if name == MONITORS.trim_start_matches('/') => own.parent().unwrap_or(&own).to_owned(),
            _ => own,
        };
        match is_ours(&base) {
            true => Ok(Manager::Cgroupfs { base }),
            false => Err(refused(&format!("cannot divide the cgroup {}", base.display()))),
        }
    }

    /// Moves the caller, and whom it starts from now on, out of the way of controllers: into a part of the delegated
    /// cgroup. For commands that stay while a container of theirs runs.
    pub fn step_aside(&self) -> Result<()> {
        match self {
            Manager::Cgroupfs { base } => {
                leave_top(base).map_err(|source| Error::Cgroup { path: on_disk(base), source })
            }
            Manager::Systemd { .. } | Manager::None { .. } => Ok(()),
        }
    }
}

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

/// The uppermost cgroup around `own` that is ours to divide: there controllers come in, and from a part of it they may
/// not be passed on to another one.
fn delegated(own: &Path) -> Option<PathBuf> {
    own.ancestors().take_while(|path| is_ours(path)).last().map(Path::to_owned)
}

/// Whether processes may be put there, and parts made.
fn is_ours(path: &Path) -> bool {
    let directory = on_disk(path);
    let writable = |path: &Path| rustix::fs::access(path, Access::WRITE_OK).is_ok();
    writable(&directory) && writable(&directory.join("cgroup.procs"))
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
        let holder = match manager {
            Manager::None { why } => Err(Unavailable::Machine(why)),
            Manager::Systemd { uid } => systemd_holder(*uid, parent),
            Manager::Cgroupfs { base } => cgroupfs_holder(base, parent),
        };
        let holder = match holder {
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
        let wait_for_the_end = || loop {
            sys::signals::pause();
        };
        let child = clone_child(&request, wait_for_the_end)
            .map_err(|source| Error::Cgroup { path: on_disk(&self.path), source })?;
        self.pin.replace(Some(Pin(child)));
        Ok(())
    }

    /// Has the caller moved, by systemd, to where a process of its can be born in this cgroup. For callers in a login
    /// session, whose way there does not lead through a cgroup of theirs.
    pub(crate) fn bring_caller_near(&self) -> Result<()> {
        let failed = |source: io::Error| self.error("cgroup.procs", source);
        let names: Vec<&str> = self.path.iter().filter_map(std::ffi::OsStr::to_str).collect();
        let uid = names.iter().find_map(|name| name.strip_prefix("user@")?.strip_suffix(".service")?.parse().ok());
        let unit = names.iter().find(|name| name.starts_with("creel-") && name.ends_with(".scope"));
        let (Some(uid), Some(unit)) = (uid, unit) else {
            return Err(failed(io::ErrorKind::PermissionDenied.into()));
        };
        let mut systemd = Systemd::connect(uid).map_err(failed)?;
        match systemd.attach_process(unit, MONITORS, std::process::id()).map_err(failed)? {
            Answer::Done => {}
            Answer::Refused { name, text } => return Err(failed(io::Error::other(format!("{text} ({name})")))),
        }
        let there = || own_path().is_some_and(|own| own.iter().any(|name| name == *unit));
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

    /// Sets limits, those that are named and no others, and reads them back.
    pub fn apply(&self, limits: &LinuxResources) -> Result<()> {
        self.apply_limits(limits)?;
        for (file, value) in unified(limits) {
            let available = self.read("cgroup.controllers").unwrap_or_default();
            let controller = file.split('.').next().unwrap_or_default();
            if controller != "cgroup" && !available.split_ascii_whitespace().any(|name| name == controller) {
                return Err(file_refused(file, self.why_missing(controller)));
            }
            if file.contains('/') {
                return Err(Error::configuration(format!("{file} is not the name of a file of a cgroup")));
            }
            let path = on_disk(&self.path).join(file);
            fs::write(&path, value).map_err(|source| Error::Cgroup { path, source })?;
        }
        Ok(())
    }

    fn apply_limits(&self, limits: &LinuxResources) -> Result<()> {
        // Without the controller there is no limit to take away.
        if limits.pids().is_some_and(|pids| pids.limit() < 0) {
            let _ = self.write("pids.max", "max");
        }
        let wanted = wanted_limits(limits);
        if wanted.is_empty() {
            return Ok(());
        }
        let available = self.read("cgroup.controllers").unwrap_or_default();
        if let Some(missing) =
            wanted.iter().find(|limit| !available.split_ascii_whitespace().any(|name| name == limit.controller))
        {
            return Err(missing.refused(self.why_missing(missing.controller)));
        }
        let mut limits = limits.clone();
        limits.set_unified(None);
        self.drop_implied_swap(&mut limits);
        // libcgroups passes over a swap of 0, and its conversion of the weight overflows.
        let swap = take_swap(&mut limits);
        let weight = take_weight(&mut limits);
        let weights = limits.block_io_mut().as_mut().and_then(|io| {
            let weights = io.weight_device().clone();
            io.set_weight_device(None);
            weights
        });
        let failed = |error: &dyn std::fmt::Display| Error::Cgroup {
            path: on_disk(&self.path),
            source: io::Error::other(error.to_string()),
        };
        let relative = self.path.strip_prefix("/").unwrap_or(&self.path);
        let writer =
            libcgroups::v2::manager::Manager::new(MOUNT.into(), relative.to_owned()).map_err(|error| failed(&error))?;
        let options =
            ControllerOpt { resources: &limits, disable_oom_killer: false, oom_score_adj: None, freezer_state: None };
        // It warns of controllers that nobody asked for.
        tracing::subscriber::with_default(tracing::subscriber::NoSubscriber::default(), || writer.apply(&options))
            .map_err(|error| failed(&error))?;
        if let Some(swap) = swap {
            self.write("memory.swap.max", &swap).map_err(|source| self.error("memory.swap.max", source))?;
        }
        if let Some(weight) = weight {
            self.set_io_weight(weight)?;
        }
        for device in weights.iter().flatten() {
            self.set_io_weight_of(device.major(), device.minor(), device.weight().unwrap_or(0))?;
        }
        self.read_back(&limits)
    }

    /// Why a controller does not reach this cgroup.
    fn why_missing(&self, controller: &str) -> String {
        let has = |path: &Path, file: &str| {
            let text = fs::read_to_string(on_disk(path).join(file)).unwrap_or_default();
            text.split_ascii_whitespace().any(|name| name == controller)
        };
        let end = self.path.ancestors().find(|path| has(path, "cgroup.controllers"));
        let is_occupied = |path: &Path| {
            is_ours(path) && fs::read_to_string(on_disk(path).join("cgroup.procs")).is_ok_and(|pids| !pids.is_empty())
        };
        match end.filter(|path| is_occupied(path)) {
            Some(path) => format!(
                "which {} cannot pass on while it has processes of its own: move them into a cgroup below it",
                on_disk(path).display()
            ),
            None => NOT_DELEGATED.to_owned(),
        }
    }

    /// `weight` is cgroup v1's, 10 to 1000: one of the schedulers takes it as it is, the other one 1 to 10000.
    fn set_io_weight_of(&self, major: i64, minor: i64, weight: u16) -> Result<()> {
        let (file, value) = if on_disk(&self.path).join("io.bfq.weight").exists() {
            ("io.bfq.weight", u64::from(weight))
        } else {
            ("io.weight", 1 + u64::from(weight.saturating_sub(10)) * 9999 / 990)
        };
        self.write(file, &format!("{major}:{minor} {value}")).map_err(|source| self.error(file, source))
    }

    fn set_io_weight(&self, weight: u16) -> Result<()> {
        let (file, value) = if on_disk(&self.path).join("io.bfq.weight").exists() {
            ("io.bfq.weight", u64::from(weight))
        } else {
            ("io.weight", 1 + u64::from(weight.saturating_sub(10)) * 9999 / 990)
        };
        self.write(file, &value.to_string()).map_err(|source| self.error(file, source))
    }

    /// A memory limit brings a limit on swap with it; a kernel that does not count swap has nothing to limit there.
    fn drop_implied_swap(&self, limits: &mut LinuxResources) {
        if let Some(memory) = limits.memory_mut()
            && let (Some(limit), Some(swap)) = (memory.limit(), memory.swap())
            && swap == limit.saturating_mul(2)
            && !on_disk(&self.path).join("memory.swap.max").exists()
        {
            memory.set_swap(None);
        }
    }

    /// The kernel rounds memory down to pages and accepts some values only in part, so what it says counts.
    fn read_back(&self, limits: &LinuxResources) -> Result<()> {
        let check = |file: &str, limit: &str, matches: &dyn Fn(&str) -> bool| -> Result<()> {
            let now =
                self.read(file).map_err(|source| Error::Cgroup { path: on_disk(&self.path).join(file), source })?;
            if matches(now.trim()) {
                return Ok(());
            }
            Err(Error::Cgroup {
                path: on_disk(&self.path).join(file),
                source: io::Error::other(format!("the {limit} was not taken over, it is {}", now.trim())),
            })
        };
        if let Some(limit) = limits.memory().as_ref().and_then(|memory| memory.limit()).filter(|limit| *limit > 0) {
            let page = u64::try_from(rustix::param::page_size()).unwrap_or(4096);
            let wanted = u64::try_from(limit).unwrap_or(0);
            check("memory.max", "memory limit", &|now| {
                now.parse::<u64>().is_ok_and(|now| now <= wanted && wanted - now < page)
            })?;
        }
        if let Some(limit) = limits.pids().as_ref().map(|pids| pids.limit()).filter(|limit| *limit > 0) {
            check("pids.max", "limit of processes", &|now| now == limit.to_string())?;
        }
        if let Some(quota) = limits.cpu().as_ref().and_then(|cpu| cpu.quota()).filter(|quota| *quota > 0) {
            check("cpu.max", "CPU quota", &|now| now.split(' ').next() == Some(&quota.to_string()))?;
        }
        Ok(())
    }

    /// A limit of processes that nobody asked for: set where that is possible.
    pub fn limit_pids_by_default(&self, limit: u64) {
        let _ = self.write("pids.max", &limit.to_string());
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

/// What `memory.swap.max` is to be: the OCI's number is of memory and swap together.
fn take_swap(limits: &mut LinuxResources) -> Option<String> {
    let memory = limits.memory_mut().as_mut()?;
    let (limit, swap) = (memory.limit().filter(|limit| *limit > 0), memory.swap().filter(|swap| *swap != 0)?);
    let value = match limit {
        _ if swap < 0 => "max".to_owned(),
        Some(limit) if swap >= limit => (swap - limit).to_string(),
        // For libcgroups to refuse.
        Some(_) | None => return None,
    };
    memory.set_swap(None);
    Some(value)
}

fn take_weight(limits: &mut LinuxResources) -> Option<u16> {
    let io = limits.block_io_mut().as_mut()?;
    let weight = io.weight().filter(|weight| *weight > 0)?;
    io.set_weight(None);
    Some(weight)
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

/// A limit that somebody asked for.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    limit: &'static str,
    controller: &'static str,
}

const NOT_DELEGATED: &str = "which is not delegated to this user: put `[Service]` and `Delegate=cpu cpuset io memory pids` \
     into /etc/systemd/system/user@.service.d/delegate.conf and log in again";

impl Wanted {
    fn refused(&self, why: impl Into<String>) -> Error {
        Error::Limit { limit: self.limit.into(), controller: self.controller.into(), why: why.into() }
    }
}

/// Files of cgroup v2 that are set by name.
fn unified(limits: &LinuxResources) -> impl Iterator<Item = (&str, &str)> {
    limits.unified().iter().flatten().map(|(file, value)| (file.as_str(), value.as_str()))
}

fn file_refused(file: &str, why: String) -> Error {
    let controller = file.split('.').next().unwrap_or_default().to_owned();
    Error::Limit { limit: file.to_owned(), controller, why }
}

fn wanted_limits(limits: &LinuxResources) -> Vec<Wanted> {
    let mut all = Vec::new();
    let mut want = |asked: bool, limit, controller| {
        if asked {
            all.push(Wanted { limit, controller });
        }
    };
    if let Some(memory) = limits.memory() {
        let asked = |value: Option<i64>| value.is_some_and(|value| value != 0);
        want(asked(memory.limit()), "memory", "memory");
        want(asked(memory.reservation()), "memory reservation", "memory");
        want(asked(memory.swap()) && !asked(memory.limit()), "memory and swap", "memory");
    }
    if let Some(cpu) = limits.cpu() {
        want(cpu.quota().is_some() || cpu.period().is_some(), "CPU quota", "cpu");
        want(cpu.shares().is_some_and(|shares| shares != 0), "CPU shares", "cpu");
        want(cpu.cpus().as_ref().is_some_and(|cpus| !cpus.is_empty()), "CPU set", "cpuset");
        want(cpu.mems().as_ref().is_some_and(|mems| !mems.is_empty()), "memory nodes", "cpuset");
    }
    want(limits.pids().is_some_and(|pids| pids.limit() > 0), "number of processes", "pids");
    if let Some(io) = limits.block_io() {
        let any = |list: &Option<Vec<_>>| list.as_ref().is_some_and(|list| !list.is_empty());
        let throttled = any(io.throttle_read_bps_device())
            || any(io.throttle_write_bps_device())
            || any(io.throttle_read_iops_device())
            || any(io.throttle_write_iops_device());
        let weighted = io.weight().is_some_and(|weight| weight != 0)
            || io.weight_device().as_ref().is_some_and(|list| !list.is_empty());
        want(throttled || weighted, "I/O", "io");
    }
    all
}

/// Why no cgroup can be had.
enum Unavailable {
    Machine(&'static str),
    /// Something was said that cannot be meant.
    Wrong(Error),
    Failed(Error),
}

impl Unavailable {
    fn why(&self) -> String {
        match self {
            Unavailable::Machine(why) => (*why).to_owned(),
            Unavailable::Wrong(error) | Unavailable::Failed(error) => format!("and {error}"),
        }
    }
}

/// Every controller that we may pass on is passed on: which ones a container needs may change while it lives.
///
/// The top of a hierarchy may have processes all the same.
fn enable_controllers(holder: &Path, patience: Duration) {
    let directory = on_disk(holder);
    let available = fs::read_to_string(directory.join("cgroup.controllers")).unwrap_or_default();
    let enabled = fs::read_to_string(directory.join("cgroup.subtree_control")).unwrap_or_default();
    for controller in available.split_ascii_whitespace() {
        if enabled.split_ascii_whitespace().any(|name| name == controller) {
            continue;
        }
        // One at a time: one that is refused does not keep the others away. A limit that needs it will say so.
        let file = directory.join("cgroup.subtree_control");
        let write = || fs::write(&file, format!("+{controller}"));
        wait_until(
            Instant::now() + patience,
            || !matches!(write(), Err(error) if error.raw_os_error() == Some(rustix::io::Errno::BUSY.raw_os_error())),
        );
    }
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

fn cgroupfs_holder(base: &Path, parent: Option<&str>) -> std::result::Result<PathBuf, Unavailable> {
    let holder = base.join(parent.unwrap_or("creel").trim_start_matches('/'));
    let directory = on_disk(&holder);
    let failed = |source| Unavailable::Failed(Error::Cgroup { path: directory.clone(), source });
    fs::create_dir_all(&directory).map_err(failed)?;
    // Controllers come down only through a cgroup without processes. We can only answer for ourselves.
    leave_top(base).map_err(failed)?;
    enable_controllers(base, Duration::ZERO);
    Ok(holder)
}

/// A scope of ours, made if there is none, and us where a process may be born into it.
///
/// There may be several: a new one is made, under a new name, whenever the last one has no process in it any more,
/// because systemd is about to take that away.
fn systemd_holder(uid: u32, parent: Option<&str>) -> std::result::Result<PathBuf, Unavailable> {
    let slice = parent.unwrap_or("user.slice");
    let below = slice_path(slice).ok_or_else(|| {
        Unavailable::Wrong(Error::configuration(format!("the cgroup parent `{slice}` is no slice of systemd")))
    })?;
    let own = own_path().unwrap_or_else(|| "/".into());
    let root = manager_root(&own, uid);
    let holder = root.join(below);
    let failed = |source: io::Error| Unavailable::Failed(Error::Cgroup { path: on_disk(&holder), source });
    let inside = |path: &Path| own_path().is_some_and(|own| own.starts_with(path));
    let pid = std::process::id();
    let until = Instant::now() + PATIENCE;
    for attempt in 0.. {
        for unit in scopes(&holder) {
            let scope = holder.join(&unit);
            if inside(&scope) || own.starts_with(&root) && is_populated(&scope) {
                return Ok(scope);
            }
            // From a login session no process can be born in the user's part of the tree (the common ancestor is not
            // ours), so systemd brings us in.
            let mut systemd = Systemd::connect(uid).map_err(failed)?;
            if is_populated(&scope)
                && matches!(systemd.attach_process(&unit, MONITORS, pid).map_err(failed)?, Answer::Done)
                && wait_until(until, || inside(&scope))
            {
                return Ok(scope);
            }
        }
        let unit = format!("creel-{pid}-{attempt}.scope");
        match Systemd::connect(uid).and_then(|mut systemd| systemd.start_scope(&unit, slice, pid)).map_err(failed)? {
            Answer::Done => {
                let scope = holder.join(&unit);
                if wait_until(until, || inside(&scope)) {
                    leave_top(&scope).map_err(failed)?;
                    return Ok(scope);
                }
            }
            Answer::Refused { name, .. } if name.ends_with(".UnitExists") => {}
            Answer::Refused { name, text } => return Err(failed(io::Error::other(format!("{text} ({name})")))),
        }
        if Instant::now() > until {
            break;
        }
    }
    Err(failed(io::ErrorKind::TimedOut.into()))
}

/// The names of our scopes in a slice.
fn scopes(slice: &Path) -> Vec<String> {
    let entries = fs::read_dir(on_disk(slice)).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| name.starts_with("creel-") && name.ends_with(".scope")).collect()
}

/// A cgroup that passes controllers on may have no processes of its own.
fn leave_top(scope: &Path) -> io::Result<()> {
    if own_path().as_deref() != Some(scope) {
        return Ok(());
    }
    let monitors = on_disk(&scope.join(MONITORS.trim_start_matches('/')));
    match fs::create_dir(&monitors) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    fs::write(monitors.join("cgroup.procs"), "0")
}

fn wait_until(until: Instant, done: impl Fn() -> bool) -> bool {
    let mut pause = Duration::from_micros(200);
    while !done() {
        if Instant::now() > until {
            return false;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
    true
}

/// A scope without processes is one that systemd is about to remove.
fn is_populated(path: &Path) -> bool {
    let events = fs::read_to_string(on_disk(path).join("cgroup.events")).unwrap_or_default();
    events.lines().any(|line| line == "populated 1")
}

/// The cgroup of the user's service manager.
fn manager_root(own: &Path, uid: u32) -> PathBuf {
    if uid == 0 {
        return "/".into();
    }
    let unit = format!("user@{uid}.service");
    match own.ancestors().find(|path| path.file_name().is_some_and(|name| name == unit.as_str())) {
        Some(root) => root.to_owned(),
        None => PathBuf::from(format!("/user.slice/user-{uid}.slice")).join(unit),
    }
}

/// `a-b.slice` lies in `a.slice`, see systemd.slice(5).
fn slice_path(slice: &str) -> Option<PathBuf> {
    let name = slice.strip_suffix(".slice")?;
    if name == "-" {
        return Some(PathBuf::new());
    }
    if name.is_empty() || name.contains('/') || name.split('-').any(str::is_empty) {
        return None;
    }
    let mut path = PathBuf::new();
    for (at, _) in name.match_indices('-') {
        path.push(format!("{}.slice", &name[..at]));
    }
    path.push(slice);
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci_spec::runtime::{LinuxCpuBuilder, LinuxMemoryBuilder, LinuxPidsBuilder, LinuxResourcesBuilder};

    #[test]
    fn slices_lie_in_each_other() {
        assert_eq!(slice_path("user.slice").as_deref(), Some(Path::new("user.slice")));
        assert_eq!(slice_path("a-b-c.slice").as_deref(), Some(Path::new("a.slice/a-b.slice/a-b-c.slice")));
        assert_eq!(slice_path("-.slice").as_deref(), Some(Path::new("")));
        for wrong in ["x", ".slice", "a/b.slice", "a--b.slice"] {
            assert_eq!(slice_path(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_unified_line_is_found_among_others() {
        let text = "9:name=systemd:/x\n0::/user.slice/user-1000.slice/session-1.scope\n";
        assert_eq!(unified_path(text), Some("/user.slice/user-1000.slice/session-1.scope".into()));
        assert_eq!(unified_path("1:cpu:/\n"), None);
    }

    #[test]
    fn the_service_managers_cgroup_is_found_from_inside_and_outside() {
        let root = Path::new("/user.slice/user-7.slice/user@7.service");
        assert_eq!(manager_root(&root.join("app.slice/x.scope"), 7), root);
        assert_eq!(manager_root(Path::new("/user.slice/user-7.slice/session-1.scope"), 7), root);
    }

    #[test]
    fn an_impossible_limit_names_the_controller_and_no_limit_is_no_error() {
        let manager = Manager::None { why: "and this machine has none" };
        let none = LinuxResourcesBuilder::default().build().unwrap();
        assert!(Cgroup::create(&manager, "x", None, &none).unwrap().is_none());
        let memory = LinuxMemoryBuilder::default().limit(1 << 20).build().unwrap();
        let limited = LinuxResourcesBuilder::default().memory(memory).build().unwrap();
        let text = Cgroup::create(&manager, "x", None, &limited).unwrap_err().to_string();
        assert!(text.contains("`memory`") && text.contains("this machine has none"), "{text}");
    }

    #[test]
    fn each_limit_knows_its_controller() {
        let limits = LinuxResourcesBuilder::default()
            .cpu(LinuxCpuBuilder::default().quota(1000).cpus("0").build().unwrap())
            .pids(LinuxPidsBuilder::default().limit(7).build().unwrap())
            .build()
            .unwrap();
        let controllers: Vec<&str> = wanted_limits(&limits).iter().map(|limit| limit.controller).collect();
        assert_eq!(controllers, ["cpu", "cpuset", "pids"]);
    }
}
