//! `creel kube play`

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use containers::{ExitPropagation, LogConfig, UserNamespace};
use images::PullOptions;
use kube_play::act::{self, Claims, Meant, PlayOptions, Played, Start};
use kube_play::{Change, Kind, ObjectId, Options, Plan, PublishedPort, PullPolicy, Stored, Unknown, Validate};
use pods::ServiceContainer;

use rustix::event::{PollFd, PollFlags, Timespec};
use sys::signals::SignalFd;

use super::{File, build, parse, read, refuse, source, warn};
use crate::arguments;
use crate::caller;
use crate::commands::login;
use crate::context::Context;
use crate::create_args::{self, CreateArgs, Surroundings};
use crate::error::{ExitCode, Failure};
use crate::{output, transfer};

/// Make pods, volumes, Services and whatever else Kubernetes manifests ask for
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Add an annotation to all pods (KEY=VALUE)
    #[arg(long, value_name = "KEY=VALUE")]
    annotation: Vec<String>,
    /// File with the registries' credentials
    #[arg(long, value_name = "FILE")]
    authfile: Option<PathBuf>,
    /// Build images that have a directory of their name (true), or none of them (false); those that are missing where
    /// nothing is said
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    build: Option<bool>,
    /// Directory with certificates for the registry
    #[arg(long, value_name = "DIR")]
    cert_dir: Option<PathBuf>,
    /// Files with ConfigMaps
    #[arg(long, value_name = "FILE", value_delimiter = ',')]
    configmap: Vec<String>,
    /// Where the directories of images are that --build builds; the working directory where nothing is said
    #[arg(long, value_name = "DIR")]
    context_dir: Option<PathBuf>,
    /// Credentials for the registry (USERNAME:PASSWORD)
    #[arg(long, value_name = "USER:PASSWORD")]
    creds: Option<String>,
    /// Take down what the files name
    #[arg(long)]
    down: bool,
    /// Show what would change as a unified diff, and change nothing; exit 0 whether something differs or not
    #[arg(long)]
    diff: bool,
    /// Say what would become of each object, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// With --down: remove volumes, too
    #[arg(long)]
    force: bool,
    /// Pass over documents of kinds that creel cannot play
    #[arg(long)]
    ignore_unknown: bool,
    /// Addresses of the pods, in their order
    #[arg(long, value_name = "IP", value_delimiter = ',', value_parser = ip)]
    ip: Vec<IpAddr>,
    /// Log driver of all containers
    #[arg(long, value_name = "DRIVER")]
    log_driver: Option<String>,
    /// Options of the log driver (KEY=VALUE)
    #[arg(long, value_name = "KEY=VALUE")]
    log_opt: Vec<String>,
    /// MAC addresses of the pods, in their order
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    mac_address: Vec<String>,
    /// Networks of all pods
    #[arg(long, alias = "net", value_name = "NETWORK")]
    network: Vec<String>,
    /// Leave the images' /etc/hostname alone
    #[arg(long)]
    no_hostname: bool,
    /// Leave the images' /etc/hosts alone
    #[arg(long)]
    no_hosts: bool,
    /// Call containers by their own names, without the pod's before them
    #[arg(long)]
    no_pod_prefix: bool,
    /// Take away what was played from these files before and is no longer in them
    #[arg(long)]
    prune: bool,
    /// Publish ports of containers on the host ([[IP:]HOST:]CONTAINER[/PROTOCOL])
    #[arg(long, value_name = "PORTS", value_delimiter = ',')]
    publish: Vec<String>,
    /// Publish every containerPort
    #[arg(long)]
    publish_all: bool,
    /// Say nothing while images are fetched
    #[arg(short, long)]
    quiet: bool,
    /// Make pods anew that are there
    #[arg(long)]
    replace: bool,
    /// Number of pods of every workload, whatever the files say
    #[arg(long, value_name = "NUMBER", value_parser = arguments::number::u32)]
    replicas: Option<u32>,
    /// Directory with the seccomp profiles that annotations name
    #[arg(long, value_name = "DIR")]
    seccomp_profile_root: Option<PathBuf>,
    /// Make a container that runs while the pods do, for a service manager to look at
    #[arg(long, hide = true, value_name = "BOOL", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    service_container: bool,
    /// Which containers' failures are the service container's: all, any, none
    #[arg(long, hide = true, value_name = "POLICY", default_value = "")]
    service_exit_code_propagation: String,
    /// The policy.json to obey
    #[arg(long, value_name = "FILE", hide = true)]
    signature_policy: Option<PathBuf>,
    /// Start the pods
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true")]
    start: bool,
    /// Require TLS and check certificates
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    tls_verify: Option<bool>,
    /// User namespace of all pods
    #[arg(long, value_name = "MODE")]
    userns: Option<String>,
    /// What becomes of fields that are not carried out: strict, warn, ignore
    #[arg(long, value_name = "LEVEL", num_args = 0..=1, require_equals = true, default_missing_value = "strict", default_value = "strict")]
    validate: String,
    /// Stay until all pods have ended, or a signal comes, and take everything down again
    #[arg(short, long)]
    wait: bool,
    /// Files, "-", or URLs
    #[arg(value_name = "[KUBEFILE [KUBEFILE...]]|-")]
    files: Vec<String>,
}

fn ip(text: &str) -> Result<IpAddr, String> {
    text.trim().parse().map_err(|_| format!("invalid string being converted to IP address: {text}"))
}

/// How long a play waits for workloads.
pub const PATIENCE: Duration = Duration::from_secs(60);
const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;
/// How often `--wait` looks whether all has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

pub fn run(context: &Context, mut args: Args) -> Result<ExitCode, Failure> {
    arguments::at_least(&args.files, 1)?;
    if args.down {
        return super::down::take_down(context, &args.files, if args.force { Claims::Remove } else { Claims::Keep });
    }
    if args.force {
        return Err(Failure::plain("--force may be specified only with --down"));
    }
    if args.diff && args.dry_run {
        return Err(Failure::plain("--diff and --dry-run cannot be used together"));
    }
    login::check_files(args.authfile.as_deref(), None, None)?;
    if let Some(given) = &args.creds {
        // Asked once, for images that are built and those that are pulled.
        let whole = crate::credentials::credentials(given)?;
        args.creds = Some(format!("{}:{}", whole.user, whole.password));
    }
    let read_all = |names: &[String]| names.iter().map(|name| read(name)).collect::<Result<Vec<_>, _>>();
    let (files, config_maps) = (read_all(&args.files)?, read_all(&args.configmap)?);
    let unknown = if args.ignore_unknown { Unknown::Skip } else { Unknown::Refuse };
    let manifests = parse(&files, &config_maps, level(&args.validate)?, unknown);
    let names = files.iter().chain(&config_maps).map(|file| &file.name);
    let sources: BTreeMap<String, String> = names.map(|name| (name.clone(), source(name))).collect();
    let mut options = options(context, &args)?;
    if args.context_dir.is_some() && args.build != Some(true) {
        return Err(Failure::plain("--build must be specified when using --context-dir option"));
    }
    let propagation = args.service_exit_code_propagation.parse::<ExitPropagation>()?;
    if (args.service_container || args.wait) && !args.start {
        return Err(Failure::plain("running a service container requires starting the pod(s)"));
    }
    if args.service_container {
        options.service = Some(service_container(&files, propagation));
    }
    let engine = if args.dry_run || args.diff { context.reader()? } else { context.engine()? };
    let stored = stored(&engine)?;
    let plan_it = |options: &Options| kube_play::plan(&manifests, &stored, options).map_err(|it| refuse(&it));
    let mut plan = plan_it(&options)?;
    // Only what is right in all else is worth a build.
    let directories = build::directories(&plan, args.context_dir.as_deref())?;
    if !directories.is_empty() {
        let may_build = if args.dry_run || args.diff { Some(false) } else { args.build };
        options.built = build::images(context, &engine, &directories, may_build, &registry(&args))?;
        plan = plan_it(&options)?;
    }
    warn(plan.warnings.iter());
    if plan.metas().next().is_none() {
        return Err(Failure::plain("YAML document does not contain any supported kube kind: there is nothing to play"));
    }
    let of_pods = |port: &kube_play::HostPort| port.owner.kind != kube_play::Kind::Service;
    if args.network.iter().any(|mode| matches!(mode.as_str(), "host" | "none")) && plan.host_ports.iter().any(of_pods) {
        let text = "PortMappings can only be used with Bridge, slirp4netns, or pasta networking";
        return Err(Failure::plain(text).hint("leave the manifest's hostPort and --publish out, or --network"));
    }
    if args.dry_run || args.diff {
        return preview(&engine, &plan, &args, &sources);
    }
    if let (Some(why), true) = (containers::why_no_limits(&engine)?, has_limits(&plan)) {
        output::warn(&format!("limits of resources are not enforced: they need cgroups, {why}"));
    }
    for service in &plan.services {
        for (port, higher) in act::served_higher(service) {
            let id = &service.meta.id;
            output::warn(&format!("{id}: port {port} of the host is for root alone: served on port {higher}"));
        }
    }
    let pull = pull_options(&args)?;
    let find_image = |engine: &containers::Engine, wanted: &act::WantedImage<'_>| {
        // No registry has what is made here.
        let is_built = options.built.contains_key(wanted.name);
        let policy = if is_built { PullPolicy::Never } else { wanted.pull };
        super::image(engine, &act::WantedImage { pull: policy, ..*wanted }, &pull)
    };
    let start = if args.start { Start::Now } else { Start::Later };
    if args.wait {
        output::line("Use ctrl+c to clean up or wait for pods to exit")?;
    }
    let how = PlayOptions { sources: &sources, replace: args.replace, start, patience: PATIENCE };
    let played = super::carry_out(&engine, &find_image, &plan, how, args.quiet)?;
    report(&played, args.replace)?;
    let former = former(&engine, &plan, &sources)?;
    match args.prune {
        true => prune(&engine, former)?,
        false => tell_of(&former, &args.files),
    }
    if args.wait {
        return until_the_end(&engine, &plan);
    }
    match &options.service {
        Some(service) => announce(&engine, &service.name),
        None => Ok(ExitCode::Success),
    }
}

/// Called after the texts, as they were read.
fn service_container(files: &[File], propagation: ExitPropagation) -> ServiceContainer {
    ServiceContainer { name: kube_play::service_name(files.iter().map(|file| file.text.as_str())), propagation }
}

/// Tells the service manager which process is the unit's. Pods that are over already leave it nothing to look at: then how
/// they have ended is our own end.
fn announce(engine: &containers::Engine, service: &str) -> Result<ExitCode, Failure> {
    let service = containers::find(engine, service)?;
    let is_over = containers::announce(engine, &service) == Some(false);
    Ok(match service.state().exit() {
        Some(exit) if is_over => ExitCode::Container(u8::try_from(exit.code).unwrap_or(u8::MAX)),
        _ => ExitCode::Success,
    })
}

fn has_limits(plan: &Plan) -> bool {
    plan.templates().any(|(_, template)| {
        let of_pod = template.resources != containers::Resources::default();
        of_pod || template.all_containers().any(|container| !container.limits.is_empty())
    })
}

fn level(text: &str) -> Result<Validate, Failure> {
    match text {
        "strict" | "true" => Ok(Validate::Strict),
        "warn" => Ok(Validate::Warn),
        "ignore" | "false" => Ok(Validate::Ignore),
        other => Err(Failure::plain(format!("invalid value {other:?} for --validate: it is strict, warn or ignore"))),
    }
}

fn options(context: &Context, args: &Args) -> Result<Options, Failure> {
    let pair = |text: &String| match text.split_once('=') {
        Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
        None => Err(Failure::plain(format!("annotation {text:?} must include an '=' sign"))),
    };
    let mode = network::Mode::parse_all(&args.network)?;
    if matches!(mode, network::Mode::Container(_)) {
        return Err(Failure::plain("pods presently do not support network mode container"));
    }
    let mut publish = Vec::new();
    for ports in &args.publish {
        let mapping = network::parse_publish(ports)?;
        publish.extend((0..mapping.range.max(1)).map(|offset| PublishedPort {
            host_ip: mapping.host_ip,
            host_port: if mapping.host_port == 0 { 0 } else { mapping.host_port + offset },
            container_port: mapping.container_port + offset,
            protocol: match mapping.protocol {
                network::Protocol::Tcp => kube_play::Protocol::Tcp,
                network::Protocol::Udp => kube_play::Protocol::Udp,
                network::Protocol::Sctp => kube_play::Protocol::Sctp,
            },
        }));
    }
    let is_said = args.log_driver.is_some() || !args.log_opt.is_empty();
    let log: Option<LogConfig> = match is_said || create_args::unit_has_a_journal() {
        true => {
            let flags = CreateArgs {
                log_driver: args.log_driver.clone(),
                log_opt: args.log_opt.clone(),
                ..CreateArgs::default()
            };
            Some(create_args::log(&flags, context.config()?)?)
        }
        false => None,
    };
    let addresses = check_addresses(args, &mode)?;
    Ok(Options {
        networks: args.network.clone(),
        addresses,
        macs: args.mac_address.iter().map(|text| text.to_ascii_lowercase()).collect(),
        service: None,
        built: BTreeMap::new(),
        publish,
        publish_all: args.publish_all,
        user_namespace: args.userns.as_deref().map(|mode| user_namespace(context, mode)).transpose()?,
        log,
        annotations: args.annotation.iter().map(pair).collect::<Result<_, _>>()?,
        no_hosts: args.no_hosts,
        no_hostname: args.no_hostname,
        no_pod_prefix: args.no_pod_prefix,
        seccomp_root: args.seccomp_profile_root.as_deref().map(std::path::absolute).transpose()?,
        unit: caller::systemd_unit().map(|(_, unit)| unit),
        replicas: args.replicas,
        directory: std::env::current_dir().unwrap_or_default(),
    })
}

/// Addresses can be given on one network that has addresses to give.
fn check_addresses(args: &Args, mode: &network::Mode) -> Result<Vec<IpAddr>, Failure> {
    if let Some(wrong) = args.mac_address.iter().find(|text| !network::is_mac(text)) {
        return Err(Failure::plain(format!("address {wrong}: invalid MAC address")));
    }
    let said = [
        (args.ip.is_empty(), "static ip addresses can", "ip", "static ip addresses", "ips"),
        (args.mac_address.is_empty(), "static mac address can", "mac", "static mac address", "mac"),
    ];
    for (_, can, option, what, several) in said.into_iter().filter(|(is_empty, ..)| !is_empty) {
        match mode {
            network::Mode::Networks(networks) if networks.len() > 1 => {
                return Err(Failure::plain(format!(
                    "cannot set {what} for more than network, use netname:{option}=<{option}> syntax to specify {several} \
                     for more than network: invalid argument"
                )));
            }
            network::Mode::Networks(_) | network::Mode::Default => {}
            _ => {
                let text = format!("{can} only be set when the network mode is bridge: invalid argument");
                return Err(Failure::plain(text));
            }
        }
    }
    Ok(args.ip.clone())
}

fn user_namespace(context: &Context, mode: &str) -> Result<UserNamespace, Failure> {
    let around = Surroundings {
        config: context.config()?,
        env: std::env::vars().collect(),
        read: &|path| std::fs::read_to_string(path),
        exists: &|path| std::fs::metadata(path).map(drop),
        list: &crate::glob::names,
        cwd: std::env::current_dir()?,
        own_ids: &crate::commands::create::own_ids,
    };
    create_args::user_namespace(mode, &around)
}

fn pull_options(args: &Args) -> Result<PullOptions, Failure> {
    let mut options = PullOptions {
        authfile: args.authfile.clone(),
        creds: args.creds.as_deref().map(crate::credentials::credentials).transpose()?,
        cert_dir: args.cert_dir.clone(),
        tls_verify: args.tls_verify,
        places: transfer::places(args.signature_policy.clone())?,
        ..PullOptions::default()
    };
    if args.quiet {
        options.progress = images::Progress::Quiet;
    }
    Ok(options)
}

/// How a build reaches the registries that the play reaches.
fn registry(args: &Args) -> crate::commands::build::Args {
    crate::commands::build::Args {
        authfile: args.authfile.clone(),
        cert_dir: args.cert_dir.clone(),
        creds: args.creds.clone(),
        signature_policy: args.signature_policy.clone(),
        tls_verify: args.tls_verify,
        quiet: args.quiet,
        ..build::flags()
    }
}

/// The world that the plan is made for.
pub fn stored(engine: &containers::Engine) -> Result<Stored, Failure> {
    let shelf = super::shelf(engine)?;
    let mut stored = Stored { objects: shelf.objects(engine)?, ..Stored::default() };
    stored.volumes = engine.store.volumes()?.into_iter().map(|(name, _)| name).collect();
    for namespace in shelf.namespaces()? {
        for object in shelf.all(&namespace)? {
            match object.body {
                act::Body::Workload { plan, .. } => drop(stored.workloads.insert(plan.meta.id)),
                act::Body::Ingress(plan) => stored.certificates.extend(plan.certificates()),
                _ => {}
            }
        }
    }
    Ok(stored)
}

/// `--dry-run`: a line for each object; `--diff`: what differs, and nothing where nothing does.
fn preview(
    engine: &containers::Engine,
    plan: &Plan,
    args: &Args,
    sources: &BTreeMap<String, String>,
) -> Result<ExitCode, Failure> {
    for change in act::preview(engine, plan)? {
        match args.diff {
            true => output::print(&change.diff())?,
            false => output::line(change.line())?,
        }
    }
    let former = former(engine, plan, sources)?;
    match args.prune && args.dry_run {
        true => former.iter().try_for_each(|id| output::line(format_args!("{} pruned (dry run)", id.resource())))?,
        false => tell_of(&former, &args.files),
    }
    Ok(ExitCode::Success)
}

/// What was played from these files before, and is no longer in them.
fn former(
    engine: &containers::Engine,
    plan: &Plan,
    sources: &BTreeMap<String, String>,
) -> Result<Vec<ObjectId>, Failure> {
    let sources: Vec<&str> = sources.values().map(String::as_str).collect();
    let named: Vec<&ObjectId> = plan.metas().map(|meta| &meta.id).collect();
    Ok(act::played_from(engine, &sources, &named)?)
}

/// As `kubectl apply`, a play leaves them alone.
fn tell_of(former: &[ObjectId], files: &[String]) {
    if !former.is_empty() {
        let objects: Vec<String> = former.iter().map(ObjectId::resource).collect();
        let (objects, files) = (objects.join(", "), files.join(" "));
        output::warn(&format!(
            "no longer in {files}, and kept: {objects}; `creel kube play --prune {files}` removes them"
        ));
    }
}

/// `--prune`, in kubectl's words. Volumes stay: what is in them was not in a file.
fn prune(engine: &containers::Engine, former: Vec<ObjectId>) -> Result<(), Failure> {
    if former.is_empty() {
        return Ok(());
    }
    let done = act::down(
        engine,
        super::pod_program,
        &Meant { ids: former.clone(), ..Meant::default() },
        Claims::Keep,
        &super::waits,
    )?;
    former.iter().try_for_each(|id| output::line(format_args!("{} pruned", id.resource())))?;
    super::down::conclude(&done).map(drop)
}

/// Podman's blocks for what it knows, kubectl's lines for the rest.
fn report(played: &Played, replace: bool) -> Result<(), Failure> {
    let block = |title: &str, lines: &[String]| -> Result<(), Failure> {
        if lines.is_empty() {
            return Ok(());
        }
        output::line(title)?;
        lines.iter().try_for_each(output::line)
    };
    if replace {
        let done = act::Down { pods: played.replaced.clone(), ..act::Down::default() };
        super::down::report(&done)?;
    }
    block("Volumes:", &played.volumes)?;
    block("Secrets:", &played.secrets)?;
    let made: Vec<&ObjectId> = played.pods.iter().map(|(id, _)| id).collect();
    for (id, change) in &played.changes {
        let is_block = matches!(id.kind, Kind::Pod | Kind::Secret | Kind::PersistentVolumeClaim);
        let is_shown = is_block && (*change == Change::Created || replace);
        if !is_shown || id.kind == Kind::Pod && !made.contains(&id) {
            output::line(format_args!("{} {}", id.resource(), change.word()))?;
        }
    }
    for (_, pod) in &played.pods {
        block("Pod:", std::slice::from_ref(&pod.pod))?;
        block(if pod.containers.len() == 1 { "Container:" } else { "Containers:" }, &pod.containers)?;
        output::line("")?;
    }
    for (id, why) in &played.underway {
        output::note(&format!("{id} is still on its way: {why}"));
    }
    Ok(())
}

/// `--wait`: stays until all pods of the plan have ended or a signal comes, then takes all down.
fn until_the_end(engine: &containers::Engine, plan: &Plan) -> Result<ExitCode, Failure> {
    let meant = Meant { ids: plan.metas().map(|meta| meta.id.clone()).collect(), ..Meant::default() };
    let signals = SignalFd::new(&[SIGINT, SIGTERM])?;
    let mut is_told = false;
    while !act::have_ended(engine, &meant.ids)? {
        let mut fds = [PollFd::new(&signals, PollFlags::IN)];
        let pause = Timespec { tv_sec: 0, tv_nsec: LOOK_AGAIN.as_nanos() as i64 };
        if rustix::event::poll(&mut fds, Some(&pause)).is_ok_and(|ready| ready > 0) {
            is_told = true;
            break;
        }
    }
    if is_told {
        // After what the terminal shows of Ctrl-C.
        output::line("")?;
    }
    output::line("Cleaning up containers, pods, and volumes...")?;
    let done = act::down(engine, super::pod_program, &meant, Claims::Remove, &super::waits)?;
    super::down::report(&done)?;
    Ok(ExitCode::Success)
}
