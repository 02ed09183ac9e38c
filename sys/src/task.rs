//! Attributes of the calling process on its way to another program: identity, limits, descriptors, execve(2).

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Sets all group ids, then all user ids, then nothing can be taken back without CAP_SETUID.
///
/// `keep_capabilities`: permitted capabilities survive the change from 0 to another user id (`PR_SET_KEEPCAPS`);
/// the effective ones are lost in any case. `groups` of `None` leaves the supplementary groups alone.
///
/// Raw system calls: glibc would have to make every thread follow, and there is one thread.
pub fn set_identity(uid: u32, gid: u32, groups: Option<&[u32]>, keep_capabilities: bool) -> io::Result<()> {
    // SAFETY: PR_SET_KEEPCAPS takes a number.
    check(unsafe { libc::prctl(libc::PR_SET_KEEPCAPS, libc::c_ulong::from(keep_capabilities), 0, 0, 0) }.into())?;
    if let Some(groups) = groups {
        // SAFETY: the kernel reads `len` ids from the slice.
        check(unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) })?;
    }
    // SAFETY: plain numbers.
    check(unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) })?;
    // SAFETY: plain numbers.
    check(unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) })
}

/// One resource limit, see getrlimit(2). `resource` is the kernel's number; `u64::MAX` is "no limit".
pub fn set_limit(resource: u32, soft: u64, hard: u64) -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: soft, rlim_max: hard };
    // SAFETY: the kernel reads an rlimit that lives through the call.
    check(unsafe { libc::syscall(libc::SYS_prlimit64, 0, resource, &raw const limit, std::ptr::null::<u8>()) })
}

/// Soft and hard limit of the calling process.
pub fn limit(resource: u32) -> io::Result<(u64, u64)> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes an rlimit that lives through the call.
    check(unsafe { libc::syscall(libc::SYS_prlimit64, 0, resource, std::ptr::null::<u8>(), &raw mut limit) })?;
    Ok((limit.rlim_cur, limit.rlim_max))
}

/// A session keyring of its own, without a name: keys of the caller's session stay out of reach.
pub fn new_session_keyring() -> io::Result<()> {
    const KEYCTL_JOIN_SESSION_KEYRING: libc::c_long = 1;
    // SAFETY: a null name asks for an anonymous keyring.
    check(unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, std::ptr::null::<u8>()) })
}

/// Whether other processes of the same user may look into this one (`/proc/PID/exe`, ptrace), see prctl(2).
pub fn set_dumpable(dumpable: bool) -> io::Result<()> {
    // SAFETY: PR_SET_DUMPABLE takes a number.
    check(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, libc::c_ulong::from(dumpable), 0, 0, 0) }.into())
}

/// The execution domain, see personality(2).
pub fn set_personality(persona: u64) -> io::Result<()> {
    // SAFETY: a plain number.
    check(unsafe { libc::syscall(libc::SYS_personality, persona) })
}

/// I/O class and priority of the calling process, see ioprio_set(2).
pub fn set_io_priority(class: u16, priority: u16) -> io::Result<()> {
    const IOPRIO_WHO_PROCESS: libc::c_long = 1;
    let value = libc::c_long::from(class) << 13 | libc::c_long::from(priority);
    // SAFETY: plain numbers.
    check(unsafe { libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, value) })
}

/// Marks every descriptor from `first` upward close-on-exec.
pub fn close_on_exec_from(first: u32) -> io::Result<()> {
    const CLOSE_RANGE_CLOEXEC: libc::c_uint = 4;
    // SAFETY: flags only, no descriptor is closed before execve.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, CLOSE_RANGE_CLOEXEC) };
    match check(result) {
        // Linux before 5.11: one by one. Everything creel opens is close-on-exec anyway; this is for what it inherited.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EINVAL)) => {
            let (soft, _) = limit(libc::RLIMIT_NOFILE)?;
            for fd in first..u32::try_from(soft).unwrap_or(u32::MAX).min(1 << 16) {
                // SAFETY: flags only; EBADF for what is not open.
                unsafe { libc::fcntl(fd as RawFd, libc::F_SETFD, libc::FD_CLOEXEC) };
            }
            Ok(())
        }
        other => other,
    }
}

/// Puts `descriptors[i]` at number `first + i`, open over execve(2). The descriptors may overlap with those numbers.
/// Whatever had these numbers is closed: call it when no other descriptor below `first + len` is needed any more, except
/// through what [`out_of_the_way`] returned.
pub fn place_descriptors(first: u32, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    place((first..).zip(descriptors.iter().copied()).collect())
}

/// A descriptor, and the number it is to have in another program.
#[derive(Debug)]
pub struct Numbered {
    pub number: u32,
    pub fd: OwnedFd,
}

/// As [`place_descriptors`], each at its own number.
pub fn place_numbered(descriptors: &[Numbered]) -> io::Result<()> {
    place(descriptors.iter().map(|descriptor| (descriptor.number, descriptor.fd.as_fd())).collect())
}

fn place(descriptors: Vec<(u32, BorrowedFd<'_>)>) -> io::Result<()> {
    let number = |number: u32| RawFd::try_from(number).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput));
    let above = number(descriptors.iter().map(|(number, _)| number + 1).max().unwrap_or(0))?;
    let mut copies = Vec::new();
    for (at, fd) in descriptors {
        copies.push((number(at)?, out_of_the_way(fd, above)?));
    }
    for (number, copy) in &copies {
        // SAFETY: the caller gave these numbers up.
        if unsafe { libc::dup2(copy.as_raw_fd(), *number) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Lets a command have copies of these descriptors, open at 3 and up.
pub fn pass_descriptors(command: &mut std::process::Command, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    use std::os::unix::process::CommandExt as _;
    let above = 3 + RawFd::try_from(descriptors.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    // Out of the way of where they will be put, so that the child has only to put them there. The command keeps them.
    let copies = descriptors.iter().map(|fd| out_of_the_way(*fd, above)).collect::<io::Result<Vec<_>>>()?;
    // SAFETY: between fork and exec only dup2 is called, which is async-signal-safe, and nothing is allocated. std's own
    // descriptor for reporting an exec error may be among the numbers that are taken over; then an error is reported as
    // an end without success, which the caller sees.
    unsafe {
        command.pre_exec(move || {
            for (number, copy) in (3..).zip(&copies) {
                if libc::dup2(copy.as_raw_fd(), number) < 0 {
                    return Err(io::Error::last_os_error());
                }
            }
            Ok(())
        });
    }
    Ok(())
}

/// A close-on-exec copy whose number is `at_least` or more.
pub fn out_of_the_way(fd: BorrowedFd<'_>, at_least: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_DUPFD_CLOEXEC makes a new descriptor of an open one.
    let copy = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, at_least) };
    if copy < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// Takes a descriptor that the caller's caller left open under a known number (`LISTEN_FDS`, `--preserve-fds`).
/// `None` when nothing is open there.
///
/// The number must not belong to anybody in this program; callers do this once, first thing in `main`.
pub fn inherited_descriptor(number: RawFd) -> Option<OwnedFd> {
    // SAFETY: F_SETFD only changes a flag, and fails for what is not open.
    if unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
        return None;
    }
    // SAFETY: it is open, and by this function's contract nobody else owns it.
    Some(unsafe { OwnedFd::from_raw_fd(number) })
}

/// argv or envp, made before a clone so that the child has nothing left to allocate.
#[derive(Clone, Debug)]
pub struct StringList {
    strings: Vec<CString>,
}

impl StringList {
    /// # Errors
    /// `InvalidInput` for a string with a NUL byte.
    pub fn new<S: AsRef<str>>(strings: impl IntoIterator<Item = S>) -> io::Result<StringList> {
        let strings = strings
            .into_iter()
            .map(|string| CString::new(string.as_ref()).map_err(|_| io::ErrorKind::InvalidInput.into()))
            .collect::<io::Result<_>>()?;
        Ok(StringList { strings })
    }

    pub fn first(&self) -> Option<&CStr> {
        self.strings.first().map(CString::as_c_str)
    }

    pub fn iter(&self) -> impl Iterator<Item = &CStr> {
        self.strings.iter().map(CString::as_c_str)
    }
}

/// execve(2): returns only its error.
pub fn execve(path: &CStr, arguments: &StringList, environment: &StringList) -> io::Error {
    let pointers = |list: &StringList| {
        list.strings.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect::<Vec<_>>()
    };
    let (arguments, environment) = (pointers(arguments), pointers(environment));
    // SAFETY: both lists end in null and point to NUL-terminated strings that live through the call.
    unsafe {
        libc::execve(path.as_ptr(), arguments.as_ptr(), environment.as_ptr());
    }
    io::Error::last_os_error()
}

fn check(result: libc::c_long) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
