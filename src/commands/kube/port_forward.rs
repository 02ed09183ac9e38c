//! `creel kube port-forward`

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use kube_play::act::{self, Body, PortForward, Seen, Shelf};
use kube_play::steps::PodPhase;
use kube_play::{Kind, ObjectId, PodTemplate, PortRef, Protocol, ServicePlan};
use network::{Listener, PortMapping};
use rustix::event::{PollFd, PollFlags, poll};
use sys::signals::SignalFd;

use super::changes::{self, look_until};
use super::{DEFAULT_NAMESPACE, chosen, forwarder_program, not_found};
use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::format::human;
use crate::output;

/// Lead ports of this machine into a played pod, until this command is ended
///
/// Clients reach the pod's loopback: servers need not listen elsewhere, and nothing has to be published.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Where to listen: addresses of this machine, or localhost
    #[arg(long, value_name = "IP", value_delimiter = ',', default_value = "localhost")]
    address: Vec<String>,
    /// The namespace
    #[arg(short, long, value_name = "NAMESPACE", default_value = DEFAULT_NAMESPACE)]
    namespace: String,
    /// How long to wait for a pod that runs
    #[arg(long, value_name = "DURATION", default_value = "1m0s")]
    pod_running_timeout: String,
    /// A pod, what keeps one (deploy/web) or a Service (svc/web); then ports, by number or name: [LOCAL:]REMOTE, :REMOTE
    /// for any that is free
    #[arg(value_name = "POD [LOCAL:]REMOTE...")]
    words: Vec<String>,
}

const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;

/// One port as typed.
#[derive(Debug, PartialEq)]
struct Wanted {
    /// `None`: as it is in the pod, or the Service. 0: any.
    local: Option<u16>,
    remote: PortRef,
}

impl std::str::FromStr for Wanted {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Wanted, Failure> {
        let number = |side: &str, text: &str| {
            text.parse::<u16>()
                .map_err(|_| Failure::plain(format!("error parsing {side} port {text:?}: it is no port")))
        };
        let (local, remote) = match text.split(':').collect::<Vec<_>>()[..] {
            [remote] => (None, remote),
            ["", remote] => (Some(0), remote),
            [local, remote] => (Some(number("local", local)?), remote),
            _ => return Err(Failure::plain(format!("invalid port format {text:?}")).hint("write [LOCAL:]REMOTE")),
        };
        let remote = match remote.bytes().all(|byte| byte.is_ascii_digit()) {
            true => PortRef::Number(number("remote", remote)?),
            false => PortRef::Name(remote.to_owned()),
        };
        match remote {
            PortRef::Number(0) => Err(Failure::plain("remote port must be > 0")),
            remote => Ok(Wanted { local, remote }),
        }
    }
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::at_least(&args.words, 1)?;
    let (word, ports) = (&args.words[0], &args.words[1..]);
    if ports.is_empty() {
        return Err(Failure::plain("at least 1 PORT is required for port-forward"));
    }
    let ports: Vec<Wanted> = ports.iter().map(|port| port.parse()).collect::<Result<_, _>>()?;
    let addresses = addresses(&args.address)?;
    let patience = human::parse_duration(&args.pod_running_timeout).map_err(Failure::plain)?;
    let engine = context.engine()?;
    let shelf = super::shelf(&engine)?;
    let service = service(&shelf, word, &args.namespace)?;
    let until = changes::until(Some(patience));
    let pod =
        look_until(&engine, until, || find(&shelf, act::pods(&engine)?, &args.namespace, word, service.as_ref()))?
            .ok_or_else(|| {
                Failure::plain("timed out waiting for the condition").hint(format!("no pod of {word} runs"))
            })?;
    let template = act::template_of(&shelf, &pod)?;
    // All that can be wrong with what was typed, before anything listens.
    let pairs: Vec<(u16, u16)> =
        ports.iter().map(|port| numbers(port, &pod, template.as_ref(), service.as_ref())).collect::<Result<_, _>>()?;
    let mut listening: Vec<(Vec<Listener>, u16)> = Vec::new();
    for (local, remote) in pairs {
        listening.push((listen(&addresses, local)?, remote));
    }
    let forward = PortForward::into_pod(&pod, forwarder_program())?;
    let mut locals = Vec::new();
    for ((sockets, remote), number) in listening.iter().zip(0..) {
        forward.serve(number, sockets, *remote)?;
        for Listener { mapping, .. } in sockets {
            let address = SocketAddr::new(mapping.host_ip.unwrap_or(Ipv4Addr::UNSPECIFIED.into()), mapping.host_port);
            output::line(format_args!("Forwarding from {address} -> {remote}"))?;
        }
        locals.push(sockets.first().map_or(0, |listener| listener.mapping.host_port));
    }
    drop(listening);
    serve(&forward, &locals)
}

/// Until a signal says that it is enough.
fn serve(forward: &PortForward, locals: &[u16]) -> Result<ExitCode, Failure> {
    let signals = SignalFd::new(&[SIGINT, SIGTERM])?;
    loop {
        let ends = [forward.pod_end(), forward.forwarder_end(), forward.arrivals()];
        let mut fds = ends.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).to_vec();
        fds.push(PollFd::new(&signals, PollFlags::IN));
        match poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(std::io::Error::from(error).into()),
        }
        let happened: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        for number in forward.clients() {
            let local = usize::try_from(number).ok().and_then(|number| locals.get(number));
            local.map_or(Ok(()), |local| output::line(format_args!("Handling connection for {local}")))?;
        }
        match happened[..] {
            [.., true] => return Ok(ExitCode::Success),
            [true, ..] => return Err(Failure::plain("lost connection to pod")),
            [_, true, ..] => return Err(Failure::plain("the port forwarder has ended")),
            _ => {}
        }
    }
}

fn addresses(texts: &[String]) -> Result<Vec<Vec<IpAddr>>, Failure> {
    let address = |text: &String| match text.as_str() {
        "localhost" => Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]),
        text => text.parse().map(|address| vec![address]).map_err(|_| {
            Failure::plain(format!("{text} is not a valid IP"))
                .hint("--address takes addresses of this machine, or localhost")
        }),
    };
    texts.iter().map(address).collect()
}

/// On each of the addresses. Of the two that localhost has one is enough.
fn listen(addresses: &[Vec<IpAddr>], port: u16) -> Result<Vec<Listener>, Failure> {
    let mut sockets: Vec<Listener> = Vec::new();
    for of_one in addresses {
        let (mut bound, mut failed) = (false, None);
        for address in of_one {
            let host_port = match (port, sockets.first()) {
                // What was free for the first is taken for all.
                (0, Some(first)) => first.mapping.host_port,
                (port, _) => port,
            };
            match network::bind(&[PortMapping { host_ip: Some(*address), host_port, ..PortMapping::default() }]) {
                Ok(listeners) => {
                    sockets.extend(listeners);
                    bound = true;
                }
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        if let (false, Some(error)) = (bound, failed) {
            return Err(Failure::from(error).context(format!("unable to listen on port {port}")));
        }
    }
    Ok(sockets)
}

fn service(shelf: &Shelf, word: &str, namespace: &str) -> Result<Option<ServicePlan>, Failure> {
    let Some((kind, name)) = word.split_once('/') else { return Ok(None) };
    let Some(kind) = Kind::typed(kind) else {
        return Err(Failure::plain(format!("there is no kind of object called {kind:?}")));
    };
    let found = if kind == Kind::Pod { None } else { shelf.get(&ObjectId::new(kind, namespace, name))? };
    match found.map(|object| object.body) {
        Some(Body::Service { plan, .. }) if plan.selector.is_empty() => {
            Err(Failure::plain(format!("invalid service '{name}': Service is defined without a selector")))
        }
        Some(Body::Service { plan, .. }) => Ok(Some(plan)),
        Some(Body::Workload { .. } | Body::Job { .. }) => Ok(None),
        Some(_) => Err(Failure::plain(format!("{kind}/{name} has no pods to lead to"))),
        None if kind == Kind::Pod => Ok(None),
        None => Err(not_found(kind, name)),
    }
}

/// A pod that runs, of several one that serves. `None`: not yet.
fn find(
    shelf: &Shelf,
    seen: Vec<Seen>,
    namespace: &str,
    word: &str,
    service: Option<&ServicePlan>,
) -> Result<Option<Seen>, Failure> {
    if let Some(plan) = service {
        let ready = act::behind(plan, &seen).into_iter().min_by_key(|pod| !pod.ready);
        return Ok(ready.cloned());
    }
    let is_pod = word.split_once('/').is_none_or(|(kind, _)| Kind::typed(kind) == Some(Kind::Pod));
    if !is_pod {
        let running = seen.into_iter().filter(|pod| pod.phase == PodPhase::Running).collect();
        return Ok(chosen::one_pod(running, namespace, word).ok());
    }
    let pod = chosen::one_pod(seen, namespace, word)?;
    match pod.phase {
        PodPhase::Running => Ok(Some(pod)),
        _ => {
            let status = super::get::pod_status(shelf, &pod)?.phase.word();
            Err(Failure::plain(format!("unable to forward port because pod is not running. Current status={status}")))
        }
    }
}

/// The port here, and in the pod.
fn numbers(
    wanted: &Wanted,
    pod: &Seen,
    template: Option<&PodTemplate>,
    service: Option<&ServicePlan>,
) -> Result<(u16, u16), Failure> {
    let shown = |port: &PortRef| match port {
        PortRef::Number(number) => format!("service port {number}"),
        PortRef::Name(name) => format!("named port '{name}'"),
    };
    let Some(plan) = service else {
        let found = match &wanted.remote {
            PortRef::Number(number) => Some(*number),
            PortRef::Name(_) => template.and_then(|template| template.port(&wanted.remote)),
        };
        let missing = || Failure::plain(format!("Pod '{}' does not have a {}", pod.name, shown(&wanted.remote)));
        let remote = found.ok_or_else(missing)?;
        return Ok((wanted.local.unwrap_or(remote), remote));
    };
    let name = &plan.meta.id.name;
    let port = plan.ports.iter().find(|port| match &wanted.remote {
        PortRef::Number(number) => port.port == *number,
        PortRef::Name(name) => port.name.as_ref() == Some(name),
    });
    let port =
        port.ok_or_else(|| Failure::plain(format!("Service {name} does not have a {}", shown(&wanted.remote))))?;
    if port.protocol != Protocol::Tcp {
        return Err(Failure::plain(format!("{} protocol is not supported for {}", port.protocol, port.port)));
    }
    let missing = || Failure::plain(format!("Pod '{}' does not have the port that Service {name} leads to", pod.name));
    let remote = act::target(port, template).ok_or_else(missing)?;
    Ok((wanted.local.unwrap_or(port.port), remote))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_as_kubectl_reads_them() {
        let port = |local, remote| Some(Wanted { local, remote: PortRef::Number(remote) });
        for (text, expected) in [
            ("80", port(None, 80)),
            ("8080:80", port(Some(8080), 80)),
            (":80", port(Some(0), 80)),
            ("0:80", port(Some(0), 80)),
            ("8080:http", Some(Wanted { local: Some(8080), remote: PortRef::Name("http".to_owned()) })),
            ("0", None),
            ("x:80", None),
            ("80:", None),
            ("1:2:3", None),
            ("70000", None),
        ] {
            assert_eq!(text.parse::<Wanted>().ok(), expected, "{text}");
        }
    }
}
