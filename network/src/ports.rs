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
    /// More than 1: one container port on the first free one of so many host ports, from `host_port` on.
    pub candidates: u16,
}

impl Default for PortMapping {
    fn default() -> PortMapping {
        PortMapping { host_ip: None, host_port: 0, container_port: 0, range: 1, protocol: Protocol::Tcp, candidates: 1 }
    }
}

/// The value of one `-p`: `[[ip:][hostport]:]ctrport[/proto]`.
pub fn parse_publish(text: &str) -> Result<Vec<PortMapping>> {
    let bad = |reason: &str| Error::invalid("port mapping", text, reason);
    let (ports, protocol) = match text.split_once('/') {
        Some((ports, protocol)) => (ports, protocol.parse()?),
        None => (text, Protocol::Tcp),
    };
    let (ip, ports) = split_ip(ports).map_err(bad)?;
    let (host, container) = match ports.split_once(':') {
        Some((host, container)) => (host, container),
        None if ip.is_some() => return Err(bad("an address needs a host port (or an empty one) after it")),
        None => ("", ports),
    };
    let host_ip = match ip {
        None | Some("") => None,
        Some(ip) => Some(ip.parse().map_err(|_| bad("the host address is not an IP address"))?),
    };
    let (container_port, range) = port_range(container).map_err(|reason| bad(&format!("container port {reason}")))?;
    let (host_port, host_range) = match host {
        "" => (0, range),
        "0" => (0, range),
        host => port_range(host).map_err(|reason| bad(&format!("host port {reason}")))?,
    };
    let candidates = match (host_range, range) {
        (host_range, range) if host_range == range => 1,
        (_, 1) => host_range,
        _ => return Err(bad("the two port ranges have different lengths")),
    };
    Ok(vec![PortMapping { host_ip, host_port, container_port, range, protocol, candidates }])
}

/// Divides `[v6]:rest`, `v4:rest` and `rest`, where rest keeps at most one colon.
fn split_ip(text: &str) -> std::result::Result<(Option<&str>, &str), &'static str> {
    if let Some(inner) = text.strip_prefix('[') {
        let (ip, rest) = inner.split_once(']').ok_or("the bracket is not closed")?;
        ip.parse::<Ipv6Addr>().map_err(|_| "the host address is not an IPv6 address")?;
        return Ok((Some(ip), rest.strip_prefix(':').ok_or("the ports are missing after the address")?));
    }
    match text.matches(':').count() {
        0 | 1 => Ok((None, text)),
        2 => {
            let (ip, rest) = text.split_once(':').unwrap_or(("", text));
            Ok((Some(ip), rest))
        }
        _ => Err("an IPv6 address needs brackets"),
    }
}

fn port_range(text: &str) -> std::result::Result<(u16, u16), String> {
    let port = |text: &str| match text.parse::<u16>() {
        Ok(port) if port > 0 && text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(port),
        _ if text.is_empty() => Err("is missing".to_owned()),
        _ => Err(format!("{text:?} is not between 1 and 65535")),
    };
    match text.split_once('-') {
        None => Ok((port(text)?, 1)),
        Some((first, last)) => {
            let (first, last) = (port(first)?, port(last)?);
            match last.checked_sub(first) {
                Some(more) if more < u16::MAX => Ok((first, more + 1)),
                _ => Err(format!("range {text} runs backwards")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(host_ip: Option<&str>, host_port: u16, container_port: u16, range: u16, candidates: u16) -> PortMapping {
        let host_ip = host_ip.map(|ip| ip.parse().unwrap());
        PortMapping { host_ip, host_port, container_port, range, protocol: Protocol::Tcp, candidates }
    }

    #[test]
    fn every_form_of_publish_is_read() {
        for (text, expected) in [
            ("80", mapping(None, 0, 80, 1, 1)),
            ("8080:80", mapping(None, 8080, 80, 1, 1)),
            ("8080:80/tcp", mapping(None, 8080, 80, 1, 1)),
            (":80", mapping(None, 0, 80, 1, 1)),
            ("0:80", mapping(None, 0, 80, 1, 1)),
            ("127.0.0.1:8080:80", mapping(Some("127.0.0.1"), 8080, 80, 1, 1)),
            ("127.0.0.1::80", mapping(Some("127.0.0.1"), 0, 80, 1, 1)),
            ("::80", mapping(None, 0, 80, 1, 1)),
            ("[::1]:8080:80", mapping(Some("::1"), 8080, 80, 1, 1)),
            ("[::]::80", mapping(Some("::"), 0, 80, 1, 1)),
            ("8000-8002:80-82", mapping(None, 8000, 80, 3, 1)),
            ("80-82", mapping(None, 0, 80, 3, 1)),
            ("8000-8010:80", mapping(None, 8000, 80, 1, 11)),
        ] {
            assert_eq!(parse_publish(text).unwrap(), vec![expected], "{text}");
        }
        let udp = parse_publish("53:53/UDP").unwrap();
        assert_eq!(udp[0].protocol, Protocol::Udp);
    }

    #[test]
    fn bad_mappings_are_refused_with_the_reason() {
        for (text, reason) in [
            ("", "is missing"),
            ("abc", "not between 1 and 65535"),
            ("0", "not between 1 and 65535"),
            ("70000:80", "not between 1 and 65535"),
            ("8080:80/icmp", "must be tcp"),
            ("8000-8002:80-81", "different lengths"),
            ("82-80", "runs backwards"),
            ("localhost:8080:80", "not an IP address"),
            ("::1:8080:80", "needs brackets"),
            ("[::1]", "ports are missing"),
            ("[::1]:80", "needs a host port"),
            ("+80", "not between"),
        ] {
            let error = parse_publish(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
