//! The part of RFC 1035 that a name server of containers needs to read a question; what is said to it is in `answer`. What
//! is not understood is passed on as it came or refused.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(super) const HEADER: usize = 12;
pub(super) const CLASS_IN: u16 = 1;
const CLASS_ANY: u16 = 255;
/// A datagram without EDNS, RFC 1035, 2.3.4.
pub(super) const SMALL: usize = 512;

// Types of records: RFC 1035, 3.2.2; RFC 3596; RFC 2782; RFC 6672; RFC 6891.
pub(super) const A: u16 = 1;
pub(super) const NS: u16 = 2;
pub(super) const CNAME: u16 = 5;
pub(super) const SOA: u16 = 6;
pub(super) const PTR: u16 = 12;
pub(super) const MX: u16 = 15;
pub(super) const AAAA: u16 = 28;
pub(super) const SRV: u16 = 33;
pub(super) const DNAME: u16 = 39;
pub(super) const OPT: u16 = 41;
const ANY: u16 = 255;

/// What is asked for. Other types have no records here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    A,
    Aaaa,
    Cname,
    Ptr,
    Srv,
    Any,
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    NoError = 0,
    FormErr = 1,
    ServFail = 2,
    NxDomain = 3,
    NotImp = 4,
    Refused = 5,
}

/// One question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Query {
    /// Lower case, without the last dot; empty for the root.
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Where the question ends in the message.
    pub(super) end: usize,
    /// Bytes of a datagram that the client takes, where it says so (EDNS).
    pub(super) room: Option<usize>,
}

impl Query {
    /// Whether an address of that family is asked for.
    pub(super) fn takes(&self, address: IpAddr) -> bool {
        match self.kind {
            Kind::A => address.is_ipv4(),
            Kind::Aaaa => address.is_ipv6(),
            Kind::Any => true,
            Kind::Cname | Kind::Ptr | Kind::Srv | Kind::Other => false,
        }
    }
}

/// Why a message is not a question that can be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    /// An answer, or too short for any answer.
    Ignore,
    Refuse(Code),
}

pub(super) fn number(message: &[u8], at: usize) -> Option<u16> {
    message.get(at..at + 2).and_then(|bytes| bytes.first_chunk()).map(|bytes| u16::from_be_bytes(*bytes))
}

/// Reads a message from a client.
pub(super) fn read(message: &[u8]) -> Result<Query, Unusable> {
    let flags = number(message, 2).filter(|_| message.len() >= HEADER).ok_or(Unusable::Ignore)?;
    if flags & 0x8000 != 0 {
        return Err(Unusable::Ignore);
    }
    if flags >> 11 & 0xf != 0 {
        return Err(Unusable::Refuse(Code::NotImp));
    }
    let bad = Unusable::Refuse(Code::FormErr);
    if number(message, 4) != Some(1) {
        return Err(bad);
    }
    let (name, at) = read_name(message, HEADER).ok_or(bad)?;
    let (kind, class) = (number(message, at).ok_or(bad)?, number(message, at + 2).ok_or(bad)?);
    let end = at + 4;
    let kind = match kind {
        _ if class != CLASS_IN && class != CLASS_ANY => Kind::Other,
        A => Kind::A,
        AAAA => Kind::Aaaa,
        CNAME => Kind::Cname,
        PTR => Kind::Ptr,
        SRV => Kind::Srv,
        ANY => Kind::Any,
        _ => Kind::Other,
    };
    Ok(Query { name, kind, end, room: room(message, end) })
}

/// A name without pointers: nothing stands before a question's that one could lead to.
fn read_name(message: &[u8], mut at: usize) -> Option<(String, usize)> {
    let mut name = String::new();
    loop {
        let length = usize::from(*message.get(at)?);
        at += 1;
        if length == 0 {
            return (name.len() <= 253).then_some((name, at));
        }
        if length > 63 {
            return None;
        }
        if !name.is_empty() {
            name.push('.');
        }
        for byte in message.get(at..at + length)? {
            // A dot or a strange byte within a label belongs to no name of ours, but may to one of the world.
            match byte {
                byte if byte.is_ascii_graphic() && *byte != b'.' => name.push(char::from(byte.to_ascii_lowercase())),
                _ => name.push('\u{fffd}'),
            }
        }
        at += length;
    }
}

/// How an answer came out, as its header says.
pub(super) fn code(message: &[u8]) -> Option<Code> {
    Some(match message.get(3)? & 0xf {
        0 => Code::NoError,
        1 => Code::FormErr,
        2 => Code::ServFail,
        3 => Code::NxDomain,
        4 => Code::NotImp,
        5 => Code::Refused,
        _ => return None,
    })
}

/// EDNS, RFC 6891: the class of the OPT record is the size of datagrams that the client takes.
fn room(message: &[u8], end: usize) -> Option<usize> {
    let [high, low] = OPT.to_be_bytes();
    let opt = message.get(end..).filter(|rest| rest.len() >= 11 && rest[..3] == [0, high, low]);
    let plain = number(message, 6) == Some(0) && number(message, 8) == Some(0);
    opt.filter(|_| plain).and_then(|rest| number(rest, 3)).map(|size| usize::from(size).max(SMALL))
}

/// The same question about another name.
pub(super) fn question_about(question: &[u8], query: &Query, name: &str) -> Vec<u8> {
    let mut message = question[..HEADER].to_vec();
    // The one question and, after it, EDNS.
    message[4..HEADER].copy_from_slice(&[0, 1, 0, 0, 0, 0, 0, u8::from(query.room.is_some())]);
    message.extend(write_name(name));
    message.extend(&question[query.end - 4..query.end]);
    if query.room.is_some() {
        message.extend(&question[query.end..]);
    }
    message
}

pub(super) fn write_name(name: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(name.len() + 2);
    for label in name.split('.').filter(|label| !label.is_empty()) {
        let label = &label.as_bytes()[..label.len().min(63)];
        bytes.push(label.len() as u8);
        bytes.extend(label);
    }
    bytes.push(0);
    bytes
}

/// The address that a reverse look-up is about: `4.3.2.1.in-addr.arpa`.
pub(super) fn reverse(name: &str) -> Option<IpAddr> {
    if let Some(v4) = name.strip_suffix(".in-addr.arpa") {
        let octets: Vec<u8> = v4.rsplit('.').map(|octet| octet.parse().ok()).collect::<Option<_>>()?;
        return <[u8; 4]>::try_from(octets).ok().map(|octets| Ipv4Addr::from(octets).into());
    }
    let v6 = name.strip_suffix(".ip6.arpa")?;
    let digits: Vec<u128> = v6.rsplit('.').map(|digit| u128::from_str_radix(digit, 16).ok()).collect::<Option<_>>()?;
    let fits = digits.len() == 32 && digits.iter().all(|digit| *digit < 16);
    fits.then(|| Ipv6Addr::from_bits(digits.into_iter().fold(0, |bits, digit| bits << 4 | digit)).into())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn question(name: &str, kind: u16) -> Vec<u8> {
        let mut message = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        message.extend(write_name(name));
        message.extend(kind.to_be_bytes());
        message.extend([0, 1]);
        message
    }

    #[test]
    fn a_question_is_read() {
        let query = read(&question("Web.dns.Podman", 1)).unwrap();
        assert_eq!((query.name.as_str(), query.kind, query.room), ("web.dns.podman", Kind::A, None));
        assert_eq!(read(&question("", 2)).unwrap().kind, Kind::Other);
        let mut edns = question("web", 28);
        edns[11] = 1;
        edns.extend([0, 0, 41, 0x10, 0, 0, 0, 0, 0, 0, 0]);
        let query = read(&edns).unwrap();
        assert_eq!((query.kind, query.room), (Kind::Aaaa, Some(4096)));
    }

    #[test]
    fn nonsense_is_refused_or_ignored() {
        assert_eq!(read(b""), Err(Unusable::Ignore));
        assert_eq!(read(&[0; 11]), Err(Unusable::Ignore));
        assert_eq!(read(&[0; 12]), Err(Unusable::Refuse(Code::FormErr)));
        let mut message = question("web", 1);
        message[2] = 0x80;
        assert_eq!(read(&message), Err(Unusable::Ignore));
        message[2] = 0x28;
        assert_eq!(read(&message), Err(Unusable::Refuse(Code::NotImp)));
        // A pointer to itself, and a label that runs over the end.
        for tail in [&[0xc0, 12, 0, 1, 0, 1][..], &[63, b'a'], &[3, b'w', b'e', b'b', 0, 0]] {
            let mut message = question("", 1)[..12].to_vec();
            message.extend(tail);
            assert_eq!(read(&message), Err(Unusable::Refuse(Code::FormErr)), "{tail:?}");
        }
    }

    #[test]
    fn reverse_names_are_addresses() {
        assert_eq!(reverse("2.0.89.10.in-addr.arpa"), Some([10, 89, 0, 2].into()));
        let text = format!("1{}.d.f.ip6.arpa", ".0".repeat(29));
        assert_eq!(reverse(&text), Some("fd00::1".parse().unwrap()));
        for bad in ["in-addr.arpa", "1.2.3.in-addr.arpa", "256.2.3.4.in-addr.arpa", "g.ip6.arpa", "web"] {
            assert_eq!(reverse(bad), None, "{bad}");
        }
    }
}
