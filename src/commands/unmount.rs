//! `creel unmount`

use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::select::{Missing, Selected, each};

/// Take the mounts of containers away
#[derive(clap::Args, Debug)]
#[command(mut_arg("filter", |filter| filter.short(None)))]
pub struct Args {
    #[command(flatten)]
    selected: Selected,
    /// Also where it is in use (creel does so always)
    #[arg(short, long)]
    force: bool,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    args.selected.check()?;
    let engine = context.engine()?;
    let (mut chosen, failures) = args.selected.choose(&engine, Missing::Fails)?;
    if args.selected.all {
        let mounted = containers::mounted(&engine)?;
        chosen.retain(|one| mounted.iter().any(|(container, _)| container.id() == one.container.id()));
    }
    each((chosen, failures), |container| containers::unmount(&engine, container).map(drop))
}
