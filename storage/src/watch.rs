//! Being told that something in the store has changed, without a watch on each of its directories: whoever changes
//! something that others may wait for touches one file, and who waits has inotify(7) on it. Where nobody ever waited there
//! is no file, and telling is one system call that fails.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW};

use crate::error::{At, Error, Result};
use crate::store::{Store, make_private_dir};

impl Store {
    fn changed_path(&self) -> PathBuf {
        self.dirs().runroot.join("changed")
    }

    /// Tells every [`Watch`]: to be called after the change can be seen.
    pub fn tell(&self) {
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        let times = Timestamps { last_access: now, last_modification: now };
        // Nobody watches; or the disk that it is on says no, and whoever watches looks from time to time all the same.
        let _ = rustix::fs::utimensat(CWD, self.changed_path(), &times, AtFlags::empty());
    }
}

/// How often to look where nobody can tell.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// A descriptor that becomes readable when one of the events happens at the path, or from time to time where the user has
/// no inotify instance or watch left.
pub(crate) fn watch(path: &Path, events: WatchFlags) -> Result<OwnedFd> {
    let watched = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)
        .and_then(|fd| inotify::add_watch(&fd, path, events).map(|_| fd));
    match watched {
        Err(error) if sys::notice::is_used_up(error) => sys::notice::clock(LOOK_AGAIN).at("cannot watch", path),
        watched => watched.at("cannot watch", path),
    }
}

/// Readable when something may have changed since [`Watch::clear`]. What is read after that call is missed by nobody.
#[derive(Debug)]
pub struct Watch(OwnedFd);

impl Watch {
    /// Where nobody can tell, since the disk is full or inotify used up, it is readable from time to time.
    pub fn of(store: &Store) -> Result<Watch> {
        let path = store.changed_path();
        // A reboot takes it away.
        make_private_dir(&store.dirs().runroot)?;
        match File::create_new(&path) {
            Err(error) if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
                return sys::notice::clock(LOOK_AGAIN).at("cannot watch", &path).map(Watch);
            }
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(Error::io("cannot create", &path, error));
            }
            _ => {}
        }
        watch(&path, WatchFlags::ATTRIB | WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF).map(Watch)
    }

    /// Takes what has happened off the queue; everything is to be read again after it.
    pub fn clear(&self) {
        let mut buffer = [0u8; 4096];
        while rustix::io::read(&self.0, &mut buffer).is_ok_and(|length| length > 0) {}
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
