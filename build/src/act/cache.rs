//! Which image a step has come to before: `ROOT/builds/steps/KEY -> image id`.
//!
//! A key is made of the image below, what the step does with its variables replaced, and the content that it reads: no
//! times, no paths of the host. A fresh copy of the same tree finds the same images.

use std::path::PathBuf;

use images::Image;
use storage::{Algorithm, Hasher, Store};

use crate::error::Result;

/// The parts of a key, each told apart from the next by its length.
pub(super) struct Key(Hasher);

impl Key {
    /// `below` is the image that the step begins with.
    pub(super) fn new(below: Option<&Image>) -> Key {
        let mut key = Key(Hasher::new(Algorithm::Sha256));
        key.part("1");
        key.part(below.map_or("scratch", |image| &image.id));
        key
    }

    pub(super) fn part(&mut self, text: impl AsRef<[u8]>) {
        let bytes = text.as_ref();
        self.0.update(&bytes.len().to_le_bytes());
        self.0.update(bytes);
    }

    pub(super) fn finish(self) -> String {
        self.0.finish().hex().to_owned()
    }
}

fn dir(store: &Store) -> PathBuf {
    store.dirs().root.join("builds").join("steps")
}

/// The image that the step came to, if it is still there.
pub(super) fn find(store: &Store, key: &str) -> Result<Option<Image>> {
    match storage::names::resolve(&dir(store), key)? {
        Some(id) => Ok(images::find(store, &format!("sha256:{id}"))?),
        None => Ok(None),
    }
}

/// From now on the key leads to this image.
pub(super) fn remember(store: &Store, key: &str, image: &Image) -> Result<()> {
    match storage::names::reserve(&dir(store), key, &image.id) {
        Err(storage::Error::NameTaken { .. }) => Ok(storage::names::hand_over(&dir(store), key, &image.id)?),
        other => Ok(other?),
    }
}

/// Forgets the keys whose images are gone.
pub(super) fn sweep(store: &Store) -> Result<()> {
    let gone = |id: &str| matches!(images::find(store, &format!("sha256:{id}")), Ok(None));
    Ok(storage::names::sweep(&dir(store), gone).map(drop)?)
}
