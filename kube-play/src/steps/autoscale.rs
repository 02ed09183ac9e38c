//! HorizontalPodAutoscalers: how many pods the load asks for, by Kubernetes' own rules.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::seconds;
use crate::plan::{
    AutoscalerPlan, MetricName, MetricPlan, MetricTargetPlan, ScalingPolicyType, ScalingRulesPlan, SelectPolicy,
};

/// What a pod of the target uses and has asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodUsage {
    pub ready: bool,
    /// Thousandths of a processor over the last period; `None`: not measured yet.
    pub cpu_millis: Option<u64>,
    pub memory_bytes: Option<u64>,
    pub cpu_requested_millis: u64,
    pub memory_requested_bytes: u64,
}

/// What is kept from step to step beside an autoscaler.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AutoscaleMemory {
    /// What each step would have wanted.
    pub wishes: Vec<(Timestamp, u32)>,
    /// By how much the number was changed.
    pub changes: Vec<(Timestamp, i64)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AutoscaleStep {
    /// How many pods there should be.
    pub replicas: u32,
    /// What each metric is now, in the unit of its target: percent, or thousandths; `None` where it is not known.
    pub current: Vec<Option<u64>>,
    pub memory: AutoscaleMemory,
}

/// One step. `replicas`: what the target asks for now; with 0 it is switched off.
pub fn autoscale(
    plan: &AutoscalerPlan,
    memory: &AutoscaleMemory,
    replicas: u32,
    pods: &[PodUsage],
    now: Timestamp,
) -> AutoscaleStep {
    let mut memory = memory.clone();
    let window = i64::from(plan.up.window.max(plan.down.window)).max(
        plan.up.policies.iter().chain(&plan.down.policies).map(|policy| i64::from(policy.period)).max().unwrap_or(0),
    );
    memory.wishes.retain(|(at, _)| seconds(*at, now) <= window);
    memory.changes.retain(|(at, _)| seconds(*at, now) <= window);
    let (wishes, current): (Vec<Option<u32>>, Vec<Option<u64>>) =
        plan.metrics.iter().map(|metric| wish(plan, metric, replicas, pods)).unzip();
    if replicas == 0 {
        return AutoscaleStep { replicas: 0, current, memory };
    }
    let wanted = match wishes.iter().flatten().max() {
        _ if replicas > plan.most => plan.most,
        _ if replicas < plan.least => plan.least,
        // A metric that is not known might ask for more.
        Some(wanted) if *wanted < replicas && wishes.contains(&None) => replicas,
        Some(wanted) => *wanted,
        None => replicas,
    };
    memory.wishes.push((now, wanted));
    let steady = stabilized(plan, &memory, replicas, wanted, now);
    let allowed = match steady.cmp(&replicas) {
        std::cmp::Ordering::Greater => steady.min(most(&plan.up, &memory, replicas, now)),
        std::cmp::Ordering::Less => steady.max(least(&plan.down, &memory, replicas, now)),
        std::cmp::Ordering::Equal => replicas,
    };
    let decided = allowed.clamp(plan.least, plan.most.max(plan.least));
    if decided != replicas {
        memory.changes.push((now, i64::from(decided) - i64::from(replicas)));
    }
    AutoscaleStep { replicas: decided, current, memory }
}

/// What one metric asks for, and what it is.
fn wish(plan: &AutoscalerPlan, metric: &MetricPlan, replicas: u32, pods: &[PodUsage]) -> (Option<u32>, Option<u64>) {
    // Usage and target of each pod in one unit: milli-cpus, or bytes. A value's target is the same for all.
    let per_pod = |pod: &PodUsage| -> (Option<u64>, u64) {
        let (usage, requested) = match metric.resource {
            MetricName::Cpu => (pod.cpu_millis, pod.cpu_requested_millis),
            MetricName::Memory => (pod.memory_bytes, pod.memory_requested_bytes),
        };
        let target = match &metric.target {
            MetricTargetPlan::Utilization(percent) => requested.saturating_mul(u64::from(*percent)) / 100,
            MetricTargetPlan::Value(value) => match metric.resource {
                MetricName::Cpu => value.millis(),
                MetricName::Memory => value.units(),
            },
        };
        (usage, target)
    };
    // A pod that is not ready yet may burn cpu only to start: set aside. So is one that nobody has measured.
    let aside = |pod: &PodUsage| !pod.ready && metric.resource == MetricName::Cpu;
    let (mut used, mut wanted, mut counted) = (0u64, 0u64, 0u32);
    let (mut unready, mut missing, mut aside_target) = (0u32, 0u32, 0u64);
    for pod in pods {
        let (usage, target) = per_pod(pod);
        match usage {
            _ if aside(pod) => {
                unready += 1;
                aside_target += target;
            }
            None => {
                missing += 1;
                aside_target += target;
            }
            Some(usage) => {
                used += usage;
                wanted += target;
                counted += 1;
            }
        }
    }
    if counted == 0 || wanted == 0 {
        return (None, None);
    }
    let current = match &metric.target {
        MetricTargetPlan::Utilization(percent) => used.saturating_mul(u64::from(*percent)) / wanted,
        MetricTargetPlan::Value(_) if metric.resource == MetricName::Cpu => used / u64::from(counted),
        MetricTargetPlan::Value(_) => used.saturating_mul(1000) / u64::from(counted),
    };
    // In thousandths of the target.
    let ratio = |used: u64, wanted: u64| (u128::from(used) * 1000).div_ceil(u128::from(wanted.max(1))) as u64;
    let tolerance = |rules: &ScalingRulesPlan| rules.tolerance;
    let within =
        |ratio: u64| ratio <= 1000 + tolerance(&plan.up) && ratio >= 1000u64.saturating_sub(tolerance(&plan.down));
    let first = ratio(used, wanted);
    let replicas_for = |ratio: u64, count: u32| {
        u32::try_from((u128::from(ratio) * u128::from(count)).div_ceil(1000)).unwrap_or(u32::MAX)
    };
    if within(first) {
        return (Some(replicas), Some(current));
    }
    if unready == 0 && missing == 0 {
        return (Some(replicas_for(first, counted)), Some(current));
    }
    // Careful in both directions: who is not known is idle when it goes up, and busy when it goes down.
    let up = first > 1000;
    let (used, wanted) = match up {
        true => (used, wanted + aside_target),
        false => (used + aside_target, wanted + aside_target),
    };
    let second = ratio(used, wanted);
    if within(second) || (second > 1000) != up {
        return (Some(replicas), Some(current));
    }
    let count = counted + missing + if up { unready } else { 0 };
    let wished = replicas_for(second, count);
    let wished = if up { wished.max(replicas) } else { wished.min(replicas) };
    (Some(wished), Some(current))
}

/// Down only as far as every wish of the window, up only as far as every one of the other window.
fn stabilized(plan: &AutoscalerPlan, memory: &AutoscaleMemory, replicas: u32, wanted: u32, now: Timestamp) -> u32 {
    let within = |window: u32| {
        memory.wishes.iter().filter(move |(at, _)| seconds(*at, now) <= i64::from(window)).map(|(_, wish)| *wish)
    };
    let up = within(plan.up.window).min().unwrap_or(wanted);
    let down = within(plan.down.window).max().unwrap_or(wanted);
    replicas.max(up).min(down)
}

/// How many pods were added in the last `period` seconds, or taken away.
fn changed(memory: &AutoscaleMemory, period: u32, now: Timestamp, up: bool) -> i64 {
    memory
        .changes
        .iter()
        .filter(|(at, by)| seconds(*at, now) < i64::from(period) && (*by > 0) == up)
        .map(|(_, by)| by.abs())
        .sum()
}

fn most(rules: &ScalingRulesPlan, memory: &AutoscaleMemory, replicas: u32, now: Timestamp) -> u32 {
    let limits = rules.policies.iter().map(|policy| {
        let start = (i64::from(replicas) - changed(memory, policy.period, now, true)).max(0);
        let more = match policy.kind {
            ScalingPolicyType::Pods => i64::from(policy.value),
            ScalingPolicyType::Percent => (start * i64::from(policy.value) + 99) / 100,
        };
        u32::try_from(start + more).unwrap_or(u32::MAX)
    });
    match rules.select {
        SelectPolicy::Disabled => replicas,
        SelectPolicy::Max => limits.max().unwrap_or(u32::MAX),
        SelectPolicy::Min => limits.min().unwrap_or(u32::MAX),
    }
    .max(replicas)
}

fn least(rules: &ScalingRulesPlan, memory: &AutoscaleMemory, replicas: u32, now: Timestamp) -> u32 {
    let limits = rules.policies.iter().map(|policy| {
        let start = i64::from(replicas) + changed(memory, policy.period, now, false);
        let left = match policy.kind {
            ScalingPolicyType::Pods => start - i64::from(policy.value),
            ScalingPolicyType::Percent => start * (100 - i64::from(policy.value)).max(0) / 100,
        };
        u32::try_from(left.max(0)).unwrap_or(0)
    });
    match rules.select {
        SelectPolicy::Disabled => replicas,
        SelectPolicy::Max => limits.min().unwrap_or(0),
        SelectPolicy::Min => limits.max().unwrap_or(0),
    }
    .min(replicas)
}
