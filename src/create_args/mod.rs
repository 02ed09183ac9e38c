//! What was typed after `run` and `create`, and what it means: [`CreateArgs`] becomes a [`ContainerSpec`].
//!
//! The translation opens no file and asks the kernel nothing beyond what [`Surroundings`] hands it, so it can be tested
//! as a table. Messages for wrong values are Podman's, for scripts that look at them.

mod environment;
mod health;
mod mounts;
mod namespaces;
mod resources;
mod security;

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use containers::{
    ContainerSpec, DeviceSpec, ImageVolumes, LogConfig, LogDriver, NetworkSpec, PasswdMode, Remove, RestartPolicy,
    SdNotify, SecretTarget, SecretUse, SystemdMode,
};
use network::{HostEntry, Mode};

use crate::arguments::{go_bool, go_quote, number};
use crate::config::Config;
use crate::error::Failure;
use crate::format::human;
use crate::signal;

pub use environment::{add as add_variable, environment, from_file as variables_from_file, merge as merge_variables};
pub use namespaces::join_reference;

// No doc comment here: clap would take it for the description of the command that has these flags.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct CreateArgs {
    /// Add a line to /etc/hosts (name[;name...]:ip, host-gateway as ip for the host)
    #[arg(long, value_name = "NAME:IP", value_delimiter = ',')]
    pub add_host: Vec<String>,
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
    /// Block IO weight (10 to 1000)
    #[arg(long, value_name = "WEIGHT")]
    pub blkio_weight: Option<String>,
    /// Block IO weight of a device (DEVICE:WEIGHT)
    #[arg(long, value_name = "DEVICE:WEIGHT")]
    pub blkio_weight_device: Vec<String>,
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
    /// Map group ids (CONTAINER:HOST:SIZE)
    #[arg(long, value_name = "MAP", value_delimiter = ',')]
    pub gidmap: Vec<String>,
    /// Further groups of the process; keep-groups keeps the caller's
    #[arg(long, value_name = "GROUP", value_delimiter = ',')]
    pub group_add: Vec<String>,
    /// Line for /etc/group
    #[arg(long, value_name = "LINE")]
    pub group_entry: Option<String>,
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
    #[arg(long, alias = "healthcheck-retries", value_name = "NUMBER", value_parser = number::i64)]
    pub health_retries: Option<i64>,
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
    /// Memory limit (number with unit b, k, m, g)
    #[arg(short, long, value_name = "SIZE")]
    pub memory: Option<String>,
    /// Memory soft limit
    #[arg(long, value_name = "SIZE")]
    pub memory_reservation: Option<String>,
    /// Limit of memory and swap together; -1 for no limit
    #[arg(long, value_name = "SIZE")]
    pub memory_swap: Option<String>,
    /// Mount something (type=TYPE,key=value,...)
    #[arg(long, value_name = "MOUNT")]
    pub mount: Vec<String>,
    /// Name of the container
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Network: none, host, private, bridge, NAME, container:NAME, ns:PATH, pasta[:OPTIONS], slirp4netns[:OPTIONS]
    #[arg(long, alias = "net", value_name = "MODE")]
    pub network: Vec<String>,
    /// Further names of the container on its networks
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub network_alias: Vec<String>,
    /// No health checks, whatever the image says
    #[arg(long)]
    pub no_healthcheck: bool,
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
    /// Limit of processes; -1 for none
    #[arg(long, value_name = "NUMBER", value_parser = number::i64)]
    pub pids_limit: Option<i64>,
    /// Choose an image for this platform (os/arch[/variant])
    #[arg(long, value_name = "PLATFORM")]
    pub platform: Option<String>,
    /// Pod to join; new:NAME makes one
    #[arg(long, value_name = "POD")]
    pub pod: Option<String>,
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
    /// Size of /dev/shm
    #[arg(long, value_name = "SIZE")]
    pub shm_size: Option<String>,
    /// Signal that asks the container to stop
    #[arg(long, value_name = "SIGNAL")]
    pub stop_signal: Option<String>,
    /// Seconds to wait after it before the container is killed
    #[arg(long, value_name = "SECONDS", value_parser = number::u32)]
    pub stop_timeout: Option<u32>,
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
    /// Map user ids (CONTAINER:HOST:SIZE)
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
    /// The image, the command and its arguments
    #[arg(value_name = "IMAGE [COMMAND [ARG...]]")]
    pub words: Vec<String>,
}

/// What the translation may look at besides the arguments.
pub struct Surroundings<'a> {
    pub config: &'a Config,
    /// The caller's variables.
    pub env: Vec<(String, String)>,
    pub read: &'a dyn Fn(&Path) -> io::Result<String>,
    /// Whether something is there; for sources of mounts and devices.
    pub exists: &'a dyn Fn(&Path) -> io::Result<()>,
    pub cwd: PathBuf,
}

/// The specification, all but its source: the image is found later.
pub fn spec(args: &CreateArgs, around: &Surroundings<'_>) -> Result<ContainerSpec, Failure> {
    let config = around.config;
    conflicts(args)?;
    let mut spec = ContainerSpec {
        command: args.words.get(1..).unwrap_or_default().to_vec(),
        entrypoint: args.entrypoint.as_deref().map(entrypoint),
        unset_env: args.unsetenv.clone(),
        unset_env_all: args.unsetenv_all,
        workdir: args.workdir.clone(),
        user: args.user.clone(),
        group_add: args.group_add.clone(),
        hostname: args.hostname.clone().filter(|name| !name.is_empty()),
        no_hostname: args.no_hostname,
        domainname: args.domainname.clone(),
        tty: args.tty,
        stdin: args.interactive,
        labels: labels(args, around)?,
        annotations: annotations(&args.annotation)?,
        stop_timeout: args
            .stop_timeout
            .or_else(|| config.integer("engine", "stop_timeout").and_then(|seconds| u32::try_from(seconds).ok())),
        timeout: args.timeout.filter(|seconds| *seconds > 0),
        restart: args.restart.as_deref().map(restart).transpose()?.unwrap_or_default(),
        remove: if args.rm { Remove::Container } else { Remove::Nothing },
        log: log(args, config)?,
        network: network_spec(args, config)?,
        namespaces: namespaces::namespaces(args, config)?,
        security: security::security(args, config)?,
        resources: resources::resources(args, config)?,
        mounts: mounts::mounts(args, around)?,
        volumes_from: args.volumes_from.iter().map(|text| volumes_from(text)).collect(),
        image_volumes: image_volumes(args.image_volume.as_deref().or(config.text("engine", "image_volume_mode")))?,
        devices: devices(args, around)?,
        device_cgroup_rules: args.device_cgroup_rule.clone(),
        ulimits: resources::ulimits(args, config)?,
        sysctls: security::sysctls(args, config)?,
        oom_score_adj: args
            .oom_score_adj
            .or_else(|| config.integer("containers", "oom_score_adj").and_then(|value| i32::try_from(value).ok())),
        umask: umask(args.umask.as_deref().or(config.text("containers", "umask")))?,
        timezone: args
            .tz
            .clone()
            .or_else(|| config.text("containers", "tz").map(str::to_owned))
            .filter(|zone| !zone.is_empty()),
        init: args.init || config.boolean("containers", "init").unwrap_or(false),
        init_path: args.init_path.clone().or_else(|| config.text("containers", "init_path").map(PathBuf::from)),
        systemd: systemd(args.systemd.as_deref())?,
        sdnotify: sdnotify(args.sdnotify.as_deref())?,
        health: health::health(args)?,
        no_healthcheck: args.no_healthcheck || args.health_cmd.as_deref() == Some("none"),
        secrets: args.secret.iter().map(|text| secret(text)).collect::<Result<_, _>>()?,
        passwd: PasswdMode::Add,
        passwd_entry: args.passwd_entry.clone(),
        group_entry: args.group_entry.clone(),
        host_users: args.hostuser.clone(),
        pod: args.pod.clone().filter(|pod| !pod.is_empty()),
        requires: args.requires.clone(),
        cidfile: args.cidfile.clone(),
        pidfile: args.pidfile.clone(),
        personality: args.personality.clone(),
        chroot_dirs: args.chrootdirs.clone(),
        ..ContainerSpec::default()
    };
    if let Some(text) = &args.stop_signal {
        spec.stop_signal = Some(signal::parse(text).ok_or_else(|| Failure::plain(format!("invalid signal: {text}")))?);
    }
    let shm = args.shm_size.as_deref().or(config.text("containers", "shm_size"));
    if let Some(text) = shm {
        let bytes = human::parse_size(text)
            .map_err(|problem| Failure::plain(format!("unable to translate --shm-size: {problem}")))?;
        spec.shm_size = Some(bytes.unsigned_abs());
    }
    let (env, proxies) = environment(args, around)?;
    spec.env = env;
    spec.proxy_env = proxies;
    if let Some(hostname) = &spec.hostname
        && spec.namespaces.uts == containers::NamespaceMode::Host
        && !hostname.is_empty()
    {
        return Err(Failure::plain(
            "invalid config provided: cannot set hostname when running in the host UTS namespace: invalid configuration",
        ));
    }
    Ok(spec)
}

/// Flags that exclude each other.
fn conflicts(args: &CreateArgs) -> Result<(), Failure> {
    let policy = args.restart.as_deref().unwrap_or_default();
    if args.rm && !matches!(policy, "" | "no" | "never") {
        return Err(Failure::plain(
            "the --rm option conflicts with --restart, when the restartPolicy is not \"\" and \"no\"",
        ));
    }
    if args.replace && args.name.as_deref().unwrap_or_default().is_empty() {
        return Err(Failure::plain("cannot replace container without --name being set"));
    }
    let together = [
        (args.no_hosts && !args.add_host.is_empty(), "--no-hosts and --add-host cannot be set together"),
        (args.no_hosts && args.hosts_file.is_some(), "--no-hosts and --hosts-file cannot be set together"),
        (
            args.userns.is_some() && !(args.uidmap.is_empty() && args.gidmap.is_empty()),
            "--userns and --uidmap/--gidmap/--subuidname/--subgidname are mutually exclusive",
        ),
        (args.cpus.is_some() && args.cpu_quota.is_some(), "--cpu-quota and --cpus cannot be set together"),
        (args.cpus.is_some() && args.cpu_period.is_some(), "--cpu-period and --cpus cannot be set together"),
        (args.no_healthcheck && args.health_cmd.is_some(), "cannot specify both --no-healthcheck and --health-cmd"),
        (
            args.platform.is_some() && (args.arch.is_some() || args.os.is_some()),
            "--platform option can not be specified with --arch or --os",
        ),
    ];
    match together.iter().find(|(both, _)| *both) {
        Some((_, text)) => Err(Failure::plain(*text)),
        None => Ok(()),
    }
}

/// One word, or a JSON array of words; an empty text clears the image's.
fn entrypoint(text: &str) -> Vec<String> {
    match serde_json::from_str::<Vec<String>>(text) {
        Ok(words) => words,
        Err(_) if text.is_empty() => Vec::new(),
        Err(_) => vec![text.to_owned()],
    }
}

fn labels(args: &CreateArgs, around: &Surroundings<'_>) -> Result<BTreeMap<String, String>, Failure> {
    let mut labels = BTreeMap::new();
    let mut add = |text: &str| {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        if key.is_empty() {
            return Err(Failure::plain(format!("unable to process labels: invalid label format: {}", go_quote(text))));
        }
        labels.insert(key.to_owned(), value.to_owned());
        Ok(())
    };
    for path in &args.label_file {
        let text = (around.read)(path)
            .map_err(|error| crate::error::on_path("open", path)(error).context("unable to process labels"))?;
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            add(line)?;
        }
    }
    for text in &args.label {
        add(text)?;
    }
    Ok(labels)
}

fn annotations(texts: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let pair = |text: &String| match text.split_once('=') {
        Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
        None => Err(Failure::plain("annotations must be formatted KEY=VALUE")),
    };
    texts.iter().map(pair).collect()
}

/// `no`, `never`, `on-failure[:N]`, `always`, `unless-stopped`.
pub fn restart(text: &str) -> Result<RestartPolicy, Failure> {
    let (word, count) = match text.split_once(':') {
        Some((word, count)) => (word, Some(count)),
        None => (text, None),
    };
    let policy = match word {
        "" | "no" | "never" => RestartPolicy::No,
        "always" => RestartPolicy::Always,
        "unless-stopped" => RestartPolicy::UnlessStopped,
        "on-failure" => RestartPolicy::OnFailure { max_retries: 0 },
        _ => {
            let word = go_quote(word);
            return Err(Failure::plain(format!(
                "running container create option: {word} is not a valid restart policy: invalid argument"
            ))
            .hint("the policies are no, on-failure[:RETRIES], always and unless-stopped"));
        }
    };
    let Some(count) = count else { return Ok(policy) };
    if word != "on-failure" {
        return Err(Failure::plain("restart policy retries can only be specified with on-failure restart policy"));
    }
    match count.parse::<i64>() {
        Ok(count) if count < 0 => {
            Err(Failure::plain("must specify restart policy retry count as a number greater than 0"))
        }
        Ok(count) => Ok(RestartPolicy::OnFailure { max_retries: u32::try_from(count).unwrap_or(u32::MAX) }),
        Err(_) => Err(Failure::plain(format!(
            "parsing restart policy retry count: strconv.Atoi: parsing {}: invalid syntax",
            go_quote(count)
        ))),
    }
}

/// `--log-driver` and `--log-opt`.
fn log(args: &CreateArgs, config: &Config) -> Result<LogConfig, Failure> {
    let from_config = config.text("containers", "log_driver");
    let driver = match args.log_driver.as_deref().or(from_config).unwrap_or_default() {
        "" | "k8s-file" | "json-file" => LogDriver::K8sFile,
        "journald" => LogDriver::Journald,
        "none" => LogDriver::None,
        "passthrough" => LogDriver::Passthrough,
        "passthrough-tty" => LogDriver::PassthroughTty,
        _ => {
            let failure = Failure::plain("running container create option: invalid log driver: invalid argument");
            return Err(
                failure.hint("the drivers are k8s-file, json-file, journald, none, passthrough and passthrough-tty")
            );
        }
    };
    let mut log = LogConfig {
        driver,
        path: config.text("containers", "log_path").map(PathBuf::from),
        max_size: config
            .integer("containers", "log_size_max")
            .and_then(|size| u64::try_from(size).ok())
            .filter(|size| *size > 0),
        max_files: None,
        tag: config.text("containers", "log_tag").map(str::to_owned),
    };
    for option in &args.log_opt {
        let Some((key, value)) = option.split_once('=') else {
            return Err(Failure::plain(format!("invalid log option {}", go_quote(option))));
        };
        match key.to_ascii_lowercase().as_str() {
            "path" => log.path = Some(value.into()),
            "tag" => log.tag = Some(value.to_owned()),
            "max-size" => {
                let size = human::parse_size(value).map_err(Failure::plain)?;
                log.max_size = Some(size.unsigned_abs()).filter(|size| *size > 0);
            }
            "max-file" => {
                let count =
                    value.parse().map_err(|_| Failure::plain(format!("invalid log option {}", go_quote(option))))?;
                log.max_files = Some(count);
            }
            _ => {
                let failure = Failure::plain(format!("unknown log option {}", go_quote(key)));
                return Err(failure.hint("the options are path, max-size, max-file and tag"));
            }
        }
    }
    Ok(log)
}

fn network_spec(args: &CreateArgs, config: &Config) -> Result<NetworkSpec, Failure> {
    let mode = match args.network.as_slice() {
        [] => match config.text("containers", "netns") {
            Some("private") | None => Mode::Default,
            Some(mode) => mode.parse()?,
        },
        networks => Mode::parse_all(networks).map_err(|error| {
            let other = networks
                .iter()
                .find(|network| matches!(network.parse(), Ok(mode) if !matches!(mode, Mode::Networks(_))));
            match other {
                Some(word) if networks.len() > 1 => Failure::plain(format!(
                    "cannot set multiple networks without bridge network mode, selected mode {word}: invalid argument"
                )),
                _ => error.into(),
            }
        })?,
    };
    let is_bridge = matches!(mode, Mode::Networks(_));
    let shared = matches!(mode, Mode::None | Mode::Host | Mode::Container(_) | Mode::Path(_));
    let mut spec = NetworkSpec {
        expose: expose(&args.expose)?,
        publish_all: args.publish_all,
        aliases: args.network_alias.clone(),
        dns_search: if args.dns_search.is_empty() {
            config.list("containers", "dns_searches")
        } else {
            args.dns_search.clone()
        },
        dns_options: if args.dns_option.is_empty() {
            config.list("containers", "dns_options")
        } else {
            args.dns_option.clone()
        },
        no_hosts: args.no_hosts || config.boolean("containers", "no_hosts").unwrap_or(false),
        hosts_file: args.hosts_file.clone().or_else(|| config.text("containers", "base_hosts_file").map(str::to_owned)),
        ..NetworkSpec::default()
    };
    for text in &args.publish {
        spec.ports.extend(network::parse_publish(text).map_err(Failure::from)?);
    }
    if !spec.ports.is_empty() && matches!(mode, Mode::Host | Mode::None) {
        crate::output::note(&format!(
            "Port mappings have been discarded because \"{mode}\" network namespace mode does not support them"
        ));
        spec.ports.clear();
    }
    let servers = if args.dns.is_empty() { config.list("containers", "dns_servers") } else { args.dns.clone() };
    if servers.iter().any(|server| server == "none") {
        if servers.len() > 1 {
            return Err(Failure::plain("none is not allowed to be specified with other DNS ip addresses"));
        }
        spec.dns_none = true;
    } else {
        for server in &servers {
            let server: IpAddr =
                server.parse().map_err(|_| Failure::plain(format!("{server} is not an ip address")))?;
            spec.dns.push(server);
        }
    }
    if !args.dns.is_empty() && matches!(mode, Mode::None | Mode::Container(_)) {
        let word = mode.to_string();
        let word = word.split(':').next().unwrap_or_default();
        return Err(Failure::plain(format!("conflicting options: dns and the network mode: {word}")));
    }
    for domain in args.dns_search.iter().filter(|domain| *domain != ".") {
        let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        if domain.is_empty() || !domain.chars().all(fine) {
            return Err(Failure::plain(format!("{domain} is not a valid domain")));
        }
    }
    for text in &args.add_host {
        spec.add_hosts.push(add_host(text)?);
    }
    let address = |text: &Option<String>| match text {
        Some(text) => {
            text.parse().map(Some).map_err(|_| Failure::plain(format!("{} is not an ip address", go_quote(text))))
        }
        None => Ok(None),
    };
    spec.ip = address(&args.ip)?;
    spec.ip6 = address(&args.ip6)?;
    spec.mac = match &args.mac_address {
        Some(text) if is_mac(text) => Some(text.to_ascii_lowercase()),
        Some(text) => return Err(Failure::plain(format!("address {text}: invalid MAC address"))),
        None => None,
    };
    let is_static = spec.ip.is_some() || spec.ip6.is_some() || spec.mac.is_some();
    if is_static && !is_bridge && (shared || !args.network.is_empty() || spec.mac.is_none()) {
        return Err(Failure::plain(
            "invalid config provided: networks and static ip/mac address can only be used with Bridge mode networking",
        ));
    }
    if !spec.aliases.is_empty() && !is_bridge {
        return Err(Failure::plain(
            "--network-alias can only be set when the network mode is bridge: invalid argument",
        ));
    }
    spec.mode = mode;
    Ok(spec)
}

/// `name[;name...]:ip`.
pub fn add_host(text: &str) -> Result<HostEntry, Failure> {
    let bad = || Failure::plain(format!("bad format for add-host: {}", go_quote(text)));
    let (names, address) = text.split_once(':').ok_or_else(bad)?;
    if names.is_empty() || names.split(';').any(str::is_empty) {
        return Err(bad());
    }
    let bare = address.trim_start_matches('[').trim_end_matches(']');
    if bare != "host-gateway" && bare.parse::<IpAddr>().is_err() {
        return Err(Failure::plain(format!("invalid IP address in add-host: {}", go_quote(address))));
    }
    format!("{names}:{bare}").parse::<HostEntry>().map_err(Failure::from)
}

fn is_mac(text: &str) -> bool {
    let separator = if text.contains('-') { '-' } else { ':' };
    let parts: Vec<&str> = text.split(separator).collect();
    parts.len() == 6 && parts.iter().all(|part| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// `PORT[-PORT][/PROTOCOL]`, each port as `port/proto`.
fn expose(texts: &[String]) -> Result<Vec<String>, Failure> {
    let mut exposed = Vec::new();
    for text in texts {
        let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
        let port = |word: &str| {
            word.parse::<u16>().map_err(|_| {
                let word = go_quote(word);
                Failure::plain(format!(
                    "invalid range format for --expose: {text}: strconv.ParseUint: parsing {word}: invalid syntax"
                ))
            })
        };
        let (first, last) = (port(first)?, port(last)?);
        if last < first {
            return Err(Failure::plain(format!(
                "invalid range format for --expose: {text}: invalid range specified for port: {ports}"
            )));
        }
        exposed.extend((first..=last).map(|port| format!("{port}/{}", protocol.to_ascii_lowercase())));
    }
    Ok(exposed)
}

fn volumes_from(text: &str) -> (String, String) {
    let (container, options) = text.split_once(':').unwrap_or((text, ""));
    (container.to_owned(), options.to_owned())
}

fn image_volumes(text: Option<&str>) -> Result<ImageVolumes, Failure> {
    match text.unwrap_or_default() {
        "" | "anonymous" | "bind" => Ok(ImageVolumes::Anonymous),
        "tmpfs" => Ok(ImageVolumes::Tmpfs),
        "ignore" => Ok(ImageVolumes::Ignore),
        other => Err(Failure::plain(format!(
            "invalid image volume mode {} required value: anonymous, tmpfs, ignore",
            go_quote(other)
        ))),
    }
}

fn devices(args: &CreateArgs, around: &Surroundings<'_>) -> Result<Vec<DeviceSpec>, Failure> {
    let listed = around.config.list("containers", "devices");
    args.device.iter().chain(&listed).map(|text| device(text, around)).collect()
}

/// `HOST[:CONTAINER[:rwm]]`.
fn device(text: &str, around: &Surroundings<'_>) -> Result<DeviceSpec, Failure> {
    if !text.starts_with(['/', '.']) && text.contains('=') && text.contains('/') {
        return Err(Failure::plain(format!("the CDI device {text} is not supported by creel yet")));
    }
    let is_mode = |text: &str| !text.is_empty() && text.chars().all(|c| matches!(c, 'r' | 'w' | 'm'));
    let parts: Vec<&str> = text.split(':').collect();
    let (host, container, permissions) = match parts.as_slice() {
        [host] => (*host, *host, "rwm"),
        [host, second] if second.starts_with('/') => (*host, *second, "rwm"),
        [host, second] => (*host, *host, *second),
        [host, container, permissions] => (*host, *container, *permissions),
        _ => return Err(Failure::plain(format!("invalid device specification: {text}"))),
    };
    if !is_mode(permissions) {
        let (permissions, text) = (go_quote(permissions), go_quote(text));
        return Err(Failure::plain(format!("invalid device mode {permissions} in device {text}")));
    }
    if !container.starts_with('/') {
        return Err(Failure::plain(format!("stat {host}: no such file or directory")));
    }
    (around.exists)(Path::new(host)).map_err(crate::error::on_path("stat", host))?;
    Ok(DeviceSpec { host: host.into(), container: container.into(), permissions: permissions.to_owned() })
}

fn umask(text: Option<&str>) -> Result<Option<u32>, Failure> {
    let Some(text) = text else { return Ok(None) };
    let octal = text.len() <= 4 && text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    match u32::from_str_radix(text, 8) {
        Ok(mask) if octal => Ok(Some(mask)),
        _ => Err(Failure::plain(format!(
            "running container create option: invalid umask string {text}: invalid argument"
        ))),
    }
}

fn systemd(text: Option<&str>) -> Result<SystemdMode, Failure> {
    match text {
        None | Some("") => Ok(SystemdMode::Auto),
        Some("always") => Ok(SystemdMode::Always),
        Some(text) => match go_bool(text) {
            Some(true) => Ok(SystemdMode::Auto),
            Some(false) => Ok(SystemdMode::Off),
            None => Err(Failure::plain(
                "invalid config provided: --systemd values must be one of \"true, false, always\": invalid configuration",
            )),
        },
    }
}

fn sdnotify(text: Option<&str>) -> Result<SdNotify, Failure> {
    match text.unwrap_or_default() {
        "" | "container" => Ok(SdNotify::Container),
        "conmon" => Ok(SdNotify::Conmon),
        "healthy" => Ok(SdNotify::Healthy),
        "ignore" => Ok(SdNotify::Ignore),
        other => Err(Failure::plain(format!(
            "invalid config provided: invalid argument: invalid sdnotify value {}: must be conmon, container, healthy or ignore",
            go_quote(other)
        ))),
    }
}

/// `NAME[,type=mount|env,target=,uid=,gid=,mode=]`.
pub fn secret(text: &str) -> Result<SecretUse, Failure> {
    let invalid = |option: &str| Failure::plain(format!("option {option} invalid: parsing secret"));
    let mut fields = text.split(',').map(str::trim);
    let mut name = None;
    let (mut is_env, mut target, mut uid, mut gid, mut mode) = (false, None, 0, 0, 0o444);
    if let Some(first) = fields.next() {
        match first.split_once('=') {
            Some(("source", value)) => name = Some(value.to_owned()),
            Some(_) => return Err(Failure::plain(format!("no source specified in {text}"))),
            None => name = Some(first.to_owned()),
        }
    }
    for field in fields {
        let (key, value) = field.split_once('=').ok_or_else(|| invalid(field))?;
        match key {
            "source" => name = Some(value.to_owned()),
            "type" => {
                is_env = match value {
                    "mount" => false,
                    "env" => true,
                    _ => return Err(Failure::plain(format!("type {value} is invalid: parsing secret"))),
                }
            }
            "target" => target = Some(value.to_owned()),
            "mode" => {
                mode = u32::from_str_radix(value, 8)
                    .map_err(|_| Failure::plain(format!("mode {value} invalid: parsing secret")))?
            }
            "uid" | "UID" => {
                uid = value.parse().map_err(|_| Failure::plain(format!("UID {value} invalid: parsing secret")))?
            }
            "gid" | "GID" => {
                gid = value.parse().map_err(|_| Failure::plain(format!("GID {value} invalid: parsing secret")))?
            }
            _ => return Err(invalid(field)),
        }
    }
    let name =
        name.filter(|name| !name.is_empty()).ok_or_else(|| Failure::plain(format!("no source specified in {text}")))?;
    let target = match (is_env, target) {
        (true, target) => SecretTarget::Env { name: target.unwrap_or_else(|| name.clone()) },
        (false, target) => {
            let target = target.unwrap_or_else(|| name.clone());
            let path =
                if target.starts_with('/') { PathBuf::from(target) } else { Path::new("/run/secrets").join(target) };
            SecretTarget::Mount { path, uid, gid, mode }
        }
    };
    Ok(SecretUse { name, target })
}

#[cfg(test)]
mod tests {
    use clap::{Args, Command, FromArgMatches};

    use super::*;
    use crate::arguments::{Order, Tolerance, normalise};

    /// Parses a command line and translates it, with a caller's environment and files made up for tests.
    pub(super) fn translate(line: &[&str]) -> Result<ContainerSpec, String> {
        translate_with(line, "")
    }

    pub(super) fn translate_with(line: &[&str], config: &str) -> Result<ContainerSpec, String> {
        let command = CreateArgs::augment_args(Command::new("create").no_binary_name(true).disable_help_flag(true));
        let words: Vec<String> = line.iter().map(|word| (*word).to_owned()).collect();
        let globals = Command::new("creel");
        let read = normalise(&command, &globals, &words, Order::FlagsFirst, &Tolerance::default())
            .map_err(|failure| failure.to_string())?;
        let matches = command.try_get_matches_from(read.own).map_err(|error| error.to_string())?;
        let args = CreateArgs::from_arg_matches(&matches).map_err(|error| error.to_string())?;
        let around = Surroundings {
            config: &Config::from_text(config),
            env: [("HOME", "/home/me"), ("PRE_A", "1"), ("PRE_B", "2"), ("http_proxy", "http://p:1")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec(),
            read: &|path| match path.to_str() {
                Some("/vars") => Ok("# comment\nA=file\n\nHOME\nC=a b # c\n".into()),
                Some("/labels") => Ok("x=y\n# no\nz\n".into()),
                _ => Err(io::Error::from_raw_os_error(2)),
            },
            exists: &|path| match path.to_str() {
                Some("/tmp" | "/dev/null" | "/work" | "/work/dir") => Ok(()),
                _ => Err(io::Error::from_raw_os_error(2)),
            },
            cwd: "/work".into(),
        };
        spec(&args, &around).map_err(|failure| failure.to_string())
    }

    #[test]
    fn words_after_the_image_are_the_command() {
        let spec = translate(&["-it", "--rm", "img", "ls", "-l"]).unwrap();
        assert_eq!(spec.command, ["ls", "-l"]);
        assert!(spec.tty && spec.stdin);
        assert_eq!(spec.remove, Remove::Container);
    }

    #[test]
    fn entrypoints_are_words_or_json() {
        let table: &[(&str, &[&str])] =
            &[("/bin/sh", &["/bin/sh"]), ("[\"a\",\"b c\"]", &["a", "b c"]), ("", &[]), ("[\"a\"", &["[\"a\""])];
        for (text, expected) in table {
            assert_eq!(translate(&["--entrypoint", text, "i"]).unwrap().entrypoint.unwrap(), *expected);
        }
    }

    #[test]
    fn wrong_values_are_refused_in_podmans_words() {
        let table: &[(&[&str], &str)] = &[
            (
                &["--restart", "foo"],
                "running container create option: \"foo\" is not a valid restart policy: invalid argument",
            ),
            (&["--restart", "always:3"], "restart policy retries can only be specified with on-failure restart policy"),
            (
                &["--restart", "on-failure:x"],
                "parsing restart policy retry count: strconv.Atoi: parsing \"x\": invalid syntax",
            ),
            (&["--restart", "on-failure:-1"], "must specify restart policy retry count as a number greater than 0"),
            (
                &["--rm", "--restart", "always"],
                "the --rm option conflicts with --restart, when the restartPolicy is not \"\" and \"no\"",
            ),
            (&["--replace"], "cannot replace container without --name being set"),
            (&["--cpus", "1", "--cpu-quota", "10"], "--cpu-quota and --cpus cannot be set together"),
            (&["--shm-size", "foo"], "unable to translate --shm-size: invalid size: 'foo'"),
            (&["--add-host", "foo"], "bad format for add-host: \"foo\""),
            (&["--add-host", "a:b"], "invalid IP address in add-host: \"b\""),
            (&["--add-host", ":1.1.1.1"], "bad format for add-host: \":1.1.1.1\""),
            (&["--dns", "foo"], "foo is not an ip address"),
            (&["--dns", "none,1.1.1.1"], "none is not allowed to be specified with other DNS ip addresses"),
            (&["--dns-search", "!!"], "!! is not a valid domain"),
            (&["--umask", "999"], "running container create option: invalid umask string 999: invalid argument"),
            (&["--stop-signal", "FOO"], "invalid signal: FOO"),
            (&["--device", "foo"], "stat foo: no such file or directory"),
            (&["--device", "/dev/null:/dev/x:q"], "invalid device mode \"q\" in device \"/dev/null:/dev/x:q\""),
            (&["--secret", "nope,foo=1"], "option foo=1 invalid: parsing secret"),
            (&["--log-driver", "foo"], "running container create option: invalid log driver: invalid argument"),
            (&["--log-opt", "foo"], "invalid log option \"foo\""),
            (
                &["--platform", "linux/amd64", "--arch", "arm64"],
                "--platform option can not be specified with --arch or --os",
            ),
            (&["--label", "=x"], "unable to process labels: invalid label format: \"=x\""),
            (&["--label-file", "/nonexist"], "unable to process labels: open /nonexist: no such file or directory"),
            (&["--annotation", "foo"], "annotations must be formatted KEY=VALUE"),
            (
                &["--sdnotify", "foo"],
                "invalid config provided: invalid argument: invalid sdnotify value \"foo\": must be conmon, container, healthy or ignore",
            ),
            (
                &["--systemd", "foo"],
                "invalid config provided: --systemd values must be one of \"true, false, always\": invalid configuration",
            ),
            (&["--image-volume", "foo"], "invalid image volume mode \"foo\" required value: anonymous, tmpfs, ignore"),
            (
                &["--expose", "foo"],
                "invalid range format for --expose: foo: strconv.ParseUint: parsing \"foo\": invalid syntax",
            ),
            (&["--ip", "foo"], "\"foo\" is not an ip address"),
            (
                &["--ip", "1.2.3.4"],
                "invalid config provided: networks and static ip/mac address can only be used with Bridge mode networking",
            ),
            (&["--mac-address", "foo"], "address foo: invalid MAC address"),
            (&["--no-hosts", "--add-host", "a:1.2.3.4"], "--no-hosts and --add-host cannot be set together"),
            (
                &["--hostname", "x", "--uts", "host"],
                "invalid config provided: cannot set hostname when running in the host UTS namespace: invalid configuration",
            ),
            (&["--dns", "1.1.1.1", "--network", "none"], "conflicting options: dns and the network mode: none"),
            (
                &["--network-alias", "x", "--network", "none"],
                "--network-alias can only be set when the network mode is bridge: invalid argument",
            ),
            (
                &["--network", "none", "--network", "host"],
                "cannot set multiple networks without bridge network mode, selected mode none: invalid argument",
            ),
            (
                &["--userns", "keep-id", "--uidmap", "0:0:1"],
                "--userns and --uidmap/--gidmap/--subuidname/--subgidname are mutually exclusive",
            ),
        ];
        for (line, expected) in table {
            let line: Vec<&str> = line.iter().copied().chain(["img"]).collect();
            assert_eq!(translate(&line).unwrap_err(), *expected, "{line:?}");
        }
    }

    #[test]
    fn labels_come_from_files_and_flags() {
        let spec = translate(&["--label-file", "/labels", "-l", "x=1", "-l", "q", "i"]).unwrap();
        let expected = [("q", ""), ("x", "1"), ("z", "")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(spec.labels, BTreeMap::from(expected));
    }

    #[test]
    fn log_options_are_read() {
        let spec = translate(&[
            "--log-driver",
            "json-file",
            "--log-opt",
            "max-size=10m",
            "--log-opt",
            "max-file=3",
            "--log-opt",
            "tag=t",
            "i",
        ])
        .unwrap();
        assert_eq!(
            spec.log,
            LogConfig {
                driver: LogDriver::K8sFile,
                path: None,
                max_size: Some(10 << 20),
                max_files: Some(3),
                tag: Some("t".into())
            }
        );
        assert_eq!(
            translate_with(&["i"], "[containers]\nlog_driver = \"none\"\n").unwrap().log.driver,
            LogDriver::None
        );
    }

    #[test]
    fn secrets_have_targets() {
        assert_eq!(
            secret("db").unwrap(),
            SecretUse {
                name: "db".into(),
                target: SecretTarget::Mount { path: "/run/secrets/db".into(), uid: 0, gid: 0, mode: 0o444 }
            }
        );
        assert_eq!(secret("db,type=env").unwrap().target, SecretTarget::Env { name: "db".into() });
        let table = secret("db,target=/x,uid=1,gid=2,mode=0400").unwrap();
        assert_eq!(table.target, SecretTarget::Mount { path: "/x".into(), uid: 1, gid: 2, mode: 0o400 });
    }

    #[test]
    fn restart_policies_are_read() {
        let table = [
            ("no", RestartPolicy::No),
            ("never", RestartPolicy::No),
            ("always", RestartPolicy::Always),
            ("on-failure", RestartPolicy::OnFailure { max_retries: 0 }),
            ("on-failure:3", RestartPolicy::OnFailure { max_retries: 3 }),
            ("unless-stopped", RestartPolicy::UnlessStopped),
        ];
        for (text, expected) in table {
            assert_eq!(restart(text).unwrap(), expected);
        }
    }

    #[test]
    fn ports_and_hosts_are_read() {
        let spec = translate(&[
            "-p",
            "8080:80,9090:90/udp",
            "--expose",
            "81-82",
            "--add-host",
            "a;b:1.2.3.4",
            "--dns",
            "1.1.1.1",
            "i",
        ])
        .unwrap();
        assert_eq!(spec.network.ports.len(), 2);
        assert_eq!(spec.network.expose, ["81/tcp", "82/tcp"]);
        assert_eq!(spec.network.add_hosts[0].names, ["a", "b"]);
        assert_eq!(spec.network.dns, ["1.1.1.1".parse::<IpAddr>().unwrap()]);
        assert!(translate(&["-p", "80:80", "--network", "host", "i"]).unwrap().network.ports.is_empty());
    }
}
