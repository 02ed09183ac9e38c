//! Jobs and CronJobs.

use super::pod::Owner;
use super::{At, Lowering};
use crate::model::{self, CompletionMode, ExitCodeOperator, JobSpec, ObjectMeta};
use crate::plan::{CronJobPlan, FailureRule, JobPlan, JobRun, Meta};
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
        // Without both, one pod does it; with parallelism alone it is a queue, which any success ends.
        let completions = match (spec.completions, spec.parallelism) {
            (None, None) => Some(1),
            (completions, _) => completions,
        };
        JobRun {
            template,
            completions,
            parallelism: spec.parallelism.unwrap_or(1),
            backoff_limit: spec.backoff_limit.unwrap_or(6),
            active_deadline: spec.active_deadline_seconds.map(|seconds| seconds.0),
            ttl: spec.ttl_seconds_after_finished,
            suspend: spec.suspend.unwrap_or(false),
            indexed,
            failure_rules,
        }
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
