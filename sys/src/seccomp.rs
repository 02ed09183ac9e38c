//! Loading a seccomp filter, see seccomp(2). Making one is `runtime::seccomp`'s.

use std::io;

/// One BPF instruction, `struct sock_filter` of linux/filter.h.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    pub code: u16,
    pub jump_true: u8,
    pub jump_false: u8,
    pub k: u32,
}

/// `SECCOMP_FILTER_FLAG_*` of linux/seccomp.h.
pub mod flags {
    pub const TSYNC: u32 = 1;
    pub const LOG: u32 = 2;
    pub const SPEC_ALLOW: u32 = 4;
    pub const WAIT_KILLABLE_RECV: u32 = 32;
}

/// Puts the filter on the calling process, for good.
///
/// # Errors
/// `EACCES` without no_new_privs and without CAP_SYS_ADMIN in the user namespace; `EINVAL` for a filter the kernel
/// does not accept.
pub fn load(filter: &[Instruction], flags: u32) -> io::Result<()> {
    let length = u16::try_from(filter.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    #[repr(C)]
    struct Program {
        length: u16,
        filter: *const Instruction,
    }
    let program = Program { length, filter: filter.as_ptr() };
    const SET_MODE_FILTER: libc::c_long = 1;
    // SAFETY: `program` is a sock_fprog over `length` instructions with the kernel's layout (repr(C)); both outlive the
    // call, and the kernel checks the filter before it uses it.
    let result =
        unsafe { libc::syscall(libc::SYS_seccomp, SET_MODE_FILTER, libc::c_long::from(flags), &raw const program) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
