use crate::error::Result;
use std::path::{Path, PathBuf};

/// What happened to a path of a container's root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ChangeKind {
    Added,
    Changed,
    Deleted,
}

/// A path, absolute in the container's root, and what happened to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Change {
    pub path: PathBuf,
    pub kind: ChangeKind,
}

/// What an overlay's `upper` changes in `lower` (directories, top-most first).
pub fn changes(_upper: &Path, _lower: &[PathBuf]) -> Result<Vec<Change>> {
    unimplemented!()
}
