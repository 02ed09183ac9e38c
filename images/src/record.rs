//! Records of images on disk: `ROOT/images/ID/image.json`, written once and replaced whole.

use std::fs;
use std::io;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use storage::{Digest, Durability, Record, Store, record};

use crate::error::{Error, Result};
use crate::image::Image;
use crate::names;

/// Names are not in it: they point here.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ImageRecord {
    pub(crate) id: String,
    pub(crate) digest: Digest,
    #[serde(default)]
    pub(crate) repo_digests: Vec<String>,
    pub(crate) created: Timestamp,
    pub(crate) stored: Timestamp,
    pub(crate) layers: Vec<Digest>,
    pub(crate) size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) parent: Option<String>,
    #[serde(default)]
    pub(crate) name_history: Vec<String>,
    pub(crate) manifest: Value,
    pub(crate) config: Value,
}

impl Record for ImageRecord {
    const VERSION: u32 = 1;
}

pub(crate) fn directory(store: &Store, id: &str) -> PathBuf {
    store.image_path("images").join(id)
}

fn file(store: &Store, id: &str) -> PathBuf {
    directory(store, id).join("image.json")
}

/// The record of a full id; `None` where the store has no such image.
pub(crate) fn read(store: &Store, id: &str) -> Result<Option<ImageRecord>> {
    Ok(record::read_optional(&file(store, id))?)
}

/// Writes a record. The caller holds the store's lock, and for a new image the `adding` lock too.
pub(crate) fn write(store: &Store, image: &ImageRecord) -> Result<()> {
    let dir = directory(store, &image.id);
    fs::create_dir_all(&dir).map_err(Error::file(&dir))?;
    Ok(record::write(&file(store, &image.id), image, Durability::Durable)?)
}

/// Takes the record of an image over from a store beside this one. The caller holds the store's lock.
pub(crate) fn adopt(store: &Store, id: &str) -> Result<()> {
    for other in store.beside() {
        if let Some(record) = read(&other, id)? {
            return write(store, &ImageRecord { name_history: Vec::new(), ..record });
        }
    }
    Err(Error::NotFound { name: id.to_owned() })
}

/// The ids of all images.
pub(crate) fn ids(store: &Store) -> Result<Vec<String>> {
    let dir = store.image_path("images");
    let entries = match fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::file(dir)(error)),
    };
    let mut ids = Vec::new();
    for entry in entries {
        let entry = entry.map_err(Error::file(&dir))?;
        if let Some(name) = entry.file_name().to_str().filter(|name| is_id(name)) {
            ids.push(name.to_owned());
        }
    }
    ids.sort();
    Ok(ids)
}

/// Whether this is a whole id.
pub(crate) fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// An image with its names.
pub(crate) fn load(store: &Store, id: &str) -> Result<Option<Image>> {
    let Some(record) = read(store, id)? else { return Ok(None) };
    let names = names::by_id(store)?.remove(id).unwrap_or_default();
    image_of(record, names).map(Some)
}

/// The record in the types the rest of creel works with.
pub(crate) fn image_of(record: ImageRecord, mut names: Vec<String>) -> Result<Image> {
    names.sort_by_key(|name| record.name_history.iter().position(|known| known == name).unwrap_or(usize::MAX));
    let bad = |part: &str, error: serde_json::Error| Error::BadImage {
        reference: record.id.clone(),
        reason: format!("its {part} does not follow the specification: {error}"),
    };
    let manifest = serde_json::from_value(record.manifest.clone()).map_err(|error| bad("manifest", error))?;
    let config = serde_json::from_value(without_nulls(&record.config)).map_err(|error| bad("configuration", error))?;
    let settings = match record.config.get("config") {
        None | Some(Value::Null) => Default::default(),
        Some(settings) => serde_json::from_value(settings.clone()).map_err(|error| bad("configuration", error))?,
    };
    Ok(Image {
        id: record.id,
        names,
        manifest,
        config,
        settings,
        raw_config: record.config,
        raw_manifest: record.manifest,
        created: record.created,
        stored: record.stored,
        layers: record.layers,
        digest: record.digest,
        repo_digests: record.repo_digests,
        size: record.size,
        parent: record.parent,
        name_history: record.name_history,
        is_read_only: false,
        is_list: false,
    })
}

/// Docker writes `null` where the OCI's type wants nothing, and may leave out what it wants.
fn without_nulls(config: &Value) -> Value {
    let mut config = config.clone();
    fn strip(value: &mut Value) {
        if let Value::Object(map) = value {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(strip);
        } else if let Value::Array(list) = value {
            list.iter_mut().for_each(strip);
        }
    }
    strip(&mut config);
    if let Value::Object(map) = &mut config {
        map.entry("architecture").or_insert_with(|| "".into());
        map.entry("os").or_insert_with(|| "linux".into());
        map.entry("rootfs").or_insert_with(|| serde_json::json!({ "type": "layers", "diff_ids": [] }));
    }
    config
}
