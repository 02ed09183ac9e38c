//! The files of a container: copied in and out, compared with its image, exported.
//!
//! A running container is reached through its first process's root, with everything that is mounted in it. A stopped one
//! is mounted apart.

use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::{FileType, Mode, OFlags};
use storage::Change;

use crate::apart::Mounted;
pub use crate::archive::CopyOptions;
use crate::archive::{self, Ids};
use crate::container::Container;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::mount::{self, Opened};
use crate::oci::VolumeMount;
use crate::spec::Source;
use crate::start::settled;
use crate::{events, exec, list, userns, users, volumes};

/// One side of a copy: the files of a container, or the host's. It stays usable while it is held; a stopped container
/// cannot be started meanwhile, but removed.
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
        let opened = Opened::wait(engine, &container)?;
        let _lock = engine.lock(container.id())?;
        // It may have been started until the lock was ours.
        let container = settled(engine, container.id())?;
        if let Some(endpoint) = Endpoint::of_running(engine, &container)? {
            return Ok(endpoint);
        }
        mount::check_not_occupied(engine, &container)?;
        let owner = users::account(engine, &container).map(|account| (account.uid, account.gid)).unwrap_or((0, 0));
        let mounted = Mounted::mount_at(engine, &container, false, Some(opened))?;
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
        self.done(archive::pack(self.root.as_fd(), path, name, &self.ids, out).map_err(Error::io(path)))
    }

    /// Unpacks a tar stream below the directory `dest`.
    pub fn unpack(&self, dest: &Path, input: &mut dyn Read, options: &CopyOptions) -> Result<()> {
        self.done(archive::unpack(self.root.as_fd(), dest, &self.ids, options, input).map_err(Error::io(dest)))
    }

    /// What was done with the files, unless their container has gone meanwhile.
    pub(crate) fn done<T>(&self, outcome: Result<T>) -> Result<T> {
        match self.mounted.as_ref().and_then(|mounted| mounted.opened.as_ref()) {
            Some(opened) if !opened.is_there() => {
                Err(Error::StateImproper { what: "the container was removed meanwhile".to_owned() })
            }
            _ => outcome,
        }
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
    endpoint.done(engine.store.tree_tar(&endpoint.path(), out).map_err(Error::from))?;
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
