use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::output;

/// Remove manifest lists
#[derive(clap::Args)]
pub struct Args {
    /// Do not mind lists that do not exist
    #[arg(short, long)]
    ignore: bool,
    #[arg(value_name = "LIST [LIST...]")]
    words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::at_least(&args.words, 1)?;
    let engine = context.engine()?;
    let names: Vec<&str> = args.words.iter().map(String::as_str).collect();
    let removed = images::lists::remove(&engine.store, &names, args.ignore)?;
    for name in &removed.untagged {
        output::line(format!("Untagged: {name}"))?;
    }
    for id in &removed.deleted {
        output::line(format!("Deleted: {id}"))?;
    }
    crate::commands::rmi::conclude(removed.errors)
}
