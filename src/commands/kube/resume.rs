//! `creel kube resume`

use kube_play::act;

use crate::context::Context;
use crate::error::{ExitCode, Failure};

/// Start what was played and is to run: after a reboot, for the user unit creel-restart.service
#[derive(clap::Args, Debug)]
pub struct Args {}

pub fn run(context: &Context, _args: Args) -> Result<ExitCode, Failure> {
    let engine = context.engine()?;
    super::shelf(&engine)?;
    let failed = act::resume(&engine, super::pod_program)?;
    if act::is_needed(&engine)? {
        act::start_supervisor(&engine, super::supervisor_program())?;
    }
    crate::select::conclude(failed.into_iter().map(|(id, error)| Failure::from(error).context(id)).collect())
}
