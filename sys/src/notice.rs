//! What stands in for inotify(7) where the user has none left of it: a clock that says "look again".

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};

/// Whether it says that the user has no instance or no watch left (`/proc/sys/fs/inotify`).
pub fn is_used_up(error: Errno) -> bool {
    matches!(error, Errno::MFILE | Errno::NOSPC)
}

/// Readable after that time, and again and again. As an inotify descriptor it does not block, and what is read from it is
/// only to be thrown away.
pub fn clock(every: Duration) -> io::Result<OwnedFd> {
    let clock =
        rustix::time::timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
    let every = Timespec { tv_sec: every.as_secs() as i64, tv_nsec: every.subsec_nanos().into() };
    rustix::time::timerfd_settime(
        &clock,
        TimerfdTimerFlags::empty(),
        &Itimerspec { it_interval: every, it_value: every },
    )?;
    Ok(clock)
}

#[cfg(test)]
mod tests {
    use rustix::event::{PollFd, PollFlags, poll};

    use super::*;

    #[test]
    fn it_ticks_more_than_once() {
        let clock = clock(Duration::from_millis(5)).unwrap();
        for _ in 0..2 {
            assert_eq!(poll(&mut [PollFd::new(&clock, PollFlags::IN)], None).unwrap(), 1);
            assert_eq!(rustix::io::read(&clock, &mut [0u8; 64]).unwrap(), 8);
        }
    }
}
