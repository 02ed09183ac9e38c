//! A named network as it is on disk, `ROOT/networks/NAME.json`: what it is meant to be. Who is on it now, its holder
//! knows (`holder/`).
//!
//! The files are netavark's, with a version: Podman reads ours and we read Podman's, also in one directory
//! (`--network-config-dir`).

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use storage::Record;

use crate::{Cidr, Error, Result};

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
    #[serde(rename = "network_interface", skip_serializing_if = "String::is_empty")]
    pub interface: String,
    /// `None` for the one that is always there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subnets: Vec<Subnet>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
    #[serde(rename = "ipv6_enabled")]
    pub ipv6: bool,
    /// No way out.
    pub internal: bool,
    /// Members find each other by name.
    #[serde(rename = "dns_enabled")]
    pub dns: bool,
    /// Asked for names of the world instead of the host's servers.
    #[serde(rename = "network_dns_servers", skip_serializing_if = "Vec::is_empty")]
    pub dns_servers: Vec<IpAddr>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// As given, checked when it was made.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
    /// `driver`: `host-local` or `none`.
    #[serde(rename = "ipam_options", skip_serializing_if = "BTreeMap::is_empty")]
    pub ipam: BTreeMap<String, String>,
    /// Where Services have their addresses: clients of one that is nobody's are refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_range: Option<Cidr>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    pub subnet: Cidr,
    /// The address of the bridge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// What members get without asking.
    #[serde(rename = "lease_range", default, skip_serializing_if = "Option::is_none")]
    pub range: Option<LeaseRange>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseRange {
    #[serde(rename = "start_ip")]
    pub first: IpAddr,
    #[serde(rename = "end_ip")]
    pub last: IpAddr,
}

/// A route that every member gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    pub destination: Cidr,
    /// `None` for kinds that lead nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<u32>,
    #[serde(rename = "route_type", default, skip_serializing_if = "RouteKind::is_usual")]
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

impl RouteKind {
    fn is_usual(&self) -> bool {
        *self == RouteKind::Unicast
    }
}

impl Record for Network {
    const VERSION: u32 = 2;
    /// Podman's have none.
    const UNVERSIONED: Option<u32> = Some(2);

    /// Version 1 had names of its own.
    fn upgrade(_from: u32, mut value: Value) -> Value {
        let Some(network) = value.as_object_mut() else { return value };
        for (old, new) in [
            ("interface", "network_interface"),
            ("ipv6", "ipv6_enabled"),
            ("dns", "dns_enabled"),
            ("dns_servers", "network_dns_servers"),
            ("ipam", "ipam_options"),
        ] {
            rename(network, old, new);
        }
        let created = network.get("created").and_then(|created| {
            let nanoseconds = created.get(1).and_then(Value::as_i64).and_then(|count| i32::try_from(count).ok())?;
            Timestamp::new(created.get(0)?.as_i64()?, nanoseconds).ok()
        });
        network.insert("created".into(), created.map_or(Value::Null, |created| created.to_string().into()));
        for subnet in objects(network.get_mut("subnets")) {
            rename(subnet, "range", "lease_range");
            if let Some(Value::Array(ends)) = subnet.get("lease_range").cloned() {
                let names = ["start_ip", "end_ip"].map(str::to_owned);
                subnet.insert("lease_range".into(), names.into_iter().zip(ends).collect::<Map<_, _>>().into());
            }
        }
        for route in objects(network.get_mut("routes")) {
            rename(route, "kind", "route_type");
        }
        value
    }
}

fn rename(object: &mut Map<String, Value>, old: &str, new: &str) {
    if let Some(value) = object.remove(old) {
        object.insert(new.to_owned(), value);
    }
}

fn objects(list: Option<&mut Value>) -> impl Iterator<Item = &mut Map<String, Value>> {
    list.and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut)
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

    /// Whether members get addresses of us.
    pub fn has_addresses(&self) -> bool {
        self.ipam.get("driver").is_none_or(|driver| !matches!(driver.as_str(), "none" | "dhcp"))
    }

    /// Whether members are ports of a bridge. Those of macvlan and ipvlan are so many faces of one interface below.
    pub fn is_bridge(&self) -> bool {
        matches!(self.driver.as_str(), "" | "bridge")
    }

    /// Why nobody can be on it: it needs what belongs to root.
    pub(crate) fn check_usable(&self) -> Result<()> {
        let option = |key: &str| self.options.get(key).map_or("", String::as_str);
        let why = if self.ipam.get("driver").is_some_and(|driver| driver == "dhcp") {
            "its addresses come from a DHCP server of the host's network, which an ordinary user cannot join"
        } else if option("mode") == "unmanaged" {
            "in unmanaged mode, the bridge must already exist on the host, where it belongs to root"
        } else if !option("vrf").is_empty() {
            "its VRF must already exist on the host, where it belongs to root"
        } else {
            return Ok(());
        };
        Err(Error::Refused(format!("cannot use network {}: {why}", self.name)))
    }

    pub(crate) fn mtu(&self) -> u32 {
        self.options.get("mtu").and_then(|mtu| mtu.parse().ok()).filter(|mtu| *mtu > 0).unwrap_or(MTU)
    }

    /// The metric of the members' default routes; Podman's is 100.
    pub(crate) fn metric(&self) -> u32 {
        self.options.get("metric").and_then(|metric| metric.parse().ok()).unwrap_or(100)
    }

    /// Whether packets of members are passed on to the world.
    pub(crate) fn has_way_out(&self) -> bool {
        !self.internal && self.is_bridge()
    }

    pub(crate) fn has_default_route(&self) -> bool {
        !self.internal && !self.options.get("no_default_route").is_some_and(|value| is_true(value))
    }

    /// Whether its members and those of other such networks reach each other.
    pub(crate) fn is_open(&self) -> bool {
        self.has_way_out() && self.options.get("isolate").is_some_and(|value| value != "strict" && !is_true(value))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_the_first_version_are_read() {
        let old = serde_json::json!({
            "version": 1, "name": "n", "id": "ab", "driver": "bridge", "interface": "podman1",
            "created": [1_767_323_045, 5],
            "subnets": [{ "subnet": "10.1.0.0/24", "gateway": "10.1.0.1", "range": ["10.1.0.8", "10.1.0.9"] }],
            "routes": [{ "destination": "10.2.0.0/24", "gateway": null, "metric": 3, "kind": "blackhole" }],
            "ipv6": true, "dns": true, "dns_servers": ["1.1.1.1"], "ipam": { "driver": "host-local" },
        });
        let network: Network = serde_json::from_value(Network::upgrade(1, old)).unwrap();
        assert_eq!((network.interface.as_str(), network.dns, network.ipv6), ("podman1", true, true));
        assert_eq!(network.created.unwrap().to_string(), "2026-01-02T03:04:05.000000005Z");
        let range = LeaseRange { first: [10, 1, 0, 8].into(), last: [10, 1, 0, 9].into() };
        assert_eq!(network.subnets[0].range, Some(range));
        assert_eq!((network.routes[0].kind, network.routes[0].metric), (RouteKind::Blackhole, Some(3)));
        assert_eq!(network.dns_servers.len(), 1);
        assert!(network.has_addresses());
    }
}
