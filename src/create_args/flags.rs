//! The flags themselves, as clap reads them. `create` and `run` have all of these in common.

use std::path::PathBuf;

use crate::arguments::number;

// No doc comment here: clap would take it for the description of the command that has these flags.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct CreateArgs {
    /// Add a line to /etc/hosts (name[;name...]:ip, host-gateway as ip for the host)
    #[arg(long, value_name = "NAME:IP", value_delimiter = ',')]
    pub add_host: Vec<String>,
    /// Allow connections to this host alone (HOST|*.DOMAIN|CIDR[:PORT[-PORT]][/PROTOCOL], or none; repeatable)
    #[arg(long, value_name = "TARGET")]
    pub allow_egress: Vec<String>,
    /// Add an annotation (KEY=VALUE)
    #[arg(long, value_name = "KEY=VALUE")]
    pub annotation: Vec<String>,
    /// Choose an image for this architecture
    #[arg(long, alias = "override-arch")]
    pub arch: Option<String>,
    /// Attach to stdin, stdout, stderr
    #[arg(short, long, value_delimiter = ',')]
    pub attach: Vec<String>,
    /// File with the registries' credentials
    #[arg(long, value_name = "FILE")]
    pub authfile: Option<PathBuf>,
    /// Add a capability
    #[arg(long, value_name = "CAPABILITY", value_delimiter = ',')]
    pub cap_add: Vec<String>,
    /// Drop a capability
    #[arg(long, value_name = "CAPABILITY", value_delimiter = ',')]
    pub cap_drop: Vec<String>,
    /// Directory with certificates for the registry
    #[arg(long, value_name = "DIR")]
    pub cert_dir: Option<PathBuf>,
    /// Write a value into a file of the cgroup (FILE=VALUE)
    #[arg(long, value_name = "FILE=VALUE", value_delimiter = ',')]
    pub cgroup_conf: Vec<String>,
    /// The cgroup below which the container's is made
    #[arg(long, value_name = "PATH")]
    pub cgroup_parent: Option<String>,
    /// Cgroup namespace: private, host, container:NAME, ns:PATH
    #[arg(long, value_name = "MODE")]
    pub cgroupns: Option<String>,
    /// Make a cgroup: enabled, disabled, no-conmon, split
    #[arg(long, value_name = "MODE")]
    pub cgroups: Option<String>,
    /// Directories in which /etc/hosts and the like are put, too
    #[arg(long, value_name = "DIR")]
    pub chrootdirs: Vec<PathBuf>,
    /// Write the container's id to a file
    #[arg(long, value_name = "FILE")]
    pub cidfile: Option<PathBuf>,
    /// Write the pid of the container's monitor to a file
    #[arg(long, value_name = "FILE")]
    pub conmon_pidfile: Option<PathBuf>,
    /// Credentials for the registry (USERNAME:PASSWORD)
    #[arg(long, value_name = "USER:PASSWORD")]
    pub creds: Option<String>,
    /// Key to decrypt the image with
    #[arg(long, value_name = "KEY")]
    pub decryption_key: Vec<String>,
    /// Give the container a device (HOST[:CONTAINER[:rwm]])
    #[arg(long, value_name = "DEVICE")]
    pub device: Vec<String>,
    /// A rule for the device cgroup
    #[arg(long, value_name = "RULE", value_delimiter = ',')]
    pub device_cgroup_rule: Vec<String>,
    /// Name servers; "none" leaves the image's resolv.conf alone
    #[arg(long, value_name = "IP", value_delimiter = ',')]
    pub dns: Vec<String>,
    /// Options of the resolver
    #[arg(long, alias = "dns-opt", value_name = "OPTION", value_delimiter = ',')]
    pub dns_option: Vec<String>,
    /// Search domains
    #[arg(long, value_name = "DOMAIN", value_delimiter = ',')]
    pub dns_search: Vec<String>,
    /// NIS domain name
    #[arg(long, value_name = "NAME")]
    pub domainname: Option<String>,
    /// Program to run instead of the image's (a word, or a JSON array)
    #[arg(long, value_name = "COMMAND")]
    pub entrypoint: Option<String>,
    /// Set a variable (NAME=VALUE, NAME to copy it, PREFIX* to copy all of that prefix)
    #[arg(short, long, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// Read variables from a file
    #[arg(long, value_name = "FILE")]
    pub env_file: Vec<PathBuf>,
    /// Pass the whole environment of the caller
    #[arg(long)]
    pub env_host: bool,
    /// Set a variable with the image's values filled in (NAME=${NAME}-suffix)
    #[arg(long, value_name = "NAME=VALUE")]
    pub env_merge: Vec<String>,
    /// Record a port or range of ports
    #[arg(long, value_name = "PORT", value_delimiter = ',')]
    pub expose: Vec<String>,
    /// Map group ids ([+ug]CONTAINER:[@]HOST[:SIZE])
    #[arg(long, value_name = "MAP", value_delimiter = ',')]
    pub gidmap: Vec<String>,
    /// GPUs by their CDI names: all, or indices (of nvidia.com/gpu)
    #[arg(long, value_name = "GPU", value_delimiter = ',')]
    pub gpus: Vec<String>,
    /// Further groups of the process; keep-groups keeps the caller's
    #[arg(long, value_name = "GROUP", value_delimiter = ',')]
    pub group_add: Vec<String>,
    /// Line for /etc/group
    #[arg(long, value_name = "LINE")]
    pub group_entry: Option<String>,
    /// Host name of the container
    #[arg(short = 'h', long, value_name = "NAME")]
    pub hostname: Option<String>,
    /// Base of /etc/hosts: a path, "image" or "none"
    #[arg(long, value_name = "FILE")]
    pub hosts_file: Option<String>,
    /// Users of the host to put into /etc/passwd
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub hostuser: Vec<String>,
    /// Pass the caller's proxy variables
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub http_proxy: Option<bool>,
    /// What the image's volumes become: anonymous, tmpfs, ignore
    #[arg(long, value_name = "MODE")]
    pub image_volume: Option<String>,
    /// Run a small init as process 1 that forwards signals and reaps
    #[arg(long)]
    pub init: bool,
    /// The init to use
    #[arg(long, value_name = "PATH")]
    pub init_path: Option<PathBuf>,
    /// Run to its end before the other containers of the pod start: always, or once and then removed
    #[arg(long, value_name = "TYPE")]
    pub init_ctr: Option<String>,
    /// Keep stdin open
    #[arg(short, long)]
    pub interactive: bool,
    /// IPv4 address
    #[arg(long, value_name = "ADDRESS")]
    pub ip: Option<String>,
    /// IPv6 address
    #[arg(long, value_name = "ADDRESS")]
    pub ip6: Option<String>,
    /// IPC namespace: shareable, private, none, host, container:NAME, ns:PATH
    #[arg(long, value_name = "MODE")]
    pub ipc: Option<String>,
    /// Set a label (KEY=VALUE)
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub label: Vec<String>,
    /// Read labels from a file
    #[arg(long, value_name = "FILE")]
    pub label_file: Vec<PathBuf>,
    /// Where output goes: k8s-file, json-file, journald, none, passthrough
    #[arg(long, value_name = "DRIVER")]
    pub log_driver: Option<String>,
    /// Option of the log driver (max-size=, max-file=, path=, tag=)
    #[arg(long, value_name = "KEY=VALUE")]
    pub log_opt: Vec<String>,
    /// MAC address
    #[arg(long, value_name = "ADDRESS")]
    pub mac_address: Option<String>,
    /// Mount something (type=TYPE,key=value,...)
    #[arg(long, value_name = "MOUNT")]
    pub mount: Vec<String>,
    /// Name of the container
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Network: none, host, private, bridge, NAME, container:NAME, ns:PATH, creel[:OPTIONS], pasta[:OPTIONS],
    /// slirp4netns[:OPTIONS]
    #[arg(long, alias = "net", value_name = "MODE")]
    pub network: Vec<String>,
    /// Further names of the container on its networks
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub network_alias: Vec<String>,
    /// No /etc/hostname of creel's
    #[arg(long)]
    pub no_hostname: bool,
    /// No /etc/hosts of creel's
    #[arg(long)]
    pub no_hosts: bool,
    /// How soon the kernel kills the container when memory runs out (-1000 to 1000)
    #[arg(long, value_name = "NUMBER", value_parser = number::i32)]
    pub oom_score_adj: Option<i32>,
    /// Choose an image for this operating system
    #[arg(long, alias = "override-os")]
    pub os: Option<String>,
    /// Line for /etc/passwd
    #[arg(long, value_name = "LINE")]
    pub passwd_entry: Option<String>,
    /// Execution domain, e.g. LINUX32
    #[arg(long, value_name = "PERSONALITY")]
    pub personality: Option<String>,
    /// PID namespace: private, host, container:NAME, ns:PATH
    #[arg(long, value_name = "MODE")]
    pub pid: Option<String>,
    /// Write the pid of the container's process to a file
    #[arg(long, value_name = "FILE")]
    pub pidfile: Option<PathBuf>,
    /// Choose an image for this platform (os/arch[/variant])
    #[arg(long, value_name = "PLATFORM")]
    pub platform: Option<String>,
    /// Pod to join; new:NAME makes one
    #[arg(long, value_name = "POD")]
    pub pod: Option<String>,
    /// Read the id of the pod to join from a file
    #[arg(long, value_name = "FILE")]
    pub pod_id_file: Option<PathBuf>,
    /// All capabilities, no masks, no seccomp filter, the host's devices
    #[arg(long)]
    pub privileged: bool,
    /// Publish a port ([[IP:][HOSTPORT]:]CONTAINERPORT[/PROTOCOL])
    #[arg(short, long, value_name = "PORT", value_delimiter = ',')]
    pub publish: Vec<String>,
    /// Publish all exposed ports to free ports of the host
    #[arg(short = 'P', long)]
    pub publish_all: bool,
    /// When to pull the image: always, missing, never, newer
    #[arg(long, value_name = "POLICY")]
    pub pull: Option<String>,
    /// Say nothing about the pull
    #[arg(short, long)]
    pub quiet: bool,
    /// Make the root file system read-only
    #[arg(long)]
    pub read_only: bool,
    /// With --read-only: a tmpfs on /run, /tmp, /var/tmp
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true")]
    pub read_only_tmpfs: bool,
    /// Replace the container that has the name
    #[arg(long)]
    pub replace: bool,
    /// Containers that must be started before
    #[arg(long, value_name = "CONTAINER", value_delimiter = ',')]
    pub requires: Vec<String>,
    /// When to restart: no, on-failure[:RETRIES], always, unless-stopped
    #[arg(long, value_name = "POLICY")]
    pub restart: Option<String>,
    /// How often to try a pull again
    #[arg(long, value_name = "NUMBER", value_parser = number::u32)]
    pub retry: Option<u32>,
    /// How long to wait before a pull is tried again
    #[arg(long, value_name = "DURATION")]
    pub retry_delay: Option<String>,
    /// Remove the container when it ends
    #[arg(long)]
    pub rm: bool,
    /// The first argument is a directory, not an image
    #[arg(long)]
    pub rootfs: bool,
    /// Who tells systemd that the container is ready: container, conmon, healthy, ignore
    #[arg(long, value_name = "MODE")]
    pub sdnotify: Option<String>,
    /// Where the seccomp profile comes from: default, image
    #[arg(long, value_name = "POLICY")]
    pub seccomp_policy: Option<String>,
    /// Give the container a secret (NAME[,type=mount|env,target=,uid=,gid=,mode=])
    #[arg(long, value_name = "SECRET")]
    pub secret: Vec<String>,
    /// Security options: no-new-privileges, seccomp=FILE, mask=, unmask=, label=, apparmor=, proc-opts=
    #[arg(long, value_name = "OPTION")]
    pub security_opt: Vec<String>,
    /// The policy.json to obey
    #[arg(long, value_name = "FILE", hide = true)]
    pub signature_policy: Option<PathBuf>,
    /// Size of /dev/shm
    #[arg(long, value_name = "SIZE")]
    pub shm_size: Option<String>,
    /// Size of each tmpfs that systemd gets as process 1
    #[arg(long, value_name = "SIZE")]
    pub shm_size_systemd: Option<String>,
    /// Signal that asks the container to stop
    #[arg(long, value_name = "SIGNAL")]
    pub stop_signal: Option<String>,
    /// Seconds to wait after it before the container is killed
    #[arg(long, value_name = "SECONDS", value_parser = number::u32)]
    pub stop_timeout: Option<u32>,
    /// Map the sub-group-ids of this name of /etc/subgid
    #[arg(long, value_name = "NAME")]
    pub subgidname: Option<String>,
    /// Map the sub-user-ids of this name of /etc/subuid
    #[arg(long, value_name = "NAME")]
    pub subuidname: Option<String>,
    /// Set a kernel parameter of the container's namespaces
    #[arg(long, value_name = "KEY=VALUE", value_delimiter = ',')]
    pub sysctl: Vec<String>,
    /// Prepare for systemd as process 1: true, false, always
    #[arg(long, value_name = "MODE")]
    pub systemd: Option<String>,
    /// Kill the container after so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = number::u32)]
    pub timeout: Option<u32>,
    /// Require TLS and check certificates
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub tls_verify: Option<bool>,
    /// Mount a tmpfs (PATH[:OPTIONS])
    #[arg(long, value_name = "PATH")]
    pub tmpfs: Vec<String>,
    /// Give the container a terminal
    #[arg(short, long)]
    pub tty: bool,
    /// Time zone (an IANA name, or "local")
    #[arg(long, value_name = "ZONE")]
    pub tz: Option<String>,
    /// Map user ids ([+ug]CONTAINER:[@]HOST[:SIZE])
    #[arg(long, value_name = "MAP", value_delimiter = ',')]
    pub uidmap: Vec<String>,
    /// Limit of a resource (NAME=SOFT[:HARD]); "host" for the caller's limits
    #[arg(long, value_name = "LIMIT", value_delimiter = ',')]
    pub ulimit: Vec<String>,
    /// Mask for new files (octal)
    #[arg(long, value_name = "MASK")]
    pub umask: Option<String>,
    /// Remove a variable of the image or of creel
    #[arg(long, value_name = "NAME")]
    pub unsetenv: Vec<String>,
    /// Remove all variables of the image and of creel
    #[arg(long)]
    pub unsetenv_all: bool,
    /// User (name or id, optionally :group)
    #[arg(short, long, value_name = "USER")]
    pub user: Option<String>,
    /// User namespace: host, keep-id[:OPTIONS], auto[:OPTIONS], nomap, container:NAME, ns:PATH
    #[arg(long, value_name = "MODE")]
    pub userns: Option<String>,
    /// UTS namespace: private, host, container:NAME, ns:PATH
    #[arg(long, value_name = "MODE")]
    pub uts: Option<String>,
    /// Choose an image for this variant of the architecture
    #[arg(long, alias = "override-variant")]
    pub variant: Option<String>,
    /// Mount a directory or volume ([SOURCE:]DESTINATION[:OPTIONS])
    #[arg(short, long, value_name = "VOLUME")]
    pub volume: Vec<String>,
    /// Take the mounts of another container (CONTAINER[:OPTIONS])
    #[arg(long, value_name = "CONTAINER")]
    pub volumes_from: Vec<String>,
    /// Directory in which the command starts
    #[arg(short, long, value_name = "DIR")]
    pub workdir: Option<String>,
    #[command(flatten)]
    pub limits: LimitFlags,
    #[command(flatten)]
    pub health: HealthFlags,
    /// The image, the command and its arguments
    #[arg(value_name = "IMAGE [COMMAND [ARG...]]")]
    pub words: Vec<String>,
}

// What the cgroup of a container or a pod may use; commands that change one have these, too.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct LimitFlags {
    /// Block IO weight (10 to 1000)
    #[arg(long, value_name = "WEIGHT")]
    pub blkio_weight: Option<String>,
    /// Block IO weight of a device (DEVICE:WEIGHT)
    #[arg(long, value_name = "DEVICE:WEIGHT")]
    pub blkio_weight_device: Vec<String>,
    /// CPU period in microseconds
    #[arg(long, value_name = "MICROSECONDS", value_parser = number::u64)]
    pub cpu_period: Option<u64>,
    /// CPU time per period in microseconds
    #[arg(long, value_name = "MICROSECONDS", value_parser = number::i64)]
    pub cpu_quota: Option<i64>,
    /// CPU shares (relative weight)
    #[arg(short, long, value_name = "SHARES", value_parser = number::u64)]
    pub cpu_shares: Option<u64>,
    /// Number of CPUs
    #[arg(long, value_name = "NUMBER", value_parser = number::f64)]
    pub cpus: Option<f64>,
    /// CPUs to run on (0-3, 0,1)
    #[arg(long, value_name = "LIST")]
    pub cpuset_cpus: Option<String>,
    /// Memory nodes to use (0-3, 0,1)
    #[arg(long, value_name = "LIST")]
    pub cpuset_mems: Option<String>,
    /// Limit reading from a device (PATH:BYTES per second)
    #[arg(long, value_name = "PATH:RATE")]
    pub device_read_bps: Vec<String>,
    /// Limit reading from a device (PATH:OPERATIONS per second)
    #[arg(long, value_name = "PATH:RATE")]
    pub device_read_iops: Vec<String>,
    /// Limit writing to a device (PATH:BYTES per second)
    #[arg(long, value_name = "PATH:RATE")]
    pub device_write_bps: Vec<String>,
    /// Limit writing to a device (PATH:OPERATIONS per second)
    #[arg(long, value_name = "PATH:RATE")]
    pub device_write_iops: Vec<String>,
    /// Memory limit (number with unit b, k, m, g)
    #[arg(short, long, value_name = "SIZE")]
    pub memory: Option<String>,
    /// Memory soft limit
    #[arg(long, value_name = "SIZE")]
    pub memory_reservation: Option<String>,
    /// Limit of memory and swap together; -1 for no limit
    #[arg(long, value_name = "SIZE")]
    pub memory_swap: Option<String>,
    /// Limit of processes; -1 for none
    #[arg(long, value_name = "NUMBER", value_parser = number::i64)]
    pub pids_limit: Option<i64>,
}

// How a container's health is found out; `update` has these, too.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct HealthFlags {
    /// Command that checks the container's health ("none" for none)
    #[arg(long, alias = "healthcheck-command", value_name = "COMMAND")]
    pub health_cmd: Option<String>,
    /// Time between checks ("disable" for checks by hand only)
    #[arg(long, alias = "healthcheck-interval", value_name = "DURATION")]
    pub health_interval: Option<String>,
    /// Where the results of checks are kept: local, events_logger or a directory
    #[arg(long, value_name = "PLACE")]
    pub health_log_destination: Option<String>,
    /// How many results are kept
    #[arg(long, value_name = "NUMBER", value_parser = number::u32)]
    pub health_max_log_count: Option<u32>,
    /// How many characters of a result are kept
    #[arg(long, value_name = "NUMBER", value_parser = number::u32)]
    pub health_max_log_size: Option<u32>,
    /// What to do with an unhealthy container: none, kill, restart, stop
    #[arg(long, value_name = "ACTION")]
    pub health_on_failure: Option<String>,
    /// Failures in a row that make a container unhealthy
    #[arg(long, alias = "healthcheck-retries", value_name = "NUMBER", value_parser = number::u32)]
    pub health_retries: Option<u32>,
    /// Time between checks in the time to start, until the first success
    #[arg(long, value_name = "DURATION")]
    pub health_start_interval: Option<String>,
    /// Time to start in which failures do not count
    #[arg(long, alias = "healthcheck-start-period", value_name = "DURATION")]
    pub health_start_period: Option<String>,
    /// Command that says whether the container has started
    #[arg(long, value_name = "COMMAND")]
    pub health_startup_cmd: Option<String>,
    /// Time between start-up checks
    #[arg(long, value_name = "DURATION")]
    pub health_startup_interval: Option<String>,
    /// Failures of the start-up check before the container is restarted
    #[arg(long, value_name = "NUMBER", value_parser = number::u32)]
    pub health_startup_retries: Option<u32>,
    /// Successes of the start-up check before the container counts as started
    #[arg(long, value_name = "NUMBER", value_parser = number::u32)]
    pub health_startup_success: Option<u32>,
    /// Time that one start-up check may take
    #[arg(long, value_name = "DURATION")]
    pub health_startup_timeout: Option<String>,
    /// Time that one check may take
    #[arg(long, alias = "healthcheck-timeout", value_name = "DURATION")]
    pub health_timeout: Option<String>,
    /// No health checks, whatever the image says
    #[arg(long)]
    pub no_healthcheck: bool,
}
