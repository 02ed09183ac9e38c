use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};

/// Give an image further names
#[derive(clap::Args)]
pub struct Args {
    #[arg(value_name = "IMAGE TARGET_NAME [TARGET_NAME...]")]
    words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::at_least(&args.words, 2)?;
    let names: Vec<&str> = args.words[1..].iter().map(String::as_str).collect();
    images::tag(&context.store()?, &args.words[0], &names)?;
    Ok(ExitCode::Success)
}
