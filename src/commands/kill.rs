//! `creel kill`

use std::path::PathBuf;

use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::select::{Selection, each};
use crate::signal;

/// Send a signal to containers
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Signal all running containers
    #[arg(short, long)]
    pub all: bool,
    /// Read container ids from files
    #[arg(long, value_name = "FILE")]
    pub cidfile: Vec<PathBuf>,
    /// Signal the newest container
    #[arg(short, long)]
    pub latest: bool,
    /// Signal to send: a name or a number
    #[arg(short, long, value_name = "SIGNAL", default_value = "KILL")]
    pub signal: String,
    /// Names or ids
    #[arg(value_name = "CONTAINER")]
    pub containers: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    let selection = Selection {
        names: &args.containers,
        all: args.all,
        latest: args.latest,
        cidfiles: &args.cidfile,
        ..Selection::default()
    };
    selection.check()?;
    let signal =
        signal::parse(&args.signal).ok_or_else(|| Failure::plain(format!("invalid signal: {}", args.signal)))?;
    let engine = context.engine()?;
    let (mut chosen, failures) = selection.choose(&engine)?;
    if args.all {
        chosen.retain(|one| containers::running(&one.container));
    }
    each((chosen, failures), |container| containers::kill(&engine, container, signal))
}
