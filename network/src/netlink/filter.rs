//! Tables of nf_tables that filter what one interface brings in, see linux/netfilter/nf_tables.h. No `nft` program is
//! started.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::OwnedFd;

use nix::libc;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use super::Message;
use crate::Cidr;

/// A socket to the packet filter of one network namespace: that of the caller at the time it is made.
#[derive(Debug)]
pub(crate) struct Filter(OwnedFd);

/// What is asked of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Test {
    /// A question or an answer of ARP in the name of this address.
    ArpOf(Ipv4Addr),
    /// ICMP of IPv6 of one of these types.
    Icmp6(u8, u8),
    /// An advertisement of neighbour discovery, RFC 4861, 4.4, for one of these addresses; only after [`Test::Icmp6`].
    Advertises(Cidr),
    /// It is of this family, and comes from another address.
    NotFrom(Cidr),
    To(Cidr),
    /// It goes to an address in the set of that name, of IPv4 or of IPv6.
    In {
        set: String,
        v4: bool,
    },
    /// An IPPROTO number.
    Protocol(u8),
    /// To one of these ports; only after a protocol that has them.
    Ports(u16, u16),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Accept,
    Drop,
    /// The sender is told: administratively prohibited.
    Reject,
}

/// What happens to packets that pass all tests; the first rule that fits counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) tests: Vec<Test>,
    pub(crate) verdict: Verdict,
}

/// A set of addresses of one family that rules refer to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Set {
    pub(crate) name: String,
    pub(crate) v4: bool,
}

// linux/netfilter/nfnetlink.h, linux/netfilter/nf_tables.h; libc has few names for them.
const NFNL_SUBSYS_NFTABLES: u16 = 10;
const NFNL_MSG_BATCH_BEGIN: u16 = 0x10;
const NFNL_MSG_BATCH_END: u16 = 0x11;
const NFT_MSG_NEWTABLE: u16 = 0;
const NFT_MSG_DELTABLE: u16 = 2;
const NFT_MSG_NEWCHAIN: u16 = 3;
const NFT_MSG_NEWRULE: u16 = 6;
const NFT_MSG_NEWSET: u16 = 9;
const NFT_MSG_NEWSETELEM: u16 = 12;
const NFPROTO_NETDEV: u8 = 5;
const NF_NETDEV_INGRESS: u32 = 0;
const NF_DROP: u32 = 0;
const NF_ACCEPT: u32 = 1;
const NFTA_TABLE_NAME: u16 = 1;
const NFTA_CHAIN_TABLE: u16 = 1;
const NFTA_CHAIN_NAME: u16 = 3;
const NFTA_CHAIN_HOOK: u16 = 4;
const NFTA_CHAIN_POLICY: u16 = 5;
const NFTA_CHAIN_TYPE: u16 = 7;
const NFTA_HOOK_HOOKNUM: u16 = 1;
const NFTA_HOOK_PRIORITY: u16 = 2;
const NFTA_HOOK_DEV: u16 = 3;
const NFTA_RULE_TABLE: u16 = 1;
const NFTA_RULE_CHAIN: u16 = 2;
const NFTA_RULE_EXPRESSIONS: u16 = 4;
const NFTA_SET_TABLE: u16 = 1;
const NFTA_SET_NAME: u16 = 2;
const NFTA_SET_FLAGS: u16 = 3;
const NFTA_SET_KEY_TYPE: u16 = 4;
const NFTA_SET_KEY_LEN: u16 = 5;
const NFTA_SET_ID: u16 = 10;
const NFTA_SET_ELEM_LIST_TABLE: u16 = 1;
const NFTA_SET_ELEM_LIST_SET: u16 = 2;
const NFTA_SET_ELEM_LIST_ELEMENTS: u16 = 3;
const NFTA_SET_ELEM_KEY: u16 = 1;
const NFTA_LIST_ELEM: u16 = 1;
const NFTA_EXPR_NAME: u16 = 1;
const NFTA_EXPR_DATA: u16 = 2;
const NFTA_DATA_VALUE: u16 = 1;
const NFTA_DATA_VERDICT: u16 = 2;
const NFTA_VERDICT_CODE: u16 = 1;
const NFT_REG_VERDICT: u32 = 0;
/// The one register that is used: 16 bytes, an address of IPv6.
const NFT_REG_1: u32 = 1;
const NFT_META_PROTOCOL: u32 = 1;
const NFT_META_L4PROTO: u32 = 16;
const NFT_CMP_EQ: u32 = 0;
const NFT_RANGE_EQ: u32 = 0;
const NFT_RANGE_NEQ: u32 = 1;
const NFT_PAYLOAD_NETWORK_HEADER: u32 = 1;
const NFT_PAYLOAD_TRANSPORT_HEADER: u32 = 2;
const NFT_REJECT_ICMPX_UNREACH: u32 = 2;
const NFT_REJECT_ICMPX_ADMIN_PROHIBITED: u8 = 3;

/// Every table has one.
const CHAIN: &str = "in";

impl From<OwnedFd> for Filter {
    fn from(socket: OwnedFd) -> Filter {
        Filter(socket)
    }
}

impl From<Filter> for OwnedFd {
    fn from(filter: Filter) -> OwnedFd {
        filter.0
    }
}

impl Filter {
    pub(crate) fn open() -> io::Result<Filter> {
        let protocol = Some(rustix::net::netlink::NETFILTER);
        Ok(Filter(rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?))
    }

    /// `table netdev TABLE { set …; chain in { type filter hook ingress device INTERFACE priority 0; policy drop; … } }`,
    /// all of it or nothing.
    pub(crate) fn add_table(&self, table: &str, interface: &str, sets: &[Set], rules: &[Rule]) -> io::Result<()> {
        let mut batch = Batch::default();
        batch.add(NFT_MSG_NEWTABLE, libc::NLM_F_CREATE | libc::NLM_F_EXCL, |message| {
            message.text(NFTA_TABLE_NAME, table);
        });
        for (set, id) in sets.iter().zip(1_u32..) {
            batch.add(NFT_MSG_NEWSET, libc::NLM_F_CREATE, |message| {
                message.text(NFTA_SET_TABLE, table);
                message.text(NFTA_SET_NAME, &set.name);
                message.number(NFTA_SET_FLAGS, 0);
                // How `nft` shows it: its numbers of address types.
                message.number(NFTA_SET_KEY_TYPE, if set.v4 { 7 } else { 8 });
                message.number(NFTA_SET_KEY_LEN, if set.v4 { 4 } else { 16 });
                message.number(NFTA_SET_ID, id);
            });
        }
        batch.add(NFT_MSG_NEWCHAIN, libc::NLM_F_CREATE, |message| {
            message.text(NFTA_CHAIN_TABLE, table);
            message.text(NFTA_CHAIN_NAME, CHAIN);
            let hook = message.open(NFTA_CHAIN_HOOK);
            message.number(NFTA_HOOK_HOOKNUM, NF_NETDEV_INGRESS);
            message.number(NFTA_HOOK_PRIORITY, 0);
            message.text(NFTA_HOOK_DEV, interface);
            message.close(hook);
            message.number(NFTA_CHAIN_POLICY, NF_DROP);
            message.text(NFTA_CHAIN_TYPE, "filter");
        });
        for rule in rules {
            batch.add(NFT_MSG_NEWRULE, libc::NLM_F_CREATE | libc::NLM_F_APPEND, |message| {
                message.text(NFTA_RULE_TABLE, table);
                message.text(NFTA_RULE_CHAIN, CHAIN);
                let list = message.open(NFTA_RULE_EXPRESSIONS);
                rule.tests.iter().for_each(|test| message.test(test));
                message.verdict(rule.verdict);
                message.close(list);
            });
        }
        self.commit(batch)
    }

    /// More addresses for a set; those that it has are as good.
    pub(crate) fn add_addresses(&self, table: &str, set: &Set, addresses: &[IpAddr]) -> io::Result<()> {
        let mut batch = Batch::default();
        batch.add(NFT_MSG_NEWSETELEM, libc::NLM_F_CREATE, |message| {
            message.text(NFTA_SET_ELEM_LIST_TABLE, table);
            message.text(NFTA_SET_ELEM_LIST_SET, &set.name);
            let list = message.open(NFTA_SET_ELEM_LIST_ELEMENTS);
            for address in addresses.iter().filter(|address| address.is_ipv4() == set.v4) {
                let element = message.open(NFTA_LIST_ELEM);
                message.value(NFTA_SET_ELEM_KEY, &octets(*address));
                message.close(element);
            }
            message.close(list);
        });
        self.commit(batch)
    }

    /// Takes a table away with all that is in it; one that is not there is as good.
    pub(crate) fn remove_table(&self, table: &str) -> io::Result<()> {
        let mut batch = Batch::default();
        batch.add(NFT_MSG_DELTABLE, 0, |message| message.text(NFTA_TABLE_NAME, table));
        match self.commit(batch) {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
            other => other,
        }
    }

    /// The kernel does all or nothing, and has answered when it has taken the request.
    fn commit(&self, batch: Batch) -> io::Result<()> {
        let (bytes, last) = batch.finish();
        rustix::net::send(&self.0, &bytes, SendFlags::empty())?;
        let mut first_error = None;
        loop {
            let mut answer = [0_u8; 4096];
            let (length, _) = rustix::net::recv(&self.0, &mut answer, RecvFlags::DONTWAIT)?;
            for message in messages(&answer[..length.min(answer.len())]) {
                let Some((sequence, code)) = acknowledged(message) else { continue };
                if code != 0 {
                    first_error.get_or_insert_with(|| io::Error::from_raw_os_error(-code));
                }
                // One that is refused as a whole is told of by its first message alone.
                if sequence == last || sequence == 0 {
                    return first_error.map_or(Ok(()), Err);
                }
            }
        }
    }
}

/// The messages of one datagram.
fn messages(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let length = bytes.first_chunk().map(|length| u32::from_ne_bytes(*length) as usize)?;
        let message = bytes.get(..length.max(16)).unwrap_or(bytes);
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        (message.len() >= 16).then_some(message)
    })
}

/// Of an acknowledgement: which message, and minus errno.
fn acknowledged(message: &[u8]) -> Option<(u32, i32)> {
    let number = |at: usize| message.get(at..at + 4).and_then(<[u8]>::first_chunk).copied();
    let kind = message.get(4..6).and_then(<[u8]>::first_chunk).map(|kind| u16::from_ne_bytes(*kind))?;
    if i32::from(kind) != libc::NLMSG_ERROR {
        return None;
    }
    Some((u32::from_ne_bytes(number(8)?), i32::from_ne_bytes(number(16)?)))
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// Several requests that become true together. The first message has the number 0.
#[derive(Default)]
struct Batch(Vec<Message>);

impl Batch {
    fn add(&mut self, kind: u16, flags: libc::c_int, fill: impl FnOnce(&mut Message)) {
        let mut message = Message::plain(NFNL_SUBSYS_NFTABLES << 8 | kind, flags | libc::NLM_F_REQUEST);
        // struct nfgenmsg: family, version, resource.
        message.bytes(&[NFPROTO_NETDEV, 0, 0, 0]);
        fill(&mut message);
        self.0.push(message);
    }

    /// The bytes, and the number of the message that is acknowledged.
    fn finish(self) -> (Vec<u8>, u32) {
        let border = |kind: u16| {
            let mut message = Message::plain(kind, libc::NLM_F_REQUEST);
            message.bytes(&[0, 0]);
            message.bytes(&NFNL_SUBSYS_NFTABLES.to_be_bytes());
            message
        };
        let last = self.0.len() as u32;
        let mut bytes = border(NFNL_MSG_BATCH_BEGIN).finish();
        for (mut message, number) in self.0.into_iter().zip(1_u32..) {
            message.0[8..12].copy_from_slice(&number.to_ne_bytes());
            if number == last {
                let flags = u16::from_ne_bytes([message.0[6], message.0[7]]) | libc::NLM_F_ACK as u16;
                message.0[6..8].copy_from_slice(&flags.to_ne_bytes());
            }
            bytes.extend(message.finish());
        }
        let mut end = border(NFNL_MSG_BATCH_END);
        end.0[8..12].copy_from_slice(&(last + 1).to_ne_bytes());
        bytes.extend(end.finish());
        (bytes, last)
    }
}

impl Message {
    fn number(&mut self, kind: u16, number: u32) {
        self.attribute(kind, &number.to_be_bytes());
    }

    fn value(&mut self, kind: u16, value: &[u8]) {
        let data = self.open(kind);
        self.attribute(NFTA_DATA_VALUE, value);
        self.close(data);
    }

    /// One step of a rule.
    fn expression(&mut self, name: &str, fill: impl FnOnce(&mut Message)) {
        let element = self.open(NFTA_LIST_ELEM);
        self.text(NFTA_EXPR_NAME, name);
        let data = self.open(NFTA_EXPR_DATA);
        fill(self);
        self.close(data);
        self.close(element);
    }

    fn load_meta(&mut self, key: u32) {
        // DREG, KEY.
        self.expression("meta", |message| {
            message.number(1, NFT_REG_1);
            message.number(2, key);
        });
    }

    fn load_payload(&mut self, base: u32, offset: u32, length: u32) {
        // DREG, BASE, OFFSET, LEN.
        self.expression("payload", |message| {
            for (kind, number) in [(1, NFT_REG_1), (2, base), (3, offset), (4, length)] {
                message.number(kind, number);
            }
        });
    }

    fn equals(&mut self, value: &[u8]) {
        // SREG, OP, DATA.
        self.expression("cmp", |message| {
            message.number(1, NFT_REG_1);
            message.number(2, NFT_CMP_EQ);
            message.value(3, value);
        });
    }

    fn between(&mut self, operation: u32, first: &[u8], last: &[u8]) {
        // SREG, OP, FROM, TO.
        self.expression("range", |message| {
            message.number(1, NFT_REG_1);
            message.number(2, operation);
            message.value(3, first);
            message.value(4, last);
        });
    }

    fn family(&mut self, v4: bool) {
        self.load_meta(NFT_META_PROTOCOL);
        let kind = if v4 { libc::ETH_P_IP } else { libc::ETH_P_IPV6 };
        self.equals(&(kind as u16).to_be_bytes());
    }

    fn load_destination(&mut self, v4: bool) {
        let (offset, length) = if v4 { (16, 4) } else { (24, 16) };
        self.load_payload(NFT_PAYLOAD_NETWORK_HEADER, offset, length);
    }

    fn test(&mut self, test: &Test) {
        match test {
            Test::ArpOf(address) => {
                self.load_meta(NFT_META_PROTOCOL);
                self.equals(&(libc::ETH_P_ARP as u16).to_be_bytes());
                // RFC 826: the kinds (8 bytes), the sender's hardware address, its protocol address.
                self.load_payload(NFT_PAYLOAD_NETWORK_HEADER, 14, 4);
                self.equals(&address.octets());
            }
            Test::Icmp6(first, last) => {
                self.family(false);
                self.test(&Test::Protocol(libc::IPPROTO_ICMPV6 as u8));
                self.load_payload(NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1);
                self.between(NFT_RANGE_EQ, &[*first], &[*last]);
            }
            Test::Advertises(range) => {
                self.load_payload(NFT_PAYLOAD_TRANSPORT_HEADER, 8, 16);
                self.between(NFT_RANGE_EQ, &octets(range.address), &octets(range.last()));
            }
            Test::NotFrom(range) => {
                let v4 = range.is_ipv4();
                self.family(v4);
                let (offset, length) = if v4 { (12, 4) } else { (8, 16) };
                self.load_payload(NFT_PAYLOAD_NETWORK_HEADER, offset, length);
                self.between(NFT_RANGE_NEQ, &octets(range.address), &octets(range.last()));
            }
            Test::To(range) => {
                self.family(range.is_ipv4());
                if range.prefix > 0 {
                    self.load_destination(range.is_ipv4());
                    self.between(NFT_RANGE_EQ, &octets(range.address), &octets(range.last()));
                }
            }
            Test::In { set, v4 } => {
                self.family(*v4);
                self.load_destination(*v4);
                // SET, SREG.
                self.expression("lookup", |message| {
                    message.text(1, set);
                    message.number(2, NFT_REG_1);
                });
            }
            Test::Protocol(protocol) => {
                self.load_meta(NFT_META_L4PROTO);
                self.equals(&[*protocol]);
            }
            Test::Ports(first, last) => {
                // Of TCP, UDP and SCTP alike.
                self.load_payload(NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2);
                self.between(NFT_RANGE_EQ, &first.to_be_bytes(), &last.to_be_bytes());
            }
        }
    }

    fn verdict(&mut self, verdict: Verdict) {
        let code = match verdict {
            Verdict::Accept => NF_ACCEPT,
            Verdict::Drop => NF_DROP,
            Verdict::Reject => {
                // TYPE, ICMP_CODE.
                self.expression("reject", |message| {
                    message.number(1, NFT_REJECT_ICMPX_UNREACH);
                    message.attribute(2, &[NFT_REJECT_ICMPX_ADMIN_PROHIBITED]);
                });
                return;
            }
        };
        // DREG, DATA.
        self.expression("immediate", |message| {
            message.number(1, NFT_REG_VERDICT);
            let data = message.open(2);
            let verdict = message.open(NFTA_DATA_VERDICT);
            message.number(NFTA_VERDICT_CODE, code);
            message.close(verdict);
            message.close(data);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_message_of_a_batch_is_acknowledged() {
        let mut batch = Batch::default();
        batch.add(NFT_MSG_NEWTABLE, 0, |message| message.text(NFTA_TABLE_NAME, "a"));
        batch.add(NFT_MSG_DELTABLE, 0, |message| message.text(NFTA_TABLE_NAME, "a"));
        let (bytes, last) = batch.finish();
        assert_eq!(last, 2);
        let all: Vec<&[u8]> = messages(&bytes).collect();
        assert_eq!(all.len(), 4);
        let flags = |message: &[u8]| i32::from(u16::from_ne_bytes([message[6], message[7]])) & libc::NLM_F_ACK;
        assert_eq!(all.iter().map(|message| flags(message) != 0).collect::<Vec<_>>(), [false, false, true, false]);
        assert_eq!(all.iter().map(|message| message[8]).collect::<Vec<_>>(), [0, 1, 2, 3]);
    }
}
