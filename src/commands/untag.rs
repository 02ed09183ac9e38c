use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};

/// Take names away from an image
#[derive(clap::Args)]
pub struct Args {
    #[arg(value_name = "IMAGE [IMAGE...]")]
    words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::at_least(&args.words, 1)?;
    let names: Vec<&str> = args.words[1..].iter().map(String::as_str).collect();
    images::untag(&context.store()?, &args.words[0], &names)?;
    Ok(ExitCode::Success)
}
