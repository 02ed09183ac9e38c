//! `creel secret rm`

use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::{output, select};

/// Remove secrets
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Remove all secrets
    #[arg(short, long)]
    all: bool,
    /// A secret that is not there is no error
    #[arg(short, long)]
    ignore: bool,
    #[arg(value_name = "SECRET [SECRET...]")]
    secrets: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    if args.secrets.is_empty() != args.all {
        return Err(Failure::plain("`creel secret rm` requires one argument, or the --all flag"));
    }
    let engine = context.engine()?;
    let names = match args.all {
        true => super::all(&engine)?.into_iter().map(|secret| secret.id).collect(),
        false => args.secrets.clone(),
    };
    let mut failures = Vec::new();
    for name in names {
        match containers::remove_secret(&engine, &name) {
            Ok(secret) => output::line(secret.id)?,
            Err(containers::Error::Storage(storage::Error::NotFound { .. })) if args.ignore || args.all => {}
            Err(containers::Error::Storage(error)) => {
                failures.push(super::failure(error, &name).code(ExitCode::Failed));
            }
            Err(error) => failures.push(error.into()),
        }
    }
    engine.store.sweep()?;
    select::conclude(failures)
}
