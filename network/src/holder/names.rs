//! Which name leads where. Changed in memory, whole, between two questions: nobody sees a half of a change.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::{Held, Member, Members, STATE_FILE, ServiceAt, Zone, ZoneName};
use crate::Egress;
use crate::record::DOMAIN;

#[derive(Debug, Default)]
pub(super) struct Names {
    by_name: HashMap<String, Entry>,
    by_address: HashMap<IpAddr, String>,
    /// Those of zones, and every name between them and one of ours: it is there, with nothing to it (RFC 8020).
    domains: HashSet<String>,
    between: HashSet<String>,
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

/// What a name has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) addresses: Vec<IpAddr>,
    /// Another name, in lower case: then it has nothing else.
    pub(super) alias: Option<String>,
    pub(super) services: Vec<ServiceAt>,
}

/// What is known of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Here(Entry),
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
            names.add_zone(zone);
        }
        names
    }

    fn add_zone(&mut self, zone: &Zone) {
        let domain = plain(&zone.domain);
        for ZoneName { name, addresses, alias, services } in &zone.names {
            self.add(name, addresses);
            let name = plain(name);
            if let Some(entry) = self.by_name.get_mut(&name) {
                entry.alias = alias.as_deref().map(plain);
                entry.services.extend(services.iter().cloned());
            }
            let mut rest = name.as_str();
            while let Some((_, above)) = rest.split_once('.')
                && !domain.is_empty()
                && above.ends_with(&domain)
            {
                self.between.insert(above.to_owned());
                rest = above;
            }
        }
        for (address, name) in &zone.reverse {
            self.by_address.insert(*address, name.clone());
        }
        if !domain.is_empty() {
            self.between.insert(domain.clone());
            self.domains.insert(domain);
        }
    }

    fn add(&mut self, name: &str, addresses: &[IpAddr]) {
        let known = &mut self.by_name.entry(plain(name)).or_default().addresses;
        for address in addresses {
            if !known.contains(address) {
                known.push(*address);
            }
        }
    }

    /// What a name has, its addresses in turn the first; `name` is lower case.
    pub(super) fn find(&mut self, name: &str) -> Found {
        let bare = name.strip_suffix(DOMAIN).and_then(|rest| rest.strip_suffix('.'));
        let is_below = |domain: &String| name.strip_suffix(domain.as_str()).is_some_and(|rest| rest.ends_with('.'));
        match self.by_name.get(bare.unwrap_or(name)) {
            Some(entry) => {
                let mut entry = entry.clone();
                if !entry.addresses.is_empty() {
                    self.turn = self.turn.wrapping_add(1);
                    let first = self.turn % entry.addresses.len();
                    entry.addresses.rotate_left(first);
                }
                Found::Here(entry)
            }
            None if self.between.contains(name) => Found::Here(Entry::default()),
            None if bare.is_some() || name == DOMAIN => Found::Nowhere,
            None if self.domains.iter().any(is_below) => Found::Nowhere,
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
    pub(super) fn elsewhere(&self, client: IpAddr, name: &str, own: &Path) -> Option<Entry> {
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
            if let Found::Here(entry) = Names::of(&alive, &known.zones).find(wanted) {
                return Some(entry);
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
    use crate::holder::{Assigned, Endpoint, Given};

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
            Found::Here(mut entry) => {
                entry.addresses.sort();
                entry.addresses.iter().map(IpAddr::to_string).collect()
            }
            other => vec![format!("{other:?}")],
        }
    }

    #[test]
    fn names_aliases_and_zones_are_found_with_and_without_the_domain() {
        let members = [held("1", &["Web", "site"], "10.1.0.2"), held("2", &["db", "site"], "10.1.0.3")];
        let api: Vec<IpAddr> = vec!["10.1.0.9".parse().unwrap()];
        let name = |name: &str, addresses: &[IpAddr]| ZoneName {
            name: name.into(),
            addresses: addresses.to_vec(),
            ..ZoneName::default()
        };
        let zone = Zone {
            owner: "kube".into(),
            domain: "cluster.local".into(),
            names: vec![name("api.shop", &api), name("api.shop.svc.cluster.local", &api), name("gone", &[])],
            reverse: vec![(api[0], "api.shop.svc.cluster.local".into())],
            ..Zone::default()
        };
        let mut names = Names::of(&members, &[zone]);
        for (name, expected) in [
            ("web", &["10.1.0.2"][..]),
            ("web.dns.podman", &["10.1.0.2"]),
            ("site", &["10.1.0.2", "10.1.0.3"]),
            ("api.shop", &["10.1.0.9"]),
            ("api.shop.svc.cluster.local", &["10.1.0.9"]),
            ("shop.svc.cluster.local", &[]),
            ("cluster.local", &[]),
            ("other.svc.cluster.local", &["Nowhere"]),
            ("acluster.local", &["Elsewhere"]),
            ("shop", &["Elsewhere"]),
            ("gone", &[]),
            ("nope.dns.podman", &["Nowhere"]),
            ("dns.podman", &["Nowhere"]),
            ("nope", &["Elsewhere"]),
            ("example.org", &["Elsewhere"]),
        ] {
            assert_eq!(found(&mut names, name), expected, "{name}");
        }
        assert_eq!(names.name_of("10.1.0.3".parse().unwrap()), Some("db"));
        assert_eq!(names.name_of("10.1.0.9".parse().unwrap()), Some("api.shop.svc.cluster.local"));
    }

    #[test]
    fn several_addresses_take_turns() {
        let members = [held("1", &["a", "site"], "10.1.0.2"), held("2", &["b", "site"], "10.1.0.3")];
        let mut names = Names::of(&members, &[]);
        let (one, other) = (names.find("site"), names.find("site"));
        assert_ne!(one, other);
    }
}
