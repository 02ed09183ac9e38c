//! `creel pod unpause`

use super::{Selection, each};
use crate::context::Context;
use crate::error::{ExitCode, Failure};

/// Let frozen containers of pods go on
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Let go on all pods
    #[arg(short, long)]
    all: bool,
    /// Let go on the newest pod
    #[arg(short, long)]
    latest: bool,
    /// Names or ids
    #[arg(value_name = "POD")]
    pods: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    let engine = context.engine()?;
    let selection = Selection { names: &args.pods, all: args.all, latest: args.latest, ..Selection::default() };
    each(selection.choose(&engine)?, |pod| pods::unpause(&engine, pod), |one| one.pod.id().to_string())
}
