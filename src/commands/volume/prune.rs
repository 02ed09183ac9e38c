//! `creel volume prune`

use containers::Engine;

use super::Filters;
use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::{output, select};

/// Remove the anonymous volumes that no container uses
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Named volumes, too
    #[arg(short, long)]
    all: bool,
    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
    /// Only those that pass a filter
    #[arg(long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// Do not ask
    #[arg(short, long)]
    force: bool,
    words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::none(&args.words, "volume prune")?;
    let engine = context.engine()?;
    let filters = Filters::parse(&engine, &args.filter)?;
    let which = if args.all { Which::All } else { Which::Anonymous };
    if args.dry_run {
        unused(&engine, &filters, which)?.into_iter().try_for_each(output::line)?;
        return Ok(ExitCode::Success);
    }
    if !args.force {
        let names = unused(&engine, &filters, which)?;
        if names.is_empty() {
            output::line("No dangling volumes found")?;
            return Ok(ExitCode::Success);
        }
        let kind = if args.all { "all" } else { "all anonymous" };
        let mut warning = format!(
            "WARNING! This will remove {kind} volumes not used by at least one container. The following volumes will be \
             removed:"
        );
        for name in names {
            warning.push_str(&format!("\n{name}"));
        }
        if !output::confirm(&warning)? {
            return Ok(ExitCode::Success);
        }
    }
    let (names, _, failures) = prune(&engine, &filters, which)?;
    names.into_iter().try_for_each(output::line)?;
    select::conclude(failures)
}

/// Which of the volumes that no container uses.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Which {
    Anonymous,
    All,
}

fn unused(engine: &Engine, filters: &Filters, which: Which) -> Result<Vec<String>, Failure> {
    let users = super::users(engine)?;
    let volumes = super::all(engine)?.into_iter().filter(|volume| which == Which::All || volume.anonymous);
    let unused = volumes.filter(|volume| !users.contains_key(&volume.name) && filters.pass(volume, false));
    Ok(unused.map(|volume| volume.name).collect())
}

/// Removes unused volumes: names, bytes given back, and what went wrong.
pub fn prune(engine: &Engine, filters: &Filters, which: Which) -> Result<(Vec<String>, u64, Vec<Failure>), Failure> {
    let (mut names, mut bytes, mut failures) = (Vec::new(), 0, Vec::new());
    for name in unused(engine, filters, which)? {
        let size = storage::tree_size(&engine.store.volume_mountpoint(&name)).map_or(0, |tree| tree.disk);
        match engine.store.remove_volume(&name) {
            Ok(()) => {
                names.push(name);
                bytes += size;
            }
            Err(storage::Error::NotFound { .. }) => {}
            Err(error) => failures.push(error.into()),
        }
    }
    // What was taken away is deleted now, outside of every lock.
    engine.store.sweep()?;
    Ok((names, bytes, failures))
}
