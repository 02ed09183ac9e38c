use crate::arguments;
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

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    let is_renumber = context.command_line.iter().any(|word| word == "renumber");
    arguments::none(&args.words, if is_renumber { "system renumber" } else { "system migrate" })?;
    Ok(ExitCode::Success)
}
