//! What manifests ask for, as a pure value: nothing in it knows a disk or a kernel.
//!
//! A plan is made by [`crate::plan`] from manifests, the options of the command and what is stored already; it is compared
//! with what is stored ([`crate::act::preview`]), printed, and carried out elsewhere. Everything in it has Kubernetes'
//! defaults filled in and every cross reference checked. What can be known only when a pod starts (its address, its uid,
//! what a ConfigMap says then) stays a reference here, and pure functions resolve it: [`ContainerPlan::resolve`],
//! [`Projection::files`].

mod autoscale;
mod config;
mod container;
mod environment;
mod identity;
mod job;
mod kind;
mod objects;
mod pod;
mod selector;
mod service;
mod storage;
mod workload;

use serde::{Deserialize, Serialize};

use crate::problem::Problem;

pub use autoscale::*;
pub use config::*;
pub use container::*;
pub use environment::*;
pub use identity::*;
pub use job::*;
pub use kind::*;
pub use objects::*;
pub use pod::*;
pub use selector::*;
pub use service::*;
pub use storage::*;
pub use workload::*;

/// All that one play asks for, each list in the order of the manifests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Plan {
    /// Those that are written and those that are only used, `default` among them where it is.
    pub namespaces: Vec<NamespacePlan>,
    pub config_maps: Vec<ConfigObject>,
    pub secrets: Vec<ConfigObject>,
    pub volumes: Vec<VolumePlan>,
    pub services: Vec<ServicePlan>,
    /// Pods that are written as such; those of workloads come from their templates.
    pub pods: Vec<PodPlan>,
    pub workloads: Vec<WorkloadPlan>,
    pub jobs: Vec<JobPlan>,
    pub cron_jobs: Vec<CronJobPlan>,
    pub ingresses: Vec<IngressPlan>,
    pub autoscalers: Vec<AutoscalerPlan>,
    /// Every port of the host that the plan takes, each with its owner. No two clash.
    pub host_ports: Vec<HostPort>,
    /// What the user should know although it goes on.
    pub warnings: Vec<Problem>,
}

/// What every planned object has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    pub id: ObjectId,
    pub labels: std::collections::BTreeMap<String, String>,
    pub annotations: std::collections::BTreeMap<String, String>,
    /// Where it is written.
    pub origin: crate::Origin,
    /// 64 hex digits over the manifest's meaning: equal as long as nothing changed but its text.
    pub hash: String,
    /// The object as it was written, in JSON.
    pub manifest: serde_json::Value,
}

/// A scope of names, with a network of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NamespacePlan {
    pub name: String,
    /// `None`: no manifest made it, objects just lie in it.
    pub meta: Option<Meta>,
}

/// A port of the host and who wants it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HostPort {
    /// `None` is every address.
    pub address: Option<std::net::IpAddr>,
    pub port: u16,
    pub protocol: Protocol,
    pub owner: ObjectId,
    pub origin: crate::Origin,
    /// Where in the manifest: `spec.containers[0].ports[0].hostPort`.
    pub path: String,
}

impl Plan {
    /// The headers of all objects, in the order in which they are made.
    pub fn metas(&self) -> impl Iterator<Item = &Meta> {
        let namespaces = self.namespaces.iter().filter_map(|namespace| namespace.meta.as_ref());
        namespaces
            .chain(self.config_maps.iter().map(|object| &object.meta))
            .chain(self.secrets.iter().map(|object| &object.meta))
            .chain(self.volumes.iter().map(|volume| &volume.meta))
            .chain(self.services.iter().map(|service| &service.meta))
            .chain(self.pods.iter().map(|pod| &pod.meta))
            .chain(self.workloads.iter().map(|workload| &workload.meta))
            .chain(self.jobs.iter().map(|job| &job.meta))
            .chain(self.cron_jobs.iter().map(|job| &job.meta))
            .chain(self.ingresses.iter().map(|ingress| &ingress.meta))
            .chain(self.autoscalers.iter().map(|autoscaler| &autoscaler.meta))
    }

    /// All pods that are written, and the templates of all others, each with whose it is.
    pub fn templates(&self) -> impl Iterator<Item = (&Meta, &PodTemplate)> {
        self.pods.iter().map(|pod| (&pod.meta, &pod.template)).chain(self.kept_templates())
    }

    /// The templates of workloads, Jobs and CronJobs.
    pub fn kept_templates(&self) -> impl Iterator<Item = (&Meta, &PodTemplate)> {
        let workloads = self.workloads.iter().map(|workload| (&workload.meta, &workload.template));
        let jobs = self.jobs.iter().map(|job| (&job.meta, &job.run.template));
        workloads.chain(jobs).chain(self.cron_jobs.iter().map(|job| (&job.meta, &job.run.template)))
    }
}
