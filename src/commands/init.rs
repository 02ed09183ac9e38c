//! `creel init`

use containers::State;

use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::select::{Missing, Selected, each};

/// Prepare containers as far as they go without running their programs
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    selected: Selected,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    args.selected.check()?;
    let engine = context.engine()?;
    let (mut chosen, failures) = args.selected.choose(&engine, Missing::Fails)?;
    if args.selected.all {
        chosen.retain(|one| matches!(one.container.state(), State::Created | State::Exited(_)));
    }
    each((chosen, failures), |container| containers::init(&engine, container))
}
