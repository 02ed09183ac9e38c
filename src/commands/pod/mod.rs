//! `creel pod ...`: what its commands share.

pub mod clone;
pub mod create;
pub mod exists;
mod filters;
pub mod inspect;
pub mod join;
pub mod kill;
pub mod logs;
pub mod pause;
pub mod prune;
pub mod ps;
pub mod restart;
pub mod rm;
pub mod start;
pub mod stats;
pub mod stop;
pub mod top;
pub mod unpause;

use std::path::PathBuf;

use containers::Engine;
use pods::{Outcome, Pod};

use crate::error::{ExitCode, Failure};
use crate::{output, select};

/// Which pods a command is about.
#[derive(Default)]
struct Selection<'a> {
    names: &'a [String],
    all: bool,
    latest: bool,
    id_files: &'a [PathBuf],
    /// What is not there is no error.
    ignore: bool,
    /// The exit code for a pod that is not there.
    missing: Option<ExitCode>,
}

/// A pod and what the command prints for it: the word by which it was named.
struct Chosen {
    label: String,
    pod: Pod,
}

impl Selection<'_> {
    fn choose(&self, engine: &Engine) -> Result<(Vec<Chosen>, Vec<Failure>), Failure> {
        self.check()?;
        let by_id = |pod: Pod| Chosen { label: pod.id().to_string(), pod };
        if self.all {
            return Ok((pods::list(engine)?.into_iter().map(by_id).collect(), Vec::new()));
        }
        if self.latest {
            return Ok((vec![by_id(latest(engine)?)], Vec::new()));
        }
        let mut names = Vec::new();
        for path in self.id_files {
            match std::fs::read_to_string(path) {
                Ok(text) => names.push(text.lines().next().unwrap_or_default().trim().to_owned()),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && self.ignore => {}
                Err(error) => {
                    let failure = crate::error::on_path("open", path)(error);
                    return Err(failure.context("reading pod ID file"));
                }
            }
        }
        names.extend(self.names.iter().cloned());
        let (mut chosen, mut failures) = (Vec::new(), Vec::new());
        for label in names {
            match pods::find(engine, &label) {
                Ok(pod) => chosen.push(Chosen { label, pod }),
                Err(pods::Error::NotFound { .. }) if self.ignore => {}
                Err(error) => {
                    let missing = self.missing.filter(|_| matches!(error, pods::Error::NotFound { .. }));
                    let failure = Failure::from(error);
                    failures.push(match missing {
                        Some(code) => failure.code(code),
                        None => failure,
                    });
                }
            }
        }
        Ok((chosen, failures))
    }

    /// Refuses what cannot be meant together, in Podman's words.
    fn check(&self) -> Result<(), Failure> {
        let wrong = |text: &str| Err(Failure::plain(text));
        if self.all && self.latest {
            return wrong("--all and --latest cannot be used together");
        }
        if !self.id_files.is_empty() && (self.all || self.latest) {
            return wrong("--all, --latest, and --pod-id-file cannot be used together");
        }
        if self.all && !self.names.is_empty() {
            return wrong("no arguments are needed with --all");
        }
        if self.latest && !self.names.is_empty() {
            return wrong("--latest and pods cannot be used together");
        }
        if self.names.is_empty() && self.id_files.is_empty() && !self.all && !self.latest {
            return wrong("you must provide at least one name or id");
        }
        Ok(())
    }
}

/// The newest pod.
fn latest(engine: &Engine) -> Result<Pod, Failure> {
    pods::latest(engine)?.ok_or_else(|| Failure::plain("no such pod"))
}

/// Does the deed for each pod and prints what `shown` makes of it. A failure does not hold up the others.
fn each(
    (chosen, mut failures): (Vec<Chosen>, Vec<Failure>),
    mut deed: impl FnMut(&Pod) -> pods::Result<Outcome>,
    shown: impl Fn(&Chosen) -> String,
) -> Result<ExitCode, Failure> {
    for one in chosen {
        match deed(&one.pod) {
            Ok(outcome) if outcome.failed.is_empty() => output::line(shown(&one))?,
            Ok(outcome) => {
                failures.extend(failures_of(outcome, |id, failure| failure.context(format!("container {id}"))))
            }
            Err(error) => failures.push(error.into()),
        }
    }
    select::conclude(failures)
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
