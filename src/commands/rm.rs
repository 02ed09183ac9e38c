//! `creel rm`

use containers::{Container, Error, PodRole, RemoveRequest};

use super::stop::patience;
use crate::arguments::number;
use crate::context::Context;
use crate::error::{ExitCode, Failure, on_path};
use crate::output;
use crate::select::{Missing, Selected, conclude};

/// Remove containers
// `-f` is --force here.
#[derive(clap::Args, Debug)]
#[command(mut_arg("filter", |filter| filter.short(None)))]
pub struct Args {
    #[command(flatten)]
    selected: Selected,
    /// Remove the containers that need it, too
    #[arg(long)]
    depend: bool,
    /// Stop a running container first
    #[arg(short, long)]
    force: bool,
    /// A container that does not exist is no error
    #[arg(short, long)]
    ignore: bool,
    /// Seconds to wait before killing, -1 for ever; the container's own time where not given
    #[arg(short, long, alias = "timeout", value_name = "SECONDS", value_parser = number::i64)]
    time: Option<i64>,
    /// Remove its anonymous volumes, too
    #[arg(short, long)]
    volumes: bool,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    // What is to be forced away and is not there is as it should be.
    let may_be_missing = args.ignore || args.force;
    args.selected.check()?;
    if args.time.is_some() && !args.force {
        return Err(Failure::plain("--force option must be specified to use the --time option"));
    }
    if !args.ignore {
        // Whose id is meant to be in it cannot be known to be gone.
        for path in &args.selected.cidfile {
            std::fs::metadata(path).map_err(|error| on_path("open", path)(error).context("reading CIDFile"))?;
        }
    }
    let engine = context.engine()?;
    let timeout = args.time.map(patience);
    let request = RemoveRequest {
        force: args.force,
        volumes: args.volumes,
        timeout,
        depend: args.depend,
        ..RemoveRequest::default()
    };
    // By --all, a container may go because another one went: those that need it.
    let may_be_gone = may_be_missing || args.selected.all || args.depend;
    let missing = if may_be_missing { Missing::Ignored } else { Missing::FailsWith(ExitCode::No) };
    let (mut chosen, mut failures) =
        args.selected.choose(&engine, missing).map_err(|failure| match args.selected.latest {
            true => failure.code(ExitCode::No),
            false => failure,
        })?;
    if args.selected.all {
        // Who needs another one was made after it.
        chosen.sort_by_key(|one| std::cmp::Reverse(one.container.record.created));
    }
    let goes_with_pod = |container: &Container| {
        args.selected.all && container.spec().pod_role == Some(PodRole::Infra) && !pods::is_orphan(&engine, container)
    };
    let (holders, chosen): (Vec<_>, Vec<_>) = chosen.into_iter().partition(|one| goes_with_pod(&one.container));
    for one in chosen {
        let request = RemoveRequest { with_pod: pods::is_orphan(&engine, &one.container), ..request.clone() };
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
        match pods::find(&engine, pod).and_then(|pod| Ok((pods::remove(&engine, &pod, args.force, timeout)?, pod))) {
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
