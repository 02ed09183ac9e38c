//! Looking at what was played whenever something in the store has changed.

use std::time::{Duration, Instant};

use containers::Engine;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use storage::Watch;

use crate::error::Failure;

/// How often to look where nobody tells: a monitor that is killed does not.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Until when somebody waits who has that much patience, from now on. 0 looks once.
pub(super) fn until(patience: Option<Duration>) -> Option<Instant> {
    patience.and_then(|patience| Instant::now().checked_add(patience))
}

/// Looks now, and again after each change, until something is found. `None`: the time was over before; the last look was
/// after that.
pub(super) fn look_until<T>(
    engine: &Engine,
    until: Option<Instant>,
    mut look: impl FnMut() -> Result<Option<T>, Failure>,
) -> Result<Option<T>, Failure> {
    let watch = Watch::of(&engine.store)?;
    loop {
        watch.clear();
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        if let Some(found) = look()? {
            return Ok(Some(found));
        }
        if left == Some(Duration::ZERO) {
            return Ok(None);
        }
        let pause = left.map_or(LOOK_AGAIN, |left| left.min(LOOK_AGAIN));
        let pause = Timespec { tv_sec: pause.as_secs() as i64, tv_nsec: pause.subsec_nanos().into() };
        // Whatever it says, the next thing is to look.
        let _ = poll(&mut [PollFd::new(&watch, PollFlags::IN)], Some(&pause));
    }
}
