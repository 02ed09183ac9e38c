//! `creel network rm`

use containers::{Engine, RemoveRequest};
use network::Networks;

use crate::arguments::{self, number};
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::{output, select};

/// Remove networks
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Remove the containers that are on them, too
    #[arg(short, long)]
    force: bool,
    /// Seconds to wait before such a container is killed
    #[arg(short, long, alias = "timeout", value_name = "SECONDS", value_parser = number::i64)]
    time: Option<i64>,
    #[arg(value_name = "NETWORK [NETWORK...]")]
    networks: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::at_least(&args.networks, 1)?;
    if args.time.is_some() && !args.force {
        return Err(Failure::plain("--force option must be specified to use the --time option"));
    }
    let engine = context.engine()?;
    let networks = super::networks(context, &engine)?;
    let mut failures = Vec::new();
    for name in &args.networks {
        match remove(&engine, &networks, name, &args) {
            Ok(()) => output::line(name)?,
            Err(failure) if failure.exit_code() == ExitCode::No && args.force => {}
            Err(failure) => failures.push(failure),
        }
    }
    select::conclude(failures)
}

fn remove(engine: &Engine, networks: &Networks, name: &str, args: &Args) -> Result<(), Failure> {
    let network = super::find(networks, name)?;
    if network.name == networks.default_name() {
        return Err(Failure::plain(format!("default network {} cannot be removed", network.name)));
    }
    let users = super::users(engine)?.remove(&network.name).unwrap_or_default();
    if !users.is_empty() && !args.force {
        return Err(Failure::plain(format!(
            "{name:?} has associated containers with it. Use -f to forcibly delete containers and pods: network is being \
             used"
        ))
        .code(ExitCode::InUse));
    }
    let timeout = args.time.map(|seconds| u32::try_from(seconds).unwrap_or(u32::MAX));
    let request = RemoveRequest { force: true, volumes: true, depend: true, timeout, with_pod: true };
    for user in users {
        match containers::find(engine, &user).and_then(|container| containers::remove(engine, &container, &request)) {
            Ok(_) | Err(containers::Error::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    networks.remove(&network)?;
    super::record(engine, &network, "remove", None);
    Ok(())
}
