//! The holder's loop: one poll over its connections, its members' processes, its uplink and its name server.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::net::SocketFlags;
use storage::{Durability, Store, record};
use sys::channel::Channel;
use sys::lock::FileLock;
use sys::process::{Pidfd, Process};

use super::dns::{Known, NameServer, Source};
use super::door::{listen_in, read_zone};
use super::gate::{Learned, news};
use super::names::Names;
use super::plug::{BRIDGE, Ground, Plug, parse_mac, plug, random_mac, unplug, write_mac};
use super::way_out::WayOut;
use super::{Answer, Assigned, Endpoint, Held, Member, Members, Request, STATE_FILE, Zone};
use crate::networks::{is_interface, make_private_dir};
use crate::{Error, Network, Networks, Result, ipam};

/// After this long the start is over and the process makes itself small.
const BUSY: Duration = Duration::from_millis(300);

/// The whole life of a holder. `channel` is the descriptor named on the command line; its maker's first message says
/// which network it is about.
pub fn holder_main(channel: RawFd) -> ExitCode {
    let Some(channel) = sys::task::inherited_descriptor(channel) else { return ExitCode::FAILURE };
    let channel = Channel::from(channel);
    sys::memory::settle();
    let _ = rustix::thread::set_name(c"creel-network");
    match begin(&channel) {
        Ok((holder, userns_dir)) => {
            let served = holder.serve(channel);
            sys::userns::release(&userns_dir);
            if served.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            // Nobody listens any more: then nobody needs to know.
            let _ = answer(&channel, &Answer::Refused(error.to_string()), &[]);
            ExitCode::FAILURE
        }
    }
}

fn answer(channel: &Channel, answer: &Answer, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    channel.send(&serde_json::to_vec(answer)?, fds)
}

struct Holder {
    networks: Networks,
    network: Network,
    run_dir: PathBuf,
    /// The same, whatever is at that path by now: a network may be taken away and made anew while its holder ends, and
    /// what the next holder has there is not ours to touch.
    run_dir_handle: OwnedFd,
    ground: Ground,
    way_out: Option<WayOut>,
    names: Names,
    name_server: NameServer,
    listener: OwnedFd,
    clients: Vec<Channel>,
    places: Vec<Place>,
    zones: Vec<(Zone, Option<Pidfd>)>,
    last: Vec<IpAddr>,
    /// The number of the next end on the bridge.
    next_index: u32,
    /// Held for our whole life: no network has two holders.
    _lock: FileLock,
}

/// One member, plugged in.
struct Place {
    held: Held,
    process: Pidfd,
    /// The number of its end on the bridge.
    index: u32,
}

/// Who a poll entry belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    Listener,
    Client(usize),
    Member(usize),
    Zone(usize),
    Uplink,
    Names(Source),
}

fn begin(channel: &Channel) -> Result<(Holder, PathBuf)> {
    let start = Error::kernel::<io::Error>;
    let (message, _) = channel.recv().map_err(start("hear from the maker"))?;
    let request: Request = serde_json::from_slice(&message).map_err(|error| Error::Refused(error.to_string()))?;
    let Request::Start { network, dirs, options, config_dir, uplink, userns_dir } = request else {
        return Err(Error::Refused("the first request must start the holder".into()));
    };
    let store = Store::open(dirs, options)?;
    let networks = Networks::new(&store, uplink.as_deref(), &userns_dir).in_dir(config_dir.as_deref());
    let network = networks.named(&network)?;
    let run_dir = networks.run_dir(&network.name);
    make_private_dir(&run_dir)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let run_dir_handle = rustix::fs::open(&run_dir, flags, Mode::empty())
        .map_err(Error::kernel(format!("open {}", run_dir.display())))?;
    // One that is just ending has taken its socket away already.
    let lock = FileLock::exclusive(&run_dir.join("holder.lock")).map_err(start("lock the network"))?;
    sys::userns::hold(&userns_dir).map_err(start("stay in the user namespace"))?;
    let mut ground = Ground::make(&network)?;
    let way_out = match network.has_way_out() {
        false => None,
        true => Some(WayOut::start(&network, networks.uplink.as_deref(), &ground)?),
    };
    let mut name_server = NameServer::new(std::mem::take(&mut ground.udp), std::mem::take(&mut ground.tcp));
    name_server.configure(&network.dns_servers, network.internal);
    let listener = listen_in(&run_dir).map_err(start("listen for members"))?;
    let mut holder = Holder {
        networks,
        network,
        run_dir,
        run_dir_handle,
        ground,
        way_out,
        names: Names::default(),
        name_server,
        listener,
        clients: Vec::new(),
        places: Vec::new(),
        zones: Vec::new(),
        last: Vec::new(),
        next_index: BRIDGE + 8,
        _lock: lock,
    };
    holder.take_over();
    if let Err(error) = holder.wait_for_way_out() {
        holder.end();
        return Err(error);
    }
    // A maker that is gone is noticed as every client that goes.
    let _ = answer(channel, &Answer::Done, &[]);
    Ok((holder, userns_dir))
}

impl Holder {
    /// Whoever a holder before us had, and who is still alive, is plugged in again.
    fn take_over(&mut self) {
        let known = record::read_optional::<Members>(&self.run_dir.join(STATE_FILE));
        let Ok(Some(known)) = known else { return };
        self.last = known.last;
        for held in known.members {
            let Some(process) = held.member.process.open() else { continue };
            let Some(netns) = namespace_of(&held.member.process) else { continue };
            let index = self.next_index;
            self.next_index += 1;
            let name = end_name(&held.member, index);
            let again = Plug {
                network: &self.network,
                endpoint: &held.endpoint,
                restricted: held.restricted(),
                name: &name,
                index,
                again: true,
            };
            match plug(&mut self.ground, &again, netns.as_fd()) {
                Ok(()) => self.places.push(Place { held, process, index }),
                Err(error) => tracing::warn!(id = held.member.id, %error, "cannot plug a member in again"),
            }
        }
        for zone in known.zones {
            self.put_zone(zone);
        }
        self.changed();
    }

    fn serve(mut self, maker: Channel) -> Result<()> {
        self.clients.push(maker);
        let mut busy_until = Some(Instant::now() + BUSY);
        while !(self.places.is_empty() && self.clients.is_empty()) {
            let ready = self.wait(busy_until).map_err(Error::kernel("wait for events"))?;
            self.handle(&ready);
            let now = Instant::now();
            if self.way_out.as_ref().and_then(|way| way.due).is_some_and(|due| due <= now) {
                let addresses = self.addresses();
                if let Some(way_out) = &mut self.way_out {
                    way_out.again(&self.ground, addresses.into_iter());
                }
            }
            if busy_until.is_some_and(|until| until <= now) {
                busy_until = None;
                // It only costs memory where it fails.
                let _ = sys::memory::shrink();
            }
        }
        self.end();
        Ok(())
    }

    /// Whoever comes now finds no socket, makes a new holder, and that one waits until our lock is free. Whoever came
    /// just before is told by the end of the connection.
    fn end(self) {
        for file in ["socket", STATE_FILE] {
            // Left over it is as good as none: nobody alive is in it.
            let _ = rustix::fs::unlinkat(&self.run_dir_handle, file, AtFlags::empty());
        }
    }

    fn wait(&self, busy_until: Option<Instant>) -> io::Result<Vec<(Of, PollFlags)>> {
        let mut entries: Vec<PollFd<'_>> = Vec::new();
        let mut sources = Vec::new();
        let mut add = |of: Of, fd, flags| {
            entries.push(PollFd::from_borrowed_fd(fd, flags));
            sources.push(of);
        };
        add(Of::Listener, self.listener.as_fd(), PollFlags::IN);
        for (number, client) in self.clients.iter().enumerate() {
            add(Of::Client(number), client.as_fd(), PollFlags::IN);
        }
        for (number, place) in self.places.iter().enumerate() {
            add(Of::Member(number), place.process.as_fd(), PollFlags::IN);
        }
        for (number, (_, process)) in self.zones.iter().enumerate() {
            if let Some(process) = process {
                add(Of::Zone(number), process.as_fd(), PollFlags::IN);
            }
        }
        if let Some(uplink) = self.way_out.as_ref().and_then(WayOut::pidfd) {
            add(Of::Uplink, uplink.as_fd(), PollFlags::IN);
        }
        for (source, fd, flags) in self.name_server.sources() {
            add(Of::Names(source), fd, flags);
        }
        let due = self.way_out.as_ref().and_then(|way| way.due);
        let next = [due, self.name_server.next(), busy_until].into_iter().flatten().min();
        let timeout = next.map(|next| {
            let left = next.saturating_duration_since(Instant::now());
            Timespec { tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX), tv_nsec: left.subsec_nanos().into() }
        });
        match poll(&mut entries, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ready = sources.into_iter().zip(&entries).map(|(of, entry)| (of, entry.revents()));
        Ok(ready.filter(|(_, events)| !events.is_empty()).collect())
    }

    fn handle(&mut self, ready: &[(Of, PollFlags)]) {
        let of_names: Vec<(Source, PollFlags)> = ready
            .iter()
            .filter_map(|(of, flags)| if let Of::Names(source) = of { Some((*source, *flags)) } else { None })
            .collect();
        // Who has gone is gone before anybody is told where to find them.
        let gone: Vec<String> = ready
            .iter()
            .filter_map(|(of, _)| if let Of::Member(number) = of { self.places.get(*number) } else { None })
            .map(|place| place.held.member.id.clone())
            .collect();
        let zones = ready.iter().filter_map(|(of, _)| if let Of::Zone(number) = of { Some(*number) } else { None });
        let owners: Vec<String> =
            zones.filter_map(|number| self.zones.get(number)).map(|(zone, _)| zone.owner.clone()).collect();
        if !gone.is_empty() || !owners.is_empty() {
            self.zones.retain(|(zone, _)| !owners.contains(&zone.owner));
            gone.iter().for_each(|id| self.unplug(id));
            self.changed();
        }
        self.name_server_events(&of_names);
        if ready.iter().any(|(of, _)| *of == Of::Uplink)
            && let Some(way_out) = &mut self.way_out
        {
            way_out.ended(Instant::now());
        }
        let mut over = Vec::new();
        for (of, _) in ready {
            if let Of::Client(number) = of
                && !self.hear(*number)
            {
                over.push(*number);
            }
        }
        for number in over.into_iter().rev() {
            self.clients.remove(number);
        }
        if ready.iter().any(|(of, _)| *of == Of::Listener) {
            self.accept();
        }
    }

    fn name_server_events(&mut self, events: &[(Source, PollFlags)]) {
        let network = &self.network;
        let own = || network.subnets.iter().map(|subnet| subnet.subnet).chain(network.service_range);
        let is_own = |address: IpAddr| own().any(|range| range.contains(address));
        let (places, ground) = (&mut self.places, &mut self.ground);
        let mut has_learned = false;
        let mut learn = |client: IpAddr, name: &str, addresses: &[IpAddr]| {
            let is_client =
                |place: &&mut Place| place.held.endpoint.addresses.iter().any(|assigned| assigned.address == client);
            let Some(place) = places.iter_mut().find(is_client) else { return true };
            let Some(egress) = &place.held.member.egress else { return true };
            let new = news(egress, &place.held.learned, name, addresses);
            if new.is_empty() {
                return true;
            }
            if let Err(error) = ground.allow(egress, place.index, &new) {
                tracing::warn!(name, %error, "cannot allow the addresses of a name");
                return false;
            }
            place.held.learned.extend(new);
            has_learned = true;
            true
        };
        let mut known = Known { names: &mut self.names, run_dir: &self.run_dir, is_own: &is_own, learn: &mut learn };
        self.name_server.handle(events, &mut known);
        if has_learned {
            self.changed();
        }
    }

    fn accept(&mut self) {
        while let Ok(socket) = rustix::net::accept_with(&self.listener, SocketFlags::CLOEXEC) {
            self.clients.push(Channel::from(socket));
        }
    }

    /// One request. False: the client is gone, or does not speak our language.
    fn hear(&mut self, number: usize) -> bool {
        let Ok((message, fds)) = self.clients[number].recv() else { return false };
        let Ok(request) = serde_json::from_slice::<Request>(&message) else { return false };
        let (said, fds) = match self.obey(request, fds) {
            Ok(said) => said,
            Err(error) => (Answer::Refused(error.to_string()), Vec::new()),
        };
        let fds: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
        answer(&self.clients[number], &said, &fds).is_ok()
    }

    fn obey(&mut self, request: Request, fds: Vec<OwnedFd>) -> Result<(Answer, Vec<OwnedFd>)> {
        let done = Ok((Answer::Done, Vec::new()));
        match request {
            Request::Start { .. } => Err(Error::Refused("it has been started".into())),
            Request::Join { member } => {
                let netns =
                    fds.into_iter().next().ok_or_else(|| Error::Refused("no network namespace was given".into()))?;
                Ok((Answer::Joined(self.join(member, netns.as_fd())?), Vec::new()))
            }
            Request::Leave { id } => {
                self.unplug(&id);
                self.changed();
                done
            }
            Request::Names { id, name, names } => {
                if let Some(place) = self.places.iter_mut().find(|place| place.held.member.id == id) {
                    (place.held.member.name, place.held.member.names) = (name, names);
                }
                self.changed();
                done
            }
            Request::Publish => {
                let file = fds.into_iter().next().ok_or_else(|| Error::Refused("no zone was given".into()))?;
                self.put_zone(read_zone(file).map_err(Error::kernel("read the names of a zone"))?);
                self.changed();
                done
            }
            Request::Withdraw { owner } => {
                self.zones.retain(|(zone, _)| zone.owner != owner);
                self.changed();
                done
            }
            Request::Reload => {
                // Its bridge stays as it is while the network is in use.
                self.network.dns_servers = self.networks.named(&self.network.name)?.dns_servers;
                self.name_server.configure(&self.network.dns_servers, self.network.internal);
                done
            }
            Request::Namespace => {
                let netns = self.ground.netns.try_clone().map_err(Error::kernel("hand out the namespace"))?;
                Ok((Answer::Done, vec![netns]))
            }
        }
    }

    fn put_zone(&mut self, zone: Zone) {
        self.zones.retain(|(known, _)| known.owner != zone.owner);
        let process = zone.process.as_ref().map(Process::open);
        // Its owner is gone already.
        if matches!(process, Some(None)) {
            return;
        }
        self.zones.push((zone, process.flatten()));
    }

    fn join(&mut self, member: Member, netns: BorrowedFd<'_>) -> Result<Endpoint> {
        let name = self.network.name.clone();
        let Some(process) = member.process.open() else {
            return Err(Error::Refused(format!("{} has ended before it was on network {name}", member.name)));
        };
        if !is_interface(&member.interface) {
            return Err(Error::Refused(format!("invalid interface name {:?}", member.interface)));
        }
        // A run of before whose end we have not heard of, or one that comes back.
        self.unplug(&member.id);
        self.drop_dead();
        let endpoint = self.lease(&member)?;
        let index = self.next_index;
        let end = end_name(&member, index);
        let held = Held { member, endpoint, learned: Learned::new() };
        let Held { member, endpoint, .. } = &held;
        let restricted = held.restricted();
        let first = Plug { network: &self.network, endpoint, restricted, name: &end, index, again: false };
        plug(&mut self.ground, &first, netns)
            .map_err(|error| Error::Refused(format!("cannot put {} on network {name}: {error}", member.name)))?;
        self.next_index += 1;
        if let Some(way_out) = &self.way_out {
            for assigned in &endpoint.addresses {
                way_out.lead_back(&self.ground, assigned.address);
            }
        }
        // The next one gets the address after the last that nobody asked for.
        for assigned in endpoint.addresses.iter().filter(|found| !member.given.addresses.contains(&found.address)) {
            self.last.retain(|last| last.is_ipv4() != assigned.address.is_ipv4());
            self.last.push(assigned.address);
        }
        let endpoint = endpoint.clone();
        self.places.push(Place { held, process, index });
        self.changed();
        Ok(endpoint)
    }

    /// Addresses and the rest of what a member is told.
    fn lease(&self, member: &Member) -> Result<Endpoint> {
        let network = &self.network;
        let mut taken: BTreeSet<IpAddr> = self.addresses().into_iter().collect();
        taken.extend(network.gateways().map(|(gateway, _)| gateway));
        let mut addresses = Vec::new();
        for wanted in &member.given.addresses {
            if !network.subnets.iter().any(|subnet| subnet.subnet.contains(*wanted)) {
                return Err(Error::Refused(format!(
                    "requested static ip {wanted} not in any subnet on network {}",
                    network.name
                )));
            }
            let holder = self
                .places
                .iter()
                .find(|place| place.held.endpoint.addresses.iter().any(|assigned| assigned.address == *wanted));
            if let Some(holder) = holder {
                return Err(Error::Refused(format!(
                    "IPAM error: requested ip address {wanted} is already allocated to container ID {}",
                    holder.held.member.id
                )));
            }
            if taken.contains(wanted) {
                return Err(Error::Refused(format!(
                    "IPAM error: requested ip address {wanted} is the gateway of network {}",
                    network.name
                )));
            }
        }
        for subnet in &network.subnets {
            let wanted: Vec<IpAddr> =
                member.given.addresses.iter().copied().filter(|wanted| subnet.subnet.contains(*wanted)).collect();
            let last = self.last.iter().copied().find(|last| subnet.subnet.contains(*last));
            let chosen = match wanted.is_empty() {
                false => wanted,
                true => vec![ipam::pick(subnet, &taken, last).ok_or_else(|| {
                    Error::Refused(format!(
                        "IPAM error: failed to find free IP in range: {} of network {}",
                        subnet.subnet, network.name
                    ))
                })?],
            };
            for address in chosen {
                taken.insert(address);
                let gateway = subnet.gateway.filter(|_| !network.internal);
                addresses.push(Assigned { address, prefix: subnet.subnet.prefix, gateway });
            }
        }
        let mac = match &member.given.mac {
            Some(mac) => parse_mac(mac).ok_or_else(|| Error::Refused(format!("address {mac}: invalid MAC address")))?,
            None => random_mac()?,
        };
        let out = self.way_out.as_ref().map(WayOut::addresses);
        Ok(Endpoint {
            network: network.name.clone(),
            network_id: network.id.clone(),
            interface: member.interface.clone(),
            mac: write_mac(mac),
            addresses,
            dns: match network.dns {
                true => network.gateways().map(|(gateway, _)| gateway).collect(),
                false => out.map(|out| out.dns.clone()).unwrap_or_default(),
            },
            search: network.dns.then(|| crate::record::DOMAIN.to_owned()),
            host: out.and_then(|out| out.host_gateway),
        })
    }

    fn addresses(&self) -> Vec<IpAddr> {
        let endpoints = self.places.iter().map(|place| &place.held.endpoint);
        endpoints.flat_map(|endpoint| endpoint.addresses.iter().map(|assigned| assigned.address)).collect()
    }

    /// Takes the places of those whose end is there but not heard of yet.
    fn drop_dead(&mut self) {
        let ended = |place: &&Place| matches!(place.process.wait_end(Some(Duration::ZERO)), Ok(true));
        let gone: Vec<String> = self.places.iter().filter(ended).map(|place| place.held.member.id.clone()).collect();
        gone.iter().for_each(|id| self.unplug(id));
    }

    fn unplug(&mut self, id: &str) {
        let Some(position) = self.places.iter().position(|place| place.held.member.id == id) else { return };
        let place = self.places.remove(position);
        let Held { member, endpoint, .. } = &place.held;
        let netns = namespace_of(&member.process);
        let restricted = place.held.restricted();
        let last = Plug { network: &self.network, endpoint, restricted, name: "", index: place.index, again: false };
        // Its namespace may have taken it along.
        if let Err(error) = unplug(&mut self.ground, &last, netns.as_ref().map(AsFd::as_fd)) {
            tracing::debug!(id, %error, "cannot remove a member's interface");
        }
    }

    /// Names and the file follow what is so.
    fn changed(&mut self) {
        let known = Members {
            members: self.places.iter().map(|place| place.held.clone()).collect(),
            zones: self.zones.iter().map(|(zone, _)| zone.clone()).collect(),
            last: self.last.clone(),
        };
        self.names = match self.network.dns {
            true => Names::of(&known.members, &known.zones),
            false => Names::default(),
        };
        let dir = PathBuf::from(format!("/proc/self/fd/{}", self.run_dir_handle.as_raw_fd()));
        if let Err(error) = record::write(&dir.join(STATE_FILE), &known, Durability::Visible) {
            tracing::warn!(network = self.network.name, %error, "cannot write who is on the network");
        }
    }

    fn wait_for_way_out(&mut self) -> Result<()> {
        let addresses = self.addresses();
        match &mut self.way_out {
            Some(way_out) => way_out.ready(&self.ground, addresses.into_iter()),
            None => Ok(()),
        }
    }
}

/// The name of a member's end on the bridge.
fn end_name(member: &Member, index: u32) -> String {
    member.given.host_interface.clone().unwrap_or_else(|| format!("veth{}", index - BRIDGE - 8))
}

/// The namespace of a process that may have ended.
fn namespace_of(process: &Process) -> Option<OwnedFd> {
    let file = std::fs::File::open(Path::new("/proc").join(process.pid.to_string()).join("ns/net")).ok()?;
    // It was still that process when the file was opened.
    process.alive().then(|| file.into())
}
