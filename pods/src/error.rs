//! What can go wrong with a pod.

use std::path::{Path, PathBuf};

pub type Result<T> = std::result::Result<T, Error>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no pod with name or ID {name} found: no such pod")]
    NotFound { name: String },
    #[error("more than one result for pod name or ID {name}: pod name or ID is ambiguous")]
    Ambiguous { name: String },
    #[error("adding pod to state: name \"{name}\" is in use: pod already exists")]
    NameTaken { name: String },
    /// What the specification asks for cannot be.
    #[error("{0}")]
    Invalid(String),
    /// An init container ended with an error: the members are not started.
    #[error("init container {id} exited with code {code}")]
    InitFailed { id: String, name: String, code: i32 },
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Container(#[from] containers::Error),
    #[error(transparent)]
    Storage(#[from] storage::Error),
}

impl Error {
    /// For `map_err`: an I/O error with the path it is about.
    pub(crate) fn io(path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.as_ref().to_owned();
        move |source| Error::Io { path, source }
    }
}
