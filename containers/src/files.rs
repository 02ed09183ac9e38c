//! The files of a container: copied in and out, compared with its image, exported, and made into an image.
//!
//! A running container is reached through its first process's root, with everything that is mounted in it. A stopped one
//! is mounted in a mount namespace of our own, which ends with this command.

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use storage::{Change, RootfsRequest};
use sys::channel::Channel;
use sys::clone::{CloneRequest, clone_child, exit_now};
use sys::lock::FileLock;

pub use crate::archive::CopyOptions;
use crate::archive::{self, Ids};
use crate::container::Container;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::oci::{self, VolumeMount};
use crate::spec::{MountKind, Source};
use crate::start::settled;
use crate::{events, exec, list, pause, userns, users, volumes};

/// One side of a copy: the files of a container, or the host's. It stays usable while it is held; a stopped container
/// cannot be started meanwhile.
#[derive(Debug)]
pub struct Endpoint {
    pub(crate) root: OwnedFd,
    pub(crate) ids: Ids,
    owner: (u32, u32),
    mounted: Option<Mounted>,
}

fn ids_of(engine: &Engine, container: &Container) -> Result<Ids> {
    let (uids, gids) = userns::maps(engine, &container.spec().namespaces.user)?;
    Ok(Ids { uids, gids })
}

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFact {
    pub kind: FileKind,
    /// Bytes.
    pub size: u64,
    pub mode: u32,
    pub modified: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    File,
    Directory,
    Other,
}

impl Endpoint {
    /// The container's files with its volumes.
    pub fn of_container(engine: &Engine, container: &Container) -> Result<Endpoint> {
        let mut endpoint = Endpoint::without_volumes(engine, container)?;
        if endpoint.mounted.is_some() {
            endpoint.mount_volumes(engine, container)?;
        }
        Ok(endpoint)
    }

    /// The host's files, as the caller may see them. Paths must be absolute.
    pub fn of_host() -> Result<Endpoint> {
        let root = rustix::fs::open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        let root = root.map_err(|error| Error::io("/")(error.into()))?;
        // 0 is the caller in its user namespace.
        Ok(Endpoint::at(root, Ids::default()))
    }

    pub(crate) fn at(root: OwnedFd, ids: Ids) -> Endpoint {
        Endpoint { root, ids, owner: (0, 0), mounted: None }
    }

    pub(crate) fn without_volumes(engine: &Engine, container: &Container) -> Result<Endpoint> {
        let container = list::again(engine, container)?;
        if let Some(endpoint) = Endpoint::of_running(engine, &container)? {
            return Ok(endpoint);
        }
        let lock = engine.lock(container.id())?;
        // It may have been started until the lock was ours.
        let container = settled(engine, container.id())?;
        if let Some(endpoint) = Endpoint::of_running(engine, &container)? {
            return Ok(endpoint);
        }
        crate::mount::check_free(engine, &container)?;
        let owner = users::account(engine, &container).map(|account| (account.uid, account.gid)).unwrap_or((0, 0));
        let mounted = Mounted::mount_at(engine, &container, false, Some(lock))?;
        let root = mounted.open()?;
        Ok(Endpoint { root, ids: ids_of(engine, &container)?, owner, mounted: Some(mounted) })
    }

    /// `None`: it does not run.
    fn of_running(engine: &Engine, container: &Container) -> Result<Option<Endpoint>> {
        let Some(init) = container.state().init() else { return Ok(None) };
        let Some(root) = exec::open_root(init)? else { return Ok(None) };
        let wanted = users::wanted_user(engine, container);
        // A user that was taken out of the container's files since: then root.
        let owner = users::lookup(&users::files_in(&root), &wanted, &[]).map(|account| (account.uid, account.gid));
        Ok(Some(Endpoint { root, ids: ids_of(engine, container)?, owner: owner.unwrap_or((0, 0)), mounted: None }))
    }

    /// Binds what a start would bind. What is not there any more is left out.
    fn mount_volumes(&mut self, engine: &Engine, container: &Container) -> Result<()> {
        for mount in volumes::resolve(engine, container)? {
            let VolumeMount::Bind { source, destination, .. } = mount else { continue };
            let Ok(metadata) = std::fs::metadata(&source) else { continue };
            let place = self.mount_point(&destination, metadata.is_dir())?;
            let target = format!("/proc/self/fd/{}", place.as_raw_fd());
            rustix::mount::mount_bind_recursive(&source, target.as_str())
                .map_err(|error| Error::io(&destination)(error.into()))?;
        }
        Ok(())
    }

    fn mount_point(&self, path: &Path, directory: bool) -> Result<OwnedFd> {
        let open = || archive::open(self.root.as_fd(), path, OFlags::PATH);
        if let Ok(place) = open() {
            return Ok(place);
        }
        // An empty directory or file, by way of a stream: that makes the parents too, beneath the root.
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(if directory { tar::EntryType::Directory } else { tar::EntryType::Regular });
        header.set_mode(if directory { 0o755 } else { 0o644 });
        header.set_size(0);
        let name = path.strip_prefix("/").unwrap_or(path);
        let made = builder.append_data(&mut header, name, std::io::empty()).and_then(|()| builder.into_inner());
        let stream = made.map_err(Error::io(path))?;
        let options = CopyOptions { owner: Some((0, 0)), overwrite: false };
        archive::unpack(self.root.as_fd(), Path::new("/"), &self.ids, &options, &mut stream.as_slice())
            .and_then(|()| open())
            .map_err(Error::io(path))
    }

    /// Who files that are copied in belong to by default: the container's user, on the host the caller.
    pub fn owner(&self) -> (u32, u32) {
        self.owner
    }

    /// What is at a path, links followed inside of the container; `None` where nothing is.
    pub fn stat(&self, path: &Path) -> Result<Option<FileFact>> {
        let opened = match archive::open(self.root.as_fd(), path, OFlags::PATH) {
            Ok(opened) => opened,
            Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(Error::io(path)(error)),
        };
        let stat = rustix::fs::fstat(&opened).map_err(|error| Error::io(path)(error.into()))?;
        Ok(Some(FileFact {
            kind: match archive::file_type(&stat) {
                FileType::Directory => FileKind::Directory,
                FileType::RegularFile => FileKind::File,
                _ => FileKind::Other,
            },
            size: u64::try_from(stat.st_size).unwrap_or_default(),
            mode: stat.st_mode,
            modified: Timestamp::from_second(stat.st_mtime).unwrap_or_default(),
        }))
    }

    /// The name of what is at a path; of a link, of what it leads to. `None` for the root.
    pub fn name_of(&self, path: &Path) -> Result<Option<OsString>> {
        let open = |flags| archive::open(self.root.as_fd(), path, flags).map_err(Error::io(path));
        let link =
            rustix::fs::fstat(open(OFlags::PATH | OFlags::NOFOLLOW)?).map_err(|error| Error::io(path)(error.into()))?;
        if archive::file_type(&link) != FileType::Symlink {
            return Ok(path.file_name().map(OsStr::to_owned));
        }
        let target = open(OFlags::PATH)?;
        let leads_to = std::fs::read_link(format!("/proc/self/fd/{}", target.as_raw_fd())).map_err(Error::io(path))?;
        Ok(leads_to.file_name().map(OsStr::to_owned))
    }

    /// Writes the file or tree at `path` as a tar stream in which it is called `name`. With an empty name, what is in the
    /// directory.
    pub fn pack(&self, path: &Path, name: &Path, out: &mut dyn Write) -> Result<()> {
        archive::pack(self.root.as_fd(), path, name, &self.ids, out).map_err(Error::io(path))
    }

    /// Unpacks a tar stream below the directory `dest`.
    pub fn unpack(&self, dest: &Path, input: &mut dyn Read, options: &CopyOptions) -> Result<()> {
        archive::unpack(self.root.as_fd(), dest, &self.ids, options, input).map_err(Error::io(dest))
    }

    /// For what wants a path: valid while this lives, in this process only.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.root.as_raw_fd()))
    }
}

/// Unpacks a tar stream into a directory of a container.
pub fn copy_in(
    engine: &Engine,
    container: &Container,
    dest: &Path,
    input: &mut dyn Read,
    options: &CopyOptions,
) -> Result<()> {
    Endpoint::of_container(engine, container)?.unpack(dest, input, options)
}

/// Writes a file or tree of a container as a tar stream, under its own name.
pub fn copy_out(engine: &Engine, container: &Container, path: &Path, out: &mut dyn Write) -> Result<()> {
    let name = Path::new(path.file_name().unwrap_or_default());
    Endpoint::of_container(engine, container)?.pack(path, name, out)
}

/// Writes the container's whole root file system as a tar, without what is mounted in it.
pub fn export(engine: &Engine, container: &Container, out: &mut dyn Write) -> Result<()> {
    let endpoint = Endpoint::without_volumes(engine, container)?;
    engine.store.tree_tar(&endpoint.path(), out)?;
    events::record(engine, container, "export");
    Ok(())
}

/// Mount points that creel makes itself: no change of the container's.
pub(crate) const MADE_BY_US: [&str; 12] = [
    "/dev",
    "/etc/group",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/mtab",
    "/etc/passwd",
    "/etc/resolv.conf",
    "/proc",
    "/run",
    "/run/.containerenv",
    "/run/secrets",
    "/sys",
];

/// Whether a path is a mount point that creel makes in every container, and thereby in what is committed of it. Account
/// files are the image's own more often than not.
pub fn is_made_by_creel(path: &Path) -> bool {
    path.to_str().is_some_and(|path| MADE_BY_US.contains(&path) && !["/etc/passwd", "/etc/group"].contains(&path))
}

/// What the container changed in its image, sorted by path.
pub fn changes(engine: &Engine, container: &Container) -> Result<Vec<Change>> {
    let layers = match (&container.spec().source, &container.record.image) {
        (Source::Directory { overlay: false, .. }, _) => {
            return Err(Error::Invalid(format!("container {} has no image to compare with", container.id())));
        }
        (_, Some(image)) => image.layers.as_slice(),
        (_, None) => &[],
    };
    let mut changes = engine.store.container_changes(layers, &engine.container_dir(container.id()))?;
    // An account file is only ours where the start made one.
    let ours = |path: &Path| {
        let run_dir = engine.run_dir(container.id());
        match path.to_str() {
            Some("/etc/passwd") => run_dir.join("passwd").exists(),
            Some("/etc/group") => run_dir.join("group").exists(),
            Some(path) => MADE_BY_US.contains(&path),
            None => false,
        }
    };
    let mounts = &container.spec().mounts;
    changes.retain(|change| !ours(&change.path) && !mounts.iter().any(|mount| mount.destination == change.path));
    Ok(changes)
}

/// How a container becomes an image.
#[derive(Clone, Debug, Default)]
pub struct CommitOptions {
    /// Names to give it; may be none.
    pub names: Vec<String>,
    /// `--change` instructions.
    pub changes: Vec<String>,
    pub author: Option<String>,
    pub message: Option<String>,
    pub format: images::Format,
    pub squash: images::Squash,
    /// Freeze it meanwhile where that is possible.
    pub pause: bool,
    /// Declare all its mounts as volumes of the image, not only those that were anonymous.
    pub include_volumes: bool,
    /// Settings to lay over the container's.
    pub config: Option<images::Settings>,
    pub progress: images::Progress,
}

/// Makes an image of the container's root file system and settings.
pub fn commit(engine: &Engine, container: &Container, options: &CommitOptions) -> Result<images::Image> {
    let container = list::again(engine, container)?;
    let frozen = if options.pause { Frozen::freeze(&container) } else { None };
    let image = container.record.image.as_ref();
    let base = match image {
        Some(image) => images::find(&engine.store, &image.id)?,
        None => None,
    };
    let dir = engine.container_dir(container.id());
    let (upper, copied) = (dir.join("upper"), dir.join("rootfs"));
    // One layer of all needs all: what the container sees, without what is mounted in it.
    let whole = match options.squash {
        images::Squash::All => Some(Endpoint::without_volumes(engine, &container)?),
        images::Squash::No => None,
    };
    let whole_path = whole.as_ref().map(Endpoint::path);
    let content = match (&whole_path, &container.spec().source) {
        (Some(path), _) | (None, Source::Directory { path, overlay: false }) => images::Content::Tree(path),
        (None, _) if copied.exists() => images::Content::Tree(&copied),
        (None, _) if upper.exists() => images::Content::Upper(&upper),
        (None, _) => images::Content::Nothing,
    };
    // A whole tree already has what the base has.
    let base = if matches!(content, images::Content::Tree(_)) && whole.is_none() { None } else { base };
    let mut request = images::CommitRequest::new(base.as_ref(), content);
    let mut settings = settings(&container, base.as_ref(), options.include_volumes);
    if let Some(config) = &options.config {
        settings.merge(config);
    }
    request.settings = Some(settings);
    if let Source::Image { name, .. } = &container.spec().source {
        request.from = Some(name.clone());
    }
    request.changes = options.changes.clone();
    request.author = options.author.clone();
    request.message = options.message.clone();
    // As Podman: what ran is in the configuration, what was done in it nobody knows.
    request.created_by = "/bin/sh".to_owned();
    let now = Timestamp::now();
    request.created = Some(now);
    request.annotations = vec![("org.opencontainers.image.created".to_owned(), now.to_string())];
    request.format = options.format;
    request.squash = options.squash;
    request.names = options.names.clone();
    request.progress = options.progress;
    let made = images::commit(&engine.store, request);
    drop(frozen);
    let made = made?;
    events::record(engine, &container, "commit");
    Ok(made)
}

/// The image's settings with the container's own on top.
fn settings(container: &Container, base: Option<&images::Image>, volumes: bool) -> images::Settings {
    let spec = container.spec();
    let mut settings = base.map(|base| base.settings.clone()).unwrap_or_default();
    if settings.variable("PATH").is_none() {
        settings.set_variable("PATH", oci::PATH);
    }
    for (name, value) in &spec.env {
        settings.set_variable(name, value);
    }
    for name in &spec.unset_env {
        settings.env.retain(|entry| entry.split('=').next() != Some(name));
    }
    if let Some(entrypoint) = &spec.entrypoint {
        settings.entrypoint = Some(entrypoint.clone()).filter(|entrypoint| !entrypoint.is_empty());
        settings.cmd = None;
    }
    if !spec.command.is_empty() {
        settings.cmd = Some(spec.command.clone());
    }
    if let Some(user) = &spec.user {
        settings.user.clone_from(user);
    }
    if let Some(workdir) = &spec.workdir {
        settings.working_dir.clone_from(workdir);
    }
    if settings.working_dir.is_empty() {
        settings.working_dir = "/".to_owned();
    }
    if let Some(signal) = spec.stop_signal.and_then(sys::signals::name) {
        settings.stop_signal = signal;
    }
    settings.labels.extend(spec.labels.clone());
    for port in &spec.network.expose {
        let port = if port.contains('/') { port.clone() } else { format!("{port}/tcp") };
        settings.exposed_ports.entry(port).or_default();
    }
    for mapping in &spec.network.ports {
        for port in mapping.container_port..mapping.container_port.saturating_add(mapping.range) {
            settings.exposed_ports.entry(format!("{port}/{}", mapping.protocol)).or_default();
        }
    }
    for mount in &spec.mounts {
        let anonymous = matches!(mount.kind, MountKind::Volume { anonymous: true, .. });
        if anonymous || volumes {
            settings.volumes.entry(mount.destination.display().to_string()).or_default();
        }
    }
    settings
}

/// A container that is frozen while this lives.
struct Frozen(runtime::cgroup::Cgroup);

impl Frozen {
    /// `None` where it does not run, is frozen already, or cannot be.
    fn freeze(container: &Container) -> Option<Frozen> {
        if !list::running(container) || pause::paused(container) {
            return None;
        }
        let cgroup = pause::cgroup_of(container).ok().flatten()?;
        cgroup.freeze().ok()?;
        Some(Frozen(cgroup))
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        if let Err(error) = self.0.thaw() {
            tracing::warn!(%error, "cannot thaw the container");
        }
    }
}

/// A stopped container's root file system, mounted for us alone. Its lock keeps it from being started.
#[derive(Debug)]
pub(crate) struct Mounted {
    target: PathBuf,
    _lock: Option<FileLock>,
}

impl Mounted {
    pub(crate) fn mount_at(
        engine: &Engine,
        container: &Container,
        read_only: bool,
        lock: Option<FileLock>,
    ) -> Result<Mounted> {
        let target = private_point(engine, container.id().short())?;
        let mounted = Mounted { target, _lock: lock };
        mount_root(engine, container, read_only, &mounted.target)?;
        Ok(mounted)
    }

    pub(crate) fn open(&self) -> Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(&self.target, flags, Mode::empty()).map_err(|error| Error::io(&self.target)(error.into()))
    }
}

/// Mounts the root file system of a container that does not run.
pub(crate) fn mount_root(engine: &Engine, container: &Container, read_only: bool, target: &Path) -> Result<()> {
    let layers = match (&container.spec().source, &container.record.image) {
        (Source::Directory { path, .. }, _) => {
            return rustix::mount::mount_bind_recursive(path, target).map_err(|error| Error::io(path)(error.into()));
        }
        (_, Some(image)) => image.layers.as_slice(),
        (_, None) => &[],
    };
    let request = RootfsRequest {
        layers,
        container_dir: &engine.container_dir(container.id()),
        volatile: container.is_volatile(),
        read_only,
    };
    let prepared = engine.store.root_mount(&request)?;
    prepared.mount.mount(target).map_err(Error::io(target))
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Also where it goes with our mount namespace: a fuse-overlayfs lives in that, and keeps it.
        let _ = rustix::mount::unmount(&self.target, UnmountFlags::DETACH);
        let _ = std::fs::remove_dir(&self.target);
    }
}

/// An empty directory to mount at that only this process sees: it goes with us, however we end.
pub(crate) fn private_point(engine: &Engine, name: &str) -> Result<PathBuf> {
    let dir = engine.store.dirs().runroot.join("private");
    private_mounts(&dir)?;
    let point = dir.join(name);
    std::fs::create_dir_all(&point).map_err(Error::io(&point))?;
    Ok(point)
}

/// A mount namespace of our own with a tmpfs at `dir`, once in the life of this process: the mounts of an earlier one would
/// go with it.
fn private_mounts(dir: &Path) -> Result<()> {
    static DONE: AtomicBool = AtomicBool::new(false);
    if DONE.load(Ordering::Relaxed) {
        return Ok(());
    }
    let failed = |error: std::io::Error| Error::Io { path: "a mount namespace".into(), source: error };
    std::fs::create_dir_all(dir).map_err(Error::io(dir))?;
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).map_err(|error| failed(error.into()))?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private).map_err(|error| failed(error.into()))?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    rustix::mount::mount("tmpfs", dir, "tmpfs", flags, c"mode=0700").map_err(|error| Error::io(dir)(error.into()))?;
    DONE.store(true, Ordering::Relaxed);
    Ok(())
}

/// Whether the container's root file system has a directory at `place`, mounts aside.
pub(crate) fn has_directory(engine: &Engine, container: &Container, place: &Path) -> Result<bool> {
    apart(&format!("look at {}", place.display()), || {
        let root = Mounted::mount_at(engine, container, true, None)?.open()?;
        Ok(archive::open(root.as_fd(), place, OFlags::PATH | OFlags::DIRECTORY).is_ok())
    })
}

/// Does a deed that mounts in a process of its own: the caller is a monitor, whose mount namespace is the host's. `what` is
/// what cannot be done when it fails.
pub(crate) fn apart(what: &str, deed: impl FnOnce() -> Result<bool>) -> Result<bool> {
    let (ours, theirs) = Channel::pair().map_err(Error::io("socketpair"))?;
    let failed = |source: std::io::Error| Error::Invalid(format!("cannot {what}: {source}"));
    let child = clone_child(&CloneRequest::default(), || -> Infallible {
        let answer = match deed() {
            Ok(true) => "yes".to_owned(),
            Ok(false) => "no".to_owned(),
            Err(error) => format!("failed {error}"),
        };
        // Nobody to tell it to: the parent is gone.
        let _ = theirs.send(answer.as_bytes(), &[]);
        exit_now(0)
    })
    .map_err(failed)?;
    // Where it is killed, its end of the socket has to be the last.
    drop(theirs);
    let answer = ours.recv();
    child.pidfd.wait().map_err(failed)?;
    let (answer, _) = answer.map_err(failed)?;
    match answer.as_slice() {
        b"yes" => Ok(true),
        b"no" => Ok(false),
        other => {
            let text = String::from_utf8_lossy(other);
            let text = text.strip_prefix("failed ").unwrap_or("its process ended without a word");
            Err(Error::Invalid(format!("cannot {what}: {text}")))
        }
    }
}
