//! Images into an archive or a directory.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Seek, Write};
use std::path::Path;
use std::str::FromStr;

use serde_json::{Value, json};
use storage::{Digest, Staging, Store};

use crate::commit::{BlobDescriptor, Format, Packing, base_layers, write_manifest};
use crate::error::{Error, Result};
use crate::image::Image;
use crate::progress::{Progress, Report};
use crate::reference::Reference;
use crate::{events, find, save_legacy, skopeo, tag, view};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SaveFormat {
    #[default]
    DockerArchive,
    OciArchive,
    OciDir,
    DockerDir,
}

impl SaveFormat {
    fn word(self) -> &'static str {
        match self {
            SaveFormat::DockerArchive => "docker-archive",
            SaveFormat::OciArchive => "oci-archive",
            SaveFormat::OciDir => "oci-dir",
            SaveFormat::DockerDir => "docker-dir",
        }
    }
}

impl FromStr for SaveFormat {
    type Err = Error;

    fn from_str(text: &str) -> Result<SaveFormat> {
        match text {
            "docker-archive" | "" => Ok(SaveFormat::DockerArchive),
            "oci-archive" => Ok(SaveFormat::OciArchive),
            "oci-dir" => Ok(SaveFormat::OciDir),
            "docker-dir" => Ok(SaveFormat::DockerDir),
            _ => Err(Error::InvalidValue {
                what: "save format",
                value: text.to_owned(),
                reason: "use docker-archive, oci-archive, oci-dir or docker-dir".to_owned(),
            }),
        }
    }
}

#[derive(Clone, Debug, Default)]
pub struct SaveOptions {
    pub format: SaveFormat,
    /// Several images in one archive; without it further names are names of the first image.
    pub multi_image: bool,
    /// Compress the layers of a directory.
    pub compress: bool,
    /// Write the layers of an OCI archive or directory without compression.
    pub uncompressed: bool,
    pub progress: Progress,
}

/// Where to.
pub enum SaveTarget<'a> {
    /// Archives only.
    Stream(&'a mut dyn Write),
    Path(&'a Path),
}

/// Writes images. Without `multi_image` the first name is the image, and further ones are names to save it under.
pub fn save(store: &Store, names: &[&str], target: SaveTarget<'_>, options: &SaveOptions) -> Result<()> {
    let mut chosen: Vec<(Image, Vec<String>)> = Vec::new();
    for (at, name) in names.iter().enumerate() {
        if at > 0 && !options.multi_image {
            chosen[0].1.push(name.parse::<Reference>()?.local().to_string());
            continue;
        }
        let image = find::get(store, name)?;
        // Typed by id, it has no name in the archive.
        let tag: Vec<String> = tag::name_of(&image, name).ok().filter(|name| !name.contains('@')).into_iter().collect();
        match chosen.iter_mut().find(|(known, _)| known.id == image.id) {
            Some((_, tags)) => tags.extend(tag),
            None => chosen.push((image, tag)),
        }
    }
    let invalid = |reason: &str| {
        Err(Error::InvalidValue { what: "save request", value: names.join(" "), reason: reason.to_owned() })
    };
    let written_to = match &target {
        SaveTarget::Stream(_) => String::new(),
        SaveTarget::Path(path) => path.to_string_lossy().into_owned(),
    };
    match (options.format, target) {
        _ if chosen.is_empty() => invalid("no image is named"),
        (SaveFormat::OciArchive | SaveFormat::OciDir | SaveFormat::DockerDir, _) if chosen.len() > 1 => {
            Err(Error::OneImageOnly { format: options.format.word() })
        }
        (SaveFormat::OciDir | SaveFormat::DockerDir, SaveTarget::Stream(_)) => {
            invalid("a directory needs a path to write to")
        }
        (SaveFormat::DockerArchive, SaveTarget::Stream(out)) => docker_archive(store, &chosen, out),
        (SaveFormat::OciArchive, SaveTarget::Stream(out)) => oci_archive(store, &chosen[0], options, out),
        (SaveFormat::DockerArchive, SaveTarget::Path(path)) => {
            into_file(path, |out| docker_archive(store, &chosen, out))
        }
        (SaveFormat::OciArchive, SaveTarget::Path(path)) => {
            into_file(path, |out| oci_archive(store, &chosen[0], options, out))
        }
        (SaveFormat::OciDir, SaveTarget::Path(path)) => oci_directory(store, &chosen[0], options, path),
        (SaveFormat::DockerDir, SaveTarget::Path(path)) => docker_directory(store, &chosen[0].0, options, path),
    }?;
    let report = Report::new(options.progress);
    for (image, _) in &chosen {
        for diff_id in image.config.rootfs().diff_ids() {
            report.line(&format!("Copying blob {diff_id}"));
        }
        report.line(&format!("Copying config sha256:{}", image.id));
        report.line("Writing manifest to image destination");
        events::record(store, "save", &image.id, &written_to);
    }
    Ok(store.sweep()?)
}

/// A file that is only there when it is whole; a device or pipe is written as it is.
fn into_file(path: &Path, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let special = fs::metadata(path).is_ok_and(|there| !there.is_file());
    let temporary = match special {
        true => path.to_owned(),
        false => {
            let mut name = path.as_os_str().to_owned();
            name.push(".part");
            name.into()
        }
    };
    let mut out = BufWriter::with_capacity(1 << 20, File::create(&temporary).map_err(Error::file(path))?);
    let written = write(&mut out).and_then(|()| out.flush().map_err(Error::file(&temporary)));
    match written {
        Ok(()) if special => Ok(()),
        Ok(()) => fs::rename(&temporary, path).map_err(Error::file(path)),
        Err(error) => {
            if !special {
                let _ = fs::remove_file(&temporary);
            }
            Err(error)
        }
    }
}

/// The uncompressed layer: its blob, or a decompressed copy in staging.
fn plain_layer(store: &Store, layer: &BlobDescriptor, staging: &Staging) -> Result<(File, u64)> {
    let mut blob = store.open_blob(&layer.digest)?;
    if layer.packing == Packing::Plain {
        return Ok((blob, layer.size));
    }
    let path = staging.path().join("layer");
    let mut copy =
        File::options().read(true).write(true).create(true).truncate(true).open(&path).map_err(Error::file(&path))?;
    blob.rewind().map_err(Error::file(&path))?;
    let mut plain = storage::decompress(Box::new(blob))?;
    let size = io::copy(&mut plain, &mut copy).map_err(Error::file(&path))?;
    copy.rewind().map_err(Error::file(&path))?;
    Ok((copy, size))
}

fn add(archive: &mut tar::Builder<&mut dyn Write>, name: &str, size: u64, content: impl Read) -> Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_mode(0o644);
    header.set_size(size);
    // No times and no owners: the same image gives the same archive.
    header.set_mtime(0);
    archive.append_data(&mut header, name, content).map_err(Error::file("the archive"))
}

pub(crate) fn add_bytes(archive: &mut tar::Builder<&mut dyn Write>, name: &str, bytes: &[u8]) -> Result<()> {
    add(archive, name, bytes.len() as u64, bytes)
}

fn docker_archive(store: &Store, chosen: &[(Image, Vec<String>)], out: &mut dyn Write) -> Result<()> {
    let staging = store.staging()?;
    let mut archive = tar::Builder::new(out);
    let mut written = HashSet::new();
    let mut entries = Vec::new();
    let mut repositories = serde_json::Map::new();
    for (image, tags) in chosen {
        let diff_ids = image.config.rootfs().diff_ids();
        let mut members = Vec::new();
        for (layer, diff_id) in base_layers(store, image)?.iter().zip(diff_ids) {
            let name = format!("{}.tar", diff_id.rsplit(':').next().unwrap_or(diff_id));
            if written.insert(name.clone()) {
                let (content, size) = plain_layer(store, layer, &staging)?;
                add(&mut archive, &name, size, content)?;
            }
            members.push(name);
        }
        let config = format!("{}.json", image.id);
        if written.insert(config.clone()) {
            add_bytes(&mut archive, &config, &store.read_blob(&Digest::sha256(&image.id)?)?)?;
        }
        if let Some(top) = save_legacy::directories(&mut archive, &mut written, image, &members)? {
            save_legacy::note(&mut repositories, tags, &top);
        }
        entries.push(json!({ "Config": config, "RepoTags": tags, "Layers": members }));
    }
    add_bytes(&mut archive, "manifest.json", Value::Array(entries).to_string().as_bytes())?;
    add_bytes(&mut archive, "repositories", Value::Object(repositories).to_string().as_bytes())?;
    archive.into_inner().and_then(|out| out.flush()).map_err(Error::file("the archive"))
}

/// What an OCI layout holds besides the layers.
struct Layout {
    manifest: Vec<u8>,
    config: Vec<u8>,
    index: Vec<u8>,
    layers: Vec<BlobDescriptor>,
}

const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

fn layout(store: &Store, image: &Image, tags: &[String], layers: Vec<BlobDescriptor>) -> Result<Layout> {
    let config = store.read_blob(&Digest::sha256(&image.id)?)?;
    let named: Vec<String> = image.manifest.layers().iter().map(|layer| layer.digest().to_string()).collect();
    let same = named.iter().eq(layers.iter().map(|layer| layer.digest.to_string()).collect::<Vec<_>>().iter());
    let oci = image.raw_manifest.get("mediaType").and_then(Value::as_str).is_none_or(|kind| kind.contains(".oci."));
    let annotations = image.raw_manifest.get("annotations").and_then(Value::as_object).into_iter().flatten();
    let annotations: Vec<(String, String)> =
        annotations.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect();
    let manifest = match same && oci {
        true => store.read_blob(&image.digest)?,
        false => write_manifest(Format::Oci, &config, &layers, &annotations),
    };
    let mut descriptor = json!({
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": Digest::of(&manifest).to_string(),
        "size": manifest.len(),
    });
    if let Some(tag) = tags.first() {
        descriptor["annotations"] = json!({ "org.opencontainers.image.ref.name": tag });
    }
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [descriptor],
    })
    .to_string()
    .into_bytes();
    Ok(Layout { manifest, config, index, layers })
}

/// The layers as they shall be written, and the uncompressed copies that this may take.
fn wanted_layers(store: &Store, image: &Image, options: &SaveOptions) -> Result<(Vec<BlobDescriptor>, FileOf)> {
    let mut layers = base_layers(store, image)?;
    let mut files = HashMap::new();
    if options.uncompressed {
        for (layer, diff_id) in layers.iter_mut().zip(image.config.rootfs().diff_ids()) {
            if layer.packing != Packing::Plain {
                let staging = store.staging()?;
                let (file, size) = plain_layer(store, layer, &staging)?;
                *layer = BlobDescriptor { digest: diff_id.parse()?, size, packing: Packing::Plain };
                files.insert(layer.digest.clone(), (file, staging));
            }
        }
    }
    Ok((layers, files))
}

type FileOf = HashMap<Digest, (File, Staging)>;

/// Hands every blob of a layout to `put`, with its path and size.
fn each_blob(
    store: &Store,
    layout: Layout,
    mut copies: FileOf,
    mut put: impl FnMut(&str, u64, &mut dyn Read) -> Result<()>,
) -> Result<()> {
    let path = |digest: &Digest| format!("blobs/{}/{}", digest.algorithm().as_str(), digest.hex());
    put("oci-layout", LAYOUT.len() as u64, &mut &*LAYOUT)?;
    let mut written = HashSet::new();
    for layer in &layout.layers {
        if written.insert(layer.digest.clone()) {
            match copies.remove(&layer.digest) {
                Some((mut file, _staging)) => put(&path(&layer.digest), layer.size, &mut file)?,
                None => put(&path(&layer.digest), layer.size, &mut store.open_blob(&layer.digest)?)?,
            }
        }
    }
    for bytes in [&layout.config, &layout.manifest] {
        put(&path(&Digest::of(bytes)), bytes.len() as u64, &mut bytes.as_slice())?;
    }
    put("index.json", layout.index.len() as u64, &mut layout.index.as_slice())
}

fn oci_archive(store: &Store, chosen: &(Image, Vec<String>), options: &SaveOptions, out: &mut dyn Write) -> Result<()> {
    let (layers, copies) = wanted_layers(store, &chosen.0, options)?;
    let layout = layout(store, &chosen.0, &chosen.1, layers)?;
    let mut archive = tar::Builder::new(out);
    each_blob(store, layout, copies, |name, size, content| add(&mut archive, name, size, content))?;
    archive.into_inner().and_then(|out| out.flush()).map_err(Error::file("the archive"))
}

fn oci_directory(store: &Store, chosen: &(Image, Vec<String>), options: &SaveOptions, dir: &Path) -> Result<()> {
    let (layers, copies) = wanted_layers(store, &chosen.0, options)?;
    let layout = layout(store, &chosen.0, &chosen.1, layers)?;
    each_blob(store, layout, copies, |name, _, content| {
        let path = dir.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(Error::file(parent))?;
        }
        let mut file = File::create(&path).map_err(Error::file(&path))?;
        io::copy(content, &mut file).map_err(Error::file(&path))?;
        Ok(())
    })
}

/// Docker's manifest needs converting here and there; skopeo knows all of it.
fn docker_directory(store: &Store, image: &Image, options: &SaveOptions, dir: &Path) -> Result<()> {
    let staging = store.staging()?;
    let view = staging.path().join("image");
    view::directory(store, image, &view)?;
    let mut command = skopeo::command();
    command.args(["--insecure-policy", "copy", "-q", "--format", "v2s2"]);
    if options.compress {
        command.arg("--dest-compress");
    }
    command.arg(format!("dir:{}", view.display())).arg(format!("dir:{}", dir.display()));
    skopeo::output(&mut command, &dir.display().to_string()).map(drop)
}
