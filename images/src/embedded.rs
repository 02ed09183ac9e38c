//! The image creel carries in itself: its own binary in an empty root, saying hello.

use storage::Store;

use crate::error::Result;
use crate::image::Image;

pub const NAME: &str = "localhost/creel/hello:latest";

/// The embedded image, made from `/proc/self/exe` where it is missing or from another binary.
pub fn ensure(store: &Store) -> Result<Image> {
    let _ = store;
    unimplemented!()
}
