//! The networks on which played pods are: one for each Kubernetes namespace.

use std::net::IpAddr;

use containers::{Container, Engine};

use super::error::Result;
use super::objects::{SERVICE_RANGE, Shelf};

/// The network of a Kubernetes namespace.
pub(super) fn of_namespace(namespace: &str) -> String {
    match namespace {
        "default" => "podman-default-kube-network".to_owned(),
        namespace => format!("podman-kube-{namespace}-network"),
    }
}

/// The network of a namespace, made where it is not there yet.
pub(super) fn ensure(engine: &Engine, namespace: &str) -> Result<network::Network> {
    let networks = containers::networks(engine);
    let name = of_namespace(namespace);
    let service_range = Some(SERVICE_RANGE);
    match networks.named(&name) {
        Err(network::Error::NoSuchNetwork(_)) => {}
        // Podman's, or one of before there was a range: its holder is told of it when it is made again.
        Ok(network) if network.service_range != service_range => {
            let network = network::Network { service_range, ..network };
            networks.update(&network)?;
            return Ok(network);
        }
        other => return Ok(other?),
    }
    let wanted = network::Network {
        name: name.clone(),
        driver: "bridge".into(),
        dns: true,
        service_range,
        ..Default::default()
    };
    match networks.create(wanted) {
        Err(network::Error::NetworkExists(_)) => Ok(networks.named(&name)?),
        other => Ok(other?),
    }
}

/// What a namespace needed while there was something in it.
pub(super) fn leave(engine: &Engine, shelf: &Shelf, namespace: &str) {
    if shelf.all(namespace).is_ok_and(|objects| objects.is_empty()) {
        let networks = containers::networks(engine);
        let is_empty = |name: &str| networks.state(name).is_ok_and(|state| state.members.is_empty());
        let name = of_namespace(namespace);
        // Somebody else's container may be on it, or about to be: then it stays.
        if is_empty(&name)
            && let Ok(network) = networks.named(&name)
        {
            let _ = networks.remove(&network);
        }
    }
}

/// The addresses of a container that runs, the first network's first.
pub(super) fn addresses_of(container: &Container) -> Vec<IpAddr> {
    let Some(network) = &container.status.network else { return Vec::new() };
    let on_networks = network.endpoints.iter().flat_map(|endpoint| &endpoint.addresses).map(|at| at.address);
    let of_uplink =
        network.addresses.iter().flat_map(|at| at.ipv4.map(IpAddr::from).into_iter().chain(at.ipv6.map(IpAddr::from)));
    let mut all: Vec<IpAddr> = on_networks.collect();
    match all.is_empty() {
        true => of_uplink.collect(),
        false => {
            all.dedup();
            all
        }
    }
}

pub(super) fn protocol(protocol: crate::plan::Protocol) -> network::Protocol {
    match protocol {
        crate::plan::Protocol::Tcp => network::Protocol::Tcp,
        crate::plan::Protocol::Udp => network::Protocol::Udp,
        crate::plan::Protocol::Sctp => network::Protocol::Sctp,
    }
}
