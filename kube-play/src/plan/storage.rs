//! Claims: named volumes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Meta;
use crate::quantity::Quantity;

pub use crate::model::storage::AccessMode;

/// A PersistentVolumeClaim, which is a named volume of this machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VolumePlan {
    pub meta: Meta,
    /// What the volume is called in the store: the claim's name, with `NAMESPACE-` before it outside of `default`.
    pub volume: String,
    /// Recorded, not enforced.
    pub size: Option<Quantity>,
    pub access: Vec<AccessMode>,
    pub storage_class: Option<String>,
    /// The PersistentVolume it is bound to, and its directory on the host.
    pub bound: Option<BoundVolume>,
    /// Podman's annotations: the volume's driver, and its options `device`, `type`, `o`.
    pub driver: Option<String>,
    pub options: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundVolume {
    pub name: String,
    /// Absolute path on the host.
    pub path: String,
    pub kind: crate::model::HostPathType,
}

/// The volume's name in the store for a claim of a namespace.
pub fn volume_name(namespace: &str, claim: &str) -> String {
    match namespace {
        "default" | "" => claim.to_owned(),
        namespace => format!("{namespace}-{claim}"),
    }
}
