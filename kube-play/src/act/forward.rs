//! `kube port-forward`: from ports of this machine to the loopback of one pod, as if the client were in there.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use network::{Backend, Forwarder, Group, Listener, Place, Protocol};
use rustix::pipe::{PipeFlags, pipe_with};
use sys::process::Pidfd;

use super::error::{Error, Result};
use super::observe::Seen;
use super::services::network_of;

/// The pod's number for the forwarder.
const POD: u32 = 0;

/// Ports that lead into a pod. Dropping it closes them and ends every connection.
pub struct PortForward {
    forwarder: Forwarder,
    /// Holds the pod's namespaces.
    init: Pidfd,
    clients: OwnedFd,
}

impl PortForward {
    /// `program` starts `creel forwarder`. Nothing is forwarded yet.
    ///
    /// # Errors
    /// [`Error::Invalid`]: the pod does not run, or has no network of its own.
    pub fn into_pod(pod: &Seen, program: Command) -> Result<PortForward> {
        let failed = |source| Error::Failed(format!("cannot reach into pod {}: {source}", pod.name));
        let gone = || Error::Invalid(format!("pod {} does not run", pod.name));
        let infra = pod.pod.infra().and_then(|infra| infra.state().init()).ok_or_else(gone)?;
        let (namespace, init) = network_of(infra).ok_or_else(gone)?;
        let place =
            |file: std::io::Result<std::fs::Metadata>| file.map(|file| (file.dev(), file.ino())).map_err(failed);
        if place(namespace.metadata())? == place(std::fs::metadata("/proc/self/ns/net"))? {
            let text = format!("pod {} is on this machine's network: its ports are reached here as they are", pod.name);
            return Err(Error::Invalid(text));
        }
        let flags = PipeFlags::CLOEXEC | PipeFlags::NONBLOCK;
        let (clients, told) = pipe_with(flags).map_err(|error| failed(error.into()))?;
        let forwarder = Forwarder::start(program)?;
        forwarder.place(POD, Place::loopback(), namespace.as_fd())?;
        forwarder.report(told.as_fd())?;
        Ok(PortForward { forwarder, init, clients })
    }

    /// Leads clients of these sockets to a port of the pod. `number` is told of each that comes.
    pub fn serve(&self, number: u32, sockets: &[Listener], port: u16) -> Result<()> {
        let backends = vec![Backend { place: POD, port, address: None }];
        let group = Group { protocol: Protocol::Tcp, backends, sticky: None, sources: Vec::new() };
        self.forwarder.group(number, group)?;
        let sockets: Vec<BorrowedFd<'_>> = sockets.iter().map(|listener| listener.fd.as_fd()).collect();
        Ok(self.forwarder.listen(number, &sockets)?)
    }

    /// The numbers of those that had a client since the last call, one for each.
    pub fn clients(&self) -> Vec<u32> {
        let mut bytes = [0; 4096];
        let length = rustix::io::read(&self.clients, &mut bytes).unwrap_or(0);
        bytes[..length].chunks_exact(4).filter_map(|number| Some(u32::from_ne_bytes(number.try_into().ok()?))).collect()
    }

    /// Readable when [`PortForward::clients`] has something to say.
    pub fn arrivals(&self) -> BorrowedFd<'_> {
        self.clients.as_fd()
    }

    /// Readable when the pod has ended.
    pub fn pod_end(&self) -> BorrowedFd<'_> {
        self.init.as_fd()
    }

    /// Readable when the forwarder has ended.
    pub fn forwarder_end(&self) -> BorrowedFd<'_> {
        self.forwarder.as_fd()
    }
}
