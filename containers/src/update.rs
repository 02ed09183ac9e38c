//! A container is changed while it is there: limits at once, the rest when it matters next.

use rustix::process::Signal;
use storage::record::{self, Durability};
use sys::process::Process;

use crate::container::Container;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::spec::{ContainerSpec, Resources};
use crate::{events, list, oci, pause};

/// Tells a monitor to read the record again.
pub(crate) const REREAD: i32 = Signal::HUP.as_raw();

/// Puts what `change` makes of the specification into the container's record. New limits hold at once; where the kernel
/// does not take them, nothing is changed.
pub fn update<E: From<Error>>(
    engine: &Engine,
    container: &Container,
    change: impl FnOnce(&Container, &mut ContainerSpec) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    let dir = engine.container_dir(container.id());
    let lock = engine.lock(container.id())?;
    let container = list::again(engine, container)?;
    let mut record = container.record.clone();
    change(&container, &mut record.spec)?;
    if record == container.record {
        events::record(engine, &container, "update");
        return Ok(());
    }
    let limits = differences(&container.spec().resources, &record.spec.resources);
    if container.state().init().is_some()
        && let Some(limits) = &limits
    {
        limit_now(&container, limits)?;
    }
    record::write(&dir.join("container.json"), &record, Durability::Durable).map_err(Error::from)?;
    drop(lock);
    if let Some(monitor) = container.state().monitor().and_then(Process::open) {
        // One that has ended meanwhile need not know.
        let _ = monitor.signal(REREAD);
    }
    events::record(engine, &Container { record, status: container.status.clone() }, "update");
    Ok(())
}

fn limit_now(container: &Container, limits: &Resources) -> Result<()> {
    let limits = oci::resources(limits)?;
    let cgroup = pause::cgroup_of(container)?.ok_or_else(|| {
        Error::Invalid(format!(
            "container {} has no cgroup of its own: its limits can be changed only while it does not run",
            container.id()
        ))
    })?;
    Ok(cgroup.apply(&limits)?)
}

/// Only what is new: a limit that stands is not set again, and its controller need not be there. What the kernel has in one
/// file goes together.
fn differences(old: &Resources, new: &Resources) -> Option<Resources> {
    if old == new {
        return None;
    }
    let memory = old.memory != new.memory || old.memory_swap != new.memory_swap;
    let cpu = old.cpu_period != new.cpu_period || old.cpu_quota != new.cpu_quota;
    fn changed<T: Clone + PartialEq>(old: &Option<T>, new: &Option<T>) -> Option<T> {
        new.clone().filter(|_| old != new)
    }
    fn added<T: Clone + PartialEq>(old: &[T], new: &[T]) -> Vec<T> {
        new.iter().filter(|limit| !old.contains(limit)).cloned().collect()
    }
    Some(Resources {
        memory: new.memory.filter(|_| memory),
        memory_swap: new.memory_swap.filter(|_| memory),
        memory_reservation: changed(&old.memory_reservation, &new.memory_reservation),
        memory_swappiness: None,
        cpu_shares: changed(&old.cpu_shares, &new.cpu_shares),
        cpu_period: new.cpu_period.filter(|_| cpu),
        cpu_quota: new.cpu_quota.filter(|_| cpu),
        cpuset_cpus: changed(&old.cpuset_cpus, &new.cpuset_cpus),
        cpuset_mems: changed(&old.cpuset_mems, &new.cpuset_mems),
        pids_limit: changed(&old.pids_limit, &new.pids_limit),
        blkio_weight: changed(&old.blkio_weight, &new.blkio_weight),
        blkio_weight_device: added(&old.blkio_weight_device, &new.blkio_weight_device),
        read_bps: added(&old.read_bps, &new.read_bps),
        write_bps: added(&old.write_bps, &new.write_bps),
        read_iops: added(&old.read_iops, &new.read_iops),
        write_iops: added(&old.write_iops, &new.write_iops),
        ..Resources::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_new_limits_are_set() {
        let old = Resources { memory: Some(100), cpu_quota: Some(50), cpu_period: Some(100), ..Resources::default() };
        assert_eq!(differences(&old, &old), None);
        let new = Resources { cpu_quota: Some(70), pids_limit: Some(9), ..old.clone() };
        let set = differences(&old, &new).unwrap();
        assert_eq!((set.memory, set.cpu_quota, set.cpu_period, set.pids_limit), (None, Some(70), Some(100), Some(9)));
    }
}
