//! `creel volume mount`

use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::{output, select};

/// Say where the content of volumes is: it is always mounted
#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(value_name = "VOLUME [VOLUME...]")]
    volumes: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::at_least(&args.volumes, 1)?;
    let engine = context.reader()?;
    let mut failures = Vec::new();
    for name in &args.volumes {
        let place = super::find(&engine, name)
            .map_err(|failure| failure.code(ExitCode::Failed))
            .and_then(|volume| Ok(containers::volume_content(&engine, &volume)?));
        match place {
            Ok(place) => output::line(place.display())?,
            Err(failure) => failures.push(failure),
        }
    }
    select::conclude(failures)
}
