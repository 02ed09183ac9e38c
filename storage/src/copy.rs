//! Copies of trees, by reflink where the file system has it.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use crate::error::{At, Error, Result};
use crate::overlaid::{self, DEPTH_MAX, Listing, list, list_plain, open_dir, open_top};
use crate::remove::remove_at;
use crate::shift::{IdRange, IdShift};
use crate::unpack::{file_type, is_whiteout};

/// What the source's whiteouts and overlay's attributes are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Orders to the copy.
    Overlay,
    /// To be copied as they are: the copy is a layer too.
    Layer,
    /// Not there.
    Plain,
}

/// Applies a layer in overlay's form to a plain directory: what it hides is removed, what it has is copied.
pub(crate) fn apply_layer(layer: &Path, root: &Path, shift: Option<&IdShift>, ignore_chown_errors: bool) -> Result<()> {
    copy(layer, root, Form::Overlay, shift, ignore_chown_errors)
}

/// Copies a layer, still in overlay's form, with other owners.
pub(crate) fn shift_layer(layer: &Path, to: &Path, shift: &IdShift, ignore_chown_errors: bool) -> Result<()> {
    copy(layer, to, Form::Layer, Some(shift), ignore_chown_errors)
}

/// Copies what is in one directory into another, owners, modes, times, links and attributes included.
pub fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    copy(from, to, Form::Plain, None, false)
}

fn copy(from: &Path, to: &Path, form: Form, shift: Option<&IdShift>, ignore_chown_errors: bool) -> Result<()> {
    let source = open_top(from).at("cannot open", from)?;
    let dest = open_top(to).at("cannot open", to)?;
    let mut copier = Copier {
        form,
        shift,
        ignore_chown_errors,
        top: dest.try_clone().at("cannot open", to)?,
        links: HashMap::new(),
    };
    copier.directory(source.as_fd(), dest.as_fd(), &mut Vec::new(), 0).at("cannot copy to", to)
}

struct Copier<'a> {
    form: Form,
    shift: Option<&'a IdShift>,
    /// What the shift does not have becomes the container's root's.
    ignore_chown_errors: bool,
    top: OwnedFd,
    /// First copy of each file with several names, as the path of names from the top.
    links: HashMap<(u64, u64), Vec<CString>>,
}

impl Copier<'_> {
    fn directory(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        path: &mut Vec<CString>,
        depth: usize,
    ) -> io::Result<()> {
        if depth > DEPTH_MAX {
            let what = "copying a tree".to_owned();
            return Err(Error::Unsupported { what, why: "directories are nested too deep".to_owned() }.into());
        }
        let listing = match self.form {
            Form::Overlay => list(from)?,
            Form::Plain | Form::Layer => Listing { entries: list_plain(from)?, ..Listing::default() },
        };
        if listing.opaque {
            for (name, _) in list_plain(to)? {
                remove_at(to, &name)?;
            }
        }
        for name in &listing.hidden {
            remove_at(to, name)?;
        }
        for (name, stat) in &listing.entries {
            path.push(name.clone());
            self.entry(from, to, name, stat, path, depth)?;
            path.pop();
        }
        // Last: everything above changed the times.
        let stat = rustix::fs::fstat(from)?;
        self.own(to, &stat, path)?;
        rustix::fs::fchmod(to, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
        self.copy_xattrs(from, to)?;
        Ok(rustix::fs::futimens(to, &times(&stat))?)
    }

    fn entry(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        name: &CStr,
        stat: &Stat,
        path: &mut Vec<CString>,
        depth: usize,
    ) -> io::Result<()> {
        let kind = file_type(stat);
        if kind == FileType::Directory {
            let source = open_dir(from, name)?;
            let dest = match open_dir(to, name) {
                Ok(dest) => dest,
                Err(_) => {
                    remove_at(to, name)?;
                    rustix::fs::mkdirat(to, name, Mode::RWXU)?;
                    open_dir(to, name)?
                }
            };
            return self.directory(source.as_fd(), dest.as_fd(), path, depth + 1);
        }
        remove_at(to, name)?;
        if stat.st_nlink > 1 {
            if let Some(first) = self.links.get(&(stat.st_dev, stat.st_ino)) {
                let (last, way) = first.split_last().ok_or(io::ErrorKind::InvalidInput)?;
                let mut dir = self.top.try_clone()?;
                for name in way {
                    dir = open_dir(&dir, name)?;
                }
                return Ok(rustix::fs::linkat(&dir, last, to, name, AtFlags::empty())?);
            }
            self.links.insert((stat.st_dev, stat.st_ino), path.clone());
        }
        match kind {
            FileType::RegularFile => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                let source = rustix::fs::openat(from, name, flags, Mode::empty())?;
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let dest = rustix::fs::openat(to, name, flags, Mode::RUSR | Mode::WUSR)?;
                copy_content(&source, &dest)?;
                self.own(dest.as_fd(), stat, path)?;
                rustix::fs::fchmod(&dest, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
                self.copy_xattrs(source.as_fd(), dest.as_fd())?;
                return Ok(rustix::fs::futimens(&dest, &times(stat))?);
            }
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(from, name, Vec::new())?;
                rustix::fs::symlinkat(&target, to, name)?;
            }
            FileType::Fifo | FileType::Socket => {
                rustix::fs::mknodat(to, name, kind, Mode::from_raw_mode(stat.st_mode & 0o7777), 0)?;
                rustix::fs::chmodat(to, name, Mode::from_raw_mode(stat.st_mode & 0o7777), AtFlags::empty())?;
            }
            FileType::CharacterDevice if self.form == Form::Layer && is_whiteout(stat) => {
                return Ok(rustix::fs::mknodat(to, name, kind, Mode::empty(), 0)?);
            }
            FileType::CharacterDevice | FileType::BlockDevice | FileType::Unknown | FileType::Directory => {
                return Ok(());
            }
        }
        if let Some((uid, gid)) = self.owner(stat, path)? {
            rustix::fs::chownat(to, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
        }
        Ok(rustix::fs::utimensat(to, name, &times(stat), AtFlags::SYMLINK_NOFOLLOW)?)
    }

    fn own(&self, fd: BorrowedFd<'_>, stat: &Stat, path: &[CString]) -> io::Result<()> {
        if let Some((uid, gid)) = self.owner(stat, path)? {
            rustix::fs::fchown(fd, Some(uid), Some(gid))?;
        }
        Ok(())
    }

    /// The owner of a copy; `None` where we cannot give any.
    fn owner(&self, stat: &Stat, path: &[CString]) -> io::Result<Option<(Uid, Gid)>> {
        if !can_chown() {
            return Ok(None);
        }
        let Some(shift) = self.shift else {
            return Ok(Some((Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid))));
        };
        let unmapped = |kind, id: u32, ranges: &[IdRange]| -> io::Error {
            let entry = path.iter().map(|name| name.to_string_lossy()).collect::<Vec<_>>().join("/");
            let mapped = ranges
                .iter()
                .map(|range| format!("{}-{}", range.container, u64::from(range.container) + u64::from(range.size) - 1))
                .collect::<Vec<_>>()
                .join(", ");
            Error::UnmappedId { entry, kind, id: id.into(), mapped }.into()
        };
        let root = |id: Option<u32>| if self.ignore_chown_errors { id } else { None };
        let uid = shift.uid(stat.st_uid).or_else(|| root(shift.uid(0)));
        let gid = shift.gid(stat.st_gid).or_else(|| root(shift.gid(0)));
        let uid = uid.ok_or_else(|| unmapped("user", stat.st_uid, &shift.uids))?;
        let gid = gid.ok_or_else(|| unmapped("group", stat.st_gid, &shift.gids))?;
        Ok(Some((Uid::from_raw(uid), Gid::from_raw(gid))))
    }

    fn copy_xattrs(&self, from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
        let found = if self.form == Form::Layer { overlaid::raw_xattrs(from)? } else { overlaid::xattrs(from)? };
        for (name, value) in found {
            let Ok(name) = CString::new(name) else { continue };
            match rustix::fs::fsetxattr(to, &name, &value, XattrFlags::empty()) {
                Ok(()) | Err(Errno::OPNOTSUPP | Errno::PERM) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

fn copy_content(from: &OwnedFd, to: &OwnedFd) -> io::Result<()> {
    if rustix::fs::ioctl_ficlone(to, from).is_ok() {
        return Ok(());
    }
    loop {
        match rustix::fs::copy_file_range(from, None, to, None, 1 << 30) {
            Ok(0) => return Ok(()),
            Ok(_) | Err(Errno::INTR) => {}
            // Across file systems that do not know each other.
            Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => break,
            Err(error) => return Err(error.into()),
        }
    }
    let mut source = std::fs::File::from(from.try_clone()?);
    let mut dest = std::fs::File::from(to.try_clone()?);
    io::copy(&mut source, &mut dest).map(drop)
}

fn can_chown() -> bool {
    rustix::process::geteuid().is_root()
}

fn times(stat: &Stat) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: stat.st_atime, tv_nsec: i64::try_from(stat.st_atime_nsec).unwrap_or_default() },
        last_modification: Timespec {
            tv_sec: stat.st_mtime,
            tv_nsec: i64::try_from(stat.st_mtime_nsec).unwrap_or_default(),
        },
    }
}
