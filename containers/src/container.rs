//! A container as it is on disk: `container.json`, written by `create`, and `state.json`, replaced by its monitor.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use storage::Digest;
use sys::process::Process;

use crate::id::ContainerId;
use crate::spec::{ContainerSpec, HealthSpec, Remove};
use crate::state::State;

/// A container: what it is meant to be and how it is now.
#[derive(Clone, Debug)]
pub struct Container {
    pub record: Record,
    pub status: Status,
}

impl Container {
    pub fn id(&self) -> &ContainerId {
        &self.record.id
    }

    pub fn name(&self) -> &str {
        &self.record.name
    }

    pub fn spec(&self) -> &ContainerSpec {
        &self.record.spec
    }

    pub fn state(&self) -> &State {
        &self.status.state
    }

    /// Whether its files need not outlive a crash of the host.
    pub(crate) fn is_volatile(&self) -> bool {
        self.spec().remove != Remove::Nothing || self.record.builder.is_some()
    }
}

/// `container.json`, version 1. Replaced only by `rename`, `update`, `connect`, the update of its pod, [`crate::replace`] and
/// builds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub id: ContainerId,
    pub name: String,
    pub created: Timestamp,
    /// Most of a container's size; a list of them is sorted and moved.
    #[serde(serialize_with = "storage::record::without_defaults")]
    pub spec: Box<ContainerSpec>,
    #[serde(serialize_with = "ImageDefaults::without_defaults")]
    pub image: Option<ImageDefaults>,
    /// Volumes that belong to this container alone, removed with it by `rm -v` and `--rm`.
    #[serde(default)]
    pub anonymous_volumes: Vec<String>,
    /// The user namespace's map it was made under (`full` or `single`): files on disk fit only that.
    #[serde(default)]
    pub single_id: bool,
    /// The process that builds an image in it. Such a container is in no list of the user's, and goes with that process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub builder: Option<Process>,
    /// Another container is taking its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired: Option<Retired>,
}

/// What a container comes back to where the one that takes its place does not run well.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Retired {
    /// Its name, which the other one is to have.
    pub name: String,
    pub by: ContainerId,
}

/// What the image says, copied so that a start reads one file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageDefaults {
    pub id: String,
    pub digest: Option<Digest>,
    /// The name it was found by.
    pub name: String,
    /// Chain ids, bottom first.
    pub layers: Vec<Digest>,
    pub env: Vec<String>,
    pub entrypoint: Vec<String>,
    pub cmd: Vec<String>,
    pub user: Option<String>,
    pub workdir: Option<String>,
    pub volumes: Vec<String>,
    pub exposed_ports: Vec<String>,
    pub stop_signal: Option<String>,
    pub labels: BTreeMap<String, String>,
    pub health: Option<HealthSpec>,
    pub architecture: String,
    pub os: String,
}

impl ImageDefaults {
    fn without_defaults<S: serde::Serializer>(image: &Option<Self>, serializer: S) -> Result<S::Ok, S::Error> {
        match image {
            Some(image) => storage::record::without_defaults(image, serializer),
            None => serializer.serialize_none(),
        }
    }
}

/// `state.json`, version 1. Only the monitor writes `Running` and `Exited`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    #[serde(flatten)]
    pub state: State,
    /// Restarts by policy since the last start by hand.
    #[serde(default)]
    pub restarts: u32,
    /// What the container got on the network, while it runs.
    #[serde(default)]
    pub network: Option<NetworkStatus>,
    /// The cgroup it is in, relative to the cgroup v2 mount.
    #[serde(default)]
    pub cgroup: Option<PathBuf>,
    /// The home directory of its user, as the last start found it.
    #[serde(default)]
    pub home: Option<String>,
    /// The monitor that will start it again after a pause, by restart policy. SIGTERM makes it give up.
    #[serde(default)]
    pub restarting: Option<Process>,
    /// The previous run's exit, kept while it runs again.
    #[serde(default)]
    pub last_exit: Option<crate::state::Exit>,
    /// Why the last start by hand failed, until one succeeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_error: Option<String>,
    /// What its health checks add up to, read beside the record while it runs.
    #[serde(skip)]
    pub health: Option<crate::health::HealthStatus>,
    /// How its probes stand, read beside the record while it runs. `None` without probes.
    #[serde(skip)]
    pub probes: Option<crate::probes::ProbeStatus>,
}

impl Status {
    pub fn new(state: State) -> Status {
        Status {
            state,
            restarts: 0,
            network: None,
            cgroup: None,
            home: None,
            restarting: None,
            last_exit: None,
            start_error: None,
            health: None,
            probes: None,
        }
    }
}

/// Addresses and published ports of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkStatus {
    pub addresses: Option<network::Addresses>,
    /// Its places on named networks, in order.
    pub endpoints: Vec<network::Endpoint>,
    /// With the real host ports.
    pub ports: Vec<network::PortMapping>,
}

impl storage::record::Record for Record {
    const VERSION: u32 = 1;
}

impl storage::record::Record for Status {
    const VERSION: u32 = 1;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::tests::record;
    use crate::spec::{IpcMode, Remove};

    fn written(record: &Record) -> String {
        String::from_utf8(storage::record::to_bytes(record).unwrap()).unwrap()
    }

    #[test]
    fn what_is_as_by_default_is_not_written_and_comes_back() {
        let usual = record(ContainerSpec::default(), ImageDefaults::default());
        assert!(written(&usual).contains(r#""spec":{},"image":{},"#), "{}", written(&usual));

        let mut spec =
            ContainerSpec { entrypoint: Some(Vec::new()), remove: Remove::Container, ..ContainerSpec::default() };
        spec.security.read_only = true;
        spec.namespaces.ipc = IpcMode::Private;
        spec.labels.insert("empty".into(), String::new());
        spec.env.push(("A".into(), String::new()));
        spec.resources.memory = Some(0);
        let image = ImageDefaults { cmd: vec!["true".into()], ..ImageDefaults::default() };
        for record in [usual, record(spec, image)] {
            assert_eq!(serde_json::from_str::<Record>(&written(&record)).unwrap(), record);
        }
    }
}
