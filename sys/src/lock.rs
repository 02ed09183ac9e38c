//! Advisory locks on files, see flock(2): the kernel frees them when the holder dies.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::fs::FlockOperation;

/// A held lock. Dropping it frees it.
#[derive(Debug)]
pub struct FileLock(File);

impl FileLock {
    /// Waits until nobody else holds the lock. The file is made if it is missing.
    pub fn exclusive(path: &Path) -> io::Result<FileLock> {
        FileLock::wait(path, FlockOperation::LockExclusive)
    }

    /// Waits until nobody holds the lock exclusively.
    pub fn shared(path: &Path) -> io::Result<FileLock> {
        FileLock::wait(path, FlockOperation::LockShared)
    }

    /// `None` when somebody else holds the lock.
    pub fn try_exclusive(path: &Path) -> io::Result<Option<FileLock>> {
        FileLock::attempt(path, FlockOperation::NonBlockingLockExclusive)
    }

    /// `None` when somebody else holds the lock exclusively.
    pub fn try_shared(path: &Path) -> io::Result<Option<FileLock>> {
        FileLock::attempt(path, FlockOperation::NonBlockingLockShared)
    }

    fn wait(path: &Path, operation: FlockOperation) -> io::Result<FileLock> {
        let file = open(path)?;
        loop {
            match rustix::fs::flock(&file, operation) {
                Ok(()) => return Ok(FileLock(file)),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn attempt(path: &Path, operation: FlockOperation) -> io::Result<Option<FileLock>> {
        let file = open(path)?;
        match rustix::fs::flock(&file, operation) {
            Ok(()) => Ok(Some(FileLock(file))),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for FileLock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_waits_and_a_dropped_lock_is_free() {
        let path = std::env::temp_dir().join(format!("creel-lock-test-{}", std::process::id()));
        let held = FileLock::exclusive(&path).unwrap();
        assert!(FileLock::try_exclusive(&path).unwrap().is_none());
        assert!(FileLock::try_shared(&path).unwrap().is_none());
        drop(held);
        let shared = FileLock::shared(&path).unwrap();
        assert!(FileLock::try_shared(&path).unwrap().is_some());
        assert!(FileLock::try_exclusive(&path).unwrap().is_none());
        drop(shared);
        assert!(FileLock::try_exclusive(&path).unwrap().is_some());
        std::fs::remove_file(path).unwrap();
    }
}
