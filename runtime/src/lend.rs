//! A mount of one container for another: `/dev/shm` of containers that share their IPC namespace.

use std::convert::Infallible;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::CWD;
use rustix::mount::{OpenTreeFlags, open_tree};
use rustix::thread::{ThreadNameSpaceType, move_into_thread_name_spaces};
use sys::channel::Channel;
use sys::clone::{exit_now, fork};
use sys::process::{Pidfd, Process};

use crate::{Error, Result, namespaces};

/// A detached copy of what is mounted at `path` in a running container. A mount can only be copied from within its own
/// mount namespace, so a process goes there.
///
/// # Errors
/// [`Error::Gone`] when the container has ended, else what the kernel refused.
pub fn mount_of(init: &Process, path: &Path) -> Result<OwnedFd> {
    let pidfd = init.open().ok_or(Error::Gone)?;
    let joined = namespaces::different_from_ours(init.pid).map_err(|_| Error::Gone)?;
    let joined = joined & (ThreadNameSpaceType::USER | ThreadNameSpaceType::MOUNT);
    let step = || format!("borrow the mount {}", path.display());
    let (ours, theirs) = Channel::pair().map_err(|error| Error::kernel("make a socket", error))?;
    let child = fork(|| bring(&pidfd, joined, path, &theirs)).map_err(|error| Error::kernel(step(), error))?;
    drop(theirs);
    let brought = ours.recv();
    child.pidfd.wait().map_err(|error| Error::kernel(step(), error))?;
    let (said, mut fds) = brought.map_err(|error| Error::kernel(step(), error))?;
    match fds.pop() {
        Some(tree) => Ok(tree),
        None => {
            let errno = said.first_chunk().map_or(0, |bytes| i32::from_le_bytes(*bytes));
            Err(Error::kernel(step(), std::io::Error::from_raw_os_error(errno)))
        }
    }
}

/// A mount that `make` makes and hands out detached, in a process with a mount namespace of its own: nobody else sees it,
/// and nothing stays behind.
///
/// # Errors
/// What `make` met with; `what` says what it was to do.
pub fn detached(what: &str, make: impl FnOnce() -> std::io::Result<OwnedFd>) -> Result<OwnedFd> {
    let step = |error: std::io::Error| Error::kernel(what.to_owned(), error);
    let (ours, theirs) = Channel::pair().map_err(step)?;
    let child = fork(|| {
        let made = nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS)
            .map_err(std::io::Error::from)
            .and_then(|()| crate::pivot::detach_propagation().map_err(std::io::Error::other))
            .and_then(|()| make());
        // If nobody listens any more there is nobody to tell.
        let _ = match made {
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
            Err(step(std::io::Error::from_raw_os_error(errno)))
        }
    }
}

fn bring(init: &Pidfd, joined: ThreadNameSpaceType, path: &Path, channel: &Channel) -> Infallible {
    let copied = move_into_thread_name_spaces(init.as_fd(), joined).and_then(|()| {
        let flags =
            OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_SYMLINK_NOFOLLOW;
        open_tree(CWD, path, flags)
    });
    // If nobody listens any more there is nobody to tell.
    let _ = match copied {
        Ok(tree) => channel.send(b"here", &[tree.as_fd()]),
        Err(errno) => channel.send(&errno.raw_os_error().to_le_bytes(), &[]),
    };
    exit_now(0)
}
