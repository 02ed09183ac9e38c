//! What `kube get`, `kube describe` and `kube rollout` print: kubectl's columns and words, made from values.
//!
//! Each row is filled in by whoever observed the object; nothing here asks anybody anything.

mod age;
mod columns;
mod describe;
mod events;
mod jsonpath;
mod object;
mod rollout;
mod rows;
mod table;

pub use age::age;
pub use columns::custom_columns;
pub use describe::{describe_object, describe_pod, describe_service, describe_workload};
pub use events::{Event, events, gather};
pub use jsonpath::{Path as JsonValuePath, Template as JsonPath};
pub use object::{
    job_status_value, list, object, object_json, object_yaml, pod_object, pod_status_value, service_object,
    workload_status_value,
};
pub use rollout::{Status as RolloutState, rollout_history, rollout_revision, rollout_status};
pub use rows::*;
pub use table::{Table, Widths};

#[cfg(test)]
mod tests;
