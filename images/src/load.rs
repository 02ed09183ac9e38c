//! Images out of an archive or a directory, without any help from skopeo.

use std::path::Path;

use storage::Store;

use crate::error::Result;
use crate::progress::Progress;

#[derive(Clone, Copy, Debug, Default)]
pub struct LoadOptions {
    pub progress: Progress,
}

/// Loads every image of an archive (Docker or OCI, plain or compressed, `/dev/stdin` too) or directory (OCI layout,
/// `dir`), and returns what to show for each: its names, or `sha256:ID` where it has none.
pub fn load(store: &Store, path: &Path, options: &LoadOptions) -> Result<Vec<String>> {
    let _ = (store, path, options);
    unimplemented!()
}
