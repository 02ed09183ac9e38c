//! Names are given and taken.

use storage::Store;

use crate::error::{Error, Result};
use crate::image::Image;
use crate::reference::{LOCAL, Reference};
use crate::{deposit, events, find, lists, names, record};

/// Gives an image further names; a name that led elsewhere moves at once.
pub fn tag(store: &Store, image: &str, names: &[&str]) -> Result<()> {
    let full = full_names(names)?;
    let _lock = store.lock()?;
    if let Some(list) = lists::find(store, image)? {
        lists::give_names(store, &list, &full)?;
        names.iter().for_each(|name| events::record(store, "tag", &list.id, name));
        return Ok(());
    }
    let image = find::get(store, image)?;
    let mut all = full.clone();
    if image.is_read_only {
        // It becomes one of this store under all its names; the layers stay where they are.
        record::adopt(store, &image.id)?;
        all.splice(0..0, image.names.iter().rev().cloned());
    }
    point(store, &image.id, &all)?;
    names.iter().for_each(|name| events::record(store, "tag", &image.id, name));
    Ok(())
}

/// Gives the image that a build has made its names, and tells of the build.
pub fn name_built(store: &Store, id: &str, names: &[&str]) -> Result<()> {
    let full = full_names(names)?;
    let _lock = store.lock()?;
    point(store, id, &full)?;
    // As Podman: the id where others have the name.
    events::record(store, "build", "", id);
    Ok(())
}

fn full_names(names: &[&str]) -> Result<Vec<String>> {
    let full = |name: &&str| {
        let reference: Reference = name.parse()?;
        match reference.digest() {
            Some(_) => Err(Error::TagByDigest { name: (*name).to_owned() }),
            None => Ok(reference.local().to_string()),
        }
    };
    names.iter().map(full).collect()
}

/// The caller holds the store's lock.
fn point(store: &Store, id: &str, names: &[String]) -> Result<()> {
    for name in names {
        names::point(store, name, id)?;
    }
    if let Some(mut record) = record::read(store, id)? {
        deposit::remember(&mut record.name_history, names);
        record::write(store, &record)?;
    }
    Ok(())
}

/// Takes these names from an image, or all of them where none is given.
pub fn untag(store: &Store, image: &str, names: &[&str]) -> Result<()> {
    let _lock = store.lock()?;
    if let Some(list) = lists::find(store, image)? {
        return lists::take_names(store, &list, names);
    }
    let image = find::get(store, image)?;
    if image.is_read_only {
        return Err(Error::ReadOnly { id: image.id });
    }
    let going = match names {
        [] => image.names.clone(),
        names => names.iter().map(|name| name_of(&image, name)).collect::<Result<_>>()?,
    };
    for name in going {
        names::drop_name(store, &name, &image.id)?;
        events::record(store, "untag", &image.id, &name);
    }
    Ok(())
}

/// The full name of an image that was typed in short.
pub(crate) fn name_of(image: &Image, typed: &str) -> Result<String> {
    among(&image.names, typed)
}

/// The one of these full names that was typed in short.
pub(crate) fn among(names: &[String], typed: &str) -> Result<String> {
    let reference: Reference = typed.parse()?;
    let complete = reference.complete().to_string();
    let local = reference.is_short().then(|| reference.with_domain(LOCAL).complete().to_string());
    let ending = format!("/{complete}");
    let exact = names.iter().find(|name| **name == complete || local.as_ref() == Some(*name));
    let short = || names.iter().find(|name| reference.is_short() && name.ends_with(&ending));
    exact.or_else(short).cloned().ok_or_else(|| Error::NotTagged { name: reference.local().to_string() })
}
