//! `create` and `run` in a pod: `--pod`, `--pod-id-file`, `--init-ctr`.

use containers::{Container, ContainerSpec, CreateRequest, Engine, NamespaceMode, PodRole};
use network::Mode;
use pods::{Own, Pod, PodSpec};

use crate::commands::create::not_created;
use crate::create_args::CreateArgs;
use crate::error::Failure;
use crate::output;

/// The pod that was asked for.
pub(crate) enum Wanted {
    Named(String),
    /// `new:NAME`
    New(String),
}

/// The pod, and whether it was made just now.
pub(crate) struct Found {
    pod: Pod,
    is_new: bool,
}

pub(crate) fn wanted(args: &CreateArgs) -> Result<Option<Wanted>, Failure> {
    let named = args.pod.as_deref().filter(|pod| !pod.is_empty());
    match (named, &args.pod_id_file) {
        (Some(_), Some(_)) => Err(Failure::plain("cannot specify both --pod and --pod-id-file")),
        (None, None) => Ok(None),
        (None, Some(path)) => {
            let text = std::fs::read_to_string(path)
                .map_err(|error| crate::error::on_path("open", path)(error).context("reading pod ID file"))?;
            Ok(Some(Wanted::Named(text.lines().next().unwrap_or_default().trim().to_owned())))
        }
        (Some(pod), None) => match pod.strip_prefix("new:") {
            Some("") => Err(Failure::plain("new pod name must be at least one character")),
            Some(name) => Ok(Some(Wanted::New(name.to_owned()))),
            None => Ok(Some(Wanted::Named(pod.to_owned()))),
        },
    }
}

pub(crate) fn role(args: &CreateArgs, in_pod: bool) -> Result<Option<PodRole>, Failure> {
    let Some(kind) = args.init_ctr.as_deref().filter(|kind| !kind.is_empty()) else { return Ok(None) };
    if !in_pod {
        return Err(Failure::plain("must specify pod value with init-ctr"));
    }
    match kind {
        "always" => Ok(Some(PodRole::InitAlways)),
        "once" => Ok(Some(PodRole::InitOnce)),
        _ => Err(Failure::plain("init-ctr value must be 'always' or 'once'")),
    }
}

/// Finds or makes the pod. A new one takes what only a pod can have: ports, network, host name.
pub(crate) fn found(engine: &Engine, wanted: &Wanted, spec: &mut ContainerSpec) -> Result<Found, Failure> {
    match wanted {
        Wanted::Named(name) => {
            let pod = pods::find(engine, name)?;
            let running = matches!(pod.state(), pods::PodState::Running | pods::PodState::Degraded);
            if running && matches!(spec.pod_role, Some(PodRole::InitOnce | PodRole::InitAlways)) {
                return Err(Failure::plain("cannot add init-ctr to a running pod"));
            }
            Ok(Found { pod, is_new: false })
        }
        Wanted::New(name) => {
            let mut of_pod = PodSpec { network: std::mem::take(&mut spec.network), ..PodSpec::usual() };
            // What the image exposes is the container's own.
            spec.network.expose = std::mem::take(&mut of_pod.network.expose);
            if spec.namespaces.uts == NamespaceMode::Private {
                of_pod.hostname = spec.hostname.take();
            }
            of_pod.user = std::mem::take(&mut spec.namespaces.user);
            if of_pod.network.mode == Mode::None {
                spec.network.mode = Mode::Default;
            }
            of_pod.create_command.clone_from(&spec.create_command);
            of_pod.labels.extend(crate::caller::systemd_unit());
            let request = pods::CreateRequest { spec: of_pod, name: Some(name), replace: false, infra_image: None };
            Ok(Found { pod: pods::create(engine, request)?, is_new: true })
        }
    }
}

pub(crate) fn create(
    engine: &Engine,
    found: &Found,
    request: CreateRequest<'_>,
    args: &CreateArgs,
) -> Result<Container, Failure> {
    let given = |flag: &Option<String>| flag.as_deref().is_some_and(|value| !value.is_empty());
    let of_pod = found.pod.spec();
    let joins_network = of_pod.has_infra() && of_pod.share.net && of_pod.network.mode != Mode::Host;
    if joins_network && !found.is_new && args.network.is_empty() {
        for (flag, values) in [("dns", &args.dns), ("dns-search", &args.dns_search), ("dns-option", &args.dns_option)] {
            if !values.is_empty() {
                output::warn(&format!("--{flag} has no effect: the pod's name servers are those of all its members"));
            }
        }
    }
    let own = Own {
        pid: given(&args.pid),
        ipc: given(&args.ipc),
        uts: given(&args.uts),
        cgroup: given(&args.cgroupns),
        restart: args.restart.is_some(),
    };
    pods::create_member(engine, &found.pod, request, own).map_err(|error| {
        if found.is_new {
            // It was made for this container alone.
            let _ = pods::remove(engine, &found.pod, true, Some(0));
        }
        match error {
            pods::Error::Container(error) => not_created(error),
            error => error.into(),
        }
    })
}
