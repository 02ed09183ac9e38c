use crate::context::Context;
use crate::error::{ExitCode, Failure};

/// Does nothing: creel's store needs no migration
#[derive(clap::Args)]
pub struct Args {
    /// Ignored
    #[arg(long)]
    new_runtime: Option<String>,
    words: Vec<String>,
}

pub fn run(_context: &Context, _args: Args) -> Result<ExitCode, Failure> {
    Ok(ExitCode::Success)
}
