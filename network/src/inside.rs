//! Sockets that listen inside of a named network, on an address that nobody else has there: that of a Service.

use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use crate::holder::plug::in_namespace;
use crate::netlink::Netlink;
use crate::ports::Protocol;
use crate::{Error, Result};

/// Loopback's number in every network namespace.
const LOOPBACK: u32 = 1;
const BACKLOG: i32 = 4096;

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
