//! Which namespaces the container gets: new ones, joined ones, or the caller's.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::sched::CloneFlags;
use oci_spec::runtime::{LinuxIdMapping, LinuxNamespaceType, Spec};
use rustix::thread::{LinkNameSpaceType, ThreadNameSpaceType};

use crate::{Error, Result};

const NEW_MOUNT: u64 = 0x0002_0000;
const NEW_UTS: u64 = 0x0400_0000;
const NEW_IPC: u64 = 0x0800_0000;
const NEW_USER: u64 = 0x1000_0000;
const NEW_PID: u64 = 0x2000_0000;
const NEW_NETWORK: u64 = 0x4000_0000;
const NEW_TIME: u64 = 0x0000_0080;

/// The decision, with everything opened that will be joined.
#[derive(Debug)]
pub(crate) struct Namespaces {
    /// `CLONE_NEW*` for the clone of the child. The cgroup namespace is not among them: its root is where the process is
    /// when it is made, so the child makes it once it is in its cgroup.
    pub(crate) new: u64,
    pub(crate) new_cgroup: bool,
    pub(crate) user: User,
    /// The pid namespace to be born in.
    pub(crate) pid: Option<OwnedFd>,
    /// Network, ipc, uts and cgroup namespaces to enter.
    pub(crate) joined: Vec<(LinkNameSpaceType, OwnedFd)>,
}

#[derive(Debug)]
pub(crate) enum User {
    /// The one the caller is in.
    Same,
    /// A nested one; the text of its `uid_map` and `gid_map`.
    New {
        uid_map: String,
        gid_map: String,
    },
    Joined(OwnedFd),
}

impl Namespaces {
    pub(crate) fn of(spec: &Spec) -> Result<Namespaces> {
        let mut all = Namespaces { new: 0, new_cgroup: false, user: User::Same, pid: None, joined: Vec::new() };
        let linux = spec.linux().as_ref().ok_or_else(|| Error::configuration("the bundle has no `linux` section"))?;
        for namespace in linux.namespaces().iter().flatten() {
            let kind = namespace.typ();
            match namespace.path() {
                None => all.make(kind, linux.uid_mappings().as_deref(), linux.gid_mappings().as_deref())?,
                Some(path) => all.join(kind, path)?,
            }
        }
        if all.new & NEW_MOUNT == 0 {
            return Err(Error::configuration("a container needs a mount namespace of its own"));
        }
        Ok(all)
    }

    fn make(
        &mut self,
        kind: LinuxNamespaceType,
        uids: Option<&[LinuxIdMapping]>,
        gids: Option<&[LinuxIdMapping]>,
    ) -> Result<()> {
        match kind {
            LinuxNamespaceType::Mount => self.new |= NEW_MOUNT,
            LinuxNamespaceType::Uts => self.new |= NEW_UTS,
            LinuxNamespaceType::Ipc => self.new |= NEW_IPC,
            LinuxNamespaceType::Pid => self.new |= NEW_PID,
            LinuxNamespaceType::Network => self.new |= NEW_NETWORK,
            LinuxNamespaceType::Time => self.new |= NEW_TIME,
            LinuxNamespaceType::Cgroup => self.new_cgroup = true,
            LinuxNamespaceType::User => {
                self.new |= NEW_USER;
                self.user = User::New { uid_map: map_text("uid", uids)?, gid_map: map_text("gid", gids)? };
            }
        }
        Ok(())
    }

    fn join(&mut self, kind: LinuxNamespaceType, path: &Path) -> Result<()> {
        let file = File::open(path).map_err(|error| Error::kernel(format!("open {}", path.display()), error))?;
        match kind {
            LinuxNamespaceType::Network => self.joined.push((LinkNameSpaceType::Network, file.into())),
            LinuxNamespaceType::Ipc => self.joined.push((LinkNameSpaceType::InterProcessCommunication, file.into())),
            LinuxNamespaceType::Uts => {
                self.joined.push((LinkNameSpaceType::HostNameAndNISDomainName, file.into()));
            }
            LinuxNamespaceType::Cgroup => self.joined.push((LinkNameSpaceType::ControlGroup, file.into())),
            LinuxNamespaceType::Pid => self.pid = Some(file.into()),
            LinuxNamespaceType::User if is_ours(&file, "user") => {}
            LinuxNamespaceType::User => self.user = User::Joined(file.into()),
            LinuxNamespaceType::Mount | LinuxNamespaceType::Time => {
                return Err(Error::configuration(format!("a {kind} namespace cannot be joined by path")));
            }
        }
        Ok(())
    }

    pub(crate) fn makes_network(&self) -> bool {
        self.new & NEW_NETWORK != 0
    }

    /// Whether a process of another container can see the child before it has become the program.
    pub(crate) fn shares_pids(&self) -> bool {
        self.new & NEW_PID == 0
    }

    /// Whether the way leads through another user namespace, so that mounts must be prepared before it is entered.
    pub(crate) fn is_staged(&self) -> bool {
        !matches!(self.user, User::Same)
    }

    /// Enters what is to be joined, except for the user and pid namespaces.
    pub(crate) fn enter_joined(&self) -> Result<()> {
        for (kind, namespace) in &self.joined {
            rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(*kind))
                .map_err(|error| Error::kernel(format!("join the {} namespace", name(*kind)), error))?;
        }
        Ok(())
    }
}

fn name(kind: LinkNameSpaceType) -> &'static str {
    match kind {
        LinkNameSpaceType::Network => "network",
        LinkNameSpaceType::InterProcessCommunication => "ipc",
        LinkNameSpaceType::HostNameAndNISDomainName => "uts",
        LinkNameSpaceType::ControlGroup => "cgroup",
        LinkNameSpaceType::ProcessID => "pid",
        LinkNameSpaceType::User => "user",
        _ => "other",
    }
}

/// Lines of user_namespaces(7): inside, outside, count.
fn map_text(what: &str, mappings: Option<&[LinuxIdMapping]>) -> Result<String> {
    let mappings = mappings.unwrap_or_default();
    if mappings.is_empty() {
        return Err(Error::configuration(format!("a new user namespace needs {what} mappings")));
    }
    let mut text = String::new();
    for line in mappings {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{} {} {}", line.container_id(), line.host_id(), line.size());
    }
    Ok(text)
}

/// Writes the maps of a nested user namespace. We are in its parent with CAP_SETUID and CAP_SETGID, so neither a helper
/// nor `setgroups: deny` is needed.
pub(crate) fn write_id_maps(pid: i32, uid_map: &str, gid_map: &str) -> Result<()> {
    for (file, map) in [("gid_map", gid_map), ("uid_map", uid_map)] {
        fs::write(format!("/proc/{pid}/{file}"), map)
            .map_err(|error| Error::kernel(format!("write {file} of the container ({})", map.trim()), error))?;
    }
    Ok(())
}

pub(crate) fn unshare_cgroup() -> Result<()> {
    nix::sched::unshare(CloneFlags::CLONE_NEWCGROUP).map_err(|error| Error::kernel("make a cgroup namespace", error))
}

/// Which of another process's namespaces differ from ours. Those that do not cannot or need not be joined.
pub(crate) fn different_from_ours(pid: i32) -> std::io::Result<ThreadNameSpaceType> {
    let kinds: HashMap<&str, ThreadNameSpaceType> = HashMap::from([
        ("user", ThreadNameSpaceType::USER),
        ("mnt", ThreadNameSpaceType::MOUNT),
        ("pid", ThreadNameSpaceType::PROCESS_ID),
        ("net", ThreadNameSpaceType::NETWORK),
        ("ipc", ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION),
        ("uts", ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME),
        ("cgroup", ThreadNameSpaceType::CONTROL_GROUP),
    ]);
    let mut different = ThreadNameSpaceType::empty();
    for (name, kind) in kinds {
        let theirs = fs::metadata(format!("/proc/{pid}/ns/{name}"))?;
        let ours = fs::metadata(format!("/proc/self/ns/{name}"))?;
        if (theirs.dev(), theirs.ino()) != (ours.dev(), ours.ino()) {
            different |= kind;
        }
    }
    Ok(different)
}

fn is_ours(namespace: &File, name: &str) -> bool {
    match (namespace.metadata(), fs::metadata(format!("/proc/self/ns/{name}"))) {
        (Ok(theirs), Ok(ours)) => (theirs.dev(), theirs.ino()) == (ours.dev(), ours.ino()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci_spec::runtime::{LinuxBuilder, LinuxIdMappingBuilder, LinuxNamespaceBuilder, SpecBuilder};

    fn spec(kinds: &[LinuxNamespaceType], mapped: bool) -> Spec {
        let namespaces: Vec<_> =
            kinds.iter().map(|kind| LinuxNamespaceBuilder::default().typ(*kind).build().unwrap()).collect();
        let mut linux = LinuxBuilder::default().namespaces(namespaces);
        if mapped {
            let line = LinuxIdMappingBuilder::default().container_id(0u32).host_id(1u32).size(10u32).build().unwrap();
            linux = linux.uid_mappings(vec![line]).gid_mappings(vec![line]);
        }
        SpecBuilder::default().linux(linux.build().unwrap()).build().unwrap()
    }

    #[test]
    fn the_cgroup_namespace_is_left_to_the_child() {
        let all = Namespaces::of(&spec(&[LinuxNamespaceType::Mount, LinuxNamespaceType::Cgroup], false)).unwrap();
        assert_eq!(all.new, NEW_MOUNT);
        assert!(all.new_cgroup && all.shares_pids() && !all.is_staged());
    }

    #[test]
    fn a_nested_user_namespace_needs_maps() {
        let kinds = [LinuxNamespaceType::Mount, LinuxNamespaceType::User];
        assert!(Namespaces::of(&spec(&kinds, false)).is_err());
        let all = Namespaces::of(&spec(&kinds, true)).unwrap();
        assert!(matches!(all.user, User::New { uid_map, .. } if uid_map == "0 1 10\n"));
    }

    #[test]
    fn a_container_without_a_mount_namespace_is_refused() {
        assert!(Namespaces::of(&spec(&[LinuxNamespaceType::Pid], false)).is_err());
    }
}
