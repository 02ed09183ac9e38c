//! Names inside of a container's root file system, resolved so that nothing in the image can lead outside.
//!
//! Images are hostile: any component may be a symbolic link to anywhere, and another container that shares a volume may
//! exchange one while we look. So a name is resolved once, by the kernel, with the root as its border (openat2(2),
//! `RESOLVE_IN_ROOT`), and from then on only the descriptor is used.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path};

use rustix::fs::{FileType, Mode, OFlags, RawMode, ResolveFlags};
use rustix::io::Errno;

/// As many as the kernel follows before it says ELOOP.
const MAX_LINKS: usize = 40;

/// What a mount needs to find at its destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Directory,
    File,
}

/// The root directory of a container that is being made.
#[derive(Debug)]
pub(crate) struct Rootfs(OwnedFd);

impl Rootfs {
    pub(crate) fn open(path: &Path) -> io::Result<Rootfs> {
        Ok(Rootfs(rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?))
    }

    /// What is there now, as an `O_PATH` descriptor.
    pub(crate) fn find(&self, path: &Path) -> rustix::io::Result<OwnedFd> {
        self.resolve(path, ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS)
    }

    /// As [`Rootfs::find`], but a symbolic link anywhere is an error (`ELOOP`): for the places where a redirected mount
    /// would be an escape by itself, `/proc` and `/sys`.
    pub(crate) fn find_without_links(&self, path: &Path) -> rustix::io::Result<OwnedFd> {
        self.resolve(path, ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS)
    }

    fn resolve(&self, path: &Path, how: ResolveFlags) -> rustix::io::Result<OwnedFd> {
        loop {
            let found = rustix::fs::openat2(&self.0, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), how);
            // EAGAIN: something was renamed while `..` was resolved, see openat2(2).
            match found {
                Err(Errno::AGAIN | Errno::INTR) => {}
                found => return found,
            }
        }
    }

    /// What is there, made if it is missing, with its parents.
    pub(crate) fn find_or_make(&self, path: &Path, kind: Kind) -> rustix::io::Result<OwnedFd> {
        match self.find(path) {
            Err(Errno::NOENT) => self.make(path, kind),
            found => found,
        }
    }

    /// Walks by hand, one component at a time and never through a link, so that also what a dangling link points to can
    /// be made. `..` is answered from the descriptors that were passed on the way down.
    fn make(&self, path: &Path, kind: Kind) -> rustix::io::Result<OwnedFd> {
        let mut way: Vec<OwnedFd> = Vec::new();
        let mut ahead: VecDeque<Step> = steps(path).collect();
        let mut links = 0;
        while let Some(step) = ahead.pop_front() {
            let name = match step {
                Step::Root => {
                    way.clear();
                    continue;
                }
                Step::Up => {
                    way.pop();
                    continue;
                }
                Step::Into(name) => name,
            };
            let here = way.last().map_or(self.0.as_fd(), OwnedFd::as_fd);
            let next = match step_into(here, &name) {
                Err(Errno::NOENT) => {
                    let last = ahead.is_empty();
                    match kind {
                        Kind::File if last => {
                            let mode = Mode::from_raw_mode(0o644);
                            rustix::fs::mknodat(here, &name, FileType::RegularFile, mode, 0)
                        }
                        Kind::File | Kind::Directory => rustix::fs::mkdirat(here, &name, Mode::from_raw_mode(0o755)),
                    }
                    .or_else(|error| if error == Errno::EXIST { Ok(()) } else { Err(error) })?;
                    step_into(here, &name)?
                }
                found => found?,
            };
            if FileType::from_raw_mode(rustix::fs::fstat(&next)?.st_mode as RawMode) == FileType::Symlink {
                links += 1;
                if links > MAX_LINKS {
                    return Err(Errno::LOOP);
                }
                let target = rustix::fs::readlinkat(&next, "", Vec::new())?;
                let target = OsString::from_vec(target.into_bytes());
                for step in steps(Path::new(&target)).collect::<Vec<_>>().into_iter().rev() {
                    ahead.push_front(step);
                }
            } else {
                way.push(next);
            }
        }
        match way.pop() {
            Some(found) => Ok(found),
            None => self.0.try_clone().map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO)),
        }
    }
}

impl From<OwnedFd> for Rootfs {
    fn from(directory: OwnedFd) -> Self {
        Rootfs(directory)
    }
}

impl AsFd for Rootfs {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

enum Step {
    Root,
    Up,
    Into(OsString),
}

fn steps(path: &Path) -> impl Iterator<Item = Step> {
    path.components().filter_map(|component| match component {
        Component::RootDir | Component::Prefix(_) => Some(Step::Root),
        Component::CurDir => None,
        Component::ParentDir => Some(Step::Up),
        Component::Normal(name) => Some(Step::Into(name.to_owned())),
    })
}

/// One plain name, which may be a link but is not followed. Mounts are crossed.
fn step_into(directory: BorrowedFd<'_>, name: &OsString) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat(directory, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    /// A root beside which lies a directory that must stay empty.
    struct Lab(PathBuf);

    impl Lab {
        fn new(name: &str) -> Lab {
            let lab = std::env::temp_dir().join(format!("creel-rootfs-{name}-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&lab);
            std::fs::create_dir_all(lab.join("root/etc")).unwrap();
            std::fs::create_dir_all(lab.join("outside")).unwrap();
            Lab(lab)
        }

        fn root(&self) -> Rootfs {
            Rootfs::open(&self.0.join("root")).unwrap()
        }

        fn assert_nothing_escaped(&self) {
            assert_eq!(std::fs::read_dir(self.0.join("outside")).unwrap().count(), 0);
        }
    }

    impl Drop for Lab {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn missing_parents_are_made() {
        let lab = Lab::new("parents");
        lab.root().find_or_make(Path::new("/a/b/c"), Kind::Directory).unwrap();
        lab.root().find_or_make(Path::new("/x/y/file"), Kind::File).unwrap();
        assert!(lab.0.join("root/a/b/c").is_dir());
        assert!(lab.0.join("root/x/y/file").is_file());
    }

    #[test]
    fn links_lead_nowhere_but_into_the_root() {
        let lab = Lab::new("links");
        let outside = lab.0.join("outside");
        symlink(&outside, lab.0.join("root/absolute")).unwrap();
        symlink("../../../../../../..", lab.0.join("root/up")).unwrap();
        symlink("../outside/file", lab.0.join("root/etc/dangling")).unwrap();
        let root = lab.root();
        root.find_or_make(Path::new("/absolute/made"), Kind::Directory).unwrap();
        root.find_or_make(&Path::new("/up").join(outside.strip_prefix("/").unwrap()).join("made"), Kind::File).unwrap();
        root.find_or_make(Path::new("/etc/dangling"), Kind::File).unwrap();
        root.find_or_make(Path::new("/../../etc/../../made"), Kind::Directory).unwrap();
        lab.assert_nothing_escaped();
        assert!(lab.0.join("root").join(outside.strip_prefix("/").unwrap()).join("made").exists());
        assert!(lab.0.join("root/outside/file").is_file());
        assert!(lab.0.join("root/made").is_dir());
    }

    #[test]
    fn a_circle_of_links_ends() {
        let lab = Lab::new("circle");
        symlink("b", lab.0.join("root/a")).unwrap();
        symlink("a", lab.0.join("root/b")).unwrap();
        assert_eq!(lab.root().find_or_make(Path::new("/a/x"), Kind::Directory).unwrap_err(), Errno::LOOP);
    }

    #[test]
    fn magic_links_are_not_followed() {
        let lab = Lab::new("magic");
        symlink("/proc/self/root", lab.0.join("root/out")).unwrap();
        // `/proc` is taken from the root, where there is none.
        assert!(lab.root().find(Path::new("/out/etc")).is_err());
        let host = Rootfs::open(Path::new("/")).unwrap();
        assert_eq!(host.find(Path::new("/proc/self/root")).unwrap_err(), Errno::LOOP);
    }

    #[test]
    fn a_link_is_refused_where_it_would_be_an_escape_by_itself() {
        let lab = Lab::new("proc");
        symlink("etc", lab.0.join("root/proc")).unwrap();
        assert_eq!(lab.root().find_without_links(Path::new("/proc")).unwrap_err(), Errno::LOOP);
    }
}
