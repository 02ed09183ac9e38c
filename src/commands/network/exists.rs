//! `creel network exists`

use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};

/// Say by the exit code whether a network exists: 0 yes, 1 no
#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(value_name = "NETWORK")]
    networks: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::exactly(&args.networks, 1)?;
    let engine = context.reader()?;
    match super::find(&super::networks(context, &engine)?, &args.networks[0]) {
        Ok(_) => Ok(ExitCode::Success),
        Err(failure) if failure.exit_code() == ExitCode::No => Ok(ExitCode::No),
        Err(failure) => Err(failure),
    }
}
