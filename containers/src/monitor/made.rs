//! A container's processes, by creel's own runtime or by another one (`--runtime`).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use runtime::cgroup::Cgroup;
use runtime::external::{External, ExternalCreated};
use runtime::{Bundle, Created, Running, Stdio};
use sys::process::{Pidfd, Process};
use sys::task::Numbered;

use crate::container::Container;
use crate::error::Result;

/// A container that waits before its program.
pub(super) enum Made {
    Own(Created),
    Other { created: ExternalCreated, runtime: External, id: String },
}

/// What another runtime keeps of a container until it is told to forget it.
pub(super) struct Kept {
    runtime: External,
    id: String,
    /// Where the root file system is mounted, in our own mount namespace.
    root: PathBuf,
}

/// The runtime that the user chose for this container, if it is not creel's own.
pub(super) fn other_runtime(container: &Container, run_dir: &Path) -> Option<External> {
    let spec = container.spec();
    let program = spec.runtime.clone()?;
    Some(External { program, state: run_dir.join("runtime"), options: spec.runtime_flags.clone() })
}

impl Made {
    pub(super) fn make(
        other: Option<External>,
        bundle: &Bundle,
        stdio: Stdio,
        cgroup: Option<&Cgroup>,
        preserved: Vec<Numbered>,
    ) -> Result<(Made, Option<Kept>)> {
        let Some(runtime) = other else {
            return Ok((Made::Own(runtime::create(bundle, stdio, cgroup, preserved)?), None));
        };
        let root = bundle.spec.root().as_ref().map(|root| root.path().clone()).unwrap_or_default();
        let kept = Kept { runtime: runtime.clone(), id: bundle.id.clone(), root };
        // Dropped on the way out it forgets what `create` left half-done.
        let created = runtime.create(bundle, stdio, cgroup, &preserved)?;
        Ok((Made::Other { created, runtime, id: bundle.id.clone() }, Some(kept)))
    }

    pub(super) fn init(&self) -> &Process {
        match self {
            Made::Own(created) => &created.init,
            Made::Other { created, .. } => &created.init,
        }
    }

    pub(super) fn pidfd(&self) -> &Pidfd {
        match self {
            Made::Own(created) => &created.pidfd,
            Made::Other { created, .. } => &created.pidfd,
        }
    }

    /// Our end of its terminal; there after [`Made::prepared`].
    pub(super) fn terminal(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Made::Own(created) => created.terminal.as_ref(),
            Made::Other { created, .. } => created.terminal.as_ref(),
        }
        .map(AsFd::as_fd)
    }

    pub(super) fn take_netns(&mut self) -> Option<OwnedFd> {
        match self {
            Made::Own(created) => created.netns.take(),
            Made::Other { created, .. } => created.netns.take(),
        }
    }

    /// Waits until everything but the program stands.
    pub(super) fn prepared(&mut self) -> Result<()> {
        match self {
            Made::Own(created) => Ok(created.prepared()?),
            Made::Other { .. } => Ok(()),
        }
    }

    /// Lets the program run.
    pub(super) fn start(self) -> std::result::Result<Running, runtime::Error> {
        match self {
            Made::Own(created) => created.start(),
            Made::Other { created, runtime, id } => {
                runtime.start(&id)?;
                Ok(created.running())
            }
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Err(error) = self.runtime.delete(&self.id) {
            tracing::warn!(id = self.id, %error, "the runtime cannot clear up after the container");
        }
        if let Err(error) = rustix::mount::unmount(&self.root, rustix::mount::UnmountFlags::DETACH) {
            tracing::warn!(id = self.id, %error, "cannot unmount the root file system");
        }
    }
}
