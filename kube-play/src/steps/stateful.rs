//! StatefulSets: pods with names that stay, one after the other.

use std::collections::BTreeSet;
use std::ops::Range;

use jiff::Timestamp;

use super::replicas::Memory;
use super::{Action, ObservedPod, PodPhase, Why};
use crate::plan::{PodManagementPolicy, RetentionPolicy, StatefulPlan, UpdateStrategy, WorkloadPlan};

pub(super) fn actions(
    plan: &WorkloadPlan,
    set: &StatefulPlan,
    memory: &mut Memory,
    pods: &[ObservedPod],
    now: Timestamp,
) -> Vec<Action> {
    let mut actions = claims(plan, set, memory, pods);
    actions.extend(steps(plan, set, memory, pods, now));
    let too_many = actions.iter().filter_map(|action| match action {
        Action::Delete { name, why: Why::TooMany } if set.when_scaled == RetentionPolicy::Delete => Some(name.clone()),
        _ => None,
    });
    memory.leaving.extend(too_many);
    actions
}

/// Claims go after their pod, which may write to its end. One that is wanted again has them still.
fn claims(plan: &WorkloadPlan, set: &StatefulPlan, memory: &mut Memory, pods: &[ObservedPod]) -> Vec<Action> {
    let wanted: BTreeSet<String> = range(plan, set).map(|ordinal| name(plan, ordinal)).collect();
    let leaving = std::mem::take(&mut memory.leaving).into_iter().filter(|pod| !wanted.contains(pod));
    let (still, gone): (BTreeSet<String>, BTreeSet<String>) =
        leaving.partition(|name| pods.iter().any(|pod| pod.name == *name));
    memory.leaving = still;
    gone.into_iter().map(|pod| Action::DeleteClaims { pod }).collect()
}

fn range(plan: &WorkloadPlan, set: &StatefulPlan) -> Range<u32> {
    set.start..set.start.saturating_add(plan.replicas)
}

fn name(plan: &WorkloadPlan, ordinal: u32) -> String {
    format!("{}-{ordinal}", plan.meta.id.name)
}

fn steps(
    plan: &WorkloadPlan,
    set: &StatefulPlan,
    memory: &Memory,
    pods: &[ObservedPod],
    now: Timestamp,
) -> Vec<Action> {
    let ordered = set.management == PodManagementPolicy::OrderedReady;
    let find = |ordinal: u32| pods.iter().find(|pod| pod.index == Some(ordinal));
    let range = range(plan, set);
    let mut actions = Vec::new();
    // From the first on: whoever is missing or has ended comes back, and in order nobody overtakes.
    for ordinal in range.clone() {
        let settled = match find(ordinal) {
            None => {
                let hash = hash_for(plan, memory, ordinal).to_owned();
                actions.push(Action::Create { name: name(plan, ordinal), hash, index: Some(ordinal) });
                false
            }
            Some(pod) if pod.stopping => false,
            Some(pod) if matches!(pod.phase, PodPhase::Failed | PodPhase::Succeeded) => {
                actions.push(Action::Delete { name: pod.name.clone(), why: Why::Ended });
                false
            }
            Some(pod) => pod.available(plan.min_ready, now),
        };
        if ordered && !settled {
            // A pod of an old template that will never be ready must not keep its update from it.
            return match find(ordinal).filter(|pod| stuck(plan, memory, pod, ordinal)) {
                Some(pod) if actions.is_empty() => vec![Action::Delete { name: pod.name.clone(), why: Why::Outdated }],
                _ => actions,
            };
        }
    }
    // Beyond the range, the last one first.
    let mut beyond: Vec<&ObservedPod> =
        pods.iter().filter(|pod| pod.index.is_some_and(|ordinal| !range.contains(&ordinal))).collect();
    beyond.sort_by_key(|pod| std::cmp::Reverse(pod.index));
    if ordered && !actions.is_empty() {
        return actions;
    }
    for pod in &beyond {
        if !pod.stopping {
            actions.push(Action::Delete { name: pod.name.clone(), why: Why::TooMany });
        }
        if ordered {
            return actions;
        }
    }
    if !actions.is_empty() {
        return actions;
    }
    // Then the update: from the last down to the partition, so many at a time as may be missing.
    let UpdateStrategy::Ordinal { partition, max_unavailable } = plan.update else { return actions };
    let most = max_unavailable.of_up(plan.replicas).max(1) as usize;
    let in_range = || pods.iter().filter(|pod| pod.index.is_some_and(|ordinal| range.contains(&ordinal)));
    let mut missing = in_range().filter(|pod| !pod.available(plan.min_ready, now)).count();
    for ordinal in range.rev().filter(|ordinal| *ordinal >= partition) {
        let Some(pod) = find(ordinal).filter(|pod| pod.hash != memory.hash && !pod.stopping) else { continue };
        let healthy = pod.available(plan.min_ready, now);
        if healthy && missing >= most {
            break;
        }
        missing += usize::from(healthy);
        actions.push(Action::Delete { name: pod.name.clone(), why: Why::Outdated });
        if missing >= most {
            break;
        }
    }
    actions
}

/// An old pod that runs but is not ready, where a newer template is to replace it.
fn stuck(plan: &WorkloadPlan, memory: &Memory, pod: &ObservedPod, ordinal: u32) -> bool {
    let updates = matches!(plan.update, UpdateStrategy::Ordinal { partition, .. } if ordinal >= partition);
    updates && !pod.stopping && !pod.ready && pod.hash != memory.hash
}

/// Below the partition pods come back with the template they had.
fn hash_for<'a>(plan: &WorkloadPlan, memory: &'a Memory, ordinal: u32) -> &'a str {
    match plan.update {
        UpdateStrategy::Ordinal { partition, .. } if ordinal < partition => {
            memory.previous.as_deref().unwrap_or(&memory.hash)
        }
        _ => &memory.hash,
    }
}
