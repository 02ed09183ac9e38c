//! The part of RFC 1035 that a name server of containers needs: read one question, write addresses or a name. What is
//! not understood is passed on as it came or refused.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const HEADER: usize = 12;
/// A pointer at the question's name, RFC 1035, 4.1.4.
const POINTER: [u8; 2] = [0xc0, HEADER as u8];
const CLASS_IN: u16 = 1;
const CLASS_ANY: u16 = 255;
/// A datagram without EDNS, RFC 1035, 2.3.4.
const SMALL: usize = 512;

/// What is asked for. Other types have no records here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    A,
    Aaaa,
    Ptr,
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
}

/// One question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Query {
    /// Lower case, without the last dot; empty for the root.
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Where the question ends in the message.
    end: usize,
    /// Bytes of a datagram that the client takes.
    room: usize,
}

/// Why a message is not a question that can be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    /// An answer, or too short for any answer.
    Ignore,
    Refuse(Code),
}

fn number(message: &[u8], at: usize) -> Option<u16> {
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
        1 => Kind::A,
        28 => Kind::Aaaa,
        12 => Kind::Ptr,
        255 => Kind::Any,
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

/// The addresses in a server's answer, whatever aliases lead to them. What cannot be read to its end has none.
pub(super) fn addresses(message: &[u8]) -> Vec<IpAddr> {
    read_addresses(message).unwrap_or_default()
}

fn read_addresses(message: &[u8]) -> Option<Vec<IpAddr>> {
    let (questions, answers) = (number(message, 4)?, number(message, 6)?);
    let mut at = HEADER;
    for _ in 0..questions {
        at = skip_name(message, at)? + 4;
    }
    let mut found = Vec::new();
    for _ in 0..answers {
        at = skip_name(message, at)?;
        // Type, class, time to live (4), length, data: RFC 1035, 4.1.3.
        let (kind, class, length) = (number(message, at)?, number(message, at + 2)?, number(message, at + 8)?);
        let data = message.get(at + 10..at + 10 + usize::from(length))?;
        at += 10 + data.len();
        match (class, kind) {
            (CLASS_IN, 1) => found.extend(<[u8; 4]>::try_from(data).map(IpAddr::from)),
            (CLASS_IN, 28) => found.extend(<[u8; 16]>::try_from(data).map(IpAddr::from)),
            _ => {}
        }
    }
    Some(found)
}

/// Where a name ends; a pointer is its end.
fn skip_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match usize::from(*message.get(at)?) {
            0 => return Some(at + 1),
            length if length < 64 => at += 1 + length,
            length if length >= 0xc0 => return Some(at + 2),
            _ => return None,
        }
    }
}

/// EDNS, RFC 6891: the class of the OPT record is the size of datagrams that the client takes.
fn room(message: &[u8], end: usize) -> usize {
    let opt = message.get(end..).filter(|rest| rest.len() >= 11 && rest[0] == 0 && rest[1..3] == [0, 41]);
    let plain = number(message, 6) == Some(0) && number(message, 8) == Some(0);
    opt.filter(|_| plain).and_then(|rest| number(rest, 3)).map_or(SMALL, |size| usize::from(size).max(SMALL))
}

/// What an answer says.
#[derive(Clone, Copy, Debug)]
pub(super) enum Say<'a> {
    Nothing(Code),
    Addresses(&'a [IpAddr]),
    Name(&'a str),
}

/// The answer to `question`, whose query was read from it. `datagram`: it has to fit, and says so when it did not.
pub(super) fn answer(question: &[u8], query: &Query, say: Say<'_>, datagram: bool) -> Vec<u8> {
    let code = if let Say::Nothing(code) = say { code } else { Code::NoError };
    let mut message = head(question, code, query.end);
    let room = if datagram { query.room } else { usize::from(u16::MAX) };
    let mut count: u16 = 0;
    let mut put = |kind: u16, data: &[u8]| {
        if message.len() + 12 + data.len() > room {
            // TC: ask again over TCP.
            message[2] |= 2;
            return;
        }
        message.extend(POINTER);
        message.extend(kind.to_be_bytes());
        message.extend(CLASS_IN.to_be_bytes());
        // A time to live of 0: the next question may have another answer.
        message.extend([0; 4]);
        message.extend((data.len() as u16).to_be_bytes());
        message.extend(data);
        count += 1;
    };
    match say {
        Say::Nothing(_) => {}
        Say::Addresses(addresses) => {
            for address in addresses {
                match address {
                    IpAddr::V4(v4) if matches!(query.kind, Kind::A | Kind::Any) => put(1, &v4.octets()),
                    IpAddr::V6(v6) if matches!(query.kind, Kind::Aaaa | Kind::Any) => put(28, &v6.octets()),
                    IpAddr::V4(_) | IpAddr::V6(_) => {}
                }
            }
        }
        Say::Name(name) => put(12, &write_name(name)),
    }
    message[6..8].copy_from_slice(&count.to_be_bytes());
    message
}

/// The answer to what could not be read.
pub(super) fn refuse(question: &[u8], code: Code) -> Vec<u8> {
    let mut message = head(question, code, HEADER);
    message[4..6].copy_from_slice(&[0, 0]);
    message
}

/// The answer to a question that nobody can answer now.
pub(super) fn refuse_question(question: &[u8], code: Code) -> Vec<u8> {
    match read(question) {
        Ok(query) => answer(question, &query, Say::Nothing(code), true),
        Err(Unusable::Refuse(code)) => refuse(question, code),
        Err(Unusable::Ignore) => Vec::new(),
    }
}

/// The header and the question as it came, letter by letter: some clients check the case.
fn head(question: &[u8], code: Code, end: usize) -> Vec<u8> {
    let mut message = question[..end].to_vec();
    // An authoritative answer, recursion as it was desired and available.
    message[2] = 0x84 | question[2] & 0x01;
    message[3] = 0x80 | code as u8;
    message[6..HEADER].fill(0);
    message
}

fn write_name(name: &str) -> Vec<u8> {
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
        assert_eq!((query.name.as_str(), query.kind, query.room), ("web.dns.podman", Kind::A, 512));
        assert_eq!(read(&question("", 2)).unwrap().kind, Kind::Other);
        let mut edns = question("web", 28);
        edns[11] = 1;
        edns.extend([0, 0, 41, 0x10, 0, 0, 0, 0, 0, 0, 0]);
        let query = read(&edns).unwrap();
        assert_eq!((query.kind, query.room), (Kind::Aaaa, 4096));
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
        assert_eq!(
            refuse(&[0x12, 0x34, 1, 0, 0, 7, 0, 0, 0, 0, 0, 0], Code::FormErr)[..6],
            [0x12, 0x34, 0x85, 0x81, 0, 0]
        );
    }

    #[test]
    fn an_answer_has_the_question_and_the_addresses_of_its_kind() {
        let text = question("web", 1);
        let query = read(&text).unwrap();
        let addresses = ["10.89.0.2".parse().unwrap(), "fd00::2".parse().unwrap()];
        let message = answer(&text, &query, Say::Addresses(&addresses), true);
        assert_eq!(&message[..12], &[0x12, 0x34, 0x85, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
        assert_eq!(&message[12..21], &text[12..21]);
        assert_eq!(&message[21..], &[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 10, 89, 0, 2]);
        let message = answer(&text, &query, Say::Nothing(Code::NxDomain), true);
        assert_eq!((message[3] & 0xf, message[7], message.len()), (3, 0, text.len()));
    }

    #[test]
    fn what_does_not_fit_is_said_to_be_cut() {
        let text = question("web", 1);
        let query = read(&text).unwrap();
        let addresses: Vec<IpAddr> = (0..100).map(|n| [10, 0, 0, n].into()).collect();
        let message = answer(&text, &query, Say::Addresses(&addresses), true);
        assert!(message.len() <= 512 && message[2] & 2 != 0);
        let message = answer(&text, &query, Say::Addresses(&addresses), false);
        assert_eq!((message[2] & 2, message[7]), (0, 100));
    }

    #[test]
    fn addresses_are_found_in_answers() {
        let mut message = question("a.org", 1);
        message[2] = 0x81;
        message[7] = 4;
        let record = |kind: u16, data: &[u8]| {
            let mut record = POINTER.to_vec();
            record.extend(kind.to_be_bytes());
            record.extend([0, 1, 0, 0, 0, 60]);
            record.extend((data.len() as u16).to_be_bytes());
            record.extend(data);
            record
        };
        message.extend(record(5, &write_name("cdn.example")));
        message.extend(record(1, &[192, 0, 2, 1]));
        message.extend(record(28, &Ipv6Addr::LOCALHOST.octets()));
        // An address of three bytes is none.
        message.extend(record(1, &[192, 0, 2]));
        assert_eq!(addresses(&message), [IpAddr::from([192, 0, 2, 1]), Ipv6Addr::LOCALHOST.into()]);
        for length in 0..message.len() {
            assert_eq!(addresses(&message[..length]), [] as [IpAddr; 0], "{length}");
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
