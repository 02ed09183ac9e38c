//! `creel volume inspect`

use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::select;

/// Show everything about volumes
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Show all volumes
    #[arg(short, long)]
    all: bool,
    /// Show through a Go template, or as "json"
    #[arg(short, long, value_name = "FORMAT", default_value = "json")]
    format: String,
    #[arg(value_name = "VOLUME [VOLUME...]")]
    volumes: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    if args.volumes.is_empty() != args.all {
        return Err(Failure::plain("provide one or more volume names or use --all"));
    }
    let engine = context.reader()?;
    let (mut values, mut failures) = (Vec::new(), Vec::new());
    if args.all {
        values.extend(super::all(&engine)?.iter().map(|volume| super::value(&engine, volume)));
    }
    for name in &args.volumes {
        match super::find(&engine, name) {
            Ok(volume) => values.push(super::value(&engine, &volume)),
            Err(failure) if failure.exit_code() == ExitCode::No => {
                failures.push(Failure::plain(format!("no such volume {name}")).missing("volume", name));
            }
            Err(failure) => return Err(failure.context(format!("inspecting volume {name}"))),
        }
    }
    crate::commands::inspect::print("volume inspect", values, &args.format)?;
    select::conclude_inspect(failures)
}
