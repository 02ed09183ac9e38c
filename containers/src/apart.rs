//! Root file systems of containers that do not run, mounted where nobody but this process sees it: in a mount namespace of
//! our own, which ends with this command, or in a process made for one look.

use std::convert::Infallible;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use storage::RootfsRequest;
use sys::channel::Channel;
use sys::clone::{CloneRequest, clone_child, exit_now};

use crate::archive;
use crate::container::Container;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::mount::Opened;
use crate::spec::Source;

/// A stopped container's root file system, mounted for us alone.
#[derive(Debug)]
pub(crate) struct Mounted {
    target: PathBuf,
    /// Keeps the container from being started. `None` where its start is ours.
    pub(crate) opened: Option<Opened>,
}

impl Mounted {
    pub(crate) fn mount_at(
        engine: &Engine,
        container: &Container,
        read_only: bool,
        opened: Option<Opened>,
    ) -> Result<Mounted> {
        let target = private_point(engine, container.id().short())?;
        let mounted = Mounted { target, opened };
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
