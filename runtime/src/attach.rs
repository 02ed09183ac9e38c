//! Executes the list of mounts in the container's mount namespace, before the root is changed.
//!
//! A mount is made detached (fsopen(2), open_tree(2)), given its attributes, and only then attached to a destination that
//! has been resolved beneath the container's root: it is never seen half-made, and no path is looked up twice.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, RawMode};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};
use sys::mount_attributes::{self as attribute, Propagation, Reach};

use crate::copy_up;
use crate::mounts::{Attributes, MountOp, Source};
use crate::rootfs::{Kind, Rootfs};
use crate::{Error, Result};

/// Mounts that there is more to do with.
#[derive(Default)]
pub(crate) struct Mounted {
    pub(crate) devpts: Option<OwnedFd>,
    /// `/dev`, where it is to be read-only once everything is in it.
    pub(crate) dev: Option<OwnedFd>,
}

impl Mounted {
    /// When nothing more is made below `/dev`.
    pub(crate) fn close_dev(&self) -> Result<()> {
        let Some(dev) = &self.dev else { return Ok(()) };
        attribute::change(dev, Reach::One, attribute::READ_ONLY, 0, None)
            .map_err(|error| Error::kernel("make /dev read-only", error))
    }
}

/// Mounts everything in order.
pub(crate) fn all(root: &Rootfs, operations: &[MountOp]) -> Result<Mounted> {
    let mut mounted = Mounted::default();
    for operation in operations {
        match operation {
            MountOp::FileSystem { kind, source, destination, attributes, data, copy_up, instead } => {
                let step = || format!("mount {kind} at {}", destination.display());
                // What is copied is written first.
                let is_dev = destination == Path::new("/dev");
                let late = if *copy_up || is_dev { attributes.on & attribute::READ_ONLY } else { 0 };
                let early = Attributes { on: attributes.on & !late, ..*attributes };
                let made = match file_system(kind, source.as_deref(), &early, data) {
                    Ok(made) => made,
                    Err(Refused { errno: Errno::PERM | Errno::BUSY | Errno::NODEV, .. })
                        if let Some(path) = instead =>
                    {
                        let source = Source::Path { path: path.clone(), device: None };
                        bind(root, &source, destination, Reach::Recursive, attributes)?;
                        continue;
                    }
                    Err(refused) => return Err(refused.at(destination)),
                };
                let is_new = *copy_up && matches!(root.find(destination), Err(Errno::NOENT));
                let place = match kind.as_str() {
                    "proc" | "sysfs" => match root.find_without_links(destination) {
                        Err(Errno::NOENT) => root.find_or_make(destination, Kind::Directory),
                        found => found,
                    },
                    _ => root.find_or_make(destination, Kind::Directory),
                }
                .map_err(|error| Error::kernel(step(), error))?;
                if is_new {
                    copy_up::open_to_all(place.as_fd()).map_err(|error| Error::kernel(step(), error))?;
                }
                if *copy_up {
                    let has = |keys: &[&str]| data.iter().any(|(key, _)| keys.contains(&key.as_str()));
                    let said = copy_up::Said { owner: has(&["uid", "gid"]), mode: has(&["mode"]) };
                    copy_up::copy(place.as_fd(), made.as_fd(), said).map_err(|error| Error::kernel(step(), error))?;
                    if late != 0 {
                        attribute::change(&made, Reach::One, late, 0, None)
                            .map_err(|error| Error::kernel(step(), error))?;
                    }
                }
                attach(&made, &place).map_err(|error| Error::kernel(step(), error))?;
                if kind == "devpts" {
                    mounted.devpts = Some(made);
                } else if is_dev && late != 0 {
                    mounted.dev = Some(made);
                }
            }
            MountOp::Bind { source, destination, reach, attributes } => {
                bind(root, source, destination, *reach, attributes)?;
            }
            MountOp::Link { source, destination } => {
                let step = || format!("copy the link {} to {}", source.display(), destination.display());
                copy_link(root, source, destination).map_err(|error| Error::kernel(step(), error))?;
            }
            MountOp::NewLink { target, place } => new_link(root, target, place)
                .map_err(|error| Error::kernel(format!("make the link {}", place.display()), error))?,
            MountOp::Links => links(root).map_err(|error| Error::kernel("make the links in /dev", error))?,
        }
    }
    Ok(mounted)
}

/// Puts detached mounts in the place of what would be mounted at their destinations.
pub(crate) fn use_trees(operations: &mut [MountOp], trees: &[(PathBuf, OwnedFd)]) -> Result<()> {
    for operation in operations {
        let (MountOp::Bind { destination, attributes, .. } | MountOp::FileSystem { destination, attributes, .. }) =
            operation
        else {
            continue;
        };
        if let Some((_, tree)) = trees.iter().find(|(place, _)| place == destination) {
            let source = Source::Tree(tree.try_clone().map_err(|error| Error::kernel("copy a descriptor", error))?);
            let (destination, attributes) = (std::mem::take(destination), *attributes);
            *operation = MountOp::Bind { source, destination, reach: Reach::Recursive, attributes };
        }
    }
    Ok(())
}

/// Replaces paths of the host by detached copies of their mounts: for a child that will not be able to reach them.
pub(crate) fn open_sources(operations: &mut [MountOp]) -> Result<()> {
    for operation in operations {
        if let MountOp::Bind { source, reach, .. } = operation
            && let Source::Path { path, device } = source
        {
            *source = Source::Tree(open_source(path, *device, *reach)?);
        }
    }
    Ok(())
}

fn bind(root: &Rootfs, source: &Source, destination: &Path, reach: Reach, attributes: &Attributes) -> Result<()> {
    let opened;
    let (tree, from) = match source {
        Source::Path { path, device } => {
            opened = open_source(path, *device, reach)?;
            (&opened, path.as_path())
        }
        Source::Tree(tree) => (tree, Path::new("volume")),
    };
    let step = || format!("bind {} at {}", from.display(), destination.display());
    let stat = rustix::fs::fstat(tree).map_err(|error| Error::kernel(step(), error))?;
    let kind = match FileType::from_raw_mode(stat.st_mode as RawMode) {
        FileType::Directory => Kind::Directory,
        _ => Kind::File,
    };
    set_attributes(tree.as_fd(), attributes).map_err(|error| Error::kernel(step(), error))?;
    let place = root.find_or_make(destination, kind).map_err(|error| Error::kernel(step(), error))?;
    attach(tree, &place).map_err(|error| Error::kernel(step(), error))
}

fn open_source(path: &Path, device: Option<(u32, u32)>, reach: Reach) -> Result<OwnedFd> {
    let step = || format!("open the mount source {}", path.display());
    let tree = copy_tree(path, reach).map_err(|error| Error::kernel(step(), error))?;
    if let Some(expected) = device {
        let stat = rustix::fs::fstat(&tree).map_err(|error| Error::kernel(step(), error))?;
        let found = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
        // The node is checked and not only its name: see CVE-2025-31133.
        let is_device = matches!(
            FileType::from_raw_mode(stat.st_mode as RawMode),
            FileType::CharacterDevice | FileType::BlockDevice
        );
        if !is_device || found != expected {
            let (major, minor) = expected;
            return Err(Error::configuration(format!("{} is not the device {major}:{minor}", path.display())));
        }
    }
    Ok(tree)
}

fn copy_tree(path: &Path, reach: Reach) -> rustix::io::Result<OwnedFd> {
    match open_tree(CWD, path, tree_flags(reach)) {
        // In a user namespace what is mounted below hides what lies under it for good, so it has to come along.
        Err(Errno::INVAL) if reach == Reach::One => open_tree(CWD, path, tree_flags(Reach::Recursive)),
        other => other,
    }
}

/// A detached copy of what an `O_PATH` descriptor stands for.
pub(crate) fn copy_of(place: BorrowedFd<'_>, reach: Reach) -> rustix::io::Result<OwnedFd> {
    open_tree(place, "", tree_flags(reach) | OpenTreeFlags::AT_EMPTY_PATH)
}

fn tree_flags(reach: Reach) -> OpenTreeFlags {
    let recursive = match reach {
        Reach::One => OpenTreeFlags::empty(),
        Reach::Recursive => OpenTreeFlags::AT_RECURSIVE,
    };
    OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | recursive
}

pub(crate) fn attach(tree: &OwnedFd, place: &OwnedFd) -> rustix::io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(tree, "", place, "", flags)
}

fn set_attributes(tree: BorrowedFd<'_>, wanted: &Attributes) -> io::Result<()> {
    if let Some((propagation, Reach::Recursive)) = wanted.propagation {
        attribute::change(tree, Reach::Recursive, wanted.on_recursive, 0, Some(propagation))?;
    } else if wanted.on_recursive != 0 {
        attribute::change(tree, Reach::Recursive, wanted.on_recursive, 0, None)?;
    }
    let own = match wanted.propagation {
        Some((propagation, Reach::One)) => Some(propagation),
        _ => None,
    };
    if wanted.on != 0 || own.is_some() {
        attribute::change(tree, Reach::One, wanted.on, 0, own)?;
    }
    if let Some(policy) = wanted.access_time {
        match attribute::change(tree, Reach::One, policy, attribute::ACCESS_TIME, None) {
            // Locked by a more privileged mount namespace: it stays as it is there.
            Err(error) if error.raw_os_error() == Some(Errno::PERM.raw_os_error()) => {}
            other => other?,
        }
    }
    Ok(())
}

/// The kernel's refusal of a file system, with what it wrote about it.
struct Refused {
    kind: String,
    errno: Errno,
    log: String,
}

impl Refused {
    fn at(self, destination: &Path) -> Error {
        let step = format!("mount {} at {}", self.kind, destination.display());
        if self.log.is_empty() {
            Error::kernel(step, self.errno)
        } else {
            Error::configuration(format!("cannot {step}: {}", self.log))
        }
    }
}

fn file_system(
    kind: &str,
    source: Option<&str>,
    attributes: &Attributes,
    data: &[(String, Option<String>)],
) -> std::result::Result<OwnedFd, Refused> {
    let refused = |errno| Refused { kind: kind.to_owned(), errno, log: String::new() };
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).map_err(refused)?;
    let explain = |errno| Refused { kind: kind.to_owned(), errno, log: read_log(&context) };
    if let Some(source) = source {
        fsconfig_set_string(&context, "source", source).map_err(explain)?;
    }
    for (key, value) in data {
        let set = match value {
            Some(value) => fsconfig_set_string(&context, key.as_str(), value.as_str()),
            None => fsconfig_set_flag(&context, key.as_str()),
        };
        match set {
            // Without sub-ids there is no group 5; the terminal then belongs to the user's own.
            Err(Errno::INVAL) if kind == "devpts" && key == "gid" => {}
            other => other.map_err(explain)?,
        }
    }
    fsconfig_create(&context).map_err(explain)?;
    let mut flags = attributes.on | attributes.on_recursive | attributes.access_time.unwrap_or(0);
    // A mount namespace may not show more of proc or sysfs than the one it came from: where that one's are read-only,
    // ours are too.
    let made = loop {
        let flags_now = MountAttrFlags::from_bits_retain(u32::try_from(flags).unwrap_or(u32::MAX));
        match fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, flags_now) {
            Err(Errno::PERM) if kind == "sysfs" && flags & attribute::READ_ONLY == 0 => flags |= attribute::READ_ONLY,
            other => break other.map_err(explain)?,
        }
    };
    if let Some((propagation, _)) = attributes.propagation
        && propagation != Propagation::Private
    {
        attribute::change(&made, Reach::One, 0, 0, Some(propagation))
            .map_err(|error| refused(Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
    }
    Ok(made)
}

/// What the kernel says about the last refusal: lines that begin with `e `, `w ` or `i `.
fn read_log(context: &OwnedFd) -> String {
    let mut lines = Vec::new();
    let mut buffer = [0; 512];
    while let Ok(count @ 1..) = rustix::io::read(context, &mut buffer) {
        let line = String::from_utf8_lossy(&buffer[..count]);
        lines.push(line.trim().trim_start_matches("e ").to_owned());
    }
    lines.join("; ")
}

/// Relative, so that they hold under any root.
const LINKS: [(&str, &str); 6] = [
    ("/proc/kcore", "core"),
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
    ("pts/ptmx", "ptmx"),
];

/// Without following it, on either side.
fn copy_link(root: &Rootfs, source: &Path, destination: &Path) -> rustix::io::Result<()> {
    let target = rustix::fs::readlink(source, Vec::new())?;
    let (Some(parent), Some(name)) = (destination.parent(), destination.file_name()) else { return Err(Errno::INVAL) };
    let parent = root.find_or_make(parent, Kind::Directory)?;
    match rustix::fs::symlinkat(target.as_c_str(), &parent, name) {
        // Of an earlier start.
        Err(Errno::EXIST) if rustix::fs::readlinkat(&parent, name, Vec::new()).is_ok_and(|there| there == target) => {
            Ok(())
        }
        other => other,
    }
}

fn new_link(root: &Rootfs, target: &str, place: &Path) -> rustix::io::Result<()> {
    let (Some(parent), Some(name)) = (place.parent(), place.file_name()) else { return Err(Errno::INVAL) };
    let made = root.find(parent).and_then(|parent| rustix::fs::symlinkat(target, &parent, name));
    match made {
        Err(Errno::EXIST | Errno::NOENT | Errno::NOTDIR | Errno::ROFS | Errno::ACCESS | Errno::PERM) => Ok(()),
        other => other,
    }
}

fn links(root: &Rootfs) -> io::Result<()> {
    let dev = root.find_or_make(Path::new("/dev"), Kind::Directory)?;
    for (target, name) in LINKS {
        match rustix::fs::symlinkat(target, &dev, name) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The host's null device, checked to be it.
pub(crate) fn open_null() -> Result<OwnedFd> {
    let null = open_source(Path::new("/dev/null"), Some((1, 3)), Reach::One)?;
    let attributes = Attributes {
        on: attribute::READ_ONLY | attribute::NO_SUID | attribute::NO_EXEC,
        propagation: Some((Propagation::Private, Reach::One)),
        ..Attributes::default()
    };
    set_attributes(null.as_fd(), &attributes).map_err(|error| Error::kernel("prepare masks", error))?;
    Ok(null)
}

/// Hides paths: a file behind the null device, a directory behind an empty read-only one. Missing ones need no hiding.
pub(crate) fn mask(root: &Rootfs, paths: &[PathBuf], null: &mut Option<OwnedFd>) -> Result<()> {
    let mut empty: Option<OwnedFd> = None;
    for path in paths {
        let step = || format!("mask {}", path.display());
        let Some(place) = existing(root, path).map_err(|error| Error::kernel(step(), error))? else { continue };
        let stat = rustix::fs::fstat(&place).map_err(|error| Error::kernel(step(), error))?;
        let is_directory = FileType::from_raw_mode(stat.st_mode as RawMode) == FileType::Directory;
        let cover = if is_directory {
            match &empty {
                // Only an attached mount can be copied before Linux 6.15; the first one is by now.
                Some(first) => copy_of(first.as_fd(), Reach::One).map_err(|error| Error::kernel(step(), error))?,
                None => empty_directory().map_err(|error| Error::kernel(step(), error))?,
            }
        } else {
            match null.take() {
                Some(ready) => ready,
                None => open_null()?,
            }
        };
        attach(&cover, &place).map_err(|error| Error::kernel(step(), error))?;
        if is_directory && empty.is_none() {
            empty = Some(cover);
        }
    }
    Ok(())
}

fn empty_directory() -> rustix::io::Result<OwnedFd> {
    let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, "mode", "0755")?;
    fsconfig_create(&context)?;
    let flags = MountAttrFlags::MOUNT_ATTR_RDONLY
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, flags)
}

pub(crate) fn make_read_only(root: &Rootfs, paths: &[PathBuf]) -> Result<()> {
    for path in paths {
        let step = |error: io::Error| Error::kernel(format!("make {} read-only", path.display()), error);
        let Some(place) = existing(root, path).map_err(|error| step(error.into()))? else { continue };
        let tree = copy_of(place.as_fd(), Reach::Recursive).map_err(|error| step(error.into()))?;
        attribute::change(&tree, Reach::Recursive, attribute::READ_ONLY, 0, None).map_err(step)?;
        attach(&tree, &place).map_err(|error| step(error.into()))?;
    }
    Ok(())
}

/// `None` for what is not there or cannot be reached, which needs no protection.
fn existing(root: &Rootfs, path: &Path) -> rustix::io::Result<Option<OwnedFd>> {
    match root.find(path) {
        Ok(place) => Ok(Some(place)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Puts the container's end of its terminal at `/dev/console`. The terminal is known by descriptor: a path in the
/// container's devpts could be another container's by now (CVE-2025-52565).
pub(crate) fn console(root: &Rootfs, slave: BorrowedFd<'_>) -> Result<()> {
    let step = |error: Errno| Error::kernel("bind the terminal at /dev/console", error);
    let tree = copy_of(slave, Reach::One).map_err(step)?;
    let place = root.find_or_make(Path::new("/dev/console"), Kind::File).map_err(step)?;
    attach(&tree, &place).map_err(step)
}

/// The devpts of a container, checked to be one.
pub(crate) fn find_devpts(root: &Rootfs) -> Result<OwnedFd> {
    const DEVPTS_SUPER_MAGIC: i64 = 0x1cd1;
    let step = |error: Errno| Error::kernel("open the container's /dev/pts", error);
    let found = root.find_without_links(Path::new("/dev/pts")).map_err(step)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let devpts = rustix::fs::openat(&found, ".", flags, Mode::empty()).map_err(step)?;
    let magic = rustix::fs::fstatfs(&devpts).map_err(step)?.f_type;
    if magic != DEVPTS_SUPER_MAGIC {
        return Err(Error::configuration("a terminal needs a devpts at /dev/pts"));
    }
    Ok(devpts)
}
