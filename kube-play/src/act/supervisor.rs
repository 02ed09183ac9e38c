//! The supervisor: the one small process of a store that keeps what was played as it is wanted, for as long as somebody
//! has to: pods of workloads and Jobs are made and replaced, CronJobs begin, Services lead to the pods that are ready.
//!
//! What it does follows from the records alone, so it can be killed at any moment: the next `kube` command, or the user
//! unit after a reboot, starts it again. It ends when nothing is left to look after.

mod deeds;
mod objects;
mod process;

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::AsFd;
use std::process::Command;
use std::time::{Duration, Instant};

use containers::Engine;
use jiff::Timestamp;
use rustix::event::{PollFd, PollFlags, Timespec};
use storage::Watch;
use sys::process::Pidfd;

use super::error::Result;
use super::objects::{Body, Object, Shelf};
use super::observe::{self, Seen};
use super::routes;
use super::services::Plane;
use super::status::Kept;
use crate::plan::ObjectId;
use deeds::{Pause, Work};
use process::is_to_be_kept;

pub use process::{end_supervisor, is_needed, start_supervisor, supervisor_main};

/// How long it sleeps at most: it is told of everything that happens, but a full disk may have kept somebody from telling.
const LONGEST_SLEEP: Duration = Duration::from_secs(300);
/// Changes come in bursts: from one look to the next at least this passes, and where a look takes long, so many times as
/// long: a hundred pods that begin at once need the processor more than the one who watches them.
const BREATH: Duration = Duration::from_millis(20);
const BREATH_OF_LOOK: u32 = 4;
/// When it looks again at a namespace in which somebody else acts: the end of that is told by nobody.
const OTHERS_ACT: Duration = Duration::from_millis(100);
/// Before a sleep that may be this long it makes itself small.
const QUIET: Duration = Duration::from_secs(1);
/// When it tries again what failed: a port of the host that is taken, an autoscaler without its target.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// There is one of a store.
struct Supervisor<'a> {
    engine: &'a Engine,
    shelf: Shelf,
    /// `creel __kube-pod`.
    program: fn() -> Command,
    plane: Plane,
    /// Deeds on their way, by the pod's `NAMESPACE/NAME`.
    working: BTreeMap<String, Work>,
    /// Pods that are to be removed once no Service leads to them any more: their owners and ids, by `NAMESPACE/NAME`.
    leaving: BTreeMap<String, (ObjectId, String)>,
    pauses: BTreeMap<String, Pause>,
    /// With the time of the object that it was said of: another one may have its name by now.
    kept: BTreeMap<ObjectId, (Timestamp, Kept)>,
    /// What each pod had used of the processor, and when.
    measured: BTreeMap<String, (Instant, Duration)>,
    look_again: Option<Timestamp>,
    watch: Watch,
    /// Of each container that runs or waits to run again a process whose end nobody may be left to tell.
    processes: BTreeMap<(i32, u64), Pidfd>,
}

impl<'a> Supervisor<'a> {
    /// `program` starts `creel __kube-pod`, `forwarder` `creel forwarder`.
    fn new(engine: &'a Engine, program: fn() -> Command, forwarder: fn() -> Command) -> Result<Supervisor<'a>> {
        Ok(Supervisor {
            engine,
            shelf: Shelf::new(engine),
            program,
            plane: Plane::new(forwarder),
            working: BTreeMap::new(),
            leaving: BTreeMap::new(),
            pauses: BTreeMap::new(),
            kept: BTreeMap::new(),
            measured: BTreeMap::new(),
            look_again: None,
            watch: Watch::of(&engine.store)?,
            processes: BTreeMap::new(),
        })
    }

    /// Looks, acts and waits until nothing is left.
    fn run(mut self) -> Result<()> {
        loop {
            let begun = Instant::now();
            let more = self.turn().unwrap_or_else(|error| {
                // A disk that is full now, a record that cannot be read: nobody else would go on with all the others.
                tracing::warn!(%error, "cannot look after what was played");
                self.look_in(TRY_AGAIN);
                true
            });
            if !more && self.working.is_empty() {
                return Ok(());
            }
            let breath = BREATH.max(begun.elapsed() * BREATH_OF_LOOK);
            self.wait();
            std::thread::sleep(breath.saturating_sub(begun.elapsed()));
        }
    }

    /// One round. `false`: there is nothing to look after.
    fn turn(&mut self) -> Result<bool> {
        self.look_again = None;
        self.watch.clear();
        self.reap();
        let seen = observe::pods(self.engine)?;
        self.follow_processes(&seen);
        let mut needed = false;
        // What can be said of Services and Ingresses once their sockets were asked for.
        let mut fronts: Vec<(ObjectId, String, Kept, Kept)> = Vec::new();
        for namespace in self.shelf.namespaces()? {
            // Who plays or takes down acts there now.
            let Some(_acting) = self.shelf.try_act_in(&namespace)? else {
                needed = true;
                self.look_in(OTHERS_ACT);
                continue;
            };
            let objects = self.shelf.all(&namespace)?;
            self.forget_former(&namespace, &objects);
            for object in &objects {
                let Some(meta) = object.body.meta() else { continue };
                let kept = self.kept(&meta.id);
                needed |= is_to_be_kept(&object.body, &kept, &seen);
                let mut next = Kept { generation: object.generation, ..kept.clone() };
                if matches!(object.body, Body::Service { .. } | Body::Ingress(_)) {
                    let has_tls = matches!(&object.body, Body::Ingress(plan) if !plan.tls.is_empty());
                    fronts.push((meta.id.clone(), routes::front_prefix(&meta.id, has_tls), kept, next));
                    continue;
                }
                // What fails for one object is written down, and holds up no other.
                if let Err(error) = self.follow(object, &seen, &objects, &mut next) {
                    next.error = Some(error.to_string());
                    self.look_in(TRY_AGAIN);
                }
                self.keep(&meta.id, kept, next);
            }
            self.orphans(&namespace, &objects, &seen)?;
            self.deserted(&objects, &seen)?;
        }
        let removed: BTreeSet<&String> = self
            .leaving
            .values()
            .map(|(_, pod)| pod)
            .chain(self.working.values().filter_map(|work| work.removing.as_ref()))
            .collect();
        let serving: Vec<Seen> = seen.into_iter().filter(|pod| !removed.contains(&pod.pod.id().to_string())).collect();
        let wanted = routes::wanted(self.engine, &self.shelf, &serving)?;
        let failed = self.plane.apply(self.engine, wanted).err().map(|error| error.to_string());
        for (id, prefix, before, next) in fronts {
            let error = failed.clone().or_else(|| self.plane.refusal(&id, &prefix));
            self.keep(&id, before, Kept { error, ..next });
        }
        if !self.plane.is_whole() {
            self.look_in(TRY_AGAIN);
        }
        self.let_go()?;
        Ok(needed)
    }

    /// Removes an object's records; its pods follow as orphans.
    fn forget(&mut self, id: &ObjectId) -> Result<()> {
        self.shelf.remove(id)?;
        self.kept.remove(id);
        Ok(())
    }

    fn kept(&mut self, id: &ObjectId) -> Kept {
        match self.kept.get(id) {
            Some((_, kept)) => kept.clone(),
            None => self.shelf.kept(id).unwrap_or_default(),
        }
    }

    /// Writes down what has changed.
    fn keep(&mut self, id: &ObjectId, before: Kept, next: Kept) {
        if before != next
            && let Ok(Some(object)) = self.shelf.get(id)
        {
            if let Err(error) = self.shelf.keep(id, &next) {
                tracing::warn!(%id, %error, "cannot write the status");
            }
            self.kept.insert(id.clone(), (object.created, next));
        }
    }

    /// What is known of, and done for, objects that are gone: those that have their names now begin without it.
    fn forget_former(&mut self, namespace: &str, objects: &[Object]) {
        let is_former = |id: &ObjectId, created: Timestamp| {
            let now = objects.iter().find(|object| object.body.meta().is_some_and(|meta| meta.id == *id));
            id.namespace == namespace && now.is_none_or(|now| now.created != created)
        };
        let former: Vec<ObjectId> =
            self.kept.iter().filter(|(id, (created, _))| is_former(id, *created)).map(|(id, _)| id.clone()).collect();
        for id in former {
            self.kept.remove(&id);
            self.abandon(&id);
        }
    }

    fn look_at(&mut self, moment: Option<Timestamp>) {
        self.look_again = self.look_again.into_iter().chain(moment).min();
    }

    fn look_in(&mut self, pause: Duration) {
        self.look_at(Timestamp::now().checked_add(pause).ok());
    }

    /// Watches the ends of processes that were killed before they could tell: a monitor's, and where it is gone its
    /// container's.
    fn follow_processes(&mut self, seen: &[Seen]) {
        let mut before = std::mem::take(&mut self.processes);
        for container in seen.iter().flat_map(|pod| &pod.pod.containers) {
            let state = container.state();
            let processes = [state.monitor(), container.status.restarting.as_ref(), state.init()];
            let held = processes.into_iter().flatten().find_map(|process| {
                let key = (process.pid, process.start_time);
                let known =
                    before.remove(&key).filter(|known| matches!(known.wait_end(Some(Duration::ZERO)), Ok(false)));
                known.or_else(|| process.open()).map(|pidfd| (key, pidfd))
            });
            match held {
                Some((key, pidfd)) => drop(self.processes.insert(key, pidfd)),
                // It has just ended, or there is no descriptor left for it.
                None if state.init().is_some() => self.look_in(OTHERS_ACT),
                None => {}
            }
        }
    }

    /// Until something has happened, or may have.
    fn wait(&self) {
        let now = Timestamp::now();
        let left = |moment: Timestamp| Duration::try_from(moment.duration_since(now)).unwrap_or_default();
        let timeout = self.look_again.map_or(LONGEST_SLEEP, |moment| left(moment).min(LONGEST_SLEEP));
        if self.working.is_empty() && timeout >= QUIET {
            // It only costs memory where it fails.
            let _ = sys::memory::shrink();
        }
        let outputs = self.working.values().map(|work| work.working.output());
        let told = std::iter::once(self.watch.as_fd()).chain(self.processes.values().map(AsFd::as_fd));
        let fds = outputs.chain(told).chain(self.plane.watched());
        let mut fds: Vec<PollFd<'_>> = fds.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        let timeout = Timespec { tv_sec: timeout.as_secs() as i64, tv_nsec: timeout.subsec_nanos().into() };
        let _ = rustix::event::poll(&mut fds, Some(&timeout));
    }
}
