//! How a forwarder is told what to do: by a plan when it starts, and by requests while it runs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::process::{Child, Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, FdFlags, fcntl_setfd};
use serde::{Deserialize, Serialize};
use sys::channel::{Channel, MAX_FDS, MAX_MESSAGE};

use super::http::Rule;
use crate::certificate::Certificate;
use crate::ports::Protocol;
use crate::{Addresses, Cidr, Error, Result};

/// A network namespace that back ends live in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Place {
    pub interface: String,
    pub ipv4: Option<Ipv4Addr>,
    /// Added to the interface where it is missing.
    pub ipv6: Option<Ipv6Addr>,
    pub ipv6_prefix: u8,
    /// Who a client appears to be whose own address means something else in there: one on the host's loopback, one
    /// with the container's own address, one of the other family. Without it such a client has the container's
    /// address.
    pub host_alias: Option<Ipv4Addr>,
    pub host_alias6: Option<Ipv6Addr>,
}

impl Place {
    /// The namespace's own loopback. Its servers see every client there, as a program does that speaks with itself.
    pub fn loopback() -> Place {
        let (ipv4, ipv6) = (Some(Ipv4Addr::LOCALHOST), Some(Ipv6Addr::LOCALHOST));
        Place { ipv4, ipv6, ipv6_prefix: 128, ..Place::default() }
    }
}

impl From<&Addresses> for Place {
    fn from(addresses: &Addresses) -> Place {
        Place {
            interface: addresses.interface.clone(),
            ipv4: addresses.ipv4,
            ipv6: addresses.ipv6,
            ipv6_prefix: addresses.ipv6_prefix,
            host_alias: addresses.host_alias,
            host_alias6: addresses.host_alias6,
        }
    }
}

/// One server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backend {
    /// The id of its [`Place`].
    pub place: u32,
    pub port: u16,
    /// Its address, where it is not the place's own: a member of a network behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
}

/// What stands behind a set of listening sockets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    pub protocol: Protocol,
    pub backends: Vec<Backend>,
    /// Seconds for which a client goes on to be served by the same back end; without it back ends take turns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sticky: Option<u32>,
    /// Where clients may come from; others are reset, or not answered over UDP. Empty: everywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Cidr>,
}

/// One thing to do. Descriptors travel beside it, in the order in which they are named here.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(super) enum Request {
    /// One descriptor: the namespace.
    Place { id: u32, place: Place },
    /// The place is gone; its connections end with its servers.
    Forget { id: u32 },
    /// New, or in place of what stood behind the group so far. Connections that exist stay.
    Group { id: u32, group: Group },
    /// New, or in place of the rules so far: requests over HTTP go to the groups that the rules name, with certificates
    /// those over TLS. Numbers are shared with groups; `Listen` and `Close` take either.
    Router {
        id: u32,
        rules: Vec<Rule>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        certificates: Vec<Certificate>,
    },
    /// Any number of descriptors: listening sockets for the group.
    Listen { group: u32 },
    /// Stops listening. Connections that exist stay.
    Close { group: u32 },
    /// One descriptor, the writing end of a pipe that does not block: each TCP client that is accepted is told there from
    /// now on, by the number of its group or router, see [`Forwarder::report`].
    Report,
    /// One descriptor before those of the request: a file with a request that is too long for a message.
    Written,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Step {
    #[serde(flatten)]
    pub(super) request: Request,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) fds: Vec<RawFd>,
}

/// The argument of `creel forwarder`; its descriptors are inherited under the numbers it has.
#[derive(Serialize, Deserialize)]
pub(super) struct Plan {
    /// The process without which this one ends.
    pub(super) parent: i32,
    /// A channel for further requests; its end is the forwarder's end.
    pub(super) control: RawFd,
    /// Done before it hears requests. A forwarder that has some ends by itself when it no longer listens anywhere and the
    /// last connection is over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) steps: Vec<Step>,
}

fn encode<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("the types here have string keys and finite numbers only")
}

fn own_pid() -> i32 {
    rustix::process::getpid().as_raw_nonzero().get()
}

/// A forwarder that can be told more. Dropping it ends it.
#[derive(Debug)]
pub struct Forwarder {
    child: Child,
    channel: Channel,
}

/// How long a forwarder may take to do what it is asked, on a loaded machine.
const PATIENCE: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

impl Forwarder {
    /// Starts `program` (`creel forwarder`, without the plan, which is added as the last argument). It does nothing
    /// yet.
    ///
    /// The caller has one thread: another one that forks meanwhile would hand the channel on.
    pub fn start(program: Command) -> Result<Forwarder> {
        Forwarder::spawn(program, Vec::new())
    }

    /// Starts `program` in the same way; it serves these groups in place 0 as soon as it runs, without being waited for.
    pub(crate) fn serving(
        program: Command,
        place: Place,
        netns: BorrowedFd<'_>,
        groups: &[(u32, Group, Vec<BorrowedFd<'_>>)],
    ) -> Result<Forwarder> {
        let mut requests = vec![(Request::Place { id: 0, place }, vec![netns])];
        for (id, group, sockets) in groups {
            requests.push((Request::Group { id: *id, group: group.clone() }, Vec::new()));
            requests.push((Request::Listen { group: *id }, sockets.clone()));
        }
        Forwarder::spawn(program, requests)
    }

    fn spawn(mut program: Command, requests: Vec<(Request, Vec<BorrowedFd<'_>>)>) -> Result<Forwarder> {
        let action = "start the port forwarder";
        let (channel, theirs) = Channel::pair().map_err(Error::kernel(action))?;
        let fds = || requests.iter().flat_map(|(_, fds)| fds).copied().chain([theirs.as_fd()]);
        let control = theirs.as_fd().as_raw_fd();
        let number = |fds: &[BorrowedFd<'_>]| fds.iter().map(AsRawFd::as_raw_fd).collect();
        let steps = requests.iter().map(|(request, fds)| Step { request: request.clone(), fds: number(fds) }).collect();
        let plan = Plan { parent: own_pid(), control, steps };
        program.arg(encode(&plan)).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let inherit = |flags: FdFlags| fds().try_for_each(|fd| fcntl_setfd(fd, flags));
        let child = inherit(FdFlags::empty())
            .map_err(Error::kernel(action))
            .and_then(|()| sys::memory::frugal(&mut program).spawn().map_err(Error::kernel(action)));
        // No other child may get them.
        let _ = inherit(FdFlags::CLOEXEC);
        Ok(Forwarder { child: child?, channel })
    }

    /// Its pid, for who watches it.
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// Whether it has ended, by a kill.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Makes a namespace known.
    pub fn place(&self, id: u32, place: Place, netns: BorrowedFd<'_>) -> Result<()> {
        self.ask(&Request::Place { id, place }, &[netns])
    }

    /// Forgets a namespace; the groups' back ends in it are passed over.
    pub fn forget(&self, id: u32) -> Result<()> {
        self.ask(&Request::Forget { id }, &[])
    }

    /// Sets what stands behind group `id`. New clients are served by the new back ends from the return of this on.
    pub fn group(&self, id: u32, group: Group) -> Result<()> {
        self.ask(&Request::Group { id, group }, &[])
    }

    /// Sets the rules by which the requests of HTTP clients of router `id` find their groups. Where there are
    /// certificates the clients speak TLS. Connections that exist go on with those that they have seen.
    pub fn router(&self, id: u32, rules: Vec<Rule>, certificates: Vec<Certificate>) -> Result<()> {
        self.ask(&Request::Router { id, rules, certificates }, &[])
    }

    /// Adds listening sockets to a group or router; they are duplicated, the caller may close its own.
    pub fn listen(&self, group: u32, sockets: &[BorrowedFd<'_>]) -> Result<()> {
        sockets.chunks(MAX_FDS).try_for_each(|sockets| self.ask(&Request::Listen { group }, sockets))
    }

    /// Tells of each TCP client that is accepted: four bytes with the number of its group or router, in the machine's order,
    /// are written to the pipe. One that is full, or whose reader has gone, hears nothing.
    pub fn report(&self, pipe: BorrowedFd<'_>) -> Result<()> {
        self.ask(&Request::Report, &[pipe])
    }

    /// Closes the listening sockets of a group or router, and forgets it.
    pub fn close(&self, group: u32) -> Result<()> {
        self.ask(&Request::Close { group }, &[])
    }

    fn ask(&self, request: &Request, fds: &[BorrowedFd<'_>]) -> Result<()> {
        let action = "speak with the port forwarder";
        let text = encode(request);
        if text.len() > MAX_MESSAGE {
            let file = sys::memory::file("request", text.as_bytes()).map_err(Error::kernel(action))?;
            let fds: Vec<BorrowedFd<'_>> = std::iter::once(file.as_fd()).chain(fds.iter().copied()).collect();
            self.channel.send(encode(&Request::Written).as_bytes(), &fds).map_err(Error::kernel(action))?;
        } else {
            self.channel.send(text.as_bytes(), fds).map_err(Error::kernel(action))?;
        }
        match poll(&mut [PollFd::new(&self.channel, PollFlags::IN)], Some(&PATIENCE)) {
            Ok(0) => return Err(Error::Forwarder("it does not answer".into())),
            // Interrupted: then it is waited for without an end.
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(Error::kernel(action)(error)),
        }
        let (answer, _) = self.channel.recv().map_err(Error::kernel(action))?;
        match answer.as_slice() {
            b"ok" => Ok(()),
            b"" => Err(Error::Forwarder("it has ended".into())),
            reason => Err(Error::Forwarder(String::from_utf8_lossy(reason).into_owned())),
        }
    }
}

/// Readable when the forwarder has ended.
impl AsFd for Forwarder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_survive_the_channel() {
        let group = Group {
            protocol: Protocol::Udp,
            backends: vec![Backend { place: 3, port: 53, address: None }],
            sticky: None,
            sources: Vec::new(),
        };
        let text = encode(&Step { request: Request::Group { id: 7, group }, fds: vec![] });
        assert_eq!(text, r#"{"do":"group","id":7,"group":{"protocol":"udp","backends":[{"place":3,"port":53}]}}"#);
        let step: Step = serde_json::from_str(&text).unwrap();
        assert!(matches!(step.request, Request::Group { id: 7, .. }));
    }
}
