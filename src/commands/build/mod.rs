//! `creel build`

mod source;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use ::build::{Event, Named, Options, Secret, Squash};
use containers::{ContainerSpec, Streams};

use crate::arguments::{self, go_quote, number};
use crate::context::{Context, variable};
use crate::create_args::{self, CreateArgs, LimitFlags, Surroundings};
use crate::error::{ExitCode, Failure, on_path};
use crate::output;
use source::Source;

/// Make an image as a Containerfile describes it
///
/// The context is a directory, an archive ("-" for standard input) or a URL of one.
#[derive(clap::Args, Debug, Default)]
pub struct Args {
    /// Add a line to /etc/hosts while programs run (name[;name...]:ip, host-gateway as ip for the host)
    #[arg(long, value_name = "NAME:IP", value_delimiter = ',')]
    pub add_host: Vec<String>,
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
    /// Length of a period of the processor limit, in microseconds
    #[arg(long, value_name = "MICROSECONDS")]
    pub cpu_period: Option<u64>,
    /// Processor time in a period, in microseconds
    #[arg(long, value_name = "MICROSECONDS")]
    pub cpu_quota: Option<i64>,
    /// Share of the processors where they are busy
    #[arg(short = 'c', long, value_name = "NUMBER")]
    pub cpu_shares: Option<u64>,
    /// Processors to use
    #[arg(long, value_name = "LIST")]
    pub cpuset_cpus: Option<String>,
    /// Memory nodes to use
    #[arg(long, value_name = "LIST")]
    pub cpuset_mems: Option<String>,
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
    /// The ignore file, instead of .containerignore or .dockerignore
    #[arg(long, value_name = "FILE")]
    pub ignorefile: Option<PathBuf>,
    /// Write the image's id to a file
    #[arg(long, value_name = "FILE")]
    pub iidfile: Option<PathBuf>,
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
    /// A layer for each step, kept for the next build
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub layers: Option<bool>,
    /// Write what would be shown to a file
    #[arg(long, value_name = "FILE")]
    pub logfile: Option<PathBuf>,
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
    /// Operating system of the image
    #[arg(long)]
    pub os: Option<String>,
    /// PID namespace: private, host
    #[arg(long, value_name = "MODE")]
    pub pid: Option<String>,
    /// Platform of the image: that of this machine
    #[arg(long, value_name = "OS/ARCH")]
    pub platform: Option<String>,
    /// How progress is shown: there is one way
    #[arg(long, hide = true)]
    pub progress: Option<String>,
    /// When to pull images: always, missing, never, newer
    #[arg(long, value_name = "POLICY", num_args = 0..=1, require_equals = true, default_missing_value = "always")]
    pub pull: Option<String>,
    /// Say nothing but the image's id
    #[arg(short, long)]
    pub quiet: bool,
    /// How often to try again after the network failed
    #[arg(long, value_name = "NUMBER", value_parser = number::u32)]
    pub retry: Option<u32>,
    /// How long to wait before
    #[arg(long, value_name = "DURATION")]
    pub retry_delay: Option<String>,
    /// Remove working containers; creel always does
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true")]
    pub rm: bool,
    /// A secret for RUN --mount=type=secret (id=ID,src=FILE or id=ID,env=VARIABLE)
    #[arg(long, value_name = "SECRET")]
    pub secret: Vec<String>,
    /// A security option for the programs that run
    #[arg(long, value_name = "OPTION")]
    pub security_opt: Vec<String>,
    /// Size of /dev/shm
    #[arg(long, value_name = "SIZE")]
    pub shm_size: Option<String>,
    /// Leave stages out that nothing needs
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true")]
    pub skip_unused_stages: bool,
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
    /// Take a variable out of the image
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub unsetenv: Vec<String>,
    /// Take a label out of the image
    #[arg(long, value_name = "KEY", value_delimiter = ',')]
    pub unsetlabel: Vec<String>,
    /// UTS namespace: private, host
    #[arg(long, value_name = "MODE")]
    pub uts: Option<String>,
    /// Variant of the architecture
    #[arg(long)]
    pub variant: Option<String>,
    /// A volume or directory for the programs that run
    #[arg(short, long, value_name = "VOLUME")]
    pub volume: Vec<String>,
    /// The context: a directory, "-", or a URL
    #[arg(value_name = "CONTEXT")]
    pub words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::at_most(&args.words, 1)?;
    if let Some(path) = &args.logfile {
        write_to(path)?;
    }
    let image = make(context, &args)?;
    if let Some(path) = &args.iidfile {
        fs::write(path, format!("sha256:{}", image.id)).map_err(on_path("open", path))?;
    }
    output::line(&image.id)?;
    Ok(ExitCode::Success)
}

/// Builds what the arguments say, and shows how it goes. `kube play` builds, too.
pub fn make(context: &Context, args: &Args) -> Result<images::Image, Failure> {
    let format = format(context, args)?;
    check_words(args)?;
    let spec = template(context, args)?;
    let pull = super::create::pull_options(context, &flags(args))?;
    refuse_foreign(pull.platform.as_ref())?;
    let arguments = build_arguments(args)?;
    let (secrets, agents) = (secrets(args)?, agents(args)?);
    let engine = context.engine()?;
    let Source { files, context: tree, staging: _staging } = source::find(&engine, args)?;
    let options = Options {
        files,
        context: tree,
        contexts: named_contexts(args)?,
        names: args.tag.clone(),
        target: args.target.clone(),
        arguments,
        from: args.from.clone(),
        every_stage: !args.skip_unused_stages,
        uses_cache: !args.no_cache,
        squash: match (args.squash_all, args.squash || args.layers == Some(false)) {
            (true, _) => Squash::All,
            (false, true) => Squash::Stages,
            (false, false) => Squash::Steps,
        },
        pull,
        format,
        labels: pairs(&args.label, "")?,
        unset_labels: args.unsetlabel.clone(),
        annotations: pairs(&args.annotation, "")?,
        env: args.env.iter().map(|text| env(text)).collect(),
        unset_env: args.unsetenv.clone(),
        timestamp: args.timestamp,
        secrets,
        agents,
        spec,
        streams: Streams { stdin: args.stdin, stdout: !args.quiet, stderr: true },
    };
    let mut lost = None;
    let image = ::build::build(&engine, &options, &mut |event| {
        if let Err(failure) = show(&event, args.quiet) {
            lost.get_or_insert(failure);
        }
    })?;
    lost.map_or(Ok(image), Err)
}

/// The lines that scripts look for are Podman's.
fn show(event: &Event<'_>, quiet: bool) -> Result<(), Failure> {
    let before = |stage: &Option<(usize, usize)>| match stage {
        Some((number, of)) => format!("[{number}/{of}] "),
        None => String::new(),
    };
    match event {
        Event::Warning { text } => {
            output::warn(text);
            Ok(())
        }
        _ if quiet => Ok(()),
        Event::Step { stage, number, of, text } => {
            output::line(format_args!("{}STEP {number}/{of}: {text}", before(stage)))
        }
        Event::Cached { id } => output::line(format_args!("--> Using cache {id}")),
        Event::Made { id } => output::line(format_args!("--> {}", &id[..12])),
        Event::Commit { stage, name: Some(name) } => output::line(format_args!("{}COMMIT {name}", before(stage))),
        Event::Commit { stage, name: None } => output::line(format_args!("{}COMMIT", before(stage))),
        Event::Tagged { name } => output::line(format_args!("Successfully tagged {name}")),
        Event::Unused { arguments } => {
            output::line(format_args!("[Warning] one or more build args were not consumed: [{}]", arguments.join(" ")))
        }
    }
}

/// From here on, all that is written goes there.
fn write_to(path: &PathBuf) -> Result<(), Failure> {
    let file = fs::File::create(path).map_err(on_path("open", path))?;
    let moved = rustix::stdio::dup2_stdout(&file).and_then(|()| rustix::stdio::dup2_stderr(&file));
    moved.map_err(|error| on_path("write", path)(error.into()))
}

fn format(context: &Context, args: &Args) -> Result<images::Format, Failure> {
    let usual = variable("BUILDAH_FORMAT");
    let usual = usual.as_deref().or(context.config()?.text("engine", "image_build_format")).unwrap_or("oci");
    match args.format.as_deref().unwrap_or(usual) {
        "oci" => Ok(images::Format::Oci),
        "docker" => Ok(images::Format::Docker),
        other => Err(Failure::plain(format!("unrecognized image type {}", go_quote(other)))),
    }
}

/// Words that have few values.
fn check_words(args: &Args) -> Result<(), Failure> {
    if let Some(kind) = args.isolation.as_deref()
        && !matches!(kind, "" | "default" | "oci" | "rootless" | "chroot")
    {
        return Err(Failure::plain(format!("unrecognized isolation type {}", go_quote(kind))));
    }
    for name in &args.tag {
        name.parse::<images::Reference>().map_err(|error| Failure::from(error).context(format!("tag {name}")))?;
    }
    if args.squash && args.layers == Some(true) {
        return Err(Failure::plain("cannot specify --squash with --layers"));
    }
    if args.squash_all && (args.squash || args.layers == Some(true)) {
        return Err(Failure::plain("cannot specify --squash-all with --squash or --layers"));
    }
    Ok(())
}

fn refuse_foreign(platform: Option<&images::Platform>) -> Result<(), Failure> {
    let Some(platform) = platform else { return Ok(()) };
    let host = images::host_architecture();
    let is = |wanted: &Option<String>, own: &str| wanted.as_deref().is_none_or(|wanted| wanted == own);
    let aliases =
        matches!((platform.architecture.as_deref(), host), (Some("x86_64"), "amd64") | (Some("aarch64"), "arm64"));
    match is(&platform.os, "linux") && (aliases || is(&platform.architecture, host)) {
        true => Ok(()),
        false => Err(Failure::plain(format!("creel builds for this machine only, which is linux/{host}"))),
    }
}

/// The flags that mean what they mean for `run`.
fn flags(args: &Args) -> CreateArgs {
    CreateArgs {
        add_host: args.add_host.clone(),
        arch: args.arch.clone(),
        authfile: args.authfile.clone(),
        cap_add: args.cap_add.clone(),
        cap_drop: args.cap_drop.clone(),
        cert_dir: args.cert_dir.clone(),
        cgroup_parent: args.cgroup_parent.clone(),
        cgroupns: args.cgroupns.clone(),
        creds: args.creds.clone(),
        decryption_key: args.decryption_key.clone(),
        device: args.device.clone(),
        dns: args.dns.clone(),
        dns_option: args.dns_option.clone(),
        dns_search: args.dns_search.clone(),
        group_add: args.group_add.clone(),
        http_proxy: args.http_proxy,
        ipc: args.ipc.clone(),
        limits: LimitFlags {
            cpu_period: args.cpu_period,
            cpu_quota: args.cpu_quota,
            cpu_shares: args.cpu_shares,
            cpuset_cpus: args.cpuset_cpus.clone(),
            cpuset_mems: args.cpuset_mems.clone(),
            memory: args.memory.clone(),
            memory_swap: args.memory_swap.clone(),
            ulimit: args.ulimit.clone(),
            ..LimitFlags::default()
        },
        network: args.network.clone().into_iter().collect(),
        no_hostname: args.no_hostname,
        no_hosts: args.no_hosts,
        os: args.os.clone(),
        pid: args.pid.clone(),
        platform: args.platform.clone(),
        pull: args.pull.clone(),
        quiet: args.quiet,
        retry: args.retry,
        retry_delay: args.retry_delay.clone(),
        security_opt: args.security_opt.clone(),
        shm_size: args.shm_size.clone(),
        tls_verify: args.tls_verify,
        uts: args.uts.clone(),
        variant: args.variant.clone(),
        volume: args.volume.clone(),
        ..CreateArgs::default()
    }
}

/// What every RUN has in common.
fn template(context: &Context, args: &Args) -> Result<ContainerSpec, Failure> {
    let around = Surroundings {
        config: context.config()?,
        env: std::env::vars().collect(),
        read: &|path| fs::read_to_string(path),
        exists: &|path| fs::metadata(path).map(drop),
        cwd: std::env::current_dir()?,
        list: &crate::glob::names,
        own_ids: &super::create::own_ids,
    };
    create_args::spec(&flags(args), &around)
}

/// `NAME=VALUE`; what stands where the sign is missing is `otherwise`.
fn pairs(texts: &[String], otherwise: &str) -> Result<Vec<(String, String)>, Failure> {
    texts
        .iter()
        .map(|text| {
            let (key, value) = text.split_once('=').unwrap_or((text, otherwise));
            match key.is_empty() {
                true => Err(Failure::plain(format!("{} has no name before =", go_quote(text)))),
                false => Ok((key.to_owned(), value.to_owned())),
            }
        })
        .collect()
}

/// `NAME` alone takes the caller's value.
fn env(text: &str) -> (String, String) {
    match text.split_once('=') {
        Some((name, value)) => (name.to_owned(), value.to_owned()),
        None => (text.to_owned(), variable(text).unwrap_or_default()),
    }
}

/// Files first: a flag wins. A name without a value takes the caller's, if it has one.
fn build_arguments(args: &Args) -> Result<BTreeMap<String, String>, Failure> {
    let mut arguments = BTreeMap::new();
    let mut add = |text: &str| {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, variable(text)),
        };
        match value {
            Some(value) => drop(arguments.insert(name.to_owned(), value)),
            None => drop(arguments.remove(name)),
        }
    };
    for path in &args.build_arg_file {
        let text = fs::read_to_string(path).map_err(on_path("open", path))?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.for_each(&mut add);
    }
    args.build_arg.iter().for_each(|text| add(text));
    Ok(arguments)
}

/// `--build-context NAME=VALUE`
fn named_contexts(args: &Args) -> Result<BTreeMap<String, Named>, Failure> {
    let mut contexts = BTreeMap::new();
    for (name, value) in pairs(&args.build_context, "")? {
        let image =
            ["docker-image://", "container-image://", "docker://"].iter().find_map(|word| value.strip_prefix(word));
        let named = match image {
            Some(image) => Named::Image(image.to_owned()),
            None if value.contains("://") => {
                let what =
                    format!("--build-context {name}={value}: only directories and images are supported by creel yet");
                return Err(Failure::plain(what));
            }
            None => Named::Directory(source::directory(&value)?),
        };
        contexts.insert(name, named);
    }
    Ok(contexts)
}

fn secrets(args: &Args) -> Result<BTreeMap<String, Secret>, Failure> {
    let mut secrets = BTreeMap::new();
    for text in &args.secret {
        let wrong = || {
            Failure::plain("incorrect secret flag format: should be --secret id=foo,src=bar[,env=ENV][,type=file|env]")
        };
        let (mut id, mut path, mut env, mut kind) = (None, None, None, None);
        for option in text.split(',') {
            match option.split_once('=').ok_or_else(wrong)? {
                ("id", value) => id = Some(value),
                ("src" | "source", value) => path = Some(value),
                ("env", value) => env = Some(value),
                ("type", value @ ("file" | "env")) => kind = Some(value),
                _ => return Err(wrong()),
            }
        }
        let id = id.filter(|id| !id.is_empty()).ok_or_else(wrong)?;
        let from_env = env.or_else(|| (kind == Some("env")).then_some(path.unwrap_or(id)));
        // Neither said: a variable of that name, else a file.
        let guessed = (env.is_none() && path.is_none() && kind.is_none()).then_some(id);
        let value = from_env.or(guessed).and_then(|name| std::env::var(name).ok());
        let secret = match (value, from_env) {
            (Some(value), _) => Secret::Value(value),
            (None, Some(name)) => {
                return Err(Failure::plain(format!("could not parse secrets: the variable {name} is not set")));
            }
            (None, None) => {
                let path = std::path::absolute(path.unwrap_or(id))?;
                fs::metadata(&path)
                    .map_err(|error| on_path("faccessat", &path)(error).context("could not parse secrets"))?;
                Secret::File(path)
            }
        };
        secrets.insert(id.to_owned(), secret);
    }
    Ok(secrets)
}

/// `--ssh ID[=SOCKET]`, by default the caller's agent.
fn agents(args: &Args) -> Result<BTreeMap<String, PathBuf>, Failure> {
    let mut agents = BTreeMap::new();
    for text in &args.ssh {
        let (id, path) = match text.split_once('=') {
            Some((id, path)) => (id, Some(PathBuf::from(path))),
            None => (text.as_str(), variable("SSH_AUTH_SOCK").map(PathBuf::from)),
        };
        let path = path.ok_or_else(|| {
            Failure::plain(format!("--ssh {text}: SSH_AUTH_SOCK is not set")).hint("start an agent: eval $(ssh-agent)")
        })?;
        let about = fs::metadata(&path).map_err(on_path("stat", &path))?;
        if !std::os::unix::fs::FileTypeExt::is_socket(&about.file_type()) {
            return Err(Failure::plain(format!("--ssh {text}: {} is no socket of an agent", path.display()))
                .hint("add the key to an agent with ssh-add, and give --ssh default"));
        }
        agents.insert(id.to_owned(), std::path::absolute(path)?);
    }
    Ok(agents)
}
