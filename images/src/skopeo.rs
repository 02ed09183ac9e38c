//! skopeo as a child: found, configured, and its complaints understood.

use crate::error::Result;
use crate::pull::PullOptions;
use crate::reference::Reference;

/// The tags a registry has for a repository.
pub fn list_tags(repository: &Reference, options: &PullOptions) -> Result<Vec<String>> {
    let _ = (repository, options);
    unimplemented!()
}
