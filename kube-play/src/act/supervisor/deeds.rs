//! Pods are made, started and removed, each by a process of its own.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::{Supervisor, TRY_AGAIN};
use crate::act::child::{self, Deed, Working};
use crate::act::error::Result;
use crate::act::launch::PodRequest;
use crate::act::objects::Object;
use crate::act::observe::Seen;
use crate::act::status::Kept;
use crate::plan::{Kind, ObjectId};
use crate::steps::{ObservedPod, PodPhase};

/// The pause after a pod that could not be made; it doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// A deed on its way.
pub(super) struct Work {
    pub(super) owner: ObjectId,
    pub(super) working: Working,
    pub(super) making: Option<ObservedPod>,
    /// The id of a pod that goes.
    pub(super) removing: Option<String>,
}

pub(super) struct Pause {
    failures: u32,
    until: Instant,
}

impl Supervisor<'_> {
    /// Pods whose owner is gone. One whose record cannot be read is there.
    pub(super) fn orphans(&mut self, namespace: &str, objects: &[Object], seen: &[Seen]) -> Result<()> {
        let owners: BTreeSet<&ObjectId> =
            objects.iter().filter_map(|object| object.body.meta()).map(|meta| &meta.id).collect();
        for pod in seen.iter().filter(|pod| pod.namespace == namespace) {
            let Some(owner) = pod.owner_id().filter(|owner| !owners.contains(owner)) else { continue };
            if self.shelf.get(&owner).is_ok() {
                self.remove(&owner, &pod.name, seen)?;
            }
        }
        Ok(())
    }

    /// Containers whose monitor was killed: what their policy says is for us to do.
    pub(super) fn deserted(&mut self, objects: &[Object], seen: &[Seen]) -> Result<()> {
        for (id, pod) in objects
            .iter()
            .filter_map(|object| object.body.meta())
            .flat_map(|meta| seen.iter().filter(|pod| pod.belongs_to(&meta.id)).map(move |pod| (&meta.id, pod)))
        {
            let key = format!("{}/{}", pod.namespace, pod.name);
            if pod.starting && !self.working.contains_key(&key) {
                // Another supervisor's work, or a play's, which nobody tells us the end of.
                self.look_in(TRY_AGAIN);
            }
            let broken = if id.kind == Kind::Pod { pod.is_broken() } else { pod.is_deserted() };
            if broken && self.is_free(&key) {
                let deed = Deed::Start { pod: pod.pod.id().to_string() };
                let working = child::begin(self.engine, (self.program)(), deed)?;
                self.working.insert(key, Work { owner: id.clone(), working, making: None, removing: None });
            }
        }
        Ok(())
    }

    /// Ends what makes or starts pods for an object.
    pub(super) fn abandon(&mut self, id: &ObjectId) {
        let is_its = |work: &Work| work.owner == *id && work.removing.is_none();
        let keys: Vec<String> =
            self.working.iter().filter(|(_, work)| is_its(work)).map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.pauses.remove(&key);
            if let Some(work) = self.working.remove(&key) {
                work.working.abandon();
            }
        }
    }

    /// Nobody works on that pod, and it is not to be left alone for a while.
    fn is_free(&mut self, key: &str) -> bool {
        if self.working.contains_key(key) || self.leaving.contains_key(key) {
            return false;
        }
        let left = self.pauses.get(key).map(|pause| pause.until.saturating_duration_since(Instant::now()));
        let left = left.filter(|left| !left.is_zero());
        if let Some(left) = left {
            self.look_in(left);
        }
        left.is_none()
    }

    pub(super) fn make(&mut self, owner: &ObjectId, request: PodRequest) -> Result<()> {
        let key = format!("{}/{}", owner.namespace, request.name);
        if !self.is_free(&key) {
            return Ok(());
        }
        let making = ObservedPod {
            name: request.name.clone(),
            hash: request.template.hash.clone(),
            phase: PodPhase::Pending,
            ready: false,
            ready_since: None,
            created: Timestamp::now(),
            finished: None,
            stopping: false,
            index: request.index,
            restarts: 0,
            exit_codes: Vec::new(),
        };
        let working = child::begin(self.engine, (self.program)(), Deed::Make(Box::new(request)))?;
        self.working.insert(key, Work { owner: owner.clone(), working, making: Some(making), removing: None });
        Ok(())
    }

    pub(super) fn remove(&mut self, owner: &ObjectId, name: &str, seen: &[Seen]) -> Result<()> {
        let key = format!("{}/{name}", owner.namespace);
        let of_name = |pod: &&Seen| pod.namespace == owner.namespace && pod.name == name;
        // Its init containers may go on for ever.
        if self.working.get(&key).is_some_and(|work| work.removing.is_none())
            && let Some(work) = self.working.remove(&key)
        {
            work.working.abandon();
        }
        let Some(pod) = seen.iter().find(of_name) else { return Ok(()) };
        if self.working.contains_key(&key) || self.leaving.contains_key(&key) {
            return Ok(());
        }
        self.measured.remove(pod.pod.id().as_str());
        self.leaving.insert(key, (owner.clone(), pod.pod.id().to_string()));
        Ok(())
    }

    /// Ends the pods that nobody is sent to any more.
    pub(super) fn let_go(&mut self) -> Result<()> {
        while let Some((key, (owner, pod))) = self.leaving.pop_first() {
            let deed = Deed::Remove { pod: pod.clone(), timeout: None };
            let working = child::begin(self.engine, (self.program)(), deed)?;
            self.working.insert(key, Work { owner, working, making: None, removing: Some(pod) });
        }
        Ok(())
    }

    /// Takes note of what has been done.
    pub(super) fn reap(&mut self) {
        for work in self.working.values_mut() {
            work.working.take_note();
        }
        let has_ended = |(key, work): (&String, &mut Work)| work.working.has_ended().then(|| key.clone());
        let ended: Vec<String> = self.working.iter_mut().filter_map(has_ended).collect();
        for key in ended {
            let Some(work) = self.working.remove(&key) else { continue };
            match work.working.finish() {
                Ok(_) => drop(self.pauses.remove(&key)),
                Err(error) => {
                    let failures = self.pauses.get(&key).map_or(0, |pause| pause.failures) + 1;
                    let doubled = 1_u32.checked_shl(failures - 1).unwrap_or(u32::MAX);
                    let pause = FIRST_PAUSE.saturating_mul(doubled).min(LONGEST_PAUSE);
                    self.pauses.insert(key, Pause { failures, until: Instant::now() + pause });
                    let kept = self.kept(&work.owner);
                    let next = Kept { error: Some(error.to_string()), ..kept.clone() };
                    self.keep(&work.owner, kept, next);
                }
            }
        }
    }
}
