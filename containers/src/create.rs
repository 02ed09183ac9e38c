//! A specification becomes a container on disk: validated first, then named, then put in place with one rename.

use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use storage::Staging;
use storage::record::{self, Durability};
use sys::lock::FileLock;
use sys::process::Process;

use crate::container::{Container, ImageDefaults, Record, Status};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::id::{ContainerId, ContainerName};
use crate::remove::{RemoveRequest, remove};
use crate::spec::{
    CgroupsMode, ContainerSpec, HealthAction, HealthSpec, ImageVolumes, IpcMode, LogConfig, LogDriver, MountKind,
    MountSpec, NamespaceMode, Remove, SeccompProfile, Source, UserNamespace,
};
use crate::state::State;
use crate::{events, list, names, secrets, userns, users};

/// Bytes that sethostname(2) takes.
const MAX_HOSTNAME: usize = 64;

pub struct CreateRequest<'a> {
    pub spec: ContainerSpec,
    /// `None` draws a random one.
    pub name: Option<&'a str>,
    pub image: Option<&'a images::Image>,
    /// Remove the container that has the name.
    pub replace: bool,
}

/// Makes a container. Nothing is left behind when it fails.
pub fn create(engine: &Engine, request: CreateRequest<'_>) -> Result<Container> {
    create_for(engine, request, None)
}

/// The same for a process that has something to do with it first: until then it is in no list, and goes with that process.
pub(crate) fn create_for(engine: &Engine, request: CreateRequest<'_>, builder: Option<Process>) -> Result<Container> {
    let CreateRequest { mut spec, name, image, replace } = request;
    let name = name.map(str::parse::<ContainerName>).transpose()?;
    let image = complete(engine, &mut spec, image)?;

    let id = ContainerId::random().map_err(Error::io("/dev/urandom"))?;
    let mut anonymous_volumes = Vec::new();
    for mount in &mut spec.mounts {
        if let MountKind::Volume { name: volume @ None, anonymous, .. } = &mut mount.kind {
            let fresh = ContainerId::random().map_err(Error::io("/dev/urandom"))?.to_string();
            *anonymous = true;
            anonymous_volumes.push(fresh.clone());
            *volume = Some(fresh);
        }
    }
    let creating = names::Creating::begin(engine)?;
    let name = reserve_name(engine, &creating, &id, name, replace)?;
    let mut record = Record {
        id,
        name,
        created: Timestamp::now(),
        spec: Box::new(spec),
        image,
        anonymous_volumes,
        single_id: engine.settings.single_id,
        builder,
        retired: None,
    };
    let placed = put_in_place(engine, &mut record);
    drop(creating);
    match placed {
        Ok(status) => {
            let container = Container { record, status };
            events::record(engine, &container, "create");
            Ok(container)
        }
        Err(error) => {
            // The error that matters is the first one; a name without a container is taken over by the next user of it.
            let _ = storage::names::release(&names::dir(engine), &record.name, record.id.as_str());
            Err(error)
        }
    }
}

/// Fills in what the image and the settings say, and checks what can be known to fail before anything is made.
pub(crate) fn complete(
    engine: &Engine,
    spec: &mut ContainerSpec,
    image: Option<&images::Image>,
) -> Result<Option<ImageDefaults>> {
    let image = image.map(|image| defaults(image, spec));
    for (key, value) in image.iter().flat_map(|image| &image.labels) {
        spec.labels.entry(key.clone()).or_insert_with(|| value.clone());
    }
    if spec.runtime.is_none() {
        spec.runtime = engine.settings.runtime.clone();
        spec.runtime_flags = engine.settings.runtime_flags.clone();
    }
    take_mounts_of_others(engine, spec)?;
    add_image_volumes(spec, image.as_ref());
    secrets::find(engine, spec)?;
    find_images(engine, spec)?;
    check_devices(engine, spec)?;
    check_files(spec)?;
    if matches!(spec.security.seccomp, SeccompProfile::File(_)) {
        crate::seccomp::filter(engine, &spec.security)?;
    }
    users::check_host_users(spec)?;
    check(spec)?;
    check_notification(spec, image.as_ref())?;
    check_log(&spec.log)?;
    if let Some(check) = &spec.health {
        crate::health::check_destination(&check.log_destination)?;
    }
    crate::egress::confine(engine, &mut spec.network, &mut spec.namespaces.user)?;
    crate::networks::check(engine, spec)?;
    Ok(image)
}

fn put_in_place(engine: &Engine, record: &mut Record) -> Result<Status> {
    let lock = userns::settle(engine, record)?;
    let record = &*record;
    for mount in &record.spec.mounts {
        if let MountKind::Volume { name: Some(name), anonymous, .. } = &mount.kind {
            crate::volumes::ensure(engine, name, *anonymous, mount)?;
        }
    }
    let staging = engine.store.staging()?;
    // A container that is thrown away on exit need not outlive a crash of the host.
    let durability = if record.spec.remove == Remove::Nothing { Durability::Durable } else { Durability::Visible };
    record::write(&staging.path().join("container.json"), record, durability)?;
    secrets::keep(engine, &record.spec, staging.path())?;
    let status = Status::new(State::Created);
    record::write(&staging.path().join("state.json"), &status, Durability::Visible)?;
    commit(engine, record, staging, lock)?;
    Ok(status)
}

/// Puts a container in its place. Whoever removes its image looks for containers under the store's lock, so either this
/// finds the image gone, or they find the container. `lock` is the store's where the caller has it.
pub(crate) fn commit(engine: &Engine, record: &Record, staging: Staging, lock: Option<FileLock>) -> Result<()> {
    let _lock = match (lock, &record.image) {
        (None, Some(_)) => Some(engine.store.lock()?),
        (lock, _) => lock,
    };
    if let Some(image) = record.image.as_ref().filter(|image| !images::is_here(&engine.store, &image.id)) {
        return Err(images::Error::NotFound { name: format!("sha256:{}", image.id) }.into());
    }
    Ok(staging.commit(&engine.container_dir(&record.id))?)
}

/// How often to look at a name that changes hands.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

fn reserve_name(
    engine: &Engine,
    creating: &names::Creating,
    id: &ContainerId,
    wanted: Option<ContainerName>,
    replace: bool,
) -> Result<String> {
    let dir = names::dir(engine);
    let gone = |holder: &str| creating.is_abandoned(engine, holder);
    let Some(wanted) = wanted else {
        for attempt in 0.. {
            let name = names::random(attempt);
            match storage::names::reserve(&dir, &name, id.as_str()) {
                Ok(()) => return Ok(name),
                Err(storage::Error::NameTaken { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        unreachable!("the loop above has no end");
    };
    let name = wanted.as_str();
    loop {
        match storage::names::reserve_from_dead(&dir, name, id.as_str(), gone) {
            Ok(()) => return Ok(name.to_owned()),
            Err(storage::Error::NameTaken { holder, .. }) if replace => {
                let request = RemoveRequest { force: true, volumes: true, ..RemoveRequest::default() };
                match list::find(engine, &holder).and_then(|holder| remove(engine, &holder, &request)) {
                    // Somebody else has removed it, or is about to put it in place.
                    Err(Error::NotFound { .. }) => std::thread::sleep(LOOK_AGAIN),
                    other => drop(other?),
                }
            }
            Err(storage::Error::NameTaken { holder, .. }) => {
                return Err(Error::NameTaken { name: name.to_owned(), holder });
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// The images that are to be mounted must be there.
fn find_images(engine: &Engine, spec: &mut ContainerSpec) -> Result<()> {
    for mount in &mut spec.mounts {
        if let MountKind::Image { reference, id, .. } = &mut mount.kind {
            let found = images::find(&engine.store, reference)?;
            *id = found.map(|image| image.id).ok_or_else(|| {
                let place = mount.destination.display();
                Error::Invalid(format!(
                    "creating image volume \"{reference}\":\"{place}\": {reference}: image not known"
                ))
            })?;
        }
    }
    Ok(())
}

/// What can be known to fail before anything is made.
fn check(spec: &ContainerSpec) -> Result<()> {
    let mut destinations = std::collections::BTreeSet::new();
    for mount in &spec.mounts {
        if !mount.destination.is_absolute() {
            let shown = mount.destination.display();
            return Err(Error::Invalid(format!("invalid container path \"{shown}\", must be an absolute path")));
        }
        if !destinations.insert(&mount.destination) {
            return Err(Error::Invalid(format!("{}: duplicate mount destination", mount.destination.display())));
        }
        if let MountKind::Bind { source, .. } = &mount.kind
            && !mount.options.iter().any(|word| word == "copy-symlink")
        {
            check_exists(source)?;
        }
        check_idmap(spec, mount)?;
    }
    if let Source::Directory { path, .. } = &spec.source {
        check_exists(path)?;
    }
    check_namespace_paths(spec)?;
    userns::check(&spec.namespaces.user)?;
    crate::auto_update::check(spec)?;
    crate::oci::capabilities(&spec.security, 0)?;
    spec.check_probes()?;
    if matches!(spec.network.mode, network::Mode::Networks(_)) {
        network::choose(&spec.network.mode, None)?;
    }
    network::check_mode(&spec.network.mode)?;
    network::check_ports(&spec.network.ports)?;
    if let Some(name) = spec.hostname.as_ref().filter(|name| name.len() > MAX_HOSTNAME) {
        return Err(Error::Invalid(format!("the host name {name} is longer than {MAX_HOSTNAME} bytes")));
    }
    refuse_unsupported(spec)
}

fn check_log(log: &LogConfig) -> Result<()> {
    if log.driver == LogDriver::Journald {
        crate::journal::available()?;
    } else if let Some(option) = log.tag.as_ref().map(|_| "tag").or(log.labels.first().map(|_| "label")) {
        return Err(Error::Invalid(format!("the log option {option} is for the log driver journald")));
    }
    if let Some(path) = log.path.as_ref().filter(|path| !path.parent().is_some_and(Path::is_dir)) {
        return Err(Error::Invalid(format!("Failed to open log file {}: no such file or directory", path.display())));
    }
    log.tag.as_deref().map_or(Ok(()), crate::journal::check_tag)
}

fn check_notification(spec: &ContainerSpec, image: Option<&ImageDefaults>) -> Result<()> {
    if spec.starts_healthy() && crate::health::chosen(spec, image).is_none() {
        return Err(Error::Invalid(
            "invalid argument: sdnotify policy \"healthy\" requires a healthcheck to be set".into(),
        ));
    }
    Ok(())
}

/// What has a place in the specification and nobody yet who carries it out: an error, never silence.
fn refuse_unsupported(spec: &ContainerSpec) -> Result<()> {
    if spec.network.mac.is_some() && !matches!(spec.network.mode, network::Mode::Networks(_)) {
        return Err(Error::Invalid(
            "a static MAC address needs a network: --network NAME:mac=ADDRESS, or --network bridge".into(),
        ));
    }
    if !spec.device_cgroup_rules.is_empty() {
        return Err(Error::Invalid(
            "device cgroup rules are not supported in rootless mode or in a user namespace".into(),
        ));
    }
    if spec.resources.cgroups == CgroupsMode::Disabled && spec.resources.cgroup_parent.is_some() {
        return Err(Error::Invalid("cannot set cgroup parent if not creating cgroups: invalid argument".into()));
    }
    Ok(())
}

/// `ns:PATH`: the path must be there.
fn check_namespace_paths(spec: &ContainerSpec) -> Result<()> {
    let namespaces = &spec.namespaces;
    let path = |mode: &NamespaceMode| match mode {
        NamespaceMode::Path(path) => Some(path.clone()),
        NamespaceMode::Private | NamespaceMode::Host | NamespaceMode::Container(_) => None,
    };
    let user = if let UserNamespace::Path(path) = &namespaces.user { Some(path.clone()) } else { None };
    let ipc = if let IpcMode::Path(path) = &namespaces.ipc { Some(path.clone()) } else { None };
    let network = if let network::Mode::Path(path) = &spec.network.mode { Some(path.clone()) } else { None };
    let all = [
        ("user", user),
        ("PID", path(&namespaces.pid)),
        ("IPC", ipc),
        ("UTS", path(&namespaces.uts)),
        ("cgroup", path(&namespaces.cgroup)),
        ("network", network),
    ];
    for (kind, path) in all.iter().filter_map(|(kind, path)| Some((kind, path.as_ref()?))) {
        std::fs::metadata(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Error::Invalid(format!(
                "cannot find specified {kind} namespace path: faccessat {}: no such file or directory",
                path.display()
            )),
            _ => Error::Io { path: path.clone(), source: error },
        })?;
    }
    Ok(())
}

/// Files of the host that a start reads or writes.
fn check_files(spec: &ContainerSpec) -> Result<()> {
    for path in [&spec.pidfile, &spec.monitor_pidfile].into_iter().flatten() {
        if !path.parent().is_some_and(Path::is_dir) {
            return Err(Error::Invalid(format!("open {}: no such file or directory", path.display())));
        }
    }
    match spec.network.hosts_file.as_deref() {
        None | Some("" | "none" | "image") => Ok(()),
        Some(path) if Path::new(path).is_file() => Ok(()),
        Some(path) => {
            Err(Error::Invalid(format!("failed to create new hosts file: open {path}: no such file or directory")))
        }
    }
}

/// Devices must be there, and be devices.
fn check_devices(engine: &Engine, spec: &ContainerSpec) -> Result<()> {
    for device in &spec.devices {
        crate::devices::nodes(&device.host, &device.container)?;
    }
    let resources = &spec.resources;
    let weighted = resources.blkio_weight_device.iter().map(|(path, _)| path);
    for path in weighted {
        if !path.exists() {
            return Err(Error::Invalid(format!(
                "failed to inspect '{}' in --blkio-weight-device: no such file or directory",
                path.display()
            )));
        }
    }
    let lists = [&resources.read_bps, &resources.write_bps, &resources.read_iops, &resources.write_iops];
    for (path, _) in lists.into_iter().flatten() {
        if !path.exists() {
            return Err(Error::Invalid(format!(
                "could not parse device {}: no such file or directory",
                path.display()
            )));
        }
        if !std::fs::metadata(path).is_ok_and(|stat| stat.file_type().is_block_device()) {
            return Err(Error::Invalid(format!("{}: not a block device", path.display())));
        }
    }
    crate::cdi::find(&engine.settings.cdi_spec_dirs, &spec.cdi_devices).map(drop)
}

fn check_exists(path: &Path) -> Result<()> {
    match rustix::fs::statat(rustix::fs::CWD, path, rustix::fs::AtFlags::empty()) {
        Ok(_) => Ok(()),
        Err(rustix::io::Errno::NOENT) => {
            Err(Error::Invalid(format!("statfs {}: no such file or directory", path.display())))
        }
        Err(error) => Err(Error::Io { path: path.to_owned(), source: error.into() }),
    }
}

/// The kernel lets only the owner of a file system's user namespace map its ids (mount_setattr(2)), which a plain user is
/// not. Where the container's ids are the user's own there is nothing to map.
fn check_idmap(spec: &ContainerSpec, mount: &MountSpec) -> Result<()> {
    let word = mount.options.iter().find(|word| *word == "idmap" || word.starts_with("idmap="));
    match word {
        None => Ok(()),
        Some(word) if word == "idmap" && spec.namespaces.user == UserNamespace::Host => Ok(()),
        Some(_) => Err(Error::Invalid(format!(
            "{}: idmapped mounts of the host's file systems are for root only; U gives the files to the container's user",
            mount.destination.display()
        ))),
    }
}

fn take_mounts_of_others(engine: &Engine, spec: &mut ContainerSpec) -> Result<()> {
    for (other, options) in spec.volumes_from.clone() {
        let found = list::find(engine, &other).map_err(|error| match error {
            Error::NotFound { .. } => {
                Error::Invalid(format!("looking up container \"{other}\" for volumes-from: {error}"))
            }
            error => error,
        })?;
        for mount in &found.spec().mounts {
            // What is made anew for each container is nothing to share.
            if !matches!(mount.kind, MountKind::Bind { .. } | MountKind::Volume { .. }) {
                continue;
            }
            if spec.mounts.iter().any(|own| own.destination == mount.destination) {
                continue;
            }
            let mut mount = mount.clone();
            for option in options.split(',') {
                match option {
                    "ro" => mount.read_only = true,
                    "rw" => mount.read_only = false,
                    "" | "z" => {}
                    other => {
                        return Err(Error::Invalid(format!(
                            "invalid option \"{other}\" specified - volumes from another container can only use z,ro,rw options"
                        )));
                    }
                }
            }
            spec.mounts.push(mount);
        }
    }
    Ok(())
}

fn add_image_volumes(spec: &mut ContainerSpec, image: Option<&ImageDefaults>) {
    let Some(image) = image else { return };
    for path in &image.volumes {
        let destination = crate::volumes::clean(Path::new(path));
        if spec.mounts.iter().any(|mount| mount.destination == destination) {
            continue;
        }
        let kind = match spec.image_volumes {
            ImageVolumes::Anonymous => MountKind::Volume { name: None, anonymous: true, copy_up: true, overlay: false },
            ImageVolumes::Tmpfs => MountKind::Tmpfs { size: None, mode: None, copy_up: true },
            ImageVolumes::Ignore => continue,
        };
        let options = Vec::new();
        spec.mounts.push(MountSpec {
            kind,
            destination,
            read_only: false,
            options,
            chown: false,
            group: None,
            subpath: None,
        });
    }
}

/// What a start needs of the image, so that it reads one file.
fn defaults(image: &images::Image, spec: &ContainerSpec) -> ImageDefaults {
    let settings = &image.settings;
    let name = match &spec.source {
        Source::Image { name, .. } if !name.is_empty() => name.clone(),
        Source::Image { .. } | Source::None | Source::Holder | Source::Directory { .. } => {
            image.names.first().cloned().unwrap_or_else(|| image.id.clone())
        }
    };
    let text = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    ImageDefaults {
        id: image.id.clone(),
        digest: Some(image.digest.clone()),
        name,
        layers: image.layers.clone(),
        env: settings.env.clone(),
        entrypoint: settings.entrypoint.clone().unwrap_or_default(),
        cmd: settings.cmd.clone().unwrap_or_default(),
        user: text(&settings.user),
        workdir: text(&settings.working_dir),
        volumes: settings.volumes.keys().cloned().collect(),
        exposed_ports: settings.exposed_ports.keys().cloned().collect(),
        stop_signal: text(&settings.stop_signal),
        labels: settings.labels.clone(),
        health: image_health(image),
        architecture: image.architecture().to_owned(),
        os: image.os().to_owned(),
    }
}

/// The health check of an image, with the field's defaults for what it leaves open.
pub fn image_health(image: &images::Image) -> Option<HealthSpec> {
    image.settings.healthcheck.as_ref().and_then(health)
}

fn health(check: &images::Healthcheck) -> Option<HealthSpec> {
    if check.test.is_empty() || check.test[0] == "NONE" {
        return None;
    }
    let or = |time: i64, default: u64| images::Healthcheck::duration(time).unwrap_or(Duration::from_secs(default));
    Some(HealthSpec {
        test: check.test.clone(),
        interval: Some(or(check.interval, 30)),
        timeout: or(check.timeout, 30),
        start_period: or(check.start_period, 0),
        start_interval: images::Healthcheck::duration(check.start_interval),
        retries: u32::try_from(check.retries).ok().filter(|retries| *retries > 0).unwrap_or(3),
        on_failure: HealthAction::None,
        startup: None,
        log_destination: "local".into(),
        max_log_count: 5,
        max_log_size: 500,
    })
}
