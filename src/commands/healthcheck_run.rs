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
    let name = &args.containers[0];
    let container = containers::find(&engine, name).map_err(|error| {
        Failure::from(error).context(format_args!("unable to look up {name} to perform a health check"))
    })?;
    if !containers::running(&container) {
        return Err(Failure::plain(format!("container {} is not running", container.id())));
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
