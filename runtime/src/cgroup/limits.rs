//! Limits of a cgroup: set, read back, and refused with the name of the controller that is missing.

use std::fs;
use std::io;
use std::path::Path;

use libcgroups::common::{CgroupManager as _, ControllerOpt};
use oci_spec::runtime::LinuxResources;

use super::manager::is_ours;
use super::{Cgroup, MOUNT, on_disk};
use crate::{Error, Result};

impl Cgroup {
    /// Sets limits, those that are named and no others, and reads them back.
    pub fn apply(&self, limits: &LinuxResources) -> Result<()> {
        self.apply_limits(limits)?;
        for (file, value) in unified(limits) {
            let available = self.read("cgroup.controllers").unwrap_or_default();
            let controller = file.split('.').next().unwrap_or_default();
            if controller != "cgroup" && !available.split_ascii_whitespace().any(|name| name == controller) {
                return Err(file_refused(file, self.why_missing(controller)));
            }
            if file.contains('/') {
                return Err(Error::configuration(format!("{file} is not the name of a file of a cgroup")));
            }
            let path = on_disk(&self.path).join(file);
            fs::write(&path, value).map_err(|source| Error::Cgroup { path, source })?;
        }
        Ok(())
    }

    fn apply_limits(&self, limits: &LinuxResources) -> Result<()> {
        // Without the controller there is no limit to take away.
        if limits.pids().is_some_and(|pids| pids.limit() < 0) {
            let _ = self.write("pids.max", "max");
        }
        let wanted = wanted_limits(limits);
        if wanted.is_empty() {
            return Ok(());
        }
        let available = self.read("cgroup.controllers").unwrap_or_default();
        if let Some(missing) =
            wanted.iter().find(|limit| !available.split_ascii_whitespace().any(|name| name == limit.controller))
        {
            return Err(missing.refused(self.why_missing(missing.controller)));
        }
        let mut limits = limits.clone();
        limits.set_unified(None);
        self.drop_implied_swap(&mut limits);
        // libcgroups passes over a swap of 0, and its conversion of the weight overflows.
        let swap = take_swap(&mut limits);
        let weight = take_weight(&mut limits);
        let weights = limits.block_io_mut().as_mut().and_then(|io| {
            let weights = io.weight_device().clone();
            io.set_weight_device(None);
            weights
        });
        let failed = |error: &dyn std::fmt::Display| Error::Cgroup {
            path: on_disk(&self.path),
            source: io::Error::other(error.to_string()),
        };
        let relative = self.path.strip_prefix("/").unwrap_or(&self.path);
        let writer =
            libcgroups::v2::manager::Manager::new(MOUNT.into(), relative.to_owned()).map_err(|error| failed(&error))?;
        let options =
            ControllerOpt { resources: &limits, disable_oom_killer: false, oom_score_adj: None, freezer_state: None };
        // It warns of controllers that nobody asked for.
        tracing::subscriber::with_default(tracing::subscriber::NoSubscriber::default(), || writer.apply(&options))
            .map_err(|error| failed(&error))?;
        if let Some(swap) = swap {
            self.write("memory.swap.max", &swap).map_err(|source| self.error("memory.swap.max", source))?;
        }
        if let Some(weight) = weight {
            self.set_io_weight(weight)?;
        }
        for device in weights.iter().flatten() {
            self.set_io_weight_of(device.major(), device.minor(), device.weight().unwrap_or(0))?;
        }
        self.read_back(&limits)
    }

    /// Why a controller does not reach this cgroup.
    fn why_missing(&self, controller: &str) -> String {
        let has = |path: &Path, file: &str| {
            let text = fs::read_to_string(on_disk(path).join(file)).unwrap_or_default();
            text.split_ascii_whitespace().any(|name| name == controller)
        };
        let end = self.path.ancestors().find(|path| has(path, "cgroup.controllers"));
        let is_occupied = |path: &Path| {
            is_ours(path) && fs::read_to_string(on_disk(path).join("cgroup.procs")).is_ok_and(|pids| !pids.is_empty())
        };
        match end.filter(|path| is_occupied(path)) {
            Some(path) => format!(
                "which {} cannot pass on while it has processes of its own: move them into a cgroup below it",
                on_disk(path).display()
            ),
            None => NOT_DELEGATED.to_owned(),
        }
    }

    fn set_io_weight_of(&self, major: i64, minor: i64, weight: u16) -> Result<()> {
        let (file, value) = self.io_weight(weight);
        self.write(file, &format!("{major}:{minor} {value}")).map_err(|source| self.error(file, source))
    }

    fn set_io_weight(&self, weight: u16) -> Result<()> {
        let (file, value) = self.io_weight(weight);
        self.write(file, &value.to_string()).map_err(|source| self.error(file, source))
    }

    /// `weight` is cgroup v1's, 10 to 1000: one of the schedulers takes it as it is, the other one 1 to 10000.
    fn io_weight(&self, weight: u16) -> (&'static str, u64) {
        if on_disk(&self.path).join("io.bfq.weight").exists() {
            ("io.bfq.weight", u64::from(weight))
        } else {
            ("io.weight", 1 + u64::from(weight.saturating_sub(10)) * 9999 / 990)
        }
    }

    /// A memory limit brings a limit on swap with it; a kernel that does not count swap has nothing to limit there.
    fn drop_implied_swap(&self, limits: &mut LinuxResources) {
        if let Some(memory) = limits.memory_mut()
            && let (Some(limit), Some(swap)) = (memory.limit(), memory.swap())
            && swap == limit.saturating_mul(2)
            && !on_disk(&self.path).join("memory.swap.max").exists()
        {
            memory.set_swap(None);
        }
    }

    /// The kernel rounds memory down to pages and accepts some values only in part, so what it says counts.
    fn read_back(&self, limits: &LinuxResources) -> Result<()> {
        let check = |file: &str, limit: &str, matches: &dyn Fn(&str) -> bool| -> Result<()> {
            let now =
                self.read(file).map_err(|source| Error::Cgroup { path: on_disk(&self.path).join(file), source })?;
            if matches(now.trim()) {
                return Ok(());
            }
            Err(Error::Cgroup {
                path: on_disk(&self.path).join(file),
                source: io::Error::other(format!("the {limit} was not taken over, it is {}", now.trim())),
            })
        };
        if let Some(limit) = limits.memory().as_ref().and_then(|memory| memory.limit()).filter(|limit| *limit > 0) {
            let page = u64::try_from(rustix::param::page_size()).unwrap_or(4096);
            let wanted = u64::try_from(limit).unwrap_or(0);
            check("memory.max", "memory limit", &|now| {
                now.parse::<u64>().is_ok_and(|now| now <= wanted && wanted - now < page)
            })?;
        }
        if let Some(limit) = limits.pids().as_ref().map(|pids| pids.limit()).filter(|limit| *limit > 0) {
            check("pids.max", "limit of processes", &|now| now == limit.to_string())?;
        }
        if let Some(quota) = limits.cpu().as_ref().and_then(|cpu| cpu.quota()).filter(|quota| *quota > 0) {
            check("cpu.max", "CPU quota", &|now| now.split(' ').next() == Some(&quota.to_string()))?;
        }
        Ok(())
    }

    /// A limit of processes that nobody asked for: set where that is possible.
    pub fn limit_pids_by_default(&self, limit: u64) {
        let _ = self.write("pids.max", &limit.to_string());
    }
}

/// What `memory.swap.max` is to be: the OCI's number is of memory and swap together.
fn take_swap(limits: &mut LinuxResources) -> Option<String> {
    let memory = limits.memory_mut().as_mut()?;
    let (limit, swap) = (memory.limit().filter(|limit| *limit > 0), memory.swap().filter(|swap| *swap != 0)?);
    let value = match limit {
        _ if swap < 0 => "max".to_owned(),
        Some(limit) if swap >= limit => (swap - limit).to_string(),
        // For libcgroups to refuse.
        Some(_) | None => return None,
    };
    memory.set_swap(None);
    Some(value)
}

fn take_weight(limits: &mut LinuxResources) -> Option<u16> {
    let io = limits.block_io_mut().as_mut()?;
    let weight = io.weight().filter(|weight| *weight > 0)?;
    io.set_weight(None);
    Some(weight)
}

/// A limit that somebody asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    limit: &'static str,
    controller: &'static str,
}

const NOT_DELEGATED: &str = "which is not delegated to this user: put `[Service]` and `Delegate=cpu cpuset io memory pids` \
     into /etc/systemd/system/user@.service.d/delegate.conf and log in again";

impl Wanted {
    pub(super) fn refused(&self, why: impl Into<String>) -> Error {
        Error::Limit { limit: self.limit.into(), controller: self.controller.into(), why: why.into() }
    }
}

/// Files of cgroup v2 that are set by name.
pub(super) fn unified(limits: &LinuxResources) -> impl Iterator<Item = (&str, &str)> {
    limits.unified().iter().flatten().map(|(file, value)| (file.as_str(), value.as_str()))
}

pub(super) fn file_refused(file: &str, why: String) -> Error {
    let controller = file.split('.').next().unwrap_or_default().to_owned();
    Error::Limit { limit: file.to_owned(), controller, why }
}

pub(super) fn wanted_limits(limits: &LinuxResources) -> Vec<Wanted> {
    let mut all = Vec::new();
    let mut want = |asked: bool, limit, controller| {
        if asked {
            all.push(Wanted { limit, controller });
        }
    };
    if let Some(memory) = limits.memory() {
        let asked = |value: Option<i64>| value.is_some_and(|value| value != 0);
        want(asked(memory.limit()), "memory", "memory");
        want(asked(memory.reservation()), "memory reservation", "memory");
        want(asked(memory.swap()) && !asked(memory.limit()), "memory and swap", "memory");
    }
    if let Some(cpu) = limits.cpu() {
        want(cpu.quota().is_some() || cpu.period().is_some(), "CPU quota", "cpu");
        want(cpu.shares().is_some_and(|shares| shares != 0), "CPU shares", "cpu");
        want(cpu.cpus().as_ref().is_some_and(|cpus| !cpus.is_empty()), "CPU set", "cpuset");
        want(cpu.mems().as_ref().is_some_and(|mems| !mems.is_empty()), "memory nodes", "cpuset");
    }
    want(limits.pids().is_some_and(|pids| pids.limit() > 0), "number of processes", "pids");
    if let Some(io) = limits.block_io() {
        let any = |list: &Option<Vec<_>>| list.as_ref().is_some_and(|list| !list.is_empty());
        let throttled = any(io.throttle_read_bps_device())
            || any(io.throttle_write_bps_device())
            || any(io.throttle_read_iops_device())
            || any(io.throttle_write_iops_device());
        let weighted = io.weight().is_some_and(|weight| weight != 0)
            || io.weight_device().as_ref().is_some_and(|list| !list.is_empty());
        want(throttled || weighted, "I/O", "io");
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::Manager;
    use oci_spec::runtime::{LinuxCpuBuilder, LinuxMemoryBuilder, LinuxPidsBuilder, LinuxResourcesBuilder};

    #[test]
    fn an_impossible_limit_names_the_controller_and_no_limit_is_no_error() {
        let manager = Manager::None { why: "and this machine has none" };
        let none = LinuxResourcesBuilder::default().build().unwrap();
        assert!(Cgroup::create(&manager, "x", None, &none).unwrap().is_none());
        let memory = LinuxMemoryBuilder::default().limit(1 << 20).build().unwrap();
        let limited = LinuxResourcesBuilder::default().memory(memory).build().unwrap();
        let text = Cgroup::create(&manager, "x", None, &limited).unwrap_err().to_string();
        assert!(text.contains("`memory`") && text.contains("this machine has none"), "{text}");
    }

    #[test]
    fn each_limit_knows_its_controller() {
        let limits = LinuxResourcesBuilder::default()
            .cpu(LinuxCpuBuilder::default().quota(1000).cpus("0").build().unwrap())
            .pids(LinuxPidsBuilder::default().limit(7).build().unwrap())
            .build()
            .unwrap();
        let controllers: Vec<&str> = wanted_limits(&limits).iter().map(|limit| limit.controller).collect();
        assert_eq!(controllers, ["cpu", "cpuset", "pids"]);
    }
}
