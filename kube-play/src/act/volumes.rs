//! The volumes of one pod: its own directories in `ROOT/pods/ID/volumes/NAME`, which go with the pod's record, and
//! everything else that its manifest mounts.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use containers::{Engine, MountKind, MountSpec, VolumeGroup};
use pods::{MemoryVolume, Pod};

use super::error::{Error, Result};
use crate::plan::{
    FsGroupChangePolicy, HostPathType, MountPropagation, Objects, PodFacts, PodTemplate, PodVolume, ProjectedFile,
    VolumeMountPlan, VolumePlan, VolumeSource, volume_name,
};

/// The link that a change of a volume's files replaces: all of them change at once.
const DATA: &str = "..data";

/// Where each volume of a pod is.
#[derive(Debug, Default)]
pub(super) struct PodVolumes {
    places: BTreeMap<String, Place>,
    /// Of the volumes of claims.
    group: Option<VolumeGroup>,
}

#[derive(Debug)]
enum Place {
    /// `files`: made by us, and never written by a container.
    Directory {
        path: PathBuf,
        files: bool,
    },
    /// The infra container has it.
    Memory,
    Named {
        volume: String,
        read_only: bool,
    },
    Image {
        reference: String,
    },
}

/// The directory of a pod's own volumes.
pub(super) fn directory(engine: &Engine, pod: &str) -> PathBuf {
    engine.store.path("pods").join(pod).join("volumes")
}

/// What the containers of a pod share in memory.
pub(super) fn in_memory(template: &PodTemplate) -> Vec<MemoryVolume> {
    let memory = template.volumes.iter().filter_map(|volume| match volume.source {
        VolumeSource::EmptyDir { memory: true, limit } => {
            Some(MemoryVolume { name: volume.name.clone(), size: limit, group: template.fs_group })
        }
        _ => None,
    });
    memory.collect()
}

/// Makes and fills the volumes of a pod that is about to start.
pub(super) fn prepare(
    engine: &Engine,
    pod: &Pod,
    template: &PodTemplate,
    objects: &Objects,
    facts: &PodFacts,
) -> Result<PodVolumes> {
    let root = directory(engine, pod.id().as_str());
    make_dir(&root, 0o755)?;
    let owner = owner(engine, pod, template)?;
    let mut places = BTreeMap::new();
    for volume in &template.volumes {
        let place = place(engine, &root, volume, owner, objects, facts)
            .map_err(|error| error.of(format!("failed to create volume {:?}", volume.name)))?;
        places.insert(volume.name.clone(), place);
    }
    let trust_root = template.fs_group_change == FsGroupChangePolicy::OnRootMismatch;
    Ok(PodVolumes { places, group: template.fs_group.map(|id| VolumeGroup { id, trust_root }) })
}

/// Whose the directories and files are that are made for a pod, in ids of the host.
#[derive(Clone, Copy)]
struct Owner {
    user: u32,
    group: u32,
    /// `fsGroup` is said: the group may read and write.
    shared: bool,
}

/// The pod's root, and `fsGroup`.
fn owner(engine: &Engine, pod: &Pod, template: &PodTemplate) -> Result<Owner> {
    let shared = template.fs_group.is_some();
    let ids = (0, template.fs_group.unwrap_or(0));
    let (user, group) = match pod.infra() {
        Some(infra) => containers::outside_owner(engine, infra, ids)?,
        None => ids,
    };
    Ok(Owner { user, group, shared })
}

fn place(
    engine: &Engine,
    root: &Path,
    volume: &PodVolume,
    owner: Owner,
    objects: &Objects,
    facts: &PodFacts,
) -> Result<Place> {
    let own = root.join(&volume.name);
    Ok(match &volume.source {
        VolumeSource::EmptyDir { memory: true, .. } => Place::Memory,
        VolumeSource::EmptyDir { memory: false, .. } | VolumeSource::Ephemeral(_) => {
            make_dir(&own, 0o777)?;
            give(&own, owner)?;
            Place::Directory { path: own, files: false }
        }
        VolumeSource::HostPath { path, kind } => {
            host_path(Path::new(path), *kind)?;
            Place::Directory { path: path.into(), files: false }
        }
        VolumeSource::Claim { claim, read_only } => {
            let volume = volume_name(&facts.namespace, claim);
            if engine.store.volume(&volume)?.is_none() {
                return Err(Error::NotFound(format!("PersistentVolumeClaim {claim:?}")));
            }
            Place::Named { volume, read_only: *read_only }
        }
        // The pod's own claim takes its place before a pod is made.
        VolumeSource::OwnClaim { template } => {
            return Err(Error::Invalid(format!("only a StatefulSet's pod has a claim from the template {template:?}")));
        }
        VolumeSource::Files(projection) => {
            let files = projection.files(objects, facts).map_err(Error::Invalid)?;
            make_dir(&own, 0o755)?;
            write_files(&own, &files, owner)?;
            Place::Directory { path: own, files: true }
        }
        VolumeSource::Image { reference, .. } => Place::Image { reference: reference.clone() },
    })
}

/// Writes what a ConfigMap, a Secret or the pod itself says now into the volumes of a pod that has them mounted. `true`:
/// something has changed.
pub(super) fn refresh(
    engine: &Engine,
    pod: &Pod,
    template: &PodTemplate,
    objects: &Objects,
    facts: &PodFacts,
) -> Result<bool> {
    let root = directory(engine, pod.id().as_str());
    let owner = owner(engine, pod, template)?;
    let mut changed = false;
    for volume in &template.volumes {
        let VolumeSource::Files(projection) = &volume.source else { continue };
        let files = projection.files(objects, facts).map_err(Error::Invalid)?;
        changed |= write_files(&root.join(&volume.name), &files, owner)?;
    }
    Ok(changed)
}

impl PodVolumes {
    /// The mounts of one container.
    pub(super) fn mounts(&self, engine: &Engine, wanted: &[VolumeMountPlan]) -> Result<Vec<MountSpec>> {
        wanted.iter().map(|mount| self.mount(engine, mount)).collect()
    }

    fn mount(&self, engine: &Engine, wanted: &VolumeMountPlan) -> Result<MountSpec> {
        let missing = || Error::NotFound(format!("volume {:?}", wanted.volume));
        let mut mount = MountSpec {
            kind: MountKind::DevPts,
            destination: wanted.path.clone().into(),
            read_only: wanted.read_only,
            options: Vec::new(),
            chown: false,
            group: None,
            subpath: wanted.sub_path.as_ref().map(PathBuf::from),
        };
        match wanted.propagation {
            MountPropagation::None => {}
            MountPropagation::HostToContainer => mount.options.push("rslave".into()),
            MountPropagation::Bidirectional => mount.options.push("rshared".into()),
        }
        mount.kind = match self.places.get(&wanted.volume).ok_or_else(missing)? {
            Place::Directory { path, files } => {
                mount.read_only |= files;
                if let (Some(below), false) = (&mount.subpath, files) {
                    containers::make_subpath(path, below, None).map_err(Error::io(path.join(below)))?;
                }
                MountKind::Bind { source: path.clone(), overlay: false }
            }
            Place::Memory => MemoryVolume::lent(&wanted.volume),
            Place::Named { volume, read_only } => {
                mount.read_only |= read_only;
                mount.group = self.group;
                if let Some(below) = &mount.subpath {
                    make_part(engine, volume, below)?;
                }
                MountKind::Volume { name: Some(volume.clone()), anonymous: false, copy_up: true, overlay: false }
            }
            Place::Image { reference } => {
                MountKind::Image { reference: reference.clone(), id: String::new(), read_write: false }
            }
        };
        Ok(mount)
    }
}

/// Makes the named volume of a claim, where it is not there yet. `true`: it was made.
pub(super) fn make_claim(engine: &Engine, plan: &VolumePlan) -> Result<bool> {
    let name = &plan.volume;
    if engine.store.volume(name)?.is_some() {
        return Ok(false);
    }
    let mut volume = storage::Volume {
        name: name.clone(),
        driver: plan.driver.clone().unwrap_or_default(),
        labels: plan.meta.labels.clone(),
        needs_copy_up: true,
        ..storage::Volume::default()
    };
    let options: Vec<(String, String)> = plan.options.clone().into_iter().collect();
    containers::set_volume_options(&mut volume, &options)?;
    if let Some(bound) = &plan.bound {
        host_path(Path::new(&bound.path), bound.kind)?;
        volume.options.insert("device".into(), bound.path.clone());
        volume.options.insert("type".into(), "none".into());
        volume.options.insert("o".into(), "bind".into());
    }
    let archive = plan.import.as_deref().map(open_archive).transpose()?;
    let mut volume = match engine.store.create_volume(volume) {
        Ok(volume) => volume,
        Err(storage::Error::NameTaken { .. }) => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    if let (Some(archive), Some(path)) = (archive, &plan.import)
        && let Err(error) = containers::import_volume(engine, &mut volume, Box::new(archive))
    {
        // Half of it would be taken for the whole. Why it failed is what counts.
        let _ = engine.store.remove_volume(name);
        return Err(Error::from(error).of(path.display()));
    }
    Ok(true)
}

/// Whether the volume can be made, as far as that can be told before.
pub(super) fn check_claim(engine: &Engine, plan: &VolumePlan) -> Result<()> {
    match &plan.import {
        Some(path) if engine.store.volume(&plan.volume)?.is_none() => open_archive(path).map(drop),
        _ => Ok(()),
    }
}

fn open_archive(path: &Path) -> Result<fs::File> {
    let file = fs::File::open(path).map_err(Error::io(path))?;
    match file.metadata().map_err(Error::io(path))?.is_dir() {
        true => Err(Error::io(path)(io::ErrorKind::IsADirectory.into())),
        false => Ok(file),
    }
}

fn make_dir(path: &Path, mode: u32) -> Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o755).create(path).map_err(Error::io(path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(Error::io(path))
}

/// Gives a pod its directory; what a group makes in it stays the group's.
fn give(path: &Path, owner: Owner) -> Result<()> {
    std::os::unix::fs::chown(path, Some(owner.user), Some(owner.group)).map_err(Error::io(path))?;
    if !owner.shared {
        return Ok(());
    }
    let mode = fs::metadata(path).map_err(Error::io(path))?.permissions().mode();
    fs::set_permissions(path, fs::Permissions::from_mode(mode | 0o2070)).map_err(Error::io(path))
}

/// What a hostPath promises, made where its type says so.
fn host_path(path: &Path, kind: HostPathType) -> Result<()> {
    let found = match fs::metadata(path) {
        Ok(found) => Some(found),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(Error::io(path)(error)),
    };
    let is = |what: &str, fits: bool| match fits {
        true => Ok(()),
        false => Err(Error::Invalid(format!("hostPath: path {} is not {what}", path.display()))),
    };
    match (kind, found) {
        (HostPathType::DirectoryOrCreate, None) => make_dir(path, 0o755),
        (HostPathType::FileOrCreate, None) => {
            let file = fs::File::options().write(true).create_new(true).mode(0o644).open(path);
            file.map(drop).map_err(Error::io(path))
        }
        (_, None) => Err(Error::Invalid(format!("hostPath {}: no such file or directory", path.display()))),
        (HostPathType::Anything, Some(_)) => Ok(()),
        (HostPathType::Directory | HostPathType::DirectoryOrCreate, Some(found)) => is("a directory", found.is_dir()),
        (HostPathType::File | HostPathType::FileOrCreate, Some(found)) => is("a file", found.is_file()),
        (HostPathType::Socket, Some(found)) => is("a socket", found.file_type().is_socket()),
        (HostPathType::CharDevice, Some(found)) => is("a character device", found.file_type().is_char_device()),
        (HostPathType::BlockDevice, Some(found)) => is("a block device", found.file_type().is_block_device()),
    }
}

/// Makes the directories of a claim's subPath, where its content is files of the host.
fn make_part(engine: &Engine, volume: &str, below: &Path) -> Result<()> {
    let missing = || Error::NotFound(format!("PersistentVolumeClaim {volume:?}"));
    let volume = engine.store.volume(volume)?.ok_or_else(missing)?;
    if volume.driver == "image" {
        // It is what it is.
        return Ok(());
    }
    let content = containers::volume_content(engine, &volume)?;
    containers::make_subpath(&content, below, Some(0o777)).map_err(Error::io(content.join(below)))
}

/// Puts files in place of those that are there, all at once: a directory of their own beside the old ones, and a link
/// that is replaced by a rename. `true`: something has changed.
fn write_files(dir: &Path, files: &BTreeMap<String, ProjectedFile>, owner: Owner) -> Result<bool> {
    let link = dir.join(DATA);
    let old = fs::read_link(&link).ok().map(|name| dir.join(name));
    if old.as_deref().is_some_and(|old| holds(old, files)) {
        return Ok(false);
    }
    let name = format!("..{}", jiff::Timestamp::now().as_nanosecond());
    let new = dir.join(&name);
    make_dir(&new, 0o755)?;
    for (path, file) in files {
        let path = new.join(path);
        if let Some(parent) = path.parent() {
            make_dir(parent, 0o755)?;
        }
        let written = fs::write(&path, &file.bytes);
        written.map_err(Error::io(&path))?;
        std::os::unix::fs::chown(&path, Some(owner.user), Some(owner.group)).map_err(Error::io(&path))?;
        let for_group = if owner.shared { (file.mode & 0o400) >> 3 } else { 0 };
        fs::set_permissions(&path, fs::Permissions::from_mode(file.mode | for_group)).map_err(Error::io(&path))?;
    }
    let next = dir.join("..data_tmp");
    let _ = fs::remove_file(&next);
    symlink(&name, &next).map_err(Error::io(&next))?;
    fs::rename(&next, &link).map_err(Error::io(&link))?;
    tops(dir, files)?;
    if let Some(old) = old {
        fs::remove_dir_all(&old).map_err(Error::io(&old))?;
    }
    Ok(true)
}

fn holds(dir: &Path, files: &BTreeMap<String, ProjectedFile>) -> bool {
    fn count(dir: &Path) -> usize {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        entries.map(|entry| if entry.path().is_dir() { count(&entry.path()) } else { 1 }).sum()
    }
    count(dir) == files.len()
        && files.iter().all(|(path, file)| fs::read(dir.join(path)).is_ok_and(|bytes| bytes == file.bytes))
}

/// The names that a container sees: links into whatever is current.
fn tops(dir: &Path, files: &BTreeMap<String, ProjectedFile>) -> Result<()> {
    let wanted: Vec<&str> = files.keys().filter_map(|path| path.split('/').next()).collect();
    for entry in fs::read_dir(dir).map_err(Error::io(dir))?.flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if !name.starts_with("..") && !wanted.contains(&name) {
            fs::remove_file(entry.path()).map_err(Error::io(entry.path()))?;
        }
    }
    for name in wanted {
        match symlink(Path::new(DATA).join(name), dir.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(Error::io(dir.join(name))(error)),
            _ => {}
        }
    }
    Ok(())
}
