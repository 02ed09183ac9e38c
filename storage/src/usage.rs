//! Bytes on disk as du(1) counts them: allocated blocks, a file with several names once.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::fs::{FileType, Stat};

use crate::digest::Digest;
use crate::error::{At, Error, Result};
use crate::overlaid::{DEPTH_MAX, list_plain, open_dir, open_top};
use crate::staging::entries_of;
use crate::store::Store;
use crate::unpack::file_type;

/// What the store takes up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// By chain id.
    pub layers: BTreeMap<Digest, TreeSize>,
    pub blobs: BTreeMap<Digest, TreeSize>,
    /// By id, records and logs included.
    pub containers: BTreeMap<String, TreeSize>,
    /// By name.
    pub volumes: BTreeMap<String, TreeSize>,
    /// By id: the records only, without layers and blobs.
    pub images: BTreeMap<String, TreeSize>,
    /// What writers are at work on, and what waits for its removal.
    pub transient: TreeSize,
    /// Everything else below the root.
    pub other: TreeSize,
    /// All of it: what `du -s ROOT` says.
    pub total: TreeSize,
}

/// The size of a tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TreeSize {
    /// Bytes allocated.
    pub disk: u64,
    /// Bytes of regular files, by their length.
    pub apparent: u64,
    /// Files of any kind, directories included.
    pub entries: u64,
}

impl std::ops::AddAssign for TreeSize {
    fn add_assign(&mut self, other: TreeSize) {
        self.disk += other.disk;
        self.apparent += other.apparent;
        self.entries += other.entries;
    }
}

impl Store {
    /// Measures everything. It walks the whole store: a second for some hundred thousand files.
    pub fn usage(&self) -> Result<Usage> {
        let root = &self.dirs().root;
        let mut usage = Usage::default();
        let mut seen = HashSet::new();
        let mut own = |path: &Path| own_size(path, &mut seen);
        usage.other += own(root)?;
        let mut parts: Vec<(&str, std::ffi::OsString)> = Vec::new();
        for name in entries_of(root)? {
            let path = root.join(&name);
            match name.to_str() {
                Some(part @ ("layers" | "containers" | "volumes" | "images" | "staging" | "trash")) => {
                    let part = match part {
                        "layers" => "layers",
                        "containers" => "containers",
                        "volumes" => "volumes",
                        "images" => "images",
                        _ => "transient",
                    };
                    let size = own(&path)?;
                    if part == "transient" {
                        usage.transient += size
                    } else {
                        usage.other += size
                    }
                    for entry in entries_of(&path)? {
                        parts.push((part, Path::new(&name).join(entry).into_os_string()));
                    }
                }
                Some("shifted") => {
                    usage.other += own(&path)?;
                    for key in entries_of(&path)? {
                        let dir = path.join(&key);
                        usage.other += own(&dir)?;
                        for entry in entries_of(&dir)? {
                            // A record or a copy of a layer: the layer's cost.
                            parts.push(("layers", Path::new("shifted").join(&key).join(entry).into_os_string()));
                        }
                    }
                }
                Some("blobs") => {
                    usage.other += own(&path)?;
                    for algorithm in entries_of(&path)? {
                        let dir = path.join(&algorithm);
                        usage.other += own(&dir)?;
                        for entry in entries_of(&dir)? {
                            parts.push(("blobs", Path::new("blobs").join(&algorithm).join(entry).into_os_string()));
                        }
                    }
                }
                _ => parts.push(("other", name)),
            }
        }
        for (part, relative) in parts {
            let relative = Path::new(&relative);
            let size = size_of(&root.join(relative), &mut seen)?;
            let name = relative.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let digest = || {
                let algorithm = relative.parent().and_then(Path::file_name).and_then(|name| name.to_str());
                let algorithm = if part == "layers" { Some("sha256") } else { algorithm };
                format!("{}:{name}", algorithm.unwrap_or_default()).parse::<Digest>()
            };
            let slot = match part {
                "layers" => match digest() {
                    Ok(digest) => usage.layers.entry(digest).or_default(),
                    Err(_) => &mut usage.other,
                },
                "blobs" => match digest() {
                    Ok(digest) => usage.blobs.entry(digest).or_default(),
                    Err(_) => &mut usage.other,
                },
                "containers" => usage.containers.entry(name).or_default(),
                "volumes" => usage.volumes.entry(name).or_default(),
                "images" => usage.images.entry(name).or_default(),
                "transient" => &mut usage.transient,
                _ => &mut usage.other,
            };
            *slot += size;
        }
        if let Some(volumes) = &self.options().volume_path {
            for name in entries_of(volumes)? {
                let size = size_of(&volumes.join(&name), &mut seen)?;
                *usage.volumes.entry(name.to_string_lossy().into_owned()).or_default() += size;
            }
        }
        let mut total = TreeSize::default();
        let parts = usage.layers.values().chain(usage.blobs.values()).chain(usage.containers.values());
        for size in parts.chain(usage.volumes.values()).chain(usage.images.values()) {
            total += *size;
        }
        total += usage.transient;
        total += usage.other;
        usage.total = total;
        Ok(usage)
    }
}

/// The size of one tree; 0 if it is not there.
pub fn tree_size(path: &Path) -> Result<TreeSize> {
    size_of(path, &mut HashSet::new())
}

type Seen = HashSet<(u64, u64)>;

/// One file or directory without what is in it.
fn own_size(path: &Path, seen: &mut Seen) -> Result<TreeSize> {
    let mut size = TreeSize::default();
    match rustix::fs::lstat(path) {
        Ok(stat) => count(&stat, &mut size, seen),
        Err(rustix::io::Errno::NOENT) => {}
        Err(error) => return Err(Error::io("cannot stat", path, error)),
    }
    Ok(size)
}

fn size_of(path: &Path, seen: &mut Seen) -> Result<TreeSize> {
    let mut size = own_size(path, seen)?;
    if std::fs::symlink_metadata(path).is_ok_and(|stat| stat.is_dir()) {
        match open_top(path) {
            Ok(top) => walk(top.as_fd(), &mut size, seen, 0).at("cannot measure", path)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io("cannot open", path, error)),
        }
    }
    Ok(size)
}

fn walk(dir: BorrowedFd<'_>, size: &mut TreeSize, seen: &mut Seen, depth: usize) -> io::Result<()> {
    if depth > DEPTH_MAX {
        return Ok(());
    }
    for (name, stat) in list_plain(dir)? {
        count(&stat, size, seen);
        if file_type(&stat) == FileType::Directory {
            match open_dir(dir, &name) {
                Ok(child) => walk(child.as_fd(), size, seen, depth + 1)?,
                // Gone meanwhile, or the kernel's work directory seen from outside of the user namespace.
                Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

fn count(stat: &Stat, size: &mut TreeSize, seen: &mut Seen) {
    let directory = file_type(stat) == FileType::Directory;
    if !directory && stat.st_nlink > 1 && !seen.insert((stat.st_dev, stat.st_ino)) {
        return;
    }
    size.entries += 1;
    size.disk += u64::try_from(stat.st_blocks).unwrap_or_default() * 512;
    if file_type(stat) == FileType::RegularFile {
        size.apparent += u64::try_from(stat.st_size).unwrap_or_default();
    }
}
