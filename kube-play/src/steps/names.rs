//! What pods are called.

use std::collections::BTreeSet;

use crate::plan::{Kind, ObjectId};

/// A free name for a pod of `owner`. One of one is NAME-pod, as Podman calls it; one of several NAME-1 and up, the lowest
/// that is free. `taken` are the names of all pods of the namespace, those that are going too.
pub fn pod_name(owner: &ObjectId, replicas: u32, taken: &BTreeSet<String>) -> String {
    let single = (replicas <= 1 || owner.kind == Kind::DaemonSet).then(|| format!("{}-pod", owner.name));
    let numbered = (1..=u32::MAX).map(|number| format!("{}-{number}", owner.name));
    single.into_iter().chain(numbered).find(|name| !taken.contains(name)).unwrap_or_default()
}

/// What an object of a namespace is called in the store, where names have no scopes: its own name in `default`, else
/// NAMESPACE-NAME.
pub fn store_name(namespace: &str, name: &str) -> String {
    crate::plan::volume_name(namespace, name)
}
