//! `creel network reload`

use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::{output, select};

/// Have the network connections of running containers looked after
#[derive(clap::Args, Debug)]
pub struct Args {
    /// All running containers
    #[arg(short, long)]
    all: bool,
    /// The newest container
    #[arg(short, long)]
    latest: bool,
    #[arg(value_name = "[CONTAINER...]")]
    containers: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    if args.all && !args.containers.is_empty() {
        return Err(Failure::plain("no arguments are needed with --all"));
    }
    if args.containers.is_empty() != (args.all || args.latest) {
        return Err(Failure::plain("you must provide at least one name or id"));
    }
    let engine = context.engine()?;
    let mut failures = Vec::new();
    let containers = if args.all {
        containers::list(&engine)?
            .into_iter()
            .filter(containers::running)
            .filter(|container| matches!(container.spec().network.mode, network::Mode::Networks(_)))
            .collect()
    } else if args.latest {
        vec![select::latest(&engine)?]
    } else {
        let mut found = Vec::new();
        for name in &args.containers {
            match containers::find(&engine, name) {
                Ok(container) => found.push(container),
                Err(error) => failures.push(error.into()),
            }
        }
        found
    };
    for container in containers {
        match containers::reload_network(&engine, &container) {
            Ok(()) => output::line(container.id())?,
            Err(error) => failures.push(error.into()),
        }
    }
    select::conclude(failures)
}
