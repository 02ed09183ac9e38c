use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::output;

/// Take one image out of a manifest list
#[derive(clap::Args)]
pub struct Args {
    #[arg(value_name = "LIST DIGEST")]
    words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::exactly(&args.words, 2)?;
    let (list, digest) = (&args.words[0], &args.words[1]);
    let engine = context.engine()?;
    let id = images::lists::remove_instance(&engine.store, list, digest)
        .map_err(|error| Failure::from(error).context(format!("removing from manifest list {list}")))?;
    output::line(id)?;
    Ok(ExitCode::Success)
}
