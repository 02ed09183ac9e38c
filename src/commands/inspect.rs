//! `creel inspect` and `creel container inspect`: an object as JSON, or through a template.

use std::collections::BTreeMap;
use std::path::Path;

use containers::{
    CgroupsMode, Container, Engine, Facts, HealthAction, HealthSpec, IpcMode, LogDriver, MountFact, MountKind,
    NamespaceMode, PodRole, Remove, SdNotify, SeccompProfile, Ulimit, UserNamespace,
};
use network::{Mode, PortMapping};

use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::format::{self, Nil, Value};
use crate::{object, output, select, signal, state};

/// Show everything about containers, images, volumes and networks
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Show through a Go template
    #[arg(short, long, value_name = "TEMPLATE", default_value = "json")]
    pub format: String,
    /// Show the newest container
    #[arg(short, long)]
    pub latest: bool,
    /// Show a container's sizes, too
    #[arg(short, long)]
    pub size: bool,
    /// What the names mean: container, image, volume, network or all
    #[arg(short, long, value_name = "TYPE", default_value = "all")]
    pub r#type: String,
    /// Names or ids
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
}

/// `creel container inspect`: the same, of containers only.
pub mod container {
    use super::{Context, ExitCode, Failure, Kind, show};

    /// Show everything about containers
    #[derive(clap::Args, Debug)]
    pub struct Args {
        /// Show through a Go template
        #[arg(short, long, value_name = "TEMPLATE", default_value = "json")]
        pub format: String,
        /// Show the newest container
        #[arg(short, long)]
        pub latest: bool,
        /// Show the sizes, too
        #[arg(short, long)]
        pub size: bool,
        /// Names or ids
        #[arg(value_name = "CONTAINER")]
        pub names: Vec<String>,
    }

    pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
        show(context, &args.names, args.latest, args.size, &args.format, Kind::Container)
    }
}

/// What a name may mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Container,
    Image,
    Volume,
    Network,
    Pod,
    Artifact,
    All,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    let kind = match args.r#type.as_str() {
        "all" => Kind::All,
        "container" => Kind::Container,
        "image" => Kind::Image,
        "volume" => Kind::Volume,
        "network" => Kind::Network,
        "pod" => Kind::Pod,
        "artifact" => Kind::Artifact,
        other => {
            let other = crate::arguments::go_quote(other);
            let known = "must be \"image\", \"container\", \"pod\", \"network\", \"volume\", \"artifact\", or \"all\"";
            return Err(Failure::plain(format!("invalid type {other}: {known}")));
        }
    };
    if args.latest && !matches!(kind, Kind::All | Kind::Container) {
        return Err(Failure::plain(format!("--latest is not supported for type \"{}\"", args.r#type)));
    }
    let kind = if args.latest { Kind::Container } else { kind };
    show(context, &args.names, args.latest, args.size, &args.format, kind)
}

fn show(
    context: &Context,
    names: &[String],
    latest: bool,
    size: bool,
    template: &str,
    kind: Kind,
) -> Result<ExitCode, Failure> {
    if latest && !names.is_empty() {
        return Err(Failure::plain("--latest and arguments cannot be used together"));
    }
    if names.is_empty() && !latest {
        return Err(Failure::plain("no names or ids specified"));
    }
    // Files of other ids are counted only from within the namespace.
    let engine = if size { context.engine()? } else { context.reader()? };
    let (mut values, mut failures) = (Vec::new(), Vec::new());
    if latest {
        values.push(container_value(&engine, &select::latest(&engine)?, size)?);
    }
    for name in names {
        match find(&engine, name, size, kind) {
            Ok(value) => values.push(value),
            Err(failure) => failures.push(failure),
        }
    }
    print(values, template)?;
    select::conclude(failures)
}

/// Shows a list of objects, for this command and its kin.
pub fn print(values: Vec<Value>, template: &str) -> Result<(), Failure> {
    if matches!(template.trim(), "json" | "{{json}}" | "") {
        return output::print(&(Value::List(values).json_indented(5) + "\n"));
    }
    values.iter().try_for_each(|value| output::print(&format::object("inspect", template, value)?))
}

fn find(engine: &Engine, name: &str, size: bool, kind: Kind) -> Result<Value, Failure> {
    let may_be = |wanted: Kind| kind == wanted || kind == Kind::All;
    if may_be(Kind::Container) {
        match containers::find(engine, name) {
            Ok(container) => return container_value(engine, &container, size),
            Err(containers::Error::NotFound { .. }) if kind == Kind::All => {}
            Err(error) => return Err(error.into()),
        }
    }
    if may_be(Kind::Image) {
        match images::find(&engine.store, name) {
            Ok(Some(image)) => return super::image_inspect::value(&engine.store, &image),
            Ok(None) if kind == Kind::All => {}
            Ok(None) => return Err(Failure::plain(format!("{name}: image not known"))),
            // A name that cannot be an image's may be something else's.
            Err(_) if kind == Kind::All => {}
            Err(error) => return Err(error.into()),
        }
    }
    if may_be(Kind::Volume) {
        match engine.store.volume(name) {
            Ok(Some(volume)) => return Ok(super::volume::value(engine, &volume)),
            Ok(None) => {}
            Err(_) if kind == Kind::All => {}
            Err(error) => return Err(error.into()),
        }
        if kind == Kind::Volume {
            return Err(Failure::plain(format!("no volume with name {name:?} found: no such volume")));
        }
    }
    if may_be(Kind::Network) {
        let networks = containers::networks(engine);
        match super::network::find(&networks, name) {
            Ok(network) => return super::network::full_value(&networks, &network),
            Err(failure) if failure.exit_code() == ExitCode::No && kind == Kind::All => {}
            Err(failure) => return Err(failure.context(format!("network {name}")).code(ExitCode::Failed)),
        }
    }
    if may_be(Kind::Pod) {
        match pods::find(engine, name) {
            Ok(pod) => return Ok(super::pod::inspect::value(engine, &pod)),
            Err(pods::Error::NotFound { .. }) if kind == Kind::All => {}
            Err(pods::Error::NotFound { .. }) => return Err(Failure::plain(format!("no such pod {name}"))),
            Err(error) => return Err(error.into()),
        }
    }
    if may_be(Kind::Artifact) {
        match images::artifacts::get(&engine.store, name) {
            Ok(artifact) => return Ok(super::artifact::value(&artifact)),
            Err(images::Error::ArtifactNotFound { .. }) if kind == Kind::All => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Failure::plain(format!("no such object: {name:?}")))
}

pub fn container_value(engine: &Engine, container: &Container, with_size: bool) -> Result<Value, Failure> {
    let facts = containers::facts(engine, container)?;
    let size = if with_size { Some(containers::size(engine, container)?) } else { None };
    let (record, spec) = (&container.record, container.spec());
    let command = state::whole_command(container);
    let (image_name, image_id) = state::image(container);
    let digest = record.image.as_ref().and_then(|image| image.digest.as_ref());
    let driver = match engine.store.options().driver {
        storage::Driver::Overlay => "overlay",
        storage::Driver::Vfs => "vfs",
    };
    let run_dir = engine.run_dir(container.id());
    Ok(object! {
        "Id": record.id.as_str(),
        fn "ID": record.id.as_str(),
        "Created": record.created,
        "Path": command.first().cloned().unwrap_or_default(),
        "Args": Value::list(command.get(1..).unwrap_or_default()),
        "State": state_value(&facts),
        "Image": image_id,
        "ImageDigest": digest.map(ToString::to_string).unwrap_or_default(),
        "ImageName": image_name,
        "Rootfs": path_or_empty(facts.rootfs.as_deref()),
        "Pod": spec.pod.clone().unwrap_or_default(),
        "ResolvConfPath": path_or_empty(facts.resolv_conf_path.as_deref()),
        "HostnamePath": path_or_empty(facts.hostname_path.as_deref()),
        "HostsPath": path_or_empty(facts.hosts_path.as_deref()),
        "StaticDir": facts.static_dir.as_path(),
        "OCIConfigPath"?: "",
        "OCIRuntime": spec.runtime.as_ref().map_or("creel".into(), |path| path.display().to_string()),
        "ConmonPidFile": "",
        "PidFile": path_or_empty(spec.pidfile.as_deref()),
        "Name": record.name.clone(),
        "RestartCount": facts.restarts,
        "Driver": driver,
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": spec.security.apparmor.clone().unwrap_or_default(),
        "EffectiveCaps": Value::list(&facts.effective_capabilities),
        "BoundingCaps": Value::list(&facts.bounding_capabilities),
        "ExecIDs": Value::list(&facts.exec_ids),
        "GraphDriver": object! { "Name": driver, "Data": graph_data(&facts) },
        "SizeRw"?: size.map(|(written, _)| written),
        "SizeRootFs"?: size.map_or(0, |(_, all)| all),
        "Mounts": Value::List(mounts(&facts.mounts)),
        "Dependencies": Value::list(&facts.dependencies),
        "NetworkSettings": network_value(engine, container, &facts),
        "Namespace": "",
        "IsInfra": matches!(spec.pod_role, Some(PodRole::Infra)),
        "IsService": false,
        "KubeExitCodePropagation": "invalid",
        "lockNumber" as "LockNumber": 0i64,
        "Config": config_value(container, &facts),
        "HostConfig": host_config_value(engine, container, &facts, &run_dir),
        "UseImageHosts": spec.network.hosts_file.as_deref() == Some("image"),
        "UseImageHostname": spec.no_hostname,
    })
}

fn path_or_empty(path: Option<&Path>) -> Value {
    path.map_or_else(|| "".into(), Value::from)
}

fn graph_data(facts: &Facts) -> Value {
    let lower: Vec<String> = facts.lower_dirs.iter().map(|dir| dir.display().to_string()).collect();
    let mut data = BTreeMap::from([
        ("UpperDir".to_owned(), Value::from(facts.upper_dir.as_path())),
        ("WorkDir".to_owned(), Value::from(facts.work_dir.as_path())),
    ]);
    if !lower.is_empty() {
        data.insert("LowerDir".to_owned(), lower.join(":").into());
    }
    if facts.pid > 0 {
        // It is mounted nowhere else.
        data.insert("MergedDir".to_owned(), format!("/proc/{}/root", facts.pid).into());
    }
    Value::Map(data)
}

fn state_value(facts: &Facts) -> Value {
    let exit = facts.exit.as_ref();
    let running = matches!(facts.status, "running" | "paused" | "stopping");
    let health = facts.health.as_ref().map(|health| {
        let status = if running { health.status.word() } else { "" };
        let log: Vec<Value> = health
            .log
            .iter()
            .map(|entry| {
                object! {
                    "Start": format::rfc3339(entry.start),
                    "End": format::rfc3339(entry.end),
                    "ExitCode": entry.exit_code,
                    "Output": entry.output.clone(),
                }
            })
            .collect();
        object! {
            "Status": status,
            "FailingStreak": health.failing_streak,
            "Log": if log.is_empty() { Value::Nil(Nil::List) } else { Value::List(log) },
        }
    });
    let health = Value::from(health);
    object! {
        "OciVersion": "1.2.1",
        "Status": facts.status,
        "Running": running,
        "Paused": facts.paused,
        "Restarting": facts.restarting,
        "OOMKilled": exit.is_some_and(|exit| exit.oom_killed) && !running,
        "Dead": false,
        "Pid": facts.pid,
        "ConmonPid": facts.monitor_pid,
        "ExitCode": exit.filter(|_| !running).map_or(0, |exit| exit.code),
        "Error": exit.filter(|_| !running).and_then(|exit| exit.error.clone()).unwrap_or_default(),
        "StartedAt": Value::time_or_zero(facts.started),
        "FinishedAt": Value::time_or_zero(facts.finished),
        "Health"?: health.clone(),
        fn "Healthcheck": health,
        "CgroupPath": facts.cgroup_path.clone().unwrap_or_default(),
        "CheckpointedAt": Value::zero_time(),
        "RestoredAt": Value::zero_time(),
        "StoppedByUser"?: exit.is_some_and(|exit| exit.stopped_by_user),
    }
}

/// What the user mounts, without what is of no use to see.
pub fn mounts(facts: &[MountFact]) -> Vec<Value> {
    // Volumes first, as Podman has them.
    let of = |kinds: &'static [&'static str]| facts.iter().filter(move |mount| kinds.contains(&mount.kind));
    let shown = of(&["volume"]).chain(of(&["image", "bind"]));
    shown
        .map(|mount| {
            let mut options = mount.options.clone();
            options.retain(|option| *option != mount.propagation);
            if matches!(mount.kind, "bind" | "volume")
                && !options.iter().any(|option| matches!(option.as_str(), "bind" | "rbind"))
            {
                options.push("rbind".into());
            }
            object! {
                "Type": mount.kind,
                "Name"?: mount.name.clone().unwrap_or_default(),
                "Source": mount.source.as_path(),
                "Destination": mount.destination.as_path(),
                "Driver": mount.driver.clone().unwrap_or_default(),
                "Mode": "",
                "Options": Value::list(&options),
                "RW": mount.writable,
                "Propagation": mount.propagation.clone(),
                "SubPath"?: path_or_empty(mount.subpath.as_deref()),
            }
        })
        .collect()
}

/// `{"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}]}`.
pub fn port_bindings(mappings: &[PortMapping]) -> BTreeMap<String, Value> {
    let mut bindings: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for mapping in mappings {
        for offset in 0..mapping.range.max(1) {
            let key = format!("{}/{}", u32::from(mapping.container_port) + u32::from(offset), mapping.protocol);
            let host_port = match mapping.host_port {
                0 => String::new(),
                port => (u32::from(port) + u32::from(offset)).to_string(),
            };
            bindings.entry(key).or_default().push(object! {
                "HostIp": mapping.host_ip.map_or_else(|| "0.0.0.0".to_owned(), |ip| ip.to_string()),
                "HostPort": host_port,
            });
        }
    }
    bindings.into_iter().map(|(port, hosts)| (port, Value::List(hosts))).collect()
}

fn network_value(engine: &Engine, container: &Container, facts: &Facts) -> Value {
    let mut ports = port_bindings(state::ports(container));
    for port in state::exposed(container) {
        ports.entry(port).or_insert(Value::Nil(Nil::List));
    }
    let mode = network_mode(container);
    let networks: BTreeMap<String, Value> = match &container.spec().network.mode {
        Mode::Container(_) | Mode::Path(_) | Mode::Pod => BTreeMap::new(),
        Mode::Networks(networks) => {
            let known = containers::networks(engine);
            let value = |name: &str| {
                let id = known.named(name).map(|network| network.id).unwrap_or_default();
                endpoint(&id, place(container, name), containers::aliases(container, name))
            };
            networks.iter().map(|network| (network.name.clone(), value(&network.name))).collect()
        }
        Mode::Default | Mode::None | Mode::Host | Mode::Private | Mode::Slirp4netns(_) | Mode::Pasta(_) => {
            BTreeMap::from([(mode.clone(), endpoint(&mode, None, Vec::new()))])
        }
    };
    let key = if facts.pid > 0 { format!("/proc/{}/ns/net", facts.pid) } else { String::new() };
    // Podman shows the addresses here too where there is the default network alone.
    let alone = match &container.spec().network.mode {
        Mode::Networks(networks) if networks.len() == 1 && networks[0].name == network::DEFAULT_NETWORK => {
            place(container, network::DEFAULT_NETWORK)
        }
        _ => None,
    };
    let first = Addresses::of(alone);
    object! {
        "EndpointID": "",
        "Gateway": first.gateway,
        "IPAddress": first.address,
        "IPPrefixLen": first.prefix,
        "IPv6Gateway": first.gateway6,
        "GlobalIPv6Address": first.address6,
        "GlobalIPv6PrefixLen": first.prefix6,
        "MacAddress": first.mac,
        "Bridge": "",
        "SandboxID": "",
        "HairpinMode": false,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0i64,
        "Ports": Value::Map(ports),
        "SandboxKey": key,
        "Networks"?: Value::Map(networks),
    }
}

/// A running container's place on a network.
fn place<'a>(container: &'a Container, network: &str) -> Option<&'a network::Endpoint> {
    let status = container.status.network.as_ref().filter(|_| containers::running(container))?;
    status.endpoints.iter().find(|endpoint| endpoint.network == network)
}

/// The addresses of one place, in Podman's words.
#[derive(Default)]
struct Addresses {
    gateway: String,
    address: String,
    prefix: i64,
    gateway6: String,
    address6: String,
    prefix6: i64,
    mac: String,
}

impl Addresses {
    fn of(place: Option<&network::Endpoint>) -> Addresses {
        let Some(place) = place else { return Addresses::default() };
        let text = |address: Option<std::net::IpAddr>| address.map(|address| address.to_string()).unwrap_or_default();
        let (v4, v6) = (place.address(true), place.address(false));
        Addresses {
            gateway: text(v4.and_then(|assigned| assigned.gateway)),
            address: text(v4.map(|assigned| assigned.address)),
            prefix: v4.map_or(0, |assigned| assigned.prefix.into()),
            gateway6: text(v6.and_then(|assigned| assigned.gateway)),
            address6: text(v6.map(|assigned| assigned.address)),
            prefix6: v6.map_or(0, |assigned| assigned.prefix.into()),
            mac: place.mac.clone(),
        }
    }
}

/// A user-mode stack gives a container no address that others could reach, so there is none to show.
fn endpoint(network: &str, place: Option<&network::Endpoint>, aliases: Vec<String>) -> Value {
    let addresses = Addresses::of(place);
    object! {
        "EndpointID": "",
        "Gateway": addresses.gateway,
        "IPAddress": addresses.address,
        "IPPrefixLen": addresses.prefix,
        "IPv6Gateway": addresses.gateway6,
        "GlobalIPv6Address": addresses.address6,
        "GlobalIPv6PrefixLen": addresses.prefix6,
        "MacAddress": addresses.mac,
        "NetworkID": network,
        "DriverOpts": Value::Nil(Nil::Map),
        "IPAMConfig": Value::Nil(Nil::Map),
        "Links": Value::Nil(Nil::List),
        "Aliases"?: Value::list_or_nil(&aliases),
    }
}

fn network_mode(container: &Container) -> String {
    match &container.spec().network.mode {
        mode @ (Mode::Default | Mode::Private) => match network::choose(mode, None) {
            Ok(network::UplinkKind::Pasta) => "pasta".into(),
            // Also where none is installed: it is what the container would have.
            Ok(network::UplinkKind::Slirp) | Err(_) => "slirp4netns".into(),
        },
        other => other.to_string(),
    }
}

fn config_value(container: &Container, facts: &Facts) -> Value {
    let (record, spec) = (&container.record, container.spec());
    let image = record.image.as_ref();
    let entrypoint =
        spec.entrypoint.clone().or_else(|| image.map(|image| image.entrypoint.clone())).unwrap_or_default();
    let hostname = match (&spec.hostname, &spec.namespaces.uts) {
        (Some(name), _) => name.clone(),
        (None, NamespaceMode::Host) => {
            nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
        }
        (None, _) => record.id.short().to_owned(),
    };
    let health =
        spec.health.as_ref().or_else(|| image.and_then(|image| image.health.as_ref())).filter(|_| !spec.no_healthcheck);
    let volumes: BTreeMap<String, Value> =
        image.iter().flat_map(|image| &image.volumes).map(|path| (path.clone(), Value::Map(BTreeMap::new()))).collect();
    let exposed: BTreeMap<String, Value> = state::exposed(container)
        .into_iter()
        .chain(port_bindings(state::ports(container)).into_keys())
        .map(|port| (port, Value::Map(BTreeMap::new())))
        .collect();
    let or_nil = |map: BTreeMap<String, Value>| if map.is_empty() { Value::Nil(Nil::Map) } else { Value::Map(map) };
    let secrets: Vec<Value> = spec
        .secrets
        .iter()
        .filter_map(|secret| match &secret.target {
            containers::SecretTarget::Mount { uid, gid, mode, .. } => Some(object! {
                "Name": secret.name.clone(),
                "ID": secret.id.clone(),
                "UID": *uid,
                "GID": *gid,
                "Mode": *mode,
            }),
            containers::SecretTarget::Env { .. } => None,
        })
        .collect();
    object! {
        "Hostname": hostname.clone(),
        "Domainname": spec.domainname.clone().unwrap_or_default(),
        "User": facts.user.clone(),
        "AttachStdin": false,
        "AttachStdout": false,
        "AttachStderr": false,
        "Tty": spec.tty,
        "OpenStdin": spec.stdin,
        "StdinOnce": false,
        "Env": environment(container, &hostname),
        "Cmd": Value::list_or_nil(state::command(container)),
        "Image": state::image(container).0,
        "Volumes": or_nil(volumes),
        "WorkingDir": facts.workdir.clone(),
        "Entrypoint": Value::list_or_nil(&entrypoint),
        "OnBuild": Value::Nil(Nil::List),
        "Labels": Value::map_or_nil(&spec.labels),
        "Annotations": annotations(container, facts.stop_signal),
        "StopSignal": signal::name(facts.stop_signal),
        "Healthcheck"?: match spec.no_healthcheck {
            true => Some(object! { "Test": Value::List(vec!["NONE".into()]) }),
            false => health.map(health_value),
        },
        "StartupHealthCheck"?: health.and_then(|health| health.startup.as_ref()).map(|startup| object! {
            "Test": Value::list(&startup.test),
            "Interval": startup.interval.unwrap_or_default(),
            "Timeout": startup.timeout,
            "Retries"?: startup.retries,
            "Successes"?: startup.successes,
        }),
        "HealthcheckOnFailureAction"?: health.map_or("none", |health| match health.on_failure {
            HealthAction::None => "none",
            HealthAction::Kill => "kill",
            HealthAction::Restart => "restart",
            HealthAction::Stop => "stop",
        }),
        "HealthLogDestination"?: health.map_or_else(|| "local".to_owned(), |health| health.log_destination.clone()),
        "HealthcheckMaxLogCount"?: health.map_or(5, |health| health.max_log_count),
        "HealthcheckMaxLogSize"?: health.map_or(500, |health| health.max_log_size),
        "CreateCommand"?: Value::list(&spec.create_command),
        "Timezone"?: spec.timezone.clone().unwrap_or_default(),
        "SystemdMode"?: facts.runs_systemd,
        "Umask": format!("{:04o}", spec.umask.unwrap_or(0o022)),
        "Secrets"?: Value::List(secrets),
        "Timeout": spec.timeout.unwrap_or(0),
        "StopTimeout": facts.stop_timeout,
        "Passwd": spec.passwd == containers::PasswdMode::Add,
        "ChrootDirs"?: Value::List(spec.chroot_dirs.iter().map(|dir| dir.as_path().into()).collect()),
        "sdNotifyMode" as "SdNotifyMode": match spec.sdnotify {
            SdNotify::Container => "container",
            SdNotify::Conmon => "conmon",
            SdNotify::Healthy => "healthy",
            SdNotify::Ignore => "ignore",
        },
        "ExposedPorts"?: or_nil(exposed),
    }
}

/// What the process will find, as far as it is known before a start.
fn environment(container: &Container, hostname: &str) -> Value {
    let spec = container.spec();
    let mut all: Vec<(String, String)> = vec![
        ("PATH".into(), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into()),
        ("container".into(), "podman".into()),
    ];
    let mut set = |key: &str, value: &str| match all.iter_mut().find(|(known, _)| known == key) {
        Some((_, old)) => value.clone_into(old),
        None => all.push((key.to_owned(), value.to_owned())),
    };
    if spec.tty {
        set("TERM", "xterm");
    }
    set("HOSTNAME", hostname);
    for (key, value) in &spec.proxy_env {
        set(key, value);
    }
    for entry in container.record.image.iter().flat_map(|image| &image.env) {
        if let Some((key, value)) = entry.split_once('=') {
            set(key, value);
        }
    }
    if spec.unset_env_all {
        all.clear();
    }
    all.retain(|(key, _)| !spec.unset_env.contains(key));
    // What a secret holds is never shown.
    let hidden = spec.secrets.iter().filter_map(|secret| match &secret.target {
        containers::SecretTarget::Env { name } => Some((name.clone(), "*******".to_owned())),
        containers::SecretTarget::Mount { .. } => None,
    });
    for (key, value) in spec.env.iter().cloned().chain(hidden) {
        let (key, value) = (&key, &value);
        match all.iter_mut().find(|(known, _)| known == key) {
            Some((_, old)) => value.clone_into(old),
            None => all.push((key.clone(), value.clone())),
        }
    }
    Value::List(all.into_iter().map(|(key, value)| format!("{key}={value}").into()).collect())
}

/// With those that a start adds.
fn annotations(container: &Container, stop_signal: i32) -> Value {
    let mut annotations = container.spec().annotations.clone();
    let mut mark = |name: &str, text: String| {
        annotations.entry(name.to_owned()).or_insert(text);
    };
    for (name, holds) in [
        ("io.podman.annotations.autoremove", container.spec().remove != Remove::Nothing),
        ("io.podman.annotations.init", container.spec().init),
        ("io.podman.annotations.privileged", container.spec().security.privileged),
        ("io.podman.annotations.publish-all", container.spec().network.publish_all),
    ] {
        if holds {
            mark(name, "TRUE".into());
        }
    }
    if !matches!(container.state(), containers::State::Created) {
        mark("io.container.manager", "libpod".into());
        mark("org.opencontainers.image.stopSignal", stop_signal.to_string());
    }
    Value::map_or_nil(&annotations)
}

fn health_value(health: &HealthSpec) -> Value {
    object! {
        "Test"?: Value::list(&health.test),
        "StartPeriod"?: health.start_period,
        "Interval"?: health.interval.unwrap_or_default(),
        "Timeout"?: health.timeout,
        "Retries"?: health.retries,
    }
}

pub fn namespace_word(mode: &NamespaceMode, private: &str) -> String {
    match mode {
        NamespaceMode::Private => private.to_owned(),
        NamespaceMode::Host => "host".into(),
        NamespaceMode::Container(id) => format!("container:{id}"),
        NamespaceMode::Path(path) => format!("ns:{}", path.display()),
    }
}

fn host_config_value(engine: &Engine, container: &Container, facts: &Facts, run_dir: &Path) -> Value {
    let spec = container.spec();
    let (resources, security, namespaces) = (&spec.resources, &spec.security, &spec.namespaces);
    let strings = |items: &[String]| Value::list(items);
    let ports = if matches!(spec.network.mode, Mode::None | Mode::Host) {
        Vec::new()
    } else {
        state::ports(container).to_vec()
    };
    let retries = match spec.restart {
        containers::RestartPolicy::OnFailure { max_retries } => max_retries,
        containers::RestartPolicy::No
        | containers::RestartPolicy::Always
        | containers::RestartPolicy::UnlessStopped => 0,
    };
    let nano_cpus = match (resources.cpu_quota, resources.cpu_period) {
        (Some(quota), Some(period)) if quota > 0 && period > 0 => {
            quota.saturating_mul(1_000_000_000) / i64::try_from(period).unwrap_or(i64::MAX)
        }
        _ => 0,
    };
    let rates = |rates: &[(std::path::PathBuf, u64)]| {
        let all: Vec<Value> =
            rates.iter().map(|(path, rate)| object! { "Path": path.as_path(), "Rate": *rate }).collect();
        if all.is_empty() { Value::Nil(Nil::List) } else { Value::List(all) }
    };
    let weights: Vec<Value> = resources
        .blkio_weight_device
        .iter()
        .map(|(path, weight)| object! { "Path": path.as_path(), "Weight": *weight })
        .collect();
    let devices: Vec<Value> = spec
        .devices
        .iter()
        .map(|device| {
            object! {
                "PathOnHost": device.host.as_path(),
                "PathInContainer": device.container.as_path(),
                "CgroupPermissions": device.permissions.clone(),
            }
        })
        .collect();
    let volumes_from: Vec<String> = spec
        .volumes_from
        .iter()
        .map(|(name, options)| if options.is_empty() { name.clone() } else { format!("{name}:{options}") })
        .collect();
    let hosts: Vec<String> = spec.network.add_hosts.iter().map(host_entry).collect();
    let mut security_opt: Vec<String> = security.labels.iter().map(|label| format!("label={label}")).collect();
    if security.no_new_privileges {
        security_opt.push("no-new-privileges".into());
    }
    match &security.seccomp {
        SeccompProfile::Default => {}
        SeccompProfile::Unconfined => security_opt.push("seccomp=unconfined".into()),
        SeccompProfile::File(path) => security_opt.push(format!("seccomp={}", path.display())),
    }
    let capabilities = |names: &[String]| -> Vec<String> {
        let full = |name: &String| if name == "ALL" { name.clone() } else { format!("CAP_{name}") };
        names.iter().map(full).collect()
    };
    let log_driver = match spec.log.driver {
        LogDriver::K8sFile => "k8s-file",
        LogDriver::JsonFile => "json-file",
        LogDriver::Journald => "journald",
        LogDriver::None => "none",
        LogDriver::Passthrough => "passthrough",
        LogDriver::PassthroughTty => "passthrough-tty",
    };
    let restart = match spec.restart {
        containers::RestartPolicy::No => "no",
        containers::RestartPolicy::OnFailure { .. } => "on-failure",
        containers::RestartPolicy::Always => "always",
        containers::RestartPolicy::UnlessStopped => "unless-stopped",
    };
    let ipc = match &namespaces.ipc {
        IpcMode::Shareable => "shareable".to_owned(),
        IpcMode::Private => "private".into(),
        IpcMode::None => "none".into(),
        IpcMode::Host => "host".into(),
        IpcMode::Container(id) => format!("container:{id}"),
        IpcMode::Path(path) => format!("ns:{}", path.display()),
    };
    let cgroups = match resources.cgroups {
        CgroupsMode::Enabled => "default",
        CgroupsMode::Disabled => "disabled",
        CgroupsMode::NoConmon => "no-conmon",
        CgroupsMode::Split => "split",
    };
    // Of the run, so that nothing of it is shown as lasting.
    let cidfile = spec.cidfile.as_deref().filter(|path| !path.starts_with(run_dir));
    object! {
        "Binds": binds(facts),
        "CgroupManager": engine.settings.cgroup_manager.clone().unwrap_or_else(|| "cgroupfs".into()),
        "CgroupMode": namespace_word(&namespaces.cgroup, "private"),
        "ContainerIDFile": path_or_empty(cidfile),
        "LogConfig": object! {
            "Type": log_driver,
            "Config": Value::Nil(Nil::Map),
            "Path": path_or_empty(facts.log_path.as_deref()),
            "Tag": spec.log.tag.clone().unwrap_or_default(),
            "Size": spec.log.max_size.map_or_else(|| "-1B".to_owned(), format::human::size4),
        },
        "NetworkMode": network_mode(container),
        "PortBindings": Value::Map(port_bindings(&ports)),
        "RestartPolicy": object! { "Name": restart, "MaximumRetryCount": retries },
        "AutoRemove": spec.remove != Remove::Nothing,
        "AutoRemoveImage": spec.remove == Remove::ContainerAndImage,
        "Annotations": annotations(container, facts.stop_signal),
        "VolumeDriver": "",
        "VolumesFrom": Value::list_or_nil(&volumes_from),
        "CapAdd": strings(&capabilities(&security.cap_add)),
        "CapDrop": strings(&capabilities(&security.cap_drop)),
        "Dns": Value::List(spec.network.dns.iter().map(|ip| ip.to_string().into()).collect()),
        "DnsOptions": strings(&spec.network.dns_options),
        "DnsSearch": strings(&spec.network.dns_search),
        "ExtraHosts": strings(&hosts),
        "HostsFile": spec.network.hosts_file.clone().unwrap_or_default(),
        "GroupAdd": strings(&spec.group_add),
        "IpcMode": ipc,
        "Cgroup": "",
        "Cgroups": cgroups,
        "Links": Value::Nil(Nil::List),
        "OomScoreAdj": spec.oom_score_adj.unwrap_or(0),
        "PidMode": namespace_word(&namespaces.pid, "private"),
        "Privileged": security.privileged,
        "PublishAllPorts": spec.network.publish_all,
        "ReadonlyRootfs": security.read_only,
        "SecurityOpt": strings(&security_opt),
        "Tmpfs": tmpfs(container),
        "UTSMode": namespace_word(&namespaces.uts, "private"),
        "UsernsMode": userns_word(&namespaces.user),
        "IDMappings"?: id_mappings(&namespaces.user),
        "ShmSize": spec.shm_size.unwrap_or(65_536 << 10),
        "Runtime": "oci",
        "ConsoleSize": Value::List(vec![0i64.into(), 0i64.into()]),
        "Isolation": "",
        "CpuShares": resources.cpu_shares.unwrap_or(0),
        "Memory": resources.memory.unwrap_or(0),
        "NanoCpus": nano_cpus,
        "CgroupParent": resources.cgroup_parent.clone().unwrap_or_default(),
        "BlkioWeight": resources.blkio_weight.unwrap_or(0),
        "BlkioWeightDevice": if weights.is_empty() { Value::Nil(Nil::List) } else { Value::List(weights) },
        "BlkioDeviceReadBps": rates(&resources.read_bps),
        "BlkioDeviceWriteBps": rates(&resources.write_bps),
        "BlkioDeviceReadIOps": rates(&resources.read_iops),
        "BlkioDeviceWriteIOps": rates(&resources.write_iops),
        "CpuPeriod": resources.cpu_period.unwrap_or(0),
        "CpuQuota": resources.cpu_quota.unwrap_or(0),
        "CpuRealtimePeriod": 0i64,
        "CpuRealtimeRuntime": 0i64,
        "CpusetCpus": resources.cpuset_cpus.clone().unwrap_or_default(),
        "CpusetMems": resources.cpuset_mems.clone().unwrap_or_default(),
        "Devices": Value::List(devices),
        "DiskQuota": 0i64,
        "KernelMemory": 0i64,
        "MemoryReservation": resources.memory_reservation.unwrap_or(0),
        "MemorySwap": resources.memory_swap.or(resources.memory.map(|memory| memory.saturating_mul(2))).unwrap_or(0),
        "MemorySwappiness": resources.memory_swappiness.unwrap_or(0),
        "OomKillDisable": false,
        "Init"?: spec.init,
        "PidsLimit": resources.pids_limit.unwrap_or(2048),
        "Ulimits": Value::List(spec.ulimits.iter().filter(|limit| limit.name != "host").map(ulimit).collect()),
        "CpuCount": 0i64,
        "CpuPercent": 0i64,
        "IOMaximumIOps": 0i64,
        "IOMaximumBandwidth": 0i64,
        "CgroupConf": Value::map_or_nil(&resources.unified),
    }
}

/// `source:destination:options`.
/// As `--add-host` takes it.
pub fn host_entry(entry: &network::HostEntry) -> String {
    let address = match entry.address {
        network::HostAddress::Ip(ip) => ip.to_string(),
        network::HostAddress::HostGateway => "host-gateway".into(),
    };
    format!("{}:{address}", entry.names.join(";"))
}

fn binds(facts: &Facts) -> Value {
    let of = |kind: &'static str| facts.mounts.iter().filter(move |mount| mount.kind == kind);
    let shown = of("volume").chain(of("bind"));
    let text = shown.map(|mount| {
        let source = mount.name.clone().unwrap_or_else(|| mount.source.display().to_string());
        let mut options: Vec<&str> = if mount.writable { Vec::new() } else { vec!["ro"] };
        options.push(mount.propagation.as_str());
        options.extend(mount.options.iter().map(String::as_str).filter(|option| *option != mount.propagation));
        if !options.iter().any(|option| matches!(*option, "bind" | "rbind")) {
            options.push("rbind");
        }
        Value::from(format!("{source}:{}:{}", mount.destination.display(), options.join(",")))
    });
    Value::List(text.collect())
}

fn tmpfs(container: &Container) -> Value {
    let all = container.spec().mounts.iter().filter_map(|mount| {
        let MountKind::Tmpfs { size, mode, copy_up } = &mount.kind else { return None };
        let mut options = mount.options.clone();
        options.extend(size.map(|size| format!("size={size}")));
        options.extend(mode.map(|mode| format!("mode={mode:o}")));
        if mount.read_only {
            options.push("ro".into());
        }
        for usual in ["rprivate", "nosuid", "nodev"] {
            if !options.iter().any(|option| option == usual) {
                options.push(usual.into());
            }
        }
        if *copy_up {
            options.push("tmpcopyup".into());
        }
        Some((mount.destination.display().to_string(), Value::from(options.join(","))))
    });
    Value::Map(all.collect())
}

pub fn userns_word(mode: &UserNamespace) -> String {
    match mode {
        UserNamespace::Host => String::new(),
        UserNamespace::KeepId { .. } => "keep-id".into(),
        UserNamespace::NoMap => "nomap".into(),
        UserNamespace::Auto { .. } => "auto".into(),
        UserNamespace::Private { .. } => "private".into(),
        UserNamespace::Container(id) => format!("container:{id}"),
        UserNamespace::Path(path) => format!("ns:{}", path.display()),
    }
}

fn id_mappings(mode: &UserNamespace) -> Value {
    let UserNamespace::Private { uid_maps, gid_maps } = mode else { return Value::Nil(Nil::Pointer) };
    let lines = |maps: &[containers::IdMap]| -> Value {
        Value::List(maps.iter().map(|map| format!("{}:{}:{}", map.container, map.host, map.size).into()).collect())
    };
    object! { "UidMap": lines(uid_maps), "GidMap": lines(gid_maps) }
}

fn ulimit(limit: &Ulimit) -> Value {
    // Unlimited is -1, as Docker has it.
    let number = |value: u64| i64::try_from(value).unwrap_or(-1);
    object! {
        "Name": format!("RLIMIT_{}", limit.name.to_ascii_uppercase()),
        "Soft": number(limit.soft),
        "Hard": number(limit.hard),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_ranges_are_told_port_by_port() {
        let mappings = network::parse_publish("127.0.0.1:8000-8001:80-81").unwrap();
        let json = Value::Map(port_bindings(&mappings)).json();
        let expected = r#"{"80/tcp":[{"HostIp":"127.0.0.1","HostPort":"8000"}],"81/tcp":[{"HostIp":"127.0.0.1","HostPort":"8001"}]}"#;
        assert_eq!(json, expected);
    }

    #[test]
    fn no_limit_is_minus_one() {
        let limit = Ulimit { name: "nofile".into(), soft: 10, hard: u64::MAX };
        assert_eq!(ulimit(&limit).json(), r#"{"Name":"RLIMIT_NOFILE","Soft":10,"Hard":-1}"#);
    }
}
