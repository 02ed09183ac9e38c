use images::lists::{self, CreateOptions};

use super::{ListAccess, annotations};
use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::output;

/// Make a manifest list
#[derive(clap::Args)]
pub struct Args {
    /// Of images that are lists, add all images
    #[arg(long)]
    all: bool,
    /// Add to the list where it is there already
    #[arg(short, long)]
    amend: bool,
    /// Set an annotation of the list
    #[arg(long, value_name = "KEY=VALUE")]
    annotation: Vec<String>,
    #[command(flatten)]
    access: ListAccess,
    #[arg(value_name = "LIST [IMAGE...]")]
    words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::at_least(&args.words, 1)?;
    let options =
        CreateOptions { all: args.all, annotations: annotations(&args.annotation)?, access: args.access.for_pull()? };
    let engine = context.engine()?;
    let images: Vec<&str> = args.words[1..].iter().map(String::as_str).collect();
    let make = if args.amend { lists::create_or_amend } else { lists::create };
    output::line(make(&engine.store, &args.words[0], &images, &options)?)?;
    Ok(ExitCode::Success)
}
