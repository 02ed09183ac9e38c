//! Telling the service manager how it goes, see sd_notify(3): datagrams to the socket that `NOTIFY_SOCKET` names.
//!
//! The main process of the unit is the monitor, as conmon is Podman's. Whoever starts a container says so
//! (`MAINPID=`); who says `READY=1` is the user's choice ([`SdNotify`]).

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType};

use crate::container::Container;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::oci::ManagedFile;
use crate::spec::{ContainerSpec, SdNotify};

/// Where the container finds its socket, as with Podman.
pub(crate) const DIRECTORY: &str = "/run/notify";
pub(crate) const VARIABLE: &str = "NOTIFY_SOCKET";
const SOCKET: &str = "notify.sock";

/// One datagram, as systemd takes it.
const MAX_MESSAGE: usize = 4096;
/// Messages taken in one turn: as many as a socket can hold where systemd has set `net.unix.max_dgram_qlen`, and no more, so
/// that a program that never rests does not keep the monitor from the rest of its work.
const TURN: usize = 512;

/// The value of [`VARIABLE`] in the container.
pub(crate) fn socket_inside() -> String {
    format!("{DIRECTORY}/{SOCKET}")
}

/// Sends a message. `socket` is a path, or an abstract name after `@`.
pub(crate) fn send(socket: &OsStr, message: &[u8]) -> io::Result<()> {
    let bytes = socket.as_bytes();
    let address = match bytes.strip_prefix(b"@") {
        Some(name) => SocketAddrUnix::new_abstract_name(name)?,
        None => SocketAddrUnix::new(bytes)?,
    };
    let own = rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    // A manager that does not listen must not hold up a container.
    rustix::net::sendto(own, message, SendFlags::NOSIGNAL | SendFlags::DONTWAIT, &address)?;
    Ok(())
}

/// The same where a failure is no reason to give up: the container runs, but nobody hears of it.
pub(crate) fn tell(socket: &OsStr, message: &str) {
    if let Err(error) = send(socket, message.as_bytes()) {
        tracing::warn!(socket = %socket.display(), %error, "cannot notify the service manager");
    }
}

/// The socket of the service manager, where it is to hear of this container.
pub(crate) fn manager<'a>(engine: &'a Engine, spec: &ContainerSpec) -> Option<&'a String> {
    engine.settings.notify_socket.as_ref().filter(|_| !spec.sdnotify_inside)
}

/// Says that all has started that `container` stands for, and that its monitor is the process to look at. `None` where
/// nobody wants to hear it; else whether it runs still.
pub fn announce(engine: &Engine, container: &Container) -> Option<bool> {
    let socket = OsStr::new(engine.settings.notify_socket.as_ref()?);
    let monitor = container.state().monitor().filter(|_| crate::list::running(container));
    match monitor {
        Some(monitor) => tell(socket, &format!("MAINPID={}\nREADY=1", monitor.pid)),
        None => tell(socket, "READY=1"),
    }
    Some(monitor.is_some())
}

/// What a start says before its monitor goes to work: afterwards only the monitor is heard, since a unit listens to its
/// main process.
pub(crate) fn before_start(mode: SdNotify, monitor: u32) -> Option<String> {
    match mode {
        SdNotify::Container | SdNotify::Healthy => Some(format!("MAINPID={monitor}")),
        SdNotify::Conmon | SdNotify::Ignore => None,
    }
}

/// What a start says when the container runs.
pub(crate) fn after_start(mode: SdNotify, monitor: u32) -> Option<String> {
    match mode {
        SdNotify::Conmon => Some(format!("MAINPID={monitor}\nREADY=1")),
        SdNotify::Container | SdNotify::Healthy | SdNotify::Ignore => None,
    }
}

/// In the run directory: the container has said `READY=1` in this run.
const READY: &str = "notify.ready";

/// Whether a container that has a socket of its own has said since its start that it is ready.
pub fn has_notified(engine: &Engine, container: &Container) -> bool {
    engine.run_dir(container.id()).join(READY).exists()
}

/// The container's own socket, and who hears what comes there.
pub(crate) struct Proxy {
    socket: OwnedFd,
    hears: Hears,
}

pub(crate) enum Hears {
    /// The service manager at this socket.
    Manager(OsString),
    /// Who looks whether this file is there: what the container says is for nobody else.
    File(PathBuf),
}

impl Proxy {
    /// Makes the socket in the run directory.
    pub(crate) fn bind(run_dir: &Path, manager: Option<&OsStr>) -> Result<(Proxy, ManagedFile)> {
        let ready = run_dir.join(READY);
        crate::monitor::remove_if_there(&ready)?;
        let hears = manager.map_or(Hears::File(ready), |manager| Hears::Manager(manager.to_owned()));
        let dir = run_dir.join("notify");
        std::fs::create_dir_all(&dir).map_err(Error::io(&dir))?;
        let path = dir.join(SOCKET);
        let failed = |error: rustix::io::Errno| Error::Io { path: path.clone(), source: error.into() };
        crate::monitor::remove_if_there(&path)?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None).map_err(failed)?;
        // A socket's path has 108 bytes, a directory may be deeper: name it through a descriptor.
        let open = rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
        let handle = rustix::fs::open(&dir, open, rustix::fs::Mode::empty()).map_err(failed)?;
        let short = format!("/proc/self/fd/{}/{SOCKET}", std::os::fd::AsRawFd::as_raw_fd(&handle));
        rustix::net::bind(&socket, &SocketAddrUnix::new(short).map_err(failed)?).map_err(failed)?;
        // Whoever the program runs as.
        let everybody = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(&path, everybody).map_err(Error::io(&path))?;
        Ok((Proxy { socket, hears }, ManagedFile { source: dir, destination: DIRECTORY }))
    }

    /// Passes on what has come. `true`: it says that it is ready, and nobody has been told.
    pub(crate) fn forward(&self) -> bool {
        let mut is_news = false;
        let mut buffer = [0u8; MAX_MESSAGE];
        // Descriptors that come along (of a barrier, or for the descriptor store) are closed by the kernel.
        for _ in 0..TURN {
            let Ok((length, _)) = rustix::net::recv(&self.socket, &mut buffer, RecvFlags::empty()) else { break };
            let Some(message) = passed_on(&buffer[..length]) else { continue };
            match &self.hears {
                Hears::Manager(manager) => {
                    if let Err(error) = send(manager, &message) {
                        tracing::warn!(%error, "cannot notify the service manager");
                    }
                }
                Hears::File(ready) if message.split(|byte| *byte == b'\n').any(|line| line == b"READY=1") => {
                    match std::fs::write(ready, b"") {
                        Ok(()) => is_news = true,
                        Err(error) => tracing::warn!(%error, "cannot note that the container is ready"),
                    }
                }
                Hears::File(_) => {}
            }
        }
        is_news
    }
}

impl AsFd for Proxy {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Pure: what of a container's message the manager is told. Its pids mean nothing outside, and its descriptors stay here.
fn passed_on(message: &[u8]) -> Option<Vec<u8>> {
    let ours = |line: &&[u8]| {
        let foreign: [&[u8]; 4] = [b"MAINPID", b"BARRIER=", b"FDSTORE", b"FDNAME="];
        !line.is_empty() && !foreign.iter().any(|prefix| line.starts_with(prefix))
    };
    let lines: Vec<&[u8]> = message.split(|byte| *byte == b'\n').filter(ours).collect();
    (!lines.is_empty()).then(|| lines.join(&b'\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pids_and_descriptors_of_a_container_stay_inside() {
        let text = |message: &str| passed_on(message.as_bytes()).map(|kept| String::from_utf8(kept).unwrap());
        assert_eq!(text("READY=1\nSTATUS=up\n").as_deref(), Some("READY=1\nSTATUS=up"));
        assert_eq!(text("MAINPID=1\nREADY=1").as_deref(), Some("READY=1"));
        assert_eq!(text("BARRIER=1"), None);
        assert_eq!(text("MAINPIDFDID=7"), None);
        assert_eq!(text(""), None);
    }

    #[test]
    fn a_unit_hears_its_main_process_only() {
        assert_eq!(before_start(SdNotify::Container, 7).as_deref(), Some("MAINPID=7"));
        assert_eq!(after_start(SdNotify::Container, 7), None);
        assert_eq!(before_start(SdNotify::Conmon, 7), None);
        assert_eq!(after_start(SdNotify::Conmon, 7).as_deref(), Some("MAINPID=7\nREADY=1"));
        assert_eq!(before_start(SdNotify::Ignore, 7), None);
    }
}
