//! From a registry, or any other place skopeo can read, into the store.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use storage::Store;

use crate::error::Result;
use crate::image::Image;
use crate::places::Places;
use crate::policy::PullPolicy;
use crate::progress::Progress;

/// `--os`, `--arch`, `--variant` or `--platform OS/ARCH[/VARIANT]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    pub os: Option<String>,
    pub architecture: Option<String>,
    pub variant: Option<String>,
}

/// `--creds USER[:PASSWORD]`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    pub user: String,
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials {{ user: {:?}, .. }}", self.user)
    }
}

impl std::str::FromStr for Credentials {
    type Err = crate::Error;

    fn from_str(text: &str) -> Result<Credentials> {
        let (user, password) = text.split_once(':').unwrap_or((text, ""));
        if user.is_empty() {
            let reason = "use USER[:PASSWORD]".to_owned();
            // The value itself may be a password that slipped.
            return Err(crate::Error::InvalidValue { what: "credentials", value: String::new(), reason });
        }
        Ok(Credentials { user: user.to_owned(), password: password.to_owned() })
    }
}

impl std::str::FromStr for Platform {
    type Err = crate::Error;

    /// `OS[/ARCH[/VARIANT]]`.
    fn from_str(text: &str) -> Result<Platform> {
        let parts: Vec<&str> = text.split('/').collect();
        let some = |text: &str| Some(text.to_owned());
        match parts.as_slice() {
            [""] | [] => Err(crate::Error::InvalidValue {
                what: "platform",
                value: text.to_owned(),
                reason: "use OS/ARCH[/VARIANT]".to_owned(),
            }),
            [os] => Ok(Platform { os: some(os), architecture: None, variant: None }),
            [os, architecture] => Ok(Platform { os: some(os), architecture: some(architecture), variant: None }),
            [os, architecture, variant @ ..] => {
                Ok(Platform { os: some(os), architecture: some(architecture), variant: Some(variant.join("/")) })
            }
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PullOptions {
    pub policy: PullPolicy,
    pub platform: Option<Platform>,
    pub authfile: Option<PathBuf>,
    pub creds: Option<Credentials>,
    pub cert_dir: Option<PathBuf>,
    /// `None` leaves it to registries.conf.
    pub tls_verify: Option<bool>,
    /// How often to try again after the network failed.
    pub retry: u32,
    /// `None`: 1 s, doubled each time.
    pub retry_delay: Option<Duration>,
    pub decryption_keys: Vec<String>,
    pub all_tags: bool,
    pub progress: Progress,
    pub places: Places,
}

impl Default for PullOptions {
    fn default() -> Self {
        PullOptions {
            policy: PullPolicy::Missing,
            platform: None,
            authfile: None,
            creds: None,
            cert_dir: None,
            tls_verify: None,
            retry: 3,
            retry_delay: None,
            decryption_keys: Vec::new(),
            all_tags: false,
            progress: Progress::detect(),
            places: Places::from_environment(),
        }
    }
}

/// What a pull did.
#[derive(Clone, Debug)]
pub struct Pulled {
    pub image: Image,
    /// False when everything was here already.
    pub changed: bool,
}

/// The image of that name, pulled when the policy says so. Makes no thread: a pull happens in a worker process.
pub fn ensure(store: &Store, name: &str, options: &PullOptions) -> Result<Image> {
    let _ = (store, name, options);
    unimplemented!()
}

/// What `pull` does: one image for each name, more with `all_tags`.
pub fn pull(store: &Store, name: &str, options: &PullOptions) -> Result<Vec<Pulled>> {
    let _ = (store, name, options);
    unimplemented!()
}
