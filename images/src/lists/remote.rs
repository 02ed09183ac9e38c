//! Manifests of images that are not in the store, by skopeo.

use serde_json::Value;
use storage::{Digest, Store};

use super::document::{Document, Entry};
use super::record::{Instance, ListPlatform, Origin};
use crate::archive::Index;
use crate::error::{Error, Result};
use crate::image::Image;
use crate::platform::{self, Platform};
use crate::pull::PullOptions;
use crate::reference::{Reference, Source};
use crate::registries::Registries;
use crate::skopeo;

/// Which images of a list are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// The one for this machine.
    Fitting,
    All,
}

/// The manifest of a source, of whatever kind.
fn manifest(source: &Source, options: &PullOptions) -> Result<Vec<u8>> {
    inspect(source, &["--raw"], options)
}

/// The manifest of a name in a registry; a short name as registries.conf says. With the full name.
pub(super) fn manifest_of_name(name: &str, options: &PullOptions) -> Result<(String, Vec<u8>)> {
    let source: Source = name.parse()?;
    let Source::Registry(reference) = &source else { return Ok((name.to_owned(), manifest(&source, options)?)) };
    let resolution = Registries::load(&options.places)?.resolve(reference)?;
    if !resolution.may_try {
        let candidates = resolution.candidates.iter().map(Reference::to_string).collect();
        return Err(Error::ShortName { name: name.to_owned(), candidates });
    }
    let mut last = Error::ShortName { name: name.to_owned(), candidates: Vec::new() };
    for candidate in resolution.candidates {
        match manifest(&Source::Registry(candidate.clone()), options) {
            Ok(bytes) => return Ok((candidate.to_string(), bytes)),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn inspect(source: &Source, flags: &[&str], options: &PullOptions) -> Result<Vec<u8>> {
    let name = source.to_string();
    let mut command = skopeo::command_with_policy(&options.places);
    command.arg("inspect").args(flags);
    let mut plain = |reference: &Reference| {
        skopeo::with_access(&mut command, reference, options, |command| {
            skopeo::output(command.arg(&name), name.trim_start_matches("docker://"))
        })
    };
    match source {
        Source::Registry(reference) => plain(reference),
        Source::Storage(_) | Source::Path { .. } => skopeo::output(command.arg(&name), &name),
    }
}

/// The images of a source as instances of a list.
pub(super) fn instances(source: &Source, which: Which, options: &PullOptions) -> Result<Vec<Instance>> {
    let name = source.to_string();
    let bytes = manifest(source, options)?;
    let bad = |error: serde_json::Error| Error::BadImage { reference: name.clone(), reason: error.to_string() };
    let value: Value = serde_json::from_slice(&bytes).map_err(bad)?;
    if value.get("manifests").is_none() {
        let config: Value = serde_json::from_slice(&inspect(source, &["--config", "--raw"], options)?).map_err(bad)?;
        let text = |key: &str| config.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let platform = ListPlatform {
            architecture: text("architecture"),
            os: text("os"),
            os_version: text("os.version"),
            variant: text("variant"),
            ..ListPlatform::default()
        };
        let kind =
            value.get("mediaType").and_then(Value::as_str).unwrap_or("application/vnd.oci.image.manifest.v1+json");
        let digest = Digest::of(&bytes);
        return Ok(vec![Instance {
            origin: Origin::Elsewhere(by_digest(source, &digest)),
            digest,
            size: bytes.len() as u64,
            media_type: kind.to_owned(),
            platform,
            annotations: Default::default(),
        }]);
    }
    let list: Document = serde_json::from_value(value).map_err(bad)?;
    let entries = list.manifests.unwrap_or_default();
    let chosen: Vec<Entry> = match which {
        Which::All => entries,
        Which::Fitting => {
            let fits = |entry: &Entry| {
                let is = entry.platform.as_ref();
                is.is_some_and(|is| platform::fits(None, &is.os, &is.architecture, ""))
            };
            let one = entries.into_iter().find(fits).ok_or_else(|| Error::NoPlatform {
                reference: name.trim_start_matches("docker://").to_owned(),
                platform: platform::describe(None),
            })?;
            vec![one]
        }
    };
    let instance = |entry: Entry| Instance {
        origin: Origin::Elsewhere(by_digest(source, &entry.digest)),
        digest: entry.digest,
        size: entry.size,
        media_type: entry.media_type,
        platform: entry.platform.unwrap_or_default(),
        annotations: entry.annotations,
    };
    Ok(chosen.into_iter().map(instance).collect())
}

/// What the name is there for: a list of this store or of a registry, else the one image that is here or there.
pub fn platforms(store: &Store, name: &str, options: &PullOptions) -> Result<Vec<Platform>> {
    let known = |is: &ListPlatform| is.os != "unknown" && !is.architecture.is_empty();
    let platform = |is: &ListPlatform| Platform {
        os: Some(is.os.clone()),
        architecture: Some(is.architecture.clone()),
        variant: Some(is.variant.clone()).filter(|variant| !variant.is_empty()),
    };
    if let Some(list) = super::find(store, name)? {
        return Ok(list.instances.iter().map(|one| &one.platform).filter(|is| known(is)).map(platform).collect());
    }
    let listed = manifest_of_name(name, options).and_then(|(name, _)| instances(&name.parse()?, Which::All, options));
    match listed {
        Ok(listed) => Ok(listed.iter().map(|one| &one.platform).filter(|is| known(is)).map(platform).collect()),
        Err(error) => match crate::find::get(store, name) {
            Ok(image) => Ok(vec![Platform {
                os: Some(image.os().to_owned()),
                architecture: Some(image.architecture().to_owned()),
                variant: Some(image.variant().to_owned()).filter(|variant| !variant.is_empty()),
            }]),
            Err(_) => Err(error),
        },
    }
}

/// Whether the name still leads to this image in its registry. Nothing is stored.
pub fn is_current(image: &Image, name: &str, options: &PullOptions) -> Result<bool> {
    let (name, bytes) = manifest_of_name(name, options)?;
    let bad = |error: serde_json::Error| Error::BadImage { reference: name.clone(), reason: error.to_string() };
    let is_known = |digest: &Digest| {
        let ends = format!("@{digest}");
        image.digest == *digest || image.repo_digests.iter().any(|known| known.ends_with(&ends))
    };
    let mut manifest: Value = serde_json::from_slice(&bytes).map_err(bad)?;
    let mut digest = Digest::of(&bytes);
    if manifest.get("manifests").is_some() {
        let list: Index = serde_json::from_value(manifest).map_err(bad)?;
        let wanted = options.platform.as_ref();
        let one = platform::choose(&list.manifests, wanted)
            .ok_or_else(|| Error::NoPlatform { reference: name.clone(), platform: platform::describe(wanted) })?;
        if is_known(&one.digest) {
            return Ok(true);
        }
        digest = one.digest.clone();
        let source: Source = name.parse()?;
        let bytes = self::manifest(&by_digest(&source, &digest).parse()?, options)?;
        manifest = serde_json::from_slice(&bytes).map_err(bad)?;
    }
    // The same configuration under another manifest, compressed in another way, is the same image.
    let config = manifest.pointer("/config/digest").and_then(Value::as_str);
    Ok(is_known(&digest) || config.and_then(|config| config.strip_prefix("sha256:")) == Some(&image.id))
}

/// A tag moves, the digest stays. Files have no such names.
fn by_digest(source: &Source, digest: &Digest) -> String {
    match source {
        Source::Registry(reference) => Source::Registry(reference.with_digest(digest)).to_string(),
        Source::Storage(_) | Source::Path { .. } => source.to_string(),
    }
}
