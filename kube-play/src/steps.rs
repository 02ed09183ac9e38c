//! What to do next, as pure functions: what is wanted, what is observed and the time become actions and a state to show.
//!
//! Nothing here waits or acts. Whoever keeps a workload observes its pods, calls the step, carries out the actions, keeps
//! the returned memory beside the object, and calls again when something changed or at `wake`.

mod autoscale;
mod cron;
mod job;
mod names;
mod pod;
mod replicas;
mod stateful;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use autoscale::{AutoscaleMemory, AutoscaleStep, PodUsage, autoscale};
pub use cron::{CronAction, CronStep, ObservedJob, cron};
pub use job::{JobAction, JobCondition, JobMemory, JobStatus, JobStep, job};
pub use names::{pod_name, store_name};
pub use pod::{ContainerState, Ended, ObservedContainer, PodPhase, PodStatus, WaitReason, pod_status};
pub use replicas::{Memory, Progress, WorkloadStatus, WorkloadStep, workload};

/// A pod of a workload or a Job as it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ObservedPod {
    pub name: String,
    /// Of the template it was made from.
    pub hash: String,
    pub phase: PodPhase,
    pub ready: bool,
    /// Since when it has been ready without a break.
    pub ready_since: Option<Timestamp>,
    pub created: Timestamp,
    /// When it ended, if it has.
    pub finished: Option<Timestamp>,
    /// It is being taken down; its name is not free yet.
    pub stopping: bool,
    /// Ordinal of a StatefulSet's pod, completion index of an indexed Job's.
    pub index: Option<u32>,
    /// Of all its containers together.
    pub restarts: u32,
    /// Exit codes of containers that have ended.
    pub exit_codes: Vec<(String, i32)>,
}

impl ObservedPod {
    /// Ready for at least `min_ready` seconds.
    pub fn available(&self, min_ready: u32, now: Timestamp) -> bool {
        self.ready
            && !self.stopping
            && self.ready_since.is_some_and(|since| seconds(since, now) >= i64::from(min_ready))
    }

    /// It counts as one of the workload's pods.
    fn alive(&self) -> bool {
        !self.stopping && !matches!(self.phase, PodPhase::Succeeded | PodPhase::Failed)
    }
}

/// What to do with pods of a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// From the template with this hash: the current one or one of the history.
    Create { name: String, hash: String, index: Option<u32> },
    /// With its grace period.
    Delete { name: String, why: Why },
    /// Of a StatefulSet that asks for it: the claims of a pod that is gone.
    DeleteClaims { pod: String },
}

/// Why a pod goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// There are more than asked for.
    TooMany,
    /// Its template is an old one.
    Outdated,
    /// It has ended and is replaced.
    Ended,
    /// Its Job is over or suspended.
    JobOver,
}

/// Whole seconds from one moment to a later one.
fn seconds(from: Timestamp, to: Timestamp) -> i64 {
    to.as_second() - from.as_second()
}

/// A moment so many seconds later.
fn later(from: Timestamp, seconds: u32) -> Option<Timestamp> {
    from.checked_add(jiff::SignedDuration::from_secs(i64::from(seconds))).ok()
}

/// The earlier of two moments, where there are any.
fn sooner(left: Option<Timestamp>, right: Option<Timestamp>) -> Option<Timestamp> {
    match (left, right) {
        (Some(left), Some(right)) => Some(left.min(right)),
        (left, right) => left.or(right),
    }
}

#[cfg(test)]
mod tests;
