//! Names are given and taken.

use storage::Store;

use crate::error::Result;

/// Gives an image further names; a name that led elsewhere moves at once.
pub fn tag(store: &Store, image: &str, names: &[&str]) -> Result<()> {
    let _ = (store, image, names);
    unimplemented!()
}

/// Takes these names from an image, or all of them where none is given.
pub fn untag(store: &Store, image: &str, names: &[&str]) -> Result<()> {
    let _ = (store, image, names);
    unimplemented!()
}
