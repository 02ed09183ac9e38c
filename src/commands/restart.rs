//! `creel restart`

use super::stop::patience;
use crate::arguments::number;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::select::{Missing, Selected, each};

/// Stop containers if they run, and start them
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    selected: Selected,
    /// Only those that run
    #[arg(long)]
    running: bool,
    /// Seconds to wait before killing, -1 for ever; the container's own time where not given
    #[arg(short, long, alias = "timeout", value_name = "SECONDS", value_parser = number::i64)]
    time: Option<i64>,
}

pub fn run(context: &Context, mut args: Args) -> Result<ExitCode, Failure> {
    // `--running` alone means all that run.
    args.selected.all |= args.running && args.selected.is_empty();
    args.selected.check()?;
    let time = args.time.map(patience);
    let engine = context.engine()?;
    let (mut chosen, failures) = args.selected.choose(&engine, Missing::Fails)?;
    if args.running {
        chosen.retain(|one| containers::running(&one.container));
    }
    each((chosen, failures), |container| -> Result<(), Failure> {
        pods::follow_pod(&engine, container)?;
        Ok(containers::restart(&engine, container, time)?)
    })
}
