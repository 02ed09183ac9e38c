//! What keeps a number of pods.

use super::{ClaimTemplate, LabelSelector, Labels, ObjectMeta, PodTemplateSpec};
use crate::decode::{CountOrPercent, ServiceName, object, words};

object! {
    /// So many equal pods, replaced by and by when the template changes.
    Deployment {
        "metadata" metadata: ObjectMeta,
        "spec" spec: DeploymentSpec,
    }
    quiet { "apiVersion", "kind", "status", }
}

object! {
    DeploymentSpec {
        "replicas" replicas: Option<u32>,
        /// Must match the template's labels.
        "selector" selector: LabelSelector,
        "template" template: PodTemplateSpec,
        "strategy" strategy: Option<DeploymentStrategy>,
        /// How long a pod must be ready before it counts.
        "minReadySeconds" min_ready_seconds: Option<u32>,
        "revisionHistoryLimit" revision_history_limit: Option<u32>,
        "progressDeadlineSeconds" progress_deadline_seconds: Option<u32>,
        "paused" paused: Option<bool>,
    }
}

object! {
    DeploymentStrategy {
        "type" kind: Option<StrategyType>,
        "rollingUpdate" rolling_update: Option<RollingUpdate>,
    }
}

words! {
    pub(crate) StrategyType {
        #[default]
        RollingUpdate = "RollingUpdate",
        Recreate = "Recreate",
    }
}

object! {
    RollingUpdate {
        "maxSurge" max_surge: Option<CountOrPercent>,
        "maxUnavailable" max_unavailable: Option<CountOrPercent>,
    }
}

object! {
    ReplicaSet {
        "metadata" metadata: ObjectMeta,
        "spec" spec: ReplicaSetSpec,
    }
    quiet { "apiVersion", "kind", "status", }
}

object! {
    ReplicaSetSpec {
        "replicas" replicas: Option<u32>,
        "selector" selector: LabelSelector,
        "template" template: PodTemplateSpec,
        "minReadySeconds" min_ready_seconds: Option<u32>,
    }
}

object! {
    ReplicationController {
        "metadata" metadata: ObjectMeta,
        "spec" spec: ReplicationControllerSpec,
    }
    quiet { "apiVersion", "kind", "status", }
}

object! {
    ReplicationControllerSpec {
        "replicas" replicas: Option<u32>,
        /// The template's labels where none is written.
        "selector" selector: Option<Labels>,
        "template" template: PodTemplateSpec,
        "minReadySeconds" min_ready_seconds: Option<u32>,
    }
}

object! {
    /// One pod: there is one node.
    DaemonSet {
        "metadata" metadata: ObjectMeta,
        "spec" spec: DaemonSetSpec,
    }
    quiet { "apiVersion", "kind", "status", }
}

object! {
    DaemonSetSpec {
        "selector" selector: LabelSelector,
        "template" template: PodTemplateSpec,
        "updateStrategy" update_strategy: Option<DaemonSetStrategy>,
        "minReadySeconds" min_ready_seconds: Option<u32>,
        "revisionHistoryLimit" revision_history_limit: Option<u32>,
    }
}

object! {
    DaemonSetStrategy {
        "type" kind: Option<SetStrategyType>,
        "rollingUpdate" rolling_update: Option<RollingUpdate>,
    }
}

words! {
    pub(crate) SetStrategyType {
        #[default]
        RollingUpdate = "RollingUpdate",
        OnDelete = "OnDelete",
    }
}

object! {
    /// Pods with names that stay, NAME-0 and up, each with claims of its own.
    StatefulSet {
        "metadata" metadata: ObjectMeta,
        "spec" spec: StatefulSetSpec,
    }
    quiet { "apiVersion", "kind", "status", }
}

object! {
    StatefulSetSpec {
        "replicas" replicas: Option<u32>,
        "selector" selector: LabelSelector,
        "template" template: PodTemplateSpec,
        /// The headless Service under which the pods have names.
        "serviceName" service_name: Option<ServiceName>,
        /// Each becomes a volume CLAIM-NAME-ORDINAL, which stays.
        "volumeClaimTemplates" volume_claim_templates: Vec<ClaimTemplate>,
        "podManagementPolicy" pod_management_policy: Option<PodManagementPolicy>,
        "updateStrategy" update_strategy: Option<StatefulSetStrategy>,
        "minReadySeconds" min_ready_seconds: Option<u32>,
        "revisionHistoryLimit" revision_history_limit: Option<u32>,
        "ordinals" ordinals: Option<Ordinals>,
        "persistentVolumeClaimRetentionPolicy" retention: Option<ClaimRetention>,
    }
}

object! {
    StatefulSetStrategy {
        "type" kind: Option<SetStrategyType>,
        "rollingUpdate" rolling_update: Option<StatefulSetRollingUpdate>,
    }
}

object! {
    StatefulSetRollingUpdate {
        /// Pods with a lower ordinal keep the old template.
        "partition" partition: Option<u32>,
        "maxUnavailable" max_unavailable: Option<CountOrPercent>,
    }
}

words! {
    pub PodManagementPolicy {
        #[default]
        OrderedReady = "OrderedReady",
        Parallel = "Parallel",
    }
}

object! {
    Ordinals {
        "start" start: Option<u32>,
    }
}

object! {
    ClaimRetention {
        /// `kube down --force` removes them all the same.
        "whenDeleted" when_deleted: Option<RetentionPolicy>,
        "whenScaled" when_scaled: Option<RetentionPolicy>,
    }
}

words! {
    pub RetentionPolicy {
        #[default]
        Retain = "Retain",
        Delete = "Delete",
    }
}
