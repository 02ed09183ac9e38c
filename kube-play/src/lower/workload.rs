//! Deployments, ReplicaSets, ReplicationControllers, DaemonSets, StatefulSets, autoscalers.

use std::collections::BTreeMap;

use super::pod::Owner;
use super::{At, Lowering};
use crate::model::{
    self, LabelSelector, PodTemplateSpec, RollingUpdate, SelectorOperator, SetStrategyType, StrategyType,
};
use crate::plan::{
    AutoscalerPlan, CountOrPercent, Kind, Meta, MetricName, MetricPlan, MetricTargetPlan, ObjectId, PodTemplate,
    Requirement, ScalingPolicyPlan, ScalingPolicyType, ScalingRulesPlan, SelectPolicy, Selector, StatefulPlan,
    UpdateStrategy, WorkloadPlan,
};

pub(super) fn selector(selector: &LabelSelector) -> Selector {
    Selector {
        labels: selector.match_labels.0.clone(),
        expressions: selector
            .match_expressions
            .iter()
            .map(|requirement| Requirement {
                key: requirement.key.clone(),
                operator: requirement.operator,
                values: requirement.values.clone(),
            })
            .collect(),
    }
}

/// What the five kinds have in common, as written.
struct Written<'a> {
    replicas: Option<u32>,
    selector: Selector,
    template: &'a PodTemplateSpec,
    min_ready: Option<u32>,
}

impl Lowering<'_> {
    fn workload(&mut self, written: Written<'_>, meta: Meta, at: &At<'_>) -> WorkloadPlan {
        let namespace = meta.id.namespace.clone();
        let template = self.template(written.template, &namespace, Owner::Workload, &at.keys("spec.template"));
        let mut selector = written.selector;
        if selector.is_empty() && meta.id.kind == Kind::ReplicationController {
            selector.labels.clone_from(&template.labels);
        }
        self.check_selector(&selector, &template, at);
        let one = meta.id.kind == Kind::DaemonSet;
        let replicas = self.options.replicas.filter(|_| !one).or(written.replicas);
        WorkloadPlan {
            replicas: replicas.unwrap_or(1),
            replicas_written: replicas.is_some() || one,
            selector,
            template,
            update: UpdateStrategy::OnDelete,
            min_ready: written.min_ready.unwrap_or(0),
            history_limit: 10,
            progress_deadline: None,
            paused: false,
            stateful: None,
            meta,
        }
    }

    fn check_selector(&mut self, selector: &Selector, template: &PodTemplate, at: &At<'_>) {
        for (index, requirement) in selector.expressions.iter().enumerate() {
            let at = at.keys("spec.selector.matchExpressions").index(index).key("values");
            let list = matches!(requirement.operator, SelectorOperator::In | SelectorOperator::NotIn);
            match (list, requirement.values.is_empty()) {
                (true, true) => self.wrong(&at, format!("is required with operator {}", requirement.operator)),
                (false, false) => self.wrong(&at, format!("must be empty with operator {}", requirement.operator)),
                (true, false) | (false, true) => {}
            }
        }
        if selector.is_empty() {
            self.wrong(&at.keys("spec.selector"), "must choose by at least one label");
        } else if !selector.matches(&template.labels) {
            let labels = template.labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>();
            let labels = if labels.is_empty() { "none".to_owned() } else { labels.join(",") };
            let text = format!("selector {selector} does not match the template's labels: {labels}");
            self.wrong(&at.keys("spec.template.metadata.labels"), text);
        }
    }

    pub(super) fn deployment(&mut self, object: &model::Deployment, meta: Meta, at: &At<'_>) -> WorkloadPlan {
        let spec = &object.spec;
        let written = Written {
            replicas: spec.replicas,
            selector: selector(&spec.selector),
            template: &spec.template,
            min_ready: spec.min_ready_seconds,
        };
        let mut plan = self.workload(written, meta, at);
        let strategy_at = at.keys("spec.strategy");
        let (kind, rolling) = match &spec.strategy {
            Some(strategy) => (strategy.kind.unwrap_or_default(), strategy.rolling_update.as_ref()),
            None => (StrategyType::RollingUpdate, None),
        };
        plan.update = match kind {
            StrategyType::Recreate => {
                if rolling.is_some() {
                    self.wrong(&strategy_at.key("rollingUpdate"), "must not be set where type is \"Recreate\"");
                }
                UpdateStrategy::Recreate
            }
            StrategyType::RollingUpdate => self.rolling(rolling, &plan, &strategy_at),
        };
        plan.history_limit = spec.revision_history_limit.unwrap_or(10);
        plan.progress_deadline = Some(spec.progress_deadline_seconds.unwrap_or(600));
        plan.paused = spec.paused.unwrap_or(false);
        if plan.progress_deadline.is_some_and(|deadline| deadline <= plan.min_ready) {
            self.wrong(&at.keys("spec.progressDeadlineSeconds"), "must be greater than minReadySeconds");
        }
        plan
    }

    /// With the shares of Kubernetes: a quarter more, a quarter less.
    fn rolling(&mut self, rolling: Option<&RollingUpdate>, plan: &WorkloadPlan, at: &At<'_>) -> UpdateStrategy {
        let quarter = CountOrPercent::Percent(25);
        let surge = rolling.and_then(|rolling| rolling.max_surge);
        let unavailable = rolling.and_then(|rolling| rolling.max_unavailable);
        let (max_surge, max_unavailable) = (surge.unwrap_or(quarter), unavailable.unwrap_or(quarter));
        let zero = |share: CountOrPercent| share.of_up(100) == 0;
        if zero(max_surge) && zero(max_unavailable) {
            self.wrong(&at.keys("rollingUpdate.maxUnavailable"), "must not be 0 where maxSurge is 0");
        }
        if matches!(max_unavailable, CountOrPercent::Percent(101..)) {
            self.wrong(&at.keys("rollingUpdate.maxUnavailable"), "must not be more than 100%");
        }
        if !plan.template.ports.is_empty() && !zero(max_surge) {
            // A second pod could not have the port: the old one goes first.
            if surge.is_some() {
                self.warn(&at.keys("rollingUpdate.maxSurge"), "has no effect here: two pods cannot have one hostPort");
            }
            let max_unavailable =
                if max_unavailable.of_down(plan.replicas) == 0 { CountOrPercent::Count(1) } else { max_unavailable };
            return UpdateStrategy::RollingUpdate { max_surge: CountOrPercent::Count(0), max_unavailable };
        }
        UpdateStrategy::RollingUpdate { max_surge, max_unavailable }
    }

    pub(super) fn replica_set(&mut self, object: &model::ReplicaSet, meta: Meta, at: &At<'_>) -> WorkloadPlan {
        let spec = &object.spec;
        let written = Written {
            replicas: spec.replicas,
            selector: selector(&spec.selector),
            template: &spec.template,
            min_ready: spec.min_ready_seconds,
        };
        self.workload(written, meta, at)
    }

    pub(super) fn replication_controller(
        &mut self,
        object: &model::ReplicationController,
        meta: Meta,
        at: &At<'_>,
    ) -> WorkloadPlan {
        let spec = &object.spec;
        let labels = spec.selector.as_ref().map(|labels| labels.0.clone()).unwrap_or_default();
        let written = Written {
            replicas: spec.replicas,
            selector: Selector { labels, expressions: Vec::new() },
            template: &spec.template,
            min_ready: spec.min_ready_seconds,
        };
        self.workload(written, meta, at)
    }

    pub(super) fn daemon_set(&mut self, object: &model::DaemonSet, meta: Meta, at: &At<'_>) -> WorkloadPlan {
        let spec = &object.spec;
        let written = Written {
            replicas: None,
            selector: selector(&spec.selector),
            template: &spec.template,
            min_ready: spec.min_ready_seconds,
        };
        let mut plan = self.workload(written, meta, at);
        plan.history_limit = spec.revision_history_limit.unwrap_or(10);
        let strategy = spec.update_strategy.as_ref();
        plan.update = match strategy.and_then(|strategy| strategy.kind).unwrap_or_default() {
            SetStrategyType::OnDelete => UpdateStrategy::OnDelete,
            SetStrategyType::RollingUpdate => {
                let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
                UpdateStrategy::RollingUpdate {
                    max_surge: rolling.and_then(|rolling| rolling.max_surge).unwrap_or(CountOrPercent::Count(0)),
                    max_unavailable: rolling
                        .and_then(|rolling| rolling.max_unavailable)
                        .unwrap_or(CountOrPercent::Count(1)),
                }
            }
        };
        plan
    }

    pub(super) fn stateful_set(&mut self, object: &model::StatefulSet, meta: Meta, at: &At<'_>) -> WorkloadPlan {
        let spec = &object.spec;
        let namespace = meta.id.namespace.clone();
        let mut claims = Vec::new();
        let mut names = BTreeMap::new();
        for (index, claim) in spec.volume_claim_templates.iter().enumerate() {
            let at = at.keys("spec.volumeClaimTemplates").index(index);
            let name = claim.metadata.as_ref().and_then(|metadata| metadata.name.clone()).unwrap_or_default();
            if let Err(rule) = crate::names::label(&name) {
                self.wrong(&at.keys("metadata.name"), format!("{name:?} is not valid: {rule}"));
            }
            if names.insert(name.clone(), ()).is_some() {
                self.wrong(&at.keys("metadata.name"), format!("{name:?} is there twice"));
            }
            claims.push(self.claim_template(claim, &name, &namespace, &at));
        }
        // They are volumes of its pods.
        self.claim_volumes = names.into_keys().collect();
        let written = Written {
            replicas: spec.replicas,
            selector: selector(&spec.selector),
            template: &spec.template,
            min_ready: spec.min_ready_seconds,
        };
        let mut plan = self.workload(written, meta, at);
        self.claim_volumes.clear();
        if let Some(name) = spec.service_name.as_ref() {
            self.refer(Kind::Service, &namespace, name, &at.keys("spec.serviceName"));
        }
        // Each pod has a name of its own under that Service.
        plan.template.subdomain = spec.service_name.as_ref().map(|name| name.to_string()).or(plan.template.subdomain);
        plan.history_limit = spec.revision_history_limit.unwrap_or(10);
        let strategy = spec.update_strategy.as_ref();
        plan.update = match strategy.and_then(|strategy| strategy.kind).unwrap_or_default() {
            SetStrategyType::OnDelete => UpdateStrategy::OnDelete,
            SetStrategyType::RollingUpdate => {
                let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
                UpdateStrategy::Ordinal {
                    partition: rolling.and_then(|rolling| rolling.partition).unwrap_or(0),
                    max_unavailable: rolling
                        .and_then(|rolling| rolling.max_unavailable)
                        .unwrap_or(CountOrPercent::Count(1)),
                }
            }
        };
        let retention = spec.retention.as_ref();
        plan.stateful = Some(StatefulPlan {
            service: spec.service_name.as_ref().map(|name| name.to_string()),
            claims,
            management: spec.pod_management_policy.unwrap_or_default(),
            start: spec.ordinals.as_ref().and_then(|ordinals| ordinals.start).unwrap_or(0),
            when_deleted: retention.and_then(|retention| retention.when_deleted).unwrap_or_default(),
            when_scaled: retention.and_then(|retention| retention.when_scaled).unwrap_or_default(),
        });
        plan
    }

    pub(super) fn autoscaler(
        &mut self,
        object: &model::HorizontalPodAutoscaler,
        meta: Meta,
        at: &At<'_>,
    ) -> Option<AutoscalerPlan> {
        let spec = &object.spec;
        let at = at.key("spec");
        let (least, most) = (spec.min_replicas.map_or(1, |number| number.0), spec.max_replicas.0);
        if most < least {
            self.wrong(&at.key("maxReplicas"), "must be greater than or equal to minReplicas");
        }
        let target_at = at.key("scaleTargetRef");
        let kind = Kind::ALL.into_iter().find(|kind| kind.word() == spec.scale_target_ref.kind).filter(|kind| {
            matches!(kind, Kind::Deployment | Kind::ReplicaSet | Kind::ReplicationController | Kind::StatefulSet)
        });
        let Some(kind) = kind else {
            let text = format!("a {} cannot be scaled", spec.scale_target_ref.kind);
            self.wrong(&target_at.key("kind"), text);
            return None;
        };
        let name = spec.scale_target_ref.name.to_string();
        self.refer(kind, &meta.id.namespace, &name, &target_at.key("name"));
        let target = ObjectId::new(kind, &meta.id.namespace, &name);
        let mut metrics = Vec::new();
        for (index, metric) in spec.metrics.iter().enumerate() {
            let at = at.key("metrics").index(index);
            let kind = metric.kind.unwrap_or_default();
            if kind != model::MetricType::Resource {
                // Where its own field is written, that was refused with the reason.
                if !at.key(kind.field()).written() {
                    let hint = "write type: Resource";
                    self.unsupported_with(&at.key("type"), "only cpu and memory are measured", Some(hint));
                }
                continue;
            }
            let at = at.key("resource");
            let Some(resource) = &metric.resource else {
                self.wrong(&at, "is required");
                continue;
            };
            let at = at.key("target");
            let target =
                match (resource.target.kind, &resource.target.average_utilization, &resource.target.average_value) {
                    (model::MetricTargetType::Utilization, Some(percent), None) => {
                        MetricTargetPlan::Utilization(percent.0)
                    }
                    (model::MetricTargetType::AverageValue, None, Some(value)) => {
                        MetricTargetPlan::Value(value.clone())
                    }
                    (model::MetricTargetType::Utilization, _, _) => {
                        self.wrong(&at, "must have averageUtilization, and nothing else");
                        continue;
                    }
                    (model::MetricTargetType::AverageValue, _, _) => {
                        self.wrong(&at, "must have averageValue, and nothing else");
                        continue;
                    }
                };
            metrics.push(MetricPlan { resource: resource.name, target });
        }
        if let Some(percent) = spec.target_cpu {
            metrics.push(MetricPlan { resource: MetricName::Cpu, target: MetricTargetPlan::Utilization(percent.0) });
        }
        if metrics.is_empty() && spec.metrics.is_empty() {
            metrics.push(MetricPlan { resource: MetricName::Cpu, target: MetricTargetPlan::Utilization(80) });
        }
        self.check_requests(&target, &metrics, &target_at);
        let behavior = spec.behavior.as_ref();
        let up = behavior.and_then(|behavior| behavior.scale_up.as_ref());
        let down = behavior.and_then(|behavior| behavior.scale_down.as_ref());
        let quick = |kind, value| ScalingPolicyPlan { kind, value, period: 15 };
        Some(AutoscalerPlan {
            meta,
            target,
            least,
            most,
            metrics,
            up: rules(up, 0, vec![quick(ScalingPolicyType::Percent, 100), quick(ScalingPolicyType::Pods, 4)]),
            down: rules(down, 300, vec![quick(ScalingPolicyType::Percent, 100)]),
        })
    }

    /// A share of what is requested needs a request.
    fn check_requests(&mut self, target: &ObjectId, metrics: &[MetricPlan], at: &At<'_>) {
        let Some(workload) = self.plan.workloads.iter().find(|workload| workload.meta.id == *target) else { return };
        let mut texts = Vec::new();
        for metric in metrics.iter().filter(|metric| matches!(metric.target, MetricTargetPlan::Utilization(_))) {
            for container in &workload.template.containers {
                if !container.requests.contains_key(metric.resource.word()) {
                    texts.push(format!("container {:?} of {target} requests no {}", container.name, metric.resource));
                }
            }
        }
        for text in texts {
            self.wrong(at, format!("has no utilization: {text}"));
        }
    }
}

fn rules(written: Option<&model::ScalingRules>, window: u32, policies: Vec<ScalingPolicyPlan>) -> ScalingRulesPlan {
    let own: Vec<ScalingPolicyPlan> = written
        .map(|rules| rules.policies.as_slice())
        .unwrap_or_default()
        .iter()
        .map(|policy| ScalingPolicyPlan { kind: policy.kind, value: policy.value.0, period: policy.period_seconds.0 })
        .collect();
    ScalingRulesPlan {
        window: written.and_then(|rules| rules.stabilization_window_seconds).unwrap_or(window),
        select: written.and_then(|rules| rules.select_policy).unwrap_or(SelectPolicy::Max),
        policies: if own.is_empty() { policies } else { own },
        tolerance: written.and_then(|rules| rules.tolerance.as_ref()).map_or(100, |tolerance| tolerance.millis()),
    }
}
