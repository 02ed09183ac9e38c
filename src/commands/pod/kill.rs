//! `creel pod kill`

use super::selected::{self, Selected, each};
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::signal;

/// Send a signal to all containers of pods
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    selected: Selected,
    /// Signal to send: a name or a number
    #[arg(short, long, value_name = "SIGNAL", default_value = "KILL")]
    signal: String,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    let signal = signal::parse(&args.signal)?;
    let engine = context.engine()?;
    each(args.selected.choose(&engine)?, "killing", |pod| pods::kill(&engine, pod, signal), selected::id)
}
