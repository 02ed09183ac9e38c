//! One GET request by hand: a status line is all that is wanted.

use std::io::{Read, Write};
use std::net::TcpStream;

/// Bytes of an answer's head that are read.
const MAX_HEAD: usize = 16 * 1024;

/// The status of the answer. The stream has its time limits already.
pub(super) fn get(stream: &mut TcpStream, host: &str, path: &str, headers: &[(String, String)]) -> Result<u16, String> {
    let request = request(host, path, headers);
    stream.write_all(request.as_bytes()).map_err(|error| format!("cannot send the request: {error}"))?;
    let mut head = Vec::new();
    let mut buffer = [0; 1024];
    while !head.contains(&b'\n') && head.len() < MAX_HEAD {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => head.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(format!("no answer: {error}")),
        }
    }
    status(&String::from_utf8_lossy(&head)).ok_or_else(|| "the answer is no HTTP".to_owned())
}

fn request(host: &str, path: &str, headers: &[(String, String)]) -> String {
    let named = |wanted: &str| headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let mut text = format!("GET {path} HTTP/1.1\r\n");
    let mut add = |name: &str, value: &str| text.push_str(&format!("{name}: {value}\r\n"));
    add("Host", named("host").map_or(host, |(_, value)| value));
    if named("user-agent").is_none() {
        add("User-Agent", concat!("kube-probe/creel-", env!("CARGO_PKG_VERSION")));
    }
    if named("accept").is_none() {
        add("Accept", "*/*");
    }
    add("Connection", "close");
    for (name, value) in headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("host")) {
        // An empty value takes the header away.
        if !value.is_empty() {
            add(name, value);
        }
    }
    text.push_str("\r\n");
    text
}

/// `HTTP/1.1 200 OK`
fn status(head: &str) -> Option<u16> {
    let line = head.lines().next()?;
    let mut words = line.split(' ');
    words.next().filter(|version| version.starts_with("HTTP/"))?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_the_users_own_come_first() {
        let headers = [("Host".to_owned(), "a.example".to_owned()), ("X-A".to_owned(), "1".to_owned())];
        let text = request("10.0.0.1:80", "healthz", &headers);
        assert!(text.starts_with("GET /healthz HTTP/1.1\r\nHost: a.example\r\n"), "{text}");
        assert!(text.contains("\r\nX-A: 1\r\n") && text.ends_with("\r\n\r\n"), "{text}");
        assert_eq!(text.matches("Host:").count(), 1);
    }

    #[test]
    fn the_first_line_has_the_status() {
        assert_eq!(status("HTTP/1.1 204 No Content\r\nA: b\r\n"), Some(204));
        assert_eq!(status("HTTP/1.0 500"), Some(500));
        assert_eq!(status("SSH-2.0-x"), None);
        assert_eq!(status(""), None);
    }
}
