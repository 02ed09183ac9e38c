use std::io;
use std::net::SocketAddr;

use crate::ports::Protocol;

/// What can go wrong, divided by what the reader can do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A value the user typed does not follow its grammar.
    #[error("invalid {what} {text:?}: {reason}")]
    Invalid { what: &'static str, text: String, reason: String },

    /// What was asked for is understood but does not exist here.
    #[error("{0} is not supported")]
    NotSupported(String),

    /// Another process listens there; choose another port or end that process.
    #[error("listen {protocol} {address}: bind: address already in use{}", holder.as_ref().map(|who| format!(" (by {who})")).unwrap_or_default())]
    PortInUse { protocol: Protocol, address: SocketAddr, holder: Option<String> },

    /// The kernel keeps ports below `first` (net.ipv4.ip_unprivileged_port_start) for root.
    #[error(
        "cannot expose privileged port {}: ordinary users may use ports from {first} on: listen {protocol} {address}: bind: permission denied",
        address.port()
    )]
    PortPrivileged { protocol: Protocol, address: SocketAddr, first: u16 },

    /// The address is not one of this machine, or the kernel refused for another reason.
    #[error("listen {protocol} {address}: bind: {source}")]
    Listen { protocol: Protocol, address: SocketAddr, source: io::Error },

    /// No port of the range that was asked for is free.
    #[error("no free {protocol} port between {first} and {last} on the host")]
    NoFreePort { protocol: Protocol, first: u16, last: u16 },

    /// The user-mode network stack that was asked for is not installed.
    #[error("{0} not found: install it (pasta is in the package passt), or use creel's own stack")]
    NoUplink(String),

    /// The user-mode network stack ended before it was ready; `log` is what it said.
    #[error(
        "{program} failed{}{}",
        code.map(|code| format!(" with exit code {code}")).unwrap_or_default(),
        if log.is_empty() { String::new() } else { format!(":\n{log}") }
    )]
    Uplink { program: &'static str, code: Option<i32>, log: String },

    /// The forwarder of the published ports refused a request or is gone.
    #[error("port forwarder: {0}")]
    Forwarder(String),

    /// No network of that name or id.
    #[error("unable to find network with name or ID {0}: network not found")]
    NoSuchNetwork(String),

    /// Choose another name.
    #[error("network name {0} already used: network already exists")]
    NetworkExists(String),

    /// A network, or a place on it, that cannot be as it was asked for.
    #[error("{0}")]
    Refused(String),

    /// The holder of a network is gone, or says why it cannot.
    #[error("network {network}: {reason}")]
    Holder { network: String, reason: String },

    /// The holder of a network has heard the request and says nothing: somebody has stopped it.
    #[error("network {network}: its holder, process {pid}, does not answer")]
    Silent { network: String, pid: i32 },

    /// The records of networks are the store's.
    #[error(transparent)]
    Storage(#[from] storage::Error),

    /// A kernel call failed that normally does not.
    #[error("{action}: {source}")]
    Kernel { action: String, source: io::Error },
}

impl Error {
    pub(crate) fn invalid(what: &'static str, text: &str, reason: impl Into<String>) -> Error {
        Error::Invalid { what, text: text.to_owned(), reason: reason.into() }
    }

    /// For `map_err`: names what was being done.
    pub(crate) fn kernel<E: Into<io::Error>>(action: impl Into<String>) -> impl FnOnce(E) -> Error {
        let action = action.into();
        move |source| Error::Kernel { action, source: source.into() }
    }
}
