//! The story of `kube play`: compare with what was played before, store what is wanted, make what is missing, wait.

mod store;
mod wait;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::{Duration, Instant};

use containers::Engine;
use network::PortMapping;
use sys::lock::FileLock;

use super::child::{self, Deed, Working};
use super::error::{Error, Result};
use super::launch::{self, FindImage, Launched, PodRequest, Start, WantedImage, launch};
use super::objects::{Body, Object, Shelf, Waits};
use super::observe::{self, Seen};
use super::{networks, routes, secrets, start, supervisor, volumes};
use crate::changes::{Change, ObjectChange, changes};
use crate::plan::{Kind, Meta, ObjectId, Plan, PodPlan, PodTemplate, PullPolicy, volume_name};

/// Hears what a play waits for, and why, each time that changes.
pub type ShowProgress<'a> = dyn Fn(&[(ObjectId, String)]) + 'a;

/// What acts: the engine, and how processes of creel itself are begun.
pub struct Actor<'a> {
    pub engine: &'a Engine,
    pub find_image: &'a FindImage<'a>,
    pub progress: &'a ShowProgress<'a>,
    pub waits: Waits<'a>,
    /// `creel __kube-pod`.
    pub pod_program: fn() -> Command,
    /// `creel __kube-supervisor`.
    pub supervisor_program: fn() -> Command,
}

#[derive(Clone, Copy, Debug)]
pub struct PlayOptions<'a> {
    /// Where each file is, by the name that the user typed.
    pub sources: &'a BTreeMap<String, String>,
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
    /// Pods that made room for them (ids).
    pub replaced: Vec<String>,
    /// Pods that were made, each with the object it belongs to.
    pub pods: Vec<(ObjectId, Launched)>,
    /// What is still on its way when the patience was over.
    pub underway: Vec<(ObjectId, String)>,
}

/// Carries out a plan. What it has made is taken away again when it fails.
pub fn play(actor: &Actor<'_>, plan: &Plan, options: PlayOptions<'_>) -> Result<Played> {
    let shelf = Shelf::new(actor.engine);
    let played = Played::default();
    let mut work = Work {
        actor,
        shelf,
        plan,
        options,
        played,
        made: Vec::new(),
        made_volumes: Vec::new(),
        starting: Vec::new(),
        before: BTreeSet::new(),
    };
    let result = work.all();
    if result.is_err() {
        work.undo();
    }
    result?;
    work.taken_down()?;
    Ok(work.played)
}

struct Work<'a> {
    actor: &'a Actor<'a>,
    shelf: Shelf,
    plan: &'a Plan,
    options: PlayOptions<'a>,
    played: Played,
    /// Objects that were not there before.
    made: Vec<ObjectId>,
    /// Names of volumes that were not there before.
    made_volumes: Vec<String>,
    /// Pods that manifests write as such, on their way from init container to init container.
    starting: Vec<(ObjectId, Working)>,
    /// Ids of pods that were there before.
    before: BTreeSet<String>,
}

impl Work<'_> {
    fn engine(&self) -> &Engine {
        self.actor.engine
    }

    fn all(&mut self) -> Result<()> {
        let seen = observe::pods(self.engine())?;
        self.images(&self.compare(&seen)?)?;
        let acting = self.act()?;
        // While images were fetched others may have acted.
        let seen = observe::pods(self.engine())?;
        self.before = seen.iter().map(|pod| pod.pod.id().to_string()).collect();
        let pods = self.compare(&seen)?;
        self.ports(&pods)?;
        for claim in &self.plan.volumes {
            volumes::check_claim(self.engine(), claim).map_err(|error| error.of(&claim.meta.id))?;
        }
        self.played.changes.extend(pods.iter().map(|(pod, change)| (pod.meta.id.clone(), *change)));
        self.store(&seen)?;
        self.refresh(&seen)?;
        self.pods(&pods, &seen)?;
        drop(acting);
        if supervisor::is_needed(self.engine())? {
            self.start_supervisor()?;
        }
        self.wait()
    }

    /// Nobody else acts in the namespaces of the plan; two plays ask for them in one order.
    fn act(&self) -> Result<Vec<FileLock>> {
        let namespaces: BTreeSet<&str> = self.plan.namespaces.iter().map(|namespace| namespace.name.as_str()).collect();
        namespaces.iter().map(|namespace| self.shelf.act_in(namespace, self.actor.waits)).collect()
    }

    /// Where there is no supervisor.
    fn start_supervisor(&self) -> Result<()> {
        supervisor::start_supervisor(self.engine(), (self.actor.supervisor_program)())
    }

    /// What becomes of each pod that a manifest writes as such.
    fn compare(&self, seen: &[Seen]) -> Result<Vec<(PodPlan, Change)>> {
        let mut changes = Vec::new();
        for pod in &self.plan.pods {
            let id = &pod.meta.id;
            let name = volume_name(&id.namespace, &id.name);
            let not_ours = || Err(Error::NotOurs { what: "pod", name: name.clone() });
            let change = match seen.iter().find(|seen| seen.namespace == id.namespace && seen.name == id.name) {
                Some(seen) if seen.owner.is_some() => return not_ours(),
                Some(seen) if seen.hash == pod.template.hash && seen.whole && !self.options.replace => {
                    Change::Unchanged
                }
                Some(_) => Change::Configured,
                None if self.stranger(&name)?.is_some() && !self.options.replace => return not_ours(),
                None => Change::Created,
            };
            changes.push((pod.clone(), change));
        }
        Ok(changes)
    }

    /// The pod that has a name of ours, and is from no manifest.
    fn stranger(&self, name: &str) -> Result<Option<pods::Pod>> {
        match pods::find(self.engine(), name) {
            Ok(other) => Ok(Some(other).filter(|other| other.name() == name)),
            Err(pods::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the ports of the host can be had that new objects ask for. Those of objects that are there may be ours.
    fn ports(&self, pods: &[(PodPlan, Change)]) -> Result<()> {
        let socket = |mapping: &PortMapping| (mapping.host_ip, mapping.host_port, mapping.protocol);
        let mut ours = Vec::new();
        for namespace in self.shelf.namespaces()? {
            for kind in [Kind::Service, Kind::Ingress] {
                let objects = self.shelf.list(&namespace, kind)?;
                ours.extend(objects.iter().flat_map(|object| routes::on_the_host(&object.body)).map(|it| socket(&it)));
            }
        }
        let services = self.plan.services.iter().map(|plan| (&plan.meta.id, routes::of_service(plan)));
        let ingresses = self.plan.ingresses.iter().map(|plan| (&plan.meta.id, routes::of_ingress(plan)));
        // A pod that is replaced holds them itself.
        let new = pods.iter().filter(|(_, change)| *change == Change::Created && !self.options.replace);
        let of_pods = new.map(|(pod, _)| (&pod.meta.id, launch::ports(&pod.template)));
        for (id, mappings) in services.chain(ingresses).chain(of_pods) {
            for mapping in mappings.iter().filter(|mapping| !ours.contains(&socket(mapping))) {
                network::bind(std::slice::from_ref(mapping)).map_err(|error| Error::from(error).of(id))?;
            }
        }
        Ok(())
    }

    /// Has every image before anything is made. What comes later takes them from the store.
    fn images(&self, pods: &[(PodPlan, Change)]) -> Result<()> {
        let made = pods.iter().filter(|(_, change)| *change != Change::Unchanged);
        let of_pods = made.map(|(pod, _)| (&pod.meta, &pod.template));
        let changed = self.plan.kept_templates().filter(|(meta, _)| !self.is_stored(meta));
        let stored = self.shelf.objects(self.engine())?;
        let mut had = BTreeSet::new();
        for (id, image) in self.claimed_images()? {
            let wanted = WantedImage { name: image, pull: PullPolicy::IfNotPresent, logins: &[] };
            (self.actor.find_image)(self.engine(), &wanted)
                .map_err(|error| Error::Image(error).of(format!("{id}: image {image}")))?;
        }
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

    /// The images that are the content of claims which are to be made, and whose they are.
    fn claimed_images(&self) -> Result<Vec<(&ObjectId, &str)>> {
        let mut images = Vec::new();
        for claim in &self.plan.volumes {
            if let Some(image) = claim.image()
                && self.engine().store.volume(&claim.volume)?.is_none()
            {
                images.push((&claim.meta.id, image));
            }
        }
        // A set's claims are templates: volumes are made of them with its pods.
        let changed = self.plan.workloads.iter().filter(|workload| !self.is_stored(&workload.meta));
        let of_sets = changed.filter_map(|workload| workload.stateful.as_ref()).flat_map(|set| &set.claims);
        images.extend(of_sets.filter_map(|claim| Some((&claim.meta.id, claim.image()?))));
        Ok(images)
    }

    fn is_stored(&self, meta: &Meta) -> bool {
        let stored = self.shelf.get(&meta.id).ok().flatten();
        stored.is_some_and(|object| object.body.meta().is_some_and(|known| known.hash == meta.hash))
    }

    /// Makes the pods that manifests write as such, side by side, and starts those that are there.
    fn pods(&mut self, pods: &[(PodPlan, Change)], seen: &[Seen]) -> Result<()> {
        for (pod, change) in pods {
            let id = &pod.meta.id;
            let old = seen.iter().find(|seen| seen.belongs_to(id));
            let in_the_way = match (change, old) {
                (Change::Unchanged, Some(old)) => {
                    if let Some(known) = self.shelf.get_to_replace(id)? {
                        self.note_source(&pod.meta, known)?;
                    }
                    // After a reboot, or a stop by hand.
                    if self.options.start == Start::Now && old.should_run(&pod.template) {
                        self.start(id, &old.pod)?;
                    }
                    continue;
                }
                (_, Some(old)) => Some(old.pod.id().to_string()),
                (_, None) => self.stranger(&volume_name(&id.namespace, &id.name))?.map(|other| other.id().to_string()),
            };
            if let Some(other) = in_the_way {
                child::remove(self.engine(), &other, None).map_err(|error| error.of(id))?;
                self.played.replaced.push(other);
            }
            let known = self.shelf.get_to_replace(id)?;
            if known.is_none() {
                self.made.push(id.clone());
            }
            let body = Body::Pod(pod.clone());
            let object = match known {
                Some(known) => known.changed(body),
                None => Object::new(body),
            };
            self.shelf.put(id, &object.played_from(self.source(&pod.meta)))?;
        }
        let pods: Vec<&PodPlan> =
            pods.iter().filter(|(_, change)| *change != Change::Unchanged).map(|(pod, _)| pod).collect();
        // One alone needs no process of its own, unless it may take as long as its init containers like.
        if let [pod] = pods.as_slice()
            && pod.template.init.is_empty()
        {
            let (id, request) = (&pod.meta.id, self.request(pod));
            let launched = launch(self.engine(), self.actor.find_image, &request).map_err(|error| error.of(id))?;
            if request.start == Start::Now {
                let made = pods::find(self.engine(), &launched.pod)?;
                start::start(self.engine(), &made).map_err(|error| error.of(id))?;
            }
            self.played.pods.push((id.clone(), launched));
            return Ok(());
        }
        // Addresses that are asked for are taken before others are drawn.
        let (fixed, others): (Vec<_>, Vec<_>) = pods.into_iter().partition(|pod| pod.template.address.is_some());
        self.side_by_side(&fixed)?;
        self.side_by_side(&others)
    }

    /// Until all of them are made; their starts go on.
    fn side_by_side(&mut self, pods: &[&PodPlan]) -> Result<()> {
        let begun: Vec<(ObjectId, Result<Working>)> = pods
            .iter()
            .map(|pod| {
                let deed = Deed::Make(Box::new(self.request(pod)));
                (pod.meta.id.clone(), child::begin(self.engine(), (self.actor.pod_program)(), deed))
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
        let working = child::start_pod(self.engine(), self.actor.pod_program, pod).map_err(|error| error.of(id))?;
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

    /// Takes away what this play has made. What fails here is less than what failed before.
    fn undo(&mut self) {
        for (id, working) in std::mem::take(&mut self.starting) {
            if self.made.contains(&id) {
                working.abandon();
            }
        }
        // A turn of the supervisor makes pods of what it has read before.
        let acting = self.act();
        for id in self.made.iter().rev() {
            let _ = self.shelf.remove(id);
        }
        // Those that it has begun may still come.
        let looks = if self.plan.kept_templates().next().is_some() { LAST_LOOKS } else { 1 };
        let mut found_none = 0;
        let until = Instant::now() + LONGEST_UNDO;
        loop {
            found_none = if self.remove_pods() { 0 } else { found_none + 1 };
            if found_none == looks || Instant::now() >= until {
                break;
            }
            std::thread::sleep(LAST_PAUSE);
        }
        drop(acting);
        for id in self.made.iter().rev() {
            if id.kind == Kind::Secret {
                let _ = secrets::remove(self.engine(), id);
            }
        }
        for name in &self.made_volumes {
            let _ = self.engine().store.remove_volume(name);
        }
        for namespace in &self.plan.namespaces {
            networks::leave(self.engine(), &self.shelf, &namespace.name);
        }
    }

    /// Whether there was a pod of what this play has made.
    fn remove_pods(&self) -> bool {
        let mut pods = observe::pods(self.engine()).unwrap_or_default();
        pods.retain(|pod| self.made.iter().any(|id| pod.belongs_to(id)));
        for pod in &pods {
            let _ = child::remove(self.engine(), pod.pod.id().as_str(), Some(0));
        }
        !pods.is_empty()
    }
}

/// How often in a row a play that failed finds no pod of its own, at what distance, until it believes that none comes.
const LAST_LOOKS: u32 = 4;
const LAST_PAUSE: Duration = Duration::from_millis(40);
const LONGEST_UNDO: Duration = Duration::from_secs(10);

/// The images are in the store already: whoever makes a pod takes them from there.
fn without_pull(template: &PodTemplate) -> PodTemplate {
    let mut template = template.clone();
    for container in template.init.iter_mut().chain(&mut template.containers) {
        if container.pull != PullPolicy::Never {
            container.pull = PullPolicy::IfNotPresent;
        }
    }
    template
}

/// What a play of this plan would do to each object.
pub fn preview(engine: &Engine, plan: &Plan) -> Result<Vec<ObjectChange>> {
    let shelf = Shelf::new(engine);
    let stored = |meta: &Meta| -> Result<Option<Meta>> {
        if meta.id.kind != Kind::Secret {
            // One that cannot be read is made anew.
            return Ok(shelf.get(&meta.id).ok().flatten().and_then(|object| object.body.meta().cloned()));
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
    let of_these = |pod: &&Seen| ids.iter().any(|id| pod.belongs_to(id));
    Ok(observe::pods(engine)?.iter().filter(of_these).all(|pod| pod.has_ended()))
}
