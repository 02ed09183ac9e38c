//! Where the user keeps what containers tools read: registries.conf, policy.json, auth.json.
//!
//! The one file of this crate that reads the environment. What skopeo looks up by itself is not looked up here.

use std::env;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Directories and files named by the environment.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Places {
    /// `$HOME`.
    pub home: Option<PathBuf>,
    /// `$XDG_CONFIG_HOME`, else `~/.config`.
    pub config: Option<PathBuf>,
    /// `$XDG_RUNTIME_DIR`.
    pub runtime: Option<PathBuf>,
    /// `$CONTAINERS_REGISTRIES_CONF`.
    pub registries_conf: Option<PathBuf>,
    /// `$REGISTRY_AUTH_FILE`.
    pub auth_file: Option<PathBuf>,
    /// `--signature-policy`: a policy.json that is named.
    pub signature_policy: Option<PathBuf>,
    /// `$TMPDIR`, else `/var/tmp`: for what does not fit into memory.
    pub tmp: PathBuf,
}

impl Places {
    pub fn from_environment() -> Places {
        let path = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = path("HOME");
        Places {
            config: path("XDG_CONFIG_HOME").or_else(|| home.as_ref().map(|home| home.join(".config"))),
            runtime: path("XDG_RUNTIME_DIR"),
            registries_conf: path("CONTAINERS_REGISTRIES_CONF").or_else(|| path("REGISTRIES_CONFIG_PATH")),
            auth_file: path("REGISTRY_AUTH_FILE"),
            signature_policy: None,
            tmp: path("TMPDIR").unwrap_or_else(|| "/var/tmp".into()),
            home,
        }
    }

    /// The policy.json that was named, else the user's, else the machine's; `None` where there is none and everything is
    /// accepted.
    pub(crate) fn policy(&self) -> Option<PathBuf> {
        if let Some(named) = &self.signature_policy {
            return Some(named.clone());
        }
        // skopeo looks below $HOME/.config, whatever $XDG_CONFIG_HOME says.
        let user = self.home.as_ref().map(|home| home.join(".config/containers/policy.json"));
        user.into_iter().chain(["/etc/containers/policy.json".into()]).find(|path| path.exists())
    }
}
