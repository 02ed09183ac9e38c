//! `creel kube annotate`

use kube_play::act::Notes;

use super::label::{self, Noting};
use crate::context::Context;
use crate::error::{ExitCode, Failure};

/// Give played objects annotations, or take them away (kubernetes.io/change-cause is shown by rollout history)
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    noting: Noting,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    label::note(context, &args.noting, Notes::Annotations)
}
