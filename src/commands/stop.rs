//! `creel stop`

use crate::arguments::number;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::select::{Missing, Selected, each};
use crate::signal;

/// Stop containers
///
/// The first process gets the container's stop signal, and SIGKILL if it still runs after the time.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    selected: Selected,
    /// A container that does not exist is no error
    #[arg(short, long)]
    ignore: bool,
    /// Another signal than the container's stop signal, as Docker has it
    #[arg(short, long, value_name = "SIGNAL")]
    signal: Option<String>,
    /// Seconds to wait before killing, -1 for ever; the container's own time where not given
    #[arg(short, long, alias = "timeout", value_name = "SECONDS", value_parser = number::i64)]
    time: Option<i64>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    args.selected.check()?;
    let time = args.time.map(patience);
    let signal = args.signal.as_deref().map(signal::parse).transpose()?;
    let engine = context.engine()?;
    let missing = if args.ignore { Missing::Ignored } else { Missing::Fails };
    let may_be_gone = args.ignore || args.selected.all;
    each(args.selected.choose(&engine, missing)?, |container| {
        let stopped = match signal {
            Some(signal) => containers::stop_by(&engine, container, signal, time),
            None => containers::stop(&engine, container, time),
        };
        match stopped {
            // Gone in between, as with `--rm`.
            Err(containers::Error::NotFound { .. }) if may_be_gone => Ok(()),
            other => other,
        }
    })
}

/// `--time`: a negative one never ends.
pub fn patience(seconds: i64) -> u32 {
    u32::try_from(seconds).unwrap_or(u32::MAX)
}
