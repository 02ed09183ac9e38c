//! `creel artifact pull`

use images::artifacts;

use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::transfer::{Access, Manner};

/// Fetch an artifact from a registry
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    manner: Manner,
    /// Key to decrypt the artifact with
    #[arg(long, value_name = "KEY")]
    decryption_key: Vec<String>,
    #[arg(value_name = "ARTIFACT")]
    words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::exactly(&args.words, 1)?;
    let mut options = args.access.for_pull()?;
    args.manner.of_pull(context, &mut options)?;
    options.decryption_keys = args.decryption_key;
    let engine = context.engine()?;
    artifacts::pull(&engine.store, &args.words[0], &options)?;
    Ok(ExitCode::Success)
}
