//! `creel container exists`

use containers::Error;

use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};

/// Say by the exit code whether a container exists
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Look for containers of other tools, too (there are none in this store)
    #[arg(long, alias = "storage")]
    pub external: bool,
    /// Name or id
    #[arg(value_name = "CONTAINER")]
    pub containers: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::exactly(&args.containers, 1)?;
    match containers::find(&context.reader()?, &args.containers[0]) {
        Ok(_) => Ok(ExitCode::Success),
        Err(Error::NotFound { .. }) => Ok(ExitCode::No),
        Err(error) => Err(error.into()),
    }
}
