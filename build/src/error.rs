//! What goes wrong with a build, divided by what can be done about it.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What is wrong with the text of a Containerfile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// From 1; 0 where no line is at fault.
    pub line: usize,
    pub what: String,
    /// What was most likely meant.
    pub meant: Option<String>,
}

impl Problem {
    pub fn at(line: usize, what: impl Into<String>) -> Problem {
        Problem { line, what: what.into(), meant: None }
    }

    pub fn meant(self, meant: Option<&str>) -> Problem {
        Problem { meant: meant.map(str::to_owned), ..self }
    }
}

#[derive(Debug, Error)]
pub enum Error {
    /// The file is wrong; nothing was made.
    #[error("{}{}", place(file, problem.line), problem.what)]
    Containerfile { file: String, problem: Problem },
    /// A step cannot be carried out.
    #[error("building at STEP \"{step}\": {why} ({file}:{line})")]
    Step { step: String, file: String, line: usize, why: String },
    /// A step's program ended with a code of its own.
    #[error("building at STEP \"{step}\": while running runtime: exit status {code}")]
    Exit { step: String, code: i32 },
    /// A step's program could not be started.
    #[error("building at STEP \"{step}\": {why}")]
    Start { step: String, why: String, code: i32 },
    /// What was asked for does not exist or does not fit.
    #[error("{0}")]
    Invalid(String),
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    /// What a stage is made from cannot be had.
    #[error("creating build container: {0}")]
    Base(images::Error),
    #[error(transparent)]
    Containers(#[from] containers::Error),
    #[error(transparent)]
    Images(#[from] images::Error),
    #[error(transparent)]
    Storage(#[from] storage::Error),
}

/// Nothing for a problem of no line: what was asked for is wrong then, not the file.
fn place(file: &str, line: usize) -> String {
    if line == 0 { String::new() } else { format!("{file}:{line}: ") }
}

impl Error {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Error {
        let path = path.into();
        move |source| Error::Io { path, source }
    }
}
