//! `creel kube scale`

use kube_play::{ObjectId, act};

use super::{DEFAULT_NAMESPACE, one_object};
use crate::arguments::number;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::output;

/// Change how many pods a workload has
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The namespace
    #[arg(short, long, value_name = "NAMESPACE", default_value = DEFAULT_NAMESPACE)]
    namespace: String,
    /// How many
    #[arg(long, value_name = "NUMBER", value_parser = number::u32, required = true)]
    replicas: u32,
    /// KIND NAME, or KIND/NAME
    #[arg(value_name = "KIND/NAME")]
    words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    let id: ObjectId = one_object(&args.words, &args.namespace)?;
    let engine = context.engine()?;
    act::scale(&engine, &id, args.replicas, &super::waits)?;
    act::start_supervisor(&engine, super::supervisor_program())?;
    output::line(format_args!("{} scaled", id.resource()))?;
    Ok(ExitCode::Success)
}
