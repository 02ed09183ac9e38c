//! The flags of `build`.

use std::path::PathBuf;

use crate::arguments::number;

/// Make an image as a Containerfile describes it
///
/// The context is a directory, an archive ("-" for standard input) or a URL of one.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Args {
    /// Add a line to /etc/hosts while programs run (name[;name...]:ip, host-gateway as ip for the host)
    #[arg(long, value_name = "NAME:IP", value_delimiter = ',')]
    pub add_host: Vec<String>,
    /// Build for every platform that the base images are there for
    #[arg(long)]
    pub all_platforms: bool,
    /// Add an annotation to the image (KEY=VALUE)
    #[arg(long, value_name = "KEY=VALUE")]
    pub annotation: Vec<String>,
    /// Architecture of the image
    #[arg(long)]
    pub arch: Option<String>,
    /// File with the registries' credentials
    #[arg(long, value_name = "FILE")]
    pub authfile: Option<PathBuf>,
    /// A value for an ARG (NAME=VALUE)
    #[arg(long, value_name = "NAME=VALUE")]
    pub build_arg: Vec<String>,
    /// Files with values for ARGs, one in a line
    #[arg(long, value_name = "FILE")]
    pub build_arg_file: Vec<PathBuf>,
    /// A name for --from: a directory, docker-image://IMAGE or container-image://IMAGE (NAME=VALUE)
    #[arg(long, value_name = "NAME=VALUE")]
    pub build_context: Vec<String>,
    /// Repositories where other machines keep the steps of their builds
    #[arg(long, value_name = "REPOSITORY")]
    pub cache_from: Vec<String>,
    /// Repositories to keep this build's steps in, for other machines
    #[arg(long, value_name = "REPOSITORY")]
    pub cache_to: Vec<String>,
    /// How long what an earlier build has made may be used (24h; 0 for never)
    #[arg(long, value_name = "DURATION")]
    pub cache_ttl: Option<String>,
    /// Add a capability
    #[arg(long, value_name = "CAPABILITY", value_delimiter = ',')]
    pub cap_add: Vec<String>,
    /// Drop a capability
    #[arg(long, value_name = "CAPABILITY", value_delimiter = ',')]
    pub cap_drop: Vec<String>,
    /// Directory with certificates for the registry
    #[arg(long, value_name = "DIR")]
    pub cert_dir: Option<PathBuf>,
    /// The cgroup below which programs run
    #[arg(long, value_name = "PATH")]
    pub cgroup_parent: Option<String>,
    /// Cgroup namespace: private, host
    #[arg(long, value_name = "MODE")]
    pub cgroupns: Option<String>,
    /// Throw away what RUN writes to a volume
    #[arg(long)]
    pub compat_volumes: bool,
    /// A flag for cpp, by which Containerfiles that end in .in are read
    #[arg(long, value_name = "FLAG")]
    pub cpp_flag: Vec<String>,
    /// Length of a period of the processor limit, in microseconds
    #[arg(long, value_name = "MICROSECONDS", value_parser = number::u64)]
    pub cpu_period: Option<u64>,
    /// Processor time in a period, in microseconds
    #[arg(long, value_name = "MICROSECONDS", value_parser = number::i64)]
    pub cpu_quota: Option<i64>,
    /// Share of the processors where they are busy
    #[arg(short = 'c', long, value_name = "NUMBER", value_parser = number::u64)]
    pub cpu_shares: Option<u64>,
    /// Processors to use
    #[arg(long, value_name = "LIST")]
    pub cpuset_cpus: Option<String>,
    /// Memory nodes to use
    #[arg(long, value_name = "LIST")]
    pub cpuset_mems: Option<String>,
    /// Say in an annotation when the image was made
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub created_annotation: Option<bool>,
    /// Credentials for the registry (USERNAME:PASSWORD)
    #[arg(long, value_name = "USER:PASSWORD")]
    pub creds: Option<String>,
    /// Key to decrypt images with
    #[arg(long, value_name = "KEY")]
    pub decryption_key: Vec<String>,
    /// A device for the programs that run
    #[arg(long, value_name = "DEVICE")]
    pub device: Vec<String>,
    /// Name servers for the programs that run
    #[arg(long, value_name = "IP", value_delimiter = ',')]
    pub dns: Vec<String>,
    /// Options for their resolver
    #[arg(long, value_name = "OPTION", value_delimiter = ',')]
    pub dns_option: Vec<String>,
    /// Domains that their resolver searches
    #[arg(long, value_name = "DOMAIN", value_delimiter = ',')]
    pub dns_search: Vec<String>,
    /// Set a variable, in the image too (NAME=VALUE)
    #[arg(long, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// The Containerfile; several are read as one, "-" is standard input
    #[arg(short, long, value_name = "FILE")]
    pub file: Vec<String>,
    /// Remove working containers after a failure; creel always does
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true")]
    pub force_rm: bool,
    /// Kind of image: oci or docker
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,
    /// Another image for the first FROM
    #[arg(long, value_name = "IMAGE")]
    pub from: Option<String>,
    /// Further groups for the programs that run
    #[arg(long, value_name = "GROUP", value_delimiter = ',')]
    pub group_add: Vec<String>,
    /// Hand on the proxy variables
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub http_proxy: Option<bool>,
    /// Write a label that names the builder; creel never does
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", hide = true)]
    pub identity_label: Option<bool>,
    /// The ignore file, instead of .containerignore or .dockerignore
    #[arg(long, value_name = "FILE")]
    pub ignorefile: Option<PathBuf>,
    /// Write the image's id to a file
    #[arg(long, value_name = "FILE")]
    pub iidfile: Option<PathBuf>,
    /// Keep the base's annotations
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub inherit_annotations: Option<bool>,
    /// Keep the base's labels
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub inherit_labels: Option<bool>,
    /// IPC namespace: private, host
    #[arg(long, value_name = "MODE")]
    pub ipc: Option<String>,
    /// How programs are run: oci, rootless or chroot; creel always runs them in a container
    #[arg(long, value_name = "KIND")]
    pub isolation: Option<String>,
    /// At most so many stages at once; creel builds one after the other
    #[arg(long, value_name = "NUMBER", value_parser = number::u32)]
    pub jobs: Option<u32>,
    /// Set a label of the image (KEY=VALUE)
    #[arg(long, value_name = "KEY=VALUE")]
    pub label: Vec<String>,
    /// Set a label of the images that all steps but the last come to (KEY=VALUE)
    #[arg(long, value_name = "KEY=VALUE")]
    pub layer_label: Vec<String>,
    /// A layer for each step, kept for the next build
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub layers: Option<bool>,
    /// Write what would be shown to a file
    #[arg(long, value_name = "FILE")]
    pub logfile: Option<PathBuf>,
    /// With --logfile a file for each platform, FILE_OS_ARCH
    #[arg(long)]
    pub logsplit: bool,
    /// Put the image into this manifest list, which is made where there is none
    #[arg(long, value_name = "LIST")]
    pub manifest: Option<String>,
    /// Memory limit
    #[arg(short, long, value_name = "SIZE")]
    pub memory: Option<String>,
    /// Limit of memory and swap
    #[arg(long, value_name = "SIZE")]
    pub memory_swap: Option<String>,
    /// Network of the programs that run
    #[arg(long, alias = "net", value_name = "MODE")]
    pub network: Option<String>,
    /// Do every step anew
    #[arg(long)]
    pub no_cache: bool,
    /// Leave the images' /etc/hostname alone
    #[arg(long)]
    pub no_hostname: bool,
    /// Leave the images' /etc/hosts alone
    #[arg(long)]
    pub no_hosts: bool,
    /// Leave the history out of the image
    #[arg(long)]
    pub omit_history: bool,
    /// Operating system of the image
    #[arg(long)]
    pub os: Option<String>,
    /// A feature that the image needs of the operating system (FEATURE, or FEATURE- to take it away)
    #[arg(long, value_name = "FEATURE")]
    pub os_feature: Vec<String>,
    /// Version of the operating system
    #[arg(long, value_name = "VERSION")]
    pub os_version: Option<String>,
    /// Write the image's files, too: to a directory, or as type=local,dest=DIR or type=tar,dest=FILE
    #[arg(short, long, value_name = "OUTPUT")]
    pub output: Vec<String>,
    /// PID namespace: private, host
    #[arg(long, value_name = "MODE")]
    pub pid: Option<String>,
    /// Platforms of the image; for others than this machine's RUN needs an emulator
    #[arg(long, value_name = "OS/ARCH", value_delimiter = ',')]
    pub platform: Vec<String>,
    /// How progress is shown: there is one way
    #[arg(long, hide = true)]
    pub progress: Option<String>,
    /// When to pull images: always, missing, never, newer
    #[arg(long, value_name = "POLICY", num_args = 0..=1, require_equals = true, default_missing_value = "always")]
    pub pull: Option<String>,
    /// The same as --pull=always
    #[arg(long, hide = true)]
    pub pull_always: bool,
    /// The same as --pull=never
    #[arg(long, hide = true)]
    pub pull_never: bool,
    /// Say nothing but the image's id
    #[arg(short, long)]
    pub quiet: bool,
    /// How often to try again after the network failed
    #[arg(long, value_name = "NUMBER", value_parser = number::u32)]
    pub retry: Option<u32>,
    /// How long to wait before
    #[arg(long, value_name = "DURATION")]
    pub retry_delay: Option<String>,
    /// Give files that are newer than --source-date-epoch that time
    #[arg(long)]
    pub rewrite_timestamp: bool,
    /// Remove working containers; creel always does
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true")]
    pub rm: bool,
    /// A secret for RUN --mount=type=secret (id=ID,src=FILE or id=ID,env=VARIABLE)
    #[arg(long, value_name = "SECRET")]
    pub secret: Vec<String>,
    /// A security option for the programs that run
    #[arg(long, value_name = "OPTION")]
    pub security_opt: Vec<String>,
    /// The policy.json to obey
    #[arg(long, value_name = "FILE", hide = true)]
    pub signature_policy: Option<PathBuf>,
    /// Size of /dev/shm
    #[arg(long, value_name = "SIZE")]
    pub shm_size: Option<String>,
    /// Leave stages out that nothing needs
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true")]
    pub skip_unused_stages: bool,
    /// The time of the image, in seconds since 1970
    #[arg(long, value_name = "SECONDS")]
    pub source_date_epoch: Option<String>,
    /// Make one layer of all steps
    #[arg(long)]
    pub squash: bool,
    /// Make one layer of all, the base's too
    #[arg(long)]
    pub squash_all: bool,
    /// An ssh agent for RUN --mount=type=ssh (ID or ID=SOCKET)
    #[arg(long, value_name = "AGENT")]
    pub ssh: Vec<String>,
    /// Hand standard input to the programs that run
    #[arg(long)]
    pub stdin: bool,
    /// A name for the image
    #[arg(short, long, value_name = "NAME")]
    pub tag: Vec<String>,
    /// Build up to this stage
    #[arg(long, value_name = "STAGE")]
    pub target: Option<String>,
    /// The time of everything in the image, in seconds since 1970
    #[arg(long, value_name = "SECONDS", value_parser = number::i64)]
    pub timestamp: Option<i64>,
    /// Require TLS and check certificates
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub tls_verify: Option<bool>,
    /// A limit of the programs that run (NAME=SOFT[:HARD])
    #[arg(long, value_name = "LIMIT", value_delimiter = ',')]
    pub ulimit: Vec<String>,
    /// Take an annotation out of the image
    #[arg(long, value_name = "KEY", value_delimiter = ',')]
    pub unsetannotation: Vec<String>,
    /// Take a variable out of the image
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub unsetenv: Vec<String>,
    /// Take a label out of the image
    #[arg(long, value_name = "KEY", value_delimiter = ',')]
    pub unsetlabel: Vec<String>,
    /// User namespace: host, private or container; all are the user's own
    #[arg(long, value_name = "MODE")]
    pub userns: Option<String>,
    /// UTS namespace: private, host
    #[arg(long, value_name = "MODE")]
    pub uts: Option<String>,
    /// Variant of the architecture
    #[arg(long)]
    pub variant: Option<String>,
    /// A directory of this machine for the programs that run (HOST-DIR:CONTAINER-DIR[:OPTIONS])
    #[arg(short, long, value_name = "VOLUME")]
    pub volume: Vec<String>,
    /// The context: a directory, "-", or a URL
    #[arg(value_name = "[CONTEXT]")]
    pub words: Vec<String>,
}
