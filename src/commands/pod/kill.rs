//! `creel pod kill`

use super::{Selection, each};
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::signal;

/// Send a signal to all containers of pods
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Signal all pods
    #[arg(short, long)]
    all: bool,
    /// Signal the newest pod
    #[arg(short, long)]
    latest: bool,
    /// Signal to send: a name or a number
    #[arg(short, long, value_name = "SIGNAL", default_value = "KILL")]
    signal: String,
    /// Names or ids
    #[arg(value_name = "POD")]
    pods: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    let signal =
        signal::parse(&args.signal).ok_or_else(|| Failure::plain(format!("invalid signal: {}", args.signal)))?;
    let engine = context.engine()?;
    let selection = Selection { names: &args.pods, all: args.all, latest: args.latest, ..Selection::default() };
    each(selection.choose(&engine)?, |pod| pods::kill(&engine, pod, signal), |one| one.pod.id().to_string())
}
