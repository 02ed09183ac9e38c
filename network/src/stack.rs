//! creel's own user-mode network stack: the way out of a container where nothing is installed.
//!
//! A process of its own, outside of the container, has one end of an interface inside of it (a tun device: packets of IP,
//! no link layer) and opens ordinary sockets on the host for what comes in there:
//!
//! - a connection of TCP ends here and goes on in a socket of the host's. The first packet is answered only when the host's
//!   own connect(2) has been: who is refused there is refused inside, who waits there waits inside. The protocol itself is
//!   smoltcp's, one small interface of its for each connection, so what a packet costs does not grow with their number;
//! - each address and port that sends UDP has a socket of its own, and whoever answers that one is heard;
//! - echo requests go out by ping sockets, where net.ipv4.ping_group_range lets this user have them;
//! - the name server's address leads to the host's first name server, the gateway's to the host's loopback if that was
//!   asked for, and no other address leads to this host's loopback or to this little network.
//!
//! The process has no capability, may gain none, and has a filter on its system calls. What a container sends is bounded by
//! the number of connections, and each of them by its buffers.

mod destination;
mod echo;
mod interface;
mod packet;
mod sandbox;
mod serve;
mod table;
mod tcp;
mod tun;
mod udp;

pub(crate) use interface::{NAME, Options};
pub use serve::uplink_main;
