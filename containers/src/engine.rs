//! What every operation needs: the store, and the settings of this invocation.

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use storage::Store;
use sys::lock::FileLock;

use crate::error::{Error, Result};
use crate::id::ContainerId;

/// The store and the settings. Passed by reference; there are no globals.
pub struct Engine {
    pub store: Store,
    pub settings: Settings,
}

/// What the surface resolved from flags, configuration files and the environment. Handed to the monitor as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Where [`sys::userns::enter`] keeps its record.
    pub userns_dir: PathBuf,
    /// The caller's ids outside of the user namespace.
    pub uid: u32,
    pub gid: u32,
    /// No sub-ids: only the caller's own id exists.
    pub single_id: bool,
    /// `--runtime`: an external OCI runtime instead of creel's own.
    pub runtime: Option<PathBuf>,
    /// `--runtime-flag`, with their dashes.
    pub runtime_flags: Vec<String>,
    /// `systemd` or `cgroupfs`; `None` finds out.
    pub cgroup_manager: Option<String>,
    /// `default_rootless_network_cmd` of containers.conf, or `--network-cmd-path`.
    pub uplink: Option<String>,
    /// Where the records of named networks are, if not in the store.
    pub network_config_dir: Option<PathBuf>,
    /// Name and subnet of the network that is always there, where they are not creel's own.
    pub default_network: Option<String>,
    pub default_subnet: Option<network::Cidr>,
    pub hooks_dirs: Vec<PathBuf>,
    /// Where device vendors' files are; empty for the usual places.
    pub cdi_spec_dirs: Vec<PathBuf>,
    /// `seccomp_profile` of containers.conf: a file, or `unconfined`.
    pub seccomp_profile: Option<PathBuf>,
    pub log_level: Option<String>,
    /// `NOTIFY_SOCKET` of the caller: who wants to hear how containers go, see sd_notify(3).
    pub notify_socket: Option<String>,
}

impl Engine {
    /// The directory of one container in the store.
    pub fn container_dir(&self, id: &ContainerId) -> PathBuf {
        self.store.dirs().root.join("containers").join(id)
    }

    /// The lock of a container: held while its record or its state is changed, and while it is started.
    ///
    /// # Errors
    /// [`Error::NotFound`] where the container is gone; one with `--rm` may be at any moment.
    pub(crate) fn lock(&self, id: &ContainerId) -> Result<FileLock> {
        let path = self.container_dir(id).join("lock");
        FileLock::exclusive(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::NotFound { name: id.to_string() },
            _ => Error::Io { path, source: error },
        })
    }

    /// Where a container's monitor writes its number while it runs, for units of systemd.
    pub fn monitor_pid_file(&self, id: &ContainerId) -> PathBuf {
        self.run_dir(id).join("conmon.pid")
    }

    /// The directory of one container's run time: gone after a reboot.
    pub fn run_dir(&self, id: &ContainerId) -> PathBuf {
        self.store.dirs().runroot.join("containers").join(id)
    }
}
