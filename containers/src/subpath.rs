//! A part of a volume (`subpath`). What is in there may be made by a container: no link leads out of it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{CWD, Gid, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::mount::{OpenTreeFlags, open_tree};

/// A detached mount of what lies at `below` in the directory `source`.
pub(crate) fn tree(source: &Path, below: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let root = rustix::fs::openat(CWD, source, flags | OFlags::DIRECTORY, Mode::empty())?;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let place = rustix::fs::openat2(&root, below, flags, Mode::empty(), resolve)?;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE
        | OpenTreeFlags::AT_EMPTY_PATH;
    Ok(open_tree(place.as_fd(), "", flags)?)
}

/// Makes the directories of `below` that are missing in `root`, with the group of that and its rights or those given:
/// whoever a container runs as writes there.
pub fn make(root: &Path, below: &Path, rights: Option<u32>) -> io::Result<()> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let mut dir = rustix::fs::open(root, flags | OFlags::DIRECTORY, Mode::empty())?;
    let of_root = rustix::fs::fstat(&dir)?;
    let rights = rights.unwrap_or(of_root.st_mode & 0o7777);
    for part in below.components() {
        let Component::Normal(part) = part else { continue };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_SYMLINKS;
        dir = match rustix::fs::openat2(&dir, part, flags, Mode::empty(), resolve) {
            Ok(there) => there,
            Err(Errno::NOENT) => {
                match rustix::fs::mkdirat(&dir, part, Mode::from_raw_mode(0o755)) {
                    // Another container starts at the same time.
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(error.into()),
                }
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
                let made = rustix::fs::openat2(&dir, part, flags, Mode::empty(), resolve)?;
                rustix::fs::fchown(&made, None, Some(Gid::from_raw(of_root.st_gid)))?;
                rustix::fs::fchmod(&made, Mode::from_raw_mode(rights))?;
                made
            }
            // The last part may be a file.
            Err(Errno::NOTDIR) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
    }
    Ok(())
}
