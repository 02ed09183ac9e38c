//! The user's mounts: volumes made on demand, sources found, options sorted out.

use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use images::artifacts::BlobChoice;
use storage::Volume;

use crate::apart;
use crate::container::Container;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::files::{CopyOptions, Endpoint};
use crate::oci::VolumeMount;
use crate::spec::{MountKind, MountSpec};
use crate::volume_options::{self, Backing, set_volume_options};

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
pub(crate) fn ensure(engine: &Engine, name: &str, anonymous: bool, mount: &MountSpec) -> Result<()> {
    if engine.store.volume(name)?.is_some() {
        return Ok(());
    }
    let mut volume =
        Volume { name: name.to_owned(), driver: "local".into(), anonymous, needs_copy_up: true, ..Volume::default() };
    let pair = |text: &str| {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        (key.to_owned(), value.to_owned())
    };
    volume.labels = mount.options.iter().filter_map(|word| word.strip_prefix(LABEL)).map(pair).collect();
    let options: Vec<_> = mount.options.iter().filter_map(|word| word.strip_prefix(OPTION)).map(pair).collect();
    set_volume_options(&mut volume, &options)?;
    match engine.store.create_volume(volume) {
        // Somebody else made it in between: that is what we wanted.
        Ok(_) | Err(storage::Error::NameTaken { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// What is to be mounted for a volume.
pub(crate) fn backing(volume: &Volume) -> Result<Backing> {
    volume_options::backing(volume)
}

/// The directory with a volume's content.
pub(crate) fn place(engine: &Engine, volume: &Volume) -> Result<PathBuf> {
    Ok(match backing(volume)? {
        Backing::Directory { device, .. } => device,
        Backing::Data { .. } | Backing::FileSystem { .. } | Backing::Image { .. } => {
            engine.store.volume_mountpoint(&volume.name)
        }
    })
}

/// Puts the content of a tar archive, compressed or not, into a volume, over what is there.
pub fn import(engine: &Engine, volume: &mut Volume, archive: Box<dyn Read + Send>) -> Result<()> {
    let options = CopyOptions { owner: None, overwrite: true };
    let content = content(engine, volume)?;
    // The volume is all there is: links in the archive lead nowhere else.
    Endpoint::of_directory(&content)?.unpack(Path::new("/"), &mut storage::decompress(archive)?, &options)?;
    if volume.needs_copy_up {
        // It has a content now: the image's would come on top of it.
        volume.needs_copy_up = false;
        engine.store.update_volume(volume)?;
    }
    Ok(())
}

/// The directory with a volume's content, for whoever wants to look at it without a container.
///
/// # Errors
/// [`Error::Invalid`] where there is none: a tmpfs is there only in containers that run.
pub fn content(engine: &Engine, volume: &Volume) -> Result<PathBuf> {
    match backing(volume)? {
        Backing::Data { .. } | Backing::Directory { .. } => place(engine, volume),
        Backing::FileSystem { kind, .. } => Err(Error::Invalid(format!(
            "volume {} is of type {kind}: its content is seen in the containers that run with it",
            volume.name
        ))),
        Backing::Image { reference } => {
            Err(Error::Invalid(format!("volume {} is made of the image {reference}", volume.name)))
        }
    }
}

/// Words among the options of a mount that say how it is made, and are none of the mount itself.
const LABEL: &str = "volume-label=";
const OPTION: &str = "volume-opt=";

/// The options of a mount as inspect shows them.
pub(crate) fn shown_options(mount: &MountSpec) -> Vec<String> {
    let mut options: Vec<String> = mount.options.iter().filter(|word| is_mount_option(word)).cloned().collect();
    if matches!(mount.kind, MountKind::Volume { .. }) {
        for (place, (word, turn)) in [("nosuid", "suid"), ("nodev", "dev")].into_iter().enumerate() {
            if !options.iter().any(|option| option == word || option == turn) {
                options.insert(place.min(options.len()), word.to_owned());
            }
        }
    }
    options
}

fn is_mount_option(word: &str) -> bool {
    !(["upperdir=", "workdir=", LABEL, OPTION].iter().any(|prefix| word.starts_with(prefix))
        || word == "idmap"
        || word == "notmpcopyup")
}

/// The mounts of a start, sources resolved.
pub(crate) fn resolve(engine: &Engine, container: &Container) -> Result<Vec<VolumeMount>> {
    let mut all = Vec::new();
    for mount in &container.spec().mounts {
        match &mount.kind {
            MountKind::Artifact { .. } => all.extend(artifact(engine, container, mount)?),
            _ => all.push(one(engine, container, mount)?),
        }
    }
    Ok(all)
}

/// The files of an artifact: a single one is the destination itself, where that is no directory of the image; several, or
/// one for a directory, lie in it.
fn artifact(engine: &Engine, container: &Container, mount: &MountSpec) -> Result<Vec<VolumeMount>> {
    let MountKind::Artifact { reference, title, digest, name } = &mount.kind else { return Ok(Vec::new()) };
    // The user's or the artifact's own fault, as a program that cannot be run: 126.
    let unusable = |error: images::Error| Error::StartFailed { message: error.to_string(), exit_code: 126 };
    let artifact = images::artifacts::get(&engine.store, reference).map_err(unusable)?;
    let choice = BlobChoice { title: title.clone(), digest: digest.clone() };
    let files = images::artifacts::blob_files(&artifact, &choice).map_err(unusable)?;
    let destination = clean(&mount.destination);
    let places = match files.as_slice() {
        [_] if !apart::has_directory(engine, container, &destination)? => vec![destination],
        several => {
            let names: Vec<String> = match (name, several.len()) {
                (Some(name), 1) => vec![name.clone()],
                (Some(name), count) => (0..count).map(|at| format!("{name}-{at}")).collect(),
                (None, _) => {
                    let names = images::artifacts::names_in_directory(several).map_err(unusable)?;
                    names.into_iter().map(str::to_owned).collect()
                }
            };
            names.into_iter().map(|name| destination.join(name)).collect()
        }
    };
    let bind = |(file, destination): (&images::artifacts::BlobFile, PathBuf)| {
        let source = engine.store.blob_path(&file.digest);
        let stat = std::fs::metadata(&source).map_err(Error::io(&source))?;
        // The store is its owner's alone; in the container everybody may read it, as Podman has it.
        if stat.mode() & 0o444 != 0o444 {
            let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
            std::fs::set_permissions(&source, readable).map_err(Error::io(&source))?;
        }
        Ok(VolumeMount::Bind { source, destination, read_only: true, options: Vec::new() })
    };
    files.iter().zip(places).map(bind).collect()
}

fn one(engine: &Engine, container: &Container, mount: &MountSpec) -> Result<VolumeMount> {
    let destination = clean(&mount.destination);
    let words: Vec<String> = mount.options.iter().filter(|word| is_mount_option(word)).cloned().collect();
    let bind = |source: PathBuf| VolumeMount::Bind {
        source,
        destination: destination.clone(),
        read_only: mount.read_only,
        options: words.clone(),
    };
    let file_system = |fstype: &'static str, own: Vec<String>| {
        let mut options = words.clone();
        options.extend(own);
        VolumeMount::FileSystem { fstype, destination: destination.clone(), read_only: mount.read_only, options }
    };
    match &mount.kind {
        MountKind::Bind { source, overlay: true } => {
            Ok(file_system("overlay", over(engine, container, mount, source)?))
        }
        MountKind::Volume { name, overlay: true, .. } => {
            let lower = place(engine, &volume(engine, name, mount)?)?;
            Ok(file_system("overlay", over(engine, container, mount, &lower)?))
        }
        MountKind::Bind { source, .. } => Ok(bind(subpath(source.clone(), mount.subpath.as_deref()))),
        MountKind::Volume { name, .. } => {
            let volume = volume(engine, name, mount)?;
            // Podman's defaults for volumes, each of which the user may turn around.
            let turned = |word: &str| words.iter().any(|option| option == word);
            let defaults = [("nosuid", "suid"), ("nodev", "dev")];
            let usual = defaults.iter().filter(|(_, turn)| !turned(turn)).map(|(word, _)| (*word).to_owned());
            let (source, flags, read_only) = match backing(&volume)? {
                Backing::Data { flags } => (engine.store.volume_mountpoint(&volume.name), flags, false),
                Backing::Directory { device, flags, read_only } => (device, flags, read_only),
                // The tree takes the place of this source.
                Backing::Image { .. } => (engine.store.volume_mountpoint(&volume.name), Vec::new(), true),
                Backing::FileSystem { kind, options, read_only } => {
                    let mut all: Vec<String> = usual.chain(words.clone()).chain(options).collect();
                    if kind == "tmpfs" {
                        all.push("tmpcopyup".into());
                    }
                    let read_only = mount.read_only || read_only;
                    return Ok(VolumeMount::FileSystem { fstype: kind, destination, read_only, options: all });
                }
            };
            let options = usual.chain(flags).chain(words.clone()).collect();
            let source = subpath(source, mount.subpath.as_deref());
            Ok(VolumeMount::Bind { source, destination, read_only: mount.read_only || read_only, options })
        }
        MountKind::Tmpfs { size, mode, copy_up } => {
            // Podman's defaults, each of which the user may turn around.
            let turned = |word: &str| mount.options.iter().any(|option| option == word);
            let defaults = [("nosuid", "suid"), ("nodev", "dev")];
            let mut own: Vec<String> =
                defaults.iter().filter(|(_, turn)| !turned(turn)).map(|(word, _)| (*word).to_owned()).collect();
            own.extend(size.map(|size| format!("size={size}")));
            own.extend(mode.map(|mode| format!("mode={mode:o}")));
            if mount.chown {
                // Ids of the container: that is who mounts it.
                let account = crate::users::account(engine, container)?;
                own.extend([format!("uid={}", account.uid), format!("gid={}", account.gid)]);
            }
            if *copy_up && !mount.options.iter().any(|option| option == "notmpcopyup") {
                own.push("tmpcopyup".into());
            }
            Ok(file_system("tmpfs", own))
        }
        MountKind::DevPts => Ok(file_system("devpts", Vec::new())),
        MountKind::Ramfs => Ok(file_system("ramfs", Vec::new())),
        // The tree takes the place of this source; the files of an artifact are no single mount.
        MountKind::Image { .. } | MountKind::Artifact { .. } | MountKind::Lent { .. } | MountKind::Root { .. } => {
            Ok(bind("/".into()))
        }
    }
}

fn volume(engine: &Engine, name: &Option<String>, mount: &MountSpec) -> Result<Volume> {
    let name = name.as_deref().unwrap_or_default();
    ensure(engine, name, false, mount)?;
    let missing = || Error::Invalid(format!("no volume with name \"{name}\" found: no such volume"));
    engine.store.volume(name)?.ok_or_else(missing)
}

/// An empty directory, whatever was there.
pub(crate) fn fresh_dir(dir: &Path) -> Result<PathBuf> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::Io { path: dir.to_owned(), source: error });
        }
        Ok(()) | Err(_) => {}
    }
    std::fs::create_dir_all(dir).map_err(Error::io(dir))?;
    Ok(dir.to_owned())
}

/// Options of an overlay over `lower` whose writes last for one run (`:O`), or stay in the user's own directories, see
/// overlayfs in the kernel's documentation.
fn over(engine: &Engine, container: &Container, mount: &MountSpec, lower: &Path) -> Result<Vec<String>> {
    let place = storage::Digest::of(clean(&mount.destination).as_os_str().as_encoded_bytes());
    let lower = &subpath(lower.to_owned(), mount.subpath.as_deref());
    let mut options = vec![format!("lowerdir={}", escaped(lower)), "userxattr".to_owned()];
    let own = mount.options.iter().filter(|word| word.starts_with("upperdir=") || word.starts_with("workdir="));
    let own: Vec<String> = own.cloned().collect();
    if !own.is_empty() {
        options.extend(own);
        return Ok(options);
    }
    let dir = fresh_dir(&engine.container_dir(container.id()).join("overlays").join(&place.hex()[..16]))?;
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
