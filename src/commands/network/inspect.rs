//! `creel network inspect`

use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::select;

/// Show everything about networks
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Show through a Go template, or as "json"
    #[arg(short, long, value_name = "FORMAT", default_value = "json")]
    format: String,
    #[arg(value_name = "NETWORK [NETWORK...]")]
    networks: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::at_least(&args.networks, 1)?;
    let engine = context.reader()?;
    let networks = super::networks(context, &engine)?;
    let (mut values, mut failures) = (Vec::new(), Vec::new());
    for name in &args.networks {
        match super::find(&networks, name) {
            Ok(network) => values.push(super::full_value(&networks, &network)?),
            Err(failure) => failures.push(failure.context(format!("network {name}")).code(ExitCode::Failed)),
        }
    }
    crate::commands::inspect::print("network inspect", values, &args.format)?;
    select::conclude_inspect(failures)
}
