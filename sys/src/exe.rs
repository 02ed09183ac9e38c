//! Our own executable, out of reach of what we start.
//!
//! A process in a container can open `/proc/PID/exe` of whoever is about to become a program there, and reopen that for
//! writing later (CVE-2019-5736). Where the file belongs to the caller, root of the container may write it. So whoever
//! starts processes in containers runs from a read-only view of the file.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use rustix::fs::{AtFlags, CWD, StatVfsMountFlags};
use rustix::mount::{MountPropagationFlags, OpenTreeFlags};

use crate::mount_attributes::{self, Reach};

/// Executes ourselves again from a read-only view of our file, in a mount namespace of our own, unless that is done
/// already or the file is not the caller's to write. Must come first in the process: single-threaded, in the user
/// namespace, and with nothing open that does not survive execve(2).
///
/// `environment` is added to what the second start sees, which no longer knows who we were outside of the namespace.
///
/// # Errors
/// What the kernel refused; the caller decides whether to go on.
pub fn seal(environment: &[(&str, String)]) -> io::Result<()> {
    let stat = rustix::fs::statat(CWD, "/proc/self/exe", AtFlags::empty())?;
    let mount = rustix::fs::statvfs("/proc/self/exe")?;
    if stat.st_uid != rustix::process::geteuid().as_raw() || mount.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Ok(());
    }
    let path = std::fs::read_link("/proc/self/exe")?;
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS)?;
    rustix::mount::mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)?;
    let view = rustix::mount::open_tree(CWD, &path, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)?;
    let opened = rustix::fs::statat(&view, "", AtFlags::EMPTY_PATH)?;
    if (opened.st_dev, opened.st_ino) != (stat.st_dev, stat.st_ino) {
        return Err(io::Error::other(format!("{} is not what runs any more", path.display())));
    }
    mount_attributes::change(&view, Reach::One, libc::MOUNT_ATTR_RDONLY, 0, None)?;
    let strings = |words: Vec<Vec<u8>>| words.into_iter().map(CString::new).collect::<Result<Vec<_>, _>>();
    let arguments = strings(std::env::args_os().map(OsStringExt::into_vec).collect())?;
    let added = environment.iter().map(|(key, value)| format!("{key}={value}").into_bytes());
    let kept = std::env::vars_os().filter(|(key, _)| !environment.iter().any(|(added, _)| key == added));
    let kept = kept.map(|(key, value)| [key.into_vec(), b"=".to_vec(), value.into_vec()].concat());
    let environment = strings(added.chain(kept).collect())?;
    Err(execute(view.as_raw_fd(), &arguments, &environment))
}

/// Where our executable is. Where it was replaced while we ran, by an upgrade, what is there now.
///
/// # Errors
/// `/proc` cannot be read.
pub fn path() -> io::Result<PathBuf> {
    let path = std::fs::read_link("/proc/self/exe")?;
    // As the kernel calls a file without a name, see proc_pid_exe(5).
    let replaced = path.as_os_str().as_bytes().strip_suffix(b" (deleted)");
    let replaced = replaced.map(|name| PathBuf::from(OsStr::from_bytes(name)));
    Ok(replaced.filter(|now| now.exists()).unwrap_or(path))
}

fn execute(view: std::os::fd::RawFd, arguments: &[CString], environment: &[CString]) -> io::Error {
    let pointers = |words: &[CString]| -> Vec<*const libc::c_char> {
        words.iter().map(|word| word.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (arguments, environment) = (pointers(arguments), pointers(environment));
    // SAFETY: both lists are null-terminated and point to C strings that outlive the call.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            view,
            c"".as_ptr(),
            arguments.as_ptr(),
            environment.as_ptr(),
            libc::AT_EMPTY_PATH,
        );
    }
    io::Error::last_os_error()
}
