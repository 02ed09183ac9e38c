//! Advisory locks on files, see flock(2): the kernel frees them when the holder dies.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;

use crate::process::{command_line, is_stopped};

/// How long a lock is waited for before a word about it.
const PATIENCE: Duration = Duration::from_secs(3);
/// Between two looks, until there was a word.
const FIRST_PAUSE: Duration = Duration::from_micros(100);
const LONGEST_PAUSE: Duration = Duration::from_millis(1);

/// A held lock. Dropping it frees it.
#[derive(Debug)]
pub struct FileLock(File);

/// Taking a lock waits for whoever holds it, however long; after a few seconds a warning says who that is.
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

    /// As [`FileLock::exclusive`], but waits no longer than that; `None` then, without a word.
    pub fn exclusive_within(path: &Path, longest: Duration) -> io::Result<Option<FileLock>> {
        let file = open(path)?;
        Ok(poll(&file, FlockOperation::NonBlockingLockExclusive, longest)?.then_some(FileLock(file)))
    }

    fn wait(path: &Path, operation: FlockOperation) -> io::Result<FileLock> {
        let file = open(path)?;
        let attempt = match operation {
            FlockOperation::LockShared => FlockOperation::NonBlockingLockShared,
            _ => FlockOperation::NonBlockingLockExclusive,
        };
        if poll(&file, attempt, PATIENCE)? {
            return Ok(FileLock(file));
        }
        match holder(path) {
            Some(holder) => tracing::warn!("waiting for {holder}, which holds {}", path.display()),
            None => tracing::warn!("waiting for another process, which holds {}", path.display()),
        }
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
        Ok(attempt(&file, operation)?.then_some(FileLock(file)))
    }
}

/// One who holds a lock, in words: its number, its command, and how to let it go on where it is stopped. `None` where that
/// cannot be seen: it has gone, or belongs to somebody else.
pub fn holder(path: &Path) -> Option<String> {
    let wanted = std::fs::metadata(path).ok()?;
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    let pid = locks.lines().find_map(|line| {
        // `1: FLOCK  ADVISORY  WRITE 4711 00:2b:1234 0 EOF`, see proc_locks(5); a second line with an arrow only waits.
        let mut words = line.split_whitespace().skip(1);
        (words.next()? == "FLOCK").then_some(())?;
        let pid: i32 = words.nth(2)?.parse().ok()?;
        let inode = words.next()?.rsplit(':').next()?.parse::<u64>().ok()?;
        // The device's number there is not stat's where a file system has volumes of its own: who has the file open?
        (inode == wanted.ino() && has_open(pid, &wanted)).then_some(pid)
    })?;
    let command = command_line(pid)?;
    Some(match is_stopped(pid) {
        true => format!("process {pid} ({command}), which is stopped (`kill -CONT {pid}` lets it go on)"),
        false => format!("process {pid} ({command})"),
    })
}

fn has_open(pid: i32, wanted: &std::fs::Metadata) -> bool {
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    descriptors
        .filter_map(|one| std::fs::metadata(one.path()).ok())
        .any(|file| (file.dev(), file.ino()) == (wanted.dev(), wanted.ino()))
}

/// Whether the lock is ours before the time is over. Looks again and again: flock(2) knows no time.
fn poll(file: &File, operation: FlockOperation, longest: Duration) -> io::Result<bool> {
    let mut pause = FIRST_PAUSE;
    let begun = Instant::now();
    while !attempt(file, operation)? {
        if begun.elapsed() >= longest {
            return Ok(false);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    Ok(true)
}

fn attempt(file: &File, operation: FlockOperation) -> io::Result<bool> {
    match rustix::fs::flock(file, operation) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
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

    #[test]
    fn who_holds_a_lock_is_named_and_a_wait_may_end() {
        let path = std::env::temp_dir().join(format!("creel-holder-test-{}", std::process::id()));
        let held = FileLock::exclusive(&path).unwrap();
        let holder = super::holder(&path).unwrap();
        assert!(holder.starts_with(&format!("process {} (", std::process::id())), "{holder}");
        assert!(!holder.contains("stopped"), "{holder}");
        assert!(FileLock::exclusive_within(&path, Duration::from_millis(20)).unwrap().is_none());
        drop(held);
        assert_eq!(super::holder(&path), None);
        assert!(FileLock::exclusive_within(&path, Duration::ZERO).unwrap().is_some());
        std::fs::remove_file(path).unwrap();
    }
}
