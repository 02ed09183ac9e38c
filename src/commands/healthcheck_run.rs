use containers::HealthStatus;

use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::output;

/// Run a container's health check once
#[derive(clap::Args)]
pub struct Args {
    #[arg(value_name = "CONTAINER")]
    containers: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::exactly(&args.containers, 1)?;
    let engine = context.engine()?;
    let container = containers::find(&engine, &args.containers[0])?;
    if container.spec().health.is_some() && !containers::running(&container) {
        output::line("stopped")?;
        return Ok(ExitCode::No);
    }
    let status = containers::check_health(&engine, &container)?;
    match status {
        HealthStatus::Healthy => Ok(ExitCode::Success),
        other => {
            output::line(other.word())?;
            Ok(ExitCode::No)
        }
    }
}
