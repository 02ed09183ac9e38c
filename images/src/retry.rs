//! Once more, when it was the network.

use std::time::Duration;

use crate::error::{Error, Result};

/// How often when nobody said.
const USUAL: u32 = 3;

/// How often to try again, and after how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retry {
    /// Said by the user: then a registry that is not there is waited for, too. `None`: where trying again may help.
    pub(crate) times: Option<u32>,
    /// `None`: 1 s, doubled each time.
    pub(crate) delay: Option<Duration>,
}

impl Retry {
    pub(crate) fn run<T>(&self, warn: impl Fn(&str), attempt: impl Fn() -> Result<T>) -> Result<T> {
        let times = self.times.unwrap_or(USUAL);
        let mut failed = 0;
        loop {
            match attempt() {
                Err(error) if self.is_worth_it(&error) && failed < times => {
                    let wait = self.delay.unwrap_or(Duration::from_secs(1 << failed.min(6)));
                    failed += 1;
                    warn(&format!("Failed, retrying in {wait:?} ... ({failed}/{times}). Error: {error}"));
                    std::thread::sleep(wait);
                }
                other => return other,
            }
        }
    }

    fn is_worth_it(&self, error: &Error) -> bool {
        match self.times {
            Some(_) => matches!(error, Error::Unreachable { .. }),
            None => error.is_transient(),
        }
    }
}
