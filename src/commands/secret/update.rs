//! `creel secret update`: not Podman's. The content changes where it is, and running containers see it.

use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::{output, select, signal};

/// Give a secret new content, in place: running containers see it
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The second argument is the name of a variable
    #[arg(long)]
    env: bool,
    /// Send this signal to the containers that run with it
    #[arg(short, long, value_name = "SIGNAL")]
    signal: Option<String>,
    #[arg(value_name = "SECRET FILE|-")]
    words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::exactly(&args.words, 2)?;
    let signal = args.signal.as_deref().map(signal::parse).transpose()?;
    let data = super::content(&args.words[1], args.env)?;
    let engine = context.engine()?;
    let (secret, reached) = containers::update_secret(&engine, &args.words[0], &data).map_err(|error| match error {
        containers::Error::Storage(error) => super::failure(error, &args.words[0]).code(ExitCode::Failed),
        other => other.into(),
    })?;
    let mut failures = Vec::new();
    for container in reached {
        if let Some(signal) = signal
            && let Err(error) = containers::kill(&engine, &container, signal)
        {
            failures.push(error.into());
        }
    }
    output::line(secret.id)?;
    select::conclude(failures)
}
