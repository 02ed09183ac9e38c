//! The few rtnetlink(7) requests that are needed, for the forwarder (an address, a local route, a policy rule) and for
//! named networks (`links`), and the packet filter (`filter`). No `ip` program is started.

pub(crate) mod filter;
mod links;

use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;

use nix::libc;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use crate::Cidr;

/// A socket to the kernel's routing tables of one network namespace: that of the caller at the time it is made.
#[derive(Debug)]
pub(crate) struct Netlink(OwnedFd);

pub(crate) use links::{Face, Veth};

/// Which packets a policy rule catches.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Match {
    /// Those that carry this mark.
    Mark(u32),
    /// Those of one protocol (an IPPROTO number) from one source port.
    SourcePort { protocol: u8, port: u16 },
    /// Those of one protocol.
    Protocol(u8),
}

// linux/fib_rules.h; libc has no names for them.
const FRA_PRIORITY: u16 = 6;
const FRA_FWMARK: u16 = 10;
const FRA_TABLE: u16 = 15;
const FRA_FWMASK: u16 = 16;
const FRA_IP_PROTO: u16 = 22;
const FRA_SPORT_RANGE: u16 = 23;
const FR_ACT_TO_TBL: u8 = 1;
const NLA_F_NESTED: u16 = 1 << 15;

impl From<OwnedFd> for Netlink {
    fn from(socket: OwnedFd) -> Netlink {
        Netlink(socket)
    }
}

impl From<Netlink> for OwnedFd {
    fn from(netlink: Netlink) -> OwnedFd {
        netlink.0
    }
}

impl Netlink {
    pub(crate) fn open() -> io::Result<Netlink> {
        let flags = SocketFlags::CLOEXEC;
        // No protocol is 0, NETLINK_ROUTE.
        Ok(Netlink(rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?))
    }

    /// `ip rule add PREFERENCE match… lookup TABLE`; one that is there already is as good.
    pub(crate) fn add_rule(&self, v6: bool, preference: u32, matching: Match, table: u32) -> io::Result<()> {
        let mut message = Message::new(libc::RTM_NEWRULE, libc::NLM_F_CREATE | libc::NLM_F_EXCL);
        // struct fib_rule_hdr: family, dst_len, src_len, tos, table, res1, res2, action, flags. A table above 255 is
        // an attribute.
        message.bytes(&[family(v6), 0, 0, 0, libc::RT_TABLE_UNSPEC, 0, 0, FR_ACT_TO_TBL, 0, 0, 0, 0]);
        message.attribute(FRA_PRIORITY, &preference.to_ne_bytes());
        message.attribute(FRA_TABLE, &table.to_ne_bytes());
        match matching {
            Match::Mark(mark) => {
                message.attribute(FRA_FWMARK, &mark.to_ne_bytes());
                message.attribute(FRA_FWMASK, &u32::MAX.to_ne_bytes());
            }
            Match::Protocol(protocol) => message.attribute(FRA_IP_PROTO, &[protocol]),
            Match::SourcePort { protocol, port } => {
                message.attribute(FRA_IP_PROTO, &[protocol]);
                // struct fib_rule_port_range: first and last.
                let port = port.to_ne_bytes();
                message.attribute(FRA_SPORT_RANGE, &[port[0], port[1], port[0], port[1]]);
            }
        }
        self.accept_existing(message)
    }

    /// `ip route add local DESTINATION/BITS dev INTERFACE src SOURCE table TABLE`.
    pub(crate) fn add_local_route(
        &self,
        destination: IpAddr,
        bits: u8,
        source: Option<IpAddr>,
        interface: u32,
        table: u32,
    ) -> io::Result<()> {
        self.accept_existing(route(
            libc::RTM_NEWROUTE,
            libc::NLM_F_CREATE | libc::NLM_F_EXCL,
            destination,
            bits,
            source,
            interface,
            table,
        ))
    }

    pub(crate) fn remove_local_route(
        &self,
        destination: IpAddr,
        bits: u8,
        interface: u32,
        table: u32,
    ) -> io::Result<()> {
        self.request(route(libc::RTM_DELROUTE, 0, destination, bits, None, interface, table))
    }

    /// `ip address add ADDRESS/BITS dev INTERFACE nodad`.
    pub(crate) fn add_address(&self, address: IpAddr, bits: u8, interface: u32) -> io::Result<()> {
        let mut message = Message::new(libc::RTM_NEWADDR, libc::NLM_F_CREATE | libc::NLM_F_EXCL);
        // struct ifaddrmsg: family, prefixlen, flags, scope, index.
        message.bytes(&[family(address.is_ipv6()), bits, libc::IFA_F_NODAD as u8, libc::RT_SCOPE_UNIVERSE]);
        message.bytes(&interface.to_ne_bytes());
        message.address(libc::IFA_LOCAL, address);
        message.address(libc::IFA_ADDRESS, address);
        if address.is_ipv4() && bits < 31 {
            message.address(libc::IFA_BROADCAST, Cidr::containing(address, bits).last());
        }
        self.accept_existing(message)
    }

    fn accept_existing(&self, message: Message) -> io::Result<()> {
        match self.request(message) {
            Err(error) if error.raw_os_error() == Some(libc::EEXIST) => Ok(()),
            other => other,
        }
    }

    /// Sends one request and waits for its acknowledgement: an nlmsghdr (16 bytes), then minus errno.
    fn request(&self, message: Message) -> io::Result<()> {
        rustix::net::send(&self.0, &message.finish(), SendFlags::empty())?;
        let mut answer = [0_u8; 1024];
        let (length, _) = rustix::net::recv(&self.0, &mut answer, RecvFlags::empty())?;
        match answer[..length] {
            [_, _, _, _, low, high, _, _, _, _, _, _, _, _, _, _, a, b, c, d, ..]
                if i32::from(u16::from_ne_bytes([low, high])) == libc::NLMSG_ERROR =>
            {
                match i32::from_ne_bytes([a, b, c, d]) {
                    0 => Ok(()),
                    negative => Err(io::Error::from_raw_os_error(-negative)),
                }
            }
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

fn route(
    kind: u16,
    flags: libc::c_int,
    destination: IpAddr,
    bits: u8,
    source: Option<IpAddr>,
    interface: u32,
    table: u32,
) -> Message {
    let mut message = Message::new(kind, flags);
    // struct rtmsg: family, dst_len, src_len, tos, table, protocol, scope, type, flags.
    let (family, table_byte) = (family(destination.is_ipv6()), libc::RT_TABLE_UNSPEC);
    message.bytes(&[
        family,
        bits,
        0,
        0,
        table_byte,
        libc::RTPROT_STATIC,
        libc::RT_SCOPE_HOST,
        libc::RTN_LOCAL,
        0,
        0,
        0,
        0,
    ]);
    if bits > 0 {
        message.address(libc::RTA_DST, destination);
    }
    if let Some(source) = source {
        message.address(libc::RTA_PREFSRC, source);
    }
    message.attribute(libc::RTA_OIF, &interface.to_ne_bytes());
    message.attribute(libc::RTA_TABLE, &table.to_ne_bytes());
    message
}

fn family(v6: bool) -> u8 {
    if v6 { libc::AF_INET6 as u8 } else { libc::AF_INET as u8 }
}

/// A request under construction, see netlink(7).
struct Message(Vec<u8>);

impl Message {
    /// A request that is acknowledged.
    fn new(kind: u16, flags: libc::c_int) -> Message {
        Message::plain(kind, flags | libc::NLM_F_REQUEST | libc::NLM_F_ACK)
    }

    fn plain(kind: u16, flags: libc::c_int) -> Message {
        let mut bytes = vec![0; 16];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&(flags as u16).to_ne_bytes());
        Message(bytes)
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) {
        let length = 4 + value.len() as u16;
        self.bytes(&length.to_ne_bytes());
        self.bytes(&kind.to_ne_bytes());
        self.bytes(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    fn address(&mut self, kind: u16, address: IpAddr) {
        match address {
            IpAddr::V4(v4) => self.attribute(kind, &v4.octets()),
            IpAddr::V6(v6) => self.attribute(kind, &v6.octets()),
        }
    }

    fn text(&mut self, kind: u16, text: &str) {
        let mut bytes = text.as_bytes().to_vec();
        bytes.push(0);
        self.attribute(kind, &bytes);
    }

    /// Begins an attribute that is made of others.
    fn open(&mut self, kind: u16) -> usize {
        let start = self.0.len();
        self.attribute(kind | NLA_F_NESTED, &[]);
        start
    }

    fn close(&mut self, start: usize) {
        let length = (self.0.len() - start) as u16;
        self.0[start..start + 2].copy_from_slice(&length.to_ne_bytes());
    }

    fn finish(mut self) -> Vec<u8> {
        let length = self.0.len() as u32;
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_padded_and_the_length_is_theirs() {
        let mut message = Message::new(libc::RTM_NEWRULE, 0);
        message.attribute(FRA_IP_PROTO, &[17]);
        let bytes = message.finish();
        assert_eq!(bytes.len(), 24);
        assert_eq!(bytes[..4], 24_u32.to_ne_bytes());
        assert_eq!(bytes[16..18], 5_u16.to_ne_bytes());
    }
}
