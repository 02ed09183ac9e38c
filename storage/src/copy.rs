//! Copies of trees, by reflink where the file system has it.

use std::path::Path;

use crate::error::Result;

/// Applies a layer in overlay's form to a plain directory.
pub(crate) fn apply_layer(_layer: &Path, _root: &Path) -> Result<()> {
    unimplemented!()
}
