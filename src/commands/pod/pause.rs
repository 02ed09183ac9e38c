//! `creel pod pause`

use super::{Selection, each};
use crate::context::Context;
use crate::error::{ExitCode, Failure};

/// Freeze all containers of pods
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Freeze all pods
    #[arg(short, long)]
    all: bool,
    /// Freeze the newest pod
    #[arg(short, long)]
    latest: bool,
    /// Names or ids
    #[arg(value_name = "POD")]
    pods: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    let engine = context.engine()?;
    let selection = Selection { names: &args.pods, all: args.all, latest: args.latest, ..Selection::default() };
    each(selection.choose(&engine)?, |pod| pods::pause(&engine, pod), |one| one.pod.id().to_string())
}
