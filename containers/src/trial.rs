//! Would a limit on a container be carried out here? Answered by making a cgroup with one and taking it away again.

use oci_spec::runtime::{LinuxPids, LinuxResources};
use runtime::cgroup::{Cgroup, Manager};

use crate::engine::Settings;
use crate::error::Result;

/// The controllers that can limit a container, by name. The caller may be moved into another cgroup: it should be a
/// process that ends soon.
///
/// # Errors
/// The one that a limit of `run` would get.
pub fn try_limit(settings: &Settings) -> Result<Vec<String>> {
    let manager = Manager::choose(settings.cgroup_manager.as_deref(), settings.uid)?;
    let mut pids = LinuxPids::default();
    pids.set_limit(64);
    let mut limits = LinuxResources::default();
    limits.set_pids(Some(pids));
    let name = format!("creel-trial-{}", std::process::id());
    let made = Cgroup::create(&manager, &name, None, &limits)?;
    let Some(cgroup) = made else { return Ok(Vec::new()) };
    let controllers = cgroup.controllers();
    cgroup.remove()?;
    Ok(controllers)
}
