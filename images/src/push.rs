//! Out of the store into a registry or another place skopeo can write.

use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use storage::{Digest, Store};

use crate::error::{Error, Result};
use crate::image::Image;
use crate::places::Places;
use crate::progress::{Progress, Report};
use crate::pull::Credentials;
use crate::reference::{Reference, Source, Transport};
use crate::retry::Retry;
use crate::{events, find, skopeo, tag, view};

#[derive(Clone, Debug)]
pub struct PushOptions {
    pub authfile: Option<PathBuf>,
    pub creds: Option<Credentials>,
    pub cert_dir: Option<PathBuf>,
    pub tls_verify: Option<bool>,
    /// Gets the digest of the manifest that was written.
    pub digestfile: Option<PathBuf>,
    /// `oci`, `v2s2` or `v2s1`.
    pub format: Option<String>,
    /// `gzip`, `zstd`, `zstd:chunked`.
    pub compression_format: Option<String>,
    pub compression_level: Option<i32>,
    pub force_compression: bool,
    /// For `dir:` only.
    pub compress: bool,
    pub remove_signatures: bool,
    pub encryption_keys: Vec<String>,
    pub encrypt_layers: Vec<i32>,
    pub sign_by: Option<String>,
    /// A parameter file, see containers-sigstore-signing-params.yaml(5).
    pub sign_by_sigstore: Option<PathBuf>,
    pub sign_by_sigstore_private_key: Option<PathBuf>,
    pub sign_by_sq_fingerprint: Option<String>,
    pub sign_passphrase_file: Option<PathBuf>,
    /// How often to try again whatever the network's fault is; `None`: 3 times, where that may help.
    pub retry: Option<u32>,
    pub retry_delay: Option<Duration>,
    pub progress: Progress,
    pub places: Places,
}

impl Default for PushOptions {
    fn default() -> Self {
        PushOptions {
            authfile: None,
            creds: None,
            cert_dir: None,
            tls_verify: None,
            digestfile: None,
            format: None,
            compression_format: None,
            compression_level: None,
            force_compression: false,
            compress: false,
            remove_signatures: false,
            encryption_keys: Vec::new(),
            encrypt_layers: Vec::new(),
            sign_by: None,
            sign_by_sigstore: None,
            sign_by_sigstore_private_key: None,
            sign_by_sq_fingerprint: None,
            sign_passphrase_file: None,
            retry: None,
            retry_delay: None,
            progress: Progress::detect(),
            places: Places::from_environment(),
        }
    }
}

impl PushOptions {
    /// Runs `attempt` until it succeeds, and warns of each failure.
    pub(crate) fn persist<T>(&self, attempt: impl Fn() -> Result<T>) -> Result<T> {
        let warn = |text: &str| Report::new(self.progress).warn(text);
        Retry { times: self.retry, delay: self.retry_delay }.run(warn, attempt)
    }
}

/// Copies the image to `destination`, by default the registry its name says, and returns the digest it has there.
pub fn push(store: &Store, name: &str, destination: Option<&str>, options: &PushOptions) -> Result<Digest> {
    let image = find::get(store, name)?;
    let typed = destination.unwrap_or(name);
    let destination: Source = match destination {
        Some(destination) => destination.parse()?,
        None => Source::Registry(own_registry(&image, name)?),
    };
    if let Source::Registry(reference) = &destination
        && reference.is_short()
    {
        let reason = "it names no registry to push to";
        return Err(Error::InvalidReference { name: reference.to_string(), reason });
    }
    let digest = options.persist(|| attempt(store, &image, &destination, options))?;
    events::record(store, "push", &image.id, typed);
    Ok(digest)
}

/// Where the image goes by the name that was typed.
fn own_registry(image: &Image, typed: &str) -> Result<Reference> {
    let reason = "it names no registry to push to; give a destination";
    let nowhere = || Error::InvalidReference { name: typed.to_owned(), reason };
    let name = tag::name_of(image, typed).map_err(|_| nowhere())?;
    let reference: Reference = name.parse()?;
    if reference.is_local() { Err(nowhere()) } else { Ok(reference) }
}

fn attempt(store: &Store, image: &Image, destination: &Source, options: &PushOptions) -> Result<Digest> {
    let staging = store.staging()?;
    let view = staging.path().join("image");
    match options.force_compression && options.compression_format.is_some() {
        // An older skopeo has no flag for it, but what is not compressed every skopeo compresses as it is told.
        true => view::plain_directory(store, image, &view)?,
        false => view::directory(store, image, &view)?,
    }
    let digest = copy(&view, destination, options, &[], staging.path())?;
    drop(staging);
    store.sweep()?;
    Ok(digest)
}

/// skopeo copies the `dir` directory `view` to its destination; the digest it has there. `scratch` is for small files.
pub(crate) fn copy(
    view: &Path,
    destination: &Source,
    options: &PushOptions,
    flags: &[&str],
    scratch: &Path,
) -> Result<Digest> {
    let digestfile = scratch.join("digest");
    let mut command = skopeo::command();
    // The source is our own store; what policy.json says about other people's does not apply to it.
    command.args(["--insecure-policy", "copy", "--digestfile"]).arg(&digestfile).args(flags);
    if let Source::Registry(reference) = destination {
        if let Some(dir) = &options.cert_dir {
            command.arg("--dest-cert-dir").arg(dir);
        }
        if let Some(verify) = options.tls_verify {
            command.arg(format!("--dest-tls-verify={verify}"));
        }
        if let Some(creds) = &options.creds {
            let registry = reference.domain().unwrap_or_default();
            command.arg("--dest-authfile").arg(skopeo::write_authfile(scratch, registry, creds)?);
        } else if let Some(authfile) = options.authfile.as_ref().or(options.places.auth_file.as_ref()) {
            command.arg("--dest-authfile").arg(authfile);
        }
    }
    add_options(&mut command, destination, options);
    command.arg(format!("dir:{}", view.display())).arg(destination.to_string());
    // skopeo shows its progress on stdout, where ours has the result.
    let stderr = std::io::stderr().as_fd().try_clone_to_owned().map_err(Error::file("/dev/stderr"))?;
    command.stdout(Stdio::from(stderr)).stderr(Stdio::piped()).stdin(Stdio::null());
    let child = command.spawn().map_err(skopeo::spawn_error)?;
    let output = child.wait_with_output().map_err(skopeo::spawn_error)?;
    if !output.status.success() {
        return Err(skopeo::translate(&destination.to_string(), &skopeo::last_message(&output.stderr)));
    }
    let text = fs::read_to_string(&digestfile).map_err(Error::file(&digestfile))?;
    if let Some(path) = &options.digestfile {
        fs::write(path, &text).map_err(Error::file(path))?;
    }
    Ok(text.trim().parse()?)
}

fn add_options(command: &mut Command, destination: &Source, options: &PushOptions) {
    if options.progress == Progress::Quiet {
        command.arg("-q");
    }
    if options.remove_signatures {
        command.arg("--remove-signatures");
    }
    if options.compress && destination.transport() == Transport::Dir {
        command.arg("--dest-compress");
    }
    let level = options.compression_level.map(|level| level.to_string());
    let valued = [
        ("--format", options.format.as_deref()),
        ("--dest-compress-format", options.compression_format.as_deref()),
        ("--dest-compress-level", level.as_deref()),
        ("--sign-by", options.sign_by.as_deref()),
        ("--sign-by-sq-fingerprint", options.sign_by_sq_fingerprint.as_deref()),
    ];
    for (flag, value) in valued {
        if let Some(value) = value {
            command.args([flag, value]);
        }
    }
    let files = [
        ("--sign-by-sigstore", &options.sign_by_sigstore),
        ("--sign-by-sigstore-private-key", &options.sign_by_sigstore_private_key),
        ("--sign-passphrase-file", &options.sign_passphrase_file),
    ];
    for (flag, path) in files {
        if let Some(path) = path {
            command.arg(flag).arg(path);
        }
    }
    for key in &options.encryption_keys {
        command.args(["--encryption-key", key]);
    }
    for layer in &options.encrypt_layers {
        command.arg(format!("--encrypt-layer={layer}"));
    }
}
