//! Everything before a container's program runs, as one list of steps. What can fail without a trace comes first.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use network::{Addresses, Mode, Published, UplinkKind};
use oci_spec::runtime::Hook;
use runtime::cgroup::Cgroup;
use runtime::hooks::State as HookState;
use runtime::{Bundle, Stdio};
use storage::{FuseServer, RootfsRequest};
use sys::mount::RootMount;
use sys::process::Process;
use sys::task::Numbered;

use super::connectivity::Connectivity;
use super::files;
use super::made::{self, Kept, Made};
use crate::container::{Container, Status};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::journal::Journal;
use crate::log::{Log, LogFile};
use crate::networks;
use crate::notify::{self, Proxy};
use crate::oci::{self, Given, NetworkNamespace};
use crate::spec::{CgroupsMode, IdMap, IpcMode, LogDriver, MountKind, NamespaceMode, SdNotify, Source, UserNamespace};
use crate::state::State;
use crate::{cdi, devices, hooks, list, seccomp, secrets, trees, userns, users, volumes};

/// Processes of a container when the user says nothing, where the controller is there.
const DEFAULT_PIDS: u64 = 2048;

/// How long a FUSE server may take to notice that its mount is gone.
const SERVER_PATIENCE: Duration = Duration::from_secs(2);
const SIGKILL: i32 = 9;

/// What whoever started the container gives it.
pub(super) struct Inherited {
    /// With a passthrough log driver: the starter's stdin, stdout, stderr.
    pub(super) passthrough: Vec<OwnedFd>,
    /// Become 3, 4, ... in the container.
    pub(super) preserved: Vec<Numbered>,
    /// Where our own file is.
    pub(super) executable: PathBuf,
    /// Columns and rows of the starter's terminal.
    pub(super) console_size: Option<(u16, u16)>,
}

/// A container that stands before the first instruction of its program.
pub(super) struct Prepared {
    pub(super) made: Made,
    pub(super) terminals: Terminals,
    pub(super) log: Option<Log>,
    pub(super) notify: Option<Proxy>,
    pub(super) released: Released,
    /// What the record will say while it runs.
    pub(super) status: Status,
}

/// Our ends of the container's pipes. With a terminal there are none: its other end comes from the runtime.
#[derive(Default)]
pub(super) struct Terminals {
    pub(super) stdin: Option<OwnedFd>,
    pub(super) stdout: Option<OwnedFd>,
    pub(super) stderr: Option<OwnedFd>,
}

/// What a run holds and gives back at its end. Dropping it gives everything back too; [`Released::tear_down`] says what
/// went wrong.
pub(super) struct Released {
    cgroup: Option<Cgroup>,
    pub(super) connectivity: Connectivity,
    /// Of FUSE file systems; each ends with its mount.
    servers: Vec<FuseServer>,
    shared_name: Option<files::SharedName>,
    /// Keeps the mounts standing until the waiting command has its answer.
    mounts: Option<OwnedFd>,
    /// What another runtime still has of it.
    kept: Option<Kept>,
    /// Hooks that run when it is gone, and what they are told.
    poststop: Option<(Vec<Hook>, HookState)>,
}

impl Released {
    pub(super) fn with_mounts(mut self, mounts: Option<OwnedFd>) -> Released {
        self.mounts = mounts;
        self
    }

    pub(super) fn oom_killed(&self) -> bool {
        self.cgroup.as_ref().is_some_and(Cgroup::oom_killed)
    }

    pub(super) fn tear_down(mut self) {
        self.end_processes();
        if let Some(cgroup) = self.cgroup.take()
            && let Err(error) = cgroup.remove()
        {
            tracing::warn!(%error, "cannot remove the cgroup");
        }
        if let Some((hooks, state)) = self.poststop.take() {
            for error in runtime::hooks::run_poststop(&hooks, &state) {
                tracing::warn!(%error, "after the container's end");
            }
        }
    }

    fn end_processes(&mut self) {
        self.kept = None;
        self.connectivity = Connectivity::default();
        self.mounts = None;
        for server in self.servers.drain(..) {
            // The mount it serves is gone, or was never made: then it still waits for it.
            let ended = server.pidfd.wait_end(Some(SERVER_PATIENCE));
            if !matches!(ended, Ok(true)) {
                let _ = server.pidfd.signal(SIGKILL);
            }
            let _ = server.pidfd.wait();
        }
    }

    /// `--pidfile`, `--conmon-pidfile`, and where the latter's number always is.
    pub(super) fn write_pid_files(&self, engine: &Engine, container: &Container, init: &Process) {
        let always = engine.monitor_pid_file(container.id());
        for path in [Some(&always), container.spec().monitor_pidfile.as_ref()].into_iter().flatten() {
            if let Err(error) = std::fs::write(path, std::process::id().to_string()) {
                tracing::warn!(path = %path.display(), %error, "cannot write the pid file");
            }
        }
        if let Some(path) = &container.spec().pidfile
            && let Err(error) = std::fs::write(path, init.pid.to_string())
        {
            tracing::warn!(path = %path.display(), %error, "cannot write the pid file");
        }
    }
}

impl Drop for Released {
    fn drop(&mut self) {
        self.end_processes();
        if let Some(cgroup) = self.cgroup.take() {
            // Nobody is told any more; `system check` finds what stays.
            let _ = cgroup.remove();
        }
    }
}

/// How the container reaches the network.
enum Plan {
    None,
    Host,
    Join { namespace: PathBuf, files: Option<PathBuf> },
    Uplink { kind: UplinkKind, options: Vec<String> },
    Networks,
}

pub(super) fn prepare(
    engine: &Engine,
    container: &Container,
    inherited: &mut Inherited,
    restarts: u32,
) -> Result<Prepared> {
    let spec = container.spec();
    let run_dir = engine.run_dir(container.id());

    // 1. What may be refused: ports, other containers, the user, the limits.
    let plan = network_plan(engine, &spec.network.mode)?;
    let ports = match plan {
        Plan::Uplink { .. } | Plan::Networks => Published::bind(&published_ports(container))?,
        Plan::None | Plan::Host | Plan::Join { .. } => Published::default(),
    };
    // The image's own fault, as a program that cannot be run: 126.
    let account = users::account(engine, container)
        .map_err(|error| Error::StartFailed { message: error.to_string(), exit_code: 126 })?;
    let hostname = hostname(engine, container)?;
    let seccomp = seccomp::filter(engine, &spec.security)?;
    let (stdio, terminals) = streams(container, inherited)?;
    let cgroup = cgroup(engine, container)?;
    // Holders that are not there yet prepare themselves beside us.
    let links = networks::open(engine, &spec.network)?;
    let mut released = Released {
        cgroup,
        connectivity: Connectivity::default(),
        servers: Vec::new(),
        mounts: None,
        shared_name: None,
        kept: None,
        poststop: None,
    };

    // 2. What it sees: files, volumes, root file system.
    let shared = match &plan {
        Plan::Join { files, .. } => files.as_deref(),
        Plan::None | Plan::Host | Plan::Uplink { .. } | Plan::Networks => None,
    };
    let mut managed = files::write(&run_dir, container, &hostname, shared)?;
    released.shared_name = shared.map(|shared| files::SharedName::add(shared, container)).transpose()?.flatten();
    let home = account.home.clone();
    managed.extend(files::add_account(engine, &run_dir, container, &account)?);
    managed.extend(files::local_time(&run_dir, container)?);
    let mut own_env = Vec::new();
    let mut socket = None;
    let manager = notify::manager(engine, spec);
    if spec.sdnotify == SdNotify::Container && (manager.is_some() || spec.sdnotify_inside) {
        let (proxy, file) = Proxy::bind(&run_dir, manager.map(AsRef::as_ref))?;
        managed.push(file);
        own_env.push((notify::VARIABLE.to_owned(), notify::socket_inside()));
        socket = Some(proxy);
    }
    let mut user_mounts = volumes::resolve(engine, container)?;
    let (devices, device_mounts) = devices::resolve(spec)?;
    user_mounts.extend(device_mounts);
    let cdi = cdi::find(&engine.settings.cdi_spec_dirs, &spec.cdi_devices)?;
    user_mounts.extend(cdi.nodes()?);
    user_mounts.extend(files::in_chroot_dirs(spec, &managed));
    user_mounts.extend(files::given(&run_dir, spec)?);
    let (uid_maps, gid_maps) = userns::maps(engine, &spec.namespaces.user)?;
    crate::volume_content::prepare(engine, container, &account, &uid_maps, &gid_maps)?;
    user_mounts.extend(secrets::mounts(engine, container, &uid_maps, &gid_maps)?);
    let userns = match &spec.namespaces.user {
        UserNamespace::Container(other) if !uid_maps.is_empty() => Some(namespace_of(engine, other, "user")?),
        UserNamespace::Path(path) if !uid_maps.is_empty() => Some(path.clone()),
        _ => None,
    };
    // Where it will be mounted.
    let rootfs = run_dir.join("rootfs");
    std::fs::create_dir_all(&rootfs).map_err(Error::io(&rootfs))?;
    let (root, server) = root_mount(engine, container, &uid_maps, &gid_maps)?;
    released.servers.extend(server);
    let trees = trees::make(engine, container, &uid_maps, &gid_maps)?;
    released.servers.extend(trees.servers);

    // 3. One configuration, one bundle.
    let given = Given {
        rootfs,
        hostname: hostname.clone(),
        files: managed,
        volumes: user_mounts,
        network: match &plan {
            Plan::None | Plan::Uplink { .. } | Plan::Networks => NetworkNamespace::New,
            Plan::Host => NetworkNamespace::Host,
            Plan::Join { namespace, .. } => NetworkNamespace::Join(namespace.clone()),
        },
        pid: joined(engine, &spec.namespaces.pid, "pid")?,
        uts: joined(engine, &spec.namespaces.uts, "uts")?,
        cgroup: joined(engine, &spec.namespaces.cgroup, "cgroup")?,
        ipc: match &spec.namespaces.ipc {
            IpcMode::Container(other) => Some(namespace_of(engine, other, "ipc")?),
            IpcMode::Path(path) => Some(path.clone()),
            IpcMode::Shareable | IpcMode::Private | IpcMode::None | IpcMode::Host => None,
        },
        devices,
        seccomp,
        uid_maps,
        userns,
        gid_maps,
        single_id: engine.settings.single_id,
        hard_nofile: hard_limit(rustix::process::Resource::Nofile),
        hard_nproc: hard_limit(rustix::process::Resource::Nproc),
        secret_env: secrets::environment(engine, container)?,
        own_env,
        own_executable: inherited.executable.clone(),
        console_size: inherited.console_size,
        host_mqueue: Path::new("/dev/mqueue").exists(),
        user: account,
    };
    let mut configuration = oci::configuration(&container.record, given)?;
    cdi.apply(&mut configuration)?;
    let has_bind_mounts = spec.mounts.iter().any(|mount| !matches!(mount.kind, MountKind::Tmpfs { .. }));
    let hooks = hooks::choose(&engine.settings.hooks_dirs, &configuration, has_bind_mounts)?;
    if !hooks.is_empty() {
        configuration = hooks.apply(configuration)?;
        hooks::write_configuration(&run_dir, &configuration)?;
        if !hooks.poststop.is_empty() {
            let state = HookState::new(container.id().as_str(), &run_dir, &configuration);
            released.poststop = Some((hooks.poststop, state));
        }
    }

    if cdi.has_hooks() {
        hooks::write_configuration(&run_dir, &configuration)?;
    }

    // 4. The processes: the container's first one and the uplink make themselves ready side by side.
    let reads_signals = oci::runs_creel(&configuration);
    let mut bundle = Bundle::new(configuration, root).named(container.id().as_str(), &run_dir);
    // A working directory of the image's, of a build or of a manifest is made, the user's own must be there.
    bundle.make_cwd = spec.workdir.is_none() || spec.make_workdir || container.record.builder.is_some();
    // The files of a directory are the user's own.
    bundle.make_mtab = matches!(spec.source, Source::Image { .. }) && container.record.builder.is_none();
    bundle.reads_signals = reads_signals;
    bundle.trees = trees.trees;
    if let IpcMode::Container(other) = &spec.namespaces.ipc {
        let donor = list::find(engine, other)?;
        if matches!(donor.spec().namespaces.ipc, IpcMode::Private | IpcMode::None) {
            return Err(Error::Invalid(format!(
                "IPC of container {} is not allowed: non-shareable IPC (hint: use --ipc shareable for the donor container)",
                donor.id()
            )));
        }
        let shared = runtime::mount_of(&init_of(engine, other, "ipc")?, Path::new(oci::SHM))?;
        bundle.trees.push((oci::SHM.into(), shared));
    }
    let other = made::other_runtime(container, &run_dir);
    let preserved = std::mem::take(&mut inherited.preserved);
    let (made, kept) = Made::make(other, &bundle, stdio, released.cgroup.as_ref(), preserved)?;
    released.kept = kept;
    // With it goes our copy of a FUSE connection: it would keep the container waiting for a server that was killed.
    drop(bundle);
    let mut prepared =
        Prepared { made, terminals, log: None, notify: socket, released, status: Status::new(State::Created) };
    let connectivity = match &plan {
        Plan::Uplink { kind, options } => {
            let netns = own_namespace(&mut prepared)?;
            let mut uplink = network::start_uplink(*kind, options, prepared.made.init().pid, netns.as_fd())?;
            prepared.made.prepared()?;
            let ready = uplink.ready()?;
            let uplink = (*kind, options.clone(), uplink);
            Connectivity::over_uplink(prepared.made.init(), ports, uplink, ready, &netns)?
        }
        Plan::Networks => {
            let netns = own_namespace(&mut prepared)?;
            let init = prepared.made.init().clone();
            let connected = Connectivity::over_networks(engine, container, &init, ports, links, &netns);
            // Where the container itself has failed, that is the reason.
            prepared.made.prepared()?;
            connected?
        }
        Plan::None | Plan::Host | Plan::Join { .. } => {
            prepared.made.prepared()?;
            Connectivity::none(matches!(plan, Plan::Host).then(Addresses::host))
        }
    };
    if shared.is_none() {
        let (addresses, endpoints) = (connectivity.addresses(), connectivity.endpoints());
        files::fill(&run_dir, container, &hostname, addresses, endpoints, !matches!(plan, Plan::Host))?;
    }
    prepared.log = log(engine, container)?;
    prepared.status.restarts = restarts;
    prepared.status.home = Some(home);
    prepared.status.cgroup = prepared.released.cgroup.as_ref().map(|cgroup| cgroup.path.clone());
    prepared.status.network = Some(connectivity.status());
    prepared.released.connectivity = connectivity;
    Ok(prepared)
}

fn own_namespace(prepared: &mut Prepared) -> Result<OwnedFd> {
    prepared.made.take_netns().ok_or_else(|| Error::Invalid("no network namespace".into()))
}

fn network_plan(engine: &Engine, mode: &Mode) -> Result<Plan> {
    let uplink = engine.settings.uplink.as_deref();
    Ok(match mode {
        Mode::None => Plan::None,
        Mode::Host => Plan::Host,
        Mode::Path(path) => Plan::Join { namespace: path.clone(), files: None },
        Mode::Container(other) => {
            let namespace = namespace_of(engine, other, "net")?;
            let files = engine.run_dir(list::find(engine, other)?.id());
            Plan::Join { namespace, files: Some(files) }
        }
        Mode::Creel(options) => Plan::Uplink { kind: UplinkKind::Creel, options: options.clone() },
        Mode::Slirp4netns(options) => Plan::Uplink { kind: UplinkKind::Slirp, options: options.clone() },
        Mode::Pasta(options) => Plan::Uplink { kind: UplinkKind::Pasta, options: options.clone() },
        Mode::Networks(_) => Plan::Networks,
        Mode::Default | Mode::Private | Mode::Pod => {
            Plan::Uplink { kind: network::choose(mode, uplink)?, options: Vec::new() }
        }
    })
}

/// `-p`, and with `-P` every exposed port on a random one.
pub(super) fn published_ports(container: &Container) -> Vec<network::PortMapping> {
    let spec = &container.spec().network;
    let mut ports = spec.ports.clone();
    if spec.publish_all {
        let image = container.record.image.iter().flat_map(|image| &image.exposed_ports);
        for exposed in spec.expose.iter().chain(image) {
            // Checked when the container was made.
            ports.extend(network::parse_publish(exposed));
        }
    }
    ports
}

/// What the container is called in its own eyes: a namespace that is joined has the name of whoever made it.
pub(crate) fn hostname(engine: &Engine, container: &Container) -> Result<String> {
    let spec = container.spec();
    if let Some(hostname) = &spec.hostname {
        return Ok(hostname.clone());
    }
    match (&spec.namespaces.uts, &spec.network.mode) {
        (NamespaceMode::Host, _) => Ok(host_name()),
        (NamespaceMode::Container(other), _) | (_, Mode::Container(other)) => {
            hostname(engine, &list::find(engine, other)?)
        }
        (_, Mode::Host) => Ok(host_name()),
        (NamespaceMode::Private | NamespaceMode::Path(_), _) => Ok(container.id().short().to_owned()),
    }
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn streams(container: &Container, inherited: &mut Inherited) -> Result<(Stdio, Terminals)> {
    let spec = container.spec();
    if spec.tty {
        return Ok((Stdio::Terminal, Terminals::default()));
    }
    if let [stdin, stdout, stderr] = inherited.passthrough.as_slice() {
        let copy = |fd: &OwnedFd| fd.try_clone().map_err(Error::io("a standard stream"));
        let stdio = Stdio::Fds { stdin: copy(stdin)?, stdout: copy(stdout)?, stderr: copy(stderr)? };
        return Ok((stdio, Terminals::default()));
    }
    let (stdout, our_stdout) = output_pipe()?;
    let (stderr, our_stderr) = output_pipe()?;
    let (stdin, our_stdin) = if spec.stdin {
        let (read, write) = pipe()?;
        (read, Some(write))
    } else {
        (File::open("/dev/null").map_err(Error::io("/dev/null"))?.into(), None)
    };
    let terminals = Terminals { stdin: our_stdin, stdout: Some(our_stdout), stderr: Some(our_stderr) };
    Ok((Stdio::Fds { stdin, stdout, stderr }, terminals))
}

fn output_pipe() -> Result<(OwnedFd, OwnedFd)> {
    pipe().map(|(read, write)| (write, read))
}

fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
        .map_err(|error| Error::Io { path: "a pipe".into(), source: error.into() })
}

fn cgroup(engine: &Engine, container: &Container) -> Result<Option<Cgroup>> {
    let wanted = &container.spec().resources;
    let limits = oci::resources(wanted)?;
    if wanted.cgroups == CgroupsMode::Disabled {
        return Ok(None);
    }
    let manager = crate::start::cgroup_manager(engine, container.spec())?;
    let (name, parent) = match wanted.cgroups {
        // Beside us, in the cgroup that the caller was given.
        CgroupsMode::Split => (format!("libpod-payload-{}", container.id()), Some("")),
        CgroupsMode::Enabled | CgroupsMode::NoConmon | CgroupsMode::Disabled => {
            (format!("libpod-{}", container.id()), wanted.cgroup_parent.as_deref())
        }
    };
    let cgroup = match &container.spec().pod_cgroup {
        None => Cgroup::create(&manager, &name, parent, &limits)?,
        Some(group) => {
            let of_all = oci::resources(&group.limits)?;
            Cgroup::create_in(&manager, &group.name, &of_all, &name, parent, &limits)?
        }
    };
    if cgroup.is_none()
        && let Some(parent) = &wanted.cgroup_parent
    {
        return Err(Error::Invalid(format!(
            "--cgroup-parent {parent}: this machine has no cgroup that is delegated to this user"
        )));
    }
    if let Some(cgroup) = cgroup.as_ref().filter(|_| wanted.pids_limit.is_none()) {
        cgroup.limit_pids_by_default(DEFAULT_PIDS);
    }
    Ok(cgroup)
}

/// The root file system of a container that does not run, and who serves it. Its owners fit the container's own user
/// namespace, if it has one.
pub(crate) fn root_mount(
    engine: &Engine,
    container: &Container,
    uids: &[IdMap],
    gids: &[IdMap],
) -> Result<(RootMount, Option<FuseServer>)> {
    let request = RootfsRequest {
        layers: container.record.image.as_ref().map(|image| image.layers.as_slice()).unwrap_or_default(),
        container_dir: &engine.container_dir(container.id()),
        volatile: container.is_volatile(),
        read_only: false,
    };
    let shift = userns::shift(engine, uids, gids);
    let prepared = match &container.spec().source {
        Source::Directory { path, overlay: false } => return Ok((RootMount::Directory(path.clone()), None)),
        Source::Directory { path, overlay: true } => engine.store.root_mount_over(path, &request)?,
        Source::Holder => return Ok((RootMount::Directory(empty_root(engine, container)?), None)),
        Source::Image { .. } | Source::None if !shift.is_identity() => {
            engine.store.root_mount_shifted(&request, &shift)?
        }
        Source::Image { .. } | Source::None => engine.store.root_mount(&request)?,
    };
    if let Some(note) = &prepared.driver_note {
        tracing::info!(note, "root file system");
    }
    Ok((prepared.mount, prepared.server))
}

/// A directory of the run time that whoever is root in the container may put mount points into.
fn empty_root(engine: &Engine, container: &Container) -> Result<PathBuf> {
    let root = engine.run_dir(container.id()).join("root");
    let made = std::fs::create_dir_all(&root);
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    made.and_then(|()| std::fs::set_permissions(&root, open)).map_err(Error::io(&root))?;
    Ok(root)
}

fn joined(engine: &Engine, mode: &NamespaceMode, kind: &str) -> Result<Option<PathBuf>> {
    match mode {
        NamespaceMode::Container(other) => namespace_of(engine, other, kind).map(Some),
        NamespaceMode::Path(path) => Ok(Some(path.clone())),
        NamespaceMode::Private | NamespaceMode::Host => Ok(None),
    }
}

/// The path of a running container's namespace. The process may end before it is opened: then that fails, and nothing
/// else can have taken its pid within the container's own lifetime record.
fn namespace_of(engine: &Engine, other: &str, kind: &str) -> Result<PathBuf> {
    let init = init_of(engine, other, kind)?;
    Ok(Path::new("/proc").join(init.pid.to_string()).join("ns").join(kind))
}

/// The first process of a container that must be running to share something.
fn init_of(engine: &Engine, other: &str, kind: &str) -> Result<Process> {
    let other = list::find(engine, other)?;
    match other.state().init().filter(|init| init.alive()) {
        Some(init) => Ok(init.clone()),
        None => Err(Error::StateImproper {
            what: format!("cannot share the {kind} namespace of container {}, which is not running", other.id()),
        }),
    }
}

/// `u64::MAX` without a limit.
pub(crate) fn hard_limit(resource: rustix::process::Resource) -> u64 {
    rustix::process::getrlimit(resource).maximum.unwrap_or(u64::MAX)
}

/// Where the container's output is kept.
fn log(engine: &Engine, container: &Container) -> Result<Option<Log>> {
    let wanted = &container.spec().log;
    match wanted.driver {
        LogDriver::K8sFile | LogDriver::JsonFile => {
            let Some(path) = crate::logs::path(engine, container) else { return Ok(None) };
            let files = wanted.max_files.unwrap_or(1);
            if let Some(directory) = path.parent().filter(|_| wanted.directory.is_some()) {
                std::fs::create_dir_all(directory).map_err(Error::io(directory))?;
            }
            let file = LogFile::open(&path, wanted.max_size, files).map_err(Error::io(&path))?;
            Ok(Some(Log::File(file)))
        }
        LogDriver::None | LogDriver::Passthrough | LogDriver::PassthroughTty => Ok(None),
        LogDriver::Journald => Journal::open(container).map(Log::Journal).map(Some),
    }
}
