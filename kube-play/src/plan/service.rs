//! Services and Ingresses.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Meta, Protocol};

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
    /// Seconds for which one client stays with one pod.
    pub affinity: Option<u32>,
    /// Pods count before they are ready.
    pub publish_not_ready: bool,
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

impl IngressPlan {
    /// Who answers a request for this host and path; `None`: nobody, which is a 404. `host` without its port.
    pub fn route(&self, host: &str, path: &str) -> Option<&IngressTarget> {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        // A host that is written out stands over one with a star, and that over none.
        let rank = |rule: &IngressRulePlan| match rule.host.as_deref() {
            None => Some(0),
            Some(pattern) => match pattern.strip_prefix("*.") {
                Some(domain) => {
                    let (label, rest) = host.split_once('.')?;
                    (!label.is_empty() && rest == domain).then_some(1)
                }
                None => (host == pattern).then_some(2),
            },
        };
        self.rules
            .iter()
            .filter_map(|rule| Some((rank(rule)?, rule)))
            .filter(|(_, rule)| rule.matches(path))
            .max_by_key(|(rank, rule)| (*rank, rule.kind == PathType::Exact, rule.path.trim_end_matches('/').len()))
            .map(|(_, rule)| &rule.target)
            .or(self.default.as_ref())
    }
}

impl IngressRulePlan {
    /// A prefix counts element by element: `/foo` holds `/foo/bar`, not `/foobar`.
    fn matches(&self, path: &str) -> bool {
        let path = path.split(['?', '#']).next().unwrap_or_default();
        match self.kind {
            PathType::Exact => path == self.path,
            PathType::Prefix | PathType::ImplementationSpecific => {
                let prefix = self.path.trim_end_matches('/');
                path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lower::planned;

    #[test]
    fn requests_find_their_way() {
        let path = |path: &str, kind: &str, service: &str| {
            format!(
                "{{ path: {path}, pathType: {kind}, backend: {{ service: {{ name: {service}, port: {{ number: 80 }} }} }} }}"
            )
        };
        let service = |name: &str| {
            format!(
                "apiVersion: v1\nkind: Service\nmetadata: {{ name: {name} }}\nspec: {{ selector: {{ a: b }}, ports: [{{ port: 80 }}] }}\n---\n"
            )
        };
        let text = format!(
            "{}apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{ name: x }}\nspec:\n  defaultBackend: {{ service: {{ name: rest, port: {{ number: 80 }} }} }}\n  \
             rules:\n  - host: foo.example\n    http: {{ paths: [{}, {}, {}] }}\n  - host: '*.example'\n    http: {{ paths: [{}] }}\n",
            ["rest", "long", "short", "exact", "star"].map(service).concat(),
            path("/a", "Prefix", "short"),
            path("/a/b/", "Prefix", "long"),
            path("/a/b/c", "Exact", "exact"),
            path("/", "Prefix", "star"),
        );
        let plan = planned(&text).ingresses.remove(0);
        for (host, path, expected) in [
            ("foo.example", "/a", "short"),
            ("FOO.example.", "/a/x?y=/a/b", "short"),
            ("foo.example", "/ab", "star"),
            ("foo.example", "/a/b", "long"),
            ("foo.example", "/a/b/", "long"),
            ("foo.example", "/a/b/c", "exact"),
            ("foo.example", "/a/b/c/", "long"),
            ("bar.example", "/a", "star"),
            ("a.bar.example", "/a", "rest"),
            ("example", "/", "rest"),
            ("", "/", "rest"),
        ] {
            assert_eq!(plan.route(host, path).map(|target| target.service.as_str()), Some(expected), "{host} {path}");
        }
    }

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
