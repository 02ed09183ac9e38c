//! UDP: a socket for each address and port inside that sends, and for each thing of the host's that has another address
//! there.

use std::io::IoSliceMut;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::libc;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt};
use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};
use smoltcp::time::{Duration, Instant};

use super::destination::Destinations;
use super::packet::{Draft, Unreachable, quote};
use super::serve::{Base, Token};
use super::table::{self, Table};

/// Who sends, and to whom where that is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    inside: SocketAddr,
    mapped: Option<SocketAddr>,
}

/// Whether somebody has answered.
type HasAnswered = bool;
type Flow = table::Flow<Key, HasAnswered>;

#[derive(Debug)]
pub(super) struct Flows(Table<Key, HasAnswered>);

/// Silence after which a sender's port outside is given up.
const IDLE: Duration = Duration::from_secs(300);
/// The same while nobody has ever answered.
const IDLE_UNANSWERED: Duration = Duration::from_secs(60);
/// The same for a name server's answers: clients ask each question from another port.
const IDLE_MAPPED: Duration = Duration::from_secs(20);
const MOST: usize = 2048;
/// Datagrams moved in one turn of the loop from one socket.
const TURN: usize = 64;

impl Default for Flows {
    fn default() -> Flows {
        Flows(Table::new(MOST, Token::Flow))
    }
}

impl Flows {
    pub(super) fn settle(&mut self) {
        self.0.settle();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.0.next_due()
    }

    /// A datagram from inside. `to` is where it goes, `outside` where its sender thinks it does.
    pub(super) fn datagram(
        &mut self,
        inside: SocketAddr,
        outside: SocketAddr,
        (to, from): (SocketAddr, Option<IpAddr>),
        payload: &[u8],
        base: &mut Base,
    ) {
        let key = Key { inside, mapped: (to != outside).then_some(outside) };
        let Some(flow) = self.0.of(key, base, || open(to, key.mapped.is_some(), from).ok()) else { return };
        flow.last = base.now;
        let mut why = None;
        // The first error may be one that an earlier datagram met.
        for _ in 0..2 {
            let sent = match key.mapped {
                Some(_) => rustix::net::send(&flow.socket, payload, SendFlags::NOSIGNAL),
                None => rustix::net::sendto(&flow.socket, payload, SendFlags::NOSIGNAL, &to),
            };
            match sent {
                Ok(_) | Err(Errno::AGAIN | Errno::NOBUFS | Errno::MSGSIZE) => return,
                Err(error) => why = reason(error),
            }
        }
        let (Some(gateway), Some(why)) = (base.gateway(inside.ip()), why) else { return };
        let mut room = [0; 48];
        let quoted = quote(inside, outside, &mut room);
        base.tun.send(&Draft::unreachable(gateway, inside.ip(), why, quoted));
    }

    /// Datagrams from the world, and reports on ours.
    pub(super) fn event(&mut self, number: usize, flags: EventFlags, buffer: &mut [u8], base: &mut Base) {
        let Some(flow) = self.0.get(number) else { return };
        if flags.contains(EventFlags::ERR) {
            reports(flow, buffer, base);
        }
        for _ in 0..TURN {
            match rustix::net::recvfrom(&flow.socket, &mut *buffer, RecvFlags::DONTWAIT) {
                Ok((length, _, from)) => {
                    let from = flow.key.mapped.or_else(|| SocketAddr::try_from(from?).ok());
                    let Some(from) = from.filter(|from| Destinations::may_answer(from.ip())) else { continue };
                    flow.last = base.now;
                    flow.worth = true;
                    base.tun.send(&Draft::udp(from, flow.key.inside, &buffer[..length]));
                }
                Err(error) if is_report(error) => {}
                Err(_) => return,
            }
        }
    }

    pub(super) fn sweep(&mut self, now: Instant) {
        self.0.sweep(now, |flow| match (flow.key.mapped, flow.worth) {
            (Some(_), true) => IDLE_MAPPED,
            (None, true) => IDLE,
            (_, false) => IDLE_UNANSWERED,
        });
    }
}

/// Errors of sockets of UDP that tell what has become of an earlier datagram, see ip(7), IP_RECVERR.
fn is_report(error: Errno) -> bool {
    matches!(
        error,
        Errno::CONNREFUSED
            | Errno::HOSTUNREACH
            | Errno::NETUNREACH
            | Errno::HOSTDOWN
            | Errno::PROTO
            | Errno::ACCESS
            | Errno::INTR
    )
}

/// What the sender of a datagram is told of such an error.
fn reason(error: Errno) -> Option<Unreachable> {
    match error {
        Errno::CONNREFUSED => Some(Unreachable::Port),
        Errno::NETUNREACH => Some(Unreachable::Network),
        Errno::HOSTUNREACH | Errno::HOSTDOWN => Some(Unreachable::Host),
        Errno::ACCESS | Errno::PERM => Some(Unreachable::Prohibited),
        _ => None,
    }
}

fn open(to: SocketAddr, connected: bool, from: Option<IpAddr>) -> Result<OwnedFd, Errno> {
    let io = |error: nix::errno::Errno| Errno::from_raw_os_error(error as i32);
    let v6 = to.is_ipv6();
    let family = if v6 { AddressFamily::INET6 } else { AddressFamily::INET };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, SocketType::DGRAM, flags, None)?;
    if v6 {
        sockopt::set_ipv6_v6only(&socket, true)?;
        setsockopt(&socket, nix::sys::socket::sockopt::Ipv6RecvErr, &true).map_err(io)?;
    } else {
        setsockopt(&socket, nix::sys::socket::sockopt::Ipv4RecvErr, &true).map_err(io)?;
    }
    let any = if v6 { Ipv6Addr::UNSPECIFIED.into() } else { IpAddr::from(Ipv4Addr::UNSPECIFIED) };
    rustix::net::bind(&socket, &SocketAddr::new(from.unwrap_or(any), 0))?;
    if connected {
        rustix::net::connect(&socket, &to)?;
    }
    Ok(socket)
}

/// Passes on who could not be reached.
fn reports(flow: &Flow, buffer: &mut [u8], base: &mut Base) {
    let mut control = nix::cmsg_space!(libc::sock_extended_err, libc::sockaddr_in6);
    for _ in 0..TURN {
        let parts = &mut [IoSliceMut::new(&mut *buffer)];
        let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
        let report = recvmsg::<SockaddrStorage>(flow.socket.as_raw_fd(), parts, Some(&mut control), flags);
        let Ok(report) = report else { return };
        // To whom the datagram went.
        let to = flow.key.mapped.or_else(|| {
            let address = report.address?;
            let v4 = address.as_sockaddr_in().map(|v4| SocketAddr::V4((*v4).into()));
            v4.or_else(|| address.as_sockaddr_in6().map(|v6| SocketAddr::V6((*v6).into())))
        });
        let error = report.cmsgs().ok().and_then(|mut controls| {
            controls.find_map(|control| match control {
                ControlMessageOwned::Ipv4RecvErr(error, _) | ControlMessageOwned::Ipv6RecvErr(error, _) => Some(error),
                _ => None,
            })
        });
        let (Some(to), Some(error)) = (to, error) else { continue };
        let Some(why) = reason(Errno::from_raw_os_error(error.ee_errno as i32)) else { continue };
        let mut room = [0; 48];
        let quoted = quote(flow.key.inside, to, &mut room);
        // A closed port is the other host's own word.
        let from = if why == Unreachable::Port { Some(to.ip()) } else { base.gateway(to.ip()) };
        if let Some(from) = from {
            base.tun.send(&Draft::unreachable(from, flow.key.inside.ip(), why, quoted));
        }
    }
}
