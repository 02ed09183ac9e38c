//! Changing what a mount allows, see mount_setattr(2).

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// `MOUNT_ATTR_*` of linux/mount.h.
pub const READ_ONLY: u64 = 0x1;
pub const NO_SUID: u64 = 0x2;
pub const NO_DEV: u64 = 0x4;
pub const NO_EXEC: u64 = 0x8;
/// The bits of the access time policy: 0 is `relatime`.
pub const ACCESS_TIME: u64 = 0x70;
pub const NO_ATIME: u64 = 0x10;
pub const STRICT_ATIME: u64 = 0x20;
pub const NO_DIR_ATIME: u64 = 0x80;
pub const NO_SYMLINKS: u64 = 0x0020_0000;

/// How mount events travel, see mount_namespaces(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    Private,
    Shared,
    Slave,
    Unbindable,
}

/// Whether the mounts below are meant too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    One,
    Recursive,
}

/// Switches attributes on and off, and may change the propagation, of the mount that `mount` is in the root of.
///
/// Unlike a remount it leaves all other attributes alone, so flags that a less privileged user namespace must keep are
/// kept.
///
/// # Errors
/// `ENOSYS` before Linux 5.12, `EPERM` for switching off what is locked.
pub fn change(mount: impl AsFd, reach: Reach, on: u64, off: u64, propagation: Option<Propagation>) -> io::Result<()> {
    let attributes = libc::mount_attr {
        attr_set: on,
        attr_clr: off,
        propagation: match propagation {
            None => 0,
            Some(Propagation::Private) => libc::MS_PRIVATE,
            Some(Propagation::Shared) => libc::MS_SHARED,
            Some(Propagation::Slave) => libc::MS_SLAVE,
            Some(Propagation::Unbindable) => libc::MS_UNBINDABLE,
        },
        userns_fd: 0,
    };
    let flags = libc::AT_EMPTY_PATH
        | match reach {
            Reach::One => 0,
            Reach::Recursive => libc::AT_RECURSIVE,
        };
    // SAFETY: the path is an empty C string, `attributes` is a mount_attr of the size that is passed; both outlive the
    // call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_fd().as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
