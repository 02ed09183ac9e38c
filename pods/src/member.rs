//! How a container becomes part of a pod.

use containers::{
    Container, ContainerSpec, Engine, IpcMode, MountKind, NamespaceMode, PodRole, RestartPolicy, UserNamespace,
};
use network::Mode;
use sys::lock::FileLock;

use crate::create::make_infra;
use crate::error::{Error, Result};
use crate::pod::{self, Pod};
use crate::spec::PodSpec;

/// What the user chose for this container alone although its pod shares it. A network mode other than
/// [`Mode::Default`] is such a choice too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Own {
    pub pid: bool,
    pub ipc: bool,
    pub uts: bool,
    pub cgroup: bool,
    pub restart: bool,
}

/// Makes a container in the pod. It stays where it is while this goes on.
pub fn create_member(
    engine: &Engine,
    pod: &Pod,
    mut request: containers::CreateRequest<'_>,
    own: Own,
) -> Result<Container> {
    let _lock = pod::lock(engine, pod, FileLock::shared)?;
    let infra = match pod.infra() {
        Some(infra) => Some(infra.clone()),
        None if pod.spec().has_infra() => Some(ensure_infra(engine, pod)?),
        None => None,
    };
    join(pod, infra.as_ref(), &mut request.spec, own)?;
    if let (None, UserNamespace::KeepId { uid, gid, .. }) = (&request.spec.user, &pod.spec().user) {
        // As in a container that has such a namespace for itself.
        let (uid, gid) = (uid.unwrap_or(engine.settings.uid), gid.unwrap_or(engine.settings.gid));
        request.spec.user = Some(format!("{uid}:{gid}"));
    }
    Ok(containers::create(engine, request)?)
}

/// The infra container, made again where it is missing: its creator was killed.
pub(crate) fn ensure_infra(engine: &Engine, pod: &Pod) -> Result<Container> {
    let _lock = pod::lock(engine, pod, FileLock::shared)?;
    let now = pod::again(engine, pod)?;
    match now.infra() {
        Some(infra) => Ok(infra.clone()),
        None => make_infra(engine, &now, None),
    }
}

/// Turns a container's specification into that of a member: what the pod shares is joined, what the pod says for all is
/// added.
///
/// # Errors
/// Where the container wants something for itself that only the whole pod can have.
pub fn join(pod: &Pod, infra: Option<&Container>, spec: &mut ContainerSpec, own: Own) -> Result<()> {
    let of_pod = pod.spec();
    spec.pod = Some(pod.id().to_string());
    spec.pod_role.get_or_insert(PodRole::Member);
    spec.pod_cgroup = pod.cgroup();
    if spec.resources.cgroup_parent.is_none() {
        spec.resources.cgroup_parent.clone_from(&of_pod.resources.cgroup_parent);
    }
    if let Some(infra) = infra {
        share(of_pod, infra.id().as_str(), spec, own)?;
    }
    borrow(pod, infra, spec)?;
    if spec.restart == RestartPolicy::No && spec.remove == containers::Remove::Nothing && !own.restart {
        spec.restart = of_pod.restart;
    }
    spec.no_hostname |= of_pod.no_hostname;
    spec.stop_timeout = spec.stop_timeout.or(of_pod.stop_timeout);
    for mount in &of_pod.mounts {
        if !spec.mounts.iter().any(|own| own.destination == mount.destination) {
            spec.mounts.push(mount.clone());
        }
    }
    add_missing(&mut spec.volumes_from, &of_pod.volumes_from);
    for device in &of_pod.devices {
        if !spec.devices.iter().any(|own| own.container == device.container) {
            spec.devices.push(device.clone());
        }
    }
    add_missing(&mut spec.cdi_devices, &of_pod.cdi_devices);
    spec.shm_size_systemd = spec.shm_size_systemd.or(of_pod.shm_size_systemd);
    for (key, value) in &of_pod.annotations {
        spec.annotations.entry(key.clone()).or_insert_with(|| value.clone());
    }
    inherit_security(of_pod, spec);
    Ok(())
}

/// Takes out of a member's specification what it shares with its pod, so that it can join another pod, or the same one
/// again. What it has for itself is said, for [`join`].
pub fn leave(pod: &Pod, spec: &mut ContainerSpec) -> Own {
    spec.pod = None;
    spec.pod_cgroup = None;
    let Some(infra) = pod.infra().map(|infra| infra.id().to_string()) else { return Own::default() };
    let joined = NamespaceMode::Container(infra.clone());
    let namespaces = &mut spec.namespaces;
    let mut own = Own { restart: spec.restart != pod.spec().restart, ..Own::default() };
    let modes = [
        (&mut namespaces.pid, &mut own.pid),
        (&mut namespaces.uts, &mut own.uts),
        (&mut namespaces.cgroup, &mut own.cgroup),
    ];
    for (mode, own) in modes {
        match *mode == joined {
            true => *mode = NamespaceMode::Private,
            false => *own = true,
        }
    }
    match namespaces.ipc == IpcMode::Container(infra.clone()) {
        true => namespaces.ipc = IpcMode::Shareable,
        false => own.ipc = true,
    }
    if namespaces.user == UserNamespace::Container(infra.clone()) {
        namespaces.user = UserNamespace::Host;
    }
    if spec.network.mode == Mode::Container(infra) {
        spec.network.mode = Mode::Default;
    }
    if !own.restart {
        spec.restart = RestartPolicy::No;
    }
    for mount in &mut spec.mounts {
        if let MountKind::Lent { container, .. } = &mut mount.kind {
            *container = None;
        }
    }
    own
}

/// Says whose the volumes in memory are that the container has mounted.
fn borrow(pod: &Pod, infra: Option<&Container>, spec: &mut ContainerSpec) -> Result<()> {
    for mount in &mut spec.mounts {
        let MountKind::Lent { container: lender @ None, path } = &mut mount.kind else { continue };
        let infra = infra.filter(|infra| infra.spec().mounts.iter().any(|lent| lent.destination == *path));
        let missing = || {
            let (place, pod) = (mount.destination.display(), pod.name());
            Error::Invalid(format!("the pod {pod} has no volume in memory for the container's {place}"))
        };
        *lender = Some(infra.ok_or_else(missing)?.id().to_string());
    }
    Ok(())
}

/// What is not there yet.
fn add_missing<T: Clone + PartialEq>(to: &mut Vec<T>, from: &[T]) {
    for item in from {
        if !to.contains(item) {
            to.push(item.clone());
        }
    }
}

fn inherit_security(of_pod: &PodSpec, spec: &mut ContainerSpec) {
    let (all, own) = (&of_pod.security, &mut spec.security);
    if own.seccomp == containers::SeccompProfile::Default {
        own.seccomp.clone_from(&all.seccomp);
    }
    own.no_new_privileges |= all.no_new_privileges;
    add_missing(&mut own.mask, &all.mask);
    add_missing(&mut own.unmask, &all.unmask);
    add_missing(&mut own.labels, &all.labels);
    add_missing(&mut own.proc_opts, &all.proc_opts);
    if own.apparmor.is_none() {
        own.apparmor.clone_from(&all.apparmor);
    }
}

fn share(of_pod: &PodSpec, infra: &str, spec: &mut ContainerSpec, own: Own) -> Result<()> {
    let invalid = |text: &str| Err(Error::Invalid(text.to_owned()));
    let shared = of_pod.share;
    let infra = infra.to_owned();
    if shared.net && matches!(spec.network.mode, Mode::Default | Mode::Pod) {
        let network = &spec.network;
        if !network.ports.is_empty() || network.publish_all {
            return invalid(
                "invalid config provided: published or exposed ports must be defined when the pod is created: network \
                 cannot be configured when it is shared with a pod",
            );
        }
        if network.ip.is_some() || network.ip6.is_some() || network.mac.is_some() || !network.aliases.is_empty() {
            return invalid(
                "invalid config provided: networks must be defined when the pod is created: network cannot be \
                 configured when it is shared with a pod",
            );
        }
        if network.egress.is_some() {
            return invalid(
                "invalid config provided: --allow-egress must be given when the pod is created: network cannot be \
                 configured when it is shared with a pod",
            );
        }
        if !network.add_hosts.is_empty() {
            return invalid(
                "invalid config provided: extra host entries must be specified on the pod: network cannot be configured \
                 when it is shared with a pod",
            );
        }
        match &of_pod.network.mode {
            Mode::Host => {
                // There is no namespace to join; names and name servers are the pod's all the same.
                let expose = std::mem::take(&mut spec.network.expose);
                spec.network = containers::NetworkSpec { expose, ports: Vec::new(), ..of_pod.network.clone() };
            }
            _ => spec.network.mode = Mode::Container(infra.clone()),
        }
    }
    if shared.uts && !own.uts && spec.namespaces.uts == NamespaceMode::Private {
        if spec.hostname.is_some() {
            return invalid(
                "invalid config provided: cannot set hostname when joining the pod UTS namespace: invalid configuration",
            );
        }
        spec.namespaces.uts = joined(&of_pod.uts, &infra);
    }
    if shared.ipc && !own.ipc && spec.namespaces.ipc == IpcMode::Shareable {
        spec.namespaces.ipc = if of_pod.host_ipc { IpcMode::Host } else { IpcMode::Container(infra.clone()) };
    }
    if shared.pid && !own.pid && spec.namespaces.pid == NamespaceMode::Private {
        spec.namespaces.pid = joined(&of_pod.pid, &infra);
    }
    if shared.cgroup && !own.cgroup && spec.namespaces.cgroup == NamespaceMode::Private {
        spec.namespaces.cgroup = NamespaceMode::Container(infra.clone());
    }
    if spec.namespaces.user != UserNamespace::Host {
        return invalid("cannot set user namespace mode when joining pod with infra container: invalid argument");
    }
    if of_pod.user != UserNamespace::Host {
        spec.namespaces.user = UserNamespace::Container(infra);
    }
    Ok(())
}

fn joined(of_pod: &NamespaceMode, infra: &str) -> NamespaceMode {
    match of_pod {
        NamespaceMode::Host => NamespaceMode::Host,
        NamespaceMode::Private | NamespaceMode::Container(_) | NamespaceMode::Path(_) => {
            NamespaceMode::Container(infra.to_owned())
        }
    }
}
