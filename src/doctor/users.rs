//! Sub-ids, the set-user-id helpers, and a user namespace made only to be tried.

use std::convert::Infallible;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use storage::Store;
use sys::channel::Channel;
use sys::clone::{CloneRequest, clone_child, exit_now};
use sys::passwd::{self, SubIds};
use sys::userns::Mapping;

use super::{Rung, Verdict, inside, machine};
use crate::caller;
use crate::context::Context;
use crate::error::folded;

/// What an image of ordinary making needs.
const USUAL_COUNT: u64 = 65_536;
/// CLONE_NEWUSER, clone(2).
const NEW_USER_NAMESPACE: u64 = 0x1000_0000;
/// How long all that is tried in the namespace may take on a machine under load.
const PATIENCE: Duration = Duration::from_secs(20);

const NAMESPACE: &str = "user namespace";
const MAP: &str = "id map";

/// From the sub-ids up to what only works in the namespace.
pub(super) fn climb(context: &Context, store: Option<&Store>, rungs: &mut Vec<Rung>) {
    if nix::unistd::geteuid().is_root() {
        rungs.push(Rung::good(NAMESPACE, "not needed: this is root"));
        inside::look(context, store, None, &mut |rung| rungs.push(rung));
        return;
    }
    rungs.extend(sub_ids());
    let made = match try_namespace(context, store) {
        Ok(made) => made,
        Err(error) => {
            rungs.push(refused(&error));
            Vec::new()
        }
    };
    rungs.extend(made);
    let known: Vec<String> = rungs.iter().map(|rung| rung.name.clone()).collect();
    let below = rungs.iter().find(|rung| rung.verdict == Verdict::Broken).map(|rung| rung.name.clone());
    let below = below.unwrap_or_else(|| NAMESPACE.to_owned());
    let missing = [MAP].into_iter().chain(inside::NAMES).filter(|name| !known.iter().any(|known| known == name));
    rungs.extend(missing.map(|name| Rung::unknown(name, &below)));
}

/// subuid(5), subgid(5) and newuidmap(1). Without them there are containers with one id.
pub(super) fn sub_ids() -> Vec<Rung> {
    let uid = caller::outside_uid();
    let user = passwd::user_of(uid);
    let name = user.as_ref().map(|user| user.name.as_str());
    let who = caller::name_of_user();
    let mut rungs = vec![ranges(name, uid, &who)];
    rungs.push(helpers());
    rungs
}

fn ranges(name: Option<&str>, uid: u32, who: &str) -> Rung {
    const NAME: &str = "sub-ids";
    const FILES: [&str; 2] = ["/etc/subuid", "/etc/subgid"];
    let of = |file: &str| passwd::sub_ids(Path::new(file), name, uid);
    let count = |ranges: &[SubIds]| ranges.iter().map(|range| u64::from(range.count)).sum::<u64>();
    let [uids, gids] = FILES.map(of);
    let line = |file: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        format!("echo {who}:{}:{USUAL_COUNT} | sudo tee -a {file}", free_range(&text))
    };
    let missing: Vec<&str> =
        FILES.into_iter().zip([&uids, &gids]).filter(|(_, ranges)| ranges.is_empty()).map(|(file, _)| file).collect();
    if !missing.is_empty() {
        let found = format!("{} has no line for {who}: containers have one user id only", missing.join(" and "));
        let cure = missing.iter().map(|file| line(file)).collect::<Vec<_>>().join(" && ");
        return Rung::weak(NAME, found, cure);
    }
    for (file, ranges) in FILES.into_iter().zip([&uids, &gids]) {
        let text = fs::read_to_string(file).unwrap_or_default();
        if let Some(other) = overlap(&text, name, uid, ranges) {
            let found = format!("in {file} the range of {who} overlaps that of {other}");
            let cure = format!("give {who} a range of its own in {file}: {who}:{}:{USUAL_COUNT}", free_range(&text));
            return Rung::weak(NAME, found, cure);
        }
        if count(ranges) < USUAL_COUNT - 1 {
            let found = format!("{file} gives {who} {} ids, images use up to {USUAL_COUNT}", count(ranges));
            return Rung::weak(NAME, found, line(file));
        }
    }
    Rung::good(NAME, format!("{} user ids and {} group ids for {who}", count(&uids), count(&gids)))
}

/// The first id behind every range in use.
fn free_range(text: &str) -> u64 {
    let ends = text.lines().filter_map(|line| {
        let mut fields = line.split(':').skip(1);
        Some(fields.next()?.trim().parse::<u64>().ok()? + fields.next()?.trim().parse::<u64>().ok()?)
    });
    ends.max().unwrap_or(0).max(100_000)
}

/// Who else has ids of these ranges.
fn overlap(text: &str, name: Option<&str>, uid: u32, ranges: &[SubIds]) -> Option<String> {
    let number = uid.to_string();
    text.lines().find_map(|line| {
        let mut fields = line.trim().split(':');
        let owner = fields.next().filter(|owner| Some(*owner) != name && *owner != number)?;
        let first: u64 = fields.next()?.parse().ok()?;
        let end = first + fields.next()?.parse::<u64>().ok()?;
        let hit =
            |range: &SubIds| u64::from(range.first) < end && first < u64::from(range.first) + u64::from(range.count);
        ranges.iter().any(hit).then(|| owner.to_owned())
    })
}

fn helpers() -> Rung {
    const NAME: &str = "newuidmap";
    for program in ["newuidmap", "newgidmap"] {
        if sys::userns::find_helper(program).is_none() {
            let found = format!("{program} is not installed: containers have one user id only");
            return Rung::weak(NAME, found, machine::install(program));
        }
    }
    Rung::good(NAME, "newuidmap and newgidmap are installed")
}

/// Why clone(2) gave no user namespace.
fn refused(error: &std::io::Error) -> Rung {
    let read = |name: &str| fs::read_to_string(format!("/proc/sys/{name}")).ok().map(|text| text.trim().to_owned());
    let set = |key: &str, value: &str| {
        format!("echo {key}={value} | sudo tee /etc/sysctl.d/50-user-namespaces.conf && sudo sysctl --system")
    };
    if read("user/max_user_namespaces").as_deref() == Some("0") {
        return Rung::broken(
            NAMESPACE,
            "the kernel allows none: user.max_user_namespaces is 0",
            set("user.max_user_namespaces", "28633"),
        );
    }
    if read("kernel/unprivileged_userns_clone").as_deref() == Some("0") {
        let found = "the kernel allows them to root only: kernel.unprivileged_userns_clone is 0";
        return Rung::broken(NAMESPACE, found, set("kernel.unprivileged_userns_clone", "1"));
    }
    let found = format!("the kernel refuses one: {}", folded(error));
    let cure = "look at the kernel's CONFIG_USER_NS, at seccomp filters around this session (docker run needs \
                --security-opt seccomp=unconfined), and at chroot: none is given there";
    Rung::broken(NAMESPACE, found, cure)
}

/// A process in a new user namespace, which gets its map from us and then looks around. What it has said when it ends, or
/// when patience does, is the result.
fn try_namespace(context: &Context, store: Option<&Store>) -> std::io::Result<Vec<Rung>> {
    let (ours, theirs) = Channel::pair()?;
    let request = CloneRequest { namespaces: NEW_USER_NAMESPACE, cgroup: None };
    let mut kept = Some(ours);
    let child = clone_child(&request, || {
        // Else the end of the parent would not be seen.
        kept = None;
        act(context, store, &theirs)
    })?;
    drop(theirs);
    let end = EndOnDrop(child);
    let mut rungs = vec![Rung::good(NAMESPACE, "the kernel gives one")];
    let Some(ours) = kept else { return Ok(rungs) };
    let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    let highest = match sys::userns::map_child(end.0.pid, uid, gid) {
        Ok(Mapping::Full) => {
            let ranges = |file: &str| {
                let user = passwd::user_of(uid);
                let ranges = passwd::sub_ids(Path::new(file), user.as_ref().map(|user| user.name.as_str()), uid);
                ranges.iter().map(|range| u64::from(range.count)).sum::<u64>()
            };
            let highest = ranges("/etc/subuid").min(ranges("/etc/subgid"));
            rungs.push(Rung::good(MAP, format!("ids 0 to {highest}")));
            highest
        }
        Ok(Mapping::Single { .. } | Mapping::Given) => {
            rungs.push(Rung::good(MAP, "id 0 only"));
            0
        }
        Err(error) => {
            rungs.push(unmapped(&error));
            return Ok(rungs);
        }
    };
    ours.send(highest.to_string().as_bytes(), &[])?;
    let until = std::time::Instant::now() + PATIENCE;
    loop {
        let left = until.saturating_duration_since(std::time::Instant::now());
        let left = rustix::time::Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        let mut waiting = [rustix::event::PollFd::new(&ours, rustix::event::PollFlags::IN)];
        if rustix::event::poll(&mut waiting, Some(&left))? == 0 {
            break;
        }
        let (message, _) = ours.recv()?;
        match serde_json::from_slice(&message) {
            Ok(rung) => rungs.push(rung),
            Err(_) => break,
        }
    }
    Ok(rungs)
}

/// In the new namespace.
fn act(context: &Context, store: Option<&Store>, channel: &Channel) -> Infallible {
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    let highest = channel.recv().ok().and_then(|(message, _)| String::from_utf8(message).ok()?.parse().ok());
    if let Some(highest) = highest {
        inside::look(context, store, Some(highest), &mut |rung| {
            if let Ok(message) = serde_json::to_vec(&rung) {
                let _ = channel.send(&message, &[]);
            }
        });
    }
    exit_now(0)
}

struct EndOnDrop(sys::clone::Child);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        // Errors mean that it is gone already, which is the aim.
        let _ = self.0.pidfd.signal(9);
        let _ = self.0.pidfd.wait();
    }
}

/// Why newuidmap(1) could not write the map.
fn unmapped(error: &sys::userns::Error) -> Rung {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    if status.lines().any(|line| line.strip_prefix("NoNewPrivs:").is_some_and(|value| value.trim() == "1")) {
        let found = "no_new_privs is set, so newuidmap has no power here";
        return Rung::broken(
            MAP,
            found,
            "start creel from a session without no_new_privs (systemd: NoNewPrivileges=no)",
        );
    }
    let powerless: Vec<String> = ["newuidmap", "newgidmap"]
        .iter()
        .filter_map(|program| sys::userns::find_helper(program))
        .filter(|path| !has_power(path))
        .map(|path| path.display().to_string())
        .collect();
    if !powerless.is_empty() {
        let found = format!("{} is not set-user-id root", powerless.join(" and "));
        return Rung::broken(MAP, found, format!("sudo chown root {0} && sudo chmod u+s {0}", powerless.join(" ")));
    }
    let uid = caller::uid();
    let user = passwd::user_of(uid);
    let name = user.as_ref().map(|user| user.name.as_str());
    for (file, map) in [("/etc/subuid", sys::userns::uid_map()), ("/etc/subgid", sys::userns::gid_map())] {
        let map = map.unwrap_or_default();
        let there = |range: &SubIds| {
            let (first, end) = (u64::from(range.first), u64::from(range.first) + u64::from(range.count));
            map.iter()
                .any(|line| u64::from(line.inside) <= first && end <= u64::from(line.inside) + u64::from(line.count))
        };
        if let Some(range) = passwd::sub_ids(Path::new(file), name, uid).iter().find(|range| !there(range)) {
            let last = map.iter().map(|line| u64::from(line.inside) + u64::from(line.count) - 1).max().unwrap_or(0);
            let found = format!(
                "{file} gives ids from {} on, but this machine (a container?) has ids up to {last} only",
                range.first
            );
            return Rung::broken(MAP, found, format!("write a range below {last} into {file}, or none"));
        }
    }
    Rung::broken(MAP, folded(error), "look at /etc/subuid and /etc/subgid: man 5 subuid")
}

/// Set-user-id root, or a file capability.
fn has_power(path: &Path) -> bool {
    let by_mode =
        fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o4000 != 0 && metadata.uid() == 0);
    let nosuid =
        rustix::fs::statvfs(path).is_ok_and(|stat| stat.f_flag.contains(rustix::fs::StatVfsMountFlags::NOSUID));
    by_mode && !nosuid
        || rustix::fs::getxattr(path, "security.capability", &mut [0u8; 64][..]).is_ok_and(|size| size > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_range_lies_behind_all_others() {
        assert_eq!(free_range(""), 100_000);
        assert_eq!(free_range("a:100000:65536\nb:300000:10\nbroken\n"), 300_010);
    }

    #[test]
    fn ranges_that_overlap_are_found() {
        let text = "a:100000:65536\nb:165000:10\nc:200000:5\n";
        let mine = [SubIds { first: 100_000, count: 65_536 }];
        assert_eq!(overlap(text, Some("a"), 1000, &mine).as_deref(), Some("b"));
        assert_eq!(overlap("a:1:2\n1000:1:2\n", Some("a"), 1000, &[SubIds { first: 1, count: 2 }]), None);
    }
}
