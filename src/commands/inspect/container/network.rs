//! `NetworkSettings`: where a container is reached.

use std::collections::BTreeMap;

use containers::{Container, Engine, Facts};
use network::{Mode, PortMapping};

use crate::format::{Nil, Value};
use crate::{object, state};

pub fn value(engine: &Engine, container: &Container, facts: &Facts) -> Value {
    let mut ports = port_bindings(state::ports(container));
    for port in state::exposed(container) {
        ports.entry(port).or_insert(Value::Nil(Nil::List));
    }
    let mode = containers::network_mode_word(engine, container);
    let owner = owner(engine, container);
    let container = owner.as_ref().unwrap_or(container);
    let networks: BTreeMap<String, Value> = match &container.spec().network.mode {
        Mode::Container(_) | Mode::Path(_) | Mode::Pod => BTreeMap::new(),
        // A user-mode stack is no network that has a name; Podman says what it will be all the same.
        Mode::Default | Mode::Private | Mode::Creel(_) | Mode::Slirp4netns(_) | Mode::Pasta(_) if facts.pid > 0 => {
            BTreeMap::new()
        }
        Mode::Networks(networks) => {
            let known = containers::networks(engine);
            let value = |name: &str| {
                let id = known.named(name).map(|network| network.id).unwrap_or_default();
                endpoint(&id, place(container, name), containers::aliases(container, name))
            };
            networks.iter().map(|network| (network.name.clone(), value(&network.name))).collect()
        }
        _ => BTreeMap::from([(mode.clone(), endpoint(&mode, None, Vec::new()))]),
    };
    let key = if facts.pid > 0 && container.spec().network.mode != Mode::Host {
        format!("/proc/{}/ns/net", facts.pid)
    } else {
        String::new()
    };
    // Podman shows the addresses here too where there is the default network alone.
    let alone = match &container.spec().network.mode {
        Mode::Networks(networks) if networks.len() == 1 && networks[0].name == network::DEFAULT_NETWORK => {
            place(container, network::DEFAULT_NETWORK)
        }
        _ => None,
    };
    let first = Addresses::of(alone);
    object! {
        "EndpointID": "",
        "Gateway": first.gateway,
        "IPAddress": first.address,
        "IPPrefixLen": first.prefix,
        "IPv6Gateway": first.gateway6,
        "GlobalIPv6Address": first.address6,
        "GlobalIPv6PrefixLen": first.prefix6,
        "MacAddress": first.mac,
        "Bridge": "",
        "SandboxID": "",
        "HairpinMode": false,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0i64,
        "AdditionalMacAddresses"?: Value::Nil(Nil::List),
        "SecondaryIPAddresses"?: Value::Nil(Nil::List),
        "SecondaryIPv6Addresses"?: Value::Nil(Nil::List),
        "Ports": Value::Map(ports),
        "SandboxKey": key,
        "Networks"?: Value::Map(networks),
    }
}

/// The container whose network this one has joined.
fn owner(engine: &Engine, container: &Container) -> Option<Container> {
    match &container.spec().network.mode {
        Mode::Container(id) => containers::find(engine, id).ok(),
        _ => None,
    }
}

/// A running container's place on a network.
fn place<'a>(container: &'a Container, network: &str) -> Option<&'a network::Endpoint> {
    let status = container.status.network.as_ref().filter(|_| containers::running(container))?;
    status.endpoints.iter().find(|endpoint| endpoint.network == network)
}

/// The addresses of one place, in Podman's words.
#[derive(Default)]
struct Addresses {
    gateway: String,
    address: String,
    prefix: i64,
    gateway6: String,
    address6: String,
    prefix6: i64,
    mac: String,
}

impl Addresses {
    fn of(place: Option<&network::Endpoint>) -> Addresses {
        let Some(place) = place else { return Addresses::default() };
        let text = |address: Option<std::net::IpAddr>| address.map(|address| address.to_string()).unwrap_or_default();
        let (v4, v6) = (place.address(true), place.address(false));
        Addresses {
            gateway: text(v4.and_then(|assigned| assigned.gateway)),
            address: text(v4.map(|assigned| assigned.address)),
            prefix: v4.map_or(0, |assigned| assigned.prefix.into()),
            gateway6: text(v6.and_then(|assigned| assigned.gateway)),
            address6: text(v6.map(|assigned| assigned.address)),
            prefix6: v6.map_or(0, |assigned| assigned.prefix.into()),
            mac: place.mac.clone(),
        }
    }
}

/// A user-mode stack gives a container no address that others could reach, so there is none to show.
fn endpoint(network: &str, place: Option<&network::Endpoint>, aliases: Vec<String>) -> Value {
    let addresses = Addresses::of(place);
    object! {
        "EndpointID": "",
        "Gateway": addresses.gateway,
        "IPAddress": addresses.address,
        "IPPrefixLen": addresses.prefix,
        "IPv6Gateway": addresses.gateway6,
        "GlobalIPv6Address": addresses.address6,
        "GlobalIPv6PrefixLen": addresses.prefix6,
        "MacAddress": addresses.mac,
        "NetworkID": network,
        "DriverOpts": Value::Nil(Nil::Map),
        "IPAMConfig": Value::Nil(Nil::Map),
        "Links": Value::Nil(Nil::List),
        "Aliases"?: Value::list_or_nil(&aliases),
    }
}

/// `{"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}]}`.
pub fn port_bindings(mappings: &[PortMapping]) -> BTreeMap<String, Value> {
    let mut bindings: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for mapping in mappings {
        for offset in 0..mapping.range.max(1) {
            let key = format!("{}/{}", u32::from(mapping.container_port) + u32::from(offset), mapping.protocol);
            let host_port = match mapping.host_port {
                0 => String::new(),
                port => (u32::from(port) + u32::from(offset)).to_string(),
            };
            bindings.entry(key).or_default().push(object! {
                "HostIp": mapping.host_ip.map_or_else(|| "0.0.0.0".to_owned(), |ip| ip.to_string()),
                "HostPort": host_port,
            });
        }
    }
    bindings.into_iter().map(|(port, hosts)| (port, Value::List(hosts))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_ranges_are_told_port_by_port() {
        let mappings = network::parse_publish("127.0.0.1:8000-8001:80-81").unwrap();
        let json = Value::Map(port_bindings(&[mappings])).json();
        let expected = r#"{"80/tcp":[{"HostIp":"127.0.0.1","HostPort":"8000"}],"81/tcp":[{"HostIp":"127.0.0.1","HostPort":"8001"}]}"#;
        assert_eq!(json, expected);
    }
}
