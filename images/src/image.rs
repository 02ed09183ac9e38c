//! One image of the store, read whole from its record.

use std::collections::BTreeMap;

use jiff::Timestamp;
use oci_spec::image::{History, ImageConfiguration, ImageManifest};
use serde_json::Value;
use storage::Digest;

use crate::settings::Settings;
use crate::tag;

/// An image whose layers are all unpacked.
#[derive(Clone, Debug)]
pub struct Image {
    /// 64 hexadecimal digits, the digest of the configuration.
    pub id: String,
    /// Full names with tag, or with digest for one pulled by digest; the one given last comes first.
    pub names: Vec<String>,
    /// As the registry has it, or as we made it.
    pub manifest: ImageManifest,
    pub config: ImageConfiguration,
    /// How to run it, with Docker's additions.
    pub settings: Settings,
    /// The configuration as JSON, with every field that our types leave out.
    pub raw_config: Value,
    /// The manifest as JSON; may be Docker schema 2.
    pub raw_manifest: Value,
    pub created: Timestamp,
    /// When it came into this store.
    pub stored: Timestamp,
    /// Chain ids, bottom first.
    pub layers: Vec<Digest>,
    /// Digest of the manifest as the registry has it.
    pub digest: Digest,
    /// `repository@digest`.
    pub repo_digests: Vec<String>,
    /// Bytes of its uncompressed layers, configuration and manifest.
    pub size: u64,
    /// Id of the image this one was built on, when that happened here.
    pub parent: Option<String>,
    /// Names it had at any time, the one given last first; see [`Image::names_ever`].
    pub name_history: Vec<String>,
    /// It is in a store beside this one: seen and used, never changed.
    pub is_read_only: bool,
    /// A manifest list in the shape of an image: for tables of images, nothing of it can be run.
    pub is_list: bool,
}

impl Image {
    /// The first 12 digits of the id, as tables show it.
    pub fn short_id(&self) -> &str {
        &self.id[..12]
    }

    /// The names it has, oldest first, then those it had.
    pub fn names_ever(&self) -> Vec<String> {
        let former = self.name_history.iter().filter(|name| !self.names.contains(name));
        self.names.iter().rev().chain(former).cloned().collect()
    }

    /// Whether no name leads to it.
    pub fn is_untagged(&self) -> bool {
        self.names.is_empty()
    }

    /// Go's word for the processor, `amd64`.
    pub fn architecture(&self) -> &str {
        text(&self.raw_config, "architecture")
    }

    pub fn os(&self) -> &str {
        text(&self.raw_config, "os")
    }

    pub fn variant(&self) -> &str {
        text(&self.raw_config, "variant")
    }

    pub fn os_version(&self) -> &str {
        text(&self.raw_config, "os.version")
    }

    pub fn os_features(&self) -> Vec<String> {
        let features = self.raw_config.get("os.features").and_then(Value::as_array).into_iter().flatten();
        features.filter_map(|feature| feature.as_str().map(str::to_owned)).collect()
    }

    pub fn author(&self) -> &str {
        text(&self.raw_config, "author")
    }

    /// Docker's `comment`; the OCI's configuration has none, so there it is that of the oldest history entry.
    pub fn comment(&self) -> &str {
        let is_docker = text(&self.raw_manifest, "mediaType").contains(".docker.");
        match text(&self.raw_config, "comment") {
            "" if !is_docker => self.history().first().and_then(|entry| entry.comment().as_deref()).unwrap_or_default(),
            comment => comment,
        }
    }

    /// Its full name that was typed in short.
    pub fn full_name(&self, typed: &str) -> Option<String> {
        tag::name_of(self, typed).ok()
    }

    /// Annotations of its manifest.
    pub fn annotations(&self) -> BTreeMap<String, String> {
        let all = self.raw_manifest.get("annotations").and_then(Value::as_object).into_iter().flatten();
        all.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
    }

    /// Oldest first.
    pub fn history(&self) -> &[History] {
        self.config.history().as_deref().unwrap_or_default()
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}
