//! What a container changed in its image.

use std::ffi::{CStr, OsStr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Stat, StatxAttributes, StatxFlags};

use crate::digest::Digest;
use crate::error::{At, Error, Result};
use crate::overlaid::{self, Below, DEPTH_MAX, below, list, names_below, open_dir, open_top};
use crate::store::Store;
use crate::unpack::file_type;

/// What happened to a path of a container's root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ChangeKind {
    Added,
    Changed,
    Deleted,
}

/// A path, absolute in the container's root, and what happened to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Change {
    pub path: PathBuf,
    pub kind: ChangeKind,
}

impl Store {
    /// What a container changed in its layers (bottom first), whatever driver it has. A container that never ran has
    /// changed nothing.
    pub fn container_changes(&self, layers: &[Digest], container_dir: &Path) -> Result<Vec<Change>> {
        let lower: Vec<PathBuf> = layers.iter().rev().map(|id| self.layer_path(id)).collect();
        let copy = container_dir.join(crate::rootfs::COPY);
        let mut found = if copy.exists() {
            let mut found = Vec::new();
            let top = open_top(&copy).at("cannot open", &copy)?;
            compare(top.as_fd(), &lower, &mut PathBuf::from("/"), 0, &mut found).at("cannot compare", &copy)?;
            found
        } else {
            let upper = container_dir.join(crate::rootfs::UPPER);
            if !upper.exists() {
                return Ok(Vec::new());
            }
            changes(&upper, &lower)?
        };
        found.sort();
        Ok(found)
    }
}

/// What an overlay's `upper` changes in `lower` (directories, top-most first), sorted by path. A directory of which
/// only something inside changed is `Changed`, as in Podman's `diff`.
pub fn changes(upper: &Path, lower: &[PathBuf]) -> Result<Vec<Change>> {
    let top = open_top(upper).at("cannot open", upper)?;
    let mut found = Vec::new();
    walk(top.as_fd(), lower, &mut PathBuf::from("/"), 0, &mut found).at("cannot compare", upper)?;
    found.sort();
    Ok(found)
}

fn walk(
    dir: BorrowedFd<'_>,
    lower: &[PathBuf],
    path: &mut PathBuf,
    depth: usize,
    found: &mut Vec<Change>,
) -> io::Result<()> {
    check_depth(path, depth)?;
    let listing = list(dir)?;
    let mut note = |path: &Path, name: &CStr, kind| {
        found.push(Change { path: path.join(OsStr::from_bytes(name.to_bytes())), kind });
    };
    for name in &listing.hidden {
        if !matches!(below(lower, name)?, Below::Nothing) {
            note(path, name, ChangeKind::Deleted);
        }
    }
    if listing.opaque {
        for name in names_below(lower)? {
            let replaced = listing.entries.binary_search_by(|(known, _)| known.cmp(&name)).is_ok();
            if !replaced && !listing.hidden.contains(&name) {
                note(path, &name, ChangeKind::Deleted);
            }
        }
    }
    for (name, stat) in &listing.entries {
        let there = below(lower, name)?;
        let kind = if matches!(there, Below::Nothing) { ChangeKind::Added } else { ChangeKind::Changed };
        found.push(Change { path: path.join(OsStr::from_bytes(name.to_bytes())), kind });
        if file_type(stat) == FileType::Directory {
            let child = match open_dir(dir, name) {
                Ok(child) => child,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let deeper = if let Below::Dirs(dirs) = there { dirs } else { Vec::new() };
            path.push(OsStr::from_bytes(name.to_bytes()));
            walk(child.as_fd(), &deeper, path, depth + 1, found)?;
            path.pop();
        }
    }
    Ok(())
}

/// What a whole tree, mounted or copied, has that `lower` (directories, top-most first) has not, and the other way round.
pub fn tree_changes(tree: &Path, lower: &[PathBuf]) -> Result<Vec<Change>> {
    let mut found = Vec::new();
    let top = open_top(tree).at("cannot open", tree)?;
    compare(top.as_fd(), lower, &mut PathBuf::from("/"), 0, &mut found).at("cannot compare", tree)?;
    found.sort();
    Ok(found)
}

/// A plain copy against what it was copied from.
fn compare(
    dir: BorrowedFd<'_>,
    lower: &[PathBuf],
    path: &mut PathBuf,
    depth: usize,
    found: &mut Vec<Change>,
) -> io::Result<()> {
    check_depth(path, depth)?;
    let entries = overlaid::list_plain(dir)?;
    for name in names_below(lower)? {
        if entries.binary_search_by(|(known, _)| known.cmp(&name)).is_err() {
            let path = path.join(OsStr::from_bytes(name.to_bytes()));
            found.push(Change { path, kind: ChangeKind::Deleted });
        }
    }
    for (name, stat) in &entries {
        // What a container that runs has mounted is none of its own.
        if is_mount_point(dir, name)? {
            continue;
        }
        let here = path.join(OsStr::from_bytes(name.to_bytes()));
        let is_dir = file_type(stat) == FileType::Directory;
        let (deeper, kind) = match below(lower, name)? {
            Below::Nothing => (Vec::new(), Some(ChangeKind::Added)),
            Below::File(there, old) => {
                let same = !is_dir && same_file(stat, &old) && same_target(dir, name, stat, &there)?;
                (Vec::new(), (!same).then_some(ChangeKind::Changed))
            }
            Below::Dirs(dirs) => {
                let old = rustix::fs::lstat(&dirs[0])?;
                let owner = (stat.st_mode, stat.st_uid, stat.st_gid) == (old.st_mode, old.st_uid, old.st_gid);
                (if is_dir { dirs } else { Vec::new() }, (!is_dir || !owner).then_some(ChangeKind::Changed))
            }
        };
        let at = found.len();
        if let Some(kind) = kind {
            found.push(Change { path: here.clone(), kind });
        }
        if is_dir {
            let child = open_dir(dir, name)?;
            path.push(OsStr::from_bytes(name.to_bytes()));
            compare(child.as_fd(), &deeper, path, depth + 1, found)?;
            path.pop();
            if kind.is_none() && found.len() > at {
                found.push(Change { path: here, kind: ChangeKind::Changed });
            }
        }
    }
    Ok(())
}

fn is_mount_point(dir: BorrowedFd<'_>, name: &CStr) -> io::Result<bool> {
    let stat = rustix::fs::statx(dir, name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::empty())?;
    Ok(stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

fn same_file(new: &Stat, old: &Stat) -> bool {
    let facts = |stat: &Stat| {
        // A symbolic link's size is compared by its target.
        let size = if file_type(stat) == FileType::RegularFile { stat.st_size } else { 0 };
        (stat.st_mode, stat.st_uid, stat.st_gid, size, stat.st_mtime, stat.st_mtime_nsec)
    };
    facts(new) == facts(old)
}

fn same_target(dir: BorrowedFd<'_>, name: &CStr, stat: &Stat, old: &Path) -> io::Result<bool> {
    if file_type(stat) != FileType::Symlink {
        return Ok(true);
    }
    Ok(rustix::fs::readlinkat(dir, name, Vec::new())? == rustix::fs::readlink(old, Vec::new())?)
}

fn check_depth(path: &Path, depth: usize) -> io::Result<()> {
    if depth > DEPTH_MAX {
        let what = format!("comparing {}", path.display());
        return Err(Error::Unsupported { what, why: "directories are nested too deep".to_owned() }.into());
    }
    Ok(())
}
