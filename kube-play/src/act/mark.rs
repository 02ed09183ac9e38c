//! By what a pod that was made is known again.

/// Annotations.
pub(super) const NAMESPACE: &str = "io.creel.kube/namespace";
pub(super) const NAME: &str = "io.creel.kube/name";
/// `Deployment/web`.
pub(super) const OWNER: &str = "io.creel.kube/owner";
/// The template's hash.
pub(super) const HASH: &str = "io.creel.kube/hash";
/// How many containers it has when it is whole.
pub(super) const CONTAINERS: &str = "io.creel.kube/containers";
pub(super) const INDEX: &str = "io.creel.kube/index";
/// Of a container that was added to look into its pod: its manifest.
pub(super) const EPHEMERAL: &str = "io.creel.kube/ephemeral";

pub(crate) fn is_mark(key: &str) -> bool {
    key.starts_with("io.creel.kube/")
}

/// A pod's uid: its id in the form of a UUID.
pub(super) fn uid(id: &str) -> String {
    let hex: String = id.chars().chain(std::iter::repeat('0')).take(32).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}
