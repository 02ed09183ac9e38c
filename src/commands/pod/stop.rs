//! `creel pod stop`

use std::path::PathBuf;

use super::{Selection, each};
use crate::arguments::number;
use crate::context::Context;
use crate::error::{ExitCode, Failure};

/// Stop pods
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Stop all pods
    #[arg(short, long)]
    all: bool,
    /// A pod that does not exist is no error
    #[arg(short, long)]
    ignore: bool,
    /// Stop the newest pod
    #[arg(short, long)]
    latest: bool,
    /// Read the pod's id from a file
    #[arg(long, value_name = "FILE")]
    pod_id_file: Vec<PathBuf>,
    /// Seconds to wait before killing; each container's own time where not given
    #[arg(short, long, alias = "timeout", value_name = "SECONDS", value_parser = number::i64)]
    time: Option<i64>,
    /// Names or ids
    #[arg(value_name = "POD")]
    pods: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    let engine = context.engine()?;
    let selection = Selection {
        names: &args.pods,
        all: args.all,
        latest: args.latest,
        id_files: &args.pod_id_file,
        ignore: args.ignore,
        ..Selection::default()
    };
    let timeout = args.time.map(seconds);
    each(selection.choose(&engine)?, |pod| pods::stop(&engine, pod, timeout), |one| one.label.clone())
}

/// Below 0 is for ever.
pub(super) fn seconds(time: i64) -> u32 {
    u32::try_from(time).unwrap_or(u32::MAX)
}
