//! The listening sockets of published ports, in the caller's (the host's) network namespace.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use crate::ports::{PortMapping, Protocol};
use crate::{Error, Result};

/// One bound socket. An address of both families is two of them.
#[derive(Debug)]
pub struct Listener {
    /// One port, with the real host port.
    pub mapping: PortMapping,
    pub fd: OwnedFd,
}

/// The queue of a listening socket; the kernel caps it at net.core.somaxconn.
const BACKLOG: i32 = 4096;
/// How often another random port is tried when the second family or the rest of a range is taken.
const RANDOM_TRIES: usize = 32;

/// Binds every port of every mapping, before anything else is made. From here on clients connect and wait in the
/// kernel.
///
/// # Errors
/// [`Error::PortInUse`], [`Error::PortPrivileged`] and [`Error::Listen`] name the address.
pub fn bind(mappings: &[PortMapping]) -> Result<Vec<Listener>> {
    let mut listeners = Vec::new();
    for mapping in mappings {
        listeners.extend(bind_mapping(mapping)?);
    }
    Ok(listeners)
}

fn bind_mapping(mapping: &PortMapping) -> Result<Vec<Listener>> {
    if mapping.protocol == Protocol::Sctp {
        return Err(Error::NotSupported("publishing an sctp port".into()));
    }
    if mapping.host_port != 0 {
        return bind_range(mapping, mapping.host_port);
    }
    // The kernel picks the first port; the other family and the rest of the range follow it or another one is picked.
    let mut last = None;
    for _ in 0..RANDOM_TRIES {
        match bind_range(mapping, 0) {
            Err(Error::PortInUse { .. }) | Err(Error::NoFreePort { .. }) => {}
            Err(error) => last = Some(error),
            Ok(listeners) => return Ok(listeners),
        }
        if last.is_some() {
            break;
        }
    }
    Err(last.unwrap_or(Error::NoFreePort { protocol: mapping.protocol, first: 1024, last: u16::MAX }))
}

/// `first` 0 lets the kernel choose the first port of the range.
fn bind_range(mapping: &PortMapping, mut first: u16) -> Result<Vec<Listener>> {
    let mut listeners = Vec::new();
    for offset in 0..mapping.range.max(1) {
        let taken_up = || Error::NoFreePort { protocol: mapping.protocol, first, last: u16::MAX };
        let mut port = match (first, offset) {
            (0, _) => 0,
            (first, offset) => first.checked_add(offset).ok_or_else(taken_up)?,
        };
        let container_port = mapping.container_port.checked_add(offset).ok_or_else(taken_up)?;
        let addresses = match mapping.host_ip {
            Some(address) => vec![address],
            None => vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
        };
        for address in addresses {
            let (fd, real) = match listen(mapping.protocol, SocketAddr::new(address, port)) {
                Ok(bound) => bound,
                // A host without IPv6: every address is every IPv4 address.
                Err(error) if mapping.host_ip.is_none() && address.is_ipv6() && is_no_such_family(&error) => continue,
                Err(error) => return Err(describe(error, mapping.protocol, SocketAddr::new(address, port))),
            };
            port = real;
            if first == 0 {
                first = real;
            }
            let mapping = PortMapping { host_port: port, container_port, range: 1, ..mapping.clone() };
            listeners.push(Listener { mapping, fd });
        }
    }
    Ok(listeners)
}

fn listen(protocol: Protocol, address: SocketAddr) -> io::Result<(OwnedFd, u16)> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let kind = if protocol == Protocol::Udp { SocketType::DGRAM } else { SocketType::STREAM };
    let socket = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    if protocol == Protocol::Tcp {
        // A restarted container takes its port back at once, in spite of connections in TIME_WAIT.
        sockopt::set_socket_reuseaddr(&socket, true)?;
    }
    rustix::net::bind(&socket, &address)?;
    if protocol == Protocol::Tcp {
        rustix::net::listen(&socket, BACKLOG)?;
    }
    let bound = SocketAddr::try_from(rustix::net::getsockname(&socket)?)?;
    Ok((socket, bound.port()))
}

fn is_no_such_family(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL))
}

fn describe(error: io::Error, protocol: Protocol, address: SocketAddr) -> Error {
    match Errno::from_io_error(&error) {
        Some(Errno::ADDRINUSE) => Error::PortInUse { protocol, address, holder: holder(protocol, address.port()) },
        Some(Errno::ACCESS) => {
            let first = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").ok();
            let first = first.and_then(|text| text.trim().parse().ok()).unwrap_or(1024);
            Error::PortPrivileged { protocol, address, first }
        }
        _ => Error::Listen { protocol, address, source: error },
    }
}

/// Who holds a port, where proc(5) lets us see it: a process of the same user.
fn holder(protocol: Protocol, port: u16) -> Option<String> {
    let read = |suffix: &str| std::fs::read_to_string(format!("/proc/self/net/{protocol}{suffix}")).unwrap_or_default();
    let inode = socket_inode(&read(""), port).or_else(|| socket_inode(&read("6"), port))?;
    let wanted = format!("socket:[{inode}]");
    let processes = std::fs::read_dir("/proc").ok()?.flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let mut holders = pids.filter(|pid| {
        let fds = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        fds.map(|fd| std::fs::read_link(fd.path())).any(|link| link.is_ok_and(|link| link == Path::new(&wanted)))
    });
    let pid = holders.next()?;
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Some(format!("process {pid} {}", name.trim()).trim_end().to_owned())
}

/// The inode of a socket that listens (tcp) or is bound and unconnected (udp) on `port`, in the text of /proc/net/tcp
/// or udp.
fn socket_inode(text: &str, port: u16) -> Option<u64> {
    text.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [_, local, _, "0A" | "07", _, _, _, _, _, inode, ..] = fields[..] else { return None };
        let (_, local_port) = local.rsplit_once(':')?;
        (u16::from_str_radix(local_port, 16) == Ok(port)).then(|| inode.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(host_ip: Option<&str>, host_port: u16) -> PortMapping {
        PortMapping {
            host_ip: host_ip.map(|ip| ip.parse().unwrap()),
            host_port,
            container_port: 80,
            ..PortMapping::default()
        }
    }

    #[test]
    fn a_random_port_is_the_same_in_both_families() {
        let listeners = bind(&[mapping(None, 0)]).unwrap();
        assert!(listeners.iter().all(|listener| listener.mapping.host_port == listeners[0].mapping.host_port));
        assert_ne!(listeners[0].mapping.host_port, 0);
    }

    #[test]
    fn a_taken_port_is_named_with_its_holder() {
        let first = bind(&[mapping(Some("127.0.0.1"), 0)]).unwrap();
        let port = first[0].mapping.host_port;
        let error = bind(&[mapping(Some("127.0.0.1"), port)]).unwrap_err().to_string();
        assert!(error.starts_with(&format!("listen tcp 127.0.0.1:{port}: bind: address already in use")), "{error}");
        assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
    }

    #[test]
    fn udp_and_tcp_share_a_number() {
        let tcp = bind(&[mapping(Some("127.0.0.1"), 0)]).unwrap();
        let udp = PortMapping { protocol: Protocol::Udp, ..mapping(Some("127.0.0.1"), tcp[0].mapping.host_port) };
        // Another program may hold the same udp port, but never ours.
        match bind(&[udp]) {
            Ok(listeners) => assert_eq!(listeners[0].mapping.protocol, Protocol::Udp),
            Err(error) => assert!(matches!(error, Error::PortInUse { .. }), "{error}"),
        }
    }

    #[test]
    fn sctp_is_refused_by_name() {
        let error = bind(&[PortMapping { protocol: Protocol::Sctp, ..mapping(None, 0) }]).unwrap_err();
        assert_eq!(error.to_string(), "publishing an sctp port is not supported");
    }

    #[test]
    fn the_table_of_sockets_is_read() {
        let text = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1500        0 4711 1 0\n";
        assert_eq!(socket_inode(text, 8080), Some(4711));
        assert_eq!(socket_inode(text, 8081), None);
    }
}
