//! The story of `kube play`: compare with what was played before, store what is wanted, make what is missing, wait.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::AsFd;
use std::process::Command;
use std::time::{Duration, Instant};

use containers::{Engine, PodRole, State};
use jiff::Timestamp;
use rustix::event::{PollFd, PollFlags, Timespec};
use sys::lock::FileLock;

use super::child::{self, Deed, Working};
use super::error::{Error, Result};
use super::launch::{self, FindImage, Launched, PodRequest, Start, WantedImage, launch};
use super::objects::{Body, Object, Shelf, service_address};
use super::observe::{self, Seen};
use super::{secrets, supervise, volumes};
use crate::changes::{Change, ObjectChange, changes};
use crate::history::History;
use crate::plan::{
    Kind, Meta, ObjectId, Plan, PodPlan, PodRestartPolicy, PodTemplate, PullPolicy, WorkloadPlan, identity, volume_name,
};
use crate::steps::{PodPhase, Progress, pod_status};

/// Hears what a play waits for, and why, each time that changes.
pub type ShowProgress<'a> = dyn Fn(&[(ObjectId, String)]) + 'a;

/// What acts: the engine, and how processes of creel itself are begun.
pub struct Actor<'a> {
    pub engine: &'a Engine,
    pub find_image: &'a FindImage<'a>,
    pub progress: &'a ShowProgress<'a>,
    /// `creel __kube-pod`.
    pub pod_program: fn() -> Command,
    /// `creel __kube-supervisor`.
    pub supervisor_program: fn() -> Command,
}

#[derive(Clone, Copy, Debug)]
pub struct PlayOptions {
    /// Pods that are there are made anew, also those that no manifest made.
    pub replace: bool,
    pub start: Start,
    /// How long to wait for workloads.
    pub patience: Duration,
}

/// What a play has done.
#[derive(Debug, Default)]
pub struct Played {
    pub changes: Vec<(ObjectId, Change)>,
    /// Names of volumes and ids of secrets that were made.
    pub volumes: Vec<String>,
    pub secrets: Vec<String>,
    /// Pods that were made, each with the object it belongs to.
    pub pods: Vec<(ObjectId, Launched)>,
    /// What is still on its way when the patience was over.
    pub underway: Vec<(ObjectId, String)>,
}

/// How often whoever waits looks where nobody tells: a `creel __kube-pod` that was killed does not.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// And where nobody can tell at all.
const BLIND: Duration = Duration::from_millis(50);

/// Carries out a plan. What it has made is taken away again when it fails.
pub fn play(actor: &Actor<'_>, plan: &Plan, options: PlayOptions) -> Result<Played> {
    let shelf = Shelf::new(actor.engine);
    let namespaces: BTreeSet<&str> = plan.namespaces.iter().map(|namespace| namespace.name.as_str()).collect();
    let acting = namespaces.iter().map(|namespace| shelf.act_in(namespace)).collect::<Result<Vec<FileLock>>>()?;
    let played = Played::default();
    let mut work = Work { actor, shelf, plan, options, played, made: Vec::new(), starting: Vec::new() };
    let result = work.all(acting);
    if result.is_err() {
        work.undo();
    }
    result.map(|()| work.played)
}

struct Work<'a> {
    actor: &'a Actor<'a>,
    shelf: Shelf,
    plan: &'a Plan,
    options: PlayOptions,
    played: Played,
    /// Objects that were not there before.
    made: Vec<ObjectId>,
    /// Pods that manifests write as such, on their way from init container to init container.
    starting: Vec<(ObjectId, Working)>,
}

impl Work<'_> {
    fn engine(&self) -> &Engine {
        self.actor.engine
    }

    fn all(&mut self, acting: Vec<FileLock>) -> Result<()> {
        let seen = observe::pods(self.engine())?;
        let pods = self.changed_pods(&seen)?;
        self.images(&pods)?;
        self.store(&seen)?;
        self.refresh(&seen)?;
        self.pods(&pods, &seen)?;
        drop(acting);
        if supervise::is_needed(self.engine())? {
            supervise::start_supervisor(self.engine(), (self.actor.supervisor_program)())?;
        }
        self.wait()
    }

    /// The pods of the plan that have to be made: those that are not there, or not like that.
    fn changed_pods(&mut self, seen: &[Seen]) -> Result<Vec<(PodPlan, Change)>> {
        let mut changed = Vec::new();
        for pod in &self.plan.pods {
            let id = &pod.meta.id;
            let known = seen.iter().find(|seen| seen.namespace == id.namespace && seen.name == id.name);
            let name = volume_name(&id.namespace, &id.name);
            match known {
                Some(seen) if seen.owner.is_none() => {
                    let same = seen.hash == pod.template.hash && seen.whole && !self.options.replace;
                    let change = if same { Change::Unchanged } else { Change::Configured };
                    self.played.changes.push((id.clone(), change));
                    if !same {
                        changed.push((pod.clone(), Change::Configured));
                    } else if self.options.start == Start::Now && should_run(seen, &pod.template) {
                        // After a reboot, or a stop by hand.
                        self.start(id, &seen.pod)?;
                    }
                    continue;
                }
                Some(_) => return Err(Error::NotOurs { what: "pod", name }),
                None => {}
            }
            match pods::find(self.engine(), &name) {
                Err(pods::Error::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
                Ok(other) if other.name() != name => {}
                Ok(_) if !self.options.replace => return Err(Error::NotOurs { what: "pod", name }),
                Ok(other) => child::remove(self.engine(), other.id().as_str(), None)?,
            }
            self.played.changes.push((id.clone(), Change::Created));
            changed.push((pod.clone(), Change::Created));
        }
        Ok(changed)
    }

    /// Has every image before anything is made. What comes later takes them from the store.
    fn images(&self, pods: &[(PodPlan, Change)]) -> Result<()> {
        let of_pods = pods.iter().map(|(pod, _)| (&pod.meta, &pod.template));
        let changed = self.plan.kept_templates().filter(|(meta, _)| !self.is_stored(meta));
        let stored = self.shelf.objects(self.engine())?;
        let mut had = BTreeSet::new();
        for (meta, template) in of_pods.chain(changed) {
            let namespace = &meta.id.namespace;
            let logins = launch::logins(template, |name| {
                let planned = self.plan.secrets.iter().map(|secret| (&secret.meta.id, secret));
                let planned = planned.into_iter().find(|(id, _)| id.namespace == *namespace && id.name == name);
                planned.map(|(_, secret)| secret).or_else(|| stored.secret(namespace, name))
            });
            for (name, pull) in template.images() {
                if had.insert(name) {
                    let wanted = WantedImage { name, pull, logins: &logins };
                    (self.actor.find_image)(self.engine(), &wanted)
                        .map_err(|error| Error::Image(error).of(format!("{}: image {name}", meta.id)))?;
                }
            }
        }
        Ok(())
    }

    fn is_stored(&self, meta: &Meta) -> bool {
        let stored = self.shelf.get(&meta.id).ok().flatten();
        stored.is_some_and(|object| object.body.meta().is_some_and(|known| known.hash == meta.hash))
    }

    /// Writes down what is wanted.
    fn store(&mut self, seen: &[Seen]) -> Result<()> {
        let plan = self.plan;
        for namespace in &plan.namespaces {
            if let Some(meta) = &namespace.meta {
                self.put(meta, |_| Ok(Body::Namespace(namespace.clone())))?;
            }
        }
        for map in &plan.config_maps {
            self.put(&map.meta, |_| Ok(Body::ConfigMap(map.clone())))?;
        }
        for secret in &plan.secrets {
            let id = &secret.meta.id;
            let change = match secrets::manifest(self.engine(), id)? {
                Some(manifest) if manifest == secret.meta.manifest => Change::Unchanged,
                Some(_) => Change::Configured,
                None => Change::Created,
            };
            if change != Change::Unchanged {
                let made = secrets::store(self.engine(), secret)?;
                if change == Change::Created {
                    self.made.push(id.clone());
                }
                self.played.secrets.push(made);
            }
            self.played.changes.push((id.clone(), change));
        }
        for volume in &plan.volumes {
            let change = self.put(&volume.meta, |_| Ok(Body::Volume(volume.clone())))?;
            let made = volumes::make_claim(self.engine(), volume, &volume.volume)?;
            if made || change == Change::Created {
                self.played.volumes.push(volume.volume.clone());
            }
        }
        let mut taken = self.service_addresses()?;
        for service in &plan.services {
            let key = format!("{}/{}", service.meta.id.namespace, service.meta.id.name);
            self.put(&service.meta, |old| {
                let had = match old {
                    Some(Body::Service { address, .. }) => *address,
                    _ => None,
                };
                let address = match service.headless || service.external_name.is_some() {
                    true => None,
                    false => Some(service_address(service.address, had, &key, &taken)?),
                };
                taken.extend(address.map(|address| (address, key.clone())));
                Ok(Body::Service { plan: service.clone(), address })
            })?;
        }
        for workload in &plan.workloads {
            self.put(&workload.meta, |old| Ok(workload_body(workload, old, seen)))?;
        }
        for job in &plan.jobs {
            self.put(&job.meta, |_| Ok(Body::Job { plan: job.clone(), owner: None }))?;
        }
        for job in &plan.cron_jobs {
            self.put(&job.meta, |_| Ok(Body::CronJob(job.clone())))?;
        }
        for ingress in &plan.ingresses {
            self.put(&ingress.meta, |_| Ok(Body::Ingress(ingress.clone())))?;
        }
        for autoscaler in &plan.autoscalers {
            self.put(&autoscaler.meta, |_| Ok(Body::Autoscaler(autoscaler.clone())))?;
        }
        Ok(())
    }

    fn put(&mut self, meta: &Meta, body: impl FnOnce(Option<&Body>) -> Result<Body>) -> Result<Change> {
        let old = self.shelf.get(&meta.id)?;
        let same = old.as_ref().is_some_and(|old| old.body.meta().is_some_and(|old| old.hash == meta.hash));
        let change = match (&old, same) {
            (Some(_), true) => Change::Unchanged,
            (Some(old), false) => {
                let body = body(Some(&old.body)).map_err(|error| error.of(&meta.id))?;
                self.shelf.put(&meta.id, &old.changed(body))?;
                Change::Configured
            }
            (None, _) => {
                let body = body(None).map_err(|error| error.of(&meta.id))?;
                self.shelf.put(&meta.id, &Object::new(body))?;
                self.made.push(meta.id.clone());
                Change::Created
            }
        };
        self.played.changes.push((meta.id.clone(), change));
        Ok(change)
    }

    fn service_addresses(&self) -> Result<BTreeMap<std::net::IpAddr, String>> {
        let mut taken = BTreeMap::new();
        for namespace in self.shelf.namespaces()? {
            for object in self.shelf.list(&namespace, Kind::Service)? {
                if let Body::Service { plan, address: Some(address) } = object.body {
                    taken.insert(address, format!("{namespace}/{}", plan.meta.id.name));
                }
            }
        }
        Ok(taken)
    }

    /// Brings changed ConfigMaps and Secrets to the pods that have them mounted.
    fn refresh(&self, seen: &[Seen]) -> Result<()> {
        let changed = |(id, change): &(ObjectId, Change)| {
            matches!(id.kind, Kind::ConfigMap | Kind::Secret) && *change == Change::Configured
        };
        if !self.played.changes.iter().any(changed) {
            return Ok(());
        }
        let objects = self.shelf.objects(self.engine())?;
        for pod in seen.iter().filter(|pod| !pod.has_ended()) {
            let Some(template) = template_of(&self.shelf, pod)? else { continue };
            // Its files are another template's: they change with the pod.
            if template.hash != pod.hash {
                continue;
            }
            let id = pod.pod.id().as_str();
            let owner = pod.object().filter(|_| pod.owner.is_some());
            let identity = identity(owner.as_ref(), &template, &pod.namespace, &pod.name, pod.index);
            let facts = launch::facts(id, &pod.name, &pod.namespace, &template, &identity);
            volumes::refresh(self.engine(), id, &template, &objects, &facts)
                .map_err(|error| error.of(format!("pod {}", pod.name)))?;
        }
        Ok(())
    }

    /// Makes the pods that manifests write as such, side by side.
    fn pods(&mut self, pods: &[(PodPlan, Change)], seen: &[Seen]) -> Result<()> {
        for (pod, _) in pods {
            let id = &pod.meta.id;
            let old = seen.iter().find(|seen| seen.namespace == id.namespace && seen.name == id.name);
            if let Some(old) = old {
                child::remove(self.engine(), old.pod.id().as_str(), None).map_err(|error| error.of(id))?;
            }
            let known = self.shelf.get(id)?;
            if known.is_none() {
                self.made.push(id.clone());
            }
            let body = Body::Pod(pod.clone());
            self.shelf
                .put(id, &known.map_or_else(|| Object::new(body.clone()), |known| known.changed(body.clone())))?;
        }
        // One alone needs no process of its own, unless it may take as long as its init containers like.
        if let [(pod, _)] = pods
            && pod.template.init.is_empty()
        {
            let (id, request) = (&pod.meta.id, self.request(pod));
            let launched = launch(self.engine(), self.actor.find_image, &request).map_err(|error| error.of(id))?;
            if request.start == Start::Now {
                let made = pods::find(self.engine(), &launched.pod)?;
                launch::start(self.engine(), &made).map_err(|error| error.of(id))?;
            }
            self.played.pods.push((id.clone(), launched));
            return Ok(());
        }
        let begun: Vec<(ObjectId, Result<Working>)> = pods
            .iter()
            .map(|(pod, _)| {
                let deed = Deed::Make(Box::new(self.request(pod)));
                (pod.meta.id.clone(), child::start(self.engine(), (self.actor.pod_program)(), deed))
            })
            .collect();
        // All are waited for, whatever became of the first: none is left behind.
        let mut first = Ok(());
        for (id, begun) in begun {
            let made = begun.and_then(|mut working| Ok((working.wait_made()?, working)));
            match made.map_err(|error| error.of(&id)) {
                Ok((launched, working)) => {
                    self.played.pods.extend(launched.map(|launched| (id.clone(), launched)));
                    self.starting.push((id, working));
                }
                Err(error) => first = first.and(Err(error)),
            }
        }
        first
    }

    /// Starts a pod that is there, by a process of its own where that may take long.
    fn start(&mut self, id: &ObjectId, pod: &pods::Pod) -> Result<()> {
        let working = start(self.engine(), self.actor.pod_program, pod).map_err(|error| error.of(id))?;
        self.starting.extend(working.map(|working| (id.clone(), working)));
        Ok(())
    }

    fn request(&self, pod: &PodPlan) -> PodRequest {
        PodRequest {
            namespace: pod.meta.id.namespace.clone(),
            name: pod.meta.id.name.clone(),
            owner: None,
            index: None,
            template: without_pull(&pod.template),
            claims: Vec::new(),
            start: self.options.start,
        }
    }

    /// Until the supervisor has made of the plan's workloads and Jobs what they say, or says why it cannot.
    fn wait(&mut self) -> Result<()> {
        if self.options.start == Start::Later {
            return Ok(());
        }
        let changed =
            |id: &ObjectId| self.played.changes.iter().find(|(known, _)| known == id).map(|(_, change)| *change);
        let of_plan = self.plan.workloads.iter().map(|workload| &workload.meta.id);
        let mut waiting: Vec<(ObjectId, Change)> = of_plan
            .chain(self.plan.jobs.iter().map(|job| &job.meta.id))
            .filter_map(|id| Some((id.clone(), changed(id).filter(|change| *change != Change::Unchanged)?)))
            .collect();
        let services = self.plan.services.iter().any(|service| changed(&service.meta.id) != Some(Change::Unchanged));
        let until = Instant::now() + self.options.patience;
        let watch = storage::Watch::of(&self.engine().store).ok();
        let (mut first, mut told) = (true, Vec::new());
        while !waiting.is_empty() || !self.starting.is_empty() || first && services {
            if let Some(watch) = &watch {
                watch.clear();
            }
            let seen = observe::pods(self.engine())?;
            let mut underway = Vec::new();
            for (id, working) in std::mem::take(&mut self.starting) {
                if let Some((working, why)) = self.starts(&id, working, &seen)? {
                    self.starting.push((id.clone(), working));
                    underway.push((id, why));
                }
            }
            let mut left = Vec::new();
            for (id, change) in waiting {
                match self.standing(&id, change, &seen)? {
                    Standing::There => self.there(&id, &seen),
                    Standing::Failed(why) => {
                        return Err(Error::NotReady { what: id.to_string(), why });
                    }
                    Standing::Underway(why) => {
                        underway.push((id.clone(), why));
                        left.push((id, change));
                    }
                }
            }
            waiting = left;
            if Instant::now() >= until {
                self.played.underway = underway;
                return Ok(());
            }
            if told != underway {
                (self.actor.progress)(&underway);
                told = underway;
            }
            if waiting.is_empty() && self.starting.is_empty() {
                break;
            }
            first = false;
            self.pause(watch.as_ref());
        }
        Ok(())
    }

    /// How a pod is that is being started; `None`: it is through, whatever that came to. One that cannot be started fails
    /// the play.
    fn starts(&self, id: &ObjectId, mut working: Working, seen: &[Seen]) -> Result<Option<(Working, String)>> {
        working.take_note();
        if working.has_ended() {
            return working.finish().map(|_| None).map_err(|error| error.of(id));
        }
        let pod =
            seen.iter().find(|seen| seen.namespace == id.namespace && seen.name == id.name && seen.owner.is_none());
        let plan = self.plan.pods.iter().find(|pod| pod.meta.id == *id);
        let why = plan.zip(pod).map(|(plan, pod)| initializing(&plan.template, pod));
        Ok(Some((working, why.unwrap_or_else(|| "it is being made".into()))))
    }

    /// Until something has changed, or may have.
    fn pause(&self, watch: Option<&storage::Watch>) {
        let outputs = self.starting.iter().map(|(_, working)| working.output());
        let fds = outputs.chain(watch.map(AsFd::as_fd));
        let mut fds: Vec<PollFd<'_>> = fds.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        let pause = if watch.is_some() { LOOK_AGAIN } else { BLIND };
        let pause = Timespec { tv_sec: 0, tv_nsec: pause.as_nanos() as i64 };
        let _ = rustix::event::poll(&mut fds, Some(&pause));
    }

    fn standing(&self, id: &ObjectId, change: Change, seen: &[Seen]) -> Result<Standing> {
        let Some(object) = self.shelf.get(id)? else { return Ok(Standing::There) };
        let kept = supervise::kept(self.engine(), id)?;
        if kept.generation != object.generation {
            return Ok(Standing::Underway("waiting for the supervisor".into()));
        }
        let owner = format!("{}/{}", id.kind, id.name);
        let own: Vec<&Seen> = seen
            .iter()
            .filter(|pod| pod.namespace == id.namespace && pod.owner.as_deref() == Some(owner.as_str()))
            .collect();
        match &object.body {
            Body::Workload { plan, .. } => {
                let current = || own.iter().filter(|pod| pod.hash == plan.template.hash);
                let begun = current().filter(|pod| pod.phase == PodPhase::Running).count() as u64;
                let progress = kept.workload.as_ref().map(|status| status.progress);
                Ok(match (progress, kept.error) {
                    (Some(Progress::Complete | Progress::Paused), _) => Standing::There,
                    // A new one has begun when its pods run; one that changes goes on until the last old pod is gone.
                    _ if change == Change::Created && begun >= u64::from(plan.replicas) => Standing::There,
                    (_, Some(error)) if change == Change::Created => Standing::Failed(error),
                    (Some(Progress::DeadlineExceeded), error) => {
                        Standing::Failed(error.unwrap_or_else(|| "no progress within progressDeadlineSeconds".into()))
                    }
                    (Some(Progress::Progressing) | None, error) => {
                        let ready = current().filter(|pod| pod.ready).count();
                        let why = error.map(|error| format!(" ({error})")).unwrap_or_default();
                        Standing::Underway(format!("{ready} of {} new pods are ready{why}", plan.replicas))
                    }
                })
            }
            Body::Job { plan, .. } => Ok(match kept.error {
                Some(error) => Standing::Failed(error),
                None if own.iter().any(|pod| pod.phase != PodPhase::Pending) => Standing::There,
                None if plan.run.suspend || kept.job.ended.is_some() => Standing::There,
                None => Standing::Underway("its first pod has not begun".into()),
            }),
            _ => Ok(Standing::There),
        }
    }

    fn there(&mut self, id: &ObjectId, seen: &[Seen]) {
        let owner = format!("{}/{}", id.kind, id.name);
        for pod in seen.iter().filter(|pod| pod.namespace == id.namespace && pod.owner.as_deref() == Some(&owner)) {
            let members = pod.pod.members().map(|member| member.id().to_string());
            let launched = Launched { pod: pod.pod.id().to_string(), containers: members.collect() };
            self.played.pods.push((id.clone(), launched));
        }
    }

    /// Takes away what this play has made. What fails here is less than what failed before.
    fn undo(&mut self) {
        for (id, working) in std::mem::take(&mut self.starting) {
            if self.made.contains(&id) {
                working.abandon();
            }
        }
        for id in self.made.iter().rev() {
            let _ = self.shelf.remove(id);
            match id.kind {
                Kind::Secret => drop(secrets::remove(self.engine(), id)),
                Kind::PersistentVolumeClaim => {
                    let name = volume_name(&id.namespace, &id.name);
                    if self.played.volumes.contains(&name) {
                        let _ = self.engine().store.remove_volume(&name);
                    }
                }
                _ => {}
            }
        }
        let Ok(seen) = observe::pods(self.engine()) else { return };
        for pod in &seen {
            let owned_by = |id: &ObjectId| {
                id.namespace == pod.namespace
                    && match &pod.owner {
                        Some(owner) => *owner == format!("{}/{}", id.kind, id.name),
                        None => id.kind == Kind::Pod && id.name == pod.name,
                    }
            };
            if self.made.iter().any(owned_by) {
                let _ = child::remove(self.engine(), pod.pod.id().as_str(), Some(0));
            }
        }
        for namespace in &self.plan.namespaces {
            super::down::leave(self.engine(), &self.shelf, &namespace.name);
        }
    }
}

enum Standing {
    There,
    Underway(String),
    Failed(String),
}

/// What a pod is at that has not come to its containers yet.
fn initializing(template: &PodTemplate, pod: &Seen) -> String {
    let status = pod_status(template, &pod.containers(template), false);
    let last = |init: &&containers::Container| match init.state() {
        State::Exited(exit) if exit.code != 0 => Some(exit.code),
        State::Running { .. } => init.status.last_exit.as_ref().map(|exit| exit.code),
        State::Created | State::Initialized { .. } | State::Exited(_) | State::Removing => None,
    };
    let failed = pod.pod.members().filter(|member| member.spec().pod_role == Some(PodRole::InitAlways));
    let failed = failed.filter_map(|init| Some((init.name(), last(&init)?))).next();
    match failed {
        Some((name, code)) => format!("{}: {name} has ended with exit code {code} and is tried again", status.shown),
        None => status.shown,
    }
}

/// Starts a pod: by a process of its own, which is still at it, where it has init containers.
fn start(engine: &Engine, program: fn() -> Command, pod: &pods::Pod) -> Result<Option<Working>> {
    let is_init = |member: &containers::Container| {
        matches!(member.spec().pod_role, Some(PodRole::InitAlways | PodRole::InitOnce | PodRole::Sidecar))
    };
    if pod.members().any(is_init) {
        let deed = Deed::Start { pod: pod.id().to_string() };
        return child::start(engine, program(), deed).map(Some);
    }
    launch::start(engine, pod).map(|()| None)
}

/// Starts the pods that manifests wrote as such and that are to run: after a reboot. Pods of workloads are the
/// supervisor's. What could not be started is in the answer; pods with init containers are not waited for.
pub fn resume(engine: &Engine, program: fn() -> Command) -> Result<Vec<(ObjectId, Error)>> {
    let shelf = Shelf::new(engine);
    let mut failed = Vec::new();
    for pod in observe::pods(engine)?.iter().filter(|pod| pod.owner.is_none()) {
        let Some(template) = template_of(&shelf, pod)? else { continue };
        if should_run(pod, &template)
            && let Err(error) = start(engine, program, &pod.pod)
        {
            failed.push((ObjectId::new(Kind::Pod, &pod.namespace, &pod.name), error));
        }
    }
    Ok(failed)
}

/// It does not, and its restart policy wants it to.
fn should_run(seen: &Seen, template: &PodTemplate) -> bool {
    let is_over = seen.phase == PodPhase::Succeeded || template.restart == PodRestartPolicy::Never;
    seen.was_left()
        || seen.is_deserted()
        || !seen.starting && !runs(seen) && (seen.phase == PodPhase::Pending || !is_over)
}

fn runs(seen: &Seen) -> bool {
    seen.pod.members().any(|member| member.state().init().is_some() || member.status.restarting.is_some())
}

/// The images are in the store already: whoever makes a pod takes them from there.
pub(super) fn without_pull(template: &PodTemplate) -> PodTemplate {
    let mut template = template.clone();
    for container in template.init.iter_mut().chain(&mut template.containers) {
        if container.pull != PullPolicy::Never {
            container.pull = PullPolicy::IfNotPresent;
        }
    }
    template
}

fn workload_body(plan: &WorkloadPlan, old: Option<&Body>, seen: &[Seen]) -> Body {
    let mut plan = plan.clone();
    let mut history = History::default();
    if let Some(Body::Workload { plan: before, history: known }) = old {
        plan.adopt(before);
        history.clone_from(known);
    }
    plan.template = without_pull(&plan.template);
    let running: Vec<String> = seen.iter().map(|pod| pod.hash.clone()).collect();
    history.record(&plan, &running, Timestamp::now());
    Body::Workload { plan, history }
}

/// The template that a pod was made from, as far as it is still known.
pub fn template_of(shelf: &Shelf, pod: &Seen) -> Result<Option<PodTemplate>> {
    let Some(id) = pod.object() else { return Ok(None) };
    Ok(shelf.get(&id)?.and_then(|object| match object.body {
        Body::Pod(plan) => Some(plan.template),
        Body::Workload { plan, history } => Some(history.template(&pod.hash).cloned().unwrap_or(plan.template)),
        Body::Job { plan, .. } => Some(plan.run.template),
        _ => None,
    }))
}

/// What a play of this plan would do to each object.
pub fn preview(engine: &Engine, plan: &Plan) -> Result<Vec<ObjectChange>> {
    let shelf = Shelf::new(engine);
    let stored = |meta: &Meta| -> Result<Option<Meta>> {
        if meta.id.kind != Kind::Secret {
            return Ok(shelf.get(&meta.id)?.and_then(|object| object.body.meta().cloned()));
        }
        // The store keeps the manifest of a Secret, and nothing besides.
        let known = secrets::manifest(engine, &meta.id)?;
        Ok(known.map(|manifest| {
            let hash = if manifest == meta.manifest { meta.hash.clone() } else { String::new() };
            Meta { manifest, hash, ..meta.clone() }
        }))
    };
    let before: Vec<Option<Meta>> = plan.metas().map(stored).collect::<Result<_>>()?;
    let before: Vec<Meta> = before.into_iter().flatten().collect();
    Ok(changes(&before, plan))
}

/// Whether every pod of these objects has ended.
pub fn have_ended(engine: &Engine, ids: &[ObjectId]) -> Result<bool> {
    let of_these = |pod: &&Seen| {
        ids.iter().filter(|id| id.namespace == pod.namespace).any(|id| match &pod.owner {
            Some(owner) => *owner == format!("{}/{}", id.kind, id.name),
            None => id.kind == Kind::Pod && id.name == pod.name,
        })
    };
    Ok(observe::pods(engine)?.iter().filter(of_these).all(|pod| pod.has_ended()))
}
