//! The text of a container's `/etc/hosts`.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Addresses, Error, Result};

/// One `--add-host`: names and where they lead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostEntry {
    pub names: Vec<String>,
    pub address: HostAddress,
}

/// An address, or the word for the host that only the network can turn into one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostAddress {
    Ip(IpAddr),
    HostGateway,
}

/// `name[;name..]:ip`, where ip may be `host-gateway` and an IPv6 address may stand in brackets.
impl FromStr for HostEntry {
    type Err = Error;

    fn from_str(text: &str) -> Result<HostEntry> {
        let bad = |reason: &str| Error::invalid("host entry", text, reason);
        let (names, address) = text.split_once(':').ok_or_else(|| bad("must be NAME[;NAME..]:ADDRESS"))?;
        let names: Vec<String> = names.split(';').map(str::to_owned).collect();
        if names.iter().any(|name| name.is_empty() || name.contains(|c: char| c.is_whitespace() || c == '#')) {
            return Err(bad("a name is empty or has a blank in it"));
        }
        let bare = address.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(address);
        let address = match bare {
            "host-gateway" => HostAddress::HostGateway,
            bare => {
                HostAddress::Ip(bare.parse().map_err(|_| bad("the address is neither an IP address nor host-gateway"))?)
            }
        };
        Ok(HostEntry { names, address })
    }
}

/// What a container's hosts file is made of.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hosts<'a> {
    /// The text to start from: the host's file, the image's, or nothing.
    pub base: &'a str,
    /// The container's host name and its name; the first of equal ones counts.
    pub own_names: &'a [String],
    /// `None` without a network: its own names then lead to 127.0.0.1. See [`Addresses::host`] for the host's network.
    pub addresses: Option<&'a Addresses>,
    /// Further addresses of its own, on other networks.
    pub more: &'a [IpAddr],
    /// Where the host's names lead; [`HostNames::Uplink`] leaves it to the network.
    pub host: HostNames,
    /// `--add-host`, in the order given.
    pub entries: &'a [HostEntry],
}

/// Where [`HOST_NAMES`] and `host-gateway` lead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostNames {
    /// To the address at which the network shows the host.
    #[default]
    Uplink,
    To(IpAddr),
    /// Nowhere: they are not in the file.
    Nowhere,
}

/// The names under which a container finds its host.
pub const HOST_NAMES: [&str; 2] = ["host.containers.internal", "host.docker.internal"];

/// The whole file. A `host-gateway` where no address leads to the host is left out.
///
/// What the user adds stands before everything else, since readers take the first match, and a generated name that the
/// user gives is left out. Lines of the base are written anew, without comments, as Podman does.
pub fn text(hosts: &Hosts<'_>) -> String {
    let mut text = String::new();
    let gateway = match hosts.host {
        HostNames::Uplink => hosts.addresses.and_then(|addresses| addresses.host_gateway),
        HostNames::To(address) => Some(address),
        HostNames::Nowhere => None,
    };
    for entry in hosts.entries {
        let address = match &entry.address {
            HostAddress::Ip(address) => Some(*address),
            HostAddress::HostGateway => gateway,
        };
        if let Some(address) = address {
            push(&mut text, address, entry.names.iter().map(String::as_str));
        }
    }
    let mut has_localhost = false;
    let mut in_base: Vec<&str> = Vec::new();
    for line in hosts.base.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_ascii_whitespace();
        let address = words.next().and_then(|address| address.parse::<IpAddr>().ok());
        // The host's own name on 127.0.1.1 (Debian's habit) means nothing in here.
        let is_own_name = matches!(address, Some(IpAddr::V4(ip)) if ip.is_loopback() && ip != Ipv4Addr::LOCALHOST);
        let names: Vec<&str> = words.collect();
        if is_own_name || HOST_NAMES.iter().any(|host| names.contains(host)) {
            continue;
        }
        has_localhost |= names.contains(&"localhost");
        if let Some(address) = address {
            push(&mut text, address, names.iter().copied());
            in_base.extend(names);
        }
    }
    if !has_localhost {
        push(&mut text, Ipv4Addr::LOCALHOST.into(), ["localhost"]);
        push(&mut text, Ipv6Addr::LOCALHOST.into(), ["localhost"]);
    }
    let given = |name: &str| hosts.entries.iter().any(|entry| entry.names.iter().any(|given| given == name));
    if let Some(gateway) = gateway {
        push(&mut text, gateway, HOST_NAMES.into_iter().filter(|name| !given(name)));
    }
    let own = match hosts.addresses {
        Some(addresses) => addresses.ipv4.map(IpAddr::V4).or(addresses.ipv6.map(IpAddr::V6)),
        None => Some(Ipv4Addr::LOCALHOST.into()),
    };
    for own in own.into_iter().chain(hosts.more.iter().copied()) {
        let mut names: Vec<&str> = Vec::new();
        for name in hosts.own_names {
            if !name.is_empty() && !given(name) && !names.contains(&name.as_str()) && !in_base.contains(&name.as_str())
            {
                names.push(name);
            }
        }
        push(&mut text, own, names);
    }
    text
}

fn push<'a>(text: &mut String, address: IpAddr, names: impl IntoIterator<Item = &'a str>) {
    let names: Vec<&str> = names.into_iter().collect();
    if !names.is_empty() {
        let _ = writeln!(text, "{address}\t{}", names.join(" "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str) -> HostEntry {
        text.parse().unwrap()
    }

    #[test]
    fn host_entries_are_read() {
        assert_eq!(entry("db:10.1.0.5").address, HostAddress::Ip("10.1.0.5".parse().unwrap()));
        assert_eq!(
            entry("a;b:::1"),
            HostEntry { names: vec!["a".into(), "b".into()], address: HostAddress::Ip("::1".parse().unwrap()) }
        );
        assert_eq!(entry("a:[::1]").address, HostAddress::Ip("::1".parse().unwrap()));
        assert_eq!(entry("me:host-gateway").address, HostAddress::HostGateway);
        for bad in ["db", ":1.2.3.4", "db:", "db:nowhere", "a b:1.2.3.4", "a;:1.2.3.4"] {
            assert!(bad.parse::<HostEntry>().is_err(), "{bad}");
        }
    }

    fn slirp() -> Addresses {
        let ip = |text: &str| text.parse().unwrap();
        Addresses {
            ipv4: Some(Ipv4Addr::new(10, 0, 2, 100)),
            host_gateway: Some(ip("192.0.2.2")),
            ..Addresses::default()
        }
    }

    #[test]
    fn the_file_has_the_base_the_users_lines_the_host_and_itself() {
        let entries = [entry("db:10.1.0.5"), entry("gw:host-gateway")];
        let own_names = ["web1", "web", "web"].map(str::to_owned);
        let base = "127.0.0.1 localhost\n127.0.1.1 laptop\n# mine\n10.9.0.1 build\n";
        let expected = "10.1.0.5\tdb\n192.0.2.2\tgw\n127.0.0.1\tlocalhost\n10.9.0.1\tbuild\n\
                        192.0.2.2\thost.containers.internal host.docker.internal\n10.0.2.100\tweb1 web\n";
        assert_eq!(
            text(&Hosts {
                base,
                own_names: &own_names,
                addresses: Some(&slirp()),
                more: &[],
                entries: &entries,
                ..Hosts::default()
            }),
            expected
        );
    }

    #[test]
    fn a_name_the_user_gives_is_not_generated() {
        let entries = [entry("host.docker.internal:10.1.0.5"), entry("web:10.1.0.6")];
        let text = text(&Hosts {
            base: "",
            own_names: &["web".into()],
            addresses: Some(&slirp()),
            more: &["10.9.0.2".parse().unwrap()],
            entries: &entries,
            ..Hosts::default()
        });
        assert!(text.starts_with("10.1.0.5\thost.docker.internal\n10.1.0.6\tweb\n127.0.0.1\tlocalhost\n"), "{text}");
        assert!(text.ends_with("::1\tlocalhost\n192.0.2.2\thost.containers.internal\n"), "{text}");
    }

    #[test]
    fn without_a_network_the_name_is_local_and_there_is_no_host() {
        let text =
            text(&Hosts { own_names: &["web".into()], entries: &[entry("gw:host-gateway")], ..Hosts::default() });
        assert_eq!(text, "127.0.0.1\tlocalhost\n::1\tlocalhost\n127.0.0.1\tweb\n");
    }

    #[test]
    fn on_the_hosts_network_the_host_is_local() {
        let text =
            text(&Hosts { own_names: &["laptop".into()], addresses: Some(&Addresses::host()), ..Hosts::default() });
        assert!(text.ends_with("127.0.0.1\thost.containers.internal host.docker.internal\n"), "{text}");
    }
}
