//! Jobs: pods until enough of them have succeeded.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{ObservedPod, PodPhase, Why, later, pod_name, seconds, sooner};
use crate::plan::{FailureAction, FailureRule, Indexes, JobRun, ObjectId, PodRestartPolicy, SuccessRule};

/// Seconds after the first failure; each further one doubles them.
const BACK_OFF: u32 = 10;
const MAX_BACK_OFF: u32 = 360;

/// What is kept from step to step beside a Job.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct JobMemory {
    /// When its first pod was made, or it went on after a suspension.
    pub started: Option<Timestamp>,
    pub ended: Option<Timestamp>,
    pub condition: Option<JobCondition>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobCondition {
    Complete,
    /// With Kubernetes' word for the reason: `BackoffLimitExceeded`, `DeadlineExceeded`, `PodFailurePolicy`,
    /// `FailedIndexes`, `MaxFailedIndexesExceeded`.
    Failed {
        reason: String,
        message: String,
    },
    Suspended,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JobStatus {
    pub active: u32,
    pub ready: u32,
    pub succeeded: u32,
    pub failed: u32,
    /// `None`: one success is enough.
    pub completions: Option<u32>,
    pub started: Option<Timestamp>,
    pub ended: Option<Timestamp>,
    pub condition: Option<JobCondition>,
    /// Of an indexed Job.
    #[serde(default)]
    pub completed_indexes: Option<Indexes>,
    /// Where indexes fail by themselves.
    #[serde(default)]
    pub failed_indexes: Option<Indexes>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobAction {
    Create {
        name: String,
        index: Option<u32>,
    },
    Delete {
        name: String,
        why: Why,
    },
    /// `ttlSecondsAfterFinished` has passed: the Job and its pods go.
    Remove,
}

#[derive(Clone, Debug, PartialEq)]
pub struct JobStep {
    pub actions: Vec<JobAction>,
    pub status: JobStatus,
    pub memory: JobMemory,
    pub wake: Option<Timestamp>,
}

/// One step of a Job. `pods` are all it ever made that still exist: those that have ended are kept for their logs.
pub fn job(
    id: &ObjectId,
    run: &JobRun,
    memory: &JobMemory,
    pods: &[ObservedPod],
    taken: &BTreeSet<String>,
    now: Timestamp,
) -> JobStep {
    let mut memory = memory.clone();
    let mut actions = Vec::new();
    let mut wake = None;
    let active: Vec<&ObservedPod> = pods.iter().filter(|pod| pod.alive()).collect();
    let outcome = Outcome::of(run, pods);
    let failures: Vec<&ObservedPod> = pods
        .iter()
        .filter(|pod| pod.phase == PodPhase::Failed && rule(run, pod) != Some(FailureAction::Ignore))
        .collect();
    let failed = failures.len() as u32;
    if memory.condition == Some(JobCondition::Suspended) && !run.suspend {
        memory = JobMemory { started: Some(now), ..JobMemory::default() };
    }
    let over = matches!(memory.condition, Some(JobCondition::Complete | JobCondition::Failed { .. }));
    if !over {
        memory.condition = match condition(run, &memory, pods, &active, &outcome, failed, now) {
            Some(condition) => {
                if condition != JobCondition::Suspended {
                    memory.ended = Some(now);
                }
                Some(condition)
            }
            None => None,
        };
    }
    match &memory.condition {
        Some(condition) => {
            for pod in &active {
                actions.push(JobAction::Delete { name: pod.name.clone(), why: Why::JobOver });
            }
            let expires = memory.ended.zip(run.ttl).and_then(|(ended, ttl)| later(ended, ttl));
            match expires {
                Some(expires) if expires <= now && *condition != JobCondition::Suspended => {
                    actions.push(JobAction::Remove)
                }
                expires => wake = expires,
            }
        }
        None => {
            memory.started = memory.started.or(Some(now));
            let deadline = run.active_deadline.and_then(|deadline| later(memory.started?, deadline));
            let wanted = match run.completions {
                Some(completions) => run.parallelism.min(completions.saturating_sub(outcome.tried())),
                None if outcome.succeeded > 0 => active.len() as u32,
                None => run.parallelism,
            };
            // Indexes that fail by themselves wait by themselves.
            let (pause, held) = match run.backoff_limit_per_index {
                Some(_) => (None, held(&failures, now)),
                None => (back_off(&failures, pods).filter(|until| *until > now), BTreeMap::new()),
            };
            wake = held.values().chain(&pause).fold(deadline, |wake, until| sooner(wake, Some(*until)));
            if pause.is_none() {
                let closed = |index: u32| outcome.failed_indexes.contains(&index) || held.contains_key(&index);
                create(id, run, pods, &active, (wanted, &closed), taken, &mut actions);
            }
            for pod in active.iter().rev().take((active.len() as u32).saturating_sub(wanted) as usize) {
                actions.push(JobAction::Delete { name: pod.name.clone(), why: Why::TooMany });
            }
        }
    }
    let status = JobStatus {
        active: active.len() as u32,
        ready: active.iter().filter(|pod| pod.ready).count() as u32,
        succeeded: outcome.succeeded,
        failed,
        completed_indexes: run.indexed.then(|| outcome.indexes.iter().copied().collect()),
        failed_indexes: run.backoff_limit_per_index.map(|_| outcome.failed_indexes.iter().copied().collect()),
        completions: run.completions,
        started: memory.started,
        ended: memory.ended,
        condition: memory.condition.clone(),
    };
    JobStep { actions, status, memory, wake }
}

/// What has become of a Job's pods so far.
struct Outcome {
    /// Of an indexed Job each index counts once.
    succeeded: u32,
    indexes: BTreeSet<u32>,
    /// Indexes that are tried no more, others may go on.
    failed_indexes: BTreeSet<u32>,
}

impl Outcome {
    /// How many indexes are over, well or not.
    fn tried(&self) -> u32 {
        self.succeeded + self.failed_indexes.len() as u32
    }

    fn of(run: &JobRun, pods: &[ObservedPod]) -> Outcome {
        let done = pods.iter().filter(|pod| pod.phase == PodPhase::Succeeded);
        let indexes: BTreeSet<u32> = done.clone().filter_map(|pod| pod.index).collect();
        let succeeded = if run.indexed { indexes.len() } else { done.count() };
        let mut failed_indexes = BTreeSet::new();
        if let Some(limit) = run.backoff_limit_per_index {
            let mut failures: BTreeMap<u32, u32> = BTreeMap::new();
            // One that is taken down has not failed by itself.
            for pod in pods.iter().filter(|pod| pod.phase == PodPhase::Failed && !pod.stopping) {
                let Some(index) = pod.index.filter(|index| !indexes.contains(index)) else { continue };
                match rule(run, pod) {
                    Some(FailureAction::Ignore) => {}
                    Some(FailureAction::FailIndex) => drop(failed_indexes.insert(index)),
                    Some(FailureAction::Count | FailureAction::FailJob) | None => {
                        *failures.entry(index).or_default() += 1;
                    }
                }
            }
            failed_indexes.extend(failures.iter().filter(|(_, count)| **count > limit).map(|(index, _)| *index));
        }
        Outcome { succeeded: succeeded as u32, indexes, failed_indexes }
    }

    fn meets(&self, rule: &SuccessRule, completions: u32) -> bool {
        let chosen = |index: &&u32| rule.indexes.as_ref().is_none_or(|indexes| indexes.contains(**index));
        let all = rule.indexes.as_ref().map_or(completions, Indexes::count);
        self.indexes.iter().filter(chosen).count() as u32 >= rule.count.unwrap_or(all)
    }
}

fn condition(
    run: &JobRun,
    memory: &JobMemory,
    pods: &[ObservedPod],
    active: &[&ObservedPod],
    outcome: &Outcome,
    failed: u32,
    now: Timestamp,
) -> Option<JobCondition> {
    let Outcome { succeeded, failed_indexes, .. } = outcome;
    let failure = |reason: &str, message: String| Some(JobCondition::Failed { reason: reason.to_owned(), message });
    let fatal = pods.iter().find(|pod| pod.phase == PodPhase::Failed && rule(run, pod) == Some(FailureAction::FailJob));
    if let Some(pod) = fatal {
        return failure("PodFailurePolicy", format!("the exit code of pod {} fails the Job", pod.name));
    }
    let done = match run.completions {
        Some(completions) => {
            *succeeded >= completions || run.success_rules.iter().any(|rule| outcome.meets(rule, completions))
        }
        None => *succeeded > 0 && active.is_empty(),
    };
    if done {
        return Some(JobCondition::Complete);
    }
    if run.max_failed_indexes.is_some_and(|most| failed_indexes.len() as u32 > most) {
        let text = "Job has exceeded the specified maximal number of failed indexes";
        return failure("MaxFailedIndexesExceeded", text.to_owned());
    }
    if !failed_indexes.is_empty() && run.completions.is_some_and(|completions| outcome.tried() >= completions) {
        return failure("FailedIndexes", "Job has failed indexes".to_owned());
    }
    // Where containers are restarted in place, their restarts are the failures.
    let restarts = match run.template.restart {
        PodRestartPolicy::OnFailure => active.iter().map(|pod| pod.restarts).sum(),
        PodRestartPolicy::Always | PodRestartPolicy::Never => 0,
    };
    if failed > run.backoff_limit || restarts >= run.backoff_limit.max(1) {
        return failure("BackoffLimitExceeded", "Job has reached the specified backoff limit".to_owned());
    }
    let late = run
        .active_deadline
        .is_some_and(|deadline| memory.started.is_some_and(|started| seconds(started, now) >= i64::from(deadline)));
    if late {
        return failure("DeadlineExceeded", "Job was active longer than specified deadline".to_owned());
    }
    run.suspend.then_some(JobCondition::Suspended)
}

/// What the first rule that fits says of a failed pod.
fn rule(run: &JobRun, pod: &ObservedPod) -> Option<FailureAction> {
    let fits = |rule: &&FailureRule| {
        pod.exit_codes.iter().any(|(container, code)| {
            let named = rule.container.as_ref().is_none_or(|name| name == container);
            *code != 0 && named && rule.codes.contains(code) != rule.inverted
        })
    };
    run.failure_rules.iter().find(fits).map(|rule| rule.action)
}

/// Until when no new pod is made: failures in a row since the last success.
fn back_off(failures: &[&ObservedPod], pods: &[ObservedPod]) -> Option<Timestamp> {
    let last_success = pods.iter().filter(|pod| pod.phase == PodPhase::Succeeded).filter_map(|pod| pod.finished).max();
    let row: Vec<Timestamp> = failures
        .iter()
        .filter_map(|pod| pod.finished)
        .filter(|at| last_success.is_none_or(|last| *at > last))
        .collect();
    let last = row.iter().max()?;
    let doublings = u32::try_from(row.len()).unwrap_or(u32::MAX).saturating_sub(1).min(10);
    later(*last, (BACK_OFF << doublings).min(MAX_BACK_OFF))
}

/// Indexes that wait before they are tried again, and until when.
fn held(failures: &[&ObservedPod], now: Timestamp) -> BTreeMap<u32, Timestamp> {
    let indexes: BTreeSet<u32> = failures.iter().filter_map(|pod| pod.index).collect();
    let until = |index: &u32| {
        let own: Vec<&ObservedPod> = failures.iter().filter(|pod| pod.index == Some(*index)).copied().collect();
        back_off(&own, &[])
    };
    indexes.into_iter().filter_map(|index| Some((index, until(&index).filter(|until| *until > now)?))).collect()
}

fn create(
    id: &ObjectId,
    run: &JobRun,
    pods: &[ObservedPod],
    active: &[&ObservedPod],
    (wanted, closed): (u32, &dyn Fn(u32) -> bool),
    taken: &BTreeSet<String>,
    actions: &mut Vec<JobAction>,
) {
    let missing = wanted.saturating_sub(active.len() as u32) as usize;
    let mut taken = taken.clone();
    taken.extend(pods.iter().map(|pod| pod.name.clone()));
    let several = if run.completions == Some(1) && run.parallelism <= 1 { 1 } else { 2 };
    if run.indexed {
        let busy: BTreeSet<u32> = pods
            .iter()
            .filter(|pod| pod.alive() || pod.phase == PodPhase::Succeeded || pod.stopping)
            .filter_map(|pod| pod.index)
            .collect();
        let is_open = |index: &u32| !busy.contains(index) && !closed(*index);
        let open = (0..run.completions.unwrap_or(0)).filter(is_open).take(missing);
        for index in open {
            let stem = ObjectId { name: format!("{}-{index}", id.name), ..id.clone() };
            let plain = stem.name.clone();
            let name = if taken.contains(&plain) { pod_name(&stem, 2, &taken) } else { plain };
            taken.insert(name.clone());
            actions.push(JobAction::Create { name, index: Some(index) });
        }
        return;
    }
    for _ in 0..missing {
        let name = pod_name(id, several, &taken);
        taken.insert(name.clone());
        actions.push(JobAction::Create { name, index: None });
    }
}
