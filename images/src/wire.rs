//! What the pull worker and its parent say to each other: one JSON request, then JSON lines.

use std::io::{self, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use storage::{Dirs, StoreOptions};

use crate::error::Error;
use crate::pull::PullOptions;

/// On the worker's standard input, one line. The pipe stays open: its end means that the parent is gone.
#[derive(Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) dirs: Dirs,
    pub(crate) store: StoreOptions,
    /// A source with its transport.
    pub(crate) source: String,
    pub(crate) options: PullOptions,
}

/// On its standard output.
#[derive(Serialize, Deserialize)]
pub(crate) enum Event {
    Line(String),
    Warning(String),
    Blob {
        digest: String,
        total: u64,
    },
    /// Bytes so far.
    At {
        digest: String,
        bytes: u64,
    },
    Finished {
        digest: String,
    },
    /// The last one.
    Done {
        id: String,
        changed: bool,
    },
    Failed(Failure),
}

/// Tells the parent.
pub(crate) fn send(event: &Event) {
    if let Ok(mut text) = serde_json::to_string(event) {
        text.push('\n');
        // A parent that no longer reads has gone; the other thread sees to that.
        let _ = io::stdout().lock().write_all(text.as_bytes());
    }
}

/// An [`Error`] that can travel. What the surface gives hints for keeps its shape, the rest becomes text.
#[derive(Serialize, Deserialize)]
pub(crate) enum Failure {
    InvalidReference { name: String },
    Denied { message: String },
    NotInRegistry { message: String },
    NoPlatform { reference: String, platform: String },
    Unreachable { message: String },
    Tls { message: String },
    Policy { message: String },
    SkopeoMissing,
    SkopeoTooOld { found: String, wanted: String },
    DigestMismatch { what: String, expected: String, found: String },
    BadArchive { path: PathBuf, reason: String },
    BadImage { reference: String, reason: String },
    BadConfiguration { path: PathBuf, reason: String },
    Unsupported { what: String, reason: String },
    NoSpace { what: String },
    File { path: PathBuf, message: String, code: Option<i32> },
    UnmappedId { entry: String, group: bool, id: u64, mapped: String },
    Other { message: String },
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        match error {
            Error::InvalidReference { name, .. } => Failure::InvalidReference { name },
            Error::Denied { message } => Failure::Denied { message },
            Error::NotInRegistry { message } => Failure::NotInRegistry { message },
            Error::NoPlatform { reference, platform } => Failure::NoPlatform { reference, platform },
            Error::Unreachable { message } => Failure::Unreachable { message },
            Error::Tls { message } => Failure::Tls { message },
            Error::Policy { message } => Failure::Policy { message },
            Error::SkopeoMissing => Failure::SkopeoMissing,
            Error::SkopeoTooOld { found, wanted } => Failure::SkopeoTooOld { found, wanted },
            Error::DigestMismatch { what, expected, found } => Failure::DigestMismatch { what, expected, found },
            Error::BadArchive { path, reason } => Failure::BadArchive { path, reason },
            Error::BadImage { reference, reason } => Failure::BadImage { reference, reason },
            Error::BadConfiguration { path, reason } => Failure::BadConfiguration { path, reason },
            Error::Unsupported { what, reason } => Failure::Unsupported { what, reason },
            Error::NoSpace { what } => Failure::NoSpace { what },
            Error::File { path, source } => {
                Failure::File { path, message: source.to_string(), code: source.raw_os_error() }
            }
            Error::Storage(storage::Error::Mismatch { what, expected, found }) => {
                Failure::DigestMismatch { what, expected, found }
            }
            Error::Storage(storage::Error::NoSpace { path, .. }) => {
                Failure::NoSpace { what: path.display().to_string() }
            }
            Error::Storage(storage::Error::UnmappedId { entry, kind, id, mapped }) => {
                Failure::UnmappedId { entry, group: kind == "gid", id, mapped }
            }
            Error::Skopeo { message } => Failure::Other { message },
            error => {
                let mut message = error.to_string();
                let mut source = std::error::Error::source(&error);
                while let Some(cause) = source {
                    let words = cause.to_string();
                    if !message.contains(&words) {
                        message.push_str(&format!(": {words}"));
                    }
                    source = cause.source();
                }
                Failure::Other { message }
            }
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        match failure {
            Failure::InvalidReference { name } => match name.parse::<crate::Reference>() {
                Err(error) => error,
                Ok(_) => Error::InvalidReference { name, reason: "the worker could not use it" },
            },
            Failure::Denied { message } => Error::Denied { message },
            Failure::NotInRegistry { message } => Error::NotInRegistry { message },
            Failure::NoPlatform { reference, platform } => Error::NoPlatform { reference, platform },
            Failure::Unreachable { message } => Error::Unreachable { message },
            Failure::Tls { message } => Error::Tls { message },
            Failure::Policy { message } => Error::Policy { message },
            Failure::SkopeoMissing => Error::SkopeoMissing,
            Failure::SkopeoTooOld { found, wanted } => Error::SkopeoTooOld { found, wanted },
            Failure::DigestMismatch { what, expected, found } => Error::DigestMismatch { what, expected, found },
            Failure::BadArchive { path, reason } => Error::BadArchive { path, reason },
            Failure::BadImage { reference, reason } => Error::BadImage { reference, reason },
            Failure::BadConfiguration { path, reason } => Error::BadConfiguration { path, reason },
            Failure::Unsupported { what, reason } => Error::Unsupported { what, reason },
            Failure::NoSpace { what } => Error::NoSpace { what },
            Failure::File { path, message, code } => {
                let source = match code {
                    Some(code) => std::io::Error::from_raw_os_error(code),
                    None => std::io::Error::other(message),
                };
                Error::File { path, source }
            }
            Failure::UnmappedId { entry, group, id, mapped } => {
                let kind = if group { "gid" } else { "uid" };
                Error::Storage(storage::Error::UnmappedId { entry, kind, id, mapped })
            }
            Failure::Other { message } => Error::Pull { message },
        }
    }
}
