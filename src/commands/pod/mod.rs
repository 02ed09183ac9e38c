//! `creel pod ...`: what its commands share.

pub mod clone;
pub mod create;
pub mod exists;
mod filters;
mod flags;
pub mod inspect;
pub mod join;
pub mod kill;
pub mod logs;
pub mod pause;
pub mod prune;
pub mod ps;
pub mod restart;
pub mod rm;
mod selected;
pub mod start;
pub mod stats;
pub mod stop;
pub mod top;
pub mod unpause;
pub mod update;

use containers::Engine;
use pods::{Outcome, Pod};

use crate::error::Failure;

/// The newest pod.
fn latest(engine: &Engine) -> Result<Pod, Failure> {
    pods::latest(engine)?.ok_or_else(|| Failure::plain("no such pod"))
}

fn failures_of(outcome: Outcome, word: impl Fn(&str, Failure) -> Failure) -> Vec<Failure> {
    outcome.failed.into_iter().map(|(id, error)| word(id.as_str(), Failure::from(error))).collect()
}

impl From<pods::Error> for Failure {
    fn from(error: pods::Error) -> Failure {
        use pods::Error;
        match error {
            Error::Container(error) => error.into(),
            Error::Storage(error) => error.into(),
            Error::NameTaken { .. } => {
                Failure::plain(error.to_string()).hint("remove that pod first, or use --replace")
            }
            Error::Invalid(ref text) if text.starts_with("invalid pod exit policy") => {
                Failure::plain(text).hint("the policies are continue and stop")
            }
            Error::InitFailed { ref name, .. } => {
                let hint = format!("see what it said: creel logs {name}");
                Failure::plain(error.to_string()).hint(hint)
            }
            Error::NotFound { .. } | Error::Ambiguous { .. } | Error::Invalid(_) | Error::Io { .. } => {
                Failure::plain(crate::error::folded(&error))
            }
        }
    }
}
