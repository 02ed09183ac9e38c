//! `creel volume reload`: Podman asks its volume plugins here. creel has none, so all volumes are known already.

use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};

/// Look for volumes of plugins: there are none
#[derive(clap::Args, Debug)]
pub struct Args {
    words: Vec<String>,
}

pub fn run(_context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::none(&args.words, "volume reload")?;
    Ok(ExitCode::Success)
}
