//! Credentials for registries, kept by skopeo in auth.json or by the user's credential helpers.

use std::path::PathBuf;

use crate::error::Result;
use crate::places::Places;

#[derive(Clone, Debug, Default)]
pub struct LoginOptions {
    pub authfile: Option<PathBuf>,
    /// A Docker config.json instead of auth.json.
    pub compat_auth_file: Option<PathBuf>,
    pub cert_dir: Option<PathBuf>,
    pub tls_verify: Option<bool>,
    /// Asked on the terminal where missing.
    pub username: Option<String>,
    pub password: Option<String>,
    pub verbose: bool,
    pub places: Places,
}

/// Checks the credentials with the registry and stores them. Talks with the user over the inherited standard streams.
pub fn login(registry: Option<&str>, options: &LoginOptions) -> Result<()> {
    let _ = (registry, options);
    unimplemented!()
}

/// The user name stored for a registry.
pub fn get_login(registry: Option<&str>, options: &LoginOptions) -> Result<String> {
    let _ = (registry, options);
    unimplemented!()
}

/// Forgets the credentials of one registry, or of all with `None`.
pub fn logout(registry: Option<&str>, options: &LoginOptions) -> Result<()> {
    let _ = (registry, options);
    unimplemented!()
}
