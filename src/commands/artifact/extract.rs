//! `creel artifact extract`

use std::path::Path;

use images::artifacts::{self, BlobChoice};

use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};

/// Copy the files of an artifact to a file or directory
#[derive(clap::Args)]
pub struct Args {
    /// Only the file with this digest
    #[arg(long, value_name = "DIGEST")]
    digest: Option<String>,
    /// Only the file with this title
    #[arg(long, value_name = "TITLE")]
    title: Option<String>,
    #[arg(value_name = "ARTIFACT PATH")]
    words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::exactly(&args.words, 2)?;
    let store = context.store()?;
    let artifact = artifacts::get(&store, &args.words[0])?;
    let choice = BlobChoice { title: args.title, digest: args.digest };
    artifacts::extract(&store, &artifact, &choice, Path::new(&args.words[1]))?;
    Ok(ExitCode::Success)
}
