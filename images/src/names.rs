//! The index of names: `ROOT/images/names/`, one symbolic link `NAME -> ID` for each.
//!
//! Giving a name that another image has is one rename(2): a reader sees the old holder or the new one, and no lock is
//! needed to read. A name whose image is gone (a removal was killed half-way) reads as absent.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;

use storage::{Store, names};

use crate::error::{Error, Result};

pub(crate) fn directory(store: &Store) -> PathBuf {
    store.image_path("images").join("names")
}

/// Lets `name` lead to `id`, taking it from whoever has it. The caller holds the store's lock.
pub(crate) fn point(store: &Store, name: &str, id: &str) -> Result<()> {
    let dir = directory(store);
    let link = dir.join(names::encode(name)?);
    // Not a name that `encode` can make, so no reader takes it for one.
    let fresh = dir.join(".new");
    for attempt in 0.. {
        match std::os::unix::fs::symlink(id, &fresh) {
            Ok(()) => break,
            Err(error) if error.kind() == io::ErrorKind::NotFound && attempt == 0 => {
                fs::create_dir_all(&dir).map_err(Error::file(&dir))?;
            }
            // Left by a writer that was killed; the lock is ours.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempt < 2 => {
                fs::remove_file(&fresh).map_err(Error::file(&fresh))?;
            }
            Err(error) => return Err(Error::file(&fresh)(error)),
        }
    }
    fs::rename(&fresh, &link).map_err(Error::file(&link))
}

/// Takes `name` away from `id`; one that leads elsewhere by now stays.
pub(crate) fn drop_name(store: &Store, name: &str, id: &str) -> Result<()> {
    Ok(names::release(&directory(store), name, id)?)
}

/// The id a name leads to. A name too long or too odd to be one leads nowhere.
pub(crate) fn resolve(store: &Store, name: &str) -> Result<Option<String>> {
    match names::resolve(&directory(store), name) {
        Ok(id) => Ok(id),
        Err(storage::Error::Invalid { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// All names by id, sorted.
pub(crate) fn by_id(store: &Store) -> Result<BTreeMap<String, Vec<String>>> {
    let mut index: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, id) in names::list(&directory(store))? {
        // A half-made link, see `point`.
        if name.starts_with('.') {
            continue;
        }
        index.entry(id).or_default().push(name);
    }
    Ok(index)
}
