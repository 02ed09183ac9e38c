//! Interfaces, addresses and routes, see rtnetlink(7).

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::libc;
use rustix::net::{RecvFlags, SendFlags};

use super::{Message, Netlink, family};
use crate::Cidr;
use crate::record::RouteKind;

// linux/if_link.h, linux/veth.h, linux/rtnetlink.h, linux/neighbour.h; libc has no names for them.
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
const IFLA_MACVLAN_MODE: u16 = 1;
const IFLA_MACVLAN_BC_CUTOFF: u16 = 9;
const IFLA_IPVLAN_MODE: u16 = 1;
const IFLA_BR_VLAN_FILTERING: u16 = 7;
const IFLA_BR_VLAN_DEFAULT_PVID: u16 = 39;
const RTM_SETNEIGHTBL: u16 = 67;
const NDTA_NAME: u16 = 1;
const NDTA_PARMS: u16 = 6;
const NDTPA_IFINDEX: u16 = 1;
const NDTPA_PROXY_DELAY: u16 = 13;
const RTN_UNICAST: u8 = 1;
const RTN_BLACKHOLE: u8 = 6;
const RTN_UNREACHABLE: u8 = 7;
const RTN_PROHIBIT: u8 = 8;

/// A pair of interfaces: one here, the other one in another namespace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Veth<'a> {
    pub(crate) name: &'a str,
    /// The number that ours gets; 0: the next one.
    pub(crate) index: u32,
    /// The number of the bridge that ours is on.
    pub(crate) bridge: Option<u32>,
    pub(crate) mtu: u32,
    pub(crate) peer_name: &'a str,
    pub(crate) peer_mac: [u8; 6],
    pub(crate) peer_namespace: BorrowedFd<'a>,
    /// Whether ours is set up at once.
    pub(crate) up: bool,
}

/// One more face of an interface, in another namespace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Face<'a> {
    pub(crate) name: &'a str,
    /// The number of the interface below.
    pub(crate) below: u32,
    /// `macvlan` or `ipvlan`.
    pub(crate) kind: &'a str,
    /// A word of that kind; empty: the usual one.
    pub(crate) mode: &'a str,
    /// How many faces one broadcast is copied to at once, of macvlan.
    pub(crate) broadcast_limit: Option<i32>,
    /// Only macvlan has one of its own.
    pub(crate) mac: [u8; 6],
    pub(crate) mtu: u32,
    pub(crate) namespace: BorrowedFd<'a>,
}

impl Netlink {
    /// `ip link add NAME index INDEX address MAC mtu MTU type bridge`. Without an address that was given to it a bridge
    /// takes that of one of its ports, and another one when that port goes.
    pub(crate) fn add_bridge(
        &self,
        name: &str,
        index: u32,
        mac: [u8; 6],
        mtu: u32,
        vlan: Option<u16>,
    ) -> io::Result<()> {
        let mut message = Message::new(libc::RTM_NEWLINK, libc::NLM_F_CREATE | libc::NLM_F_EXCL);
        message.link(index, 0, 0);
        message.text(libc::IFLA_IFNAME, name);
        message.attribute(libc::IFLA_ADDRESS, &mac);
        message.attribute(libc::IFLA_MTU, &mtu.to_ne_bytes());
        let info = message.open(libc::IFLA_LINKINFO);
        message.text(IFLA_INFO_KIND, "bridge");
        if let Some(vlan) = vlan {
            let data = message.open(IFLA_INFO_DATA);
            message.attribute(IFLA_BR_VLAN_DEFAULT_PVID, &vlan.to_ne_bytes());
            message.attribute(IFLA_BR_VLAN_FILTERING, &[1]);
            message.close(data);
        }
        message.close(info);
        self.request(message)
    }

    /// `ip link add … type veth peer name … netns …`.
    pub(crate) fn add_veth(&self, veth: &Veth<'_>) -> io::Result<()> {
        let mut message = Message::new(libc::RTM_NEWLINK, libc::NLM_F_CREATE | libc::NLM_F_EXCL);
        let up = if veth.up { libc::IFF_UP as u32 } else { 0 };
        message.link(veth.index, up, up);
        message.text(libc::IFLA_IFNAME, veth.name);
        message.attribute(libc::IFLA_MTU, &veth.mtu.to_ne_bytes());
        if let Some(bridge) = veth.bridge {
            message.attribute(libc::IFLA_MASTER, &bridge.to_ne_bytes());
        }
        let info = message.open(libc::IFLA_LINKINFO);
        message.text(IFLA_INFO_KIND, "veth");
        let data = message.open(IFLA_INFO_DATA);
        let peer = message.open(VETH_INFO_PEER);
        message.link(0, 0, 0);
        message.text(libc::IFLA_IFNAME, veth.peer_name);
        message.attribute(libc::IFLA_MTU, &veth.mtu.to_ne_bytes());
        message.attribute(libc::IFLA_ADDRESS, &veth.peer_mac);
        message.attribute(libc::IFLA_NET_NS_FD, &(veth.peer_namespace.as_raw_fd() as u32).to_ne_bytes());
        message.close(peer);
        message.close(data);
        message.close(info);
        self.request(message)
    }

    /// `ip link add link BELOW NAME … netns … type macvlan mode MODE`.
    pub(crate) fn add_face(&self, face: &Face<'_>) -> io::Result<()> {
        let mut message = Message::new(libc::RTM_NEWLINK, libc::NLM_F_CREATE | libc::NLM_F_EXCL);
        message.link(0, 0, 0);
        message.text(libc::IFLA_IFNAME, face.name);
        message.attribute(libc::IFLA_LINK, &face.below.to_ne_bytes());
        message.attribute(libc::IFLA_MTU, &face.mtu.to_ne_bytes());
        message.attribute(libc::IFLA_NET_NS_FD, &(face.namespace.as_raw_fd() as u32).to_ne_bytes());
        if face.kind == "macvlan" {
            message.attribute(libc::IFLA_ADDRESS, &face.mac);
        }
        let info = message.open(libc::IFLA_LINKINFO);
        message.text(IFLA_INFO_KIND, face.kind);
        let data = message.open(IFLA_INFO_DATA);
        if face.kind == "macvlan" {
            let mode: u32 = match face.mode {
                "private" => 1,
                "vepa" => 2,
                "passthru" => 8,
                _ => 4,
            };
            message.attribute(IFLA_MACVLAN_MODE, &mode.to_ne_bytes());
            if let Some(limit) = face.broadcast_limit {
                message.attribute(IFLA_MACVLAN_BC_CUTOFF, &limit.to_ne_bytes());
            }
        } else {
            let mode: u16 = match face.mode {
                "l3" => 1,
                "l3s" => 2,
                _ => 0,
            };
            message.attribute(IFLA_IPVLAN_MODE, &mode.to_ne_bytes());
        }
        message.close(data);
        message.close(info);
        self.request(message)
    }

    /// `ip link set dev INDEX up`.
    pub(crate) fn set_up(&self, index: u32) -> io::Result<()> {
        let mut message = Message::new(libc::RTM_NEWLINK, 0);
        let up = libc::IFF_UP as u32;
        message.link(index, up, up);
        self.request(message)
    }

    /// `ip link set dev INDEX mtu MTU up`.
    pub(crate) fn set_up_with_mtu(&self, index: u32, mtu: u32) -> io::Result<()> {
        let mut message = Message::new(libc::RTM_NEWLINK, 0);
        let up = libc::IFF_UP as u32;
        message.link(index, up, up);
        message.attribute(libc::IFLA_MTU, &mtu.to_ne_bytes());
        self.request(message)
    }

    /// `ip link del dev INDEX`; one that is gone already is as good.
    pub(crate) fn remove_link(&self, index: u32) -> io::Result<()> {
        let mut message = Message::new(libc::RTM_DELLINK, 0);
        message.link(index, 0, 0);
        match self.request(message) {
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(()),
            other => other,
        }
    }

    /// The number of the interface of that name, in this socket's namespace.
    pub(crate) fn index_of(&self, name: &str) -> io::Result<u32> {
        let mut message = Message::new(libc::RTM_GETLINK, 0);
        message.link(0, 0, 0);
        message.text(libc::IFLA_IFNAME, name);
        rustix::net::send(&self.0, &message.finish(), SendFlags::empty())?;
        let mut answer = [0_u8; 8192];
        let (length, _) = rustix::net::recv(&self.0, &mut answer, RecvFlags::TRUNC)?;
        let answer = &answer[..length.min(answer.len())];
        let number = |range: std::ops::Range<usize>| {
            answer.get(range).and_then(|bytes| bytes.first_chunk()).map(|bytes| i32::from_ne_bytes(*bytes))
        };
        match answer.get(4..6).and_then(|bytes| bytes.first_chunk()).map(|bytes| u16::from_ne_bytes(*bytes)) {
            Some(libc::RTM_NEWLINK) => {
                // The acknowledgement follows.
                let _ = rustix::net::recv(&self.0, &mut [0; 1024], RecvFlags::empty());
                // struct ifinfomsg: family, pad, type (2), index (4).
                number(20..24).map(i32::cast_unsigned).ok_or_else(|| io::ErrorKind::InvalidData.into())
            }
            _ => Err(number(16..20)
                .map_or_else(|| io::ErrorKind::InvalidData.into(), |negative| io::Error::from_raw_os_error(-negative))),
        }
    }

    /// `ip route append [KIND] DESTINATION [via GATEWAY] [dev INDEX] [metric METRIC]`: of equal routes the first one
    /// counts, and the next one when that is gone.
    pub(crate) fn add_route(
        &self,
        destination: Cidr,
        gateway: Option<IpAddr>,
        interface: Option<u32>,
        metric: Option<u32>,
        kind: RouteKind,
    ) -> io::Result<()> {
        let mut message = Message::new(libc::RTM_NEWROUTE, libc::NLM_F_CREATE | libc::NLM_F_APPEND);
        let kind = match kind {
            RouteKind::Unicast => RTN_UNICAST,
            RouteKind::Blackhole => RTN_BLACKHOLE,
            RouteKind::Unreachable => RTN_UNREACHABLE,
            RouteKind::Prohibit => RTN_PROHIBIT,
        };
        let scope = match (gateway, kind) {
            (None, RTN_UNICAST) => libc::RT_SCOPE_LINK,
            _ => libc::RT_SCOPE_UNIVERSE,
        };
        // struct rtmsg: family, dst_len, src_len, tos, table, protocol, scope, type, flags.
        let (family, table) = (family(!destination.is_ipv4()), libc::RT_TABLE_MAIN);
        message.bytes(&[family, destination.prefix, 0, 0, table, libc::RTPROT_STATIC, scope, kind, 0, 0, 0, 0]);
        if destination.prefix > 0 {
            message.address(libc::RTA_DST, destination.address);
        }
        if let Some(gateway) = gateway {
            message.address(libc::RTA_GATEWAY, gateway);
        }
        if let Some(interface) = interface {
            message.attribute(libc::RTA_OIF, &interface.to_ne_bytes());
        }
        if let Some(metric) = metric {
            message.attribute(libc::RTA_PRIORITY, &metric.to_ne_bytes());
        }
        self.accept_existing(message)
    }

    /// `ip ntable change name arp_cache dev INDEX proxy_delay 0`: the kernel answers for others up to 0.8 s late, so that
    /// the owner of an address may come first. Nobody else is on the uplink's little network.
    pub(crate) fn answer_for_others_at_once(&self, interface: u32) -> io::Result<()> {
        let mut message = Message::new(RTM_SETNEIGHTBL, libc::NLM_F_REPLACE);
        // struct ndtmsg: family, pad (3).
        message.bytes(&[family(false), 0, 0, 0]);
        message.text(NDTA_NAME, "arp_cache");
        let parameters = message.open(NDTA_PARMS);
        message.attribute(NDTPA_IFINDEX, &interface.to_ne_bytes());
        message.attribute(NDTPA_PROXY_DELAY, &0_u64.to_ne_bytes());
        message.close(parameters);
        self.request(message)
    }
}

impl Message {
    /// struct ifinfomsg: family, pad, type, index, flags, change.
    fn link(&mut self, index: u32, flags: u32, change: u32) {
        self.bytes(&[0, 0, 0, 0]);
        for number in [index, flags, change] {
            self.bytes(&number.to_ne_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_attributes_hold_what_is_in_them() {
        let mut message = Message::new(libc::RTM_NEWLINK, 0);
        let outer = message.open(libc::IFLA_LINKINFO);
        message.text(IFLA_INFO_KIND, "veth");
        message.close(outer);
        let bytes = message.finish();
        assert_eq!(bytes.len(), 16 + 4 + 12);
        assert_eq!(bytes[16..18], 16_u16.to_ne_bytes());
        assert_eq!(&bytes[24..29], b"veth\0");
    }
}
