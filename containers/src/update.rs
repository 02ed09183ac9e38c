//! A container is changed while it is there: limits and published ports at once, the rest when it matters next.

use std::path::Path;

use network::Mode;
use runtime::cgroup::Cgroup;
use rustix::process::Signal;
use storage::record::{self, Durability};
use sys::process::Process;

use crate::container::Container;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::spec::{ContainerSpec, PodCgroup, Resources};
use crate::{events, follow, list, oci, pause};

/// Tells a monitor to read the record again.
pub(crate) const REREAD: i32 = Signal::HUP.as_raw();

/// Puts what `change` makes of the specification into the container's record. New limits and ports hold at once; where the
/// kernel does not take them, nothing is changed.
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
    let new_ports = record.spec.network.ports != container.spec().network.ports;
    if new_ports {
        check_ports(&container, &record.spec)?;
    }
    let limits = differences(&container.spec().resources, &record.spec.resources);
    let limits = limits.filter(|_| container.state().init().is_some());
    let limit = || limits.as_ref().map_or(Ok(()), |limits| limit_now(&container, limits));
    let changed = Container { record, status: container.status.clone() };
    if new_ports {
        follow::replace_record(engine, &container, &changed.record)?;
        limit().inspect_err(|_| {
            // The first error is the one that counts.
            let _ = follow::replace_record(engine, &changed, &container.record);
        })?;
    } else {
        limit()?;
        record::write(&dir.join("container.json"), &changed.record, Durability::Durable).map_err(Error::from)?;
    }
    drop(lock);
    if let Some(monitor) = container.state().monitor().and_then(Process::open) {
        // One that has ended meanwhile need not know.
        let _ = monitor.signal(REREAD);
    }
    events::record(engine, &changed, "update");
    Ok(())
}

/// Refuses ports that this container cannot publish, before anything is changed for them.
fn check_ports(container: &Container, wanted: &ContainerSpec) -> Result<()> {
    follow::check_changeable(container)?;
    let publishes = match &wanted.network.mode {
        Mode::Default
        | Mode::Private
        | Mode::Creel(_)
        | Mode::Slirp4netns(_)
        | Mode::Pasta(_)
        | Mode::Networks(_)
        | Mode::Pod => Ok(()),
        Mode::Container(other) => Err(format!("it is on the network of container {other}, where ports are published")),
        mode @ (Mode::None | Mode::Host | Mode::Path(_)) => Err(format!("its network mode is {mode}")),
    };
    publishes.map_err(|why| Error::Invalid(format!("container {} cannot publish ports: {why}", container.id())))?;
    network::check_ports(&wanted.network.ports)?;
    if list::running(container) {
        // The monitor binds them; here whoever is in the way is known by name.
        network::bind(&network::to_be_bound(&container.spec().network.ports, &wanted.network.ports))?;
    }
    Ok(())
}

fn limit_now(container: &Container, limits: &Resources) -> Result<()> {
    let limits = oci::resources(limits)?;
    let cgroup = pause::cgroup_of(container)?.ok_or_else(|| no_cgroup(container))?;
    Ok(cgroup.apply(&limits)?)
}

fn no_cgroup(container: &Container) -> Error {
    Error::Invalid(format!(
        "container {} has no cgroup of its own: its limits can be changed only while it does not run",
        container.id()
    ))
}

/// Gives containers that have a cgroup around theirs other limits together, where they run.
pub fn limit_together(containers: &[Container], old: &Resources, new: &Resources) -> Result<()> {
    let Some(limits) = differences(old, new) else { return Ok(()) };
    let limits = oci::resources(&limits)?;
    let Some(running) = containers.iter().find(|container| container.state().init().is_some()) else { return Ok(()) };
    let around = running.status.cgroup.as_deref().and_then(Path::parent).ok_or_else(|| no_cgroup(running))?;
    Ok(Cgroup::open(around)?.apply(&limits)?)
}

/// Puts another cgroup of its pod into a container's record, for its next start.
pub fn set_pod_cgroup(engine: &Engine, container: &Container, cgroup: Option<&PodCgroup>) -> Result<()> {
    let _lock = engine.lock(container.id())?;
    let mut record = list::again(engine, container)?.record;
    record.spec.pod_cgroup = cgroup.cloned();
    Ok(record::write(&engine.container_dir(container.id()).join("container.json"), &record, Durability::Durable)?)
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
