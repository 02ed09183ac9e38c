//! `creel rename`

use containers::ContainerName;

use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};

/// Give a container another name
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The container and its new name
    #[arg(value_name = "CONTAINER NAME")]
    pub words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::exactly(&args.words, 2)?;
    let engine = context.engine()?;
    let container = containers::find(&engine, &args.words[0])?;
    let name: ContainerName = args.words[1].parse()?;
    containers::rename(&engine, &container, &name)?;
    Ok(ExitCode::Success)
}
