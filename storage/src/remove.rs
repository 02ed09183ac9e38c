//! Recursive removal that never leaves the tree: every step is relative to an open directory and follows no link.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::error::{At, Result};

/// Removes `path` and all below it. Absent parts are fine: two may remove the same tree.
pub(crate) fn remove_tree(path: &Path) -> Result<()> {
    let name = std::ffi::CString::new(path.as_os_str().as_encoded_bytes())
        .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))
        .at("cannot remove", path)?;
    remove_at(CWD, &name).at("cannot remove", path)
}

/// Removes `name` in `dir`, whatever it is.
pub(crate) fn remove_at(dir: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
    match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        // EISDIR on Linux, EPERM by POSIX.
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(error) => return Err(error.into()),
    }
    // Depth is the archive author's choice, so it is kept on the heap.
    let Some(top) = open_dir(dir, name)? else { return Ok(()) };
    let mut stack = vec![Level { name: name.to_owned(), entries: Dir::new(top)? }];
    while let Some(level) = stack.last_mut() {
        let Some(entry) = level.entries.read() else {
            let done = stack.pop().map(|level| level.name).unwrap_or_default();
            let parent = match stack.last() {
                Some(level) => level.entries.fd()?,
                None => dir,
            };
            match rustix::fs::unlinkat(parent, &done, AtFlags::REMOVEDIR) {
                Ok(()) | Err(Errno::NOENT) => continue,
                Err(error) => return Err(error.into()),
            }
        };
        let entry = entry?;
        let child = entry.file_name();
        if matches!(child.to_bytes(), b"." | b"..") {
            continue;
        }
        let here = level.entries.fd()?;
        if entry.file_type() != FileType::Directory {
            match rustix::fs::unlinkat(here, child, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => continue,
                Err(Errno::ISDIR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let child = child.to_owned();
        if let Some(fd) = open_dir(here, &child)? {
            stack.push(Level { name: child, entries: Dir::new(fd)? });
        }
    }
    Ok(())
}

struct Level {
    name: std::ffi::CString,
    entries: Dir,
}

fn open_dir(dir: BorrowedFd<'_>, name: &CStr) -> io::Result<Option<OwnedFd>> {
    let open = || {
        rustix::fs::openat(
            dir.as_fd(),
            name,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        )
    };
    match open() {
        Ok(fd) => Ok(Some(fd)),
        Err(Errno::NOENT) => Ok(None),
        // Not in the user namespace, or a directory of mode 000 that is ours.
        Err(Errno::ACCESS) => {
            rustix::fs::chmodat(dir, name, Mode::RWXU, AtFlags::empty())?;
            Ok(Some(open()?))
        }
        Err(error) => Err(error.into()),
    }
}
