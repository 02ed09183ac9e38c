//! What a member with a list may send ([`Egress`]): a table of the packet filter at the bridge's end of its interface.
//!
//! It is in the network's namespace, which the member does not have, and looks at every packet as it comes in, before
//! the bridge: whatever the member does in its own namespace, it sends through here. It is there before the interface is
//! up, and nothing passes while it is not. Only destinations are looked at, no connections: what answers a client has
//! to be on the list, too, but for published ports, whose forwarder is inside.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;

use nix::libc;

use super::Endpoint;
use super::plug::{Ground, in_namespace};
use crate::egress::{Destination, Egress, Service};
use crate::netlink::filter::{Filter, Rule, Set, Test, Verdict};
use crate::ports::Protocol;
use crate::record::Network;
use crate::{Cidr, hosts};

/// Addresses of names that are remembered for one member; beyond it no further ones are allowed.
const MOST_LEARNED: usize = 4096;
/// Addresses in one request.
const TURN: usize = 512;

const LINK_LOCAL: Cidr = Cidr { address: IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0)), prefix: 10 };
const UNSPECIFIED: Cidr = Cidr { address: IpAddr::V6(Ipv6Addr::UNSPECIFIED), prefix: 128 };

/// Everybody on the link.
const LINK: [Cidr; 4] = [
    Cidr { address: IpAddr::V4(Ipv4Addr::new(224, 0, 0, 0)), prefix: 4 },
    Cidr { address: IpAddr::V4(Ipv4Addr::BROADCAST), prefix: 32 },
    Cidr { address: IpAddr::V6(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0)), prefix: 8 },
    LINK_LOCAL,
];

/// Neighbour discovery, RFC 4861, 4: all but redirections.
const ROUTERS_AND_SOLICITATIONS: Test = Test::Icmp6(133, 135);
const ADVERTISEMENTS: Test = Test::Icmp6(136, 136);

/// Addresses that names of the list turned out to have, and at which ports they may be reached.
pub(super) type Learned = BTreeSet<(Service, IpAddr)>;

/// A member's table as it is to be.
#[derive(Debug, PartialEq, Eq)]
struct Table {
    sets: Vec<Set>,
    rules: Vec<Rule>,
}

/// What a member's table is called: after the number of its end on the bridge.
fn table_name(index: u32) -> String {
    format!("creel{index}")
}

/// The services that names have: each one has a set of each family.
fn services(egress: &Egress) -> BTreeSet<Service> {
    let asked = |to: &Destination| match to {
        Destination::Range(_) => false,
        Destination::Below(_) => true,
        Destination::Name(name) => !is_host(name),
    };
    egress.targets.iter().filter(|target| asked(&target.to)).map(|target| target.by).collect()
}

/// These names are in the hosts file and never asked for.
fn is_host(name: &str) -> bool {
    hosts::HOST_NAMES.contains(&name)
}

fn set(egress: &Egress, service: Service, v4: bool) -> Option<Set> {
    let place = services(egress).iter().position(|known| *known == service)?;
    Some(Set { name: format!("names{place}v{}", if v4 { 4 } else { 6 }), v4 })
}

fn plan(egress: &Egress, network: &Network, endpoint: &Endpoint, refuse: Verdict) -> Table {
    let accept = |tests: Vec<Test>| Rule { tests, verdict: Verdict::Accept };
    let drop = |tests: Vec<Test>| Rule { tests, verdict: Verdict::Drop };
    // Nobody speaks in another's name: it would be sent what is the other's, and questions to the name server are
    // known by their sender.
    let own = || endpoint.addresses.iter().map(|assigned| assigned.address);
    let not_from = |v4: bool| own().filter(move |own| own.is_ipv4() == v4).map(|own| Test::NotFrom(Cidr::host(own)));
    let mut rules = Vec::new();
    for own in own() {
        match own {
            IpAddr::V4(v4) => rules.push(accept(vec![Test::ArpOf(v4)])),
            IpAddr::V6(_) => rules.push(accept(vec![ADVERTISEMENTS, Test::Advertises(Cidr::host(own))])),
        }
    }
    rules.push(accept(vec![ADVERTISEMENTS, Test::Advertises(LINK_LOCAL)]));
    rules.push(drop(vec![ADVERTISEMENTS]));
    rules.push(drop(not_from(false).chain([LINK_LOCAL, UNSPECIFIED].map(Test::NotFrom)).collect()));
    rules.push(accept(vec![ROUTERS_AND_SOLICITATIONS]));
    if !egress.alone {
        rules.extend(LINK.map(|range| accept(vec![Test::To(range)])));
    }
    let strangers = [true, false].map(|v4| not_from(v4).collect::<Vec<_>>());
    rules.extend(strangers.into_iter().filter(|tests| !tests.is_empty()).map(drop));
    match egress.alone {
        // The name server, and whoever asks after the member's health.
        true => rules.extend(network.gateways().map(|(gateway, _)| accept(vec![Test::To(Cidr::host(gateway))]))),
        false => rules.extend(network.subnets.iter().map(|subnet| accept(vec![Test::To(subnet.subnet)]))),
    }
    for target in &egress.targets {
        let range = match &target.to {
            Destination::Range(range) => Some(*range),
            Destination::Name(name) if is_host(name) => endpoint.host.map(Cidr::host),
            Destination::Name(_) | Destination::Below(_) => None,
        };
        if let Some(range) = range {
            rules.push(accept(with_service(Test::To(range), target.by)));
        }
    }
    let mut sets = Vec::new();
    for service in services(egress) {
        for set in [true, false].into_iter().filter_map(|v4| set(egress, service, v4)) {
            rules.push(accept(with_service(Test::In { set: set.name.clone(), v4: set.v4 }, service)));
            sets.push(set);
        }
    }
    if refuse == Verdict::Reject {
        rules.push(Rule { tests: Vec::new(), verdict: refuse });
    }
    Table { sets, rules }
}

fn with_service(to: Test, service: Service) -> Vec<Test> {
    let protocol = service.protocol.map(|protocol| match protocol {
        Protocol::Tcp => libc::IPPROTO_TCP,
        Protocol::Udp => libc::IPPROTO_UDP,
        Protocol::Sctp => libc::IPPROTO_SCTP,
    });
    let protocol = protocol.map(|number| Test::Protocol(number as u8));
    let ports = service.ports.map(|(first, last)| Test::Ports(first, last));
    [Some(to), protocol, ports].into_iter().flatten().collect()
}

impl Ground {
    fn filter(&mut self) -> io::Result<&Filter> {
        if self.filter.is_none() {
            let opened = in_namespace(Some(self.netns.as_fd()), || Ok(vec![Filter::open()?.into()]))?;
            self.filter = opened.into_iter().next().map(Filter::from);
        }
        self.filter.as_ref().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Puts the list of a member into force, on its interface `name`, which is not up yet.
    ///
    /// # Errors
    /// The kernel's, with what it lacks. Nothing has been let through then.
    pub(super) fn restrict(
        &mut self,
        network: &Network,
        egress: &Egress,
        endpoint: &Endpoint,
        learned: &Learned,
        (name, index): (&str, u32),
    ) -> io::Result<()> {
        let table = table_name(index);
        let filter = self.filter().map_err(lacking)?;
        let put = |refuse| {
            let Table { sets, rules } = plan(egress, network, endpoint, refuse);
            filter.add_table(&table, name, &sets, &rules)
        };
        match put(Verdict::Reject) {
            // Without a module for refusals (nft_reject_netdev) what is not allowed is lost.
            Err(error) if is_missing(&error) => put(Verdict::Drop).map_err(lacking)?,
            other => other.map_err(lacking)?,
        }
        allow(filter, &table, egress, learned)
    }

    /// Allows what a name's answer has brought.
    pub(super) fn allow(&mut self, egress: &Egress, index: u32, learned: &Learned) -> io::Result<()> {
        allow(self.filter()?, &table_name(index), egress, learned)
    }

    /// Forgets a member's list, after its interface.
    pub(super) fn forget(&mut self, index: u32) -> io::Result<()> {
        self.filter()?.remove_table(&table_name(index))
    }
}

fn allow(filter: &Filter, table: &str, egress: &Egress, learned: &Learned) -> io::Result<()> {
    for service in services(egress) {
        for set in [true, false].into_iter().filter_map(|v4| set(egress, service, v4)) {
            let of_set = learned.iter().filter(|(of, address)| *of == service && address.is_ipv4() == set.v4);
            let addresses: Vec<IpAddr> = of_set.map(|(_, address)| *address).collect();
            for some in addresses.chunks(TURN) {
                filter.add_addresses(table, &set, some)?;
            }
        }
    }
    Ok(())
}

/// What a kernel says that lacks a module, or has no packet filter at all.
fn is_missing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EOPNOTSUPP | libc::EPROTONOSUPPORT))
}

fn lacking(error: io::Error) -> io::Error {
    let what = "the list of --allow-egress cannot be enforced";
    match is_missing(&error) {
        true => io::Error::other(format!("{what}: the kernel has no nf_tables for network interfaces ({error})")),
        false => io::Error::other(format!("{what}: {error}")),
    }
}

/// What is new of the addresses in an answer about `name`, as far as there is room for it.
pub(super) fn news(egress: &Egress, known: &Learned, name: &str, addresses: &[IpAddr]) -> Learned {
    let all = egress.services_of(name).flat_map(|service| addresses.iter().map(move |address| (service, *address)));
    all.filter(|found| !known.contains(found)).take(MOST_LEARNED.saturating_sub(known.len())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::holder::Assigned;

    fn endpoint() -> Endpoint {
        let addresses = vec![Assigned { address: [10, 88, 0, 5].into(), prefix: 16, gateway: None }];
        Endpoint { addresses, host: Some([192, 168, 1, 2].into()), ..Endpoint::default() }
    }

    fn list(text: &str, alone: bool) -> Egress {
        Egress { alone, ..Egress::parse_all(&[text]).unwrap().unwrap() }
    }

    fn accepted(table: &Table) -> Vec<String> {
        let test = |test: &Test| match test {
            Test::To(range) => range.to_string(),
            Test::In { set, .. } => set.clone(),
            other => format!("{other:?}"),
        };
        let rules = table.rules.iter().filter(|rule| rule.verdict == Verdict::Accept);
        rules.map(|rule| rule.tests.iter().map(test).collect::<Vec<_>>().join(" ")).skip(3).collect()
    }

    #[test]
    fn a_list_becomes_rules() {
        let egress = list("10.1.0.0/16:22,a.org:443,b.org:443,c.org,host.containers.internal:80", true);
        let table = plan(&egress, &Network::usual(), &endpoint(), Verdict::Reject);
        assert_eq!(
            accepted(&table),
            [
                "10.88.0.1/32",
                "10.1.0.0/16 Protocol(6) Ports(22, 22)",
                "192.168.1.2/32 Protocol(6) Ports(80, 80)",
                "names0v4",
                "names0v6",
                "names1v4 Protocol(6) Ports(443, 443)",
                "names1v6 Protocol(6) Ports(443, 443)",
            ]
        );
        assert_eq!(table.sets.len(), 4);
        assert_eq!(table.rules.last(), Some(&Rule { tests: vec![], verdict: Verdict::Reject }));
        let own = Cidr::host([10, 88, 0, 5].into());
        let stranger = Rule { tests: vec![Test::NotFrom(own)], verdict: Verdict::Drop };
        assert!(table.rules.contains(&stranger));
    }

    #[test]
    fn members_are_reached_unless_it_is_alone() {
        let table = |alone| plan(&list("none", alone), &Network::usual(), &endpoint(), Verdict::Drop);
        assert_eq!(accepted(&table(true)), ["10.88.0.1/32"]);
        assert_eq!(
            accepted(&table(false)),
            ["224.0.0.0/4", "255.255.255.255/32", "ff00::/8", "fe80::/10", "10.88.0.0/16"]
        );
        assert!(table(true).rules.iter().all(|rule| rule.verdict != Verdict::Reject));
    }

    #[test]
    fn only_new_addresses_are_learned_and_not_for_ever() {
        let egress = list("a.org:443", true);
        let address = |n: usize| IpAddr::from([10, 0, (n >> 8) as u8, n as u8]);
        let first = news(&egress, &Learned::new(), "a.org", &[address(1), address(1), address(2)]);
        assert_eq!(first.len(), 2);
        assert!(news(&egress, &first, "a.org", &[address(1)]).is_empty());
        assert!(news(&egress, &first, "b.org", &[address(3)]).is_empty());
        let many: Vec<IpAddr> = (10..5000).map(address).collect();
        assert_eq!(news(&egress, &first, "a.org", &many).len(), MOST_LEARNED - 2);
    }
}
