//! Limits, in the OCI's words. What is not asked for is left out: a limit that cannot be applied must fail, a default may
//! not.

use std::path::Path;

use oci_spec::runtime::{
    LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxPids, LinuxResources, LinuxThrottleDevice, LinuxThrottleDeviceBuilder,
    LinuxWeightDevice, LinuxWeightDeviceBuilder,
};

use crate::error::{Error, Result};
use crate::spec::Resources;

/// Device numbers are read from the nodes named by the user.
pub(crate) fn resources(wanted: &Resources) -> Result<LinuxResources> {
    let mut all = LinuxResources::default();
    all.set_devices(None);
    let memory = [wanted.memory, wanted.memory_swap, wanted.memory_reservation];
    if memory.iter().any(Option::is_some) || wanted.memory_swappiness.is_some() {
        let mut memory = LinuxMemory::default();
        memory.set_limit(wanted.memory);
        memory.set_swap(swap(wanted));
        memory.set_reservation(wanted.memory_reservation);
        memory.set_swappiness(wanted.memory_swappiness);
        all.set_memory(Some(memory));
    }
    let cpu = wanted.cpu_shares.is_some()
        || wanted.cpu_period.is_some()
        || wanted.cpu_quota.is_some()
        || wanted.cpuset_cpus.is_some()
        || wanted.cpuset_mems.is_some();
    if cpu {
        let mut cpu = LinuxCpu::default();
        cpu.set_shares(wanted.cpu_shares);
        cpu.set_period(wanted.cpu_period);
        cpu.set_quota(wanted.cpu_quota);
        cpu.set_cpus(wanted.cpuset_cpus.clone());
        cpu.set_mems(wanted.cpuset_mems.clone());
        all.set_cpu(Some(cpu));
    }
    if let Some(limit) = wanted.pids_limit {
        let mut pids = LinuxPids::default();
        pids.set_limit(if limit == 0 { -1 } else { limit });
        all.set_pids(Some(pids));
    }
    let throttled = [&wanted.read_bps, &wanted.write_bps, &wanted.read_iops, &wanted.write_iops];
    if wanted.blkio_weight.is_some()
        || !wanted.blkio_weight_device.is_empty()
        || throttled.iter().any(|list| !list.is_empty())
    {
        let mut block = LinuxBlockIo::default();
        block.set_weight(wanted.blkio_weight);
        block.set_weight_device(Some(weights(&wanted.blkio_weight_device)?));
        block.set_throttle_read_bps_device(Some(throttle(&wanted.read_bps)?));
        block.set_throttle_write_bps_device(Some(throttle(&wanted.write_bps)?));
        block.set_throttle_read_iops_device(Some(throttle(&wanted.read_iops)?));
        block.set_throttle_write_iops_device(Some(throttle(&wanted.write_iops)?));
        all.set_block_io(Some(block));
    }
    if !wanted.unified.is_empty() {
        all.set_unified(Some(wanted.unified.clone().into_iter().collect()));
    }
    Ok(all)
}

/// A memory limit without a word about swap allows as much swap again, as Podman and Docker have it.
fn swap(wanted: &Resources) -> Option<i64> {
    match (wanted.memory, wanted.memory_swap) {
        (_, Some(swap)) => Some(swap),
        (Some(memory), None) if memory > 0 => Some(memory.saturating_mul(2)),
        (_, None) => None,
    }
}

fn throttle(rates: &[(std::path::PathBuf, u64)]) -> Result<Vec<LinuxThrottleDevice>> {
    rates
        .iter()
        .map(|(path, rate)| {
            let (major, minor) = device_number(path)?;
            LinuxThrottleDeviceBuilder::default()
                .major(major)
                .minor(minor)
                .rate(*rate)
                .build()
                .map_err(|error| Error::Invalid(error.to_string()))
        })
        .collect()
}

fn weights(weights: &[(std::path::PathBuf, u16)]) -> Result<Vec<LinuxWeightDevice>> {
    weights
        .iter()
        .map(|(path, weight)| {
            let (major, minor) = device_number(path)?;
            LinuxWeightDeviceBuilder::default()
                .major(major)
                .minor(minor)
                .weight(*weight)
                .build()
                .map_err(|error| Error::Invalid(error.to_string()))
        })
        .collect()
}

fn device_number(path: &Path) -> Result<(i64, i64)> {
    let stat = rustix::fs::stat(path).map_err(|error| Error::Io { path: path.to_owned(), source: error.into() })?;
    Ok((rustix::fs::major(stat.st_rdev).into(), rustix::fs::minor(stat.st_rdev).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_asked_is_nothing_set() {
        let all = resources(&Resources::default()).unwrap();
        assert!(all.memory().is_none() && all.cpu().is_none() && all.pids().is_none() && all.block_io().is_none());
    }

    #[test]
    fn memory_brings_as_much_swap() {
        let wanted = Resources { memory: Some(1 << 20), ..Resources::default() };
        assert_eq!(resources(&wanted).unwrap().memory().as_ref().unwrap().swap(), Some(2 << 20));
        let wanted = Resources { memory: Some(1 << 20), memory_swap: Some(-1), ..Resources::default() };
        assert_eq!(resources(&wanted).unwrap().memory().as_ref().unwrap().swap(), Some(-1));
    }

    #[test]
    fn no_pids_limit_is_written_as_unlimited() {
        let wanted = Resources { pids_limit: Some(0), ..Resources::default() };
        assert_eq!(resources(&wanted).unwrap().pids().as_ref().unwrap().limit(), -1);
    }
}
