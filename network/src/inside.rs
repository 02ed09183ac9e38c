//! Sockets that listen inside of a named network, on an address that nobody else has there: that of a Service. Clients
//! of an address that no Service has are refused.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, OwnedFd};

use nix::libc::RT_TABLE_LOCAL;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use crate::holder::plug::in_namespace;
use crate::netlink::Netlink;
use crate::ports::Protocol;
use crate::{Cidr, Error, Result};

/// Loopback's number in every network namespace.
const LOOPBACK: u32 = 1;
const BACKLOG: i32 = 4096;

/// Makes a whole range one of the namespace's own, for addresses that [`listen_inside`] has not made yet, or not any more:
/// clients are refused at once, by a reset. A packet would leave by the uplink otherwise, and end up with whoever has the
/// address in the world. A route of the kind "unreachable" would refuse, too, but the kernel limits how often it says so
/// (route/error_cost), and the next client waits.
///
/// # Errors
/// The kernel's word.
pub fn reserve_inside(namespace: BorrowedFd<'_>, range: Cidr) -> Result<()> {
    in_namespace(Some(namespace), || reserve(&Netlink::open()?, range).map(|()| Vec::new()))
        .map(drop)
        .map_err(Error::kernel(format!("reserve {range} for Services")))
}

/// The same, in the namespace of the socket.
pub(crate) fn reserve(netlink: &Netlink, range: Cidr) -> io::Result<()> {
    netlink.add_local_route(range.address, range.prefix, None, LOOPBACK, RT_TABLE_LOCAL.into())
}

/// A bound socket in the namespace of a network ([`crate::Link::namespace`]), with its address, which becomes one of that
/// namespace: members reach it by way of their gateway.
///
/// # Errors
/// [`Error::NotSupported`] for sctp, and the kernel's word with the address.
pub fn listen_inside(namespace: BorrowedFd<'_>, protocol: Protocol, address: SocketAddr) -> Result<OwnedFd> {
    let kind = match protocol {
        Protocol::Tcp => SocketType::STREAM,
        Protocol::Udp => SocketType::DGRAM,
        Protocol::Sctp => return Err(Error::NotSupported("a Service over sctp".into())),
    };
    let made = in_namespace(Some(namespace), || {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        // Another port of the same Service may have brought it.
        Netlink::open()?.add_address(address.ip(), bits, LOOPBACK)?;
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let socket = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
        sockopt::set_socket_reuseaddr(&socket, true)?;
        rustix::net::bind(&socket, &address)?;
        if kind == SocketType::STREAM {
            rustix::net::listen(&socket, BACKLOG)?;
        }
        Ok(vec![socket])
    });
    let mut made = made.map_err(Error::kernel(format!("listen on {address} inside of the network")))?;
    made.pop().ok_or_else(|| Error::Refused(format!("the socket for {address} was lost")))
}
