//! `creel stop`

use std::path::PathBuf;

use crate::arguments::number;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::select::{Selection, each};

/// Stop containers
///
/// The first process gets the container's stop signal, and SIGKILL if it still runs after the time.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Stop all containers
    #[arg(short, long)]
    pub all: bool,
    /// Read container ids from files
    #[arg(long, value_name = "FILE")]
    pub cidfile: Vec<PathBuf>,
    /// Stop those that match (KEY=VALUE)
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub filter: Vec<String>,
    /// A container that does not exist is no error
    #[arg(short, long)]
    pub ignore: bool,
    /// Stop the newest container
    #[arg(short, long)]
    pub latest: bool,
    /// Seconds to wait before killing; the container's own time where not given
    #[arg(short, long, alias = "timeout", value_name = "SECONDS", value_parser = number::u32)]
    pub time: Option<u32>,
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
        ignore: args.ignore,
        ..Selection::default()
    };
    selection.check()?;
    let engine = context.engine()?;
    each(selection.choose(&engine)?, |container| match containers::stop(&engine, container, args.time) {
        // Gone in between, as with `--rm`.
        Err(containers::Error::NotFound { .. }) if args.ignore || args.all => Ok(()),
        other => other,
    })
}
