//! `creel container clone`

use containers::{
    ContainerSpec, CreateRequest, Engine, IpcMode, MountKind, NamespaceMode, NetworkSpec, PodRole, RemoveRequest,
    Source, StartRequest, UserNamespace,
};
use pods::{Own, Pod};

use crate::arguments;
use crate::context::Context;
use crate::create_args::{LimitFlags, resources};
use crate::error::{ExitCode, Failure};
use crate::output;

/// Create a container like another one
///
/// It has the other's settings and its own, fresh root file system.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Remove the other container
    #[arg(long)]
    destroy: bool,
    /// Remove it also when it runs
    #[arg(short, long)]
    force: bool,
    /// Name of the new container
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Make it in this pod; in the other container's, if that is in one, where not given
    #[arg(long, value_name = "POD")]
    pod: Option<String>,
    /// Start the new container
    #[arg(long)]
    run: bool,
    #[command(flatten)]
    limits: LimitFlags,
    /// The container, the name of the new one, and another image for it
    #[arg(value_name = "CONTAINER [NAME [IMAGE]]")]
    words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::between(&args.words, 1, 3)?;
    if args.force && !args.destroy {
        return Err(Failure::plain("cannot set --force without --destroy: invalid argument"));
    }
    let limits = resources::limits(&args.limits)?;
    let engine = context.engine()?;
    let original = containers::find(&engine, &args.words[0])?;
    let mut spec = original.spec().clone();
    if spec.pod_role == Some(PodRole::Infra) {
        return Err(Failure::plain(format!("container {} holds the namespaces of a pod", original.name()))
            .hint("creel pod clone makes the pod again"));
    }
    let image = match args.words.get(2) {
        Some(name) => Some(images::get(&engine.store, name)?),
        None => match &spec.source {
            Source::Image { id, .. } => Some(images::get(&engine.store, id)?),
            Source::None | Source::Directory { .. } | Source::Holder => None,
        },
    };
    if let (Some(name), Some(image)) = (args.words.get(2), &image) {
        spec.raw_image.clone_from(name);
        let name = image.names.first().unwrap_or(name).clone();
        spec.source = Source::Image { id: image.id.clone(), name };
    }
    super::update::change_limits(&mut spec.resources, limits);
    // What can be one container's only.
    (spec.cidfile, spec.pidfile) = (None, None);
    (spec.network.ip, spec.network.ip6, spec.network.mac) = (None, None, None);
    for mount in &mut spec.mounts {
        if let MountKind::Volume { name, anonymous: true, .. } = &mut mount.kind {
            *name = None;
        }
    }
    spec.create_command.clone_from(&context.command_line);
    let membership = membership(&engine, &args, &mut spec)?;
    let named = args.words.get(1).or(args.name.as_ref());
    let name = named.cloned().unwrap_or_else(|| {
        containers::unused_name(&format!("{}-clone", original.name()), |name| containers::find(&engine, name).is_err())
    });
    let request = CreateRequest { spec, name: Some(&name), image: image.as_ref(), replace: false };
    let container = match membership {
        Some((pod, own)) => pods::create_member(&engine, &pod, request, own)?,
        None => containers::create(&engine, request).map_err(super::create::not_created)?,
    };
    if args.destroy {
        let request = RemoveRequest { force: args.force, ..RemoveRequest::default() };
        containers::remove(&engine, &original, &request)?;
    }
    if args.run {
        containers::start(&engine, &container, StartRequest::default())?;
    }
    output::line(container.id())?;
    Ok(ExitCode::Success)
}

/// The pod it is to be made in, and what it keeps for itself there. What only the other container's place gave it is taken
/// out of the specification.
fn membership(engine: &Engine, args: &Args, spec: &mut ContainerSpec) -> Result<Option<(Pod, Own)>, Failure> {
    let old = spec.pod.as_deref().map(|id| pods::find(engine, id)).transpose()?;
    let wanted = match args.pod.as_deref().filter(|name| !name.is_empty()) {
        Some(name) => Some(pods::find(engine, name)?),
        None => old.clone(),
    };
    let own = old.as_ref().map(|old| pods::leave(old, spec));
    let Some(pod) = wanted else { return Ok(None) };
    let own = match (own, old) {
        (Some(own), Some(old)) if old.id() == pod.id() => own,
        (Some(_), _) => Own::default(),
        (None, _) if pod.spec().share.net && spec.network.egress.is_some() => {
            return Err(Failure::plain(format!(
                "the container has a list (--allow-egress), which pod {} does not have: --allow-egress must be given when \
                 the pod is created",
                pod.name()
            )));
        }
        (None, _) => {
            if reset_shared(&pod, spec) {
                output::warn("At least one namespace was reset to the default configuration");
            }
            Own::default()
        }
    };
    Ok(Some((pod, own)))
}

/// What the pod shares cannot be the container's own. Says whether anything was.
fn reset_shared(pod: &Pod, spec: &mut ContainerSpec) -> bool {
    let before = (spec.network.clone(), spec.namespaces.clone(), spec.hostname.clone());
    let shared = pod.spec().share;
    if shared.net {
        spec.network = NetworkSpec { expose: std::mem::take(&mut spec.network.expose), ..NetworkSpec::default() };
    }
    if shared.uts {
        spec.hostname = None;
        spec.namespaces.uts = NamespaceMode::Private;
    }
    if shared.ipc {
        spec.namespaces.ipc = IpcMode::Shareable;
    }
    if shared.pid {
        spec.namespaces.pid = NamespaceMode::Private;
    }
    if shared.cgroup {
        spec.namespaces.cgroup = NamespaceMode::Private;
    }
    spec.namespaces.user = UserNamespace::Host;
    before != (spec.network.clone(), spec.namespaces.clone(), spec.hostname.clone())
}
