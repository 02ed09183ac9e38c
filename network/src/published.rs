//! The published ports of one network namespace while it is there: their sockets on the host, and the forwarder that
//! carries clients inside. They may change meanwhile.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::Command;

use crate::bind::{Listener, bind};
use crate::forwarder::control::{Backend, Forwarder, Group, Place};
use crate::ports::PortMapping;
use crate::republish::{only_in, pieces};
use crate::{Addresses, Result};

/// Published ports. Dropping them frees the ports and ends every connection.
#[derive(Debug, Default)]
pub struct Published {
    /// In the order in which they were asked for.
    ports: Vec<Port>,
    /// The number of the forwarder's next group: one for each port, so that each can be closed alone.
    next: u32,
    forwarder: Option<Forwarder>,
    /// What the forwarder knows of the namespace.
    place: Option<Place>,
}

/// One port of the host.
#[derive(Debug)]
struct Port {
    /// What was asked for that it is a piece of.
    wanted: PortMapping,
    /// The port alone, with its real number.
    mapping: PortMapping,
    group: u32,
    /// One for each family. Kept for a forwarder that has to be started again: clients wait in the kernel meanwhile.
    sockets: Vec<OwnedFd>,
}

impl Port {
    fn group(&self) -> Group {
        let backend = Backend { place: 0, port: self.mapping.container_port, address: None };
        Group { protocol: self.mapping.protocol, backends: vec![backend], sticky: None, sources: Vec::new() }
    }

    fn sockets(&self) -> Vec<BorrowedFd<'_>> {
        self.sockets.iter().map(AsFd::as_fd).collect()
    }
}

impl Published {
    /// Binds every port. From here on clients connect and wait in the kernel, for [`Published::serve`].
    ///
    /// # Errors
    /// Those of [`bind`].
    pub fn bind(wanted: &[PortMapping]) -> Result<Published> {
        let mut published = Published::default();
        published.add(&pieces(wanted))?;
        Ok(published)
    }

    /// All or nothing.
    fn add(&mut self, pieces: &[PortMapping]) -> Result<()> {
        let mut ports = Vec::new();
        for wanted in pieces {
            let mut listeners = bind(std::slice::from_ref(wanted))?.into_iter().peekable();
            while let Some(Listener { mapping, fd }) = listeners.next() {
                let mut port = Port { wanted: wanted.clone(), mapping, group: self.next, sockets: vec![fd] };
                self.next += 1;
                while let Some(other) = listeners.next_if(|other| other.mapping == port.mapping) {
                    port.sockets.push(other.fd);
                }
                ports.push(port);
            }
        }
        self.ports.append(&mut ports);
        Ok(())
    }

    /// Starts the forwarder (`program`, as for [`Forwarder::start`]), in the place of one that is there; where nothing is
    /// published there is none. It knows how to reach the servers from then on.
    pub fn serve(&mut self, program: Command, netns: BorrowedFd<'_>, addresses: &Addresses) -> Result<()> {
        self.forwarder = None;
        let place = Place::from(addresses);
        if !self.ports.is_empty() {
            let groups: Vec<_> = self.ports.iter().map(|port| (port.group, port.group(), port.sockets())).collect();
            self.forwarder = Some(Forwarder::serving(program, place.clone(), netns, &groups)?);
        }
        self.place = Some(place);
        Ok(())
    }

    /// Publishes what is wanted now. Ports that are published already are not touched, nor are their clients. One that is
    /// not wanted any more is closed at once; whoever is connected to it stays so.
    ///
    /// # Errors
    /// A port that cannot be bound. Then no new one is, and those that are not wanted are closed all the same: an old one
    /// may stand in a new one's way.
    pub fn follow(
        &mut self,
        wanted: &[PortMapping],
        program: impl FnOnce() -> Command,
        netns: BorrowedFd<'_>,
        addresses: &Addresses,
    ) -> Result<()> {
        let wanted = pieces(wanted);
        let now: Vec<PortMapping> = self.wanted();
        self.close(&only_in(&now, &wanted));
        let before = self.ports.len();
        self.add(&only_in(&wanted, &now))?;
        let fresh = before..self.ports.len();
        // A forwarder that is gone, or does not do what it is asked, is started anew with all ports.
        let is_served = self.is_at(addresses)
            && self.forwarder.as_ref().is_some_and(|forwarder| {
                self.ports[fresh].iter().all(|port| {
                    forwarder
                        .group(port.group, port.group())
                        .and_then(|()| forwarder.listen(port.group, &port.sockets()))
                        .inspect_err(|error| tracing::debug!(%error, "a new forwarder is needed"))
                        .is_ok()
                })
            });
        if !is_served && !self.ports.is_empty() {
            self.serve(program(), netns, addresses)?;
        }
        let place = |port: &Port| wanted.iter().position(|wanted| *wanted == port.wanted);
        self.ports.sort_by_key(place);
        Ok(())
    }

    /// Whether the forwarder finds the servers at these addresses.
    fn is_at(&self, addresses: &Addresses) -> bool {
        self.place.as_ref() == Some(&Place::from(addresses))
    }

    fn close(&mut self, gone: &[PortMapping]) {
        for port in self.ports.extract_if(.., |port| gone.contains(&port.wanted)) {
            let told = self.forwarder.as_ref().map(|forwarder| forwarder.close(port.group));
            if let Some(Err(error)) = told {
                tracing::debug!(%error, "the forwarder cannot be told of a port that is closed");
                self.forwarder = None;
            }
        }
    }

    /// The pieces of what was asked for.
    fn wanted(&self) -> Vec<PortMapping> {
        let mut wanted: Vec<PortMapping> = self.ports.iter().map(|port| port.wanted.clone()).collect();
        // Those of a range whose ports the kernel chose are one piece.
        wanted.dedup();
        wanted
    }

    /// Whether a forwarder has to be started.
    pub fn is_unserved(&self) -> bool {
        !self.ports.is_empty() && self.forwarder.is_none()
    }

    /// The running forwarder.
    pub fn forwarder(&self) -> Option<&Forwarder> {
        self.forwarder.as_ref()
    }

    /// The forwarder has ended: by a kill, or because nothing was left for it to do.
    pub fn forwarder_ended(&mut self) {
        self.forwarder = None;
    }

    /// What is published, with the real ports of the host. A run of ports is a range.
    pub fn mappings(&self) -> Vec<PortMapping> {
        let mut mappings: Vec<PortMapping> = Vec::new();
        for Port { mapping: next, .. } in &self.ports {
            match mappings.last_mut() {
                Some(last)
                    if last.host_ip == next.host_ip
                        && last.protocol == next.protocol
                        && u32::from(next.host_port) == u32::from(last.host_port) + u32::from(last.range)
                        && u32::from(next.container_port) == u32::from(last.container_port) + u32::from(last.range) =>
                {
                    last.range += 1;
                }
                _ => mappings.push(next.clone()),
            }
        }
        mappings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(text: &str) -> PortMapping {
        crate::parse_publish(text).unwrap()
    }

    fn bound(texts: &[&str]) -> Published {
        Published::bind(&texts.iter().map(|text| mapping(text)).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn both_families_of_a_port_are_one() {
        let published = bound(&["80"]);
        assert_eq!(published.ports.len(), 1);
        assert_eq!(published.mappings().len(), 1);
        assert_ne!(published.mappings()[0].host_port, 0);
    }

    #[test]
    fn a_range_is_published_as_one() {
        let published = bound(&["127.0.0.1::80-82"]);
        assert_eq!(published.ports.len(), 3);
        assert_eq!(published.wanted(), [mapping("127.0.0.1::80-82")]);
        let host_port = published.ports[0].mapping.host_port;
        assert_eq!(published.mappings(), [PortMapping { host_port, ..mapping("127.0.0.1::80-82") }]);
    }

    #[test]
    fn what_is_closed_is_free_again_and_the_rest_stays() {
        let mut published = bound(&["127.0.0.1::80", "127.0.0.1::81"]);
        let [gone, stays] = [0, 1].map(|n: usize| published.ports[n].mapping.clone());
        published.close(&[mapping("127.0.0.1::80")]);
        assert_eq!(published.mappings(), std::slice::from_ref(&stays));
        published.add(std::slice::from_ref(&gone)).unwrap();
        assert_eq!(published.mappings(), [stays.clone(), gone]);
        let taken = published.add(&[PortMapping { container_port: 9, ..stays }]);
        assert!(matches!(taken, Err(crate::Error::PortInUse { .. })), "{taken:?}");
        assert_eq!(published.ports.len(), 2);
    }
}
