//! `creel init`

use containers::{Error, State};

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
    let chosen = args.selected.choose(&engine, Missing::Fails)?;
    each(chosen, |container| match container.state() {
        // As asked for: it is named, but there is nothing to do.
        State::Initialized { .. } | State::Running { .. } if args.selected.all => Ok(()),
        // Whatever the reason: 126 and 127 are for `run`.
        _ => containers::init(&engine, container).map_err(|error| match error {
            Error::StartFailed { message, .. } => Error::StartFailed { message, exit_code: 125 },
            other => other,
        }),
    })
}
