//! What made an image, newest step first.

use jiff::Timestamp;
use storage::Store;

use crate::error::Result;
use crate::find;
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
    pub empty_layer: bool,
}

pub fn history(store: &Store, image: &Image) -> Result<Vec<HistoryRow>> {
    let others = find::list(store)?;
    let mut rows = Vec::new();
    let mut layers = 0;
    for (at, entry) in image.history().iter().enumerate() {
        let empty_layer = entry.empty_layer().unwrap_or(false) || layers == image.layers.len();
        let mut size = 0;
        if !empty_layer {
            size = store.layer(&image.layers[layers])?.map_or(0, |layer| layer.size);
            layers += 1;
        }
        let ends_here = |other: &&Image| {
            other.id != image.id && other.layers == image.layers[..layers] && other.history() == &image.history()[..=at]
        };
        let last = at + 1 == image.history().len() && layers == image.layers.len();
        let here = if last { Some(image) } else { others.iter().find(ends_here) };
        let ends_with_layer = |other: &&Image| !empty_layer && other.layers == image.layers[..layers];
        let mut tags: Vec<String> = here.map(|here| here.names.clone()).unwrap_or_default();
        tags.extend(others.iter().filter(ends_with_layer).flat_map(|other| other.names.iter().cloned()));
        let mut seen = std::collections::HashSet::new();
        tags.retain(|tag| seen.insert(tag.clone()));
        rows.push(HistoryRow {
            id: here.map(|here| here.id.clone()),
            created: entry.created().as_ref().and_then(|text| text.parse().ok()),
            created_by: entry.created_by().clone().unwrap_or_default(),
            size,
            comment: entry.comment().clone().unwrap_or_default(),
            tags,
            empty_layer,
        });
    }
    // An image without a history still has its layers.
    for chain_id in &image.layers[layers..] {
        let size = store.layer(chain_id)?.map_or(0, |layer| layer.size);
        let last = Some(chain_id) == image.layers.last();
        rows.push(HistoryRow {
            id: last.then(|| image.id.clone()),
            created: Some(image.created),
            created_by: String::new(),
            size,
            comment: String::new(),
            tags: if last { image.names.clone() } else { Vec::new() },
            empty_layer: false,
        });
    }
    rows.reverse();
    Ok(rows)
}
