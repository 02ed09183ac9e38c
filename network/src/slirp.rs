//! slirp4netns(1): its options as Podman spells them, its arguments, its fixed addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::addresses::{Addresses, host_addresses, interface_address};
use crate::{Error, Result};

pub(crate) const PROGRAM: &str = "slirp4netns";
pub(crate) const INTERFACE: &str = "tap0";

/// slirp's own IPv6 network is fd00::/64 with the host at ::2 and the name server at ::3. The member's address is made
/// from its MAC a second after start; this one the forwarder adds, so that it is there when the first client is.
const IPV6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0x100);
const IPV6_HOST: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);

/// The options of `--network slirp4netns:…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) allow_host_loopback: bool,
    pub(crate) enable_ipv6: bool,
    pub(crate) mtu: u32,
    pub(crate) network: Ipv4Addr,
    pub(crate) prefix: u8,
    /// An address, or an interface whose address is taken when it starts.
    pub(crate) outbound: Option<String>,
    pub(crate) outbound6: Option<String>,
}

impl Options {
    /// Podman's complaints for what it does not know. `program` is the one that is meant: ours has the same options.
    pub(crate) fn parse(program: &str, words: &[String]) -> Result<Options> {
        let mut options = Options {
            allow_host_loopback: false,
            enable_ipv6: true,
            mtu: 65520,
            network: Ipv4Addr::new(10, 0, 2, 0),
            prefix: 24,
            outbound: None,
            outbound6: None,
        };
        for word in words {
            let unknown = || Error::Refused(format!("unknown option for {program}: {word:?}"));
            let (key, value) = word.split_once('=').ok_or_else(unknown)?;
            let bad = |what: &str| Error::Refused(format!("{what} {value:?}"));
            let boolean = || value.parse::<bool>().map_err(|_| bad(&format!("invalid value of {key} for {program}:")));
            match key {
                "allow_host_loopback" => options.allow_host_loopback = boolean()?,
                "enable_ipv6" => options.enable_ipv6 = boolean()?,
                "mtu" => match value.parse() {
                    Ok(mtu @ 576..=65521) => options.mtu = mtu,
                    _ => return Err(bad("invalid mtu")),
                },
                "cidr" => {
                    (options.network, options.prefix) =
                        parse_cidr(value).map_err(|why| Error::Refused(format!("invalid cidr {value:?}: {why}")))?
                }
                "outbound_addr" => options.outbound = Some(value.to_owned()),
                "outbound_addr6" => options.outbound6 = Some(value.to_owned()),
                // Podman's choice of port forwarder. Ours keeps the client's address, the one wish behind this option.
                "port_handler" if matches!(value, "rootlesskit" | "slirp4netns") => {}
                "port_handler" => return Err(bad(&format!("unknown port_handler for {program}:"))),
                _ => return Err(unknown()),
            }
        }
        Ok(options)
    }

    /// The arguments after the program's name. Descriptor 0 is the namespace, 3 says ready, the end of 4 ends it.
    pub(crate) fn arguments(&self) -> Result<Vec<String>> {
        let mut arguments = vec![
            "--configure".to_owned(),
            format!("--mtu={}", self.mtu),
            format!("--cidr={}/{}", self.network, self.prefix),
            "--enable-sandbox".into(),
            "--enable-seccomp".into(),
            "--ready-fd=3".into(),
            "--exit-fd=4".into(),
            "--netns-type=path".into(),
        ];
        if !self.allow_host_loopback {
            arguments.push("--disable-host-loopback".into());
        }
        if self.enable_ipv6 {
            arguments.push("--enable-ipv6".into());
        }
        if let Some(outbound) = &self.outbound {
            arguments.push(format!("--outbound-addr={}", resolve(outbound, IpAddr::is_ipv4)?));
        }
        if let Some(outbound) = &self.outbound6 {
            arguments.push(format!("--outbound-addr6={}", resolve(outbound, IpAddr::is_ipv6)?));
        }
        arguments.extend(["/proc/self/fd/0".into(), INTERFACE.into()]);
        Ok(arguments)
    }

    /// The member is .100, the host .2, the name server .3 of its network.
    pub(crate) fn addresses(&self) -> Addresses {
        let nth = |n: u32| Ipv4Addr::from_bits(self.network.to_bits() + n);
        // slirp's .2 leads to the host's loopback, or, where that is closed, nowhere.
        let own = || host_addresses().ok()?.into_iter().find(IpAddr::is_ipv4);
        let host = if self.allow_host_loopback { None } else { own() };
        Addresses {
            interface: INTERFACE.into(),
            ipv4: Some(nth(100)),
            prefix: self.prefix,
            gateway: Some(nth(2)),
            ipv6: self.enable_ipv6.then_some(IPV6),
            ipv6_prefix: if self.enable_ipv6 { 64 } else { 0 },
            ipv6_gateway: self.enable_ipv6.then_some(IPV6_HOST),
            dns: vec![nth(3).into()],
            host_gateway: Some(host.unwrap_or(nth(2).into())),
            host_alias: Some(nth(2)),
            host_alias6: self.enable_ipv6.then_some(IPV6_HOST),
            mac: None,
        }
    }
}

/// slirp4netns wants room for .2, .3 and .100: prefixes 1 to 25.
fn parse_cidr(text: &str) -> std::result::Result<(Ipv4Addr, u8), &'static str> {
    let (network, prefix) = text.split_once('/').ok_or("must be ADDRESS/BITS")?;
    let network: Ipv4Addr = network.parse().map_err(|_| "the address is not an IPv4 address")?;
    let prefix: u8 = prefix.parse().ok().filter(|bits| (1..=25).contains(bits)).ok_or("the bits must be 1 to 25")?;
    if network.to_bits() & (u32::MAX >> prefix) != 0 {
        return Err("the address has bits beyond the network's");
    }
    Ok((network, prefix))
}

/// An address, or the first one of the interface of that name.
pub(crate) fn resolve(text: &str, family: fn(&IpAddr) -> bool) -> Result<IpAddr> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let missing = || Error::invalid("outbound address", text, "neither an address nor an interface that has one");
    interface_address(text, family)?.ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Options> {
        Options::parse(PROGRAM, &words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn defaults_are_podmans() {
        let arguments = parse(&[]).unwrap().arguments().unwrap();
        for expected in
            ["--mtu=65520", "--cidr=10.0.2.0/24", "--disable-host-loopback", "--enable-ipv6", "--enable-sandbox"]
        {
            assert!(arguments.iter().any(|argument| argument == expected), "{expected}");
        }
        assert_eq!(arguments.last().unwrap(), "tap0");
    }

    #[test]
    fn options_change_the_arguments_and_addresses() {
        let words = [
            "allow_host_loopback=true",
            "enable_ipv6=false",
            "mtu=1500",
            "cidr=10.7.0.0/16",
            "outbound_addr=192.0.2.9",
        ];
        let options = parse(&words).unwrap();
        let arguments = options.arguments().unwrap().join(" ");
        assert!(arguments.contains("--outbound-addr=192.0.2.9") && arguments.contains("--mtu=1500"));
        assert!(!arguments.contains("ipv6") && !arguments.contains("disable-host"));
        let addresses = options.addresses();
        assert_eq!(addresses.ipv4, Some(Ipv4Addr::new(10, 7, 0, 100)));
        assert_eq!(addresses.host_gateway, Some(Ipv4Addr::new(10, 7, 0, 2).into()));
        assert_eq!(addresses.dns, vec![IpAddr::from([10, 7, 0, 3])]);
        assert_eq!((addresses.prefix, addresses.ipv6), (16, None));
    }

    #[test]
    fn bad_options_are_refused_with_the_reason() {
        for (word, reason) in [
            ("mtu", "unknown option for slirp4netns: \"mtu\""),
            ("mtu=1", "invalid mtu \"1\""),
            ("cidr=10.0.2.1/24", "invalid cidr \"10.0.2.1/24\": the address has bits beyond the network's"),
            ("cidr=10.0.2.0/30", "1 to 25"),
            ("enable_ipv6=maybe", "invalid value of enable_ipv6 for slirp4netns: \"maybe\""),
            ("port_handler=none", "unknown port_handler for slirp4netns: \"none\""),
            ("speed=fast", "unknown"),
        ] {
            let error = parse(&[word]).unwrap_err().to_string();
            assert!(error.contains(reason), "{word}: {error}");
        }
    }
}
