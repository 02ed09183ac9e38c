//! Reading the store: one image by what the user typed, or all of them. Takes no lock.

use storage::Store;

use crate::error::{Error, Result};
use crate::image::Image;

/// The image of a name, a short name, `name@digest` or the prefix of an id; `None` where there is none.
pub fn find(store: &Store, name: &str) -> Result<Option<Image>> {
    let _ = (store, name);
    unimplemented!()
}

/// Like [`find`], but not finding it is the error `X: image not known`.
pub fn get(store: &Store, name: &str) -> Result<Image> {
    find(store, name)?.ok_or_else(|| Error::NotFound { name: name.to_owned() })
}

/// All images, newest first.
pub fn list(store: &Store) -> Result<Vec<Image>> {
    let _ = store;
    unimplemented!()
}
