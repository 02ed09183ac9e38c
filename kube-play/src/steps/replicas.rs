//! Deployments, ReplicaSets, ReplicationControllers, DaemonSets: so many pods of one template.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Action, ObservedPod, Why, later, pod_name, seconds, sooner, stateful};
use crate::plan::{UpdateStrategy, WorkloadPlan};

/// What is kept from step to step beside a workload.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// The template's hash that the rollout leads to. A paused one does not take up a new template; it is empty where there
    /// was none before.
    pub hash: String,
    /// The hash before it: what pods below a StatefulSet's partition keep, what a Deployment paused in between goes on with.
    pub previous: Option<String>,
    /// Updated, old, ready, available pods when the rollout last came on.
    pub seen: (u32, u32, u32, u32),
    /// When that was.
    pub progress_at: Option<Timestamp>,
    /// It was at its end then: the deadline counts from the moment at which it is not any more.
    pub complete: bool,
    /// Pods of a StatefulSet whose claims go once they are gone themselves.
    pub leaving: BTreeSet<String>,
}

/// How far a workload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Progress {
    /// All pods are of the current template and available.
    Complete,
    Progressing,
    Paused,
    /// It has not come on for `progressDeadlineSeconds`; it goes on trying.
    DeadlineExceeded,
}

/// The numbers that `kube get` and `kube rollout status` show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkloadStatus {
    pub desired: u32,
    /// Pods there are, those that are going not counted.
    pub current: u32,
    pub updated: u32,
    pub ready: u32,
    pub available: u32,
    pub progress: Progress,
}

#[derive(Clone, Debug, PartialEq)]
pub struct WorkloadStep {
    pub actions: Vec<Action>,
    pub status: WorkloadStatus,
    pub memory: Memory,
    /// When to look again though nothing changed.
    pub wake: Option<Timestamp>,
}

/// One step of any workload. `pods` are its own, `taken` the names of all pods of the namespace.
pub fn workload(
    plan: &WorkloadPlan,
    memory: &Memory,
    pods: &[ObservedPod],
    taken: &BTreeSet<String>,
    now: Timestamp,
) -> WorkloadStep {
    let mut memory = memory.clone();
    if memory.hash != plan.template.hash && !plan.paused {
        let previous = std::mem::replace(&mut memory.hash, plan.template.hash.clone());
        memory.previous = Some(previous).filter(|hash| !hash.is_empty());
        memory.progress_at = Some(now);
        memory.seen = Default::default();
    }
    let actions = match &plan.stateful {
        Some(set) => stateful::actions(plan, set, &mut memory, pods, now),
        None => actions(plan, &memory, pods, taken, now),
    };
    let status = status(plan, &mut memory, pods, now);
    let wake = wake(plan, &memory, status.progress, pods, now);
    WorkloadStep { actions, status, memory, wake }
}

fn actions(
    plan: &WorkloadPlan,
    memory: &Memory,
    pods: &[ObservedPod],
    taken: &BTreeSet<String>,
    now: Timestamp,
) -> Vec<Action> {
    let mut actions = Vec::new();
    // Who has ended makes room: with restartPolicy Always that is a pod that was past its deadline or lost its monitor.
    for pod in pods.iter().filter(|pod| !pod.stopping && !pod.alive()) {
        actions.push(Action::Delete { name: pod.name.clone(), why: Why::Ended });
    }
    let alive: Vec<&ObservedPod> = pods.iter().filter(|pod| pod.alive()).collect();
    let replicas = plan.replicas as usize;
    let of_now = |pod: &&&ObservedPod| pod.hash == memory.hash;
    let (new, old): (Vec<&ObservedPod>, Vec<&ObservedPod>) = alive.iter().partition(|pod| of_now(pod));
    let mut taken = taken.clone();
    taken.extend(pods.iter().map(|pod| pod.name.clone()));
    let mut create = |hash: &str, count: usize| {
        for _ in 0..count {
            let name = pod_name(&plan.meta.id, plan.replicas, &taken);
            taken.insert(name.clone());
            actions.push(Action::Create { name, hash: hash.to_owned(), index: None });
        }
    };
    let mut deleted: Vec<(&ObservedPod, Why)> = Vec::new();
    match plan.update {
        // A new one waits; else the number is kept, and nothing is rolled.
        _ if plan.paused && memory.hash.is_empty() => {}
        _ if plan.paused => {
            let hash = memory.previous.as_ref().filter(|_| !old.is_empty() || new.is_empty()).unwrap_or(&memory.hash);
            create(hash, replicas.saturating_sub(alive.len()));
            let excess = alive.len().saturating_sub(replicas);
            deleted.extend(least_wanted(&alive, now).into_iter().take(excess).map(|pod| (pod, Why::TooMany)));
        }
        UpdateStrategy::OnDelete | UpdateStrategy::Ordinal { .. } => {
            create(&memory.hash, replicas.saturating_sub(alive.len()));
            let excess = alive.len().saturating_sub(replicas);
            deleted.extend(least_wanted(&alive, now).into_iter().take(excess).map(|pod| (pod, Why::TooMany)));
        }
        UpdateStrategy::Recreate => {
            deleted.extend(old.iter().map(|pod| (*pod, Why::Outdated)));
            // Also those that are still going: two versions never run side by side.
            let gone = !pods.iter().any(|pod| pod.hash != memory.hash && (pod.stopping || pod.alive()));
            if gone {
                create(&memory.hash, replicas.saturating_sub(new.len()));
            }
            let excess = new.len().saturating_sub(replicas);
            deleted.extend(least_wanted(&new, now).into_iter().take(excess).map(|pod| (pod, Why::TooMany)));
        }
        UpdateStrategy::RollingUpdate { max_surge, max_unavailable } => {
            let surge = max_surge.of_up(plan.replicas) as usize;
            let mut unavailable = max_unavailable.of_down(plan.replicas) as usize;
            if surge == 0 && unavailable == 0 {
                unavailable = 1;
            }
            let room = (replicas + surge).saturating_sub(alive.len());
            create(&memory.hash, replicas.saturating_sub(new.len()).min(room));
            let excess = new.len().saturating_sub(replicas);
            deleted.extend(least_wanted(&new, now).into_iter().take(excess).map(|pod| (pod, Why::TooMany)));
            let least = replicas.saturating_sub(unavailable.min(replicas));
            let available =
                |list: &[&ObservedPod]| list.iter().filter(|pod| pod.available(plan.min_ready, now)).count();
            // Pods of the new template that are not there yet are not paid for with old ones.
            let mut budget = alive.len().saturating_sub(least + (new.len() - available(&new)));
            let mut spare = (available(&old) + available(&new)).saturating_sub(least);
            for pod in least_wanted(&old, now) {
                let healthy = pod.available(plan.min_ready, now);
                if budget == 0 || healthy && spare == 0 {
                    break;
                }
                budget -= 1;
                spare -= usize::from(healthy);
                deleted.push((pod, Why::Outdated));
            }
        }
    }
    actions.extend(deleted.into_iter().map(|(pod, why)| Action::Delete { name: pod.name.clone(), why }));
    actions
}

/// Who goes first: not running before running, not ready before ready, ready a short time before a long one, young before
/// old; Kubernetes' own order.
fn least_wanted<'a>(pods: &[&'a ObservedPod], now: Timestamp) -> Vec<&'a ObservedPod> {
    let mut pods = pods.to_vec();
    pods.sort_by_key(|pod| {
        let running = pod.phase == super::PodPhase::Running;
        let ready_for = pod.ready_since.map_or(0, |since| seconds(since, now));
        (running, pod.ready, ready_for, std::cmp::Reverse(pod.created), std::cmp::Reverse(pod.name.clone()))
    });
    pods
}

fn status(plan: &WorkloadPlan, memory: &mut Memory, pods: &[ObservedPod], now: Timestamp) -> WorkloadStatus {
    let alive: Vec<&ObservedPod> = pods.iter().filter(|pod| pod.alive()).collect();
    let count = |test: &dyn Fn(&ObservedPod) -> bool| alive.iter().filter(|pod| test(pod)).count() as u32;
    let current = alive.len() as u32;
    let hash = &plan.template.hash;
    let updated = count(&|pod| pod.hash == *hash);
    let ready = count(&|pod| pod.ready);
    let available = count(&|pod| pod.available(plan.min_ready, now));
    let updated_available = count(&|pod| pod.hash == *hash && pod.available(plan.min_ready, now));
    let old = current - updated;
    let going = pods.iter().any(|pod| pod.stopping && pod.hash != *hash);
    let wanted = match plan.update {
        UpdateStrategy::Ordinal { partition, .. } => plan.replicas.saturating_sub(partition),
        UpdateStrategy::RollingUpdate { .. } | UpdateStrategy::Recreate => plan.replicas,
        UpdateStrategy::OnDelete => 0,
    };
    let keeps_old = matches!(plan.update, UpdateStrategy::Ordinal { .. } | UpdateStrategy::OnDelete);
    let complete = updated >= wanted
        && available == plan.replicas
        && current == plan.replicas
        && (keeps_old || old == 0 && !going && updated_available == plan.replicas);
    let (had_updated, had_old, had_ready, had_available) = memory.seen;
    let first = memory.progress_at.is_none();
    let turned = complete != std::mem::replace(&mut memory.complete, complete);
    if first || turned || updated > had_updated || old < had_old || ready > had_ready || available > had_available {
        memory.progress_at = Some(now);
    }
    memory.seen = (updated, old, ready, available);
    let late = plan
        .progress_deadline
        .is_some_and(|deadline| memory.progress_at.is_some_and(|at| seconds(at, now) >= i64::from(deadline)));
    let progress = match (complete, plan.paused, late) {
        (true, _, _) => Progress::Complete,
        (false, true, _) => Progress::Paused,
        (false, false, true) => Progress::DeadlineExceeded,
        (false, false, false) => Progress::Progressing,
    };
    WorkloadStatus { desired: plan.replicas, current, updated, ready, available, progress }
}

/// When a pod becomes available by waiting alone, or the deadline passes.
fn wake(
    plan: &WorkloadPlan,
    memory: &Memory,
    progress: Progress,
    pods: &[ObservedPod],
    now: Timestamp,
) -> Option<Timestamp> {
    let maturing = pods
        .iter()
        .filter(|pod| pod.alive() && pod.ready && !pod.available(plan.min_ready, now))
        .filter_map(|pod| later(pod.ready_since?, plan.min_ready))
        .min();
    let deadline = match progress {
        Progress::Progressing => plan.progress_deadline.and_then(|deadline| later(memory.progress_at?, deadline)),
        Progress::Complete | Progress::Paused | Progress::DeadlineExceeded => None,
    };
    sooner(maturing, deadline)
}
