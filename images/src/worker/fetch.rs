//! Layers on their way into the store, several at once.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use containers_image_proxy::{ImageProxy, OpenedImage};
use storage::{Digest, Hasher, Staging, Store};

use super::proxy::pump;
use super::turn::Turn;
use super::unpack::{Blob, Slots};
use super::{joined, line};
use crate::archive::Descriptor;
use crate::error::{Error, Result};
use crate::wire::{Event, send};

/// The layers of one image, fetched by several workers from the bottom up.
pub(super) struct Layers<'a> {
    pub(super) store: &'a Store,
    pub(super) proxy: &'a ImageProxy,
    pub(super) image: &'a OpenedImage,
    pub(super) name: &'a str,
    pub(super) descriptors: &'a [Descriptor],
    pub(super) chain: &'a [Digest],
    pub(super) slots: &'a Slots,
    pub(super) next: AtomicUsize,
}

impl Layers<'_> {
    pub(super) async fn work(&self) -> Result<()> {
        loop {
            let at = self.next.fetch_add(1, Ordering::Relaxed);
            if at >= self.descriptors.len() {
                return Ok(());
            }
            if let Err(error) = self.fetch(at).await {
                self.slots.0[at].set(Blob::Failed);
                return Err(error);
            }
        }
    }

    /// Brings one blob into the store, and lets the unpacker follow while it comes.
    async fn fetch(&self, at: usize) -> Result<()> {
        let (descriptor, slot) = (&self.descriptors[at], &self.slots.0[at]);
        let digest = &descriptor.digest;
        // A layer without any blob, left by a load that was killed, can be run but not pushed: then the blob is wanted.
        let done = |at: usize| -> Result<bool> {
            let layer = self.store.layer(&self.chain[at])?;
            Ok(layer.is_some_and(|layer| {
                layer.blob.iter().chain([&layer.diff_id, digest]).any(|form| self.store.has_blob(form))
            }))
        };
        if done(at)? {
            line(format!("Copying blob {digest}"));
            slot.set(Blob::Stored);
            return Ok(());
        }
        // Other pulls of the same blob wait for this one, and then find it here.
        let (store, wanted) = (self.store.clone(), digest.clone());
        let lock = joined(tokio::task::spawn_blocking(move || Turn::wait(&store, wanted.hex())).await)??;
        if self.store.has_blob(digest) || done(at)? {
            line(format!("Copying blob {digest}"));
            slot.set(Blob::Stored);
            return Ok(());
        }
        send(&Event::Blob { digest: digest.to_string(), total: descriptor.size });
        let mut download = Download::start(self.store, digest)?;
        slot.set(Blob::Coming { file: download.reader()?, bytes: 0 });
        pump(self.proxy, self.image, descriptor, self.name, |chunk| {
            download.write(chunk)?;
            slot.set_bytes(download.bytes);
            send(&Event::At { digest: digest.to_string(), bytes: download.bytes });
            Ok(())
        })
        .await?;
        let store = self.store.clone();
        joined(tokio::task::spawn_blocking(move || download.commit(&store)).await)??;
        slot.set(Blob::Stored);
        drop(lock);
        send(&Event::Finished { digest: digest.to_string() });
        Ok(())
    }
}

/// A blob on its way into the store: hashed while it is written, under its name only when whole and right.
struct Download {
    staging: Staging,
    file: File,
    path: PathBuf,
    hasher: Hasher,
    digest: Digest,
    bytes: u64,
}

impl Download {
    fn start(store: &Store, digest: &Digest) -> Result<Download> {
        let staging = store.staging()?;
        let path = staging.path().join("blob");
        let file = File::options().write(true).create_new(true).mode(0o600).open(&path).map_err(Error::file(&path))?;
        Ok(Download { staging, file, path, hasher: Hasher::new(digest.algorithm()), digest: digest.clone(), bytes: 0 })
    }

    /// For who reads what is already there.
    fn reader(&self) -> Result<File> {
        File::open(&self.path).map_err(Error::file(&self.path))
    }

    fn write(&mut self, chunk: &[u8]) -> Result<()> {
        self.file.write_all(chunk).map_err(Error::file(&self.path))?;
        self.hasher.update(chunk);
        self.bytes += chunk.len() as u64;
        Ok(())
    }

    /// The data is on disk before the name is there.
    fn commit(self, store: &Store) -> Result<()> {
        let found = self.hasher.finish();
        if found != self.digest {
            return Err(Error::DigestMismatch {
                what: "a blob".to_owned(),
                expected: self.digest.to_string(),
                found: found.to_string(),
            });
        }
        let dest = store.blob_path(&found);
        self.file.sync_data().map_err(Error::file(&self.path))?;
        if let Some(dir) = dest.parent() {
            std::fs::create_dir_all(dir).map_err(Error::file(dir))?;
        }
        std::fs::rename(&self.path, &dest).map_err(Error::file(&dest))?;
        drop(self.staging);
        Ok(())
    }
}
