//! What is known beside the manifests: stored objects, and facts of a pod that only its start decides.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{ConfigObject, ServicePlan};

/// The ConfigMaps, Secrets and Services that exist, by namespace and name.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    pub config_maps: BTreeMap<(String, String), ConfigObject>,
    pub secrets: BTreeMap<(String, String), ConfigObject>,
    pub services: BTreeMap<(String, String), ServicePlan>,
    /// The address each Service was given; headless ones have none.
    pub service_addresses: BTreeMap<(String, String), IpAddr>,
}

impl Objects {
    pub fn config_map(&self, namespace: &str, name: &str) -> Option<&ConfigObject> {
        self.config_maps.get(&(namespace.to_owned(), name.to_owned()))
    }

    pub fn secret(&self, namespace: &str, name: &str) -> Option<&ConfigObject> {
        self.secrets.get(&(namespace.to_owned(), name.to_owned()))
    }
}

/// What `fieldRef` and the volumes of a downward API can ask of a pod.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PodFacts {
    pub name: String,
    pub namespace: String,
    pub uid: String,
    /// Of the pod: the template's, and what a workload added.
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    pub service_account: String,
    /// The host's name.
    pub node: String,
    /// The pod's addresses, the first one first; empty while it has none.
    pub addresses: Vec<IpAddr>,
    pub host_addresses: Vec<IpAddr>,
    /// The machine's processors and memory: what `limits` are where none are set.
    pub cpus: u32,
    /// Bytes.
    pub memory: u64,
}
