//! `creel volume mount`

use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::output;

/// Say where the content of a volume is: it is always mounted
#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(value_name = "NAME")]
    volumes: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::exactly(&args.volumes, 1)?;
    let engine = context.reader()?;
    let volume = super::find(&engine, &args.volumes[0]).map_err(|failure| failure.code(ExitCode::Failed))?;
    output::line(containers::volume_content(&engine, &volume)?.display())?;
    Ok(ExitCode::Success)
}
