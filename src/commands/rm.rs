//! `creel rm`

use std::path::PathBuf;

use containers::{Error, PodRole, RemoveRequest};

use crate::arguments::number;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::output;
use crate::select::{Selection, conclude};

/// Remove containers
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Remove all containers
    #[arg(short, long)]
    pub all: bool,
    /// Read container ids from files
    #[arg(long, value_name = "FILE")]
    pub cidfile: Vec<PathBuf>,
    /// Remove the containers that need it, too
    #[arg(long)]
    pub depend: bool,
    /// Remove those that match (KEY=VALUE)
    #[arg(long, value_name = "KEY=VALUE")]
    pub filter: Vec<String>,
    /// Stop a running container first
    #[arg(short, long)]
    pub force: bool,
    /// A container that does not exist is no error
    #[arg(short, long)]
    pub ignore: bool,
    /// Remove the newest container
    #[arg(short, long)]
    pub latest: bool,
    /// Seconds to wait before killing; the container's own time where not given
    #[arg(short, long, alias = "timeout", value_name = "SECONDS", value_parser = number::u32)]
    pub time: Option<u32>,
    /// Remove its anonymous volumes, too
    #[arg(short, long)]
    pub volumes: bool,
    /// Names or ids
    #[arg(value_name = "CONTAINER")]
    pub containers: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    // What is to be forced away and is not there is as it should be.
    let may_be_missing = args.ignore || args.force;
    let selection = Selection {
        names: &args.containers,
        all: args.all,
        latest: args.latest,
        filters: &args.filter,
        cidfiles: &args.cidfile,
        ignore: may_be_missing,
        missing: Some(ExitCode::No),
    };
    selection.check()?;
    if args.time.is_some() && !args.force {
        return Err(Failure::plain("--force option must be specified to use the --time option"));
    }
    let engine = context.engine()?;
    let request = RemoveRequest {
        force: args.force,
        volumes: args.volumes,
        timeout: args.time,
        depend: args.depend,
        ..RemoveRequest::default()
    };
    // By --all, a container may go because another one went: those that need it.
    let may_be_gone = may_be_missing || args.all || args.depend;
    let (chosen, mut failures) = selection.choose(&engine)?;
    let (holders, chosen): (Vec<_>, Vec<_>) =
        chosen.into_iter().partition(|one| args.all && one.container.spec().pod_role == Some(PodRole::Infra));
    for one in chosen {
        match containers::remove(&engine, &one.container, &request) {
            Ok(removed) => {
                // First those that needed it.
                for id in removed.iter().filter(|id| *id != one.container.id()) {
                    output::line(id)?;
                }
                output::line(one.label)?;
            }
            Err(Error::NotFound { .. }) if may_be_gone => {}
            Err(error) => failures.push(to_failure(error)),
        }
    }
    for one in holders {
        // All containers are to go: so do the pods that they make up.
        let pod = one.container.spec().pod.as_deref().unwrap_or_default();
        match pods::find(&engine, pod).and_then(|pod| Ok((pods::remove(&engine, &pod, args.force, args.time)?, pod))) {
            Ok((outcome, _)) if outcome.failed.is_empty() => output::line(one.label)?,
            Ok((outcome, pod)) => failures.extend(super::pod::rm::not_removed(&pod, outcome)),
            Err(pods::Error::NotFound { .. }) => {}
            Err(error) => failures.push(error.into()),
        }
    }
    containers::sweep(&engine);
    conclude(failures)
}

/// `rm` tells by its code what was wrong.
fn to_failure(error: Error) -> Failure {
    match error {
        Error::NotFound { .. } => Failure::from(error).code(ExitCode::No),
        Error::StateImproper { .. } => {
            Failure::from(error).code(ExitCode::InUse).hint("stop it first, or use rm --force")
        }
        other => other.into(),
    }
}
