//! The user's mounts: volumes made on demand, sources found, options sorted out.

use std::path::{Component, Path, PathBuf};

use crate::container::Container;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::oci::VolumeMount;
use crate::spec::{MountKind, MountSpec};

/// The absolute path without `.`, `..` and doubled slashes.
pub(crate) fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    clean
}

/// A volume by this name, made if there is none.
pub(crate) fn ensure(engine: &Engine, name: &str, anonymous: bool) -> Result<()> {
    if engine.store.volume(name)?.is_some() {
        return Ok(());
    }
    let volume =
        storage::Volume { name: name.to_owned(), anonymous, needs_copy_up: true, ..storage::Volume::default() };
    match engine.store.create_volume(volume) {
        // Somebody else made it in between: that is what we wanted.
        Ok(_) | Err(storage::Error::NameTaken { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The mounts of a start, sources resolved.
pub(crate) fn resolve(engine: &Engine, container: &Container) -> Result<Vec<VolumeMount>> {
    container.spec().mounts.iter().map(|mount| one(engine, container, mount)).collect()
}

fn one(engine: &Engine, container: &Container, mount: &MountSpec) -> Result<VolumeMount> {
    let destination = clean(&mount.destination);
    let bind = |source: PathBuf| VolumeMount::Bind {
        source,
        destination: destination.clone(),
        read_only: mount.read_only,
        options: mount.options.clone(),
    };
    let file_system = |fstype: &'static str, own: Vec<String>| {
        let mut options = mount.options.clone();
        options.extend(own);
        VolumeMount::FileSystem { fstype, destination: destination.clone(), read_only: mount.read_only, options }
    };
    match &mount.kind {
        MountKind::Bind { overlay: true, .. } | MountKind::Volume { overlay: true, .. } => {
            Err(Error::Invalid(format!("{}: overlay mounts (:O) are not supported yet", destination.display())))
        }
        MountKind::Bind { source, .. } => Ok(bind(subpath(source.clone(), mount.subpath.as_deref()))),
        MountKind::Volume { name, .. } => {
            let name = name.as_deref().unwrap_or_default();
            ensure(engine, name, false)?;
            Ok(bind(subpath(engine.store.volume_mountpoint(name), mount.subpath.as_deref())))
        }
        MountKind::Tmpfs { size, mode, copy_up } => {
            // Podman's defaults, each of which the user may turn around.
            let turned = |word: &str| mount.options.iter().any(|option| option == word);
            let defaults = [("nosuid", "suid"), ("nodev", "dev"), ("noexec", "exec")];
            let mut own: Vec<String> =
                defaults.iter().filter(|(_, turn)| !turned(turn)).map(|(word, _)| (*word).to_owned()).collect();
            own.extend(size.map(|size| format!("size={size}")));
            own.extend(mode.map(|mode| format!("mode={mode:o}")));
            if *copy_up && !mount.options.iter().any(|option| option == "notmpcopyup") {
                own.push("tmpcopyup".into());
            }
            Ok(file_system("tmpfs", own))
        }
        MountKind::DevPts => Ok(file_system("devpts", Vec::new())),
        MountKind::Ramfs => Ok(file_system("ramfs", Vec::new())),
        MountKind::Image { reference, .. } => Err(Error::Invalid(format!(
            "container {}: mounting the image {reference} is not supported yet",
            container.id()
        ))),
    }
}

/// Below the source without leaving it: what the user wrote is cleaned first.
fn subpath(source: PathBuf, below: Option<&Path>) -> PathBuf {
    match below {
        Some(below) => source.join(clean(below).strip_prefix("/").unwrap_or(below)),
        None => source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_cleaned_and_cannot_leave() {
        assert_eq!(clean(Path::new("/a/./b//../c")), Path::new("/a/c"));
        assert_eq!(clean(Path::new("../../x")), Path::new("/x"));
        assert_eq!(subpath("/vol".into(), Some(Path::new("../../etc"))), Path::new("/vol/etc"));
    }
}
