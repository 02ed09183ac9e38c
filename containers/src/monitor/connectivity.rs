//! What connects a running container, and is kept alive by its monitor: the uplink or its places on named networks, and
//! the forwarder of its published ports. Whatever of it is killed is made again.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use network::{Addresses, Endpoint, Link, Mode, Network, Published, Uplink, UplinkKind};
use sys::process::Process;

use super::files;
use crate::container::{Container, NetworkStatus};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::networks::{self, Connected};

/// What ended again and again is made again after a while, which doubles up to the longest one.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// After this long without an end the next one is mended at once.
const SETTLED: Duration = Duration::from_secs(10);

/// The connections of one run.
#[derive(Default)]
pub(super) struct Connectivity {
    init: Option<Process>,
    ports: Published,
    addresses: Option<Addresses>,
    uplink: Option<(UplinkKind, Vec<String>, Option<Uplink>)>,
    networks: Connected,
    /// What waits to be made again, and since when it may.
    due: Option<Instant>,
    pause: Option<Duration>,
    last_end: Option<Instant>,
}

/// One thing that is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Uplink,
    Forwarder,
    Network(usize),
}

impl Connectivity {
    /// Of a container whose network is not its own business, or that has none.
    pub(super) fn none(addresses: Option<Addresses>) -> Connectivity {
        Connectivity { addresses, ..Connectivity::default() }
    }

    /// Through an uplink of its own, which is ready.
    pub(super) fn over_uplink(
        init: &Process,
        ports: Published,
        uplink: (UplinkKind, Vec<String>, Uplink),
        addresses: Addresses,
        netns: &OwnedFd,
    ) -> Result<Connectivity> {
        let (kind, options, uplink) = uplink;
        let mut connectivity = Connectivity {
            init: Some(init.clone()),
            ports,
            addresses: Some(addresses),
            uplink: Some((kind, options, Some(uplink))),
            ..Connectivity::default()
        };
        connectivity.forward(netns)?;
        Ok(connectivity)
    }

    /// On named networks, through the connections to their holders.
    pub(super) fn over_networks(
        engine: &Engine,
        container: &Container,
        init: &Process,
        ports: Published,
        links: Vec<(Network, Link)>,
        netns: &OwnedFd,
    ) -> Result<Connectivity> {
        let networks = Connected::join(engine, container, links, init, netns.as_fd())?;
        let mut connectivity = Connectivity {
            init: Some(init.clone()),
            ports,
            addresses: Some(networks::addresses(&networks.endpoints, container.spec().network.egress.is_some())),
            networks,
            ..Connectivity::default()
        };
        connectivity.forward(netns)?;
        Ok(connectivity)
    }

    fn forward(&mut self, netns: &OwnedFd) -> Result<()> {
        if let Some(addresses) = &self.addresses {
            self.ports.serve(forwarder(), netns.as_fd(), addresses)?;
        }
        Ok(())
    }

    /// Frees the published ports.
    pub(super) fn unpublish(&mut self) {
        self.ports = Published::default();
    }

    pub(super) fn addresses(&self) -> Option<&Addresses> {
        self.addresses.as_ref()
    }

    pub(super) fn endpoints(&self) -> &[Endpoint] {
        &self.networks.endpoints
    }

    /// For the record.
    pub(super) fn status(&self) -> NetworkStatus {
        let ports = self.ports.mappings();
        NetworkStatus { addresses: self.addresses.clone(), endpoints: self.networks.endpoints.clone(), ports }
    }

    /// What to wait for: each is readable when it has ended.
    pub(super) fn parts(&self) -> impl Iterator<Item = (Part, BorrowedFd<'_>)> {
        let uplink = self.uplink.as_ref().and_then(|(_, _, uplink)| uplink.as_ref()?.pidfd());
        let forwarder = self.ports.forwarder();
        let links = self.networks.links.iter().enumerate();
        let links = links.filter_map(|(n, (_, link))| Some((Part::Network(n), link.as_ref()?.as_fd())));
        let uplink = uplink.map(|pidfd| (Part::Uplink, pidfd.as_fd()));
        uplink.into_iter().chain(forwarder.map(|forwarder| (Part::Forwarder, forwarder.as_fd()))).chain(links)
    }

    /// When [`Connectivity::mend`] has to be called.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Something has ended; it is made again as soon as that makes sense.
    pub(super) fn ended(&mut self, part: Part) {
        let now = Instant::now();
        match part {
            Part::Uplink => {
                if let Some((_, _, uplink)) = &mut self.uplink {
                    *uplink = None;
                }
            }
            Part::Forwarder => {
                self.ports.forwarder_ended();
                if !self.ports.is_unserved() {
                    return;
                }
            }
            Part::Network(number) => {
                if let Some((_, link)) = self.networks.links.get_mut(number) {
                    *link = None;
                }
            }
        }
        let calm = self.last_end.is_none_or(|last| now.saturating_duration_since(last) > SETTLED);
        self.last_end = Some(now);
        let pause = if calm { Duration::ZERO } else { self.pause.unwrap_or(FIRST_PAUSE) };
        self.pause = Some((pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE));
        self.due = Some(self.due.unwrap_or(now + pause));
    }

    /// Makes again what has ended and is due.
    pub(super) fn mend(&mut self, engine: &Engine) {
        if self.due.is_none_or(|due| due > Instant::now()) {
            return;
        }
        self.due = None;
        if let Err(error) = self.try_mend(engine) {
            tracing::warn!(%error, "the container's network cannot be mended yet");
            let pause = self.pause.unwrap_or(FIRST_PAUSE);
            self.pause = Some((pause * 2).min(LONGEST_PAUSE));
            self.due = Some(Instant::now() + pause);
        }
    }

    fn try_mend(&mut self, engine: &Engine) -> Result<()> {
        let Some(init) = &self.init else { return Ok(()) };
        // With the container goes everything.
        let Some(netns) = namespace_of(init) else { return Ok(()) };
        let mut again = self.ports.is_unserved();
        if let Some((kind, options, uplink @ None)) = &mut self.uplink {
            let mut started = network::start_uplink(*kind, options, init.pid, netns.as_fd())?;
            let ready = started.ready()?;
            // Its interface is a new one.
            again = true;
            self.addresses = Some(ready);
            *uplink = Some(started);
        }
        for (network, link) in self.networks.links.iter_mut().filter(|(_, link)| link.is_none()) {
            *link = Some(networks::networks(engine).heal(network)?);
            again = true;
        }
        if again {
            self.forward(&netns)?;
        }
        Ok(())
    }

    /// Follows the record: joins the networks that are new in it and leaves those that are not in it any more, publishes and
    /// closes ports. What stays is not touched.
    pub(super) fn follow(&mut self, engine: &Engine, container: &Container, hostname: &str) -> Result<()> {
        let gone = || Error::StateImproper { what: format!("container {} has ended", container.id()) };
        let init = self.init.clone().ok_or_else(gone)?;
        let netns = namespace_of(&init).ok_or_else(gone)?;
        if let Mode::Networks(_) = container.spec().network.mode {
            let run_dir = engine.run_dir(container.id());
            let before = files::Filled::of(container, hostname, self.addresses.as_ref(), &self.networks.endpoints)?;
            self.networks.follow(engine, container, &init, netns.as_fd())?;
            let restricted = container.spec().network.egress.is_some();
            self.addresses = Some(networks::addresses(&self.networks.endpoints, restricted));
            let after = files::Filled::of(container, hostname, self.addresses.as_ref(), &self.networks.endpoints)?;
            files::refill(&run_dir, &before, &after)?;
        }
        if let Some(addresses) = &self.addresses {
            let wanted = super::prepare::published_ports(container);
            self.ports.follow(&wanted, forwarder, netns.as_fd(), addresses)?;
        }
        Ok(())
    }
}

/// The network namespace of a process, if it still lives.
fn namespace_of(process: &Process) -> Option<OwnedFd> {
    let file = std::fs::File::open(Path::new("/proc").join(process.pid.to_string()).join("ns/net")).ok()?;
    process.alive().then(|| file.into())
}

/// `creel forwarder`, re-executed.
fn forwarder() -> Command {
    let mut program = Command::new("/proc/self/exe");
    program.arg0("creel").arg("forwarder");
    program
}
