//! Claims: named volumes.

use std::collections::BTreeMap;
use std::path::PathBuf;

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
    /// Podman's annotations: the volume's driver, and its options `device`, `type`, `o`, `image`.
    pub driver: Option<String>,
    pub options: BTreeMap<String, String>,
    /// The archive whose content a new volume has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub import: Option<PathBuf>,
}

impl VolumePlan {
    /// Nothing is said about its content: it begins empty.
    pub(crate) fn is_plain(&self) -> bool {
        self.bound.is_none() && self.driver.is_none() && self.options.is_empty() && self.import.is_none()
    }

    /// The image whose files are the volume's.
    pub fn image(&self) -> Option<&str> {
        self.options.get("image").map(String::as_str)
    }
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
