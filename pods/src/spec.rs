//! What a pod is meant to be.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use containers::{
    DeviceSpec, MountKind, MountSpec, NamespaceMode, NetworkSpec, Resources, RestartPolicy, Security, UserNamespace,
};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::service::ServiceContainer;

/// Everything that was asked for. What holds for the shared namespaces (hostname, network, sysctls) is done once, by the
/// infra container; mounts, devices and security options go to every member.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PodSpec {
    /// The pod's name where `None`.
    pub hostname: Option<String>,
    pub no_hostname: bool,
    pub labels: BTreeMap<String, String>,
    /// For whoever made the pod; every member has them too.
    pub annotations: BTreeMap<String, String>,
    pub share: Share,
    /// Members' cgroups are parts of one cgroup of the pod.
    pub share_parent: bool,
    /// Network, ports, names and name servers of all members.
    pub network: NetworkSpec,
    pub pid: NamespaceMode,
    pub host_ipc: bool,
    pub uts: NamespaceMode,
    pub user: UserNamespace,
    /// Limits of all members together, and where the pod's cgroup is made.
    pub resources: Resources,
    pub exit_policy: ExitPolicy,
    /// Of members that say nothing themselves.
    pub restart: RestartPolicy,
    /// Bytes of the shared /dev/shm.
    pub shm_size: Option<u64>,
    pub sysctls: BTreeMap<String, String>,
    pub security: Security,
    pub mounts: Vec<MountSpec>,
    /// File systems in memory that the infra container has mounted for all: they last as long as that runs.
    pub memory: Vec<MemoryVolume>,
    /// Containers whose mounts the members get, with options.
    pub volumes_from: Vec<(String, String)>,
    pub devices: Vec<DeviceSpec>,
    /// `vendor.com/class=name`.
    pub cdi_devices: Vec<String>,
    /// Bytes of the tmpfs mounts for systemd in a member.
    pub shm_size_systemd: Option<u64>,
    pub infra: Infra,
    /// What stands for it before a service manager.
    pub service: Option<ServiceContainer>,
    /// Seconds between a member's stop signal and SIGKILL, for members that say nothing themselves.
    pub stop_timeout: Option<u32>,
    /// The whole command line, for inspect.
    pub create_command: Vec<String>,
}

impl PodSpec {
    /// As `pod create` without flags makes one.
    pub fn usual() -> PodSpec {
        PodSpec { share: Share::usual(), share_parent: true, ..PodSpec::default() }
    }

    /// Whether there is a container that holds the namespaces.
    pub fn has_infra(&self) -> bool {
        !self.infra.none
    }
}

/// A directory in memory that members share, see tmpfs(5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryVolume {
    pub name: String,
    /// Bytes; half of the machine's memory where `None`.
    pub size: Option<u64>,
    /// What is made in it is this group's, an id of the pod's user namespace.
    pub group: Option<u32>,
}

impl MemoryVolume {
    /// What a member mounts.
    pub fn lent(name: &str) -> MountKind {
        MountKind::Lent { container: None, path: MemoryVolume::place(name) }
    }

    /// Where the infra container has it.
    fn place(name: &str) -> PathBuf {
        Path::new("/volumes").join(name)
    }

    /// The infra container's mount. Everybody may write, as in Kubernetes.
    pub(crate) fn mount(&self) -> MountSpec {
        let (mode, group) = match self.group {
            Some(group) => (0o2777, Some(format!("gid={group}"))),
            None => (0o777, None),
        };
        MountSpec {
            kind: MountKind::Tmpfs { size: self.size, mode: Some(mode), copy_up: false },
            destination: MemoryVolume::place(&self.name),
            read_only: false,
            options: group.into_iter().collect(),
            chown: false,
            group: None,
            subpath: None,
        }
    }
}

/// The container that holds the namespaces, as far as the user may say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Infra {
    /// There is none; nothing is shared.
    pub none: bool,
    /// The pod's short id and `-infra` where `None`.
    pub name: Option<String>,
    /// Instead of creel's own; needs an image that has it.
    pub command: Option<Vec<String>>,
    /// Has none of the pod's labels.
    pub unlabelled: bool,
    /// Gets the pid of its monitor.
    pub conmon_pidfile: Option<PathBuf>,
}

/// Which namespaces the members have in common.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Share {
    pub cgroup: bool,
    pub ipc: bool,
    pub net: bool,
    pub pid: bool,
    pub uts: bool,
}

impl Share {
    pub fn usual() -> Share {
        Share { ipc: true, net: true, uts: true, ..Share::default() }
    }

    /// In the order of inspect.
    pub fn names(self) -> Vec<&'static str> {
        let all = [("cgroup", self.cgroup), ("ipc", self.ipc), ("net", self.net), ("pid", self.pid), ("uts", self.uts)];
        all.into_iter().filter_map(|(name, shared)| shared.then_some(name)).collect()
    }

    pub fn is_empty(self) -> bool {
        self == Share::default()
    }
}

/// `ipc,net`, `+pid` for more than usual, `none` or nothing at all.
impl FromStr for Share {
    type Err = Error;

    fn from_str(text: &str) -> Result<Share, Error> {
        let (mut share, list) = match text.strip_prefix('+') {
            Some(more) => (Share::usual(), more),
            None => (Share::default(), text),
        };
        for word in list.split(',') {
            match word {
                "cgroup" => share.cgroup = true,
                "ipc" => share.ipc = true,
                "net" => share.net = true,
                "pid" => share.pid = true,
                "uts" => share.uts = true,
                "" | "none" => {}
                // Members are in the pod's user namespace anyway.
                "user" => {}
                "mnt" => {
                    return Err(Error::Invalid("mount sharing functionality not supported on pod level".into()));
                }
                other => {
                    return Err(Error::Invalid(format!(
                        "invalid kernel namespace to share: {other}. Options are: cgroup, ipc, net, pid, uts or none"
                    )));
                }
            }
        }
        Ok(share)
    }
}

/// What becomes of the pod when its last member has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExitPolicy {
    /// Its namespaces stay.
    #[default]
    Continue,
    Stop,
}

impl ExitPolicy {
    pub fn word(self) -> &'static str {
        match self {
            ExitPolicy::Continue => "continue",
            ExitPolicy::Stop => "stop",
        }
    }
}

impl FromStr for ExitPolicy {
    type Err = Error;

    fn from_str(text: &str) -> Result<ExitPolicy, Error> {
        match text {
            "continue" => Ok(ExitPolicy::Continue),
            "stop" => Ok(ExitPolicy::Stop),
            other => Err(Error::Invalid(format!("invalid pod exit policy: \"{other}\""))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_read() {
        let names = |text: &str| text.parse::<Share>().unwrap().names().join(",");
        assert_eq!(names("+pid"), "ipc,net,pid,uts");
        assert_eq!(names("net,cgroup"), "cgroup,net");
        assert_eq!(names("none"), "");
        assert_eq!(names(""), "");
        assert!("foo".parse::<Share>().is_err());
    }
}
