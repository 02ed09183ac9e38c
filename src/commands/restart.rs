//! `creel restart`

use std::path::PathBuf;

use crate::arguments::number;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::select::{Selection, each};

/// Stop containers if they run, and start them
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Restart all containers, running or not
    #[arg(short, long)]
    pub all: bool,
    /// Read container ids from files
    #[arg(long, value_name = "FILE")]
    pub cidfile: Vec<PathBuf>,
    /// Restart those that match (KEY=VALUE)
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub filter: Vec<String>,
    /// Restart the newest container
    #[arg(short, long)]
    pub latest: bool,
    /// Only those that run
    #[arg(long)]
    pub running: bool,
    /// Seconds to wait before killing; the container's own time where not given
    #[arg(short, long, alias = "timeout", value_name = "SECONDS", value_parser = number::u32)]
    pub time: Option<u32>,
    /// Names or ids
    #[arg(value_name = "CONTAINER")]
    pub containers: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    let named = !(args.containers.is_empty() && args.filter.is_empty() && args.cidfile.is_empty());
    let selection = Selection {
        names: &args.containers,
        // `--running` alone means all that run.
        all: args.all || (args.running && !named && !args.latest),
        latest: args.latest,
        filters: &args.filter,
        cidfiles: &args.cidfile,
        ..Selection::default()
    };
    selection.check()?;
    let engine = context.engine()?;
    let (mut chosen, failures) = selection.choose(&engine)?;
    if args.running {
        chosen.retain(|one| containers::running(&one.container));
    }
    each((chosen, failures), |container| containers::restart(&engine, container, args.time))
}
