//! The one user namespace of a user: joined where somebody is alive in it, else made with the whole sub-id map.
//!
//! Nothing keeps it alive on purpose. Every monitor and holder process lives in it, so it stays as long as a container
//! runs; when the last one goes, it goes, and the next command makes it again with the same map.
//!
//! It is found by its nsfs file handle (kernel 6.18 and newer: `name_to_handle_at(2)` on `ns/user`), elsewhere by the
//! pidfd of a process that wrote itself into `holders/`.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::lock::FileLock;
use rustix::thread::{LinkNameSpaceType, ThreadNameSpaceType};

use crate::clone::{CloneRequest, clone_idle};
use crate::passwd::{self, SubIds};
use crate::process::{Process, boot_id};

/// Who we are after [`enter`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The caller's ids outside of the namespace.
    pub uid: u32,
    pub gid: u32,
    pub mapping: Mapping,
}

/// Which ids exist in the user namespace we are in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mapping {
    /// The caller was root already (really, or in a namespace made by somebody else): nothing was entered.
    Given,
    /// The caller as 0 and all of its sub-ids from 1 upward.
    Full,
    /// The caller as 0 and nobody else. The reason is known only to the command that made the namespace.
    Single { why: Option<String> },
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the kernel refused a user namespace: {source}")]
    Refused { source: io::Error },
    #[error("{program} could not write the id map: {message}")]
    IdMap { program: &'static str, message: String },
    #[error("{}: {source}", path.display())]
    State { path: PathBuf, source: io::Error },
    #[error("the user namespace of the running containers cannot be joined: {source}")]
    Join { source: io::Error },
}

/// One line of `/proc/PID/uid_map`, see user_namespaces(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapLine {
    pub inside: u32,
    pub outside: u32,
    pub count: u32,
}

/// Parses `/proc/PID/uid_map` or `gid_map`; lines that do not parse are passed over.
pub fn parse_map(text: &str) -> Vec<MapLine> {
    text.lines()
        .filter_map(|line| {
            let mut numbers = line.split_ascii_whitespace().map(|word| word.parse().ok());
            Some(MapLine { inside: numbers.next()??, outside: numbers.next()??, count: numbers.next()?? })
        })
        .collect()
}

/// The map of the namespace we are in: what `/proc/self/uid_map` says.
pub fn uid_map() -> io::Result<Vec<MapLine>> {
    Ok(parse_map(&fs::read_to_string("/proc/self/uid_map")?))
}

/// The map of the namespace we are in: what `/proc/self/gid_map` says.
pub fn gid_map() -> io::Result<Vec<MapLine>> {
    Ok(parse_map(&fs::read_to_string("/proc/self/gid_map")?))
}

/// Enters the caller's user namespace. `dir` (made on demand) is the same for all stores of one user.
///
/// The process must be single-threaded: setns(2) refuses a user namespace otherwise.
pub fn enter(dir: &Path) -> Result<Identity, Error> {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    if uid == 0 {
        // Root of a namespace that somebody else has made may be alone in it.
        let mapping = match current_mapping() {
            single @ Mapping::Single { .. } => single,
            Mapping::Full | Mapping::Given => Mapping::Given,
        };
        return Ok(Identity { uid, gid, mapping });
    }
    if join(dir)? {
        return Ok(Identity { uid, gid, mapping: current_mapping() });
    }
    let in_dir = |source| Error::State { path: dir.to_owned(), source };
    fs::create_dir_all(dir).map_err(in_dir)?;
    let _lock = FileLock::exclusive(&dir.join("userns.lock")).map_err(in_dir)?;
    if join(dir)? {
        return Ok(Identity { uid, gid, mapping: current_mapping() });
    }
    let mapping = create(uid, gid)?;
    record(dir).map_err(in_dir)?;
    Ok(Identity { uid, gid, mapping })
}

/// Makes the calling process one by which others find the namespace. Needed by whoever outlives a command, and
/// only where the kernel has no nsfs handles; elsewhere it costs one read.
pub fn hold(dir: &Path) -> io::Result<()> {
    if read_record(dir).is_some_and(|record| record.handle.is_some()) {
        return Ok(());
    }
    let me = Process::me()?;
    let holders = dir.join("holders");
    fs::create_dir_all(&holders)?;
    fs::write(holders.join(me.pid.to_string()), format!("{} {}", me.start_time, me.boot))
}

/// Takes the mark of [`hold`] away.
pub fn release(dir: &Path) {
    let holder = dir.join("holders").join(rustix::process::getpid().as_raw_nonzero().to_string());
    // Only there where the kernel has no handles; a leftover is recognised by its start time.
    let _ = fs::remove_file(holder);
}

fn current_mapping() -> Mapping {
    match uid_map() {
        Ok(lines) if lines.iter().map(|line| u64::from(line.count)).sum::<u64>() == 1 => Mapping::Single { why: None },
        _ => Mapping::Full,
    }
}

fn join(dir: &Path) -> Result<bool, Error> {
    let Some(record) = read_record(dir) else { return Ok(false) };
    if let Some(handle) = &record.handle {
        match crate::nsfs::open(handle) {
            Ok(namespace) => {
                return rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::User))
                    .map(|()| true)
                    .map_err(|error| Error::Join { source: error.into() });
            }
            // ESTALE: the last process has left it.
            Err(_) => return Ok(false),
        }
    }
    for holder in record.holders {
        let Some(pidfd) = holder.open() else {
            let _ = fs::remove_file(dir.join("holders").join(holder.pid.to_string()));
            continue;
        };
        // It may have gone in between; then the next one, or a new namespace.
        if rustix::thread::move_into_thread_name_spaces(pidfd.as_fd(), ThreadNameSpaceType::USER).is_ok() {
            return Ok(true);
        }
    }
    Ok(false)
}

struct Record {
    handle: Option<crate::nsfs::Handle>,
    holders: Vec<Process>,
}

fn read_record(dir: &Path) -> Option<Record> {
    let text = fs::read_to_string(dir.join("userns")).ok()?;
    let mut words = text.split_ascii_whitespace();
    if words.next() != Some("1") || words.next() != Some(boot_id()) {
        return None;
    }
    let handle = words.next().and_then(crate::nsfs::Handle::parse);
    let holders = if handle.is_some() { Vec::new() } else { read_holders(&dir.join("holders")) };
    Some(Record { handle, holders })
}

fn read_holders(dir: &Path) -> Vec<Process> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let text = fs::read_to_string(entry.path()).ok()?;
            let (start_time, boot) = text.split_once(' ')?;
            Some(Process { pid, start_time: start_time.parse().ok()?, boot: boot.trim().to_owned() })
        })
        .collect()
}

/// Version, boot, and the handle or `-`.
fn record(dir: &Path) -> io::Result<()> {
    let handle = File::open("/proc/self/ns/user").and_then(|namespace| crate::nsfs::Handle::of(namespace.as_fd()));
    let word = handle.as_ref().map_or_else(|_| "-".to_owned(), crate::nsfs::Handle::to_string);
    let temporary = dir.join(format!("userns.{}", rustix::process::getpid().as_raw_nonzero()));
    fs::write(&temporary, format!("1 {} {word}\n", boot_id()))?;
    fs::rename(temporary, dir.join("userns"))?;
    // Without handles the next command can only find us by a process: for the time of this command, us.
    if handle.is_err() { hold(dir) } else { Ok(()) }
}

fn create(uid: u32, gid: u32) -> Result<Mapping, Error> {
    let refused = |source| Error::Refused { source };
    let request = CloneRequest { namespaces: libc::CLONE_NEWUSER as u64, cgroup: None };
    let child = clone_idle(&request, || {}).map_err(refused)?;
    let pid = child.pid;
    let end = KillOnDrop(child);
    let mapping = map_child(pid, uid, gid)?;
    let namespace: OwnedFd = File::open(format!("/proc/{pid}/ns/user")).map_err(refused)?.into();
    rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::User))
        .map_err(|error| refused(error.into()))?;
    drop(end);
    Ok(mapping)
}

/// Writes the map of the new user namespace that the process `pid` is in, for the user with these ids: the user as 0 and
/// all sub-ids where there are any, else the user alone.
pub fn map_child(pid: i32, uid: u32, gid: u32) -> Result<Mapping, Error> {
    match Ranges::of_user(uid) {
        Ok(ranges) => {
            write_full_map(pid, uid, gid, &ranges)?;
            Ok(Mapping::Full)
        }
        Err(why) => {
            write_single_map(pid, uid, gid).map_err(|source| Error::Refused { source })?;
            Ok(Mapping::Single { why: Some(why) })
        }
    }
}

/// The process that carries the new namespace until we have joined it.
struct KillOnDrop(crate::clone::Child);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        // Errors mean that it is gone already, which is the aim.
        let _ = self.0.pidfd.signal(libc::SIGKILL);
        let _ = self.0.pidfd.wait();
    }
}

struct Ranges {
    uids: Vec<SubIds>,
    gids: Vec<SubIds>,
}

impl Ranges {
    /// The sub-ids of a user, or why there are none.
    fn of_user(uid: u32) -> Result<Ranges, String> {
        let user = passwd::user_of(uid);
        let name = user.as_ref().map(|user| user.name.as_str());
        let uids = passwd::sub_ids(Path::new("/etc/subuid"), name, uid);
        let gids = passwd::sub_ids(Path::new("/etc/subgid"), name, uid);
        let who = name.map_or_else(|| uid.to_string(), str::to_owned);
        if uids.is_empty() {
            return Err(format!("/etc/subuid has no range for {who}"));
        }
        if gids.is_empty() {
            return Err(format!("/etc/subgid has no range for {who}"));
        }
        for program in ["newuidmap", "newgidmap"] {
            if find_helper(program).is_none() {
                return Err(format!("{program} is not installed (package uidmap)"));
            }
        }
        Ok(Ranges { uids, gids })
    }
}

/// Set-user-id helpers are looked for where distributions put them, whatever PATH says.
pub fn find_helper(name: &str) -> Option<PathBuf> {
    ["/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin", "/run/wrappers/bin"]
        .iter()
        .map(|dir| Path::new(dir).join(name))
        .find(|path| path.exists())
}

/// Arguments of newuidmap(1): `PID inside outside count ...`, the caller first, then the ranges one after another.
fn map_arguments(pid: i32, own: u32, ranges: &[SubIds]) -> Vec<String> {
    let mut arguments = vec![pid.to_string(), "0".into(), own.to_string(), "1".into()];
    let mut inside = 1u32;
    for range in ranges {
        let count = range.count.min(u32::MAX - inside);
        arguments.extend([inside.to_string(), range.first.to_string(), count.to_string()]);
        inside += count;
    }
    arguments
}

/// Both helpers side by side: each is a set-user-id start of about a millisecond.
fn write_full_map(pid: i32, uid: u32, gid: u32, ranges: &Ranges) -> Result<(), Error> {
    let uids = spawn_map_helper("newuidmap", &map_arguments(pid, uid, &ranges.uids))?;
    let gids = spawn_map_helper("newgidmap", &map_arguments(pid, gid, &ranges.gids));
    let uids = finish_map_helper("newuidmap", uids);
    finish_map_helper("newgidmap", gids?)?;
    uids
}

fn spawn_map_helper(program: &'static str, arguments: &[String]) -> Result<Child, Error> {
    let path = find_helper(program).unwrap_or_else(|| program.into());
    Command::new(path)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| Error::IdMap { program, message: error.to_string() })
}

fn finish_map_helper(program: &'static str, mut child: Child) -> Result<(), Error> {
    let failed = |message: String| Error::IdMap { program, message };
    let mut message = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        stderr.read_to_string(&mut message).map_err(|error| failed(error.to_string()))?;
    }
    let status = child.wait().map_err(|error| failed(error.to_string()))?;
    if status.success() {
        return Ok(());
    }
    let message = message.trim();
    Err(failed(if message.is_empty() { status.to_string() } else { message.to_owned() }))
}

fn write_single_map(pid: i32, uid: u32, gid: u32) -> io::Result<()> {
    // Without this the kernel refuses a gid map from an ordinary user, see user_namespaces(7).
    fs::write(format!("/proc/{pid}/setgroups"), "deny")?;
    fs::write(format!("/proc/{pid}/gid_map"), format!("0 {gid} 1\n"))?;
    fs::write(format!("/proc/{pid}/uid_map"), format!("0 {uid} 1\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caller_is_root_and_the_ranges_follow_each_other() {
        let ranges = [SubIds { first: 100_000, count: 65_536 }, SubIds { first: 300_000, count: 10 }];
        assert_eq!(map_arguments(7, 1000, &ranges).join(" "), "7 0 1000 1 1 100000 65536 65537 300000 10",);
    }

    #[test]
    fn a_map_file_is_read() {
        let lines = parse_map("         0       1000          1\n         1     100000      65536\n");
        assert_eq!(lines[1], MapLine { inside: 1, outside: 100_000, count: 65_536 });
    }
}
