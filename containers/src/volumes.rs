//! The user's mounts: volumes made on demand, sources found, options sorted out.

use std::os::unix::fs::MetadataExt;
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
        MountKind::Bind { source, overlay: true } => {
            let lower = subpath(source.clone(), mount.subpath.as_deref());
            Ok(file_system("overlay", over(engine, container, &destination, &lower)?))
        }
        MountKind::Volume { name, overlay: true, .. } => {
            let name = name.as_deref().unwrap_or_default();
            ensure(engine, name, false)?;
            let lower = subpath(engine.store.volume_mountpoint(name), mount.subpath.as_deref());
            Ok(file_system("overlay", over(engine, container, &destination, &lower)?))
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

/// Options of an overlay over `lower` whose writes last for one run (`:O`), see overlayfs in the kernel's documentation.
fn over(engine: &Engine, container: &Container, destination: &Path, lower: &Path) -> Result<Vec<String>> {
    let place = storage::Digest::of(destination.as_os_str().as_encoded_bytes());
    let dir = engine.container_dir(container.id()).join("overlays").join(&place.hex()[..16]);
    match std::fs::remove_dir_all(&dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::Io { path: dir, source: error });
        }
        Ok(()) | Err(_) => {}
    }
    let mut options = vec![format!("lowerdir={}", escaped(lower)), "userxattr".to_owned()];
    for (option, name) in [("upperdir", "upper"), ("workdir", "work")] {
        let path = dir.join(name);
        std::fs::create_dir_all(&path).map_err(Error::io(&path))?;
        options.push(format!("{option}={}", path.display()));
    }
    // The mount shows the upper directory's owner and mode at its top.
    let like = std::fs::metadata(lower).map_err(Error::io(lower))?;
    let upper = dir.join("upper");
    std::os::unix::fs::chown(&upper, Some(like.uid()), Some(like.gid())).map_err(Error::io(&upper))?;
    std::fs::set_permissions(&upper, like.permissions()).map_err(Error::io(&upper))?;
    Ok(options)
}

/// A colon divides layers and a backslash takes that away.
fn escaped(path: &Path) -> String {
    path.to_string_lossy().replace('\\', "\\\\").replace(':', "\\:")
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
