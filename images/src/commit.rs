//! A container's changes, or any other content, become an image.

use std::path::Path;

use jiff::Timestamp;
use storage::Store;

use crate::error::Result;
use crate::image::Image;
use crate::platform::Platform;
use crate::settings::Settings;

/// What the new image has above its base.
pub enum Content<'a> {
    /// Only another configuration.
    Nothing,
    /// The upper directory of an overlay.
    Upper(&'a Path),
    /// A whole root file system.
    Tree(&'a Path),
    /// A tar stream, compressed or not.
    Tar(Box<dyn std::io::Read + Send>),
}

/// How much history and how many layers stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Squash {
    /// One layer above those of the base.
    #[default]
    No,
    /// One layer in all.
    All,
}

/// Which manifest and configuration are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    #[default]
    Oci,
    /// Docker schema 2, which alone can carry a health check, `SHELL` and `ONBUILD`.
    Docker,
}

/// One line of `history`.
#[derive(Clone, Debug, Default)]
pub struct HistoryEntry {
    pub created_by: String,
    pub comment: String,
    pub author: String,
}

/// A new image. Everything but `content` may be left at its default.
pub struct CommitRequest<'a> {
    pub base: Option<&'a Image>,
    pub content: Content<'a>,
    /// `None` takes those of the base.
    pub settings: Option<Settings>,
    /// `--change` instructions on top.
    pub changes: Vec<String>,
    pub author: Option<String>,
    /// The comment.
    pub message: Option<String>,
    pub created_by: String,
    /// Entries without a layer, written before the one of this commit (build's ENV, LABEL ...).
    pub history_before: Vec<HistoryEntry>,
    /// Now where `None`; also the time of the history entries.
    pub created: Option<Timestamp>,
    pub annotations: Vec<(String, String)>,
    /// That of the base, else of this machine.
    pub platform: Option<Platform>,
    pub format: Format,
    pub squash: Squash,
    /// Names to give it.
    pub names: Vec<String>,
    /// Whether the record remembers `base` as its parent.
    pub keep_parent: bool,
}

impl<'a> CommitRequest<'a> {
    pub fn new(base: Option<&'a Image>, content: Content<'a>) -> CommitRequest<'a> {
        CommitRequest {
            base,
            content,
            settings: None,
            changes: Vec::new(),
            author: None,
            message: None,
            created_by: String::new(),
            history_before: Vec::new(),
            created: None,
            annotations: Vec::new(),
            platform: None,
            format: Format::Oci,
            squash: Squash::No,
            names: Vec::new(),
            keep_parent: true,
        }
    }
}

pub fn commit(store: &Store, request: CommitRequest<'_>) -> Result<Image> {
    let _ = (store, request);
    unimplemented!()
}
