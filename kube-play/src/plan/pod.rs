//! A pod as planned.

use std::collections::BTreeMap;
use std::net::IpAddr;

use containers::{Resources, UserNamespace};
use pods::ServiceContainer;
use serde::{Deserialize, Serialize};

use super::{ContainerPlan, Meta, Projection, VolumePlan};

pub use crate::model::container::Protocol;
pub use crate::model::pod::{DnsPolicy, PodRestartPolicy};
pub use crate::model::security::FsGroupChangePolicy;
pub use crate::model::volume::HostPathType;

/// When an image is fetched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PullPolicy {
    Always,
    /// Nothing is written and the tag is `latest`: what the registry has, if it can be asked, else what is here.
    Newer,
    #[default]
    IfNotPresent,
    Never,
}

/// A pod that a manifest writes as such.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PodPlan {
    pub meta: Meta,
    pub template: PodTemplate,
}

/// What every pod of a workload, a Job or a manifest is made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PodTemplate {
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    /// Over the template's meaning: ten letters and digits, fit for names and labels (`pod-template-hash`). It changes
    /// with what the template says and with the options of the play, not with comments or the order of keys.
    pub hash: String,
    /// In order. A sidecar starts where it stands and stays; the next one begins when it has started.
    pub init: Vec<ContainerPlan>,
    pub containers: Vec<ContainerPlan>,
    pub volumes: Vec<PodVolume>,
    pub restart: PodRestartPolicy,
    /// Seconds between the stop signal and the kill.
    pub grace: u32,
    /// The pod fails so many seconds after its start.
    pub active_deadline: Option<u32>,
    /// `None`: the pod's name.
    pub hostname: Option<String>,
    /// The name of a headless Service under which `hostname` is known.
    pub subdomain: Option<String>,
    pub hostname_is_fqdn: bool,
    /// `--no-hostname`: keep the image's file.
    pub no_hostname: bool,
    pub network: PodNetwork,
    pub ports: Vec<PublishedPort>,
    pub dns: Dns,
    /// Lines of /etc/hosts: an address and its names.
    pub host_aliases: Vec<(IpAddr, Vec<String>)>,
    /// `--no-hosts`: keep the image's file.
    pub no_hosts: bool,
    pub host_pid: bool,
    pub host_ipc: bool,
    pub share_processes: bool,
    /// `None`: that of the caller.
    pub user_namespace: Option<UserNamespace>,
    pub sysctls: BTreeMap<String, String>,
    /// Of all containers together.
    #[serde(default)]
    pub resources: Resources,
    pub fs_group: Option<u32>,
    pub fs_group_change: FsGroupChangePolicy,
    pub service_account: String,
    /// Its containers see which namespace they are in, as beside a service account's token.
    #[serde(default)]
    pub tells_namespace: bool,
    /// Secrets that know the registries' passwords.
    #[serde(default)]
    pub pull_secrets: Vec<String>,
    /// Variables for the namespace's Services?
    pub service_links: bool,
    /// Podman's annotation: the name of the container that holds the namespaces.
    pub infra_name: Option<String>,
    /// `--ip`, `--mac-address`: on the one network it is on.
    #[serde(default)]
    pub address: Option<IpAddr>,
    #[serde(default)]
    pub mac: Option<String>,
    /// `--service-container`: what stands for the pods of the play.
    #[serde(default)]
    pub service: Option<ServiceContainer>,
    /// `false`: containers are called by their own names, without the pod's (`--no-pod-prefix`).
    pub container_prefix: bool,
}

/// The network namespace of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PodNetwork {
    /// That of its Kubernetes namespace.
    #[default]
    Namespace,
    /// The host's own.
    Host,
    /// What `--network` said, word by word.
    Given(Vec<String>),
}

/// A port of a pod that is published on the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedPort {
    pub host_ip: Option<IpAddr>,
    pub host_port: u16,
    pub container_port: u16,
    pub protocol: Protocol,
}

/// How names are looked up in a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dns {
    pub policy: DnsPolicy,
    pub servers: Vec<IpAddr>,
    pub searches: Vec<String>,
    /// As in resolv.conf: `ndots:2`, `edns0`.
    pub options: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PodVolume {
    pub name: String,
    pub source: VolumeSource,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VolumeSource {
    /// The pod's own, shared by its containers, gone with it. `memory`: a tmpfs of `limit` bytes, which a directory is
    /// not held to.
    EmptyDir {
        memory: bool,
        limit: Option<u64>,
    },
    HostPath {
        path: String,
        kind: HostPathType,
    },
    /// A named volume; the plan's own or one that exists.
    Claim {
        claim: String,
        read_only: bool,
    },
    /// Of a StatefulSet: the claim [`super::claim_name`] of this template and the pod.
    OwnClaim {
        template: String,
    },
    /// configMap, secret, downwardAPI, projected.
    Files(Projection),
    Image {
        reference: String,
        pull: PullPolicy,
    },
    /// A volume POD-NAME that is made and removed with the pod.
    /// As an empty directory of the pod's own.
    Ephemeral(Box<VolumePlan>),
}

impl PodTemplate {
    /// All containers, init containers first.
    pub fn all_containers(&self) -> impl Iterator<Item = &ContainerPlan> {
        self.init.iter().chain(&self.containers)
    }

    /// All images that a pod needs, each once.
    pub fn images(&self) -> Vec<(&str, PullPolicy)> {
        let of_volumes = self.volumes.iter().filter_map(|volume| match &volume.source {
            VolumeSource::Image { reference, pull } => Some((reference.as_str(), *pull)),
            _ => None,
        });
        let of_containers = self.all_containers().map(|container| (container.image.as_str(), container.pull));
        let mut images = Vec::new();
        for image in of_containers.chain(of_volumes) {
            if !images.contains(&image) {
                images.push(image);
            }
        }
        images
    }

    /// The number behind a port's name, or the number itself.
    pub fn port(&self, port: &super::PortRef) -> Option<u16> {
        match port {
            super::PortRef::Number(number) => Some(*number),
            super::PortRef::Name(name) => self
                .all_containers()
                .flat_map(|container| &container.ports)
                .find(|port| port.name.as_ref() == Some(name))
                .map(|port| port.number),
        }
    }

    /// What a container of a pod of this template is called on this machine.
    pub fn container_name(&self, pod: &str, container: &str) -> String {
        if self.container_prefix { format!("{pod}-{container}") } else { container.to_owned() }
    }
}
