//! Deployments and their like: a template and how many of it.

use serde::{Deserialize, Serialize};

use super::{Meta, PodTemplate, Selector, VolumePlan};

pub use crate::decode::values::CountOrPercent;
pub use crate::model::workload::{PodManagementPolicy, RetentionPolicy};

/// Deployment, ReplicaSet, ReplicationController, DaemonSet or StatefulSet: `meta.id.kind` says which.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkloadPlan {
    pub meta: Meta,
    /// 1 of a DaemonSet.
    pub replicas: u32,
    /// `false`: the manifest leaves the number open, so that a scaled one is kept.
    pub replicas_written: bool,
    pub selector: Selector,
    pub template: PodTemplate,
    pub update: UpdateStrategy,
    /// Seconds a pod must be ready before it counts.
    pub min_ready: u32,
    /// Old templates kept for `rollout undo`.
    pub history_limit: u32,
    /// Seconds without progress after which a rollout has failed; Deployments only.
    pub progress_deadline: Option<u32>,
    pub paused: bool,
    pub stateful: Option<StatefulPlan>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UpdateStrategy {
    RollingUpdate {
        max_surge: CountOrPercent,
        max_unavailable: CountOrPercent,
    },
    /// All old pods go before the first new one comes.
    Recreate,
    /// By ordinal, from the highest down to `partition`.
    Ordinal {
        partition: u32,
        max_unavailable: CountOrPercent,
    },
    /// Pods keep their template until someone deletes them: ReplicaSets, and where it is asked for.
    OnDelete,
}

/// What is a StatefulSet's own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatefulPlan {
    /// The headless Service of its pods' names.
    pub service: Option<String>,
    /// Templates of claims; the volume of a pod is [`claim_name`]'s.
    pub claims: Vec<VolumePlan>,
    pub management: PodManagementPolicy,
    /// The first ordinal.
    pub start: u32,
    pub when_deleted: RetentionPolicy,
    pub when_scaled: RetentionPolicy,
}

/// `data-db-0`: the claim of the pod `db-0` from the template `data`.
pub fn claim_name(template: &str, pod: &str) -> String {
    format!("{template}-{pod}")
}
