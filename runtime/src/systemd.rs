//! The few words of D-Bus that a user's systemd has to hear: make a delegated scope, and put a process into it.
//!
//! We talk to systemd itself, on its private socket, with the caller's real user id: inside of a user namespace a client
//! library would claim to be 0 and be refused. See the D-Bus specification, "Message Protocol", and
//! org.freedesktop.systemd1(5).

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

/// What systemd answered.
#[derive(Debug)]
pub(crate) enum Answer {
    Done,
    /// The name of the error, such as `org.freedesktop.systemd1.UnitExists`, and its text.
    Refused {
        name: String,
        text: String,
    },
}

/// A connection to the service manager of one user.
#[derive(Debug)]
pub(crate) struct Systemd {
    socket: UnixStream,
    serial: u32,
}

/// Where the user's service manager listens; it exists exactly when one runs.
pub(crate) fn socket_of(uid: u32) -> PathBuf {
    if uid == 0 { "/run/systemd/private".into() } else { format!("/run/user/{uid}/systemd/private").into() }
}

impl Systemd {
    pub(crate) fn connect(uid: u32) -> io::Result<Systemd> {
        let mut socket = UnixStream::connect(socket_of(uid))?;
        // A service manager that is stuck must not stick us.
        socket.set_read_timeout(Some(Duration::from_secs(10)))?;
        let identity: String = uid.to_string().bytes().map(|digit| format!("{digit:02x}")).collect();
        socket.write_all(format!("\0AUTH EXTERNAL {identity}\r\n").as_bytes())?;
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let mut byte = [0];
            socket.read_exact(&mut byte)?;
            line.push(byte[0]);
        }
        if !line.starts_with(b"OK ") {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "systemd does not accept us as its user"));
        }
        socket.write_all(b"BEGIN\r\n")?;
        Ok(Systemd { socket, serial: 0 })
    }

    /// Starts a scope with this process in it, whose cgroup is ours to divide. The job runs on after the answer.
    pub(crate) fn start_scope(&mut self, unit: &str, slice: &str, pid: u32) -> io::Result<Answer> {
        let mut body = Body::default();
        body.string(unit);
        body.string("fail");
        let properties = body.begin_array(8);
        body.property("Description", "s", |body| body.string("containers of creel"));
        body.property("Slice", "s", |body| body.string(slice));
        body.property("Delegate", "b", |body| body.number(1));
        // One scope for all containers: each has a limit of its own.
        body.property("TasksMax", "t", |body| body.large(u64::MAX));
        body.property("CollectMode", "s", |body| body.string("inactive-or-failed"));
        body.property("PIDs", "au", |body| {
            let pids = body.begin_array(4);
            body.number(pid);
            body.end_array(pids, 4);
        });
        body.end_array(properties, 8);
        let none = body.begin_array(8);
        body.end_array(none, 8);
        self.call("StartTransientUnit", "ssa(sv)a(sa(sv))", &body.0)
    }

    /// Moves a process into a part (`/name`) of a unit's cgroup. systemd may do that across borders that we may not cross.
    pub(crate) fn attach_process(&mut self, unit: &str, part: &str, pid: u32) -> io::Result<Answer> {
        let mut body = Body::default();
        body.string(unit);
        body.string(part);
        let pids = body.begin_array(4);
        body.number(pid);
        body.end_array(pids, 4);
        self.call("AttachProcessesToUnit", "ssau", &body.0)
    }

    fn call(&mut self, member: &str, signature: &str, body: &[u8]) -> io::Result<Answer> {
        self.serial += 1;
        let mut message = Body(vec![b'l', METHOD_CALL, 0, 1]);
        message.number(u32::try_from(body.len()).map_err(|_| io::ErrorKind::InvalidInput)?);
        message.number(self.serial);
        let fields = message.begin_array(8);
        message.field(PATH, "o", "/org/freedesktop/systemd1");
        message.field(INTERFACE, "s", "org.freedesktop.systemd1.Manager");
        message.field(MEMBER, "s", member);
        message.field(DESTINATION, "s", "org.freedesktop.systemd1");
        message.align(8);
        message.0.push(SIGNATURE);
        message.signature("g");
        message.signature(signature);
        message.end_array(fields, 8);
        message.align(8);
        message.0.extend(body);
        self.socket.write_all(&message.0)?;
        loop {
            if let Some(answer) = self.read_answer()? {
                return Ok(answer);
            }
        }
    }

    /// One message; `None` if it is not the answer (a signal, say).
    fn read_answer(&mut self) -> io::Result<Option<Answer>> {
        let broken = || io::Error::new(io::ErrorKind::InvalidData, "systemd's answer makes no sense");
        let mut fixed = [0; 16];
        self.socket.read_exact(&mut fixed)?;
        if fixed[0] != b'l' {
            return Err(broken());
        }
        let number = |at: usize| u32::from_le_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]]) as usize;
        let (body_length, fields_length) = (number(4), number(12));
        // The specification's own limit is 128 MiB; nothing that we ask for is near.
        if body_length > 1 << 20 || fields_length > 1 << 16 {
            return Err(broken());
        }
        let mut rest = vec![0; fields_length.next_multiple_of(8) + body_length];
        self.socket.read_exact(&mut rest)?;
        let (fields, body) = rest.split_at(fields_length.next_multiple_of(8));
        let header = Header::read(&fields[..fields_length]).ok_or_else(broken)?;
        if header.reply_to != Some(self.serial) {
            return Ok(None);
        }
        match fixed[1] {
            METHOD_RETURN => Ok(Some(Answer::Done)),
            ERROR => {
                let text = Reader { bytes: body, at: 0 }.string().unwrap_or_default();
                Ok(Some(Answer::Refused { name: header.error.unwrap_or_default(), text }))
            }
            _ => Ok(None),
        }
    }
}

const METHOD_CALL: u8 = 1;
const METHOD_RETURN: u8 = 2;
const ERROR: u8 = 3;

const PATH: u8 = 1;
const INTERFACE: u8 = 2;
const MEMBER: u8 = 3;
const ERROR_NAME: u8 = 4;
const REPLY_SERIAL: u8 = 5;
const DESTINATION: u8 = 6;
const SIGNATURE: u8 = 8;

/// Values in the wire form, little endian.
#[derive(Default)]
struct Body(Vec<u8>);

impl Body {
    fn align(&mut self, to: usize) {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
    }

    fn number(&mut self, value: u32) {
        self.align(4);
        self.0.extend(value.to_le_bytes());
    }

    fn large(&mut self, value: u64) {
        self.align(8);
        self.0.extend(value.to_le_bytes());
    }

    fn string(&mut self, text: &str) {
        self.number(u32::try_from(text.len()).unwrap_or(0));
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    fn signature(&mut self, text: &str) {
        self.0.push(u8::try_from(text.len()).unwrap_or(0));
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    /// Returns where the length will be written.
    fn begin_array(&mut self, alignment: usize) -> usize {
        self.number(0);
        let length_at = self.0.len() - 4;
        self.align(alignment);
        length_at
    }

    /// The length counts from the first element, not from the padding before it.
    fn end_array(&mut self, length_at: usize, alignment: usize) {
        let begin = (length_at + 4).next_multiple_of(alignment);
        let length = u32::try_from(self.0.len().saturating_sub(begin)).unwrap_or(0);
        self.0[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
    }

    fn property(&mut self, name: &str, signature: &str, value: impl FnOnce(&mut Body)) {
        self.align(8);
        self.string(name);
        self.signature(signature);
        value(self);
    }

    fn field(&mut self, code: u8, signature: &str, value: &str) {
        self.align(8);
        self.0.push(code);
        self.signature(signature);
        self.string(value);
    }
}

#[derive(Default)]
struct Header {
    reply_to: Option<u32>,
    error: Option<String>,
}

impl Header {
    fn read(bytes: &[u8]) -> Option<Header> {
        let mut header = Header::default();
        let mut reader = Reader { bytes, at: 0 };
        while reader.at < bytes.len() {
            reader.align(8);
            let code = reader.byte()?;
            match reader.signature()?.as_str() {
                "s" | "o" => {
                    let text = reader.string()?;
                    if code == ERROR_NAME {
                        header.error = Some(text);
                    }
                }
                "u" => {
                    let number = reader.number()?;
                    if code == REPLY_SERIAL {
                        header.reply_to = Some(number);
                    }
                }
                "g" => {
                    reader.signature()?;
                }
                _ => return None,
            }
        }
        Some(header)
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn align(&mut self, to: usize) {
        self.at = self.at.next_multiple_of(to);
    }

    fn take(&mut self, count: usize) -> Option<&[u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn number(&mut self) -> Option<u32> {
        self.align(4);
        self.take(4).map(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn string(&mut self) -> Option<String> {
        let length = self.number()? as usize;
        let text = String::from_utf8_lossy(self.take(length)?).into_owned();
        self.byte()?;
        Some(text)
    }

    fn signature(&mut self) -> Option<String> {
        let length = usize::from(self.byte()?);
        let text = String::from_utf8_lossy(self.take(length)?).into_owned();
        self.byte()?;
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_aligned_as_the_specification_says() {
        let mut body = Body::default();
        body.string("ab");
        let array = body.begin_array(8);
        body.property("P", "u", |body| body.number(7));
        body.end_array(array, 8);
        let expected: Vec<u8> = [
            &[2, 0, 0, 0, b'a', b'b', 0, 0][..],
            &[16, 0, 0, 0, 0, 0, 0, 0],
            &[1, 0, 0, 0, b'P', 0, 1, b'u', 0, 0, 0, 0, 7, 0, 0, 0],
        ]
        .concat();
        assert_eq!(body.0, expected);
    }

    #[test]
    fn an_empty_array_has_length_zero_whatever_its_padding() {
        let mut body = Body::default();
        let array = body.begin_array(8);
        body.end_array(array, 8);
        assert_eq!(body.0, [0; 8]);
    }

    #[test]
    fn a_header_is_read_and_noise_is_not() {
        let mut fields = Body::default();
        fields.field(ERROR_NAME, "s", "org.example.No");
        fields.align(8);
        fields.0.push(REPLY_SERIAL);
        fields.signature("u");
        fields.number(3);
        let header = Header::read(&fields.0).unwrap();
        assert_eq!((header.reply_to, header.error.as_deref()), (Some(3), Some("org.example.No")));
        assert!(Header::read(&[9, 200, 1]).is_none());
    }
}
