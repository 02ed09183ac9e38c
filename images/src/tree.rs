//! The layers of an image with the images that end there.

use storage::{Digest, Store};

use crate::error::Result;
use crate::find;
use crate::image::Image;

#[derive(Clone, Debug, PartialEq)]
pub struct TreeLayer {
    pub chain_id: Digest,
    /// Bytes of its regular files.
    pub size: u64,
    /// Names of the images whose top layer this is.
    pub top_of: Vec<String>,
}

/// Bottom first.
pub fn tree(store: &Store, image: &Image) -> Result<Vec<TreeLayer>> {
    let all = find::list(store)?;
    let mut layers = Vec::with_capacity(image.layers.len());
    for chain_id in &image.layers {
        let ending = all.iter().filter(|other| other.layers.last() == Some(chain_id));
        layers.push(TreeLayer {
            chain_id: chain_id.clone(),
            size: store.layer(chain_id)?.map_or(0, |layer| layer.size),
            top_of: ending.flat_map(|other| other.names.iter().cloned()).collect(),
        });
    }
    Ok(layers)
}
