//! `creel volume unmount`

use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::{output, select};

/// The other side of `volume mount`: there is nothing to undo
#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(value_name = "VOLUME [VOLUME...]")]
    volumes: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::at_least(&args.volumes, 1)?;
    let engine = context.reader()?;
    let mut failures = Vec::new();
    for name in &args.volumes {
        match super::find(&engine, name) {
            Ok(volume) => output::line(volume.name)?,
            Err(failure) => failures.push(failure.code(ExitCode::Failed)),
        }
    }
    select::conclude(failures)
}
