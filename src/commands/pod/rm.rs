//! `creel pod rm`

use std::path::PathBuf;

use pods::{Outcome, Pod};

use super::{Selection, failures_of};
use crate::arguments::number;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::{output, select};

/// Remove pods with their containers
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Remove all pods
    #[arg(short, long)]
    all: bool,
    /// Stop running containers first
    #[arg(short, long)]
    force: bool,
    /// A pod that does not exist is no error
    #[arg(short, long)]
    ignore: bool,
    /// Remove the newest pod
    #[arg(short, long)]
    latest: bool,
    /// Read the pod's id from a file
    #[arg(long, value_name = "FILE")]
    pod_id_file: Vec<PathBuf>,
    /// Seconds to wait before killing; each container's own time where not given
    #[arg(short, long, alias = "timeout", value_name = "SECONDS", value_parser = number::i64)]
    time: Option<i64>,
    /// Names or ids
    #[arg(value_name = "POD")]
    pods: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    if args.time.is_some() && !args.force {
        return Err(Failure::plain("--force option must be specified to use the --time option"));
    }
    let engine = context.engine()?;
    let selection = Selection {
        names: &args.pods,
        all: args.all,
        latest: args.latest,
        id_files: &args.pod_id_file,
        // What is to be forced away and is not there is as it should be.
        ignore: args.ignore || args.force,
        missing: Some(ExitCode::No),
    };
    let (chosen, mut failures) = selection.choose(&engine)?;
    let timeout = args.time.map(super::stop::seconds);
    for one in chosen {
        match pods::remove(&engine, &one.pod, args.force, timeout) {
            Ok(outcome) if outcome.failed.is_empty() => output::line(one.pod.id())?,
            Ok(outcome) => failures.extend(not_removed(&one.pod, outcome)),
            Err(pods::Error::NotFound { .. }) if args.ignore || args.force || args.all => {}
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
