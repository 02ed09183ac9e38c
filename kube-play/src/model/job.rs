//! What runs to an end, once or by the clock.

use super::{ObjectMeta, PodTemplateSpec};
use crate::decode::{Label, Positive, object, words};

object! {
    /// Pods that run until enough of them have succeeded.
    Job {
        "metadata" metadata: ObjectMeta,
        "spec" spec: JobSpec,
    }
    quiet { "apiVersion", "kind", "status", }
}

object! {
    JobSpec {
        "template" template: PodTemplateSpec,
        "completions" completions: Option<u32>,
        "parallelism" parallelism: Option<u32>,
        "backoffLimit" backoff_limit: Option<u32>,
        "activeDeadlineSeconds" active_deadline_seconds: Option<Positive>,
        "ttlSecondsAfterFinished" ttl_seconds_after_finished: Option<u32>,
        "suspend" suspend: Option<bool>,
        "completionMode" completion_mode: Option<CompletionMode>,
        "podFailurePolicy" pod_failure_policy: Option<PodFailurePolicy>,
        /// Retries of each index, which fails by itself then; of an indexed Job only. `backoffLimit` is without bound
        /// beside it where none is written.
        "backoffLimitPerIndex" backoff_limit_per_index: Option<u32>,
        /// More failed indexes than these fail the Job at once.
        "maxFailedIndexes" max_failed_indexes: Option<u32>,
        /// Of an indexed Job: the first rule that is met ends it well, its other pods are taken down.
        "successPolicy" success_policy: Option<SuccessPolicy>,
    }
    no_effect {
        /// failed pods are replaced when they are over
        "podReplacementPolicy",
    }
    quiet { "selector", "manualSelector", }
    refused {
        /// creel itself keeps Jobs
        "managedBy",
    }
}

words! {
    pub(crate) CompletionMode {
        #[default]
        NonIndexed = "NonIndexed",
        Indexed = "Indexed",
    }
}

object! {
    SuccessPolicy {
        "rules" rules: Vec<SuccessRule>,
    }
}

object! {
    SuccessRule {
        /// As `0,2-5`; none: all.
        "succeededIndexes" succeeded_indexes: Option<String>,
        /// How many of them; none: all.
        "succeededCount" succeeded_count: Option<Positive>,
    }
}

object! {
    PodFailurePolicy {
        "rules" rules: Vec<PodFailureRule>,
    }
}

object! {
    PodFailureRule {
        "action" action: FailureAction,
        "onExitCodes" on_exit_codes: Option<ExitCodeRule>,
    }
    no_effect {
        /// nothing evicts pods here
        "onPodConditions",
    }
}

words! {
    pub FailureAction {
        #[default]
        Count = "Count",
        Ignore = "Ignore",
        FailJob = "FailJob",
        FailIndex = "FailIndex",
    }
}

object! {
    ExitCodeRule {
        "containerName" container_name: Option<Label>,
        "operator" operator: ExitCodeOperator,
        "values" values: Vec<i32>,
    }
}

words! {
    pub(crate) ExitCodeOperator {
        #[default]
        In = "In",
        NotIn = "NotIn",
    }
}

object! {
    /// A Job by the clock.
    CronJob {
        "metadata" metadata: ObjectMeta,
        "spec" spec: CronJobSpec,
    }
    quiet { "apiVersion", "kind", "status", }
}

object! {
    CronJobSpec {
        /// Five fields, or `@hourly` and the like.
        "schedule" schedule: String,
        /// As `Europe/Berlin`; the machine's zone where none is written.
        "timeZone" time_zone: Option<String>,
        "concurrencyPolicy" concurrency_policy: Option<ConcurrencyPolicy>,
        "suspend" suspend: Option<bool>,
        "startingDeadlineSeconds" starting_deadline_seconds: Option<u32>,
        "successfulJobsHistoryLimit" successful_jobs_history_limit: Option<u32>,
        "failedJobsHistoryLimit" failed_jobs_history_limit: Option<u32>,
        "jobTemplate" job_template: JobTemplate,
    }
}

words! {
    pub ConcurrencyPolicy {
        #[default]
        Allow = "Allow",
        Forbid = "Forbid",
        Replace = "Replace",
    }
}

object! {
    JobTemplate {
        "metadata" metadata: Option<ObjectMeta>,
        "spec" spec: JobSpec,
    }
}
