//! A new tmpfs starts with what the image has at its place (`tmpcopyup`).

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, RawMode, Stat, Timespec, Timestamps, Uid};

/// Copies directories, files and links with owner, mode and time. Links are never followed. Sockets, pipes and device
/// nodes are left out: they mean something only where they were made.
pub(crate) fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>, said: Said) -> io::Result<()> {
    let from = open_directory(from, c".")?;
    let mut stat = rustix::fs::fstat(&from)?;
    let own = rustix::fs::fstat(to)?;
    if said.owner {
        (stat.st_uid, stat.st_gid) = (own.st_uid, own.st_gid);
    }
    if said.mode {
        stat.st_mode = own.st_mode;
    }
    copy_directory(&from, to)?;
    dress(to, &stat)
}

/// What the new file system's own options say about its top: that is not copied.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Said {
    pub(crate) owner: bool,
    pub(crate) mode: bool,
}

/// A mount point that was made for a tmpfs looks as a tmpfs does by itself: everybody may write, now and at the next start.
pub(crate) fn open_to_all(place: BorrowedFd<'_>) -> io::Result<()> {
    let directory = open_directory(place, c".")?;
    Ok(rustix::fs::fchmod(&directory, Mode::from_raw_mode(0o1777))?)
}

fn copy_directory(from: &OwnedFd, to: BorrowedFd<'_>) -> io::Result<()> {
    for entry in Dir::read_from(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let stat = rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(stat.st_mode as RawMode) {
            FileType::Directory => {
                rustix::fs::mkdirat(to, name, Mode::RWXU)?;
                let made = open_directory(to, name)?;
                copy_directory(&open_directory(from.as_fd(), name)?, made.as_fd())?;
                dress(made.as_fd(), &stat)?;
            }
            FileType::RegularFile => {
                let read = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let mut source = File::from(rustix::fs::openat(from, name, read, Mode::empty())?);
                let write = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let mut copy = File::from(rustix::fs::openat(to, name, write, Mode::RUSR | Mode::WUSR)?);
                io::copy(&mut source, &mut copy)?;
                dress(copy.as_fd(), &stat)?;
            }
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(from, name, Vec::new())?;
                rustix::fs::symlinkat(target, to, name)?;
                let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
                rustix::fs::chownat(to, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn open_directory(at: BorrowedFd<'_>, name: &std::ffi::CStr) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(at, name, flags, Mode::empty())?)
}

/// Owner before mode: chown(2) takes set-user-id bits away.
fn dress(file: BorrowedFd<'_>, like: &Stat) -> io::Result<()> {
    // An O_PATH descriptor (the new mount's) cannot be changed, its "." can.
    let file = match rustix::fs::openat(file, ".", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
        Ok(directory) => directory,
        Err(_) => file.try_clone_to_owned()?,
    };
    rustix::fs::fchown(&file, Some(Uid::from_raw(like.st_uid)), Some(Gid::from_raw(like.st_gid)))?;
    rustix::fs::fchmod(&file, Mode::from_raw_mode(like.st_mode as RawMode & 0o7777))?;
    let times = Timestamps {
        last_access: Timespec { tv_sec: like.st_atime, tv_nsec: like.st_atime_nsec as _ },
        last_modification: Timespec { tv_sec: like.st_mtime, tv_nsec: like.st_mtime_nsec as _ },
    };
    Ok(rustix::fs::futimens(&file, &times)?)
}
