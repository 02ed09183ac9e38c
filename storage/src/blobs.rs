//! Content by digest: `ROOT/blobs/ALGORITHM/HEX`.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::digest::{Algorithm, Digest, Hasher};
use crate::error::{At, Error, Result};
use crate::staging::Staging;
use crate::store::{Store, make_private_dir};

impl Store {
    /// Where the blob is or would be.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.found_beside(&blob_name(digest))
    }

    fn own_blob_path(&self, digest: &Digest) -> PathBuf {
        self.image_path(blob_name(digest))
    }

    pub fn has_blob(&self, digest: &Digest) -> bool {
        self.blob_path(digest).exists()
    }

    /// Opens a blob to read; [`Error::NotFound`] names its digest.
    pub fn open_blob(&self, digest: &Digest) -> Result<File> {
        let path = self.blob_path(digest);
        match File::open(&path) {
            Ok(file) => Ok(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(Error::NotFound { kind: "blob", name: digest.to_string() })
            }
            Err(error) => Err(Error::io("cannot open", &path, error)),
        }
    }

    /// Reads a small blob (a manifest, a configuration) and verifies it: a damaged one is an error that says so.
    pub fn read_blob(&self, digest: &Digest) -> Result<Vec<u8>> {
        let path = self.blob_path(digest);
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut self.open_blob(digest)?, &mut bytes).at("cannot read", &path)?;
        let mut hasher = Hasher::new(digest.algorithm());
        hasher.update(&bytes);
        if hasher.finish() != *digest {
            return Err(Error::Damaged { path, why: "its content has another digest".to_owned() });
        }
        Ok(bytes)
    }

    /// Stores bytes and returns their sha256 digest.
    pub fn put_blob(&self, bytes: &[u8]) -> Result<Digest> {
        let digest = Digest::of(bytes);
        if self.has_blob(&digest) {
            return Ok(digest);
        }
        let mut writer = self.blob_writer()?;
        let path = writer.path.clone();
        writer.write_all(bytes).at("cannot write", &path)?;
        writer.commit(Some(&digest))
    }

    /// A new blob, hashed with sha256 while it is written.
    pub fn blob_writer(&self) -> Result<BlobWriter> {
        self.blob_writer_for(Algorithm::Sha256)
    }

    /// A new blob under another hash function.
    pub fn blob_writer_for(&self, algorithm: Algorithm) -> Result<BlobWriter> {
        let staging = self.staging()?;
        let path = staging.path().join("blob");
        let file = File::create_new(&path).at("cannot create", &path)?;
        Ok(BlobWriter { store: self.clone(), file, hasher: Hasher::new(algorithm), size: 0, path, staging })
    }

    /// Takes over a file of a [staging](Store::staging) directory as a blob, and returns its bytes. With another digest than
    /// `expected` it stays where it is.
    pub fn adopt_blob(&self, path: &Path, expected: &Digest) -> Result<u64> {
        let mut file = File::open(path).at("cannot open", path)?;
        let mut hasher = Hasher::new(expected.algorithm());
        let size = hasher.read_from(&mut file).at("cannot read", path)?;
        let found = hasher.finish();
        if found != *expected {
            return Err(Error::Mismatch {
                what: "the digest of the content".to_owned(),
                expected: expected.to_string(),
                found: found.to_string(),
            });
        }
        file.sync_data().at("cannot sync", path)?;
        let dest = self.own_blob_path(expected);
        if let Some(dir) = dest.parent() {
            make_private_dir(dir)?;
        }
        fs::rename(path, &dest).at("cannot commit to", &dest)?;
        Ok(size)
    }

    /// Removes a blob; an absent one is fine.
    pub fn remove_blob(&self, digest: &Digest) -> Result<()> {
        let path = self.own_blob_path(digest);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("cannot remove", &path, error)),
            _ => Ok(()),
        }
    }

    /// Every blob there is.
    pub fn blobs(&self) -> Result<Vec<Digest>> {
        let mut blobs = Vec::new();
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            for name in crate::staging::entries_of(&self.image_path("blobs").join(algorithm.as_str()))? {
                let Some(name) = name.to_str() else { continue };
                if let Ok(digest) = format!("{}:{name}", algorithm.as_str()).parse() {
                    blobs.push(digest);
                }
            }
        }
        blobs.sort();
        Ok(blobs)
    }
}

fn blob_name(digest: &Digest) -> PathBuf {
    Path::new("blobs").join(digest.algorithm().as_str()).join(digest.hex())
}

/// A blob being written. Dropped without [`commit`](BlobWriter::commit) it leaves nothing.
#[derive(Debug)]
pub struct BlobWriter {
    store: Store,
    file: File,
    hasher: Hasher,
    size: u64,
    path: PathBuf,
    staging: Staging,
}

impl BlobWriter {
    /// Bytes written so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Puts the blob in its place. With another digest than `expected` nothing is stored.
    ///
    /// The data is on disk before the name is there, so that a crash of the host cannot leave a short blob under a
    /// good name.
    pub fn commit(self, expected: Option<&Digest>) -> Result<Digest> {
        let BlobWriter { store, file, hasher, path, staging, .. } = self;
        let digest = hasher.finish();
        if let Some(expected) = expected
            && *expected != digest
        {
            return Err(Error::Mismatch {
                what: "the digest of the content".to_owned(),
                expected: expected.to_string(),
                found: digest.to_string(),
            });
        }
        if !store.has_blob(&digest) {
            let dest = store.own_blob_path(&digest);
            file.sync_data().at("cannot sync", &path)?;
            if let Some(dir) = dest.parent() {
                make_private_dir(dir)?;
            }
            fs::rename(&path, &dest).at("cannot commit to", &dest)?;
        }
        drop(staging);
        Ok(digest)
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
