//! Being told when a container's records change, instead of looking again and again.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::id::ContainerId;

/// How often to look where nobody can tell.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A watch on a container's directory: records are replaced by rename, and the directory itself moves away at removal.
pub(crate) struct Notice(OwnedFd);

impl Notice {
    /// `None` when the container is gone. Records read after this call are the ones whose change is noticed.
    pub(crate) fn of(engine: &Engine, id: &ContainerId) -> Result<Option<Notice>> {
        let path = engine.container_dir(id);
        let events = WatchFlags::MOVED_TO | WatchFlags::MOVE_SELF | WatchFlags::DELETE_SELF | WatchFlags::ONLYDIR;
        let watched = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)
            .and_then(|fd| inotify::add_watch(&fd, &path, events).map(|_| fd));
        match watched {
            Ok(fd) => Ok(Some(Notice(fd))),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(error) if sys::notice::is_used_up(error) => {
                Ok(Some(Notice(sys::notice::clock(LOOK_AGAIN).map_err(Error::io(&path))?)))
            }
            Err(error) => Err(Error::Io { path, source: error.into() }),
        }
    }

    /// Waits for a change, for one of the descriptors to become readable, or for the time to pass. Says which descriptors
    /// are readable.
    pub(crate) fn wait(&self, others: &[BorrowedFd<'_>], until: Option<Instant>) -> Result<Vec<bool>> {
        let mut entries = vec![PollFd::new(&self.0, PollFlags::IN)];
        entries.extend(others.iter().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)));
        poll_until(&mut entries, until).map_err(Error::io("poll"))?;
        self.drain();
        Ok(entries[1..].iter().map(|entry| !entry.revents().is_empty()).collect())
    }

    /// Takes what has happened off the queue: the records are read again anyway.
    fn drain(&self) {
        let mut buffer = [0u8; 4096];
        while rustix::io::read(&self.0, &mut buffer).is_ok_and(|length| length > 0) {}
    }
}

impl AsFd for Notice {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// poll(2) with a point in time; a signal counts as an event.
pub(crate) fn poll_until(entries: &mut [PollFd<'_>], until: Option<Instant>) -> io::Result<usize> {
    let left = until.map(|until| {
        let left: Duration = until.saturating_duration_since(Instant::now());
        rustix::time::Timespec {
            tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        }
    });
    match poll(entries, left.as_ref()) {
        Ok(ready) => Ok(ready),
        Err(Errno::INTR) => Ok(0),
        Err(error) => Err(error.into()),
    }
}
