//! `creel network prune`

use std::collections::BTreeSet;

use containers::Engine;
use network::Networks;

use super::{Filters, Keys};
use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::{output, select};

/// Remove the networks that no container is to be on
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Only those that pass a filter
    #[arg(long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// Do not ask
    #[arg(short, long)]
    force: bool,
    words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::none(&args.words, "network prune")?;
    let filters = Filters::parse(&args.filter, Keys::Prune)?;
    if !args.force && !output::confirm("WARNING! This will remove all networks not used by at least one container.")? {
        return Ok(ExitCode::Success);
    }
    let engine = context.engine()?;
    let (names, failures) = prune(&engine, &super::networks(context, &engine)?, &filters)?;
    names.into_iter().try_for_each(output::line)?;
    select::conclude(failures)
}

/// Removes unused networks: names, and what went wrong.
pub fn prune(engine: &Engine, networks: &Networks, filters: &Filters) -> Result<(Vec<String>, Vec<Failure>), Failure> {
    let users = super::users(engine)?;
    // The one that is always there is nobody's left-over.
    let used: BTreeSet<&str> = users.keys().map(String::as_str).chain([networks.default_name()]).collect();
    let (mut names, mut failures) = (Vec::new(), Vec::new());
    for network in super::all(networks)? {
        let stays = used.contains(network.name.as_str());
        // Somebody else than a container may be on it: a pod's namespace.
        if stays || !filters.pass(&network, &used) || !networks.state(&network.name)?.members.is_empty() {
            continue;
        }
        match networks.remove(&network) {
            Ok(()) => {
                super::record(engine, &network, "remove", None);
                names.push(network.name);
            }
            Err(network::Error::NoSuchNetwork(_)) => {}
            Err(error) => failures.push(error.into()),
        }
    }
    Ok((names, failures))
}
