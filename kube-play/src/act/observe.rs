//! What runs of what was played: the store's pods, read as Kubernetes' pods.

use std::collections::BTreeMap;
use std::net::IpAddr;

use containers::{Container, Engine, PodRole, RestartPolicy, State};
use jiff::Timestamp;
use pods::Pod;

use super::error::Result;
use super::objects::{Body, Shelf};
use super::{mark, networks, start};
use crate::ephemeral::{Ephemeral, plan_ephemeral};
use crate::plan::{ContainerPlan, Kind, Meta, ObjectId, PodRestartPolicy, PodTemplate};
use crate::steps::{ContainerState, Ended, ObservedContainer, ObservedPod, PodPhase, WaitReason};

/// A played pod as it is now.
#[derive(Clone, Debug)]
pub struct Seen {
    pub pod: Pod,
    pub namespace: String,
    /// In Kubernetes.
    pub name: String,
    /// `Deployment/web`.
    pub owner: Option<String>,
    /// Its template's hash.
    pub hash: String,
    /// The number of a StatefulSet's pod, the completion index of a Job's.
    pub index: Option<u32>,
    /// It has all its containers: nobody was killed while making it.
    pub whole: bool,
    pub phase: PodPhase,
    /// Somebody goes through its init containers now, or starts the others.
    pub starting: bool,
    /// All its containers serve.
    pub ready: bool,
    /// When that began, as far as it is known.
    pub ready_since: Option<Timestamp>,
    pub restarts: u32,
    pub addresses: Vec<IpAddr>,
}

/// All played pods, oldest first.
pub fn pods(engine: &Engine) -> Result<Vec<Seen>> {
    Ok(pods::list(engine)?.into_iter().filter_map(|pod| seen(engine, pod)).collect())
}

/// What a container's pod is one of, as `Deployment/web`, and its namespace.
pub fn owner_of(container: &containers::Container) -> Option<(&str, &str)> {
    let annotation = |key| container.spec().annotations.get(key).map(String::as_str);
    Some((annotation(mark::OWNER)?, annotation(mark::NAMESPACE)?))
}

/// `None`: no manifest made it.
fn seen(engine: &Engine, pod: Pod) -> Option<Seen> {
    let marks = &pod.spec().annotations;
    let mark = |name: &str| marks.get(name).cloned();
    let (namespace, name) = (mark(mark::NAMESPACE)?, mark(mark::NAME)?);
    let (owner, hash) = (mark(mark::OWNER), mark(mark::HASH).unwrap_or_default());
    let index = mark(mark::INDEX).and_then(|index| index.parse().ok());
    let containers = mark(mark::CONTAINERS).and_then(|count| count.parse().ok()).unwrap_or(0);
    let whole = planned(&pod).count() >= containers;
    let phase = phase(&pod);
    let ready = phase == PodPhase::Running && working(&pod).all(containers::ready);
    let started = working(&pod).filter_map(|container| match container.state() {
        State::Running { since, .. } => Some(*since),
        State::Created | State::Initialized { .. } | State::Exited(_) | State::Removing => None,
    });
    let ready_since = started.max().filter(|_| ready);
    let restarts = planned(&pod).map(|container| container.status.restarts).sum();
    let addresses = pod.infra().map(networks::addresses_of).unwrap_or_default();
    let starting = working(&pod).any(has_not_begun) && start::is_starting(engine, &pod);
    Some(Seen {
        namespace,
        name,
        owner,
        hash,
        index,
        whole,
        phase,
        starting,
        ready,
        ready_since,
        restarts,
        addresses,
        pod,
    })
}

/// Those that it was made with. Who was added to look into it says nothing about it.
fn planned(pod: &Pod) -> impl Iterator<Item = &Container> {
    pod.members().filter(|container| container.spec().pod_role != Some(PodRole::Ephemeral))
}

/// Containers that are there for as long as the pod is.
fn working(pod: &Pod) -> impl Iterator<Item = &Container> {
    let lasting =
        |container: &&Container| matches!(container.spec().pod_role, Some(PodRole::Member | PodRole::Sidecar) | None);
    pod.members().filter(lasting)
}

fn has_not_begun(container: &Container) -> bool {
    matches!(container.state(), State::Created)
}

/// It has ended, its policy wants it to go on, and nobody is left to start it: its monitor was killed.
fn is_deserted(container: &Container) -> bool {
    match container.state() {
        State::Exited(exit) => {
            !exit.stopped_by_user
                && !containers::in_backoff(container)
                && restarts_after(container.spec().restart, exit.code)
        }
        State::Created | State::Initialized { .. } | State::Running { .. } | State::Removing => false,
    }
}

fn phase(pod: &Pod) -> PodPhase {
    let members: Vec<&Container> =
        working(pod).filter(|container| container.spec().pod_role != Some(PodRole::Sidecar)).collect();
    let failed_init = pod.members().any(|container| {
        matches!(container.spec().pod_role, Some(PodRole::InitAlways | PodRole::InitOnce))
            && matches!(container.state(), State::Exited(exit) if exit.code != 0)
            && container.spec().restart == RestartPolicy::No
    });
    let ended = |container: &&&Container| {
        matches!(container.state(), State::Exited(exit)
            if container.status.restarting.is_none() && !restarts_after(container.spec().restart, exit.code))
    };
    let codes: Vec<i32> = members
        .iter()
        .filter(ended)
        .filter_map(|container| match container.state() {
            State::Exited(exit) => Some(exit.code),
            State::Created | State::Initialized { .. } | State::Running { .. } | State::Removing => None,
        })
        .collect();
    let begun =
        members.iter().any(|container| !matches!(container.state(), State::Created | State::Initialized { .. }));
    match () {
        () if !members.is_empty() && codes.len() == members.len() => match codes.iter().all(|code| *code == 0) {
            true => PodPhase::Succeeded,
            false => PodPhase::Failed,
        },
        // Its namespaces are gone, with a reboot or a kill: none of its containers can run again in them.
        () if begun && pod.infra().is_some_and(is_gone) => PodPhase::Failed,
        () if begun => PodPhase::Running,
        () if failed_init => PodPhase::Failed,
        () => PodPhase::Pending,
    }
}

fn is_gone(infra: &Container) -> bool {
    matches!(infra.state(), State::Exited(_)) && infra.status.restarting.as_ref().is_none_or(|monitor| !monitor.alive())
}

fn restarts_after(policy: RestartPolicy, code: i32) -> bool {
    match policy {
        RestartPolicy::No => false,
        RestartPolicy::OnFailure { .. } => code != 0,
        RestartPolicy::Always | RestartPolicy::UnlessStopped => true,
    }
}

impl Seen {
    /// Somebody was killed while starting it: containers that should run never did.
    pub(super) fn was_left(&self) -> bool {
        !self.starting && !self.ended_in_init() && working(&self.pod).any(has_not_begun)
    }

    /// An init container has failed for good: the others never come.
    fn ended_in_init(&self) -> bool {
        let members = || working(&self.pod).filter(|container| container.spec().pod_role != Some(PodRole::Sidecar));
        self.phase == PodPhase::Failed && members().all(has_not_begun)
    }

    /// A container of it is to run and nobody is left to start it, while the pod's namespaces stand.
    pub(super) fn is_deserted(&self) -> bool {
        self.phase == PodPhase::Running && !self.starting && planned(&self.pod).any(is_deserted)
    }

    /// It does not, and its restart policy wants it to.
    pub(super) fn should_run(&self, template: &PodTemplate) -> bool {
        let is_over = self.phase == PodPhase::Succeeded || template.restart == PodRestartPolicy::Never;
        self.was_left()
            || self.is_deserted()
            || !self.starting && !self.runs() && (self.phase == PodPhase::Pending || !is_over)
    }

    fn runs(&self) -> bool {
        planned(&self.pod).any(|member| member.state().init().is_some() || member.status.restarting.is_some())
    }

    /// Of a pod that a manifest writes as such: whether somebody has to see to it that its containers run as their policy
    /// says. Not of one that has yet to be started, or is over.
    pub(super) fn is_to_be_kept(&self) -> bool {
        self.pod.spec().restart != RestartPolicy::No
            && self.phase != PodPhase::Succeeded
            && (self.starting || planned(&self.pod).any(|member| !has_not_begun(member)))
    }

    /// What is to run of such a pod does not, and nobody is left to start it: a monitor was killed, the infra container's
    /// with all that it held, or whoever was starting the pod.
    pub(super) fn is_broken(&self) -> bool {
        let lost = || {
            let infra = self.pod.infra().filter(|infra| is_gone(infra));
            infra.is_some_and(|infra| infra.state().exit().is_some_and(|exit| !exit.stopped_by_user))
        };
        self.is_to_be_kept() && self.whole && !self.starting && (self.is_deserted() || self.was_left() || lost())
    }

    /// Whether it is kept by that object, or is itself that object.
    pub(super) fn belongs_to(&self, id: &ObjectId) -> bool {
        self.namespace == id.namespace
            && match &self.owner {
                Some(owner) => owner.split_once('/') == Some((id.kind.word(), &id.name)),
                None => id.kind == Kind::Pod && id.name == self.name,
            }
    }

    pub fn has_ended(&self) -> bool {
        matches!(self.phase, PodPhase::Succeeded | PodPhase::Failed)
    }

    /// As the steps see it. `stopping`: somebody takes it down now.
    pub(super) fn observed(&self, stopping: bool) -> ObservedPod {
        let exits = planned(&self.pod).filter_map(|container| match container.state() {
            State::Exited(exit) => Some((container, exit)),
            State::Created | State::Initialized { .. } | State::Running { .. } | State::Removing => None,
        });
        let exits: Vec<(String, &containers::Exit)> =
            exits.map(|(container, exit)| (self.name_of(container).to_owned(), exit)).collect();
        ObservedPod {
            name: self.name.clone(),
            hash: self.hash.clone(),
            // What is half made is not going to be whole by itself.
            phase: if self.whole && !self.was_left() { self.phase } else { PodPhase::Failed },
            ready: self.ready,
            ready_since: self.ready_since,
            created: self.pod.record.created,
            finished: exits.iter().map(|(_, exit)| exit.at).max().filter(|_| self.has_ended()),
            stopping,
            index: self.index,
            restarts: self.restarts,
            exit_codes: exits.iter().map(|(name, exit)| (name.clone(), exit.code)).collect(),
        }
    }

    /// The containers as Kubernetes sees them, by the names of their template.
    pub fn containers(&self, template: &PodTemplate) -> Vec<ObservedContainer> {
        let of = |plan: &ContainerPlan| {
            let name = template.container_name(self.pod.name(), &plan.name);
            let container = planned(&self.pod).find(|member| member.name() == name)?;
            observed(container, &plan.name)
        };
        template.all_containers().filter_map(of).collect()
    }

    /// What was added to look into it, oldest first.
    pub fn ephemeral(&self) -> Vec<Ephemeral> {
        let of = |container: &Container| {
            let manifest = container.spec().annotations.get(mark::EPHEMERAL)?;
            let manifest: serde_json::Value = serde_json::from_str(manifest).ok()?;
            // What the pod says for all is not shown with each.
            let plan = plan_ephemeral(&manifest, &serde_json::Value::Null).ok()?;
            let observed = observed(container, &plan.name)?;
            Some(Ephemeral { manifest, plan, observed })
        };
        self.pod.members().filter_map(of).collect()
    }

    /// What keeps it.
    pub fn owner_id(&self) -> Option<ObjectId> {
        let (kind, name) = self.owner.as_ref()?.split_once('/')?;
        Some(ObjectId::new(Kind::typed(kind)?, &self.namespace, name))
    }

    /// Its annotations, without those by which it is known again.
    pub fn annotations(&self) -> BTreeMap<String, String> {
        let all = &self.pod.spec().annotations;
        all.iter().filter(|(key, _)| !mark::is_mark(key)).map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    pub fn meta(&self) -> Meta {
        Meta {
            id: ObjectId::new(Kind::Pod, &self.namespace, &self.name),
            labels: self.labels().clone(),
            annotations: self.annotations(),
            origin: crate::Origin::default(),
            hash: self.hash.clone(),
            manifest: serde_json::Value::Null,
        }
    }

    /// The object that holds its template: its owner, or its own manifest. `None`: a kind that is not known here.
    pub(super) fn object(&self) -> Option<ObjectId> {
        match self.owner {
            None => Some(ObjectId::new(Kind::Pod, &self.namespace, &self.name)),
            Some(_) => self.owner_id(),
        }
    }

    /// What its manifest calls a container of it.
    pub fn name_of<'a>(&self, member: &'a Container) -> &'a str {
        let own = || member.name().strip_prefix(self.pod.name())?.strip_prefix('-');
        own().unwrap_or(member.name())
    }

    /// The labels that Services and workloads select by.
    pub fn labels(&self) -> &BTreeMap<String, String> {
        &self.pod.spec().labels
    }
}

/// A container as Kubernetes sees it. `None`: it is going.
fn observed(container: &Container, name: &str) -> Option<ObservedContainer> {
    let ended = |exit: &containers::Exit| Ended {
        code: exit.code,
        oom_killed: exit.oom_killed,
        started: exit.started,
        at: exit.at,
    };
    let state = match container.state() {
        State::Created | State::Initialized { .. } => ContainerState::Waiting(WaitReason::PodInitializing),
        State::Running { since, .. } => ContainerState::Running {
            since: *since,
            started: containers::started(container),
            ready: containers::ready(container),
        },
        State::Exited(_) if containers::in_backoff(container) => ContainerState::Waiting(WaitReason::CrashLoopBackOff),
        State::Exited(exit) => ContainerState::Ended(ended(exit)),
        State::Removing => return None,
    };
    let last = container.status.last_exit.as_ref().map(ended);
    Some(ObservedContainer { name: name.to_owned(), state, restarts: container.status.restarts, last })
}

/// A pod's uid in Kubernetes' form.
pub fn pod_uid(pod: &Seen) -> String {
    mark::uid(pod.pod.id().as_str())
}

/// A uid for an object that is known by its name alone: the same for as long as it is called so.
pub fn uid_of(id: &ObjectId) -> String {
    let digest = storage::Digest::of(format!("{}/{}/{}", id.kind, id.namespace, id.name).as_bytes());
    mark::uid(digest.hex())
}

/// The `spec` that a pod's manifest, or its owner's template, was written with.
pub fn pod_manifest(shelf: &Shelf, pod: &Seen) -> Result<Option<serde_json::Value>> {
    let id = pod.owner_id().unwrap_or_else(|| ObjectId::new(Kind::Pod, &pod.namespace, &pod.name));
    let Some(object) = shelf.get(&id)? else { return Ok(None) };
    if let Body::Workload { history, .. } = &object.body
        && let Some(revision) = history.revisions.iter().find(|revision| revision.template.hash == pod.hash)
    {
        return Ok(revision.manifest.get("spec").cloned());
    }
    let place = if id.kind == Kind::Pod { "/spec" } else { "/spec/template/spec" };
    Ok(object.body.meta().and_then(|meta| meta.manifest.pointer(place)).cloned())
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
