//! The supervisor: the one small process of a store that keeps what was played as it is wanted, for as long as somebody
//! has to: pods of workloads and Jobs are made and replaced, CronJobs begin, Services lead to the pods that are ready.
//!
//! What it does follows from the records alone, so it can be killed at any moment: the next `kube` command, or the user
//! unit after a reboot, starts it again. It ends when nothing is left to look after.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::AsFd;
use std::process::Command;
use std::time::{Duration, Instant};

use containers::Engine;
use jiff::Timestamp;
use rustix::event::{PollFd, PollFlags, Timespec};
use serde::{Deserialize, Serialize};
use storage::Watch;
use storage::record::{self, Durability};
use sys::lock::FileLock;
use sys::process::Pidfd;

use super::child::{self, Deed, Working};
use super::error::{Error, Result};
use super::launch::{PodRequest, Start};
use super::objects::{Body, Object, Shelf};
use super::observe::{self, Seen};
use super::routes;
use super::services::Plane;
use crate::history::History;
use crate::plan::{
    AutoscalerPlan, CronJobPlan, JobPlan, Kind, Meta, ObjectId, PodTemplate, PodVolume, VolumePlan, VolumeSource,
    WorkloadPlan, claim_name, volume_name,
};
use crate::steps::{
    self, Action, AutoscaleMemory, CronAction, JobAction, JobMemory, JobStatus, Memory, ObservedJob, ObservedPod,
    PodPhase, PodUsage, Progress, WorkloadStatus,
};

/// How long it sleeps at most: it is told of everything that happens, but a full disk may have kept somebody from telling.
const LONGEST_SLEEP: Duration = Duration::from_secs(300);
/// Where it cannot be told it looks so often.
const BLIND: Duration = Duration::from_secs(1);
/// Changes come in bursts: from one look to the next at least this passes.
const BREATH: Duration = Duration::from_millis(20);
/// When it looks again at a namespace in which somebody else acts: the end of that is told by nobody.
const OTHERS_ACT: Duration = Duration::from_millis(100);
/// Before a sleep that may be this long it makes itself small.
const QUIET: Duration = Duration::from_secs(1);
/// When it tries again what failed: a port of the host that is taken, an autoscaler without its target.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// The pause after a pod that could not be made; it doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// How often an autoscaler measures.
const MEASURE: Duration = Duration::from_secs(15);

/// What the supervisor keeps of an object beyond its record: `KIND/NAME.status`, also for those who wait or ask.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Kept {
    /// Of the object that was looked at.
    pub generation: u64,
    /// Why something could not be done, until it could.
    pub error: Option<String>,
    pub(super) memory: Memory,
    pub workload: Option<WorkloadStatus>,
    pub job: JobMemory,
    pub job_status: Option<JobStatus>,
    /// A CronJob's last start.
    pub last: Option<Timestamp>,
    pub(super) autoscale: AutoscaleMemory,
    /// What an autoscaler's metrics were.
    pub current: Vec<Option<u64>>,
}

impl record::Record for Kept {
    const VERSION: u32 = 1;
}

/// See the module. There is one of a store.
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
    kept: BTreeMap<ObjectId, Kept>,
    /// What each pod had used of the processor, and when.
    measured: BTreeMap<String, (Instant, Duration)>,
    look_again: Option<Timestamp>,
    /// `None`: the user has no inotify instance left.
    watch: Option<Watch>,
    /// Of each container that runs or waits to run again a process whose end nobody may be left to tell.
    processes: BTreeMap<(i32, u64), Pidfd>,
}

struct Work {
    owner: ObjectId,
    working: Working,
    making: Option<ObservedPod>,
    /// The id of a pod that goes.
    removing: Option<String>,
}

struct Pause {
    failures: u32,
    until: Instant,
}

/// Held by the supervisor for as long as it lives.
fn try_lock(engine: &Engine) -> Result<Option<FileLock>> {
    let dir = engine.store.dirs().runroot.join("kube");
    std::fs::create_dir_all(&dir).map_err(Error::io(&dir))?;
    let path = dir.join("supervisor.lock");
    FileLock::try_exclusive(&path).map_err(Error::io(&path))
}

/// Whether anything needs it.
pub fn is_needed(engine: &Engine) -> Result<bool> {
    let shelf = Shelf::new(engine);
    for namespace in shelf.namespaces()? {
        for object in shelf.all(&namespace)? {
            let Some(meta) = object.body.meta() else { continue };
            if object.body.needs_supervisor(&kept(engine, &meta.id)?) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// As the supervisor last wrote it.
pub fn kept(engine: &Engine, id: &ObjectId) -> Result<Kept> {
    Ok(record::read_optional(&kept_path(&Shelf::new(engine), id))?.unwrap_or_default())
}

pub(super) fn kept_path(shelf: &Shelf, id: &ObjectId) -> std::path::PathBuf {
    shelf.dir(&id.namespace).join(id.kind.word()).join(format!("{}.status", id.name))
}

impl<'a> Supervisor<'a> {
    /// `program` starts `creel __kube-pod`, `forwarder` `creel forwarder`.
    fn new(engine: &'a Engine, program: fn() -> Command, forwarder: fn() -> Command) -> Supervisor<'a> {
        Supervisor {
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
            watch: Watch::of(&engine.store).inspect_err(|error| tracing::warn!(%error, "nobody can tell us")).ok(),
            processes: BTreeMap::new(),
        }
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
            self.wait();
            std::thread::sleep(BREATH.saturating_sub(begun.elapsed()));
        }
    }

    /// One round. `false`: there is nothing to look after.
    fn turn(&mut self) -> Result<bool> {
        self.look_again = None;
        if let Some(watch) = &self.watch {
            watch.clear();
        }
        self.reap();
        let seen = observe::pods(self.engine)?;
        self.follow_processes(&seen);
        let mut needed = false;
        for namespace in self.shelf.namespaces()? {
            let objects = self.shelf.all(&namespace)?;
            // Who plays or takes down acts there now.
            let Some(_acting) = self.shelf.try_act_in(&namespace)? else {
                needed = true;
                self.look_in(OTHERS_ACT);
                continue;
            };
            for object in &objects {
                let Some(meta) = object.body.meta() else { continue };
                let kept = self.kept(&meta.id);
                needed |= object.body.needs_supervisor(&kept);
                let mut next = Kept { generation: object.generation, ..kept.clone() };
                // What fails for one object is written down, and holds up no other.
                if let Err(error) = self.follow(object, &seen, &objects, &mut next) {
                    next.error = Some(error.to_string());
                    self.look_in(TRY_AGAIN);
                }
                self.keep(&meta.id, kept, next);
            }
            self.orphans(&namespace, &objects, &seen)?;
            self.deserted(&namespace, &seen)?;
        }
        let removed: BTreeSet<&String> = self
            .leaving
            .values()
            .map(|(_, pod)| pod)
            .chain(self.working.values().filter_map(|work| work.removing.as_ref()))
            .collect();
        let serving: Vec<Seen> = seen.into_iter().filter(|pod| !removed.contains(&pod.pod.id().to_string())).collect();
        let wanted = routes::wanted(&self.shelf, &serving)?;
        if let Err(error) = self.plane.apply(self.engine, wanted) {
            tracing::warn!(%error, "cannot set up Services");
        }
        if !self.plane.is_whole() {
            self.look_in(TRY_AGAIN);
        }
        self.let_go()?;
        Ok(needed)
    }

    fn follow(&mut self, object: &Object, seen: &[Seen], all: &[Object], kept: &mut Kept) -> Result<()> {
        match &object.body {
            Body::Workload { plan, history } => self.workload(plan, history, seen, kept),
            Body::Job { plan, .. } => self.job(plan, seen, kept),
            Body::CronJob(plan) => self.cron_job(object, plan, all, kept),
            Body::Autoscaler(plan) => self.autoscaler(plan, seen, kept),
            Body::Namespace(_) | Body::ConfigMap(_) | Body::Volume(_) | Body::Service { .. } | Body::Pod(_) => Ok(()),
            Body::Ingress(_) => {
                kept.error = self.plane.refused.get("Ingress").cloned();
                Ok(())
            }
        }
    }

    /// The pods of an owner, those that are being made among them.
    fn observed(&self, id: &ObjectId, seen: &[Seen]) -> Vec<ObservedPod> {
        let is_removed = |name: &str| {
            let work = self.working.get(&format!("{}/{name}", id.namespace));
            work.is_some_and(|work| work.removing.is_some())
        };
        let mut pods: Vec<ObservedPod> = Vec::new();
        for work in self.working.values().filter(|work| work.owner == *id) {
            pods.extend(work.making.clone());
        }
        for pod in of_owner(seen, id) {
            let observed = pod.observed(is_removed(&pod.name));
            match pods.iter_mut().find(|known| known.name == pod.name) {
                None => pods.push(observed),
                // One that is being made shows itself before it is whole; then its init containers have their time.
                Some(known) if pod.whole => *known = ObservedPod { phase: pod.phase, ..observed },
                Some(_) => {}
            }
        }
        pods
    }

    fn taken(&self, namespace: &str, seen: &[Seen]) -> BTreeSet<String> {
        let prefix = format!("{namespace}/");
        let there = seen.iter().filter(|pod| pod.namespace == namespace).map(|pod| pod.name.clone());
        let coming = self.working.keys().filter_map(|key| key.strip_prefix(&prefix)).map(str::to_owned);
        there.chain(coming).collect()
    }

    fn workload(&mut self, plan: &WorkloadPlan, history: &History, seen: &[Seen], kept: &mut Kept) -> Result<()> {
        let id = &plan.meta.id;
        let pods = self.observed(id, seen);
        let step = steps::workload(plan, &kept.memory, &pods, &self.taken(&id.namespace, seen), Timestamp::now());
        for action in step.actions {
            match action {
                Action::Create { name, hash, index } => {
                    let template = history.template(&hash).unwrap_or(&plan.template);
                    self.make(id, workload_pod(plan, name, index, template))?;
                }
                Action::Delete { name, .. } => self.remove(id, &name, seen)?,
                Action::DeleteClaims { pod } => {
                    for claim in plan.stateful.iter().flat_map(|set| &set.claims) {
                        let volume = volume_name(&id.namespace, &claim_name(&claim.meta.id.name, &pod));
                        match self.engine.store.remove_volume(&volume) {
                            Err(storage::Error::NotFound { .. }) | Ok(()) => {}
                            Err(error) => return Err(error.into()),
                        }
                    }
                }
            }
        }
        self.look_at(step.wake);
        if step.status.progress == Progress::Complete {
            kept.error = None;
        } else if let Some(error) = self.error_of(id) {
            kept.error = Some(error);
        }
        kept.memory = step.memory;
        kept.workload = Some(step.status);
        Ok(())
    }

    fn job(&mut self, plan: &JobPlan, seen: &[Seen], kept: &mut Kept) -> Result<()> {
        let id = &plan.meta.id;
        let pods = self.observed(id, seen);
        let taken = self.taken(&id.namespace, seen);
        let step = steps::job(id, &plan.run, &kept.job, &pods, &taken, Timestamp::now());
        for action in step.actions {
            match action {
                JobAction::Create { name, index } => self.make(id, job_pod(id, name, index, &plan.run.template))?,
                JobAction::Delete { name, .. } => self.remove(id, &name, seen)?,
                JobAction::Remove => return self.forget(id),
            }
        }
        self.look_at(step.wake);
        kept.error = self.error_of(id).filter(|_| step.memory.ended.is_none());
        kept.job = step.memory;
        kept.job_status = Some(step.status);
        Ok(())
    }

    fn cron_job(&mut self, object: &Object, plan: &CronJobPlan, all: &[Object], kept: &mut Kept) -> Result<()> {
        let id = &plan.meta.id;
        let zone = plan.schedule.zone().map_err(Error::Invalid)?;
        let mut jobs = Vec::new();
        for job in all {
            if let Body::Job { plan: run, owner: Some(owner) } = &job.body
                && owner == id
            {
                let of_job = self.kept(&run.meta.id).job;
                let well = of_job.condition == Some(steps::JobCondition::Complete);
                let ended = of_job.ended.map(|at| (at, well));
                jobs.push(ObservedJob { name: run.meta.id.name.clone(), started: job.created, ended });
            }
        }
        let step = steps::cron(plan, object.created, kept.last, &jobs, &zone, Timestamp::now());
        for action in step.actions {
            match action {
                CronAction::Start { name, .. } => {
                    let job = job_of(plan, &name);
                    let job_id = job.meta.id.clone();
                    self.shelf.put(&job_id, &Object::new(Body::Job { plan: job, owner: Some(id.clone()) }))?;
                    self.look_at(Some(Timestamp::now()));
                }
                CronAction::Delete { name } => self.forget(&ObjectId::new(Kind::Job, &id.namespace, &name))?,
            }
        }
        self.look_at(step.wake);
        kept.last = step.last;
        Ok(())
    }

    fn autoscaler(&mut self, plan: &AutoscalerPlan, seen: &[Seen], kept: &mut Kept) -> Result<()> {
        let now = Timestamp::now();
        let due = kept.autoscale.wishes.last().map(|(at, _)| *at).and_then(|at| at.checked_add(MEASURE).ok());
        if let Some(due) = due.filter(|due| *due > now) {
            self.look_at(Some(due));
            return Ok(());
        }
        let Some(target) = self.shelf.get(&plan.target)? else {
            return Err(Error::NotFound(plan.target.to_string()));
        };
        let Body::Workload { plan: mut workload, history } = target.body.clone() else {
            return Err(Error::Invalid(format!("{} has no replicas", plan.target)));
        };
        let usages: Vec<PodUsage> =
            of_owner(seen, &plan.target).map(|pod| self.usage(pod, &workload.template)).collect();
        let step = steps::autoscale(plan, &kept.autoscale, workload.replicas, &usages, now);
        kept.autoscale = step.memory;
        kept.current = step.current;
        if step.replicas != workload.replicas {
            workload.scale(step.replicas);
            self.shelf.put(&plan.target, &target.changed(Body::Workload { plan: workload, history }))?;
        }
        self.look_at(now.checked_add(MEASURE).ok());
        Ok(())
    }

    /// What a pod uses now, its processor time since the last time.
    fn usage(&mut self, pod: &Seen, template: &PodTemplate) -> PodUsage {
        let used: Vec<containers::Usage> =
            pod.pod.members().filter_map(|container| containers::usage(container).ok()).collect();
        let cpu: Duration = used.iter().map(|usage| usage.cpu).sum();
        let before = self.measured.insert(pod.pod.id().to_string(), (Instant::now(), cpu));
        let cpu_millis = before.and_then(|(at, before)| {
            let passed = at.elapsed().as_micros();
            let spent = cpu.checked_sub(before)?.as_micros() * 1000;
            u64::try_from(spent.checked_div(passed)?).ok()
        });
        let requested = |name: &str| {
            template.containers.iter().filter_map(|container| container.requests.get(name)).collect::<Vec<_>>()
        };
        PodUsage {
            ready: pod.ready,
            cpu_millis,
            memory_bytes: Some(used.iter().map(|usage| usage.memory).sum()),
            cpu_requested_millis: requested("cpu").iter().map(|quantity| quantity.millis()).sum(),
            memory_requested_bytes: requested("memory").iter().map(|quantity| quantity.units()).sum(),
        }
    }

    /// Removes an object's records; its pods follow as orphans.
    fn forget(&mut self, id: &ObjectId) -> Result<()> {
        self.shelf.remove(id)?;
        let _ = std::fs::remove_file(kept_path(&self.shelf, id));
        self.kept.remove(id);
        Ok(())
    }

    /// Pods whose owner is gone.
    fn orphans(&mut self, namespace: &str, objects: &[Object], seen: &[Seen]) -> Result<()> {
        let owners: BTreeSet<String> = objects
            .iter()
            .filter_map(|object| object.body.meta())
            .map(|meta| format!("{}/{}", meta.id.kind, meta.id.name))
            .collect();
        for pod in seen.iter().filter(|pod| pod.namespace == namespace) {
            let Some(owner) = pod.owner.as_ref().filter(|owner| !owners.contains(*owner)) else { continue };
            let Some((kind, name)) = owner.split_once('/') else { continue };
            let Some(kind) = Kind::typed(kind) else { continue };
            self.remove(&ObjectId::new(kind, namespace, name), &pod.name, seen)?;
        }
        Ok(())
    }

    /// Containers of workloads' pods whose monitor was killed: what their policy says is for us to do.
    fn deserted(&mut self, namespace: &str, seen: &[Seen]) -> Result<()> {
        for pod in seen.iter().filter(|pod| pod.namespace == namespace) {
            let key = format!("{namespace}/{}", pod.name);
            let Some(owner) = pod.owner_id() else { continue };
            if pod.starting && !self.working.contains_key(&key) {
                // Another supervisor's work, which nobody tells us the end of.
                self.look_in(TRY_AGAIN);
            }
            if pod.is_deserted() && self.is_free(&key) {
                let deed = Deed::Start { pod: pod.pod.id().to_string() };
                let working = child::start(self.engine, (self.program)(), deed)?;
                self.working.insert(key, Work { owner, working, making: None, removing: None });
            }
        }
        Ok(())
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

    fn make(&mut self, owner: &ObjectId, request: PodRequest) -> Result<()> {
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
        let working = child::start(self.engine, (self.program)(), Deed::Make(Box::new(request)))?;
        self.working.insert(key, Work { owner: owner.clone(), working, making: Some(making), removing: None });
        Ok(())
    }

    fn remove(&mut self, owner: &ObjectId, name: &str, seen: &[Seen]) -> Result<()> {
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
    fn let_go(&mut self) -> Result<()> {
        while let Some((key, (owner, pod))) = self.leaving.pop_first() {
            let deed = Deed::Remove { pod: pod.clone(), timeout: None };
            let working = child::start(self.engine, (self.program)(), deed)?;
            self.working.insert(key, Work { owner, working, making: None, removing: Some(pod) });
        }
        Ok(())
    }

    /// Takes note of what has been done.
    fn reap(&mut self) {
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

    /// The last error of an owner whose pods could not be made.
    fn error_of(&self, id: &ObjectId) -> Option<String> {
        self.kept.get(id).and_then(|kept| kept.error.clone())
    }

    fn kept(&mut self, id: &ObjectId) -> Kept {
        match self.kept.get(id) {
            Some(kept) => kept.clone(),
            // A damaged one is begun anew: the pods are what counts.
            None => record::read_optional(&kept_path(&self.shelf, id)).ok().flatten().unwrap_or_default(),
        }
    }

    /// Writes down what has changed.
    fn keep(&mut self, id: &ObjectId, before: Kept, next: Kept) {
        if before != next && self.shelf.get(id).is_ok_and(|object| object.is_some()) {
            let written = record::write(&kept_path(&self.shelf, id), &next, Durability::Visible);
            match written {
                Ok(()) => self.engine.store.tell(),
                Err(error) => tracing::warn!(%id, %error, "cannot write the status"),
            }
            self.kept.insert(id.clone(), next);
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
        let longest = if self.watch.is_some() { LONGEST_SLEEP } else { BLIND };
        let now = Timestamp::now();
        let left = |moment: Timestamp| Duration::try_from(moment.duration_since(now)).unwrap_or_default();
        let timeout = self.look_again.map_or(longest, |moment| left(moment).min(longest));
        if self.working.is_empty() && timeout >= QUIET {
            // It only costs memory where it fails.
            let _ = sys::memory::shrink();
        }
        let outputs = self.working.values().map(|work| work.working.output());
        let told = self.watch.iter().map(AsFd::as_fd).chain(self.processes.values().map(AsFd::as_fd));
        let fds = outputs.chain(told).chain(self.plane.watched());
        let mut fds: Vec<PollFd<'_>> = fds.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        let timeout = Timespec { tv_sec: timeout.as_secs() as i64, tv_nsec: timeout.subsec_nanos().into() };
        let _ = rustix::event::poll(&mut fds, Some(&timeout));
    }
}

fn of_owner<'b>(seen: &'b [Seen], id: &ObjectId) -> impl Iterator<Item = &'b Seen> {
    let owner = format!("{}/{}", id.kind, id.name);
    let namespace = id.namespace.clone();
    seen.iter().filter(move |pod| pod.namespace == namespace && pod.owner.as_deref() == Some(&owner))
}

/// A pod of a workload.
fn workload_pod(plan: &WorkloadPlan, name: String, index: Option<u32>, template: &PodTemplate) -> PodRequest {
    let id = &plan.meta.id;
    let mut template = template.clone();
    let mut claims = Vec::new();
    if let Some(stateful) = &plan.stateful {
        if template.subdomain.is_none() {
            template.subdomain.clone_from(&stateful.service);
        }
        for volume in &mut template.volumes {
            if let VolumeSource::OwnClaim { template } = &volume.source {
                let claim = claim_name(template, &name);
                let of_template = |claim: &&VolumePlan| claim.meta.id.name == *template;
                let made = volume_name(&id.namespace, &claim);
                claims.extend(
                    stateful.claims.iter().find(of_template).map(|plan| VolumePlan { volume: made, ..plan.clone() }),
                );
                *volume =
                    PodVolume { name: volume.name.clone(), source: VolumeSource::Claim { claim, read_only: false } };
            }
        }
    }
    PodRequest {
        namespace: id.namespace.clone(),
        name,
        owner: Some(id.clone()),
        index,
        template,
        claims,
        start: Start::Now,
    }
}

fn job_pod(id: &ObjectId, name: String, index: Option<u32>, template: &PodTemplate) -> PodRequest {
    PodRequest {
        namespace: id.namespace.clone(),
        name,
        owner: Some(id.clone()),
        index,
        template: template.clone(),
        claims: Vec::new(),
        start: Start::Now,
    }
}

/// One run of a CronJob.
pub(super) fn job_of(plan: &CronJobPlan, name: &str) -> JobPlan {
    let meta = Meta {
        id: ObjectId::new(Kind::Job, &plan.meta.id.namespace, name),
        labels: plan.labels.clone(),
        annotations: plan.annotations.clone(),
        ..plan.meta.clone()
    };
    JobPlan { meta, run: plan.run.clone() }
}

/// What a new supervisor reads from its standard input.
#[derive(Debug, Serialize, Deserialize)]
struct Place {
    dirs: storage::Dirs,
    options: storage::StoreOptions,
    settings: containers::Settings,
}

/// Starts `program` (`creel __kube-supervisor`) for this store, where none runs. It outlives the caller.
pub fn start_supervisor(engine: &Engine, mut program: Command) -> Result<()> {
    if try_lock(engine)?.is_none() {
        return Ok(());
    }
    let place = Place {
        dirs: engine.store.dirs().clone(),
        options: engine.store.options().clone(),
        settings: engine.settings.clone(),
    };
    let place = serde_json::to_vec(&place).map_err(|error| Error::Invalid(error.to_string()))?;
    let (null, failed) = (std::process::Stdio::null, Error::io("/proc/self/exe"));
    program.stdin(std::process::Stdio::piped()).stdout(null()).stderr(null());
    let mut child = sys::memory::frugal(&mut program).spawn().map_err(failed)?;
    if let Some(mut input) = child.stdin.take() {
        std::io::Write::write_all(&mut input, &place).map_err(Error::io("/proc/self/exe"))?;
    }
    Ok(())
}

/// Ends the supervisor of a store that is taken away, and takes its records first: what is left to look after is nothing.
pub fn end_supervisor(engine: &Engine) -> Result<()> {
    let dir = engine.store.path("kube");
    match std::fs::remove_dir_all(&dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(Error::io(&dir)(error)),
        _ => engine.store.tell(),
    }
    let path = engine.store.dirs().runroot.join("kube").join("supervisor.lock");
    match FileLock::exclusive(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io(&path)(error)),
        _ => Ok(()),
    }
}

/// The whole of `creel __kube-supervisor`.
pub fn supervisor_main(program: fn() -> Command, forwarder: fn() -> Command) -> Result<()> {
    sys::memory::settle();
    let mut place = Vec::new();
    std::io::Read::read_to_end(&mut std::io::stdin().lock(), &mut place).map_err(Error::io("standard input"))?;
    let place: Place = serde_json::from_slice(&place).map_err(|error| Error::Invalid(error.to_string()))?;
    // Signals of the caller's terminal are not meant for it.
    let _ = rustix::process::setsid();
    let engine = Engine { store: storage::Store::open(place.dirs, place.options)?, settings: place.settings };
    loop {
        let Some(lock) = try_lock(&engine)? else { return Ok(()) };
        Supervisor::new(&engine, program, forwarder).run()?;
        drop(lock);
        // Somebody may have relied on us in this moment.
        if !is_needed(&engine)? {
            return Ok(());
        }
    }
}
