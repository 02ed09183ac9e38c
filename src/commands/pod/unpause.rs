//! `creel pod unpause`

use super::selected::{self, Selected, each};
use crate::context::Context;
use crate::error::{ExitCode, Failure};

/// Let frozen containers of pods go on
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    selected: Selected,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    let engine = context.engine()?;
    each(args.selected.choose(&engine)?, |pod| pods::unpause(&engine, pod), selected::id)
}
