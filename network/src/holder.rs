//! The holder of a named network: the one process that keeps a network in use alive.
//!
//! `creel network-holder FD NAME` owns the network namespace with the bridge, the user-mode uplink, the name server, and the
//! leases of addresses. It is made by whoever needs it first ([`crate::Networks::open`]), outlives its maker, and ends
//! when no member and no connection is left. It stays in the host's network namespace itself and works in the other one
//! through sockets that a short-lived child opened there: so it can start the uplink again, and ask the host's name
//! servers.
//!
//! A member is any network namespace with a process in it. The member leaves when that process ends. `state.json` in the
//! run directory says who is on the network; a holder that was killed is made again by the next one who notices (every
//! monitor of a member holds a connection), and plugs in again whoever is still alive.

mod answer;
mod dns;
pub(crate) mod door;
mod gate;
mod message;
mod names;
mod neighbours;
pub(crate) mod plug;
pub(crate) mod serve;
mod way_out;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use storage::{Dirs, Record, StoreOptions};
use sys::process::Process;

use crate::Egress;

/// Somebody who wants to be on a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// A container's or pod's id; a second join with it takes the place of the first one.
    pub id: String,
    /// For lists and reverse look-ups.
    pub name: String,
    /// All names under which others on the network find it: its own, aliases, the short id.
    pub names: Vec<String>,
    /// Lives in the namespace. When it ends, the member has left.
    pub process: Process,
    /// The name of the interface in the namespace, `eth0`.
    pub interface: String,
    #[serde(default)]
    pub given: Given,
    /// Name servers that this member's questions about the world go to, instead of the network's.
    #[serde(default)]
    pub dns: Vec<IpAddr>,
    /// Whom it may talk to, if not everybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress: Option<Egress>,
}

/// What a member wants to have for itself on one network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Given {
    pub addresses: Vec<IpAddr>,
    /// `02:11:22:33:44:55`.
    pub mac: Option<String>,
    /// The name of the other end of the interface, on the bridge.
    pub host_interface: Option<String>,
}

/// A member's place on a network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Endpoint {
    pub network: String,
    pub network_id: String,
    pub interface: String,
    pub mac: String,
    pub addresses: Vec<Assigned>,
    /// Name servers for its resolv.conf: the network's own, or where it has none those of the uplink.
    pub dns: Vec<IpAddr>,
    /// The search domain, on a network with names.
    pub search: Option<String>,
    /// How the host is reached from here.
    pub host: Option<IpAddr>,
}

/// One address of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assigned {
    pub address: IpAddr,
    pub prefix: u8,
    pub gateway: Option<IpAddr>,
}

/// Names that somebody keeps on a network beside those of its members, such as those of services.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Zone {
    /// Whoever publishes under the same owner again replaces the whole zone.
    pub owner: String,
    /// The zone goes when this process ends; without one it stays until it is withdrawn or the network's last member
    /// has left.
    #[serde(default)]
    pub process: Option<Process>,
    /// The domain of which nobody else has names: `cluster.local`. Empty: there is none.
    #[serde(default)]
    pub domain: String,
    pub names: Vec<ZoneName>,
    /// What addresses are called, before what members are called.
    #[serde(default)]
    pub reverse: Vec<(IpAddr, String)>,
}

/// One name and what it leads to. No address means that the name is known but has none now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneName {
    pub name: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<IpAddr>,
    /// Another name, here or in the world, that it stands for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ServiceAt>,
}

/// Where a service is, RFC 2782; all are of equal rank.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ServiceAt {
    pub port: u16,
    pub host: String,
}

/// From whoever uses a network to its holder; descriptors travel beside it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
enum Request {
    /// The first message to a new holder.
    Start {
        network: String,
        dirs: Dirs,
        options: StoreOptions,
        #[serde(default)]
        config_dir: Option<PathBuf>,
        uplink: Option<String>,
        userns_dir: PathBuf,
    },
    /// One descriptor: the member's network namespace.
    Join {
        member: Member,
    },
    Leave {
        id: String,
    },
    /// Other names for a member.
    Names {
        id: String,
        name: String,
        names: Vec<String>,
    },
    /// One descriptor: a file with the zone, which may be longer than a message.
    Publish,
    Withdraw {
        owner: String,
    },
    /// The record has changed.
    Reload,
    /// Answered with one descriptor: the network's own namespace, for a forwarder or a probe.
    Namespace,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Done,
    Joined(Endpoint),
    /// It cannot be, and why.
    Refused(String),
}

/// Who is on a network, as its holder last wrote it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Members {
    members: Vec<Held>,
    #[serde(default)]
    zones: Vec<Zone>,
    /// The address that was last given away, of each family.
    #[serde(default)]
    last: Vec<IpAddr>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Held {
    member: Member,
    endpoint: Endpoint,
    /// What names of its list turned out to be: whoever has asked once need not ask again.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    learned: gate::Learned,
}

impl Record for Members {
    const VERSION: u32 = 1;
}

const STATE_FILE: &str = "state.json";

impl Held {
    fn restricted(&self) -> Option<(&Egress, &gate::Learned)> {
        self.member.egress.as_ref().map(|egress| (egress, &self.learned))
    }
}

impl Endpoint {
    /// The first address of IPv4, or of IPv6.
    pub fn address(&self, v4: bool) -> Option<&Assigned> {
        self.addresses.iter().find(|assigned| assigned.address.is_ipv4() == v4)
    }
}
