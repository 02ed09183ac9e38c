//! `creel pod create`

use std::path::{Path, PathBuf};

use containers::{ContainerSpec, Engine, IpcMode, NamespaceMode, UserNamespace};
use network::Mode;
use pods::{ExitPolicy, Infra, Pod, PodSpec, Share};

use super::flags::PodFlags;
use crate::arguments;
use crate::caller;
use crate::commands::create::{self, joined_id};
use crate::context::Context;
use crate::create_args::{self, CreateArgs, Surroundings};
use crate::error::{ExitCode, Failure};
use crate::output;

/// Make a pod
#[derive(clap::Args, Debug, Default)]
pub struct Args {
    #[command(flatten)]
    flags: PodFlags,
    /// Add a line to the members' /etc/hosts (name[;name...]:ip)
    #[arg(long, value_name = "NAME:IP", value_delimiter = ',')]
    add_host: Vec<String>,
    /// Allow connections to this host alone (HOST|*.DOMAIN|CIDR[:PORT[-PORT]][/PROTOCOL], or none; repeatable)
    #[arg(long, value_name = "TARGET")]
    allow_egress: Vec<String>,
    /// Name servers; "none" leaves the images' resolv.conf alone
    #[arg(long, value_name = "IP", value_delimiter = ',')]
    dns: Vec<String>,
    /// Options of the resolver
    #[arg(long, alias = "dns-opt", value_name = "OPTION", value_delimiter = ',')]
    dns_option: Vec<String>,
    /// Search domains
    #[arg(long, value_name = "DOMAIN", value_delimiter = ',')]
    dns_search: Vec<String>,
    /// What happens when the last member has ended: continue or stop
    #[arg(long, value_name = "POLICY")]
    exit_policy: Option<String>,
    /// Base of /etc/hosts: a path, "image" or "none"
    #[arg(long, value_name = "FILE")]
    hosts_file: Option<String>,
    /// Hold the namespaces that are shared (false: none are)
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    infra: Option<bool>,
    /// Image of the infra container (creel needs none)
    #[arg(long, value_name = "IMAGE")]
    infra_image: Option<String>,
    /// IPv4 address
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<String>,
    /// IPv6 address
    #[arg(long, value_name = "ADDRESS")]
    ip6: Option<String>,
    /// MAC address
    #[arg(long, value_name = "ADDRESS")]
    mac_address: Option<String>,
    /// Name of the pod
    #[arg(short, long, value_name = "NAME")]
    name: Option<String>,
    /// Network: none, host, private, bridge, NAME, ns:PATH, creel[:OPTIONS], pasta[:OPTIONS],
    /// slirp4netns[:OPTIONS]
    #[arg(long, alias = "net", value_name = "MODE")]
    network: Vec<String>,
    /// Further names of the pod on its networks
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    network_alias: Vec<String>,
    /// No /etc/hostname of creel's
    #[arg(long)]
    no_hostname: bool,
    /// No /etc/hosts of creel's
    #[arg(long)]
    no_hosts: bool,
    /// Write the pod's id to a file
    #[arg(long, value_name = "FILE")]
    pod_id_file: Option<PathBuf>,
    /// Publish a port ([[IP:][HOSTPORT]:]CONTAINERPORT[/PROTOCOL])
    #[arg(short, long, value_name = "PORT", value_delimiter = ',')]
    publish: Vec<String>,
    /// Remove the pod that has the name
    #[arg(long)]
    replace: bool,
    /// Namespaces to share, of cgroup, ipc, net, pid, uts; +NAME for more than ipc, net and uts
    #[arg(long, value_name = "LIST")]
    share: Option<String>,
    /// Put the members' cgroups into one of the pod
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true")]
    share_parent: bool,
    #[arg(value_name = "[NAME]")]
    names: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::at_most(&args.names, 1)?;
    if args.name.is_some() && !args.names.is_empty() {
        return Err(Failure::plain("cannot specify --name and NAME at the same time"));
    }
    let name = args.name.clone().or_else(|| args.names.first().cloned()).filter(|name| !name.is_empty());
    if args.replace && name.is_none() {
        return Err(Failure::plain("cannot replace pod without --name being set"));
    }
    let around = surroundings(context)?;
    // Ids are looked at inside of the user namespace.
    let engine = context.engine()?;
    let mut spec = spec(&args, &around)?;
    spec.create_command.clone_from(&context.command_line);
    spec.labels.extend(caller::systemd_unit());
    resolve_others(&engine, &mut spec)?;
    let image = match &args.infra_image {
        Some(image) if !image.is_empty() => {
            Some(images::ensure(&engine.store, image, &images::PullOptions::default()).map_err(Failure::from)?)
        }
        _ => None,
    };
    if image.is_none() && spec.infra.command.is_some() {
        return Err(needs_infra_image());
    }
    let request =
        pods::CreateRequest { spec, name: name.as_deref(), replace: args.replace, infra_image: image.as_ref() };
    let pod = pods::create(&engine, request).map_err(|error| match error {
        pods::Error::Container(containers::Error::InvalidName { .. }) => invalid_name(),
        pods::Error::Container(error) => create::not_created(error),
        error => error.into(),
    })?;
    if let Some(path) = &args.pod_id_file {
        write_id(&engine, path, &pod)?;
    }
    output::line(pod.id())?;
    Ok(ExitCode::Success)
}

/// A pod has no environment of its own.
pub(super) fn surroundings(context: &Context) -> Result<Surroundings<'_>, Failure> {
    Ok(Surroundings {
        config: context.config()?,
        env: Vec::new(),
        read: &|path| std::fs::read_to_string(path),
        exists: &|path| std::fs::metadata(path).map(drop),
        cwd: std::env::current_dir()?,
        list: &crate::glob::names,
        own_ids: &create::own_ids,
    })
}

pub(super) fn needs_infra_image() -> Failure {
    Failure::plain("--infra-command needs an image that has the command")
        .hint("give --infra-image, or leave --infra-command out: creel holds the namespaces itself")
}

pub(super) fn invalid_name() -> Failure {
    Failure::plain("running pod create option: names must match [a-zA-Z0-9][a-zA-Z0-9_.-]*: invalid argument")
}

fn write_id(engine: &Engine, path: &Path, pod: &Pod) -> Result<(), Failure> {
    let failed =
        |error| crate::error::on_path("open", path)(error).context("failed to write pod ID to file: creating idfile");
    std::fs::write(path, pod.id().as_str()).map_err(failed).inspect_err(|_| {
        // The caller would not know what to remove.
        let _ = pods::remove(engine, pod, true, Some(0));
    })
}

/// The flags that `create` has too mean the same here.
fn spec(args: &Args, around: &Surroundings<'_>) -> Result<PodSpec, Failure> {
    let has_infra = args.infra.unwrap_or(true);
    let share = match &args.share {
        Some(text) => text.parse()?,
        None if !has_infra => Share::default(),
        None => Share::usual(),
    };
    if share.cgroup && args.share_parent {
        return Err(Failure::plain(
            "cannot define the pod as the cgroup parent at the same time as joining the infra container's cgroupNS: invalid argument",
        )
        .hint("add --share-parent=false"));
    }
    // Sharing nothing needs nobody to hold it.
    let has_infra = has_infra && (args.infra.is_some() || !share.is_empty());
    if !has_infra {
        without_infra(args)?;
    }
    let same = CreateArgs {
        add_host: args.add_host.clone(),
        allow_egress: args.allow_egress.clone(),
        dns: args.dns.clone(),
        dns_option: args.dns_option.clone(),
        dns_search: args.dns_search.clone(),
        hosts_file: args.hosts_file.clone(),
        ip: args.ip.clone(),
        ip6: args.ip6.clone(),
        mac_address: args.mac_address.clone(),
        network: args.network.clone(),
        network_alias: args.network_alias.clone(),
        no_hostname: args.no_hostname,
        no_hosts: args.no_hosts,
        publish: args.publish.clone(),
        ..args.flags.of_container()?
    };
    if !args.publish.is_empty() && args.network.iter().any(|mode| matches!(mode.as_str(), "host" | "none")) {
        return Err(Failure::plain("PortMappings can only be used with Bridge, slirp4netns, or pasta networking"));
    }
    let of_container = create_args::spec(&same, around)?;
    let policy = args
        .exit_policy
        .as_deref()
        .filter(|policy| !policy.is_empty())
        .or(around.config.text("engine", "pod_exit_policy"));
    let mut spec = PodSpec {
        share,
        share_parent: args.share_parent,
        restart: args.flags.restart_policy()?.unwrap_or_default(),
        exit_policy: policy.map(exit_policy).transpose()?.unwrap_or_default(),
        infra: Infra {
            unlabelled: false,
            none: !has_infra,
            name: args.flags.infra_name.clone().filter(|name| !name.is_empty()),
            command: args.flags.infra_command.as_deref().filter(|command| !command.is_empty()).map(words),
            conmon_pidfile: args.flags.infra_conmon_pidfile.as_ref().map(|path| around.cwd.join(path)),
        },
        ..of_all(of_container)
    };
    if matches!(spec.network.mode, Mode::Container(_)) {
        return Err(Failure::plain("pods presently do not support network mode container"));
    }
    // The defaults of a configuration file are for containers; here only what was typed counts.
    spec.user = if args.flags.choose_user_namespace() { spec.user } else { UserNamespace::Host };
    Ok(spec)
}

/// What a pod has of what was said as for a container.
pub(super) fn of_all(of_container: ContainerSpec) -> PodSpec {
    let namespaces = of_container.namespaces;
    PodSpec {
        hostname: of_container.hostname,
        no_hostname: of_container.no_hostname,
        labels: of_container.labels,
        network: of_container.network,
        pid: namespaces.pid,
        host_ipc: namespaces.ipc == IpcMode::Host,
        uts: namespaces.uts,
        user: namespaces.user,
        resources: containers::Resources { pids_limit: None, ..of_container.resources },
        restart: of_container.restart,
        shm_size: of_container.shm_size,
        sysctls: of_container.sysctls,
        security: of_container.security,
        mounts: of_container.mounts,
        volumes_from: of_container.volumes_from,
        devices: of_container.devices,
        cdi_devices: of_container.cdi_devices,
        shm_size_systemd: of_container.shm_size_systemd,
        ..PodSpec::default()
    }
}

fn exit_policy(text: &str) -> Result<ExitPolicy, Failure> {
    text.parse().map_err(|error| Failure::from(error).context("running pod create option"))
}

/// What only an infra container can do.
fn without_infra(args: &Args) -> Result<(), Failure> {
    let flags = [
        ("--ip", args.ip.is_some() || args.ip6.is_some()),
        ("--mac", args.mac_address.is_some()),
        ("--network-alias", !args.network_alias.is_empty()),
    ];
    if let Some((flag, _)) = flags.iter().find(|(_, given)| *given) {
        return Err(Failure::plain(format!("cannot set {flag} without infra container: invalid argument")));
    }
    if args.no_hosts {
        return Err(Failure::plain("cannot specify --no-hosts without an infra container"));
    }
    if !args.network.is_empty() {
        return Err(Failure::plain("NoInfra and network modes cannot be used together"));
    }
    let dns_none = args.dns.iter().any(|server| server == "none");
    let options = [
        ("InfraName", args.flags.infra_name.is_some()),
        ("InfraCommand", args.flags.infra_command.is_some()),
        ("InfraImage", args.infra_image.is_some()),
        ("NoManageResolvConf", dns_none),
        ("DNSServer", !args.dns.is_empty() && !dns_none),
        ("DNSSearch", !args.dns_search.is_empty()),
        ("DNSOption", !args.dns_option.is_empty()),
        ("HostAdd", !args.add_host.is_empty()),
        ("AllowEgress", !args.allow_egress.is_empty()),
        ("HostsFile", args.hosts_file.is_some()),
    ];
    match options.iter().find(|(_, given)| *given) {
        Some((option, _)) => {
            Err(Failure::plain(format!("NoInfra and {option} are mutually exclusive pod options: invalid pod spec")))
        }
        None => Ok(()),
    }
}

/// What is to be joined has to be there: not every member would say so. Names of containers become ids.
fn resolve_others(engine: &Engine, spec: &mut PodSpec) -> Result<(), Failure> {
    if let Mode::Path(path) = &spec.network.mode
        && let Err(error) = std::fs::metadata(path)
    {
        let failure = crate::error::on_path("faccessat", path)(error);
        return Err(failure.context("cannot find specified network namespace path"));
    }
    if let UserNamespace::Container(name) = &mut spec.user {
        *name = joined_id(engine, "user", name)?;
    }
    // Without an infra container nobody joins them.
    if spec.has_infra() {
        for (kind, mode) in [("pid", &mut spec.pid), ("uts", &mut spec.uts)] {
            if let NamespaceMode::Container(name) = mode {
                *name = joined_id(engine, kind, name)?;
            }
        }
    }
    for (name, _) in &spec.volumes_from {
        containers::find(engine, name)
            .map_err(|error| Failure::from(error).context(format!("looking up container {name:?} for volumes-from")))?;
    }
    Ok(())
}

/// One word, or a JSON array of words.
fn words(text: &str) -> Vec<String> {
    serde_json::from_str(text).unwrap_or_else(|_| text.split_whitespace().map(str::to_owned).collect())
}
