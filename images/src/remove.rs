//! Names and images go away.

use storage::Store;

use crate::error::{Error, Result};

/// A container that was made from an image, as the caller knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageUser {
    pub image_id: String,
    pub container_id: String,
    pub running: bool,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct RemoveOptions {
    /// Remove it although several names lead to it. Containers that use it still stand in the way: the caller removes
    /// these first, and passes the users that are left.
    pub force: bool,
    /// A name that is not known is no error.
    pub ignore: bool,
    /// Leave untagged parents.
    pub no_prune: bool,
    /// Every image; `names` is empty.
    pub all: bool,
}

/// What went, in order, and what did not.
#[derive(Debug, Default)]
pub struct Removed {
    pub untagged: Vec<String>,
    /// Ids.
    pub deleted: Vec<String>,
    pub errors: Vec<Error>,
}

pub fn remove(store: &Store, names: &[&str], options: &RemoveOptions, users: &[ImageUser]) -> Result<Removed> {
    let _ = (store, names, options, users);
    unimplemented!()
}
