//! `creel pod exists`

use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};

/// Say by the exit code whether a pod exists
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Name or id
    #[arg(value_name = "POD")]
    pods: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::exactly(&args.pods, 1)?;
    if args.pods[0].is_empty() {
        return Err(Failure::plain("name or ID cannot be empty"));
    }
    match pods::find(&context.reader()?, &args.pods[0]) {
        Ok(_) => Ok(ExitCode::Success),
        Err(pods::Error::NotFound { .. }) => Ok(ExitCode::No),
        Err(error) => Err(error.into()),
    }
}
