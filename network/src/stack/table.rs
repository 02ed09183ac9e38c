//! Flows of datagrams: each has a socket of the host's, and is given up after silence.

use std::collections::HashMap;
use std::hash::Hash;
use std::os::fd::OwnedFd;

use rustix::event::epoll::{self, EventFlags};
use smoltcp::time::{Duration, Instant};

use super::serve::{Base, Token};
use crate::forwarder::slab::Slab;

const SWEEP: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Flow<K, T> {
    pub(super) key: K,
    pub(super) socket: OwnedFd,
    pub(super) last: Instant,
    /// What else is known of it; where room is needed the least of it goes first, and of equals the quietest.
    pub(super) worth: T,
}

#[derive(Debug)]
pub(super) struct Table<K, T> {
    flows: Slab<Flow<K, T>>,
    keys: HashMap<K, usize>,
    next_sweep: Instant,
    most: usize,
    token: fn(usize) -> Token,
}

impl<K: Copy + Eq + Hash, T: Copy + Default + Ord> Table<K, T> {
    /// For at most so many flows, of which events are about what `token` says.
    pub(super) fn new(most: usize, token: fn(usize) -> Token) -> Table<K, T> {
        Table { flows: Slab::new(), keys: HashMap::new(), next_sweep: Instant::ZERO, most, token }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(super) fn get(&mut self, number: usize) -> Option<&mut Flow<K, T>> {
        self.flows.get(number)
    }

    /// The flow of that key, which is opened where there is none.
    pub(super) fn of(
        &mut self,
        key: K,
        base: &Base,
        open: impl FnOnce() -> Option<OwnedFd>,
    ) -> Option<&mut Flow<K, T>> {
        let number = match self.keys.get(&key) {
            Some(number) => *number,
            None => self.begin(key, base, open)?,
        };
        self.flows.get(number)
    }

    fn begin(&mut self, key: K, base: &Base, open: impl FnOnce() -> Option<OwnedFd>) -> Option<usize> {
        if self.keys.len() >= self.most {
            let first = self.flows.iter().min_by_key(|(_, flow)| (flow.worth, flow.last)).map(|(number, _)| number)?;
            self.end(first);
        }
        let number = self.flows.insert(Flow { key, socket: open()?, last: base.now, worth: T::default() });
        self.keys.insert(key, number);
        let flow = self.flows.get(number)?;
        if epoll::add(&base.epoll, &flow.socket, (self.token)(number).data(), EventFlags::IN).is_err() {
            self.end(number);
            return None;
        }
        if self.keys.len() == 1 {
            self.next_sweep = base.now + SWEEP;
        }
        Some(number)
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        (!self.keys.is_empty()).then_some(self.next_sweep)
    }

    /// Gives up those that have been silent for longer than `patience` has with them.
    pub(super) fn sweep(&mut self, now: Instant, patience: impl Fn(&Flow<K, T>) -> Duration) {
        if self.keys.is_empty() || now < self.next_sweep {
            return;
        }
        self.next_sweep = now + SWEEP;
        let is_over = |flow: &Flow<K, T>| now >= flow.last + patience(flow);
        let over: Vec<usize> = self.flows.iter().filter(|(_, flow)| is_over(flow)).map(|(number, _)| number).collect();
        for number in over {
            self.end(number);
        }
    }

    pub(super) fn settle(&mut self) {
        self.flows.settle();
    }

    fn end(&mut self, number: usize) {
        if let Some(flow) = self.flows.remove(number) {
            self.keys.remove(&flow.key);
        }
    }
}
