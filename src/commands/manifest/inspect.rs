use super::ListAccess;
use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::output;

/// Show a manifest list, of the store or of a registry
#[derive(clap::Args)]
pub struct Args {
    /// Accepted for scripts
    #[arg(short, long, hide = true)]
    verbose: bool,
    #[command(flatten)]
    access: ListAccess,
    #[arg(value_name = "LIST")]
    words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::exactly(&args.words, 1)?;
    let options = args.access.for_pull()?;
    output::line(images::lists::inspect(&context.store()?, &args.words[0], &options)?)?;
    Ok(ExitCode::Success)
}
