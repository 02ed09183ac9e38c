//! What is done to the files of volumes before a container starts.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use crate::apart::{Mounted, apart};
use crate::archive::{DEPTH_MAX, Ids, kind_at, names};
use crate::container::Container;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::spec::{IdMap, MountKind, VolumeGroup};
use crate::users::Account;
use crate::volume_options::Backing;
use crate::{archive, volume_options, volumes};

/// What a group may do with its directories, and that what is made in them is its own.
const GROUP_DIRECTORY: u32 = 0o2070;
/// The same for its files.
const GROUP_FILE: u32 = 0o060;

/// What the image has at the place of a new volume becomes the volume's first content, what is mounted with the option `U`
/// is given to the container's user, and a volume of a group to that.
pub(crate) fn prepare(
    engine: &Engine,
    container: &Container,
    account: &Account,
    uids: &[IdMap],
    gids: &[IdMap],
) -> Result<()> {
    let owner = (Ids::outside(uids, account.uid), Ids::outside(gids, account.gid));
    for mount in &container.spec().mounts {
        let MountKind::Volume { name: Some(name), copy_up, overlay: false, .. } = &mount.kind else { continue };
        if !engine.store.volume(name)?.is_some_and(|volume| volume.needs_copy_up) {
            continue;
        }
        let _lock = engine.store.lock_volume(name)?;
        // Another container may have been first.
        let Some(mut volume) = engine.store.volume(name)?.filter(|volume| volume.needs_copy_up) else { continue };
        let data = volumes::place(engine, &volume)?;
        if matches!(volumes::backing(&volume)?, Backing::FileSystem { .. } | Backing::Image { .. }) {
            continue;
        }
        let copy = *copy_up && volume_options::wants_copy(&volume);
        let owned = volume.uid != 0 || volume.gid != 0;
        let empty = std::fs::read_dir(&data).map_err(Error::io(&data))?.next().is_none();
        if empty && copy && copy_content(engine, container, &mount.destination, &data)? {
            volume.needs_copy_up = false;
            engine.store.update_volume(&volume)?;
        } else if empty && !owned {
            std::os::unix::fs::chown(&data, Some(owner.0), Some(owner.1)).map_err(Error::io(&data))?;
        }
    }
    for mount in container.spec().mounts.iter().filter(|mount| mount.chown) {
        let source = match &mount.kind {
            MountKind::Bind { source, .. } => source.clone(),
            MountKind::Volume { name: Some(name), .. } => match engine.store.volume(name)? {
                Some(volume) => volumes::place(engine, &volume)?,
                None => continue,
            },
            MountKind::Volume { name: None, .. }
            | MountKind::Tmpfs { .. }
            | MountKind::Image { .. }
            | MountKind::Artifact { .. }
            | MountKind::Lent { .. }
            | MountKind::Root { .. }
            | MountKind::DevPts
            | MountKind::Ramfs => continue,
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match rustix::fs::open(&source, flags, Mode::empty()) {
            Ok(dir) => chown_tree(dir.as_fd(), owner.0, owner.1, 0).map_err(Error::io(&source))?,
            Err(rustix::io::Errno::NOTDIR) => {
                std::os::unix::fs::chown(&source, Some(owner.0), Some(owner.1)).map_err(Error::io(&source))?;
            }
            Err(error) => return Err(Error::io(&source)(error.into())),
        }
    }
    for mount in &container.spec().mounts {
        let (MountKind::Volume { name: Some(name), .. }, Some(group)) = (&mount.kind, mount.group) else { continue };
        let Some(volume) = engine.store.volume(name)? else { continue };
        // A directory of the host is its owner's.
        if !matches!(volumes::backing(&volume)?, Backing::Data { .. }) {
            continue;
        }
        let data = volumes::place(engine, &volume)?;
        give_to_group(&data, group, Ids::outside(gids, group.id)).map_err(Error::io(&data))?;
    }
    Ok(())
}

fn give_to_group(data: &Path, group: VolumeGroup, id: u32) -> io::Result<()> {
    let dir = rustix::fs::open(data, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let stat = rustix::fs::fstat(&dir)?;
    let fits = stat.st_gid == id && stat.st_mode & GROUP_DIRECTORY == GROUP_DIRECTORY;
    if group.trust_root && fits { Ok(()) } else { share_tree(dir.as_fd(), id, 0) }
}

/// Copies what the image has at `place` into `data`, attributes of the directory itself included. False where the image
/// has nothing there.
fn copy_content(engine: &Engine, container: &Container, place: &Path, data: &Path) -> Result<bool> {
    let what = format!("copy the image's {} into the volume", place.display());
    apart(&what, || copy_in_private(engine, container, place, data))
}

fn copy_in_private(engine: &Engine, container: &Container, place: &Path, data: &Path) -> Result<bool> {
    let mounted = Mounted::mount_at(engine, container, true, None)?;
    let root = mounted.open()?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let Ok(source) = archive::open(root.as_fd(), place, flags) else { return Ok(false) };
    storage::copy_tree(Path::new(&format!("/proc/self/fd/{}", source.as_raw_fd())), data)?;
    Ok(true)
}

/// Gives a whole tree to one owner, links themselves included.
fn chown_tree(dir: BorrowedFd<'_>, uid: u32, gid: u32, depth: usize) -> io::Result<()> {
    if depth > DEPTH_MAX {
        return Err(io::Error::other("directories are nested too deep"));
    }
    let (owner, group) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    for name in names(dir)? {
        if kind_at(dir, &name)? == Some(FileType::Directory) {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let below = rustix::fs::openat(dir, &name, flags, Mode::empty())?;
            chown_tree(below.as_fd(), uid, gid, depth + 1)?;
        } else {
            match rustix::fs::chownat(dir, &name, owner, group, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(rustix::fs::fchown(dir, owner, group)?)
}

/// Gives a whole tree to a group.
fn share_tree(dir: BorrowedFd<'_>, group: u32, depth: usize) -> io::Result<()> {
    if depth > DEPTH_MAX {
        return Err(io::Error::other("directories are nested too deep"));
    }
    let forgive = |error: Errno| if error == Errno::NOENT { Ok(()) } else { Err(io::Error::from(error)) };
    for name in names(dir)? {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match kind_at(dir, &name)? {
            Some(FileType::Directory) => {
                let below = rustix::fs::openat(dir, &name, flags | OFlags::DIRECTORY, Mode::empty())?;
                share_tree(below.as_fd(), group, depth + 1)?;
            }
            Some(FileType::RegularFile) => match rustix::fs::openat(dir, &name, flags, Mode::empty()) {
                Ok(file) => share(file.as_fd(), group, GROUP_FILE)?,
                Err(error) => forgive(error)?,
            },
            Some(_) => {
                let group = Some(Gid::from_raw(group));
                rustix::fs::chownat(dir, &name, None, group, AtFlags::SYMLINK_NOFOLLOW).or_else(forgive)?;
            }
            None => {}
        }
    }
    share(dir, group, GROUP_DIRECTORY)
}

/// What is the group's already keeps the rights that somebody gave it.
fn share(file: BorrowedFd<'_>, group: u32, rights: u32) -> io::Result<()> {
    let stat = rustix::fs::fstat(file)?;
    if stat.st_gid == group {
        return Ok(());
    }
    rustix::fs::fchown(file, None, Some(Gid::from_raw(group)))?;
    Ok(rustix::fs::fchmod(file, Mode::from_raw_mode(stat.st_mode & 0o7777 | rights))?)
}
