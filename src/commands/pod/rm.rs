//! `creel pod rm`

use pods::{Outcome, Pod};

use super::failures_of;
use super::selected::SelectedOrInFiles;
use crate::arguments::number;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::output;
use crate::select::{self, Missing};

/// Remove pods with their containers
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    selected: SelectedOrInFiles,
    /// Stop running containers first
    #[arg(short, long)]
    force: bool,
    /// A pod that does not exist is no error
    #[arg(short, long)]
    ignore: bool,
    /// Seconds to wait before killing; each container's own time where not given
    #[arg(short, long, alias = "timeout", value_name = "SECONDS", value_parser = number::i64)]
    time: Option<i64>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    if args.time.is_some() && !args.force {
        return Err(Failure::plain("--force option must be specified to use the --time option"));
    }
    let engine = context.engine()?;
    // What is to be forced away and is not there is as it should be.
    let missing = if args.ignore || args.force { Missing::Ignored } else { Missing::FailsWith(ExitCode::No) };
    let (chosen, mut failures) = args.selected.choose(&engine, missing)?;
    let timeout = args.time.map(super::stop::seconds);
    for pod in chosen {
        match pods::remove(&engine, &pod, args.force, timeout) {
            Ok(outcome) if outcome.failed.is_empty() => output::line(pod.id())?,
            Ok(outcome) => failures.extend(not_removed(&pod, outcome)),
            Err(pods::Error::NotFound { .. }) if args.ignore || args.force || args.selected.all() => {}
            Err(error) => failures.push(error.into()),
        }
    }
    select::conclude(failures)
}

/// Podman's sentences: the pod's first, then one for each container.
pub fn not_removed(pod: &Pod, outcome: Outcome) -> Vec<Failure> {
    let id = pod.id();
    let mut failures =
        vec![Failure::plain(format!("not all containers could be removed from pod {id}: removing pod containers"))];
    failures.extend(failures_of(outcome, |container, failure| {
        failure.context(format!("error removing container {container} from pod {id}")).code(ExitCode::Failed)
    }));
    failures
}
