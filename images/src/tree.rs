//! The layers of an image with the images that end there.

use storage::{Digest, Store};

use crate::error::Result;
use crate::find;
use crate::image::Image;

#[derive(Clone, Debug, PartialEq)]
pub struct TreeLayer {
    pub chain_id: Digest,
    /// Bytes of its uncompressed archive.
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

/// What is built on an image: the layers of every image above it, each once, from it upwards.
pub fn dependents(store: &Store, image: &Image) -> Result<Vec<TreeLayer>> {
    let all = find::list(store)?;
    let mut rows = Vec::new();
    let Some(top) = image.layers.last() else { return Ok(rows) };
    branch(store, &all, &image.layers, top, &mut rows)?;
    Ok(rows)
}

/// The layer and what stands on it.
fn branch(store: &Store, all: &[Image], chain: &[Digest], layer: &Digest, rows: &mut Vec<TreeLayer>) -> Result<()> {
    let ending = all.iter().filter(|other| other.layers.last() == Some(layer));
    rows.push(TreeLayer {
        chain_id: layer.clone(),
        size: store.layer(layer)?.map_or(0, |layer| layer.size),
        top_of: ending.flat_map(|other| other.names.iter().cloned()).collect(),
    });
    let mut above: Vec<&Digest> = all
        .iter()
        .filter(|other| other.layers.starts_with(chain))
        .filter_map(|other| other.layers.get(chain.len()))
        .collect();
    above.sort();
    above.dedup();
    for next in above {
        let mut chain = chain.to_vec();
        chain.push(next.clone());
        branch(store, all, &chain, next, rows)?;
    }
    Ok(())
}
