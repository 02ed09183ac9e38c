//! A named network as it is on disk, `ROOT/networks/NAME.json`: what it is meant to be. Who is on it now, its holder
//! knows (`holder/`).

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use storage::Record;

use crate::Cidr;

/// The network that `--network bridge` means. It is always there, also without a record.
pub const DEFAULT_NETWORK: &str = "podman";
/// Podman's fixed id of it.
const DEFAULT_ID: &str = "2f259bab93aaaaa2542ba43ef33eb990d0999ee1b9924b557b7be53c0b7a1bb9";

/// The search domain of every network with names.
pub const DOMAIN: &str = "dns.podman";

/// What is known of a network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Network {
    pub name: String,
    /// 64 hex digits.
    pub id: String,
    pub driver: String,
    /// The name of its bridge, `podman1`.
    pub interface: String,
    /// Seconds and nanoseconds since 1970.
    pub created: (i64, u32),
    pub subnets: Vec<Subnet>,
    pub routes: Vec<Route>,
    pub ipv6: bool,
    /// No way out.
    pub internal: bool,
    /// Members find each other by name.
    pub dns: bool,
    /// Asked for names of the world instead of the host's servers.
    pub dns_servers: Vec<IpAddr>,
    pub labels: BTreeMap<String, String>,
    /// As given, checked when it was made.
    pub options: BTreeMap<String, String>,
    /// `driver`: `host-local` or `none`.
    pub ipam: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    pub subnet: Cidr,
    /// The address of the bridge.
    #[serde(default)]
    pub gateway: Option<IpAddr>,
    /// The first and the last address that members get without asking.
    #[serde(default)]
    pub range: Option<(IpAddr, IpAddr)>,
}

/// A route that every member gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    pub destination: Cidr,
    /// `None` for kinds that lead nowhere.
    pub gateway: Option<IpAddr>,
    pub metric: Option<u32>,
    #[serde(default)]
    pub kind: RouteKind,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RouteKind {
    #[default]
    Unicast,
    Blackhole,
    Unreachable,
    Prohibit,
}

impl Record for Network {
    const VERSION: u32 = 1;
}

/// Of the bridge, the members' interfaces and the uplink where nobody says otherwise: the stacks move large frames
/// much cheaper than many small ones.
pub(crate) const MTU: u32 = 65520;

impl Network {
    /// `podman`, as it is where no record says otherwise.
    pub fn usual() -> Network {
        Network {
            name: DEFAULT_NETWORK.into(),
            id: DEFAULT_ID.into(),
            driver: "bridge".into(),
            interface: "podman0".into(),
            subnets: vec![Subnet {
                subnet: Cidr { address: [10, 88, 0, 0].into(), prefix: 16 },
                gateway: Some([10, 88, 0, 1].into()),
                range: None,
            }],
            ipam: BTreeMap::from([("driver".into(), "host-local".into())]),
            ..Network::default()
        }
    }

    /// Whether members get addresses.
    pub fn has_addresses(&self) -> bool {
        self.ipam.get("driver").is_none_or(|driver| driver != "none")
    }

    pub(crate) fn mtu(&self) -> u32 {
        self.options.get("mtu").and_then(|mtu| mtu.parse().ok()).filter(|mtu| *mtu > 0).unwrap_or(MTU)
    }

    /// The metric of the members' default routes; Podman's is 100.
    pub(crate) fn metric(&self) -> u32 {
        self.options.get("metric").and_then(|metric| metric.parse().ok()).unwrap_or(100)
    }

    pub(crate) fn has_default_route(&self) -> bool {
        !self.internal && !self.options.get("no_default_route").is_some_and(|value| is_true(value))
    }

    /// The tag of the bridge's VLAN.
    pub(crate) fn vlan(&self) -> Option<u16> {
        self.options.get("vlan").and_then(|vlan| vlan.parse().ok())
    }

    /// The bridge's own addresses, where the name server listens.
    pub(crate) fn gateways(&self) -> impl Iterator<Item = (IpAddr, u8)> {
        self.subnets.iter().filter_map(|subnet| Some((subnet.gateway?, subnet.subnet.prefix)))
    }
}

/// strconv.ParseBool.
pub(crate) fn is_true(text: &str) -> bool {
    matches!(text, "1" | "t" | "T" | "TRUE" | "true" | "True")
}
