//! Packets of IP: what one from inside says, and writing those that are not of an open connection.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use smoltcp::wire::{IpProtocol, Ipv4Packet, Ipv6Packet, TcpPacket, UdpPacket};

/// A packet from inside, as far as it concerns us. Every length in it was checked.
#[derive(Debug)]
pub(super) enum Packet<'a> {
    Tcp {
        from: SocketAddr,
        to: SocketAddr,
        segment: TcpPacket<&'a [u8]>,
    },
    Udp {
        from: SocketAddr,
        to: SocketAddr,
        payload: &'a [u8],
    },
    /// The whole message of ICMP.
    Echo {
        from: IpAddr,
        to: IpAddr,
        message: &'a [u8],
    },
}

pub(super) const ECHO_REQUEST: u8 = 8;
pub(super) const ECHO_REQUEST6: u8 = 128;
const ECHO_REPLY: u8 = 0;
const ECHO_REPLY6: u8 = 129;
/// Type, code, checksum, identifier, sequence number.
pub(super) const ECHO_HEADER: usize = 8;

const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;
const TCP_HEADER: usize = 20;
const UDP_HEADER: usize = 8;
const ICMP_HEADER: usize = 8;
const HOP_LIMIT: u8 = 64;
pub(super) const LARGEST: usize = 65_535;

const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP: u8 = 1;
const ICMP6: u8 = 58;

/// `None`: damaged, a fragment, or of no protocol that is carried.
pub(super) fn parse(bytes: &[u8]) -> Option<Packet<'_>> {
    let (from, to, protocol, payload) = match bytes.first()? >> 4 {
        4 => {
            let packet = Ipv4Packet::new_checked(bytes).ok()?;
            if packet.more_frags() || packet.frag_offset() != 0 {
                return None;
            }
            let (from, to) = (IpAddr::V4(packet.src_addr()), IpAddr::V4(packet.dst_addr()));
            (from, to, packet.next_header(), packet.payload_of())
        }
        6 => {
            let packet = Ipv6Packet::new_checked(bytes).ok()?;
            let (from, to) = (IpAddr::V6(packet.src_addr()), IpAddr::V6(packet.dst_addr()));
            (from, to, packet.next_header(), packet.payload_of())
        }
        _ => return None,
    };
    let ends = |source: u16, destination: u16| {
        // No port: nobody can be answered or asked.
        (source != 0 && destination != 0).then(|| (SocketAddr::new(from, source), SocketAddr::new(to, destination)))
    };
    match protocol {
        IpProtocol::Tcp => {
            let segment = TcpPacket::new_checked(payload).ok()?;
            let (from, to) = ends(segment.src_port(), segment.dst_port())?;
            Some(Packet::Tcp { from, to, segment })
        }
        IpProtocol::Udp => {
            let datagram = UdpPacket::new_checked(payload).ok()?;
            let (from, to) = ends(datagram.src_port(), datagram.dst_port())?;
            let payload = payload.get(UDP_HEADER..usize::from(datagram.len()))?;
            Some(Packet::Udp { from, to, payload })
        }
        IpProtocol::Icmp if is_echo(from.is_ipv4(), payload, ECHO_REQUEST) => {
            Some(Packet::Echo { from, to, message: payload })
        }
        IpProtocol::Icmpv6 if is_echo(from.is_ipv6(), payload, ECHO_REQUEST6) => {
            Some(Packet::Echo { from, to, message: payload })
        }
        _ => None,
    }
}

fn is_echo(of_family: bool, message: &[u8], kind: u8) -> bool {
    of_family && message.len() >= ECHO_HEADER && message[..2] == [kind, 0]
}

/// The payload with the life of the bytes, not of the view.
trait Payload<'a> {
    fn payload_of(&self) -> &'a [u8];
}

impl<'a> Payload<'a> for Ipv4Packet<&'a [u8]> {
    fn payload_of(&self) -> &'a [u8] {
        &self.clone().into_inner()[usize::from(self.header_len())..usize::from(self.total_len())]
    }
}

impl<'a> Payload<'a> for Ipv6Packet<&'a [u8]> {
    fn payload_of(&self) -> &'a [u8] {
        &self.clone().into_inner()[IPV6_HEADER..self.total_len()]
    }
}

/// The number of the bytes of a packet with this payload.
fn length(v6: bool, payload: usize) -> usize {
    payload + if v6 { IPV6_HEADER } else { IPV4_HEADER }
}

/// Writes the header of IP into the first bytes, and returns the rest. Both addresses are of one family.
fn header(packet: &mut [u8], from: IpAddr, to: IpAddr, protocol: u8) -> &mut [u8] {
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let total = packet.len() as u16;
            let (header, rest) = packet.split_at_mut(IPV4_HEADER);
            header.copy_from_slice(&[0; IPV4_HEADER]);
            header[0] = 0x45;
            header[2..4].copy_from_slice(&total.to_be_bytes());
            (header[8], header[9]) = (HOP_LIMIT, protocol);
            header[12..16].copy_from_slice(&from.octets());
            header[16..20].copy_from_slice(&to.octets());
            let sum = !fold(sum(header));
            header[10..12].copy_from_slice(&sum.to_be_bytes());
            rest
        }
        (from, to) => {
            let (header, rest) = packet.split_at_mut(IPV6_HEADER);
            header.copy_from_slice(&[0; IPV6_HEADER]);
            header[0] = 0x60;
            header[4..6].copy_from_slice(&(rest.len() as u16).to_be_bytes());
            (header[6], header[7]) = (protocol, HOP_LIMIT);
            header[8..24].copy_from_slice(&octets6(from));
            header[24..40].copy_from_slice(&octets6(to));
            rest
        }
    }
}

fn octets6(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// A packet that is yet to be written: how long it is, and what writes it into so many bytes.
pub(super) struct Draft<'a> {
    pub(super) length: usize,
    from: IpAddr,
    to: IpAddr,
    kind: Kind<'a>,
}

enum Kind<'a> {
    Udp { from: u16, to: u16, payload: &'a [u8] },
    Reset { from: u16, to: u16, sequence: u32, acknowledged: Option<u32> },
    Icmp { kind: u8, code: u8, rest: [u8; 4], payload: &'a [u8] },
}

impl<'a> Draft<'a> {
    pub(super) fn udp(from: SocketAddr, to: SocketAddr, payload: &'a [u8]) -> Draft<'a> {
        Draft {
            length: length(from.is_ipv6(), UDP_HEADER + payload.len()),
            from: from.ip(),
            to: to.ip(),
            kind: Kind::Udp { from: from.port(), to: to.port(), payload },
        }
    }

    /// Tells the sender of a segment that there is no connection, see RFC 9293, 3.10.7.1.
    pub(super) fn reset(from: SocketAddr, to: SocketAddr, segment: &TcpPacket<&[u8]>) -> Draft<'a> {
        let (sequence, acknowledged) = match segment.ack() {
            true => (segment.ack_number().0.cast_unsigned(), None),
            false => {
                let end = segment.seq_number() + segment.segment_len();
                (0, Some(end.0.cast_unsigned()))
            }
        };
        Draft {
            length: length(from.is_ipv6(), TCP_HEADER),
            from: to.ip(),
            to: from.ip(),
            kind: Kind::Reset { from: to.port(), to: from.port(), sequence, acknowledged },
        }
    }

    /// The answer to an echo request, which has the same payload.
    pub(super) fn echo(from: IpAddr, to: IpAddr, identifier: [u8; 2], message: &'a [u8]) -> Draft<'a> {
        let kind = if from.is_ipv6() { ECHO_REPLY6 } else { ECHO_REPLY };
        let rest = [identifier[0], identifier[1], message[6], message[7]];
        Draft {
            length: length(from.is_ipv6(), message.len()),
            from,
            to,
            kind: Kind::Icmp { kind, code: 0, rest, payload: &message[ECHO_HEADER..] },
        }
    }

    /// Tells the sender of a packet why it goes nowhere. `refused` is the packet or its beginning.
    pub(super) fn unreachable(from: IpAddr, to: IpAddr, why: Unreachable, refused: &'a [u8]) -> Draft<'a> {
        // What fits into the smallest packet that every host takes.
        let refused = &refused[..refused.len().min(500)];
        let (kind, code) = if from.is_ipv6() { (1, why.code6()) } else { (3, why.code()) };
        Draft {
            length: length(from.is_ipv6(), ICMP_HEADER + refused.len()),
            from,
            to,
            kind: Kind::Icmp { kind, code, rest: [0; 4], payload: refused },
        }
    }

    /// `packet` is as long as was said.
    pub(super) fn write(&self, packet: &mut [u8]) {
        let v6 = self.from.is_ipv6();
        match &self.kind {
            Kind::Udp { from, to, payload } => {
                let datagram = header(packet, self.from, self.to, UDP);
                let length = datagram.len() as u16;
                let (head, body) = datagram.split_at_mut(UDP_HEADER);
                head[..2].copy_from_slice(&from.to_be_bytes());
                head[2..4].copy_from_slice(&to.to_be_bytes());
                head[4..6].copy_from_slice(&length.to_be_bytes());
                head[6..8].copy_from_slice(&[0; 2]);
                body.copy_from_slice(payload);
            }
            Kind::Reset { from, to, sequence, acknowledged } => {
                let segment = header(packet, self.from, self.to, TCP);
                segment.copy_from_slice(&[0; TCP_HEADER]);
                segment[..2].copy_from_slice(&from.to_be_bytes());
                segment[2..4].copy_from_slice(&to.to_be_bytes());
                segment[4..8].copy_from_slice(&sequence.to_be_bytes());
                segment[8..12].copy_from_slice(&acknowledged.unwrap_or(0).to_be_bytes());
                const RST: u8 = 4;
                const ACK: u8 = 16;
                segment[12] = ((TCP_HEADER / 4) << 4) as u8;
                segment[13] = RST | if acknowledged.is_some() { ACK } else { 0 };
            }
            Kind::Icmp { kind, code, rest, payload } => {
                let message = header(packet, self.from, self.to, if v6 { ICMP6 } else { ICMP });
                let (head, body) = message.split_at_mut(ICMP_HEADER);
                head[..4].copy_from_slice(&[*kind, *code, 0, 0]);
                head[4..8].copy_from_slice(rest);
                body.copy_from_slice(payload);
                // Of IPv4 the addresses are no part of it.
                let pseudo = if v6 { pseudo(self.from, self.to, ICMP6, message.len()) } else { 0 };
                let sum = !fold(pseudo + sum(message));
                message[2..4].copy_from_slice(&sum.to_be_bytes());
            }
        }
    }
}

/// Why a packet goes nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreachable {
    Network,
    Host,
    Port,
    Prohibited,
}

impl Unreachable {
    /// RFC 792 and RFC 1812, 5.2.7.1.
    fn code(self) -> u8 {
        match self {
            Unreachable::Network => 0,
            Unreachable::Host => 1,
            Unreachable::Port => 3,
            Unreachable::Prohibited => 13,
        }
    }

    /// RFC 4443, 3.1.
    fn code6(self) -> u8 {
        match self {
            Unreachable::Network => 0,
            Unreachable::Prohibited => 1,
            Unreachable::Host => 3,
            Unreachable::Port => 4,
        }
    }
}

/// The first bytes of a datagram of ours, as a report on it quotes them.
pub(super) fn quote(from: SocketAddr, to: SocketAddr, room: &mut [u8; IPV6_HEADER + UDP_HEADER]) -> &[u8] {
    let draft = Draft::udp(from, to, &[]);
    draft.write(&mut room[..draft.length]);
    &room[..draft.length]
}

/// For a packet of TCP or UDP that has no checksum yet: where it has to be computed from and where it is put (an offset
/// from there), with the sum of the addresses put there, which is how the kernel wants it.
pub(super) fn begin_checksum(packet: &mut [u8]) -> Option<(u16, u16)> {
    let (from, to, protocol, start): (IpAddr, IpAddr, u8, usize) = match packet.first()? >> 4 {
        4 => {
            let from: [u8; 4] = packet.get(12..16)?.try_into().ok()?;
            let to: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
            (Ipv4Addr::from(from).into(), Ipv4Addr::from(to).into(), packet[9], IPV4_HEADER)
        }
        _ => {
            let from: [u8; 16] = packet.get(8..24)?.try_into().ok()?;
            let to: [u8; 16] = packet.get(24..40)?.try_into().ok()?;
            (Ipv6Addr::from(from).into(), Ipv6Addr::from(to).into(), packet[6], IPV6_HEADER)
        }
    };
    let offset = match protocol {
        TCP => 16,
        UDP => 6,
        _ => return None,
    };
    let sum = fold(pseudo(from, to, protocol, packet.len() - start));
    packet.get_mut(start + offset..start + offset + 2)?.copy_from_slice(&sum.to_be_bytes());
    Some((start as u16, offset as u16))
}

/// RFC 1071: the sum of all pairs of bytes, not folded.
fn sum(bytes: &[u8]) -> u64 {
    let pairs = bytes.chunks(2).map(|pair| match pair {
        [high, low] => u64::from(u16::from_be_bytes([*high, *low])),
        [high] => u64::from(*high) << 8,
        _ => 0,
    });
    pairs.sum()
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// What TCP, UDP and ICMPv6 sum up of the header of IP.
fn pseudo(from: IpAddr, to: IpAddr, protocol: u8, length: usize) -> u64 {
    let address = |address: IpAddr| match address {
        IpAddr::V4(v4) => sum(&v4.octets()),
        IpAddr::V6(v6) => sum(&v6.octets()),
    };
    address(from) + address(to) + u64::from(protocol) + length as u64
}

#[cfg(test)]
mod tests {
    use smoltcp::phy::ChecksumCapabilities;
    use smoltcp::wire::{IpAddress, Ipv4Repr, UdpRepr};

    use super::*;

    fn written(draft: &Draft<'_>) -> Vec<u8> {
        let mut packet = vec![0xff; draft.length];
        draft.write(&mut packet);
        packet
    }

    fn ends(v6: bool) -> (SocketAddr, SocketAddr) {
        match v6 {
            false => ("192.0.2.1:53".parse().unwrap(), "10.0.2.100:40000".parse().unwrap()),
            true => ("[2001:db8::1]:53".parse().unwrap(), "[fd00::100]:40000".parse().unwrap()),
        }
    }

    #[test]
    fn what_is_written_can_be_read() {
        for v6 in [false, true] {
            let (from, to) = ends(v6);
            let packet = written(&Draft::udp(from, to, b"hello"));
            match parse(&packet) {
                Some(Packet::Udp { from: a, to: b, payload }) => assert_eq!((a, b, payload), (from, to, &b"hello"[..])),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn checksums_are_what_another_stack_expects() {
        let (from, to) = ends(false);
        let mut packet = written(&Draft::udp(from, to, b"hello"));
        let ipv4 = Ipv4Packet::new_checked(&packet[..]).unwrap();
        assert!(Ipv4Repr::parse(&ipv4, &ChecksumCapabilities::default()).is_ok());
        let (start, offset) = begin_checksum(&mut packet).unwrap();
        // What the kernel does with it.
        let (start, offset) = (usize::from(start), usize::from(offset));
        let sum = !fold(sum(&packet[start..]));
        packet[start + offset..start + offset + 2].copy_from_slice(&sum.to_be_bytes());
        let datagram = UdpPacket::new_checked(&packet[start..]).unwrap();
        let [from, to] = [from, to].map(|end| IpAddress::from(end.ip()));
        assert!(UdpRepr::parse(&datagram, &from, &to, &ChecksumCapabilities::default()).is_ok());
        for v6 in [false, true] {
            let (from, to) = ends(v6);
            let message = [if v6 { ECHO_REQUEST6 } else { ECHO_REQUEST }, 0, 0, 0, 1, 2, 0, 7, b'x'];
            let packet = written(&Draft::echo(from.ip(), to.ip(), [1, 2], &message));
            let (ip, body) = packet.split_at(if v6 { IPV6_HEADER } else { IPV4_HEADER });
            let pseudo = if v6 { pseudo(from.ip(), to.ip(), ICMP6, body.len()) } else { 0 };
            assert_eq!(fold(pseudo + super::sum(body)), 0xffff, "{ip:?}");
        }
    }

    #[test]
    fn damaged_packets_are_nothing() {
        let (from, to) = ends(false);
        let packet = written(&Draft::udp(from, to, b"hello"));
        for end in 0..packet.len() {
            assert!(parse(&packet[..end]).is_none(), "{end}");
        }
        let changed = |at: usize, to: u8| {
            let mut packet = packet.clone();
            packet[at] = to;
            parse(&packet).is_none()
        };
        assert!(changed(0, 0x44), "a short header");
        assert!(changed(0, 0x4f), "a long header");
        assert!(changed(6, 0x20), "a fragment");
        assert!(changed(7, 1), "the end of one");
        assert!(changed(9, 47), "another protocol");
        assert!(changed(25, 200), "a datagram longer than its packet");
        assert!(changed(25, 3), "one shorter than its header");
    }
}
