//! An image from a registry: manifest and configuration, then its layers.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use containers_image_proxy::ImageProxy;
use storage::{Digest, Store};

use super::fetch::Layers;
use super::proxy::{configuration, document, proxy_error};
use super::unpack::{Slots, unpack_all};
use super::{bad, joined, line};
use crate::archive::Manifest;
use crate::deposit::{self, NewImage};
use crate::error::{Error, Result};
use crate::image::Image;
use crate::platform;
use crate::pull::PullOptions;
use crate::reference::Reference;
use crate::wire::{Event, send};
use crate::{collect, names, record, skopeo};

/// Blobs on their way at once, as Podman.
const PARALLEL: usize = 3;

/// The one place where the asynchronous runtime lives.
pub(super) fn attempt(store: &Store, reference: &Reference, options: &PullOptions) -> Result<(String, bool)> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|error| Error::Pull { message: format!("cannot start the runtime: {error}") })?;
    let result = runtime.block_on(pull_registry(store, reference, options));
    // After a failure a thread may still wait for skopeo; it must not keep us. Staging that is left has no holder then.
    runtime.shutdown_timeout(Duration::from_secs(2));
    result.map_err(|error| match error {
        Error::NoPlatform { reference, .. } => {
            Error::NoPlatform { reference, platform: platform::describe(options.platform.as_ref()) }
        }
        error => error,
    })
}

async fn pull_registry(store: &Store, reference: &Reference, options: &PullOptions) -> Result<(String, bool)> {
    let name = reference.to_string();
    let initializing = |error| proxy_error(&name, error).while_doing(&format!("initializing source docker://{name}"));
    let proxy = ImageProxy::new_with_config(configuration(reference, options)?).await.map_err(initializing)?;
    let image = proxy.open_image(&format!("docker://{name}")).await.map_err(initializing)?;
    line("Getting image source signatures");
    let (digest, manifest) = proxy.fetch_manifest_raw_oci(&image).await.map_err(initializing)?;
    let digest: Digest = digest.parse()?;
    let repository = reference.repository();
    if let Some(id) = already_here(store, &name, &digest)? {
        // It may be here under another name only.
        {
            let _lock = store.lock()?;
            if names::resolve(store, &name)?.as_deref() != Some(id.as_str()) {
                add_name(store, &id, &name, &format!("{repository}@{digest}"))?;
            }
        }
        for layer in serde_json::from_slice::<Manifest>(&manifest).map(|manifest| manifest.layers).unwrap_or_default() {
            line(format!("Copying blob {}", layer.digest));
        }
        line(format!("Copying config sha256:{id}"));
        line("Writing manifest to image destination");
        if let Some(stored) = record::load(store, &id)? {
            warn_of_platform(&stored, options);
        }
        return Ok((id, false));
    }

    let adding = store.adding()?;
    let parsed: Manifest =
        serde_json::from_slice(&manifest).map_err(|error| bad(&name, format!("its manifest: {error}")))?;
    let Some(config_descriptor) = parsed.config.as_ref() else {
        return Err(bad(&name, "its manifest has no config".to_owned()));
    };
    // skopeo turns Docker's manifests into the OCI's on the way. The converted configuration is enough to begin with,
    // but id and health check are in the original.
    let converted = Digest::of(&manifest) != digest;
    let config = match converted {
        true => proxy.fetch_config_raw(&image).await.map_err(|e| proxy_error(&name, e))?,
        false => document(&proxy, &image, config_descriptor, &name).await?,
    };
    let diff_ids = deposit::diff_ids(&config, &name)?;
    if diff_ids.len() != parsed.layers.len() {
        return Err(bad(&name, format!("{} layers for {} diff ids", parsed.layers.len(), diff_ids.len())));
    }
    let chain = deposit::chain_ids(&diff_ids);

    let mut coming: Vec<Digest> = parsed.layers.iter().map(|layer| layer.digest.clone()).collect();
    coming.push(config_descriptor.digest.clone());
    collect::announce(store, &name, &digest, chain.clone(), coming)?;
    let slots = Slots::new(chain.len());
    let layers = Layers {
        store,
        proxy: &proxy,
        image: &image,
        name: &name,
        descriptors: &parsed.layers,
        chain: &chain,
        slots: &slots,
        next: AtomicUsize::new(0),
    };
    let unpack = tokio::task::spawn_blocking({
        let (store, slots, name) = (store.clone(), Arc::clone(&slots.0), name.clone());
        let (diff_ids, chain) = (diff_ids.clone(), chain.clone());
        let blobs: Vec<Digest> = parsed.layers.iter().map(|layer| layer.digest.clone()).collect();
        move || unpack_all(&store, &slots, &name, &blobs, &diff_ids, &chain)
    });
    let unpack = async { joined(unpack.await)? };
    let original = async {
        match converted {
            true => original_manifest(reference, &digest, options).await.map(Some),
            false => Ok(None),
        }
    };
    const { assert!(PARALLEL == 3) };
    let (original, (), (), (), ()) = tokio::try_join!(original, layers.work(), layers.work(), layers.work(), unpack)?;

    let (manifest, config) = match original {
        None => (manifest, config),
        Some(original) => {
            let parsed: Manifest =
                serde_json::from_slice(&original).map_err(|error| bad(&name, format!("its manifest: {error}")))?;
            let Some(descriptor) = parsed.config.as_ref() else {
                return Err(bad(&name, "Docker schema 1 images are not supported".to_owned()));
            };
            let config = document(&proxy, &image, descriptor, &name).await?;
            if deposit::diff_ids(&config, &name)? != diff_ids {
                return Err(bad(&name, "its two configurations list different layers".to_owned()));
            }
            (original, config)
        }
    };
    line(format!("Copying config {}", Digest::of(&config)));
    line("Writing manifest to image destination");
    let new = NewImage {
        manifest,
        config,
        layers: chain.clone(),
        names: vec![name.clone()],
        repositories: vec![repository],
        parent: None,
    };
    let stored = deposit::image(store, &adding, new)?;
    collect::retract(store, &digest)?;
    drop(adding);
    warn_of_platform(&stored, options);
    // Its exit is not waited for: everything has been checked.
    drop(proxy);
    Ok((stored.id, true))
}

/// A registry that has one image only gives that one.
fn warn_of_platform(stored: &Image, options: &PullOptions) {
    let wanted = options.platform.as_ref();
    if !platform::fits(wanted, stored.os(), stored.architecture(), stored.variant()) {
        send(&Event::Warning(format!(
            "image platform ({}/{}) does not match the expected platform ({})",
            stored.os(),
            stored.architecture(),
            platform::describe(wanted)
        )));
    }
}

/// The id of an image with this manifest of which nothing is missing: the one of that name, else any.
fn already_here(store: &Store, name: &str, digest: &Digest) -> Result<Option<String>> {
    let named = names::resolve(store, name)?;
    for id in named.into_iter().chain(record::ids(store)?) {
        let Ok(Some(record)) = record::read(store, &id) else { continue };
        if record.digest != *digest {
            continue;
        }
        if collect::is_whole(store, &record)? {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

/// The caller holds the store's lock.
fn add_name(store: &Store, id: &str, name: &str, repo_digest: &str) -> Result<()> {
    let Some(mut record) = record::read(store, id)? else {
        return Err(Error::NotFound { name: id.to_owned() });
    };
    deposit::remember(&mut record.name_history, &[name.to_owned()]);
    if !record.repo_digests.iter().any(|known| known == repo_digest) {
        record.repo_digests.push(repo_digest.to_owned());
    }
    record::write(store, &record)?;
    names::point(store, name, id)
}

/// The manifest as the registry has it. skopeo's proxy only hands out the converted one.
async fn original_manifest(reference: &Reference, digest: &Digest, options: &PullOptions) -> Result<Vec<u8>> {
    let by_digest = reference.with_digest(digest);
    let digest = digest.clone();
    let options = options.clone();
    let fetched = tokio::task::spawn_blocking(move || {
        let mut command = skopeo::command();
        command.args(["inspect", "--raw", &format!("docker://{by_digest}")]);
        let name = by_digest.to_string();
        let raw = skopeo::with_access(&mut command, &by_digest, &options, |command| skopeo::output(command, &name))?;
        let found = Digest::of(&raw);
        match found == digest {
            true => Ok(raw),
            false => Err(Error::DigestMismatch { what: name, expected: digest.to_string(), found: found.to_string() }),
        }
    });
    joined(fetched.await)?
}
