//! The text of a container's `/etc/resolv.conf`.

use std::fs;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::time::SystemTime;

/// What a container's resolv.conf is made of.
#[derive(Clone, Copy, Debug, Default)]
pub struct Resolv<'a> {
    /// The host's file, see [`read_host`].
    pub host: &'a str,
    /// The name servers of the uplink; they come first.
    pub uplink: &'a [IpAddr],
    /// A network namespace of its own: servers on the host's loopback and those with a link-local scope cannot be
    /// asked.
    pub isolated: bool,
    /// The search domain of the networks with names that it is on: their name servers (`uplink`) are asked alone, and
    /// they ask `servers`.
    pub domain: Option<&'a str>,
    /// `--dns`: these alone are asked.
    pub servers: &'a [IpAddr],
    /// `--dns-search`; a single `.` clears the host's.
    pub search: &'a [String],
    /// `--dns-option`, in place of the host's.
    pub options: &'a [String],
}

/// The whole file. Duplicates are left out; the C library reads only three servers, so the order matters.
pub fn text(resolv: &Resolv<'_>) -> String {
    let host = parse(resolv.host);
    let mut search = match resolv.search {
        [] => host.search,
        [dot] if dot == "." => Vec::new(),
        search => search.iter().map(String::as_str).collect(),
    };
    let given = !resolv.search.is_empty();
    if let Some(domain) = resolv.domain.filter(|domain| !given && !search.contains(domain)) {
        search.insert(0, domain);
    }
    let options: Vec<&str> =
        if resolv.options.is_empty() { host.options } else { resolv.options.iter().map(String::as_str).collect() };
    let mut servers: Vec<String> = Vec::new();
    if resolv.domain.is_some() {
        servers.extend(resolv.uplink.iter().map(IpAddr::to_string));
    } else if resolv.servers.is_empty() {
        servers.extend(resolv.uplink.iter().map(IpAddr::to_string));
        servers.extend(
            host.servers
                .iter()
                .filter(|server| !resolv.isolated || is_reachable(server))
                .map(|server| (*server).to_owned()),
        );
    } else {
        servers.extend(resolv.servers.iter().map(IpAddr::to_string));
    }
    let mut text = String::new();
    if !search.is_empty() {
        text.push_str(&format!("search {}\n", search.join(" ")));
    }
    for (position, server) in servers.iter().enumerate() {
        if !servers[..position].contains(server) {
            text.push_str(&format!("nameserver {server}\n"));
        }
    }
    if !options.is_empty() {
        text.push_str(&format!("options {}\n", options.join(" ")));
    }
    text
}

/// From a namespace with an uplink.
fn is_reachable(server: &str) -> bool {
    server.parse::<IpAddr>().is_ok_and(|address| !address.is_loopback())
}

/// The host's servers: `/etc/resolv.conf`, or where that only names systemd-resolved's stub on the host's loopback,
/// the file with the servers behind it. Empty when there is none.
pub fn read_host() -> String {
    let text = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let behind = || fs::read_to_string("/run/systemd/resolve/resolv.conf").ok();
    if names_only_the_stub(&text) { behind().unwrap_or(text) } else { text }
}

fn names_only_the_stub(text: &str) -> bool {
    let servers = parse(text).servers;
    !servers.is_empty() && servers.iter().all(|server| matches!(*server, "127.0.0.53" | "127.0.0.54"))
}

/// The name servers of a resolv.conf, as written there.
pub(crate) fn servers(text: &str) -> Vec<String> {
    parse(text).servers.into_iter().map(str::to_owned).collect()
}

const DNS_PORT: u16 = 53;

/// The host's name servers, read again when the file has changed.
#[derive(Debug, Default)]
pub(crate) struct HostServers {
    stamp: Option<(SystemTime, u64)>,
    servers: Vec<SocketAddr>,
}

impl HostServers {
    pub(crate) fn read(&mut self) -> &[SocketAddr] {
        let stamp = fs::metadata("/etc/resolv.conf").and_then(|file| Ok((file.modified()?, file.len()))).ok();
        if stamp.is_none() || stamp != self.stamp {
            self.stamp = stamp;
            self.servers = servers(&read_host()).into_iter().filter_map(|text| server(&text)).collect();
        }
        &self.servers
    }
}

/// An address, with the interface where it needs one: `fe80::1%eth0`.
fn server(text: &str) -> Option<SocketAddr> {
    let Some((address, interface)) = text.split_once('%') else {
        return Some(SocketAddr::new(text.parse().ok()?, DNS_PORT));
    };
    let index = nix::net::if_::if_nametoindex(interface).ok()?;
    Some(SocketAddrV6::new(address.parse().ok()?, DNS_PORT, 0, index).into())
}

struct Parsed<'a> {
    servers: Vec<&'a str>,
    search: Vec<&'a str>,
    options: Vec<&'a str>,
}

/// resolv.conf(5): a later `search` (or `domain`) replaces an earlier one, options add up.
fn parse(text: &str) -> Parsed<'_> {
    let mut parsed = Parsed { servers: vec![], search: vec![], options: vec![] };
    for line in text.lines() {
        let line = line.split(['#', ';']).next().unwrap_or_default();
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            Some("nameserver") => parsed.servers.extend(words.next()),
            Some("search" | "domain") => parsed.search = words.filter(|domain| *domain != ".").collect(),
            Some("options") => parsed.options.extend(words),
            _ => {}
        }
    }
    parsed
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "# made by hand\nnameserver 127.0.0.53\nnameserver 10.9.0.1\nnameserver fe80::1%eth0\nnameserver 2001:db8::1\n\
                        search example.org lan\noptions edns0 trust-ad\n";

    #[test]
    fn the_uplink_is_asked_first_and_then_what_can_be_reached() {
        let uplink = ["10.0.2.3".parse().unwrap()];
        let resolv = Resolv { host: HOST, uplink: &uplink, isolated: true, ..Resolv::default() };
        assert_eq!(
            text(&resolv),
            "search example.org lan\nnameserver 10.0.2.3\nnameserver 10.9.0.1\nnameserver 2001:db8::1\noptions edns0 trust-ad\n"
        );
        let host = text(&Resolv { isolated: false, uplink: &[], ..resolv });
        assert!(host.contains("nameserver 127.0.0.53\n") && host.contains("fe80::1%eth0"));
    }

    #[test]
    fn what_the_user_gives_replaces_what_the_host_has() {
        let (servers, search, options) = (["9.9.9.9".parse().unwrap()], [".".to_owned()], ["ndots:3".to_owned()]);
        let resolv = Resolv { host: HOST, servers: &servers, search: &search, options: &options, ..Resolv::default() };
        assert_eq!(text(&resolv), "nameserver 9.9.9.9\noptions ndots:3\n");
    }

    #[test]
    fn on_a_network_with_names_its_server_is_asked_alone() {
        let (uplink, servers) = (["10.89.0.1".parse().unwrap()], ["9.9.9.9".parse().unwrap()]);
        let domain = Some("dns.podman");
        let resolv =
            Resolv { host: HOST, uplink: &uplink, servers: &servers, domain, isolated: true, ..Resolv::default() };
        assert_eq!(text(&resolv), "search dns.podman example.org lan\nnameserver 10.89.0.1\noptions edns0 trust-ad\n");
    }

    #[test]
    fn duplicates_are_left_out() {
        let uplink = ["10.9.0.1".parse().unwrap()];
        let resolv =
            Resolv { host: "nameserver 10.9.0.1\nnameserver 10.9.0.1\n", uplink: &uplink, ..Resolv::default() };
        assert_eq!(text(&resolv), "nameserver 10.9.0.1\n");
    }

    #[test]
    fn the_stub_of_systemd_is_told_from_real_servers() {
        assert!(names_only_the_stub("nameserver 127.0.0.53\n"));
        assert!(!names_only_the_stub(HOST));
        assert!(!names_only_the_stub(""));
    }
}
