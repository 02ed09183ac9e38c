//! Secrets of a container: which ones it was made with, what they hold at each start, and new content for what runs.
//!
//! A container keeps a copy of each secret from its creation on, so that one that is removed (or replaced under another id)
//! does not change under it. As long as the secret is there under its id, a start takes the content of now.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;
use storage::record::{self, Durability};
use storage::{Secret, SecretDriver};

use crate::archive::Ids;
use crate::container::Container;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::oci::VolumeMount;
use crate::secret_drivers::secret_data;
use crate::spec::{ContainerSpec, IdMap, SecretTarget, SecretUse};
use crate::{list, secret_drivers, userns};

/// Where secrets are unless the user says otherwise. The directory is mounted whole: then a file in it can be replaced at
/// once, by a rename.
const DIR: &str = "/run/secrets";

/// Replaces the content of a secret in the store and in every container that runs with it, and says which those are.
pub fn update_secret(engine: &Engine, name_or_id: &str, data: &[u8]) -> Result<(Secret, Vec<Container>)> {
    let secret = secret_drivers::replace(engine, name_or_id, data)?;
    let mut reached = Vec::new();
    for container in list::list(engine)? {
        let uses = &container.spec().secrets;
        if container.state().init().is_none() || !uses.iter().any(|used| used.id == secret.id) {
            continue;
        }
        let (uids, gids) = userns::maps(engine, &container.spec().namespaces.user)?;
        let place = Places::of(engine, &container);
        for (index, _) in uses.iter().enumerate().filter(|(_, used)| used.id == secret.id) {
            place.write(index, data, &uids, &gids)?;
        }
        reached.push(container);
    }
    Ok((secret, reached))
}

/// Finds every secret that the specification names, and remembers its id.
pub(crate) fn find(engine: &Engine, spec: &mut ContainerSpec) -> Result<()> {
    for used in &mut spec.secrets {
        let secret = engine.store.secret(&used.name)?;
        (used.id, used.name) = (secret.id, secret.name);
    }
    Ok(())
}

/// Copies of the secrets, below the directory of a container in the making.
pub(crate) fn keep(engine: &Engine, spec: &ContainerSpec, container_dir: &Path) -> Result<()> {
    if spec.secrets.is_empty() {
        return Ok(());
    }
    let dir = container_dir.join("secrets");
    fs::DirBuilder::new().mode(0o700).create(&dir).map_err(Error::io(&dir))?;
    for (index, used) in spec.secrets.iter().enumerate() {
        let secret = engine.store.secret_by_id(&used.id)?.ok_or_else(|| missing(&used.name))?;
        if matches!(used.target, SecretTarget::Env { .. }) && secret.driver != SecretDriver::File {
            // Whoever keeps it elsewhere does not want a copy that nothing needs.
            continue;
        }
        let data = secret_data(engine, &secret)?.ok_or_else(|| missing(&used.name))?;
        record::write_bytes(&dir.join(index.to_string()), &data, Durability::Visible)?;
    }
    Ok(())
}

/// Writes the files of a run and says where they are mounted.
pub(crate) fn mounts(
    engine: &Engine,
    container: &Container,
    uids: &[IdMap],
    gids: &[IdMap],
) -> Result<Vec<VolumeMount>> {
    let spec = container.spec();
    let mut mounts: Vec<VolumeMount> = Vec::new();
    let place = Places::of(engine, container);
    for (index, used) in spec.secrets.iter().enumerate() {
        let SecretTarget::Mount { path, .. } = &used.target else { continue };
        place.write(index, &content(engine, container, index, used)?, uids, gids)?;
        let (source, destination) = match place.in_dir(path) {
            Some(_) => (place.dir.join("dir"), PathBuf::from(DIR)),
            None => (place.dir.join(index.to_string()), path.clone()),
        };
        let known = mounts
            .iter_mut()
            .find(|mount| matches!(mount, VolumeMount::Bind { destination: other, .. } if *other == destination));
        match known {
            Some(VolumeMount::Bind { source: known, .. }) => *known = source,
            _ => mounts.push(VolumeMount::Bind { source, destination, read_only: false, options: Vec::new() }),
        }
    }
    Ok(mounts)
}

/// The variables of `type=env`.
pub(crate) fn environment(engine: &Engine, container: &Container) -> Result<Vec<(String, String)>> {
    let mut variables = Vec::new();
    for (index, used) in container.spec().secrets.iter().enumerate() {
        if let SecretTarget::Env { name } = &used.target {
            let data = content(engine, container, index, used)?;
            let value = String::from_utf8(data)
                .map_err(|_| Error::Invalid(format!("secret {} is not text: it cannot be a variable", used.name)))?;
            variables.push((name.clone(), value));
        }
    }
    Ok(variables)
}

fn content(engine: &Engine, container: &Container, index: usize, used: &SecretUse) -> Result<Vec<u8>> {
    let is_file = matches!(used.target, SecretTarget::Mount { .. });
    let secret = match engine.store.secret_by_id(&used.id)? {
        // A variable follows the name, as Podman has it; a file stays what it was.
        None if !is_file => engine.store.secret(&used.name).ok().filter(|other| other.name == used.name),
        secret => secret,
    };
    match secret.map(|secret| secret_data(engine, &secret)).transpose() {
        Ok(Some(Some(data))) => return Ok(data),
        Ok(_) => {}
        // The copy is there so that a restart does not depend on somebody else.
        Err(error @ Error::SecretDriver { .. }) if is_file => tracing::warn!(%error, "the content of before is used"),
        Err(error) => return Err(error),
    }
    let path = engine.container_dir(container.id()).join("secrets").join(index.to_string());
    fs::read(&path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => missing(&used.name),
        _ => Error::Io { path, source: error },
    })
}

fn missing(name: &str) -> Error {
    Error::Storage(storage::Error::NotFound { kind: "secret", name: name.to_owned() })
}

/// Where the files of a run are on the host.
struct Places<'a> {
    dir: PathBuf,
    spec: &'a ContainerSpec,
    /// The user mounts something else there.
    dir_is_taken: bool,
}

impl<'a> Places<'a> {
    fn of(engine: &Engine, container: &'a Container) -> Places<'a> {
        let spec = container.spec();
        let dir_is_taken = spec.mounts.iter().any(|mount| mount.destination == Path::new(DIR));
        Places { dir: engine.run_dir(container.id()).join("secrets"), spec, dir_is_taken }
    }

    /// The path below `/run/secrets`.
    fn in_dir<'p>(&self, path: &'p Path) -> Option<&'p Path> {
        let below = path.strip_prefix(DIR).ok().filter(|below| !below.as_os_str().is_empty());
        below.filter(|_| !self.dir_is_taken)
    }

    /// One secret's file, new or changed. A reader in the container sees the old or the new content where the directory
    /// is ours; a file that is mounted by itself is written over.
    fn write(&self, index: usize, data: &[u8], uids: &[IdMap], gids: &[IdMap]) -> Result<()> {
        let used = &self.spec.secrets[index];
        let SecretTarget::Mount { path, uid, gid, mode } = &used.target else { return Ok(()) };
        fs::DirBuilder::new().mode(0o700).recursive(true).create(&self.dir).map_err(Error::io(&self.dir))?;
        let Some(below) = self.in_dir(path) else {
            let place = self.dir.join(index.to_string());
            let mut options = File::options();
            let file = options.create(true).truncate(false).write(true).mode(0o600).open(&place);
            let written = file.and_then(|mut file| {
                file.write_all(data)?;
                file.set_len(data.len() as u64)?;
                give(&file, Ids::outside(uids, *uid), Ids::outside(gids, *gid), *mode)
            });
            return written.map_err(Error::io(&place));
        };
        // From the second time on the container may have been here: no link is followed.
        let root = self.dir.join("dir");
        let io = |error: Errno| Error::io(&self.dir.join("dir").join(below))(error.into());
        let make = |parent: BorrowedFd<'_>, name: &Path| -> Result<OwnedFd> {
            let made = match rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o755)) {
                Err(Errno::EXIST) => false,
                other => other.map(|()| true).map_err(io)?,
            };
            let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let dir = rustix::fs::openat(parent, name, flags, Mode::empty()).map_err(io)?;
            if made {
                let given = give(
                    &File::from(dir.try_clone().map_err(Error::io(&root))?),
                    Ids::outside(uids, 0),
                    Ids::outside(gids, 0),
                    0o755,
                );
                given.map_err(Error::io(&root))?;
            }
            Ok(dir)
        };
        let mut parent = make(CWD, &root)?;
        for component in below.parent().into_iter().flat_map(Path::components) {
            parent = make(parent.as_fd(), component.as_ref())?;
        }
        let name = below.file_name().unwrap_or_default();
        let fresh = format!(".{index}.new");
        match rustix::fs::unlinkat(&parent, fresh.as_str(), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(io(error)),
        }
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&parent, fresh.as_str(), flags, Mode::from_raw_mode(0o600)).map_err(io)?;
        let mut file = File::from(file);
        let written =
            file.write_all(data).and_then(|()| give(&file, Ids::outside(uids, *uid), Ids::outside(gids, *gid), *mode));
        written.map_err(Error::io(path))?;
        rustix::fs::renameat(&parent, fresh.as_str(), &parent, name).map_err(io)
    }
}

/// Owner (ids of the user's own namespace) and mode, whatever the umask is.
fn give(file: &File, uid: u32, gid: u32, mode: u32) -> std::io::Result<()> {
    std::os::unix::fs::fchown(file, Some(uid), Some(gid))?;
    file.set_permissions(fs::Permissions::from_mode(mode))
}
