//! Layers and blobs that no image leads to any more.

use std::collections::HashSet;
use std::fs;

use storage::{Digest, Store};
use sys::lock::FileLock;

use crate::error::{Error, Result};
use crate::record::{self, ImageRecord};

/// Removes them, and returns the bytes given back. While a pull, load or commit is on its way nothing is removed, as what
/// it has brought so far belongs to no image yet; the next call takes it.
///
/// A layer under a container is kept by the container's image, which cannot be removed before the container.
pub fn collect_garbage(store: &Store) -> Result<u64> {
    let path = store.path("adding.lock");
    let Some(_alone) = FileLock::try_exclusive(&path).map_err(Error::file(&path))? else { return Ok(0) };
    let mut layers: HashSet<Digest> = HashSet::new();
    let mut blobs: HashSet<Digest> = HashSet::new();
    for id in record::ids(store)? {
        match record::read(store, &id)? {
            Some(record) => reach(store, &record, &mut layers, &mut blobs)?,
            // A removal that was killed before it could take the directory.
            None => store.trash(&record::directory(store, &id))?,
        }
    }
    let mut reclaimed = 0;
    for (hex, layer) in store.layers()? {
        let Ok(chain_id) = Digest::sha256(&hex) else { continue };
        if !layers.contains(&chain_id) {
            reclaimed += layer.map_or(0, |layer| layer.size);
            store.remove_layer(&chain_id)?;
        }
    }
    for digest in store.blobs()? {
        if !blobs.contains(&digest) {
            reclaimed += fs::metadata(store.blob_path(&digest)).map_or(0, |blob| blob.len());
            store.remove_blob(&digest)?;
        }
    }
    Ok(reclaimed)
}

fn reach(
    store: &Store,
    record: &ImageRecord,
    layers: &mut HashSet<Digest>,
    blobs: &mut HashSet<Digest>,
) -> Result<()> {
    for chain_id in &record.layers {
        if layers.insert(chain_id.clone())
            && let Ok(Some(layer)) = store.layer(chain_id)
        {
            // Another image's blob may be the only one this layer has.
            blobs.extend(layer.blob);
            blobs.insert(layer.diff_id);
        }
    }
    blobs.insert(record.digest.clone());
    blobs.insert(Digest::sha256(&record.id)?);
    let named = record.manifest.get("layers").and_then(|layers| layers.as_array());
    let named = named.into_iter().flatten().filter_map(|layer| layer.get("digest")?.as_str()?.parse().ok());
    blobs.extend(named);
    Ok(())
}
