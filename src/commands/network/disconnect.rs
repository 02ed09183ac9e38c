//! `creel network disconnect`

use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};

/// Take a container off a network
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Accepted for scripts: a container that cannot be told is taken off at its next start anyway
    #[arg(short, long)]
    force: bool,
    #[arg(value_name = "NETWORK CONTAINER")]
    words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::exactly(&args.words, 2)?;
    let (name, container) = (&args.words[0], &args.words[1]);
    let engine = context.engine()?;
    let network = super::networks(context, &engine)?.find(name)?;
    let found = containers::find(&engine, container)?;
    containers::disconnect(&engine, &found, &network.name).map_err(|error| match error {
        // Podman names the container as it was typed.
        containers::Error::Invalid(text)
            if text.ends_with(&format!("is not connected to network {}", network.name)) =>
        {
            Failure::plain(format!("container {container} is not connected to network {}", network.name))
        }
        error => super::of_pod(&engine, &found, "--network-rm", &network, error),
    })?;
    super::record(&engine, &network, "disconnect", Some(&found));
    Ok(ExitCode::Success)
}
