//! Once more, when it was the network.

use std::time::Duration;

use crate::error::Result;

/// How often to try again, and after how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retry {
    pub(crate) times: u32,
    /// `None`: 1 s, doubled each time.
    pub(crate) delay: Option<Duration>,
}

impl Retry {
    /// `what` is what is tried, as it stands after "Failed to".
    pub(crate) fn run<T>(&self, what: &str, warn: impl Fn(&str), attempt: impl Fn() -> Result<T>) -> Result<T> {
        let mut failed = 0;
        loop {
            match attempt() {
                Err(error) if error.is_transient() && failed < self.times => {
                    let wait = self.delay.unwrap_or(Duration::from_secs(1 << failed.min(6)));
                    failed += 1;
                    let times = self.times;
                    warn(&format!("Failed to {what}, trying again in {wait:?} ({failed}/{times}): {error}"));
                    std::thread::sleep(wait);
                }
                other => return other,
            }
        }
    }
}
