//! How others come to a holder: connect, or make one first.

use std::convert::Infallible;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FlockOperation, MemfdFlags, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use sys::channel::Channel;
use sys::lock::FileLock;
use sys::task::StringList;

use super::{Answer, Endpoint, Held, Member, Members, Request, STATE_FILE, Zone};
use crate::networks::make_private_dir;
use crate::{Error, Network, Networks, Result};

/// A connection to the holder of a network. While it is open the holder stays; when the holder is killed it becomes
/// readable.
#[derive(Debug)]
pub struct Link {
    network: String,
    channel: Channel,
    /// The holder was just started by us: nobody else may start one until it listens.
    starting: Option<FileLock>,
}

/// Who is on a network, for those who only look.
#[derive(Clone, Debug, Default)]
pub struct State {
    pub members: Vec<(Member, Endpoint)>,
}

/// How often a holder that ends in the moment we come may be made again.
const TRIES: usize = 5;
const SOCKET: &str = "socket";
/// Bytes of a zone: beyond it the rest is not read, and the zone not taken.
const LONGEST_ZONE: u64 = 64 << 20;
/// How long a holder may take to answer: the first member waits for its way out, which a busy machine is slow to make.
const ANSWER_TAKES: Duration = Duration::from_secs(20);

impl Networks {
    /// A connection to the network's holder, which is made where there is none. A new one may still be at its
    /// preparations: the first request waits for it.
    ///
    /// The caller is in the host's network namespace, in the user's namespace, and has one thread.
    pub fn open(&self, network: &Network) -> Result<Link> {
        network.check_usable()?;
        let name = &network.name;
        if let Some(link) = self.connect(name)? {
            return Ok(link);
        }
        let dir = self.run_dir(name);
        make_private_dir(&dir)?;
        let path = dir.join("start.lock");
        let lock = FileLock::exclusive(&path).map_err(Error::kernel(format!("lock {}", path.display())))?;
        if let Some(link) = self.connect(name)? {
            return Ok(link);
        }
        self.keep_default(network)?;
        let channel = spawn(name).map_err(Error::kernel("start the holder of a network"))?;
        let request = Request::Start {
            network: name.clone(),
            dirs: self.store.dirs().clone(),
            options: self.store.options().clone(),
            config_dir: self.config_dir.clone(),
            uplink: self.uplink.clone(),
            userns_dir: self.userns_dir.clone(),
        };
        let link = Link { network: name.clone(), channel, starting: Some(lock) };
        link.send(&request, &[]).map_err(|error| link.gone(&error.to_string()))?;
        Ok(link)
    }

    /// The holder that runs, if one does.
    pub fn connect(&self, name: &str) -> Result<Option<Link>> {
        match connect_in(&self.run_dir(name)) {
            Ok(channel) => Ok(channel.map(|channel| Link { network: name.to_owned(), channel, starting: None })),
            Err(error) => Err(Error::Holder { network: name.to_owned(), reason: error.to_string() }),
        }
    }

    /// Puts a member on a network. The connection that comes back keeps an eye on the holder: see [`Networks::heal`].
    ///
    /// # Errors
    /// [`Error::Refused`]: an address that is taken or not in the network, a name of an interface that is taken.
    pub fn join(&self, network: &Network, member: &Member, netns: BorrowedFd<'_>) -> Result<(Link, Endpoint)> {
        self.join_over(self.open(network)?, network, member, netns)
    }

    /// The same, over a connection that is there.
    pub fn join_over(
        &self,
        mut link: Link,
        network: &Network,
        member: &Member,
        netns: BorrowedFd<'_>,
    ) -> Result<(Link, Endpoint)> {
        let mut tries = 1;
        loop {
            match link.join(member, netns) {
                Err(Error::Holder { .. }) if tries < TRIES => {
                    // It was about to end when we came, or somebody killed it.
                    tries += 1;
                    drop(link);
                    link = self.open(network)?;
                }
                joined => {
                    let endpoint = joined?;
                    self.meet_neighbours(network, &mut link)?;
                    return Ok((link, endpoint));
                }
            }
        }
    }

    /// Takes a member off a network. One that is not on it, or a network without a holder, is left alone.
    pub fn leave(&self, name: &str, id: &str) -> Result<()> {
        match self.connect(name)? {
            Some(mut link) => link.done(&Request::Leave { id: id.to_owned() }),
            None => Ok(()),
        }
    }

    /// Makes the holder again where its end was seen; it plugs all members in again that are alive.
    pub fn heal(&self, network: &Network) -> Result<Link> {
        let mut tries = 1;
        loop {
            let mut link = self.open(network)?;
            match link.ready() {
                Err(Error::Holder { .. }) if tries < TRIES => tries += 1,
                ready => {
                    ready?;
                    self.meet_neighbours(network, &mut link)?;
                    return Ok(link);
                }
            }
        }
    }

    /// Who is on the network. Members whose process has ended are left out.
    pub fn state(&self, name: &str) -> Result<State> {
        let path = self.run_dir(name).join(STATE_FILE);
        let known: Members = storage::record::read_optional(&path)?.unwrap_or_default();
        let alive = |held: &Held| held.member.process.alive();
        let members = known.members.into_iter().filter(alive).map(|held| (held.member, held.endpoint)).collect();
        Ok(State { members })
    }
}

impl Link {
    /// Waits until a holder that was just started serves.
    pub fn ready(&mut self) -> Result<()> {
        if self.starting.is_none() {
            return Ok(());
        }
        let answer = self.receive();
        self.unlock();
        match answer?.0 {
            Answer::Done => Ok(()),
            Answer::Refused(reason) => Err(Error::Refused(reason)),
            Answer::Joined(_) => Err(self.gone("an answer out of turn")),
        }
    }

    /// Explicitly: a child that was forked meanwhile has the lock, too.
    fn unlock(&mut self) {
        if let Some(lock) = self.starting.take() {
            let _ = rustix::fs::flock(&lock, FlockOperation::Unlock);
        }
    }

    /// See [`Networks::join`].
    pub fn join(&mut self, member: &Member, netns: BorrowedFd<'_>) -> Result<Endpoint> {
        match self.ask(&Request::Join { member: member.clone() }, &[netns])?.0 {
            Answer::Joined(endpoint) => Ok(endpoint),
            Answer::Refused(reason) => Err(Error::Refused(reason)),
            Answer::Done => Err(self.gone("an answer out of turn")),
        }
    }

    /// See [`Networks::leave`].
    pub fn leave(&mut self, id: &str) -> Result<()> {
        self.done(&Request::Leave { id: id.to_owned() })
    }

    /// Gives a member other names.
    pub fn rename(&mut self, id: &str, name: &str, names: &[String]) -> Result<()> {
        self.done(&Request::Names { id: id.to_owned(), name: name.to_owned(), names: names.to_vec() })
    }

    /// Puts names on the network, in place of those that the zone's owner had there. Their answers have a time to live
    /// of 0, so a change is seen at once.
    pub fn publish(&mut self, zone: &Zone) -> Result<()> {
        let file = zone_file(zone).map_err(Error::kernel("write the names of a network"))?;
        self.done_with(&Request::Publish, &[file.as_fd()])
    }

    /// Takes a zone away.
    pub fn withdraw(&mut self, owner: &str) -> Result<()> {
        self.done(&Request::Withdraw { owner: owner.to_owned() })
    }

    /// Has the network's record read again.
    pub fn reload(&mut self) -> Result<()> {
        self.done(&Request::Reload)
    }

    /// The network's own namespace, with the bridge in it: a place from which all members are reached.
    pub fn namespace(&mut self) -> Result<OwnedFd> {
        let (answer, fds) = self.ask(&Request::Namespace, &[])?;
        match (answer, fds.into_iter().next()) {
            (Answer::Done, Some(fd)) => Ok(fd),
            (Answer::Refused(reason), _) => Err(Error::Refused(reason)),
            (Answer::Done | Answer::Joined(_), _) => Err(self.gone("an answer out of turn")),
        }
    }

    fn done(&mut self, request: &Request) -> Result<()> {
        self.done_with(request, &[])
    }

    fn done_with(&mut self, request: &Request, fds: &[BorrowedFd<'_>]) -> Result<()> {
        match self.ask(request, fds)?.0 {
            Answer::Done => Ok(()),
            Answer::Refused(reason) => Err(Error::Refused(reason)),
            Answer::Joined(_) => Err(self.gone("an answer out of turn")),
        }
    }

    fn ask(&mut self, request: &Request, fds: &[BorrowedFd<'_>]) -> Result<(Answer, Vec<OwnedFd>)> {
        self.ready()?;
        self.send(request, fds).map_err(|error| self.gone(&error.to_string()))?;
        self.receive()
    }

    fn send(&self, request: &Request, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let message = serde_json::to_vec(request)?;
        if message.len() > sys::channel::MAX_MESSAGE {
            return Err(io::Error::other("the request is too long"));
        }
        self.channel.send(&message, fds)
    }

    fn receive(&self) -> Result<(Answer, Vec<OwnedFd>)> {
        let until = Instant::now() + ANSWER_TAKES;
        loop {
            let left = Timespec::try_from(until.saturating_duration_since(Instant::now())).ok();
            match poll(&mut [PollFd::new(&self.channel, PollFlags::IN)], left.as_ref()) {
                Ok(0) => return Err(self.silent()),
                Ok(_) => break,
                Err(Errno::INTR) => {}
                Err(error) => return Err(self.gone(&error.to_string())),
            }
        }
        let (message, fds) = self.channel.recv().map_err(|error| self.gone(&error.to_string()))?;
        if message.is_empty() {
            return Err(self.gone("its holder has ended"));
        }
        let answer = serde_json::from_slice(&message).map_err(|error| self.gone(&error.to_string()))?;
        Ok((answer, fds))
    }

    fn silent(&self) -> Error {
        match rustix::net::sockopt::socket_peercred(&self.channel) {
            // One that was just started is at the other end of a pair of our own.
            _ if self.starting.is_some() => self.gone("its holder does not begin to serve"),
            Ok(peer) => Error::Silent { network: self.network.clone(), pid: peer.pid.as_raw_nonzero().get() },
            Err(error) => self.gone(&format!("its holder does not answer: {error}")),
        }
    }

    fn gone(&self, reason: &str) -> Error {
        Error::Holder { network: self.network.clone(), reason: reason.to_owned() }
    }

    /// The name of the network.
    pub fn network(&self) -> &str {
        &self.network
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.unlock();
    }
}

/// Readable when the holder has ended.
impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}

/// A path below `dir` that fits into a socket's address, whatever the length of `dir`.
fn socket_address(dir: &std::path::Path) -> io::Result<(OwnedFd, SocketAddrUnix)> {
    let handle = rustix::fs::open(dir, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let path = format!("/proc/self/fd/{}/{SOCKET}", std::os::fd::AsRawFd::as_raw_fd(&handle));
    let address = SocketAddrUnix::new(path)?;
    Ok((handle, address))
}

fn connect_in(dir: &std::path::Path) -> io::Result<Option<Channel>> {
    let (_handle, address) = match socket_address(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    match rustix::net::connect(&socket, &address) {
        Ok(()) => Ok(Some(Channel::from(socket))),
        Err(Errno::NOENT | Errno::CONNREFUSED) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Listens in `dir`, in place of a holder that is gone.
pub(super) fn listen_in(dir: &std::path::Path) -> io::Result<OwnedFd> {
    let (handle, address) = socket_address(dir)?;
    match rustix::fs::unlinkat(&handle, SOCKET, rustix::fs::AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, 128)?;
    Ok(socket)
}

/// Starts a holder that is nobody's child: it outlives us, and nobody has to wait for it.
fn spawn(network: &str) -> io::Result<Channel> {
    let (ours, theirs) = Channel::pair()?;
    let null: OwnedFd = std::fs::File::options().read(true).write(true).open("/dev/null")?.into();
    let program = c"/proc/self/exe";
    let words = StringList::new(["creel", "network-holder", "3", network])?;
    let environment = StringList::new([sys::memory::frugal_environment()])?;
    let descriptors = [null.as_fd(), null.as_fd(), null.as_fd(), theirs.as_fd()];
    let become_holder = || -> io::Result<Infallible> {
        rustix::process::setsid()?;
        rustix::process::chdir("/")?;
        sys::signals::reset_for_exec()?;
        sys::task::place_descriptors(0, &descriptors)?;
        sys::task::close_on_exec_from(descriptors.len() as u32)?;
        Err(sys::task::execve(program, &words, &environment))
    };
    let between = sys::clone::fork(|| {
        let holder = sys::clone::fork(|| {
            let Err(_) = become_holder();
            sys::clone::exit_now(127)
        });
        sys::clone::exit_now(i32::from(holder.is_err()))
    })?;
    match between.pidfd.wait()?.exit_code() {
        0 => Ok(ours),
        _ => Err(io::Error::other("no further process could be made")),
    }
}

impl State {
    /// The member's place, by its id.
    pub fn endpoint(&self, id: &str) -> Option<&Endpoint> {
        self.members.iter().find(|(member, _)| member.id == id).map(|(_, endpoint)| endpoint)
    }

    /// Every address that is given away.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.members.iter().flat_map(|(_, endpoint)| endpoint.addresses.iter().map(|assigned| assigned.address))
    }
}

fn zone_file(zone: &Zone) -> io::Result<File> {
    let mut file = File::from(rustix::fs::memfd_create(c"zone", MemfdFlags::CLOEXEC)?);
    file.write_all(&serde_json::to_vec(zone)?)?;
    Ok(file)
}

/// Reads what [`Link::publish`] has written.
pub(super) fn read_zone(file: OwnedFd) -> io::Result<Zone> {
    let mut file = File::from(file);
    let mut text = Vec::new();
    file.rewind()?;
    file.take(LONGEST_ZONE).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}
