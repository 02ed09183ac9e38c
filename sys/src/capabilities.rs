//! Capabilities, see capabilities(7): names, sets, and giving them up.

use std::io;
use std::sync::OnceLock;

use rustix::io::Errno;

/// In the order of linux/capability.h: the index is the number.
pub const NAMES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// A set of capabilities: bit `n` is the capability with number `n`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Set(pub u64);

impl Set {
    pub const EMPTY: Set = Set(0);
    /// Every capability that has a name here.
    pub const ALL: Set = Set((1 << NAMES.len()) - 1);

    pub fn contains(self, number: u32) -> bool {
        self.0 & (1 << number) != 0
    }

    pub fn with(self, number: u32) -> Set {
        Set(self.0 | (1 << number))
    }

    /// In the order of their numbers.
    pub fn numbers(self) -> impl Iterator<Item = u32> {
        (0..64).filter(move |&number| self.contains(number))
    }
}

impl std::ops::BitAnd for Set {
    type Output = Set;

    fn bitand(self, other: Set) -> Set {
        Set(self.0 & other.0)
    }
}

/// Reads `CAP_NET_ADMIN`, `net_admin` and the like.
pub fn parse(name: &str) -> Option<u32> {
    let upper = name.to_ascii_uppercase();
    let short = upper.strip_prefix("CAP_").unwrap_or(&upper);
    NAMES.iter().position(|known| &known["CAP_".len()..] == short).and_then(|at| u32::try_from(at).ok())
}

/// The effective, permitted and inheritable sets of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sets {
    pub effective: Set,
    pub permitted: Set,
    pub inheritable: Set,
}

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Half {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// `_LINUX_CAPABILITY_VERSION_3`: 64 capabilities in two halves.
const VERSION: u32 = 0x2008_0522;

/// Of the calling process.
pub fn get() -> io::Result<Sets> {
    let mut header = Header { version: VERSION, pid: 0 };
    let mut halves = [Half::default(); 2];
    // SAFETY: the kernel reads a header and writes the two halves that version 3 has.
    if unsafe { libc::syscall(libc::SYS_capget, &raw mut header, halves.as_mut_ptr()) } < 0 {
        return Err(io::Error::last_os_error());
    }
    let join = |part: fn(&Half) -> u32| Set(u64::from(part(&halves[0])) | u64::from(part(&halves[1])) << 32);
    Ok(Sets {
        effective: join(|half| half.effective),
        permitted: join(|half| half.permitted),
        inheritable: join(|half| half.inheritable),
    })
}

/// Of the calling process.
///
/// # Errors
/// `EPERM` when a set would grow beyond what capset(2) allows.
pub fn set(sets: Sets) -> io::Result<()> {
    let mut header = Header { version: VERSION, pid: 0 };
    let half = |shift: u32| Half {
        effective: (sets.effective.0 >> shift) as u32,
        permitted: (sets.permitted.0 >> shift) as u32,
        inheritable: (sets.inheritable.0 >> shift) as u32,
    };
    let halves = [half(0), half(32)];
    // SAFETY: the kernel reads a header and the two halves that version 3 has.
    if unsafe { libc::syscall(libc::SYS_capset, &raw mut header, halves.as_ptr()) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// The highest capability number of this kernel: `/proc/sys/kernel/cap_last_cap`, found without the file.
pub fn last() -> u32 {
    static LAST: OnceLock<u32> = OnceLock::new();
    *LAST.get_or_init(|| (0..64).take_while(|&number| bounding_has(number).is_some()).last().unwrap_or(0))
}

/// Whether the bounding set has it; `None` when the kernel does not know the number.
pub fn bounding_has(number: u32) -> Option<bool> {
    // SAFETY: PR_CAPBSET_READ takes a number.
    match unsafe { libc::prctl(libc::PR_CAPBSET_READ, libc::c_ulong::from(number), 0, 0, 0) } {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

/// Drops everything else from the bounding set; capabilities that are not in it already stay away.
pub fn limit_bounding(keep: Set) -> io::Result<()> {
    for number in (0..64).filter(|&number| !keep.contains(number)) {
        // SAFETY: PR_CAPBSET_DROP takes a number.
        if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, libc::c_ulong::from(number), 0, 0, 0) } < 0 {
            let error = io::Error::last_os_error();
            // The first number that this kernel does not know: there are none above it.
            return if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) { Ok(()) } else { Err(error) };
        }
    }
    Ok(())
}

/// Replaces the ambient set. Each must be permitted and inheritable.
pub fn set_ambient(set: Set) -> io::Result<()> {
    // SAFETY: PR_CAP_AMBIENT takes numbers.
    if unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as libc::c_ulong, 0, 0, 0) } < 0 {
        return Err(io::Error::last_os_error());
    }
    for number in set.numbers() {
        let raise = libc::PR_CAP_AMBIENT_RAISE as libc::c_ulong;
        // SAFETY: as above.
        if unsafe { libc::prctl(libc::PR_CAP_AMBIENT, raise, libc::c_ulong::from(number), 0, 0) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_every_spelling() {
        for name in ["CAP_SYS_ADMIN", "SYS_ADMIN", "sys_admin", "cap_sys_admin"] {
            assert_eq!(parse(name), Some(21), "{name}");
        }
        assert_eq!(parse("CAP_CHECKPOINT_RESTORE"), Some(40));
        assert_eq!(parse("ALL"), None);
    }

    #[test]
    fn the_kernel_knows_no_capability_below_ours() {
        assert!(last() >= 37);
        assert!(get().is_ok());
    }
}
