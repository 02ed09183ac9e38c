//! Containers that others cannot be without: started before them, and ended after the last of them where that was asked
//! for.

use storage::Store;
use sys::lock::FileLock;

use crate::container::Container;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::id::ContainerId;
use crate::remove::{dependents, needed_by};
use crate::spec::{ExitPropagation, PodRole};
use crate::start::{StartRequest, start};
use crate::state::State;
use crate::{list, stop};

/// The ids or names of the containers that one needs.
pub fn needs(container: &Container) -> impl Iterator<Item = &str> {
    needed_by(container.spec())
}

const SIGKILL: i32 = 9;

/// How many containers may need each other in a row.
const DEEPEST: usize = 32;

/// While it is there nobody takes the container for unneeded.
#[derive(Debug)]
pub struct Kept {
    _lock: FileLock,
}

/// Keeps a container with `ends_unneeded` from being ended between the starts of those that need it.
pub fn keep(engine: &Engine, container: &Container) -> Result<Kept> {
    let path = lock_path(&engine.store, container.id());
    FileLock::shared(&path).map(|lock| Kept { _lock: lock }).map_err(Error::io(&path))
}

fn lock_path(store: &Store, id: &ContainerId) -> std::path::PathBuf {
    store.containers_dir().join(id).join("needed.lock")
}

/// Starts the containers that one needs and that do not run. They stay while the result is kept.
pub(crate) fn start_needed(engine: &Engine, container: &Container) -> Result<Vec<Kept>> {
    start_below(engine, container, 0)
}

fn start_below(engine: &Engine, container: &Container, depth: usize) -> Result<Vec<Kept>> {
    let mut all = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    for needed in needed_by(container.spec()) {
        if seen.contains(&needed) {
            continue;
        }
        seen.push(needed);
        if depth > DEEPEST {
            return Err(Error::Invalid(format!("container {} needs itself", container.id())));
        }
        let needed = list::find(engine, needed)?;
        all.push(keep(engine, &needed)?);
        // Somebody may have been ending it: it has ended by now.
        let needed = list::again(engine, &needed)?;
        if !list::running(&needed) {
            let below = start_below(engine, &needed, depth + 1)?;
            start(engine, &needed, StartRequest::default())?;
            drop(below);
        }
    }
    Ok(all)
}

/// After the end of `container`: what it needed ends too, if that is wanted and nobody else is left who needs it. Helpers
/// that run beside the others end before it.
pub(crate) fn end_unneeded(engine: &Engine, container: &Container) -> Result<()> {
    if matches!(container.spec().pod_role, Some(PodRole::InitOnce | PodRole::InitAlways | PodRole::Sidecar)) {
        return Ok(());
    }
    let mut needed: Vec<&str> = needed_by(container.spec()).collect();
    needed.sort_unstable();
    needed.dedup();
    for needed in needed {
        let needed = match list::find(engine, needed) {
            Ok(needed) if needed.spec().ends_unneeded => needed,
            Ok(_) | Err(Error::NotFound { .. }) => continue,
            Err(error) => return Err(error),
        };
        let path = lock_path(&engine.store, needed.id());
        // Somebody is starting others at this moment: the last of those will find what we leave. Waiting could be for ever,
        // they wait for us to be gone.
        let Some(_lock) = FileLock::try_exclusive(&path).map_err(Error::io(&path))? else { continue };
        let others = dependents(engine, &needed)?;
        let (helpers, others): (Vec<Container>, Vec<Container>) = others
            .into_iter()
            .partition(|other| matches!(other.spec().pod_role, Some(PodRole::Sidecar | PodRole::Ephemeral)));
        if others.iter().any(|other| !has_ended(other)) || !list::running(&needed) {
            continue;
        }
        for helper in helpers.iter().rev() {
            match stop::stop(engine, helper, None) {
                // By its own `--rm`.
                Err(Error::NotFound { .. }) => {}
                other => other?,
            }
        }
        match is_failure(engine, &needed, &others)? {
            // Its program cannot be told a code to end with.
            true => stop::kill(engine, &needed, SIGKILL)?,
            false => stop::stop(engine, &needed, None)?,
        }
    }
    Ok(())
}

/// Whether a service container is to end as one that failed, by how the members of the pods that need it have ended.
fn is_failure(engine: &Engine, service: &Container, infras: &[Container]) -> Result<bool> {
    let propagation = match service.spec().service {
        None | Some(ExitPropagation::None) => return Ok(false),
        Some(propagation) => propagation,
    };
    let of_pods = |container: &Container| {
        let pod = container.spec().pod.as_ref();
        container.spec().pod_role == Some(PodRole::Member)
            && infras.iter().any(|infra| infra.spec().pod.as_ref() == pod)
    };
    let ended = list::list(engine)?.into_iter().filter(of_pods);
    let mut failed = ended.map(|member| member.state().exit().is_some_and(|exit| exit.code != 0)).peekable();
    Ok(match propagation {
        ExitPropagation::Any => failed.any(|failed| failed),
        _ => failed.peek().is_some() && failed.all(|failed| failed),
    })
}

/// One that was never started is still to come.
fn has_ended(container: &Container) -> bool {
    match container.state() {
        State::Exited(_) => container.status.restarting.as_ref().is_none_or(|monitor| !monitor.alive()),
        State::Removing => true,
        State::Created => matches!(container.spec().pod_role, Some(PodRole::InitOnce | PodRole::InitAlways)),
        State::Initialized { .. } | State::Running { .. } => false,
    }
}
