//! Records of artifacts on disk: `ROOT/artifacts/HEX.json` for each name, written once and replaced whole. HEX is the
//! digest of the name, as that may be longer than a file's.

use std::fs;
use std::io;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use storage::{Digest, Durability, Record, Store, record};

use super::manifest::Manifest;
use crate::collect::Reachable;
use crate::error::{Error, Result};

/// One name and what it stands for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Artifact {
    /// As it was typed: artifacts have no default registry and no default tag.
    pub name: String,
    /// Of the manifest's bytes.
    pub digest: Digest,
    pub stored: Timestamp,
    pub manifest: Manifest,
}

impl Record for Artifact {
    const VERSION: u32 = 1;
}

impl Artifact {
    /// The blobs that must be there: manifest, configuration and files.
    pub fn needs(&self) -> impl Iterator<Item = &Digest> {
        self.manifest.blobs().chain([&self.digest])
    }
}

fn directory(store: &Store) -> PathBuf {
    store.path("artifacts")
}

fn file(store: &Store, name: &str) -> PathBuf {
    directory(store).join(format!("{}.json", Digest::of(name.as_bytes()).hex()))
}

/// The artifact of exactly this name.
pub(super) fn read(store: &Store, name: &str) -> Result<Option<Artifact>> {
    Ok(record::read_optional(&file(store, name))?)
}

/// Writes or replaces a record. The caller holds the store's lock and the `adding` lock.
pub(super) fn write(store: &Store, artifact: &Artifact) -> Result<()> {
    let dir = directory(store);
    fs::create_dir_all(&dir).map_err(Error::file(&dir))?;
    Ok(record::write(&file(store, &artifact.name), artifact, Durability::Durable)?)
}

/// Each record, or what is wrong with it.
fn read_all(store: &Store) -> Result<Vec<Result<Artifact>>> {
    let dir = directory(store);
    let entries = match fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::file(dir)(error)),
    };
    let mut all = Vec::new();
    for entry in entries {
        let path = entry.map_err(Error::file(&dir))?.path();
        let named = path.file_name().is_some_and(|name| !name.as_encoded_bytes().starts_with(b"."));
        if named && path.extension().is_some_and(|extension| extension == "json") {
            match record::read_optional(&path) {
                Ok(artifact) => all.extend(artifact.map(Ok)),
                Err(error) => all.push(Err(error.into())),
            }
        }
    }
    Ok(all)
}

/// All artifacts, the one that came first before the others. One whose record is damaged is left out, with a warning.
pub fn list(store: &Store) -> Result<Vec<Artifact>> {
    let mut artifacts = Vec::new();
    for artifact in read_all(store)? {
        match artifact {
            Ok(artifact) => artifacts.push(artifact),
            Err(error) => tracing::warn!("left out an artifact: {error}"),
        }
    }
    artifacts.sort_by(|one, other| one.stored.cmp(&other.stored).then_with(|| one.name.cmp(&other.name)));
    Ok(artifacts)
}

/// The artifact of a name, or of the beginning of a digest's hexadecimal digits; `None` where there is none. Several names
/// of one artifact are no question; a beginning that several artifacts have is an error.
pub fn find(store: &Store, name: &str) -> Result<Option<Artifact>> {
    if let Some(artifact) = read(store, name)? {
        return Ok(Some(artifact));
    }
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)) {
        return Ok(None);
    }
    let mut found = list(store)?;
    found.retain(|artifact| artifact.digest.hex().starts_with(name));
    if let Some(first) = found.first()
        && found.iter().any(|other| other.digest != first.digest)
    {
        let candidates = found.iter().map(|artifact| artifact.digest.hex()[..12].to_owned()).collect();
        return Err(Error::Ambiguous { name: name.to_owned(), candidates });
    }
    Ok(found.into_iter().next())
}

/// Like [`find`], but not finding it is the error `X: artifact does not exist`.
pub fn get(store: &Store, name: &str) -> Result<Artifact> {
    find(store, name)?.ok_or_else(|| Error::ArtifactNotFound { name: name.to_owned() })
}

/// Takes an artifact away, under this one name. Its content goes with the next [`crate::collect_garbage`] where nothing
/// else needs it.
pub fn remove(store: &Store, name: &str) -> Result<Artifact> {
    let _lock = store.lock()?;
    let artifact = get(store, name)?;
    let path = file(store, &artifact.name);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::file(path)(error)),
        _ => Ok(artifact),
    }
}

/// What artifacts keep in the store. A damaged record is an error: what it names is not known, so nothing is unused.
pub(crate) fn reach(store: &Store, reachable: &mut Reachable) -> Result<()> {
    for artifact in read_all(store)? {
        let artifact = artifact?;
        for blob in artifact.needs() {
            reachable.blobs.insert(blob.clone());
            reachable.artifacts.insert(blob.clone());
            reachable.needed.push(vec![blob.clone()]);
        }
    }
    Ok(())
}
