//! The story of `kube play`: compare with what was played before, store what is wanted, make what is missing, wait.

mod store;
mod wait;

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use containers::Engine;
use sys::lock::FileLock;

use super::child::{self, Deed, Working};
use super::error::{Error, Result};
use super::launch::{self, FindImage, Launched, PodRequest, Start, WantedImage, launch};
use super::objects::{Body, Object, Shelf};
use super::observe::{self, Seen};
use super::{networks, secrets, start, supervisor};
use crate::changes::{Change, ObjectChange, changes};
use crate::plan::{Kind, Meta, ObjectId, Plan, PodPlan, PodTemplate, PullPolicy, volume_name};

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
        if supervisor::is_needed(self.engine())? {
            supervisor::start_supervisor(self.engine(), (self.actor.supervisor_program)())?;
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
                    } else if self.options.start == Start::Now && seen.should_run(&pod.template) {
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
                start::start(self.engine(), &made).map_err(|error| error.of(id))?;
            }
            self.played.pods.push((id.clone(), launched));
            return Ok(());
        }
        let begun: Vec<(ObjectId, Result<Working>)> = pods
            .iter()
            .map(|(pod, _)| {
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
            if self.made.iter().any(|id| pod.belongs_to(id)) {
                let _ = child::remove(self.engine(), pod.pod.id().as_str(), Some(0));
            }
        }
        for namespace in &self.plan.namespaces {
            networks::leave(self.engine(), &self.shelf, &namespace.name);
        }
    }
}

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
    let of_these = |pod: &&Seen| ids.iter().any(|id| pod.belongs_to(id));
    Ok(observe::pods(engine)?.iter().filter(of_these).all(|pod| pod.has_ended()))
}
