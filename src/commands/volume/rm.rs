//! `creel volume rm`

use containers::{Engine, RemoveRequest};

use crate::arguments::number;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::{output, select};

/// Remove volumes
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Remove all volumes
    #[arg(short, long)]
    all: bool,
    /// Remove the containers that use them, too
    #[arg(short, long)]
    force: bool,
    /// Seconds to wait before such a container is killed
    #[arg(short, long, alias = "timeout", value_name = "SECONDS", value_parser = number::i64)]
    time: Option<i64>,
    #[arg(value_name = "VOLUME [VOLUME...]")]
    volumes: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    if args.volumes.is_empty() != args.all {
        return Err(Failure::plain("choose either one or more volumes or all"));
    }
    if args.time.is_some() && !args.force {
        return Err(Failure::plain("--force option must be specified to use the --time option"));
    }
    let engine = context.engine()?;
    let names = match args.all {
        true => super::all(&engine)?.into_iter().map(|volume| volume.name).collect(),
        false => args.volumes.clone(),
    };
    let mut failures = Vec::new();
    for name in names {
        match remove(&engine, &name, &args) {
            Ok(()) => output::line(name)?,
            Err(failure) if failure.exit_code() == ExitCode::No && args.force => {}
            Err(failure) => failures.push(failure),
        }
    }
    // What was taken away is deleted now, outside of every lock.
    engine.store.sweep()?;
    // As Podman, which looks all names up first: what is not there is said first.
    failures.sort_by_key(|failure: &Failure| failure.exit_code() != ExitCode::No);
    select::conclude(failures)
}

fn remove(engine: &Engine, name: &str, args: &Args) -> Result<(), Failure> {
    let volume = super::find(engine, name)?;
    let users = super::users(engine)?.remove(&volume.name).unwrap_or_default();
    if !users.is_empty() && !args.force {
        let list = users.join(", ");
        let text =
            format!("volume {} is being used by the following container(s): {list}: volume is being used", volume.name);
        return Err(Failure::plain(text)
            .code(ExitCode::InUse)
            .hint("rm the containers first, or use volume rm --force"));
    }
    let timeout = args.time.map(|seconds| u32::try_from(seconds).unwrap_or(u32::MAX));
    let request = RemoveRequest { force: true, depend: true, timeout, ..RemoveRequest::default() };
    for user in users {
        match containers::find(engine, &user).and_then(|container| containers::remove(engine, &container, &request)) {
            Ok(_) | Err(containers::Error::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    match engine.store.remove_volume(&volume.name) {
        Err(storage::Error::NotFound { .. }) => Err(super::missing(name)),
        other => Ok(other?),
    }
}
