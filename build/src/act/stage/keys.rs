//! What a step is known by in the cache.

use containers::{Endpoint, EntryKind};
use storage::{Algorithm, Hasher};

use super::copy::{exclude, split_urls};
use super::origin::Source;
use super::{Stage, Work};
use crate::act::cache::{self, Key};
use crate::act::copy::{self, Attributes, Destination, Tree};
use crate::act::mounts::{Kind, Mount};
use crate::error::{Error, Result};
use crate::instruction::Copy;
use crate::pattern::Ignore;

/// What COPY or ADD brings.
pub(super) struct CopyContent {
    pub(super) digest: String,
    /// `file`, `dir` or `multi`, as the history calls it.
    pub(super) word: &'static str,
}

impl Stage<'_, '_> {
    /// What the step is known by; any of several.
    pub(super) fn keys(&mut self, work: &Work<'_>, created_by: &str, is_image: bool) -> Result<Vec<String>> {
        let options = self.build.options;
        let begin = |stage: &Self| -> Result<Key> {
            let mut key = Key::new(stage.image.as_ref());
            key.part(created_by);
            let settings = serde_json::to_vec(&stage.settings).map_err(|error| Error::Invalid(error.to_string()))?;
            key.part(settings);
            key.part(stage.author.as_deref().unwrap_or_default());
            key.part(format!("{:?} {:?}", options.format, options.times));
            if let Some(platform) = &stage.platform {
                key.part(platform.to_string());
            }
            if !(options.inherits_annotations && options.annotates_creation) {
                key.part(format!("{} {}", options.inherits_annotations, options.annotates_creation));
            }
            // Nothing where nothing is said: a stage is the same whether others stand on it or not.
            let last = (&options.annotations, &options.unset_env, &options.unset_labels, &options.unset_annotations);
            let says_something = !(last.0.is_empty() && last.1.is_empty() && last.2.is_empty() && last.3.is_empty());
            if is_image && (says_something || options.omits_history) {
                key.part(format!("{last:?} {}", options.omits_history));
            }
            if is_image && !(options.os_version.is_none() && options.os_features.is_empty()) {
                key.part(format!("{:?} {:?}", options.os_version, options.os_features));
            }
            if !is_image && !options.layer_labels.is_empty() {
                key.part(format!("{:?}", options.layer_labels));
            }
            Ok(key)
        };
        match work {
            Work::Nothing => Ok(vec![begin(self)?.finish()]),
            Work::Run(run) => {
                let mut key = begin(self)?;
                key.part(run.network.as_deref().unwrap_or_default());
                if options.discards_volumes {
                    key.part("compat-volumes");
                }
                for text in &run.mounts {
                    let text = self.expand(text)?;
                    key.part(&text);
                    let mount: Mount = text.parse().map_err(Error::Invalid)?;
                    if mount.kind == Kind::Bind {
                        key.part(self.mount_digest(&mount)?);
                    }
                }
                Ok(vec![key.finish()])
            }
            Work::Copy(copy) => {
                let expanded = self.expanded(copy)?;
                let facts = format!("{expanded:?} {}", self.settings.working_dir);
                let origin = match &expanded.from {
                    Some(from) => Some(self.origin(from)?),
                    None => None,
                };
                if let Some(Source::Image(Some(image))) = &origin {
                    let mut quick = begin(self)?;
                    quick.part(&facts);
                    quick.part(&image.id);
                    let quick = quick.finish();
                    // No need to read an image that was read before.
                    if options.uses_cache && cache::find(&self.build.engine.store, &quick)?.is_some() {
                        return Ok(vec![quick]);
                    }
                    let mut key = begin(self)?;
                    key.part(&facts);
                    key.part(self.look_at(&expanded)?);
                    return Ok(vec![quick, key.finish()]);
                }
                let mut key = begin(self)?;
                key.part(&facts);
                key.part(self.look_at(&expanded)?);
                Ok(vec![key.finish()])
            }
        }
    }

    /// The content that a bind mount shows.
    fn mount_digest(&self, mount: &Mount) -> Result<String> {
        let source = mount.source.clone().unwrap_or_else(|| "/".to_owned());
        let origin = match &mount.from {
            Some(from) => self.origin(from)?,
            None => Source::Directory(&self.build.options.context),
        };
        let context = match origin {
            Source::Image(image) => return Ok(image.map(|image| image.id).unwrap_or_default()),
            Source::Directory(context) => context,
        };
        let files = Endpoint::of_directory(&context.path)?;
        let tree = Tree { files: &files, ignore: &Ignore::default(), keeps_owners: false };
        let sources = copy::find(&tree, &[source]).map_err(Error::Invalid)?;
        let to = Destination { path: "/".into(), is_directory: true };
        let items = copy::collect(&tree, &sources, &to, &Attributes::default(), false)?;
        copy::digest(&files, &items)
    }

    /// The digest of what COPY or ADD brings, which the history shows, too.
    fn look_at(&mut self, copy: &Copy) -> Result<String> {
        let content = self.content_of(copy)?;
        let digest = content.digest.clone();
        self.content = Some(content);
        Ok(digest)
    }

    pub(super) fn content_of(&self, copy: &Copy) -> Result<CopyContent> {
        let mut hasher = Hasher::new(Algorithm::Sha256);
        for document in &copy.heredocs {
            hasher.update(self.document(document)?.as_bytes());
        }
        let (urls, sources) = split_urls(copy);
        for url in urls {
            match &copy.checksum {
                Some(checksum) => hasher.update(checksum.as_bytes()),
                None => hasher.update(self.fetch(url, None)?.digest.as_bytes()),
            }
        }
        let mut word = if copy.heredocs.len() == 1 { "file" } else { "multi" };
        if !sources.is_empty() {
            let attributes = Attributes { exclude: exclude(copy), ..Attributes::default() };
            let (digest, of) = self.with_origin(copy, |tree| {
                let found = copy::find(tree, &sources).map_err(Error::Invalid)?;
                let of = match found.as_slice() {
                    [one] => {
                        match tree.files.followed(&one.path)?.is_some_and(|entry| entry.kind == EntryKind::Directory) {
                            true => "dir",
                            false => "file",
                        }
                    }
                    _ => "multi",
                };
                let to = Destination { path: "/".into(), is_directory: true };
                let items = copy::collect(tree, &found, &to, &attributes, copy.parents)?;
                Ok((copy::digest(tree.files, &items)?, of))
            })?;
            hasher.update(digest.as_bytes());
            word = of;
        }
        Ok(CopyContent { digest: hasher.finish().hex().to_owned(), word })
    }
}
