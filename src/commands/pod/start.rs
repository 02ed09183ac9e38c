//! `creel pod start`

use super::selected::{self, SelectedOrInFiles, each};
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::select::Missing;

/// Start pods
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    selected: SelectedOrInFiles,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    let engine = context.engine()?;
    each(args.selected.choose(&engine, Missing::Fails)?, "starting", |pod| pods::start(&engine, pod), selected::name)
}
