//! What was played, as it is on disk: `ROOT/kube/NAMESPACE/KIND/NAME.json`, one record for each object.
//!
//! A record holds the object as planned, so that it can be acted on again without its manifest. Secrets are not here: they
//! are secrets of the store, and their manifest is the content.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use containers::Engine;
use jiff::Timestamp;
use network::Cidr;
use serde::{Deserialize, Serialize};
use storage::Store;
use storage::record::{self, Durability};
use sys::lock::FileLock;

use super::error::{Error, Result};
use super::sources::Sources;
use super::status::Kept;
use crate::history::History;
use crate::plan::{
    AutoscalerPlan, ConfigObject, CronJobPlan, IngressPlan, JobPlan, Kind, Meta, NamespacePlan, ObjectId, Objects,
    PodPlan, ServicePlan, VolumePlan, WorkloadPlan,
};

/// A played object and when that was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Object {
    pub created: Timestamp,
    /// When its manifest last changed.
    pub applied: Timestamp,
    /// Counts the changes, from 1.
    pub generation: u64,
    #[serde(default)]
    pub sources: Sources,
    pub body: Body,
}

/// The object itself, with what creel adds to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Body {
    Namespace(NamespacePlan),
    ConfigMap(ConfigObject),
    Volume(VolumePlan),
    /// `address`: what the Service was given.
    Service {
        plan: ServicePlan,
        address: Option<IpAddr>,
    },
    Pod(PodPlan),
    Workload {
        plan: WorkloadPlan,
        history: History,
    },
    /// `owner`: the CronJob that began it.
    Job {
        plan: JobPlan,
        owner: Option<ObjectId>,
    },
    CronJob(CronJobPlan),
    Ingress(IngressPlan),
    Autoscaler(AutoscalerPlan),
}

impl record::Record for Object {
    const VERSION: u32 = 1;
}

impl Body {
    /// `None`: a Namespace that no manifest made.
    pub fn meta(&self) -> Option<&Meta> {
        Some(match self {
            Body::Namespace(plan) => return plan.meta.as_ref(),
            Body::ConfigMap(plan) => &plan.meta,
            Body::Volume(plan) => &plan.meta,
            Body::Service { plan, .. } => &plan.meta,
            Body::Pod(plan) => &plan.meta,
            Body::Workload { plan, .. } => &plan.meta,
            Body::Job { plan, .. } => &plan.meta,
            Body::CronJob(plan) => &plan.meta,
            Body::Ingress(plan) => &plan.meta,
            Body::Autoscaler(plan) => &plan.meta,
        })
    }

    pub(super) fn meta_mut(&mut self) -> Option<&mut Meta> {
        Some(match self {
            Body::Namespace(plan) => return plan.meta.as_mut(),
            Body::ConfigMap(plan) => &mut plan.meta,
            Body::Volume(plan) => &mut plan.meta,
            Body::Service { plan, .. } => &mut plan.meta,
            Body::Pod(plan) => &mut plan.meta,
            Body::Workload { plan, .. } => &mut plan.meta,
            Body::Job { plan, .. } => &mut plan.meta,
            Body::CronJob(plan) => &mut plan.meta,
            Body::Ingress(plan) => &mut plan.meta,
            Body::Autoscaler(plan) => &mut plan.meta,
        })
    }
}

impl Object {
    pub fn new(body: Body) -> Object {
        let now = Timestamp::now();
        Object { created: now, applied: now, generation: 1, sources: Sources::default(), body }
    }

    /// The same object with another meaning.
    pub fn changed(&self, body: Body) -> Object {
        let (applied, generation) = (Timestamp::now(), self.generation + 1);
        Object { created: self.created, applied, generation, sources: self.sources.clone(), body }
    }

    pub(super) fn played_from(mut self, source: Option<&str>) -> Object {
        source.into_iter().for_each(|source| self.sources.play(source));
        self
    }
}

/// How long a round of the supervisor may take before somebody is told of having to wait.
const ROUND_TRIES: u32 = 100;
const ROUND_PAUSE: Duration = Duration::from_millis(5);

/// Hears in which namespace a command has to wait for another one.
pub type Waits<'a> = &'a dyn Fn(&str);

/// The objects of one store.
#[derive(Clone, Debug)]
pub struct Shelf {
    root: PathBuf,
    /// Whose watchers hear of what changes here.
    store: Store,
}

impl Shelf {
    pub fn new(engine: &Engine) -> Shelf {
        Shelf { root: engine.store.path("kube"), store: engine.store.clone() }
    }

    /// Empty: what lies outside of namespaces. No namespace can be called like that directory.
    pub fn dir(&self, namespace: &str) -> PathBuf {
        self.root.join(if namespace.is_empty() { "@" } else { namespace })
    }

    fn path(&self, id: &ObjectId) -> PathBuf {
        self.dir(&id.namespace).join(id.kind.word()).join(format!("{}.json", id.name))
    }

    pub fn get(&self, id: &ObjectId) -> Result<Option<Object>> {
        Ok(record::read_optional(&self.path(id))?)
    }

    /// As [`Shelf::get`], for whoever is about to replace it: one that cannot be read is set aside.
    pub(super) fn get_to_replace(&self, id: &ObjectId) -> Result<Option<Object>> {
        match self.get(id) {
            Err(Error::Storage(storage::Error::Damaged { path, .. })) => {
                record::set_aside(&path)?;
                Ok(None)
            }
            other => other,
        }
    }

    pub fn put(&self, id: &ObjectId, object: &Object) -> Result<()> {
        let path = self.path(id);
        let dir = path.parent().unwrap_or(&self.root);
        fs::create_dir_all(dir).map_err(Error::io(dir))?;
        record::write(&path, object, Durability::Durable)?;
        self.store.tell();
        Ok(())
    }

    fn status_path(&self, id: &ObjectId) -> PathBuf {
        self.dir(&id.namespace).join(id.kind.word()).join(format!("{}.status", id.name))
    }

    /// As the supervisor last wrote it. A damaged one is begun anew: the pods are what counts.
    pub fn kept(&self, id: &ObjectId) -> Result<Kept> {
        match record::read_optional(&self.status_path(id)) {
            Err(storage::Error::Damaged { .. }) => Ok(Kept::default()),
            kept => Ok(kept?.unwrap_or_default()),
        }
    }

    pub(super) fn keep(&self, id: &ObjectId, kept: &Kept) -> Result<()> {
        record::write(&self.status_path(id), kept, Durability::Visible)?;
        self.store.tell();
        Ok(())
    }

    /// Whether anything can be written now. On a disk that is full the supervisor cannot even say so.
    pub(super) fn check_room(&self) -> Result<()> {
        const ROOM: [u8; 4096] = [b' '; 4096];
        let path = self.root.join(format!(".room-{}", std::process::id()));
        let written = fs::write(&path, ROOM).map_err(Error::io(&path));
        let _ = fs::remove_file(&path);
        written
    }

    /// Takes an object and its status away. `false`: it was not there.
    pub fn remove(&self, id: &ObjectId) -> Result<bool> {
        // What is said of an object is not to be believed of the next one of that name.
        let _ = fs::remove_file(self.status_path(id));
        let path = self.path(id);
        for aside in set_aside(&path)? {
            fs::remove_file(&aside).map_err(Error::io(&aside))?;
        }
        let leaving = self.leaving_path(id);
        absent(fs::remove_file(&leaving)).map_err(Error::io(&leaving))?;
        let was_there = absent(fs::remove_file(&path)).map_err(Error::io(&path))?;
        if was_there {
            self.store.tell();
        }
        Ok(was_there)
    }

    fn leaving_path(&self, id: &ObjectId) -> PathBuf {
        self.path(id).with_extension("leaving")
    }

    /// Nobody finds the object any more but [`Shelf::leaving`], until it is removed: whoever takes down all that is its own
    /// may be killed on the way. `false`: it was not there.
    pub(super) fn leave(&self, id: &ObjectId) -> Result<bool> {
        let path = self.path(id);
        let _ = fs::remove_file(self.status_path(id));
        let was_there = absent(fs::rename(&path, self.leaving_path(id))).map_err(Error::io(&path))?;
        self.store.tell();
        Ok(was_there)
    }

    /// An object, also where somebody has begun to take it down.
    pub(super) fn get_or_leaving(&self, id: &ObjectId) -> Option<Object> {
        let leaving = || record::read_optional(&self.leaving_path(id)).ok().flatten();
        self.get(id).ok().flatten().or_else(leaving)
    }

    /// The objects of a namespace that somebody has begun to take down, and that are not there again.
    pub(super) fn leaving(&self, namespace: &str) -> Result<Vec<(ObjectId, Object)>> {
        let mut found = Vec::new();
        for kind in Kind::ALL {
            for file in names_in(&self.dir(namespace).join(kind.word()))? {
                let Some(name) = file.strip_suffix(".leaving") else { continue };
                let id = ObjectId::new(kind, namespace, name);
                // One that cannot be read has nothing to say of where it came from.
                if !self.path(&id).exists()
                    && let Ok(Some(object)) = record::read_optional(&self.leaving_path(&id))
                {
                    found.push((id, object));
                }
            }
        }
        Ok(found)
    }

    pub fn namespaces(&self) -> Result<Vec<String>> {
        let mut names = names_in(&self.root)?;
        names.retain(|name| name != "@" && self.dir(name).is_dir());
        Ok(names)
    }

    /// All objects of a kind, by name. One that cannot be read holds up no other: [`Shelf::unreadable`] names it.
    pub fn list(&self, namespace: &str, kind: Kind) -> Result<Vec<Object>> {
        let names = self.names(namespace, kind)?;
        Ok(names.into_iter().filter_map(|name| self.get(&ObjectId::new(kind, namespace, &name)).ok()?).collect())
    }

    fn names(&self, namespace: &str, kind: Kind) -> Result<Vec<String>> {
        let files = names_in(&self.dir(namespace).join(kind.word()))?;
        let name = |file: String| file.strip_suffix(".json").filter(|name| !name.starts_with('.')).map(str::to_owned);
        Ok(files.into_iter().filter_map(name).collect())
    }

    /// The objects of a namespace whose records cannot be read, and why.
    pub fn unreadable(&self, namespace: &str) -> Result<Vec<(ObjectId, Error)>> {
        let mut found = Vec::new();
        for kind in Kind::ALL {
            for name in self.names(namespace, kind)? {
                let id = ObjectId::new(kind, namespace, &name);
                if let Err(error) = self.get(&id) {
                    found.push((id, error));
                }
            }
        }
        Ok(found)
    }

    /// All objects of a namespace, in the order in which they are made.
    pub fn all(&self, namespace: &str) -> Result<Vec<Object>> {
        let mut objects = Vec::new();
        for kind in Kind::ALL {
            objects.extend(self.list(namespace, kind)?);
        }
        Ok(objects)
    }

    /// The one who acts in a namespace: a command, or its supervisor. Who only reads does not need it. `waits` hears that
    /// somebody else acts there.
    pub(super) fn act_in(&self, namespace: &str, waits: Waits<'_>) -> Result<FileLock> {
        let dir = self.dir(namespace);
        fs::create_dir_all(&dir).map_err(Error::io(&dir))?;
        let path = dir.join("acting.lock");
        for _ in 0..ROUND_TRIES {
            if let Some(lock) = FileLock::try_exclusive(&path).map_err(Error::io(&path))? {
                return Ok(lock);
            }
            std::thread::sleep(ROUND_PAUSE);
        }
        waits(namespace);
        FileLock::exclusive(&path).map_err(Error::io(&path))
    }

    /// As [`Shelf::act_in`], where nobody acts now.
    pub fn try_act_in(&self, namespace: &str) -> Result<Option<FileLock>> {
        let path = self.dir(namespace).join("acting.lock");
        match FileLock::try_exclusive(&path) {
            Ok(lock) => Ok(lock),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::Io { path, source }),
        }
    }

    /// What the plan of further manifests, and a pod's start, may refer to.
    pub fn objects(&self, engine: &Engine) -> Result<Objects> {
        let mut objects = Objects::default();
        for namespace in self.namespaces()? {
            for object in self.list(&namespace, Kind::ConfigMap)? {
                if let Body::ConfigMap(map) = object.body {
                    objects.config_maps.insert((namespace.clone(), map.meta.id.name.clone()), map);
                }
            }
            for object in self.list(&namespace, Kind::Service)? {
                if let Body::Service { plan, address } = object.body {
                    let key = (namespace.clone(), plan.meta.id.name.clone());
                    if let Some(address) = address {
                        objects.service_addresses.insert(key.clone(), address);
                    }
                    objects.services.insert(key, plan);
                }
            }
        }
        objects.secrets = super::secrets::all(engine)?;
        Ok(objects)
    }
}

/// `false`: there was nothing at that path.
fn absent(done: io::Result<()>) -> io::Result<bool> {
    match done {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// What [`record::set_aside`] has made of earlier records at that path.
fn set_aside(path: &Path) -> Result<Vec<PathBuf>> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Ok(Vec::new());
    };
    let before = format!("{name}.damaged-");
    Ok(names_in(dir)?.into_iter().filter(|name| name.starts_with(&before)).map(|name| dir.join(name)).collect())
}

fn names_in(dir: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    match fs::read_dir(dir) {
        Ok(entries) => {
            for entry in entries {
                let entry = entry.map_err(Error::io(dir))?;
                names.extend(entry.file_name().to_str().map(str::to_owned));
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(Error::Io { path: dir.to_owned(), source }),
    }
    names.sort();
    Ok(names)
}

/// Where Services have their addresses, the upper part of what Kubernetes uses by default (10.96.0.0/12).
pub(super) const SERVICE_RANGE: Cidr = Cidr { address: IpAddr::V4(Ipv4Addr::new(10, 111, 0, 0)), prefix: 16 };

/// A stored Service's address: what it asks for, what it had, or one of the range that no other has.
pub(super) fn service_address(
    wanted: Option<IpAddr>,
    had: Option<IpAddr>,
    key: &str,
    taken: &BTreeMap<IpAddr, String>,
) -> Result<IpAddr> {
    if let Some(address) = wanted {
        return match taken.get(&address) {
            Some(owner) if owner != key => {
                Err(Error::Invalid(format!("Service {key}: clusterIP {address} is already that of {owner}")))
            }
            _ => Ok(address),
        };
    }
    if let Some(address) = had {
        return Ok(address);
    }
    // By its name, so that the same Service has the same address on every machine, where it is free.
    let start = key.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let hosts = (1_u32 << (32 - SERVICE_RANGE.prefix)) - 2;
    (0..hosts)
        .filter_map(|step| SERVICE_RANGE.nth(u128::from(1 + start.wrapping_add(step) % hosts)))
        .find(|address| !taken.contains_key(address))
        .ok_or_else(|| Error::Invalid("no address is left for Services".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_keeps_its_address_and_two_have_two() {
        let none = BTreeMap::new();
        let first = service_address(None, None, "default/web", &none).unwrap();
        assert_eq!(service_address(None, None, "default/web", &none).unwrap(), first);
        let taken = BTreeMap::from([(first, "default/web".to_owned())]);
        let other = service_address(None, None, "default/web", &taken).unwrap();
        assert_ne!(other, first);
        assert_eq!(service_address(None, Some(first), "default/web", &taken).unwrap(), first);
        assert!(service_address(Some(first), None, "default/db", &taken).is_err());
    }
}
