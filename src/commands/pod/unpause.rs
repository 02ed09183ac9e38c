//! `creel pod unpause`

use pods::PodState;

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
    let (mut chosen, failures) = args.selected.choose(&engine)?;
    chosen.retain(|pod| pod.state() == PodState::Paused);
    each((chosen, failures), "unpausing", |pod| pods::unpause(&engine, pod), selected::id)
}
