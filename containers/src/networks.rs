//! A container's places on named networks: what it asks for, and how it gets there.

use std::net::IpAddr;
use std::os::fd::BorrowedFd;

use network::{Addresses, Endpoint, Given, Link, Member, Mode, Network, NetworkRef, Networks};
use sys::process::Process;

use crate::container::Container;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::spec::{ContainerSpec, NetworkSpec};

/// The named networks of the store.
pub fn networks(engine: &Engine) -> Networks {
    let settings = &engine.settings;
    Networks::new(&engine.store, settings.uplink.as_deref(), &settings.userns_dir)
        .in_dir(settings.network_config_dir.as_deref())
        .with_default(settings.default_network.as_deref(), settings.default_subnet)
}

/// What connects a container, in Podman's words; of the user-mode stacks the one that it has or would have.
pub fn mode_word(engine: &Engine, container: &Container) -> String {
    match &container.spec().network.mode {
        mode @ (Mode::Default | Mode::Private) => {
            let uplink = network::choose(mode, engine.settings.uplink.as_deref());
            uplink.map_or_else(|_| mode.to_string(), |uplink| uplink.to_string())
        }
        other => other.to_string(),
    }
}

/// One network that a container is to be on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) name: String,
    given: Given,
    /// `alias=` and `--network-alias`.
    pub(crate) aliases: Vec<String>,
    interface: Option<String>,
}

/// The networks of a specification, in the order of the command line.
pub(crate) fn wanted(spec: &NetworkSpec) -> Vec<Wanted> {
    let Mode::Networks(networks) = &spec.mode else { return Vec::new() };
    let one = networks.len() == 1;
    networks
        .iter()
        .map(|network| {
            let mut wanted = Wanted {
                name: network.name.clone(),
                given: Given::default(),
                aliases: spec.aliases.clone(),
                interface: None,
            };
            for (key, value) in network.options.iter().filter_map(|option| option.split_once('=')) {
                match key {
                    "ip" | "ip6" => wanted.given.addresses.extend(value.parse::<IpAddr>().ok()),
                    "mac" => wanted.given.mac = Some(value.to_ascii_lowercase().replace('-', ":")),
                    "alias" => wanted.aliases.push(value.to_owned()),
                    "interface_name" => wanted.interface = Some(value.to_owned()),
                    "host_interface_name" => wanted.given.host_interface = Some(value.to_owned()),
                    // The grammar has no others.
                    _ => {}
                }
            }
            if one {
                wanted.given.addresses.extend(spec.ip.iter().chain(&spec.ip6));
                wanted.given.mac = wanted.given.mac.or_else(|| spec.mac.clone());
            }
            wanted
        })
        .collect()
}

/// Makes sure that the networks are there; ids become names.
pub(crate) fn check(engine: &Engine, spec: &mut ContainerSpec) -> Result<()> {
    let Mode::Networks(wanted) = &mut spec.network.mode else { return Ok(()) };
    let known = networks(engine);
    let mut merged: Vec<NetworkRef> = Vec::new();
    for mut network in std::mem::take(wanted) {
        network.name = known.find(&network.name)?.name;
        match merged.iter_mut().find(|known| known.name == network.name) {
            Some(known) => known.options.extend(network.options),
            None => merged.push(network),
        }
    }
    let given = [
        (spec.network.ip.is_some(), "ip"),
        (spec.network.ip6.is_some(), "ip6"),
        (spec.network.mac.is_some(), "mac-address"),
    ];
    if let Some((_, flag)) = given.iter().find(|(given, _)| *given && merged.len() > 1) {
        return Err(Error::Invalid(format!("--{flag} can only be set for a single network: invalid argument")));
    }
    *wanted = merged;
    if spec.network.egress.as_ref().is_some_and(network::Egress::has_names) {
        let all = wanted.iter().map(|network| known.named(&network.name)).collect::<network::Result<Vec<_>>>()?;
        let way_out = all.iter().find(|network| network.is_bridge() && !network.internal);
        if let Some(without) = way_out.filter(|network| !network.dns) {
            return Err(Error::Invalid(format!(
                "--allow-egress: network {} has no name server that could say what addresses a name has: leave \
                 --network out, choose another network, or list addresses",
                without.name
            )));
        }
    }
    Ok(())
}

/// A container that is on its networks.
#[derive(Debug, Default)]
pub(crate) struct Connected {
    /// `None`: its holder has ended and is to be made again.
    pub(crate) links: Vec<(Network, Option<Link>)>,
    pub(crate) endpoints: Vec<Endpoint>,
}

/// The holders of all wanted networks; new ones prepare themselves while the caller goes on.
pub(crate) fn open(engine: &Engine, spec: &NetworkSpec) -> Result<Vec<(Network, Link)>> {
    let known = networks(engine);
    let open = |wanted: Wanted| {
        let network = known.named(&wanted.name)?;
        let link = known.open(&network)?;
        Ok((network, link))
    };
    wanted(spec).into_iter().map(open).collect()
}

impl Connected {
    /// Plugs the container in everywhere, in order; all or nothing.
    pub(crate) fn join(
        engine: &Engine,
        container: &Container,
        links: Vec<(Network, Link)>,
        init: &Process,
        netns: BorrowedFd<'_>,
    ) -> Result<Connected> {
        let known = networks(engine);
        let mut connected = Connected::default();
        for (wanted, (network, link)) in wanted(&container.spec().network).into_iter().zip(links) {
            let member = connected.member(container, wanted, init);
            let (link, endpoint) = known.join_over(link, &network, &member, netns)?;
            connected.links.push((network, Some(link)));
            connected.endpoints.push(endpoint);
        }
        Ok(connected)
    }

    fn member(&self, container: &Container, wanted: Wanted, init: &Process) -> Member {
        let free = |name: &String| !self.endpoints.iter().any(|endpoint| endpoint.interface == *name);
        let interface = wanted
            .interface
            .clone()
            .unwrap_or_else(|| (0..).map(|n| format!("eth{n}")).find(free).unwrap_or_else(|| "eth0".into()));
        let names = names(container, &wanted);
        Member {
            id: container.id().to_string(),
            name: container.name().to_owned(),
            names,
            process: init.clone(),
            interface,
            given: wanted.given,
            dns: container.spec().network.dns.clone(),
            egress: crate::egress::for_holder(&container.spec().network),
        }
    }

    /// Joins what is wanted and not there yet, then leaves what is not wanted any more. The networks that it stays on
    /// are not touched; where a new one cannot be joined all is as it was.
    pub(crate) fn follow(
        &mut self,
        engine: &Engine,
        container: &Container,
        init: &Process,
        netns: BorrowedFd<'_>,
    ) -> Result<()> {
        let known = networks(engine);
        let wanted = wanted(&container.spec().network);
        let mut joined = Connected::default();
        for wanted in wanted.iter().filter(|wanted| !self.links.iter().any(|(network, _)| network.name == wanted.name))
        {
            let member = self.member(container, wanted.clone(), init);
            let place = known.named(&wanted.name).and_then(|network| {
                known.join(&network, &member, netns).map(|(link, endpoint)| (network, link, endpoint))
            });
            match place {
                Ok((network, link, endpoint)) => {
                    joined.links.push((network, Some(link)));
                    joined.endpoints.push(endpoint.clone());
                    self.endpoints.push(endpoint);
                }
                Err(error) => {
                    self.endpoints.retain(|endpoint| !joined.endpoints.contains(endpoint));
                    for (network, _) in joined.links {
                        known.leave(&network.name, container.id().as_str())?;
                    }
                    return Err(error.into());
                }
            }
        }
        self.links.extend(joined.links);
        let is_wanted = |name: &str| wanted.iter().any(|wanted| wanted.name == name);
        for (network, _) in self.links.iter().filter(|(network, _)| !is_wanted(&network.name)) {
            known.leave(&network.name, container.id().as_str())?;
        }
        self.links.retain(|(network, _)| is_wanted(&network.name));
        self.endpoints.retain(|endpoint| is_wanted(&endpoint.network));
        Ok(())
    }
}

/// Has a container that runs found under its new name.
pub(crate) fn renamed(engine: &Engine, container: &Container) -> Result<()> {
    let known = networks(engine);
    for wanted in wanted(&container.spec().network).into_iter().filter(|_| crate::list::running(container)) {
        if let Some(mut link) = known.connect(&wanted.name)? {
            link.rename(container.id().as_str(), container.name(), &names(container, &wanted))?;
        }
    }
    Ok(())
}

/// All names of a container on one network.
fn names(container: &Container, wanted: &Wanted) -> Vec<String> {
    let mut names = vec![container.name().to_owned()];
    names.extend(wanted.aliases.iter().cloned());
    names.push(container.id().short().to_owned());
    names
}

/// What the rest of the container has to know of its networks: the addresses of the first one, the name servers of all.
///
/// A container with a list (`restricted`) asks only the first of them that leads out, which is where its packets go, too:
/// that one allows what it answers.
pub(crate) fn addresses(endpoints: &[Endpoint], restricted: bool) -> Addresses {
    let Some(first) = endpoints.first() else { return Addresses::default() };
    let named = endpoints.iter().any(|endpoint| endpoint.search.is_some());
    let mut addresses = Addresses {
        interface: first.interface.clone(),
        mac: Some(first.mac.clone()),
        host_gateway: endpoints.iter().find_map(|endpoint| endpoint.host),
        ..Addresses::default()
    };
    for assigned in first.addresses.iter().rev() {
        match (assigned.address, assigned.gateway) {
            (IpAddr::V4(own), gateway) => {
                (addresses.ipv4, addresses.prefix) = (Some(own), assigned.prefix);
                addresses.gateway = gateway.and_then(|gateway| v4(&gateway));
                addresses.host_alias = addresses.gateway;
            }
            (IpAddr::V6(own), gateway) => {
                (addresses.ipv6, addresses.ipv6_prefix) = (Some(own), assigned.prefix);
                addresses.ipv6_gateway = gateway.and_then(|gateway| v6(&gateway));
                addresses.host_alias6 = addresses.ipv6_gateway;
            }
        }
    }
    let leads_out = |endpoint: &&Endpoint| endpoint.addresses.iter().any(|assigned| assigned.gateway.is_some());
    let only = if restricted { endpoints.iter().find(leads_out) } else { None };
    let asked = endpoints.iter().filter(|endpoint| only.is_none_or(|only| only.network == endpoint.network));
    for endpoint in asked.filter(|endpoint| !named || endpoint.search.is_some()) {
        addresses.dns.extend(&endpoint.dns);
    }
    addresses
}

fn v4(address: &IpAddr) -> Option<std::net::Ipv4Addr> {
    if let IpAddr::V4(v4) = address { Some(*v4) } else { None }
}

fn v6(address: &IpAddr) -> Option<std::net::Ipv6Addr> {
    if let IpAddr::V6(v6) = address { Some(*v6) } else { None }
}

/// The container's own addresses beside the first one, for its hosts file.
pub(crate) fn more_addresses(endpoints: &[Endpoint]) -> Vec<IpAddr> {
    endpoints.iter().flat_map(|endpoint| endpoint.addresses.iter().map(|assigned| assigned.address)).skip(1).collect()
}

/// Aliases of a container on one network, as `inspect` shows them.
pub fn aliases(container: &Container, network: &str) -> Vec<String> {
    let wanted = wanted(&container.spec().network).into_iter().find(|wanted| wanted.name == network);
    let mut aliases = wanted.map(|wanted| wanted.aliases).unwrap_or_default();
    aliases.push(container.id().short().to_owned());
    aliases
}

/// Whether a container is to be on a network.
pub fn is_on(container: &Container, network: &str) -> bool {
    match &container.spec().network.mode {
        Mode::Networks(networks) => networks.iter().any(|reference: &NetworkRef| reference.name == network),
        _ => false,
    }
}
