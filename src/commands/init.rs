//! `creel init`

use containers::State;

use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::select::{Selection, each};

/// Prepare containers as far as they go without running their programs
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Prepare all containers that do not run
    #[arg(short, long)]
    pub all: bool,
    /// Prepare the newest container
    #[arg(short, long)]
    pub latest: bool,
    /// Names or ids
    #[arg(value_name = "CONTAINER")]
    pub containers: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    let selection = Selection { names: &args.containers, all: args.all, latest: args.latest, ..Selection::default() };
    selection.check()?;
    let engine = context.engine()?;
    let (mut chosen, failures) = selection.choose(&engine)?;
    if args.all {
        chosen.retain(|one| matches!(one.container.state(), State::Created | State::Exited(_)));
    }
    each((chosen, failures), |container| containers::init(&engine, container))
}
