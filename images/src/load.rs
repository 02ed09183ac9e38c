//! Images out of an archive or a directory, without any help from skopeo.

use std::path::Path;

use serde_json::json;
use storage::{Digest, Store};
use sys::lock::FileLock;

use crate::archive::{Archive, Found};
use crate::collect::collect_garbage;
use crate::deposit::{self, Deposited, NewImage};
use crate::error::{Error, Result};
use crate::image::Image;
use crate::places::Places;
use crate::platform::Platform;
use crate::progress::{Progress, Report};
use crate::reference::{Reference, Source, Transport};
use crate::{events, trust};

#[derive(Clone, Debug)]
pub struct LoadOptions {
    pub progress: Progress,
    pub platform: Option<Platform>,
    pub places: Places,
}

impl Default for LoadOptions {
    fn default() -> Self {
        LoadOptions { progress: Progress::default(), platform: None, places: Places::from_environment() }
    }
}

/// Loads every image of an archive (Docker or OCI, plain or compressed, `/dev/stdin` too) or directory (OCI layout,
/// `dir`), and returns what to show for each: its names, or `sha256:ID` where it has none.
pub fn load(store: &Store, path: &Path, options: &LoadOptions) -> Result<Vec<String>> {
    let loaded = load_all(store, path, options);
    // What a load that failed, or was killed before, has brought is nobody's.
    collect_garbage(store)?;
    store.sweep()?;
    loaded
}

fn load_all(store: &Store, path: &Path, options: &LoadOptions) -> Result<Vec<String>> {
    let archive = Archive::open(store, path)?;
    let report = Report::new(options.progress);
    let adding = store.adding()?;
    let mut loaded = Vec::new();
    for found in archive.images(options.platform.as_ref())? {
        let names = found.names.iter().map(|name| local_name(name)).collect::<Result<Vec<_>>>()?;
        let (transport, reference) = (archive.transport(), names.first().cloned());
        trust::admit(&options.places, &Source::Path { transport, path: path.to_owned(), reference })?;
        let image = store_found(store, &adding, &archive, found, names.clone().into(), &report, path)?;
        events::record(store, "loadfromarchive", &image.id, &path.to_string_lossy());
        match names.is_empty() {
            true => loaded.push(format!("sha256:{}", image.id)),
            false => loaded.extend(names),
        }
    }
    drop(adding);
    match loaded.is_empty() {
        true => Err(Error::BadArchive { path: path.to_owned(), reason: "there is no image in it".to_owned() }),
        false => Ok(loaded),
    }
}

/// What `pull oci:PATH:REF` and its like do: one image, by name or number where there are several.
pub(crate) fn load_one(
    store: &Store,
    transport: Transport,
    path: &Path,
    reference: Option<&str>,
    platform: Option<&Platform>,
    report: &Report,
) -> Result<Image> {
    let archive = Archive::open(store, path)?;
    let adding = store.adding()?;
    let found = choose(archive.images(platform)?, path, reference)?;
    let names = match (transport, reference.filter(|reference| !reference.starts_with('@'))) {
        (_, Some(reference)) => vec![local_name(reference)?],
        (Transport::DockerArchive | Transport::OciArchive, None) if !found.names.is_empty() => {
            found.names.iter().map(|name| local_name(name)).collect::<Result<Vec<_>>>()?
        }
        (_, None) => Vec::new(),
    };
    let image = store_found(store, &adding, &archive, found, names.into(), report, path)?;
    drop(adding);
    store.sweep()?;
    Ok(image)
}

/// A `dir` copy that skopeo has made, under the names the caller knows.
pub(crate) fn load_copy(
    store: &Store,
    dir: &Path,
    names: Vec<String>,
    repositories: Vec<String>,
    platform: Option<&Platform>,
    report: &Report,
) -> Result<Image> {
    let archive = Archive::open(store, dir)?;
    let adding = store.adding()?;
    let found = choose(archive.images(platform)?, dir, None)?;
    store_found(store, &adding, &archive, found, Names { names, repositories }, report, dir)
}

/// What an image is called here, and the repositories it is known in by digest.
pub(crate) struct Names {
    pub(crate) names: Vec<String>,
    pub(crate) repositories: Vec<String>,
}

impl From<Vec<String>> for Names {
    fn from(names: Vec<String>) -> Names {
        Names { names, repositories: Vec::new() }
    }
}

fn choose(mut images: Vec<Found>, path: &Path, reference: Option<&str>) -> Result<Found> {
    let bad = |reason: String| Error::BadArchive { path: path.to_owned(), reason };
    let at = match reference {
        None if images.len() == 1 => 0,
        None => {
            return Err(bad(format!("it holds {} images; say which one, as PATH:NAME or PATH:@NUMBER", images.len())));
        }
        Some(reference) => match reference.strip_prefix('@') {
            Some(number) => number.parse().map_err(|_| bad(format!("@{number} is no number")))?,
            None => {
                let same = |name: &String| name == reference || local_name(name).ok() == local_name(reference).ok();
                let at = images.iter().position(|image| image.names.iter().any(same));
                at.ok_or_else(|| bad(format!("there is no image {reference} in it")))?
            }
        },
    };
    match at < images.len() {
        true => Ok(images.swap_remove(at)),
        false => Err(bad(format!("it has only {} images", images.len()))),
    }
}

/// The full name of what an archive calls its image.
fn local_name(name: &str) -> Result<String> {
    Ok(name.parse::<Reference>()?.local().to_string())
}

/// Unpacks the layers and writes the record.
pub(crate) fn store_found(
    store: &Store,
    adding: &FileLock,
    archive: &Archive,
    found: Found,
    names: Names,
    report: &Report,
    path: &Path,
) -> Result<Image> {
    let label = path.display().to_string();
    let diff_ids = deposit::diff_ids(&found.config, &label)?;
    if diff_ids.len() != found.layers.len() {
        let reason = format!("{} layers for {} diff ids", found.layers.len(), diff_ids.len());
        return Err(Error::BadArchive { path: path.to_owned(), reason });
    }
    let chain = deposit::chain_ids(&diff_ids);
    report.line("Getting image source signatures");
    let layers = unpack_all(store, archive, &found, &diff_ids, &chain, report)?;
    report.line(&format!("Copying config sha256:{}", Digest::of(&found.config).hex()));
    let manifest = match found.manifest {
        Some(manifest) => manifest,
        None => docker_manifest(&found.config, &layers),
    };
    report.line("Writing manifest to image destination");
    let Names { names, repositories } = names;
    let new = NewImage { manifest, config: found.config, layers: chain, names, repositories, parent: None };
    deposit::image(store, adding, new)
}

/// From the bottom up: unpacking a layer needs those below it.
fn unpack_all(
    store: &Store,
    archive: &Archive,
    found: &Found,
    diff_ids: &[Digest],
    chain: &[Digest],
    report: &Report,
) -> Result<Vec<Deposited>> {
    let mut deposited = Vec::with_capacity(chain.len());
    for (at, (layer, diff_id)) in found.layers.iter().zip(diff_ids).enumerate() {
        let parent = at.checked_sub(1).map(|below| &chain[below]);
        report.line(&format!("Copying blob {}", layer.digest.as_ref().unwrap_or(diff_id)));
        deposited.push(one(store, archive, layer, parent, diff_id, &chain[at])?);
    }
    Ok(deposited)
}

/// One layer of an archive, unless the store has it with its blob.
fn one(
    store: &Store,
    archive: &Archive,
    found: &crate::archive::FoundLayer,
    parent: Option<&Digest>,
    diff_id: &Digest,
    chain_id: &Digest,
) -> Result<Deposited> {
    let known = match (&found.digest, store.layer(chain_id)?) {
        (Some(digest), Some(layer)) => Some((digest.clone(), layer)),
        // An archive without a digest for its layer: take the blob the layer came from.
        (None, Some(layer)) => layer.blob.clone().map(|blob| (blob, layer)),
        (_, None) => None,
    };
    if let Some((blob, layer)) = known
        && store.has_blob(&blob)
    {
        let path = store.blob_path(&blob);
        let size = std::fs::metadata(&path).map_err(Error::file(path))?.len();
        return Ok(Deposited { layer, blob, size });
    }
    deposit::layer(store, parent, Some(diff_id), found.digest.as_ref(), archive.read(&found.member)?)
}

/// A Docker archive has no manifest; its configuration is Docker's, so the manifest is too.
fn docker_manifest(config: &[u8], layers: &[Deposited]) -> Vec<u8> {
    let layers: Vec<_> = layers
        .iter()
        .map(|deposited| {
            let plain = deposited.blob == deposited.layer.diff_id;
            json!({
                "mediaType": match plain {
                    true => "application/vnd.docker.image.rootfs.diff.tar",
                    false => "application/vnd.docker.image.rootfs.diff.tar.gzip",
                },
                "size": deposited.size,
                "digest": deposited.blob.to_string(),
            })
        })
        .collect();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {
            "mediaType": "application/vnd.docker.container.image.v1+json",
            "size": config.len(),
            "digest": Digest::of(config).to_string(),
        },
        "layers": layers,
    });
    manifest.to_string().into_bytes()
}
