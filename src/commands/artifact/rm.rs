//! `creel artifact rm`

use images::artifacts;

use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::{output, select};

/// Remove artifacts
#[derive(clap::Args)]
pub struct Args {
    /// Remove all artifacts
    #[arg(short, long)]
    all: bool,
    /// An artifact that is not there is no error
    #[arg(short, long)]
    ignore: bool,
    #[arg(value_name = "ARTIFACT [ARTIFACT...]")]
    names: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    match (args.names.is_empty(), args.all) {
        (true, false) => return Err(Failure::plain("at least one artifact name or digest must be specified")),
        (false, true) => {
            let text = "when using the --all switch, you may not pass any artifact names or digests";
            return Err(Failure::plain(text));
        }
        (true, true) | (false, false) => {}
    }
    let engine = context.engine()?;
    let names = match args.all {
        true => artifacts::list(&engine.store)?.into_iter().map(|artifact| artifact.name).collect(),
        false => args.names,
    };
    let mut failures = Vec::new();
    for name in names {
        match artifacts::remove(&engine.store, &name) {
            Ok(artifact) => output::line(artifact.digest.hex())?,
            Err(images::Error::ArtifactNotFound { .. }) if args.ignore || args.all => {}
            Err(error) => failures.push(error.into()),
        }
    }
    images::collect_garbage(&engine.store)?;
    engine.store.sweep()?;
    select::conclude(failures)
}
