//! The service: connections in, a thread each, until nobody has needed it for a while.

use std::fs::{self, File};
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;
use sys::signals::{Set, SignalFd};

use crate::call::{Call, Memory, Reply};
use crate::creel::{Creel, Error};
use crate::http::{Connection, Request, Unreadable};
use crate::route;

/// Where clients come in. Dropping it removes the socket that was made for it.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    path: Option<PathBuf>,
}

#[derive(Debug)]
enum Socket {
    Unix(UnixListener),
    Tcp(TcpListener),
}

impl Listener {
    /// A socket at a path, for this user alone. One that nobody listens at any more is replaced.
    pub fn unix(path: PathBuf) -> io::Result<Listener> {
        let bind = || UnixListener::bind(&path);
        let socket = match bind() {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                if UnixStream::connect(&path).is_ok() {
                    return Err(io::Error::new(io::ErrorKind::AddrInUse, "another service listens there"));
                }
                fs::remove_file(&path)?;
                bind()
            }
            other => other,
        }?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        Ok(Listener { socket: Socket::Unix(socket), path: Some(path) })
    }

    /// A port, for whoever can reach it.
    pub fn tcp(address: &str) -> io::Result<Listener> {
        Ok(Listener { socket: Socket::Tcp(TcpListener::bind(address)?), path: None })
    }

    /// A socket that somebody else made and listens at for us (systemd's socket activation, sd_listen_fds(3)).
    pub fn inherited(socket: OwnedFd) -> io::Result<Listener> {
        let is_unix = rustix::net::sockopt::socket_domain(&socket)? == rustix::net::AddressFamily::UNIX;
        let socket = if is_unix { Socket::Unix(socket.into()) } else { Socket::Tcp(socket.into()) };
        Ok(Listener { socket, path: None })
    }

    fn accept(&self) -> io::Result<File> {
        let socket: OwnedFd = match &self.socket {
            Socket::Unix(listener) => listener.accept()?.0.into(),
            Socket::Tcp(listener) => {
                let (socket, _) = listener.accept()?;
                socket.set_nodelay(true)?;
                socket.into()
            }
        };
        Ok(File::from(socket))
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        match &self.socket {
            Socket::Unix(listener) => listener.as_fd(),
            Socket::Tcp(listener) => listener.as_fd(),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            let _ = fs::remove_file(path);
        }
    }
}

/// Answers until nobody has asked anything for `idle` (`None`: for ever), or until SIGTERM, SIGINT or SIGHUP comes.
pub fn serve(listener: &Listener, creel: Creel, idle: Option<Duration>) -> io::Result<()> {
    const ENDS: [i32; 3] = [1, 2, 15];
    // Before there is any thread: each has the mask of its maker. Programs that are started get none.
    sys::signals::block(&Set::of(&ENDS))?;
    let ends = SignalFd::new(&ENDS)?;
    let creel = Arc::new(creel);
    let memory = Arc::new(Memory::default());
    let mut used = Instant::now();
    loop {
        let rest = idle.map(|idle| idle.saturating_sub(used.elapsed()));
        let timeout = rest.map(|rest| Timespec {
            tv_sec: i64::try_from(rest.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(rest.subsec_nanos()),
        });
        let mut fds = [PollFd::new(listener, PollFlags::IN), PollFd::new(&ends, PollFlags::IN)];
        match poll(&mut fds, timeout.as_ref()) {
            Err(rustix::io::Errno::INTR) => continue,
            other => other?,
        };
        let (has_come, must_end) = (!fds[0].revents().is_empty(), !fds[1].revents().is_empty());
        if must_end {
            return Ok(());
        }
        if has_come {
            used = Instant::now();
            match listener.accept().and_then(Connection::new) {
                Ok(connection) => {
                    let (creel, memory) = (creel.clone(), memory.clone());
                    std::thread::spawn(move || answer_all(connection, &creel, &memory));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot take a connection");
                    // Out of descriptors, most likely: some will be free in a moment.
                    std::thread::sleep(Duration::from_millis(50));
                }
            }
        } else if memory.is_needed() {
            used = Instant::now();
        } else if let Some(last) = memory.last_use().filter(|last| *last > used) {
            used = last;
        } else {
            return Ok(());
        }
    }
}

/// Request after request, until the client goes.
fn answer_all(mut connection: Connection, creel: &Creel, memory: &Memory) {
    loop {
        let request = match connection.request() {
            Ok(request) => request,
            Err(Unreadable::Closed) => return,
            Err(Unreadable::Malformed(message)) => {
                let _ = connection.answer(&Error::bad(message).answer(), false);
                return;
            }
        };
        let _busy = memory.begin();
        match answer(&mut connection, creel, memory, request) {
            Ok(true) => {}
            Ok(false) | Err(_) => {
                connection.close();
                return;
            }
        }
    }
}

/// Whether the connection can be used again.
fn answer(connection: &mut Connection, creel: &Creel, memory: &Memory, request: Request) -> io::Result<bool> {
    tracing::info!(method = request.method, path = request.path, "request");
    let is_head = request.method == "HEAD";
    let keeps = request.keeps();
    let Some((handler, names)) = route::find(&request.method, &request.path) else {
        let message = format!("{} {}: page not found", request.method, request.path);
        let mut request = request;
        connection.body(&mut request)?.drain()?;
        connection.answer(&Error { status: 404, message }.answer(), is_head)?;
        return Ok(keeps);
    };
    let mut call = Call { creel, memory, connection, request, names };
    let outcome = handler(&mut call);
    let Call { connection, mut request, .. } = call;
    match outcome {
        Ok(Reply::Answer(answer)) => {
            connection.body(&mut request)?.drain()?;
            connection.answer(&answer, is_head)?;
        }
        Ok(Reply::Sent) => connection.body(&mut request)?.drain()?,
        Ok(Reply::Over) => return Ok(false),
        Err(error) => {
            tracing::info!(status = error.status, %error, "refused");
            connection.body(&mut request)?.drain()?;
            connection.answer(&error.answer(), is_head)?;
        }
    }
    Ok(keeps)
}
