//! The same pod once more, with all its members.

use containers::{Container, ContainerSpec, Engine, IpcMode, MountKind, NamespaceMode, UserNamespace};
use network::Mode;

use crate::create::{CreateRequest, create};
use crate::error::Result;
use crate::pod::{self, Pod};

/// Makes a pod as this one was made, and in it members as this one has them. `image` finds what a member was made of by
/// its id.
///
/// # Errors
/// Nothing is left of the new pod.
pub fn clone(
    engine: &Engine,
    of: &Pod,
    name: Option<&str>,
    image: &dyn Fn(&str) -> Result<Option<containers::Image>>,
) -> Result<Pod> {
    let free = format!("{}-clone", of.name());
    let name = name.map_or_else(|| unused(&free, |name| pod::find(engine, name).is_err()), str::to_owned);
    let mut spec = of.spec().clone();
    // The old one holds that name.
    spec.infra.name = None;
    let made = create(engine, CreateRequest { spec, name: Some(&name), replace: false, infra_image: None })?;
    let filled = of.members().try_for_each(|member| {
        let image = match &member.record.image {
            Some(of) => image(&of.id)?,
            None => None,
        };
        let spec = moved(member, of, &made);
        let free = format!("{}-clone", member.name());
        let name = unused(&free, |name| containers::find(engine, name).is_err());
        let request = containers::CreateRequest { spec, name: Some(&name), image: image.as_ref(), replace: false };
        containers::create(engine, request).map(drop).map_err(crate::Error::from)
    });
    filled.inspect_err(|_| {
        // The error that matters is the first.
        let _ = crate::remove(engine, &made, true, Some(0));
    })?;
    pod::again(engine, &made)
}

/// The name itself, or with the first number that is free.
fn unused(name: &str, is_free: impl Fn(&str) -> bool) -> String {
    if is_free(name) {
        return name.to_owned();
    }
    (1..).map(|number| format!("{name}{number}")).find(|name| is_free(name)).unwrap_or_default()
}

/// What joined the old pod joins the new one.
fn moved(member: &Container, from: &Pod, to: &Pod) -> ContainerSpec {
    let mut spec = member.spec().clone();
    spec.pod = Some(to.id().to_string());
    spec.pod_cgroup = to.cgroup();
    spec.cidfile = None;
    for mount in &mut spec.mounts {
        if let MountKind::Volume { name, anonymous: true, .. } = &mut mount.kind {
            *name = None;
        }
    }
    let (Some(old), Some(new)) = (from.infra(), to.infra()) else { return spec };
    let (old, new) = (old.id().as_str(), new.id().to_string());
    let namespaces = &mut spec.namespaces;
    for mode in [&mut namespaces.pid, &mut namespaces.uts, &mut namespaces.cgroup] {
        if *mode == NamespaceMode::Container(old.to_owned()) {
            *mode = NamespaceMode::Container(new.clone());
        }
    }
    if namespaces.ipc == IpcMode::Container(old.to_owned()) {
        namespaces.ipc = IpcMode::Container(new.clone());
    }
    if namespaces.user == UserNamespace::Container(old.to_owned()) {
        namespaces.user = UserNamespace::Container(new.clone());
    }
    if spec.network.mode == Mode::Container(old.to_owned()) {
        spec.network.mode = Mode::Container(new);
    }
    spec
}
