use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};

/// Say by the exit code whether a manifest list exists: 0 yes, 1 no
#[derive(clap::Args)]
pub struct Args {
    #[arg(value_name = "MANIFEST")]
    words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::exactly(&args.words, 1)?;
    Ok(match images::lists::exists(&context.store()?, &args.words[0])? {
        true => ExitCode::Success,
        false => ExitCode::No,
    })
}
