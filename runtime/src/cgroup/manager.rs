//! Who makes cgroups for us, and where: the scope that systemd has delegated, or a part of a delegated cgroup.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::Access;

use super::{MOUNT, PATIENCE, on_disk, own_path};
use crate::systemd::{self, Answer, Systemd};
use crate::{Error, Result};

const CGROUP2_SUPER_MAGIC: i64 = 0x6367_7270;
/// Where monitors go that systemd had to bring in: a cgroup with parts may have no processes of its own.
pub(super) const MONITORS: &str = "/monitors";

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

    /// The cgroup that the caller is in, as a service of systemd with `Delegate=yes` is: the container's becomes a part of
    /// it.
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

    /// The cgroup in which those of containers are made. `parent` is a slice for systemd, a path below our base for
    /// cgroupfs.
    pub(super) fn holder(&self, parent: Option<&str>) -> std::result::Result<PathBuf, Unavailable> {
        match self {
            Manager::None { why } => Err(Unavailable::Machine(why)),
            Manager::Systemd { uid } => systemd_holder(*uid, parent),
            Manager::Cgroupfs { base } => cgroupfs_holder(base, parent),
        }
    }
}

/// The uppermost cgroup around `own` that is ours to divide: there controllers come in, and from a part of it they may
/// not be passed on to another one.
fn delegated(own: &Path) -> Option<PathBuf> {
    own.ancestors().take_while(|path| is_ours(path)).last().map(Path::to_owned)
}

/// Whether processes may be put there, and parts made.
pub(super) fn is_ours(path: &Path) -> bool {
    let directory = on_disk(path);
    let writable = |path: &Path| rustix::fs::access(path, Access::WRITE_OK).is_ok();
    writable(&directory) && writable(&directory.join("cgroup.procs"))
}

/// Why no cgroup can be had.
pub(super) enum Unavailable {
    Machine(&'static str),
    /// Something was said that cannot be meant.
    Wrong(Error),
    Failed(Error),
}

impl Unavailable {
    pub(super) fn why(&self) -> String {
        match self {
            Unavailable::Machine(why) => (*why).to_owned(),
            Unavailable::Wrong(error) | Unavailable::Failed(error) => format!("and {error}"),
        }
    }
}

/// Every controller that we may pass on is passed on: which ones a container needs may change while it lives.
///
/// The top of a hierarchy may have processes all the same.
pub(super) fn enable_controllers(holder: &Path, patience: Duration) {
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

pub(super) fn wait_until(until: Instant, done: impl Fn() -> bool) -> bool {
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
    fn the_service_managers_cgroup_is_found_from_inside_and_outside() {
        let root = Path::new("/user.slice/user-7.slice/user@7.service");
        assert_eq!(manager_root(&root.join("app.slice/x.scope"), 7), root);
        assert_eq!(manager_root(Path::new("/user.slice/user-7.slice/session-1.scope"), 7), root);
    }
}
