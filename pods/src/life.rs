//! What is done to all containers of a pod: ending, freezing, signalling.

use containers::{Container, ContainerId, Engine, PodRole};

use crate::error::Result;
use crate::events;
use crate::pod::{self, Pod, role};
use crate::start::start;

/// What became of each container.
#[derive(Debug, Default)]
pub struct Outcome {
    pub done: Vec<ContainerId>,
    pub failed: Vec<(ContainerId, containers::Error)>,
}

impl Outcome {
    pub(crate) fn note(&mut self, id: &ContainerId, result: containers::Result<()>) {
        match result {
            Ok(()) => self.done.push(id.clone()),
            Err(error) => self.failed.push((id.clone(), error)),
        }
    }
}

/// Ends all containers: members first, those that others need after them, then sidecars in reverse order, the infra
/// container last. `timeout` in seconds instead of each one's own.
pub fn stop(engine: &Engine, pod: &Pod, timeout: Option<u32>) -> Result<Outcome> {
    let now = pod::again(engine, pod)?;
    events::record(engine, &now.record, "stop");
    Ok(end(&now, |container| containers::stop(engine, container, timeout)))
}

/// Does to all containers what ends them, in the order of [`stop`].
pub(crate) fn end(now: &Pod, deed: impl Fn(&Container) -> containers::Result<()> + Sync) -> Outcome {
    let mut outcome = Outcome::default();
    let others: Vec<&Container> = now.members().filter(|member| role(member) != PodRole::Sidecar).collect();
    for level in levels(&others).into_iter().rev() {
        for (id, result) in side_by_side(&level, &deed) {
            outcome.note(&id, result);
        }
    }
    for sidecar in now.members().rev().filter(|member| role(member) == PodRole::Sidecar) {
        outcome.note(sidecar.id(), deed(sidecar));
    }
    if let Some(infra) = now.infra() {
        outcome.note(infra.id(), deed(infra));
    }
    outcome
}

/// Waits for all of them at once. The deed forks nothing: a hook before the end is spawned by posix_spawn(3), which runs no
/// code of ours in the new process.
fn side_by_side(
    all: &[&Container],
    deed: impl Fn(&Container) -> containers::Result<()> + Sync,
) -> Vec<(ContainerId, containers::Result<()>)> {
    if let [one] = all {
        return vec![(one.id().clone(), deed(one))];
    }
    std::thread::scope(|scope| {
        let workers: Vec<_> =
            all.iter().map(|container| (container.id().clone(), scope.spawn(|| deed(container)))).collect();
        let joined = workers.into_iter().map(|(id, worker)| {
            let result = worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            (id, result)
        });
        joined.collect()
    })
}

/// Ends all that runs and starts the pod.
pub fn restart(engine: &Engine, pod: &Pod, timeout: Option<u32>) -> Result<Outcome> {
    let stopped = stop(engine, pod, timeout)?;
    if !stopped.failed.is_empty() {
        return Ok(stopped);
    }
    start(engine, pod)
}

/// Sends a signal to the first process of each running container.
pub fn kill(engine: &Engine, pod: &Pod, signal: i32) -> Result<Outcome> {
    on_running(engine, pod, "kill", |container| containers::kill(engine, container, signal))
}

/// Freezes each running container; a frozen one stays so.
pub fn pause(engine: &Engine, pod: &Pod) -> Result<Outcome> {
    on_running(engine, pod, "pause", |container| match containers::paused(container) {
        true => Ok(()),
        false => containers::pause(engine, container),
    })
}

/// Lets each frozen container go on.
pub fn unpause(engine: &Engine, pod: &Pod) -> Result<Outcome> {
    on_running(engine, pod, "unpause", |container| match containers::paused(container) {
        true => containers::unpause(engine, container),
        false => Ok(()),
    })
}

/// Members first, the infra container last.
fn on_running(
    engine: &Engine,
    pod: &Pod,
    status: &'static str,
    deed: impl Fn(&Container) -> containers::Result<()>,
) -> Result<Outcome> {
    let now = pod::again(engine, pod)?;
    events::record(engine, &now.record, status);
    let mut outcome = Outcome::default();
    for container in now.members().chain(now.infra()).filter(|container| containers::running(container)) {
        outcome.note(container.id(), deed(container));
    }
    Ok(outcome)
}

/// In an order in which each comes after those it needs: those of one level need none of each other.
pub(crate) fn levels<'a>(all: &[&'a Container]) -> Vec<Vec<&'a Container>> {
    let mut levels = Vec::new();
    let mut left: Vec<&Container> = all.to_vec();
    while !left.is_empty() {
        let needs_another = |container: &&Container| {
            left.iter().any(|other| {
                other.id() != container.id()
                    && containers::needs(container)
                        .any(|needed| needed == other.id().as_str() || needed == other.name())
            })
        };
        let (later, now): (Vec<&Container>, Vec<&Container>) = left.iter().partition(|one| needs_another(one));
        if now.is_empty() {
            // They need each other in a ring: none can be first.
            levels.push(later);
            break;
        }
        levels.push(now);
        left = later;
    }
    levels
}
