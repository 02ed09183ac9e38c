//! `creel kube ps`: `kube get pods`, for fingers that know `podman ps`.

use super::get;
use crate::context::Context;
use crate::error::{ExitCode, Failure};

/// Show played pods: kube get pods
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    showing: get::Showing,
    /// Names
    #[arg(value_name = "POD")]
    names: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    let words = std::iter::once("pods".to_owned()).chain(args.names).collect();
    get::run(context, get::Args { showing: args.showing, words })
}
