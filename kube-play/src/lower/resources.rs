//! Limits and requests, of containers and of whole pods.

use std::collections::BTreeMap;
use std::path::PathBuf;

use containers::{DeviceSpec, Resources};

use super::{At, Lowering};
use crate::model::ResourceRequirements;
use crate::plan::PodTemplate;
use crate::quantity::Quantity;

/// A device of the host among the limits: `podman.io/device=/dev/fuse: 1`.
const DEVICE: &str = "podman.io/device=";

impl Lowering<'_> {
    /// What all containers of a pod have together, as Kubernetes asks for it: no container may have more.
    pub(super) fn pod_resources(
        &mut self,
        written: &ResourceRequirements,
        template: &PodTemplate,
        at: &At<'_>,
    ) -> Resources {
        for (map, word) in [(&written.limits, "limits"), (&written.requests, "requests")] {
            for name in map.keys().filter(|name| !matches!(name.as_str(), "cpu" | "memory")) {
                let text = "is no resource of a whole pod: there are cpu, memory";
                self.unsupported(&at.key(word).key(name), text);
            }
        }
        let (limits, requests) = self.resources(written, at);
        for (name, limit) in &limits {
            for container in &template.containers {
                if let Some(own) = container.limits.get(name).filter(|own| *own > limit) {
                    let text = format!("{limit} is less than the limit of container {:?}, {own}", container.name);
                    self.wrong(&at.keys("limits").key(name), text);
                }
            }
        }
        let mut resources = Resources::default();
        limit(&mut resources, &limits, &requests);
        resources
    }

    /// Limits and requests; devices stand among the limits.
    pub(super) fn resources(
        &mut self,
        resources: &ResourceRequirements,
        at: &At<'_>,
    ) -> (BTreeMap<String, Quantity>, BTreeMap<String, Quantity>) {
        for (map, word) in [(&resources.limits, "limits"), (&resources.requests, "requests")] {
            for name in map.keys() {
                let device = is_device(name) && word == "limits";
                let known = matches!(name.as_str(), "cpu" | "memory" | "ephemeral-storage");
                if !known && !device {
                    let text = "is no resource of this machine: there are cpu, memory, ephemeral-storage";
                    // A cluster's device plugins count what they give out; here devices have names.
                    let hint = "name a device among the limits: nvidia.com/gpu=all: 1 by CDI, or podman.io/device=/dev/PATH: 1";
                    self.unsupported_with(&at.key(word).key(name), text, name.contains('/').then_some(hint));
                }
            }
        }
        let mut requests = resources.requests.clone();
        for (name, limit) in &resources.limits {
            match resources.requests.get(name) {
                Some(request) if request > limit => {
                    let text = format!("{request} must be less than or equal to the limit of {limit}");
                    self.wrong(&at.key("requests").key(name), text);
                }
                Some(_) => {}
                None => drop(requests.insert(name.clone(), limit.clone())),
            }
        }
        requests.retain(|name, _| !is_device(name));
        (resources.limits.clone(), requests)
    }
}

/// Limits become what the kernel enforces, requests weights and protected memory.
pub(super) fn limit(
    resources: &mut Resources,
    limits: &BTreeMap<String, Quantity>,
    requests: &BTreeMap<String, Quantity>,
) {
    let bytes = |quantity: &Quantity| i64::try_from(quantity.units()).unwrap_or(i64::MAX);
    let some =
        |map: &'_ BTreeMap<String, Quantity>, name: &str| map.get(name).filter(|amount| !amount.is_zero()).cloned();
    resources.memory = some(limits, "memory").map(|limit| bytes(&limit));
    resources.memory_reservation = some(requests, "memory").map(|request| bytes(&request));
    if let Some(limit) = some(limits, "cpu") {
        resources.cpu_period = Some(100_000);
        // The kernel takes no quota below a millisecond.
        resources.cpu_quota = Some(i64::try_from(limit.millis().saturating_mul(100)).unwrap_or(i64::MAX).max(1000));
    }
    if let Some(request) = some(requests, "cpu") {
        resources.cpu_shares = Some((request.millis().saturating_mul(1024) / 1000).clamp(2, 262_144));
    }
}

/// Whether a limit is a device: a path of the host, or what a CDI specification of this machine names.
fn is_device(limit: &str) -> bool {
    limit.starts_with(DEVICE) || is_cdi_device(limit)
}

pub(super) fn is_cdi_device(limit: &str) -> bool {
    !limit.starts_with(DEVICE) && containers::is_device_name(limit)
}

/// What limits name as Podman's kube play reads them.
pub(super) fn devices(limits: &BTreeMap<String, Quantity>) -> Vec<DeviceSpec> {
    let paths = limits.keys().filter_map(|name| name.strip_prefix(DEVICE));
    let device = |path: &str| {
        let (host, container) = path.split_once(':').unwrap_or((path, path));
        let (container, permissions) = container.split_once(':').unwrap_or((container, "rwm"));
        DeviceSpec {
            host: PathBuf::from(host),
            container: PathBuf::from(container),
            permissions: permissions.to_owned(),
        }
    };
    paths.map(device).collect()
}
