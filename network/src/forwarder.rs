//! The forwarder: listen here, deliver to one of these live, ready back ends there.
//!
//! A process of its own. Its listening sockets belong to the host's network namespace and were bound there before; the
//! process itself goes into the network namespace of the back end it connects to. A connection to a back end is made
//! from the client's own address, so that is what the server sees:
//!
//! - the socket is bound to the client's address and port with IP_TRANSPARENT, see ip(7);
//! - it carries a mark, which the server's side of a TCP connection takes over (net.ipv4.tcp_fwmark_accept), and which
//!   a policy rule sends back to this process instead of out into the world;
//! - UDP has no such connection: there a rule on the server's port looks into a table that has the addresses of the
//!   clients that are being served, and only those, so a server may still talk to anybody else from the same port.
//!
//! None of it needs a right beyond those of root in the user namespace that owns the network namespace. Bytes are moved
//! by splice(2) and are never seen here, but for the heads of requests that are routed by them (`http`) and for what comes
//! by TLS (`tls`).

pub(crate) mod control;
pub(crate) mod http;
mod pipes;
mod place;
pub(crate) mod serve;
pub(crate) mod slab;
mod tcp;
mod tls;
mod turns;
mod udp;
