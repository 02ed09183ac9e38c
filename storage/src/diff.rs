//! Trees as tar archives: an overlay's upper directory as an OCI layer, a whole root for `export`. Sorted by name, so
//! that the same tree gives the same bytes.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, StatxFlags};
use rustix::io::Errno;

use crate::changes::{Change, ChangeKind};
use crate::digest::Digest;
use crate::error::{At, Error, Result};
use crate::overlaid::{self, DEPTH_MAX, list, list_plain, open_dir, open_top};
use crate::store::Store;
use crate::unpack::{file_type, is_whiteout};

const BLOCK: usize = 512;
/// Largest values of a ustar header's 12- and 8-byte octal fields.
const SIZE_MAX: u64 = 0o77_777_777_777;
const ID_MAX: u32 = 0o7_777_777;

/// How a tar of a tree is written.
#[derive(Clone, Debug, Default)]
pub struct TarOptions {
    pub times: FileTimes,
}

/// What becomes of modification times (seconds since 1970).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FileTimes {
    #[default]
    Kept,
    /// Every one is this.
    All(i64),
    /// Later ones are this.
    AtMost(i64),
}

impl FileTimes {
    fn of(self, modified: i64) -> i64 {
        match self {
            FileTimes::Kept => modified,
            FileTimes::All(time) => time,
            FileTimes::AtMost(latest) => modified.min(latest),
        }
    }
}

impl Store {
    /// Writes an overlay's upper directory (of either kind) as an OCI layer, whiteouts as `.wh.` files.
    pub fn diff_tar(&self, upper: &Path, out: &mut dyn Write) -> Result<()> {
        self.diff_tar_with(upper, out, &TarOptions::default())
    }

    /// [`Store::diff_tar`] with options.
    pub fn diff_tar_with(&self, upper: &Path, out: &mut dyn Write, options: &TarOptions) -> Result<()> {
        let top = open_top(upper).at("cannot open", upper)?;
        let mut tar = Tar::new(out, options, upper);
        tar.overlay_dir(top.as_fd(), &mut Vec::new(), 0)?;
        tar.finish()
    }

    /// Writes what a container changed in its layers (bottom first) as an OCI layer, whatever driver it has.
    pub fn container_diff_tar(
        &self,
        layers: &[Digest],
        container_dir: &Path,
        out: &mut dyn Write,
        options: &TarOptions,
    ) -> Result<()> {
        let copy = container_dir.join(crate::rootfs::COPY);
        if !copy.exists() {
            return self.diff_tar_with(&container_dir.join(crate::rootfs::UPPER), out, options);
        }
        let changes = self.container_changes(layers, container_dir)?;
        let top = open_top(&copy).at("cannot open", &copy)?;
        let mut tar = Tar::new(out, options, &copy);
        for change in &changes {
            tar.change(top.as_fd(), change)?;
        }
        tar.finish()
    }

    /// Writes a whole directory as a tar. Mounts in it are shown as the empty files and directories they cover.
    pub fn tree_tar(&self, root: &Path, out: &mut dyn Write) -> Result<()> {
        self.tree_tar_with(root, out, &TarOptions::default())
    }

    /// [`Store::tree_tar`] with options.
    pub fn tree_tar_with(&self, root: &Path, out: &mut dyn Write, options: &TarOptions) -> Result<()> {
        let top = open_top(root).at("cannot open", root)?;
        let mut tar = Tar::new(out, options, root);
        let mount = mount_of(top.as_fd(), c"");
        tar.plain_dir(top.as_fd(), mount, &mut Vec::new(), 0)?;
        tar.finish()
    }
}

struct Tar<'a> {
    out: &'a mut dyn Write,
    options: &'a TarOptions,
    /// For errors.
    root: &'a Path,
    /// First name of each file with several.
    links: HashMap<(u64, u64), Vec<u8>>,
    buffer: Vec<u8>,
}

/// What a header says.
struct Header<'a> {
    path: &'a [u8],
    kind: u8,
    mode: u32,
    uid: u32,
    gid: u32,
    size: u64,
    mtime: i64,
    link: &'a [u8],
    device: (u32, u32),
    xattrs: &'a [(Vec<u8>, Vec<u8>)],
}

impl<'a> Tar<'a> {
    fn new(out: &'a mut dyn Write, options: &'a TarOptions, root: &'a Path) -> Tar<'a> {
        Tar { out, options, root, links: HashMap::new(), buffer: vec![0; 128 << 10] }
    }

    fn overlay_dir(&mut self, dir: BorrowedFd<'_>, path: &mut Vec<u8>, depth: usize) -> Result<()> {
        self.check_depth(path, depth)?;
        let listing = list(dir).at("cannot read", &self.shown(path))?;
        if listing.opaque && depth > 0 {
            self.mark(path, b".wh..wh..opq")?;
        }
        for name in &listing.hidden {
            self.mark(path, &[b".wh.", name.to_bytes()].concat())?;
        }
        for (name, stat) in &listing.entries {
            let length = push(path, name.to_bytes());
            if let Some(child) = self.member(dir, name, stat, path)? {
                self.overlay_dir(child.as_fd(), path, depth + 1)?;
            }
            path.truncate(length);
        }
        Ok(())
    }

    fn plain_dir(&mut self, dir: BorrowedFd<'_>, mount: Option<u64>, path: &mut Vec<u8>, depth: usize) -> Result<()> {
        self.check_depth(path, depth)?;
        for (name, stat) in list_plain(dir).at("cannot read", &self.shown(path))? {
            if is_whiteout(&stat) {
                continue;
            }
            let length = push(path, name.to_bytes());
            if mount_of(dir, &name) != mount {
                self.covered(&stat, path)?;
            } else if let Some(child) = self.member(dir, &name, &stat, path)? {
                self.plain_dir(child.as_fd(), mount, path, depth + 1)?;
            }
            path.truncate(length);
        }
        Ok(())
    }

    /// One change of a container that is a plain copy.
    fn change(&mut self, top: BorrowedFd<'_>, change: &Change) -> Result<()> {
        use std::os::unix::ffi::OsStrExt;
        let relative = change.path.strip_prefix("/").unwrap_or(&change.path);
        let (parent, Some(name)) = (relative.parent().unwrap_or(Path::new("")), relative.file_name()) else {
            return Ok(());
        };
        let parent_path = parent.as_os_str().as_bytes();
        if change.kind == ChangeKind::Deleted {
            return self.mark(parent_path, &[b".wh.", name.as_bytes()].concat());
        }
        let mut dir = top.try_clone_to_owned().at("cannot open", self.root)?;
        for component in parent.components() {
            let component = c_name(component.as_os_str().as_bytes()).at("cannot open", self.root)?;
            dir = open_dir(&dir, &component).at("cannot open", &self.shown(parent_path))?;
        }
        let path = relative.as_os_str().as_bytes();
        let name = c_name(name.as_bytes()).at("cannot open", self.root)?;
        match rustix::fs::statat(&dir, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => self.member(dir.as_fd(), &name, &stat, path).map(drop),
            Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(Error::io("cannot stat", &self.shown(path), error)),
        }
    }

    /// Writes one member. For a directory it is returned, open.
    fn member(&mut self, dir: BorrowedFd<'_>, name: &CStr, stat: &Stat, path: &[u8]) -> Result<Option<OwnedFd>> {
        let kind = file_type(stat);
        let mut header = Header {
            path,
            kind: b'0',
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            size: 0,
            mtime: self.options.times.of(stat.st_mtime),
            link: b"",
            device: (0, 0),
            xattrs: &[],
        };
        if kind != FileType::Directory && stat.st_nlink > 1 {
            if let Some(first) = self.links.get(&(stat.st_dev, stat.st_ino)) {
                let first = first.clone();
                header.kind = b'1';
                header.link = &first;
                self.header(&header)?;
                return Ok(None);
            }
            self.links.insert((stat.st_dev, stat.st_ino), path.to_owned());
        }
        match kind {
            FileType::RegularFile => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOATIME | OFlags::CLOEXEC;
                let open = |flags| rustix::fs::openat(dir, name, flags, Mode::empty());
                // O_NOATIME is for the owner only.
                let opened = match open(flags) {
                    Err(Errno::PERM) => open(flags - OFlags::NOATIME),
                    other => other,
                };
                let file = match opened {
                    Ok(file) => file,
                    // Gone, or replaced, while we looked.
                    Err(Errno::NOENT | Errno::LOOP) => return Ok(None),
                    Err(error) => return Err(Error::io("cannot open", &self.shown(path), error)),
                };
                let now = rustix::fs::fstat(&file).at("cannot stat", &self.shown(path))?;
                if file_type(&now) != FileType::RegularFile {
                    return Ok(None);
                }
                let xattrs = overlaid::xattrs(file.as_fd()).at("cannot read attributes of", &self.shown(path))?;
                header.size = u64::try_from(now.st_size).unwrap_or_default();
                header.xattrs = &xattrs;
                self.header(&header)?;
                self.content(File::from(file), header.size, path)?;
            }
            FileType::Directory => {
                let child = match open_dir(dir, name) {
                    Ok(child) => child,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                    Err(error) => return Err(Error::io("cannot open", &self.shown(path), error)),
                };
                let xattrs = overlaid::xattrs(child.as_fd()).at("cannot read attributes of", &self.shown(path))?;
                let slashed = [path, b"/"].concat();
                header.path = &slashed;
                header.kind = b'5';
                header.xattrs = &xattrs;
                self.header(&header)?;
                return Ok(Some(child));
            }
            FileType::Symlink => {
                let target = match rustix::fs::readlinkat(dir, name, Vec::new()) {
                    Ok(target) => target,
                    Err(Errno::NOENT | Errno::INVAL) => return Ok(None),
                    Err(error) => return Err(Error::io("cannot read", &self.shown(path), error)),
                };
                header.kind = b'2';
                header.mode = 0o777;
                header.link = target.as_bytes();
                self.header(&header)?;
            }
            FileType::Fifo => {
                header.kind = b'6';
                self.header(&header)?;
            }
            FileType::CharacterDevice | FileType::BlockDevice => {
                header.kind = if kind == FileType::BlockDevice { b'4' } else { b'3' };
                header.device = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
                self.header(&header)?;
            }
            // A socket is nothing without its listener, and tar has no type for it.
            FileType::Socket | FileType::Unknown => {}
        }
        Ok(None)
    }

    /// What is under a mount: the directory or file that had to be there for it.
    fn covered(&mut self, stat: &Stat, path: &[u8]) -> Result<()> {
        let directory = file_type(stat) == FileType::Directory;
        let slashed = [path, b"/"].concat();
        self.header(&Header {
            path: if directory { &slashed } else { path },
            kind: if directory { b'5' } else { b'0' },
            mode: if directory { 0o755 } else { 0o644 },
            uid: 0,
            gid: 0,
            size: 0,
            mtime: self.options.times.of(stat.st_mtime),
            link: b"",
            device: (0, 0),
            xattrs: &[],
        })
    }

    /// An empty file whose name is the message.
    fn mark(&mut self, dir: &[u8], name: &[u8]) -> Result<()> {
        let path = if dir.is_empty() { name.to_owned() } else { [dir, b"/", name].concat() };
        self.header(&Header {
            path: &path,
            kind: b'0',
            mode: 0,
            uid: 0,
            gid: 0,
            size: 0,
            mtime: self.options.times.of(0),
            link: b"",
            device: (0, 0),
            xattrs: &[],
        })
    }

    fn content(&mut self, mut file: File, size: u64, path: &[u8]) -> Result<()> {
        let mut rest = size;
        while rest > 0 {
            let want = usize::try_from(rest).unwrap_or(usize::MAX).min(self.buffer.len());
            let mut got = match file.read(&mut self.buffer[..want]) {
                Ok(got) => got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Error::io("cannot read", &self.shown(path), error)),
            };
            if got == 0 {
                // It became shorter: the header is out, so zeros take the place.
                got = want;
                self.buffer[..want].fill(0);
            }
            self.out.write_all(&self.buffer[..got]).at("cannot write the archive of", self.root)?;
            rest -= got as u64;
        }
        self.pad(size)
    }

    fn header(&mut self, header: &Header<'_>) -> Result<()> {
        let mut pax: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let mut tar = tar::Header::new_ustar();
        put_name(&mut tar, header.path, &mut pax);
        let link = &mut tar.as_old_mut().linkname;
        if header.link.len() <= link.len() && header.link.is_ascii() {
            link[..header.link.len()].copy_from_slice(header.link);
        } else {
            pax.push((b"linkpath".to_vec(), header.link.to_owned()));
        }
        tar.set_entry_type(tar::EntryType::new(header.kind));
        tar.set_mode(header.mode);
        tar.set_size(header.size.min(SIZE_MAX));
        if header.size > SIZE_MAX {
            pax.push((b"size".to_vec(), header.size.to_string().into_bytes()));
        }
        tar.set_uid(u64::from(header.uid.min(ID_MAX)));
        tar.set_gid(u64::from(header.gid.min(ID_MAX)));
        for (key, id) in [("uid", header.uid), ("gid", header.gid)] {
            if id > ID_MAX {
                pax.push((key.into(), id.to_string().into_bytes()));
            }
        }
        match u64::try_from(header.mtime) {
            Ok(mtime) if mtime <= SIZE_MAX => tar.set_mtime(mtime),
            _ => {
                tar.set_mtime(0);
                pax.push((b"mtime".to_vec(), header.mtime.to_string().into_bytes()));
            }
        }
        if matches!(header.kind, b'3' | b'4') {
            tar.set_device_major(header.device.0).at("cannot archive", &self.shown(header.path))?;
            tar.set_device_minor(header.device.1).at("cannot archive", &self.shown(header.path))?;
        }
        for (name, value) in header.xattrs {
            pax.push(([b"SCHILY.xattr.", name.as_slice()].concat(), value.clone()));
        }
        if !pax.is_empty() {
            self.pax(&pax)?;
        }
        tar.set_cksum();
        self.out.write_all(tar.as_bytes()).at("cannot write the archive of", self.root)
    }

    fn pax(&mut self, records: &[(Vec<u8>, Vec<u8>)]) -> Result<()> {
        let mut body = Vec::new();
        for (key, value) in records {
            // "LENGTH KEY=VALUE\n": the length counts its own digits.
            let rest = key.len() + value.len() + 3;
            let mut length = rest + 1;
            while length.to_string().len() + rest > length {
                length += 1;
            }
            body.extend_from_slice(length.to_string().as_bytes());
            body.push(b' ');
            body.extend_from_slice(key);
            body.push(b'=');
            body.extend_from_slice(value);
            body.push(b'\n');
        }
        let mut tar = tar::Header::new_ustar();
        let name = b"PaxHeaders.0/entry";
        tar.as_old_mut().name[..name.len()].copy_from_slice(name);
        tar.set_entry_type(tar::EntryType::XHeader);
        tar.set_mode(0o644);
        tar.set_uid(0);
        tar.set_gid(0);
        tar.set_mtime(0);
        tar.set_size(body.len() as u64);
        tar.set_cksum();
        let size = body.len() as u64;
        self.out.write_all(tar.as_bytes()).at("cannot write the archive of", self.root)?;
        self.out.write_all(&body).at("cannot write the archive of", self.root)?;
        self.pad(size)
    }

    fn pad(&mut self, size: u64) -> Result<()> {
        let over = usize::try_from(size % BLOCK as u64).unwrap_or_default();
        if over == 0 {
            return Ok(());
        }
        self.out.write_all(&[0; BLOCK][over..]).at("cannot write the archive of", self.root)
    }

    fn finish(self) -> Result<()> {
        self.out.write_all(&[0; 2 * BLOCK]).at("cannot write the archive of", self.root)?;
        self.out.flush().at("cannot write the archive of", self.root)
    }

    fn check_depth(&self, path: &[u8], depth: usize) -> Result<()> {
        if depth > DEPTH_MAX {
            let what = format!("archiving {}", self.shown(path).display());
            return Err(Error::Unsupported { what, why: "directories are nested too deep".to_owned() });
        }
        Ok(())
    }

    fn shown(&self, path: &[u8]) -> PathBuf {
        self.root.join(String::from_utf8_lossy(path).as_ref())
    }
}

/// The name in the header, split at a slash if need be, else in a pax record.
fn put_name(tar: &mut tar::Header, path: &[u8], pax: &mut Vec<(Vec<u8>, Vec<u8>)>) {
    let Some(ustar) = tar.as_ustar_mut() else { return };
    if path.is_ascii() {
        if path.len() <= ustar.name.len() {
            ustar.name[..path.len()].copy_from_slice(path);
            return;
        }
        let split = (0..path.len().saturating_sub(1)).find(|at| {
            path[*at] == b'/' && *at > 0 && *at <= ustar.prefix.len() && path.len() - at - 1 <= ustar.name.len()
        });
        if let Some(at) = split {
            ustar.prefix[..at].copy_from_slice(&path[..at]);
            ustar.name[..path.len() - at - 1].copy_from_slice(&path[at + 1..]);
            return;
        }
    }
    let short = &path[..path.len().min(ustar.name.len())];
    for (to, from) in ustar.name.iter_mut().zip(short) {
        *to = if from.is_ascii() { *from } else { b'_' };
    }
    pax.push((b"path".to_vec(), path.to_owned()));
}

/// Appends a component and returns the length to go back to.
fn push(path: &mut Vec<u8>, name: &[u8]) -> usize {
    let length = path.len();
    if length > 0 {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    length
}

fn c_name(name: &[u8]) -> io::Result<CString> {
    CString::new(name).map_err(|_| io::ErrorKind::InvalidInput.into())
}

/// The mount an entry is on (statx(2), Linux 5.8); `None` where the kernel does not say.
fn mount_of(dir: BorrowedFd<'_>, name: &CStr) -> Option<u64> {
    let mut flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    if name.is_empty() {
        flags |= AtFlags::EMPTY_PATH;
    }
    let stat = rustix::fs::statx(dir, name, flags, StatxFlags::MNT_ID).ok()?;
    (stat.stx_mask & StatxFlags::MNT_ID.bits() != 0).then_some(stat.stx_mnt_id)
}
