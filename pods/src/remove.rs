//! Taking pods away: their containers, then the name, then the record.

use containers::{Container, Engine, PodRole, RemoveRequest};
use sys::lock::FileLock;

use crate::error::Result;
use crate::life::{self, Outcome, levels};
use crate::pod::{self, Pod, PodState, Record, role};
use crate::{events, service};

/// Removes a pod with all its containers; those that run are ended first where it is forced. One whose removal was
/// interrupted is removed to the end. Where a container fails the pod stays, and the outcome says which.
pub fn remove(engine: &Engine, pod: &Pod, force: bool, timeout: Option<u32>) -> Result<Outcome> {
    let _lock = pod::lock(engine, pod, FileLock::exclusive)?;
    let now = pod::again(engine, pod)?;
    let mut outcome = Outcome::default();
    if force {
        // All at once: one after the other would take the time of all.
        life::end(&now, |container| containers::stop_to_remove(engine, container, timeout));
    } else {
        outcome.failed = in_the_way(&now);
        if !outcome.failed.is_empty() {
            return Ok(outcome);
        }
    }
    let request = RemoveRequest { force, volumes: true, timeout, with_pod: true, ..RemoveRequest::default() };
    let members: Vec<&Container> = now.members().collect();
    let members = levels(&members).into_iter().rev().flatten();
    for container in members.chain(now.infra()) {
        // The infra container is in nobody's way.
        let request = RemoveRequest { force: force || role(container) == PodRole::Infra, ..request.clone() };
        let removed = match containers::remove(engine, container, &request) {
            // By its own `--rm`.
            Err(containers::Error::NotFound { .. }) => Ok(()),
            other => other.map(drop),
        };
        outcome.note(container.id(), removed);
    }
    if outcome.failed.is_empty() {
        take_away(engine, &now.record)?;
        events::record(engine, &now.record, "remove");
    }
    Ok(outcome)
}

/// Containers that run: nothing is removed then.
fn in_the_way(pod: &Pod) -> Vec<(containers::ContainerId, containers::Error)> {
    let running = pod.members().filter(|member| containers::running(member));
    let refused = |container: &Container| {
        let id = container.id();
        let word = if containers::paused(container) { "paused" } else { container.state().word() };
        let what = format!(
            "cannot remove container {id} as it is {word} - running or paused containers cannot be removed without force"
        );
        (id.clone(), containers::Error::StateImproper { what })
    };
    running.map(refused).collect()
}

/// Frees the name and takes the record away.
pub(crate) fn take_away(engine: &Engine, record: &Record) -> Result<()> {
    storage::names::release(&pod::names_dir(engine), &record.name, record.id.as_str())?;
    engine.store.trash(&pod::dir(engine, &record.id))?;
    if let Some(service) = &record.spec.service {
        service::leave(engine, &service.name)?;
    }
    engine.store.empty_trash()?;
    Ok(())
}

/// Whether this is the infra container of a pod that is not there any more: it holds nothing for anybody.
pub fn is_orphan(engine: &Engine, container: &Container) -> bool {
    let pod = || container.spec().pod.as_deref().and_then(|pod| pod.parse().ok());
    role(container) == PodRole::Infra && pod().is_none_or(|pod| !pod::dir(engine, &pod).exists())
}

/// Removes all pods that have ended.
pub fn prune(engine: &Engine) -> Result<Vec<(Pod, Result<Outcome>)>> {
    let ended = |pod: &Pod| matches!(pod.state(), PodState::Exited | PodState::Stopped);
    let all = pod::list(engine)?.into_iter().filter(ended);
    Ok(all
        .map(|pod| {
            let removed = remove(engine, &pod, false, None);
            (pod, removed)
        })
        .collect())
}
