//! `creel unpause`

use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::select::{Missing, Selected, each};

/// Let paused containers go on
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
        chosen.retain(|one| containers::paused(&one.container));
    }
    each((chosen, failures), |container| containers::unpause(&engine, container))
}
