//! What is so about a container beyond its records: what `inspect` shows of processes, mounts, files and sizes.
//!
//! All of it is read without entering anything. What a plain user may not read (files of sub-ids) is left out of sizes.

use std::collections::BTreeSet;
use std::path::PathBuf;

use jiff::Timestamp;
use rustix::process::Resource;

use crate::container::{Container, NetworkStatus};
use crate::engine::Engine;
use crate::error::Result;
use crate::health::{self, HealthLog};
use crate::id::ContainerId;
use crate::monitor::prepare::{hard_limit, hostname};
use crate::spec::{IdMap, MountKind, MountSpec, Source, Ulimit};
use crate::state::{Exit, State};
use crate::{exec, list, logs, oci, pause, remove, userns, users};

/// Everything that is not in the record.
#[derive(Clone, Debug)]
pub struct Facts {
    /// `created`, `running`, `paused`, `stopping`, `exited`, ...
    pub status: &'static str,
    pub paused: bool,
    pub restarting: bool,
    /// 0 while it does not run.
    pub pid: i32,
    pub monitor_pid: i32,
    pub started: Option<Timestamp>,
    pub finished: Option<Timestamp>,
    /// Of the last run.
    pub exit: Option<Exit>,
    /// Why it did not start, or how it ended otherwise than by itself.
    pub error: Option<String>,
    pub restarts: u32,
    pub health: Option<HealthLog>,
    /// Absolute, `/...` below the cgroup mount.
    pub cgroup_path: Option<String>,
    pub network: Option<NetworkStatus>,
    pub mounts: Vec<MountFact>,
    /// Ids of the execs that run.
    pub exec_ids: Vec<String>,
    /// Ids or names of the containers it needs.
    pub dependencies: Vec<String>,
    /// Beyond the usual ones.
    pub added_capabilities: Vec<String>,
    /// Of the usual ones.
    pub dropped_capabilities: Vec<String>,
    pub effective_capabilities: Vec<String>,
    pub bounding_capabilities: Vec<String>,
    /// In the container's own eyes.
    pub hostname: String,
    /// Of its user, once it has started.
    pub home: Option<String>,
    /// Both empty where it is in the user's own namespace, or where its ids are not known yet.
    pub id_maps: (Vec<IdMap>, Vec<IdMap>),
    /// Those that are wanted; with the usual ones once it has started.
    pub ulimits: Vec<Ulimit>,
    /// `user[:group]` as it will be looked up.
    pub user: String,
    /// Process 1 is systemd, or is said to be.
    pub runs_systemd: bool,
    pub workdir: String,
    pub stop_signal: i32,
    pub stop_timeout: u32,
    pub log_path: Option<PathBuf>,
    pub static_dir: PathBuf,
    pub hosts_path: Option<PathBuf>,
    pub hostname_path: Option<PathBuf>,
    pub resolv_conf_path: Option<PathBuf>,
    /// `--rootfs`.
    pub rootfs: Option<PathBuf>,
    pub upper_dir: PathBuf,
    pub work_dir: PathBuf,
    /// Top-most first.
    pub lower_dirs: Vec<PathBuf>,
}

/// One mount as inspect shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountFact {
    /// `volume`, `bind`, `tmpfs`, `image`, ...
    pub kind: &'static str,
    /// Of a volume.
    pub name: Option<String>,
    pub source: PathBuf,
    pub destination: PathBuf,
    /// Of a volume.
    pub driver: Option<String>,
    pub options: Vec<String>,
    pub writable: bool,
    pub propagation: String,
    pub subpath: Option<PathBuf>,
}

/// The facts of now; sizes are [`size`]'s.
pub fn facts(engine: &Engine, container: &Container) -> Result<Facts> {
    let spec = container.spec();
    let state = container.state();
    let paused = pause::paused(container);
    let stopping = list::running(container) && engine.run_dir(container.id()).join("stopped").exists();
    let restarting = container.status.restarting.as_ref().is_some_and(|monitor| monitor.alive());
    let exit = state.exit().or(container.status.last_exit.as_ref()).cloned();
    let account_is_root = matches!(users::wanted_user(engine, container).split(':').next(), Some("" | "0" | "root"));
    let sets = oci::capabilities(&spec.security, u32::from(!account_is_root))?;
    let names = |set: &Option<oci_spec::runtime::Capabilities>| {
        let mut names: Vec<String> = set.iter().flatten().map(|capability| format!("CAP_{capability}")).collect();
        names.sort();
        names
    };
    let (added_capabilities, dropped_capabilities) = oci::changed_capabilities(&spec.security)?;
    let dir = engine.container_dir(container.id());
    let file_of = |id: &ContainerId, name: &str| Some(engine.run_dir(id).join(name)).filter(|path| path.exists());
    let run_file = |name: &str| file_of(container.id(), name);
    // Who joins a network shares these two with whoever made it.
    let network_of = match &spec.network.mode {
        network::Mode::Container(other) if list::running(container) => list::find(engine, other).ok(),
        _ => None,
    };
    let network_file = |name: &str| match &network_of {
        Some(other) => file_of(other.id(), name),
        None => run_file(name),
    };
    let layers = container.record.image.iter().flat_map(|image| image.layers.iter().rev());
    Ok(Facts {
        status: match () {
            () if paused => "paused",
            () if stopping => "stopping",
            () => state.word(),
        },
        paused,
        restarting,
        pid: state.init().map_or(0, |init| init.pid),
        monitor_pid: state.monitor().map_or(0, |monitor| monitor.pid),
        started: match state {
            State::Running { since, .. } => Some(*since),
            State::Created | State::Initialized { .. } | State::Exited(_) | State::Removing => {
                exit.as_ref().and_then(|exit| exit.started)
            }
        },
        finished: exit.as_ref().map(|exit| exit.at),
        error: container.status.start_error.clone().or_else(|| state.exit().and_then(|exit| exit.error.clone())),
        exit,
        restarts: container.status.restarts,
        health: health::spec_of(container).map(|_| health::read_log(engine, container).unwrap_or_default()),
        cgroup_path: container
            .status
            .cgroup
            .as_ref()
            .map(|path| format!("/{}", path.display().to_string().trim_start_matches('/'))),
        network: container.status.network.clone().filter(|_| list::running(container)),
        // As Podman: what comes from an artifact is looked up at each start, and is no mount until then.
        mounts: spec
            .mounts
            .iter()
            .filter(|mount| !matches!(mount.kind, MountKind::Artifact { .. }))
            .map(|mount| mount_fact(engine, mount))
            .collect(),
        exec_ids: exec::sessions(engine, container),
        dependencies: remove::needed_by(spec).map(str::to_owned).collect::<BTreeSet<_>>().into_iter().collect(),
        added_capabilities,
        dropped_capabilities,
        effective_capabilities: names(sets.effective()),
        bounding_capabilities: names(sets.bounding()),
        // The other container may be gone.
        hostname: hostname(engine, container).unwrap_or_else(|_| container.id().short().to_owned()),
        home: container.status.home.clone(),
        id_maps: userns::maps(engine, &spec.namespaces.user).unwrap_or_default(),
        ulimits: match state {
            State::Created => spec.ulimits.clone(),
            _ => oci::limits(&spec.ulimits, hard_limit(Resource::Nofile), hard_limit(Resource::Nproc)),
        },
        user: users::wanted_user(engine, container),
        runs_systemd: oci::runs_systemd(&container.record),
        workdir: users::workdir(container),
        stop_signal: crate::stop::stop_signal(container),
        stop_timeout: spec.stop_timeout.unwrap_or(crate::stop::DEFAULT_TIMEOUT),
        log_path: logs::path(engine, container),
        hosts_path: network_file("hosts"),
        hostname_path: run_file("hostname"),
        resolv_conf_path: network_file("resolv.conf"),
        rootfs: match &spec.source {
            Source::Directory { path, .. } => Some(path.clone()),
            Source::None | Source::Holder | Source::Image { .. } => None,
        },
        upper_dir: dir.join("upper"),
        work_dir: dir.join("work"),
        lower_dirs: layers.map(|id| engine.store.layer_path(id)).collect(),
        static_dir: dir,
    })
}

/// What there is to see of one mount.
pub fn mount_fact(engine: &Engine, mount: &MountSpec) -> MountFact {
    let propagation = ["shared", "slave", "private", "unbindable"]
        .into_iter()
        .flat_map(|word| [format!("r{word}"), word.to_owned()])
        .find(|word| mount.options.contains(word));
    let (kind, name, source, driver, usual) = match &mount.kind {
        MountKind::Bind { source, .. } => ("bind", None, source.clone(), None, "rprivate"),
        MountKind::Volume { name, .. } => {
            let source = name.as_deref().map(|name| engine.store.volume_mountpoint(name)).unwrap_or_default();
            ("volume", name.clone(), source, Some("local".to_owned()), "rprivate")
        }
        MountKind::Tmpfs { .. } | MountKind::Lent { .. } => ("tmpfs", None, "tmpfs".into(), None, ""),
        MountKind::Image { reference, .. } => ("image", None, reference.into(), None, "rprivate"),
        MountKind::Artifact { reference, .. } => ("artifact", None, reference.into(), None, "rprivate"),
        MountKind::Root { container } => ("bind", None, container.into(), None, "rprivate"),
        MountKind::DevPts => ("devpts", None, "devpts".into(), None, ""),
        MountKind::Ramfs => ("ramfs", None, "ramfs".into(), None, ""),
    };
    MountFact {
        kind,
        name,
        source,
        destination: mount.destination.clone(),
        driver,
        options: crate::volumes::shown_options(mount),
        writable: !mount.read_only,
        propagation: propagation.unwrap_or_else(|| usual.to_owned()),
        subpath: mount.subpath.clone(),
    }
}

/// Bytes that the container takes for itself, records and log included, and bytes of its whole root file system, image
/// included.
pub fn size(engine: &Engine, container: &Container) -> Result<(u64, u64)> {
    let dir = engine.container_dir(container.id());
    let own = files_size(&dir);
    let copied = dir.join("rootfs");
    if copied.exists() {
        let whole = tree_size(&copied) + own;
        return Ok((whole, whole));
    }
    let written = tree_size(&dir.join("upper")) + own;
    if let Source::Directory { path, .. } = &container.spec().source {
        return Ok((written, tree_size(path)));
    }
    let mut whole = written;
    for layer in container.record.image.iter().flat_map(|image| &image.layers) {
        whole += engine.store.layer(layer)?.map_or(0, |layer| layer.size);
    }
    Ok((written, whole))
}

/// Bytes of the regular files that lie directly in a directory.
fn files_size(dir: &std::path::Path) -> u64 {
    let files = std::fs::read_dir(dir).into_iter().flatten().flatten();
    files.filter_map(|entry| entry.metadata().ok()).filter(|found| found.is_file()).map(|file| file.len()).sum()
}

/// Bytes of the regular files in a tree, each inode once; what cannot be read counts nothing.
fn tree_size(path: &std::path::Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let mut seen = std::collections::HashSet::new();
    let mut left = vec![path.to_owned()];
    let mut sum = 0;
    while let Some(dir) = left.pop() {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                left.push(entry.path());
            } else if metadata.is_file() && (metadata.nlink() == 1 || seen.insert((metadata.dev(), metadata.ino()))) {
                sum += metadata.len();
            }
        }
    }
    sum
}
