//! Images nobody needs go away.

use storage::Store;

use crate::error::Result;
use crate::filter::Filter;
use crate::remove::ImageUser;

#[derive(Clone, Debug, Default)]
pub struct PruneOptions {
    /// Also images that have a name but no container.
    pub all: bool,
    pub filters: Vec<Filter>,
}

#[derive(Clone, Debug, Default)]
pub struct Pruned {
    /// Ids.
    pub deleted: Vec<String>,
    pub untagged: Vec<String>,
    /// Bytes given back.
    pub reclaimed: u64,
}

pub fn prune(store: &Store, options: &PruneOptions, users: &[ImageUser]) -> Result<Pruned> {
    let _ = (store, options, users);
    unimplemented!()
}
