//! `creel quadlet print`

use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure, on_path};
use crate::output;

/// Show a Quadlet as it was written
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The name of its file
    #[arg(value_name = "QUADLET")]
    names: Vec<String>,
}

pub fn run(_: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::exactly(&args.names, 1)?;
    let path = super::find(&args.names[0])?;
    output::print(&std::fs::read_to_string(&path).map_err(on_path("read", &path))?)?;
    Ok(ExitCode::Success)
}
