//! The container's root becomes the root.

use std::os::fd::AsFd;

use rustix::mount::{MountPropagationFlags, UnmountFlags};
use sys::mount_attributes::{self as attribute, Propagation, Reach};

use crate::rootfs::Rootfs;
use crate::{Error, Result};

/// What the host mounts later may still appear in the container's copy of its mounts, but nothing travels back.
pub(crate) fn detach_propagation() -> Result<()> {
    rustix::mount::mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
        .map_err(|error| Error::kernel("cut the mounts off from the host's", error))
}

/// pivot_root(2) with the new root as the place of the old one as well: it ends up on top of the new root and is taken
/// off, so the image needs no directory for it (see the manual page, NOTES).
pub(crate) fn pivot(root: &Rootfs) -> Result<()> {
    let step = |error: rustix::io::Errno| Error::kernel("change the root", error);
    rustix::process::fchdir(root.as_fd()).map_err(step)?;
    rustix::process::pivot_root(".", ".").map_err(step)?;
    // "." is now the old root.
    rustix::mount::unmount(".", UnmountFlags::DETACH).map_err(step)?;
    // pivot_root promises nothing about the working directory.
    rustix::process::chdir("/").map_err(step)
}

pub(crate) fn make_root_read_only(root: &Rootfs) -> Result<()> {
    attribute::change(root.as_fd(), Reach::One, attribute::READ_ONLY, 0, None)
        .map_err(|error| Error::kernel("make the root file system read-only", error))
}

/// `linux.rootfsPropagation`.
pub(crate) fn set_root_propagation(root: &Rootfs, word: &str) -> Result<()> {
    let (propagation, reach) = match word {
        "private" => (Propagation::Private, Reach::One),
        "rprivate" => (Propagation::Private, Reach::Recursive),
        "slave" => (Propagation::Slave, Reach::One),
        "rslave" => (Propagation::Slave, Reach::Recursive),
        "shared" => (Propagation::Shared, Reach::One),
        "rshared" => (Propagation::Shared, Reach::Recursive),
        "unbindable" => (Propagation::Unbindable, Reach::One),
        "runbindable" => (Propagation::Unbindable, Reach::Recursive),
        _ => return Err(Error::configuration(format!("`{word}` is no mount propagation"))),
    };
    attribute::change(root.as_fd(), reach, 0, 0, Some(propagation))
        .map_err(|error| Error::kernel("set the propagation of the root", error))
}
