//! What made an image, newest step first.

use jiff::Timestamp;
use storage::Store;

use crate::error::Result;
use crate::image::Image;

/// One row of `history`.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryRow {
    /// The image that ends with this step, where the store has it.
    pub id: Option<String>,
    pub created: Option<Timestamp>,
    pub created_by: String,
    /// Bytes of the layer; 0 where the step made none.
    pub size: u64,
    pub comment: String,
    pub tags: Vec<String>,
}

pub fn history(store: &Store, image: &Image) -> Result<Vec<HistoryRow>> {
    let _ = (store, image);
    unimplemented!()
}
