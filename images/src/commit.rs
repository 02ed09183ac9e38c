//! A container's changes, or any other content, become an image.

use std::io::Read;
use std::path::Path;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use storage::{Digest, FileTimes, Limits, Store, TarOptions};

use crate::changes::apply_change;
use crate::deposit::{self, Deposited, NewImage};
use crate::error::{Error, Result};
use crate::image::Image;
use crate::platform::{self, Platform};
use crate::progress::{Progress, Report};
use crate::reference::Reference;
use crate::settings::Settings;

/// What the new image has above its base.
pub enum Content<'a> {
    /// Only another configuration.
    Nothing,
    /// The upper directory of an overlay.
    Upper(&'a Path),
    /// A whole root file system.
    Tree(&'a Path),
    /// What a container has changed in its base: its directory in the store, whatever driver it has.
    Container(&'a Path),
    /// A tar stream, compressed or not.
    Tar(Box<dyn Read + Send>),
}

/// How much history and how many layers stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Squash {
    /// One layer above those of the base.
    #[default]
    No,
    /// One layer in all; the content must then be a [`Content::Tree`] or the archive of one.
    All,
}

/// Which manifest and configuration are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    #[default]
    Oci,
    /// Docker schema 2.
    Docker,
}

/// One line of `history`.
#[derive(Clone, Debug, Default)]
pub struct HistoryEntry {
    pub created_by: String,
    pub comment: String,
    pub author: String,
}

/// A new image. Everything but `content` may be left at its default.
pub struct CommitRequest<'a> {
    pub base: Option<&'a Image>,
    pub content: Content<'a>,
    /// `None` takes those of the base.
    pub settings: Option<Settings>,
    /// `--change` instructions on top.
    pub changes: Vec<String>,
    pub author: Option<String>,
    /// The comment.
    pub message: Option<String>,
    pub created_by: String,
    /// Name of the base as the history shows it.
    pub from: Option<String>,
    /// Entries without a layer, written before the one of this commit (build's ENV, LABEL ...).
    pub history_before: Vec<HistoryEntry>,
    /// Now where `None`; also the time of the history entries.
    pub created: Option<Timestamp>,
    /// What becomes of the times of files in the new layer.
    pub file_times: FileTimes,
    pub annotations: Vec<(String, String)>,
    /// That of the base, else of this machine.
    pub platform: Option<Platform>,
    /// `None` keeps the base's.
    pub os_version: Option<String>,
    /// Beside the base's; one with `-` at its end is taken away.
    pub os_features: Vec<String>,
    pub format: Format,
    pub squash: Squash,
    /// Names to give it.
    pub names: Vec<String>,
    /// Leave all history out, that of the base too.
    pub omits_history: bool,
    /// Whether the record remembers `base` as its parent.
    pub keep_parent: bool,
    pub progress: Progress,
}

impl<'a> CommitRequest<'a> {
    pub fn new(base: Option<&'a Image>, content: Content<'a>) -> CommitRequest<'a> {
        CommitRequest {
            base,
            content,
            settings: None,
            changes: Vec::new(),
            author: None,
            message: None,
            created_by: String::new(),
            from: None,
            history_before: Vec::new(),
            created: None,
            file_times: FileTimes::Kept,
            annotations: Vec::new(),
            platform: None,
            os_version: None,
            os_features: Vec::new(),
            format: Format::Oci,
            squash: Squash::No,
            names: Vec::new(),
            omits_history: false,
            keep_parent: true,
            progress: Progress::Quiet,
        }
    }
}

/// Makes the image and gives it its names.
pub fn commit(store: &Store, request: CommitRequest<'_>) -> Result<Image> {
    let names = request.names.iter().map(|name| Ok(name.parse::<Reference>()?.local().to_string()));
    let names = names.collect::<Result<Vec<_>>>()?;
    let mut settings = match (&request.settings, request.base) {
        (Some(settings), _) => settings.clone(),
        (None, Some(base)) => base.settings.clone(),
        (None, None) => Settings::default(),
    };
    for change in &request.changes {
        apply_change(&mut settings, change)?;
    }
    let under = match request.squash {
        Squash::No => request.base,
        Squash::All => None,
    };
    if request.squash == Squash::All && !matches!(request.content, Content::Tree(_) | Content::Tar(_)) {
        return Err(Error::Unsupported {
            what: "squashing".to_owned(),
            reason: "it needs the whole root file system, not only what was changed".to_owned(),
        });
    }
    let created = request.created.unwrap_or_else(Timestamp::now);
    let mut config = Configuration::on(request.base, under, &request, created);
    config.set_settings(&settings)?;
    let mut chain: Vec<Digest> = under.map(|base| base.layers.clone()).unwrap_or_default();
    let mut layers = under.map(|base| base_layers(store, base)).transpose()?.unwrap_or_default();

    let report = Report::new(request.progress);
    report.line("Getting image source signatures");
    let below = under.map(|base| base.config.rootfs().diff_ids().as_slice()).unwrap_or_default();
    below.iter().for_each(|diff_id| report.line(&format!("Copying blob {diff_id}")));
    for entry in &request.history_before {
        config.add_history(entry, created, Layered::No);
    }
    let adding = store.adding()?;
    let from = request.from.as_ref().map(|from| format!("FROM {from}"));
    let message = request.message.clone();
    let comment = match request.format {
        // Docker's configuration has a place for the message.
        Format::Docker => {
            config.set_comment(message.as_deref());
            from.or(message)
        }
        Format::Oci => message.or(from),
    };
    let is_import = request.base.is_none() && matches!(request.content, Content::Tar(_));
    let mut entry = HistoryEntry {
        created_by: request.created_by.clone(),
        comment: comment.unwrap_or_default(),
        author: request.author.clone().unwrap_or_default(),
    };
    let times = TarOptions { times: request.file_times };
    match deposit_content(store, request.content, &chain, &times)? {
        Some(deposited) => {
            if is_import && entry.created_by.is_empty() {
                let hex = deposited.layer.diff_id.hex();
                entry.created_by = format!("/bin/sh -c #(nop) ADD file:{hex} in /");
            }
            report.line(&format!("Copying blob {}", deposited.layer.diff_id));
            config.add_history(&entry, created, Layered::Yes(&deposited.layer.diff_id));
            chain.push(deposited.layer.chain_id.clone());
            layers.push(BlobDescriptor::of(store, deposited)?);
        }
        None => config.add_history(&entry, created, Layered::No),
    }
    if request.omits_history {
        config.0.remove("history");
    }
    let config = Value::Object(config.0).to_string().into_bytes();
    let manifest = write_manifest(request.format, &config, &layers, &request.annotations);
    let parent = request.base.filter(|_| request.keep_parent).map(|base| base.id.clone());
    report.line(&format!("Copying config {}", Digest::of(&config)));
    report.line("Writing manifest to image destination");
    let new = NewImage { manifest, config, layers: chain, names, repositories: Vec::new(), parent };
    let image = deposit::image(store, &adding, new)?;
    drop(adding);
    store.sweep()?;
    Ok(image)
}

/// The layer of the new content, if it has one.
fn deposit_content(
    store: &Store,
    content: Content<'_>,
    below: &[Digest],
    options: &TarOptions,
) -> Result<Option<Deposited>> {
    let parent = below.last();
    let mut writer = store.blob_writer()?;
    match content {
        Content::Nothing => return Ok(None),
        Content::Tar(reader) => return deposit::layer(store, parent, None, None, reader).map(Some),
        Content::Upper(upper) => store.diff_tar_with(upper, &mut writer, options)?,
        Content::Tree(root) => store.tree_tar_with(root, &mut writer, options)?,
        Content::Container(dir) => store.container_diff_tar(below, dir, &mut writer, options)?,
    }
    let size = writer.size();
    let blob = writer.commit(None)?;
    let mut plain = store.open_blob(&blob)?;
    let layer = store.unpack_unsettled(parent, Some(&blob), Some(&blob), &mut plain, &Limits::default())?;
    Ok(Some(Deposited { layer, blob, size }))
}

/// A layer as a manifest names it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BlobDescriptor {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    pub(crate) packing: Packing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    Plain,
    Gzip,
    Zstd,
}

impl BlobDescriptor {
    fn of(store: &Store, deposited: Deposited) -> Result<BlobDescriptor> {
        BlobDescriptor::stored(store, deposited.blob)
    }

    /// One whose blob the store has.
    pub(crate) fn stored(store: &Store, digest: Digest) -> Result<BlobDescriptor> {
        let path = store.blob_path(&digest);
        let mut file = store.open_blob(&digest)?;
        let size = file.metadata().map_err(Error::file(&path))?.len();
        let mut magic = Vec::new();
        file.by_ref().take(4).read_to_end(&mut magic).map_err(Error::file(&path))?;
        let packing = match magic.as_slice() {
            [0x1f, 0x8b, ..] => Packing::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd] => Packing::Zstd,
            _ => Packing::Plain,
        };
        Ok(BlobDescriptor { digest, size, packing })
    }

    fn media_type(&self, format: Format) -> &'static str {
        match (format, self.packing) {
            (Format::Oci, Packing::Plain) => "application/vnd.oci.image.layer.v1.tar",
            (Format::Oci, Packing::Gzip) => "application/vnd.oci.image.layer.v1.tar+gzip",
            (Format::Oci, Packing::Zstd) => "application/vnd.oci.image.layer.v1.tar+zstd",
            (Format::Docker, Packing::Plain) => "application/vnd.docker.image.rootfs.diff.tar",
            (Format::Docker, Packing::Gzip) => "application/vnd.docker.image.rootfs.diff.tar.gzip",
            (Format::Docker, Packing::Zstd) => "application/vnd.docker.image.rootfs.diff.tar.zstd",
        }
    }
}

/// The blobs of an image's layers. Where the one its manifest names was never fetched, because another image had brought
/// the layer, the blob of that one stands in.
pub(crate) fn base_layers(store: &Store, base: &Image) -> Result<Vec<BlobDescriptor>> {
    let named: Vec<Digest> = base
        .manifest
        .layers()
        .iter()
        .map(|layer| layer.digest().to_string().parse())
        .collect::<storage::Result<_>>()?;
    let mut blobs = Vec::with_capacity(base.layers.len());
    for (at, chain_id) in base.layers.iter().enumerate() {
        let missing = || Error::BadImage {
            reference: base.names.first().unwrap_or(&base.id).clone(),
            reason: format!("the blob of its layer {} is not in the store; pull it again", at + 1),
        };
        let named = named.get(at).filter(|digest| store.has_blob(digest)).cloned();
        let blob = match named {
            Some(digest) => digest,
            None => store
                .layer(chain_id)?
                .and_then(|layer| layer.blob.into_iter().chain([layer.diff_id]).find(|digest| store.has_blob(digest)))
                .ok_or_else(missing)?,
        };
        blobs.push(BlobDescriptor::stored(store, blob)?);
    }
    Ok(blobs)
}

/// The bytes of a manifest.
pub(crate) fn write_manifest(
    format: Format,
    config: &[u8],
    layers: &[BlobDescriptor],
    annotations: &[(String, String)],
) -> Vec<u8> {
    let (manifest, configuration) = match format {
        Format::Oci => ("application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.config.v1+json"),
        Format::Docker => {
            ("application/vnd.docker.distribution.manifest.v2+json", "application/vnd.docker.container.image.v1+json")
        }
    };
    let layers: Vec<Value> = layers
        .iter()
        .map(|layer| {
            json!({ "mediaType": layer.media_type(format), "digest": layer.digest.to_string(), "size": layer.size })
        })
        .collect();
    let mut text = json!({
        "schemaVersion": 2,
        "mediaType": manifest,
        "config": { "mediaType": configuration, "digest": Digest::of(config).to_string(), "size": config.len() },
        "layers": layers,
    });
    if format == Format::Oci && !annotations.is_empty() {
        text["annotations"] =
            annotations.iter().map(|(key, value)| (key.clone(), json!(value))).collect::<Map<_, _>>().into();
    }
    text.to_string().into_bytes()
}

/// The image configuration while it is written. Fields we do not know stay as the base has them.
struct Configuration(Map<String, Value>);

fn set_features(config: &mut Map<String, Value>, wanted: &[String]) {
    let old = config.get("os.features").and_then(Value::as_array).into_iter().flatten();
    let mut features: Vec<String> = old.filter_map(|feature| feature.as_str().map(str::to_owned)).collect();
    for feature in wanted {
        let name = feature.strip_suffix('-').unwrap_or(feature);
        features.retain(|old| old != name);
        if name == feature {
            features.push(feature.clone());
        }
    }
    match features.is_empty() {
        true => _ = config.remove("os.features"),
        false => _ = config.insert("os.features".to_owned(), json!(features)),
    }
}

enum Layered<'a> {
    Yes(&'a Digest),
    No,
}

impl Configuration {
    /// Platform and unknown fields come from `base`, layers and history from `under`, which squashing leaves out.
    fn on(base: Option<&Image>, under: Option<&Image>, request: &CommitRequest<'_>, created: Timestamp) -> Self {
        let mut config = match base.map(|base| &base.raw_config) {
            Some(Value::Object(config)) => config.clone(),
            _ => Map::new(),
        };
        // What Docker's old builder noted about the container of the last step.
        for stale in [
            "container",
            "container_config",
            "docker_version",
            "id",
            "parent",
            "parent_id",
            "Size",
            "throwaway",
            "comment",
        ] {
            config.remove(stale);
        }
        config.insert("created".to_owned(), json!(created.to_string()));
        if let Some(author) = &request.author {
            config.insert("author".to_owned(), json!(author));
        }
        let wanted = request.platform.clone().unwrap_or_default();
        let mut set = |key: &str, value: Option<String>, default: Option<&str>| {
            if let Some(value) = value {
                config.insert(key.to_owned(), json!(value));
            } else if let (Some(default), false) = (default, config.contains_key(key)) {
                config.insert(key.to_owned(), json!(default));
            }
        };
        set("os", wanted.os, Some("linux"));
        let architecture = wanted.architecture.map(|text| platform::normalized(&text).to_owned());
        set("architecture", architecture, Some(platform::host_architecture()));
        set("variant", wanted.variant, None);
        set("os.version", request.os_version.clone(), None);
        set_features(&mut config, &request.os_features);
        let old =
            |pointer: &str| under.and_then(|under| under.raw_config.pointer(pointer)).filter(|old| old.is_array());
        let diff_ids = old("/rootfs/diff_ids").cloned().unwrap_or_else(|| json!([]));
        config.insert("rootfs".to_owned(), json!({ "type": "layers", "diff_ids": diff_ids }));
        let history = old("/history").cloned().unwrap_or_else(|| json!([]));
        config.insert("history".to_owned(), history);
        Configuration(config)
    }

    /// Replaces every field that [`Settings`] knows.
    fn set_settings(&mut self, settings: &Settings) -> Result<()> {
        let bad = |error: serde_json::Error| Error::BadImage {
            reference: "the new image".to_owned(),
            reason: error.to_string(),
        };
        let known = serde_json::to_value(Settings::complete()).map_err(bad)?;
        let fresh = serde_json::to_value(settings).map_err(bad)?;
        let mut all = match self.0.remove("config") {
            Some(Value::Object(all)) => all,
            _ => Map::new(),
        };
        all.retain(|key, _| known.get(key).is_none());
        if let Value::Object(fresh) = fresh {
            all.extend(fresh);
        }
        // Docker's old way to say the id of the image it was built on.
        all.remove("Image");
        all.remove("Hostname");
        self.0.insert("config".to_owned(), Value::Object(all));
        Ok(())
    }

    fn set_comment(&mut self, comment: Option<&str>) {
        if let Some(comment) = comment {
            self.0.insert("comment".to_owned(), json!(comment));
        }
    }

    fn add_history(&mut self, entry: &HistoryEntry, created: Timestamp, layered: Layered<'_>) {
        let mut line = Map::new();
        line.insert("created".to_owned(), json!(created.to_string()));
        for (key, text) in [("created_by", &entry.created_by), ("author", &entry.author), ("comment", &entry.comment)] {
            if !text.is_empty() {
                line.insert(key.to_owned(), json!(text));
            }
        }
        match layered {
            Layered::No => drop(line.insert("empty_layer".to_owned(), json!(true))),
            Layered::Yes(diff_id) => {
                if let Some(diff_ids) = self.0.get_mut("rootfs").and_then(|rootfs| rootfs["diff_ids"].as_array_mut()) {
                    diff_ids.push(json!(diff_id.to_string()));
                }
            }
        }
        if let Some(history) = self.0.get_mut("history").and_then(Value::as_array_mut) {
            history.push(Value::Object(line));
        }
    }
}
