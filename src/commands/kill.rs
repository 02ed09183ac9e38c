//! `creel kill`

use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::select::{Missing, Selected, each};
use crate::signal;

/// Send a signal to containers
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    selected: Selected,
    /// Signal to send: a name or a number
    #[arg(short, long, value_name = "SIGNAL", default_value = "KILL")]
    signal: String,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    args.selected.check()?;
    let signal = signal(&args.signal)?;
    let engine = context.engine()?;
    let (mut chosen, failures) = args.selected.choose(&engine, Missing::Fails)?;
    if args.selected.all {
        chosen.retain(|one| containers::running(&one.container));
    }
    each((chosen, failures), |container| containers::kill(&engine, container, signal))
}

/// A name with or without `SIG`, or a number.
pub fn signal(text: &str) -> Result<i32, Failure> {
    signal::parse(text).ok_or_else(|| match text.parse::<i64>() {
        Ok(number) if number != 0 => Failure::plain("valid signals are 1 through 64"),
        _ => Failure::plain(format!("invalid signal: {text}")),
    })
}
