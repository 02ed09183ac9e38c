//! What can go wrong when a plan is carried out.

use std::io;
use std::path::{Path, PathBuf};

pub type Result<T> = std::result::Result<T, Error>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The manifest, together with what is there, asks for something that cannot be.
    #[error("{0}")]
    Invalid(String),
    #[error("{0} not found")]
    NotFound(String),
    /// An object of that kind and name exists and was not made by a manifest.
    #[error("{what} {name:?} exists already and is not from a manifest")]
    NotOurs { what: &'static str, name: String },
    /// Something did not become ready in time.
    #[error("{what} did not become ready: {why}")]
    NotReady { what: String, why: String },
    /// Another command took away what was being played.
    #[error("{objects} was taken down while it was played")]
    TakenDown { objects: String },
    /// One step for one object failed.
    #[error("{object}: {source}")]
    Object { object: String, source: Box<Error> },
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Pod(#[from] pods::Error),
    #[error(transparent)]
    Container(#[from] containers::Error),
    #[error(transparent)]
    Storage(#[from] storage::Error),
    #[error(transparent)]
    Network(#[from] network::Error),
    /// What a process that worked for us said.
    #[error("{0}")]
    Failed(String),
    /// From the surface: an image that could not be had.
    #[error("{0}")]
    Image(String),
}

impl Error {
    /// For `map_err`: an I/O error with the path it is about.
    pub fn io(path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Error {
        let path = path.as_ref().to_owned();
        move |source| Error::Io { path, source }
    }

    pub(super) fn of(self, object: impl std::fmt::Display) -> Error {
        Error::Object { object: object.to_string(), source: Box::new(self) }
    }
}
