//! A pod as it is on disk (`pods/ID/pod.json`), and what its containers make of it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use containers::{Container, Engine, PodRole, State};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sys::lock::FileLock;

use crate::error::{Error, Result};
use crate::id::PodId;
use crate::spec::PodSpec;

const RECORD: &str = "pod.json";
/// Beside it.
pub(crate) const LOCK: &str = "lock";

/// A pod and the containers it had when it was read.
#[derive(Clone, Debug)]
pub struct Pod {
    pub record: Record,
    /// All its containers, the infra container too, oldest first.
    pub containers: Vec<Container>,
}

/// `pod.json`, version 1. Replaced only by `update`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub id: PodId,
    pub name: String,
    pub created: Timestamp,
    pub spec: PodSpec,
}

impl storage::record::Record for Record {
    const VERSION: u32 = 1;
}

/// Podman's words for what the containers of a pod are doing together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodState {
    Created,
    Running,
    /// Some run, some do not.
    Degraded,
    Paused,
    /// None runs, some have ended.
    Stopped,
    /// All have ended.
    Exited,
}

impl PodState {
    pub fn word(self) -> &'static str {
        match self {
            PodState::Created => "Created",
            PodState::Running => "Running",
            PodState::Degraded => "Degraded",
            PodState::Paused => "Paused",
            PodState::Stopped => "Stopped",
            PodState::Exited => "Exited",
        }
    }

    fn of(all: usize, running: usize, paused: usize, ended: usize) -> PodState {
        match () {
            () if all == 0 => PodState::Created,
            () if running == all => PodState::Running,
            () if running > 0 => PodState::Degraded,
            () if paused == all => PodState::Paused,
            () if ended == all => PodState::Exited,
            () if ended > 0 => PodState::Stopped,
            () => PodState::Created,
        }
    }
}

impl Pod {
    /// What was changed of the network while the pod was there is in the infra container's record.
    fn of(record: Record, containers: Vec<Container>) -> Pod {
        let mut pod = Pod { record, containers };
        if let Some(network) = pod.infra().map(|infra| infra.spec().network.clone())
            && pod.spec().share.net
        {
            pod.record.spec.network = network;
        }
        pod
    }

    pub fn id(&self) -> &PodId {
        &self.record.id
    }

    pub fn name(&self) -> &str {
        &self.record.name
    }

    pub fn spec(&self) -> &PodSpec {
        &self.record.spec
    }

    /// The container that holds the namespaces.
    pub fn infra(&self) -> Option<&Container> {
        self.containers.iter().find(|container| role(container) == PodRole::Infra)
    }

    /// All but the infra container.
    pub fn members(&self) -> impl DoubleEndedIterator<Item = &Container> {
        self.containers.iter().filter(|container| role(container) != PodRole::Infra)
    }

    /// Init containers do not count: they are meant to end. Nor does who only looks into the others.
    pub fn state(&self) -> PodState {
        let (mut running, mut paused, mut ended) = (0, 0, 0);
        let is_lasting = |role| matches!(role, PodRole::Infra | PodRole::Member | PodRole::Sidecar);
        let lasting = self.containers.iter().filter(|one| is_lasting(role(one)));
        let mut all = 0;
        for container in lasting {
            all += 1;
            match container.state() {
                State::Running { .. } if containers::paused(container) => paused += 1,
                State::Running { .. } => running += 1,
                State::Exited(_) | State::Removing => ended += 1,
                State::Created | State::Initialized { .. } => {}
            }
        }
        PodState::of(all, running, paused, ended)
    }
}

/// What a container is to its pod.
pub(crate) fn role(container: &Container) -> PodRole {
    container.spec().pod_role.unwrap_or(PodRole::Member)
}

pub(crate) fn all_dir(engine: &Engine) -> PathBuf {
    engine.store.path("pods")
}

pub(crate) fn dir(engine: &Engine, id: &PodId) -> PathBuf {
    all_dir(engine).join(id)
}

/// Held shared, nobody removes or changes the pod; held exclusively (`how`), nobody makes a container in it either.
pub(crate) fn lock(engine: &Engine, pod: &Pod, how: fn(&Path) -> io::Result<FileLock>) -> Result<FileLock> {
    let path = dir(engine, pod.id()).join(LOCK);
    let gone = || Error::NotFound { name: pod.name().to_owned() };
    match how(&path) {
        Ok(lock) if read(engine, pod.id())?.is_some() => Ok(lock),
        Ok(_) => Err(gone()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(gone()),
        Err(source) => Err(Error::Io { path, source }),
    }
}

/// Pods have names of their own: a container may be called the same.
pub(crate) fn names_dir(engine: &Engine) -> PathBuf {
    all_dir(engine).join("names")
}

pub(crate) fn record_path(engine: &Engine, id: &PodId) -> PathBuf {
    dir(engine, id).join(RECORD)
}

pub(crate) fn read(engine: &Engine, id: &PodId) -> Result<Option<Record>> {
    Ok(storage::record::read_optional(&record_path(engine, id))?)
}

/// The pod of that name, that id, or an id that begins like that and no other does. A name wins over an id.
pub fn find(engine: &Engine, name_or_id: &str) -> Result<Pod> {
    let record = find_record(engine, name_or_id)?;
    let id = record.id.clone();
    let mentioning = containers::list_mentioning(engine, &[id.as_str()])?;
    let containers = mentioning.into_iter().filter(|container| belongs(container, &id)).collect();
    Ok(Pod::of(record, containers))
}

fn find_record(engine: &Engine, name_or_id: &str) -> Result<Record> {
    let not_found = || Error::NotFound { name: name_or_id.to_owned() };
    if name_or_id.is_empty() {
        return Err(not_found());
    }
    let by_name = storage::names::resolve(&names_dir(engine), name_or_id).ok().flatten();
    if let Some(id) = by_name.and_then(|id| id.parse().ok())
        && let Some(record) = read(engine, &id)?
    {
        return Ok(record);
    }
    let mut found = None;
    for id in ids(engine)? {
        if id.as_str().starts_with(name_or_id) && found.replace(id).is_some() {
            return Err(Error::Ambiguous { name: name_or_id.to_owned() });
        }
    }
    found.map_or_else(|| Err(not_found()), |id| read(engine, &id)?.ok_or_else(not_found))
}

/// The same pod as it is now.
pub(crate) fn again(engine: &Engine, pod: &Pod) -> Result<Pod> {
    match read(engine, pod.id())? {
        Some(_) => find(engine, pod.id().as_str()),
        None => Err(Error::NotFound { name: pod.name().to_owned() }),
    }
}

fn belongs(container: &Container, id: &PodId) -> bool {
    container.spec().pod.as_deref() == Some(id.as_str())
}

/// All pods, oldest first. A record that cannot be read is reported and does not keep the others from being listed.
pub fn list(engine: &Engine) -> Result<Vec<Pod>> {
    let mut pods: Vec<(Record, Vec<Container>)> = Vec::new();
    for id in ids(engine)? {
        match read(engine, &id) {
            Ok(Some(record)) => pods.push((record, Vec::new())),
            Ok(None) => {}
            Err(error) => tracing::warn!(%id, %error, "cannot read a pod"),
        }
    }
    if pods.is_empty() {
        return Ok(Vec::new());
    }
    pods.sort_by(|(one, _), (other, _)| (one.created, &one.id).cmp(&(other.created, &other.id)));
    for container in containers::list(engine)? {
        if let Some((_, containers)) = pods.iter_mut().find(|(record, _)| belongs(&container, &record.id)) {
            containers.push(container);
        }
    }
    Ok(pods.into_iter().map(|(record, containers)| Pod::of(record, containers)).collect())
}

/// Names of all pods by id.
pub fn names(engine: &Engine) -> Result<BTreeMap<String, String>> {
    let all = storage::names::list(&names_dir(engine))?;
    Ok(all.into_iter().map(|(name, id)| (id, name)).collect())
}

/// The newest pod.
pub fn latest(engine: &Engine) -> Result<Option<Pod>> {
    Ok(list(engine)?.pop())
}

fn ids(engine: &Engine) -> Result<Vec<PodId>> {
    let dir = all_dir(engine);
    match std::fs::read_dir(&dir) {
        Ok(entries) => Ok(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(Error::Io { path: dir, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_podmans() {
        let table = [
            ((0, 0, 0, 0), "Created"),
            ((3, 3, 0, 0), "Running"),
            ((3, 2, 0, 1), "Degraded"),
            ((3, 1, 2, 0), "Degraded"),
            ((3, 0, 3, 0), "Paused"),
            ((3, 0, 2, 1), "Stopped"),
            ((3, 0, 0, 3), "Exited"),
            ((3, 0, 0, 0), "Created"),
        ];
        for ((all, running, paused, ended), word) in table {
            assert_eq!(PodState::of(all, running, paused, ended).word(), word);
        }
    }
}
