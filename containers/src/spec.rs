//! What a container is meant to be: the one model between the surface (or a manifest) and the OCI runtime
//! configuration. Made once by the caller, stored as it is, translated once by [`crate::oci`].

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use network::{HostEntry, Mode as NetworkMode, PortMapping};
use serde::{Deserialize, Serialize};

/// Everything the user asked for. Durations are serialised as seconds and nanoseconds, sizes are bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerSpec {
    pub source: Source,
    /// The image's name as it was typed: what auto-update asks for. Empty where there was none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub raw_image: String,
    /// Arguments after the image: they replace the image's `CMD`.
    pub command: Vec<String>,
    /// `None` keeps the image's; `Some(vec![])` clears it.
    pub entrypoint: Option<Vec<String>>,
    /// In order of precedence, later wins. Resolved by the surface: no bare names, no wildcards.
    pub env: Vec<(String, String)>,
    pub unset_env: Vec<String>,
    pub unset_env_all: bool,
    /// Pass the caller's proxy variables (already resolved into values by the surface).
    pub proxy_env: Vec<(String, String)>,
    pub workdir: Option<String>,
    /// `workdir` is made where it is not there, as an image's own is.
    pub make_workdir: bool,
    /// `user[:group]`, names or numbers, looked up in the image's own files.
    pub user: Option<String>,
    pub group_add: Vec<String>,
    pub hostname: Option<String>,
    pub no_hostname: bool,
    pub domainname: Option<String>,
    pub tty: bool,
    pub stdin: bool,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    pub stop_signal: Option<i32>,
    /// Seconds between the stop signal and SIGKILL.
    pub stop_timeout: Option<u32>,
    /// The container is killed after this many seconds (exit code 255).
    pub timeout: Option<u32>,
    pub restart: RestartPolicy,
    pub remove: Remove,
    pub log: LogConfig,
    pub network: NetworkSpec,
    pub namespaces: Namespaces,
    pub security: Security,
    pub resources: Resources,
    pub mounts: Vec<MountSpec>,
    /// Containers whose mounts are taken over, with their option string (`ro`, `rw`, `z`).
    pub volumes_from: Vec<(String, String)>,
    pub image_volumes: ImageVolumes,
    pub devices: Vec<DeviceSpec>,
    /// `vendor.com/class=name`, see [`crate::cdi`].
    pub cdi_devices: Vec<String>,
    pub device_cgroup_rules: Vec<String>,
    pub ulimits: Vec<Ulimit>,
    pub sysctls: BTreeMap<String, String>,
    /// Small files by their place, for everybody to read: what whoever makes the container tells its program. They are
    /// none of its mounts.
    pub files: BTreeMap<PathBuf, String>,
    /// Bytes of `/dev/shm`.
    pub shm_size: Option<u64>,
    /// Bytes of each tmpfs that systemd as process 1 gets.
    pub shm_size_systemd: Option<u64>,
    pub umask: Option<u32>,
    pub timezone: Option<String>,
    pub oom_score_adj: Option<i32>,
    pub init: bool,
    pub init_path: Option<PathBuf>,
    pub systemd: SystemdMode,
    pub sdnotify: SdNotify,
    /// The service manager is not told: whoever plays the container waits for what it says ([`crate::has_notified`]).
    pub sdnotify_inside: bool,
    pub health: Option<HealthSpec>,
    pub no_healthcheck: bool,
    pub probes: crate::probes::Probes,
    /// Pauses between restarts; creel's own where `None`.
    pub backoff: Option<crate::probes::Backoff>,
    pub secrets: Vec<SecretUse>,
    pub passwd: PasswdMode,
    pub passwd_entry: Option<String>,
    pub group_entry: Option<String>,
    pub host_users: Vec<String>,
    /// The full id of the pod it belongs to.
    pub pod: Option<String>,
    pub pod_role: Option<PodRole>,
    /// The cgroup that it has in common with the other containers of its pod.
    pub pod_cgroup: Option<PodCgroup>,
    /// It ends by itself when the last container that needs it has ended.
    pub ends_unneeded: bool,
    /// It stands for the pods whose infra containers need it, before a service manager.
    pub service: Option<ExitPropagation>,
    pub requires: Vec<String>,
    pub cidfile: Option<PathBuf>,
    pub pidfile: Option<PathBuf>,
    /// Where the pid of the container's monitor is written.
    pub monitor_pidfile: Option<PathBuf>,
    /// The whole command line, for inspect.
    pub create_command: Vec<String>,
    pub personality: Option<String>,
    pub chroot_dirs: Vec<PathBuf>,
    /// Another OCI runtime than creel's own, and its flags.
    pub runtime: Option<PathBuf>,
    pub runtime_flags: Vec<String>,
}

/// Where the root file system comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    #[default]
    None,
    /// A stored image: its id (64 hex digits) and the name the user gave for it.
    Image { id: String, name: String },
    /// A directory used as it is (`--rootfs`), or under an overlay (`:O`).
    Directory { path: PathBuf, overlay: bool },
    /// Nothing but creel itself, which waits: the holder of namespaces that others join.
    Holder,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    #[default]
    No,
    /// Also `--restart=never`? No: Podman keeps both words apart in inspect, so does creel at the surface.
    OnFailure {
        max_retries: u32,
    },
    Always,
    UnlessStopped,
}

/// What `--rm` and `--rmi` take away on exit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Remove {
    #[default]
    Nothing,
    Container,
    ContainerAndImage,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogConfig {
    pub driver: LogDriver,
    pub path: Option<PathBuf>,
    /// Bytes of one log file before it is rotated.
    pub max_size: Option<u64>,
    /// Rotated files kept beside the current one.
    pub max_files: Option<u32>,
    /// journald only: `{{.Name}}` and its like are filled in at the start.
    pub tag: Option<String>,
    /// journald only: further fields.
    pub labels: Vec<(String, String)>,
    /// Where the logs of all containers are, each in a directory of its own; `path` goes before it.
    pub directory: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogDriver {
    #[default]
    K8sFile,
    JsonFile,
    Journald,
    None,
    Passthrough,
    PassthroughTty,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkSpec {
    pub mode: NetworkMode,
    /// The host name with its domain: the first of its own names in /etc/hosts, see hosts(5).
    pub full_name: Option<String>,
    pub ports: Vec<PortMapping>,
    /// `--expose` and the image's `EXPOSE`, as `port/proto`.
    pub expose: Vec<String>,
    pub publish_all: bool,
    pub aliases: Vec<String>,
    pub dns: Vec<IpAddr>,
    /// `--dns none`: leave the image's resolv.conf alone.
    pub dns_none: bool,
    pub dns_search: Vec<String>,
    pub dns_options: Vec<String>,
    pub add_hosts: Vec<HostEntry>,
    pub no_hosts: bool,
    /// `host_containers_internal_ip` of containers.conf.
    pub host_names: network::HostNames,
    /// `path`, `image` or `none` as base of /etc/hosts.
    pub hosts_file: Option<String>,
    pub ip: Option<IpAddr>,
    pub ip6: Option<IpAddr>,
    pub mac: Option<String>,
    /// Whom it may talk to, if not everybody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egress: Option<network::Egress>,
}

impl ContainerSpec {
    /// A start is over when the container is healthy.
    pub(crate) fn starts_healthy(&self) -> bool {
        self.sdnotify == SdNotify::Healthy && !self.sdnotify_inside
    }
}

impl NetworkSpec {
    /// Without a network the image's resolv.conf will do, unless somebody wants it otherwise.
    pub(crate) fn leaves_resolv_conf_alone(&self) -> bool {
        let says_nothing = self.dns.is_empty() && self.dns_search.is_empty() && self.dns_options.is_empty();
        self.dns_none || matches!(self.mode, NetworkMode::None) && says_nothing
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Namespaces {
    pub pid: NamespaceMode,
    pub ipc: IpcMode,
    pub uts: NamespaceMode,
    pub cgroup: NamespaceMode,
    pub user: UserNamespace,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NamespaceMode {
    #[default]
    Private,
    Host,
    /// Another container's, by its full id.
    Container(String),
    Path(PathBuf),
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IpcMode {
    /// Private, but others may join.
    #[default]
    Shareable,
    Private,
    /// Private, without /dev/shm.
    None,
    Host,
    Container(String),
    Path(PathBuf),
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UserNamespace {
    /// The caller's rootless user namespace itself.
    #[default]
    Host,
    /// The caller's own ids inside (`keep-id[:uid=,gid=,size=]`).
    KeepId {
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u32>,
    },
    /// All sub-ids, the caller's own id unmapped.
    NoMap,
    Auto {
        size: Option<u32>,
        uid_maps: Vec<IdMap>,
        gid_maps: Vec<IdMap>,
    },
    /// `--uidmap`/`--gidmap`: host ids are those of the rootless user namespace.
    Private {
        uid_maps: Vec<IdMap>,
        gid_maps: Vec<IdMap>,
    },
    Container(String),
    Path(PathBuf),
}

/// `container_id:host_id:size`, host ids as seen inside the rootless user namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdMap {
    pub container: u32,
    pub host: u32,
    pub size: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Security {
    pub privileged: bool,
    /// Names without `CAP_`, upper case, or `ALL`.
    pub cap_add: Vec<String>,
    pub cap_drop: Vec<String>,
    /// What a container has before `cap_add` and `cap_drop`; `None` for Podman's eleven.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cap_default: Option<Vec<String>>,
    pub no_new_privileges: bool,
    pub seccomp: SeccompProfile,
    /// Paths masked beside the defaults.
    pub mask: Vec<String>,
    /// Paths of the defaults left alone; `ALL` for every one.
    pub unmask: Vec<String>,
    pub read_only: bool,
    pub read_only_tmpfs: bool,
    pub proc_opts: Vec<String>,
    pub apparmor: Option<String>,
    /// `label=` options, recorded for inspect (no SELinux support below).
    pub labels: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SeccompProfile {
    #[default]
    Default,
    Unconfined,
    File(PathBuf),
}

/// cgroup v2 limits. `None` everywhere is the default of a plain run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// Bytes.
    pub memory: Option<i64>,
    /// Bytes of memory and swap together; -1 is unlimited.
    pub memory_swap: Option<i64>,
    pub memory_reservation: Option<i64>,
    pub memory_swappiness: Option<u64>,
    pub cpu_shares: Option<u64>,
    /// Microseconds.
    pub cpu_period: Option<u64>,
    /// Microseconds per period.
    pub cpu_quota: Option<i64>,
    pub cpuset_cpus: Option<String>,
    pub cpuset_mems: Option<String>,
    /// `None`: the default (2048), applied where the controller is delegated; -1 or 0: unlimited.
    pub pids_limit: Option<i64>,
    pub blkio_weight: Option<u16>,
    /// Path of the device and its weight.
    pub blkio_weight_device: Vec<(PathBuf, u16)>,
    pub read_bps: Vec<(PathBuf, u64)>,
    pub write_bps: Vec<(PathBuf, u64)>,
    pub read_iops: Vec<(PathBuf, u64)>,
    pub write_iops: Vec<(PathBuf, u64)>,
    /// `--cgroup-conf`: file name and content.
    pub unified: BTreeMap<String, String>,
    pub cgroup_parent: Option<String>,
    pub cgroups: CgroupsMode,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CgroupsMode {
    #[default]
    Enabled,
    Disabled,
    NoConmon,
    Split,
}

/// One thing mounted into the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountSpec {
    pub kind: MountKind,
    /// Absolute path in the container.
    pub destination: PathBuf,
    pub read_only: bool,
    /// Further mount options as typed (`noexec`, `rshared`, ...), checked by the surface.
    #[serde(default)]
    pub options: Vec<String>,
    /// `U`: chown the source to the container's user.
    #[serde(default)]
    pub chown: bool,
    /// Of a named volume: the group that everything in it belongs to.
    #[serde(default)]
    pub group: Option<VolumeGroup>,
    #[serde(default)]
    pub subpath: Option<PathBuf>,
}

/// Kubernetes' `fsGroup`: before a start the files of a volume are given to a group, which may read and write them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeGroup {
    /// In the container's user namespace.
    pub id: u32,
    /// A volume whose root directory is the group's is not looked through.
    pub trust_root: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MountKind {
    /// `overlay`: the `:O` option, writes go to a layer that dies with the container.
    Bind {
        source: PathBuf,
        overlay: bool,
    },
    /// A named volume, created on demand; `None` is an anonymous one that `create` gives a name.
    Volume {
        name: Option<String>,
        anonymous: bool,
        copy_up: bool,
        overlay: bool,
    },
    /// Size in bytes; mode in octal as typed.
    Tmpfs {
        size: Option<u64>,
        mode: Option<u32>,
        copy_up: bool,
    },
    Image {
        /// As typed.
        reference: String,
        /// Filled in by `create`.
        #[serde(default)]
        id: String,
        read_write: bool,
    },
    /// Files of an artifact, read-only; looked up at each start.
    Artifact {
        /// As typed.
        reference: String,
        #[serde(default)]
        title: Option<String>,
        #[serde(default)]
        digest: Option<String>,
        /// What the files are called, instead of by their titles.
        #[serde(default)]
        name: Option<String>,
    },
    /// What another container has mounted at `path`: one file system for all, there for as long as that one runs.
    Lent {
        /// `None` is the infra container of the pod that the container is made in.
        container: Option<String>,
        path: PathBuf,
    },
    /// The whole root file system of another container, as that sees it while it runs. One that does not run cannot be
    /// started meanwhile.
    Root {
        container: String,
    },
    DevPts,
    Ramfs,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImageVolumes {
    #[default]
    Anonymous,
    Tmpfs,
    Ignore,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceSpec {
    pub host: PathBuf,
    pub container: PathBuf,
    /// Of `rwm`.
    pub permissions: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// Lower case, without `RLIMIT_`; `host` alone means: the caller's own limits.
    pub name: String,
    /// `u64::MAX` is unlimited.
    pub soft: u64,
    pub hard: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SystemdMode {
    /// On when the command is systemd or an init.
    #[default]
    Auto,
    Off,
    Always,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SdNotify {
    #[default]
    Container,
    Conmon,
    Healthy,
    Ignore,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthSpec {
    /// `["CMD", ...]` or `["CMD-SHELL", text]`.
    pub test: Vec<String>,
    /// `None`: only by hand.
    pub interval: Option<Duration>,
    pub timeout: Duration,
    pub start_period: Duration,
    /// Between checks in the start period, until one succeeds; `interval` where `None`.
    #[serde(default)]
    pub start_interval: Option<Duration>,
    pub retries: u32,
    pub on_failure: HealthAction,
    pub startup: Option<StartupHealth>,
    pub log_destination: String,
    pub max_log_count: u32,
    /// Characters.
    pub max_log_size: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartupHealth {
    pub test: Vec<String>,
    pub interval: Option<Duration>,
    pub timeout: Duration,
    pub retries: u32,
    pub successes: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HealthAction {
    #[default]
    None,
    Kill,
    Restart,
    Stop,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretUse {
    /// As typed (a name or an id), until `create` has found it.
    pub name: String,
    /// Filled in by `create`.
    #[serde(default)]
    pub id: String,
    pub target: SecretTarget,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecretTarget {
    Mount { path: PathBuf, uid: u32, gid: u32, mode: u32 },
    Env { name: String },
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PasswdMode {
    /// Add entries for users that the image does not know.
    #[default]
    Add,
    LeaveAlone,
}

/// Which failures among the containers of its pods a service container ends with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExitPropagation {
    #[default]
    None,
    /// That of every one.
    All,
    /// That of one is enough.
    Any,
}

impl ExitPropagation {
    pub fn word(self) -> &'static str {
        match self {
            ExitPropagation::None => "none",
            ExitPropagation::All => "all",
            ExitPropagation::Any => "any",
        }
    }
}

impl std::str::FromStr for ExitPropagation {
    type Err = crate::Error;

    fn from_str(text: &str) -> crate::Result<ExitPropagation> {
        match text {
            "" | "none" => Ok(ExitPropagation::None),
            "all" => Ok(ExitPropagation::All),
            "any" => Ok(ExitPropagation::Any),
            other => Err(crate::Error::Invalid(format!("unsupported exit-code propagation {other:?}"))),
        }
    }
}

/// What a container is to its pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PodRole {
    /// Holds the namespaces of the others.
    Infra,
    Member,
    /// Runs to its end before the members start, the first time only.
    InitOnce,
    /// Runs to its end before the members start, each time.
    InitAlways,
    /// Starts in its turn among the init containers and runs beside the members until they have ended.
    Sidecar,
    /// Looks into the others while they run. Nobody waits for it, and the pod does not start it again.
    Ephemeral,
}

/// A cgroup around the cgroups of several containers. Whoever starts first makes it, with its limits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PodCgroup {
    /// What it is told from others by: the pod's id.
    pub name: String,
    pub limits: Resources,
}
