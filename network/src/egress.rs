//! The grammar of `--allow-egress`: which hosts a container may talk to.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ports::Protocol;
use crate::{Cidr, Error, Result};

/// The list of a container. Without one a container may talk to everybody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Egress {
    pub targets: Vec<Target>,
    /// The other members of its networks are not reached either.
    pub alone: bool,
}

/// One entry: `HOST[:PORT[-PORT]][/PROTOCOL]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Target {
    pub to: Destination,
    pub by: Service,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A host, in lower case and without a dot at the end: whatever addresses its name has.
    Name(String),
    /// `*.example.org`: every name below that one.
    Below(String),
    Range(Cidr),
}

/// Which of a host's ports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Service {
    /// `None`: whatever travels by IP.
    pub protocol: Option<Protocol>,
    /// The first and the last; only with a protocol. `None`: all.
    pub ports: Option<(u16, u16)>,
}

/// The word for nobody.
const NOBODY: &str = "none";
/// Bytes of all entries together: they travel in one message to the holder of each network.
const LONGEST: usize = 8 * 1024;

impl Egress {
    /// All values of the repeated flag, each one a list with commas. No value is no list.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what is no entry, [`Error::Refused`] for what does not go together.
    pub fn parse_all<S: AsRef<str>>(values: &[S]) -> Result<Option<Egress>> {
        let words: Vec<&str> = values.iter().flat_map(|value| value.as_ref().split(',')).map(str::trim).collect();
        if words.is_empty() {
            return Ok(None);
        }
        if words.contains(&NOBODY) {
            return match words.as_slice() {
                [_] => Ok(Some(Egress::default())),
                _ => Err(Error::Refused(format!("--allow-egress: {NOBODY} cannot be combined with others"))),
            };
        }
        let mut targets: Vec<Target> = Vec::new();
        for word in &words {
            let target = word.parse()?;
            if !targets.contains(&target) {
                targets.push(target);
            }
        }
        if words.iter().map(|word| word.len()).sum::<usize>() > LONGEST {
            return Err(Error::Refused(format!(
                "the list of --allow-egress is too long: it may have {LONGEST} bytes; ranges of addresses (CIDR) make it shorter"
            )));
        }
        Ok(Some(Egress { targets, alone: false }))
    }

    /// Whether the container may ask what addresses a name has: one of the list, or any where all addresses are allowed
    /// anyway. Questions are a way out, too.
    pub(crate) fn may_ask(&self, name: &str) -> bool {
        self.targets.iter().any(|target| match &target.to {
            Destination::Range(range) => range.prefix == 0,
            named => named.names(name),
        })
    }

    /// Where a name's addresses may be reached.
    pub(crate) fn services_of(&self, name: &str) -> impl Iterator<Item = Service> {
        self.targets.iter().filter(move |target| target.to.names(name)).map(|target| target.by)
    }

    /// Whether any entry is a name.
    pub fn has_names(&self) -> bool {
        self.targets.iter().any(|target| !matches!(target.to, Destination::Range(_)))
    }
}

impl Destination {
    fn names(&self, name: &str) -> bool {
        match self {
            Destination::Name(own) => own == name,
            Destination::Below(domain) => name.strip_suffix(domain.as_str()).is_some_and(|rest| rest.ends_with('.')),
            Destination::Range(_) => false,
        }
    }
}

impl FromStr for Target {
    type Err = Error;

    fn from_str(text: &str) -> Result<Target> {
        let bad = |reason: &str| Error::invalid("target of --allow-egress", text, reason);
        let (rest, protocol) = match text.rsplit_once('/') {
            // Bits of a CIDR.
            Some((_, word)) if word.bytes().all(|byte| byte.is_ascii_digit()) => (text, None),
            Some((rest, word)) if !word.contains([':', ']']) => {
                (rest, Some(word.parse::<Protocol>().map_err(|_| bad("the protocol must be tcp, udp or sctp"))?))
            }
            _ => (text, None),
        };
        let (host, ports) = split_ports(rest).ok_or_else(|| bad("an IPv6 address with a port stands in [ ]"))?;
        let ports = ports.map(|ports| read_ports(ports).ok_or_else(|| bad("ports are numbers from 1 to 65535")));
        let ports = ports.transpose()?;
        // As for -p, a port is one of TCP where nobody says otherwise.
        let protocol = protocol.or(ports.map(|_| Protocol::Tcp));
        let to = match (host.parse::<IpAddr>(), host.contains('/')) {
            (Ok(address), _) => Destination::Range(Cidr::host(address)),
            (Err(_), true) => Destination::Range(host.parse()?),
            (Err(_), false) => {
                let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
                let (name, below) = name.strip_prefix("*.").map_or((name.as_str(), false), |domain| (domain, true));
                if !is_host_name(name) {
                    return Err(bad("must be a host name, *.DOMAIN, an address or a CIDR"));
                }
                if below { Destination::Below(name.to_owned()) } else { Destination::Name(name.to_owned()) }
            }
        };
        Ok(Target { to, by: Service { protocol, ports } })
    }
}

/// The host, and what follows its last colon; an IPv6 address has colons of its own. `None`: a bracket is not closed.
fn split_ports(text: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        return match rest {
            "" => Some((host, None)),
            rest => Some((host, Some(rest.strip_prefix(':')?))),
        };
    }
    match text.split_once(':') {
        Some((host, ports)) if !ports.contains(':') => Some((host, Some(ports))),
        _ => Some((text, None)),
    }
}

fn read_ports(text: &str) -> Option<(u16, u16)> {
    let port = |word: &str| {
        let digits = word.bytes().all(|byte| byte.is_ascii_digit());
        word.parse::<u16>().ok().filter(|port| digits && *port > 0)
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (port(first)?, port(last)?);
    (first <= last).then_some((first, last))
}

/// RFC 1123, 2.1, with the underscores that the world has. What looks like an address is none.
fn is_host_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            && !label.starts_with('-')
    };
    let numeric = name.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    name.len() <= 253 && name.split('.').all(label) && !numeric
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Service { protocol, ports } = self.by;
        match &self.to {
            Destination::Name(name) => f.write_str(name)?,
            Destination::Below(domain) => write!(f, "*.{domain}")?,
            Destination::Range(range) => {
                let text =
                    if *range == Cidr::host(range.address) { range.address.to_string() } else { range.to_string() };
                match !range.is_ipv4() && ports.is_some() {
                    true => write!(f, "[{text}]")?,
                    false => f.write_str(&text)?,
                }
            }
        }
        match ports {
            Some((first, last)) if first == last => write!(f, ":{first}")?,
            Some((first, last)) => write!(f, ":{first}-{last}")?,
            None => {}
        }
        // Not said where it goes without saying.
        match protocol.filter(|protocol| ports.is_none() || *protocol != Protocol::Tcp) {
            Some(protocol) => write!(f, "/{protocol}"),
            None => Ok(()),
        }
    }
}

impl TryFrom<String> for Target {
    type Error = Error;

    fn try_from(text: String) -> Result<Target> {
        text.parse()
    }
}

impl From<Target> for String {
    fn from(target: Target) -> String {
        target.to_string()
    }
}

impl fmt::Display for Egress {
    /// The flag's value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.targets.is_empty() {
            return f.write_str(NOBODY);
        }
        for (place, target) in self.targets.iter().enumerate() {
            write!(f, "{}{target}", if place == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_and_written() {
        for (text, expected) in [
            ("example.org", "example.org"),
            ("Example.ORG.", "example.org"),
            ("example.org:443", "example.org:443"),
            ("example.org:443/tcp", "example.org:443"),
            ("example.org:8000-8010/udp", "example.org:8000-8010/udp"),
            ("example.org/udp", "example.org/udp"),
            ("*.example.org:443", "*.example.org:443"),
            ("10.1.2.3", "10.1.2.3"),
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("10.0.0.0/8:22", "10.0.0.0/8:22"),
            ("10.0.0.0/8:53/udp", "10.0.0.0/8:53/udp"),
            ("10.0.0.0/8/tcp", "10.0.0.0/8/tcp"),
            ("fd00::1", "fd00::1"),
            ("fd00::/8", "fd00::/8"),
            ("[fd00::1]:443", "[fd00::1]:443"),
            ("[fd00::/8]:443/udp", "[fd00::/8]:443/udp"),
            ("[fd00::1]", "fd00::1"),
            ("fd00::/8/tcp", "fd00::/8/tcp"),
            ("0.0.0.0/0:443", "0.0.0.0/0:443"),
            ("localhost", "localhost"),
        ] {
            let target: Target = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(target.to_string(), expected, "{text}");
            assert_eq!(expected.parse::<Target>().unwrap(), target, "{text}");
        }
    }

    #[test]
    fn what_is_no_target_is_refused() {
        for bad in [
            "",
            "-",
            "*",
            "*.",
            "a..b",
            "a b",
            "1.2.3",
            "1.2.3.4.5",
            "256.1.1.1",
            "10.0.0.0/33",
            "fd00::1/129",
            "a:0",
            "a:65536",
            "a:9-8",
            "a:",
            "a:x",
            "a/icmp",
            "a:+1",
            "https://a",
            "[fd00::1",
            "[fd00::1]443",
            "a/",
            "a*.b",
        ] {
            assert!(bad.parse::<Target>().is_err(), "{bad}: {:?}", bad.parse::<Target>());
        }
    }

    #[test]
    fn lists_are_put_together() {
        let all = |values: &[&str]| Egress::parse_all(values).map(|list| list.map(|list| list.to_string()));
        assert_eq!(all(&[]).unwrap(), None);
        assert_eq!(all(&["none"]).unwrap().unwrap(), "none");
        assert_eq!(all(&["b,a:1", "b"]).unwrap().unwrap(), "b,a:1");
        assert!(all(&["none", "a"]).unwrap_err().to_string().contains("none cannot be combined"));
        assert!(all(&["a,"]).is_err());
        let long: Vec<String> = (0..200).map(|number| format!("{}{number}.org", "a".repeat(50))).collect();
        assert!(Egress::parse_all(&long).unwrap_err().to_string().contains("too long"));
    }

    #[test]
    fn names_are_asked_only_where_the_list_has_them() {
        let list = |text: &str| Egress::parse_all(&[text]).unwrap().unwrap();
        let names = list("example.org:443,*.example.com,10.0.0.0/8");
        for (name, may) in [
            ("example.org", true),
            ("www.example.org", false),
            ("example.com", false),
            ("a.b.example.com", true),
            ("badexample.com", false),
            ("other", false),
        ] {
            assert_eq!(names.may_ask(name), may, "{name}");
        }
        assert!(list("0.0.0.0/0:443").may_ask("other"));
        assert!(!list("none").may_ask("other"));
        assert_eq!(names.services_of("example.org").map(|by| by.ports).collect::<Vec<_>>(), [Some((443, 443))]);
    }
}
