//! Putting an image into the store: its layers and blobs first, its record last, its names after that.
//!
//! Whoever deposits holds [`Store::adding`] from the first layer to the record, so that nothing is collected in between.
//! Killed before the record, it leaves layers and blobs that no image leads to, which the next collection takes.

use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use serde_json::Value;
use storage::{BlobWriter, Digest, Layer, Limits, Store};
use sys::lock::FileLock;

use crate::error::{Error, Result};
use crate::image::Image;
use crate::record::{self, ImageRecord};
use crate::{find, names};

/// What came through one layer stream.
pub(crate) struct Deposited {
    pub(crate) layer: Layer,
    pub(crate) blob: Digest,
    /// Bytes of the blob.
    pub(crate) size: u64,
}

/// Reads a layer once: the bytes as they come go into a blob, what they decompress to is unpacked. Neither stays when
/// one of the digests is wrong. The layer is settled by [`image`].
pub(crate) fn layer(
    store: &Store,
    parent: Option<&Digest>,
    diff_id: Option<&Digest>,
    blob: Option<&Digest>,
    reader: Box<dyn Read + Send>,
) -> Result<Deposited> {
    let writer = match blob {
        Some(digest) => store.blob_writer_for(digest.algorithm())?,
        None => store.blob_writer()?,
    };
    let tee = Tee(Arc::new(Mutex::new((reader, writer))));
    let mut plain = storage::decompress(Box::new(Tee(Arc::clone(&tee.0))))?;
    let layer = store.unpack_unsettled(parent, diff_id, blob, &mut plain, &Limits::default())?;
    drop(plain);
    // What stands behind the end of the archive belongs to the blob as well.
    let mut rest = Tee(Arc::clone(&tee.0));
    io::copy(&mut rest, &mut io::sink()).map_err(|error| read_error(error, "layer"))?;
    drop(rest);
    let Some(shared) = Arc::into_inner(tee.0) else { unreachable!("both other readers were dropped above") };
    let (_, writer) = shared.into_inner().unwrap_or_else(PoisonError::into_inner);
    let size = writer.size();
    let blob = writer.commit(blob)?;
    Ok(Deposited { layer, blob, size })
}

/// Hands on what is read, after writing it into the blob.
struct Tee(Arc<Mutex<(Box<dyn Read + Send>, BlobWriter)>>);

impl Read for Tee {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (reader, writer) = &mut *shared;
        let count = reader.read(buffer)?;
        writer.write_all(&buffer[..count])?;
        Ok(count)
    }
}

/// An error of ours may have come through [`Read`].
pub(crate) fn read_error(error: io::Error, what: &str) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => error,
        Err(error) => match error.downcast::<storage::Error>() {
            Ok(error) => error.into(),
            Err(source) => Error::File { path: what.into(), source },
        },
    }
}

/// An image whose layers are in the store.
pub(crate) struct NewImage {
    /// The bytes the digests are made from.
    pub(crate) manifest: Vec<u8>,
    pub(crate) config: Vec<u8>,
    /// Chain ids, bottom first.
    pub(crate) layers: Vec<Digest>,
    /// Full names to give it.
    pub(crate) names: Vec<String>,
    /// Names of repositories it is known in by its digest.
    pub(crate) repositories: Vec<String>,
    pub(crate) parent: Option<String>,
}

/// Writes the record, or renews the one there is, and points the names at it.
pub(crate) fn image(store: &Store, _adding: &FileLock, new: NewImage) -> Result<Image> {
    let id = Digest::of(&new.config).hex().to_owned();
    let digest = Digest::of(&new.manifest);
    let bad = |reason: String| Error::BadImage { reference: id.clone(), reason };
    let manifest: Value =
        serde_json::from_slice(&new.manifest).map_err(|error| bad(format!("the manifest is no JSON: {error}")))?;
    let config: Value =
        serde_json::from_slice(&new.config).map_err(|error| bad(format!("the configuration is no JSON: {error}")))?;
    // As Podman counts, whose store has the manifest under two keys.
    let mut size = (new.config.len() + 2 * new.manifest.len()) as u64;
    for chain_id in &new.layers {
        let layer = store.layer(chain_id)?.ok_or_else(|| bad(format!("layer {chain_id} is missing")))?;
        size += layer.size;
    }
    let created = config.get("created").and_then(Value::as_str).and_then(|text| text.parse().ok());
    let mut record = ImageRecord {
        id: id.clone(),
        digest: digest.clone(),
        repo_digests: new.repositories.iter().map(|repository| format!("{repository}@{digest}")).collect(),
        created: created.unwrap_or(Timestamp::UNIX_EPOCH),
        stored: Timestamp::now(),
        layers: new.layers,
        size,
        parent: new.parent,
        name_history: Vec::new(),
        manifest,
        config,
    };
    // A record that cannot be read back must not be written.
    record::image_of(record.clone(), Vec::new())?;
    store.settle(&record.layers)?;
    store.put_blob(&new.config)?;
    store.put_blob(&new.manifest)?;

    let _lock = store.lock()?;
    if let Some(old) = record::read(store, &id)? {
        // An archive does not know better than the registry the image is from.
        if new.repositories.is_empty() && !old.repo_digests.is_empty() {
            record.digest = old.digest;
            record.manifest = old.manifest;
        }
        record.stored = old.stored;
        record.parent = record.parent.or(old.parent);
        record.repo_digests.extend(old.repo_digests);
        record.name_history = old.name_history;
    }
    dedup(&mut record.repo_digests);
    remember(&mut record.name_history, &new.names);
    record::write(store, &record)?;
    for name in &new.names {
        names::point(store, name, &id)?;
    }
    drop(_lock);
    find::get(store, &format!("sha256:{id}"))
}

/// The name given last comes first.
pub(crate) fn remember(history: &mut Vec<String>, names: &[String]) {
    history.splice(0..0, names.iter().rev().cloned());
    dedup(history);
}

/// Keeps the first of equals.
fn dedup(list: &mut Vec<String>) {
    let mut seen = std::collections::HashSet::new();
    list.retain(|entry| seen.insert(entry.clone()));
}

/// Layers that Linux mounts over each other: `OVL_MAX_STACK` of its overlay file system.
const DEEPEST: usize = 500;

/// The diff ids a configuration lists, bottom first: as many as can be mounted.
pub(crate) fn diff_ids(config: &[u8], reference: &str) -> Result<Vec<Digest>> {
    let bad = |reason: String| Error::BadImage { reference: reference.to_owned(), reason };
    let config: Value =
        serde_json::from_slice(config).map_err(|error| bad(format!("the configuration is no JSON: {error}")))?;
    let list = config.pointer("/rootfs/diff_ids").and_then(Value::as_array);
    let list = list.ok_or_else(|| bad("the configuration has no rootfs.diff_ids: it is no image to run".to_owned()))?;
    if list.len() > DEEPEST {
        return Err(bad(format!("it has {} layers, and Linux mounts {DEEPEST} at most", list.len())));
    }
    list.iter()
        .map(|entry| {
            let text = entry.as_str().unwrap_or_default();
            text.parse().map_err(|_| bad(format!("{text:?} in rootfs.diff_ids is no digest")))
        })
        .collect()
}

/// The chain ids that follow from diff ids.
pub(crate) fn chain_ids(diff_ids: &[Digest]) -> Vec<Digest> {
    let mut chain: Vec<Digest> = Vec::with_capacity(diff_ids.len());
    for diff_id in diff_ids {
        chain.push(storage::chain_id(chain.last(), diff_id));
    }
    chain
}
