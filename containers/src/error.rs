//! What can go wrong with a container, divided by what the caller can do about it.

use std::io;
use std::path::{Path, PathBuf};

pub type Result<T> = std::result::Result<T, Error>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no container with name or ID \"{name}\" found: no such container")]
    NotFound { name: String },
    #[error("more than one result for container name or ID {name}: container name or ID is ambiguous")]
    Ambiguous { name: String },
    #[error("names must match [a-zA-Z0-9][a-zA-Z0-9_.-]*: invalid argument: \"{name}\"")]
    InvalidName { name: String },
    #[error(
        "the container name \"{name}\" is already in use by {holder}. You have to remove that container to be able to \
         reuse that name: that name is already in use"
    )]
    NameTaken { name: String, holder: String },
    /// The container is not in a state that allows this.
    #[error("{what}: container state improper")]
    StateImproper { what: String },
    /// The specification asks for something that cannot be.
    #[error("{0}")]
    Invalid(String),
    /// A user or group that the container does not know (exit code 126 of a start).
    #[error("unable to find {what}: no matching entries in {file} file")]
    UnknownAccount { what: String, file: &'static str },
    /// Another container needs this one.
    #[error(
        "container {id} has dependent containers which must be removed before it: {dependents}: container already exists"
    )]
    HasDependents { id: String, dependents: String },
    /// Pods need this one to be seen by a service manager.
    #[error(
        "container {id} is the service container of pod(s) {pods} and cannot be removed without removing the pod(s)"
    )]
    ServiceOfPods { id: String, pods: String },
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    /// The monitor ended without an answer.
    #[error("the monitor of container {id} ended before the container ran{detail}")]
    MonitorGone { id: String, detail: String },
    /// What the monitor said before it gave up; the code is the one `run` exits with (125, 126, 127).
    #[error("{message}")]
    StartFailed { message: String, exit_code: i32 },
    /// The program that keeps a secret's content did not do its part.
    #[error("{action}: {why}")]
    SecretDriver { action: String, why: String },
    #[error(transparent)]
    Storage(#[from] storage::Error),
    #[error(transparent)]
    Image(#[from] images::Error),
    #[error(transparent)]
    Runtime(#[from] runtime::Error),
    #[error(transparent)]
    Network(#[from] network::Error),
}

impl Error {
    /// For `map_err`: an I/O error with the path it is about.
    pub fn io(path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Error {
        let path = path.as_ref().to_owned();
        move |source| Error::Io { path, source }
    }
}
