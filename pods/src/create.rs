//! A specification becomes a pod on disk and, unless it is to have none, its infra container.

use containers::{
    Container, ContainerName, ContainerSpec, Engine, HOLDER_PATH, IpcMode, LogConfig, LogDriver, Namespaces, PodCgroup,
    PodRole, SdNotify, Source,
};
use jiff::Timestamp;
use network::Mode;
use storage::record::{self, Durability};
use sys::lock::FileLock;

use crate::error::{Error, Result};
use crate::id::PodId;
use crate::pod::{self, Pod, Record};
use crate::spec::{ExitPolicy, MemoryVolume, PodSpec};
use crate::{events, remove, service};

pub struct CreateRequest<'a> {
    pub spec: PodSpec,
    /// `None` draws a random one.
    pub name: Option<&'a str>,
    /// Remove the pod that has the name, with its containers.
    pub replace: bool,
    /// For an infra container of the user's own.
    pub infra_image: Option<&'a containers::Image>,
}

/// Makes a pod. Nothing is left behind when it fails.
pub fn create(engine: &Engine, request: CreateRequest<'_>) -> Result<Pod> {
    let CreateRequest { mut spec, name, replace, infra_image } = request;
    check(&spec)?;
    containers::confine(engine, &mut spec.network, &mut spec.user)?;
    let wanted = name.map(str::parse::<ContainerName>).transpose()?;
    if replace && let Some(name) = &wanted {
        match pod::find(engine, name.as_str()) {
            Ok(old) => remove::remove(engine, &old, true, None).map(drop)?,
            Err(Error::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    let id = PodId::random().map_err(Error::io("/dev/urandom"))?;
    let (record, _lock) = {
        let _creating = creating(engine)?;
        let name = reserve(engine, &id, wanted)?;
        let record = Record { id, name, created: Timestamp::now(), spec };
        let lock = put_in_place(engine, &record).inspect_err(|_| {
            let _ = storage::names::release(&pod::names_dir(engine), &record.name, record.id.as_str());
        })?;
        (record, lock)
    };
    let mut made = Pod { record, containers: Vec::new() };
    if made.spec().has_infra() {
        let infra = make_infra(engine, &made, infra_image).inspect_err(|_| {
            let _ = remove::take_away(engine, &made.record);
        })?;
        made.containers.push(infra);
    }
    events::record(engine, &made.record, "create");
    Ok(made)
}

/// Held while a name is reserved and its pod put in place: a name without a pod is a killed creator's.
fn creating(engine: &Engine) -> Result<FileLock> {
    let dir = pod::all_dir(engine);
    std::fs::create_dir_all(&dir).map_err(Error::io(&dir))?;
    let path = dir.join("lock");
    FileLock::exclusive(&path).map_err(Error::io(&path))
}

fn reserve(engine: &Engine, id: &PodId, wanted: Option<ContainerName>) -> Result<String> {
    let names = pod::names_dir(engine);
    let gone = |holder: &str| match holder.parse::<PodId>() {
        Ok(holder) => !pod::dir(engine, &holder).exists(),
        Err(_) => true,
    };
    for attempt in 0.. {
        let name = match &wanted {
            Some(name) => name.as_str().to_owned(),
            None => containers::random_name(attempt),
        };
        match storage::names::reserve_from_dead(&names, &name, id.as_str(), gone) {
            Ok(()) => return Ok(name),
            Err(storage::Error::NameTaken { .. }) if wanted.is_some() => return Err(Error::NameTaken { name }),
            Err(storage::Error::NameTaken { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    unreachable!("the loop above has no end")
}

/// Nobody removes the pod while the lock is held that comes back: it was taken before there was a pod to see.
fn put_in_place(engine: &Engine, made: &Record) -> Result<FileLock> {
    let staging = engine.store.staging()?;
    record::write(&staging.path().join("pod.json"), made, Durability::Durable)?;
    let path = staging.path().join(pod::LOCK);
    let lock = FileLock::shared(&path).map_err(Error::io(&path))?;
    staging.commit(&pod::dir(engine, &made.id))?;
    Ok(lock)
}

/// What can be known to fail before anything is made.
fn check(spec: &PodSpec) -> Result<()> {
    let invalid = |text: String| Err(Error::Invalid(text));
    if spec.network.egress.is_some() && !(spec.has_infra() && spec.share.net) {
        return invalid("--allow-egress is for the network that a pod's members share: --share must have net".into());
    }
    if spec.has_infra() {
        return Ok(());
    }
    if !spec.share.is_empty() {
        return invalid(format!(
            "cannot set share({}) namespaces without an infra container",
            spec.share.names().join(",")
        ));
    }
    if !spec.memory.is_empty() {
        return invalid("cannot share volumes in memory without an infra container".into());
    }
    if !spec.network.ports.is_empty() {
        return invalid("you must have an infra container to publish port bindings to the host".into());
    }
    Ok(())
}

/// The infra container of a pod that has none: a new one's, or one whose creator was killed.
pub(crate) fn make_infra(engine: &Engine, pod: &Pod, image: Option<&containers::Image>) -> Result<Container> {
    let default_name = format!("{}-infra", pod.id().short());
    let name = pod.spec().infra.name.clone().unwrap_or(default_name);
    let mut spec = infra_spec(pod, image);
    let _kept = match &pod.spec().service {
        Some(wanted) => {
            let (service, kept) = service::ensure(engine, wanted)?;
            spec.requires.push(service.id().to_string());
            Some(kept)
        }
        None => None,
    };
    let request = containers::CreateRequest { spec, name: Some(&name), image, replace: false };
    Ok(containers::create(engine, request)?)
}

fn infra_spec(pod: &Pod, image: Option<&containers::Image>) -> ContainerSpec {
    let spec = pod.spec();
    let (source, entrypoint) = match image {
        Some(image) => {
            let name = image.names.first().cloned().unwrap_or_default();
            (Source::Image { id: image.id.clone(), name }, spec.infra.command.clone())
        }
        None => (Source::Holder, Some(vec![HOLDER_PATH.to_owned(), "__hold".to_owned()])),
    };
    let mut network = spec.network.clone();
    if !spec.share.net {
        // Nobody joins it: what a network costs is saved.
        network.mode = Mode::None;
    }
    let mut limits =
        containers::Resources { cgroup_parent: spec.resources.cgroup_parent.clone(), ..Default::default() };
    limits.cgroups = spec.resources.cgroups;
    ContainerSpec {
        source,
        entrypoint,
        hostname: Some(spec.hostname.clone().unwrap_or_else(|| pod.name().to_owned())),
        no_hostname: spec.no_hostname,
        labels: if spec.infra.unlabelled { Default::default() } else { spec.labels.clone() },
        restart: spec.restart,
        log: LogConfig { driver: LogDriver::None, ..LogConfig::default() },
        network,
        namespaces: Namespaces {
            pid: spec.pid.clone(),
            ipc: if spec.host_ipc { IpcMode::Host } else { IpcMode::Shareable },
            uts: spec.uts.clone(),
            user: spec.user.clone(),
            ..Namespaces::default()
        },
        mounts: spec.memory.iter().map(MemoryVolume::mount).collect(),
        sysctls: spec.sysctls.clone(),
        shm_size: spec.shm_size,
        resources: limits,
        monitor_pidfile: spec.infra.conmon_pidfile.clone(),
        pod: Some(pod.id().to_string()),
        pod_role: Some(PodRole::Infra),
        pod_cgroup: pod.cgroup(),
        // It is nobody's main process.
        sdnotify: SdNotify::Ignore,
        ends_unneeded: spec.exit_policy == ExitPolicy::Stop,
        ..ContainerSpec::default()
    }
}

impl Pod {
    /// The cgroup around those of the members.
    pub(crate) fn cgroup(&self) -> Option<PodCgroup> {
        let limits = containers::Resources { cgroup_parent: None, ..self.spec().resources.clone() };
        self.spec().share_parent.then(|| PodCgroup { name: self.id().to_string(), limits })
    }
}
