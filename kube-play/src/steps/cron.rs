//! CronJobs: a Job by the clock.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::seconds;
use crate::plan::{ConcurrencyPolicy, CronJobPlan};

/// A Job that a CronJob made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedJob {
    pub name: String,
    pub started: Timestamp,
    /// When it ended, and whether well.
    pub ended: Option<(Timestamp, bool)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CronAction {
    Start {
        name: String,
        scheduled: Timestamp,
    },
    /// It is replaced, or beyond the history's limits.
    Delete {
        name: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CronStep {
    pub actions: Vec<CronAction>,
    /// The start that was carried out last; to be kept.
    pub last: Option<Timestamp>,
    pub wake: Option<Timestamp>,
    /// A start that was left out, for the log.
    pub missed: Option<Timestamp>,
}

/// One step of a CronJob. `created`: when it was first played; `last`: what the last step returned.
pub fn cron(
    plan: &CronJobPlan,
    created: Timestamp,
    last: Option<Timestamp>,
    jobs: &[ObservedJob],
    zone: &TimeZone,
    now: Timestamp,
) -> CronStep {
    let mut step = CronStep { actions: Vec::new(), last, wake: None, missed: None };
    history(plan, jobs, &mut step.actions);
    if plan.suspend {
        return step;
    }
    // Only the latest of the starts that are due counts; those that were missed meanwhile are not made up for.
    let mut since = last.unwrap_or(created).max(created);
    step.wake = plan.schedule.upcoming(since, now, zone);
    if let Some(deadline) = plan.starting_deadline {
        let earliest = now.checked_sub(jiff::SignedDuration::from_secs(i64::from(deadline) + 60)).unwrap_or(since);
        since = since.max(earliest);
    }
    let Some(due) = plan.schedule.latest(since, now, zone) else { return step };
    let too_late = plan.starting_deadline.is_some_and(|deadline| seconds(due, now) > i64::from(deadline));
    let active: Vec<&ObservedJob> = jobs.iter().filter(|job| job.ended.is_none()).collect();
    let name = format!("{}-{}", plan.meta.id.name, due.as_second().div_euclid(60));
    if too_late || jobs.iter().any(|job| job.name == name) {
        step.missed = too_late.then_some(due);
        step.last = Some(due);
        return step;
    }
    match plan.concurrency {
        // It starts as soon as the other has ended, if it is not too late then.
        ConcurrencyPolicy::Forbid if !active.is_empty() => {
            step.missed = Some(due);
            return step;
        }
        ConcurrencyPolicy::Replace => {
            step.actions.extend(active.iter().map(|job| CronAction::Delete { name: job.name.clone() }));
        }
        ConcurrencyPolicy::Allow | ConcurrencyPolicy::Forbid => {}
    }
    step.actions.push(CronAction::Start { name, scheduled: due });
    step.last = Some(due);
    step
}

/// The oldest ended Jobs beyond the limits go.
fn history(plan: &CronJobPlan, jobs: &[ObservedJob], actions: &mut Vec<CronAction>) {
    for (well, limit) in [(true, plan.successful_limit), (false, plan.failed_limit)] {
        let mut ended: Vec<(Timestamp, &ObservedJob)> =
            jobs.iter().filter_map(|job| job.ended.filter(|(_, how)| *how == well).map(|(at, _)| (at, job))).collect();
        ended.sort_by(|left, right| right.0.cmp(&left.0).then_with(|| right.1.name.cmp(&left.1.name)));
        let excess = ended.into_iter().skip(limit as usize);
        actions.extend(excess.map(|(_, job)| CronAction::Delete { name: job.name.clone() }));
    }
}
