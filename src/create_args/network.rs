//! Networks, ports, names: `--network`, `--publish`, `--dns`, `--add-host` and their kin.

use std::borrow::Cow;
use std::net::IpAddr;
use std::path::Path;

use containers::NetworkSpec;
use network::{Egress, HostEntry, HostNames, Mode, PortMapping, UplinkKind};

use super::CreateArgs;
use crate::arguments::{go_quote, number};
use crate::config::Config;
use crate::error::Failure;

pub fn network(args: &CreateArgs, config: &Config, cwd: &Path) -> Result<NetworkSpec, Failure> {
    let mode = match args.network.as_slice() {
        [] => match config.text("containers", "netns") {
            Some("private") | None => Mode::Default,
            Some(mode) => mode.parse()?,
        },
        networks => {
            let named: Vec<_> = networks.iter().map(|text| on_default(text, config)).collect();
            Mode::parse_all(&named)?
        }
    };
    let mut spec = NetworkSpec {
        expose: expose(&args.expose)?,
        publish_all: args.publish_all,
        aliases: args.network_alias.clone(),
        dns_search: typed_or_listed(&args.dns_search, config.list("containers", "dns_searches")),
        dns_options: typed_or_listed(&args.dns_option, config.list("containers", "dns_options")),
        no_hosts: args.no_hosts || config.boolean("containers", "no_hosts").unwrap_or(false),
        hosts_file: hosts_file(args, config, cwd),
        egress: Egress::parse_all(&args.allow_egress)?,
        ..NetworkSpec::default()
    };
    publish(&mut spec.ports, &args.publish, config)?;
    if !spec.ports.is_empty() && matches!(mode, Mode::Host | Mode::None | Mode::Container(_)) {
        crate::output::note(&format!(
            "Port mappings have been discarded because \"{}\" network namespace mode does not support them",
            word_of(&mode)
        ));
        spec.ports.clear();
    }
    if !args.add_host.is_empty() && matches!(mode, Mode::Container(_)) {
        return Err(Failure::plain(
            "invalid config provided: cannot set extra host entries when the container is joined to another containers \
             network namespace: invalid configuration",
        ));
    }
    name_servers(&mut spec, args, config)?;
    check_dns(args, &spec, &mode)?;
    for text in &args.add_host {
        spec.add_hosts.push(add_host(text)?);
    }
    let address = |text: &Option<String>| match text {
        Some(text) => {
            text.parse().map(Some).map_err(|_| Failure::plain(format!("{} is not an ip address", go_quote(text))))
        }
        None => Ok(None),
    };
    spec.ip = address(&args.ip)?;
    spec.ip6 = address(&args.ip6)?;
    spec.mac = match &args.mac_address {
        Some(text) if network::is_mac(text) => Some(text.to_ascii_lowercase()),
        Some(text) => return Err(Failure::plain(format!("address {text}: invalid MAC address"))),
        None => None,
    };
    check_addresses(args, &spec, &mode)?;
    check_interface_names(&mode)?;
    spec.host_names = match config.text("containers", "host_containers_internal_ip") {
        None => HostNames::Uplink,
        Some("none") => HostNames::Nowhere,
        Some(text) => HostNames::To(config.address("containers", "host_containers_internal_ip", text)?),
    };
    // Those are for the user-mode stacks, which have no place for a list.
    spec.mode = if spec.egress.is_some() { mode } else { with_options_of_the_file(mode, config) };
    Ok(spec)
}

/// The word of a mode alone, without whose or where.
fn word_of(mode: &Mode) -> String {
    let text = mode.to_string();
    text.split(':').next().unwrap_or_default().to_owned()
}

/// What was typed, else the list of containers.conf.
fn typed_or_listed(typed: &[String], listed: Vec<String>) -> Vec<String> {
    if typed.is_empty() { listed } else { typed.to_vec() }
}

/// `--dns`, else what containers.conf says.
fn name_servers(spec: &mut NetworkSpec, args: &CreateArgs, config: &Config) -> Result<(), Failure> {
    let servers = typed_or_listed(&args.dns, config.list("containers", "dns_servers"));
    if servers.iter().any(|server| server == "none") {
        if servers.len() > 1 {
            return Err(Failure::plain("none is not allowed to be specified with other DNS ip addresses"));
        }
        spec.dns_none = true;
        return Ok(());
    }
    for server in &servers {
        let server: IpAddr = server.parse().map_err(|_| Failure::plain(format!("{server} is not an ip address")))?;
        spec.dns.push(server);
    }
    Ok(())
}

/// Refuses flags about names that cannot be meant together, or not in that mode.
fn check_dns(args: &CreateArgs, spec: &NetworkSpec, mode: &Mode) -> Result<(), Failure> {
    if spec.dns_none && !args.dns_search.is_empty() {
        return Err(Failure::plain(
            "invalid config provided: UseImageResolvConf and DNSSearch are mutually exclusive options",
        ));
    }
    let asks_for_dns = !(args.dns.is_empty() && args.dns_search.is_empty() && args.dns_option.is_empty());
    if asks_for_dns && matches!(mode, Mode::None | Mode::Container(_)) {
        return Err(Failure::plain(format!("conflicting options: dns and the network mode: {}", word_of(mode))));
    }
    if args.dns_search.len() > 1 && args.dns_search.iter().any(|domain| domain == ".") {
        return Err(Failure::plain("cannot pass additional search domains when also specifying '.'"));
    }
    for domain in args.dns_search.iter().filter(|domain| *domain != ".") {
        let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        if domain.is_empty() || !domain.chars().all(fine) {
            return Err(Failure::plain(format!("{domain} is not a valid domain")));
        }
    }
    Ok(())
}

/// Addresses and names in a network need one.
fn check_addresses(args: &CreateArgs, spec: &NetworkSpec, mode: &Mode) -> Result<(), Failure> {
    let only_on_bridge = [
        ("--ip", spec.ip.is_some()),
        ("--ip6", spec.ip6.is_some()),
        ("--mac-address", spec.mac.is_some()),
        ("--network-alias", !spec.aliases.is_empty()),
    ];
    let given = only_on_bridge.iter().find(|(_, given)| *given);
    let (Some((flag, _)), false) = (given, matches!(mode, Mode::Networks(_))) else { return Ok(()) };
    let in_pod = args.pod.is_some() || args.pod_id_file.is_some();
    Err(Failure::plain(match args.network.is_empty() {
        true if in_pod && *flag != "--mac-address" => {
            "invalid config provided: networks must be defined when the pod is created: network cannot be \
             configured when it is shared with a pod"
                .to_owned()
        }
        true => "invalid config provided: networks and static ip/mac address can only be used with Bridge mode \
                 networking"
            .to_owned(),
        false => format!("{flag} can only be set when the network mode is bridge: invalid argument"),
    }))
}

fn check_interface_names(mode: &Mode) -> Result<(), Failure> {
    let Mode::Networks(networks) = mode else { return Ok(()) };
    let options = networks.iter().flat_map(|network| &network.options);
    let mut names: Vec<&str> = options.filter_map(|option| option.strip_prefix("interface_name=")).collect();
    names.sort_unstable();
    if let Some([name, _]) = names.array_windows().find(|[one, next]| one == next) {
        let name = go_quote(name);
        return Err(Failure::plain(format!("network interface name {name} is already assigned to another network")));
    }
    Ok(())
}

/// A path of the host is relative to where the caller is; `none` and `image` are none.
fn hosts_file(args: &CreateArgs, config: &Config, cwd: &Path) -> Option<String> {
    match args.hosts_file.as_deref().filter(|text| !text.is_empty()) {
        Some(word @ ("none" | "image")) => Some(word.to_owned()),
        Some(path) => Some(cwd.join(path).display().to_string()),
        None => config.text("containers", "base_hosts_file").map(str::to_owned),
    }
}

/// `--publish`, beside what is published already.
pub fn publish(ports: &mut Vec<PortMapping>, typed: &[String], config: &Config) -> Result<(), Failure> {
    let host_ips = config.addresses("network", "default_host_ips")?;
    for text in typed {
        for mapping in published(network::parse_publish(text)?, &host_ips) {
            // Said again, word for word.
            if !ports.contains(&mapping) {
                ports.push(mapping);
            }
        }
    }
    Ok(())
}

/// `default_host_ips`: where ports are published whose `--publish` names no address of the host.
fn published(mapping: PortMapping, host_ips: &[IpAddr]) -> Vec<PortMapping> {
    match (mapping.host_ip, host_ips) {
        (Some(_), _) | (None, []) => vec![mapping],
        (None, ips) => ips.iter().map(|ip| PortMapping { host_ip: Some(*ip), ..mapping.clone() }).collect(),
    }
}

/// `bridge` means the network that is always there, whatever containers.conf calls it.
fn on_default<'a>(text: &'a str, config: &Config) -> Cow<'a, str> {
    match (text.strip_prefix("bridge"), config.text("network", "default_network")) {
        (Some(rest), Some(name)) if rest.is_empty() || rest.starts_with(':') => Cow::Owned(format!("{name}{rest}")),
        _ => Cow::Borrowed(text),
    }
}

/// `network_cmd_options` and `pasta_options`: of a user-mode stack that is chosen without options of its own.
fn with_options_of_the_file(mode: Mode, config: &Config) -> Mode {
    let slirp = config.list("engine", "network_cmd_options");
    let pasta = config.list("network", "pasta_options");
    let wished = config.text("network", "default_rootless_network_cmd");
    let kind = match &mode {
        // Whoever has options for pasta and names no stack means Podman's default.
        Mode::Default | Mode::Private if wished.is_none() && !pasta.is_empty() => Some(UplinkKind::Pasta),
        Mode::Default | Mode::Private if !slirp.is_empty() || !pasta.is_empty() => network::choose(&mode, wished).ok(),
        Mode::Creel(options) if options.is_empty() => Some(UplinkKind::Creel),
        Mode::Slirp4netns(options) if options.is_empty() => Some(UplinkKind::Slirp),
        Mode::Pasta(_) => Some(UplinkKind::Pasta),
        _ => None,
    };
    match (kind, mode) {
        (Some(UplinkKind::Creel), _) if !slirp.is_empty() => Mode::Creel(slirp),
        (Some(UplinkKind::Slirp), _) if !slirp.is_empty() => Mode::Slirp4netns(slirp),
        // What is typed comes later and wins.
        (Some(UplinkKind::Pasta), Mode::Pasta(options)) => Mode::Pasta(pasta.into_iter().chain(options).collect()),
        (Some(UplinkKind::Pasta), _) if !pasta.is_empty() => Mode::Pasta(pasta),
        (_, mode) => mode,
    }
}

/// `name[;name...]:ip`.
pub fn add_host(text: &str) -> Result<HostEntry, Failure> {
    let bad = || Failure::plain(format!("bad format for add-host: {}", go_quote(text)));
    let (names, address) = text.split_once(':').ok_or_else(bad)?;
    if names.is_empty() || names.split(';').any(str::is_empty) {
        return Err(bad());
    }
    let bare = address.trim_start_matches('[').trim_end_matches(']');
    if bare != "host-gateway" && bare.parse::<IpAddr>().is_err() {
        return Err(Failure::plain(format!("invalid IP address in add-host: {}", go_quote(address))));
    }
    format!("{names}:{bare}").parse::<HostEntry>().map_err(Failure::from)
}

/// `PORT[-PORT][/PROTOCOL]`, each port as `port/proto`.
fn expose(texts: &[String]) -> Result<Vec<String>, Failure> {
    let mut exposed = Vec::new();
    for text in texts {
        let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
        let port = |word: &str| {
            let number = number::u16(word)
                .map_err(|problem| Failure::plain(format!("invalid range format for --expose: {text}: {problem}")))?;
            match number {
                0 => Err(Failure::plain("port numbers must be between 1 and 65535 (inclusive), got 0")),
                port => Ok(port),
            }
        };
        let (first, last) = (port(first)?, port(last)?);
        if last < first {
            return Err(Failure::plain(format!(
                "invalid range format for --expose: {text}: Invalid range specified for the Port: {ports}"
            )));
        }
        let protocol = protocol.to_ascii_lowercase();
        if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
            return Err(Failure::plain(format!(
                "validating protocols for exposed port {first}: unrecognized protocol {} in port mapping",
                go_quote(&protocol)
            )));
        }
        exposed.extend((first..=last).map(|port| format!("{port}/{protocol}")));
    }
    Ok(exposed)
}

#[cfg(test)]
mod tests {
    use super::super::tests::translate;
    use super::*;

    #[test]
    fn ports_and_hosts_are_read() {
        let spec = translate(&[
            "-p",
            "8080:80,9090:90/udp",
            "--expose",
            "81-82",
            "--add-host",
            "a;b:1.2.3.4",
            "--dns",
            "1.1.1.1",
            "i",
        ])
        .unwrap();
        assert_eq!(spec.network.ports.len(), 2);
        assert_eq!(spec.network.expose, ["81/tcp", "82/tcp"]);
        assert_eq!(spec.network.add_hosts[0].names, ["a", "b"]);
        assert_eq!(spec.network.dns, ["1.1.1.1".parse::<IpAddr>().unwrap()]);
        assert!(translate(&["-p", "80:80", "--network", "host", "i"]).unwrap().network.ports.is_empty());
    }
}
