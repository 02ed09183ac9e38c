//! Layers and blobs that no image leads to any more.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use storage::{Digest, Durability, Record, Store, record as record_file};
use sys::lock::FileLock;

use crate::error::{Error, Result};
use crate::record::{self, ImageRecord};
use crate::worker;

/// How long what an interrupted pull has brought waits for another try.
const PATIENCE: Duration = Duration::from_secs(24 * 60 * 60);

/// What images, artifacts and interrupted pulls lead to.
#[derive(Clone, Debug, Default)]
pub struct Reachable {
    /// Chain ids.
    pub layers: HashSet<Digest>,
    pub blobs: HashSet<Digest>,
    /// Those of the blobs that artifacts need.
    pub artifacts: HashSet<Digest>,
    /// Of each of these lists one blob must be there: manifests, configurations, and the forms of a layer.
    pub needed: Vec<Vec<Digest>>,
}

/// Everything in the store that belongs to an image or artifact, or to a pull that was interrupted within the last day.
pub fn reachable(store: &Store) -> Result<Reachable> {
    let mut reachable = Reachable::default();
    for id in record::ids(store)? {
        if let Some(record) = record::read(store, &id)? {
            reach(store, &record, &mut reachable)?;
        }
    }
    reachable.blobs.extend(crate::lists::blobs(store)?);
    crate::artifacts::reach(store, &mut reachable)?;
    for (_, pull) in pulls(store)? {
        // What has not come yet is not missing.
        for layer in pull.layers {
            if store.layer(&layer)?.is_some() {
                reachable.layers.insert(layer);
            }
        }
        reachable.blobs.extend(pull.blobs);
    }
    Ok(reachable)
}

/// Removes what nothing [reaches](reachable), and returns the bytes given back. While a pull, load or commit is on its
/// way nothing is removed, as what it has brought so far belongs to no image yet; the next call takes it.
///
/// A layer under a container is kept by the container's image, which cannot be removed before the container.
pub fn collect_garbage(store: &Store) -> Result<u64> {
    let path = store.path("adding.lock");
    let Some(_alone) = FileLock::try_exclusive(&path).map_err(Error::file(&path))? else { return Ok(0) };
    for id in record::ids(store)? {
        // A removal that was killed before it could take the directory.
        if record::read(store, &id)?.is_none() {
            store.trash(&record::directory(store, &id))?;
        }
    }
    for (path, pull) in pulls(store)? {
        let age = Timestamp::now().duration_since(pull.started);
        if age > SignedDuration::try_from(PATIENCE).unwrap_or(SignedDuration::MAX) {
            fs::remove_file(&path).map_err(Error::file(path))?;
        }
    }
    worker::forget_turns(store)?;
    let Reachable { layers, blobs, .. } = reachable(store)?;
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

/// `ROOT/images/pulls/HEX.json`: what a pull will bring, there until its image is. One that was interrupted owns by it
/// what it has brought, so that the next try of the same image goes on from there.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct PullRecord {
    reference: String,
    started: Timestamp,
    layers: Vec<Digest>,
    blobs: Vec<Digest>,
}

impl Record for PullRecord {
    const VERSION: u32 = 1;
}

fn pulls_directory(store: &Store) -> PathBuf {
    store.image_path("images").join("pulls")
}

/// Announces a pull by the digest of its manifest.
pub(crate) fn announce(
    store: &Store,
    reference: &str,
    manifest: &Digest,
    layers: Vec<Digest>,
    blobs: Vec<Digest>,
) -> Result<()> {
    let dir = pulls_directory(store);
    fs::create_dir_all(&dir).map_err(Error::file(&dir))?;
    let pull = PullRecord { reference: reference.to_owned(), started: Timestamp::now(), layers, blobs };
    let path = dir.join(format!("{}.json", manifest.hex()));
    Ok(record_file::write(&path, &pull, Durability::Visible)?)
}

/// Its image is there, or nobody will try again.
pub(crate) fn retract(store: &Store, manifest: &Digest) -> Result<()> {
    remove_record(&pulls_directory(store).join(format!("{}.json", manifest.hex())))
}

/// The same for all that were announced under a name: what came was bad, and will not get better.
pub(crate) fn give_up(store: &Store, reference: &str) -> Result<()> {
    for (path, pull) in pulls(store)? {
        if pull.reference == reference {
            remove_record(&path)?;
        }
    }
    Ok(())
}

/// Forgets every pull that was interrupted; one that still runs keeps [`collect_garbage`] away by itself.
pub(crate) fn forget_pulls(store: &Store) -> Result<()> {
    pulls(store)?.iter().try_for_each(|(path, _)| remove_record(path))
}

fn remove_record(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::file(path)(error)),
        _ => Ok(()),
    }
}

fn pulls(store: &Store) -> Result<Vec<(PathBuf, PullRecord)>> {
    let dir = pulls_directory(store);
    let entries = match fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::file(dir)(error)),
    };
    let mut pulls = Vec::new();
    for entry in entries {
        let path = entry.map_err(Error::file(&dir))?.path();
        if path.extension().is_some_and(|extension| extension == "json")
            && let Ok(Some(pull)) = record_file::read_optional(&path)
        {
            pulls.push((path, pull));
        }
    }
    Ok(pulls)
}

/// Whether all that the image needs is in the store.
pub(crate) fn is_whole(store: &Store, record: &ImageRecord) -> Result<bool> {
    for layer in &record.layers {
        if store.layer(layer)?.is_none() {
            return Ok(false);
        }
    }
    let mut reachable = Reachable::default();
    reach(store, record, &mut reachable)?;
    Ok(reachable.needed.iter().all(|forms| forms.iter().any(|form| store.has_blob(form))))
}

fn reach(store: &Store, record: &ImageRecord, reachable: &mut Reachable) -> Result<()> {
    let named = record.manifest.get("layers").and_then(|layers| layers.as_array());
    let named: Vec<Digest> =
        named.into_iter().flatten().filter_map(|layer| layer.get("digest")?.as_str()?.parse().ok()).collect();
    for (at, chain_id) in record.layers.iter().enumerate() {
        reachable.layers.insert(chain_id.clone());
        if let Ok(Some(layer)) = store.layer(chain_id) {
            // Another image's blob may be the only one this layer has.
            let forms: Vec<Digest> =
                named.get(at).cloned().into_iter().chain(layer.blob).chain([layer.diff_id]).collect();
            reachable.blobs.extend(forms.iter().cloned());
            reachable.needed.push(forms);
        }
    }
    reachable.blobs.extend(named);
    for own in [record.digest.clone(), Digest::sha256(&record.id)?] {
        reachable.blobs.insert(own.clone());
        reachable.needed.push(vec![own]);
    }
    Ok(())
}
