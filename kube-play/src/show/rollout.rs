//! `kube rollout status` and `kube rollout history`.

use crate::generate::yaml;
use crate::history::{History, Revision};
use crate::plan::{Kind, UpdateStrategy, WorkloadPlan};
use crate::steps::{Progress, WorkloadStatus};

/// What `rollout status` says now, and whether it goes on watching.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    Done(String),
    Waiting(String),
    /// It ends with an error.
    Failed(String),
}

/// kubectl's sentences.
pub fn rollout_status(plan: &WorkloadPlan, status: &WorkloadStatus) -> Status {
    let name = &plan.meta.id.name;
    let WorkloadStatus { desired, current, updated, ready, available, progress } = *status;
    match plan.meta.id.kind {
        _ if matches!(plan.update, UpdateStrategy::OnDelete) => {
            Status::Failed("rollout status is only available for RollingUpdate strategy type".to_owned())
        }
        Kind::DaemonSet => {
            let wait = format!("Waiting for daemon set \"{name}\" rollout to finish: ");
            match () {
                () if updated < desired => {
                    Status::Waiting(format!("{wait}{updated} out of {desired} new pods have been updated..."))
                }
                () if available < desired => {
                    Status::Waiting(format!("{wait}{available} of {desired} updated pods are available..."))
                }
                () => Status::Done(format!("daemon set \"{name}\" successfully rolled out")),
            }
        }
        Kind::StatefulSet => stateful(plan, status),
        _ => {
            let wait = format!("Waiting for deployment \"{name}\" rollout to finish: ");
            let old = current.saturating_sub(updated);
            match () {
                () if progress == Progress::DeadlineExceeded => {
                    Status::Failed(format!("deployment \"{name}\" exceeded its progress deadline"))
                }
                () if updated < desired => {
                    Status::Waiting(format!("{wait}{updated} out of {desired} new replicas have been updated..."))
                }
                () if old > 0 => Status::Waiting(format!("{wait}{old} old replicas are pending termination...")),
                () if available.min(ready) < updated => {
                    Status::Waiting(format!("{wait}{available} of {updated} updated replicas are available..."))
                }
                () => Status::Done(format!("deployment \"{name}\" successfully rolled out")),
            }
        }
    }
}

fn stateful(plan: &WorkloadPlan, status: &WorkloadStatus) -> Status {
    let WorkloadStatus { desired, updated, ready, .. } = *status;
    if ready < desired {
        return Status::Waiting(format!("Waiting for {} pods to be ready...", desired - ready));
    }
    let hash = &plan.template.hash;
    match plan.update {
        UpdateStrategy::Ordinal { partition, .. } if partition > 0 => {
            let wanted = desired.saturating_sub(partition);
            match updated < wanted {
                true => Status::Waiting(format!(
                    "Waiting for partitioned roll out to finish: {updated} out of {wanted} new pods have been updated..."
                )),
                false => {
                    Status::Done(format!("partitioned roll out complete: {updated} new pods have been updated..."))
                }
            }
        }
        _ if updated < desired => Status::Waiting(format!(
            "waiting for statefulset rolling update to complete {updated} pods at revision {}-{hash}...",
            plan.meta.id.name
        )),
        _ => Status::Done(format!(
            "statefulset rolling update complete {desired} pods at revision {}-{hash}...",
            plan.meta.id.name
        )),
    }
}

/// The numbers and why each was made.
pub fn rollout_history(plan: &WorkloadPlan, history: &History) -> String {
    let mut text = format!("{} \nREVISION  CHANGE-CAUSE\n", plan.meta.id.resource());
    for revision in &history.revisions {
        text.push_str(&format!("{:<10}{}\n", revision.number, revision.cause.as_deref().unwrap_or("<none>")));
    }
    text
}

/// One revision's template.
pub fn rollout_revision(plan: &WorkloadPlan, revision: &Revision) -> String {
    let template = yaml::text(&revision.manifest);
    let template: String = template.lines().map(|line| format!("  {line}\n")).collect();
    format!("{} with revision #{}\nPod Template:\n{template}", plan.meta.id.resource(), revision.number)
}
