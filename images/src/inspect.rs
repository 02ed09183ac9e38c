//! One image as JSON, in Podman's words.

use serde_json::Value;
use storage::Store;

use crate::error::Result;
use crate::image::Image;

pub fn inspect(store: &Store, image: &Image) -> Result<Value> {
    let _ = (store, image);
    unimplemented!()
}
