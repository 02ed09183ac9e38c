//! A pod is changed while it is there: published ports and limits, at once where it runs.

use containers::{Container, Engine};
use network::PortMapping;
use storage::record::{self, Durability};
use sys::lock::FileLock;

use crate::error::{Error, Result};
use crate::events;
use crate::pod::{self, Pod};
use crate::spec::PodSpec;

/// Puts what `change` makes of the specification into the pod's record; of ports and limits, no more is looked at. Both hold
/// at once. Where the kernel does not take them, nothing is changed.
pub fn update<E: From<Error>>(
    engine: &Engine,
    pod: &Pod,
    change: impl FnOnce(&Pod, &mut PodSpec) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    // Neither are members made meanwhile, which would have the old limits.
    let _lock = pod::lock(engine, pod, FileLock::exclusive)?;
    let mut now = pod::again(engine, pod)?;
    let mut wanted = now.spec().clone();
    change(&now, &mut wanted)?;
    Ok(follow(engine, &mut now, wanted)?)
}

fn follow(engine: &Engine, now: &mut Pod, wanted: PodSpec) -> Result<()> {
    let old = std::mem::replace(&mut now.record.spec, wanted);
    let new = now.spec();
    if old.resources != new.resources && !new.share_parent {
        return Err(Error::Invalid(format!(
            "pod {} cannot be given limits: it has no cgroup of its own (--share-parent=false)",
            now.name()
        )));
    }
    let new_ports = old.network.ports != new.network.ports;
    if new_ports {
        publish(engine, now, &new.network.ports)?;
    }
    containers::limit_together(&now.containers, &old.resources, &new.resources).inspect_err(|_| {
        if new_ports {
            // The first error is the one that counts.
            let _ = publish(engine, now, &old.network.ports);
        }
    })?;
    record::write(&pod::record_path(engine, now.id()), &now.record, Durability::Durable)?;
    give_limits(engine, now)?;
    events::record(engine, &now.record, "update");
    Ok(())
}

/// The infra container has the ports of all.
fn publish(engine: &Engine, pod: &Pod, ports: &[PortMapping]) -> Result<()> {
    let Some(infra) = pod.infra() else {
        return Err(Error::Invalid("you must have an infra container to publish port bindings to the host".into()));
    };
    Ok(containers::update(engine, infra, |_, spec| {
        spec.network.ports = ports.to_vec();
        Ok::<_, containers::Error>(())
    })?)
}

/// For who starts a member by itself: an update that was killed has left it old limits. A container in no pod, or in one that
/// is gone, stays as it is.
pub fn follow_pod(engine: &Engine, container: &Container) -> Result<()> {
    let Some(id) = container.spec().pod.as_deref().and_then(|id| id.parse().ok()) else { return Ok(()) };
    let pod = |record| Pod { record, containers: vec![container.clone()] };
    let differs = |pod: &Pod| container.spec().pod_cgroup != pod.cgroup();
    let Some(seen) = pod::read(engine, &id)?.map(pod).filter(differs) else { return Ok(()) };
    // Another update may be at it now, and be through after this.
    let _lock = pod::lock(engine, &seen, FileLock::shared)?;
    match pod::read(engine, &id)?.map(pod) {
        Some(now) => give_limits(engine, &now),
        None => Ok(()),
    }
}

/// Every container has the limits of its pod in its own record, as whoever starts first makes the cgroup. Where an update was
/// killed some have old ones.
pub(crate) fn give_limits(engine: &Engine, pod: &Pod) -> Result<()> {
    let cgroup = pod.cgroup();
    for container in pod.containers.iter().filter(|container| container.spec().pod_cgroup != cgroup) {
        match containers::set_pod_cgroup(engine, container, cgroup.as_ref()) {
            // By its own `--rm`.
            Ok(()) | Err(containers::Error::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
