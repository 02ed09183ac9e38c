//! A list and its images go to a registry, or to another place that skopeo can write.

use std::fs;
use std::path::Path;

use storage::{Digest, Store};

use super::document;
use super::record::{Instance, ListRecord, Origin, get};
use super::variants;
use crate::error::{Error, Result};
use crate::progress::Report;
use crate::push::{self, PushOptions};
use crate::reference::{Reference, Source};
use crate::{events, names, skopeo};

#[derive(Clone, Debug)]
pub struct ListPushOptions {
    /// The images too, not the list alone: that needs them to be there already.
    pub all: bool,
    /// Each image also compressed like this (`gzip`, `zstd`, `zstd:chunked`); with `all` only.
    pub add_compression: Vec<String>,
    pub push: PushOptions,
}

/// Copies a list to `destination`, by default the registry its name says, and returns the digest it has there.
pub fn push(store: &Store, name: &str, destination: Option<&str>, options: &ListPushOptions) -> Result<Digest> {
    let list = get(store, name)?;
    let typed = destination.unwrap_or(name);
    let destination: Source = match destination {
        Some(destination) => destination.parse()?,
        None => Source::Registry(own_registry(store, &list, name)?),
    };
    if let Source::Registry(reference) = &destination
        && reference.is_short()
    {
        let reason = "it names no registry to push to";
        return Err(Error::InvalidReference { name: reference.to_string(), reason });
    }
    let digest = options.push.persist(|| attempt(store, &list, &destination, options))?;
    events::record(store, "push", &list.id, typed);
    Ok(digest)
}

fn own_registry(store: &Store, list: &ListRecord, typed: &str) -> Result<Reference> {
    let reason = "it names no registry to push to; give a destination";
    let nowhere = || Error::InvalidReference { name: typed.to_owned(), reason };
    let typed: Reference = typed.parse()?;
    let names = names::by_id(store)?.remove(&list.id).unwrap_or_default();
    let found = names.iter().find(|name| **name == typed.complete().to_string()).ok_or_else(nowhere)?;
    let reference: Reference = found.parse()?;
    if reference.is_local() { Err(nowhere()) } else { Ok(reference) }
}

fn attempt(store: &Store, list: &ListRecord, destination: &Source, options: &ListPushOptions) -> Result<Digest> {
    let staging = store.staging()?;
    let view = staging.path().join("list");
    fs::create_dir(&view).map_err(Error::file(&view))?;
    crate::view::write_manifest_file(&view, document::text(list).as_bytes())?;
    if options.all {
        for instance in &list.instances {
            match &instance.origin {
                Origin::Store { blobs, .. } => link(store, &view, instance, blobs)?,
                Origin::Elsewhere(source) => {
                    fetch(source, &view, staging.path(), instance, destination, &options.push)?;
                }
            }
        }
    }
    let mut flags = vec![if options.all { "--all" } else { "--multi-arch=index-only" }];
    if options.all && (options.push.force_compression || !options.add_compression.is_empty()) {
        let whole = variants::prepare(list, &view, staging.path(), options)?;
        crate::view::write_manifest_file(&view, document::text(&whole).as_bytes())?;
        if options.push.format.is_none() && options.push.encryption_keys.is_empty() {
            // Else skopeo may take another variant's layers for one's, where the registry has them.
            flags.push("--preserve-digests");
        }
    }
    let digest = push::copy(&view, destination, &options.push, &flags, staging.path())?;
    drop(staging);
    store.sweep()?;
    Ok(digest)
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).map_err(Error::file(path))
}

/// An image of this store: by links.
fn link(store: &Store, view: &Path, instance: &Instance, blobs: &[Digest]) -> Result<()> {
    let manifest = store.read_blob(&instance.digest).map_err(|_| Error::BadImage {
        reference: instance.digest.to_string(),
        reason: "its manifest is no longer in the store; add the image to the list again".to_owned(),
    })?;
    write(&view.join(format!("{}.manifest.json", instance.digest.hex())), &manifest)?;
    for digest in blobs {
        let blob = fs::canonicalize(store.blob_path(digest)).map_err(|_| Error::BadImage {
            reference: instance.digest.to_string(),
            reason: format!("its blob {digest} is no longer in the store; add the image to the list again"),
        })?;
        crate::view::link_file(&blob, &view.join(digest.hex()))?;
    }
    Ok(())
}

/// An image from elsewhere: skopeo copies it beside, and its files move into the view.
fn fetch(
    source: &str,
    view: &Path,
    staging: &Path,
    instance: &Instance,
    destination: &Source,
    options: &PushOptions,
) -> Result<()> {
    Report::new(options.progress).line(&format!("Fetching {source}"));
    let dir = staging.join("fetched");
    let mut command = skopeo::command_with_policy(&options.places);
    command.args(["copy", "-q", "--preserve-digests"]);
    if let Ok(Source::Registry(reference)) = source.parse() {
        let same = matches!(destination, Source::Registry(other) if other.domain() == reference.domain());
        if let Some(dir) = &options.cert_dir {
            command.arg("--src-cert-dir").arg(dir);
        }
        if let Some(verify) = options.tls_verify {
            command.arg(format!("--src-tls-verify={verify}"));
        }
        if let (Some(creds), true) = (&options.creds, same) {
            let private = staging.join("source");
            fs::create_dir_all(&private).map_err(Error::file(&private))?;
            let file = private.join("auth.json");
            let _ = fs::remove_file(&file);
            command.arg("--src-authfile").arg(skopeo::write_authfile(
                &private,
                reference.domain().unwrap_or_default(),
                creds,
            )?);
        } else if let Some(authfile) = options.authfile.as_ref().or(options.places.auth_file.as_ref()) {
            command.arg("--src-authfile").arg(authfile);
        }
    }
    command.arg(source).arg(format!("dir:{}", dir.display()));
    skopeo::output(&mut command, source.trim_start_matches("docker://"))?;
    let manifest = dir.join("manifest.json");
    let bytes = fs::read(&manifest).map_err(Error::file(&manifest))?;
    let found = Digest::of(&bytes);
    if found != instance.digest {
        return Err(Error::DigestMismatch {
            what: source.to_owned(),
            expected: instance.digest.to_string(),
            found: found.to_string(),
        });
    }
    crate::view::take_in(&dir, view, &instance.digest)?;
    fs::remove_dir_all(&dir).map_err(Error::file(dir))
}
