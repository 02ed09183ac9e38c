//! A mount of one container for another: `/dev/shm` of containers that share their IPC namespace, volumes in memory.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::CWD;
use rustix::mount::{OpenTreeFlags, open_tree};
use rustix::thread::{ThreadNameSpaceType, move_into_thread_name_spaces};
use sys::channel::Channel;
use sys::clone::{exit_now, fork};
use sys::process::Process;

use crate::{Error, Result, namespaces};

/// A detached copy of what is mounted at `path` in a running container.
///
/// # Errors
/// As [`from_within`].
pub fn mount_of(init: &Process, path: &Path) -> Result<OwnedFd> {
    copied(init, path, OpenTreeFlags::empty())
}

/// The same of a running container's root, with all that is mounted in it.
///
/// # Errors
/// As [`from_within`].
pub fn root_of(init: &Process) -> Result<OwnedFd> {
    copied(init, Path::new("/"), OpenTreeFlags::AT_RECURSIVE)
}

fn copied(init: &Process, path: &Path, reach: OpenTreeFlags) -> Result<OwnedFd> {
    from_within(init, &format!("borrow the mount {}", path.display()), || {
        let flags =
            OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_SYMLINK_NOFOLLOW;
        Ok(open_tree(CWD, path, flags | reach)?)
    })
}

/// A mount that `make` hands out detached as root of a running container. A mount can only be copied from within its own
/// mount namespace, so a process goes there.
///
/// # Errors
/// [`Error::Gone`] when the container has ended, else what `make` met with; `what` says what it was to do.
pub fn from_within(init: &Process, what: &str, make: impl FnOnce() -> io::Result<OwnedFd>) -> Result<OwnedFd> {
    let pidfd = init.open().ok_or(Error::Gone)?;
    let joined = namespaces::different_from_ours(init.pid).map_err(|_| Error::Gone)?;
    let joined = joined & (ThreadNameSpaceType::USER | ThreadNameSpaceType::MOUNT);
    handed_out(what, || {
        move_into_thread_name_spaces(pidfd.as_fd(), joined)?;
        if joined.contains(ThreadNameSpaceType::USER) {
            // Who has no id there can make nothing.
            sys::task::set_identity(0, 0, None, true)?;
        }
        make()
    })
}

/// A mount that `make` makes and hands out detached, in a process with a mount namespace of its own: nobody else sees it,
/// and nothing stays behind.
///
/// # Errors
/// What `make` met with; `what` says what it was to do.
pub fn detached(what: &str, make: impl FnOnce() -> io::Result<OwnedFd>) -> Result<OwnedFd> {
    handed_out(what, || {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS)?;
        crate::pivot::detach_propagation().map_err(io::Error::other)?;
        make()
    })
}

/// What a process of its own has opened.
fn handed_out(what: &str, open: impl FnOnce() -> io::Result<OwnedFd>) -> Result<OwnedFd> {
    let step = |error: io::Error| Error::kernel(what.to_owned(), error);
    let (ours, theirs) = Channel::pair().map_err(step)?;
    let child = fork(|| {
        // If nobody listens any more there is nobody to tell.
        let _ = match open() {
            Ok(tree) => theirs.send(b"here", &[tree.as_fd()]),
            Err(error) => theirs.send(&error.raw_os_error().unwrap_or(5).to_le_bytes(), &[]),
        };
        exit_now(0)
    })
    .map_err(step)?;
    drop(theirs);
    let brought = ours.recv();
    child.pidfd.wait().map_err(step)?;
    let (said, mut fds) = brought.map_err(step)?;
    match fds.pop() {
        Some(tree) => Ok(tree),
        None => {
            let errno = said.first_chunk().map_or(0, |bytes| i32::from_le_bytes(*bytes));
            Err(step(io::Error::from_raw_os_error(errno)))
        }
    }
}
