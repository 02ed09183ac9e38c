//! A container of a pod as planned, and what it becomes for one pod.

use std::collections::BTreeMap;

use containers::ContainerSpec;
use serde::{Deserialize, Serialize};

use super::environment::expand;
use super::{EnvEntry, Objects, PodFacts, Protocol, PullPolicy};
use crate::quantity::Quantity;

pub use crate::model::container::{MountPropagation, Scheme};

/// A container, or an init container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContainerPlan {
    pub name: String,
    /// As written, or with the annotation's or option's change.
    pub image: String,
    pub pull: PullPolicy,
    /// What the manifest alone decides: working directory, user, terminal, security, limits, restart policy, stop signal
    /// and time, log, labels. Left open: the image's id, the name, mounts, the pod; and what [`ContainerPlan::resolve`]
    /// fills in.
    pub spec: ContainerSpec,
    /// Before `$(VAR)` is expanded; empty: the image's.
    pub command: Vec<String>,
    pub args: Vec<String>,
    pub env: Vec<EnvEntry>,
    pub mounts: Vec<VolumeMountPlan>,
    /// Block or character devices, from `podman.io/device=PATH` in the limits, are in `spec.devices`.
    pub ports: Vec<NamedPort>,
    pub limits: BTreeMap<String, Quantity>,
    /// Those that are written, and the limits where none are.
    pub requests: BTreeMap<String, Quantity>,
    pub liveness: Option<ProbePlan>,
    pub readiness: Option<ProbePlan>,
    pub startup: Option<ProbePlan>,
    pub post_start: Option<Handler>,
    /// Its time counts against the pod's grace period.
    pub pre_stop: Option<Handler>,
    /// An init container with `restartPolicy: Always`.
    pub sidecar: bool,
    /// Podman's annotation: an init container that runs at the first start of its pod alone, and goes with its success.
    #[serde(default)]
    pub once: bool,
    /// Not to be started as user 0; where `spec.user` is open, the image's user decides.
    pub run_as_non_root: bool,
    /// The group where only that is written: the user is the image's.
    pub group: Option<u32>,
    /// Podman's annotation: the container is not started again when it has ended.
    pub auto_remove: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeMountPlan {
    /// Of the pod's volumes.
    pub volume: String,
    /// Absolute path in the container.
    pub path: String,
    pub read_only: bool,
    pub sub_path: Option<String>,
    /// `sub_path` holds `$(VAR)`s.
    pub expand_sub_path: bool,
    pub propagation: MountPropagation,
    /// Read only, and everything mounted below it, too.
    pub recursive_read_only: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedPort {
    pub name: Option<String>,
    pub number: u16,
    pub protocol: Protocol,
}

/// A probe with Kubernetes' defaults filled in. Times are seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbePlan {
    pub handler: Handler,
    pub initial_delay: u32,
    pub period: u32,
    pub timeout: u32,
    pub success_threshold: u32,
    pub failure_threshold: u32,
    /// Of the kill that this probe causes; `None`: the pod's.
    pub grace: Option<u32>,
}

/// What a probe asks or a hook does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Handler {
    /// In the container; exit code 0 is success.
    Exec {
        command: Vec<String>,
    },
    /// Success is a status from 200 to 399. `host`: where to connect, the pod itself where none is written.
    Http {
        scheme: Scheme,
        host: Option<String>,
        port: u16,
        path: String,
        headers: Vec<(String, String)>,
    },
    Tcp {
        host: Option<String>,
        port: u16,
    },
    /// gRPC's health service (grpc.health.v1), for `service`.
    Grpc {
        port: u16,
        service: String,
    },
    Sleep {
        seconds: u32,
    },
}

/// A container for one pod.
#[derive(Clone, Debug, PartialEq)]
pub struct ResolvedContainer {
    /// With environment, entrypoint and command; still without image id, mounts and pod.
    pub spec: ContainerSpec,
    /// The mounts, `subPathExpr` expanded.
    pub mounts: Vec<VolumeMountPlan>,
    /// Hooks and probes as they are: Kubernetes expands nothing in them.
    pub environment: Vec<(String, String)>,
}

impl ContainerPlan {
    /// Fills in what only this pod knows. `services` are the variables of the namespace's Services
    /// ([`super::service_variables`]), empty where `enableServiceLinks` is off. Fails with what is missing: the container
    /// then waits with `CreateContainerConfigError`.
    pub fn resolve(
        &self,
        services: &[(String, String)],
        objects: &Objects,
        facts: &PodFacts,
    ) -> Result<ResolvedContainer, String> {
        let environment = EnvEntry::resolve_all(&self.env, services, objects, facts)?;
        let variables: BTreeMap<&str, &str> =
            environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let all = |words: &[String]| words.iter().map(|word| expand(word, &variables)).collect::<Vec<_>>();
        let mut spec = self.spec.clone();
        spec.entrypoint = (!self.command.is_empty()).then(|| all(&self.command));
        spec.command = all(&self.args);
        spec.env = environment.clone();
        let mut mounts = self.mounts.clone();
        for mount in mounts.iter_mut().filter(|mount| mount.expand_sub_path) {
            if let Some(path) = &mut mount.sub_path {
                *path = expand(path, &variables);
                if path.contains("$(") || path.starts_with('/') || path.split('/').any(|part| part == "..") {
                    return Err(format!("subPathExpr becomes {path:?}, which is no path below the volume"));
                }
            }
        }
        Ok(ResolvedContainer { spec, mounts, environment })
    }
}
