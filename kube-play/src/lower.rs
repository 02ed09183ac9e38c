//! Typed objects become a plan: defaults filled in, references checked, ports shared out.

mod at;
mod config;
mod container;
mod environment;
mod handlers;
mod hash;
mod job;
mod pod;
mod podman;
mod ports;
mod references;
mod resources;
mod security;
mod service;
mod volumes;
mod workload;

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::{planned, planned_with};

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;

use containers::{LogConfig, UserNamespace};
use pods::ServiceContainer;

use crate::decode::Validate;
use crate::manifest::{Document, Manifests};
use crate::model::Object;
use crate::plan::{HostPort, Kind, Meta, NamespacePlan, ObjectId, Objects, Plan, PortRef, PublishedPort};
use crate::problem::{Problem, Severity};

use at::At;
pub(crate) use container::usual_pull_policy;
pub use hash::service_name;
pub(crate) use hash::unmarked as short_hash;
use references::Reference;

/// What the command line says beside the manifests.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    /// `--network`, word by word; empty: the network of the pod's namespace.
    pub networks: Vec<String>,
    /// `--ip`, `--mac-address`: of the pods that are written as such, in their order.
    pub addresses: Vec<IpAddr>,
    pub macs: Vec<String>,
    /// `--service-container`.
    pub service: Option<ServiceContainer>,
    /// Images that have a directory to be built from, and the id of each that is there: a pod is made anew when that
    /// changes.
    pub built: BTreeMap<String, String>,
    /// `--publish`: for the pods that name the container's port, else for the only pod there is.
    pub publish: Vec<PublishedPort>,
    /// `--publish-all`: every `containerPort` is published, under its own number where no hostPort is written.
    pub publish_all: bool,
    /// `--userns`.
    pub user_namespace: Option<UserNamespace>,
    /// `--log-driver`, `--log-opt`; `None` is the store's default.
    pub log: Option<LogConfig>,
    /// `--annotation`: of every pod.
    pub annotations: BTreeMap<String, String>,
    pub no_hosts: bool,
    pub no_hostname: bool,
    pub no_pod_prefix: bool,
    /// `--seccomp-profile-root`; `None` is /var/lib/kubelet/seccomp.
    pub seccomp_root: Option<PathBuf>,
    /// Where relative paths of archives begin.
    pub directory: PathBuf,
    /// The unit of systemd that plays: a label of every pod.
    pub unit: Option<String>,
    /// `--replicas`: of every Deployment, ReplicaSet, ReplicationController and StatefulSet.
    pub replicas: Option<u32>,
}

/// What is there already: the world a plan is made for.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    pub objects: Objects,
    /// Named volumes.
    pub volumes: BTreeSet<String>,
    /// Workloads that an autoscaler may refer to.
    pub workloads: BTreeSet<ObjectId>,
    /// Secrets whose certificates stored Ingresses show.
    pub certificates: BTreeSet<ObjectId>,
    /// Ports of the host that played objects have taken; those of objects in the plan are passed over.
    pub host_ports: Vec<HostPort>,
}

/// Makes the plan, or says all that is wrong: in the texts, in each object, and between them.
pub fn plan(manifests: &Manifests, stored: &Stored, options: &Options) -> Result<Plan, Vec<Problem>> {
    let mut lowering = Lowering {
        options,
        stored,
        validate: manifests.validate,
        options_print: hash::options(options),
        plan: Plan::default(),
        problems: manifests.problems.clone(),
        references: Vec::new(),
        persistent: config::persistent_volumes(manifests),
        claim_volumes: Vec::new(),
        faulty_volumes: BTreeSet::new(),
        backend_ports: Vec::new(),
    };
    for document in &manifests.documents {
        lowering.document(document);
    }
    lowering.namespaces(manifests);
    lowering.check_references();
    lowering.check_backends();
    lowering.node_ports();
    lowering.share_ports(manifests);
    let Lowering { mut plan, mut problems, .. } = lowering;
    manifests.sort(&mut problems);
    if problems.iter().any(|problem| problem.severity == Severity::Error) {
        return Err(problems);
    }
    plan.warnings = problems;
    Ok(plan)
}

struct Lowering<'a> {
    options: &'a Options,
    stored: &'a Stored,
    validate: Validate,
    /// What the options mean for a pod, for its hash.
    options_print: String,
    plan: Plan,
    problems: Vec<Problem>,
    references: Vec<Reference>,
    /// PersistentVolumes, and who is bound to them.
    persistent: Vec<config::Persistent>,
    /// The claims of the StatefulSet that is being planned: volumes of its pods.
    claim_volumes: Vec<String>,
    /// Volumes of the pod that is being planned whose faults have been named.
    faulty_volumes: BTreeSet<String>,
    /// Ports of Services that Ingresses name.
    backend_ports: Vec<(String, String, PortRef, Problem)>,
}

impl<'a> Lowering<'a> {
    fn document(&mut self, document: &'a Document) {
        let at = At::document(document);
        let meta = self.meta(document);
        match &document.object {
            Object::Namespace(_) => {
                self.plan.namespaces.push(NamespacePlan { name: meta.id.name.clone(), meta: Some(meta) });
            }
            Object::ConfigMap(map) => {
                let map = self.config_map(map, meta, &at);
                self.plan.config_maps.push(map);
            }
            Object::Secret(secret) => {
                let secret = self.secret(secret, meta, &at);
                self.plan.secrets.push(secret);
            }
            Object::PersistentVolume(volume) => self.persistent_volume(volume, &at),
            Object::PersistentVolumeClaim(claim) => {
                let volume = self.claim(claim, meta, &at);
                self.plan.volumes.push(volume);
            }
            Object::Service(service) => {
                let service = self.service(service, meta, &at);
                self.plan.services.push(service);
            }
            Object::Pod(pod) => {
                let pod = self.pod(pod, meta, &at);
                self.plan.pods.push(pod);
            }
            Object::Deployment(object) => {
                let workload = self.deployment(object, meta, &at);
                self.plan.workloads.push(workload);
            }
            Object::ReplicaSet(object) => {
                let workload = self.replica_set(object, meta, &at);
                self.plan.workloads.push(workload);
            }
            Object::ReplicationController(object) => {
                let workload = self.replication_controller(object, meta, &at);
                self.plan.workloads.push(workload);
            }
            Object::DaemonSet(object) => {
                let workload = self.daemon_set(object, meta, &at);
                self.plan.workloads.push(workload);
            }
            Object::StatefulSet(object) => {
                let workload = self.stateful_set(object, meta, &at);
                self.plan.workloads.push(workload);
            }
            Object::Job(job) => {
                let job = self.job(job, meta, &at);
                self.plan.jobs.push(job);
            }
            Object::CronJob(job) => {
                if let Some(job) = self.cron_job(job, meta, &at) {
                    self.plan.cron_jobs.push(job);
                }
            }
            Object::Ingress(ingress) => {
                let ingress = self.ingress(ingress, meta, &at);
                self.plan.ingresses.push(ingress);
            }
            Object::HorizontalPodAutoscaler(autoscaler) => {
                if let Some(autoscaler) = self.autoscaler(autoscaler, meta, &at) {
                    self.plan.autoscalers.push(autoscaler);
                }
            }
            Object::StorageClass(_) => self.warn(&at, "has no effect here: there is one class, local directories"),
            Object::IngressClass(_) => self.warn(&at, "has no effect here: there is one Ingress controller"),
        }
    }

    fn meta(&self, document: &Document) -> Meta {
        let metadata = document.object.metadata();
        let mut manifest = document.node.json();
        hash::strip(&mut manifest);
        Meta {
            id: document.id.clone(),
            labels: metadata.labels.0.clone(),
            annotations: metadata.annotations.0.clone(),
            origin: document.origin(),
            hash: hash::hex(&[&manifest], &self.print(&[&manifest])),
            manifest,
        }
    }

    /// What the options mean for what is written there.
    fn print(&self, written: &[&serde_json::Value]) -> String {
        let mut print = self.options_print.clone();
        written.iter().for_each(|value| hash::built(&self.options.built, value, &mut print));
        print
    }

    /// Those that objects lie in without a manifest of their own.
    fn namespaces(&mut self, manifests: &Manifests) {
        for document in &manifests.documents {
            let name = &document.id.namespace;
            if !name.is_empty() && !self.plan.namespaces.iter().any(|namespace| namespace.name == *name) {
                self.plan.namespaces.push(NamespacePlan { name: name.clone(), meta: None });
            }
        }
    }

    fn wrong(&mut self, at: &At<'_>, text: impl Into<String>) {
        self.problems.push(at.problem(Severity::Error, text, None));
    }

    fn wrong_with(&mut self, at: &At<'_>, text: impl Into<String>, hint: impl Into<String>) {
        self.problems.push(at.problem(Severity::Error, text, Some(hint.into())));
    }

    fn warn(&mut self, at: &At<'_>, text: impl Into<String>) {
        if self.validate != Validate::Ignore {
            self.problems.push(at.problem(Severity::Warning, text, None));
        }
    }

    /// What is carried out neither here nor later: an error in strict reading, else a warning.
    fn unsupported(&mut self, at: &At<'_>, text: impl Into<String>) {
        self.unsupported_with(at, text, None);
    }

    fn unsupported_with(&mut self, at: &At<'_>, text: impl Into<String>, hint: Option<&str>) {
        let severity = match self.validate {
            Validate::Strict => Severity::Error,
            Validate::Warn => Severity::Warning,
            Validate::Ignore => return,
        };
        self.problems.push(at.problem(severity, text, hint.map(str::to_owned)));
    }

    fn refer(&mut self, kind: Kind, namespace: &str, name: &str, at: &At<'_>) -> &mut Reference {
        self.references.push(Reference::new(ObjectId::new(kind, namespace, name), at));
        let last = self.references.len() - 1;
        &mut self.references[last]
    }
}
