//! Connectivity of a container: its uplink, its published ports, its names, and the named networks that it is on.
//!
//! The crate knows a network namespace and a process in it, never a container, an image or their records; the only
//! records it has are those of named networks. It prints nothing, reads no environment and starts no thread. The kernel
//! is configured by netlink in process; the only foreign programs are two user-mode stacks that may stand in for its own, slirp4netns and pasta.

mod addresses;
mod bind;
mod certificate;
mod cidr;
mod egress;
mod error;
mod forwarder;
mod holder;
pub mod hosts;
mod inside;
mod ipam;
mod mode;
mod netlink;
mod networks;
mod pasta;
mod ports;
mod published;
mod record;
mod republish;
pub mod resolv;
mod slirp;
mod stack;
mod uplink;

pub use addresses::{Addresses, host_addresses};
pub use bind::{Listener, bind};
pub use certificate::{Certificate, CertificateError};
pub use cidr::Cidr;
pub use egress::{Destination, Egress, Service, Target};
pub use error::Error;
pub use forwarder::control::{Backend, Forwarder, Group, Place};
pub use forwarder::http::{PathMatch, Rule};
pub use forwarder::serve::forward;
pub use holder::door::{Link, State};
pub use holder::serve::holder_main;
pub use holder::{Endpoint, Given, Member, ServiceAt, Zone, ZoneName};
pub use hosts::{HostAddress, HostEntry, HostNames};
pub use inside::{listen_inside, reserve_inside};
pub use mode::{Mode, NetworkRef, is_mac};
pub use networks::Networks;
pub use ports::{PortMapping, Protocol, check_ports, parse_publish};
pub use published::Published;
pub use record::{DEFAULT_NETWORK, DOMAIN, LeaseRange, Network, Route, RouteKind, Subnet};
pub use republish::{to_be_bound, unpublish};
pub use stack::uplink_main;
pub use uplink::{Uplink, UplinkKind, check_mode, choose, expected_addresses, start_uplink};

/// The result of everything here.
pub type Result<T> = std::result::Result<T, Error>;
