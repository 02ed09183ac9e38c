//! Ports of the host: who takes which, and that nobody takes one twice.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::{At, Lowering};
use crate::manifest::Manifests;
use crate::model::PodSpec;
use crate::plan::{HostPort, ObjectId, PodTemplate, Protocol, PublishedPort, ServiceType};
use crate::problem::{Problem, Severity};

/// Kubernetes' range of ports that a NodePort may have.
pub(super) const NODE_PORTS: std::ops::RangeInclusive<u16> = 30000..=32767;

impl Lowering<'_> {
    /// The ports of one pod: hostPorts, and what the options add.
    pub(super) fn publish(&mut self, spec: &PodSpec, template: &mut PodTemplate, host_network: bool, at: &At<'_>) {
        for (list, word) in [(&spec.init_containers, "initContainers"), (&spec.containers, "containers")] {
            for (index, container) in list.iter().enumerate() {
                for (number, port) in container.ports.iter().enumerate() {
                    let at = at.key(word).index(index).key("ports").index(number);
                    let container_port = port.container_port.0;
                    let mut host_port = port.host_port.map(|port| port.0);
                    if host_network {
                        // The container's port is the host's.
                        if host_port.is_some_and(|host| host != container_port) {
                            self.wrong(&at.key("hostPort"), "must be the containerPort where hostNetwork is true");
                        }
                        continue;
                    }
                    if self.options.publish_all {
                        host_port = host_port.or(Some(container_port));
                    }
                    let protocol = port.protocol.unwrap_or_default();
                    let given: Vec<&PublishedPort> = self
                        .options
                        .publish
                        .iter()
                        .filter(|given| given.container_port == container_port && given.protocol == protocol)
                        .collect();
                    let own = host_port.filter(|_| given.is_empty()).map(|host_port| PublishedPort {
                        host_ip: port.host_ip,
                        host_port,
                        container_port,
                        protocol,
                    });
                    for published in own.into_iter().chain(given.into_iter().cloned()) {
                        template.ports.push(published);
                    }
                }
            }
        }
    }

    /// Gives every owner its ports, in the order of the manifests, and says who clashes with whom.
    pub(super) fn share_ports(&mut self, manifests: &Manifests) {
        self.publish_unnamed();
        let mut wanted = Vec::new();
        for document in &manifests.documents {
            self.wants(&document.id, &At::document(document), &mut wanted);
        }
        let planned: BTreeSet<&ObjectId> = self.plan.metas().map(|meta| &meta.id).collect();
        let stored = self.stored.host_ports.iter().filter(|port| !planned.contains(&port.owner));
        let mut taken: Vec<HostPort> = stored.cloned().collect();
        for port in wanted {
            match taken.iter().find(|other| clash(other, &port)) {
                None => {
                    taken.push(port.clone());
                    self.plan.host_ports.push(port);
                }
                Some(other) => {
                    let same = other.owner == port.owner && other.path == port.path;
                    let text = match same {
                        true => {
                            format!("port {}/{} of the host is wanted by more than one pod", port.port, port.protocol)
                        }
                        false => format!(
                            "port {}/{} of the host is taken already by {} ({})",
                            port.port, port.protocol, other.owner, other.origin
                        ),
                    };
                    self.problems.push(Problem {
                        severity: Severity::Error,
                        origin: port.origin,
                        object: Some(port.owner.to_string()),
                        path: port.path,
                        text,
                        hint: same.then(|| "a Service of type NodePort leads to all of them".to_owned()),
                    });
                }
            }
        }
    }

    /// `--publish` for a port that no manifest names: it is clear whose it is when there is one pod.
    fn publish_unnamed(&mut self) {
        for port in &self.options.publish {
            let plan = &mut self.plan;
            let mut templates: Vec<&mut PodTemplate> = plan.pods.iter_mut().map(|pod| &mut pod.template).collect();
            templates.extend(plan.workloads.iter_mut().map(|workload| &mut workload.template));
            templates.extend(plan.jobs.iter_mut().map(|job| &mut job.run.template));
            if templates.iter().any(|template| template.ports.contains(port)) {
                continue;
            }
            match &mut templates[..] {
                [template] => template.ports.push(port.clone()),
                templates => {
                    let count = templates.len();
                    self.problems.push(Problem {
                        severity: Severity::Error,
                        origin: crate::Origin { file: "--publish".to_owned(), ..Default::default() },
                        object: None,
                        path: String::new(),
                        text: format!(
                            "no container names port {}/{}, and there are {count} pods",
                            port.container_port, port.protocol
                        ),
                        hint: Some("write it as a containerPort of the pod that is meant".to_owned()),
                    });
                }
            }
        }
    }

    /// All that one object wants.
    fn wants(&self, id: &ObjectId, at: &At<'_>, wanted: &mut Vec<HostPort>) {
        let mut add = |address: Option<IpAddr>, port: u16, protocol: Protocol, at: &At<'_>| {
            wanted.push(HostPort {
                address: address.filter(|address| !address.is_unspecified()),
                port,
                protocol,
                owner: id.clone(),
                origin: at.origin(),
                path: at.path().to_owned(),
            });
        };
        let plan = &self.plan;
        let pod = plan.pods.iter().find(|pod| pod.meta.id == *id).map(|pod| (&pod.template, 1, "spec"));
        let workload = || {
            let workload = plan.workloads.iter().find(|workload| workload.meta.id == *id)?;
            Some((&workload.template, workload.replicas, "spec.template.spec"))
        };
        let job = || {
            let job = plan.jobs.iter().find(|job| job.meta.id == *id)?;
            Some((&job.run.template, job.run.parallelism, "spec.template.spec"))
        };
        if let Some((template, pods, keys)) = pod.or_else(workload).or_else(job) {
            for port in &template.ports {
                let at = place(&at.keys(keys), template, port);
                // Twice is enough to be told.
                for _ in 0..pods.min(2) {
                    add(port.host_ip, port.host_port, port.protocol, &at);
                }
            }
        }
        if let Some(service) = plan.services.iter().find(|service| service.meta.id == *id) {
            for (index, port) in service.ports.iter().enumerate() {
                let at = at.keys("spec.ports").index(index);
                if let Some(node_port) = port.node_port {
                    add(None, node_port, port.protocol, &at.key("nodePort"));
                }
                if service.kind == ServiceType::LoadBalancer {
                    add(service.load_balancer_address, port.port, port.protocol, &at.key("port"));
                }
                for address in service.own_external_addresses() {
                    add(Some(*address), port.port, port.protocol, &at.key("port"));
                }
            }
        }
    }
}

fn place<'a>(at: &At<'a>, template: &PodTemplate, published: &PublishedPort) -> At<'a> {
    for (list, word) in [(&template.init, "initContainers"), (&template.containers, "containers")] {
        for (index, container) in list.iter().enumerate() {
            for (number, port) in container.ports.iter().enumerate() {
                if port.number == published.container_port && port.protocol == published.protocol {
                    let at = at.key(word).index(index).key("ports").index(number);
                    return if at.key("hostPort").written() { at.key("hostPort") } else { at };
                }
            }
        }
    }
    at.clone()
}

fn clash(left: &HostPort, right: &HostPort) -> bool {
    let address = match (left.address, right.address) {
        (Some(left), Some(right)) => left == right,
        (None, _) | (_, None) => true,
    };
    left.port == right.port && left.protocol == right.protocol && address && left.port != 0
}
