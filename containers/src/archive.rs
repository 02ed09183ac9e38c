//! tar streams out of and into a directory tree, everything resolved beneath the tree's root: what a container holds may be
//! hostile, and what a stream says may be too.

use std::collections::HashMap;
use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, RenameFlags, ResolveFlags, Stat, Timespec, Timestamps, Uid,
};
use rustix::io::Errno;

use crate::spec::IdMap;

/// Directories nested deeper than this are refused: each level holds a descriptor.
pub(crate) const DEPTH_MAX: usize = 512;
/// How a path is resolved: links as if the tree's root were `/`.
const IN_ROOT: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS);

/// Ids inside of a container and those of the user namespace we are in. Empty maps change nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ids {
    pub(crate) uids: Vec<IdMap>,
    pub(crate) gids: Vec<IdMap>,
}

impl Ids {
    pub(crate) fn inside(maps: &[IdMap], id: u32) -> u32 {
        let found = maps.iter().find(|map| id >= map.host && id - map.host < map.size);
        found.map_or(id, |map| map.container + (id - map.host))
    }

    pub(crate) fn outside(maps: &[IdMap], id: u32) -> u32 {
        let found = maps.iter().find(|map| id >= map.container && id - map.container < map.size);
        found.map_or(id, |map| map.host + (id - map.container))
    }
}

/// How a stream is unpacked.
#[derive(Clone, Debug, Default)]
pub struct CopyOptions {
    /// Owner of everything, ids of the container; `None` keeps what the stream says.
    pub owner: Option<(u32, u32)>,
    /// A directory may replace a file, and a file a directory.
    pub overwrite: bool,
}

/// Opens a path of the tree, links followed.
pub(crate) fn open(root: BorrowedFd<'_>, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    loop {
        match rustix::fs::openat2(root, relative(path), flags | OFlags::CLOEXEC, Mode::empty(), IN_ROOT) {
            Ok(opened) => return Ok(opened),
            // Something was renamed meanwhile.
            Err(Errno::AGAIN) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// `.` for the root itself.
fn relative(path: &Path) -> &Path {
    let path = path.strip_prefix("/").unwrap_or(path);
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

/// Writes the file or tree at `path` as a stream whose first name is `name`; with an empty one, what is in the directory.
pub(crate) fn pack(root: BorrowedFd<'_>, path: &Path, name: &Path, ids: &Ids, out: &mut dyn Write) -> io::Result<()> {
    let top = open(root, path, OFlags::PATH)?;
    let stat = rustix::fs::fstat(&top)?;
    let mut packer = Packer { tar: tar::Builder::new(out), ids, links: HashMap::new() };
    if file_type(&stat) == FileType::Directory {
        let dir = open(root, path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        if !name.as_os_str().is_empty() {
            packer.header_only(name, &stat, tar::EntryType::Directory)?;
        }
        packer.directory(dir, &mut name.to_owned(), 0)?;
    } else if file_type(&stat) == FileType::RegularFile {
        let file = open(root, path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?;
        packer.file(file, name, &stat)?;
    } else {
        packer.special(name, &stat)?;
    }
    packer.tar.finish()
}

struct Packer<'a> {
    tar: tar::Builder<&'a mut dyn Write>,
    ids: &'a Ids,
    /// First name of each file with several.
    links: HashMap<(u64, u64), PathBuf>,
}

impl Packer<'_> {
    fn directory(&mut self, dir: OwnedFd, path: &mut PathBuf, depth: usize) -> io::Result<()> {
        if depth > DEPTH_MAX {
            return Err(io::Error::other("directories are nested too deep"));
        }
        for name in names(dir.as_fd())? {
            let stat = match rustix::fs::statat(&dir, &name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                // Gone meanwhile.
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(error.into()),
            };
            path.push(OsStr::from_bytes(name.to_bytes()));
            let nofollow = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
            match file_type(&stat) {
                FileType::Directory => {
                    let below = rustix::fs::openat(&dir, &name, nofollow | OFlags::DIRECTORY, Mode::empty())?;
                    self.header_only(path, &stat, tar::EntryType::Directory)?;
                    self.directory(below, path, depth + 1)?;
                }
                FileType::RegularFile => {
                    let key = (stat.st_dev, stat.st_ino);
                    match self.links.get(&key) {
                        Some(first) if stat.st_nlink > 1 => {
                            let first = first.clone();
                            let mut header = self.header(&stat, tar::EntryType::Link);
                            header.set_size(0);
                            self.tar.append_link(&mut header, &*path, first)?;
                        }
                        _ => {
                            let file = rustix::fs::openat(&dir, &name, nofollow, Mode::empty())?;
                            self.file(file, path, &stat)?;
                            if stat.st_nlink > 1 {
                                self.links.insert(key, path.clone());
                            }
                        }
                    }
                }
                FileType::Symlink => {
                    let target = rustix::fs::readlinkat(&dir, &name, Vec::new())?;
                    let mut header = self.header(&stat, tar::EntryType::Symlink);
                    header.set_size(0);
                    self.tar.append_link(&mut header, &*path, OsStr::from_bytes(target.to_bytes()))?;
                }
                _ => self.special(path, &stat)?,
            }
            path.pop();
        }
        Ok(())
    }

    fn file(&mut self, file: OwnedFd, path: &Path, stat: &Stat) -> io::Result<()> {
        let size = u64::try_from(stat.st_size).unwrap_or_default();
        let mut header = self.header(stat, tar::EntryType::Regular);
        header.set_size(size);
        // A file that shrinks or grows meanwhile must not shift what follows.
        let content = File::from(file).take(size).chain(io::repeat(0)).take(size);
        self.tar.append_data(&mut header, path, content)
    }

    fn header_only(&mut self, path: &Path, stat: &Stat, kind: tar::EntryType) -> io::Result<()> {
        let mut header = self.header(stat, kind);
        header.set_size(0);
        // A directory's name ends with a slash, as every tar has it.
        let path = if kind == tar::EntryType::Directory { &path.join("") } else { path };
        self.tar.append_data(&mut header, path, io::empty())
    }

    /// Devices and pipes; sockets are nothing to anybody but their server.
    fn special(&mut self, path: &Path, stat: &Stat) -> io::Result<()> {
        let kind = match file_type(stat) {
            FileType::Fifo => tar::EntryType::Fifo,
            FileType::CharacterDevice => tar::EntryType::Char,
            FileType::BlockDevice => tar::EntryType::Block,
            _ => return Ok(()),
        };
        let mut header = self.header(stat, kind);
        header.set_size(0);
        header.set_device_major(rustix::fs::major(stat.st_rdev))?;
        header.set_device_minor(rustix::fs::minor(stat.st_rdev))?;
        self.tar.append_data(&mut header, path, io::empty())
    }

    fn header(&self, stat: &Stat, kind: tar::EntryType) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(stat.st_mode & 0o7777);
        header.set_uid(Ids::inside(&self.ids.uids, stat.st_uid).into());
        header.set_gid(Ids::inside(&self.ids.gids, stat.st_gid).into());
        header.set_mtime(u64::try_from(stat.st_mtime).unwrap_or_default());
        header
    }
}

/// Unpacks a stream below the directory `dest` of the tree.
pub(crate) fn unpack(
    root: BorrowedFd<'_>,
    dest: &Path,
    ids: &Ids,
    options: &CopyOptions,
    input: &mut dyn Read,
) -> io::Result<()> {
    let mut archive = tar::Archive::new(input);
    let unpacker = Unpacker { root, dest, ids, options };
    // Directories get their times last, when nothing more is written into them.
    let mut directories: Vec<(PathBuf, u64)> = Vec::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = inner_path(&entry.path()?);
        let header = entry.header().clone();
        let kind = header.entry_type();
        let time = header.mtime().unwrap_or_default();
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        match kind {
            tar::EntryType::Directory => {
                let is_own = unpacker.directory(&path, &header).map_err(named)?;
                directories.extend(is_own.then_some((path, time)));
            }
            tar::EntryType::Regular | tar::EntryType::Continuous | tar::EntryType::GNUSparse => {
                unpacker.file(&path, &header, &mut entry).map_err(named)?;
            }
            tar::EntryType::Symlink | tar::EntryType::Link => {
                let target = entry.link_name()?.ok_or_else(|| named(io::ErrorKind::InvalidData.into()))?.into_owned();
                match kind {
                    tar::EntryType::Symlink => unpacker.symlink(&path, &target, &header).map_err(named)?,
                    _ => unpacker.link(&path, &inner_path(&target)).map_err(named)?,
                }
            }
            tar::EntryType::Fifo | tar::EntryType::Char | tar::EntryType::Block => {
                unpacker.node(&path, &header).map_err(named)?;
            }
            // Of the format itself.
            _ => {}
        }
    }
    for (path, time) in directories {
        // Not one descriptor for each: there may be more than a process can have. What a program in the container put
        // in its place meanwhile is that program's.
        match open(root, &dest.join(path), OFlags::RDONLY | OFlags::DIRECTORY) {
            Ok(dir) => rustix::fs::futimens(&dir, &times(time))?,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Makes a directory of the tree and those above it, where they are missing.
pub(crate) fn make_directories(root: BorrowedFd<'_>, path: &Path, ids: &Ids, options: &CopyOptions) -> io::Result<()> {
    Unpacker { root, dest: Path::new("/"), ids, options }.make_directories(path).map(drop)
}

/// Writes one file, directory or link of the tree.
pub(crate) fn put(
    root: BorrowedFd<'_>,
    path: &Path,
    ids: &Ids,
    header: &tar::Header,
    target: &Path,
    content: &mut dyn Read,
) -> io::Result<()> {
    let options = CopyOptions::default();
    let unpacker = Unpacker { root, dest: Path::new("/"), ids, options: &options };
    let path = inner_path(path);
    match header.entry_type() {
        tar::EntryType::Directory => unpacker.directory(&path, header).map(|_| ()),
        tar::EntryType::Symlink => unpacker.symlink(&path, target, header),
        _ => unpacker.file(&path, header, content),
    }
}

/// A name of the stream without what leads out of it.
fn inner_path(path: &Path) -> PathBuf {
    crate::volumes::clean(path).strip_prefix("/").map(Path::to_owned).unwrap_or_default()
}

struct Unpacker<'a> {
    root: BorrowedFd<'a>,
    dest: &'a Path,
    ids: &'a Ids,
    options: &'a CopyOptions,
}

impl Unpacker<'_> {
    /// The directory a name is in, made if it is missing, and the name.
    fn place(&self, path: &Path) -> io::Result<(OwnedFd, CString)> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidData)?;
        let parent = self.dest.join(path.parent().unwrap_or(Path::new("")));
        Ok((self.make_directories(&parent)?, CString::new(name.as_bytes())?))
    }

    fn make_directories(&self, path: &Path) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match open(self.root, path, flags) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => return other,
        }
        let mut made = PathBuf::new();
        for component in path.components() {
            let Component::Normal(name) = component else { continue };
            let dir = open(self.root, &made, flags)?;
            match rustix::fs::mkdirat(&dir, name, Mode::from_raw_mode(0o755)) {
                Ok(()) => {
                    let fresh = rustix::fs::openat(&dir, name, flags | OFlags::NOFOLLOW, Mode::empty())?;
                    if let Some(owner) = self.options.owner {
                        self.own(fresh.as_fd(), owner)?;
                    }
                }
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            made.push(name);
        }
        open(self.root, path, flags)
    }

    /// Whether it is the stream's own: the destination itself and a link to a directory keep what they are.
    fn directory(&self, path: &Path, header: &tar::Header) -> io::Result<bool> {
        let mode = Mode::from_raw_mode(header.mode()? & 0o7777);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        if path.as_os_str().is_empty() {
            return self.make_directories(self.dest).map(|_| false);
        }
        let (parent, name) = self.place(path)?;
        match rustix::fs::mkdirat(&parent, &name, Mode::RWXU) {
            Ok(()) => {}
            Err(Errno::EXIST) => match kind_at(parent.as_fd(), &name)? {
                Some(FileType::Directory) => {}
                // A link to a directory will do as one.
                Some(FileType::Symlink) if open(self.root, &self.dest.join(path), flags).is_ok() => return Ok(false),
                _ if self.options.overwrite => {
                    rustix::fs::unlinkat(&parent, &name, AtFlags::empty())?;
                    rustix::fs::mkdirat(&parent, &name, Mode::RWXU)?;
                }
                _ => return Err(io::Error::other("a directory cannot replace a file (see --overwrite)")),
            },
            Err(error) => return Err(error.into()),
        }
        let dir = rustix::fs::openat(&parent, &name, flags | OFlags::NOFOLLOW, Mode::empty())?;
        self.own(dir.as_fd(), self.owner(header)?)?;
        rustix::fs::fchmod(&dir, mode)?;
        Ok(true)
    }

    fn file(&self, path: &Path, header: &tar::Header, content: &mut dyn Read) -> io::Result<()> {
        let (parent, name) = self.place(path)?;
        let create = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // Written aside and put in place whole: a program in the container sees the old file or the new one.
        let aside = CString::new(format!(".creel-{}.new", rustix::process::getpid().as_raw_nonzero()))?;
        let _ = rustix::fs::unlinkat(&parent, &aside, AtFlags::empty());
        let fresh = rustix::fs::openat(&parent, &aside, create, Mode::RUSR | Mode::WUSR)?;
        let done = self.fill(fresh, header, content).and_then(|()| self.put(parent.as_fd(), &aside, &name));
        if done.is_err() {
            let _ = rustix::fs::unlinkat(&parent, &aside, AtFlags::empty());
        }
        done
    }

    fn fill(&self, fresh: OwnedFd, header: &tar::Header, content: &mut dyn Read) -> io::Result<()> {
        let mut file = File::from(fresh);
        io::copy(content, &mut file)?;
        self.own(file.as_fd(), self.owner(header)?)?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(header.mode()? & 0o7777))?;
        Ok(rustix::fs::futimens(&file, &times(header.mtime().unwrap_or_default()))?)
    }

    /// Renames what was made aside to its name.
    fn put(&self, parent: BorrowedFd<'_>, aside: &CStr, name: &CStr) -> io::Result<()> {
        self.clear(parent, name)?;
        match rustix::fs::renameat_with(parent, aside, parent, name, RenameFlags::empty()) {
            Ok(()) => Ok(()),
            // Something is mounted there (/etc/hosts, a bound file): then its content is what changes.
            Err(Errno::BUSY | Errno::XDEV) => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let mut from = File::from(rustix::fs::openat(parent, aside, flags, Mode::empty())?);
                let flags = OFlags::WRONLY | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let mut to = File::from(rustix::fs::openat(parent, name, flags, Mode::empty())?);
                io::copy(&mut from, &mut to)?;
                Ok(rustix::fs::unlinkat(parent, aside, AtFlags::empty())?)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Makes room for something that is no directory.
    fn clear(&self, parent: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
        match kind_at(parent, name)? {
            Some(FileType::Directory) if self.options.overwrite => remove_tree(parent, name, 0),
            Some(FileType::Directory) => Err(io::Error::other("a file cannot replace a directory (see --overwrite)")),
            Some(_) | None => Ok(()),
        }
    }

    fn symlink(&self, path: &Path, target: &Path, header: &tar::Header) -> io::Result<()> {
        let (parent, name) = self.place(path)?;
        self.clear(parent.as_fd(), &name)?;
        unlink_if_there(parent.as_fd(), &name)?;
        rustix::fs::symlinkat(target, &parent, &name)?;
        self.own_at(parent.as_fd(), &name, self.owner(header)?)
    }

    fn link(&self, path: &Path, target: &Path) -> io::Result<()> {
        let (from, first) = self.place(target)?;
        let (parent, name) = self.place(path)?;
        self.clear(parent.as_fd(), &name)?;
        unlink_if_there(parent.as_fd(), &name)?;
        Ok(rustix::fs::linkat(&from, &first, &parent, &name, AtFlags::empty())?)
    }

    fn node(&self, path: &Path, header: &tar::Header) -> io::Result<()> {
        let (parent, name) = self.place(path)?;
        self.clear(parent.as_fd(), &name)?;
        unlink_if_there(parent.as_fd(), &name)?;
        let number = |half: io::Result<Option<u32>>| half.map(Option::unwrap_or_default);
        let device =
            || io::Result::Ok(rustix::fs::makedev(number(header.device_major())?, number(header.device_minor())?));
        let (kind, device) = match header.entry_type() {
            tar::EntryType::Char => (FileType::CharacterDevice, device()?),
            tar::EntryType::Block => (FileType::BlockDevice, device()?),
            // Some programs leave the numbers empty that a pipe does not have.
            _ => (FileType::Fifo, 0),
        };
        let mode = Mode::from_raw_mode(header.mode()? & 0o7777);
        rustix::fs::mknodat(&parent, &name, kind, mode, device)?;
        self.own_at(parent.as_fd(), &name, self.owner(header)?)
    }

    /// Ids of the container.
    fn owner(&self, header: &tar::Header) -> io::Result<(u32, u32)> {
        match self.options.owner {
            Some(owner) => Ok(owner),
            None => {
                let id = |id: io::Result<u64>| id.map(|id| u32::try_from(id).unwrap_or_default());
                Ok((id(header.uid())?, id(header.gid())?))
            }
        }
    }

    fn outside(&self, (uid, gid): (u32, u32)) -> (Option<Uid>, Option<Gid>) {
        let uid = Uid::from_raw(Ids::outside(&self.ids.uids, uid));
        (Some(uid), Some(Gid::from_raw(Ids::outside(&self.ids.gids, gid))))
    }

    fn own(&self, file: BorrowedFd<'_>, owner: (u32, u32)) -> io::Result<()> {
        let (uid, gid) = self.outside(owner);
        forgive(rustix::fs::fchown(file, uid, gid))
    }

    fn own_at(&self, parent: BorrowedFd<'_>, name: &CStr, owner: (u32, u32)) -> io::Result<()> {
        let (uid, gid) = self.outside(owner);
        forgive(rustix::fs::chownat(parent, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW))
    }
}

/// An id that the user namespace does not map (`EINVAL`), or a file system that has no owners, is no reason to fail.
fn forgive(result: rustix::io::Result<()>) -> io::Result<()> {
    match result {
        Ok(()) | Err(Errno::INVAL | Errno::PERM) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn unlink_if_there(parent: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

pub(crate) fn kind_at(parent: BorrowedFd<'_>, name: &CStr) -> io::Result<Option<FileType>> {
    match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(file_type(&stat))),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn remove_tree(parent: BorrowedFd<'_>, name: &CStr, depth: usize) -> io::Result<()> {
    if depth > DEPTH_MAX {
        return Err(io::Error::other("directories are nested too deep"));
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let dir = rustix::fs::openat(parent, name, flags, Mode::empty())?;
    for entry in names(dir.as_fd())? {
        match kind_at(dir.as_fd(), &entry)? {
            Some(FileType::Directory) => remove_tree(dir.as_fd(), &entry, depth + 1)?,
            Some(_) => unlink_if_there(dir.as_fd(), &entry)?,
            None => {}
        }
    }
    Ok(rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)?)
}

/// Sorted, without `.` and `..`.
pub(crate) fn names(dir: BorrowedFd<'_>) -> io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push(entry.file_name().to_owned());
        }
    }
    names.sort();
    Ok(names)
}

pub(crate) fn file_type(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

pub(crate) fn times(seconds: u64) -> Timestamps {
    let time = Timespec { tv_sec: i64::try_from(seconds).unwrap_or_default(), tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, symlink};

    fn tree(name: &str) -> (PathBuf, OwnedFd) {
        let path = std::env::temp_dir().join(format!("creel-archive-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(&path, flags, Mode::empty()).unwrap();
        (path, root)
    }

    fn unpack_bytes(root: &OwnedFd, dest: &str, stream: &[u8], options: &CopyOptions) -> io::Result<()> {
        unpack(root.as_fd(), Path::new(dest), &Ids::default(), options, &mut { stream })
    }

    #[test]
    fn a_tree_survives_the_way_through_a_stream() {
        let (from, source) = tree("from");
        fs::create_dir_all(from.join("a/deep")).unwrap();
        fs::write(from.join("a/deep/file"), "text").unwrap();
        fs::hard_link(from.join("a/deep/file"), from.join("a/z-second")).unwrap();
        symlink("/a/deep", from.join("a/link")).unwrap();
        let mut stream = Vec::new();
        pack(source.as_fd(), Path::new("/a"), Path::new("b"), &Ids::default(), &mut stream).unwrap();
        let (to, dest) = tree("to");
        unpack_bytes(&dest, "/x", &stream, &CopyOptions::default()).unwrap();
        assert_eq!(fs::read_to_string(to.join("x/b/deep/file")).unwrap(), "text");
        assert_eq!(fs::read_link(to.join("x/b/link")).unwrap(), Path::new("/a/deep"));
        let inode = |path: &str| fs::metadata(to.join(path)).unwrap().ino();
        assert_eq!(inode("x/b/deep/file"), inode("x/b/z-second"));
        // Through the link as the tree's own root sees it.
        let mut one = Vec::new();
        pack(source.as_fd(), Path::new("/a/link/file"), Path::new("one"), &Ids::default(), &mut one).unwrap();
        unpack_bytes(&dest, "/", &one, &CopyOptions::default()).unwrap();
        assert_eq!(fs::read_to_string(to.join("one")).unwrap(), "text");
        fs::remove_dir_all(from).unwrap();
        fs::remove_dir_all(to).unwrap();
    }

    #[test]
    fn every_directory_has_its_time() {
        let mut builder = tar::Builder::new(Vec::new());
        for number in 0..=DEPTH_MAX {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::Directory);
            header.set_mode(0o755);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(1_000_000_000);
            header.set_size(0);
            builder.append_data(&mut header, format!("{number}/inner"), io::empty()).unwrap();
        }
        let (to, dest) = tree("times");
        unpack_bytes(&dest, "/", &builder.into_inner().unwrap(), &CopyOptions::default()).unwrap();
        let modified = |number| fs::metadata(to.join(format!("{number}/inner"))).unwrap().mtime();
        assert_eq!((modified(0), modified(DEPTH_MAX)), (1_000_000_000, 1_000_000_000));
        fs::remove_dir_all(to).unwrap();
    }

    #[test]
    fn nothing_leaves_the_tree() {
        let (root, fd) = tree("jail");
        let outside = root.with_extension("outside");
        let _ = fs::remove_dir_all(&outside);
        fs::create_dir_all(&outside).unwrap();
        symlink(&outside, root.join("out")).unwrap();
        let stream = |name: &[u8]| {
            let mut header = tar::Header::new_gnu();
            header.set_size(1);
            header.set_mode(0o644);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(0);
            // The crate's own setter would refuse it.
            header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name);
            header.set_cksum();
            let mut builder = tar::Builder::new(Vec::new());
            builder.append(&header, &b"x"[..]).unwrap();
            builder.into_inner().unwrap()
        };
        // The link's target is looked for inside, where there is none.
        assert!(unpack_bytes(&fd, "/", &stream(b"out/evil"), &CopyOptions::default()).is_err());
        unpack_bytes(&fd, "/", &stream(b"../../esc"), &CopyOptions::default()).unwrap();
        fs::create_dir_all(root.join(outside.strip_prefix("/").unwrap())).unwrap();
        unpack_bytes(&fd, "/", &stream(b"out/evil"), &CopyOptions::default()).unwrap();
        assert!(root.join(outside.strip_prefix("/").unwrap()).join("evil").exists());
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
        assert!(root.join("esc").exists());
        fs::remove_dir_all(root).unwrap();
        fs::remove_dir_all(outside).unwrap();
    }

    #[test]
    fn directories_and_files_replace_each_other_only_when_asked() {
        let (from, source) = tree("kinds-from");
        fs::create_dir(from.join("d")).unwrap();
        fs::write(from.join("f"), "f").unwrap();
        let stream = |path: &str, name: &str| {
            let mut stream = Vec::new();
            pack(source.as_fd(), Path::new(path), Path::new(name), &Ids::default(), &mut stream).unwrap();
            stream
        };
        let (to, dest) = tree("kinds-to");
        fs::create_dir_all(to.join("d/full")).unwrap();
        fs::write(to.join("f"), "old").unwrap();
        let (keep, overwrite) = (CopyOptions::default(), CopyOptions { overwrite: true, owner: None });
        assert!(unpack_bytes(&dest, "/", &stream("f", "d"), &keep).is_err());
        assert!(unpack_bytes(&dest, "/", &stream("d", "f"), &keep).is_err());
        unpack_bytes(&dest, "/", &stream("f", "d"), &overwrite).unwrap();
        unpack_bytes(&dest, "/", &stream("d", "f"), &overwrite).unwrap();
        assert!(to.join("d").is_file() && to.join("f").is_dir());
        assert_eq!(fs::read_dir(&to).unwrap().count(), 2);
        fs::remove_dir_all(from).unwrap();
        fs::remove_dir_all(to).unwrap();
    }

    #[test]
    fn ids_are_those_of_the_container() {
        let maps = [IdMap { container: 0, host: 1, size: 1000 }, IdMap { container: 1000, host: 0, size: 1 }];
        assert_eq!(Ids::inside(&maps, 0), 1000);
        assert_eq!(Ids::inside(&maps, 1), 0);
        assert_eq!(Ids::outside(&maps, 1000), 0);
        assert_eq!(Ids::outside(&maps, 5), 6);
        assert_eq!(Ids::outside(&[], 5), 5);
    }
}
