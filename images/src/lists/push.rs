//! A list and its images go to a registry, or to another place that skopeo can write.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use storage::{Digest, Store};

use super::document;
use super::record::{Instance, ListRecord, Origin, get};
use crate::error::{Error, Result};
use crate::progress::Report;
use crate::push::{self, PushOptions};
use crate::reference::{Reference, Source};
use crate::{events, names, skopeo};

#[derive(Clone, Debug)]
pub struct ListPushOptions {
    /// The images too, not the list alone: that needs them to be there already.
    pub all: bool,
    pub push: PushOptions,
}

/// Copies a list to `destination`, by default the registry its name says, and returns the digest it has there.
pub fn push(store: &Store, name: &str, destination: Option<&str>, options: &ListPushOptions) -> Result<Digest> {
    if options.push.force_compression {
        return Err(Error::Unsupported {
            what: "compressing the images of a list anew".to_owned(),
            reason: "push them one by one with --force-compression and add them from there".to_owned(),
        });
    }
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
    let which = if options.all { "--all" } else { "--multi-arch=index-only" };
    let digest = push::copy(&view, destination, &options.push, &[which], staging.path())?;
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
        let link = view.join(digest.hex());
        match symlink(blob, &link) {
            // Two images share a layer.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            other => other.map_err(Error::file(link))?,
        }
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
    for entry in fs::read_dir(&dir).map_err(Error::file(&dir))? {
        let entry = entry.map_err(Error::file(&dir))?;
        let name = entry.file_name();
        let to = match name.to_str() {
            Some("version") => continue,
            Some("manifest.json") => view.join(format!("{}.manifest.json", instance.digest.hex())),
            _ => view.join(&name),
        };
        let _ = fs::remove_file(&to);
        fs::rename(entry.path(), &to).map_err(Error::file(to))?;
    }
    fs::remove_dir_all(&dir).map_err(Error::file(dir))
}
