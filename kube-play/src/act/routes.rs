//! Which Services lead where: from the stored objects and the pods that are seen to sockets, back ends and names.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use containers::Engine;
use network::{Certificate, Mode, PathMatch, Place, PortMapping, Rule};
use sys::process::Process;

use super::error::{Error, Result};
use super::networks::{self, protocol};
use super::objects::{Body, Object, Shelf};
use super::observe::{self, Seen};
use super::secrets;
use super::services::{Behind, Front, Server, Wanted};
use super::zone::{Endpoint, Named, zone};
use crate::plan::{
    IngressPlan, IngressTarget, Kind, ObjectId, PathType, PodTemplate, PortRef, ServicePlan, ServicePortPlan,
    ServiceType,
};

/// The ports on which Ingresses are served, in clear and by TLS: the first one of each that can be had.
const INGRESS_PORTS: (u16, u16) = (80, 8080);
const INGRESS_TLS_PORTS: (u16, u16) = (443, 8443);
/// A LoadBalancer's port that is not an ordinary user's to have is served so much higher, as the Ingresses' are.
const HIGHER: u16 = 8000;
/// The keys of the fronts of all Ingresses.
const INGRESS: &str = "Ingress/clear";
const INGRESS_TLS: &str = "Ingress/tls";

/// A Service and the pods behind it.
struct Known<'a> {
    plan: &'a ServicePlan,
    address: Option<IpAddr>,
    pods: Vec<&'a Seen>,
}

/// What the sockets and names of all Services have to be now.
pub(super) fn wanted(engine: &Engine, shelf: &Shelf, seen: &[Seen]) -> Result<Wanted> {
    let mut services = Vec::new();
    let mut ingresses = Vec::new();
    let mut templates = BTreeMap::new();
    for namespace in shelf.namespaces()? {
        services.extend(shelf.list(&namespace, Kind::Service)?);
        ingresses.extend(shelf.list(&namespace, Kind::Ingress)?);
        for object in shelf.all(&namespace)? {
            templates.extend(template(&object));
        }
    }
    if services.is_empty() {
        return Ok(Wanted::default());
    }
    let known: Vec<Known<'_>> = services
        .iter()
        .filter_map(|object| match &object.body {
            Body::Service { plan, address } => Some(Known { plan, address: *address, pods: behind(plan, seen) }),
            _ => None,
        })
        .collect();
    let mut wanted = Wanted::default();
    for service in known.iter().filter(|service| service.plan.external_name.is_none()) {
        for port in &service.plan.ports {
            let pods = service.pods.iter().filter_map(|pod| {
                let id = pod.pod.id().to_string();
                Some((id, target(port, templates.get(&key_of(pod)))?))
            });
            let front = Front {
                protocol: protocol(port.protocol),
                inside: service.address.map(|address| SocketAddr::new(address, port.port)),
                outside: outside(service.plan, port),
                behind: Behind::Pods(pods.collect()),
                sticky: service.plan.affinity,
                sources: Vec::new(),
            };
            let key = front_key(service.plan, port);
            // Whom the load balancer lets in says nothing about the other ways to the Service.
            if let (Some(balanced), false) = (balanced(service.plan, port), service.plan.sources.is_empty()) {
                let sources = service.plan.sources.clone();
                let front = Front { inside: None, outside: vec![balanced], sources, ..front.clone() };
                wanted.fronts.insert(format!("{key}/balanced"), front);
            }
            wanted.fronts.insert(key, front);
        }
        for pod in &service.pods {
            if let Some(server) = server(pod) {
                wanted.servers.insert(pod.pod.id().to_string(), server);
            }
        }
    }
    let ingresses = ingresses.iter().filter_map(|object| match &object.body {
        Body::Ingress(plan) => Some(plan),
        _ => None,
    });
    let (mut rules, mut certificates) = (Vec::new(), Vec::new());
    for plan in ingresses {
        match self::certificates(engine, plan) {
            Ok(own) => certificates.extend(own),
            Err(error) => drop(wanted.faults.insert(plan.meta.id.clone(), error.to_string())),
        }
        rules.extend(self::rules(plan, &known));
    }
    if !certificates.is_empty() {
        wanted.fronts.insert(INGRESS_TLS.into(), front_of_ingresses(INGRESS_TLS_PORTS, rules.clone(), certificates));
    }
    if !rules.is_empty() {
        wanted.fronts.insert(INGRESS.into(), front_of_ingresses(INGRESS_PORTS, rules, Vec::new()));
    }
    let named: Vec<Named<'_>> = known.iter().map(|service| named(service, &templates)).collect();
    for (network, namespace) in networks(seen) {
        let running = seen.iter().filter(|pod| !pod.has_ended());
        let pods = running.flat_map(|pod| pod.addresses.iter().map(|address| (pod.namespace.as_str(), *address)));
        wanted.zones.insert(network, zone(&named, pods, &namespace));
    }
    Ok(wanted)
}

fn front_of_ingresses(ports: (u16, u16), rules: Vec<(Rule, String)>, certificates: Vec<Certificate>) -> Front {
    Front {
        protocol: network::Protocol::Tcp,
        inside: None,
        outside: vec![on_first_of(ports)],
        behind: Behind::Fronts(rules, certificates),
        sticky: None,
        sources: Vec::new(),
    }
}

/// What an Ingress shows to its clients, as its Secrets are now.
fn certificates(engine: &Engine, plan: &IngressPlan) -> Result<Vec<Certificate>> {
    let mut certificates = Vec::new();
    for (tls, id) in plan.tls.iter().zip(plan.certificates()) {
        let secret = secrets::find(engine, &id)?.ok_or_else(|| Error::NotFound(id.to_string()))?;
        let certificate = secret.certificate().map_err(|why| Error::Invalid(format!("{id} {why}")))?;
        certificates.push(Certificate { hosts: tls.hosts.clone(), ..certificate });
    }
    Ok(certificates)
}

/// How clients get into the pod. `None`: it has no network namespace of its own that runs.
fn server(pod: &Seen) -> Option<Server> {
    let infra = pod.pod.infra()?;
    let init: Process = infra.state().init()?.clone();
    if infra.spec().network.mode == Mode::Host {
        return None;
    }
    let network = infra.status.network.as_ref()?;
    let place = match network.endpoints.first() {
        Some(endpoint) => {
            let v4 = endpoint.address(true).map(|at| at.address);
            let v6 = endpoint.address(false);
            Place {
                interface: endpoint.interface.clone(),
                ipv4: v4.and_then(|address| match address {
                    IpAddr::V4(address) => Some(address),
                    IpAddr::V6(_) => None,
                }),
                ipv6: v6.and_then(|at| match at.address {
                    IpAddr::V6(address) => Some(address),
                    IpAddr::V4(_) => None,
                }),
                ipv6_prefix: v6.map_or(0, |at| at.prefix),
                host_alias: endpoint.address(true).and_then(|at| at.gateway).and_then(|gateway| match gateway {
                    IpAddr::V4(address) => Some(address),
                    IpAddr::V6(_) => None,
                }),
                host_alias6: None,
            }
        }
        None => Place::from(network.addresses.as_ref()?),
    };
    Some(Server { init, place })
}

/// The ports of the host that an object has of the supervisor.
pub(super) fn on_the_host(body: &Body) -> Vec<PortMapping> {
    match body {
        Body::Service { plan, .. } => of_service(plan),
        Body::Ingress(plan) => of_ingress(plan),
        _ => Vec::new(),
    }
}

pub(super) fn of_service(plan: &ServicePlan) -> Vec<PortMapping> {
    let restricted = |port| balanced(plan, port).filter(|_| !plan.sources.is_empty());
    plan.ports.iter().flat_map(|port| outside(plan, port).into_iter().chain(restricted(port))).collect()
}

/// All Ingresses have one port, and those with TLS one more.
pub(super) fn of_ingress(plan: &IngressPlan) -> Vec<PortMapping> {
    let tls = (!plan.tls.is_empty()).then(|| on_first_of(INGRESS_TLS_PORTS));
    std::iter::once(on_first_of(INGRESS_PORTS)).chain(tls).collect()
}

/// On the first port where the kernel lets an ordinary user have it, else on the second.
fn on_first_of(ports: (u16, u16)) -> PortMapping {
    let first = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap_or_default();
    let first = first.trim().parse().unwrap_or(1024);
    let host_port = if ports.0 >= first { ports.0 } else { ports.1 };
    PortMapping { host_port, container_port: ports.0, ..PortMapping::default() }
}

/// The networks that have played pods on them, each with the Kubernetes namespace whose bare names hold there.
fn networks(seen: &[Seen]) -> BTreeSet<(String, String)> {
    let on = |pod: &Seen| {
        let endpoints = pod.pod.infra().and_then(|infra| infra.status.network.as_ref()).map(|it| &it.endpoints);
        let names = endpoints.into_iter().flatten().map(|endpoint| endpoint.network.clone());
        let namespace = pod.namespace.clone();
        names.map(|name| (name, namespace.clone())).collect::<Vec<_>>()
    };
    let mut networks = BTreeMap::new();
    for (network, namespace) in seen.iter().filter(|pod| !pod.has_ended()).flat_map(on) {
        let own = network == networks::of_namespace(&namespace);
        if own || !networks.contains_key(&network) {
            networks.insert(network, namespace);
        }
    }
    networks.into_iter().collect()
}

/// The pods whose template an object has, by owner.
fn template(object: &Object) -> Option<((String, String), PodTemplate)> {
    let meta = object.body.meta()?;
    let template = match &object.body {
        Body::Pod(plan) => &plan.template,
        Body::Workload { plan, .. } => &plan.template,
        Body::Job { plan, .. } => &plan.run.template,
        _ => return None,
    };
    let owner = match object.body {
        Body::Pod(_) => meta.id.name.clone(),
        _ => format!("{}/{}", meta.id.kind, meta.id.name),
    };
    Some(((meta.id.namespace.clone(), owner), template.clone()))
}

fn key_of(pod: &Seen) -> (String, String) {
    (pod.namespace.clone(), pod.owner.clone().unwrap_or_else(|| pod.name.clone()))
}

fn front_key(service: &ServicePlan, port: &ServicePortPlan) -> String {
    format!("{}{}/{}", front_prefix(&service.meta.id, false), port.port, port.protocol)
}

/// How the keys of an object's fronts begin. All Ingresses have one, and those with certificates one more.
pub(super) fn front_prefix(id: &ObjectId, has_tls: bool) -> String {
    match id.kind {
        Kind::Ingress if has_tls => "Ingress/".to_owned(),
        Kind::Ingress => INGRESS.to_owned(),
        _ => format!("{}/{}/{}/", id.kind, id.namespace, id.name),
    }
}

/// Pods that are selected and take clients.
pub fn behind<'a>(service: &ServicePlan, seen: &'a [Seen]) -> Vec<&'a Seen> {
    if service.selector.is_empty() {
        return Vec::new();
    }
    let selected = |pod: &&Seen| {
        pod.namespace == service.meta.id.namespace
            && service.selector.iter().all(|(key, value)| pod.labels().get(key) == Some(value))
            && !pod.has_ended()
            && (pod.ready || service.publish_not_ready)
    };
    seen.iter().filter(selected).collect()
}

/// The port of a pod of that template that a Service's port leads to. `None`: the pod has none of that name.
pub fn target(port: &ServicePortPlan, template: Option<&PodTemplate>) -> Option<u16> {
    match &port.target {
        PortRef::Number(number) => Some(*number),
        PortRef::Name(_) => template?.port(&port.target),
    }
}

fn on_host(port: &ServicePortPlan, host_ip: Option<IpAddr>, host_port: u16) -> PortMapping {
    PortMapping {
        host_ip,
        host_port,
        container_port: port.port,
        protocol: protocol(port.protocol),
        ..PortMapping::default()
    }
}

fn balanced(service: &ServicePlan, port: &ServicePortPlan) -> Option<PortMapping> {
    let balances = service.kind == ServiceType::LoadBalancer;
    balances.then(|| {
        let host_port = on_first_of((port.port, port.port.saturating_add(HIGHER))).host_port;
        on_host(port, service.load_balancer_address, host_port)
    })
}

/// The ports of a LoadBalancer that are served under another number of the host's, and which.
pub fn served_higher(service: &ServicePlan) -> Vec<(u16, u16)> {
    let mappings = service.ports.iter().filter_map(|port| balanced(service, port));
    let moved = mappings.filter(|mapping| mapping.host_port != mapping.container_port);
    moved.map(|mapping| (mapping.container_port, mapping.host_port)).collect()
}

/// The sockets on the host that take clients from everywhere.
fn outside(service: &ServicePlan, port: &ServicePortPlan) -> Vec<PortMapping> {
    let node = port.node_port.map(|number| on_host(port, None, number));
    let balanced = balanced(service, port).filter(|_| service.sources.is_empty());
    let external = service.own_external_addresses().iter().map(|address| on_host(port, Some(*address), port.port));
    node.into_iter().chain(balanced).chain(external).collect()
}

fn rules(plan: &IngressPlan, known: &[Known<'_>]) -> Vec<(Rule, String)> {
    let key = |target: &IngressTarget| {
        let of_namespace = |service: &&Known<'_>| {
            service.plan.meta.id.namespace == plan.meta.id.namespace && service.plan.meta.id.name == target.service
        };
        let service = known.iter().find(of_namespace)?;
        let port = service.plan.ports.iter().find(|port| match &target.port {
            PortRef::Number(number) => port.port == *number,
            PortRef::Name(name) => port.name.as_ref() == Some(name),
        })?;
        Some(front_key(service.plan, port))
    };
    let https = on_first_of(INGRESS_TLS_PORTS).host_port;
    let rule = |host: Option<String>, path: &str, path_match: PathMatch| Rule {
        https: (plan.redirects && plan.has_tls(host.as_deref())).then_some(https),
        host: host.map(|host| host.to_ascii_lowercase()),
        path: path.to_owned(),
        path_match,
        group: 0,
    };
    let mut rules = Vec::new();
    for written in &plan.rules {
        let path_match = match written.kind {
            PathType::Exact => PathMatch::Exact,
            PathType::Prefix | PathType::ImplementationSpecific => PathMatch::Prefix,
        };
        rules.extend(key(&written.target).map(|key| (rule(written.host.clone(), &written.path, path_match), key)));
    }
    if let Some(target) = &plan.default {
        rules.extend(key(target).map(|key| (rule(None, "/", PathMatch::Prefix), key)));
    }
    rules
}

/// What the names of a Service lead to.
fn named<'a>(service: &Known<'a>, templates: &BTreeMap<(String, String), PodTemplate>) -> Named<'a> {
    let plan = service.plan;
    let full = format!(".{}", plan.names()[3]);
    let endpoint = |pod: &&Seen| {
        let template = templates.get(&key_of(pod));
        let full_name = pod.pod.infra().and_then(|infra| infra.spec().network.full_name.as_deref());
        Endpoint {
            hostname: full_name.and_then(|name| name.strip_suffix(&full)).map(str::to_owned),
            addresses: pod.addresses.clone(),
            ports: plan.ports.iter().map(|port| target(port, template)).collect(),
        }
    };
    Named { plan, address: service.address, endpoints: service.pods.iter().map(endpoint).collect() }
}

/// Where a published Service is reached: for lists.
pub fn published(service: &ServicePlan) -> Vec<SocketAddr> {
    let any = IpAddr::from(Ipv4Addr::UNSPECIFIED);
    of_service(service)
        .iter()
        .map(|mapping| SocketAddr::new(mapping.host_ip.unwrap_or(any), mapping.host_port))
        .collect()
}

/// The pods behind each port of a Service, for lists.
pub fn endpoints(shelf: &Shelf, service: &ServicePlan, seen: &[Seen]) -> Result<Vec<(u16, Vec<String>)>> {
    let pods = behind(service, seen);
    let mut all = Vec::new();
    for port in &service.ports {
        let mut of_port = Vec::new();
        for pod in &pods {
            let template = observe::template_of(shelf, pod)?;
            if let (Some(address), Some(number)) = (pod.addresses.first(), target(port, template.as_ref())) {
                of_port.push(SocketAddr::new(*address, number).to_string());
            }
        }
        all.push((port.port, of_port));
    }
    Ok(all)
}
