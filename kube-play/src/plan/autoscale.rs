//! HorizontalPodAutoscalers.

use serde::{Deserialize, Serialize};

use super::{Meta, ObjectId};
use crate::quantity::Quantity;

pub use crate::model::autoscale::{MetricName, ScalingPolicyType, SelectPolicy};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AutoscalerPlan {
    pub meta: Meta,
    /// A Deployment, ReplicaSet, ReplicationController or StatefulSet.
    pub target: ObjectId,
    pub least: u32,
    pub most: u32,
    pub metrics: Vec<MetricPlan>,
    pub up: ScalingRulesPlan,
    pub down: ScalingRulesPlan,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricPlan {
    pub resource: MetricName,
    pub target: MetricTargetPlan,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MetricTargetPlan {
    /// Percent of what the pods request, on average.
    Utilization(u32),
    /// Per pod, on average.
    Value(Quantity),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScalingRulesPlan {
    /// Seconds over which the highest (down) or lowest (up) wish decides.
    pub window: u32,
    pub select: SelectPolicy,
    pub policies: Vec<ScalingPolicyPlan>,
    /// Thousandths by which the load may differ before anything happens.
    pub tolerance: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScalingPolicyPlan {
    pub kind: ScalingPolicyType,
    pub value: u32,
    /// Seconds.
    pub period: u32,
}
