//! Taking containers away: first the names, then the directory with one rename, then, outside of every lock, its files.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use storage::record::{self, Durability};
use sys::lock::FileLock;

use crate::container::{Container, Status};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::id::ContainerId;
use crate::spec::{ContainerSpec, IpcMode, MountKind, NamespaceMode, PodRole, UserNamespace};
use crate::state::State;
use crate::stop::{Claim, MONITOR_LOCK, stop_to_remove};
use crate::{events, list, names, pause};

/// How far a removal goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemoveRequest {
    /// Stop it first if it runs.
    pub force: bool,
    /// Its anonymous volumes too.
    pub volumes: bool,
    /// Seconds before a running one is killed; its own where `None`.
    pub timeout: Option<u32>,
    /// The containers that need it too.
    pub depend: bool,
    /// Its pod is being removed: without that the container that holds a pod's namespaces stays.
    pub with_pod: bool,
}

/// Removes a container and says which ones went: with `depend` those that need it come first. One whose removal was
/// interrupted is removed to the end.
pub fn remove(engine: &Engine, container: &Container, request: &RemoveRequest) -> Result<Vec<ContainerId>> {
    let mut removed = Vec::new();
    remove_below(engine, container, request, &mut removed)?;
    // What stays in the trash the next writer takes.
    if let Err(error) = engine.store.empty_trash() {
        tracing::warn!(%error, "cannot empty the trash");
    }
    Ok(removed)
}

/// Takes away what monitors and commands that were killed have left of containers that are gone. Called once by every
/// command that removes.
pub fn sweep(engine: &Engine) {
    crate::working::sweep_working(engine);
    sweep_runs(engine);
    if let Err(error) = engine.store.sweep() {
        tracing::warn!(%error, "cannot take away what was left half-done");
    }
}

/// The run directories, unless a monitor is still at it.
fn sweep_runs(engine: &Engine) {
    for entry in std::fs::read_dir(engine.store.container_run_dir()).into_iter().flatten().flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<ContainerId>().ok()) else { continue };
        if engine.container_dir(&id).exists() {
            continue;
        }
        let lock = std::fs::File::open(entry.path().join(MONITOR_LOCK));
        if lock.as_ref().is_ok_and(|lock| lock.try_lock().is_err()) {
            continue;
        }
        if let Err(error) = engine.store.trash(&entry.path()) {
            tracing::warn!(%id, %error, "cannot remove the run directory of a container that is gone");
        }
    }
}

fn remove_below(
    engine: &Engine,
    container: &Container,
    request: &RemoveRequest,
    removed: &mut Vec<ContainerId>,
) -> Result<()> {
    let id = container.id();
    if let (Some(PodRole::Infra), Some(pod)) = (container.spec().pod_role, &container.spec().pod)
        && !request.with_pod
    {
        return Err(Error::Invalid(format!(
            "container {id} is the infra container of pod {pod} and cannot be removed without removing the pod"
        )));
    }
    let container = list::again(engine, container)?;
    if !request.force && matches!(container.state(), State::Running { .. }) {
        let word = if pause::paused(&container) { "paused" } else { container.state().word() };
        return Err(Error::StateImproper {
            what: format!(
                "cannot remove container {id} as it is {word} - running or paused containers cannot be removed without \
                 force"
            ),
        });
    }
    let dependents = dependents(engine, &container)?;
    let pods: Vec<&str> = dependents.iter().filter_map(|dependent| dependent.spec().pod.as_deref()).collect();
    if container.spec().service.is_some() && !pods.is_empty() {
        return Err(Error::ServiceOfPods { id: id.to_string(), pods: pods.join(",") });
    }
    if !request.depend && !dependents.is_empty() {
        let dependents: Vec<&str> = dependents.iter().map(|dependent| dependent.id().as_str()).collect();
        return Err(Error::HasDependents { id: id.to_string(), dependents: dependents.join(", ") });
    }
    for dependent in dependents {
        remove_below(engine, &dependent, request, removed)?;
    }
    if let Some((now, _lock, claim)) = stopped(engine, &container, request)? {
        if matches!(claim, Claim::CleaningUp) && crate::stop::hush_monitor(engine, &now)? {
            events::record(engine, &now, "cleanup");
        }
        let status = engine.container_dir(id).join("state.json");
        match record::write(&status, &Status::new(State::Removing), Durability::Visible) {
            // A removal is what makes room again.
            Err(error @ storage::Error::NoSpace { .. }) => {
                tracing::debug!(%id, %error, "removed without saying so first")
            }
            other => other?,
        }
        let mut taken = take_away(engine, &now)?;
        // Left over where its monitor was killed.
        crate::stop::tidy(engine, &now);
        if request.volumes {
            taken.remove_volumes(engine);
        }
    }
    removed.push(id.clone());
    Ok(())
}

/// How often a removal by force stops one that somebody starts again at the same time.
const TIMES_STOPPED: usize = 8;
/// How long a monitor may take that starts the container for somebody who is gone, and how often to look.
const START_TAKES: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// The container when nothing of it runs, and the locks under which nobody starts it. `None`: gone by its own `--rm`.
fn stopped(
    engine: &Engine,
    container: &Container,
    request: &RemoveRequest,
) -> Result<Option<(Container, FileLock, Claim)>> {
    let id = container.id();
    let until = Instant::now() + START_TAKES;
    let mut times = if request.force { TIMES_STOPPED } else { 1 };
    while times > 0 && Instant::now() < until {
        // Also one that does not run, but whose monitor waits to start it again.
        let lock = match stop_to_remove(engine, container, request.timeout).and_then(|()| engine.lock(id)) {
            Err(Error::NotFound { .. }) => return Ok(None),
            other => other?,
        };
        let Some(now) = list::read(engine, id)? else { return Ok(None) };
        if matches!(now.state(), State::Running { .. } | State::Initialized { .. }) {
            times -= 1;
            continue;
        }
        match crate::stop::claim(engine, &now)? {
            Claim::Starting => {
                drop(lock);
                std::thread::sleep(LOOK_AGAIN);
            }
            claim => return Ok(Some((now, lock, claim))),
        }
    }
    Err(Error::StateImproper { what: format!("container {id} was started again while it was being removed") })
}

/// Removes every container that does not run and that `keep` does not want, and says how many bytes each had written.
pub fn prune(engine: &Engine, keep: impl Fn(&Container) -> bool) -> Result<Vec<(ContainerId, Result<u64>)>> {
    let mut results = Vec::new();
    for container in list::list(engine)? {
        let idle = match container.state() {
            State::Created | State::Exited(_) | State::Removing => {
                container.status.restarting.as_ref().is_none_or(|monitor| !monitor.alive())
            }
            State::Initialized { .. } | State::Running { .. } => false,
        };
        let is_needed = container.spec().pod_role == Some(PodRole::Infra) || container.record.retired.is_some();
        if !idle || is_needed || keep(&container) {
            continue;
        }
        let written = crate::inspect::size(engine, &container).map(|(written, _)| written).unwrap_or_default();
        match remove(engine, &container, &RemoveRequest { volumes: true, ..RemoveRequest::default() }) {
            Ok(_) => results.push((container.id().clone(), Ok(written))),
            // Needed by one that stays, or gone in between: no failure of a prune.
            Err(Error::HasDependents { .. } | Error::NotFound { .. }) => {}
            Err(error) => results.push((container.id().clone(), Err(error))),
        }
    }
    sweep(engine);
    if let Err(error) = names::sweep(engine) {
        tracing::warn!(%error, "cannot free the names that nobody has");
    }
    Ok(results)
}

/// Takes down what a run has left whose monitor was killed. One that runs is left alone.
pub fn cleanup(engine: &Engine, container: &Container) -> Result<()> {
    let _lock = engine.lock(container.id())?;
    let container = list::again(engine, container)?;
    if container.state().init().is_none() && !crate::stop::has_monitor(engine, &container) {
        crate::stop::tidy(engine, &container);
    }
    Ok(())
}

/// A container that is in no list any more; its files may still be on disk.
#[must_use = "its files are still there"]
pub(crate) struct Taken {
    id: ContainerId,
    volumes: Vec<String>,
}

/// Frees the names and takes the directories away. The caller has made sure that nothing runs.
pub(crate) fn take_away(engine: &Engine, container: &Container) -> Result<Taken> {
    let id = container.id();
    storage::names::release(&names::dir(engine), container.name(), id.as_str())?;
    crate::mount::take_away(engine, id);
    engine.store.trash(&engine.container_dir(id))?;
    events::tell(engine, container, events::ended(container, "remove"));
    if let Some(path) = &container.spec().cidfile {
        // The user may have removed it.
        let _ = std::fs::remove_file(path);
    }
    Ok(Taken { id: id.clone(), volumes: container.record.anonymous_volumes.clone() })
}

impl Taken {
    /// The rest of a container with `--rm`: its anonymous volumes and its files.
    pub(crate) fn discard(mut self, engine: &Engine) {
        self.remove_volumes(engine);
        if let Err(error) = engine.store.empty_trash() {
            tracing::warn!(id = %self.id, %error, "cannot remove the container's files");
        }
    }

    /// Those that nobody else mounts.
    pub(crate) fn remove_volumes(&mut self, engine: &Engine) {
        let volumes = std::mem::take(&mut self.volumes);
        if volumes.is_empty() {
            return;
        }
        let names: Vec<&str> = volumes.iter().map(String::as_str).collect();
        let used: BTreeSet<String> = match list::list_mentioning(engine, &names) {
            Ok(all) => all.iter().flat_map(|other| volumes_of(other.spec())).map(str::to_owned).collect(),
            Err(error) => return tracing::warn!(id = %self.id, %error, "cannot tell whether volumes are in use"),
        };
        for volume in volumes.iter().filter(|volume| !used.contains(*volume)) {
            match engine.store.remove_volume(volume) {
                Ok(()) | Err(storage::Error::NotFound { .. }) => {}
                Err(error) => tracing::warn!(id = %self.id, %volume, %error, "cannot remove a volume"),
            }
        }
    }
}

/// The named volumes that a container mounts.
pub(crate) fn volumes_of(spec: &ContainerSpec) -> impl Iterator<Item = &str> {
    spec.mounts.iter().filter_map(|mount| match &mount.kind {
        MountKind::Volume { name, .. } => name.as_deref(),
        MountKind::Bind { .. }
        | MountKind::Tmpfs { .. }
        | MountKind::Image { .. }
        | MountKind::Artifact { .. }
        | MountKind::Lent { .. }
        | MountKind::Root { .. }
        | MountKind::DevPts
        | MountKind::Ramfs => None,
    })
}

/// `--rmi`: the image goes unless another container or image needs it.
pub fn remove_image_if_unused(engine: &Engine, image: &str) {
    let users = || list::image_users(engine);
    match images::remove(&engine.store, &[image], &images::RemoveOptions::default(), users) {
        Ok(removed) => {
            for error in removed.errors.iter().filter(|error| !matches!(error, images::Error::InUse { .. })) {
                tracing::warn!(%image, %error, "cannot remove the image");
            }
        }
        Err(error) => tracing::warn!(%image, %error, "cannot remove the image"),
    }
}

/// The containers that cannot be without this one.
pub(crate) fn dependents(engine: &Engine, container: &Container) -> Result<Vec<Container>> {
    let (id, name) = (container.id().as_str(), container.name());
    let all = list::list_mentioning(engine, &[id, name])?;
    Ok(all
        .into_iter()
        .filter(|other| other.id() != container.id())
        .filter(|other| {
            needed_by(other.spec()).chain(roots_in(other.spec())).any(|needed| needed == id || needed == name)
        })
        .collect())
}

/// The ids or names of the containers that a container cannot be without.
pub(crate) fn needed_by(spec: &ContainerSpec) -> impl Iterator<Item = &str> {
    let namespaces = &spec.namespaces;
    let joined = [&namespaces.pid, &namespaces.uts, &namespaces.cgroup].into_iter().filter_map(|mode| match mode {
        NamespaceMode::Container(other) => Some(other.as_str()),
        NamespaceMode::Private | NamespaceMode::Host | NamespaceMode::Path(_) => None,
    });
    let ipc = match &namespaces.ipc {
        IpcMode::Container(other) => Some(other.as_str()),
        IpcMode::Shareable | IpcMode::Private | IpcMode::None | IpcMode::Host | IpcMode::Path(_) => None,
    };
    let user = match &namespaces.user {
        UserNamespace::Container(other) => Some(other.as_str()),
        UserNamespace::Host
        | UserNamespace::KeepId { .. }
        | UserNamespace::NoMap
        | UserNamespace::Auto { .. }
        | UserNamespace::Private { .. }
        | UserNamespace::Path(_) => None,
    };
    let network = match &spec.network.mode {
        network::Mode::Container(other) => Some(other.as_str()),
        _ => None,
    };
    let lenders = spec.mounts.iter().filter_map(|mount| match &mount.kind {
        MountKind::Lent { container, .. } => container.as_deref(),
        _ => None,
    });
    let required = spec.requires.iter().map(String::as_str);
    joined.chain(ipc).chain(user).chain(network).chain(lenders).chain(required)
}

/// The ids of the containers whose root file systems a container has mounted: they need not run for that.
fn roots_in(spec: &ContainerSpec) -> impl Iterator<Item = &str> {
    spec.mounts.iter().filter_map(|mount| match &mount.kind {
        MountKind::Root { container } => Some(container.as_str()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::MountSpec;

    #[test]
    fn every_way_of_needing_another_container_counts() {
        let mut spec = ContainerSpec { requires: vec!["f".into()], ..ContainerSpec::default() };
        spec.namespaces.pid = NamespaceMode::Container("a".into());
        spec.namespaces.cgroup = NamespaceMode::Container("b".into());
        spec.namespaces.ipc = IpcMode::Container("c".into());
        spec.namespaces.user = UserNamespace::Container("d".into());
        spec.network.mode = network::Mode::Container("e".into());
        spec.mounts = vec![MountSpec {
            kind: MountKind::Lent { container: Some("g".into()), path: "/volumes/v".into() },
            destination: "/v".into(),
            read_only: false,
            options: Vec::new(),
            chown: false,
            group: None,
            subpath: None,
        }];
        assert_eq!(needed_by(&spec).collect::<String>(), "abcdegf");
        assert_eq!(needed_by(&ContainerSpec::default()).count(), 0);
    }
}
