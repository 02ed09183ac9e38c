//! systemd's journal: the socket that entries are written to (systemd's "Native Journal Protocol"), and the form that
//! journalctl(1) gives them back in ("Journal Export Formats"). Whoever reads runs journalctl; nothing here does.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType};

/// Where systemd-journald listens.
pub const SOCKET: &str = "/run/systemd/journal/socket";

/// Whether there is a journal here.
pub fn is_there() -> bool {
    Path::new(SOCKET).exists()
}

/// A connection to the journal.
pub fn connect() -> io::Result<OwnedFd> {
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(SOCKET)?)?;
    Ok(socket)
}

/// Writes one entry.
///
/// # Errors
/// `EMSGSIZE` for an entry that is longer than a datagram may be.
pub fn send(socket: impl AsFd, entry: &[u8]) -> io::Result<()> {
    rustix::net::send(socket, entry, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Adds `NAME=VALUE`, or where the value has a newline `NAME`, its length as 64 bits little-endian, the value.
pub fn field(entry: &mut Vec<u8>, name: &str, value: &[u8]) {
    entry.extend_from_slice(name.as_bytes());
    if value.contains(&b'\n') {
        entry.push(b'\n');
        entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        entry.push(b'=');
    }
    entry.extend_from_slice(value);
    entry.push(b'\n');
}

/// One exported entry and its length, up to its empty line; `None` where it is not all there.
pub fn parse(bytes: &[u8]) -> Option<(BTreeMap<String, Vec<u8>>, usize)> {
    let mut fields = BTreeMap::new();
    let mut at = 0;
    loop {
        let length = bytes.get(at..)?.iter().position(|byte| *byte == b'\n')?;
        let line = &bytes[at..at + length];
        at += length + 1;
        if line.is_empty() {
            if fields.is_empty() {
                continue;
            }
            return Some((fields, at));
        }
        let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
        match line.iter().position(|byte| *byte == b'=') {
            Some(equals) => {
                fields.insert(text(&line[..equals]), line[equals + 1..].to_vec());
            }
            None => {
                let size = bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes)?;
                let size = usize::try_from(size).ok()?;
                let value = bytes.get(at + 8..)?.get(..size)?;
                fields.insert(text(line), value.to_vec());
                at += 8 + size + 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_binary_where_it_must_be_and_is_read_back() {
        let mut entry = Vec::new();
        field(&mut entry, "PLAIN", b"one=two");
        field(&mut entry, "X", b"a\nb");
        assert_eq!(entry, b"PLAIN=one=two\nX\n\x03\0\0\0\0\0\0\0a\nb\n");
        assert_eq!(parse(&entry), None);
        entry.push(b'\n');
        let (fields, length) = parse(&entry).unwrap();
        assert_eq!(
            (length, fields["PLAIN"].as_slice(), fields["X"].as_slice()),
            (entry.len(), &b"one=two"[..], &b"a\nb"[..])
        );
    }
}
