//! Records of lists on disk: `ROOT/images/lists/ID.json`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use storage::{Digest, Durability, Record, Store, record};

use super::document;
use crate::error::{Error, Result};
use crate::image::Image;
use crate::reference::{LOCAL, Reference};
use crate::remove::Removed;
use crate::{events, names, platform, tag};

/// One list. Its names are in the index of names and point here.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListRecord {
    /// 64 random hexadecimal digits: the content changes, the id does not.
    pub id: String,
    pub created: Timestamp,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// A descriptor of what the list is about (`--subject`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<serde_json::Value>,
    #[serde(default)]
    pub(crate) instances: Vec<Instance>,
}

/// One image of a list.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Instance {
    pub(crate) digest: Digest,
    /// Bytes of the manifest.
    pub(crate) size: u64,
    pub(crate) media_type: String,
    pub(crate) platform: ListPlatform,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) origin: Origin,
}

/// Where the content of an instance is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Origin {
    /// Here: the manifest's own blob and these, configuration first.
    Store { image: String, blobs: Vec<Digest> },
    /// There: a source as skopeo names it.
    Elsewhere(String),
}

/// image-index.md, `platform`, with Docker's `features` beside.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ListPlatform {
    #[serde(default)]
    pub(crate) architecture: String,
    #[serde(default)]
    pub(crate) os: String,
    #[serde(default, rename = "os.version", skip_serializing_if = "String::is_empty")]
    pub(crate) os_version: String,
    #[serde(default, rename = "os.features", skip_serializing_if = "Vec::is_empty")]
    pub(crate) os_features: Vec<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) variant: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) features: Vec<String>,
}

impl Record for ListRecord {
    const VERSION: u32 = 1;
}

fn directory(store: &Store) -> PathBuf {
    store.image_path("images").join("lists")
}

/// Where the record of a list is.
fn file(store: &Store, id: &str) -> PathBuf {
    directory(store).join(format!("{id}.json"))
}

/// The list of a whole id; `None` where the store has none.
pub(crate) fn load(store: &Store, id: &str) -> Result<Option<ListRecord>> {
    Ok(record::read_optional(&file(store, id))?)
}

/// The caller holds the store's lock.
pub(super) fn write(store: &Store, list: &ListRecord) -> Result<()> {
    let dir = directory(store);
    fs::create_dir_all(&dir).map_err(Error::file(&dir))?;
    Ok(record::write(&file(store, &list.id), list, Durability::Durable)?)
}

/// All lists, newest first.
pub fn list(store: &Store) -> Result<Vec<ListRecord>> {
    let dir = directory(store);
    let entries = match fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::file(dir)(error)),
    };
    let mut lists = Vec::new();
    for entry in entries {
        let name = entry.map_err(Error::file(&dir))?.file_name();
        let Some(id) = name.to_str().and_then(|name| name.strip_suffix(".json")).filter(|id| crate::record::is_id(id))
        else {
            continue;
        };
        match load(store, id) {
            Ok(list) => lists.extend(list),
            Err(error) => tracing::warn!("left out manifest list {id}: {error}"),
        }
    }
    lists.sort_by(|one, other| other.created.cmp(&one.created).then_with(|| one.id.cmp(&other.id)));
    Ok(lists)
}

/// The list of a name, a short name or the prefix of an id; `None` where there is none, or where it is an image's.
pub fn find(store: &Store, name: &str) -> Result<Option<ListRecord>> {
    if let Ok(reference) = name.parse::<Reference>() {
        let local = reference.is_short().then(|| reference.with_domain(LOCAL).complete().to_string());
        for name in local.into_iter().chain([reference.complete().to_string()]) {
            if let Some(id) = names::resolve(store, &name)? {
                return load(store, &id);
            }
        }
        if reference.is_short() {
            let ending = format!("/{}", reference.complete());
            for (id, names) in names::by_id(store)? {
                if names.iter().any(|name| name.ends_with(&ending))
                    && let Some(list) = load(store, &id)?
                {
                    return Ok(Some(list));
                }
            }
        }
    }
    let prefix = name.strip_prefix("sha256:").unwrap_or(name);
    if prefix.is_empty() || !prefix.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)) {
        return Ok(None);
    }
    let mut found: Vec<ListRecord> = list(store)?.into_iter().filter(|list| list.id.starts_with(prefix)).collect();
    match found.len() {
        0 | 1 => Ok(found.pop()),
        _ => Err(Error::Ambiguous {
            name: name.to_owned(),
            candidates: found.iter().map(|list| list.id[..12].to_owned()).collect(),
        }),
    }
}

/// The list of that name. An image of that name is the error `not a manifest list`.
pub(super) fn get(store: &Store, name: &str) -> Result<ListRecord> {
    if let Some(list) = find(store, name)? {
        return Ok(list);
    }
    match crate::find::find(store, name)? {
        Some(image) => Err(Error::NotAList { name: image.names.first().unwrap_or(&image.id).clone() }),
        None => Err(Error::NotFound { name: name.to_owned() }),
    }
}

/// Whether it is a list. An image of that name is an error.
pub fn exists(store: &Store, name: &str) -> Result<bool> {
    match get(store, name) {
        Ok(_) => Ok(true),
        Err(Error::NotFound { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Takes lists away, with all their names. Goes on after a failure.
pub fn remove(store: &Store, lists: &[&str], ignore: bool) -> Result<Removed> {
    let mut removed = Removed::default();
    for name in lists {
        let _lock = store.lock()?;
        match get(store, name).and_then(|list| delete(store, &list, &told(store, &list, name)?, &mut removed)) {
            Ok(()) => {}
            Err(Error::NotFound { .. }) if ignore => {}
            Err(error) => removed.errors.push(error),
        }
    }
    removed.reclaimed = crate::collect::collect_garbage(store)?;
    store.sweep()?;
    Ok(removed)
}

/// What the journal calls the list that somebody removes: its full name, or the id as it was typed.
fn told(store: &Store, list: &ListRecord, typed: &str) -> Result<String> {
    Ok(tag::among(&names_of(store, list)?, typed).unwrap_or_else(|_| typed.to_owned()))
}

/// Takes the name that was typed, and the list with its last one; typed by id, the list with all its names. The caller
/// holds the store's lock.
pub(crate) fn remove_by_name(store: &Store, list: &ListRecord, typed: &str, removed: &mut Removed) -> Result<()> {
    let names = names_of(store, list)?;
    match tag::among(&names, typed) {
        Ok(name) if names.len() > 1 => {
            take_name(store, list, &name)?;
            events::record(store, "remove", &list.id, &name);
            removed.untagged.push(name);
            Ok(())
        }
        _ => delete(store, list, &told(store, list, typed)?, removed),
    }
}

/// Gives a list further names. The caller holds the store's lock.
pub(crate) fn give_names(store: &Store, list: &ListRecord, names: &[String]) -> Result<()> {
    names.iter().try_for_each(|name| names::point(store, name, &list.id))
}

fn take_name(store: &Store, list: &ListRecord, name: &str) -> Result<()> {
    names::drop_name(store, name, &list.id)?;
    events::record(store, "untag", &list.id, name);
    Ok(())
}

/// Takes names away from a list, all of them where none is given. The caller holds the store's lock.
pub(crate) fn take_names(store: &Store, list: &ListRecord, typed: &[&str]) -> Result<()> {
    let names = names_of(store, list)?;
    let going = match typed {
        [] => names,
        typed => typed.iter().map(|name| tag::among(&names, name)).collect::<Result<_>>()?,
    };
    going.iter().try_for_each(|name| take_name(store, list, name))
}

fn names_of(store: &Store, list: &ListRecord) -> Result<Vec<String>> {
    Ok(names::by_id(store)?.remove(&list.id).unwrap_or_default())
}

/// `told` is what the journal calls it. The caller holds the store's lock.
pub(crate) fn delete(store: &Store, list: &ListRecord, told: &str, removed: &mut Removed) -> Result<()> {
    for name in names_of(store, list)? {
        take_name(store, list, &name)?;
        removed.untagged.push(name);
    }
    events::record(store, "remove", &list.id, told);
    let path = file(store, &list.id);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::file(path)(error)),
        _ => {}
    }
    removed.deleted.push(list.id.clone());
    Ok(())
}

/// The image of this store that a list has for this machine.
pub(crate) fn instance(store: &Store, list: &ListRecord) -> Result<Option<Image>> {
    for instance in &list.instances {
        let is = &instance.platform;
        if !platform::fits(None, &is.os, &is.architecture, &is.variant) {
            continue;
        }
        if let Origin::Store { image, .. } = &instance.origin
            && let Some(image) = crate::record::load(store, image)?
        {
            return Ok(Some(image));
        }
        let listed = crate::find::list(store)?;
        let pulled = listed.into_iter().find(|image| image.digest == instance.digest);
        if pulled.is_some() {
            return Ok(pulled);
        }
    }
    Ok(None)
}

/// What all lists keep in the store.
pub(crate) fn blobs(store: &Store) -> Result<Vec<Digest>> {
    let mut blobs = Vec::new();
    for instance in list(store)?.into_iter().flat_map(|list| list.instances) {
        if let Origin::Store { blobs: own, .. } = instance.origin {
            blobs.push(instance.digest);
            blobs.extend(own);
        }
    }
    Ok(blobs)
}

/// A list in the shape of an image, for tables of images.
pub(crate) fn as_image(list: &ListRecord, names: Vec<String>) -> Result<Image> {
    let text = document::text(list);
    let digest = Digest::of(text.as_bytes());
    let empty = json!({
        "schemaVersion": 2,
        "config": { "mediaType": "application/vnd.oci.empty.v1+json", "digest": digest.to_string(), "size": 0 },
        "layers": [],
    });
    let record = crate::record::ImageRecord {
        id: list.id.clone(),
        digest: digest.clone(),
        repo_digests: names
            .iter()
            .filter_map(|name| Some(name.parse::<Reference>().ok()?.with_digest(&digest).to_string()))
            .collect(),
        created: list.created,
        stored: list.created,
        layers: Vec::new(),
        size: text.len() as u64,
        parent: None,
        name_history: Vec::new(),
        manifest: empty,
        config: json!({ "os": "", "architecture": "", "rootfs": { "type": "layers", "diff_ids": [] } }),
    };
    let mut image = crate::record::image_of(record, names)?;
    image.is_list = true;
    image.raw_manifest = serde_json::from_str(&text).unwrap_or_default();
    Ok(image)
}
