//! Reading the store: one image by what the user typed, or all of them. Takes no lock.

use std::cmp::Ordering;
use std::collections::HashMap;

use storage::{Digest, Store};

use crate::error::{Error, Result};
use crate::image::Image;
use crate::lists;
use crate::names;
use crate::places::Places;
use crate::record;
use crate::reference::{LOCAL, Reference};
use crate::registries::Registries;

/// The image of a name, a short name, `name@digest` or the prefix of an id; `None` where there is none. A name wins over
/// an id. The name of a manifest list means its image for this machine.
///
/// Stores beside this one are asked after it.
pub fn find(store: &Store, name: &str) -> Result<Option<Image>> {
    if let Some(image) = find_in(store, name)? {
        return Ok(Some(image));
    }
    for other in store.beside() {
        if let Some(image) = find_in(&other, name)? {
            return Ok(Some(Image { is_read_only: true, ..image }));
        }
    }
    Ok(None)
}

fn find_in(store: &Store, name: &str) -> Result<Option<Image>> {
    let name = name.strip_prefix("docker://").unwrap_or(name);
    if let Some(id) = name.strip_prefix("sha256:").filter(|rest| is_id_prefix(rest)) {
        return by_id(store, name, id);
    }
    if let Ok(reference) = name.parse::<Reference>()
        && let Some(id) = by_name(store, &reference)?
    {
        if let Some(image) = record::load(store, &id)? {
            return Ok(Some(image));
        }
        if let Some(list) = lists::load(store, &id)? {
            return lists::instance(store, &list);
        }
    }
    match is_id_prefix(name) {
        true => by_id(store, name, name),
        false => Ok(None),
    }
}

/// Like [`find`], but not finding it is the error `X: image not known`, or what keeps `X` from being a name at all.
pub fn get(store: &Store, name: &str) -> Result<Image> {
    if let Some(image) = find(store, name)? {
        return Ok(image);
    }
    if !is_id_prefix(name) {
        name.strip_prefix("docker://").unwrap_or(name).parse::<Reference>()?;
    }
    Err(Error::NotFound { name: name.to_owned() })
}

/// Whether the image with this id is here, without a look at what it is.
pub fn is_here(store: &Store, id: &str) -> bool {
    let has = |store: &Store| record::directory(store, id).exists();
    has(store) || store.beside().iter().any(has)
}

/// All images, newest first. One whose record is damaged is left out, with a warning.
pub fn list(store: &Store) -> Result<Vec<Image>> {
    let mut images = list_of(store)?;
    for other in store.beside() {
        images.extend(list_of(&other)?.into_iter().map(|image| Image { is_read_only: true, ..image }));
    }
    images.sort_by(newest_first);
    find_parents(&mut images);
    Ok(images)
}

fn list_of(store: &Store) -> Result<Vec<Image>> {
    let mut names = names::by_id(store)?;
    let mut images = Vec::new();
    for id in record::ids(store)? {
        let image = match record::read(store, &id) {
            // Half made, or removed just now.
            Ok(None) => continue,
            Ok(Some(record)) => record::image_of(record, names.remove(&id).unwrap_or_default()),
            Err(error) => Err(error),
        };
        match image {
            Ok(image) => images.push(image),
            Err(error) => tracing::warn!("left out image {id}: {error}"),
        }
    }
    Ok(images)
}

/// Of one time, as they came.
fn newest_first(one: &Image, other: &Image) -> Ordering {
    let by_arrival = || one.stored.cmp(&other.stored).then_with(|| one.id.cmp(&other.id));
    other.created.cmp(&one.created).then_with(|| one.is_read_only.cmp(&other.is_read_only)).then_with(by_arrival)
}

/// Images that came from elsewhere have the parents that their layers and their histories say: the same, one step less.
fn find_parents(images: &mut [Image]) {
    let mut by_layers: HashMap<Vec<Digest>, Vec<usize>> = HashMap::new();
    for (at, image) in images.iter().enumerate() {
        by_layers.entry(image.layers.clone()).or_default().push(at);
    }
    let one_less = |image: &Image, other: &Image| {
        let (own, its) = (image.history(), other.history());
        other.id != image.id && its.len() + 1 == own.len() && own.starts_with(its)
    };
    let parents: Vec<Option<String>> = images
        .iter()
        .map(|image| {
            if image.parent.is_some() {
                return image.parent.clone();
            }
            let below = &image.layers[..image.layers.len().saturating_sub(1)];
            let candidates = [image.layers.as_slice(), below].into_iter().filter_map(|layers| by_layers.get(layers));
            let found = candidates.flatten().map(|at| &images[*at]).find(|other| one_less(image, other));
            found.map(|other| other.id.clone())
        })
        .collect();
    for (image, parent) in images.iter_mut().zip(parents) {
        image.parent = parent;
    }
}

/// All images and, in their shape, all manifest lists, newest first.
pub fn everything(store: &Store) -> Result<Vec<Image>> {
    let mut images = list(store)?;
    let lists = lists::list(store)?;
    if !lists.is_empty() {
        let mut names = names::by_id(store)?;
        for list in &lists {
            images.push(lists::as_image(list, names.remove(&list.id).unwrap_or_default())?);
        }
        images.sort_by(newest_first);
    }
    Ok(images)
}

fn is_id_prefix(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn by_id(store: &Store, typed: &str, prefix: &str) -> Result<Option<Image>> {
    if record::is_id(prefix) {
        return record::load(store, prefix);
    }
    let mut ids = record::ids(store)?;
    ids.retain(|id| id.starts_with(prefix));
    // A directory without a record is no image.
    if ids.len() > 1 {
        let mut whole = Vec::new();
        for id in ids {
            if record::read(store, &id)?.is_some() {
                whole.push(id);
            }
        }
        ids = whole;
    }
    match ids.as_slice() {
        [] => Ok(None),
        [id] => record::load(store, id),
        _ => {
            let candidates = ids.iter().map(|id| id[..12].to_owned()).collect();
            Err(Error::Ambiguous { name: typed.to_owned(), candidates })
        }
    }
}

/// The id a name leads to. `localhost/` comes first; registries.conf is only read where it has something to decide.
fn by_name(store: &Store, reference: &Reference) -> Result<Option<String>> {
    if reference.digest().is_some() {
        return by_digest(store, reference);
    }
    if !reference.is_short() {
        return names::resolve(store, &reference.complete().to_string());
    }
    if let Some(id) = names::resolve(store, &reference.with_domain(LOCAL).complete().to_string())? {
        return Ok(Some(id));
    }
    let ending = format!("/{}", reference.complete());
    let index = names::by_id(store)?;
    let matches: Vec<(&str, &str)> = index
        .iter()
        .flat_map(|(id, names)| names.iter().map(move |name| (name.as_str(), id.as_str())))
        .filter(|(name, _)| name.ends_with(&ending))
        .collect();
    if let [(_, id)] = matches.as_slice() {
        return Ok(Some((*id).to_owned()));
    }
    for candidate in Registries::load(&Places::from_environment())?.local_candidates(reference)? {
        if let Some(id) = names::resolve(store, &candidate.to_string())? {
            return Ok(Some(id));
        }
    }
    // As Podman: any registry will do in the end.
    Ok(matches.first().map(|(_, id)| (*id).to_owned()))
}

/// By content: the digest must be the one of the image, and the repository one it is known in.
fn by_digest(store: &Store, reference: &Reference) -> Result<Option<String>> {
    let complete = reference.complete();
    if let Some(id) = names::resolve(store, &complete.to_string())? {
        return Ok(Some(id));
    }
    let Some(digest) = reference.digest() else { return Ok(None) };
    let same_repository = |known: &str| match reference.is_short() {
        true => known == reference.path() || known.ends_with(&format!("/{}", reference.path())),
        false => known == reference.repository(),
    };
    let mut names = names::by_id(store)?;
    for id in record::ids(store)? {
        let Some(record) = record::read(store, &id)? else { continue };
        let known_by = |text: &String| text.parse::<Reference>().ok();
        let listed = record.repo_digests.iter().filter_map(known_by);
        let named = names.remove(&id).unwrap_or_default();
        let named = named.iter().filter_map(known_by).map(|name| name.with_digest(&record.digest));
        if listed.chain(named).any(|known| known.digest() == Some(digest) && same_repository(&known.repository())) {
            return Ok(Some(id));
        }
    }
    Ok(None)
}
