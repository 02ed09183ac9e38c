//! `creel pause`

use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::select::{Missing, Selected, each};

/// Freeze all processes of containers
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
        chosen.retain(|one| containers::running(&one.container) && !containers::paused(&one.container));
    }
    each((chosen, failures), |container| containers::pause(&engine, container))
}
