//! Which pods a command is about: names, `--all`, `--latest`, `--pod-id-file`.

use std::path::PathBuf;

use containers::Engine;
use pods::{Outcome, Pod};

use super::{failures_of, latest};
use crate::error::{ExitCode, Failure};
use crate::output;
use crate::select::{self, Missing};

/// The flags and arguments that choose pods, the same for every command that goes through several.
#[derive(clap::Args, Debug, Default)]
pub struct Selected {
    /// All pods
    #[arg(short, long)]
    all: bool,
    /// The newest pod
    #[arg(short, long)]
    latest: bool,
    /// Names or ids
    #[arg(value_name = "POD [POD...]")]
    pods: Vec<String>,
}

/// The same for a command that finds ids in files, too.
#[derive(clap::Args, Debug, Default)]
pub struct SelectedOrInFiles {
    #[command(flatten)]
    selected: Selected,
    /// Read the pod's id from a file
    #[arg(long, value_name = "FILE")]
    pod_id_file: Vec<PathBuf>,
}

/// The pods, and an error for each name that leads to none.
pub(super) type Choice = (Vec<Pod>, Vec<Failure>);

impl Selected {
    pub(super) fn choose(&self, engine: &Engine) -> Result<Choice, Failure> {
        self.choose_with(engine, &[], Missing::Fails)
    }

    fn choose_with(&self, engine: &Engine, id_files: &[PathBuf], missing: Missing) -> Result<Choice, Failure> {
        self.check(id_files)?;
        if self.all {
            return Ok((pods::list(engine)?, Vec::new()));
        }
        if self.latest {
            return Ok((vec![latest(engine)?], Vec::new()));
        }
        let mut names = Vec::new();
        for path in id_files {
            match std::fs::read_to_string(path) {
                Ok(text) => names.push(text.lines().next().unwrap_or_default().trim().to_owned()),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && matches!(missing, Missing::Ignored) => {}
                Err(error) => {
                    let failure = crate::error::on_path("open", path)(error);
                    return Err(failure.context("reading pod ID file"));
                }
            }
        }
        names.extend(self.pods.iter().cloned());
        let (mut chosen, mut failures) = (Vec::new(), Vec::new());
        for name in names {
            match (pods::find(engine, &name), missing) {
                (Ok(pod), _) => chosen.push(pod),
                (Err(pods::Error::NotFound { .. }), Missing::Ignored) => {}
                (Err(error @ pods::Error::NotFound { .. }), Missing::FailsWith(code)) => {
                    failures.push(Failure::from(error).code(code));
                }
                (Err(error), _) => failures.push(error.into()),
            }
        }
        Ok((chosen, failures))
    }

    /// Refuses what cannot be meant together, in Podman's words.
    fn check(&self, id_files: &[PathBuf]) -> Result<(), Failure> {
        let wrong = |text: &str| Err(Failure::plain(text));
        if self.all && self.latest {
            return wrong("--all and --latest cannot be used together");
        }
        if !id_files.is_empty() && (self.all || self.latest) {
            return wrong("--all, --latest, and --pod-id-file cannot be used together");
        }
        if self.all && !self.pods.is_empty() {
            return wrong("no arguments are needed with --all");
        }
        if self.latest && !self.pods.is_empty() {
            return wrong("--latest and pods cannot be used together");
        }
        if self.pods.is_empty() && id_files.is_empty() && !self.all && !self.latest {
            return wrong("you must provide at least one name or id");
        }
        Ok(())
    }
}

impl SelectedOrInFiles {
    pub(super) fn all(&self) -> bool {
        self.selected.all
    }

    pub(super) fn choose(&self, engine: &Engine, missing: Missing) -> Result<Choice, Failure> {
        self.selected.choose_with(engine, &self.pod_id_file, missing)
    }
}

/// Does the deed for each pod and prints what `shown` makes of it. A failure does not hold up the others; what a single
/// container could not do begins with `what`.
pub(super) fn each(
    (chosen, mut failures): Choice,
    what: &str,
    mut deed: impl FnMut(&Pod) -> pods::Result<Outcome>,
    shown: fn(&Pod) -> &str,
) -> Result<ExitCode, Failure> {
    for pod in chosen {
        match deed(&pod) {
            Ok(outcome) if outcome.failed.is_empty() => output::line(shown(&pod))?,
            Ok(outcome) => {
                // Several containers have several codes: the pod's is none of theirs.
                let of_pod = |id: &str, failure: Failure| {
                    failure.context(format!("{what} container {id}")).code(ExitCode::Failed)
                };
                failures.extend(failures_of(outcome, of_pod));
            }
            Err(error) => failures.push(error.into()),
        }
    }
    select::conclude(failures)
}

/// What `start` and `stop` print, also where an id was given.
pub(super) fn name(pod: &Pod) -> &str {
    pod.name()
}

pub(super) fn id(pod: &Pod) -> &str {
    pod.id().as_str()
}
