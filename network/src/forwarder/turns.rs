//! Which back end of a group serves whom: each in turn, or always the one that has served a client before.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::control::{Backend, Group};

/// A group and how far its clients have got round.
#[derive(Debug)]
pub(super) struct Turns {
    group: Group,
    next: usize,
    /// Who has served a client last, and when; empty where clients are not kept together.
    served: HashMap<IpAddr, (Backend, Instant)>,
}

/// Clients that are remembered; beyond that those whose time is over are forgotten, and else all.
const MOST_CLIENTS: usize = 16 * 1024;

impl Turns {
    pub(super) fn new(group: Group) -> Turns {
        Turns { group, next: 0, served: HashMap::new() }
    }

    pub(super) fn group(&self) -> &Group {
        &self.group
    }

    /// Whether a client may come in at all.
    pub(super) fn takes(&self, client: IpAddr) -> bool {
        let client = client.to_canonical();
        self.group.sources.is_empty() || self.group.sources.iter().any(|range| range.contains(client))
    }

    /// Other back ends; who stays keeps its clients.
    pub(super) fn replace(&mut self, group: Group) {
        self.served.retain(|_, (backend, _)| group.sticky.is_some() && group.backends.contains(backend));
        self.group = group;
    }

    /// The back ends for a client that arrives at `now`, the best one first.
    pub(super) fn order(&mut self, client: IpAddr, now: Instant) -> impl Iterator<Item = &Backend> {
        let count = self.group.backends.len();
        let first = match (count, self.group.sticky) {
            (0, _) => 0,
            (_, None) => self.take_turn(count),
            (_, Some(seconds)) => self.stay(client, now, Duration::from_secs(seconds.into()), count),
        };
        let (before, after) = self.group.backends.split_at(first);
        after.iter().chain(before)
    }

    fn take_turn(&mut self, count: usize) -> usize {
        let first = self.next % count;
        self.next = first + 1;
        first
    }

    fn stay(&mut self, client: IpAddr, now: Instant, patience: Duration, count: usize) -> usize {
        let is_fresh = |since: Instant| now.saturating_duration_since(since) < patience;
        let known = self.served.get(&client).filter(|(_, last)| is_fresh(*last));
        let known = known.and_then(|(backend, _)| self.group.backends.iter().position(|other| other == backend));
        let first = known.unwrap_or_else(|| self.take_turn(count));
        if self.served.len() >= MOST_CLIENTS && !self.served.contains_key(&client) {
            self.served.retain(|_, (_, last)| is_fresh(*last));
            if self.served.len() >= MOST_CLIENTS {
                self.served.clear();
            }
        }
        self.served.insert(client, (self.group.backends[first].clone(), now));
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::Protocol;

    fn group(places: &[u32], sticky: Option<u32>) -> Group {
        let backend = |place: &u32| Backend { place: *place, port: 80, address: None };
        Group { protocol: Protocol::Tcp, backends: places.iter().map(backend).collect(), sticky, sources: Vec::new() }
    }

    fn first(turns: &mut Turns, client: u8, now: Instant) -> u32 {
        turns.order([192, 0, 2, client].into(), now).next().unwrap().place
    }

    #[test]
    fn everyone_has_a_turn() {
        let mut turns = Turns::new(group(&[1, 2, 3], None));
        let now = Instant::now();
        assert_eq!([1, 1, 1, 1].map(|client| first(&mut turns, client, now)), [1, 2, 3, 1]);
        let all: Vec<u32> = turns.order([192, 0, 2, 1].into(), now).map(|backend| backend.place).collect();
        assert_eq!(all, [2, 3, 1]);
        assert_eq!(Turns::new(group(&[], None)).order([192, 0, 2, 1].into(), now).count(), 0);
    }

    #[test]
    fn a_client_stays_with_its_server_until_its_time_is_over() {
        let mut turns = Turns::new(group(&[1, 2, 3], Some(10)));
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!((first(&mut turns, 1, at(0)), first(&mut turns, 2, at(0))), (1, 2));
        // Each visit begins the time anew.
        assert_eq!([9, 18, 27].map(|second| first(&mut turns, 1, at(second))), [1, 1, 1]);
        assert_eq!(first(&mut turns, 1, at(37)), 3);
    }

    #[test]
    fn a_server_that_goes_gives_up_its_clients_alone() {
        let mut turns = Turns::new(group(&[1, 2], Some(10)));
        let now = Instant::now();
        assert_eq!((first(&mut turns, 1, now), first(&mut turns, 2, now)), (1, 2));
        turns.replace(group(&[2, 3], Some(10)));
        assert_eq!(first(&mut turns, 2, now), 2);
        let anew = first(&mut turns, 1, now);
        assert_eq!(first(&mut turns, 1, now), anew);
    }

    #[test]
    fn clients_come_from_where_the_group_says() {
        let ranges = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        let takes = |sources: &[&str], client: &str| {
            let group = Group { sources: ranges(sources), ..group(&[1], None) };
            Turns::new(group).takes(client.parse().unwrap())
        };
        assert!(takes(&[], "192.0.2.1"));
        assert!(takes(&["10.0.0.0/8", "192.0.2.0/24"], "192.0.2.1"));
        assert!(takes(&["192.0.2.0/24"], "::ffff:192.0.2.1"));
        assert!(!takes(&["192.0.2.0/24"], "192.0.3.1"));
        assert!(!takes(&["192.0.2.0/24"], "2001:db8::1"));
    }
}
