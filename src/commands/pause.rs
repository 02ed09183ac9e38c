//! `creel pause`

use std::path::PathBuf;

use containers::Container;

use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::select::{Selection, each};

/// Freeze all processes of containers
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Pause all running containers
    #[arg(short, long)]
    pub all: bool,
    /// Read container ids from files
    #[arg(long, value_name = "FILE")]
    pub cidfile: Vec<PathBuf>,
    /// Pause those that match (KEY=VALUE)
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub filter: Vec<String>,
    /// Pause the newest container
    #[arg(short, long)]
    pub latest: bool,
    /// Names or ids
    #[arg(value_name = "CONTAINER")]
    pub containers: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    let selection = Selection {
        names: &args.containers,
        all: args.all,
        latest: args.latest,
        filters: &args.filter,
        cidfiles: &args.cidfile,
        ..Selection::default()
    };
    selection.check()?;
    let engine = context.engine()?;
    let (mut chosen, failures) = selection.choose(&engine)?;
    if args.all {
        chosen.retain(|one| is_meant(&one.container));
    }
    each((chosen, failures), |container| containers::pause(&engine, container))
}

/// Whether `--all` takes it.
fn is_meant(container: &Container) -> bool {
    containers::running(container) && !containers::paused(container)
}
