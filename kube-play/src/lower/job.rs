//! Jobs and CronJobs.

use super::pod::Owner;
use super::{At, Lowering};
use crate::model::{self, CompletionMode, ExitCodeOperator, JobSpec, ObjectMeta};
use crate::plan::{CronJobPlan, FailureAction, FailureRule, Indexes, JobPlan, JobRun, Meta, PodTemplate, SuccessRule};
use crate::schedule::Schedule;

impl Lowering<'_> {
    pub(super) fn job(&mut self, job: &model::Job, meta: Meta, at: &At<'_>) -> JobPlan {
        let run = self.run(&job.spec, &meta.id.namespace, &at.key("spec"));
        JobPlan { meta, run }
    }

    fn run(&mut self, spec: &JobSpec, namespace: &str, at: &At<'_>) -> JobRun {
        let template = self.template(&spec.template, namespace, Owner::Job, &at.key("template"));
        let indexed = spec.completion_mode.unwrap_or_default() == CompletionMode::Indexed;
        if indexed && spec.completions.is_none() {
            self.wrong(&at.key("completions"), "is required where completionMode is \"Indexed\"");
        }
        let mut failure_rules = Vec::new();
        let rules = spec.pod_failure_policy.as_ref().map(|policy| policy.rules.as_slice()).unwrap_or_default();
        for (index, rule) in rules.iter().enumerate() {
            let at = at.keys("podFailurePolicy.rules").index(index);
            if rule.action == FailureAction::FailIndex && spec.backoff_limit_per_index.is_none() {
                self.wrong(&at.key("action"), "needs backoffLimitPerIndex");
            }
            let Some(codes) = &rule.on_exit_codes else { continue };
            if let Some(name) = &codes.container_name
                && !template.all_containers().any(|container| container.name == **name)
            {
                let text = format!("the pod has no container {:?}", &**name);
                self.wrong(&at.keys("onExitCodes.containerName"), text);
            }
            if codes.values.is_empty() {
                self.wrong(&at.keys("onExitCodes.values"), "is required");
            }
            if codes.operator == ExitCodeOperator::In && codes.values.contains(&0) {
                self.wrong(&at.keys("onExitCodes.values"), "must not contain 0: that is no failure");
            }
            failure_rules.push(FailureRule {
                action: rule.action,
                container: codes.container_name.as_ref().map(|name| name.to_string()),
                codes: codes.values.clone(),
                inverted: codes.operator == ExitCodeOperator::NotIn,
            });
        }
        if !rules.is_empty() && template.restart != model::PodRestartPolicy::Never {
            let text = "needs restartPolicy: Never in the template";
            self.wrong(&at.key("podFailurePolicy"), text);
        }
        let per_index = spec.backoff_limit_per_index;
        self.per_index(spec, indexed, &template, at);
        let success_rules = self.success_rules(spec, indexed, &at.key("successPolicy"));
        // Without both, one pod does it; with parallelism alone it is a queue, which any success ends.
        let completions = match (spec.completions, spec.parallelism) {
            (None, None) => Some(1),
            (completions, _) => completions,
        };
        JobRun {
            template,
            completions,
            parallelism: spec.parallelism.unwrap_or(1),
            backoff_limit: spec.backoff_limit.unwrap_or(if per_index.is_some() { u32::MAX } else { 6 }),
            active_deadline: spec.active_deadline_seconds.map(|seconds| seconds.0),
            ttl: spec.ttl_seconds_after_finished,
            suspend: spec.suspend.unwrap_or(false),
            indexed,
            failure_rules,
            backoff_limit_per_index: per_index,
            max_failed_indexes: spec.max_failed_indexes,
            success_rules,
        }
    }

    /// What Kubernetes asks of a Job whose indexes fail by themselves.
    fn per_index(&mut self, spec: &JobSpec, indexed: bool, template: &PodTemplate, at: &At<'_>) {
        if spec.backoff_limit_per_index.is_some() {
            let at = at.key("backoffLimitPerIndex");
            if !indexed {
                self.wrong(&at, "needs completionMode: Indexed");
            } else if template.restart != model::PodRestartPolicy::Never {
                self.wrong(&at, "needs restartPolicy: Never in the template");
            }
        }
        if let Some(most) = spec.max_failed_indexes {
            let at = at.key("maxFailedIndexes");
            if spec.backoff_limit_per_index.is_none() {
                self.wrong(&at, "needs backoffLimitPerIndex");
            } else if spec.completions.is_some_and(|completions| most > completions) {
                self.wrong(&at, "must be at most completions");
            }
        }
    }

    fn success_rules(&mut self, spec: &JobSpec, indexed: bool, at: &At<'_>) -> Vec<SuccessRule> {
        let Some(policy) = &spec.success_policy else { return Vec::new() };
        if !indexed {
            self.wrong(at, "needs completionMode: Indexed");
        }
        if policy.rules.is_empty() {
            self.wrong(&at.key("rules"), "is required");
        }
        let completions = spec.completions.unwrap_or(0);
        let mut rules = Vec::new();
        for (index, rule) in policy.rules.iter().enumerate() {
            let at = at.key("rules").index(index);
            let indexes = rule.succeeded_indexes.as_deref().map(|text| Indexes::parse(text, completions)).transpose();
            let indexes = indexes.unwrap_or_else(|text| {
                self.wrong(&at.key("succeededIndexes"), text);
                None
            });
            let most = indexes.as_ref().map_or(completions, Indexes::count);
            match rule.succeeded_count {
                Some(count) if count.0 > most => {
                    self.wrong(&at.key("succeededCount"), format!("must be at most {most}, and is {}", count.0));
                }
                None if rule.succeeded_indexes.is_none() => {
                    self.wrong(&at, "must have succeededIndexes or succeededCount");
                }
                _ => {}
            }
            rules.push(SuccessRule { indexes, count: rule.succeeded_count.map(|count| count.0) });
        }
        rules
    }

    pub(super) fn cron_job(&mut self, job: &model::CronJob, meta: Meta, at: &At<'_>) -> Option<CronJobPlan> {
        let spec = &job.spec;
        let at = at.key("spec");
        let run = self.run(&spec.job_template.spec, &meta.id.namespace, &at.keys("jobTemplate.spec"));
        let schedule = match Schedule::parse(&spec.schedule, spec.time_zone.as_deref()) {
            Ok(schedule) => schedule,
            Err(text) => {
                self.wrong(&at.key("schedule"), text);
                return None;
            }
        };
        if let Err(text) = schedule.zone() {
            self.wrong(&at.key("timeZone"), text);
        }
        let metadata: Option<&ObjectMeta> = spec.job_template.metadata.as_ref();
        Some(CronJobPlan {
            meta,
            schedule,
            concurrency: spec.concurrency_policy.unwrap_or_default(),
            suspend: spec.suspend.unwrap_or(false),
            starting_deadline: spec.starting_deadline_seconds,
            successful_limit: spec.successful_jobs_history_limit.unwrap_or(3),
            failed_limit: spec.failed_jobs_history_limit.unwrap_or(1),
            labels: metadata.map(|metadata| metadata.labels.0.clone()).unwrap_or_default(),
            annotations: metadata.map(|metadata| metadata.annotations.0.clone()).unwrap_or_default(),
            run,
        })
    }
}
