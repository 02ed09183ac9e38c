//! Lists are made and changed. What has to be asked of a registry is asked first, then the record changes at once.

use std::collections::BTreeMap;

use jiff::Timestamp;
use storage::{Digest, Store};

use super::record::{self, Instance, ListPlatform, ListRecord, Origin, get};
use super::remote::{self, Which};
use crate::error::{Error, Result};
use crate::image::Image;
use crate::pull::PullOptions;
use crate::reference::{Reference, Source};
use crate::{names, platform, view};

/// What is said of an instance instead of what its image says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Annotation {
    pub architecture: Option<String>,
    pub os: Option<String>,
    pub os_version: Option<String>,
    pub os_features: Vec<String>,
    pub variant: Option<String>,
    /// Docker's; not in an OCI index.
    pub features: Vec<String>,
    /// `KEY=VALUE`
    pub annotations: Vec<(String, String)>,
}

#[derive(Clone, Debug, Default)]
pub struct AddOptions {
    /// All images of a list that is added, not only the one for this machine.
    pub all: bool,
    pub annotation: Annotation,
    /// How to reach registries.
    pub access: PullOptions,
}

#[derive(Clone, Debug, Default)]
pub struct CreateOptions {
    pub all: bool,
    /// Of the list itself.
    pub annotations: Vec<(String, String)>,
    pub access: PullOptions,
}

/// A new list with these images in it; its id. The name must be free.
pub fn create(store: &Store, name: &str, images: &[&str], options: &CreateOptions) -> Result<String> {
    let full = full_name(name)?;
    taken(store, &full)?;
    let instances = instances_of(store, images, options.all, &options.access)?;
    let _lock = store.lock()?;
    taken(store, &full)?;
    let mut list = ListRecord {
        id: sys::random::id().map_err(Error::file("/dev/urandom"))?,
        created: Timestamp::now(),
        annotations: options.annotations.iter().cloned().collect(),
        subject: None,
        instances: Vec::new(),
    };
    insert(&mut list, instances);
    record::write(store, &list)?;
    names::point(store, &full, &list.id)?;
    Ok(list.id)
}

/// The same, but a list that is there is added to.
pub fn create_or_amend(store: &Store, name: &str, images: &[&str], options: &CreateOptions) -> Result<String> {
    match record::find(store, name)? {
        None => create(store, name, images, options),
        Some(list) => {
            let instances = instances_of(store, images, options.all, &options.access)?;
            change(store, &list.id, |list| {
                list.annotations.extend(options.annotations.iter().cloned());
                insert(list, instances);
                Ok(())
            })
        }
    }
}

/// Adds images to a list; its id. An image that is in it already takes the new place and the new annotations.
pub fn add(store: &Store, list: &str, images: &[&str], options: &AddOptions) -> Result<String> {
    let list = get(store, list)?;
    let mut instances = instances_of(store, images, options.all, &options.access)?;
    instances.iter_mut().for_each(|instance| apply(&options.annotation, instance));
    change(store, &list.id, |list| {
        insert(list, instances);
        Ok(())
    })
}

/// Says something else of one instance, named by its digest or its image; or of the list itself.
pub fn annotate(
    store: &Store,
    list: &str,
    instance: Option<&str>,
    annotation: &Annotation,
    subject: Option<&str>,
    access: &PullOptions,
) -> Result<String> {
    let found = get(store, list)?;
    let subject = subject.map(|subject| descriptor(store, subject, access)).transpose()?;
    let digest = instance.map(|instance| digest_of(store, &found, list, instance)).transpose()?;
    change(store, &found.id, |list| {
        match &digest {
            None => {
                list.annotations.extend(annotation.annotations.iter().cloned());
                list.subject = subject.or(list.subject.take());
            }
            Some(digest) => {
                let instance = list.instances.iter_mut().find(|instance| instance.digest == *digest);
                let instance = instance.ok_or_else(|| no_instance(&found.id, digest))?;
                apply(annotation, instance);
            }
        }
        Ok(())
    })
}

/// Takes one instance out of a list; the list's id.
pub fn remove_instance(store: &Store, name: &str, digest: &str) -> Result<String> {
    let list = get(store, name)?;
    let digest: Digest = digest.parse().map_err(|_| Error::InvalidValue {
        what: "image digest",
        value: digest.to_owned(),
        reason: "it is not ALGORITHM:HEX".to_owned(),
    })?;
    let id = change(store, &list.id, |list| {
        let before = list.instances.len();
        list.instances.retain(|instance| instance.digest != digest);
        if list.instances.len() == before { Err(no_instance(name, &digest)) } else { Ok(()) }
    })?;
    crate::collect::collect_garbage(store)?;
    Ok(id)
}

fn no_instance(list: &str, digest: &Digest) -> Error {
    Error::NoInstance { list: list.to_owned(), instance: digest.to_string() }
}

/// Reads the record under the lock, changes it, writes it.
fn change(store: &Store, id: &str, edit: impl FnOnce(&mut ListRecord) -> Result<()>) -> Result<String> {
    let _lock = store.lock()?;
    let mut list = record::load(store, id)?.ok_or_else(|| Error::NotFound { name: id.to_owned() })?;
    edit(&mut list)?;
    record::write(store, &list)?;
    Ok(list.id)
}

fn full_name(name: &str) -> Result<String> {
    let reference: Reference = name.parse()?;
    match reference.digest() {
        Some(_) => {
            Err(Error::InvalidReference { name: name.to_owned(), reason: "a list has no digest of its own yet" })
        }
        None => Ok(reference.local().to_string()),
    }
}

fn taken(store: &Store, name: &str) -> Result<()> {
    match names::resolve(store, name)? {
        Some(id) if record::load(store, &id)?.is_some() || crate::record::read(store, &id)?.is_some() => {
            Err(Error::NameInUse { name: name.to_owned(), id })
        }
        _ => Ok(()),
    }
}

/// One that is there already goes to the end, as it is now.
fn insert(list: &mut ListRecord, instances: Vec<Instance>) {
    for instance in instances {
        list.instances.retain(|known| known.digest != instance.digest);
        list.instances.push(instance);
    }
}

fn apply(annotation: &Annotation, instance: &mut Instance) {
    let platform = &mut instance.platform;
    if let Some(architecture) = &annotation.architecture {
        platform.architecture = platform::normalized(architecture).to_owned();
        // A variant of another architecture means nothing.
        platform.variant.clear();
    }
    let set = |place: &mut String, value: &Option<String>| {
        if let Some(value) = value {
            place.clone_from(value);
        }
    };
    set(&mut platform.os, &annotation.os);
    set(&mut platform.os_version, &annotation.os_version);
    set(&mut platform.variant, &annotation.variant);
    if !annotation.os_features.is_empty() {
        platform.os_features.clone_from(&annotation.os_features);
    }
    if !annotation.features.is_empty() {
        platform.features.clone_from(&annotation.features);
    }
    instance.annotations.extend(annotation.annotations.iter().cloned());
}

/// The instances that images stand for: of this store where no transport says otherwise and it has them.
fn instances_of(store: &Store, images: &[&str], all: bool, access: &PullOptions) -> Result<Vec<Instance>> {
    let which = if all { Which::All } else { Which::Fitting };
    let mut instances = Vec::new();
    for name in images {
        let here = name.strip_prefix("containers-storage:");
        let local = match (here, name.contains("://")) {
            (Some(name), _) => Some(name),
            (None, true) => None,
            (None, false) => Some(*name),
        };
        if let Some(name) = local {
            if let Some(list) = record::find(store, name)? {
                instances.extend(of_list(&list, all, name)?);
                continue;
            }
            if let Some(image) = crate::find::find(store, name)? {
                instances.push(of_image(store, &image)?);
                continue;
            }
        }
        if here.is_some() {
            return Err(Error::NotFound { name: (*name).to_owned() });
        }
        let source: Source = match name.parse()? {
            Source::Registry(reference) if reference.is_short() => {
                let (full, _) = remote::manifest_of_name(name, access)?;
                Source::Registry(full.parse()?)
            }
            source => source,
        };
        instances.extend(remote::instances(&source, which, access)?);
    }
    Ok(instances)
}

fn of_list(list: &ListRecord, all: bool, name: &str) -> Result<Vec<Instance>> {
    if all {
        return Ok(list.instances.clone());
    }
    let fits = |instance: &&Instance| {
        let is = &instance.platform;
        platform::fits(None, &is.os, &is.architecture, "")
    };
    let found = list.instances.iter().find(fits).cloned();
    let none = || Error::NoPlatform { reference: name.to_owned(), platform: platform::describe(None) };
    Ok(vec![found.ok_or_else(none)?])
}

fn of_image(store: &Store, image: &Image) -> Result<Instance> {
    // Nobody collects garbage between this and the record: the image keeps its blobs, and the manifest is its own or
    // comes back with the next push.
    let content = view::content(store, image)?;
    let digest = store.put_blob(&content.manifest)?;
    let kind = serde_json::from_slice::<serde_json::Value>(&content.manifest).unwrap_or_default();
    let kind =
        kind.get("mediaType").and_then(|kind| kind.as_str()).unwrap_or("application/vnd.oci.image.manifest.v1+json");
    Ok(Instance {
        digest,
        size: content.manifest.len() as u64,
        media_type: kind.to_owned(),
        platform: ListPlatform {
            architecture: image.architecture().to_owned(),
            os: image.os().to_owned(),
            variant: image.variant().to_owned(),
            os_version: image.os_version().to_owned(),
            os_features: image.os_features(),
            ..ListPlatform::default()
        },
        annotations: BTreeMap::new(),
        origin: Origin::Store { image: image.id.clone(), blobs: content.blobs },
    })
}

/// The digest that a user's word for an instance means.
fn digest_of(store: &Store, list: &ListRecord, name: &str, typed: &str) -> Result<Digest> {
    let missing = || Error::NoInstance { list: name.to_owned(), instance: typed.to_owned() };
    if let Ok(digest) = typed.parse::<Digest>() {
        let found = list.instances.iter().find(|instance| instance.digest == digest);
        return found.map(|found| found.digest.clone()).ok_or_else(missing);
    }
    let local = typed.strip_prefix("containers-storage:").unwrap_or(typed);
    let image = if local.contains("://") { None } else { crate::find::find(store, local)? };
    let source = typed.parse::<Source>().ok().map(|source| source.to_string());
    let is = |instance: &&Instance| match &instance.origin {
        Origin::Store { image: id, .. } => image.as_ref().is_some_and(|image| image.id == *id),
        Origin::Elsewhere(origin) => source.as_ref() == Some(origin),
    };
    list.instances.iter().find(is).map(|found| found.digest.clone()).ok_or_else(missing)
}

/// The descriptor of an image, for `--subject`.
fn descriptor(store: &Store, name: &str, access: &PullOptions) -> Result<serde_json::Value> {
    let one =
        instances_of(store, &[name], false, access)?.pop().ok_or_else(|| Error::NotFound { name: name.to_owned() })?;
    Ok(serde_json::json!({ "mediaType": one.media_type, "digest": one.digest.to_string(), "size": one.size }))
}
