//! Where others speak to a monitor: the socket that they connect to, and the word to start an initialized container.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use sys::channel::Channel;
use sys::signals::SignalFd;

use super::clients::Clients;
use super::made::Made;
use super::pipes::resize;
use crate::attach::Streams;
use crate::container::Container;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::notice::poll_until;
use crate::wire::FromClient;

/// The socket that `attach`, and `start` of an initialized container, connect to.
pub(super) fn listen(engine: &Engine, container: &Container) -> Result<OwnedFd> {
    let dir = engine.run_dir(container.id());
    let failed = |error: rustix::io::Errno| Error::Io { path: dir.join("attach"), source: error.into() };
    let open = rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
    let handle = rustix::fs::open(&dir, open, rustix::fs::Mode::empty()).map_err(failed)?;
    match rustix::fs::unlinkat(&handle, "attach", rustix::fs::AtFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => {}
        Err(error) => return Err(failed(error)),
    }
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).map_err(failed)?;
    // A socket's path has 108 bytes, a directory may be deeper: name it through the descriptor.
    let path = format!("/proc/self/fd/{}/attach", std::os::fd::AsRawFd::as_raw_fd(&handle));
    let address = SocketAddrUnix::new(path).map_err(failed)?;
    rustix::net::bind(&socket, &address).map_err(failed)?;
    rustix::net::listen(&socket, 16).map_err(failed)?;
    Ok(socket)
}

pub(super) fn accept(listener: &OwnedFd) -> io::Result<Option<Channel>> {
    match rustix::net::accept_with(listener, SocketFlags::CLOEXEC) {
        Ok(socket) => Ok(Some(Channel::from(socket))),
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR | rustix::io::Errno::CONNABORTED) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// An initialized container waits for the word to start. False when it is to end instead.
///
/// What clients that are attached already say to it stays in their sockets until it runs.
pub(super) fn wait_for_start(
    listener: &OwnedFd,
    clients: &mut Clients,
    signals: &SignalFd,
    made: &Made,
) -> Result<bool> {
    loop {
        let mut entries = vec![
            PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(made.pidfd().as_fd(), PollFlags::IN),
            PollFd::new(listener, PollFlags::IN),
        ];
        let (unknown, fds): (Vec<usize>, Vec<_>) = clients.unknown().unzip();
        entries.extend(fds.into_iter().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        poll_until(&mut entries, None).map_err(Error::io("poll"))?;
        let ready: Vec<bool> = entries.iter().map(|entry| !entry.revents().is_empty()).collect();
        drop(entries);
        if ready[1] || (ready[0] && signals.read().map_err(Error::io("signalfd"))?.is_some()) {
            return Ok(false);
        }
        if ready[2]
            && let Some(channel) = accept(listener).map_err(Error::io("the attach socket"))?
        {
            clients.add(channel, Streams::default()).map_err(Error::io("the attach socket"))?;
        }
        for (index, _) in unknown.into_iter().zip(&ready[3..]).filter(|(_, ready)| **ready) {
            match clients.receive(index) {
                Some(FromClient::Start(streams)) => {
                    clients.set_streams(index, streams);
                    clients.move_first(index);
                    return Ok(true);
                }
                Some(FromClient::Hello(streams)) => clients.set_streams(index, streams),
                Some(FromClient::Resize { rows, columns }) => resize(made.terminal(), rows, columns),
                Some(FromClient::Stdin(_) | FromClient::StdinEnd | FromClient::Changing | FromClient::Follow)
                | None => {}
            }
        }
        clients.drop_gone();
    }
}
