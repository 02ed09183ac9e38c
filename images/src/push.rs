//! Out of the store into a registry or another place skopeo can write.

use std::path::PathBuf;
use std::time::Duration;

use storage::{Digest, Store};

use crate::error::Result;
use crate::places::Places;
use crate::progress::Progress;
use crate::pull::Credentials;

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
    pub sign_by_sigstore_private_key: Option<PathBuf>,
    pub sign_passphrase_file: Option<PathBuf>,
    pub retry: u32,
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
            sign_by_sigstore_private_key: None,
            sign_passphrase_file: None,
            retry: 3,
            retry_delay: None,
            progress: Progress::detect(),
            places: Places::from_environment(),
        }
    }
}

/// Copies the image to `destination`, by default the registry its name says, and returns the digest it has there.
pub fn push(store: &Store, name: &str, destination: Option<&str>, options: &PushOptions) -> Result<Digest> {
    let _ = (store, name, destination, options);
    unimplemented!()
}
