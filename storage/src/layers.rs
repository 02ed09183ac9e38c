//! Unpacked layers: `ROOT/layers/CHAINHEX/{fs/,layer.json}`, and the pipeline that makes one of a stream: the caller's
//! thread reads (and inflates), one hashes, one writes.

use std::fs;
use std::io::{self, BufRead, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};

use crate::digest::{Algorithm, Digest, Hasher};
use crate::error::{At, Error, Result};
use crate::record::{self, Durability, Record};
use crate::rootfs::FUSE_MARK;
use crate::store::{Store, make_private_dir};
use crate::unpack::{Owners, Whiteouts, unpack};

/// Environment variables that raise the limits; the surface reads them.
pub const BYTES_SETTING: &str = "CREEL_LAYER_MAX_BYTES";
pub const ENTRIES_SETTING: &str = "CREEL_LAYER_MAX_ENTRIES";
pub const RATIO_SETTING: &str = "CREEL_LAYER_MAX_RATIO";

const RECORD: &str = "layer.json";
const FILES: &str = "fs";
const CHUNK: usize = 256 << 10;
/// Chunks under way at once.
const CHUNKS: usize = 16;

/// An unpacked layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// What identifies it: the layer on all those below it.
    pub chain_id: Digest,
    /// Digest of the uncompressed archive.
    pub diff_id: Digest,
    #[serde(default)]
    pub parent: Option<Digest>,
    /// Bytes of its uncompressed archive.
    pub size: u64,
    /// The compressed blob it came from, if it is known.
    #[serde(default)]
    pub blob: Option<Digest>,
    /// The boot in which it was unpacked, until its content is known to be on disk: after a crash it is not believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsettled: Option<String>,
}

impl Record for Layer {
    const VERSION: u32 = 1;
}

/// What an archive may ask for before it is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the uncompressed archive, and of what it unpacks to.
    pub max_bytes: u64,
    pub max_entries: u64,
    /// Bytes out for each compressed byte in, looked at after the first GiB; 0 is no limit.
    pub max_ratio: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { max_bytes: 256 << 30, max_entries: 4_000_000, max_ratio: 500 }
    }
}

impl Limits {
    /// The defaults, changed by the settings that are there ([`BYTES_SETTING`] and its sisters); `setting` is usually
    /// `|name| std::env::var(name).ok()`.
    pub fn from_settings(setting: impl Fn(&str) -> Option<String>) -> Result<Limits> {
        let mut limits = Limits::default();
        for (name, value) in [
            (BYTES_SETTING, &mut limits.max_bytes),
            (ENTRIES_SETTING, &mut limits.max_entries),
            (RATIO_SETTING, &mut limits.max_ratio),
        ] {
            if let Some(text) = setting(name) {
                let why = "a number is needed";
                *value = text.parse().map_err(|_| Error::Invalid { what: name, value: text, why })?;
            }
        }
        Ok(limits)
    }
}

/// Whether [`Store::unpack`] waits for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Settling {
    Now,
    Later,
}

/// The chain id of a layer (OCI image specification, config.md, "Layer ChainID").
pub fn chain_id(parent: Option<&Digest>, diff_id: &Digest) -> Digest {
    match parent {
        None => diff_id.clone(),
        Some(parent) => Digest::of(format!("{parent} {diff_id}").as_bytes()),
    }
}

impl Store {
    /// Where the files of a layer are.
    pub fn layer_path(&self, chain_id: &Digest) -> PathBuf {
        self.layer_dir(chain_id).join(FILES)
    }

    pub(crate) fn layer_dir(&self, chain_id: &Digest) -> PathBuf {
        self.found_beside(&Path::new("layers").join(chain_id.hex()))
    }

    fn own_layer_dir(&self, chain_id: &Digest) -> PathBuf {
        self.image_path("layers").join(chain_id.hex())
    }

    /// The layer, if it is there and whole.
    pub fn layer(&self, chain_id: &Digest) -> Result<Option<Layer>> {
        let layer: Option<Layer> = record::read_optional(&self.layer_dir(chain_id).join(RECORD))?;
        Ok(layer.filter(|layer| layer.unsettled.as_deref().is_none_or(|boot| boot == sys::process::boot_id())))
    }

    /// Every layer, by the hex digits of its chain id; a damaged record is an error in its own place.
    pub fn layers(&self) -> Result<Vec<(String, Result<Layer>)>> {
        record::read_each(&self.image_path("layers"), RECORD)
    }

    /// A layer and all those below it, bottom first.
    pub fn layer_chain(&self, top: &Digest) -> Result<Vec<Layer>> {
        let mut chain: Vec<Layer> = Vec::new();
        let mut next = Some(top.clone());
        while let Some(id) = next {
            let missing = || Error::NotFound { kind: "layer", name: id.to_string() };
            if chain.len() > 4096 {
                return Err(missing());
            }
            let layer = self.layer(&id)?.ok_or_else(missing)?;
            next = layer.parent.clone();
            chain.push(layer);
        }
        chain.reverse();
        Ok(chain)
    }

    /// Unpacks an uncompressed layer archive on top of `parent`, or finds it done. With another digest than
    /// `expected_diff_id`, or on any error, nothing is left.
    ///
    /// When it returns, the layer outlives a crash of the host: one syncfs(2), no fsync for each file. For several
    /// layers at once [`Store::unpack_unsettled`] and one [`Store::settle`] wait only once.
    pub fn unpack(
        &self,
        parent: Option<&Digest>,
        expected_diff_id: Option<&Digest>,
        blob: Option<&Digest>,
        tar: &mut dyn Read,
        limits: &Limits,
    ) -> Result<Layer> {
        self.unpack_as(parent, expected_diff_id, blob, tar, limits, Settling::Now)
    }

    /// As [`Store::unpack`], but the layer is only believed until the next boot, unless [`Store::settle`] is called.
    /// `parent` need not be settled either.
    pub fn unpack_unsettled(
        &self,
        parent: Option<&Digest>,
        expected_diff_id: Option<&Digest>,
        blob: Option<&Digest>,
        tar: &mut dyn Read,
        limits: &Limits,
    ) -> Result<Layer> {
        self.unpack_as(parent, expected_diff_id, blob, tar, limits, Settling::Later)
    }

    /// Waits until these layers are on disk and says so in their records. Call it before the record that names them is
    /// written.
    pub fn settle(&self, chain_ids: &[Digest]) -> Result<()> {
        let mut unsettled = Vec::new();
        for id in chain_ids {
            if let Some(layer) = self.layer(id)?
                && layer.unsettled.is_some()
            {
                unsettled.push(layer);
            }
        }
        if unsettled.is_empty() {
            return Ok(());
        }
        let dir = self.image_path("layers");
        sync_file_system(&dir)?;
        for mut layer in unsettled {
            layer.unsettled = None;
            record::write(&self.own_layer_dir(&layer.chain_id).join(RECORD), &layer, Durability::Visible)?;
        }
        // Short: only the records are new.
        sync_file_system(&dir)
    }

    /// Takes a layer away. Whether something still needs it is the caller's to know.
    pub fn remove_layer(&self, chain_id: &Digest) -> Result<()> {
        let link = self.short_link(chain_id);
        match fs::remove_file(&link) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::io("cannot remove", &link, error));
            }
            _ => {}
        }
        self.remove_shifted(chain_id)?;
        self.trash(&self.own_layer_dir(chain_id))
    }

    fn unpack_as(
        &self,
        parent: Option<&Digest>,
        expected_diff_id: Option<&Digest>,
        blob: Option<&Digest>,
        tar: &mut dyn Read,
        limits: &Limits,
        settling: Settling,
    ) -> Result<Layer> {
        if let Some(diff_id) = expected_diff_id
            && let Ok(Some(layer)) = self.layer(&chain_id(parent, diff_id))
        {
            return Ok(layer);
        }
        let below: Vec<PathBuf> = match parent {
            Some(parent) => {
                self.layer_chain(parent)?.iter().rev().map(|layer| self.layer_path(&layer.chain_id)).collect()
            }
            None => Vec::new(),
        };
        let owners = Owners::here(self.options().ignore_chown_errors)?;
        let staging = self.staging()?;
        let layer_dir = staging.join("layer");
        let files = layer_dir.join(FILES);
        for dir in [&layer_dir, &files] {
            fs::DirBuilder::new().mode(0o700).create(dir).at("cannot create", dir)?;
        }
        let root = rustix::fs::open(&files, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .at("cannot open", &files)?;
        let algorithm = expected_diff_id.map_or(Algorithm::Sha256, Digest::algorithm);
        let (diff_id, size, whiteouts) = pipeline(tar, algorithm, root, &files, &below, &owners, limits)?;
        if let Some(expected) = expected_diff_id
            && *expected != diff_id
        {
            return Err(Error::Mismatch {
                what: "the diff id of a layer".to_owned(),
                expected: expected.to_string(),
                found: diff_id.to_string(),
            });
        }
        if whiteouts == Whiteouts::Files {
            let mark = self.image_path(FUSE_MARK);
            fs::write(&mark, b"").at("cannot create", &mark)?;
        }
        let layer = Layer {
            chain_id: chain_id(parent, &diff_id),
            diff_id,
            parent: parent.cloned(),
            size,
            blob: blob.cloned(),
            unsettled: (settling == Settling::Later).then(|| sys::process::boot_id().to_owned()),
        };
        record::write(&layer_dir.join(RECORD), &layer, Durability::Visible)?;
        if settling == Settling::Now {
            sync_file_system(&layer_dir)?;
        }
        let layer = self.commit_layer(&layer_dir, layer)?;
        if settling == Settling::Now {
            // The name too: an image record may follow.
            let dir = self.image_path("layers");
            fs::File::open(&dir).and_then(|dir| dir.sync_all()).at("cannot sync", &dir)?;
        }
        Ok(layer)
    }

    /// Renames a finished layer into its place; of two writers the second takes what the first made.
    fn commit_layer(&self, staged: &Path, layer: Layer) -> Result<Layer> {
        let dest = self.own_layer_dir(&layer.chain_id);
        loop {
            match fs::rename(staged, &dest) {
                Ok(()) => {
                    self.link_layer(&layer.chain_id)?;
                    return Ok(layer);
                }
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists) =>
                {
                    match self.layer(&layer.chain_id) {
                        Ok(Some(there)) => return Ok(there),
                        // Not whole, or from before a crash: out of the way with it.
                        Ok(None) | Err(Error::Damaged { .. }) => self.trash(&dest)?,
                        Err(error) => return Err(error),
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => make_private_dir(&self.image_path("layers"))?,
                Err(error) => return Err(Error::io("cannot commit to", &dest, error)),
            }
        }
    }

    /// The short name of a layer for mount options, where 127 full ones would not fit in a page.
    pub(crate) fn short_link(&self, chain_id: &Digest) -> PathBuf {
        self.path(short_name(chain_id))
    }

    pub(crate) fn link_layer(&self, chain_id: &Digest) -> Result<()> {
        // Relative as long as it is in the root, which may be moved.
        let files = self.layer_path(chain_id);
        let target = match files.strip_prefix(&self.dirs().root) {
            Ok(inside) => Path::new("..").join(inside),
            Err(_) => files,
        };
        self.link(&self.short_link(chain_id), &target)
    }

    pub(crate) fn link(&self, link: &Path, target: &Path) -> Result<()> {
        loop {
            match std::os::unix::fs::symlink(target, link) {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    let there = fs::read_link(link).at("cannot read", link)?;
                    if there == target {
                        return Ok(());
                    }
                    // The same layer in another store, where this one had it before.
                    if there.parent().and_then(Path::file_name) == target.parent().and_then(Path::file_name) {
                        fs::remove_file(link).at("cannot remove", link)?;
                        continue;
                    }
                    // The digits of two chain ids agree: nobody gets there by accident.
                    return Err(Error::Damaged {
                        path: link.to_owned(),
                        why: "it belongs to another layer".to_owned(),
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => make_private_dir(&self.path("l"))?,
                Err(error) => return Err(Error::io("cannot create", link, error)),
            }
        }
    }
}

/// `l/` and 20 hex digits, relative to the root of the store.
pub(crate) fn short_name(chain_id: &Digest) -> PathBuf {
    Path::new("l").join(&chain_id.hex()[..20])
}

pub(crate) fn sync_file_system(path: &Path) -> Result<()> {
    let fd = rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .at("cannot open", path)?;
    rustix::fs::syncfs(fd).at("cannot sync", path)
}

/// Reads `tar` to its end, hashing and unpacking side by side.
fn pipeline(
    tar: &mut dyn Read,
    algorithm: Algorithm,
    root: OwnedFd,
    root_path: &Path,
    below: &[PathBuf],
    owners: &Owners,
    limits: &Limits,
) -> Result<(Digest, u64, Whiteouts)> {
    let (to_hash, hash_input) = sync_channel::<Arc<Vec<u8>>>(CHUNKS);
    let (to_writer, writer_input) = sync_channel::<Arc<Vec<u8>>>(CHUNKS);
    let (give_back, spare) = sync_channel::<Vec<u8>>(2 * CHUNKS);
    let give_back_hashed = give_back.clone();
    std::thread::scope(|scope| {
        let hashing = scope.spawn(move || {
            let mut hasher = Hasher::new(algorithm);
            for chunk in hash_input {
                hasher.update(&chunk);
                recycle(chunk, &give_back_hashed);
            }
            hasher.finish()
        });
        let writing = scope.spawn(move || {
            let mut input = Chunks { input: writer_input, give_back, current: None, used: 0 };
            let done = unpack(&mut input, root, root_path, below, owners, limits);
            if done.is_ok() {
                // The digest is over the padding after the archive too.
                while let Ok(buffer) = input.fill_buf()
                    && !buffer.is_empty()
                {
                    let count = buffer.len();
                    input.consume(count);
                }
            }
            done
        });
        let read = read_all(tar, limits, &to_hash, &to_writer, &spare);
        drop((to_hash, to_writer));
        let digest = hashing.join();
        let unpacked = writing.join();
        // Where both failed, the stream's own error is the cause and "ends in the middle" what came of it.
        let size = read?;
        match (digest, unpacked) {
            (Ok(digest), Ok(unpacked)) => unpacked.map(|whiteouts| (digest, size, whiteouts)),
            (Err(panic), _) | (_, Err(panic)) => std::panic::resume_unwind(panic),
        }
    })
}

fn read_all(
    tar: &mut dyn Read,
    limits: &Limits,
    to_hash: &SyncSender<Arc<Vec<u8>>>,
    to_writer: &SyncSender<Arc<Vec<u8>>>,
    spare: &Receiver<Vec<u8>>,
) -> Result<u64> {
    let stream = Path::new("the layer's stream");
    let mut total = 0u64;
    loop {
        let mut chunk = spare.try_recv().unwrap_or_default();
        chunk.resize(CHUNK, 0);
        let mut filled = 0;
        while filled < CHUNK {
            match tar.read(&mut chunk[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io("cannot read", stream, error)),
            }
        }
        if filled == 0 {
            return Ok(total);
        }
        total += filled as u64;
        if total > limits.max_bytes {
            let what = "the size of a layer archive";
            return Err(Error::Limit { what, limit: limits.max_bytes, setting: BYTES_SETTING });
        }
        chunk.truncate(filled);
        let chunk = Arc::new(chunk);
        if to_hash.send(chunk.clone()).is_err() || to_writer.send(chunk).is_err() {
            // The writer gave up and says why.
            return Ok(total);
        }
    }
}

/// The last user of a chunk gives its memory back.
fn recycle(chunk: Arc<Vec<u8>>, give_back: &SyncSender<Vec<u8>>) {
    if let Some(memory) = Arc::into_inner(chunk) {
        // The reader may be gone, or have enough.
        let _ = give_back.try_send(memory);
    }
}

struct Chunks {
    input: Receiver<Arc<Vec<u8>>>,
    give_back: SyncSender<Vec<u8>>,
    current: Option<Arc<Vec<u8>>>,
    used: usize,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = {
            let available = self.fill_buf()?;
            let count = available.len().min(buffer.len());
            buffer[..count].copy_from_slice(&available[..count]);
            count
        };
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Chunks {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.current.as_ref().is_none_or(|chunk| self.used >= chunk.len()) {
            if let Some(chunk) = self.current.take() {
                recycle(chunk, &self.give_back);
            }
            self.used = 0;
            self.current = self.input.recv().ok();
        }
        Ok(self.current.as_ref().map_or(&[], |chunk| &chunk[self.used..]))
    }

    fn consume(&mut self, count: usize) {
        self.used += count;
    }
}
