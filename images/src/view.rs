//! An image of the store as a `dir` directory, by links: what skopeo copies from.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::Value;
use storage::{Digest, Store};

use crate::commit::{BlobDescriptor, Format, Packing, base_layers, write_manifest};
use crate::error::{Error, Result};
use crate::image::Image;

/// The mark of a `dir` directory.
const VERSION: &[u8] = b"Directory Transport Version: 1.1\n";

/// What an image is made of, as it leaves the store.
pub(crate) struct Content {
    pub(crate) manifest: Vec<u8>,
    /// Configuration and layers, which the store has.
    pub(crate) blobs: Vec<Digest>,
}

/// The manifest is the registry's where all its blobs are here, else one that names those we have.
pub(crate) fn content(store: &Store, image: &Image) -> Result<Content> {
    let layers = base_layers(store, image)?;
    let config_digest = Digest::sha256(&image.id)?;
    let named = image.manifest.layers().iter().map(|layer| layer.digest().to_string());
    let manifest = match named.eq(layers.iter().map(|layer| layer.digest.to_string())) {
        true => store.read_blob(&image.digest)?,
        false => {
            let kind = image.raw_manifest.get("mediaType").and_then(Value::as_str).unwrap_or_default();
            let format = if kind.contains(".docker.") { Format::Docker } else { Format::Oci };
            write_manifest(format, &store.read_blob(&config_digest)?, &layers, &[])
        }
    };
    let blobs = std::iter::once(config_digest).chain(layers.into_iter().map(|layer| layer.digest)).collect();
    Ok(Content { manifest, blobs })
}

/// Makes the directory.
pub(crate) fn directory(store: &Store, image: &Image, dir: &Path) -> Result<()> {
    fs::create_dir(dir).map_err(Error::file(dir))?;
    let Content { manifest, blobs } = content(store, image)?;
    write_manifest_file(dir, &manifest)?;
    blobs.iter().try_for_each(|digest| link(store, dir, digest))
}

/// What a `dir` directory has beside its blobs.
pub(crate) fn write_manifest_file(dir: &Path, manifest: &[u8]) -> Result<()> {
    for (name, bytes) in [("version", VERSION), ("manifest.json", manifest)] {
        let path = dir.join(name);
        fs::write(&path, bytes).map_err(Error::file(path))?;
    }
    Ok(())
}

/// A blob of the store in a `dir` directory.
pub(crate) fn link(store: &Store, dir: &Path, digest: &Digest) -> Result<()> {
    // Whole, as the store may have been named relative to where we are.
    let blob = fs::canonicalize(store.blob_path(digest)).map_err(Error::file(store.blob_path(digest)))?;
    link_file(&blob, &dir.join(digest.hex()))
}

pub(crate) fn link_file(blob: &Path, link: &Path) -> Result<()> {
    match symlink(blob, link) {
        // The same layer twice, or one of two images.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        other => other.map_err(Error::file(link)),
    }
}

/// Moves what is in `from`, the `dir` directory of one image, into that of a list.
pub(crate) fn take_in(from: &Path, list: &Path, manifest: &Digest) -> Result<()> {
    for entry in fs::read_dir(from).map_err(Error::file(from))? {
        let entry = entry.map_err(Error::file(from))?;
        let name = entry.file_name();
        let to = match name.to_str() {
            Some("version") => continue,
            Some("manifest.json") => list.join(format!("{}.manifest.json", manifest.hex())),
            _ => list.join(&name),
        };
        let _ = fs::remove_file(&to);
        fs::rename(entry.path(), &to).map_err(Error::file(to))?;
    }
    Ok(())
}

/// The same with its layers decompressed, so that whoever reads it compresses them anew.
pub(crate) fn plain_directory(store: &Store, image: &Image, dir: &Path) -> Result<()> {
    fs::create_dir(dir).map_err(Error::file(dir))?;
    let config_digest = Digest::sha256(&image.id)?;
    let config = store.read_blob(&config_digest)?;
    let mut layers = base_layers(store, image)?;
    for (layer, diff_id) in layers.iter_mut().zip(image.config.rootfs().diff_ids()) {
        let diff_id: Digest = diff_id.parse()?;
        let path = dir.join(diff_id.hex());
        let mut plain = storage::decompress(Box::new(store.open_blob(&layer.digest)?))?;
        let mut file = fs::File::create(&path).map_err(Error::file(&path))?;
        let size = std::io::copy(&mut plain, &mut file).map_err(Error::file(&path))?;
        *layer = BlobDescriptor { digest: diff_id, size, packing: Packing::Plain };
    }
    let kind = image.raw_manifest.get("mediaType").and_then(Value::as_str).unwrap_or_default();
    let format = if kind.contains(".docker.") { Format::Docker } else { Format::Oci };
    write_manifest_file(dir, &write_manifest(format, &config, &layers, &[]))?;
    let path = dir.join(config_digest.hex());
    fs::write(&path, config).map_err(Error::file(path))
}
