//! Services and Ingresses.

use std::collections::BTreeSet;
use std::net::IpAddr;

use network::Cidr;

use super::ports::NODE_PORTS;
use super::references::Reference;
use super::{At, Lowering};
use crate::model::{self, IngressBackend, IpFamily, IpFamilyPolicy, PathType, ServiceType, SessionAffinity};
use crate::plan::{
    IngressPlan, IngressRulePlan, IngressTarget, IngressTlsPlan, Kind, Meta, ObjectId, PortRef, ServicePlan,
    ServicePortPlan,
};

/// Seconds, and what is meant where none are written; both are Kubernetes'.
const MOST_AFFINITY: u32 = 86_400;
const USUAL_AFFINITY: u32 = 10_800;
/// What Ingresses written for ingress-nginx say to it.
const INGRESS_NGINX: &str = "nginx.ingress.kubernetes.io/";
/// The annotation by which they keep their clients in clear.
const SSL_REDIRECT: &str = "nginx.ingress.kubernetes.io/ssl-redirect";

impl Lowering<'_> {
    pub(super) fn service(&mut self, service: &model::Service, meta: Meta, at: &At<'_>) -> ServicePlan {
        let spec = &service.spec;
        let at = at.key("spec");
        let kind = spec.kind.unwrap_or_default();
        let cluster_ip = spec.cluster_ip.as_deref().or(spec.cluster_ips.first().map(String::as_str)).unwrap_or("");
        let headless = cluster_ip == "None";
        let address = match cluster_ip {
            "" | "None" => None,
            text => match text.parse::<IpAddr>() {
                Ok(address) => Some(address),
                Err(_) => {
                    self.wrong(&at.key("clusterIP"), format!("must be an IP address or \"None\", and is {text:?}"));
                    None
                }
            },
        };
        if headless && matches!(kind, ServiceType::NodePort | ServiceType::LoadBalancer) {
            self.wrong(&at.key("clusterIP"), format!("must not be \"None\" where type is \"{kind}\""));
        }
        if spec.ports.is_empty() && !headless && kind != ServiceType::ExternalName {
            self.wrong(&at.key("ports"), "is required");
        }
        let external_name = spec.external_name.as_deref().map(|name| name.trim_end_matches('.').to_owned());
        match (kind, &external_name) {
            (ServiceType::ExternalName, None) => {
                self.wrong(&at.key("externalName"), "is required where type is \"ExternalName\"")
            }
            (ServiceType::ExternalName, Some(name)) if crate::names::subdomain(name).is_err() => {
                self.wrong(&at.key("externalName"), format!("{name:?} is no name of a host"));
            }
            (ServiceType::ExternalName, Some(_)) if !cluster_ip.is_empty() => {
                self.wrong(&at.key("clusterIP"), "may not be set where type is \"ExternalName\"");
            }
            _ => {}
        }
        self.ip_families(spec, &at);
        if spec.selector.0.is_empty() && kind != ServiceType::ExternalName {
            self.warn(&at.key("selector"), "chooses no pods: nothing answers");
        }
        let timeout_at = at.keys("sessionAffinityConfig.clientIP.timeoutSeconds");
        let ports = self.service_ports(spec, kind, &at);
        let timeout =
            spec.session_affinity_config.as_ref().and_then(|config| config.client_ip.as_ref()?.timeout_seconds);
        if timeout.is_some_and(|seconds| seconds.0 > MOST_AFFINITY) {
            self.wrong(&timeout_at, format!("must be at most {MOST_AFFINITY}"));
        }
        ServicePlan {
            kind,
            address,
            headless,
            selector: spec.selector.0.clone(),
            ports,
            external_name: external_name.filter(|_| kind == ServiceType::ExternalName),
            external_addresses: spec.external_ips.clone(),
            load_balancer_address: spec.load_balancer_ip,
            affinity: match spec.session_affinity.unwrap_or_default() {
                SessionAffinity::None => None,
                SessionAffinity::ClientIp => Some(timeout.map_or(USUAL_AFFINITY, |seconds| seconds.0)),
            },
            publish_not_ready: spec.publish_not_ready_addresses.unwrap_or(false),
            sources: self.source_ranges(spec, kind, &at),
            meta,
        }
    }

    /// Services have addresses of IPv4.
    fn ip_families(&mut self, spec: &model::ServiceSpec, at: &At<'_>) {
        let policy = spec.ip_family_policy.unwrap_or_default();
        if policy == IpFamilyPolicy::RequireDual {
            let text =
                "\"RequireDualStack\" is not carried out: Services have addresses of IPv4; write PreferDualStack";
            self.unsupported(&at.key("ipFamilyPolicy"), text);
        } else if policy == IpFamilyPolicy::Single && spec.ip_families.contains(&IpFamily::Ipv6) {
            let text = "\"IPv6\" is not carried out: Services have addresses of IPv4";
            self.unsupported(&at.key("ipFamilies"), text);
        }
    }

    fn source_ranges(&mut self, spec: &model::ServiceSpec, kind: ServiceType, at: &At<'_>) -> Vec<Cidr> {
        let at = at.key("loadBalancerSourceRanges");
        let written = &spec.load_balancer_source_ranges;
        if !written.is_empty() && kind != ServiceType::LoadBalancer {
            self.wrong(&at, format!("may not be set where type is \"{kind}\""));
        }
        let mut ranges = Vec::new();
        for (index, text) in written.iter().enumerate() {
            match text.trim().parse::<Cidr>() {
                Ok(range) if text.contains('/') => ranges.push(range),
                Ok(_) | Err(_) => {
                    self.wrong(&at.index(index), format!("must be a range like 10.0.0.0/8, and is {text:?}"));
                }
            }
        }
        ranges
    }

    fn service_ports(&mut self, spec: &model::ServiceSpec, kind: ServiceType, at: &At<'_>) -> Vec<ServicePortPlan> {
        let outside = matches!(kind, ServiceType::NodePort | ServiceType::LoadBalancer);
        let (mut names, mut numbers) = (BTreeSet::new(), BTreeSet::new());
        let mut ports = Vec::new();
        for (index, port) in spec.ports.iter().enumerate() {
            let at = at.key("ports").index(index);
            let protocol = port.protocol.unwrap_or_default();
            match &port.name {
                None if spec.ports.len() > 1 => {
                    self.wrong(&at.key("name"), "is required where there are several ports")
                }
                Some(name) if !names.insert(name.to_string()) => {
                    self.wrong(&at.key("name"), format!("{:?} is there twice", &**name));
                }
                None | Some(_) => {}
            }
            if !numbers.insert((port.port.0, protocol)) {
                self.wrong(&at.key("port"), format!("{}/{protocol} is there twice", port.port.0));
            }
            let node_port = port.node_port.map(|port| port.0);
            if let Some(number) = node_port {
                if !outside {
                    self.wrong(&at.key("nodePort"), format!("may not be set where type is \"{kind}\""));
                } else if !NODE_PORTS.contains(&number) {
                    self.wrong(&at.key("nodePort"), format!("must be between 30000 and 32767, and is {number}"));
                }
            }
            ports.push(ServicePortPlan {
                name: port.name.as_ref().map(|name| name.to_string()),
                protocol,
                port: port.port.0,
                target: port.target_port.clone().unwrap_or(PortRef::Number(port.port.0)),
                node_port: node_port.filter(|_| outside),
            });
        }
        ports
    }

    /// NodePorts that are not written: the stored Service's, else one that follows from the name and is free.
    pub(super) fn node_ports(&mut self) {
        let stored = &self.stored.objects.services;
        let all = || self.plan.services.iter().chain(stored.values());
        let mut taken: BTreeSet<u16> =
            all().flat_map(|service| &service.ports).filter_map(|port| port.node_port).collect();
        taken.extend(self.stored.host_ports.iter().map(|port| port.port));
        taken.extend(self.plan.host_ports.iter().map(|port| port.port));
        for service in self.plan.services.iter_mut().filter(|service| service.kind == ServiceType::NodePort) {
            let id = &service.meta.id;
            let before = stored.get(&(id.namespace.clone(), id.name.clone()));
            for port in service.ports.iter_mut().filter(|port| port.node_port.is_none()) {
                let kept = before.and_then(|before| {
                    let same = |other: &&ServicePortPlan| other.port == port.port && other.protocol == port.protocol;
                    before.ports.iter().find(same)?.node_port
                });
                let range = NODE_PORTS.end() - NODE_PORTS.start() + 1;
                let text = format!("{}/{}/{}/{}", id.namespace, id.name, port.port, port.protocol);
                let seed = text.bytes().fold(0u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
                let first = u16::try_from(seed % u32::from(range)).unwrap_or(0);
                let free = (0..range)
                    .map(|step| NODE_PORTS.start() + (first + step) % range)
                    .find(|number| !taken.contains(number));
                port.node_port = kept.or(free);
                taken.extend(port.node_port);
            }
        }
    }

    pub(super) fn ingress(&mut self, ingress: &model::Ingress, meta: Meta, at: &At<'_>) -> IngressPlan {
        let spec = &ingress.spec;
        let metadata = at.key("metadata");
        let at = at.key("spec");
        let namespace = meta.id.namespace.clone();
        let default = spec
            .default_backend
            .as_ref()
            .and_then(|backend| self.backend(backend, &namespace, &at.key("defaultBackend")));
        let mut rules = Vec::new();
        for (index, rule) in spec.rules.iter().enumerate() {
            let at = at.key("rules").index(index);
            let host = rule.host.clone().filter(|host| !host.is_empty());
            if let Some(host) = &host {
                self.check_host(host, &at.key("host"));
            }
            let paths = rule.http.as_ref().map(|http| http.paths.as_slice()).unwrap_or_default();
            for (index, path) in paths.iter().enumerate() {
                let at = at.keys("http.paths").index(index);
                let text = path.path.clone().filter(|path| !path.is_empty()).unwrap_or_else(|| "/".to_owned());
                if !text.starts_with('/') || text.contains("//") || text.contains("/../") {
                    self.wrong(&at.key("path"), format!("{text:?} is no absolute path"));
                }
                let Some(target) = self.backend(&path.backend, &namespace, &at.key("backend")) else { continue };
                let kind = match path.path_type {
                    PathType::ImplementationSpecific => PathType::Prefix,
                    kind => kind,
                };
                rules.push(IngressRulePlan { host: host.clone(), path: text, kind, target });
            }
        }
        if default.is_none() && spec.rules.is_empty() {
            self.wrong(&at, "must have rules or defaultBackend");
        }
        let tls = self.ingress_tls(&spec.tls, &namespace, &at.key("tls"));
        for key in meta.annotations.keys().filter(|key| key.starts_with(INGRESS_NGINX) && *key != SSL_REDIRECT) {
            self.warn(&metadata.key("annotations").key(key), "has no effect here: requests are passed on as they come");
        }
        let redirects = meta.annotations.get(SSL_REDIRECT).is_none_or(|value| value != "false");
        IngressPlan { meta, default, rules, tls, redirects }
    }

    fn ingress_tls(&mut self, entries: &[model::IngressTls], namespace: &str, at: &At<'_>) -> Vec<IngressTlsPlan> {
        let mut tls = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            let at = at.index(index);
            for (index, host) in entry.hosts.iter().enumerate() {
                self.check_host(host, &at.key("hosts").index(index));
            }
            let at = at.key("secretName");
            let Some(secret) = &entry.secret_name else {
                let hint =
                    "make one with \"kubectl create secret tls NAME --cert=FILE --key=FILE --dry-run=client -o yaml\"";
                self.wrong_with(&at, "is required: there is no certificate beside", hint);
                continue;
            };
            let certificate = ObjectId::new(Kind::Secret, namespace, secret);
            self.references.push(Reference::new(certificate, &at).of_certificate());
            let hosts = entry.hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
            tls.push(IngressTlsPlan { hosts, secret: secret.to_string() });
        }
        tls
    }

    fn check_host(&mut self, host: &str, at: &At<'_>) {
        let name = host.strip_prefix("*.").unwrap_or(host);
        if crate::names::subdomain(name).is_err() || name.parse::<IpAddr>().is_ok() {
            self.wrong(at, format!("{host:?} is no name of a host, or \"*.\" and one"));
        }
    }

    fn backend(&mut self, backend: &IngressBackend, namespace: &str, at: &At<'_>) -> Option<IngressTarget> {
        let at = at.key("service");
        let Some(service) = &backend.service else {
            self.wrong(&at, "is required");
            return None;
        };
        self.refer(Kind::Service, namespace, &service.name, &at.key("name"));
        let port = match (&service.port.number, &service.port.name) {
            (Some(number), None) => PortRef::Number(number.0),
            (None, Some(name)) => PortRef::Name(name.to_string()),
            (Some(_), Some(_)) | (None, None) => {
                self.wrong(&at.key("port"), "must have name or number");
                return None;
            }
        };
        self.backend_ports.push((
            namespace.to_owned(),
            service.name.to_string(),
            port.clone(),
            at.key("port").problem(crate::problem::Severity::Error, "", None),
        ));
        Some(IngressTarget { service: service.name.to_string(), port })
    }

    /// An Ingress' port must be one of the Service's.
    pub(super) fn check_backends(&mut self) {
        for (namespace, name, port, mut problem) in std::mem::take(&mut self.backend_ports) {
            let planned = self.plan.services.iter();
            let mut all = planned.chain(self.stored.objects.services.values());
            let Some(service) =
                all.find(|service| service.meta.id.namespace == namespace && service.meta.id.name == name)
            else {
                continue;
            };
            if let Some(host) = &service.external_name {
                problem.text = format!("Service {name:?} is an alias of {host}, to which requests are not sent on");
                self.problems.push(problem);
                continue;
            }
            let found = service.ports.iter().any(|known| match &port {
                PortRef::Number(number) => known.port == *number,
                PortRef::Name(name) => known.name.as_ref() == Some(name),
            });
            if !found {
                let port = match port {
                    PortRef::Number(number) => number.to_string(),
                    PortRef::Name(name) => format!("{name:?}"),
                };
                problem.text = format!("Service {name:?} has no port {port}");
                self.problems.push(problem);
            }
        }
    }
}
