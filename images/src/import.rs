//! A file system in a tarball becomes an image of one layer.

use storage::Store;

use crate::error::Result;
use crate::image::Image;
use crate::platform::Platform;

#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    pub changes: Vec<String>,
    pub message: Option<String>,
    pub platform: Option<Platform>,
}

/// `source` is a path, `-` for standard input, or a URL.
pub fn import(store: &Store, source: &str, reference: Option<&str>, options: &ImportOptions) -> Result<Image> {
    let _ = (store, source, reference, options);
    unimplemented!()
}
