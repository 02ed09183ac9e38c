//! `creel pod prune`

use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::{arguments, output, select};

/// Remove all pods that have ended
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Do not ask
    #[arg(short, long)]
    force: bool,
    words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::none(&args.words, "pod prune")?;
    if !args.force && !output::confirm("WARNING! This will remove all stopped/exited pods..")? {
        return Ok(ExitCode::Success);
    }
    let engine = context.engine()?;
    let mut failures = Vec::new();
    for (pod, result) in pods::prune(&engine)? {
        match result {
            Ok(outcome) if outcome.failed.is_empty() => output::line(pod.id())?,
            Ok(outcome) => failures.extend(super::rm::not_removed(&pod, outcome)),
            Err(pods::Error::NotFound { .. }) => {}
            Err(error) => failures.push(error.into()),
        }
    }
    select::conclude(failures)
}
