//! The layers of an image with the images that end there.

use storage::{Digest, Store};

use crate::error::Result;
use crate::image::Image;

#[derive(Clone, Debug, PartialEq)]
pub struct TreeLayer {
    pub chain_id: Digest,
    pub size: u64,
    /// Names of the images whose top layer this is.
    pub top_of: Vec<String>,
}

/// Bottom first.
pub fn tree(store: &Store, image: &Image) -> Result<Vec<TreeLayer>> {
    let _ = (store, image);
    unimplemented!()
}
