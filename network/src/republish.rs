//! What changes between two lists of published ports. Pure.

use std::net::IpAddr;

use crate::ports::PortMapping;
use crate::{Error, Result};

/// What can be published and closed each without the others: single ports, but a range whose ports the kernel chooses is
/// one piece. Nothing is there twice.
pub(crate) fn pieces(ports: &[PortMapping]) -> Vec<PortMapping> {
    let mut pieces: Vec<PortMapping> = Vec::new();
    for mapping in ports {
        let singles = match mapping.host_port {
            0 => vec![mapping.clone()],
            _ => (0..mapping.range.max(1)).map(|offset| mapping.part(offset, 1)).collect(),
        };
        for piece in singles {
            // Only those that are free to choose can be the same: others would be in conflict.
            if piece.host_port != 0 || !pieces.contains(&piece) {
                pieces.push(piece);
            }
        }
    }
    pieces
}

/// The pieces that the other list does not have.
pub(crate) fn only_in(one: &[PortMapping], other: &[PortMapping]) -> Vec<PortMapping> {
    one.iter().filter(|piece| !other.contains(piece)).cloned().collect()
}

/// What of `new` has to be bound that no piece of `old` stands in the way of: who tries knows early whether somebody else
/// does.
pub fn to_be_bound(old: &[PortMapping], new: &[PortMapping]) -> Vec<PortMapping> {
    let old = pieces(old);
    let fresh = only_in(&pieces(new), &old);
    fresh.into_iter().filter(|piece| !old.iter().any(|other| piece.takes_from(other))).collect()
}

/// Takes out of a list what is meant by `what`: its container ports, and of those only what is published on its address
/// and its ports of the host where it names them. `real` is what is published now, with the ports that the kernel chose.
///
/// # Errors
/// Where nothing of that is published, or only a part of a range whose ports the kernel chose.
pub fn unpublish(ports: &[PortMapping], real: &[PortMapping], what: &PortMapping) -> Result<Vec<PortMapping>> {
    let mut left = Vec::new();
    let mut found = false;
    for mapping in ports {
        match meant(mapping, what) {
            Some((first, count)) if mapping.host_port != 0 => {
                found = true;
                left.extend((first > 0).then(|| mapping.part(0, first)));
                let after = first + count;
                left.extend((after < mapping.range).then(|| mapping.part(after, mapping.range - after)));
            }
            _ => left.push(mapping.clone()),
        }
    }
    if found {
        return Ok(left);
    }
    // Only now those that the kernel chose: a port that was named is meant before one that happens to be the same.
    for mapping in ports.iter().filter(|mapping| mapping.host_port == 0) {
        let of_host = PortMapping { host_port: 0, ..what.clone() };
        let Some((_, count)) = meant(mapping, &of_host) else { continue };
        let is_there = |other: &PortMapping| other.host_ip == mapping.host_ip && meant(other, what).is_some();
        if what.host_port != 0 && !real.iter().any(is_there) {
            continue;
        }
        if count < mapping.range {
            return Err(Error::Refused(format!(
                "{what} is a part of the published range {mapping}, whose ports were chosen together: give all of it"
            )));
        }
        left.retain(|other| other != mapping);
        found = true;
    }
    match found {
        true => Ok(left),
        false => Err(Error::Refused(format!("{what} is not published"))),
    }
}

/// Which ports of a mapping are meant: the offset of the first one, and how many.
fn meant(mapping: &PortMapping, what: &PortMapping) -> Option<(u16, u16)> {
    let same_address = what.host_ip.is_none_or(|ip| ip == mapping.host_ip.unwrap_or(of_no_address(ip)));
    if mapping.protocol != what.protocol || !same_address {
        return None;
    }
    // Wider than ports: a range ends behind the last one.
    let span = |first: u16, range: u16| (u32::from(first), u32::from(first) + u32::from(range.max(1)));
    let (mine, wanted) = (span(mapping.container_port, mapping.range), span(what.container_port, what.range));
    let (first, end) = (mine.0.max(wanted.0), mine.1.min(wanted.1));
    // The same port of the container has to be the same port of the host.
    let shift = |mapping: &PortMapping| i32::from(mapping.host_port) - i32::from(mapping.container_port);
    if first >= end || (what.host_port != 0 && shift(mapping) != shift(what)) {
        return None;
    }
    Some(((first - mine.0) as u16, (end - first) as u16))
}

/// The address of its family that a port without an address is published on.
fn of_no_address(like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => IpAddr::from([0; 4]),
        IpAddr::V6(_) => IpAddr::from([0; 16]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(texts: &[&str]) -> Vec<PortMapping> {
        texts.iter().map(|text| crate::parse_publish(text).unwrap()).collect()
    }

    fn one(text: &str) -> PortMapping {
        crate::parse_publish(text).unwrap()
    }

    #[test]
    fn pieces_are_what_can_be_closed_alone() {
        assert_eq!(pieces(&all(&["8000-8002:80-82", "90-91"])), all(&["8000:80", "8001:81", "8002:82", "90-91"]));
        assert_eq!(pieces(&all(&["80", "80"])), all(&["80"]));
    }

    #[test]
    fn only_what_is_new_is_tried() {
        let old = all(&["8080:80", "8081:81"]);
        assert_eq!(to_be_bound(&old, &all(&["8080:80", "9000:90"])), all(&["9000:90"]));
        // 8081 leads elsewhere: it is ours until it is closed.
        assert_eq!(to_be_bound(&old, &all(&["8081:82", "80"])), all(&["80"]));
        assert_eq!(to_be_bound(&all(&["8000-8001:1-2"]), &all(&["8000:1"])), []);
    }

    #[test]
    fn what_is_meant_is_taken_out() {
        for (ports, real, what, left) in [
            ("8080:80 8081:80 53:53/udp", "", "8080:80", "8081:80 53:53/udp"),
            ("8080:80 8081:80 80:80/udp", "", "80", "80:80/udp"),
            ("127.0.0.1:8080:80 [::1]:8080:80", "", "8080:80", ""),
            ("127.0.0.1:8080:80 [::1]:8080:80", "", "127.0.0.1:8080:80", "[::1]:8080:80"),
            // As `port` shows it.
            ("8080:80", "", "0.0.0.0:8080:80", ""),
            ("8000-8004:80-84", "", "8001-8002:81-82", "8000:80 8003-8004:83-84"),
            ("8000-8004:80-84", "", "84", "8000-8003:80-83"),
            ("80 81", "", "80", "81"),
            ("80 8080:80", "40000:80 8080:80", "40000:80", "8080:80"),
            ("80 8080:80", "40000:80 8080:80", "8080:80", "80"),
            ("80-82", "40000-40002:80-82", "40000-40002:80-82", ""),
        ] {
            let words = |text: &str| text.split_whitespace().map(one).collect::<Vec<_>>();
            assert_eq!(unpublish(&words(ports), &words(real), &one(what)).unwrap(), words(left), "{ports} {what}");
        }
    }

    #[test]
    fn what_is_not_there_cannot_be_taken_out() {
        for (ports, real, what, why) in [
            ("8080:80", "8080:80", "8081:80", "8081:80/tcp is not published"),
            ("8080:80", "8080:80", "80/udp", "80/udp is not published"),
            ("80", "40000:80", "40001:80", "40001:80/tcp is not published"),
            ("127.0.0.1:8080:80", "8080:80", "[::1]:8080:80", "[::1]:8080:80/tcp is not published"),
            ("80-82", "40000-40002:80-82", "81", "81/tcp is a part of the published range 80-82/tcp"),
        ] {
            let error = unpublish(&all(&[ports]), &all(&[real]), &one(what)).unwrap_err().to_string();
            assert!(error.starts_with(why), "{what}: {error}");
        }
    }
}
