//! Layers and blobs that no image leads to any more.

use storage::Store;

use crate::error::Result;

/// Removes them, and returns the bytes given back. What a running pull or commit has announced stays.
pub fn collect_garbage(store: &Store) -> Result<u64> {
    let _ = store;
    unimplemented!()
}
