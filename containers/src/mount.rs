//! Root file systems shown to the caller (`mount`), who is in the user namespace and has mounts of its own (`unshare`).
//!
//! A mount is the caller's mount namespace's and ends with it; nothing on disk says that it is there. A container that
//! is started takes its mount away from wherever it is: two mounts of one upper directory would spoil it.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::mount::UnmountFlags;
use storage::{Change, RootfsRequest};
use sys::lock::FileLock;

use crate::apart;
use crate::container::Container;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::files::{self, Endpoint};
use crate::id::ContainerId;
use crate::list;
use crate::state::State;

/// Mounts a container's root file system, if it is not, and says where. That of a running one is where its processes
/// see it.
pub fn mount(engine: &Engine, container: &Container) -> Result<PathBuf> {
    let container = list::again(engine, container)?;
    if let Some(init) = container.state().init() {
        return Ok(running_root(init.pid));
    }
    let target = point(engine, container.id().as_str());
    if is_mounted(&target)? {
        return Ok(target);
    }
    // Not while it is being started.
    let _lock = lock_closed(engine, container.id())?;
    check_free(engine, &container)?;
    std::fs::create_dir_all(&target).map_err(Error::io(&target))?;
    let read_only = false;
    if let Err(error) = apart::mount_root(engine, &container, read_only, &target) {
        let _ = std::fs::remove_dir(&target);
        return Err(error);
    }
    crate::events::record(engine, &container, "mount");
    Ok(target)
}

/// Takes the mount of a container away. False where there is none.
pub fn unmount(engine: &Engine, container: &Container) -> Result<bool> {
    let gone = unmount_at(&point(engine, container.id().as_str()))?;
    if gone {
        crate::events::record(engine, container, "unmount");
    }
    Ok(gone)
}

/// Mounts an image, read-only, and says where.
pub fn mount_image(engine: &Engine, image: &images::Image) -> Result<PathBuf> {
    let target = point(engine, &format!("{IMAGE}{}", image.id));
    if is_mounted(&target)? {
        return Ok(target);
    }
    std::fs::create_dir_all(&target).map_err(Error::io(&target))?;
    mount_layers(engine, image, &target).inspect_err(|_| {
        let _ = std::fs::remove_dir(&target);
    })?;
    tell_of_image(engine, image, "mount");
    Ok(target)
}

pub fn unmount_image(engine: &Engine, image: &images::Image) -> Result<bool> {
    let gone = unmount_at(&point(engine, &format!("{IMAGE}{}", image.id)))?;
    if gone {
        tell_of_image(engine, image, "unmount");
    }
    Ok(gone)
}

/// What is mounted here: containers by id, those that run too.
pub fn mounted(engine: &Engine) -> Result<Vec<(Container, PathBuf)>> {
    let points = points(engine)?;
    let at = |container: Container| match container.state().init() {
        Some(init) => {
            let root = running_root(init.pid);
            Some((container, root))
        }
        None => {
            let point = points.iter().find(|point| point.ends_with(container.id().as_str()))?.clone();
            Some((container, point))
        }
    };
    Ok(list::list(engine)?.into_iter().filter_map(at).collect())
}

/// The ids of the images that are mounted here, and where.
pub fn mounted_images(engine: &Engine) -> Result<Vec<(String, PathBuf)>> {
    let id = |point: PathBuf| Some((point.file_name()?.to_str()?.strip_prefix(IMAGE)?.to_owned(), point));
    Ok(points(engine)?.into_iter().filter_map(id).collect())
}

/// Says that a stopped container's root file system is mounted in another container, `by`. Until that has ended nobody
/// starts it or mounts it elsewhere, see [`check_free`]. While the lock that comes back is held nobody begins to.
///
/// # Errors
/// It runs, or is mounted in a third container.
pub(crate) fn occupy(engine: &Engine, container: &Container, by: &ContainerId) -> Result<FileLock> {
    let lock = lock_closed(engine, container.id())?;
    // One that has just ended takes its own mount down first.
    let now = crate::start::settled(engine, container.id())?;
    if !matches!(now.state(), State::Created | State::Exited(_)) {
        let what = format!("container {} has been started meanwhile", now.name());
        return Err(Error::StateImproper { what });
    }
    check_free(engine, &now)?;
    take_away(engine, now.id());
    let path = occupied_path(engine, now.id());
    let dir = engine.store.dirs().runroot.join("mounts");
    std::fs::create_dir_all(&dir).map_err(Error::io(&dir))?;
    std::fs::write(&path, by.as_str()).map_err(Error::io(&path))?;
    Ok(lock)
}

/// How long a start waits for a copy into the container to be through.
const COPY_TAKES: Duration = Duration::from_secs(5);

/// Held by a command that has the files of a container open which does not run, for as long as that takes. The container's
/// own lock is free meanwhile: whoever mounts its root file system looks for this one under it, see [`check_free`].
#[derive(Debug)]
pub(crate) struct Opened {
    path: PathBuf,
    _lock: FileLock,
}

impl Opened {
    /// Waits for another command that has them open. The container's lock must not be held.
    pub(crate) fn wait(engine: &Engine, container: &Container) -> Result<Opened> {
        let path = opened_path(engine, container.id());
        let lock = FileLock::exclusive(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Error::NotFound { name: container.name().to_owned() },
            _ => Error::io(&path)(error),
        })?;
        Ok(Opened { path, _lock: lock })
    }

    /// False when the container was removed meanwhile: what is read may be half of it, what is written is lost.
    pub(crate) fn is_there(&self) -> bool {
        self.path.exists()
    }
}

fn opened_path(engine: &Engine, id: &ContainerId) -> PathBuf {
    engine.container_dir(id).join("files.lock")
}

/// The lock of a container whose root file system is to be mounted: once no command has its files open, or when that takes
/// too long, which [`check_free`] then tells.
pub(crate) fn lock_closed(engine: &Engine, id: &ContainerId) -> Result<FileLock> {
    let path = opened_path(engine, id);
    if path.exists() {
        FileLock::exclusive_within(&path, COPY_TAKES).map_err(Error::io(&path))?;
    }
    engine.lock(id)
}

/// Whether a container's root file system is mounted nowhere else: two mounts of one upper directory would spoil it. The
/// caller holds the container's lock.
pub(crate) fn check_free(engine: &Engine, container: &Container) -> Result<()> {
    let path = opened_path(engine, container.id());
    if path.exists() && FileLock::try_exclusive(&path).map_err(Error::io(&path))?.is_none() {
        let by = sys::lock::holder(&path).unwrap_or_else(|| "another process".to_owned());
        let name = container.name();
        return Err(Error::StateImproper {
            what: format!("the files of container {name} are open in {by}: wait for its end, or end it"),
        });
    }
    check_not_occupied(engine, container)
}

/// Whether a container's root file system is mounted in no other container.
pub(crate) fn check_not_occupied(engine: &Engine, container: &Container) -> Result<()> {
    let path = occupied_path(engine, container.id());
    let Ok(by) = std::fs::read_to_string(&path) else { return Ok(()) };
    let by = match list::find(engine, &by) {
        Ok(by) if !matches!(by.state(), State::Exited(_)) => by,
        // It has ended.
        Ok(_) | Err(Error::NotFound { .. }) => {
            let _ = std::fs::remove_file(&path);
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let (container, by) = (container.name(), by.name());
    Err(Error::StateImproper {
        what: format!("the root file system of container {container} is mounted in container {by}: end that one first"),
    })
}

/// Before a start, and at the end of a container: away with the mount, in whatever namespace it is.
pub(crate) fn take_away(engine: &Engine, id: &ContainerId) {
    let target = point(engine, id.as_str());
    if target.exists() {
        let _ = rustix::mount::unmount(&target, UnmountFlags::DETACH);
        // rmdir(2) of a mount point of another namespace takes the mount along.
        if let Err(error) = std::fs::remove_dir(&target) {
            tracing::warn!(%id, %error, "cannot take the mount away");
        }
    }
}

/// A container or an image, to be compared.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'a> {
    Container(&'a Container),
    Image(&'a images::Image),
}

/// What makes `new` other than `base`, or than what is below it where nothing is named.
pub fn difference(engine: &Engine, new: Subject<'_>, base: Option<Subject<'_>>) -> Result<Vec<Change>> {
    match (new, base) {
        (Subject::Container(container), None) => files::changes(engine, container),
        (Subject::Image(_), None) => match stack(engine, new).split_first() {
            Some((top, below)) => {
                let mut found = storage::changes(top, below)?;
                found.retain(|change| !files::is_made_by_creel(&change.path));
                Ok(found)
            }
            None => Ok(Vec::new()),
        },
        (_, Some(base)) => {
            let mut found = compare(engine, new, &stack(engine, base))?;
            // What a start puts into every container is no difference.
            if [new, base].iter().any(|subject| matches!(subject, Subject::Container(_))) {
                found.retain(|change| !files::is_made_by_creel(&change.path));
            }
            Ok(found)
        }
    }
}

fn compare(engine: &Engine, new: Subject<'_>, below: &[PathBuf]) -> Result<Vec<Change>> {
    match new {
        Subject::Container(container) => {
            let endpoint = Endpoint::without_volumes(engine, container)?;
            endpoint.done(storage::tree_changes(&endpoint.path(), below).map_err(Error::from))
        }
        Subject::Image(image) => {
            let target = apart::private_point(engine, "compared")?;
            let found = mount_layers(engine, image, &target).and_then(|()| Ok(storage::tree_changes(&target, below)?));
            // A fuse-overlayfs lives in our mount namespace, and keeps it.
            let _ = rustix::mount::unmount(&target, UnmountFlags::DETACH);
            found
        }
    }
}

/// The directories that make it up, top-most first.
fn stack(engine: &Engine, subject: Subject<'_>) -> Vec<PathBuf> {
    let (dir, layers) = match subject {
        Subject::Image(image) => (None, image.layers.as_slice()),
        Subject::Container(container) => {
            let layers = container.record.image.as_ref().map(|image| image.layers.as_slice()).unwrap_or_default();
            (Some(engine.container_dir(container.id())), layers)
        }
    };
    if let Some(copy) = dir.as_ref().map(|dir| dir.join("rootfs")).filter(|copy| copy.exists()) {
        return vec![copy];
    }
    let upper = dir.map(|dir| dir.join("upper")).filter(|upper| upper.exists());
    upper.into_iter().chain(layers.iter().rev().map(|id| engine.store.layer_path(id))).collect()
}

fn mount_layers(engine: &Engine, image: &images::Image, target: &Path) -> Result<()> {
    if engine.store.options().driver == storage::Driver::Vfs {
        return Err(Error::Invalid("an image is not mounted with the vfs driver: it would be copied".into()));
    }
    let request = RootfsRequest {
        layers: &image.layers,
        container_dir: &engine.store.dirs().runroot,
        volatile: false,
        read_only: true,
    };
    let prepared = engine.store.root_mount(&request)?;
    prepared.mount.mount(target).map_err(Error::io(target))
}

fn tell_of_image(engine: &Engine, image: &images::Image, status: &'static str) {
    use storage::events::{Event, Kind, record};
    record(&engine.store, Event { id: image.id.clone(), ..Event::new(Kind::Image, status) });
}

/// Mount points of images begin so.
const IMAGE: &str = "image-";

fn point(engine: &Engine, name: &str) -> PathBuf {
    engine.store.dirs().runroot.join("mounts").join(name)
}

/// Holds the id of the container in which this one's root file system is mounted.
fn occupied_path(engine: &Engine, id: &ContainerId) -> PathBuf {
    engine.store.dirs().runroot.join("mounts").join(format!("{id}.occupied"))
}

fn running_root(pid: i32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/root"))
}

fn unmount_at(target: &Path) -> Result<bool> {
    if !is_mounted(target)? {
        return Ok(false);
    }
    rustix::mount::unmount(target, UnmountFlags::DETACH).map_err(|error| Error::io(target)(error.into()))?;
    // The mount point of a mount that is gone is nothing.
    let _ = std::fs::remove_dir(target);
    Ok(true)
}

fn is_mounted(target: &Path) -> Result<bool> {
    Ok(mount_points()?.iter().any(|point| point == target))
}

fn points(engine: &Engine) -> Result<Vec<PathBuf>> {
    let ours = engine.store.dirs().runroot.join("mounts");
    Ok(mount_points()?.into_iter().filter(|point| point.parent() == Some(&ours)).collect())
}

/// Field 5 of proc_pid_mountinfo(5), where spaces and the like are `\040`.
fn mount_points() -> Result<Vec<PathBuf>> {
    let text = std::fs::read("/proc/self/mountinfo").map_err(Error::io("/proc/self/mountinfo"))?;
    let fields = text.split(|byte| *byte == b'\n').filter_map(|line| line.split(|byte| *byte == b' ').nth(4));
    Ok(fields.map(|field| PathBuf::from(OsString::from_vec(unescaped(field)))).collect())
}

fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut at = 0;
    while at < field.len() {
        let octal = field.get(at + 1..at + 4).and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()).filter(|_| field[at] == b'\\') {
            Some(byte) => {
                bytes.push(byte);
                at += 4;
            }
            None => {
                bytes.push(field[at]);
                at += 1;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_in_mount_points_come_back() {
        assert_eq!(unescaped(br"/run/a\040b\134c"), br"/run/a b\c");
        assert_eq!(unescaped(br"/run/a\"), br"/run/a\");
    }
}
