//! `creel pod pause`

use super::selected::{self, Selected, each};
use crate::context::Context;
use crate::error::{ExitCode, Failure};

/// Freeze all containers of pods
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    selected: Selected,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    let engine = context.engine()?;
    each(args.selected.choose(&engine)?, "pausing", |pod| pods::pause(&engine, pod), selected::id)
}
