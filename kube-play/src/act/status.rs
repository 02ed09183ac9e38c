//! What the supervisor saw of an object, and keeps of it from step to step.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use storage::record;

use crate::steps::{AutoscaleMemory, JobMemory, JobStatus, Memory, WorkloadStatus};

/// What the supervisor keeps of an object beyond its record: `KIND/NAME.status`, also for those who wait or ask.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Kept {
    /// Of the object that was looked at.
    pub generation: u64,
    /// Why something could not be done, until it could.
    pub error: Option<String>,
    pub(super) memory: Memory,
    pub workload: Option<WorkloadStatus>,
    pub job: JobMemory,
    pub job_status: Option<JobStatus>,
    /// A CronJob's last start.
    pub last: Option<Timestamp>,
    pub(super) autoscale: AutoscaleMemory,
    /// What an autoscaler's metrics were.
    pub current: Vec<Option<u64>>,
}

impl record::Record for Kept {
    const VERSION: u32 = 1;
}
