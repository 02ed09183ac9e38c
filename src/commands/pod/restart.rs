//! `creel pod restart`

use super::{Selection, each};
use crate::context::Context;
use crate::error::{ExitCode, Failure};

/// Restart pods
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Restart all pods
    #[arg(short, long)]
    all: bool,
    /// Restart the newest pod
    #[arg(short, long)]
    latest: bool,
    /// Names or ids
    #[arg(value_name = "POD")]
    pods: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    let engine = context.engine()?;
    let selection = Selection { names: &args.pods, all: args.all, latest: args.latest, ..Selection::default() };
    each(selection.choose(&engine)?, |pod| pods::restart(&engine, pod, None), |one| one.pod.id().to_string())
}
