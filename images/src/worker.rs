//! The pull worker: a process of its own, because skopeo's proxy needs an asynchronous runtime and the rest of creel has
//! no thread.
//!
//! Layers come several at once and are unpacked from the bottom up, each while it comes: the fetchers write blobs, one
//! thread follows them. Content is believed when its digest is right: the manifest's because the tag or the user says
//! so, the configuration's because the manifest says so, a layer's because the configuration does.

use std::fs::File;
use std::io::{self, BufRead, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use containers_image_proxy::{BlobStreamSource, ImageProxy, ImageProxyConfig, OpenedImage};
use storage::{Digest, Hasher, Limits, Staging, Store};
use sys::lock::FileLock;
use tokio::io::AsyncReadExt;

use crate::archive::{Descriptor, Manifest};
use crate::deposit::{self, NewImage};
use crate::error::{Error, Result};
use crate::load;
use crate::platform;
use crate::progress::Report;
use crate::pull::PullOptions;
use crate::reference::{Reference, Source};
use crate::trust::{self, Verdict};
use crate::wire::{Event, Failure, Request, send};
use crate::{collect, names, record, skopeo};

/// Blobs on their way at once, as Podman.
const PARALLEL: usize = 3;

/// Bytes read at once.
const CHUNK: usize = 256 << 10;

/// Silence after which skopeo is asked whether it has given up.
const SILENCE: Duration = Duration::from_secs(2);

/// Silence after which we give up.
const STALL: Duration = Duration::from_secs(120);

/// The hidden command `__pull`: JSON request on standard input, JSON lines on standard output.
pub fn pull_worker() -> ExitCode {
    let mut line = String::new();
    if io::stdin().lock().read_line(&mut line).is_err() {
        return ExitCode::FAILURE;
    }
    let Ok(request) = serde_json::from_str::<Request>(&line) else { return ExitCode::FAILURE };
    // The parent keeps the other end open for as long as it lives and wants the image.
    std::thread::spawn(|| {
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        std::process::exit(1);
    });
    let (event, code) = match pull(&request) {
        Ok((id, changed)) => (Event::Done { id, changed }, ExitCode::SUCCESS),
        Err(error) => (Event::Failed(Failure::from(error)), ExitCode::FAILURE),
    };
    send(&event);
    code
}

fn line(text: impl Into<String>) {
    send(&Event::Line(text.into()));
}

fn pull(request: &Request) -> Result<(String, bool)> {
    let store = Store::open(request.dirs.clone(), request.store.clone())?;
    let source: Source = request.source.parse()?;
    let verdict = trust::verdict(&request.options.places, &source)?;
    if verdict == Verdict::Reject {
        let message = "policy.json rejects it".to_owned();
        return Err(Error::Policy {
            reference: source.to_string().trim_start_matches("docker://").to_owned(),
            message,
        });
    }
    match (&source, verdict) {
        (Source::Registry(reference), Verdict::Check) => {
            copy_first(&store, &source, &request.options, &[reference.complete().to_string()])
        }
        (Source::Registry(reference), _) => {
            let (name, options) = (reference.complete(), &request.options);
            let warn = |text: &str| send(&Event::Warning(text.to_owned()));
            options.retries().run(&format!("pull {name}"), warn, || attempt(&store, &name, options))
        }
        (Source::Storage(name), _) => {
            let name = name.rsplit_once(']').map_or(name.as_str(), |(_, name)| name);
            let names: Vec<String> =
                name.parse::<Reference>().ok().map(|name| name.local().to_string()).into_iter().collect();
            copy_first(&store, &source, &request.options, &names)
        }
        (Source::Path { .. }, Verdict::Check) => Err(Error::Unsupported {
            what: format!("checking signatures of {}", source.transport().name()),
            reason: "policy.json requires a signature for it".to_owned(),
        }),
        (Source::Path { transport, path, reference }, _) => {
            let platform = request.options.platform.as_ref();
            let image = load::load_one(&store, *transport, path, reference.as_deref(), platform, &Report::events())?;
            Ok((image.id, true))
        }
    }
}

/// Lets skopeo make a whole copy and takes it from there: the way for everything the proxy cannot do.
fn copy_first(store: &Store, source: &Source, options: &PullOptions, names: &[String]) -> Result<(String, bool)> {
    line("Getting image source signatures");
    let staging = store.staging()?;
    let dir = staging.path().join("copy");
    let mut command = match source {
        // Its storage library mounts, if only to look whether it can.
        Source::Storage(_) => skopeo::command_with_mounts(&options.places),
        Source::Registry(_) | Source::Path { .. } => skopeo::command_with_policy(&options.places),
    };
    platform_arguments(&mut command, options);
    command.args(["copy", "-q"]);
    if let Source::Registry(_) = source {
        // What Podman's store hands out is not compressed, whatever its manifest says.
        command.arg("--preserve-digests");
    }
    if let Source::Registry(reference) = source {
        skopeo::add_source_access(&mut command, reference, options, staging.path())?;
    }
    command.arg(source.to_string()).arg(format!("dir:{}", dir.display()));
    skopeo::output(&mut command, &source.to_string())?;
    let repositories = match source {
        Source::Registry(reference) => vec![reference.repository()],
        Source::Storage(_) | Source::Path { .. } => Vec::new(),
    };
    let image =
        load::load_copy(store, &dir, names.to_vec(), repositories, options.platform.as_ref(), &Report::events())?;
    Ok((image.id, true))
}

fn platform_arguments(command: &mut std::process::Command, options: &PullOptions) {
    if let Some(platform) = &options.platform {
        let all = [
            ("--override-os", platform.os.as_deref()),
            ("--override-arch", platform.architecture.as_deref().map(platform::normalized)),
            ("--override-variant", platform.variant.as_deref()),
        ];
        for (flag, value) in all {
            if let Some(value) = value {
                command.args([flag, value]);
            }
        }
    }
}

/// The one place where the asynchronous runtime lives.
fn attempt(store: &Store, reference: &Reference, options: &PullOptions) -> Result<(String, bool)> {
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
    let proxy =
        ImageProxy::new_with_config(configuration(reference, options)?).await.map_err(|e| proxy_error(&name, e))?;
    let image = proxy.open_image(&format!("docker://{name}")).await.map_err(|e| proxy_error(&name, e))?;
    line("Getting image source signatures");
    let (digest, manifest) = proxy.fetch_manifest_raw_oci(&image).await.map_err(|e| proxy_error(&name, e))?;
    let digest: Digest = digest.parse()?;
    let repository = reference.repository();
    if let Some(id) = already_here(store, &name, &digest)? {
        // It may be here under another name only.
        let _lock = store.lock()?;
        if names::resolve(store, &name)?.as_deref() != Some(id.as_str()) {
            add_name(store, &id, &name, &format!("{repository}@{digest}"))?;
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
    let wanted = options.platform.as_ref();
    if !platform::fits(wanted, stored.os(), stored.architecture(), stored.variant()) {
        send(&Event::Warning(format!(
            "WARNING: image platform ({}/{}) does not match the expected platform ({})",
            stored.os(),
            stored.architecture(),
            platform::describe(wanted)
        )));
    }
    // Its exit is not waited for: everything has been checked.
    drop(proxy);
    Ok((stored.id, true))
}

fn bad(name: &str, reason: String) -> Error {
    Error::BadImage { reference: name.to_owned(), reason }
}

fn configuration(reference: &Reference, options: &PullOptions) -> Result<ImageProxyConfig> {
    let mut config = ImageProxyConfig::default();
    let mut command = skopeo::command();
    platform_arguments(&mut command, options);
    config.skopeo_cmd = Some(command);
    config.certificate_directory = options.cert_dir.clone();
    config.insecure_skip_tls_verification = options.tls_verify.map(|verify| !verify);
    // What there is to check was checked by `trust`, as old skopeos would not.
    config.insecure_policy = options.places.policy().is_none().then_some(true);
    if !options.decryption_keys.is_empty() {
        config.decryption_keys = Some(options.decryption_keys.clone());
    }
    match &options.creds {
        Some(creds) => {
            config.auth_data = Some(secret_file(&skopeo::authfile(reference.domain().unwrap_or_default(), creds))?)
        }
        None => config.authfile = options.authfile.clone().or_else(|| options.places.auth_file.clone()),
    }
    Ok(config)
}

/// A file that is in memory and in nobody's directory, see memfd_create(2).
fn secret_file(text: &str) -> Result<std::fs::File> {
    use std::io::Seek;
    let failed = |error: io::Error| Error::File { path: PathBuf::from("memfd"), source: error };
    let fd = rustix::fs::memfd_create("auth", rustix::fs::MemfdFlags::CLOEXEC).map_err(|error| failed(error.into()))?;
    let mut file = std::fs::File::from(fd);
    file.write_all(text.as_bytes()).and_then(|()| file.rewind()).map_err(failed)?;
    Ok(file)
}

fn proxy_error(name: &str, error: containers_image_proxy::Error) -> Error {
    use containers_image_proxy::Error as Proxy;
    match error {
        Proxy::SkopeoSpawnError(error) => skopeo::spawn_error(error),
        Proxy::ProxyTooOld { requested_version, found_version } => {
            Error::SkopeoTooOld { found: found_version.into(), wanted: requested_version.into() }
        }
        Proxy::RequestInitiationFailure { error, .. } => skopeo::translate(name, &error),
        Proxy::RetryableRequestFailure { error, .. } => {
            Error::Unreachable { reference: name.to_owned(), message: error.into() }
        }
        Proxy::Other(message) if message.contains("unknown command") => {
            Error::SkopeoTooOld { found: "none".to_owned(), wanted: "0.2.3".to_owned() }
        }
        Proxy::Other(message) if message.contains("unexpectedly exited") && message.contains("signal") => {
            Error::Unreachable { reference: name.to_owned(), message: "skopeo was killed".to_owned() }
        }
        other => skopeo::translate(name, &other.to_string()),
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

/// A thread of ours cannot panic but by a mistake of ours.
fn joined<T>(result: std::result::Result<T, tokio::task::JoinError>) -> Result<T> {
    result.map_err(|error| Error::Pull { message: error.to_string() })
}

/// A small blob, checked.
async fn document(proxy: &ImageProxy, image: &OpenedImage, descriptor: &Descriptor, name: &str) -> Result<Vec<u8>> {
    if descriptor.size > 16 << 20 {
        return Err(bad(name, format!("its configuration has {} bytes", descriptor.size)));
    }
    let mut bytes = Vec::new();
    pump(proxy, image, descriptor, name, |chunk| {
        bytes.extend_from_slice(chunk);
        Ok(())
    })
    .await?;
    let found = Digest::of(&bytes);
    match found == descriptor.digest {
        true => Ok(bytes),
        false => Err(Error::DigestMismatch {
            what: format!("configuration of {name}"),
            expected: descriptor.digest.to_string(),
            found: found.to_string(),
        }),
    }
}

/// The layers of one image, fetched by several workers from the bottom up.
struct Layers<'a> {
    store: &'a Store,
    proxy: &'a ImageProxy,
    image: &'a OpenedImage,
    name: &'a str,
    descriptors: &'a [Descriptor],
    chain: &'a [Digest],
    slots: &'a Slots,
    next: AtomicUsize,
}

impl Layers<'_> {
    async fn work(&self) -> Result<()> {
        loop {
            let at = self.next.fetch_add(1, Ordering::Relaxed);
            if at >= self.descriptors.len() {
                return Ok(());
            }
            if let Err(error) = self.fetch(at).await {
                self.slots.0[at].set(Blob::Failed);
                return Err(error);
            }
        }
    }

    /// Brings one blob into the store, and lets the unpacker follow while it comes.
    async fn fetch(&self, at: usize) -> Result<()> {
        let (descriptor, slot) = (&self.descriptors[at], &self.slots.0[at]);
        let digest = &descriptor.digest;
        // A layer without any blob, left by a load that was killed, can be run but not pushed: then the blob is wanted.
        let done = |at: usize| -> Result<bool> {
            let layer = self.store.layer(&self.chain[at])?;
            Ok(layer.is_some_and(|layer| {
                layer.blob.iter().chain([&layer.diff_id, digest]).any(|form| self.store.has_blob(form))
            }))
        };
        if done(at)? {
            line(format!("Copying blob {digest} skipped: already exists"));
            slot.set(Blob::Stored);
            return Ok(());
        }
        // Other pulls of the same blob wait for this one, and then find it here.
        let (store, wanted) = (self.store.clone(), digest.clone());
        let lock = joined(tokio::task::spawn_blocking(move || Turn::wait(&store, wanted.hex())).await)??;
        if self.store.has_blob(digest) || done(at)? {
            line(format!("Copying blob {digest} skipped: already exists"));
            slot.set(Blob::Stored);
            return Ok(());
        }
        send(&Event::Blob { digest: digest.to_string(), total: descriptor.size });
        let mut download = Download::start(self.store, digest)?;
        slot.set(Blob::Coming { file: download.reader()?, bytes: 0 });
        pump(self.proxy, self.image, descriptor, self.name, |chunk| {
            download.write(chunk)?;
            slot.set_bytes(download.bytes);
            send(&Event::At { digest: digest.to_string(), bytes: download.bytes });
            Ok(())
        })
        .await?;
        let store = self.store.clone();
        joined(tokio::task::spawn_blocking(move || download.commit(&store)).await)??;
        slot.set(Blob::Stored);
        drop(lock);
        send(&Event::Finished { digest: digest.to_string() });
        Ok(())
    }
}

/// A blob on its way into the store: hashed while it is written, under its name only when whole and right.
struct Download {
    staging: Staging,
    file: File,
    path: PathBuf,
    hasher: Hasher,
    digest: Digest,
    bytes: u64,
}

impl Download {
    fn start(store: &Store, digest: &Digest) -> Result<Download> {
        let staging = store.staging()?;
        let path = staging.path().join("blob");
        let file = File::options().write(true).create_new(true).mode(0o600).open(&path).map_err(Error::file(&path))?;
        Ok(Download { staging, file, path, hasher: Hasher::new(digest.algorithm()), digest: digest.clone(), bytes: 0 })
    }

    /// For who reads what is already there.
    fn reader(&self) -> Result<File> {
        File::open(&self.path).map_err(Error::file(&self.path))
    }

    fn write(&mut self, chunk: &[u8]) -> Result<()> {
        self.file.write_all(chunk).map_err(Error::file(&self.path))?;
        self.hasher.update(chunk);
        self.bytes += chunk.len() as u64;
        Ok(())
    }

    /// The data is on disk before the name is there.
    fn commit(self, store: &Store) -> Result<()> {
        let found = self.hasher.finish();
        if found != self.digest {
            return Err(Error::DigestMismatch {
                what: "a blob".to_owned(),
                expected: self.digest.to_string(),
                found: found.to_string(),
            });
        }
        let dest = store.blob_path(&found);
        self.file.sync_data().map_err(Error::file(&self.path))?;
        if let Some(dir) = dest.parent() {
            std::fs::create_dir_all(dir).map_err(Error::file(dir))?;
        }
        std::fs::rename(&self.path, &dest).map_err(Error::file(&dest))?;
        drop(self.staging);
        Ok(())
    }
}

/// What the fetchers and the unpacker know of each blob. Dropping it lets an unpacker that waits give up.
struct Slots(Arc<Vec<Slot>>);

impl Slots {
    fn new(count: usize) -> Slots {
        Slots(Arc::new((0..count).map(|_| Slot::default()).collect()))
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        for slot in self.0.iter() {
            slot.fail_unless_stored();
        }
    }
}

#[derive(Default)]
struct Slot {
    blob: Mutex<Blob>,
    changed: Condvar,
}

#[derive(Default)]
enum Blob {
    #[default]
    Nothing,
    /// So many bytes can be read.
    Coming {
        file: File,
        bytes: u64,
    },
    /// In the store, or its layer is.
    Stored,
    Failed,
}

impl Slot {
    fn set(&self, blob: Blob) {
        *self.lock() = blob;
        self.changed.notify_all();
    }

    fn set_bytes(&self, count: u64) {
        if let Blob::Coming { bytes, .. } = &mut *self.lock() {
            *bytes = count;
        }
        self.changed.notify_all();
    }

    fn fail_unless_stored(&self) {
        let mut blob = self.lock();
        if !matches!(*blob, Blob::Stored) {
            *blob = Blob::Failed;
        }
        drop(blob);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Blob> {
        self.blob.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `answer` has something to say about the blob.
    fn wait<T>(&self, answer: impl Fn(&Blob) -> Option<T>) -> T {
        let mut blob = self.lock();
        loop {
            if let Some(found) = answer(&blob) {
                return found;
            }
            blob = self.changed.wait(blob).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// The unpacking thread: from the bottom up, as a layer needs those below it, each as soon as its first bytes are there.
fn unpack_all(
    store: &Store,
    slots: &Arc<Vec<Slot>>,
    name: &str,
    blobs: &[Digest],
    diff_ids: &[Digest],
    chain: &[Digest],
) -> Result<()> {
    for (at, slot) in slots.iter().enumerate() {
        if store.layer(&chain[at])?.is_some() {
            continue;
        }
        let interrupted = || Error::Interrupted { what: format!("the pull of {name}") };
        // Of several pulls one unpacks, and the others find it done.
        let _turn = Turn::wait(store, &format!("layer-{}", chain[at].hex()))?;
        if store.layer(&chain[at])?.is_some() {
            continue;
        }
        let parent = at.checked_sub(1).map(|below| &chain[below]);
        let started = slot.wait(|blob| match blob {
            Blob::Nothing => None,
            Blob::Coming { .. } => Some(true),
            Blob::Stored => Some(false),
            Blob::Failed => Some(true),
        });
        let reader: Box<dyn Read + Send> = match started {
            true => Box::new(Follow {
                slots: Arc::clone(slots),
                at,
                store: store.clone(),
                blob: blobs[at].clone(),
                file: None,
                position: 0,
            }),
            false => Box::new(store.open_blob(&blobs[at])?),
        };
        let unpacked = storage::decompress(reader).and_then(|mut plain| {
            store.unpack_unsettled(parent, Some(&diff_ids[at]), Some(&blobs[at]), &mut plain, &Limits::default())
        });
        if let Err(error) = unpacked {
            // A blob that is not what it should be is the better reason, and is only known at its end.
            let whole = slot.wait(|blob| match blob {
                Blob::Nothing | Blob::Coming { .. } => None,
                Blob::Stored => Some(true),
                Blob::Failed => Some(false),
            });
            return Err(if whole { error.into() } else { interrupted() });
        }
    }
    Ok(())
}

/// Reads a blob while it comes, waiting where it has not come yet.
struct Follow {
    slots: Arc<Vec<Slot>>,
    at: usize,
    store: Store,
    blob: Digest,
    file: Option<File>,
    position: u64,
}

impl Read for Follow {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let position = self.position;
        // How far one may read; `None` when everything is there.
        let until = self.slots[self.at].wait(|blob| match blob {
            Blob::Nothing => None,
            Blob::Coming { bytes, .. } => (*bytes > position).then_some(Ok(Some(*bytes))),
            Blob::Stored => Some(Ok(None)),
            Blob::Failed => Some(Err(io::ErrorKind::UnexpectedEof)),
        })?;
        let file = match &self.file {
            Some(file) => file,
            None => {
                let open = || Ok::<_, io::Error>(self.store.open_blob(&self.blob)?);
                let file = match &*self.slots[self.at].lock() {
                    Blob::Coming { file, .. } => file.try_clone()?,
                    Blob::Nothing | Blob::Stored | Blob::Failed => open()?,
                };
                self.file.insert(file)
            }
        };
        let most = until.map_or(u64::MAX, |until| until - position).min(buffer.len() as u64);
        let most = usize::try_from(most).unwrap_or(buffer.len());
        let count = file.read_at(&mut buffer[..most], position)?;
        self.position += count as u64;
        Ok(count)
    }
}

/// Reads one blob from skopeo, to its end or to the error that skopeo names.
///
/// skopeo's GetBlob (before 1.19) closes its pipe only when asked by FinishPipe, and answers nothing else until the blob
/// is through. So it is asked when all bytes are here, or when none have come for a while, as it may have given up.
async fn pump(
    proxy: &ImageProxy,
    image: &OpenedImage,
    descriptor: &Descriptor,
    name: &str,
    mut take: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let digest: containers_image_proxy::oci_spec::image::Digest =
        descriptor.digest.to_string().parse().map_err(|error| bad(name, format!("{}: {error}", descriptor.digest)))?;
    let failed = |error| proxy_error(name, error);
    let lost = |message| Error::Unreachable { reference: name.to_owned(), message };
    let stream = proxy.get_blob_stream(image, &digest, descriptor.size).await.map_err(failed)?;
    let mut drive = stream.source() == BlobStreamSource::GetRawBlob || descriptor.size == 0;
    let (mut reader, mut driver) = stream.into_parts();
    let mut driven = false;
    let mut bytes = 0;
    let mut silent = Duration::ZERO;
    let mut chunk = Vec::with_capacity(CHUNK);
    loop {
        chunk.clear();
        tokio::select! {
            count = reader.read_buf(&mut chunk) => {
                let count = count.map_err(|error| lost(error.to_string()))?;
                if count == 0 {
                    break;
                }
                silent = Duration::ZERO;
                bytes += count as u64;
                if bytes > descriptor.size {
                    let reason = format!("blob {digest} is longer than the {} bytes its manifest says", descriptor.size);
                    return Err(bad(name, reason));
                }
                take(&chunk)?;
                drive |= bytes == descriptor.size;
            }
            result = &mut driver, if drive && !driven => {
                driven = true;
                result.map_err(failed)?;
            }
            () = tokio::time::sleep(SILENCE) => {
                drive = true;
                silent += SILENCE;
                if silent >= STALL {
                    return Err(lost(format!("timed out: nothing came for {} s", STALL.as_secs())));
                }
            }
        }
    }
    if !driven {
        driver.await.map_err(failed)?;
    }
    match bytes == descriptor.size {
        true => Ok(()),
        false => Err(lost(format!("blob {digest} broke off: EOF after {bytes} of {} bytes", descriptor.size))),
    }
}

/// Takes away what pulls that were killed have left of their [`Turn`]s. The caller has made sure that none is on its way.
pub(crate) fn forget_turns(store: &Store) -> Result<()> {
    let dir = store.dirs().runroot.join(TURNS);
    let entries = match std::fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::file(dir)(error)),
    };
    for entry in entries {
        let path = entry.map_err(Error::file(&dir))?.path();
        match std::fs::remove_file(&path) {
            // A pull that failed may be about to end.
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::file(path)(error)),
            _ => {}
        }
    }
    Ok(())
}

/// Where [`Turn`]s are taken, in the run root.
const TURNS: &str = "fetch";

/// Held while one blob is fetched or one layer unpacked. The file goes when it is done.
struct Turn {
    path: PathBuf,
    _lock: FileLock,
}

impl Turn {
    fn wait(store: &Store, what: &str) -> Result<Turn> {
        use std::os::unix::fs::MetadataExt;
        let dir = store.dirs().runroot.join(TURNS);
        std::fs::create_dir_all(&dir).map_err(Error::file(&dir))?;
        let path = dir.join(what);
        loop {
            let lock = FileLock::exclusive(&path).map_err(Error::file(&path))?;
            let held = rustix::fs::fstat(&lock).map_err(|error| Error::file(&path)(error.into()))?;
            // The one before us has unlinked the file we waited for.
            if std::fs::metadata(&path).is_ok_and(|there| there.ino() == held.st_ino && there.dev() == held.st_dev) {
                return Ok(Turn { path, _lock: lock });
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}
