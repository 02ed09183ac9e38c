//! `creel update`

mod ports;

use containers::{Container, ContainerSpec, Engine, HealthSpec, Resources};
use network::Mode;

use crate::config::Config;
use crate::context::Context;
use crate::create_args::{HealthFlags, LimitFlags, environment, health, life, resources};
use crate::error::{ExitCode, Failure};
use crate::{output, select, state};

pub use ports::PortFlags;

/// Change a container that is there
///
/// Limits and published ports hold at once, a restart policy and health checks from now on, variables and ulimits from the
/// next start. A port that is published no more takes no new connections; those that it has go on.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Set a variable (NAME=VALUE, NAME to copy it, PREFIX* to copy all of that prefix)
    #[arg(short, long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Change the newest container
    #[arg(short, long)]
    latest: bool,
    /// When to restart: no, on-failure[:RETRIES], always, unless-stopped
    #[arg(long, value_name = "POLICY")]
    restart: Option<String>,
    /// Limit of a resource (NAME=SOFT[:HARD]); "host" for the caller's limits
    #[arg(long, value_name = "LIMIT", value_delimiter = ',')]
    ulimit: Vec<String>,
    /// Remove a variable
    #[arg(long, value_name = "NAME")]
    unsetenv: Vec<String>,
    #[command(flatten)]
    ports: PortFlags,
    #[command(flatten)]
    limits: LimitFlags,
    #[command(flatten)]
    health: HealthFlags,
    /// Name or id
    #[arg(value_name = "CONTAINER")]
    containers: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    if args.containers.is_empty() && !args.latest {
        return Err(Failure::plain("\"creel update\" requires a name, id, or the \"--latest\" flag"));
    }
    if args.containers.len() > 1 {
        return Err(Failure::plain("`creel update` accepts at most one argument"));
    }
    check_limits(&args.limits)?;
    if args.health.no_healthcheck && !args.health.is_empty() {
        return Err(Failure::plain("cannot specify both --no-healthcheck and other HealthCheck flags"));
    }
    let config = context.config()?;
    let engine = context.engine()?;
    let container = select::one(&engine, args.containers.first().map(String::as_str), args.latest)?;
    let caller: Vec<(String, String)> = std::env::vars().collect();
    containers::update(&engine, &container, |container: &Container, spec: &mut ContainerSpec| {
        let of_image = container.record.image.as_ref().and_then(|image| image.health.as_ref());
        change(&args, &caller, of_image, spec)?;
        if !args.ports.is_empty() {
            check_network(&engine, container)?;
            args.ports.change(&mut spec.network.ports, state::ports(container), config)?;
        }
        Ok::<_, Failure>(())
    })?;
    output::line(container.id())?;
    Ok(ExitCode::Success)
}

/// What cannot be meant together.
pub fn check_limits(limits: &LimitFlags) -> Result<(), Failure> {
    match limits.cpus.is_some() && (limits.cpu_quota.is_some() || limits.cpu_period.is_some()) {
        true => Err(Failure::plain("--cpus and --cpu-quota or --cpu-period cannot be set together")),
        false => Ok(()),
    }
}

/// Who is on another's network is told whose.
fn check_network(engine: &Engine, container: &Container) -> Result<(), Failure> {
    let Mode::Container(owner) = &container.spec().network.mode else { return Ok(()) };
    let refused = |whose: &str, name: &str| {
        Failure::plain(format!(
            "container {} cannot publish ports: it is on the network of {whose} {name}",
            container.name()
        ))
    };
    if let Some(pod) = container.spec().pod.as_deref().and_then(|pod| pods::find(engine, pod).ok()) {
        return Err(refused("its pod", pod.name()).hint(format!("creel pod update --publish PORT {}", pod.name())));
    }
    let owner = containers::find(engine, owner)?;
    Err(refused("container", owner.name()).hint(format!("creel update --publish PORT {}", owner.name())))
}

/// Pure: what the flags make of a specification. `of_image` is the image's health check.
fn change(
    args: &Args,
    caller: &[(String, String)],
    of_image: Option<&HealthSpec>,
    spec: &mut ContainerSpec,
) -> Result<(), Failure> {
    if let Some(policy) = &args.restart {
        spec.restart = life::restart(policy, None)?;
    }
    for text in &args.env {
        environment::add(&mut spec.env, text, caller)?;
        spec.unset_env.retain(|name| Some(name.as_str()) != text.split('=').next());
    }
    for name in &args.unsetenv {
        spec.env.retain(|(known, _)| known != name);
        if !spec.unset_env.contains(name) {
            spec.unset_env.push(name.clone());
        }
    }
    change_limits(&mut spec.resources, resources::limits(&args.limits)?);
    for limit in resources::ulimits(&args.ulimit, &Config::default())? {
        spec.ulimits.retain(|known| known.name != limit.name);
        spec.ulimits.push(limit);
    }
    if args.health.no_healthcheck || args.health.health_cmd.as_deref() == Some("none") {
        spec.no_healthcheck = true;
        spec.health = None;
    } else if !args.health.is_empty() {
        let mut check = spec.health.clone().or_else(|| of_image.cloned()).unwrap_or_else(health::defaults);
        health::change(&args.health, &mut check)?;
        if check.test.is_empty() {
            return Err(Failure::plain("the container has no health check: give one with --health-cmd"));
        }
        spec.health = Some(check);
        spec.no_healthcheck = false;
    }
    Ok(())
}

/// Of a limit the newer one counts; those of devices add up.
pub fn change_limits(old: &mut Resources, new: Resources) {
    fn take<T>(old: &mut Option<T>, new: Option<T>) {
        if new.is_some() {
            *old = new;
        }
    }
    fn take_each<K: PartialEq, V>(old: &mut Vec<(K, V)>, new: Vec<(K, V)>) {
        old.retain(|(device, _)| !new.iter().any(|(other, _)| other == device));
        old.extend(new);
    }
    if new.memory.is_some() && new.memory_swap.is_none() {
        // It follows the memory again.
        old.memory_swap = None;
    }
    take(&mut old.memory, new.memory);
    take(&mut old.memory_swap, new.memory_swap);
    take(&mut old.memory_reservation, new.memory_reservation);
    take(&mut old.cpu_shares, new.cpu_shares);
    take(&mut old.cpu_period, new.cpu_period);
    take(&mut old.cpu_quota, new.cpu_quota);
    take(&mut old.cpuset_cpus, new.cpuset_cpus);
    take(&mut old.cpuset_mems, new.cpuset_mems);
    take(&mut old.pids_limit, new.pids_limit);
    take(&mut old.blkio_weight, new.blkio_weight);
    take_each(&mut old.blkio_weight_device, new.blkio_weight_device);
    take_each(&mut old.read_bps, new.read_bps);
    take_each(&mut old.write_bps, new.write_bps);
    take_each(&mut old.read_iops, new.read_iops);
    take_each(&mut old.write_iops, new.write_iops);
}
