//! Jobs and CronJobs.

use serde::{Deserialize, Serialize};

use super::{Meta, PodTemplate};
use crate::schedule::Schedule;

pub use crate::model::job::{ConcurrencyPolicy, FailureAction};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobPlan {
    pub meta: Meta,
    pub run: JobRun,
}

/// What a Job does; a CronJob starts it again and again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobRun {
    pub template: PodTemplate,
    /// `None`: any one success ends it (a work queue).
    pub completions: Option<u32>,
    pub parallelism: u32,
    /// Failures after which it has failed.
    pub backoff_limit: u32,
    /// Seconds.
    pub active_deadline: Option<u32>,
    /// Seconds after its end at which it is removed.
    pub ttl: Option<u32>,
    pub suspend: bool,
    /// Each pod has an index from 0 and `JOB_COMPLETION_INDEX`; every index must succeed.
    pub indexed: bool,
    pub failure_rules: Vec<FailureRule>,
}

/// What a failed pod means, by a container's exit code. The first rule that fits decides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureRule {
    pub action: FailureAction,
    /// `None`: any container.
    pub container: Option<String>,
    pub codes: Vec<i32>,
    /// The codes are those that do not fit.
    pub inverted: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CronJobPlan {
    pub meta: Meta,
    pub schedule: Schedule,
    pub concurrency: ConcurrencyPolicy,
    pub suspend: bool,
    /// Seconds by which a start may be late.
    pub starting_deadline: Option<u32>,
    pub successful_limit: u32,
    pub failed_limit: u32,
    pub labels: std::collections::BTreeMap<String, String>,
    pub annotations: std::collections::BTreeMap<String, String>,
    pub run: JobRun,
}
