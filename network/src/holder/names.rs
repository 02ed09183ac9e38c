//! Which name leads where. Changed in memory, whole, between two questions: nobody sees a half of a change.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::{Held, Member, Members, STATE_FILE, Zone};
use crate::Egress;
use crate::record::DOMAIN;

#[derive(Debug, Default)]
pub(super) struct Names {
    by_name: HashMap<String, Vec<IpAddr>>,
    by_address: HashMap<IpAddr, String>,
    /// Which member asks.
    askers: HashMap<IpAddr, Asker>,
    turn: usize,
}

#[derive(Debug)]
struct Asker {
    id: String,
    dns: Vec<IpAddr>,
    egress: Option<Egress>,
}

/// What is known of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Addresses(Vec<IpAddr>),
    /// It can only be one of ours, and is not.
    Nowhere,
    /// Ask the world.
    Elsewhere,
}

impl Names {
    pub(super) fn of(members: &[Held], zones: &[Zone]) -> Names {
        let mut names = Names::default();
        for held in members {
            let addresses: Vec<IpAddr> = held.endpoint.addresses.iter().map(|assigned| assigned.address).collect();
            for address in &addresses {
                names.by_address.insert(*address, held.member.name.clone());
                let Member { id, dns, egress, .. } = held.member.clone();
                let asker = Asker { id, dns, egress };
                names.askers.insert(*address, asker);
            }
            for name in &held.member.names {
                names.add(name, &addresses);
            }
        }
        for zone in zones {
            for name in &zone.names {
                names.add(&name.name, &name.addresses);
                for address in &name.addresses {
                    names.by_address.entry(*address).or_insert_with(|| name.name.clone());
                }
            }
        }
        names
    }

    fn add(&mut self, name: &str, addresses: &[IpAddr]) {
        let known = self.by_name.entry(plain(name)).or_default();
        for address in addresses {
            if !known.contains(address) {
                known.push(*address);
            }
        }
    }

    /// The addresses of a name, in turn the first; `name` is lower case.
    pub(super) fn find(&mut self, name: &str) -> Found {
        let bare = name.strip_suffix(DOMAIN).and_then(|rest| rest.strip_suffix('.'));
        match self.by_name.get(bare.unwrap_or(name)) {
            Some(addresses) => {
                let mut addresses = addresses.clone();
                if !addresses.is_empty() {
                    self.turn = self.turn.wrapping_add(1);
                    let first = self.turn % addresses.len();
                    addresses.rotate_left(first);
                }
                Found::Addresses(addresses)
            }
            None if bare.is_some() || name == DOMAIN => Found::Nowhere,
            None => Found::Elsewhere,
        }
    }

    pub(super) fn name_of(&self, address: IpAddr) -> Option<&str> {
        self.by_address.get(&address).map(String::as_str)
    }

    /// The name servers that the client wants to have asked.
    pub(super) fn servers_for(&self, client: IpAddr) -> &[IpAddr] {
        self.askers.get(&client).map(|asker| asker.dns.as_slice()).unwrap_or_default()
    }

    /// Whether the client has no list.
    pub(super) fn is_free(&self, client: IpAddr) -> bool {
        self.askers.get(&client).is_none_or(|asker| asker.egress.is_none())
    }

    /// Whether the client's list lets it ask the world about a name.
    pub(super) fn may_ask(&self, client: IpAddr, name: &str) -> bool {
        self.askers.get(&client).and_then(|asker| asker.egress.as_ref()).is_none_or(|egress| egress.may_ask(name))
    }

    /// A name of another network that the client is on too, as the holder there last wrote it down. A program asks one
    /// name server only and takes its no for a no, so each has to know what all of them know.
    pub(super) fn elsewhere(&self, client: IpAddr, name: &str, own: &Path) -> Option<Vec<IpAddr>> {
        let asker = self.askers.get(&client)?;
        let wanted = name.strip_suffix(DOMAIN).and_then(|rest| rest.strip_suffix('.')).unwrap_or(name);
        for dir in others(own) {
            let Ok(Some(known)) = storage::record::read_optional::<Members>(&dir.join(STATE_FILE)) else { continue };
            if !known.members.iter().any(|held| held.member.id == asker.id && held.member.process.alive()) {
                continue;
            }
            let alive: Vec<Held> = known.members.into_iter().filter(|held| held.member.process.alive()).collect();
            // On a network without a name server nobody has a name.
            if !alive.iter().any(|held| held.endpoint.search.is_some()) {
                continue;
            }
            if let Found::Addresses(addresses) = Names::of(&alive, &known.zones).find(wanted) {
                return Some(addresses);
            }
        }
        None
    }
}

/// Names are compared in lower case and without a dot at the end.
fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// The run directories of the other networks.
fn others(own: &Path) -> Vec<PathBuf> {
    let all = own.parent().and_then(|all| std::fs::read_dir(all).ok());
    let mut dirs: Vec<PathBuf> =
        all.into_iter().flatten().flatten().map(|entry| entry.path()).filter(|dir| dir != own).collect();
    dirs.sort();
    dirs
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::holder::{Assigned, Endpoint, Given, ZoneName};

    fn held(id: &str, names: &[&str], address: &str) -> Held {
        let member = Member {
            id: id.into(),
            name: names[0].into(),
            names: names.iter().map(|name| (*name).into()).collect(),
            process: sys::process::Process { pid: 1, start_time: 0, boot: String::new() },
            interface: "eth0".into(),
            given: Given::default(),
            dns: vec![],
            egress: None,
        };
        let addresses = vec![Assigned { address: address.parse().unwrap(), prefix: 24, gateway: None }];
        Held { member, endpoint: Endpoint { addresses, ..Endpoint::default() }, learned: BTreeSet::new() }
    }

    fn found(names: &mut Names, name: &str) -> Vec<String> {
        match names.find(name) {
            Found::Addresses(mut addresses) => {
                addresses.sort();
                addresses.iter().map(IpAddr::to_string).collect()
            }
            other => vec![format!("{other:?}")],
        }
    }

    #[test]
    fn names_aliases_and_zones_are_found_with_and_without_the_domain() {
        let members = [held("1", &["Web", "site"], "10.1.0.2"), held("2", &["db", "site"], "10.1.0.3")];
        let names = ZoneName { name: "api.shop.svc".into(), addresses: vec!["10.1.0.9".parse().unwrap()] };
        let empty = ZoneName { name: "gone".into(), addresses: vec![] };
        let zone = Zone { owner: "kube".into(), process: None, names: vec![names, empty] };
        let mut names = Names::of(&members, &[zone]);
        for (name, expected) in [
            ("web", &["10.1.0.2"][..]),
            ("web.dns.podman", &["10.1.0.2"]),
            ("site", &["10.1.0.2", "10.1.0.3"]),
            ("api.shop.svc", &["10.1.0.9"]),
            ("gone", &[]),
            ("nope.dns.podman", &["Nowhere"]),
            ("dns.podman", &["Nowhere"]),
            ("nope", &["Elsewhere"]),
            ("example.org", &["Elsewhere"]),
        ] {
            assert_eq!(found(&mut names, name), expected, "{name}");
        }
        assert_eq!(names.name_of("10.1.0.3".parse().unwrap()), Some("db"));
        assert_eq!(names.name_of("10.1.0.9".parse().unwrap()), Some("api.shop.svc"));
    }

    #[test]
    fn several_addresses_take_turns() {
        let members = [held("1", &["a", "site"], "10.1.0.2"), held("2", &["b", "site"], "10.1.0.3")];
        let mut names = Names::of(&members, &[]);
        let (one, other) = (names.find("site"), names.find("site"));
        assert_ne!(one, other);
    }
}
