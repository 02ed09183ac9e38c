//! Freezing a container's processes and letting them go on, by its cgroup. Whether it is paused only the kernel knows.

use std::io::ErrorKind;
use std::path::Path;

use runtime::cgroup::Cgroup;

use crate::container::Container;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::state::State;
use crate::{events, list};

/// Freezes every process of the container.
pub fn pause(engine: &Engine, container: &Container) -> Result<()> {
    let container = list::again(engine, container)?;
    if paused(&container) {
        return Err(Error::StateImproper { what: format!("\"{}\" is already paused", container.id()) });
    }
    let word = container.state().word();
    if word != "running" {
        return Err(Error::StateImproper { what: format!("{word:?} is not running, can't pause") });
    }
    freezer(&container, "can't pause")?.freeze()?;
    events::record(engine, &container, "pause");
    Ok(())
}

/// Lets a paused container go on.
pub fn unpause(engine: &Engine, container: &Container) -> Result<()> {
    let container = list::again(engine, container)?;
    if !paused(&container) {
        return Err(Error::StateImproper {
            what: format!("{:?} is not paused, can't unpause", container.id().as_str()),
        });
    }
    freezer(&container, "can't unpause")?.thaw()?;
    events::record(engine, &container, "unpause");
    Ok(())
}

/// Whether its processes are frozen. As any user may ask.
pub fn paused(container: &Container) -> bool {
    match container.state() {
        State::Running { .. } => cgroup_of(container).ok().flatten().is_some_and(|cgroup| cgroup.is_frozen()),
        State::Created | State::Initialized { .. } | State::Exited(_) | State::Removing => false,
    }
}

/// The container's cgroup, if it has one.
pub(crate) fn cgroup_of(container: &Container) -> Result<Option<Cgroup>> {
    match &container.status.cgroup {
        Some(path) => match Cgroup::open(Path::new(path)) {
            // Gone with the last process.
            Err(runtime::Error::Cgroup { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(None),
            other => Ok(Some(other?)),
        },
        None => Ok(None),
    }
}

/// Before a signal: a frozen process would not take it.
pub(crate) fn thaw_if_frozen(container: &Container) {
    if !paused(container) {
        return;
    }
    // What does not thaw is killed, which works on frozen ones too.
    if let Ok(Some(cgroup)) = cgroup_of(container)
        && let Err(error) = cgroup.thaw()
    {
        tracing::warn!(id = %container.id(), %error, "cannot thaw the container");
    }
}

fn freezer(container: &Container, cannot: &str) -> Result<Cgroup> {
    let id = container.id().as_str();
    cgroup_of(container)?.ok_or_else(|| {
        Error::Invalid(format!("{cannot} container {id}: it has no cgroup, without which processes cannot be frozen"))
    })
}
