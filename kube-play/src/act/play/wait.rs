//! A play stays until what it has asked for is there, cannot be, or takes too long.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use containers::{PodRole, SdNotify, State};
use rustix::event::{PollFd, PollFlags, Timespec};

use super::Work;
use crate::act::child::Working;
use crate::act::error::{Error, Result};
use crate::act::launch::{Launched, Start};
use crate::act::objects::Body;
use crate::act::observe::{self, Seen};
use crate::changes::Change;
use crate::plan::{ContainerPlan, Kind, ObjectId, PodTemplate};
use crate::steps::{PodPhase, Progress, pod_status};

/// How often whoever waits looks where nobody tells: a `creel __kube-pod` that was killed does not.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

impl Work<'_> {
    /// Until the supervisor has made of the plan's workloads, Jobs, Services and Ingresses what they say, or says why it
    /// cannot.
    pub(super) fn wait(&mut self) -> Result<()> {
        if self.options.start == Start::Later {
            return Ok(());
        }
        let mut waiting = self.waited_for();
        let until = Instant::now() + self.options.patience;
        let watch = storage::Watch::of(&self.engine().store)?;
        let mut told = Vec::new();
        while !waiting.is_empty() || !self.starting.is_empty() || self.awaits_notices() {
            watch.clear();
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
            if waiting.is_empty() && self.starting.is_empty() {
                // For these there is no end, as with Podman: the service manager has a patience of its own.
                underway = self.awaited(&seen);
                if underway.is_empty() {
                    break;
                }
            } else if Instant::now() >= until {
                self.played.underway = underway;
                return Ok(());
            }
            if told != underway {
                (self.actor.progress)(&underway);
                told = underway;
            }
            self.pause(&watch);
            if !waiting.is_empty() {
                self.shelf.check_room()?;
                // It may have been killed: nobody else would go on.
                self.start_supervisor()?;
            }
        }
        self.refused()
    }

    /// Whether containers of this play say themselves when they are ready (`io.containers.sdnotify`).
    fn awaits_notices(&self) -> bool {
        let says =
            |container: &ContainerPlan| matches!(container.spec.sdnotify, SdNotify::Container | SdNotify::Healthy);
        self.plan.templates().any(|(_, template)| template.containers.iter().any(says))
    }

    /// Those that have not said so, and run or will.
    fn awaited(&self, seen: &[Seen]) -> Vec<(ObjectId, String)> {
        let is_silent = |member: &&containers::Container| match member.spec().sdnotify {
            SdNotify::Container => !containers::has_notified(self.engine(), member),
            SdNotify::Healthy => !containers::ready(member),
            SdNotify::Conmon | SdNotify::Ignore => false,
        };
        let comes = |member: &&containers::Container| containers::running(member) || containers::in_backoff(member);
        let why = |pod: &Seen| {
            let silent = pod.pod.members().filter(comes).find(is_silent)?;
            Some(format!("{} has not said that it is ready", silent.name()))
        };
        let ids = self.plan.templates().map(|(meta, _)| &meta.id);
        let of = |id: &ObjectId| seen.iter().filter(|pod| pod.belongs_to(id)).find_map(why);
        ids.filter_map(|id| Some((id.clone(), of(id)?))).collect()
    }

    /// What has changed of all that the supervisor answers for.
    fn waited_for(&self) -> Vec<(ObjectId, Change)> {
        let answered = |id: &ObjectId| {
            !matches!(id.kind, Kind::Namespace | Kind::ConfigMap | Kind::Secret | Kind::Pod)
                && !matches!(id.kind, Kind::PersistentVolume | Kind::PersistentVolumeClaim)
        };
        let changed = |(id, change): &&(ObjectId, Change)| *change != Change::Unchanged && answered(id);
        self.played.changes.iter().filter(changed).cloned().collect()
    }

    /// Services and Ingresses that were there before and do not have their ports of the host.
    fn refused(&mut self) -> Result<()> {
        let services = self.plan.services.iter().map(|plan| &plan.meta.id);
        for id in services.chain(self.plan.ingresses.iter().map(|plan| &plan.meta.id)) {
            if let Some(error) = self.shelf.kept(id)?.error {
                self.played.underway.push((id.clone(), error));
            }
        }
        Ok(())
    }

    /// Fails where somebody has taken down meanwhile what this play has made.
    pub(super) fn taken_down(&self) -> Result<()> {
        let mut gone = Vec::new();
        let goes_by_itself = |id: &ObjectId| {
            let job = self.plan.jobs.iter().find(|job| job.meta.id == *id);
            id.kind == Kind::Secret || job.is_some_and(|job| job.run.ttl.is_some())
        };
        for (id, change) in &self.played.changes {
            if *change != Change::Unchanged && !goes_by_itself(id) && self.shelf.get(id)?.is_none() {
                gone.push(id.to_string());
            }
        }
        match gone.is_empty() {
            true => Ok(()),
            false => Err(Error::TakenDown { objects: gone.join(", ") }),
        }
    }

    /// How a pod is that is being started; `None`: it is through, whatever that came to. One that cannot be started fails
    /// the play.
    fn starts(&self, id: &ObjectId, mut working: Working, seen: &[Seen]) -> Result<Option<(Working, String)>> {
        working.take_note();
        if working.has_ended() {
            let ended = working.finish();
            let is_wanted = self.shelf.get(id)?.is_some();
            return if is_wanted { ended.map(|_| None).map_err(|error| error.of(id)) } else { Ok(None) };
        }
        let pod = seen.iter().find(|seen| seen.belongs_to(id));
        let plan = self.plan.pods.iter().find(|pod| pod.meta.id == *id);
        let why = plan.zip(pod).map(|(plan, pod)| initializing(&plan.template, pod));
        Ok(Some((working, why.unwrap_or_else(|| "it is being made".into()))))
    }

    /// Until something has changed, or may have.
    fn pause(&self, watch: &storage::Watch) {
        let outputs = self.starting.iter().map(|(_, working)| working.output());
        let fds = outputs.chain(std::iter::once(watch.as_fd()));
        let mut fds: Vec<PollFd<'_>> = fds.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        let pause = Timespec { tv_sec: 0, tv_nsec: LOOK_AGAIN.as_nanos() as i64 };
        let _ = rustix::event::poll(&mut fds, Some(&pause));
    }

    fn standing(&self, id: &ObjectId, change: Change, seen: &[Seen]) -> Result<Standing> {
        let Some(object) = self.shelf.get(id)? else { return Ok(Standing::There) };
        let kept = self.shelf.kept(id)?;
        if kept.generation != object.generation {
            return Ok(Standing::Underway("waiting for the supervisor".into()));
        }
        let own: Vec<&Seen> = seen.iter().filter(|pod| pod.belongs_to(id)).collect();
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
            Body::Service { .. } | Body::Ingress(_) => Ok(match kept.error {
                Some(error) if change == Change::Created => Standing::Failed(error),
                Some(_) | None => Standing::There,
            }),
            _ => Ok(Standing::There),
        }
    }

    /// Notes the pods that were made for an object.
    fn there(&mut self, id: &ObjectId, seen: &[Seen]) {
        let is_new = |pod: &&Seen| pod.belongs_to(id) && !self.before.contains(pod.pod.id().as_str());
        for pod in seen.iter().filter(is_new) {
            let members = pod.pod.members().map(|member| member.id().to_string());
            let launched = Launched { pod: pod.pod.id().to_string(), containers: members.collect() };
            self.played.pods.push((id.clone(), launched));
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
    let is_init = |member: &&containers::Container| {
        matches!(member.spec().pod_role, Some(PodRole::InitAlways | PodRole::InitOnce))
    };
    let failed = pod.pod.members().filter(is_init);
    let failed = failed.filter_map(|init| Some((init.name(), last(&init)?))).next();
    match failed {
        Some((name, code)) => format!("{}: {name} has ended with exit code {code} and is tried again", status.shown),
        None => status.shown,
    }
}
