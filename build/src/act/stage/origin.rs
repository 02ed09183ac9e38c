//! What `--from` means: a stage, a named context or an image.

use containers::{Endpoint, Working};
use images::Image;

use super::Stage;
use crate::act::copy::Tree;
use crate::act::{Context, Named};
use crate::error::{Error, Result};
use crate::instruction::{self, Copy};
use crate::pattern::Ignore;
use crate::plan::{Numbers, stage_named};

/// What `--from` means.
pub(super) enum Source<'a> {
    /// `None` is scratch.
    Image(Option<Box<Image>>),
    Directory(&'a Context),
}

impl<'b> Stage<'_, 'b> {
    /// A stage, a named context or an image.
    pub(super) fn origin(&self, name: &str) -> Result<Source<'b>> {
        if let Some(Named::Directory(context)) = self.build.options.contexts.get(name) {
            return Ok(Source::Directory(context));
        }
        if !self.build.options.contexts.contains_key(name)
            && let Some(stage) = stage_named(&self.build.file.stages[..self.number], name, Numbers::Count)
        {
            return Ok(Source::Image(self.build.made.get(&stage).cloned().flatten().map(Box::new)));
        }
        if name.parse::<usize>().is_ok() {
            return Err(Error::Invalid(format!("there is no stage {name} before this one")));
        }
        match self.build.image(name, self.platform.as_ref()) {
            Ok(image) => Ok(Source::Image(Some(Box::new(image)))),
            Err(error) => {
                let names: Vec<&str> =
                    self.build.file.stages[..self.number].iter().filter_map(|stage| stage.name.as_deref()).collect();
                let meant = instruction::meant(name, &names).map(|meant| format!(" (did you mean the stage {meant}?)"));
                Err(Error::Invalid(format!("no stage or image {name}{}: {error}", meant.unwrap_or_default())))
            }
        }
    }

    /// Opens what is copied from while `then` works with it.
    pub(super) fn with_origin<T>(&self, copy: &Copy, then: impl FnOnce(&Tree<'_>) -> Result<T>) -> Result<T> {
        let origin = match &copy.from {
            Some(from) => self.origin(from)?,
            None => Source::Directory(&self.build.options.context),
        };
        match origin {
            Source::Directory(context) => {
                let files = Endpoint::of_directory(&context.path)?;
                then(&Tree { files: &files, ignore: &context.ignore, keeps_owners: false })
            }
            Source::Image(image) => {
                let working = Working::new(self.build.engine, image.as_deref())?;
                let files = working.files()?;
                then(&Tree { files: &files, ignore: &Ignore::default(), keeps_owners: true })
            }
        }
    }
}
