//! What is to be done for one object, by its kind.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::Supervisor;
use crate::act::error::{Error, Result};
use crate::act::launch::{PodRequest, Start};
use crate::act::objects::{Body, Object};
use crate::act::observe::Seen;
use crate::act::status::Kept;
use crate::history::History;
use crate::plan::{
    AutoscalerPlan, CronJobPlan, JobPlan, Kind, Meta, ObjectId, PodTemplate, PodVolume, VolumePlan, VolumeSource,
    WorkloadPlan, claim_name, volume_name,
};
use crate::steps::{self, Action, CronAction, JobAction, ObservedJob, ObservedPod, PodUsage, Progress};

/// How often an autoscaler measures.
const MEASURE: Duration = Duration::from_secs(15);

impl Supervisor<'_> {
    pub(super) fn follow(&mut self, object: &Object, seen: &[Seen], all: &[Object], kept: &mut Kept) -> Result<()> {
        match &object.body {
            Body::Workload { plan, history } => self.workload(plan, history, seen, kept),
            Body::Job { plan, .. } => self.job(plan, seen, kept),
            Body::CronJob(plan) => self.cron_job(object, plan, all, kept),
            Body::Autoscaler(plan) => self.autoscaler(plan, seen, kept),
            Body::Namespace(_)
            | Body::ConfigMap(_)
            | Body::Volume(_)
            | Body::Service { .. }
            | Body::Ingress(_)
            | Body::Pod(_) => Ok(()),
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

    /// The last error of an owner whose pods could not be made.
    fn error_of(&self, id: &ObjectId) -> Option<String> {
        self.kept.get(id).and_then(|(_, kept)| kept.error.clone())
    }
}

fn of_owner<'b>(seen: &'b [Seen], id: &'b ObjectId) -> impl Iterator<Item = &'b Seen> {
    seen.iter().filter(|pod| pod.belongs_to(id))
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
fn job_of(plan: &CronJobPlan, name: &str) -> JobPlan {
    let meta = Meta {
        id: ObjectId::new(Kind::Job, &plan.meta.id.namespace, name),
        labels: plan.labels.clone(),
        annotations: plan.annotations.clone(),
        ..plan.meta.clone()
    };
    JobPlan { meta, run: plan.run.clone() }
}
