//! The unpacking thread, which follows the fetchers.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use storage::{Digest, Limits, Store};

use super::turn::Turn;
use crate::error::{Error, Result};

/// What the fetchers and the unpacker know of each blob. Dropping it lets an unpacker that waits give up.
pub(super) struct Slots(pub(super) Arc<Vec<Slot>>);

impl Slots {
    pub(super) fn new(count: usize) -> Slots {
        Slots(Arc::new((0..count).map(|_| Slot::default()).collect()))
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        for slot in self.0.iter() {
            slot.fail_unless_stored();
        }
    }
}

#[derive(Default)]
pub(super) struct Slot {
    blob: Mutex<Blob>,
    changed: Condvar,
}

#[derive(Default)]
pub(super) enum Blob {
    #[default]
    Nothing,
    /// So many bytes can be read.
    Coming {
        file: File,
        bytes: u64,
    },
    /// In the store, or its layer is.
    Stored,
    Failed,
}

impl Slot {
    pub(super) fn set(&self, blob: Blob) {
        *self.lock() = blob;
        self.changed.notify_all();
    }

    pub(super) fn set_bytes(&self, count: u64) {
        if let Blob::Coming { bytes, .. } = &mut *self.lock() {
            *bytes = count;
        }
        self.changed.notify_all();
    }

    fn fail_unless_stored(&self) {
        let mut blob = self.lock();
        if !matches!(*blob, Blob::Stored) {
            *blob = Blob::Failed;
        }
        drop(blob);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Blob> {
        self.blob.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `answer` has something to say about the blob.
    fn wait<T>(&self, answer: impl Fn(&Blob) -> Option<T>) -> T {
        let mut blob = self.lock();
        loop {
            if let Some(found) = answer(&blob) {
                return found;
            }
            blob = self.changed.wait(blob).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// The unpacking thread: from the bottom up, as a layer needs those below it, each as soon as its first bytes are there.
pub(super) fn unpack_all(
    store: &Store,
    slots: &Arc<Vec<Slot>>,
    name: &str,
    blobs: &[Digest],
    diff_ids: &[Digest],
    chain: &[Digest],
) -> Result<()> {
    for (at, slot) in slots.iter().enumerate() {
        if store.layer(&chain[at])?.is_some() {
            continue;
        }
        let interrupted = || Error::Interrupted { what: format!("the pull of {name}") };
        // Of several pulls one unpacks, and the others find it done.
        let _turn = Turn::wait(store, &format!("layer-{}", chain[at].hex()))?;
        if store.layer(&chain[at])?.is_some() {
            continue;
        }
        let parent = at.checked_sub(1).map(|below| &chain[below]);
        let started = slot.wait(|blob| match blob {
            Blob::Nothing => None,
            Blob::Coming { .. } => Some(true),
            Blob::Stored => Some(false),
            Blob::Failed => Some(true),
        });
        let reader: Box<dyn Read + Send> = match started {
            true => Box::new(Follow {
                slots: Arc::clone(slots),
                at,
                store: store.clone(),
                blob: blobs[at].clone(),
                file: None,
                position: 0,
            }),
            false => Box::new(store.open_blob(&blobs[at])?),
        };
        let unpacked = storage::decompress(reader).and_then(|mut plain| {
            store.unpack_unsettled(parent, Some(&diff_ids[at]), Some(&blobs[at]), &mut plain, &Limits::default())
        });
        if let Err(error) = unpacked {
            // A blob that is not what it should be is the better reason, and is only known at its end.
            let whole = slot.wait(|blob| match blob {
                Blob::Nothing | Blob::Coming { .. } => None,
                Blob::Stored => Some(true),
                Blob::Failed => Some(false),
            });
            return Err(if whole { error.into() } else { interrupted() });
        }
    }
    Ok(())
}

/// Reads a blob while it comes, waiting where it has not come yet.
struct Follow {
    slots: Arc<Vec<Slot>>,
    at: usize,
    store: Store,
    blob: Digest,
    file: Option<File>,
    position: u64,
}

impl Read for Follow {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let position = self.position;
        // How far one may read; `None` when everything is there.
        let until = self.slots[self.at].wait(|blob| match blob {
            Blob::Nothing => None,
            Blob::Coming { bytes, .. } => (*bytes > position).then_some(Ok(Some(*bytes))),
            Blob::Stored => Some(Ok(None)),
            Blob::Failed => Some(Err(io::ErrorKind::UnexpectedEof)),
        })?;
        let file = match &self.file {
            Some(file) => file,
            None => {
                let open = || Ok::<_, io::Error>(self.store.open_blob(&self.blob)?);
                let file = match &*self.slots[self.at].lock() {
                    Blob::Coming { file, .. } => file.try_clone()?,
                    Blob::Nothing | Blob::Stored | Blob::Failed => open()?,
                };
                self.file.insert(file)
            }
        };
        let most = until.map_or(u64::MAX, |until| until - position).min(buffer.len() as u64);
        let most = usize::try_from(most).unwrap_or(buffer.len());
        let count = file.read_at(&mut buffer[..most], position)?;
        self.position += count as u64;
        Ok(count)
    }
}
