//! `--allow-egress`: what a container with a list has to have so that the list holds.
//!
//! The list is kept in the namespace of a named network (`network`): so the container is on one, and has a user namespace
//! of its own, whose rights, whatever `--cap-add` or `--privileged` give, end before the network's.

use network::{Destination, Egress, HostAddress, HostNames, Mode, Network, NetworkRef, Target};

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::networks::networks;
use crate::spec::{NetworkSpec, UserNamespace};
use crate::userns;

/// The network of containers that have a list and name no network. It is made when the first one is.
const NETWORK: &str = "creel-egress";

/// Makes the list of a container or pod enforceable, or says why it cannot be.
pub fn confine(engine: &Engine, spec: &mut NetworkSpec, user: &mut UserNamespace) -> Result<()> {
    let Some(egress) = &mut spec.egress else { return Ok(()) };
    let refused = |why: &str| Err(Error::Invalid(format!("--allow-egress cannot be combined with {why}")));
    match &spec.mode {
        Mode::Networks(_) => {}
        Mode::Default | Mode::Private => {
            // Others that happen to have a list are no company that anybody has chosen.
            egress.alone = true;
            let known = networks(engine);
            match known.named(NETWORK) {
                Err(network::Error::NoSuchNetwork(_)) => match known.create(new_network()) {
                    // Somebody else was quicker.
                    Ok(_) | Err(network::Error::NetworkExists(_)) => {}
                    Err(error) => return Err(error.into()),
                },
                other => drop(other?),
            }
            spec.mode = Mode::Networks(vec![NetworkRef { name: NETWORK.into(), options: Vec::new() }]);
        }
        Mode::None => return refused("--network none: there is nothing to talk to"),
        Mode::Host => return refused("--network host: the host's network is not the container's to restrict"),
        Mode::Container(_) | Mode::Path(_) | Mode::Pod => {
            return refused("a network namespace that somebody else has made: the list belongs to whoever makes it");
        }
        Mode::Creel(_) | Mode::Slirp4netns(_) | Mode::Pasta(_) => {
            return refused("--network creel, slirp4netns or pasta: leave --network out, or name a network");
        }
    }
    match user {
        UserNamespace::Host => *user = userns::same_ids()?,
        UserNamespace::KeepId { .. }
        | UserNamespace::NoMap
        | UserNamespace::Private { .. }
        | UserNamespace::Auto { .. } => {}
        UserNamespace::Container(_) | UserNamespace::Path(_) => {
            return refused("a user namespace that somebody else has made: its rights may reach the network's");
        }
    }
    if egress.has_names() && spec.dns_none {
        return refused("--dns none: names of the list are those that the network's name server answers");
    }
    Ok(())
}

/// With names, and with IPv6 where the kernel has it.
fn new_network() -> Network {
    Network {
        name: NETWORK.into(),
        driver: "bridge".into(),
        ipv6: std::path::Path::new("/proc/sys/net/ipv6").exists(),
        dns: true,
        ipam: std::collections::BTreeMap::from([("driver".into(), "host-local".into())]),
        ..Network::default()
    }
}

/// The list as the holder of a network needs it: names that the hosts file answers are never asked for, so their
/// addresses are said.
pub(crate) fn for_holder(spec: &NetworkSpec) -> Option<Egress> {
    let mut egress = spec.egress.clone()?;
    let host = match spec.host_names {
        HostNames::To(address) => Some(address),
        HostNames::Uplink | HostNames::Nowhere => None,
    };
    let mut more = Vec::new();
    for target in &egress.targets {
        let Destination::Name(name) = &target.to else { continue };
        let entries =
            spec.add_hosts.iter().filter(|entry| entry.names.iter().any(|known| known.eq_ignore_ascii_case(name)));
        for entry in entries {
            let to = match (&entry.address, host) {
                (HostAddress::Ip(address), _) => Destination::Range(network::Cidr::host(*address)),
                (HostAddress::HostGateway, Some(address)) => Destination::Range(network::Cidr::host(address)),
                (HostAddress::HostGateway, None) => Destination::Name(network::hosts::HOST_NAMES[0].into()),
            };
            more.push(Target { to, by: target.by });
        }
        if let (Some(address), true) = (host, network::hosts::HOST_NAMES.contains(&name.as_str())) {
            more.push(Target { to: Destination::Range(network::Cidr::host(address)), by: target.by });
        }
    }
    egress.targets.extend(more);
    Some(egress)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_hosts_file_are_addresses() {
        let mut spec = NetworkSpec {
            egress: Egress::parse_all(&["db:5432,gate:1,other"]).unwrap(),
            add_hosts: vec!["DB:10.0.0.5".parse().unwrap(), "gate:host-gateway".parse().unwrap()],
            ..NetworkSpec::default()
        };
        assert_eq!(
            for_holder(&spec).unwrap().to_string(),
            "db:5432,gate:1,other,10.0.0.5:5432,host.containers.internal:1"
        );
        spec.host_names = HostNames::To("192.0.2.9".parse().unwrap());
        assert_eq!(for_holder(&spec).unwrap().to_string(), "db:5432,gate:1,other,10.0.0.5:5432,192.0.2.9:1");
        assert_eq!(for_holder(&NetworkSpec::default()), None);
    }
}
