//! Being told that something in the store has changed, without a watch on each of its directories: whoever changes
//! something that others may wait for touches one file, and who waits has inotify(7) on it. Where nobody ever waited there
//! is no file, and telling is one system call that fails.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW};

use crate::error::{At, Error, Result};
use crate::store::Store;

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

/// Readable when something may have changed since [`Watch::clear`]. What is read after that call is missed by nobody.
#[derive(Debug)]
pub struct Watch(OwnedFd);

impl Watch {
    /// # Errors
    /// Where the user has no inotify instance or watch left (`/proc/sys/fs/inotify`).
    pub fn of(store: &Store) -> Result<Watch> {
        let path = store.changed_path();
        if let Err(error) = File::create_new(&path)
            && error.kind() != io::ErrorKind::AlreadyExists
        {
            return Err(Error::io("cannot create", &path, error));
        }
        let watch = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).at("cannot watch", &path)?;
        let events = WatchFlags::ATTRIB | WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF;
        inotify::add_watch(&watch, &path, events).at("cannot watch", &path)?;
        Ok(Watch(watch))
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
