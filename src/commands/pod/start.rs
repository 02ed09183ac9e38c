//! `creel pod start`

use std::path::PathBuf;

use super::{Selection, each};
use crate::context::Context;
use crate::error::{ExitCode, Failure};

/// Start pods
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Start all pods
    #[arg(short, long)]
    all: bool,
    /// Start the newest pod
    #[arg(short, long)]
    latest: bool,
    /// Read the pod's id from a file
    #[arg(long, value_name = "FILE")]
    pod_id_file: Vec<PathBuf>,
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
        ..Selection::default()
    };
    each(selection.choose(&engine)?, |pod| pods::start(&engine, pod), |one| one.label.clone())
}
