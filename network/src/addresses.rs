//! Which addresses the container and its host have.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::{Cidr, Error, Result};

/// The addresses of one network namespace, as seen from inside it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Addresses {
    /// The name of the interface that leads out.
    pub interface: String,
    pub ipv4: Option<Ipv4Addr>,
    /// Bits of the IPv4 network's mask.
    pub prefix: u8,
    pub gateway: Option<Ipv4Addr>,
    pub ipv6: Option<Ipv6Addr>,
    pub ipv6_prefix: u8,
    pub ipv6_gateway: Option<Ipv6Addr>,
    /// The name servers of the uplink itself.
    pub dns: Vec<IpAddr>,
    /// Where a program in the container reaches the host: `host.containers.internal`.
    pub host_gateway: Option<IpAddr>,
    /// Who a client on the host appears to be: its own address (127.0.0.1, say) means the container in here.
    pub host_alias: Option<Ipv4Addr>,
    pub host_alias6: Option<Ipv6Addr>,
    /// The interface's hardware address, `02:11:22:33:44:55`.
    pub mac: Option<String>,
}

impl Addresses {
    /// For a container on the host's own network: the host is right here.
    pub fn host() -> Addresses {
        Addresses { host_gateway: Some(Ipv4Addr::LOCALHOST.into()), ..Addresses::default() }
    }
}

/// The addresses of this machine's interfaces that are up, without loopback and link-local ones, those of the default
/// route first.
pub fn host_addresses() -> Result<Vec<IpAddr>> {
    let mut found = interface_addresses()?;
    let first =
        default_route(&std::fs::read_to_string("/proc/net/route").unwrap_or_default()).map(|route| route.interface);
    found.sort_by_key(|(interface, _)| first.as_ref() != Some(interface));
    Ok(found.into_iter().map(|(_, address)| address).collect())
}

/// The first address of one family on the named interface.
pub(crate) fn interface_address(name: &str, family: fn(&IpAddr) -> bool) -> Result<Option<IpAddr>> {
    Ok(interface_addresses()?.into_iter().find(|(interface, ip)| interface == name && family(ip)).map(|(_, ip)| ip))
}

fn interface_addresses() -> Result<Vec<(String, IpAddr)>> {
    use nix::net::if_::InterfaceFlags;
    let interfaces = nix::ifaddrs::getifaddrs().map_err(Error::kernel("read the host's addresses"))?;
    Ok(interfaces
        .filter(|interface| {
            interface.flags.contains(InterfaceFlags::IFF_UP) && !interface.flags.contains(InterfaceFlags::IFF_LOOPBACK)
        })
        .filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
            let v6 =
                || address.as_sockaddr_in6().map(|v6| v6.ip()).filter(|ip| !ip.is_unicast_link_local()).map(IpAddr::V6);
            Some((interface.interface_name, v4.or_else(v6)?))
        })
        .collect())
}

/// The networks that this machine is on: of its addresses, and of its routes.
pub(crate) fn host_networks() -> Vec<Cidr> {
    let interfaces = nix::ifaddrs::getifaddrs().into_iter().flatten();
    let mut networks: Vec<Cidr> = interfaces
        .filter_map(|interface| {
            let (address, mask) = (interface.address?, interface.netmask?);
            let v4 = || {
                let mask = mask.as_sockaddr_in()?.ip().to_bits().leading_ones();
                Some((IpAddr::V4(address.as_sockaddr_in()?.ip()), mask))
            };
            let v6 = || {
                let mask = mask.as_sockaddr_in6()?.ip().to_bits().leading_ones();
                Some((IpAddr::V6(address.as_sockaddr_in6()?.ip()), mask))
            };
            v4().or_else(v6).map(|(address, bits)| Cidr::containing(address, bits as u8))
        })
        .collect();
    let routes = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
    networks.extend(routes.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [_, destination, _, _, _, _, _, mask, ..] = fields[..] else { return None };
        let bits = native_v4(mask)?.to_bits().leading_ones() as u8;
        (bits > 0).then(|| Some(Cidr::containing(native_v4(destination)?.into(), bits)))?
    }));
    networks
}

/// What this machine can give to pasta to copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    pub(crate) v4: bool,
    pub(crate) v6: bool,
}

/// Whether there is a default route of each family.
pub(crate) fn template() -> Template {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    Template {
        v4: default_route(&read("/proc/net/route")).is_some(),
        v6: default_route6(&read("/proc/net/ipv6_route")).is_some(),
    }
}

/// The addresses in the namespace of process `pid`, read through proc_pid_net(5): the caller cannot come back from a
/// setns(2) into it, having no power over the host's namespace.
pub(crate) fn of_process(pid: i32) -> Result<Addresses> {
    let read = |name: &str| {
        std::fs::read_to_string(format!("/proc/{pid}/net/{name}"))
            .map_err(Error::kernel(format!("read the addresses of process {pid}")))
    };
    let mut addresses = Addresses::default();
    let routes = read("route")?;
    if let Some(route) = default_route(&routes) {
        addresses.gateway = Some(route.gateway).filter(|gateway| !gateway.is_unspecified());
        addresses.interface = route.interface;
    }
    if let Some((ip, prefix)) = local_address(&read("fib_trie")?, &routes, &addresses.interface) {
        (addresses.ipv4, addresses.prefix) = (Some(ip), prefix);
    }
    // The files of IPv6 are absent where the kernel has none.
    let routes6 = read("ipv6_route").unwrap_or_default();
    if let Some((interface, gateway)) = default_route6(&routes6) {
        addresses.ipv6_gateway = gateway;
        if addresses.interface.is_empty() {
            addresses.interface = interface;
        }
    }
    if let Some((ip, prefix)) = global_address6(&read("if_inet6").unwrap_or_default(), &addresses.interface) {
        (addresses.ipv6, addresses.ipv6_prefix) = (Some(ip), prefix);
    }
    Ok(addresses)
}

#[derive(Debug, PartialEq, Eq)]
struct Route {
    interface: String,
    gateway: Ipv4Addr,
}

/// The default route of least metric in `/proc/net/route`; its numbers are hexadecimal in the machine's byte order.
fn default_route(text: &str) -> Option<Route> {
    let routes = text.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [interface, "00000000", gateway, _, _, _, metric, "00000000", ..] = fields[..] else { return None };
        Some((metric.parse::<u32>().ok()?, Route { interface: interface.to_owned(), gateway: native_v4(gateway)? }))
    });
    routes.min_by_key(|(metric, _)| *metric).map(|(_, route)| route)
}

fn native_v4(hex: &str) -> Option<Ipv4Addr> {
    Some(Ipv4Addr::from(u32::from_str_radix(hex, 16).ok()?.to_ne_bytes()))
}

/// The interface and gateway of the default route in `/proc/net/ipv6_route`; a route on `lo` is the kernel's
/// "unreachable".
fn default_route6(text: &str) -> Option<(String, Option<Ipv6Addr>)> {
    text.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [destination, "00", _, _, gateway, .., interface] = fields[..] else { return None };
        let gateway = parse_v6(gateway)?;
        (destination.bytes().all(|byte| byte == b'0') && interface != "lo")
            .then(|| (interface.to_owned(), Some(gateway).filter(|gateway| !gateway.is_unspecified())))
    })
}

fn parse_v6(hex: &str) -> Option<Ipv6Addr> {
    (hex.len() == 32).then(|| u128::from_str_radix(hex, 16).ok()).flatten().map(Ipv6Addr::from)
}

/// A local address that is in the network of a route over `interface`, with that network's prefix length.
fn local_address(fib_trie: &str, routes: &str, interface: &str) -> Option<(Ipv4Addr, u8)> {
    let lines: Vec<&str> = fib_trie.lines().map(str::trim_start).collect();
    let locals = lines.windows(2).filter(|pair| pair[1].starts_with("/32 host LOCAL"));
    let mut locals =
        locals.filter_map(|pair| pair[0].strip_prefix("|-- ")?.parse::<Ipv4Addr>().ok()).filter(|ip| !ip.is_loopback());
    let networks: Vec<(u32, u32)> = routes
        .lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            let [name, destination, _, _, _, _, _, mask, ..] = fields[..] else { return None };
            let numbers = (native_v4(destination)?.to_bits(), native_v4(mask)?.to_bits());
            (name == interface && numbers.1 != 0).then_some(numbers)
        })
        .collect();
    let first = locals.clone().next();
    locals
        .find_map(|ip| {
            let network = networks
                .iter()
                .filter(|(network, mask)| ip.to_bits() & mask == *network)
                .max_by_key(|(_, mask)| *mask)?;
            Some((ip, network.1.leading_ones() as u8))
        })
        .or(first.map(|ip| (ip, 32)))
}

/// The first global address on `interface` in `/proc/net/if_inet6`.
fn global_address6(text: &str, interface: &str) -> Option<(Ipv6Addr, u8)> {
    text.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [address, _, prefix, "00", _, name] = fields[..] else { return None };
        (name == interface).then(|| Some((parse_v6(address)?, u8::from_str_radix(prefix, 16).ok()?))).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTES: &str = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
        wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n\
        eth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
        eth0\t000200C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n";
    const TRIE: &str = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 127.0.0.1\n        /32 host LOCAL\n     |-- 192.0.2.0\n        /24 link UNICAST\n     |-- 192.0.2.2\n        /32 host LOCAL\n";

    #[test]
    fn the_default_route_of_least_metric_counts() {
        let route = default_route(ROUTES).unwrap();
        assert_eq!(route, Route { interface: "eth0".into(), gateway: Ipv4Addr::new(192, 0, 2, 1) });
        assert_eq!(default_route("Iface\tDestination\n"), None);
    }

    #[test]
    fn the_local_address_has_the_prefix_of_its_network() {
        assert_eq!(local_address(TRIE, ROUTES, "eth0"), Some((Ipv4Addr::new(192, 0, 2, 2), 24)));
        assert_eq!(local_address(TRIE, "", "eth0"), Some((Ipv4Addr::new(192, 0, 2, 2), 32)));
        assert_eq!(local_address("", ROUTES, "eth0"), None);
    }

    #[test]
    fn ipv6_files_are_read() {
        let routes = "fd000000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0\n\
            00000000000000000000000000000000 00 00000000000000000000000000000000 00 fd000000000000000000000000000001 00000400 00000002 00000000 00000003     eth0\n\
            00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo\n";
        assert_eq!(default_route6(routes), Some(("eth0".into(), Some("fd00::1".parse().unwrap()))));
        assert_eq!(default_route6(routes.lines().last().unwrap()), None);
        let table = "00000000000000000000000000000001 01 80 10 80       lo\nfd000000000000000000000000000002 04 40 00 82     eth0\n\
            fe8000000000000000fc00fffe000001 04 40 20 80     eth0\n";
        assert_eq!(global_address6(table, "eth0"), Some(("fd00::2".parse().unwrap(), 64)));
    }
}
