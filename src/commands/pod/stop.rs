//! `creel pod stop`

use super::selected::{self, SelectedOrInFiles, each};
use crate::arguments::number;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::select::Missing;

/// Stop pods
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    selected: SelectedOrInFiles,
    /// A pod that does not exist is no error
    #[arg(short, long)]
    ignore: bool,
    /// Seconds to wait before killing; each container's own time where not given
    #[arg(short, long, alias = "timeout", value_name = "SECONDS", value_parser = number::i64)]
    time: Option<i64>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    let engine = context.engine()?;
    let missing = if args.ignore { Missing::Ignored } else { Missing::Fails };
    let timeout = args.time.map(seconds);
    each(args.selected.choose(&engine, missing)?, "stopping", |pod| pods::stop(&engine, pod, timeout), selected::name)
}

/// Below 0 is for ever.
pub(super) fn seconds(time: i64) -> u32 {
    u32::try_from(time).unwrap_or(u32::MAX)
}
