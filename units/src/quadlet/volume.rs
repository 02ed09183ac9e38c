//! `.volume`: a service that makes a volume; and `Volume=` of every kind.

use super::kind::Kind;
use super::paths;
use super::references::resource;
use super::translation::Translation;
use crate::error::{Error, Result};
use crate::file::Entry;
use crate::words::quoted;

pub(super) fn translate(of: &mut Translation<'_>) -> Result<()> {
    of.command = of.begin(&["volume", "create", "--ignore"])?;
    of.add_keys()?;
    of.command.extend(resource(of.source));
    let line = std::mem::take(&mut of.command);
    of.oneshot(&line);
    of.default("RemainAfterExit", "yes");
    Ok(())
}

pub(super) fn driver(of: &mut Translation<'_>) -> Result<()> {
    let Some(driver) = of.text("Driver").map(str::to_owned) else { return Ok(()) };
    let of_image = driver == "image";
    of.command.extend(["--driver".to_owned(), driver]);
    if of_image {
        let Some(entry) = of.last("Image").filter(|entry| !entry.value.is_empty()).cloned() else {
            return Err(Error::Missing("the key Image is mandatory when using the image driver"));
        };
        let image = match Kind::of(&entry.value) {
            Some(Kind::Image | Kind::Build) => of.refer(&entry.value, "image", &entry)?,
            _ => {
                of.warn_of_short_name(&entry.value);
                entry.value
            }
        };
        of.command.extend(["--opt".to_owned(), format!("image={image}")]);
    }
    Ok(())
}

/// An image has no device and no owner.
fn is_of_image(of: &Translation<'_>) -> bool {
    of.text("Driver") == Some("image")
}

pub(super) fn copy(of: &mut Translation<'_>) -> Result<()> {
    if let Some(copy) = of.switch("Copy")?
        && !is_of_image(of)
    {
        of.command.extend(["--opt".to_owned(), if copy { "copy" } else { "nocopy" }.to_owned()]);
    }
    Ok(())
}

pub(super) fn device(of: &mut Translation<'_>) -> Result<()> {
    if is_of_image(of) {
        return Ok(());
    }
    let (device, kind) = (of.text("Device").map(str::to_owned), of.text("Type").map(str::to_owned));
    match (device, kind) {
        (None, Some(_)) => return Err(Error::Conflict("key Type can't be used without Device")),
        (None, None) => {}
        (Some(device), kind) => {
            if kind.as_deref() == Some("bind") {
                of.service.add("Unit", "RequiresMountsFor", &quoted(&device));
            }
            of.command.extend(["--opt".to_owned(), format!("device={device}")]);
            of.command.extend(kind.into_iter().flat_map(|kind| ["--opt".to_owned(), format!("type={kind}")]));
        }
    }
    Ok(())
}

/// `--opt o=`: owner first.
pub(super) fn options(of: &mut Translation<'_>) -> Result<()> {
    if is_of_image(of) {
        return Ok(());
    }
    let mut options = Vec::new();
    for (key, name, look_up) in [("User", "uid", of.setting.host.user), ("Group", "gid", of.setting.host.group)] {
        let Some(entry) = of.last(key).filter(|entry| !entry.value.is_empty()) else { continue };
        let value = &entry.value;
        let number = value.parse().ok().or_else(|| look_up(value)).ok_or_else(|| Error::Value {
            why: format!("{key}: '{value}' is neither a number nor a name of this machine"),
            at: entry.at.clone(),
        })?;
        options.push(format!("{name}={number}"));
    }
    if let Some(more) = of.text("Options") {
        if of.text("Device").is_none() {
            return Err(Error::Conflict("key Options can't be used without Device"));
        }
        options.push(more.to_owned());
    }
    if !options.is_empty() {
        of.command.extend(["--opt".to_owned(), format!("o={}", options.join(","))]);
    }
    Ok(())
}

/// `Volume=`: a source that is a Quadlet or a path relative to this one, and the rest as it is.
pub(super) fn of_unit(of: &mut Translation<'_>) -> Result<()> {
    let entries: Vec<_> = of.all("Volume").into_iter().cloned().collect();
    for entry in entries {
        let volume = match entry.value.split_once(':') {
            Some((from, rest)) => format!("{}:{rest}", source(of, from, &entry)?),
            None => entry.value.clone(),
        };
        of.command.extend(["-v".to_owned(), volume]);
    }
    Ok(())
}

/// Where the content of a volume or mount comes from; the service waits for that to be mounted.
pub(super) fn source(of: &mut Translation<'_>, from: &str, entry: &Entry) -> Result<String> {
    if Kind::of(from) == Some(Kind::Volume) {
        return of.refer(from, "source", entry);
    }
    let from = match from.starts_with('.') {
        true => paths::absolute(of.source.unit.path(), from),
        false => from.to_owned(),
    };
    if from.starts_with('/') {
        of.service.add("Unit", "RequiresMountsFor", &quoted(&from));
    }
    Ok(from)
}
