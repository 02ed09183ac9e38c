//! Reading directories in overlay's form, whoever wrote them: the kernel (character devices 0:0, `user.overlay.opaque`),
//! fuse-overlayfs (the same, or `.wh.` files), or [`crate::unpack`].

use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::unpack::{ESCAPED, FUSE_PRIVATE, OPAQUE, PRIVATE, WHITEOUT, file_type, is_whiteout};

const FUSE_OPAQUE: &CStr = c"user.fuseoverlayfs.opaque";
/// One open directory for each level: more would meet the limit of descriptors.
pub(crate) const DEPTH_MAX: usize = 900;

/// What a directory of an upper or a layer says, sorted by name.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// Nothing below shines through.
    pub opaque: bool,
    /// Names hidden from below.
    pub hidden: Vec<CString>,
    pub entries: Vec<(CString, Stat)>,
}

/// Reads an open directory in overlay's form.
pub(crate) fn list(dir: BorrowedFd<'_>) -> io::Result<Listing> {
    let mut listing = Listing { opaque: is_opaque(dir), ..Listing::default() };
    for (name, stat) in list_plain(dir)? {
        match name.to_bytes().strip_prefix(WHITEOUT) {
            None if is_whiteout(&stat) => listing.hidden.push(name),
            None => listing.entries.push((name, stat)),
            Some(b".wh..opq") => listing.opaque = true,
            // fuse-overlayfs hides its own marks from itself with a device.
            Some(hidden) if is_whiteout(&stat) || hidden.starts_with(WHITEOUT) || hidden.starts_with(b".") => {}
            Some(hidden) => listing.hidden.extend(CString::new(hidden)),
        }
    }
    Ok(listing)
}

/// Reads an open directory as it is, sorted by name. What vanishes meanwhile is passed over.
pub(crate) fn list_plain(dir: BorrowedFd<'_>) -> io::Result<Vec<(CString, Stat)>> {
    let mut entries = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => entries.push((name.to_owned(), stat)),
            Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
    }
    entries.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(entries)
}

pub(crate) fn is_opaque(dir: BorrowedFd<'_>) -> bool {
    [OPAQUE, FUSE_OPAQUE].iter().any(|name| {
        let mut value = [0u8; 8];
        matches!(rustix::fs::fgetxattr(dir, *name, &mut value[..]), Ok(1) if value[0] == b'y')
    })
}

/// Opens a directory, not a link to one.
pub(crate) fn open_dir(dir: impl AsFd, name: &CStr) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(dir, name, flags, Mode::empty())?)
}

pub(crate) fn open_top(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

/// What the directories below show at a name.
#[derive(Debug)]
pub(crate) enum Below {
    Nothing,
    /// Not a directory; where it is.
    File(PathBuf, Box<Stat>),
    /// The directories that merge there, top-most first.
    Dirs(Vec<PathBuf>),
}

/// Looks `name` up in merged directories, top-most first. Each was found to be a directory, not a link, on the way here,
/// and layers do not change: joining paths is safe.
pub(crate) fn below(dirs: &[PathBuf], name: &CStr) -> io::Result<Below> {
    let mut merged = Vec::new();
    let file_whiteout = [WHITEOUT, name.to_bytes()].concat();
    for dir in dirs {
        let path = dir.join(OsStr::from_bytes(name.to_bytes()));
        let stat = match rustix::fs::lstat(&path) {
            Ok(stat) => stat,
            Err(Errno::NOENT) if dir.join(OsStr::from_bytes(&file_whiteout)).symlink_metadata().is_ok() => break,
            Err(Errno::NOENT | Errno::NOTDIR) => continue,
            Err(error) => return Err(error.into()),
        };
        if file_type(&stat) == FileType::Directory {
            let opaque = is_opaque(open_top(&path)?.as_fd());
            merged.push(path);
            if opaque {
                break;
            }
        } else if is_whiteout(&stat) || !merged.is_empty() {
            break;
        } else {
            return Ok(Below::File(path, Box::new(stat)));
        }
    }
    Ok(if merged.is_empty() { Below::Nothing } else { Below::Dirs(merged) })
}

/// All names that merged directories show, sorted.
pub(crate) fn names_below(dirs: &[PathBuf]) -> io::Result<Vec<CString>> {
    let mut shown = std::collections::BTreeMap::new();
    for dir in dirs {
        let listing = list(open_top(dir)?.as_fd())?;
        for name in listing.hidden {
            shown.entry(name).or_insert(false);
        }
        for (name, _) in listing.entries {
            shown.entry(name).or_insert(true);
        }
    }
    Ok(shown.into_iter().filter_map(|(name, seen)| seen.then_some(name)).collect())
}

/// The extended attributes of an open file that are content: overlay's and fuse-overlayfs's own are left out, escaped
/// ones get their name back.
pub(crate) fn xattrs(file: BorrowedFd<'_>) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let shown = |(name, value): (Vec<u8>, Vec<u8>)| match name.strip_prefix(ESCAPED) {
        Some(rest) => Some(([PRIVATE, rest].concat(), value)),
        None if name.starts_with(PRIVATE) || name.starts_with(FUSE_PRIVATE) => None,
        None => Some((name, value)),
    };
    Ok(raw_xattrs(file)?.into_iter().filter_map(shown).collect())
}

/// The extended attributes of an open file that a layer has, as they are.
pub(crate) fn raw_xattrs(file: BorrowedFd<'_>) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut names = Vec::new();
    match rustix::fs::flistxattr(file, rustix::buffer::spare_capacity(reserve(&mut names, 1 << 10))) {
        Ok(_) => {}
        Err(Errno::RANGE) => {
            rustix::fs::flistxattr(file, rustix::buffer::spare_capacity(reserve(&mut names, 1 << 16)))?;
        }
        Err(Errno::OPNOTSUPP | Errno::PERM | Errno::ACCESS) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    }
    let mut found = Vec::new();
    for name in names.split(|byte| *byte == 0) {
        if !name.starts_with(b"user.") && name != b"security.capability" {
            continue;
        }
        let Ok(attribute) = CString::new(name) else { continue };
        let mut value = Vec::new();
        match rustix::fs::fgetxattr(file, &attribute, rustix::buffer::spare_capacity(reserve(&mut value, 1 << 16))) {
            Ok(_) => found.push((name.to_owned(), value)),
            Err(Errno::NODATA | Errno::PERM | Errno::ACCESS | Errno::OPNOTSUPP) => {}
            Err(error) => return Err(error.into()),
        }
    }
    found.sort();
    Ok(found)
}

fn reserve(buffer: &mut Vec<u8>, size: usize) -> &mut Vec<u8> {
    buffer.reserve(size);
    buffer
}
