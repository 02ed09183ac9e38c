//! `creel pod update`

use containers::Container;
use network::{Mode, Network, NetworkRef};
use pods::{Pod, PodSpec};

use crate::commands::network as networks;
use crate::commands::update::{self, PortFlags};
use crate::context::Context;
use crate::create_args::{LimitFlags, resources};
use crate::error::{ExitCode, Failure};
use crate::{output, state};

/// Change a pod that is there
///
/// Published ports, networks and the limits of all members together hold at once. Nothing is restarted, and connections of
/// other ports go on.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Change the newest pod
    #[arg(short, long)]
    latest: bool,
    #[command(flatten)]
    ports: PortFlags,
    /// Put the pod on one more network (NAME[:OPTIONS])
    #[arg(long, alias = "net", value_name = "NETWORK")]
    network: Vec<String>,
    /// Take the pod off a network
    #[arg(long, value_name = "NETWORK")]
    network_rm: Vec<String>,
    #[command(flatten)]
    limits: LimitFlags,
    /// Name or id
    #[arg(value_name = "POD")]
    pods: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    update::check_limits(&args.limits)?;
    let limits = resources::limits(&args.limits)?;
    let config = context.config()?;
    let engine = context.engine()?;
    let pod = match (args.pods.as_slice(), args.latest) {
        ([name], false) => pods::find(&engine, name)?,
        ([], true) => super::latest(&engine)?,
        ([], false) => return Err(Failure::plain("you must provide a name or id, or use --latest")),
        _ => return Err(Failure::plain("`creel pod update` accepts at most one argument")),
    };
    // Names that lead nowhere are known before anything is changed.
    let known = networks::networks(context, &engine)?;
    let (mut join, mut leave) = (Vec::new(), Vec::new());
    for reference in wanted(&args.network)? {
        let network = known.find(&reference.name)?;
        join.push((NetworkRef { name: network.name.clone(), ..reference }, network));
    }
    for name in &args.network_rm {
        leave.push(known.find(name)?);
    }
    check_networks(&pod, &join, &leave)?;
    pods::update(&engine, &pod, |now: &Pod, spec: &mut PodSpec| {
        update::change_limits(&mut spec.resources, limits);
        let real = now.infra().map(state::ports).unwrap_or_default();
        args.ports.change(&mut spec.network.ports, real, config)
    })?;
    if let Some(infra) = pod.infra() {
        for (reference, network) in &join {
            containers::connect(&engine, infra, reference)?;
            networks::record(&engine, network, "connect", Some(infra));
        }
        for network in &leave {
            containers::disconnect(&engine, infra, &network.name)?;
            networks::record(&engine, network, "disconnect", Some(infra));
        }
    }
    output::line(pod.id())?;
    Ok(ExitCode::Success)
}

/// The networks of `--network`, which here can be no other mode.
fn wanted(typed: &[String]) -> Result<Vec<NetworkRef>, Failure> {
    match typed {
        [] => Ok(Vec::new()),
        typed => match Mode::parse_all(typed)? {
            Mode::Networks(references) => Ok(references),
            mode => Err(Failure::plain(format!("--network {mode}: a pod's network mode cannot be changed"))
                .hint("name a network; creel network ls shows them")),
        },
    }
}

/// What [`containers::connect`] and [`containers::disconnect`] would refuse, when other things are changed already.
fn check_networks(pod: &Pod, join: &[(NetworkRef, Network)], leave: &[Network]) -> Result<(), Failure> {
    if join.is_empty() && leave.is_empty() {
        return Ok(());
    }
    let infra: &Container = pod.infra().ok_or_else(|| {
        Failure::plain(format!("pod {} has no infra container, which alone could be on a network", pod.name()))
    })?;
    let Mode::Networks(now) = &infra.spec().network.mode else {
        let mode = &infra.spec().network.mode;
        return Err(Failure::plain(format!("pod {} is not on named networks: its network mode is {mode}", pod.name()))
            .hint("make the pod with --network bridge, or with the name of a network"));
    };
    let is_on = |network: &Network| now.iter().any(|known| known.name == network.name);
    if let Some((_, network)) = join.iter().find(|(_, network)| is_on(network)) {
        return Err(Failure::plain(format!("pod {} is already connected to network {}", pod.name(), network.name)));
    }
    match leave.iter().find(|network| !is_on(network)) {
        Some(network) => {
            Err(Failure::plain(format!("pod {} is not connected to network {}", pod.name(), network.name)))
        }
        None => Ok(()),
    }
}
