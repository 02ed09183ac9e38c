//! `creel artifact push`

use std::path::PathBuf;

use images::artifacts;

use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::transfer::{Access, Manner, Signing};

/// Send an artifact to the registry of its name
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    manner: Manner,
    #[command(flatten)]
    signing: Signing,
    /// Write the digest of what arrived to a file
    #[arg(long, value_name = "FILE")]
    digestfile: Option<PathBuf>,
    #[arg(value_name = "ARTIFACT")]
    words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::exactly(&args.words, 1)?;
    let mut options = args.access.for_push()?;
    args.manner.of_push(context, &mut options)?;
    args.signing.apply(&mut options);
    options.digestfile = args.digestfile;
    let engine = context.engine()?;
    artifacts::push(&engine.store, &args.words[0], &options)?;
    Ok(ExitCode::Success)
}
