//! What the monitor and the commands attached to it say to each other: one message a SEQPACKET datagram.
//!
//! A tag byte, then the payload. Commands of the same binary speak it, so it has no version; a message that is not
//! understood ends the connection.

use std::io;

use sys::process::Process;

use crate::attach::Streams;

/// Bytes of output or input in one message at the most.
pub(crate) const CHUNK: usize = sys::channel::MAX_MESSAGE - 1;

/// From a command to the monitor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FromClient {
    Stdin(Vec<u8>),
    StdinEnd,
    Resize {
        rows: u16,
        columns: u16,
    },
    /// First message of an attachment: what it wants to see.
    Hello(Streams),
    /// The same, and an initialized container's program may run now.
    Start(Streams),
    /// What the record says of networks and ports is about to change: where this command ends without another word, the
    /// monitor looks for itself.
    Changing,
    /// It has changed, and is to be followed; answered with [`FromMonitor::Done`] or [`FromMonitor::Failed`].
    Follow,
}

/// From the monitor to a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FromMonitor {
    /// The program runs.
    Started {
        init: Process,
    },
    /// It does not, and why; the code is what `run` exits with.
    Failed {
        exit_code: i32,
        message: String,
    },
    Stdout(Vec<u8>),
    Stderr(Vec<u8>),
    /// What was asked for is done.
    Done,
    /// The last message: the program ended and its record is written.
    Exited {
        code: i32,
    },
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a message between monitor and command is malformed")
}

fn tagged(tag: u8, payload: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(payload.len() + 1);
    message.push(tag);
    message.extend_from_slice(payload);
    message
}

fn code(payload: &[u8]) -> io::Result<i32> {
    payload.first_chunk().map(|bytes| i32::from_le_bytes(*bytes)).ok_or_else(malformed)
}

fn bits(streams: Streams) -> [u8; 3] {
    [streams.stdin, streams.stdout, streams.stderr].map(u8::from)
}

fn streams(stdin: u8, stdout: u8, stderr: u8) -> Streams {
    Streams { stdin: stdin != 0, stdout: stdout != 0, stderr: stderr != 0 }
}

impl FromClient {
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            FromClient::Stdin(bytes) => tagged(b'i', bytes),
            FromClient::StdinEnd => vec![b'e'],
            FromClient::Resize { rows, columns } => tagged(b'r', &[rows.to_le_bytes(), columns.to_le_bytes()].concat()),
            FromClient::Hello(streams) => tagged(b'h', &bits(*streams)),
            FromClient::Start(streams) => tagged(b's', &bits(*streams)),
            FromClient::Changing => vec![b'c'],
            FromClient::Follow => vec![b'n'],
        }
    }

    pub(crate) fn decode(message: &[u8]) -> io::Result<FromClient> {
        let (tag, payload) = message.split_first().ok_or_else(malformed)?;
        match (tag, payload) {
            (b'i', bytes) => Ok(FromClient::Stdin(bytes.to_vec())),
            (b'e', []) => Ok(FromClient::StdinEnd),
            (b'r', [r0, r1, c0, c1]) => {
                Ok(FromClient::Resize { rows: u16::from_le_bytes([*r0, *r1]), columns: u16::from_le_bytes([*c0, *c1]) })
            }
            (b'h', [stdin, stdout, stderr]) => Ok(FromClient::Hello(streams(*stdin, *stdout, *stderr))),
            (b'c', []) => Ok(FromClient::Changing),
            (b'n', []) => Ok(FromClient::Follow),
            (b's', [stdin, stdout, stderr]) => Ok(FromClient::Start(streams(*stdin, *stdout, *stderr))),
            _ => Err(malformed()),
        }
    }
}

fn process(payload: &[u8]) -> Option<Process> {
    let mut words = std::str::from_utf8(payload).ok()?.split(' ');
    Some(Process {
        pid: words.next()?.parse().ok()?,
        start_time: words.next()?.parse().ok()?,
        boot: words.next()?.to_owned(),
    })
}

impl FromMonitor {
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            FromMonitor::Started { init } => {
                tagged(b's', format!("{} {} {}", init.pid, init.start_time, init.boot).as_bytes())
            }
            FromMonitor::Failed { exit_code, message } => {
                tagged(b'f', &[&exit_code.to_le_bytes(), message.as_bytes()].concat())
            }
            FromMonitor::Stdout(bytes) => tagged(b'o', bytes),
            FromMonitor::Stderr(bytes) => tagged(b'x', bytes),
            FromMonitor::Done => vec![b'd'],
            FromMonitor::Exited { code } => tagged(b'q', &code.to_le_bytes()),
        }
    }

    pub(crate) fn decode(message: &[u8]) -> io::Result<FromMonitor> {
        let (tag, payload) = message.split_first().ok_or_else(malformed)?;
        match tag {
            b's' => process(payload).map(|init| FromMonitor::Started { init }).ok_or_else(malformed),
            b'f' => Ok(FromMonitor::Failed {
                exit_code: code(payload)?,
                message: String::from_utf8_lossy(payload.get(4..).unwrap_or_default()).into_owned(),
            }),
            b'o' => Ok(FromMonitor::Stdout(payload.to_vec())),
            b'x' => Ok(FromMonitor::Stderr(payload.to_vec())),
            b'd' => Ok(FromMonitor::Done),
            b'q' => Ok(FromMonitor::Exited { code: code(payload)? }),
            _ => Err(malformed()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_survives_the_wire() {
        let to_monitor = [
            FromClient::Stdin(b"abc".to_vec()),
            FromClient::StdinEnd,
            FromClient::Resize { rows: 24, columns: 300 },
            FromClient::Hello(streams(1, 0, 1)),
            FromClient::Start(streams(0, 0, 0)),
            FromClient::Changing,
            FromClient::Follow,
        ];
        for message in to_monitor {
            assert_eq!(FromClient::decode(&message.encode()).unwrap(), message);
        }
        let to_client = [
            FromMonitor::Started { init: Process::me().unwrap() },
            FromMonitor::Failed { exit_code: 127, message: "not found".into() },
            FromMonitor::Stdout(vec![0, 255]),
            FromMonitor::Stderr(Vec::new()),
            FromMonitor::Done,
            FromMonitor::Exited { code: -1 },
        ];
        for message in to_client {
            assert_eq!(FromMonitor::decode(&message.encode()).unwrap(), message);
        }
    }

    #[test]
    fn nonsense_is_an_error() {
        for bytes in [&b""[..], b"z", b"r1", b"q", b"h1"] {
            assert!(FromClient::decode(bytes).is_err(), "{bytes:?}");
        }
        assert!(FromMonitor::decode(b"q12").is_err());
    }
}
