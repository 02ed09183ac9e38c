//! Starting a pod: its namespaces, its init containers one after the other, then all others side by side.

use containers::{Container, ContainerId, Engine, PodRole, RemoveRequest, StartRequest};

use crate::error::{Error, Result};
use crate::events;
use crate::life::{Outcome, levels};
use crate::member::ensure_infra;
use crate::pod::{self, Pod, role};
use crate::update;

/// Starts what does not run. Members whose infra container has died are started anew: what they had of it is gone.
///
/// # Errors
/// Where nothing could begin: no infra container, an init container that failed. What a single member could not do is in
/// the outcome.
pub fn start(engine: &Engine, pod: &Pod) -> Result<Outcome> {
    let mut now = pod::again(engine, pod)?;
    update::give_limits(engine, &now)?;
    let mut kept = None;
    if now.spec().has_infra() {
        let infra = ensure_infra(engine, &now)?;
        kept = Some(containers::keep(engine, &infra)?);
        if !containers::running(&infra) {
            for orphan in now.members().filter(|member| containers::running(member)) {
                containers::stop(engine, orphan, None)?;
            }
            containers::start(engine, &infra, StartRequest::default())?;
            now = pod::again(engine, &now)?;
        }
    }
    if !now.members().any(|member| role(member) == PodRole::Member && containers::running(member)) {
        run_init_containers(engine, &now)?;
    }
    let mut outcome = Outcome::default();
    let idle: Vec<&Container> =
        now.members().filter(|member| role(member) == PodRole::Member && !containers::running(member)).collect();
    for level in levels(&idle) {
        let launched: Vec<(&ContainerId, _)> = level
            .into_iter()
            .map(|member| (member.id(), containers::launch(engine, member, StartRequest::default())))
            .collect();
        for (id, launch) in launched {
            outcome.note(id, launch.and_then(containers::Launch::wait).map(drop));
        }
    }
    drop(kept);
    events::record(engine, &now.record, "start");
    Ok(outcome)
}

/// In the order of their making: each one to its end, or where it runs beside the members until it runs.
fn run_init_containers(engine: &Engine, pod: &Pod) -> Result<()> {
    for container in pod.members() {
        match role(container) {
            PodRole::Infra | PodRole::Member | PodRole::Ephemeral => {}
            PodRole::Sidecar => {
                containers::start(engine, container, StartRequest::default())?;
                if !containers::wait_started(engine, container)? {
                    let code =
                        containers::find(engine, container.id().as_str())?.state().exit().map_or(-1, |exit| exit.code);
                    return Err(failed(container, code));
                }
            }
            PodRole::InitOnce | PodRole::InitAlways => run_to_its_end(engine, container)?,
        }
    }
    Ok(())
}

fn failed(container: &Container, code: i32) -> Error {
    Error::InitFailed { id: container.id().to_string(), name: container.name().to_owned(), code }
}

/// Its restart policy may try several times.
fn run_to_its_end(engine: &Engine, container: &Container) -> Result<()> {
    containers::start(engine, container, StartRequest::default())?;
    let code = containers::wait_for_good(engine, container)?;
    if code != 0 {
        return Err(failed(container, code));
    }
    if role(container) == PodRole::InitOnce {
        containers::remove(engine, container, &RemoveRequest { volumes: true, ..RemoveRequest::default() })?;
    }
    Ok(())
}
