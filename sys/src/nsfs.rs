//! File handles of namespaces: a name for a namespace that does not keep it alive.
//!
//! `name_to_handle_at(2)` on nsfs needs Linux 6.18; `open_by_handle_at(2)` takes `FD_NSFS_ROOT` as its mount there.

use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// `FD_NSFS_ROOT` of linux/nsfs.h.
const NSFS_ROOT: i32 = -10003;
/// `AT_EMPTY_PATH`, and room for the largest handle the kernel makes.
const MAX_BYTES: usize = libc::MAX_HANDLE_SZ as usize;

/// The handle of one namespace; it never names another one within a boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handle {
    kind: i32,
    bytes: Vec<u8>,
}

/// `struct file_handle` with its flexible part.
#[repr(C)]
struct Raw {
    handle_bytes: u32,
    handle_type: i32,
    f_handle: [u8; MAX_BYTES],
}

impl Handle {
    /// The handle of an open namespace file (`/proc/PID/ns/*`); fails on kernels without them.
    pub fn of(namespace: BorrowedFd<'_>) -> io::Result<Handle> {
        let mut raw = Raw { handle_bytes: MAX_BYTES as u32, handle_type: 0, f_handle: [0; MAX_BYTES] };
        let mut mount_id = 0;
        // SAFETY: `raw` is a file_handle with MAX_BYTES of room, as handle_bytes says; the path is an empty C string;
        // both outlive the call.
        let result = unsafe {
            libc::name_to_handle_at(
                namespace.as_raw_fd(),
                c"".as_ptr(),
                (&raw mut raw).cast::<libc::file_handle>(),
                &raw mut mount_id,
                libc::AT_EMPTY_PATH,
            )
        };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        let length = (raw.handle_bytes as usize).min(MAX_BYTES);
        Ok(Handle { kind: raw.handle_type, bytes: raw.f_handle[..length].to_vec() })
    }

    /// Reads what [`fmt::Display`] wrote.
    pub fn parse(text: &str) -> Option<Handle> {
        let (kind, hex) = text.split_once(':')?;
        if hex.len() % 2 != 0 || hex.len() > 2 * MAX_BYTES || !hex.is_ascii() {
            return None;
        }
        let bytes = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).ok());
        Some(Handle { kind: kind.parse().ok()?, bytes: bytes.collect::<Option<_>>()? })
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.kind)?;
        self.bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Opens the namespace of a handle; `ESTALE` when nobody is in it any more.
pub fn open(handle: &Handle) -> io::Result<OwnedFd> {
    let mut raw = Raw { handle_bytes: handle.bytes.len() as u32, handle_type: handle.kind, f_handle: [0; MAX_BYTES] };
    raw.f_handle[..handle.bytes.len()].copy_from_slice(&handle.bytes);
    // SAFETY: `raw` is a whole file_handle that outlives the call.
    let fd = unsafe {
        libc::open_by_handle_at(NSFS_ROOT, (&raw mut raw).cast::<libc::file_handle>(), libc::O_RDONLY | libc::O_CLOEXEC)
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::AsFd;

    #[test]
    fn a_handle_survives_its_text() {
        let handle = Handle { kind: 2, bytes: vec![0, 15, 255] };
        assert_eq!(Handle::parse(&handle.to_string()), Some(handle));
        assert_eq!(Handle::parse("2:0"), None);
        assert_eq!(Handle::parse("x"), None);
    }

    #[test]
    fn our_own_namespace_is_found_again_where_the_kernel_has_handles() {
        let namespace = File::open("/proc/self/ns/user").unwrap();
        // Older kernels have none, and nothing more is claimed.
        if let Ok(handle) = Handle::of(namespace.as_fd()) {
            open(&handle).unwrap();
        }
    }
}
