//! `--filter` of images and image prune, as pure functions over the list.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::error::Result;
use crate::image::Image;

/// One `--filter KEY=VALUE`.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// A glob over the names.
    Reference(String),
    NotReference(String),
    Dangling(bool),
    Label { key: String, value: Option<String> },
    NotLabel { key: String, value: Option<String> },
    /// Older than that image.
    Before(String),
    /// Newer than that image.
    Since(String),
    Until(Timestamp),
    Id(String),
    Digest(String),
    /// Whether a container was made from it.
    Containers(bool),
    ReadOnly(bool),
    /// Untagged, with images built on it.
    Intermediate(bool),
    Manifest(bool),
}

/// What filters need besides the images.
#[derive(Clone, Debug, Default)]
pub struct FilterContext {
    /// Containers per image id.
    pub containers: BTreeMap<String, usize>,
}

impl Filter {
    /// `KEY=VALUE`; times may be relative to `now`.
    pub fn parse(text: &str, now: Timestamp) -> Result<Filter> {
        let _ = (text, now);
        unimplemented!()
    }

    /// The images all filters let through: the same key repeated is "or" (labels: "and"), different keys are "and".
    pub fn apply(filters: &[Filter], images: Vec<Image>, context: &FilterContext) -> Result<Vec<Image>> {
        let _ = (filters, context);
        Ok(images)
    }
}
