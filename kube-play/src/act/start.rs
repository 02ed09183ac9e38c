//! A pod that stands with all its containers begins.

use std::path::PathBuf;
use std::time::Duration;

use containers::{Engine, RestartPolicy};
use pods::Pod;
use sys::lock::FileLock;

use super::error::{Error, Result};

/// The pause before init containers are tried again that ended in another way than by themselves.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// Starts a pod and answers for all its containers. While it goes through its init containers, [`is_starting`].
pub(super) fn start(engine: &Engine, pod: &Pod) -> Result<()> {
    let path = starting_path(engine, pod);
    let _starting = FileLock::exclusive(&path).map_err(Error::io(&path))?;
    let outcome = loop {
        match pods::start(engine, pod) {
            Err(pods::Error::InitFailed { id, .. }) => {
                let init = containers::find(engine, &id)?;
                // With `restartPolicy: Never` that is how the pod ends. Otherwise its monitor tries until it succeeds, so
                // that somebody has stopped it, or killed its monitor.
                let is_wanted = init.state().exit().is_some_and(|exit| exit.stopped_by_user);
                if is_wanted || init.spec().restart == RestartPolicy::No {
                    // Sidecars and namespaces are of no use any more.
                    pods::stop(engine, pod, None)?;
                    return Ok(());
                }
                std::thread::sleep(TRY_AGAIN);
            }
            started => break started?,
        }
    };
    match outcome.failed.into_iter().next() {
        None => Ok(()),
        Some((id, error)) => {
            let name =
                pod.members().find(|member| *member.id() == id).map_or(id.to_string(), |it| it.name().to_owned());
            Err(Error::from(error).of(format!("container {name}")))
        }
    }
}

fn starting_path(engine: &Engine, pod: &Pod) -> PathBuf {
    engine.store.path("pods").join(pod.id().as_str()).join("starting.lock")
}

/// Whether somebody starts it now: its containers have yet to come.
pub(super) fn is_starting(engine: &Engine, pod: &Pod) -> bool {
    let path = starting_path(engine, pod);
    path.exists() && matches!(FileLock::try_exclusive(&path), Ok(None))
}
