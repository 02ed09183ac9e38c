//! The grammar of `--network`.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::record::DEFAULT_NETWORK;
use crate::{Error, Result};

/// Where a container gets its network from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Nothing was said: the user-mode stack that is there, or the pod's network.
    #[default]
    Default,
    /// A namespace with nothing but loopback.
    None,
    /// The network of the host, no namespace.
    Host,
    /// A namespace of its own with the default uplink, also inside a pod.
    Private,
    /// The namespace of another container, by name or id.
    Container(String),
    /// A network namespace that is bound to a path.
    Path(PathBuf),
    /// Our own stack, with options of the same names as slirp4netns has.
    Creel(Vec<String>),
    /// slirp4netns with its options.
    Slirp4netns(Vec<String>),
    /// pasta with its options, each one an argument of pasta.
    Pasta(Vec<String>),
    /// Named networks.
    Networks(Vec<NetworkRef>),
    /// The namespace of the container's pod.
    Pod,
}

/// One named network and how to be on it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkRef {
    pub name: String,
    /// `ip=`, `ip6=`, `mac=`, `alias=`, `interface_name=`, `host_interface_name=`, as typed.
    pub options: Vec<String>,
}

const NETWORK_OPTIONS: [&str; 6] = ["ip", "ip6", "mac", "alias", "interface_name", "host_interface_name"];

impl Mode {
    /// All values of a repeated `--network`: only named networks may be given more than once.
    pub fn parse_all<S: AsRef<str>>(values: &[S]) -> Result<Mode> {
        let (mut networks, mut first): (Vec<NetworkRef>, _) = (Vec::new(), None);
        for value in values {
            let mode = value.as_ref().parse::<Mode>()?;
            match mode {
                mode if values.len() == 1 => return Ok(mode),
                Mode::Networks(more) => networks.extend(more),
                mode if networks.is_empty() => {
                    first.get_or_insert(mode);
                }
                mode => {
                    return Err(Error::Refused(format!(
                        "can only set extra network names, selected mode {mode} conflicts with bridge: invalid argument"
                    )));
                }
            }
        }
        match first {
            Some(mode) => Err(Error::Refused(format!(
                "cannot set multiple networks without bridge network mode, selected mode {mode}: invalid argument"
            ))),
            None if networks.is_empty() => Ok(Mode::Default),
            None => Ok(Mode::Networks(networks)),
        }
    }
}

impl FromStr for Mode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Mode> {
        let (word, rest) = text.split_once(':').map_or((text, None), |(word, rest)| (word, Some(rest)));
        let options = || rest.filter(|rest| !rest.is_empty()).map(|rest| rest.split(',').map(str::to_owned).collect());
        // With options these words are names, and there are no networks of such names.
        let plain = |mode| match rest {
            None => Ok(mode),
            Some(_) => Err(Error::NoSuchNetwork(word.to_owned())),
        };
        let needs_value = |kind: &str| {
            Err(Error::Refused(format!("invalid config provided: namespace mode {kind} requires a value")))
        };
        match word {
            "" | "default" => plain(Mode::Default),
            "none" => plain(Mode::None),
            "host" => plain(Mode::Host),
            "private" => plain(Mode::Private),
            "container" => match rest.unwrap_or_default() {
                "" => needs_value("container"),
                name => Ok(Mode::Container(name.to_owned())),
            },
            "ns" => match rest {
                Some("") => needs_value("path"),
                Some(path) if path.starts_with('/') => Ok(Mode::Path(path.into())),
                Some(_) => Err(Error::invalid("--network", text, "ns: needs the absolute path of a namespace")),
                None => Err(Error::NoSuchNetwork(word.to_owned())),
            },
            "creel" => Ok(Mode::Creel(options().unwrap_or_default())),
            "slirp4netns" => Ok(Mode::Slirp4netns(options().unwrap_or_default())),
            "pasta" => Ok(Mode::Pasta(options().unwrap_or_default())),
            "bridge" => {
                let options = rest.map(network_options).transpose().map_err(|why| bad_option(DEFAULT_NETWORK, &why))?;
                Ok(Mode::Networks(vec![NetworkRef {
                    name: DEFAULT_NETWORK.into(),
                    options: options.unwrap_or_default(),
                }]))
            }
            _ => match rest {
                Some(rest) => {
                    let options = network_options(rest).map_err(|why| bad_option(word, &why))?;
                    Ok(Mode::Networks(vec![NetworkRef { name: word.to_owned(), options }]))
                }
                None => {
                    let names: Vec<_> =
                        word.split(',').map(|name| NetworkRef { name: name.to_owned(), options: vec![] }).collect();
                    match names.iter().any(|network| network.name.is_empty()) {
                        true => Err(Error::invalid("--network", text, "a network name is empty")),
                        false => Ok(Mode::Networks(names)),
                    }
                }
            },
        }
    }
}

fn bad_option(network: &str, why: &str) -> Error {
    Error::Refused(format!("invalid option for network {network}: {why}"))
}

fn network_options(text: &str) -> std::result::Result<Vec<String>, String> {
    text.split(',').filter(|option| !option.is_empty()).map(network_option).collect()
}

fn network_option(option: &str) -> std::result::Result<String, String> {
    let (key, value) = option.split_once('=').unwrap_or((option, ""));
    match key {
        _ if !NETWORK_OPTIONS.contains(&key) => {
            Err(format!("unknown option {option:?}, known are {}", NETWORK_OPTIONS.join(", ")))
        }
        _ if value.is_empty() => Err(format!("{key} cannot be empty")),
        "ip" | "ip6" if value.parse::<IpAddr>().is_err() => Err(format!("invalid ip address {value:?}")),
        "mac" if !is_mac(value) => Err(format!("address {value}: invalid MAC address")),
        _ => Ok(option.to_owned()),
    }
}

/// `02:11:22:33:44:55`, or with `-`.
pub fn is_mac(text: &str) -> bool {
    let separator = if text.contains('-') { '-' } else { ':' };
    let parts: Vec<&str> = text.split(separator).collect();
    parts.len() == 6 && parts.iter().all(|part| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The word as Podman's `HostConfig.NetworkMode` shows it.
impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mode::Default => f.write_str("default"),
            Mode::None => f.write_str("none"),
            Mode::Host => f.write_str("host"),
            Mode::Private => f.write_str("private"),
            Mode::Container(id) => write!(f, "container:{id}"),
            Mode::Path(path) => write!(f, "ns:{}", path.display()),
            Mode::Creel(_) => f.write_str("creel"),
            Mode::Slirp4netns(_) => f.write_str("slirp4netns"),
            Mode::Pasta(_) => f.write_str("pasta"),
            Mode::Networks(_) => f.write_str("bridge"),
            Mode::Pod => f.write_str("pod"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(names: &[&str]) -> Mode {
        Mode::Networks(names.iter().map(|name| NetworkRef { name: (*name).into(), options: vec![] }).collect())
    }

    #[test]
    fn every_form_of_network_is_read() {
        for (text, expected) in [
            ("", Mode::Default),
            ("none", Mode::None),
            ("host", Mode::Host),
            ("private", Mode::Private),
            ("container:web", Mode::Container("web".into())),
            ("ns:/run/netns/a", Mode::Path("/run/netns/a".into())),
            ("creel:mtu=1500", Mode::Creel(vec!["mtu=1500".into()])),
            ("slirp4netns", Mode::Slirp4netns(vec![])),
            (
                "slirp4netns:mtu=1500,cidr=10.1.0.0/24",
                Mode::Slirp4netns(vec!["mtu=1500".into(), "cidr=10.1.0.0/24".into()]),
            ),
            ("pasta:-a,10.0.0.5", Mode::Pasta(vec!["-a".into(), "10.0.0.5".into()])),
            ("pasta:--dns-forward,fd00::1", Mode::Pasta(vec!["--dns-forward".into(), "fd00::1".into()])),
            ("bridge", networks(&["podman"])),
            ("front,back", networks(&["front", "back"])),
            (
                "front:ip=10.1.0.2",
                Mode::Networks(vec![NetworkRef { name: "front".into(), options: vec!["ip=10.1.0.2".into()] }]),
            ),
        ] {
            assert_eq!(text.parse::<Mode>().unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn bad_networks_are_refused_with_the_reason() {
        for (text, reason) in [
            ("none:x", "unable to find network with name or ID none: network not found"),
            ("container:", "namespace mode container requires a value"),
            ("ns:", "namespace mode path requires a value"),
            ("ns:relative", "absolute path"),
            ("front:ipp=1", "invalid option for network front: unknown option"),
            ("front:ip=", "ip cannot be empty"),
            ("front:ip=x", "invalid option for network front: invalid ip address \"x\""),
            ("front:mac=x", "invalid option for network front: address x: invalid MAC address"),
            ("a,,b", "name is empty"),
        ] {
            let error = text.parse::<Mode>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn only_named_networks_may_be_repeated() {
        assert_eq!(Mode::parse_all(&["a", "b"]).unwrap(), networks(&["a", "b"]));
        assert_eq!(Mode::parse_all::<&str>(&[]).unwrap(), Mode::Default);
        assert_eq!(Mode::parse_all(&["host"]).unwrap(), Mode::Host);
        let refused = |values: &[&str]| Mode::parse_all(values).unwrap_err().to_string();
        assert!(refused(&["a", "host"]).contains("selected mode host conflicts with bridge"));
        assert!(refused(&["host", "none"]).contains("without bridge network mode, selected mode host"));
    }
}
