//! What can go wrong, by what the reader can do about it.

use std::io;
use std::path::PathBuf;

pub type Result<T> = std::result::Result<T, Error>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The program is not in the container (exit code 127).
    #[error("{message}")]
    NotFound { message: String },
    /// The program is there but cannot be run (exit code 126).
    #[error("{message}")]
    NotExecutable { message: String },
    /// The configuration says something impossible or something creel does not do.
    #[error("{what}")]
    Configuration { what: String },
    /// The kernel refused a step on the way to the container.
    #[error("cannot {step}: {source}")]
    Kernel { step: String, source: io::Error },
    /// The container cannot have the limit that was asked for on this machine.
    #[error("the limit {limit} needs the cgroup controller `{controller}`, {why}")]
    Limit { limit: String, controller: String, why: String },
    #[error("cgroup {}: {source}", path.display())]
    Cgroup { path: PathBuf, source: io::Error },
    #[error("seccomp profile: {what}")]
    Seccomp { what: String },
    #[error("{kind} hook {}: {what}", path.display())]
    Hook { kind: &'static str, path: PathBuf, what: String },
    /// The process on record is not there any more.
    #[error("the container has ended")]
    Gone,
    #[error("{}: {what}", program.display())]
    External { program: PathBuf, what: String },
}

impl Error {
    pub(crate) fn kernel(step: impl Into<String>, source: impl Into<io::Error>) -> Error {
        Error::Kernel { step: step.into(), source: source.into() }
    }

    pub(crate) fn configuration(what: impl Into<String>) -> Error {
        Error::Configuration { what: what.into() }
    }

    /// 126 and 127 as a shell has them for the program's own faults, 125 for all else.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::NotFound { .. } => 127,
            Error::NotExecutable { .. } => 126,
            Error::Configuration { .. }
            | Error::Kernel { .. }
            | Error::Limit { .. }
            | Error::Cgroup { .. }
            | Error::Seccomp { .. }
            | Error::Hook { .. }
            | Error::Gone
            | Error::External { .. } => 125,
        }
    }

    /// The same for a container that cannot be made, as Podman: 127 also where the kernel was asked for something that is
    /// not there, else 126; 125 for what was wrong before.
    pub fn start_exit_code(&self) -> u8 {
        match self {
            Error::Kernel { source, .. } | Error::Cgroup { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                127
            }
            Error::Seccomp { .. } | Error::Gone => 125,
            other => other.exit_code().max(126),
        }
    }

    /// What Podman puts around the words of its OCI runtime, for what is not about the program: before and behind.
    pub fn podmans_words(&self) -> (&'static str, &'static str) {
        match self {
            // These say it themselves, or are no runtime's.
            Error::NotFound { .. } | Error::NotExecutable { .. } | Error::Seccomp { .. } | Error::Gone => ("", ""),
            Error::Kernel { source, .. } | Error::Cgroup { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => ("", ""),
                io::ErrorKind::PermissionDenied => ("", ": OCI permission denied"),
                _ => ("OCI runtime error: ", ""),
            },
            Error::Configuration { .. } | Error::Limit { .. } | Error::Hook { .. } | Error::External { .. } => {
                ("OCI runtime error: ", "")
            }
        }
    }
}
