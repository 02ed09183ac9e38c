//! Signals: names, the mask, a descriptor to read them from, and the clean state a new program expects.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Sends a signal through a pidfd. 0 only asks.
pub fn pidfd_send(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    // SAFETY: a null siginfo means the same as kill(2); no other pointer is passed.
    let result = unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, std::ptr::null::<libc::siginfo_t>(), 0u32)
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Sleeps until a signal arrives.
pub fn pause() {
    // SAFETY: no requirements.
    unsafe {
        libc::pause();
    }
}

/// Kills the calling process by a signal with its default action.
pub fn raise_default(signal: i32) {
    // SAFETY: both calls take plain numbers; SIG_DFL runs no code of ours.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
}

/// All dispositions to their defaults and an empty mask. Both are inherited over execve(2), and std ignores SIGPIPE:
/// without this every program in a container would too.
pub fn reset_for_exec() -> io::Result<()> {
    // As large as the kernel's struct sigaction is anywhere; all zero is SIG_DFL without flags.
    let default = [0u64; 4];
    for signal in 1..=64 {
        if matches!(signal, libc::SIGKILL | libc::SIGSTOP) {
            continue;
        }
        // The system call itself: glibc keeps 32 and 33 to itself, and a caller may have left those ignored too.
        // SAFETY: the kernel reads one struct sigaction, which runs no code of ours, and writes nothing.
        let result = unsafe {
            libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), std::ptr::null::<u8>(), size_of::<u64>())
        };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    set_mask(&Set::empty()).map(drop)
}

/// A set of signals.
#[derive(Clone)]
pub struct Set(libc::sigset_t);

impl Set {
    pub fn empty() -> Set {
        // SAFETY: sigset_t is plain old data that sigemptyset initialises.
        unsafe {
            let mut set = std::mem::zeroed();
            libc::sigemptyset(&raw mut set);
            Set(set)
        }
    }

    /// All that there are; the kernel leaves out SIGKILL and SIGSTOP.
    pub fn full() -> Set {
        let mut set = Set::empty();
        // SAFETY: an initialised set.
        unsafe {
            libc::sigfillset(&raw mut set.0);
        }
        set
    }

    pub fn of(signals: &[i32]) -> Set {
        let mut set = Set::empty();
        for &signal in signals {
            // SAFETY: an initialised set; an invalid number is refused by the call.
            unsafe {
                libc::sigaddset(&raw mut set.0, signal);
            }
        }
        set
    }
}

/// Blocks exactly these signals and returns what was blocked before.
pub fn set_mask(set: &Set) -> io::Result<Set> {
    change_mask(libc::SIG_SETMASK, set)
}

/// Blocks these signals too and returns what was blocked before.
pub fn block(set: &Set) -> io::Result<Set> {
    change_mask(libc::SIG_BLOCK, set)
}

fn change_mask(how: libc::c_int, set: &Set) -> io::Result<Set> {
    let mut before = Set::empty();
    // SAFETY: both point to initialised sets.
    match unsafe { libc::pthread_sigmask(how, &raw const set.0, &raw mut before.0) } {
        0 => Ok(before),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// Makes the calling process ignore a signal.
pub fn ignore(signal: i32) -> io::Result<()> {
    // SAFETY: SIG_IGN runs no code of ours.
    if unsafe { libc::signal(signal, libc::SIG_IGN) } == libc::SIG_ERR {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Signals as something to poll(2) and read, see signalfd(2). They must be blocked.
#[derive(Debug)]
pub struct SignalFd(OwnedFd);

/// One signal that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrived {
    pub signal: i32,
    /// Who sent it, in our pid namespace; 0 for the kernel or somebody outside of it.
    pub sender: u32,
}

impl SignalFd {
    /// As [`SignalFd::new`], and afterwards nothing else is blocked: for a program that was executed with all signals
    /// blocked, so that none could come before the descriptor.
    pub fn only(signals: &[i32]) -> io::Result<SignalFd> {
        let fd = SignalFd::new(signals)?;
        set_mask(&Set::of(signals))?;
        Ok(fd)
    }

    /// Blocks the signals and opens a non-blocking, close-on-exec descriptor for them.
    pub fn new(signals: &[i32]) -> io::Result<SignalFd> {
        let set = Set::of(signals);
        block(&set)?;
        // SAFETY: the set is initialised; -1 asks for a new descriptor.
        let fd = unsafe { libc::signalfd(-1, &raw const set.0, libc::SFD_NONBLOCK | libc::SFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just given us this descriptor.
        Ok(SignalFd(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// The next signal, if one has arrived.
    pub fn read(&self) -> io::Result<Option<Arrived>> {
        let mut info = [0u8; size_of::<libc::signalfd_siginfo>()];
        match rustix::io::read(&self.0, &mut info) {
            Ok(_) => {
                let word = |at: usize| [info[at], info[at + 1], info[at + 2], info[at + 3]];
                let signal = i32::from_ne_bytes(word(std::mem::offset_of!(libc::signalfd_siginfo, ssi_signo)));
                let sender = u32::from_ne_bytes(word(std::mem::offset_of!(libc::signalfd_siginfo, ssi_pid)));
                Ok(Some(Arrived { signal, sender }))
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for SignalFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Names without `SIG`, by number, as signal(7) has them for x86 and ARM; the first of a number is the one that is shown.
const NAMES: [(i32, &str); 34] = [
    (libc::SIGHUP, "HUP"),
    (libc::SIGINT, "INT"),
    (libc::SIGQUIT, "QUIT"),
    (libc::SIGILL, "ILL"),
    (libc::SIGTRAP, "TRAP"),
    (libc::SIGABRT, "ABRT"),
    (libc::SIGABRT, "IOT"),
    (libc::SIGBUS, "BUS"),
    (libc::SIGFPE, "FPE"),
    (libc::SIGKILL, "KILL"),
    (libc::SIGUSR1, "USR1"),
    (libc::SIGSEGV, "SEGV"),
    (libc::SIGUSR2, "USR2"),
    (libc::SIGPIPE, "PIPE"),
    (libc::SIGALRM, "ALRM"),
    (libc::SIGTERM, "TERM"),
    (libc::SIGSTKFLT, "STKFLT"),
    (libc::SIGCHLD, "CHLD"),
    (libc::SIGCHLD, "CLD"),
    (libc::SIGCONT, "CONT"),
    (libc::SIGSTOP, "STOP"),
    (libc::SIGTSTP, "TSTP"),
    (libc::SIGTTIN, "TTIN"),
    (libc::SIGTTOU, "TTOU"),
    (libc::SIGURG, "URG"),
    (libc::SIGXCPU, "XCPU"),
    (libc::SIGXFSZ, "XFSZ"),
    (libc::SIGVTALRM, "VTALRM"),
    (libc::SIGPROF, "PROF"),
    (libc::SIGWINCH, "WINCH"),
    (libc::SIGIO, "IO"),
    (libc::SIGPOLL, "POLL"),
    (libc::SIGPWR, "PWR"),
    (libc::SIGSYS, "SYS"),
];
/// The real-time range that programs may use: glibc keeps 32 and 33.
const RTMIN: i32 = 34;
/// The largest number of a signal.
pub const RTMAX: i32 = 64;

/// A number, or a name with or without `SIG`, in any case: `9`, `KILL`, `sigkill`, `RTMIN+3`, `RTMAX-1`.
pub fn parse(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return (1..=RTMAX).contains(&number).then_some(number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(&(number, _)) = NAMES.iter().find(|(_, known)| *known == name) {
        return Some(number);
    }
    let real_time = match name {
        "RTMIN" => RTMIN,
        "RTMAX" => RTMAX,
        _ if name.starts_with("RTMIN+") => RTMIN.checked_add(name["RTMIN+".len()..].parse().ok()?)?,
        _ if name.starts_with("RTMAX-") => RTMAX.checked_sub(name["RTMAX-".len()..].parse().ok()?)?,
        _ => return None,
    };
    (RTMIN..=RTMAX).contains(&real_time).then_some(real_time)
}

/// `SIGTERM` for 15. A real-time signal is named from the end of its range that is nearer, as Podman does it.
pub fn name(signal: i32) -> Option<String> {
    if let Some((_, name)) = NAMES.iter().find(|(number, _)| *number == signal) {
        return Some(format!("SIG{name}"));
    }
    match signal {
        RTMIN => Some("SIGRTMIN".into()),
        35..=49 => Some(format!("SIGRTMIN+{}", signal - RTMIN)),
        50..RTMAX => Some(format!("SIGRTMAX-{}", RTMAX - signal)),
        RTMAX => Some("SIGRTMAX".into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_read_by_number_and_by_name() {
        let table =
            [("9", 9), ("KILL", 9), ("sigterm", 15), ("SIGRTMIN+3", 37), ("rtmax-1", 63), ("RTMIN", 34), ("IOT", 6)];
        for (text, number) in table {
            assert_eq!(parse(text), Some(number), "{text}");
        }
        for text in ["", "SIG", "NOSUCH", "0", "65", "-1", "RTMIN-1", "RTMIN+99", "RTMAX-2147483647"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_are_shown_as_names() {
        let table = [
            (6, Some("SIGABRT")),
            (15, Some("SIGTERM")),
            (29, Some("SIGIO")),
            (32, None),
            (37, Some("SIGRTMIN+3")),
            (50, Some("SIGRTMAX-14")),
            (64, Some("SIGRTMAX")),
        ];
        for (number, expected) in table {
            assert_eq!(name(number).as_deref(), expected, "{number}");
        }
    }
}
