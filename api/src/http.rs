//! HTTP/1.1 as Docker's clients speak it (RFC 9112): one request after the other on a connection, bodies of known length
//! or in chunks both ways, and connections that are handed over to a container's streams.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};

use rustix::net::Shutdown;
use serde_json::Value;

/// Longest head of a request, in bytes.
const HEAD: usize = 64 << 10;
/// Longest body that is read into memory, in bytes: JSON only, what is larger is passed on as it comes.
const JSON: u64 = 8 << 20;

/// A connection: what comes in is buffered, what goes out is not.
pub(crate) struct Connection {
    reader: BufReader<File>,
    writer: File,
}

#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Without the query, as it was written.
    pub(crate) path: String,
    pub(crate) query: Query,
    headers: Vec<(String, String)>,
    /// Whether the client keeps the connection for another request.
    keeps: bool,
    length: Length,
}

/// How much of the body has not been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    Known(u64),
    /// What is left of the chunk that is being read; the next one's size follows.
    Chunk(u64),
}

/// What follows `?`, in order.
#[derive(Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(text: &str) -> Query {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        Query(
            pairs
                .map(|pair| {
                    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (decode(&key.replace('+', " ")), decode(&value.replace('+', " ")))
                })
                .collect(),
        )
    }

    /// The value, where there is one that is not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// As Docker reads truth: all but these words is true.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.get(name)
            .is_some_and(|value| !matches!(value.to_ascii_lowercase().as_str(), "0" | "no" | "false" | "none"))
    }
}

/// Replaces `%41` by `A`; what is no such triple stays. Bytes that are no UTF-8 are replaced.
pub(crate) fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let triple = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match triple.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Why no further request can be read.
#[derive(Debug)]
pub(crate) enum Unreadable {
    /// The client is gone, or has said nothing more.
    Closed,
    /// What it said is not HTTP.
    Malformed(String),
}

impl From<io::Error> for Unreadable {
    fn from(_: io::Error) -> Unreadable {
        Unreadable::Closed
    }
}

impl Connection {
    pub(crate) fn new(socket: File) -> io::Result<Connection> {
        Ok(Connection { writer: socket.try_clone()?, reader: BufReader::new(socket) })
    }

    /// The next request, its body unread.
    pub(crate) fn request(&mut self) -> Result<Request, Unreadable> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") && !head.ends_with(b"\n\n") {
            let before = head.len();
            let room = (HEAD - before) as u64;
            (&mut self.reader).take(room).read_until(b'\n', &mut head)?;
            if head.len() == before {
                let is_long = before == HEAD;
                return Err(if is_long { malformed("the head is too long") } else { Unreadable::Closed });
            }
            // Empty lines before a request are passed over (RFC 9112, 2.2).
            if head == b"\r\n" || head == b"\n" {
                head.clear();
            }
        }
        Request::parse(&head)
    }

    /// The body of a request, as it comes.
    pub(crate) fn body<'a>(&'a mut self, request: &'a mut Request) -> io::Result<Body<'a>> {
        if request.header("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
            request.headers.retain(|(name, _)| name != "expect");
            self.writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        Ok(Body { reader: &mut self.reader, length: &mut request.length })
    }

    /// The body as JSON; nothing is null.
    pub(crate) fn json(&mut self, request: &mut Request) -> Result<Value, String> {
        let mut text = Vec::new();
        let body = self.body(request).map_err(|error| error.to_string())?;
        body.take(JSON + 1).read_to_end(&mut text).map_err(|error| error.to_string())?;
        if text.len() as u64 > JSON {
            return Err(format!("the body is longer than {JSON} bytes"));
        }
        if text.iter().all(u8::is_ascii_whitespace) {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&text).map_err(|error| error.to_string())
    }

    /// A whole answer. `head` leaves the body out, as HEAD wants it.
    pub(crate) fn answer(&mut self, answer: &Answer, head: bool) -> io::Result<()> {
        let mut text = status_line(answer.status);
        for (name, value) in &answer.headers {
            text += &format!("{name}: {value}\r\n");
        }
        let has_body = !matches!(answer.status, 204 | 304);
        if has_body {
            text += &format!("Content-Type: {}\r\nContent-Length: {}\r\n", answer.kind, answer.body.len());
        }
        text += "\r\n";
        let mut bytes = text.into_bytes();
        if has_body && !head {
            bytes.extend_from_slice(&answer.body);
        }
        self.writer.write_all(&bytes)
    }

    /// Begins an answer whose length nobody knows.
    pub(crate) fn chunks(&mut self, kind: &str, headers: &[(&str, String)]) -> io::Result<Chunks<'_>> {
        let mut text = status_line(200);
        for (name, value) in headers {
            text += &format!("{name}: {value}\r\n");
        }
        text += &format!("Content-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n");
        self.writer.write_all(text.as_bytes())?;
        Ok(Chunks { writer: &mut self.writer })
    }

    /// Hands the connection over to a container's streams: what the client says behind its request is for them.
    pub(crate) fn hand_over(&mut self, request: &mut Request, kind: &str) -> io::Result<()> {
        self.body(request)?.drain()?;
        let text = if request.header("upgrade").is_some() {
            format!("HTTP/1.1 101 UPGRADED\r\nContent-Type: {kind}\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
        } else {
            format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n\r\n")
        };
        self.writer.write_all(text.as_bytes())
    }

    pub(crate) fn writer(&self) -> &File {
        &self.writer
    }

    pub(crate) fn reader(&mut self) -> &mut impl Read {
        &mut self.reader
    }

    /// Tells a reader of this connection, in whatever thread, that nothing more will come.
    pub(crate) fn close(&self) {
        let _ = rustix::net::shutdown(&self.writer, Shutdown::Both);
    }
}

fn malformed(text: &str) -> Unreadable {
    Unreadable::Malformed(text.to_owned())
}

impl Request {
    fn parse(head: &[u8]) -> Result<Request, Unreadable> {
        let mut space = [httparse::EMPTY_HEADER; 64];
        let mut parsed = httparse::Request::new(&mut space);
        parsed.parse(head).map_err(|error| malformed(&error.to_string()))?;
        let headers: Vec<(String, String)> = parsed
            .headers
            .iter()
            .map(|header| (header.name.to_ascii_lowercase(), String::from_utf8_lossy(header.value).trim().to_owned()))
            .collect();
        let target = parsed.path.unwrap_or("/");
        let target =
            target.strip_prefix("http://").map_or(target, |rest| &rest[rest.find('/').unwrap_or(rest.len())..]);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut request = Request {
            method: parsed.method.unwrap_or_default().to_owned(),
            path: path.to_owned(),
            query: Query::parse(query),
            headers,
            keeps: false,
            length: Length::Known(0),
        };
        request.length = match (request.header("transfer-encoding"), request.header("content-length")) {
            (Some(encoding), _) if encoding.eq_ignore_ascii_case("chunked") => Length::Chunk(0),
            (Some(encoding), _) => return Err(malformed(&format!("transfer encoding {encoding:?} is not known"))),
            (None, Some(length)) => Length::Known(length.parse().map_err(|_| malformed("bad content length"))?),
            (None, None) => Length::Known(0),
        };
        let connection = request.header("connection").unwrap_or_default().to_ascii_lowercase();
        request.keeps = match parsed.version {
            Some(1) => !connection.contains("close"),
            _ => connection.contains("keep-alive"),
        };
        Ok(request)
    }

    /// The value of a header, by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn keeps(&self) -> bool {
        self.keeps
    }
}

/// What a client sends with its request.
pub(crate) struct Body<'a> {
    reader: &'a mut BufReader<File>,
    length: &'a mut Length,
}

impl Body<'_> {
    /// Reads what nobody wanted, so that the next request begins where it should.
    pub(crate) fn drain(mut self) -> io::Result<()> {
        io::copy(&mut self, &mut io::sink()).map(drop)
    }

    /// The size of the next chunk; at the last one the trailers are passed over, too.
    fn next_chunk(&mut self) -> io::Result<u64> {
        let mut line = self.line()?;
        if line.is_empty() {
            line = self.line()?;
        }
        let digits = line.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(digits, 16)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, format!("{digits:?} is no size of a chunk")))?;
        if size == 0 {
            while !self.line()?.is_empty() {}
        }
        Ok(size)
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        (&mut *self.reader).take(HEAD as u64).read_line(&mut line)?;
        if !line.ends_with('\n') {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }
}

impl Read for Body<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if *self.length == Length::Chunk(0) {
            *self.length = match self.next_chunk()? {
                0 => Length::Known(0),
                size => Length::Chunk(size),
            };
        }
        let (Length::Known(left) | Length::Chunk(left)) = *self.length;
        let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        if most == 0 {
            return Ok(0);
        }
        let count = self.reader.read(&mut buffer[..most])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match self.length {
            Length::Known(left) | Length::Chunk(left) => *left -= count as u64,
        }
        Ok(count)
    }
}

/// An answer that is written as it becomes known; each write is a chunk, and on its way at once.
pub(crate) struct Chunks<'a> {
    writer: &'a mut File,
}

impl Chunks<'_> {
    /// An answer without this was cut off.
    pub(crate) fn finish(self) -> io::Result<()> {
        self.writer.write_all(b"0\r\n\r\n")
    }
}

impl Write for Chunks<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if !data.is_empty() {
            let mut chunk = format!("{:x}\r\n", data.len()).into_bytes();
            chunk.extend_from_slice(data);
            chunk.extend_from_slice(b"\r\n");
            self.writer.write_all(&chunk)?;
        }
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An answer that is known as a whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) kind: &'static str,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn empty(status: u16) -> Answer {
        Answer { status, kind: "text/plain; charset=utf-8", headers: Vec::new(), body: Vec::new() }
    }

    pub(crate) fn text(text: &str) -> Answer {
        Answer { body: text.as_bytes().to_vec(), ..Answer::empty(200) }
    }

    pub(crate) fn json(status: u16, value: &Value) -> Answer {
        let mut body = value.to_string().into_bytes();
        body.push(b'\n');
        Answer { status, kind: "application/json", headers: Vec::new(), body }
    }
}

fn status_line(status: u16) -> String {
    let reason = match status {
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        409 => "Conflict",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        _ => "Unknown",
    };
    let version = crate::system::VERSION;
    format!("HTTP/1.1 {status} {reason}\r\nApi-Version: {version}\r\nServer: creel (linux)\r\n")
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    /// What comes of bytes that a client sends.
    fn connection(sent: &[u8]) -> Connection {
        let (mut client, server) = UnixStream::pair().unwrap();
        client.write_all(sent).unwrap();
        Connection::new(File::from(OwnedFd::from(server))).unwrap()
    }

    fn body_of(sent: &str) -> (io::Result<Vec<u8>>, Connection) {
        let mut connection = connection(sent.as_bytes());
        let mut request = connection.request().unwrap();
        let mut out = Vec::new();
        let read = connection.body(&mut request).unwrap().read_to_end(&mut out);
        (read.map(|_| out), connection)
    }

    #[test]
    fn requests_follow_each_other_with_bodies_of_both_kinds() {
        let (body, mut connection) = body_of(
            "\r\nPOST /v1.41/a%2Fb/c?x=1&y=a+b%21&x=2 HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n\
             3\r\nabc\r\nA;ext=1\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\n\
             GET /next HTTP/1.1\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi",
        );
        assert_eq!(body.unwrap(), b"abc0123456789");
        let mut next = connection.request().unwrap();
        assert_eq!((next.method.as_str(), next.path.as_str(), next.keeps()), ("GET", "/next", false));
        let mut out = String::new();
        connection.body(&mut next).unwrap().read_to_string(&mut out).unwrap();
        assert_eq!(out, "hi");
        assert!(matches!(connection.request(), Err(Unreadable::Closed)));
    }

    #[test]
    fn bodies_that_end_early_are_errors() {
        for sent in [
            "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nabc",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nx\r\nabc\r\n",
        ] {
            assert!(body_of(sent).0.is_err(), "{sent:?}");
        }
    }

    #[test]
    fn what_is_no_request_is_said() {
        let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(HEAD));
        for sent in [
            "hello\r\n\r\n",
            "GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
            "GET / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
            &long,
        ] {
            let found = connection(sent.as_bytes()).request();
            assert!(matches!(found, Err(Unreadable::Malformed(_))), "{found:?}");
        }
    }

    #[test]
    fn queries_are_read_as_docker_reads_them() {
        let query = Query::parse("all=1&t=False&filters=%7B%22a%22%3A%5B%5D%7D&q&tag=a&tag=b%zz");
        assert!(query.is("all") && !query.is("t") && !query.is("q") && !query.is("none"));
        assert_eq!(query.get("filters"), Some(r#"{"a":[]}"#));
        assert_eq!(query.all("tag").collect::<Vec<_>>(), ["a", "b%zz"]);
    }
}
