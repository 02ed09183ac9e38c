//! Artifacts from registries and to them, by skopeo.

use std::fs;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Stdio;

use jiff::Timestamp;
use storage::{Digest, Store};

use super::manifest::Manifest;
use super::record::{Artifact, get, write};
use crate::error::{Error, Result};
use crate::progress::{Progress, Report};
use crate::pull::PullOptions;
use crate::push::{self, PushOptions};
use crate::reference::{HUB, Reference, Source};
use crate::skopeo;
use crate::trust;

/// Bytes of a manifest that is still read, as registries have it.
const MANIFEST_MAX: u64 = 4 << 20;

/// The reference of an artifact's name. Podman asks no registries.conf about a short one.
fn reference(name: &str) -> Result<Reference> {
    let reference: Reference = name.parse()?;
    Ok(if reference.is_short() { reference.with_domain(HUB) } else { reference }.complete())
}

/// Brings an artifact here, under the name that was typed.
pub fn pull(store: &Store, name: &str, options: &PullOptions) -> Result<Artifact> {
    let reference = reference(name)?;
    let source = Source::Registry(reference.clone());
    trust::verdict(&options.places, &source)?;
    let adding = store.adding()?;
    let warn = |text: &str| Report::new(options.progress).warn(text);
    let result = options.retries().run(warn, || attempt(store, name, &reference, options));
    drop(adding);
    if result.is_err() {
        crate::collect::collect_garbage(store)?;
    }
    store.sweep()?;
    result
}

fn attempt(store: &Store, name: &str, reference: &Reference, options: &PullOptions) -> Result<Artifact> {
    let staging = store.staging()?;
    let dir = staging.path().join("copy");
    let mut command = skopeo::command_with_policy(&options.places);
    command.args(["copy", "--preserve-digests"]);
    if options.progress == Progress::Quiet {
        command.arg("-q");
    }
    skopeo::add_source_access(&mut command, reference, options, staging.path())?;
    command.arg(Source::Registry(reference.clone()).to_string()).arg(format!("dir:{}", dir.display()));
    // skopeo shows its progress on stdout.
    let stderr = std::io::stderr().as_fd().try_clone_to_owned().map_err(Error::file("/dev/stderr"))?;
    command.stdout(Stdio::from(stderr)).stderr(Stdio::piped()).stdin(Stdio::null());
    let output = command.spawn().and_then(|child| child.wait_with_output()).map_err(skopeo::spawn_error)?;
    if !output.status.success() {
        return Err(skopeo::translate(&reference.to_string(), &skopeo::last_message(&output.stderr)));
    }
    deposit(store, name, &dir)
}

/// Takes over what skopeo has copied to the directory `dir`: the blobs, each checked, then the record.
fn deposit(store: &Store, name: &str, dir: &Path) -> Result<Artifact> {
    let path = dir.join("manifest.json");
    let bad = |reason: String| Error::BadImage { reference: name.to_owned(), reason };
    let length = fs::metadata(&path).map_err(Error::file(&path))?.len();
    if length > MANIFEST_MAX {
        return Err(bad(format!("its manifest has {length} bytes")));
    }
    let bytes = fs::read(&path).map_err(Error::file(&path))?;
    let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|error| bad(format!("its manifest: {error}")))?;
    let mut taken: Vec<&Digest> = Vec::new();
    for descriptor in manifest.layers.iter().chain([&manifest.config]) {
        if taken.contains(&&descriptor.digest) || store.has_blob(&descriptor.digest) {
            continue;
        }
        let size = store.adopt_blob(&dir.join(descriptor.digest.hex()), &descriptor.digest)?;
        if size != descriptor.size {
            let (digest, said) = (&descriptor.digest, descriptor.size);
            return Err(bad(format!("blob {digest} has {size} bytes, and its manifest says {said}")));
        }
        taken.push(&descriptor.digest);
    }
    let digest = store.put_blob(&bytes)?;
    let artifact = Artifact { name: name.to_owned(), digest, stored: Timestamp::now(), manifest };
    let _lock = store.lock()?;
    write(store, &artifact)?;
    Ok(artifact)
}

/// Sends an artifact to the registry of its name, and returns the digest it has there.
pub fn push(store: &Store, name: &str, options: &PushOptions) -> Result<Digest> {
    let artifact = get(store, name)?;
    let destination = Source::Registry(reference(&artifact.name)?);
    let digest = options.persist(|| {
        let staging = store.staging()?;
        let dir = staging.path().join("artifact");
        view(store, &artifact, &dir)?;
        push::copy(&dir, &destination, options, &["--preserve-digests"], staging.path())
    })?;
    store.sweep()?;
    Ok(digest)
}

/// The artifact as a `dir` directory, by links: what skopeo copies from.
fn view(store: &Store, artifact: &Artifact, dir: &Path) -> Result<()> {
    fs::create_dir(dir).map_err(Error::file(dir))?;
    let manifest = store.read_blob(&artifact.digest)?;
    crate::view::write_manifest_file(dir, &manifest)?;
    artifact.manifest.blobs().try_for_each(|blob| crate::view::link(store, dir, blob))
}
