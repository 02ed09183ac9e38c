//! `.image` and `.artifact`: services that pull.

use super::kind::Kind;
use super::translation::Translation;
use crate::error::{Error, Result};

pub(super) fn translate(of: &mut Translation<'_>) -> Result<()> {
    let noun = if of.source.kind == Kind::Image { "image" } else { "artifact" };
    of.command = of.begin(&[noun, "pull"])?;
    of.add_keys()?;
    let line = std::mem::take(&mut of.command);
    of.oneshot(&line);
    of.default("RemainAfterExit", "yes");
    Ok(())
}

pub(super) fn image(of: &mut Translation<'_>) -> Result<()> {
    let Some(image) = of.text("Image").map(str::to_owned) else {
        return Err(Error::Missing("no Image key specified"));
    };
    of.warn_of_short_name(&image);
    of.command.push(image);
    Ok(())
}

pub(super) fn artifact(of: &mut Translation<'_>) -> Result<()> {
    let Some(artifact) = of.text("Artifact").map(str::to_owned) else {
        return Err(Error::Missing("no Artifact key specified"));
    };
    of.command.push(artifact);
    Ok(())
}

/// Whether a name means the same everywhere: it begins with a registry or a transport, or is a digest.
pub(super) fn is_unambiguous(image: &str) -> bool {
    const TRANSPORTS: &[&str] =
        &["docker", "oci", "docker-archive", "oci-archive", "dir", "docker-daemon", "containers-storage", "sif"];
    let is_id = |text: &str| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_id(image.strip_prefix("sha256:").unwrap_or(image)) {
        return true;
    }
    if image.split_once(':').is_some_and(|(transport, _)| TRANSPORTS.contains(&transport)) {
        return true;
    }
    let registry = image.split_once('/').map_or("", |(registry, _)| registry);
    registry == "localhost" || registry.contains(['.', ':'])
}
