//! Recursive removal that never leaves the tree: every step is relative to an open directory and follows no link.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::error::{At, Result};

/// Removes `path` and all below it. Absent parts are fine: two may remove the same tree.
pub(crate) fn remove_tree(path: &Path) -> Result<()> {
    let name = CString::new(path.as_os_str().as_encoded_bytes())
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
    let mut rounds = 0;
    let mut stack = vec![Level { name: name.to_owned(), entries: Dir::new(top)? }];
    while let Some(level) = stack.last_mut() {
        let Some(entry) = level.entries.read() else {
            let done = stack.pop().map(|level| level.name).unwrap_or_default();
            let parent = match stack.last() {
                Some(level) => level.entries.fd()?,
                None => dir,
            };
            match rustix::fs::unlinkat(parent, &done, AtFlags::REMOVEDIR) {
                Ok(()) | Err(Errno::NOENT) => {}
                // Something came after it was read: what was moved up, or another's last write.
                Err(Errno::NOTEMPTY) if rounds < ROUNDS_MAX => {
                    rounds += 1;
                    if let Some(fd) = open_dir(parent, &done)? {
                        stack.push(Level { name: done, entries: Dir::new(fd)? });
                    }
                }
                Err(error) => return Err(error.into()),
            }
            continue;
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
        if stack.len() >= LEVELS_MAX {
            // Deeper than there are descriptors: hang it up at the top, where it is found later.
            let here = stack[stack.len() - 1].entries.fd()?;
            // A random name: neither the tree's own nor another remover's.
            let up = CString::new(crate::staging::random_name()?).map_err(io::Error::other)?;
            match rustix::fs::renameat(here, &child, stack[0].entries.fd()?, &up) {
                Ok(()) | Err(Errno::NOENT) => continue,
                Err(error) => return Err(error.into()),
            }
        }
        let here = stack[stack.len() - 1].entries.fd()?;
        if let Some(fd) = open_dir(here, &child)? {
            stack.push(Level { name: child, entries: Dir::new(fd)? });
        }
    }
    Ok(())
}

/// Directories open at once.
const LEVELS_MAX: usize = 200;
/// How often a directory that was emptied may turn out not to be.
const ROUNDS_MAX: usize = 1 << 16;

struct Level {
    name: CString,
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
