//! The grammar of `-p`.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A transport protocol with ports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    #[default]
    Tcp,
    Udp,
    Sctp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        })
    }
}

impl FromStr for Protocol {
    type Err = Error;

    fn from_str(text: &str) -> Result<Protocol> {
        match text.to_ascii_lowercase().as_str() {
            "tcp" => Ok(Protocol::Tcp),
            "udp" => Ok(Protocol::Udp),
            "sctp" => Ok(Protocol::Sctp),
            _ => Err(Error::invalid("protocol", text, "must be tcp, udp or sctp")),
        }
    }
}

/// One published port, or a run of consecutive ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PortMapping {
    /// The host's address to listen on; `None` is every address of both families.
    pub host_ip: Option<IpAddr>,
    /// The first port on the host; 0 is any free one, known after `bind`.
    pub host_port: u16,
    pub container_port: u16,
    /// How many consecutive ports, at least 1.
    pub range: u16,
    pub protocol: Protocol,
}

impl Default for PortMapping {
    fn default() -> PortMapping {
        PortMapping { host_ip: None, host_port: 0, container_port: 0, range: 1, protocol: Protocol::Tcp }
    }
}

/// The value of one `-p`: `[[ip:][hostport]:]ctrport[/proto]`, with Podman's complaints.
pub fn parse_publish(text: &str) -> Result<PortMapping> {
    let mut parts = text.split('/');
    let ports = parts.next().unwrap_or_default();
    let protocol = match (parts.next(), parts.next()) {
        (None | Some(""), None) => Protocol::Tcp,
        (Some(word), None) => {
            word.parse().map_err(|_| Error::Refused(format!("unrecognized protocol {word:?} in port mapping")))?
        }
        _ => return Err(bad("invalid port format - protocol can only be specified once")),
    };
    let (ip, host, container) = divide(ports)?;
    let host_ip = match ip {
        None | Some("") => None,
        Some(ip) => Some(ip.parse().map_err(|_| Error::Refused(format!("cannot parse {ip:?} as an IP address")))?),
    };
    let (container_port, range) = match container {
        "" => return Err(bad("must provide a non-empty container port to publish")),
        container => port_range(container).map_err(|why| Error::Refused(format!("parsing container port: {why}")))?,
    };
    let (host_port, host_range) = match host {
        "" => (0, range),
        host => port_range(host).map_err(|why| Error::Refused(format!("parsing host port: {why}")))?,
    };
    if host_range != range {
        return Err(Error::Refused(format!(
            "host and container port ranges have different lengths: {host_range} vs {range}"
        )));
    }
    Ok(PortMapping { host_ip, host_port, container_port, range, protocol })
}

/// What no start could publish: ports without a forwarder, and one port of the host for two of the container's.
pub fn check_ports(ports: &[PortMapping]) -> Result<()> {
    for (place, one) in ports.iter().enumerate() {
        if one.protocol == Protocol::Sctp {
            return Err(bad("publishing an sctp port is not supported"));
        }
        if let Some(other) = ports[..place].iter().find(|other| one.takes_from(other)) {
            return Err(Error::Refused(format!(
                "conflicting port mappings for host port {} (protocol {})",
                one.host_port.max(other.host_port),
                one.protocol
            )));
        }
    }
    Ok(())
}

/// As `-p` has it.
impl fmt::Display for PortMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span = |first: u16| match self.range {
            0 | 1 => first.to_string(),
            range => format!("{first}-{}", u32::from(first) + u32::from(range) - 1),
        };
        match self.host_ip {
            Some(IpAddr::V6(ip)) => write!(f, "[{ip}]:")?,
            Some(ip) => write!(f, "{ip}:")?,
            None => {}
        }
        match self.host_port {
            0 if self.host_ip.is_none() => {}
            0 => f.write_str(":")?,
            port => write!(f, "{}:", span(port))?,
        }
        write!(f, "{}/{}", span(self.container_port), self.protocol)
    }
}

impl PortMapping {
    /// So many ports of it from the one at `offset` on.
    pub(crate) fn part(&self, offset: u16, range: u16) -> PortMapping {
        let host_port = if self.host_port == 0 { 0 } else { self.host_port + offset };
        PortMapping { host_port, container_port: self.container_port + offset, range, ..self.clone() }
    }

    /// Whether both want the same port of the same address; free ports are never the same.
    pub(crate) fn takes_from(&self, other: &PortMapping) -> bool {
        let ends = |mapping: &PortMapping| u32::from(mapping.host_port) + u32::from(mapping.range);
        let meet = match (self.host_ip, other.host_ip) {
            (None, _) | (_, None) => true,
            (Some(one), Some(other)) => {
                one == other || one.is_ipv4() == other.is_ipv4() && (one.is_unspecified() || other.is_unspecified())
            }
        };
        self.protocol == other.protocol
            && meet
            && self.host_port != 0
            && other.host_port != 0
            && u32::from(self.host_port) < ends(other)
            && u32::from(other.host_port) < ends(self)
    }
}

fn bad(why: &str) -> Error {
    Error::Refused(why.to_owned())
}

/// The address, the port of the host and that of the container.
fn divide(text: &str) -> Result<(Option<&str>, &str, &str)> {
    let format = || bad("invalid port format - format is [[hostIP:]hostPort:]containerPort");
    let (ip, rest) = match text.strip_prefix('[') {
        Some(inner) => {
            let (ip, rest) = inner.split_once(']').ok_or_else(format)?;
            ip.parse::<Ipv6Addr>().map_err(|_| Error::Refused(format!("cannot parse {ip:?} as an IP address")))?;
            (Some(ip), rest.strip_prefix(':').ok_or_else(format)?)
        }
        None => (None, text),
    };
    let words: Vec<&str> = rest.split(':').collect();
    match (ip, &words[..]) {
        (None, [container]) => Ok((None, "", container)),
        (ip, [host, container]) => Ok((ip, host, container)),
        (None, [ip, host, container]) => Ok((Some(ip), host, container)),
        _ => Err(format()),
    }
}

/// The first port and how many.
fn port_range(text: &str) -> std::result::Result<(u16, u16), String> {
    let port = |text: &str| match text.parse::<i64>() {
        Err(_) => Err(format!("invalid port number: strconv.Atoi: parsing {text:?}: invalid syntax")),
        Ok(port) => match u16::try_from(port) {
            Ok(port) if port > 0 => Ok(port),
            _ => Err(format!("port numbers must be between 1 and 65535 (inclusive), got {port}")),
        },
    };
    match text.split_once('-') {
        None => Ok((port(text)?, 1)),
        Some(("", _)) => Err("port numbers cannot be negative".to_owned()),
        Some((first, last)) => {
            let (first, last) = (port(first)?, port(last)?);
            match last.checked_sub(first) {
                Some(more) if more < u16::MAX => Ok((first, more + 1)),
                _ => Err(format!(
                    "the end port of a range must be higher than the start port - {last} is not higher than {first}"
                )),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(host_ip: Option<&str>, host_port: u16, container_port: u16, range: u16) -> PortMapping {
        let host_ip = host_ip.map(|ip| ip.parse().unwrap());
        PortMapping { host_ip, host_port, container_port, range, protocol: Protocol::Tcp }
    }

    #[test]
    fn every_form_of_publish_is_read() {
        for (text, expected) in [
            ("80", mapping(None, 0, 80, 1)),
            ("8080:80", mapping(None, 8080, 80, 1)),
            ("8080:80/tcp", mapping(None, 8080, 80, 1)),
            (":80", mapping(None, 0, 80, 1)),
            ("127.0.0.1:8080:80", mapping(Some("127.0.0.1"), 8080, 80, 1)),
            ("127.0.0.1::80", mapping(Some("127.0.0.1"), 0, 80, 1)),
            ("::80", mapping(None, 0, 80, 1)),
            ("[::1]:8080:80", mapping(Some("::1"), 8080, 80, 1)),
            ("[::]::80", mapping(Some("::"), 0, 80, 1)),
            ("8000-8002:80-82", mapping(None, 8000, 80, 3)),
            ("80-82", mapping(None, 0, 80, 3)),
        ] {
            assert_eq!(parse_publish(text).unwrap(), expected, "{text}");
            assert_eq!(parse_publish(&expected.to_string()).unwrap(), expected, "{expected}");
        }
        let udp = parse_publish("53:53/UDP").unwrap();
        assert_eq!(udp.protocol, Protocol::Udp);
    }

    #[test]
    fn bad_mappings_are_refused_with_the_reason() {
        for (text, reason) in [
            ("", "must provide a non-empty container port to publish"),
            ("abc", "parsing container port: invalid port number: strconv.Atoi: parsing \"abc\": invalid syntax"),
            ("0", "parsing container port: port numbers must be between 1 and 65535 (inclusive), got 0"),
            ("0:80", "parsing host port: port numbers must be between 1 and 65535 (inclusive), got 0"),
            ("70000:80", "parsing host port: port numbers must be between 1 and 65535 (inclusive), got 70000"),
            ("-1:80", "parsing host port: port numbers cannot be negative"),
            ("8080:80/icmp", "unrecognized protocol \"icmp\" in port mapping"),
            ("8080:80/tcp/udp", "invalid port format - protocol can only be specified once"),
            ("8000-8002:80-81", "host and container port ranges have different lengths: 3 vs 2"),
            ("8000-8010:80", "host and container port ranges have different lengths: 11 vs 1"),
            ("82-80", "the end port of a range must be higher than the start port - 80 is not higher than 82"),
            ("localhost:8080:80", "cannot parse \"localhost\" as an IP address"),
            ("::1:8080:80", "invalid port format - format is [[hostIP:]hostPort:]containerPort"),
            ("[::1]", "invalid port format"),
            ("[::1]:80", "invalid port format"),
        ] {
            let error = parse_publish(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn one_port_of_the_host_leads_to_one_of_the_container() {
        let all = |texts: &[&str]| {
            let ports: Vec<PortMapping> = texts.iter().map(|text| parse_publish(text).unwrap()).collect();
            check_ports(&ports).map_err(|error| error.to_string())
        };
        let conflict = |port: u16, protocol: &str| {
            Err(format!("conflicting port mappings for host port {port} (protocol {protocol})"))
        };
        assert_eq!(all(&["80:80", "81:80", "80:80/udp", "9000-9002:1-3", "9003:4", "90", "91"]), Ok(()));
        assert_eq!(all(&["127.0.0.1:80:80", "127.0.0.2:80:80", "[::1]:80:80"]), Ok(()));
        assert_eq!(all(&["80:80", "80:81"]), conflict(80, "tcp"));
        assert_eq!(all(&["80:80/udp", "127.0.0.1:80:81/udp"]), conflict(80, "udp"));
        assert_eq!(all(&["0.0.0.0:80:80", "127.0.0.1:80:81"]), conflict(80, "tcp"));
        assert_eq!(all(&["9000-9002:1-3", "9002:7"]), conflict(9002, "tcp"));
        assert!(all(&["80:80/sctp"]).unwrap_err().contains("sctp"));
    }
}
