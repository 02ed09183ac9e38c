//! One call of grpc.health.v1.Health/Check over plain HTTP/2 (RFC 9113), written by hand: a request has no more than a few
//! frames, and of the answer only the message counts.

use std::io::{Read, Write};
use std::net::TcpStream;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;

/// A frame is no longer unless we say that it may be.
const MAX_FRAME: usize = 16 * 1024;
/// A health check's answer comes within a few.
const MAX_FRAMES: usize = 100;

/// grpc.health.v1.HealthCheckResponse.ServingStatus.SERVING
const SERVING: u64 = 1;

/// Whether the service says that it is serving. The stream has its time limits already.
pub(super) fn check(stream: &mut TcpStream, host: &str, service: &str) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("no answer: {error}");
    stream.write_all(&request(host, service)).map_err(failed)?;
    let mut message = Vec::new();
    for _ in 0..MAX_FRAMES {
        let (kind, flags, payload) = read_frame(stream).map_err(failed)?;
        match kind {
            SETTINGS if flags & ACK == 0 => stream.write_all(&frame(SETTINGS, ACK, 0, &[])).map_err(failed)?,
            PING if flags & ACK == 0 => stream.write_all(&frame(PING, ACK, 0, &payload)).map_err(failed)?,
            RST_STREAM | GOAWAY => return Err("the server broke the call off".into()),
            DATA => message.extend_from_slice(unpadded(flags, &payload)),
            _ => {}
        }
        if matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0 {
            break;
        }
    }
    match status(&message) {
        Some(SERVING) => Ok(()),
        Some(status) => Err(format!("the service says {}", word(status))),
        None => Err("the server does not answer for that service".into()),
    }
}

fn word(status: u64) -> &'static str {
    match status {
        0 => "UNKNOWN",
        2 => "NOT_SERVING",
        3 => "SERVICE_UNKNOWN",
        _ => "something that is not serving",
    }
}

fn request(host: &str, service: &str) -> Vec<u8> {
    let mut bytes = PREFACE.to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[]));
    let mut block = Vec::new();
    for (name, value) in [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/grpc.health.v1.Health/Check"),
        (":authority", host),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        ("user-agent", "kube-probe/creel"),
    ] {
        literal(&mut block, name, value);
    }
    bytes.extend(frame(HEADERS, END_HEADERS, 1, &block));
    // HealthCheckRequest { string service = 1; }
    let mut body = Vec::new();
    if !service.is_empty() {
        body.push(0x0a);
        integer(&mut body, service.len(), 7, 0x80);
        body.extend_from_slice(service.as_bytes());
    }
    let mut message = vec![0];
    message.extend(u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes());
    message.extend(body);
    bytes.extend(frame(DATA, END_STREAM, 1, &message));
    bytes
}

/// RFC 7541 6.2.2: a header without an index, names and values as they are.
fn literal(block: &mut Vec<u8>, name: &str, value: &str) {
    block.push(0);
    for text in [name, value] {
        if text.len() < 127 {
            block.push(u8::try_from(text.len()).unwrap_or(0));
        } else {
            block.push(127);
            integer(block, text.len() - 127, 7, 0x80);
        }
        block.extend_from_slice(text.as_bytes());
    }
}

/// Groups of bits, lowest first, each but the last with a mark: protobuf's varint, and HPACK's tail of an integer.
fn integer(bytes: &mut Vec<u8>, mut value: usize, bits: u32, more: u8) {
    let mask = (1usize << bits) - 1;
    while value > mask {
        bytes.push(u8::try_from(value & mask).unwrap_or(0) | more);
        value >>= bits;
    }
    bytes.push(u8::try_from(value).unwrap_or(0));
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

fn read_frame(stream: &mut TcpStream) -> std::io::Result<(u8, u8, Vec<u8>)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head)?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
    if length > MAX_FRAME {
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "the answer is no HTTP/2"));
    }
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload)?;
    Ok((head[3], head[4], payload))
}

fn unpadded(flags: u8, payload: &[u8]) -> &[u8] {
    if flags & PADDED == 0 {
        return payload;
    }
    match payload.split_first() {
        Some((padding, rest)) => &rest[..rest.len().saturating_sub(usize::from(*padding))],
        None => payload,
    }
}

/// The status in a message: five bytes of gRPC's before it, then `status = 1` as a varint; absent it is 0.
fn status(message: &[u8]) -> Option<u64> {
    let body = message.get(5..)?;
    match body {
        [] => Some(0),
        [0x08, value, ..] if value & 0x80 == 0 => Some(u64::from(*value)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// A server that reads the request and answers with these frames.
    fn answered(frames: Vec<u8>) -> Result<(), String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            let mut preface = vec![0; PREFACE.len()];
            client.read_exact(&mut preface).unwrap();
            assert_eq!(preface, PREFACE);
            let mut body = Vec::new();
            while body.is_empty() {
                let (kind, _, payload) = read_frame(&mut client).unwrap();
                if kind == DATA {
                    body = payload;
                }
            }
            assert_eq!(body, [0, 0, 0, 0, 3, 0x0a, 1, b'x']);
            client.write_all(&frames).unwrap();
        });
        let mut stream = TcpStream::connect(address).unwrap();
        let result = check(&mut stream, "127.0.0.1:1", "x");
        server.join().unwrap();
        result
    }

    fn message(status: u8) -> Vec<u8> {
        let mut frames = frame(SETTINGS, 0, 0, &[]);
        frames.extend(frame(HEADERS, END_HEADERS, 1, &[0x88]));
        frames.extend(frame(DATA, 0, 1, &[0, 0, 0, 0, 2, 8, status]));
        frames.extend(frame(HEADERS, END_HEADERS | END_STREAM, 1, &[]));
        frames
    }

    #[test]
    fn serving_is_success_and_nothing_else() {
        assert_eq!(answered(message(1)), Ok(()));
        assert_eq!(answered(message(2)), Err("the service says NOT_SERVING".into()));
        assert!(answered(frame(HEADERS, END_HEADERS | END_STREAM, 1, &[])).is_err());
        assert!(answered(frame(GOAWAY, 0, 0, &[0; 8])).is_err());
    }

    #[test]
    fn long_integers_have_marks() {
        let mut bytes = Vec::new();
        integer(&mut bytes, 300, 7, 0x80);
        assert_eq!(bytes, [0xac, 0x02]);
    }
}
