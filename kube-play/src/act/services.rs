//! Services as the kernel has them: sockets that listen on their addresses, ready pods behind, and their names.
//!
//! Everything lives in one forwarder, a child of the supervisor. A Service listens inside of every network that has played
//! pods on it, so pods of all namespaces reach it, and on the host where it is published. The forwarder goes into the
//! network namespace of the pod that it connects to: it does not matter on which network that is, and the pod sees the
//! client's own address.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::Command;

use containers::Engine;
use network::{Backend, Certificate, Cidr, Forwarder, Group, Link, Place, PortMapping, Protocol, Rule, Zone};
use rustix::event::{PollFd, PollFlags};
use sys::process::{Pidfd, Process};

use super::error::{Error, Result};
use super::objects::SERVICE_RANGE;
use crate::plan::ObjectId;

/// One place to listen for clients of a Service or an Ingress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Front {
    pub(super) protocol: Protocol,
    /// Its address inside of the networks.
    pub(super) inside: Option<SocketAddr>,
    /// Sockets on the host.
    pub(super) outside: Vec<PortMapping>,
    pub(super) behind: Behind,
    /// Seconds for which a client stays with its pod.
    pub(super) sticky: Option<u32>,
    /// Where clients may come from; empty: everywhere.
    pub(super) sources: Vec<Cidr>,
}

/// Who answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Behind {
    /// Pods by id, and their ports.
    Pods(Vec<(String, u16)>),
    /// Fronts by key, chosen by the request's host and path; with certificates for clients by TLS.
    Fronts(Vec<(Rule, String)>, Vec<Certificate>),
}

/// A pod that can be behind something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) init: Process,
    pub(super) place: Place,
}

/// What there is to be: fronts by a key of their own (`Service/default/web/80/TCP`), pods by id, names by network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) fronts: BTreeMap<String, Front>,
    pub(super) servers: BTreeMap<String, Server>,
    /// For each network that has played pods on it.
    pub(super) zones: BTreeMap<String, Zone>,
    /// What cannot be served, by Ingress.
    pub(super) faults: BTreeMap<ObjectId, String>,
}

/// What there is.
pub(super) struct Plane {
    program: fn() -> Command,
    forwarder: Option<Forwarder>,
    now: Wanted,
    groups: BTreeMap<String, u32>,
    /// By pod; the second one tells of the end of its namespaces' holder.
    places: BTreeMap<String, (u32, Pidfd)>,
    networks: BTreeMap<String, (Link, OwnedFd)>,
    next: u32,
    /// Ports of the host that could not be had, by front: said once, tried again.
    refused: BTreeMap<String, String>,
}

const OWNER: &str = "kube";

impl Plane {
    /// `program` starts `creel forwarder`.
    pub(super) fn new(program: fn() -> Command) -> Plane {
        Plane {
            program,
            forwarder: None,
            now: Wanted::default(),
            groups: BTreeMap::new(),
            places: BTreeMap::new(),
            networks: BTreeMap::new(),
            next: 1,
            refused: BTreeMap::new(),
        }
    }

    /// Descriptors that become readable when a network's holder, a pod or the forwarder has ended.
    pub(super) fn watched(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let pods = self.places.values().map(|(_, init)| init.as_fd());
        self.networks.values().map(|(link, _)| link.as_fd()).chain(pods).chain(self.forwarder.as_ref().map(AsFd::as_fd))
    }

    /// Makes it so. After an error the next call starts from nothing, as after the forwarder was killed.
    pub(super) fn apply(&mut self, engine: &Engine, wanted: Wanted) -> Result<()> {
        if self.forwarder.as_mut().is_some_and(Forwarder::has_ended) {
            *self = Plane::new(self.program);
        }
        let applied = self.try_apply(engine, wanted);
        if applied.is_err() {
            *self = Plane { refused: std::mem::take(&mut self.refused), ..Plane::new(self.program) };
        }
        applied
    }

    /// Why an object cannot be served, or not on all ports of the host: those of fronts whose keys begin like that.
    pub(super) fn refusal(&self, id: &ObjectId, prefix: &str) -> Option<String> {
        let refused = self.refused.iter().filter(|(key, _)| key.starts_with(prefix)).map(|(_, why)| why.as_str());
        let all: Vec<&str> = refused.chain(self.now.faults.get(id).map(String::as_str)).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    /// Whether all that is wanted is there. If not, nobody tells when it can be: it is to be tried again.
    pub(super) fn is_whole(&self) -> bool {
        self.refused.is_empty()
            && self.now.servers.keys().all(|pod| self.places.contains_key(pod))
            && self.now.zones.keys().all(|network| self.networks.contains_key(network))
    }

    fn try_apply(&mut self, engine: &Engine, wanted: Wanted) -> Result<()> {
        let fresh = self.follow_networks(engine, &wanted)?;
        if wanted == self.now && fresh.is_empty() && self.is_whole() {
            return Ok(());
        }
        self.follow_servers(&wanted)?;
        let gone: Vec<String> = self.groups.keys().filter(|key| !wanted.fronts.contains_key(*key)).cloned().collect();
        for key in gone {
            self.drop_front(&key)?;
        }
        // Groups before the routers that name them.
        let routers_last = |front: &Front| matches!(front.behind, Behind::Fronts(..));
        let mut fronts: Vec<(&String, &Front)> = wanted.fronts.iter().collect();
        fronts.sort_by_key(|(_, front)| routers_last(front));
        for (key, front) in fronts {
            self.follow_front(key, front, &fresh)?;
        }
        let left: Vec<String> = self.places.keys().filter(|pod| !wanted.servers.contains_key(*pod)).cloned().collect();
        for pod in left {
            self.forget(&pod)?;
        }
        for (network, zone) in &wanted.zones {
            if fresh.contains(network) || self.now.zones.get(network) != Some(zone) {
                self.publish(network, zone)?;
            }
        }
        self.now = wanted;
        Ok(())
    }

    fn number(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

    fn forwarder(&mut self) -> Result<&Forwarder> {
        if self.forwarder.is_none() {
            self.forwarder = Some(Forwarder::start((self.program)())?);
        }
        self.forwarder.as_ref().ok_or_else(|| Error::NotFound("the forwarder".into()))
    }

    /// Links to the holders of all wanted networks. Those that are new, or new again, come back.
    fn follow_networks(&mut self, engine: &Engine, wanted: &Wanted) -> Result<BTreeSet<String>> {
        self.networks.retain(|name, (link, _)| wanted.zones.contains_key(name) && !has_ended(link));
        let known = containers::networks(engine);
        let mut fresh = BTreeSet::new();
        for name in wanted.zones.keys() {
            if self.networks.contains_key(name) {
                continue;
            }
            // A network without a holder has no members that could ask.
            let Some(mut link) = known.connect(name)? else { continue };
            let namespace = link.namespace()?;
            // Also on networks that are not a namespace's own, whose records are somebody else's.
            network::reserve_inside(namespace.as_fd(), SERVICE_RANGE)?;
            self.networks.insert(name.clone(), (link, namespace));
            fresh.insert(name.clone());
        }
        Ok(fresh)
    }

    fn follow_servers(&mut self, wanted: &Wanted) -> Result<()> {
        for (pod, server) in &wanted.servers {
            if self.now.servers.get(pod) == Some(server) && self.places.contains_key(pod) {
                continue;
            }
            if self.places.contains_key(pod) {
                self.forget(pod)?;
            }
            let id = self.number();
            let Some((namespace, init)) = network_of(&server.init) else { continue };
            // One that is just dying takes nobody else's clients with it; the next round does without it.
            match self.forwarder()?.place(id, server.place.clone(), namespace.as_fd()) {
                Ok(()) => drop(self.places.insert(pod.clone(), (id, init))),
                Err(error) => tracing::debug!(%pod, %error, "cannot reach into a pod"),
            }
        }
        Ok(())
    }

    fn forget(&mut self, pod: &str) -> Result<()> {
        match (self.places.remove(pod), &self.forwarder) {
            (Some((id, _)), Some(forwarder)) => Ok(forwarder.forget(id)?),
            _ => Ok(()),
        }
    }

    fn drop_front(&mut self, key: &str) -> Result<()> {
        self.refused.remove(key);
        match (self.groups.remove(key), &self.forwarder) {
            (Some(group), Some(forwarder)) => Ok(forwarder.close(group)?),
            _ => Ok(()),
        }
    }

    fn follow_front(&mut self, key: &str, front: &Front, fresh: &BTreeSet<String>) -> Result<()> {
        let was = self.now.fronts.get(key).cloned();
        let same_sockets = was.as_ref().is_some_and(|was| {
            (was.protocol, was.inside, &was.outside) == (front.protocol, front.inside, &front.outside)
        });
        let known = self.groups.contains_key(key) && same_sockets && !self.refused.contains_key(key);
        if !known {
            self.drop_front(key)?;
        }
        let group = match self.groups.get(key) {
            Some(group) => *group,
            None => self.number(),
        };
        self.set_behind(group, front)?;
        self.groups.insert(key.to_owned(), group);
        let networks: Vec<&String> = self.networks.keys().filter(|name| !known || fresh.contains(*name)).collect();
        let mut sockets = Vec::new();
        if let Some(address) = front.inside {
            for name in networks {
                if let Some((_, namespace)) = self.networks.get(name) {
                    sockets.push(network::listen_inside(namespace.as_fd(), front.protocol, address)?);
                }
            }
        }
        if !known {
            for mapping in &front.outside {
                match network::bind(std::slice::from_ref(mapping)) {
                    Ok(bound) => sockets.extend(bound.into_iter().map(|listener| listener.fd)),
                    Err(error) => {
                        self.refused.insert(key.to_owned(), error.to_string());
                    }
                }
            }
        }
        if !sockets.is_empty() {
            let sockets: Vec<BorrowedFd<'_>> = sockets.iter().map(AsFd::as_fd).collect();
            self.forwarder()?.listen(group, &sockets)?;
        }
        Ok(())
    }

    fn set_behind(&mut self, id: u32, front: &Front) -> Result<()> {
        match &front.behind {
            Behind::Pods(pods) => {
                let backends = pods.iter().filter_map(|(pod, port)| {
                    Some(Backend { place: self.places.get(pod)?.0, port: *port, address: None })
                });
                let group = Group {
                    protocol: front.protocol,
                    backends: backends.collect(),
                    sticky: front.sticky,
                    sources: front.sources.clone(),
                };
                Ok(self.forwarder()?.group(id, group)?)
            }
            Behind::Fronts(rules, certificates) => {
                let rules =
                    rules.iter().filter_map(|(rule, key)| Some(Rule { group: *self.groups.get(key)?, ..rule.clone() }));
                let rules = rules.collect();
                Ok(self.forwarder()?.router(id, rules, certificates.clone())?)
            }
        }
    }

    fn publish(&mut self, network: &str, zone: &Zone) -> Result<()> {
        let Some((link, _)) = self.networks.get_mut(network) else { return Ok(()) };
        Ok(link.publish(&Zone { owner: OWNER.into(), process: Process::me().ok(), ..zone.clone() })?)
    }
}

/// The network namespace of a process that lives, and the process. What was opened is of that one.
pub(super) fn network_of(process: &Process) -> Option<(File, Pidfd)> {
    let namespace = File::open(format!("/proc/{}/ns/net", process.pid)).ok()?;
    // Another process may have the number by now.
    Some((namespace, process.open()?))
}

fn has_ended(link: &Link) -> bool {
    let mut fds = [PollFd::new(link, PollFlags::IN)];
    let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(rustix::event::poll(&mut fds, Some(&now)), Ok(1..))
}
