//! `creel pod restart`

use super::selected::{self, Selected, each};
use crate::context::Context;
use crate::error::{ExitCode, Failure};

/// Restart pods
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    selected: Selected,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    let engine = context.engine()?;
    each(args.selected.choose(&engine)?, "restarting", |pod| pods::restart(&engine, pod, None), selected::id)
}
