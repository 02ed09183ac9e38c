//! Services and Ingresses.

use std::collections::BTreeMap;
use std::net::IpAddr;

use network::Cidr;
use serde::{Deserialize, Serialize};

use super::{Kind, Meta, ObjectId, Protocol};

pub use crate::decode::values::PortRef;
pub use crate::model::ingress::PathType;
pub use crate::model::service::ServiceType;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServicePlan {
    pub meta: Meta,
    pub kind: ServiceType,
    /// The address that is asked for; `None`: any one of the namespace's network, kept from play to play.
    pub address: Option<IpAddr>,
    /// `clusterIP: None`: no address, the name gives those of the pods.
    pub headless: bool,
    /// Empty: nobody; the Service has no pods of its own.
    pub selector: BTreeMap<String, String>,
    pub ports: Vec<ServicePortPlan>,
    /// The alias of an ExternalName.
    pub external_name: Option<String>,
    /// Addresses of the host to listen on, beside NodePort and LoadBalancer.
    pub external_addresses: Vec<IpAddr>,
    /// Of a LoadBalancer; `None` is every address of the host.
    pub load_balancer_address: Option<IpAddr>,
    /// Where clients of the load balancer may come from; empty: everywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Cidr>,
    /// Seconds for which one client stays with one pod.
    pub affinity: Option<u32>,
    /// Pods count before they are ready.
    pub publish_not_ready: bool,
}

impl ServicePlan {
    /// The external addresses that need a socket of their own: a load balancer at every address has them already.
    pub(crate) fn own_external_addresses(&self) -> &[IpAddr] {
        match self.kind == ServiceType::LoadBalancer && self.load_balancer_address.is_none() {
            true => &[],
            false => &self.external_addresses,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServicePortPlan {
    pub name: Option<String>,
    pub protocol: Protocol,
    pub port: u16,
    /// By name: each pod may have another number.
    pub target: PortRef,
    /// On the host, for NodePort and LoadBalancer.
    pub node_port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IngressPlan {
    pub meta: Meta,
    pub default: Option<IngressTarget>,
    pub rules: Vec<IngressRulePlan>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tls: Vec<IngressTlsPlan>,
    /// Whether requests in clear for hosts of `tls` are sent there.
    #[serde(default)]
    pub redirects: bool,
}

/// The certificate that some hosts have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IngressTlsPlan {
    /// In small letters; empty: all that have no other.
    pub hosts: Vec<String>,
    /// Of the Ingress' namespace.
    pub secret: String,
}

/// One path of one host. Longest path first wins; `Exact` before `Prefix`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IngressRulePlan {
    /// `None`: any; `*.example.org`: one label more.
    pub host: Option<String>,
    pub path: String,
    pub kind: PathType,
    pub target: IngressTarget,
}

/// A Service of the Ingress' namespace and its port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IngressTarget {
    pub service: String,
    pub port: PortRef,
}

impl IngressPlan {
    /// Whether clients of a rule for this host can come by TLS.
    pub fn has_tls(&self, host: Option<&str>) -> bool {
        let host = host.unwrap_or_default().to_ascii_lowercase();
        let wildcard = host.split_once('.').map(|(_, rest)| format!("*.{rest}"));
        let names = |known: &String| *known == host || wildcard.as_ref() == Some(known);
        self.tls.iter().any(|tls| tls.hosts.is_empty() || tls.hosts.iter().any(names))
    }

    /// The Secrets of its certificates.
    pub fn certificates(&self) -> impl Iterator<Item = ObjectId> {
        self.tls.iter().map(|tls| ObjectId::new(Kind::Secret, &self.meta.id.namespace, &tls.secret))
    }
}

impl ServicePlan {
    /// What it is called in every pod, shortest first; in its own namespace also by its bare name.
    pub fn names(&self) -> [String; 4] {
        let (name, namespace) = (&self.meta.id.name, &self.meta.id.namespace);
        [
            name.clone(),
            format!("{name}.{namespace}"),
            format!("{name}.{namespace}.svc"),
            format!("{name}.{namespace}.svc.cluster.local"),
        ]
    }
}

/// `WEB_SERVICE_HOST` and the like: what a pod is told of the Services of its namespace, by name.
pub fn service_variables<'a>(services: impl IntoIterator<Item = (&'a ServicePlan, IpAddr)>) -> Vec<(String, String)> {
    let mut variables = Vec::new();
    for (service, address) in services {
        let Some(first) = service.ports.first() else { continue };
        let word = service.meta.id.name.to_ascii_uppercase().replace('-', "_");
        let host = match address {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        };
        let mut set = |name: String, value: String| variables.push((name, value));
        set(format!("{word}_SERVICE_HOST"), address.to_string());
        set(format!("{word}_SERVICE_PORT"), first.port.to_string());
        for port in &service.ports {
            if let Some(name) = &port.name {
                let name = name.to_ascii_uppercase().replace('-', "_");
                set(format!("{word}_SERVICE_PORT_{name}"), port.port.to_string());
            }
        }
        // The variables of Docker's links, which Kubernetes still makes.
        let url =
            |port: &ServicePortPlan| format!("{}://{host}:{}", port.protocol.word().to_ascii_lowercase(), port.port);
        set(format!("{word}_PORT"), url(first));
        for port in &service.ports {
            let prefix = format!("{word}_PORT_{}_{}", port.port, port.protocol);
            set(prefix.clone(), url(port));
            set(format!("{prefix}_PROTO"), port.protocol.word().to_ascii_lowercase());
            set(format!("{prefix}_PORT"), port.port.to_string());
            set(format!("{prefix}_ADDR"), address.to_string());
        }
    }
    variables
}

/// A pod as a Service sees it.
#[derive(Clone, Debug)]
pub struct Backend<'a> {
    pub name: &'a str,
    pub labels: &'a BTreeMap<String, String>,
    pub template: &'a super::PodTemplate,
    pub address: IpAddr,
    pub ready: bool,
}

impl ServicePlan {
    /// Does it lead to pods with these labels?
    pub fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        !self.selector.is_empty() && self.selector.iter().all(|(key, value)| labels.get(key) == Some(value))
    }

    /// Where the connections of one of its ports go: addresses and ports of the pods that are ready, by pod.
    pub fn endpoints<'a>(
        &self,
        port: &ServicePortPlan,
        pods: impl IntoIterator<Item = Backend<'a>>,
    ) -> Vec<(String, std::net::SocketAddr)> {
        pods.into_iter()
            .filter(|pod| (pod.ready || self.publish_not_ready) && self.selects(pod.labels))
            .filter_map(|pod| Some((pod.name.to_owned(), (pod.address, pod.template.port(&port.target)?).into())))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lower::planned;

    #[test]
    fn only_ready_pods_are_endpoints() {
        let plan = planned(
            "apiVersion: v1\nkind: Service\nmetadata: { name: s }\nspec: { selector: { app: x }, ports: [{ port: 80, targetPort: web }] }\n---\n\
             apiVersion: v1\nkind: Pod\nmetadata: { name: p, labels: { app: x } }\nspec: { containers: [{ name: a, image: box, ports: [{ name: web, containerPort: 8080 }] }] }\n---\n\
             apiVersion: v1\nkind: Pod\nmetadata: { name: q, labels: { app: x } }\nspec: { containers: [{ name: a, image: box }] }\n",
        );
        let address = "10.0.0.1".parse().expect("an address");
        let backends = |ready| {
            plan.pods.iter().map(move |pod| Backend {
                name: &pod.meta.id.name,
                labels: &pod.meta.labels,
                template: &pod.template,
                address,
                ready,
            })
        };
        let service = &plan.services[0];
        let endpoint = ("p".to_owned(), (address, 8080).into());
        assert_eq!(service.endpoints(&service.ports[0], backends(true)), std::slice::from_ref(&endpoint));
        assert_eq!(service.endpoints(&service.ports[0], backends(false)), []);
        let early = ServicePlan { publish_not_ready: true, ..service.clone() };
        assert_eq!(early.endpoints(&early.ports[0], backends(false)), [endpoint]);
    }
}
