//! The mount of a container's root file system: a value made by whoever knows the layers, executed by whoever is in the
//! right mount namespace. Nothing here decides what to mount.

use std::convert::Infallible;
use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, StatVfsMountFlags};
use rustix::io::{Errno, FdFlags};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, UnmountFlags};

use crate::task::StringList;

/// mount(2) copies one page of options; the last byte is the terminating zero.
const OPTIONS_MAX: usize = 4095;

/// A root file system to be mounted in a new mount namespace.
#[derive(Debug)]
pub enum RootMount {
    /// A directory, bound onto the target.
    Directory(PathBuf),
    /// overlay with `userxattr`. Relative names start from `base`. Layers top-most first; without `upper` it is
    /// read-only and needs two of them.
    Overlay {
        base: PathBuf,
        lower: Vec<PathBuf>,
        upper: Option<PathBuf>,
        work: Option<PathBuf>,
        volatile: bool,
        /// Further options, each `key` or `key=value`.
        options: Vec<String>,
    },
    /// A FUSE file system whose server waits for the mount.
    Fuse {
        /// An open `/dev/fuse`, opened in the user namespace that mounts (fuse(4) refuses any other). Whoever keeps a
        /// copy keeps users of a mount waiting whose server has died.
        fd: OwnedFd,
        /// Options besides `fd`, `rootmode`, `user_id` and `group_id`.
        options: String,
        /// Gets one byte when the mount is there: a server that reads `/dev/fuse` earlier gets EPERM. Closed without
        /// a byte, it sends the server home.
        mounted: OwnedFd,
    },
}

impl RootMount {
    /// Mounts it on `target`, a directory. The caller is in the mount namespace that is meant, with CAP_SYS_ADMIN over
    /// it, and is single-threaded: the working directory is changed and put back.
    pub fn mount(&self, target: &Path) -> io::Result<()> {
        match self {
            RootMount::Directory(path) => Ok(rustix::mount::mount_bind_recursive(path, target)?),
            RootMount::Overlay { base, lower, upper, work, volatile, options } => {
                // Every name is taken from `base`, so the target must not depend on the working directory.
                let target = std::path::absolute(target)?;
                let home = rustix::fs::open(".", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
                rustix::process::chdir(base)?;
                let overlay = Overlay { lower, upper: upper.as_deref(), work: work.as_deref(), volatile, options };
                let done = overlay.mount(&target);
                if let Ok(home) = home {
                    rustix::process::fchdir(home)?;
                }
                done
            }
            RootMount::Fuse { fd, options, mounted } => {
                let mut data = format!(
                    "fd={},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions",
                    fd.as_raw_fd()
                );
                if !options.is_empty() {
                    data.push(',');
                    data.push_str(options);
                }
                let data = CString::new(data).map_err(io::Error::other)?;
                rustix::mount::mount(
                    "fuse-overlayfs",
                    target,
                    "fuse.fuse-overlayfs",
                    MountFlags::NODEV,
                    Some(data.as_c_str()),
                )?;
                rustix::io::write(mounted, b"m")?;
                Ok(())
            }
        }
    }

    /// For a forked child that has mounted it and drops nothing: without its copy of the connection it learns that the
    /// server has died, instead of waiting for it.
    pub fn close_copy(&self) {
        if let RootMount::Fuse { fd, .. } = self {
            let _ = nix::unistd::close(fd.as_raw_fd());
        }
    }
}

/// A program that serves a FUSE mount which somebody else makes.
#[derive(Debug)]
pub struct FuseServer {
    pub program: CString,
    /// The whole argv but for its last word, which becomes `/dev/fd/N` (libfuse 3.3).
    pub arguments: Vec<String>,
    pub environment: Vec<String>,
    /// Its working directory.
    pub base: PathBuf,
    pub fuse: OwnedFd,
    /// The reading side of [`RootMount::Fuse::mounted`].
    pub mounted: OwnedFd,
}

impl FuseServer {
    /// Forks a process that waits for the mount and then becomes the program; if the mount never comes it exits with 0.
    /// It has a session of its own and no descriptor of the caller's: neither a terminal's signals nor the caller's
    /// locks and pipes are its business. The program ends by itself when the mount goes.
    ///
    /// # Errors
    /// As [`crate::clone::fork`].
    pub fn spawn(self) -> io::Result<crate::clone::Child> {
        let name = format!("/dev/fd/{}", self.fuse.as_raw_fd());
        let arguments = StringList::new(self.arguments.iter().map(String::as_str).chain([name.as_str()]))?;
        let environment = StringList::new(&self.environment)?;
        let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
        crate::clone::fork(|| match self.serve(&null, &arguments, &environment) {
            Ok(never) => match never {},
            Err(_) => crate::clone::exit_now(1),
        })
    }

    /// The child's side. Its errors have nobody to go to: whoever uses the mount sees "not connected".
    fn serve(&self, null: &OwnedFd, arguments: &StringList, environment: &StringList) -> io::Result<Infallible> {
        rustix::process::setsid()?;
        crate::signals::reset_for_exec()?;
        crate::task::place_descriptors(0, &[null.as_fd(), null.as_fd(), null.as_fd()])?;
        close_others(&[self.fuse.as_raw_fd(), self.mounted.as_raw_fd()])?;
        let mut byte = [0];
        loop {
            match rustix::io::read(&self.mounted, &mut byte) {
                Ok(0) => crate::clone::exit_now(0),
                Ok(_) => break,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        rustix::process::chdir(&self.base)?;
        rustix::io::fcntl_setfd(&self.fuse, FdFlags::empty())?;
        Err(crate::task::execve(&self.program, arguments, environment))
    }
}

/// Closes everything from 3 upward but `keep`.
fn close_others(keep: &[RawFd]) -> io::Result<()> {
    let mut keep: Vec<u32> = keep.iter().filter_map(|fd| u32::try_from(*fd).ok()).collect();
    keep.sort_unstable();
    let mut first = 3u32;
    for end in keep.into_iter().chain([u32::MAX]) {
        if first < end {
            // SAFETY: the caller is a child that uses no other descriptor until it exits or becomes another program.
            if unsafe { libc::syscall(libc::SYS_close_range, first, end - 1, 0) } < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        first = end.saturating_add(1).max(first);
    }
    Ok(())
}

struct Overlay<'a> {
    lower: &'a [PathBuf],
    upper: Option<&'a Path>,
    work: Option<&'a Path>,
    volatile: &'a bool,
    options: &'a [String],
}

impl Overlay<'_> {
    fn mount(&self, target: &Path) -> io::Result<()> {
        // Names with a separator or an escape in them go in by descriptor: the kernel's quoting differs between its
        // two mount interfaces and between versions.
        let mut held = Vec::new();
        let mut lower = Vec::with_capacity(self.lower.len());
        for path in self.lower {
            lower.push(plain_name(path, &mut held)?);
        }
        let upper = self.upper.map(|path| plain_name(path, &mut held)).transpose()?;
        let work = self.work.map(|path| plain_name(path, &mut held)).transpose()?;
        let mut pairs: Vec<(&str, Option<&OsStr>)> = vec![("userxattr", None)];
        if let (Some(upper), Some(work)) = (&upper, &work) {
            pairs.push(("upperdir", Some(upper.as_os_str())));
            pairs.push(("workdir", Some(work.as_os_str())));
        }
        if *self.volatile {
            pairs.push(("volatile", None));
        }
        for option in self.options {
            match option.split_once('=') {
                Some((key, value)) => pairs.push((key, Some(OsStr::new(value)))),
                None => pairs.push((option, None)),
            }
        }
        let mut data = b"lowerdir=".to_vec();
        for (index, path) in lower.iter().enumerate() {
            if index > 0 {
                data.push(b':');
            }
            data.extend_from_slice(path.as_os_str().as_bytes());
        }
        for (key, value) in &pairs {
            data.push(b',');
            data.extend_from_slice(key.as_bytes());
            if let Some(value) = value {
                data.push(b'=');
                data.extend_from_slice(value.as_bytes());
            }
        }
        if data.len() <= OPTIONS_MAX {
            let data = CString::new(data).map_err(io::Error::other)?;
            rustix::mount::mount("overlay", target, "overlay", MountFlags::empty(), Some(data.as_c_str()))?;
            return self.refuse_read_only(target);
        }
        // `lowerdir+` takes one layer a call (Linux 6.7); without it the list was simply too long.
        let context = rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
        for path in &lower {
            rustix::mount::fsconfig_set_string(&context, "lowerdir+", path.as_path())?;
        }
        for (key, value) in pairs {
            match value {
                Some(value) => rustix::mount::fsconfig_set_string(&context, key, value)?,
                None => rustix::mount::fsconfig_set_flag(&context, key)?,
            }
        }
        rustix::mount::fsconfig_create(&context)?;
        let mount = rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
        rustix::mount::move_mount(&mount, "", CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
        self.refuse_read_only(target)
    }

    /// Where the kernel cannot make what it needs in the work directory it mounts all the same, for reading alone, and
    /// tells nobody but its log: a full disk would come up as a read-only one, somewhere else.
    fn refuse_read_only(&self, target: &Path) -> io::Result<()> {
        let Some(work) = self.work else { return Ok(()) };
        if !rustix::fs::statvfs(target)?.f_flag.contains(StatVfsMountFlags::RDONLY) {
            return Ok(());
        }
        rustix::mount::unmount(target, UnmountFlags::DETACH)?;
        let probe = work.join("probe");
        std::fs::create_dir(&probe)?;
        std::fs::remove_dir(&probe)?;
        // There was none a moment ago.
        Err(Errno::NOSPC.into())
    }
}

fn plain_name(path: &Path, held: &mut Vec<OwnedFd>) -> io::Result<PathBuf> {
    if !path.as_os_str().as_bytes().iter().any(|byte| b",:\\".contains(byte)) {
        return Ok(path.to_owned());
    }
    let fd = rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let name = PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()));
    held.push(fd);
    Ok(name)
}
