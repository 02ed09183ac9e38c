//! Names and images go away.

use storage::Store;

use crate::collect::collect_garbage;
use crate::error::{Error, Result};
use crate::image::Image;
use crate::{events, find, lists, names, record, tag};

/// A container that was made from an image, as the caller knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageUser {
    pub image_id: String,
    pub container_id: String,
    pub running: bool,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct RemoveOptions {
    /// Remove it by id although several names lead to it. Containers that use it still stand in the way: the caller removes
    /// these first, and passes the users that are left. A name that is not known is no error.
    pub force: bool,
    /// A name that is not known is no error.
    pub ignore: bool,
    /// Leave untagged parents.
    pub no_prune: bool,
    /// Every image; `names` is empty.
    pub all: bool,
}

/// What went, in order, and what did not.
#[derive(Debug, Default)]
pub struct Removed {
    pub untagged: Vec<String>,
    /// Ids.
    pub deleted: Vec<String>,
    pub errors: Vec<Error>,
    /// Bytes given back.
    pub reclaimed: u64,
}

/// Takes names, and images that have lost their last one. Goes on after a failure.
///
/// A name of an image that has others is only taken away. Untagged parents that were kept for this image go with it.
///
/// `users` is asked under the store's lock, under which a container is put in its place: nobody makes one of an image that
/// goes.
pub fn remove<E: From<Error>>(
    store: &Store,
    names: &[&str],
    options: &RemoveOptions,
    users: impl Fn() -> Result<Vec<ImageUser>, E>,
) -> Result<Removed, E> {
    let mut removed = Removed::default();
    let all: Vec<String> = match options.all {
        true => {
            let lists = lists::list(store)?.into_iter().map(|list| list.id);
            let images = in_order(find::list(store)?).into_iter().filter(|image| !image.is_read_only);
            lists.chain(images.map(|image| image.id)).collect()
        }
        false => Vec::new(),
    };
    let names = names.iter().copied().chain(all.iter().map(String::as_str));
    for name in names {
        let gone = name.len() >= 12 && removed.deleted.iter().any(|id| id.starts_with(name));
        let lock = store.lock().map_err(Error::from)?;
        let outcome = remove_one(store, name, options, &users()?, &mut removed);
        drop(lock);
        if let Err(error) = outcome {
            match error {
                Error::NotFound { .. } if options.ignore || options.force || gone => {}
                error => removed.errors.push(error),
            }
        }
    }
    if !removed.deleted.is_empty() {
        removed.reclaimed = collect_garbage(store)?;
    }
    store.sweep().map_err(Error::from)?;
    Ok(removed)
}

/// Children before their parents.
fn in_order(mut images: Vec<Image>) -> Vec<Image> {
    images.sort_by_key(|image| std::cmp::Reverse((image.layers.len(), image.history().len())));
    images
}

/// The caller holds the store's lock.
fn remove_one(
    store: &Store,
    typed: &str,
    options: &RemoveOptions,
    users: &[ImageUser],
    removed: &mut Removed,
) -> Result<()> {
    if let Some(list) = lists::find(store, typed)? {
        return lists::remove_by_name(store, &list, typed, removed);
    }
    let image = find::get(store, typed)?;
    if image.is_read_only {
        return Err(Error::ReadOnly { id: image.id });
    }
    let name = tag::name_of(&image, typed);
    let by_id = is_its_id(&image, typed) && name.is_err();
    if image.names.len() > 1 && !options.all {
        if by_id && !options.force {
            return Err(Error::SeveralNames { id: image.id, names: image.names });
        }
        // As Podman: force does not take names that were not typed.
        if !by_id {
            let name = name?;
            take_name(store, &image.id, &name, removed)?;
            events::record(store, "remove", &image.id, &name);
            return Ok(());
        }
    }
    refuse_used(&image, typed, users)?;
    let is_parent =
        find::list(store)?.iter().any(|other| other.parent.as_ref() == Some(&image.id) && !other.is_read_only);
    if is_parent && !options.all {
        if image.is_untagged() && !options.force {
            return Err(Error::HasChildren { name: typed.to_owned() });
        }
        // As Podman: it goes without a word, as its layers stay for those that were built on it.
        let (id, name) = (image.id.clone(), name.unwrap_or_else(|_| typed.to_owned()));
        delete(store, image, &name, options, users, removed)?;
        removed.deleted.retain(|deleted| *deleted != id);
        return Ok(());
    }
    // What the journal calls it: its full name, or the id as it was typed.
    let name = if options.all { String::new() } else { name.unwrap_or_else(|_| typed.to_owned()) };
    delete(store, image, &name, options, users, removed)
}

/// Whether `typed` spells the image's id. A name can do so too (`a`, `cafe`), and goes before it.
fn is_its_id(image: &Image, typed: &str) -> bool {
    image.id.starts_with(typed.strip_prefix("sha256:").unwrap_or(typed))
}

fn take_name(store: &Store, id: &str, name: &str, removed: &mut Removed) -> Result<()> {
    names::drop_name(store, name, id)?;
    events::record(store, "untag", id, name);
    removed.untagged.push(name.to_owned());
    Ok(())
}

fn refuse_used(image: &Image, typed: &str, users: &[ImageUser]) -> Result<()> {
    let users: Vec<String> =
        users.iter().filter(|user| user.image_id == image.id).map(|user| user.container_id.clone()).collect();
    match users.is_empty() {
        true => Ok(()),
        false => Err(Error::InUse { name: typed.to_owned(), users }),
    }
}

/// Takes the record away, and untagged parents that nothing else needs. `name` is what the journal calls the first, if
/// anything. The caller holds the store's lock.
pub(crate) fn delete(
    store: &Store,
    image: Image,
    name: &str,
    options: &RemoveOptions,
    users: &[ImageUser],
    removed: &mut Removed,
) -> Result<()> {
    // What a build that goes on has come to so far is untagged, too.
    let alone = if options.no_prune { None } else { store.try_building_alone()? };
    let mut next = Some((image, name));
    while let Some((image, name)) = next.take() {
        let known = find::list(store)?.into_iter().find(|other| other.id == image.id);
        let parent = known.and_then(|known| known.parent);
        for name in &image.names {
            take_name(store, &image.id, name, removed)?;
        }
        store.trash(&record::directory(store, &image.id))?;
        events::record(store, "remove", &image.id, name);
        removed.deleted.push(image.id.clone());
        if alone.is_none() {
            break;
        }
        let Some(parent) = &parent else { break };
        let all = find::list(store)?;
        let needed = all.iter().any(|other| other.parent.as_ref() == Some(parent))
            || users.iter().any(|user| user.image_id == *parent);
        let orphan =
            all.into_iter().find(|other| other.id == *parent && other.is_untagged() && !other.is_read_only && !needed);
        next = orphan.map(|orphan| (orphan, ""));
    }
    Ok(())
}
