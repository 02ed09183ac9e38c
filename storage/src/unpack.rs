//! Writing the entries of a layer archive below one directory, in overlay's own form (whiteouts as character devices 0:0,
//! opaque directories by attribute; see the kernel's overlayfs.rst).
//!
//! The archive is hostile: every path is resolved by openat2(2) beneath the directory, the last component is never
//! followed, nothing is believed before it is bounded. Devices are not made: a user namespace has no right to them.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::io::BufRead;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags,
};
use rustix::io::Errno;

use crate::archive::{Archive, Entry, Kind, bad};
use crate::error::{At, Error, Result};
use crate::layers::{BYTES_SETTING, ENTRIES_SETTING, Limits};
use crate::remove::remove_at;

pub(crate) const OPAQUE: &CStr = c"user.overlay.opaque";
/// What overlay calls its own attributes with `userxattr`; a layer's are escaped as a nested overlay's are
/// (overlayfs.rst, "Nesting overlayfs mounts"), so that they are content and not orders to the mount.
pub(crate) const PRIVATE: &[u8] = b"user.overlay.";
pub(crate) const ESCAPED: &[u8] = b"user.overlay.overlay.";
/// fuse-overlayfs's own attributes: dropped.
pub(crate) const FUSE_PRIVATE: &[u8] = b"user.fuseoverlayfs.";
pub(crate) const WHITEOUT: &[u8] = b".wh.";
const OPAQUE_MARK: &[u8] = b".wh..wh..opq";
/// Open directories kept between entries.
const CACHED_DIRS: usize = 64;
/// Links followed in one path, as path_resolution(7).
const LINKS_MAX: usize = 40;
/// Bytes of directory names kept for their modification times.
const NAMES_MAX: usize = 256 << 20;

/// Which ids can own a file.
#[derive(Clone, Debug)]
pub(crate) enum Owners {
    /// One id only: everything is its.
    One,
    Mapped {
        uids: Vec<sys::userns::MapLine>,
        gids: Vec<sys::userns::MapLine>,
        /// Ids that are not mapped become 0.
        ignore: bool,
    },
}

impl Owners {
    /// What the user namespace we are in allows.
    pub(crate) fn here(ignore: bool) -> Result<Owners> {
        let uids = sys::userns::uid_map().at("cannot read", Path::new("/proc/self/uid_map"))?;
        let gids = sys::userns::gid_map().at("cannot read", Path::new("/proc/self/gid_map"))?;
        let count = |lines: &[sys::userns::MapLine]| lines.iter().map(|line| u64::from(line.count)).sum::<u64>();
        if count(&uids) <= 1 || count(&gids) <= 1 || rustix::process::geteuid().as_raw() != 0 {
            return Ok(Owners::One);
        }
        Ok(Owners::Mapped { uids, gids, ignore })
    }

    fn of(&self, entry: &Entry) -> Result<Option<(Uid, Gid)>> {
        let Owners::Mapped { uids, gids, ignore } = self else { return Ok(None) };
        let uid = mapped(entry, "user", entry.uid, uids, *ignore)?;
        let gid = mapped(entry, "group", entry.gid, gids, *ignore)?;
        Ok(Some((Uid::from_raw(uid), Gid::from_raw(gid))))
    }
}

fn mapped(entry: &Entry, kind: &'static str, id: u64, map: &[sys::userns::MapLine], ignore: bool) -> Result<u32> {
    if let Ok(id) = u32::try_from(id)
        && map.iter().any(|line| id >= line.inside && id - line.inside < line.count)
    {
        return Ok(id);
    }
    if ignore {
        return Ok(0);
    }
    let mapped = map
        .iter()
        .map(|line| format!("{}-{}", line.inside, u64::from(line.inside) + u64::from(line.count) - 1))
        .collect::<Vec<_>>()
        .join(", ");
    Err(Error::UnmappedId { entry: text(&entry.path), kind, id, mapped })
}

/// How a layer hides what is below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whiteouts {
    /// As the kernel's overlay does it.
    Devices,
    /// Some as files `.wh.NAME`, which only fuse-overlayfs understands: the file system takes no such devices, as another
    /// overlay does not.
    Files,
}

/// Unpacks a whole archive into `root`, which is empty and nobody else's. `below` are the layers beneath, top-most
/// first: a directory that the archive uses without naming it looks like theirs.
pub(crate) fn unpack<R: BufRead>(
    input: R,
    root: OwnedFd,
    root_path: &Path,
    below: &[PathBuf],
    owners: &Owners,
    limits: &Limits,
) -> Result<Whiteouts> {
    let mut unpacker = Unpacker {
        root: Rc::new(root),
        root_path,
        below,
        owners,
        limits,
        dirs: HashMap::new(),
        times: Vec::new(),
        hidden: Vec::new(),
        names_bytes: 0,
        written: 0,
        root_named: false,
    };
    let mut archive = Archive::new(input);
    let mut entries = 0u64;
    while let Some(entry) = archive.next()? {
        entries += 1;
        if entries > limits.max_entries {
            let what = "the number of entries in a layer";
            return Err(Error::Limit { what, limit: limits.max_entries, setting: ENTRIES_SETTING });
        }
        unpacker.take(&entry, &mut archive).map_err(|error| name_entry(error, &entry))?;
    }
    unpacker.finish()
}

/// Puts the entry's name to an error that was made where only the stream was known.
fn name_entry(error: Error, entry: &Entry) -> Error {
    match error {
        Error::BadArchive { entry: name, why } if name.is_empty() => {
            Error::BadArchive { entry: text(&entry.path), why }
        }
        other => other,
    }
}

struct Unpacker<'a> {
    root: Rc<OwnedFd>,
    root_path: &'a Path,
    below: &'a [PathBuf],
    owners: &'a Owners,
    limits: &'a Limits,
    /// Directories by their clean path. Emptied whenever something is removed: a link may have changed a meaning.
    dirs: HashMap<Vec<u8>, Rc<OwnedFd>>,
    /// Modification times of directories, set when nothing is written into them any more.
    times: Vec<(Vec<u8>, (i64, u32))>,
    /// Names in directories for which no whiteout could be made. Files take their place at the end, when it is known what
    /// else the archive has of that name.
    hidden: Vec<(Vec<u8>, CString)>,
    /// What those names take.
    names_bytes: usize,
    written: u64,
    root_named: bool,
}

impl Unpacker<'_> {
    fn take<R: BufRead>(&mut self, entry: &Entry, archive: &mut Archive<R>) -> Result<()> {
        let path = clean(&entry.path)?;
        let Some((parent, name)) = split(&path) else {
            return match entry.kind {
                Kind::Directory => {
                    self.root_named = true;
                    let root = self.root.clone();
                    self.directory_attributes(root.as_fd(), entry)?;
                    self.remember_time(path, entry.mtime)
                }
                _ => Err(bad(&text(&entry.path), "the root of a layer must be a directory")),
            };
        };
        if name == OPAQUE_MARK {
            let dir = self.open_parent(parent)?;
            return self.make_opaque(dir.as_fd(), parent);
        }
        if let Some(hidden) = name.strip_prefix(WHITEOUT) {
            // Other names with two marks are aufs's own bookkeeping.
            return if hidden.starts_with(WHITEOUT) { Ok(()) } else { self.whiteout(parent, hidden, entry) };
        }
        if matches!(entry.kind, Kind::Device | Kind::Unknown(_)) {
            tracing::debug!(path = %text(&entry.path), "device or unknown entry passed over");
            return Ok(());
        }
        let dir = self.open_parent(parent)?;
        let name = &CString::new(name).map_err(|_| bad(&text(&entry.path), "a name with a zero byte"))?;
        match entry.kind {
            Kind::Directory => self.directory(dir.as_fd(), name, path, entry),
            Kind::File => self.file(dir.as_fd(), name, entry, archive),
            Kind::Symlink => {
                let target = CString::new(entry.link.as_slice())
                    .ok()
                    .filter(|target| !target.is_empty())
                    .ok_or_else(|| bad(&text(&entry.path), "a symbolic link to nowhere"))?;
                self.replacing(dir.as_fd(), name, entry, |dir| rustix::fs::symlinkat(&target, dir, name))?;
                self.name_attributes(dir.as_fd(), name, entry)
            }
            Kind::HardLink => self.hard_link(dir.as_fd(), name, entry),
            Kind::Fifo => {
                self.replacing(dir.as_fd(), name, entry, |dir| {
                    rustix::fs::mknodat(dir, name, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
                })?;
                rustix::fs::chmodat(&dir, name, Mode::from_bits_truncate(entry.mode), AtFlags::empty())
                    .map_err(|error| self.refused("cannot change the mode of", entry, error))?;
                self.name_attributes(dir.as_fd(), name, entry)
            }
            Kind::Device | Kind::Unknown(_) => Ok(()),
        }
    }

    fn finish(mut self) -> Result<Whiteouts> {
        if !self.root_named {
            let root = self.root.clone();
            self.like_below(root.as_fd(), b"")?;
        }
        let hidden = std::mem::take(&mut self.hidden);
        let whiteouts = if hidden.is_empty() { Whiteouts::Devices } else { Whiteouts::Files };
        for (parent, name) in hidden {
            self.hide(&parent, &name)?;
        }
        for (path, mtime) in std::mem::take(&mut self.times) {
            let times = timestamps(mtime);
            let done = match split(&path) {
                None => rustix::fs::futimens(&self.root, &times),
                Some((parent, name)) => match self.resolve(parent) {
                    Ok(dir) => rustix::fs::utimensat(dir, name, &times, AtFlags::SYMLINK_NOFOLLOW),
                    Err(error) => Err(error),
                },
            };
            match done {
                // It was replaced by a later entry.
                Ok(()) | Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                Err(error) => return Err(Error::io("cannot set the times of", &self.shown(&path), error)),
            }
        }
        Ok(whiteouts)
    }

    /// Hides what is below a name without a device: where the archive has something of that name itself, by that.
    fn hide(&self, parent: &[u8], name: &CStr) -> Result<()> {
        let path = [parent, b"/", name.to_bytes()].concat();
        let failed = |error: Errno| Error::io("cannot create the whiteout", &self.shown(&path), error);
        let dir = match self.resolve(parent) {
            Ok(dir) => dir,
            // The directory was replaced by a later entry.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
            Err(error) => return Err(failed(error)),
        };
        match rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) if file_type(&found) == FileType::Directory => {
                let fd = open_dir(dir.as_fd(), name).map_err(failed)?;
                self.make_opaque(fd.as_fd(), &path)
            }
            Ok(_) => Ok(()),
            Err(Errno::NOENT) => {
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                rustix::fs::openat(&dir, [WHITEOUT, name.to_bytes()].concat(), flags, Mode::empty())
                    .map(drop)
                    .map_err(failed)
            }
            Err(error) => Err(failed(error)),
        }
    }

    fn directory(&mut self, dir: BorrowedFd<'_>, name: &CStr, path: Vec<u8>, entry: &Entry) -> Result<()> {
        let mut hides = false;
        let made = rustix::fs::mkdirat(dir, name, Mode::RWXU);
        if made == Err(Errno::EXIST) {
            let found = stat(dir, name).map_err(|error| self.refused("cannot stat", entry, error))?;
            if file_type(&found) != FileType::Directory {
                // The archive hides what is below first and then makes it anew.
                hides = is_whiteout(&found);
                self.remove(dir, name, entry)?;
                rustix::fs::mkdirat(dir, name, Mode::RWXU)
                    .map_err(|error| self.refused("cannot create", entry, error))?;
            }
        } else {
            made.map_err(|error| self.refused("cannot create", entry, error))?;
        }
        let fd = open_dir(dir, name).map_err(|error| self.refused("cannot open", entry, error))?;
        self.directory_attributes(fd.as_fd(), entry)?;
        if hides {
            self.make_opaque(fd.as_fd(), &path)?;
        }
        self.remember_time(path.clone(), entry.mtime)?;
        self.cache(path, Rc::new(fd));
        Ok(())
    }

    fn file<R: BufRead>(
        &mut self,
        dir: BorrowedFd<'_>,
        name: &CStr,
        entry: &Entry,
        archive: &mut Archive<R>,
    ) -> Result<()> {
        self.written = self.written.saturating_add(entry.size);
        if self.written > self.limits.max_bytes {
            let what = "the unpacked size of a layer";
            return Err(Error::Limit { what, limit: self.limits.max_bytes, setting: BYTES_SETTING });
        }
        let fd = self.replacing(dir, name, entry, |dir| {
            rustix::fs::openat(
                dir,
                name,
                OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                Mode::RUSR | Mode::WUSR,
            )
        })?;
        match &entry.pieces {
            None => self.copy(&fd, entry, entry.size, archive)?,
            Some(pieces) => {
                for (offset, length) in pieces {
                    rustix::fs::seek(&fd, rustix::fs::SeekFrom::Start(*offset))
                        .map_err(|error| self.refused("cannot write", entry, error))?;
                    self.copy(&fd, entry, *length, archive)?;
                }
                rustix::fs::ftruncate(&fd, entry.size).map_err(|error| self.refused("cannot write", entry, error))?;
            }
        }
        // Owner first: chown(2) takes set-id bits and capabilities away.
        self.own(fd.as_fd(), entry)?;
        rustix::fs::fchmod(&fd, Mode::from_bits_truncate(entry.mode))
            .map_err(|error| self.refused("cannot change the mode of", entry, error))?;
        self.xattrs(fd.as_fd(), entry)?;
        rustix::fs::futimens(&fd, &timestamps(entry.mtime))
            .map_err(|error| self.refused("cannot set the times of", entry, error))
    }

    fn copy<R: BufRead>(&self, fd: &OwnedFd, entry: &Entry, length: u64, archive: &mut Archive<R>) -> Result<()> {
        let mut rest = length;
        while rest > 0 {
            let Some(data) = archive.data(rest)? else {
                return Err(bad(&text(&entry.path), "the archive has less data than it says"));
            };
            match rustix::io::write(fd, data) {
                Ok(count) => {
                    archive.consume(count);
                    rest -= count as u64;
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(self.refused("cannot write", entry, error)),
            }
        }
        Ok(())
    }

    fn hard_link(&mut self, dir: BorrowedFd<'_>, name: &CStr, entry: &Entry) -> Result<()> {
        let target = clean(&entry.link)?;
        let refused = |why: &str| bad(&text(&entry.path), &format!("a hard link to {:?}: {why}", text(&entry.link)));
        let (parent, target_name) = split(&target).ok_or_else(|| refused("that is the root"))?;
        let target_name = CString::new(target_name).map_err(|_| refused("a name with a zero byte"))?;
        let not_there = || refused("it is not in this layer");
        let target_dir = match self.dirs.get(parent) {
            Some(dir) => dir.clone(),
            None => Rc::new(self.resolve(parent).map_err(|_| not_there())?),
        };
        let found = stat(target_dir.as_fd(), &target_name).map_err(|_| not_there())?;
        if file_type(&found) == FileType::Directory {
            return Err(refused("that is a directory"));
        }
        if is_whiteout(&found) {
            return Err(not_there());
        }
        if let Ok(there) = stat(dir, name)
            && (there.st_ino, there.st_dev) == (found.st_ino, found.st_dev)
        {
            // Already that file: to remove the old name first could lose the only one.
            return Ok(());
        }
        self.replacing(dir, name, entry, |dir| {
            rustix::fs::linkat(&target_dir, &target_name, dir, name, AtFlags::empty())
        })
    }

    fn whiteout(&mut self, parent: &[u8], hidden: &[u8], entry: &Entry) -> Result<()> {
        if hidden.is_empty() || hidden == b"." || hidden == b".." {
            return Err(bad(&text(&entry.path), "a whiteout of no name"));
        }
        let dir = self.open_parent(parent)?;
        let name = CString::new(hidden).map_err(|_| bad(&text(&entry.path), "a name with a zero byte"))?;
        match rustix::fs::mknodat(&dir, &name, FileType::CharacterDevice, Mode::empty(), 0) {
            Ok(()) => Ok(()),
            // The archive has that name already: what it has wins, only what is below goes.
            Err(Errno::EXIST) => {
                let found = stat(dir.as_fd(), &name).map_err(|error| self.refused("cannot stat", entry, error))?;
                if file_type(&found) != FileType::Directory {
                    return Ok(());
                }
                let fd = open_dir(dir.as_fd(), &name).map_err(|error| self.refused("cannot open", entry, error))?;
                let shown = [parent, b"/", hidden].concat();
                self.make_opaque(fd.as_fd(), &shown)
            }
            Err(Errno::PERM) => {
                self.count_name(parent.len() + hidden.len())?;
                self.hidden.push((parent.to_owned(), name));
                Ok(())
            }
            Err(error) => Err(self.refused("cannot create the whiteout", entry, error)),
        }
    }

    fn make_opaque(&self, dir: BorrowedFd<'_>, path: &[u8]) -> Result<()> {
        rustix::fs::fsetxattr(dir, OPAQUE, b"y", XattrFlags::empty()).map_err(|error| match error {
            Errno::OPNOTSUPP => Error::Unsupported {
                what: "an opaque directory".to_owned(),
                why: "the file system of the store has no user extended attributes".to_owned(),
            },
            error => Error::io("cannot make opaque", &self.shown(path), error),
        })
    }

    /// Makes something at a name, in the place of what the archive put there before.
    fn replacing<T>(
        &mut self,
        dir: BorrowedFd<'_>,
        name: &CStr,
        entry: &Entry,
        make: impl Fn(BorrowedFd<'_>) -> rustix::io::Result<T>,
    ) -> Result<T> {
        match make(dir) {
            Err(Errno::EXIST) => {
                self.remove(dir, name, entry)?;
                make(dir).map_err(|error| self.refused("cannot create", entry, error))
            }
            other => other.map_err(|error| self.refused("cannot create", entry, error)),
        }
    }

    fn remove(&mut self, dir: BorrowedFd<'_>, name: &CStr, entry: &Entry) -> Result<()> {
        self.dirs.clear();
        remove_at(dir, name).at("cannot replace", &self.shown(&entry.path))
    }

    fn directory_attributes(&self, fd: BorrowedFd<'_>, entry: &Entry) -> Result<()> {
        self.own(fd, entry)?;
        rustix::fs::fchmod(fd, Mode::from_bits_truncate(entry.mode))
            .map_err(|error| self.refused("cannot change the mode of", entry, error))?;
        self.xattrs(fd, entry)
    }

    /// Owner and times of what cannot be opened for it.
    fn name_attributes(&self, dir: BorrowedFd<'_>, name: &CStr, entry: &Entry) -> Result<()> {
        if let Some((uid, gid)) = self.owners.of(entry)? {
            rustix::fs::chownat(dir, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
                .map_err(|error| self.refused("cannot change the owner of", entry, error))?;
        }
        rustix::fs::utimensat(dir, name, &timestamps(entry.mtime), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| self.refused("cannot set the times of", entry, error))
    }

    fn own(&self, fd: BorrowedFd<'_>, entry: &Entry) -> Result<()> {
        let Some((uid, gid)) = self.owners.of(entry)? else { return Ok(()) };
        // Even for 0:0: a directory with the set-group-id bit hands its group down.
        rustix::fs::fchown(fd, Some(uid), Some(gid))
            .map_err(|error| self.refused("cannot change the owner of", entry, error))
    }

    fn xattrs(&self, fd: BorrowedFd<'_>, entry: &Entry) -> Result<()> {
        for (name, value) in &entry.xattrs {
            let name = match name.strip_prefix(PRIVATE) {
                Some(rest) => [ESCAPED, rest].concat(),
                None if name.starts_with(FUSE_PRIVATE) => continue,
                None if name.starts_with(b"user.") || name == b"security.capability" => name.clone(),
                // Labels and ACLs of another system's ids.
                None => continue,
            };
            let Ok(name) = CString::new(name) else { continue };
            match rustix::fs::fsetxattr(fd, &name, value, XattrFlags::empty()) {
                Ok(()) => {}
                Err(Errno::OPNOTSUPP | Errno::PERM | Errno::INVAL) => {
                    tracing::debug!(path = %text(&entry.path), attribute = ?name, "extended attribute not kept");
                }
                // ext4 says ENOSPC for one that does not fit beside its inode.
                Err(Errno::NOSPC | Errno::TOOBIG | Errno::RANGE) => {
                    let what =
                        format!("the extended attribute {name:?} of {} bytes on {}", value.len(), text(&entry.path));
                    let why = "the file system of the store has no room for it".to_owned();
                    return Err(Error::Unsupported { what, why });
                }
                Err(error) => return Err(self.refused("cannot set an extended attribute of", entry, error)),
            }
        }
        Ok(())
    }

    fn remember_time(&mut self, path: Vec<u8>, mtime: (i64, u32)) -> Result<()> {
        self.count_name(path.len())?;
        self.times.push((path, mtime));
        Ok(())
    }

    /// Refuses an archive that makes us keep too many names, of `length` bytes each.
    fn count_name(&mut self, length: usize) -> Result<()> {
        self.names_bytes += length + 64;
        if self.names_bytes > NAMES_MAX {
            let what = "the memory for the directories of a layer";
            return Err(Error::Limit { what, limit: NAMES_MAX as u64, setting: ENTRIES_SETTING });
        }
        Ok(())
    }

    fn cache(&mut self, path: Vec<u8>, dir: Rc<OwnedFd>) {
        if self.dirs.len() >= CACHED_DIRS {
            self.dirs.clear();
        }
        self.dirs.insert(path, dir);
    }

    /// The directory an entry goes into, made if the archive did not bother to.
    fn open_parent(&mut self, path: &[u8]) -> Result<Rc<OwnedFd>> {
        if path.is_empty() {
            return Ok(self.root.clone());
        }
        if let Some(dir) = self.dirs.get(path) {
            return Ok(dir.clone());
        }
        let dir = match self.resolve(path) {
            Ok(dir) => dir,
            // Missing, or hidden a moment ago.
            Err(Errno::NOENT | Errno::NOTDIR) => self.make_path(path)?,
            Err(error) => return Err(self.bad_path(path, error)),
        };
        let dir = Rc::new(dir);
        self.cache(path.to_owned(), dir.clone());
        Ok(dir)
    }

    /// Resolves a directory as a process with this root directory would.
    fn resolve(&self, path: &[u8]) -> rustix::io::Result<OwnedFd> {
        let path = if path.is_empty() { b".".as_slice() } else { path };
        resolve_in(self.root.as_fd(), path)
    }

    /// Walks a path component by component and makes what is missing. A link is taken apart here, not by the kernel.
    fn make_path(&mut self, path: &[u8]) -> Result<OwnedFd> {
        let mut todo: Vec<Vec<u8>> = path.split(|byte| *byte == b'/').rev().map(<[u8]>::to_owned).collect();
        let mut way: Vec<(Vec<u8>, Rc<OwnedFd>)> = Vec::new();
        let mut links = 0;
        while let Some(component) = todo.pop() {
            match component.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    way.pop();
                    continue;
                }
                _ => {}
            }
            let here = way.last().map_or_else(|| self.root.clone(), |(_, dir)| dir.clone());
            let refused = |error| self.bad_path(path, error);
            let name = CString::new(component.as_slice()).map_err(|_| refused(Errno::INVAL))?;
            let next = match open_dir(here.as_fd(), &name) {
                Ok(next) => next,
                Err(Errno::NOENT) => {
                    rustix::fs::mkdirat(&here, &name, Mode::RWXU).map_err(refused)?;
                    let next = open_dir(here.as_fd(), &name).map_err(refused)?;
                    let parent = way.iter().map(|(name, _)| name.as_slice()).collect::<Vec<_>>().join(&b'/');
                    self.like_below(next.as_fd(), &[&parent, b"/".as_slice(), &component].concat())?;
                    next
                }
                Err(Errno::NOTDIR | Errno::LOOP) => {
                    let found = stat(here.as_fd(), &name).map_err(refused)?;
                    links += 1;
                    if is_whiteout(&found) {
                        let shown = Entry { path: path.to_owned(), ..Entry::default() };
                        self.remove(here.as_fd(), &name, &shown)?;
                        rustix::fs::mkdirat(&here, &name, Mode::RWXU).map_err(|error| self.bad_path(path, error))?;
                        let next = open_dir(here.as_fd(), &name).map_err(|error| self.bad_path(path, error))?;
                        rustix::fs::fchmod(&next, Mode::from_bits_truncate(0o755))
                            .map_err(|error| self.bad_path(path, error))?;
                        self.make_opaque(next.as_fd(), path)?;
                        way.push((component, Rc::new(next)));
                        continue;
                    }
                    if file_type(&found) != FileType::Symlink || links > LINKS_MAX {
                        return Err(refused(Errno::NOTDIR));
                    }
                    let target = rustix::fs::readlinkat(&here, &name, Vec::new()).map_err(refused)?.into_bytes();
                    if target.starts_with(b"/") {
                        way.clear();
                    }
                    todo.extend(target.split(|byte| *byte == b'/').rev().map(<[u8]>::to_owned));
                    continue;
                }
                Err(error) => return Err(refused(error)),
            };
            way.push((component, Rc::new(next)));
        }
        match way.pop() {
            Some((_, dir)) => {
                drop(way);
                Rc::try_unwrap(dir).or_else(|dir| dir.try_clone()).at("cannot open", &self.shown(path))
            }
            None => self.root.try_clone().at("cannot open", &self.shown(path)),
        }
    }

    /// Gives a directory that the archive did not describe the looks of the one it will cover.
    fn like_below(&self, fd: BorrowedFd<'_>, path: &[u8]) -> Result<()> {
        let shown = self.shown(path);
        let relative = path.strip_prefix(b"/").unwrap_or(path);
        let relative = if relative.is_empty() { b".".as_slice() } else { relative };
        for layer in self.below {
            let Ok(root) = rustix::fs::open(layer, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            else {
                continue;
            };
            let Ok(dir) = resolve_in(root.as_fd(), relative) else { continue };
            let like = rustix::fs::fstat(&dir).at("cannot stat", &shown)?;
            if matches!(self.owners, Owners::Mapped { .. }) {
                rustix::fs::fchown(fd, Some(Uid::from_raw(like.st_uid)), Some(Gid::from_raw(like.st_gid)))
                    .at("cannot change the owner of", &shown)?;
            }
            return rustix::fs::fchmod(fd, Mode::from_raw_mode(like.st_mode & 0o7777))
                .at("cannot change the mode of", &shown);
        }
        rustix::fs::fchmod(fd, Mode::from_bits_truncate(0o755)).at("cannot change the mode of", &shown)
    }

    fn bad_path(&self, path: &[u8], error: Errno) -> Error {
        match error {
            Errno::NOTDIR => bad(&text(path), "its path goes through something that is no directory"),
            Errno::LOOP => bad(&text(path), "its path goes through too many symbolic links"),
            Errno::NAMETOOLONG => bad(&text(path), "its path is too long"),
            Errno::XDEV => bad(&text(path), "its path leaves the layer"),
            error => Error::io("cannot open", &self.shown(path), error),
        }
    }

    fn refused(&self, action: &'static str, entry: &Entry, error: Errno) -> Error {
        match error {
            Errno::NAMETOOLONG => bad(&text(&entry.path), "a name or target is too long"),
            Errno::FBIG => bad(&text(&entry.path), "it is larger than a file can be"),
            error => Error::io(action, &self.shown(&entry.path), error),
        }
    }

    fn shown(&self, path: &[u8]) -> PathBuf {
        let mut shown = self.root_path.as_os_str().to_owned();
        shown.push("/");
        shown.push(text(path.strip_prefix(b"/").unwrap_or(path)));
        PathBuf::from(shown)
    }
}

/// The components of an archive's name joined by single slashes, without a leading one; empty for the root.
fn clean(path: &[u8]) -> Result<Vec<u8>> {
    let mut clean = Vec::with_capacity(path.len());
    for component in path.split(|byte| *byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." => return Err(bad(&text(path), "its path goes up")),
            name => {
                if name.contains(&0) {
                    return Err(bad(&text(path), "a name with a zero byte"));
                }
                if !clean.is_empty() {
                    clean.push(b'/');
                }
                clean.extend_from_slice(name);
            }
        }
    }
    Ok(clean)
}

/// Parent and last component of a clean path.
fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.is_empty() {
        return None;
    }
    Some(match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    })
}

fn text(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

fn timestamps((seconds, nanoseconds): (i64, u32)) -> Timestamps {
    let nanoseconds = i64::from(nanoseconds);
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: seconds, tv_nsec: nanoseconds },
    }
}

fn stat(dir: BorrowedFd<'_>, name: &CStr) -> rustix::io::Result<Stat> {
    rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)
}

pub(crate) fn file_type(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// Character device 0:0.
pub(crate) fn is_whiteout(stat: &Stat) -> bool {
    file_type(stat) == FileType::CharacterDevice && stat.st_rdev == 0
}

fn open_dir(dir: BorrowedFd<'_>, name: &CStr) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat(
        dir,
        name,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )
}

/// openat2(2) answers EAGAIN when a rename anywhere made `..` uncertain.
fn resolve_in(root: BorrowedFd<'_>, path: &[u8]) -> rustix::io::Result<OwnedFd> {
    for _ in 0..64 {
        match rustix::fs::openat2(
            root,
            path,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV,
        ) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other,
        }
    }
    Err(Errno::AGAIN)
}
