//! Connectivity of a container: its uplink, its published ports, its names.
//!
//! The crate knows a network namespace and an init process, never a container, an image or a record. It prints nothing,
//! reads no environment and starts no thread. The kernel is configured by netlink in process; the only foreign programs
//! are the two user-mode stacks, slirp4netns and pasta.

mod addresses;
mod bind;
mod error;
mod forwarder;
pub mod hosts;
mod mode;
mod netlink;
mod pasta;
mod ports;
pub mod resolv;
mod slirp;
mod uplink;

pub use addresses::{Addresses, host_addresses};
pub use bind::{Listener, bind, published};
pub use error::Error;
pub use forwarder::control::{Backend, Forwarder, Group, Place, forwarder_plan};
pub use forwarder::http::{PathMatch, Rule};
pub use forwarder::serve::forward;
pub use hosts::{HostAddress, HostEntry};
pub use mode::{Mode, NetworkRef};
pub use ports::{PortMapping, Protocol, parse_publish};
pub use uplink::{Uplink, UplinkKind, choose, expected_addresses, start_uplink};

/// The result of everything here.
pub type Result<T> = std::result::Result<T, Error>;
