//! What is said to a question, and what a server has said: RFC 1035, 4.1.3.

use std::net::IpAddr;

use super::ServiceAt;
use super::message::{
    A, AAAA, CLASS_IN, CNAME, Code, DNAME, HEADER, MX, NS, OPT, PTR, Query, SMALL, SOA, SRV, Unusable, code, number,
    read, write_name,
};

/// A pointer at the question's name, RFC 1035, 4.1.4.
const POINTER: [u8; 2] = [0xc0, HEADER as u8];
/// Bytes of datagrams that we take: what fits into a frame of IPv6 everywhere.
const EDNS_SIZE: u16 = 1232;

/// What an answer says.
#[derive(Clone, Debug)]
pub(super) enum Say<'a> {
    Nothing(Code),
    Addresses(&'a [IpAddr]),
    Name(&'a str),
    /// Where a service is, and the addresses of these hosts as far as they are known.
    Services(&'a [(ServiceAt, Vec<IpAddr>)]),
    /// The name stands for another one, which stands for the next, and what the last one has.
    Alias(&'a [String], Code, Vec<Record>),
}

/// Addresses as an alias' last name has them, of the family that was asked for.
pub(super) fn address_records(query: &Query, owner: &str, addresses: &[IpAddr]) -> Vec<Record> {
    let asked = addresses.iter().filter(|address| query.takes(**address));
    asked.map(|address| Record::address(Some(owner), *address)).collect()
}

/// The answer to `question`, whose query was read from it. `datagram`: it has to fit, and says so when it did not.
pub(super) fn answer(question: &[u8], query: &Query, say: Say<'_>, datagram: bool) -> Vec<u8> {
    let (mut records, mut more) = (Vec::new(), Vec::new());
    let mut code = Code::NoError;
    match say {
        Say::Nothing(nothing) => code = nothing,
        Say::Addresses(addresses) => {
            let asked = addresses.iter().filter(|address| query.takes(**address));
            records.extend(asked.map(|address| Record::address(None, *address)));
        }
        Say::Name(name) => records.push(Record::new(None, PTR, write_name(name))),
        Say::Services(services) => {
            let share = 100 / u16::try_from(services.len()).unwrap_or(u16::MAX).max(1);
            for (service, addresses) in services {
                records.push(Record::service(service, share));
                more.extend(addresses.iter().map(|address| Record::address(Some(&service.host), *address)));
            }
        }
        Say::Alias(chain, of_last, last) => {
            code = of_last;
            let owners = std::iter::once(None).chain(chain.iter().map(|name| Some(name.as_str())));
            records.extend(owners.zip(chain).map(|(owner, to)| Record::new(owner, CNAME, write_name(to))));
            records.extend(last);
        }
    }
    write(question, query, code, (&records, &more), datagram)
}

/// What a server said about the last name of an alias, as the answer to the question about its first one.
pub(super) fn answer_of_alias(
    question: &[u8],
    query: &Query,
    chain: &[String],
    heard: &[u8],
    datagram: bool,
) -> Vec<u8> {
    match (code(heard), read_records(heard)) {
        // RFC 6604, 3: how it came out is about the last name.
        (Some(code @ (Code::NoError | Code::NxDomain)), Some(records)) => {
            let mut message = answer(question, query, Say::Alias(chain, code, records), datagram);
            // TC of what we have heard: ask again over TCP.
            message[2] |= heard[2] & 2;
            message
        }
        _ => answer(question, query, Say::Nothing(Code::ServFail), datagram),
    }
}

fn write(question: &[u8], query: &Query, code: Code, records: (&[Record], &[Record]), datagram: bool) -> Vec<u8> {
    let mut message = head(question, code, query.end);
    // RFC 6891, 6.1.1: who asks with OPT is answered with it. Its class is the size that we take.
    let edns = query.room.map(|_| Record {
        owner: Some(vec![0]),
        kind: OPT,
        class: EDNS_SIZE,
        time_to_live: [0; 4],
        data: Vec::new(),
    });
    let mut opt = Vec::new();
    edns.iter().for_each(|record| record.write(&mut opt));
    let room = if datagram { query.room.unwrap_or(SMALL) } else { usize::from(u16::MAX) } - opt.len();
    let mut put = |records: &[Record]| -> u16 {
        let mut count = 0;
        for record in records {
            let before = message.len();
            record.write(&mut message);
            if message.len() > room {
                message.truncate(before);
                return count;
            }
            count += 1;
        }
        count
    };
    let (answers, more) = (put(records.0), put(records.1));
    if usize::from(answers) < records.0.len() {
        // TC: ask again over TCP. What is only added may be missing.
        message[2] |= 2;
    }
    message[6..8].copy_from_slice(&answers.to_be_bytes());
    message[10..12].copy_from_slice(&(more + edns.iter().len() as u16).to_be_bytes());
    message.extend(opt);
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

/// One record of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// Whose it is, as it stands in a message; `None`: the question's.
    owner: Option<Vec<u8>>,
    kind: u16,
    class: u16,
    time_to_live: [u8; 4],
    data: Vec<u8>,
}

impl Record {
    /// One of ours. A time to live of 0: the next question may have another answer.
    fn new(owner: Option<&str>, kind: u16, data: Vec<u8>) -> Record {
        Record { owner: owner.map(write_name), kind, class: CLASS_IN, time_to_live: [0; 4], data }
    }

    fn address(owner: Option<&str>, address: IpAddr) -> Record {
        match address {
            IpAddr::V4(v4) => Record::new(owner, A, v4.octets().to_vec()),
            IpAddr::V6(v6) => Record::new(owner, AAAA, v6.octets().to_vec()),
        }
    }

    /// RFC 2782: priority, weight, port, target. All of equal rank have a share of 100.
    fn service(service: &ServiceAt, share: u16) -> Record {
        let mut data = [0, share, service.port].map(u16::to_be_bytes).concat();
        data.extend(write_name(&service.host));
        Record::new(None, SRV, data)
    }

    fn write(&self, message: &mut Vec<u8>) {
        match &self.owner {
            None => message.extend(POINTER),
            Some(owner) => message.extend(owner),
        }
        message.extend(self.kind.to_be_bytes());
        message.extend(self.class.to_be_bytes());
        message.extend(self.time_to_live);
        message.extend((self.data.len() as u16).to_be_bytes());
        message.extend(&self.data);
    }
}

/// The addresses in a server's answer, whatever aliases lead to them. What cannot be read to its end has none.
pub(super) fn addresses(message: &[u8]) -> Vec<IpAddr> {
    let records = read_records(message).unwrap_or_default();
    let address = |record: &Record| match (record.class, record.kind) {
        (CLASS_IN, A) => <[u8; 4]>::try_from(record.data.as_slice()).ok().map(IpAddr::from),
        (CLASS_IN, AAAA) => <[u8; 16]>::try_from(record.data.as_slice()).ok().map(IpAddr::from),
        _ => None,
    };
    records.iter().filter_map(address).collect()
}

/// The records that answer, with all names written out: they can stand in another message.
fn read_records(message: &[u8]) -> Option<Vec<Record>> {
    let (questions, answers) = (number(message, 4)?, number(message, 6)?);
    let mut at = HEADER;
    for _ in 0..questions {
        at = expand(message, at)?.1 + 4;
    }
    let mut records = Vec::new();
    for _ in 0..answers {
        let (owner, fixed) = expand(message, at)?;
        // Type, class, time to live (4), length, data: RFC 1035, 4.1.3.
        let (kind, class, length) = (number(message, fixed)?, number(message, fixed + 2)?, number(message, fixed + 8)?);
        let time_to_live = *message.get(fixed + 4..fixed + 8)?.first_chunk()?;
        let start = fixed + 10;
        at = start + usize::from(length);
        message.get(start..at)?;
        let data = read_data(message, kind, start, at)?;
        records.push(Record { owner: Some(owner), kind, class, time_to_live, data });
    }
    Some(records)
}

/// Types whose data have names in them, which may be pointers, are those of RFC 3597, 4, that anybody asks for.
fn read_data(message: &[u8], kind: u16, start: usize, end: usize) -> Option<Vec<u8>> {
    let (before, names) = match kind {
        NS | CNAME | PTR | DNAME => (0, 1),
        MX => (2, 1),
        SRV => (6, 1),
        SOA => (0, 2),
        _ => return Some(message[start..end].to_vec()),
    };
    let mut data = message.get(start..start + before)?.to_vec();
    let mut at = start + before;
    for _ in 0..names {
        let (name, after) = expand(message, at)?;
        data.extend(name);
        at = after;
    }
    data.extend(message.get(at..end)?);
    Some(data)
}

/// A name without its pointers, RFC 1035, 4.1.4, and where it ends in the message. Each pointer leads to what was before.
fn expand(message: &[u8], start: usize) -> Option<(Vec<u8>, usize)> {
    let (mut name, mut at, mut limit, mut end) = (Vec::new(), start, start, None);
    loop {
        let length = *message.get(at)?;
        match length {
            0 => {
                name.push(0);
                return (name.len() <= 255).then_some((name, end.unwrap_or(at + 1)));
            }
            1..64 => {
                name.extend(message.get(at..=at + usize::from(length))?);
                at += 1 + usize::from(length);
            }
            0xc0.. => {
                let to = usize::from(number(message, at)? & 0x3fff);
                end.get_or_insert(at + 2);
                if to >= limit {
                    return None;
                }
                (at, limit) = (to, to);
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;
    use crate::holder::message::tests::question;
    use crate::holder::message::{Kind, question_about};

    #[test]
    fn what_cannot_be_read_is_refused_without_its_questions() {
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
    fn who_asks_with_edns_is_answered_with_it() {
        let mut text = question("web", 1);
        text[11] = 1;
        text.extend([0, 0, 41, 0x10, 0, 0, 0, 0, 0, 0, 0]);
        let query = read(&text).unwrap();
        let addresses: Vec<IpAddr> = (0..100).map(|n| [10, 0, 0, n].into()).collect();
        let message = answer(&text, &query, Say::Addresses(&addresses), true);
        assert_eq!((message[2] & 2, message[7], message[11]), (0, 100, 1));
        assert_eq!(message[message.len() - 11..], [0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn services_come_with_the_addresses_of_their_hosts() {
        let text = question("_http._tcp.web", 33);
        let query = read(&text).unwrap();
        let service = ServiceAt { port: 80, host: "a.web".into() };
        let message = answer(&text, &query, Say::Services(&[(service, vec![[10, 0, 0, 1].into()])]), true);
        assert_eq!((query.kind, message[7], message[11]), (Kind::Srv, 1, 1));
        let data = [&[0, 0, 0, 100, 0, 80][..], b"\x01a\x03web\0"].concat();
        let service = Record { owner: Some(write_name("_http._tcp.web")), ..Record::new(None, SRV, data) };
        assert_eq!(read_records(&message), Some(vec![service]));
        // The additional record is no answer.
        assert!(addresses(&message).is_empty());
    }

    #[test]
    fn an_alias_is_answered_with_what_a_server_says_of_its_name() {
        let text = question("db.shop", 1);
        let query = read(&text).unwrap();
        let about = question_about(&text, &query, "db.example");
        assert_eq!(about, question("db.example", 1));
        let mut heard = about.clone();
        heard[2] = 0x81;
        heard[7] = 2;
        // An alias of its own, with a pointer into the question, and the address of that.
        heard.extend([0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 6, 3, b'o', b'n', b'e', 0xc0, 15]);
        heard.extend([0xc0, 40, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1]);
        let chain = ["db.example".to_owned()];
        let message = answer_of_alias(&text, &query, &chain, &heard, true);
        let to = |name: &str| write_name(name);
        let found: Vec<_> =
            read_records(&message).unwrap().into_iter().map(|it| (it.owner.unwrap(), it.kind, it.data)).collect();
        assert_eq!(
            found,
            [
                (to("db.shop"), CNAME, to("db.example")),
                (to("db.example"), CNAME, to("one.example")),
                (to("one.example"), A, vec![192, 0, 2, 1]),
            ]
        );
        heard[3] = 2;
        assert_eq!(code(&answer_of_alias(&text, &query, &chain, &heard, true)), Some(Code::ServFail));
    }

    #[test]
    fn a_pointer_that_leads_on_is_no_name() {
        for bytes in [&[0xc0, 0][..], &[0xc0, 2, 0xc0, 0], &[1, b'a', 0xc0, 0], &[0xc0], &[3, b'a'], &[64, 0]] {
            assert_eq!(expand(bytes, 0), None, "{bytes:?}");
        }
        assert_eq!(expand(&[1, b'a', 0, 1, b'b', 0xc0, 0], 3), Some((b"\x01b\x01a\0".to_vec(), 7)));
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
}
