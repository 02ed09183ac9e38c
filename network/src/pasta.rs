//! pasta(1): its arguments, and which addresses it gives.

use std::net::{IpAddr, Ipv4Addr};

use crate::addresses::{Addresses, Template, host_addresses};

pub(crate) const PROGRAM: &str = "pasta";

const DNS: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);
const HOST: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 2);
const CONSTANT: (Ipv4Addr, u8, Ipv4Addr) = (Ipv4Addr::new(10, 0, 2, 100), 24, Ipv4Addr::new(10, 0, 2, 2));

/// How the container gets its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// The host's own address and routes, and the host itself at 169.254.1.2: what Podman does.
    Copy,
    /// A constant private address. Where nothing can be copied (the host is offline, and a copy would not heal), and
    /// where pasta is too old for a special address of the host: there a copied address would hide the host behind
    /// the container.
    Constant,
    /// What the user's options say.
    Users,
}

/// What the installed pasta can do, read from its own help text inside the program file: asking it costs a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Features {
    pub(crate) map_guest_addr: bool,
}

impl Features {
    pub(crate) fn of(program: &[u8]) -> Features {
        let needle = b"map-guest-addr";
        Features { map_guest_addr: program.windows(needle.len()).any(|window| window == needle) }
    }
}

const ADDRESS_OPTIONS: [&str; 8] = ["-a", "--address", "-n", "--netmask", "-g", "--gateway", "-i", "--interface"];

fn has(options: &[String], names: &[&str]) -> bool {
    options.iter().any(|option| names.contains(&option.split('=').next().unwrap_or(option)))
}

pub(crate) fn style(options: &[String], features: Features, template: Template) -> Style {
    match () {
        () if has(options, &ADDRESS_OPTIONS) => Style::Users,
        () if features.map_guest_addr && (template.v4 || template.v6) => Style::Copy,
        () => Style::Constant,
    }
}

/// The arguments after the program's name. Descriptor 0 is the namespace; its own pid on descriptor 1 says that it is
/// ready.
pub(crate) fn arguments(options: &[String], features: Features, style: Style) -> Vec<String> {
    let mut arguments: Vec<String> = Vec::new();
    let mut push = |words: &[&str]| arguments.extend(words.iter().map(|word| (*word).to_owned()));
    // By path of a descriptor: pasta gives up CAP_SYS_PTRACE before it opens the namespace, and without that the
    // kernel shows it no other process's /proc/PID/ns.
    push(&["--config-net", "--foreground", "--quiet", "--netns", "/proc/self/fd/0", "--pid", "/proc/self/fd/1"]);
    // Ports are the forwarder's.
    for (short, long) in [("-t", "--tcp-ports"), ("-u", "--udp-ports"), ("-T", "--tcp-ns"), ("-U", "--udp-ns")] {
        if !has(options, &[short, long]) {
            push(&[short, "none"]);
        }
    }
    // Podman's word for "let the gateway's address lead to the host's loopback", pasta's default.
    if !has(options, &["--map-gw", "--no-map-gw"]) {
        push(&["--no-map-gw"]);
    }
    if !has(options, &["--dns-forward"]) {
        push(&["--dns-forward", &DNS.to_string()]);
    }
    if style == Style::Constant {
        let (address, prefix, gateway) = CONSTANT;
        push(&["-a", &address.to_string(), "-n", &prefix.to_string(), "-g", &gateway.to_string()]);
        if !has(options, &["-I", "--ns-ifname"]) {
            push(&["-I", "eth0"]);
        }
    } else if features.map_guest_addr && !has(options, &["--map-guest-addr"]) {
        push(&["--map-guest-addr", &HOST.to_string()]);
    }
    arguments.extend(options.iter().filter(|option| *option != "--map-gw").cloned());
    arguments
}

/// Adds what is known without looking into the namespace.
pub(crate) fn complete(addresses: &mut Addresses, options: &[String], features: Features, style: Style) {
    let value = |name: &str| {
        let position = options.iter().position(|option| option == name)?;
        options.get(position + 1)?.parse::<IpAddr>().ok()
    };
    addresses.dns = vec![value("--dns-forward").unwrap_or(DNS.into())];
    let own = || host_addresses().ok()?.into_iter().find(IpAddr::is_ipv4);
    let mapped =
        (features.map_guest_addr && style != Style::Constant).then(|| value("--map-guest-addr").unwrap_or(HOST.into()));
    addresses.host_gateway = mapped.or_else(own);
    addresses.host_alias = match (mapped, style) {
        (Some(IpAddr::V4(mapped)), _) => Some(mapped),
        (_, Style::Constant) => Some(CONSTANT.2),
        (_, Style::Copy | Style::Users) => Some(HOST),
    };
}

/// The constant ones, for what must be known before pasta runs.
pub(crate) fn constant() -> Addresses {
    let (address, prefix, gateway) = CONSTANT;
    Addresses { interface: "eth0".into(), ipv4: Some(address), prefix, gateway: Some(gateway), ..Addresses::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: Features = Features { map_guest_addr: true };
    const OLD: Features = Features { map_guest_addr: false };
    const ONLINE: Template = Template { v4: true, v6: false };
    const OFFLINE: Template = Template { v4: false, v6: false };

    fn words(text: &str) -> Vec<String> {
        text.split_ascii_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn the_style_follows_from_user_version_and_host() {
        assert_eq!(style(&[], NEW, ONLINE), Style::Copy);
        assert_eq!(style(&[], NEW, OFFLINE), Style::Constant);
        assert_eq!(style(&[], OLD, ONLINE), Style::Constant);
        assert_eq!(style(&words("--mtu 1500"), NEW, ONLINE), Style::Copy);
        assert_eq!(style(&words("-a 10.0.0.5"), OLD, ONLINE), Style::Users);
        assert_eq!(style(&words("--address=10.0.0.5"), OLD, ONLINE), Style::Users);
    }

    #[test]
    fn defaults_are_podmans() {
        let line = arguments(&[], NEW, Style::Copy).join(" ");
        for expected in [
            "-t none",
            "-u none",
            "-T none",
            "-U none",
            "--no-map-gw",
            "--dns-forward 169.254.1.1",
            "--map-guest-addr 169.254.1.2",
        ] {
            assert!(line.contains(expected), "{expected}: {line}");
        }
        assert!(!line.contains("-a "));
        let line = arguments(&[], OLD, Style::Constant).join(" ");
        assert!(line.contains("-a 10.0.2.100 -n 24 -g 10.0.2.2 -I eth0") && !line.contains("map-guest"), "{line}");
    }

    #[test]
    fn what_the_user_gives_replaces_the_default() {
        let line = arguments(&words("-T 5432 --map-gw --dns-forward 10.0.0.1"), NEW, Style::Copy).join(" ");
        assert!(
            line.contains("-T 5432")
                && !line.contains("-T none")
                && !line.contains("map-gw")
                && !line.contains("169.254.1.1"),
            "{line}"
        );
    }

    #[test]
    fn features_are_read_from_the_program() {
        assert_eq!(Features::of(b"..  --map-guest-addr ADDR\tTranslate"), NEW);
        assert_eq!(Features::of(b"..  --map-gw"), OLD);
    }
}
