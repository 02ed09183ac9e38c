//! The way out of a network: a user-mode stack with an interface of its own in the network's namespace.
//!
//! The stack knows one small network, of which it is .2; the namespace is .100 there and passes on what members send.
//! Our own takes packets from the network's subnets and writes answers to whom they are for. slirp takes packets with any
//! source and asks for the addresses of those it answers, so no address has to be translated: the namespace answers for
//! its members (proxy ARP; of IPv6 it announces each one when it comes). pasta remembers with each connection whose it is;
//! the old one knows one address only and is not used.

use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use sys::process::Pidfd;

use super::plug::{Ground, announce};
use crate::record::{Network, RouteKind};
use crate::uplink::{Uplink, UplinkKind, choose, pasta_features, start_uplink};
use crate::{Addresses, Cidr, Error, Mode, Result};

/// Our address in slirp's own IPv6 network, and the stack there.
const OWN_IPV6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0x100);
const UPLINK_IPV6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);
const UPLINK_IPV6_NET: Cidr = Cidr { address: IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0)), prefix: 64 };
const EVERYTHING6: Cidr = Cidr { address: IpAddr::V6(Ipv6Addr::UNSPECIFIED), prefix: 0 };

/// The stack's interface in the network's namespace.
const INTERFACE: &str = crate::slirp::INTERFACE;

/// Networks for between the stack and the bridge; the first one that no subnet overlaps is taken.
const BETWEEN: [[u8; 4]; 4] = [[10, 0, 2, 0], [10, 0, 3, 0], [172, 31, 255, 0], [192, 168, 255, 0]];

/// A stack that ends is started again after a while, which doubles up to the longest one.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// One that ran for this long is started again at once.
const SETTLED: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct WayOut {
    kind: UplinkKind,
    options: Vec<String>,
    uplink: Option<Uplink>,
    /// The number of its interface, while it is up.
    interface: Option<u32>,
    addresses: Addresses,
    ipv6: bool,
    started: Instant,
    pause: Duration,
    /// When it is to be started again.
    pub(super) due: Option<Instant>,
}

impl WayOut {
    /// Starts the stack; [`WayOut::ready`] waits for it.
    pub(super) fn start(network: &Network, conf: Option<&str>, ground: &Ground) -> Result<WayOut> {
        let kind = stack(conf)?;
        let between = between(network).ok_or_else(|| {
            Error::Refused(format!("the subnets of network {} leave no room for its way out", network.name))
        })?;
        // pasta brings IPv6 along where the host has it, and needs nobody to answer for others.
        let ipv6 = kind != UplinkKind::Pasta
            && network.ipv6
            && !network.subnets.iter().any(|subnet| subnet.subnet.overlaps(&UPLINK_IPV6_NET));
        let mtu = network.mtu().clamp(576, 65520);
        let options = match kind {
            UplinkKind::Creel | UplinkKind::Slirp => {
                let mut options = vec![format!("cidr={between}"), format!("mtu={mtu}"), format!("enable_ipv6={ipv6}")];
                if kind == UplinkKind::Creel {
                    options.push(format!("interface={INTERFACE}"));
                    options.extend(network.subnets.iter().map(|subnet| format!("source={}", subnet.subnet)));
                }
                options
            }
            UplinkKind::Pasta => {
                let nth = |n| between.nth(n).map(|address| address.to_string()).unwrap_or_default();
                let words = ["-a", &nth(100), "-n", "24", "-g", &nth(2), "-I", INTERFACE, "--mtu", &mtu.to_string()];
                words.map(str::to_owned).to_vec()
            }
        };
        let addresses = crate::expected_addresses(kind, &options);
        let mut way = WayOut {
            kind,
            options,
            uplink: None,
            interface: None,
            addresses,
            ipv6,
            started: Instant::now(),
            pause: FIRST_PAUSE,
            due: None,
        };
        way.launch(ground)?;
        Ok(way)
    }

    fn launch(&mut self, ground: &Ground) -> Result<()> {
        self.started = Instant::now();
        self.interface = None;
        self.uplink = Some(start_uplink(self.kind, &self.options, 0, ground.netns.as_fd())?);
        Ok(())
    }

    /// Waits for the stack; from then on the members' addresses lead out and back.
    pub(super) fn ready(&mut self, ground: &Ground, members: impl Iterator<Item = IpAddr>) -> Result<()> {
        if self.interface.is_some() {
            return Ok(());
        }
        let Some(uplink) = &mut self.uplink else { return Ok(()) };
        uplink.wait_up()?;
        let setup = |error: std::io::Error| Error::kernel("set up the way out of the network")(error);
        let interface = ground.netlink.index_of(INTERFACE).map_err(setup)?;
        if self.kind != UplinkKind::Creel {
            ground.netlink.answer_for_others_at_once(interface).map_err(setup)?;
        }
        if self.needs_announcements() {
            ground.netlink.add_address(OWN_IPV6.into(), 64, interface).map_err(setup)?;
            let gateway = Some(UPLINK_IPV6.into());
            ground.netlink.add_route(EVERYTHING6, gateway, Some(interface), None, RouteKind::Unicast).map_err(setup)?;
        }
        self.interface = Some(interface);
        for address in members {
            self.lead_back(ground, address);
        }
        Ok(())
    }

    /// slirp asks for the addresses of those it answers. Our own stack has no link layer on which to ask.
    fn needs_announcements(&self) -> bool {
        self.ipv6 && self.kind == UplinkKind::Slirp
    }

    /// Answers find their way back to a member.
    pub(super) fn lead_back(&self, ground: &Ground, address: IpAddr) {
        // Of IPv4 the kernel answers for whatever it has a route to.
        if let (Some(_), true, IpAddr::V6(member)) = (self.interface, self.needs_announcements(), address)
            && let Err(error) = announce(ground, member, INTERFACE, UPLINK_IPV6)
        {
            tracing::warn!(%member, %error, "a member cannot be reached from the world over IPv6");
        }
    }

    /// Readable when the stack has ended.
    pub(super) fn pidfd(&self) -> Option<&Pidfd> {
        self.uplink.as_ref().and_then(Uplink::pidfd)
    }

    /// The stack has ended: it is started again, soon.
    pub(super) fn ended(&mut self, now: Instant) {
        self.uplink = None;
        self.interface = None;
        if now.saturating_duration_since(self.started) > SETTLED {
            self.pause = FIRST_PAUSE;
        }
        self.due = Some(now + self.pause);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }

    /// Starts it again.
    pub(super) fn again(&mut self, ground: &Ground, members: impl Iterator<Item = IpAddr>) {
        self.due = None;
        let started = self.launch(ground).and_then(|()| self.ready(ground, members));
        if started.is_err() {
            self.ended(Instant::now());
        }
    }

    pub(super) fn addresses(&self) -> &Addresses {
        &self.addresses
    }
}

/// The stack of containers.conf, or the one that is installed; it has to know several addresses.
fn stack(conf: Option<&str>) -> Result<UplinkKind> {
    match choose(&Mode::Default, conf)? {
        kind @ (UplinkKind::Creel | UplinkKind::Slirp) => Ok(kind),
        UplinkKind::Pasta if pasta_features().is_some_and(|features| features.map_guest_addr) => Ok(UplinkKind::Pasta),
        UplinkKind::Pasta => choose(&Mode::Slirp4netns(Vec::new()), None).or(Ok(UplinkKind::Creel)),
    }
}

fn between(network: &Network) -> Option<Cidr> {
    BETWEEN
        .into_iter()
        .map(|address| Cidr { address: address.into(), prefix: 24 })
        .find(|between| !network.subnets.iter().any(|subnet| subnet.subnet.overlaps(between)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Subnet;

    #[test]
    fn the_network_between_is_none_of_the_members() {
        assert_eq!(between(&Network::usual()).unwrap().to_string(), "10.0.2.0/24");
        let subnet = |text: &str| Subnet { subnet: text.parse().unwrap(), gateway: None, range: None };
        let network = Network { subnets: vec![subnet("10.0.0.0/8")], ..Network::default() };
        assert_eq!(between(&network).unwrap().to_string(), "172.31.255.0/24");
        let network = Network { subnets: vec![subnet("0.0.0.0/0")], ..Network::default() };
        assert_eq!(between(&network), None);
    }
}
