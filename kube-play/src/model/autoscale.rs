//! HorizontalPodAutoscaler: as many pods as the load asks for.

use super::ObjectMeta;
use crate::decode::{Positive, Subdomain, object, words};
use crate::quantity::Quantity;

object! {
    /// Reads cpu and memory of the pods from their cgroups.
    HorizontalPodAutoscaler {
        "metadata" metadata: ObjectMeta,
        "spec" spec: AutoscalerSpec,
    }
    quiet { "apiVersion", "kind", "status", }
}

object! {
    AutoscalerSpec {
        "scaleTargetRef" scale_target_ref: ScaleTarget,
        "minReplicas" min_replicas: Option<Positive>,
        "maxReplicas" max_replicas: Positive,
        /// 80 % of the requested cpu where none is written.
        "metrics" metrics: Vec<Metric>,
        /// Of autoscaling/v1.
        "targetCPUUtilizationPercentage" target_cpu: Option<Positive>,
        "behavior" behavior: Option<Behavior>,
    }
}

object! {
    ScaleTarget {
        "kind" kind: String,
        "name" name: Subdomain,
    }
    quiet { "apiVersion", }
}

object! {
    Metric {
        /// Resource; the others are refused.
        "type" kind: Option<MetricType>,
        "resource" resource: Option<ResourceMetric>,
    }
    refused {
        /// only cpu and memory are measured
        "pods",
        /// only cpu and memory are measured
        "object",
        /// only cpu and memory are measured
        "external",
        /// write `resource`
        "containerResource",
    }
}

words! {
    pub(crate) MetricType {
        #[default]
        Resource = "Resource",
        Pods = "Pods",
        Object = "Object",
        External = "External",
        ContainerResource = "ContainerResource",
    }
}

impl MetricType {
    /// The field that a metric of this type is written in.
    pub(crate) fn field(self) -> &'static str {
        match self {
            MetricType::Resource => "resource",
            MetricType::Pods => "pods",
            MetricType::Object => "object",
            MetricType::External => "external",
            MetricType::ContainerResource => "containerResource",
        }
    }
}

object! {
    ResourceMetric {
        "name" name: MetricName,
        "target" target: MetricTarget,
    }
}

words! {
    pub MetricName {
        #[default]
        Cpu = "cpu",
        Memory = "memory",
    }
}

object! {
    MetricTarget {
        "type" kind: MetricTargetType,
        "averageUtilization" average_utilization: Option<Positive>,
        "averageValue" average_value: Option<Quantity>,
    }
    refused {
        /// write `averageValue`
        "value",
    }
}

words! {
    pub(crate) MetricTargetType {
        #[default]
        Utilization = "Utilization",
        AverageValue = "AverageValue",
    }
}

object! {
    Behavior {
        "scaleUp" scale_up: Option<ScalingRules>,
        "scaleDown" scale_down: Option<ScalingRules>,
    }
}

object! {
    ScalingRules {
        "stabilizationWindowSeconds" stabilization_window_seconds: Option<u32>,
        "selectPolicy" select_policy: Option<SelectPolicy>,
        "policies" policies: Vec<ScalingPolicy>,
        "tolerance" tolerance: Option<Quantity>,
    }
}

words! {
    pub SelectPolicy {
        #[default]
        Max = "Max",
        Min = "Min",
        Disabled = "Disabled",
    }
}

object! {
    ScalingPolicy {
        "type" kind: ScalingPolicyType,
        "value" value: Positive,
        "periodSeconds" period_seconds: Positive,
    }
}

words! {
    pub ScalingPolicyType {
        #[default]
        Pods = "Pods",
        Percent = "Percent",
    }
}
