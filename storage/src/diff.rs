use crate::error::Result;
use crate::store::Store;
use std::io::Write;
use std::path::Path;

/// How a tar of a tree is written.
#[derive(Clone, Debug, Default)]
pub struct TarOptions {
    /// Every modification time becomes this one (seconds since 1970).
    pub timestamp: Option<i64>,
}

impl Store {
    /// Writes an overlay's upper directory as an OCI layer, whiteouts as `.wh.` files, sorted by name.
    pub fn diff_tar(&self, upper: &Path, out: &mut dyn Write) -> Result<()> {
        self.diff_tar_with(upper, out, &TarOptions::default())
    }

    pub fn diff_tar_with(&self, _upper: &Path, _out: &mut dyn Write, _options: &TarOptions) -> Result<()> {
        unimplemented!()
    }

    /// Writes a whole directory as a tar, sorted by name.
    pub fn tree_tar(&self, _root: &Path, _out: &mut dyn Write) -> Result<()> {
        unimplemented!()
    }
}
