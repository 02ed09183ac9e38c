//! `.build`: a service that builds an image.

use super::paths;
use super::translation::Translation;
use crate::error::{Error, Result};

pub(super) fn translate(of: &mut Translation<'_>) -> Result<()> {
    if of.all("ImageTag").is_empty() {
        return Err(Error::Missing("no ImageTag key specified"));
    }
    of.command = of.begin(&["build"])?;
    of.add_keys()?;
    let line = std::mem::take(&mut of.command);
    of.oneshot(&line);
    Ok(())
}

/// The context of the build comes last, and the service runs where its relative paths begin.
pub(super) fn context(of: &mut Translation<'_>) -> Result<()> {
    if let Some(directory) = of.source.unit.text("Service", "WorkingDirectory") {
        of.command.push(directory.to_owned());
        return Ok(());
    }
    let unit = paths::directory(of.source.unit.path()).to_owned();
    let file = of.text("File").map(str::to_owned);
    // A file that is found from everywhere needs no context.
    let is_relative = file.as_deref().is_some_and(|file| !file.starts_with(['/', '%']) && !paths::is_url(file));
    let shown = |directory: String, as_context: bool| (Some(directory.clone()), as_context.then_some(directory));
    let (directory, context) = match of.text("SetWorkingDirectory").map(str::to_owned) {
        None if is_relative => {
            return Err(Error::Conflict("relative path in File key requires SetWorkingDirectory key to be set"));
        }
        None if file.is_none() => return Err(Error::Missing("neither SetWorkingDirectory, nor File key specified")),
        None => (None, None),
        Some(word) if word.eq_ignore_ascii_case("unit") => shown(unit, is_relative || file.is_none()),
        Some(word) if word.eq_ignore_ascii_case("file") => match &file {
            None => return Err(Error::Missing("no File key specified")),
            Some(file) if paths::is_url(file) => (None, None),
            Some(file) => {
                let file = paths::absolute(of.source.unit.path(), file);
                shown(paths::directory(&file).to_owned(), is_relative)
            }
        },
        Some(context) => {
            let found_anywhere = context.starts_with('/') || paths::is_url(&context);
            (Some(unit).filter(|_| !found_anywhere), Some(context))
        }
    };
    if let Some(directory) = &directory {
        of.service.set("Service", "WorkingDirectory", directory);
    }
    of.command.extend(context);
    Ok(())
}
