//! `--init`: the built-in first process of a container. It starts the program, passes signals on and reaps orphans.
//!
//! The same binary, bound into the container read-only and executed as `podman-init __init -- COMMAND...`.

use std::convert::Infallible;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{WaitOptions, WaitStatus};
use sys::clone::Child;
use sys::signals::SignalFd;

const SIGCHLD: i32 = 17;
/// Signals of a terminal's job control: the program gets them itself, being in the foreground.
const SIGTTIN: i32 = 21;
const SIGTTOU: i32 = 22;

/// Runs until the program ends; the exit code is the program's.
pub fn init_main(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let command = arguments.by_ref().find(|argument| argument != "--");
    let Some(command) = command else { return ExitCode::from(125) };
    // Everything that can be blocked is read instead, but for what says that we are broken ourselves.
    let all: Vec<i32> = (1..=64).filter(|signal| ![9, 11, 4, 8, 7, 19, SIGTTIN, SIGTTOU].contains(signal)).collect();
    let Ok(signals) = SignalFd::only(&all) else { return ExitCode::from(125) };
    let child = sys::clone::fork(|| -> Infallible {
        // A process inherits what we blocked, also through std's `Command`.
        let _ = sys::signals::reset_for_exec();
        let error = Command::new(&command).args(arguments).exec();
        sys::clone::exit_now(if error.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 })
    });
    let Ok(Child { pid, pidfd }) = child else { return ExitCode::from(125) };
    loop {
        // An interrupted wait reads nothing and comes back.
        let _ = poll(&mut [PollFd::new(&signals, PollFlags::IN)], None);
        let Ok(arrived) = signals.read() else { return ExitCode::from(125) };
        let Some(arrived) = arrived else { continue };
        if arrived.signal != SIGCHLD {
            // The program may have ended in this moment; then its end is the next thing we read.
            let _ = pidfd.signal(arrived.signal);
            continue;
        }
        while let Ok(Some((ended, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            if ended.as_raw_nonzero().get() == pid {
                return ExitCode::from(code(status));
            }
        }
    }
}

/// The program of a container that only holds namespaces: waits to be told to end, and reaps whoever is left to it where
/// it is the first process of a pid namespace.
pub fn hold_main() -> ExitCode {
    const SIGINT: i32 = 2;
    const SIGTERM: i32 = 15;
    let Ok(signals) = SignalFd::only(&[SIGINT, SIGTERM, SIGCHLD]) else { return ExitCode::from(125) };
    let _ = rustix::thread::set_name(c"creel-hold");
    // It only costs memory where it fails.
    let _ = sys::memory::shrink();
    loop {
        // An interrupted wait reads nothing and comes back.
        let _ = poll(&mut [PollFd::new(&signals, PollFlags::IN)], None);
        match signals.read() {
            Ok(Some(arrived)) if arrived.signal != SIGCHLD => return ExitCode::SUCCESS,
            Ok(_) => while let Ok(Some(_)) = rustix::process::wait(WaitOptions::NOHANG) {},
            Err(_) => return ExitCode::from(125),
        }
    }
}

fn code(status: WaitStatus) -> u8 {
    let code = status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal)).unwrap_or(125);
    u8::try_from(code).unwrap_or(125)
}
