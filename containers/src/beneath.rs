//! Looking at the files of an [`Endpoint`] one by one, and small changes to them. Every path is resolved beneath its root.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::archive::{self, CopyOptions, Ids};
use crate::error::{Error, Result};
use crate::files::Endpoint;
use crate::users;

/// A file, links not followed. Owners are ids of the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub name: PathBuf,
    pub kind: EntryKind,
    /// The permission bits.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Bytes.
    pub size: u64,
    /// Seconds since 1970.
    pub modified: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    File,
    Directory,
    Symlink(PathBuf),
    /// Devices, pipes and sockets.
    Special,
}

impl Endpoint {
    /// A directory of the host, as if it were all there is.
    pub fn of_directory(path: &Path) -> Result<Endpoint> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| Error::io(path)(error.into()))?;
        Ok(Endpoint::at(root, Ids::default()))
    }

    /// What is at a path; `None` where nothing is. Links on the way are followed beneath the root, the last one is not.
    pub fn entry(&self, path: &Path) -> Result<Option<Entry>> {
        let Some(name) = path.file_name() else { return self.followed(path) };
        let parent = path.parent().unwrap_or(Path::new("/"));
        let dir = match archive::open(self.root.as_fd(), parent, OFlags::PATH | OFlags::DIRECTORY) {
            Ok(dir) => dir,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(Error::io(path)(error)),
        };
        match rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => self.described(dir.as_fd(), name, &stat).map(Some).map_err(Error::io(path)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(Error::io(path)(error.into())),
        }
    }

    /// As [`Endpoint::entry`], but the last link is followed, too.
    pub fn followed(&self, path: &Path) -> Result<Option<Entry>> {
        let opened = match archive::open(self.root.as_fd(), path, OFlags::PATH) {
            Ok(opened) => opened,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(Error::io(path)(error)),
        };
        let stat = rustix::fs::fstat(&opened).map_err(|error| Error::io(path)(error.into()))?;
        let name = path.file_name().unwrap_or(OsStr::new(""));
        self.described(opened.as_fd(), name, &stat).map(Some).map_err(Error::io(path))
    }

    /// What is in a directory, sorted by name.
    pub fn entries(&self, path: &Path) -> Result<Vec<Entry>> {
        let listed = || -> io::Result<Vec<Entry>> {
            let dir = archive::open(self.root.as_fd(), path, OFlags::RDONLY | OFlags::DIRECTORY)?;
            let mut entries = Vec::new();
            for name in archive::names(dir.as_fd())? {
                let name = OsStr::from_bytes(name.to_bytes());
                match rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) => entries.push(self.described(dir.as_fd(), name, &stat)?),
                    // Gone meanwhile.
                    Err(Errno::NOENT) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Ok(entries)
        };
        listed().map_err(Error::io(path))
    }

    /// The content of a regular file.
    pub fn open_file(&self, path: &Path) -> Result<File> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        archive::open(self.root.as_fd(), path, flags).map(File::from).map_err(Error::io(path))
    }

    /// Makes a directory and those above it where they are missing.
    pub fn make_directory(&self, path: &Path, owner: (u32, u32)) -> Result<()> {
        let options = CopyOptions { owner: Some(owner), overwrite: false };
        archive::make_directories(self.root.as_fd(), path, &self.ids, &options).map_err(Error::io(path))
    }

    /// Writes a file, a directory or a link; a file or link that is there is replaced.
    pub fn put(&self, path: &Path, entry: &Entry, content: &mut dyn Read) -> Result<()> {
        let header = || -> io::Result<tar::Header> {
            let mut header = tar::Header::new_gnu();
            header.set_mode(entry.mode);
            header.set_uid(entry.uid.into());
            header.set_gid(entry.gid.into());
            header.set_mtime(u64::try_from(entry.modified).unwrap_or_default());
            header.set_entry_type(match entry.kind {
                EntryKind::File => tar::EntryType::Regular,
                EntryKind::Directory => tar::EntryType::Directory,
                EntryKind::Symlink(_) => tar::EntryType::Symlink,
                EntryKind::Special => return Err(io::ErrorKind::Unsupported.into()),
            });
            Ok(header)
        };
        let target = match &entry.kind {
            EntryKind::Symlink(target) => target.as_path(),
            EntryKind::File | EntryKind::Directory | EntryKind::Special => Path::new(""),
        };
        header()
            .and_then(|header| archive::put(self.root.as_fd(), path, &self.ids, &header, target, content))
            .map_err(Error::io(path))
    }

    /// Sets the time of a directory's last change.
    pub fn set_modified(&self, path: &Path, seconds: i64) -> Result<()> {
        let set = archive::open(self.root.as_fd(), path, OFlags::RDONLY | OFlags::DIRECTORY).and_then(|dir| {
            Ok(rustix::fs::futimens(&dir, &archive::times(u64::try_from(seconds).unwrap_or_default()))?)
        });
        set.map_err(Error::io(path))
    }

    /// Removes an empty directory or an empty file, links on the way not followed; anything else stays.
    pub fn remove_if_empty(&self, path: &Path) -> Result<()> {
        let (Some(name), Some(parent)) = (path.file_name(), path.parent()) else { return Ok(()) };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        let Ok(dir) = archive::open(self.root.as_fd(), parent, flags) else { return Ok(()) };
        let Ok(stat) = rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) else { return Ok(()) };
        let flags = match archive::file_type(&stat) {
            FileType::Directory => AtFlags::REMOVEDIR,
            FileType::RegularFile if stat.st_size == 0 => AtFlags::empty(),
            _ => return Ok(()),
        };
        match rustix::fs::unlinkat(&dir, name, flags) {
            Ok(()) | Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOENT) => Ok(()),
            Err(error) => Err(Error::io(path)(error.into())),
        }
    }

    /// The ids of `user[:group]`, names looked up in the files' own /etc/passwd and /etc/group.
    pub fn account(&self, wanted: &str) -> Result<(u32, u32)> {
        let account = users::lookup(&users::files_in(&self.root), wanted, &[])?;
        Ok((account.uid, account.gid))
    }

    fn described(&self, dir: std::os::fd::BorrowedFd<'_>, name: &OsStr, stat: &Stat) -> io::Result<Entry> {
        let kind = match archive::file_type(stat) {
            FileType::RegularFile => EntryKind::File,
            FileType::Directory => EntryKind::Directory,
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(dir, name, Vec::new())?;
                EntryKind::Symlink(OsStr::from_bytes(target.to_bytes()).into())
            }
            _ => EntryKind::Special,
        };
        Ok(Entry {
            name: name.into(),
            kind,
            mode: stat.st_mode & 0o7777,
            uid: Ids::inside(&self.ids.uids, stat.st_uid),
            gid: Ids::inside(&self.ids.gids, stat.st_gid),
            size: u64::try_from(stat.st_size).unwrap_or_default(),
            modified: stat.st_mtime,
        })
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
