//! Where an HTTP request goes: the head of a request is read, a rule chosen by its host and path, and the head passed on
//! so that the server ends the connection after its answer. Each request is thereby routed by itself, and everything
//! after the head is bytes to be spliced.
//!
//! Rules mean what those of an Ingress mean (Kubernetes documentation, "Ingress": path types, hostname wildcards).

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// How a rule's path is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PathMatch {
    Exact,
    /// Element by element: `/a` covers `/a` and `/a/b`, not `/ab`.
    Prefix,
}

/// How a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    Http,
    Https,
}

/// Requests for this host and path go to that group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// `None`: every host. `*.example.org` covers one label in place of the star.
    pub host: Option<String>,
    pub path: String,
    pub path_match: PathMatch,
    /// The id of a [`crate::Group`] of TCP back ends.
    pub group: u32,
    /// Where the client is sent that asks in clear: this port of the same host, by TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub https: Option<u16>,
}

/// Bytes of the head of a request: beyond that it is answered with 431.
pub(super) const HEAD_LIMIT: usize = 64 * 1024;
/// The port that no URL of https has to name (RFC 9110, section 4.2.2).
const HTTPS: u16 = 443;
/// Header fields of one request, beyond that 431.
const FIELDS_LIMIT: usize = 256;

/// What is to become of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The head is not whole yet.
    Incomplete,
    /// To be answered by us with this status.
    Answer(Status),
    /// To be sent to a server of this group: the new head, and what had arrived behind it.
    Forward { group: u32, bytes: Vec<u8> },
}

/// What the forwarder itself answers (RFC 9110, section 15; RFC 6585).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// The request is to be made again, as it is, at this URL.
    Moved(String),
    BadRequest,
    NotFound,
    Timeout,
    HeadTooLarge,
    /// No server is ready.
    Unavailable,
}

impl Status {
    pub(super) fn answer(&self) -> Vec<u8> {
        let (code, reason) = match self {
            Status::Moved(_) => (308, "Permanent Redirect"),
            Status::BadRequest => (400, "Bad Request"),
            Status::NotFound => (404, "Not Found"),
            Status::Timeout => (408, "Request Timeout"),
            Status::HeadTooLarge => (431, "Request Header Fields Too Large"),
            Status::Unavailable => (503, "Service Unavailable"),
        };
        let body = format!("{code} {reason}\n");
        let length = body.len();
        let location = match self {
            Status::Moved(url) => format!("Location: {url}\r\n"),
            _ => String::new(),
        };
        format!(
            "HTTP/1.1 {code} {reason}\r\n{location}Content-Type: text/plain\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        )
        .into_bytes()
    }
}

/// Decides over what a client has sent so far.
pub(super) fn route(rules: &[Rule], received: &[u8], client: IpAddr, scheme: Scheme) -> Verdict {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_LIMIT];
    let mut request = httparse::Request::new(&mut fields);
    let length = match request.parse(received) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if received.len() < HEAD_LIMIT => return Verdict::Incomplete,
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
            return Verdict::Answer(Status::HeadTooLarge);
        }
        Err(_) => return Verdict::Answer(Status::BadRequest),
    };
    let (Some(method), Some(target), Some(version)) = (request.method, request.path, request.version) else {
        return Verdict::Answer(Status::BadRequest);
    };
    let mut hosts = request.headers.iter().filter(|field| field.name.eq_ignore_ascii_case("host"));
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => String::from_utf8_lossy(host.value).into_owned(),
        (None, None) => String::new(),
        // Two parties would each believe another one (RFC 9112, section 3.2).
        _ => return Verdict::Answer(Status::BadRequest),
    };
    let Some((authority, path, query)) = split_target(target, &host) else {
        return Verdict::Answer(Status::BadRequest);
    };
    let name = without_port(authority).to_ascii_lowercase();
    let Some(rule) = choose(rules, &name, path) else {
        return Verdict::Answer(Status::NotFound);
    };
    if let (Scheme::Http, Some(port)) = (scheme, rule.https) {
        if name.is_empty() {
            return Verdict::Answer(Status::BadRequest);
        }
        let port = if port == HTTPS { String::new() } else { format!(":{port}") };
        return Verdict::Answer(Status::Moved(format!("https://{name}{port}{path}{query}")));
    }
    let mut bytes = format!("{method} {target} HTTP/1.{version}\r\n").into_bytes();
    let mut upgrade = false;
    let mut forwarded_for = Vec::new();
    for field in request.headers.iter() {
        match field.name.to_ascii_lowercase().as_str() {
            "connection" => upgrade |= lists(field.value, "upgrade"),
            "keep-alive" | "proxy-connection" | "x-forwarded-host" | "x-forwarded-proto" | "x-real-ip" => {}
            "x-forwarded-for" => {
                forwarded_for.extend_from_slice(field.value);
                forwarded_for.extend_from_slice(b", ");
            }
            _ => line(&mut bytes, field.name, field.value),
        }
    }
    forwarded_for.extend_from_slice(client.to_canonical().to_string().as_bytes());
    line(&mut bytes, "X-Forwarded-For", &forwarded_for);
    line(&mut bytes, "X-Forwarded-Host", host.as_bytes());
    line(&mut bytes, "X-Forwarded-Proto", if scheme == Scheme::Https { b"https" } else { b"http" });
    line(&mut bytes, "Connection", if upgrade { b"upgrade" } else { b"close" });
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(&received[length..]);
    Verdict::Forward { group: rule.group, bytes }
}

fn line(bytes: &mut Vec<u8>, name: &str, value: &[u8]) {
    bytes.extend_from_slice(name.as_bytes());
    bytes.extend_from_slice(b": ");
    bytes.extend_from_slice(value);
    bytes.extend_from_slice(b"\r\n");
}

fn lists(value: &[u8], word: &str) -> bool {
    value.split(|byte| *byte == b',').any(|part| part.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
}

/// The authority, the path and the query with its `?` of a request target (RFC 9112, section 3.2).
fn split_target<'a>(target: &'a str, host: &'a str) -> Option<(&'a str, &'a str, &'a str)> {
    let (authority, rest) = match target.strip_prefix("http://").or_else(|| target.strip_prefix("https://")) {
        Some(absolute) => absolute.split_at(absolute.find(['/', '?']).unwrap_or(absolute.len())),
        None if target == "*" => (host, "/"),
        None if target.starts_with('/') => (host, target),
        None => return None,
    };
    let (path, query) = rest.split_at(rest.find('?').unwrap_or(rest.len()));
    Some((authority, if path.is_empty() { "/" } else { path }, query))
}

fn without_port(authority: &str) -> &str {
    match authority.rfind(':') {
        Some(colon) if !authority[colon..].contains(']') => &authority[..colon],
        _ => authority,
    }
}

/// The most specific rule: its own host before a wildcard before none; then the longest path, `Exact` first.
fn choose<'a>(rules: &'a [Rule], host: &str, path: &str) -> Option<&'a Rule> {
    let fitting = rules.iter().filter_map(|rule| {
        let host = match &rule.host {
            None => 0,
            Some(name) => match name.strip_prefix('*') {
                Some(suffix) => {
                    let label = host.strip_suffix(suffix)?;
                    (!label.is_empty() && !label.contains('.')).then_some(1)?
                }
                None => (name == host).then_some(2)?,
            },
        };
        let covers = match rule.path_match {
            PathMatch::Exact => path == rule.path,
            PathMatch::Prefix => {
                let prefix = rule.path.trim_end_matches('/');
                path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
        };
        let exact = rule.path_match == PathMatch::Exact;
        covers.then_some(((host, exact, rule.path.len()), rule))
    });
    fitting.max_by_key(|(rank, _)| *rank).map(|(_, rule)| rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(host: Option<&str>, path: &str, path_match: PathMatch, group: u32) -> Rule {
        Rule { host: host.map(Into::into), path: path.into(), path_match, group, https: None }
    }

    #[test]
    fn the_most_specific_rule_is_taken() {
        use PathMatch::{Exact, Prefix};
        let rules = [
            rule(None, "/", Prefix, 1),
            rule(Some("shop.example"), "/", Prefix, 2),
            rule(Some("shop.example"), "/cart", Prefix, 3),
            rule(Some("shop.example"), "/cart", Exact, 4),
            rule(Some("*.example"), "/", Prefix, 5),
        ];
        for (host, path, expected) in [
            ("elsewhere", "/cart", 1),
            ("shop.example", "/", 2),
            ("shop.example", "/carts", 2),
            ("shop.example", "/cart/1", 3),
            ("shop.example", "/cart", 4),
            ("other.example", "/x", 5),
            ("a.b.example", "/x", 1),
            (".example", "/x", 1),
        ] {
            assert_eq!(choose(&rules, host, path).map(|rule| rule.group), Some(expected), "{host}{path}");
        }
        assert_eq!(choose(&rules[1..], "elsewhere", "/"), None);
    }

    #[test]
    fn a_head_is_passed_on_for_one_request() {
        let rules = [rule(Some("a.example"), "/x", PathMatch::Prefix, 7)];
        let client = IpAddr::from([192, 0, 2, 1]);
        let request = b"POST /x/y?z=1 HTTP/1.1\r\nHost: A.example:8080\r\nConnection: keep-alive\r\nContent-Length: 2\r\nX-Forwarded-For: 198.51.100.1\r\n\r\nhi";
        let Verdict::Forward { group, bytes } = route(&rules, request, client, Scheme::Http) else { panic!() };
        assert_eq!(group, 7);
        assert_eq!(
            String::from_utf8(bytes).unwrap(),
            "POST /x/y?z=1 HTTP/1.1\r\nHost: A.example:8080\r\nContent-Length: 2\r\nX-Forwarded-For: 198.51.100.1, 192.0.2.1\r\nX-Forwarded-Host: A.example:8080\r\nX-Forwarded-Proto: http\r\nConnection: close\r\n\r\nhi"
        );
        for cut in 0..40 {
            assert_eq!(route(&rules, &request[..cut], client, Scheme::Http), Verdict::Incomplete, "{cut}");
        }
    }

    #[test]
    fn what_is_no_request_is_answered() {
        let client = IpAddr::from([192, 0, 2, 1]);
        let answer = |bytes: &[u8]| match route(&[], bytes, client, Scheme::Http) {
            Verdict::Answer(status) => status,
            other => panic!("{other:?}"),
        };
        assert_eq!(answer(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), Status::NotFound);
        assert_eq!(answer(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), Status::BadRequest);
        assert_eq!(answer(b"\x16\x03\x01\x02\x00\x01"), Status::BadRequest);
        assert_eq!(answer(b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n"), Status::BadRequest);
        assert_eq!(answer(&[b"GET / HTTP/1.1\r\nX: ".as_slice(), &[b'a'; HEAD_LIMIT]].concat()), Status::HeadTooLarge);
    }

    #[test]
    fn an_upgrade_stays_one() {
        let rules = [rule(None, "/", PathMatch::Prefix, 1)];
        let request = b"GET /chat HTTP/1.1\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n";
        let Verdict::Forward { bytes, .. } = route(&rules, request, [192, 0, 2, 1].into(), Scheme::Http) else {
            panic!()
        };
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains("Upgrade: websocket\r\n") && text.contains("Connection: upgrade\r\n"), "{text}");
    }

    #[test]
    fn who_asks_in_clear_is_sent_to_tls() {
        let client = IpAddr::from([192, 0, 2, 1]);
        let rules = |port| [Rule { https: Some(port), ..rule(Some("a.example"), "/", PathMatch::Prefix, 1) }];
        let moved = |port, request: &str| match route(&rules(port), request.as_bytes(), client, Scheme::Http) {
            Verdict::Answer(status) => String::from_utf8(status.answer()).unwrap(),
            other => panic!("{other:?}"),
        };
        let answer = moved(8443, "GET /x?y=1 HTTP/1.1\r\nHost: A.example:8080\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 308 Permanent Redirect\r\nLocation: https://a.example:8443/x?y=1\r\n"));
        for target in ["/?q", "http://a.example/?q", "http://a.example?q"] {
            let answer = moved(443, &format!("GET {target} HTTP/1.1\r\nHost: a.example\r\n\r\n"));
            assert!(answer.contains("\r\nLocation: https://a.example/?q\r\n"), "{target}: {answer}");
        }
        let request = b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";
        let Verdict::Forward { bytes, .. } = route(&rules(443), request, client, Scheme::Https) else { panic!() };
        assert!(String::from_utf8(bytes).unwrap().contains("\r\nX-Forwarded-Proto: https\r\n"));
    }
}
